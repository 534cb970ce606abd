//! Tensor circuits: integer tensors, affine views, and the three kinds of constraints.
//!
//! Every operation of a quantized network is linear, bilinear, or a table look-up
//! (docs, "The protocol as built", section "Constraints").

use crate::model::Range;
use crate::origins::Origins;
use crate::tables::Table;
use ff::Field;
use provenn_algebra::Fp;
use provenn_algebra::multilinear::eq_table;
use provenn_algebra::small::from_i64;
use std::borrow::Cow;
use std::sync::OnceLock;

/// Index of a tensor in its circuit.
pub type TensorId = usize;

/// Where a tensor's values come from, and who sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Parameter tensor number so-and-so; committed once, in the key.
    Weight(usize),
    /// The input: public, or committed per proof with an opening of its own.
    Input(Visibility),
    /// The output: public, or committed per proof with an opening of its own.
    Output(Visibility),
    /// A secret intermediate value; committed per proof.
    Witness,
    /// How often each row of a table is looked up; committed per proof.
    Multiplicity(usize),
    /// The constant 1 on the true extents: what a view of it reads is the indicator of reading inside. Known to both sides.
    Ones,
}

/// Whether a tensor is published in the clear or as a hiding commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// In the clear.
    Public,
    /// As a hiding commitment.
    Committed,
}

impl Role {
    /// Whether the verifier sees the values.
    pub fn is_public(self) -> bool {
        matches!(self, Role::Input(Visibility::Public) | Role::Output(Visibility::Public))
    }
}

/// A tensor of integers.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Name for people.
    pub name: String,
    /// True extents, row-major; may be empty (one entry).
    pub shape: Vec<usize>,
    /// Where its values come from.
    pub role: Role,
    /// Declared range of every entry.
    pub range: Range,
}

impl Tensor {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Position on one tensor axis as a function of the view's indices: `offset + sum stride * index`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AxisMap {
    /// Constant part.
    pub offset: i64,
    /// `(view index, stride)` pairs.
    pub terms: Vec<(usize, i64)>,
}

impl AxisMap {
    /// The axis follows one view index.
    pub fn index(index: usize) -> Self {
        AxisMap { offset: 0, terms: vec![(index, 1)] }
    }

    /// The axis is read at one position.
    pub fn fixed(offset: i64) -> Self {
        AxisMap { offset, terms: vec![] }
    }

    /// The same positions from other view indices: index `t` is now `maps[t]`.
    fn through(&self, maps: &[AxisMap]) -> Self {
        let mut composed = AxisMap::fixed(self.offset);
        for &(index, stride) in &self.terms {
            composed.offset += stride * maps[index].offset;
            composed.terms.extend(maps[index].terms.iter().map(|&(inner, s)| (inner, stride * s)));
        }
        composed
    }

    /// The axis is split row-major over the view indices `indices`, whose extents are `extents`.
    pub fn split(indices: &[usize], extents: &[usize]) -> Self {
        let mut stride = 1;
        let mut terms: Vec<_> = indices
            .iter()
            .zip(extents)
            .rev()
            .map(|(&index, &extent)| {
                let term = (index, stride);
                stride *= extent as i64;
                term
            })
            .collect();
        terms.reverse();
        AxisMap { offset: 0, terms }
    }
}

/// An affine view of a tensor: reads 0 outside the tensor's true extents.
///
/// With `sums`, it reads sums of entries: the view indices after those of the box run over these extents and are summed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The tensor.
    pub tensor: TensorId,
    /// One map per tensor axis; each view index feeds at most one axis.
    pub axes: Vec<AxisMap>,
    /// Extents of the summed indices.
    pub sums: Vec<usize>,
}

impl View {
    /// The view whose indices `indices` are the tensor's axes in order.
    pub fn axes(tensor: TensorId, indices: &[usize]) -> Self {
        View::new(tensor, indices.iter().map(|&i| AxisMap::index(i)).collect())
    }

    /// The view with these maps, without sums.
    pub fn new(tensor: TensorId, axes: Vec<AxisMap>) -> Self {
        View { tensor, axes, sums: vec![] }
    }

