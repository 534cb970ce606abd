//! The committed columns: small integers, `n` to a column, with their blinds.

use crate::witness::Witness;
use provenn_algebra::Fp;
use provenn_circuits::circuit::Circuit;
use provenn_circuits::layout::{Group, Layout};
use std::ops::Range;
use zeroize::Zeroize;

/// Consecutive columns with their blinds.
pub(crate) struct ColumnSet {
    /// Number of the first column.
    pub(crate) first: usize,
    pub(crate) n: usize,
    /// Entries, column after column.
    pub(crate) entries: Vec<i64>,
    /// One blind per column.
    pub(crate) blinds: Vec<Fp>,
}

impl ColumnSet {
    /// Lays out the tensors of a group.
    pub(crate) fn lay_out(
        circuit: &Circuit,
        layout: &Layout,
        group: Group,
        values: &Witness<'_>,
        blinds: Vec<Fp>,
    ) -> Self {
        let range = layout.group(group);
        let mut entries = vec![0; range.len() * layout.n];
        for (id, tensor) in circuit.tensors.iter().enumerate() {
            if Group::of(tensor.role) == Some(group) {
                layout.fill(id, &tensor.shape, &values[id], range.start, &mut entries);
            }
        }
        ColumnSet { first: range.start, n: layout.n, entries, blinds }
    }

    pub(crate) fn columns(&self) -> Vec<&[i64]> {
        self.entries.chunks(self.n).collect()
    }

    /// The entries of the columns of `range`, if they are all in this set.
    fn slice(&self, range: &Range<usize>) -> Option<&[i64]> {
        let start = range.start.checked_sub(self.first)?;
        self.entries.get(start * self.n..(start + range.len()) * self.n)
    }
}

impl Drop for ColumnSet {
    fn drop(&mut self) {
        self.blinds.zeroize();
        self.entries.zeroize();
    }
}

/// All columns of one proof, in order of their numbers.
pub(crate) struct Columns<'c> {
    pub(crate) sets: Vec<&'c ColumnSet>,
}

impl Columns<'_> {
    /// Entries of consecutive columns of one group.
    ///
    /// # Panics
    /// If the columns are not all in one set: a tensor's columns always are.
    pub(crate) fn entries(&self, range: Range<usize>) -> &[i64] {
        self.sets.iter().find_map(|set| set.slice(&range)).expect("the columns of a tensor lie in one set")
    }

    /// Blinds of all columns, in order of their numbers.
    pub(crate) fn blinds(&self) -> impl Iterator<Item = &Fp> {
        self.sets.iter().flat_map(|set| &set.blinds)
    }
}
