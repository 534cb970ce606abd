//! The committed columns: small integers, `n` to a column, with their blinds.

use crate::watch::{Watch, Work};
use crate::witness::Witness;
use ff::Field;
use provenn_algebra::Fp;
use provenn_algebra::inner_products::Entries;
use provenn_algebra::small::{Coefficients, Integer, fold_rows, from_i64};
use provenn_circuits::circuit::Circuit;
use provenn_circuits::layout::{Group, Layout};
use rayon::prelude::*;
use std::ops::Range;
use zeroize::Zeroize;

/// Entries that one thread packs: fewer take less time than waking another one.
const PACKED_AT_ONCE: usize = 1 << 17;

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
        watch: &mut Watch<'_>,
    ) -> Self {
        let range = layout.group(group);
        let mut entries = vec![0; range.len() * layout.n];
        for (id, tensor) in circuit.tensors.iter().enumerate() {
            if Group::of(tensor.role) == Some(group) {
                layout.fill(id, &tensor.shape, &values[id], range.start, &mut entries);
                watch.lap(|| Work::Tensor(id));
            }
        }
        ColumnSet { first: range.start, n: layout.n, entries, blinds }
    }

    pub(crate) fn columns(&self) -> Vec<&[i64]> {
        self.entries.chunks(self.n).collect()
    }

    /// The columns in the form in which they are opened.
    pub(crate) fn pack(mut self) -> PackedSet {
        let narrow = |column: &[i64]| column.iter().all(|&v| i16::try_from(v).is_ok());
        let at_once = (PACKED_AT_ONCE / self.n).max(1);
        let narrow: Vec<bool> = self.entries.par_chunks(self.n).with_min_len(at_once).map(narrow).collect();
        let mut next = 0;
        let mut runs = Vec::new();
        for same in narrow.chunk_by(|a, b| a == b) {
            let entries = &self.entries[next * self.n..(next + same.len()) * self.n];
            let entries = if same[0] {
                // No entry is changed by the cast.
                Packed::Narrow(entries.par_iter().with_min_len(PACKED_AT_ONCE).map(|&v| v as i16).collect())
            } else {
                Packed::Wide(entries.to_vec())
            };
            let start = self.first + next;
            next += same.len();
            runs.push(Run { columns: start..self.first + next, entries });
        }
        PackedSet { n: self.n, runs, blinds: std::mem::take(&mut self.blinds) }
    }
}

impl Drop for ColumnSet {
    fn drop(&mut self) {
        self.blinds.zeroize();
        self.entries.zeroize();
    }
}

/// Consecutive columns with their blinds, in the narrowest integers that hold them: reading them is what an opening of many
/// columns costs.
pub(crate) struct PackedSet {
    n: usize,
    runs: Vec<Run>,
    /// One blind per column.
    pub(crate) blinds: Vec<Fp>,
}

/// Consecutive columns of one type.
struct Run {
    columns: Range<usize>,
    entries: Packed,
}

/// Entries, column after column.
enum Packed {
    Narrow(Vec<i16>),
    Wide(Vec<i64>),
}

impl PackedSet {
    /// The entries of one column, if it is in this set.
    fn column(&self, number: usize) -> Option<Entries<'_>> {
        let run = self.runs.iter().find(|run| run.columns.contains(&number))?;
        let start = (number - run.columns.start) * self.n;
        Some(match &run.entries {
            Packed::Narrow(entries) => Entries::Narrow(&entries[start..start + self.n]),
            Packed::Wide(entries) => Entries::Wide(&entries[start..start + self.n]),
        })
    }

    /// No columns, of `n` entries.
    pub(crate) fn empty(n: usize) -> PackedSet {
        PackedSet { n, runs: Vec::new(), blinds: Vec::new() }
    }

    /// Adds those of the columns from `first` on that are in this set, times their coefficients, to `sum`.
    fn add(&self, first: usize, coefficients: &[Fp], sum: &mut [Fp]) {
        for run in &self.runs {
            let (start, end) =
                (run.columns.start.max(first), run.columns.end.min(first + coefficients.len()));
            if start < end {
                let coefficients = &coefficients[start - first..end - first];
                let range = (start - run.columns.start) * self.n..(end - run.columns.start) * self.n;
                match &run.entries {
                    Packed::Narrow(entries) => add_columns(&entries[range], coefficients, sum),
                    Packed::Wide(entries) => add_columns(&entries[range], coefficients, sum),
                }
            }
        }
    }
}