    /// Extents of the view's indices on a box: the box's, then the summed ones.
    pub fn indices(&self, extents: &[usize]) -> Vec<usize> {
        [extents, &self.sums].concat()
    }
}

/// A linear expression on an index box: `constant + sum coefficient * view`, and 0 outside the box.
///
/// Coefficients saturate where they would overflow; `bounds::check` refuses a circuit that has such a coefficient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expr {
    /// Constant on the box.
    pub constant: i64,
    /// `(coefficient, view)` pairs.
    pub terms: Vec<(i64, View)>,
}

impl Expr {
    /// The expression `coefficient * view`.
    pub fn view(coefficient: i64, view: View) -> Self {
        Expr { constant: 0, terms: vec![(coefficient, view)] }
    }

    /// Adds `coefficient * view`.
    pub fn plus(mut self, coefficient: i64, view: View) -> Self {
        self.terms.push((coefficient, view));
        self
    }

    /// Adds a constant.
    pub fn offset(mut self, constant: i64) -> Self {
        self.constant = self.constant.saturating_add(constant);
        self
    }

    /// The same expression on another box of `indices` indices: index `t` of this box is `maps[t]` of the other.
    pub fn through(&self, maps: &[AxisMap], indices: usize) -> Self {
        let view = |view: &View| {
            let sums = (0..view.sums.len()).map(|sum| AxisMap::index(indices + sum));
            let maps: Vec<AxisMap> = maps.iter().cloned().chain(sums).collect();
            let axes = view.axes.iter().map(|map| map.through(&maps)).collect();
            View { tensor: view.tensor, axes, sums: view.sums.clone() }
        };
        Expr { constant: self.constant, terms: self.terms.iter().map(|(c, v)| (*c, view(v))).collect() }
    }

    /// Adds `factor` times another expression.
    pub fn add(mut self, factor: i64, other: &Expr) -> Self {
        self.constant = self.constant.saturating_add(factor.saturating_mul(other.constant));
        self.terms.extend(other.terms.iter().map(|(c, view)| (factor.saturating_mul(*c), view.clone())));
        self
    }
}

/// `expr = 0` on the box.
#[derive(Debug, Clone)]
pub struct Linear {
    /// Extents of the indices.
    pub extents: Vec<usize>,
    /// The expression.
    pub expr: Expr,
}

/// `expr[b, i, j] = sum_k a[b, i, k] * c[b, j, k]`; each of b, i, j, k is a multi-index.
#[derive(Debug, Clone)]
pub struct Contract {
    /// Extents of the batch multi-index.
    pub b: Vec<usize>,
    /// Extents of the multi-index of `a` alone.
    pub i: Vec<usize>,
    /// Extents of the multi-index of `c` alone.
    pub j: Vec<usize>,
    /// Extents of the summed multi-index.
    pub k: Vec<usize>,
    /// Left side, on `b ++ i ++ j`.
    pub expr: Expr,
    /// First operand, on `b ++ i ++ k`.
    pub a: Expr,
    /// Second operand, on `b ++ j ++ k`.
    pub c: Expr,
}

impl Contract {
    /// Box of the left side.
    pub fn left_extents(&self) -> Vec<usize> {
        [&self.b[..], &self.i, &self.j].concat()
    }

    /// Box of the first operand.
    pub fn a_extents(&self) -> Vec<usize> {
        [&self.b[..], &self.i, &self.k].concat()
    }

    /// Box of the second operand.
    pub fn c_extents(&self) -> Vec<usize> {
        [&self.b[..], &self.j, &self.k].concat()
    }
}

/// `(expr_1, .., expr_w)` is a row of the table, everywhere on the box.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// Extents of the indices.
    pub extents: Vec<usize>,
    /// One expression per table column.
    pub exprs: Vec<Expr>,
    /// Index of the table.
    pub table: usize,
}

/// How the prover computes witness tensors, in order; the verifier has no use for it.
#[derive(Debug, Clone)]
pub enum Step {
    /// `output = source`.
    Store {
        /// What is stored.
        source: Source,
        /// Where.
        output: TensorId,
    },
    /// The limbs of non-negative values, least significant first.
    Limbs {
        /// What is split.
        source: Source,
        /// `(tensor, bits)` of each limb.
        limbs: Vec<(TensorId, u32)>,
    },
    /// Rounded division by a power of two: `source + 2^(shift-1) = 2^shift * quotient + remainder`.
    Divide {
        /// What is divided.
        source: Source,
        /// The power of two.
        shift: u32,
        /// Receives the quotient.
        quotient: Quotient,
        /// `(tensor, bits)` of each limb of the remainder.
        remainder: Vec<(TensorId, u32)>,
    },
    /// `output` = the larger of two expressions.
    Larger {
        /// Extents of the expressions' box.
        extents: Vec<usize>,
        /// The expressions.
        operands: [Expr; 2],
        /// Where it is stored.
        output: TensorId,
    },
    /// `output` = second column of the table at the row whose first column is `source`.
    Map {
        /// First column.
        source: Source,
        /// Index of the table.
        table: usize,
        /// One tensor per further column.
        outputs: Vec<TensorId>,
    },
}

impl Step {
    /// The tensors that the step computes. No other step computes them: they may be committed to at once.
    pub fn outputs(&self) -> Vec<TensorId> {
        let of = |limbs: &[(TensorId, u32)]| limbs.iter().map(|&(limb, _)| limb).collect::<Vec<_>>();
        match self {
            Step::Store { output, .. } | Step::Larger { output, .. } => vec![*output],
            Step::Limbs { limbs, .. } => of(limbs),
            Step::Divide { quotient: Quotient::Whole(quotient), remainder, .. } => {
                [&[*quotient], &of(remainder)[..]].concat()
            }
            Step::Divide { quotient: Quotient::Split { high, low, .. }, remainder, .. } => {
                [&[*high], &of(low)[..], &of(remainder)].concat()
            }
            Step::Map { outputs, .. } => outputs.clone(),
        }
    }
}

/// Where the quotient of a [`Step::Divide`] goes.
#[derive(Debug, Clone)]
pub enum Quotient {
    /// One tensor.
    Whole(TensorId),
    /// `2^bits * high + low`, with `low` in limbs.
    Split {
        /// Bits of the low part.
        bits: u32,
        /// The high part, signed.
        high: TensorId,
        /// `(tensor, bits)` of each limb of the low part.
        low: Vec<(TensorId, u32)>,
    },
}

/// Values on a box: an expression, plus, possibly, the right side of a contract.
#[derive(Debug, Clone)]
pub struct Source {
    /// Extents of the box.
    pub extents: Vec<usize>,
    /// Expressions on parts of the box that do not overlap; 0 elsewhere.
    pub parts: Vec<Part>,
    /// A contract whose right side is added; and per index of its left side, how far the box's row-major position moves with
    /// it.
    pub contract: Option<(usize, Vec<usize>)>,
}

/// An expression on a part of a box.
#[derive(Debug, Clone)]
pub struct Part {
    /// Where the part starts on every axis of the box.
    pub start: Vec<usize>,
    /// Extents of the part.
    pub extents: Vec<usize>,
    /// The expression, on the part's own indices.
    pub expr: Expr,
}

impl Source {
    /// One expression on the whole box.
    pub fn new(extents: &[usize], expr: Expr) -> Self {
        let part = Part { start: vec![0; extents.len()], extents: extents.to_vec(), expr };
        Source { extents: extents.to_vec(), parts: vec![part], contract: None }
    }
}

/// A circuit: tensors, constraints, tables, and how to compute the witness.
#[derive(Debug, Clone, Default)]
pub struct Circuit {
    /// Tensors, in declaration order.
    pub tensors: Vec<Tensor>,
    /// Linear constraints, in protocol order.
    pub linears: Vec<Linear>,
    /// Bilinear constraints, in protocol order.
    pub contracts: Vec<Contract>,
    /// Look-ups, in protocol order.
    pub lookups: Vec<Lookup>,
    /// Tables; a table's public id is its index.
    pub tables: Vec<Table>,
    /// How the witness is computed.
    pub steps: Vec<Step>,
    /// What each part is there for.
    pub origins: Origins,
    /// The entries of curves that have been computed, by table.
    pub(crate) curves: CurveEntries,
}