fn add_columns<T: Integer>(entries: &[T], coefficients: &[Fp], sum: &mut [Fp]) {
    if let [coefficient] = coefficients {
        for (slot, &v) in sum.iter_mut().zip(entries) {
            match v.into() {
                0 => {}
                v if *coefficient == Fp::ONE => *slot += from_i64(v),
                v => *slot += from_i64(v) * coefficient,
            }
        }
    } else {
        let folded = fold_rows(&Coefficients::new(coefficients), entries, sum.len());
        for (slot, value) in sum.iter_mut().zip(folded) {
            *slot += value;
        }
    }
}

impl Drop for PackedSet {
    fn drop(&mut self) {
        self.blinds.zeroize();
        for run in &mut self.runs {
            match &mut run.entries {
                Packed::Narrow(entries) => entries.zeroize(),
                Packed::Wide(entries) => entries.zeroize(),
            }
        }
    }
}

/// All columns of one proof, in order of their numbers.
pub(crate) struct Columns<'c> {
    pub(crate) sets: Vec<&'c PackedSet>,
}

impl Columns<'_> {
    /// The sum of consecutive columns from `first` on, times their coefficients, on rows `0..n`.
    pub(crate) fn sum(&self, first: usize, coefficients: &[Fp], n: usize) -> Vec<Fp> {
        let mut sum = vec![Fp::ZERO; n];
        self.add(first, coefficients, &mut sum);
        sum
    }

    /// Adds consecutive columns from `first` on, times their coefficients, to `sum`.
    pub(crate) fn add(&self, first: usize, coefficients: &[Fp], sum: &mut [Fp]) {
        for set in &self.sets {
            set.add(first, coefficients, sum);
        }
    }

    /// The entries of one column; none if there is no such column.
    pub(crate) fn column(&self, number: usize) -> Entries<'_> {
        self.sets.iter().find_map(|set| set.column(number)).unwrap_or(Entries::Narrow(&[]))
    }

    /// Blinds of all columns, in order of their numbers.
    pub(crate) fn blinds(&self) -> impl Iterator<Item = &Fp> {
        self.sets.iter().flat_map(|set| &set.blinds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_columns_sum_as_they_were() {
        const N: usize = 8;
        // Narrow and wide columns in turn, with the ends of 16 bits and one beyond them.
        let column =
            |ends: [i64; 2]| (0..N as i64).map(move |row| if row < 2 { ends[row as usize] } else { row - 4 });
        let (least, most) = (i16::MIN.into(), i16::MAX.into());
        let ends = [
            [least, most],
            [most, least],
            [least - 1, 0],
            [0, most + 1],
            [1, 2],
            [i64::MIN, i64::MAX],
            [3, 4],
        ];
        let entries: Vec<i64> = ends.into_iter().flat_map(column).collect();
        let set = |first: usize, columns: Range<usize>| {
            let blinds = vec![Fp::ONE; columns.len()];
            let entries = entries[columns.start * N..columns.end * N].to_vec();
            ColumnSet { first, n: N, entries, blinds }.pack()
        };
        let whole = set(0, 0..ends.len());
        let narrow = |run: &Run| matches!(run.entries, Packed::Narrow(_));
        let runs: Vec<_> = whole.runs.iter().map(|run| (run.columns.clone(), narrow(run))).collect();
        assert_eq!(runs, [(0..2, true), (2..4, false), (4..5, true), (5..6, false), (6..7, true)]);
        let (empty, start, rest) = (PackedSet::empty(N), set(0, 0..3), set(3, 3..ends.len()));
        for first in 0..ends.len() {
            for last in first..ends.len() {
                let coefficients: Vec<Fp> = (first..=last)
                    .map(|c| if c == 4 { Fp::ONE } else { Fp::from(c as u64 + 5).square() })
                    .collect();
                let expected: Vec<Fp> = (0..N)
                    .map(|row| {
                        let entry = |c: usize| from_i64(entries[(first + c) * N + row]);
                        coefficients.iter().enumerate().map(|(c, coefficient)| entry(c) * coefficient).sum()
                    })
                    .collect();
                for sets in [vec![&whole], vec![&start, &empty, &rest]] {
                    assert_eq!(Columns { sets }.sum(first, &coefficients, N), expected);
                }
            }
        }
    }
}