/// Entries of curves, computed once per table.
pub(crate) type CurveEntries = Vec<OnceLock<Vec<i64>>>;

impl Circuit {
    /// Makes room for the entries of curves: the tables are complete.
    pub(crate) fn complete_tables(&mut self) {
        self.curves = vec![OnceLock::new(); self.tables.len()];
    }

    /// A column of a table.
    pub fn column(&self, table: usize, column: usize) -> Cow<'_, [i64]> {
        match self.curves.get(table) {
            Some(entries) if self.tables[table].is_curve(column) => {
                Cow::Borrowed(entries.get_or_init(|| self.tables[table].column(column)))
            }
            _ => Cow::Owned(self.tables[table].column(column)),
        }
    }

    /// The multilinear extension of a column at a point whose variables cover exactly the table's rows.
    pub fn column_extension(&self, table: usize, column: usize, point: &[Fp]) -> Fp {
        if self.tables[table].is_curve(column) {
            let entries = self.column(table, column);
            entries.iter().zip(eq_table(point)).map(|(&entry, eq)| from_i64(entry) * eq).sum()
        } else {
            self.tables[table].extension(column, point)
        }
    }

    /// The tensor with the given role, if there is one.
    pub fn tensor_with_role(&self, wanted: impl Fn(Role) -> bool) -> Option<TensorId> {
        self.tensors.iter().position(|tensor| wanted(tensor.role))
    }

    /// The input tensor.
    pub fn input(&self) -> Option<TensorId> {
        self.tensor_with_role(|role| matches!(role, Role::Input(_)))
    }

    /// The output tensor.
    pub fn output(&self) -> Option<TensorId> {
        self.tensor_with_role(|role| matches!(role, Role::Output(_)))
    }
}

/// A view's product of per-index vectors, pulled back to a product of per-axis vectors on the tensor.
///
/// `vectors[t]` belongs to view index `t` of the box and has its true extent; summed indices weigh 1. Returns the factor of
/// the indices that feed no axis and one vector per tensor axis, of the axis's true extent: entry `x` sums, over the true
/// view indices that map to `x`, the products of their entries.
pub fn pull_back(view: &View, shape: &[usize], vectors: &[Vec<Fp>]) -> (Fp, Vec<Vec<Fp>>) {
    let ones: Vec<Vec<Fp>> = view.sums.iter().map(|&extent| vec![Fp::ONE; extent]).collect();
    let vectors: Vec<&[Fp]> = vectors.iter().chain(&ones).map(|vector| &vector[..]).collect();
    let mut feeds = vec![false; vectors.len()];
    let axes = view
        .axes
        .iter()
        .zip(shape)
        .map(|(map, &extent)| {
            let mut axis = vec![Fp::ZERO; extent];
            map.terms.iter().for_each(|&(index, _)| feeds[index] = true);
            // The positions that all indices but the last lead to, with their weights; the last goes straight to the axis.
            let Some((&(last, stride), others)) = map.terms.split_last() else {
                if let Some(slot) = usize::try_from(map.offset).ok().and_then(|at| axis.get_mut(at)) {
                    *slot = Fp::ONE;
                }
                return axis;
            };
            let mut entries = vec![(map.offset, Fp::ONE)];
            for &(index, stride) in others {
                entries = entries
                    .iter()
                    .flat_map(|&(at, weight)| {
                        let read = move |(x, e)| (at + stride * x as i64, weight * e);
                        vectors[index].iter().enumerate().map(read)
                    })
                    .collect();
            }
            for (start, weight) in entries {
                for (x, e) in vectors[last].iter().enumerate() {
                    let at = usize::try_from(start + stride * x as i64).ok();
                    if let Some(slot) = at.and_then(|at| axis.get_mut(at)) {
                        *slot += if others.is_empty() { *e } else { weight * e };
                    }
                }
            }
            axis
        })
        .collect();
    let factor = vectors
        .iter()
        .zip(&feeds)
        .filter(|(_, feeds)| !**feeds)
        .fold(Fp::ONE, |factor, (vector, _)| factor * vector.iter().sum::<Fp>());
    (factor, axes)
}

/// Values of a circuit's tensors, row-major on true extents.
pub type Values<'a> = [Cow<'a, [i64]>];

impl Expr {
    /// The expression's values on its box, row-major. Borrows when the expression is a whole tensor.
    pub fn evaluate<'v>(
        &self,
        extents: &[usize],
        tensors: &[Tensor],
        values: &'v Values<'_>,
    ) -> Cow<'v, [i64]> {
        if self.constant == 0
            && let [(1, view)] = &self.terms[..]
            && tensors[view.tensor].shape == extents
            && *view == View::axes(view.tensor, &(0..extents.len()).collect::<Vec<_>>())
        {
            return Cow::Borrowed(&values[view.tensor]);
        }
        let mut out = vec![self.constant; extents.iter().product()];
        for (coefficient, view) in &self.terms {
            view.accumulate(
                *coefficient,
                extents,
                &tensors[view.tensor].shape,
                &values[view.tensor],
                &mut out,
            );
        }
        Cow::Owned(out)
    }
}

impl View {
    /// Whether every index of the box reads inside the tensor.
    pub fn stays_inside(&self, extents: &[usize], shape: &[usize]) -> bool {
        let extents = self.indices(extents);
        self.axes.iter().zip(shape).all(|(map, &extent)| {
            let mut ends = (i128::from(map.offset), i128::from(map.offset));
            for &(index, stride) in &map.terms {
                let reach = i128::from(stride) * (extents[index] as i128 - 1);
                ends = (ends.0 + reach.min(0), ends.1 + reach.max(0));
            }
            ends.0 >= 0 && ends.1 < extent as i128
        })
    }

    /// Whether the view plainly reads every entry exactly once: each axis is one view index, or split row-major over
    /// several, and no index of more than one value is left over. (A view may be bijective without being recognised here.)
    pub fn is_bijective(&self, extents: &[usize], shape: &[usize]) -> bool {
        let feeds = |index: usize| self.axes.iter().any(|map| map.terms.iter().any(|&(i, _)| i == index));
        self.sums.is_empty()
            && extents.iter().enumerate().all(|(index, &extent)| extent == 1 || feeds(index))
            && self.axes.iter().zip(shape).all(|(map, &extent)| {
                let mut size = 1;
                let row_major = map.terms.iter().rev().all(|&(index, stride)| {
                    let expected = stride == size;
                    size *= extents[index] as i64;
                    expected
                });
                map.offset == 0 && row_major && size == extent as i64
            })
    }

    /// Calls `visit(first, count, start, step)` for every run of the innermost index whose entries lie inside the
    /// tensor: positions `first..first+count` of the view's indices read tensor entries `start, start+step, ..`.
    ///
    /// `extents` are those of all the view's indices ([`View::indices`]).
    pub fn for_each_run(
        &self,
        extents: &[usize],
        shape: &[usize],
        mut visit: impl FnMut(usize, usize, i64, i64),
    ) {
        let mut strides = vec![1i64; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis] as i64;
        }
        let (outer, inner) = match extents.split_last() {
            Some((inner, outer)) => (outer, *inner),
            None => (extents, 1),
        };
        // The axis that the innermost index feeds, if any, with its stride.
        let fed = self.axes.iter().enumerate().find_map(|(axis, map)| {
            map.terms.iter().find(|(index, _)| *index == outer.len()).map(|&(_, stride)| (axis, stride))
        });
        let mut index = vec![0usize; outer.len()];
        let runs: usize = outer.iter().product();
        for run in 0..runs {
            let (mut start, mut step) = (0, 0);
            let mut inside = true;
            let mut bounds = (0i64, inner as i64);
            for (axis, map) in self.axes.iter().enumerate() {
                let at = map.terms.iter().fold(map.offset, |at, &(i, stride)| {
                    at + if i < outer.len() { stride * index[i] as i64 } else { 0 }
                });
                let extent = shape[axis] as i64;
                match fed {
                    Some((fed, stride)) if fed == axis => {
                        bounds = clip(bounds, at, stride, extent);
                        inside &= bounds.0 < bounds.1;
                        if inside {
                            start += (at + stride * bounds.0) * strides[axis];
                            // A single entry has no next one, and its step may be far outside.
                            step = if bounds.1 - bounds.0 > 1 { stride * strides[axis] } else { 0 };
                        }
                    }
                    _ => {
                        inside &= (0..extent).contains(&at);
                        start += if inside { at * strides[axis] } else { 0 };
                    }
                }
            }
            let (lo, hi) = bounds;
            if inside && lo < hi {
                visit(run * inner + lo as usize, (hi - lo) as usize, start, step);
            }
            for (i, extent) in index.iter_mut().zip(outer).rev() {
                *i += 1;
                if *i < *extent {
                    break;
                }
                *i = 0;
            }
        }
    }

    fn accumulate(
        &self,
        coefficient: i64,
        extents: &[usize],
        shape: &[usize],
        values: &[i64],
        out: &mut [i64],
    ) {
        if self.sums.is_empty() {
            self.for_each_run(extents, shape, |first, count, start, step| {
                for (t, out) in out[first..first + count].iter_mut().enumerate() {
                    *out += coefficient * values[(start + step * t as i64) as usize];
                }
            });
        } else {
            let window: usize = self.sums.iter().product();
            self.for_each_run(&self.indices(extents), shape, |first, count, start, step| {
                for t in 0..count {
                    out[(first + t) / window] += coefficient * values[(start + step * t as i64) as usize];
                }
            });
        }
    }
}

/// Restricts `t` in `[lo, hi)` to those with `0 <= at + stride * t < extent`; may end before it starts.
pub(crate) fn clip((lo, hi): (i64, i64), at: i64, stride: i64, extent: i64) -> (i64, i64) {
    match stride.cmp(&0) {
        std::cmp::Ordering::Greater => {
            let first = (-at).div_euclid(stride) + i64::from((-at).rem_euclid(stride) != 0);
            let end = (extent - at).div_euclid(stride) + i64::from((extent - at).rem_euclid(stride) != 0);
            (lo.max(first), hi.min(end))
        }
        std::cmp::Ordering::Less => {
            // Mirror: t -> -t.
            let (mlo, mhi) = clip((1 - hi, 1 - lo), at, -stride, extent);
            (1 - mhi, 1 - mlo)
        }
        std::cmp::Ordering::Equal if (0..extent).contains(&at) => (lo, hi),
        std::cmp::Ordering::Equal => (lo, lo),
    }
}

/// For each row-major position in a box, its position once every index is padded to a power of two.
pub fn padded_positions(extents: &[usize]) -> Vec<usize> {
    extents.iter().fold(vec![0], |positions, &extent| {
        let padded = extent.next_power_of_two();
        positions.iter().flat_map(|p| (0..extent).map(move |x| p * padded + x)).collect()
    })
}

/// The inner product of integers with a product of per-axis vectors: `sum_x values[x] prod_a vectors[a][x_a]`.
pub fn product_form(values: &[i64], vectors: &[Vec<Fp>]) -> Fp {
    let mut folded: Vec<Fp> = values.iter().map(|&v| from_i64(v)).collect();
    for vector in vectors.iter().rev() {
        folded = folded
            .chunks(vector.len())
            .map(|row| row.iter().zip(vector).map(|(v, e)| *v * e).sum())
            .collect();
    }
    folded.first().copied().unwrap_or(Fp::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(view: &View, extents: &[usize], shape: &[usize], values: &[i64]) -> Vec<i64> {
        let total: usize = extents.iter().product();
        (0..total)
            .map(|flat| {
                let mut rest = flat;
                let mut index = vec![0; extents.len()];
                for a in (0..extents.len()).rev() {
                    index[a] = rest % extents[a];
                    rest /= extents[a];
                }
                let mut at = 0usize;
                for (map, &extent) in view.axes.iter().zip(shape) {
                    let x = map.terms.iter().fold(map.offset, |x, &(i, s)| x + s * index[i] as i64);
                    if !(0..extent as i64).contains(&x) {
                        return 0;
                    }
                    at = at * extent + x as usize;
                }
                values[at]
            })
            .collect()
    }

    /// What a view with sums reads: the last `sums` indices of the box, summed.
    fn summed(values: Vec<i64>, sums: &[usize]) -> Vec<i64> {
        values.chunks(sums.iter().product()).map(|window| window.iter().sum()).collect()
    }

    /// A view, the extents of its box, the shape of its tensor.
    fn any_view() -> impl Strategy<Value = (View, Vec<usize>, Vec<usize>)> {
        // Up to three view indices, each feeding axis 0, axis 1, or none.
        (
            prop::collection::vec(1usize..5, 0..4),
            prop::collection::vec(1usize..6, 2),
            prop::collection::vec((0usize..3, -2i64..3), 3),
            prop::collection::vec(-3i64..4, 2),
            0usize..3,
        )
            .prop_map(|(mut extents, shape, feeds, offsets, sums)| {
                let mut axes: Vec<AxisMap> =
                    offsets.iter().map(|&offset| AxisMap { offset, terms: vec![] }).collect();
                for (index, (axis, stride)) in feeds.iter().enumerate().take(extents.len()) {
                    if *axis < 2 {
                        axes[*axis].terms.push((index, *stride));
                    }
                }
                let sums = extents.split_off(extents.len() - sums.min(extents.len()));
                (View { tensor: 0, axes, sums }, extents, shape)
            })
    }

    proptest! {
        #[test]
        fn views_read_what_their_definition_says((view, extents, shape) in any_view()) {
            let values: Vec<i64> = (0..shape.iter().product::<usize>() as i64).map(|v| v * v - 5).collect();
            let tensor = Tensor {
                name: String::new(), shape: shape.clone(), role: Role::Witness, range: Range::signed(8),
            };
            let got = Expr::view(3, view.clone()).offset(1)
                .evaluate(&extents, &[tensor], &[Cow::Borrowed(&values)]).into_owned();
            let expected: Vec<i64> =
                summed(naive(&view, &view.indices(&extents), &shape, &values), &view.sums)
                    .iter().map(|v| 3 * v + 1).collect();
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn views_that_stay_inside_or_are_bijective_do((view, extents, shape) in any_view()) {
            let len: usize = shape.iter().product();
            let ones = naive(&view, &view.indices(&extents), &shape, &vec![1; len]);
            prop_assert_eq!(view.stays_inside(&extents, &shape), ones.iter().all(|&one| one == 1));
            if view.is_bijective(&extents, &shape) {
                let mut read = naive(&view, &extents, &shape, &(0..len as i64).collect::<Vec<_>>());
                read.sort_unstable();
                prop_assert_eq!(read, (0..len as i64).collect::<Vec<_>>());
            }
        }

        #[test]
        fn pulled_back_products_agree_with_sums_over_the_view((view, extents, shape) in any_view()) {
            let values: Vec<i64> = (0..shape.iter().product::<usize>() as i64).map(|v| 7 * v - 11).collect();
            let vectors: Vec<Vec<Fp>> = extents.iter().enumerate()
                .map(|(a, &d)| (0..d).map(|x| Fp::from((3 + a * 17 + x * x) as u64)).collect()).collect();
            let read = summed(naive(&view, &view.indices(&extents), &shape, &values), &view.sums);
            let direct = product_form(&read, &vectors);
            let (factor, axes) = pull_back(&view, &shape, &vectors);
            prop_assert_eq!(direct, factor * product_form(&values, &axes));
        }
    }
}
