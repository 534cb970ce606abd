//! The prover's side of the bilinear sum-check.

use crate::watch::{Watch, Work};
use crate::witness::Witness;
use ff::Field;
use provenn_algebra::Fp;
use provenn_algebra::bilinear::{Bilinear, Operand, Summand};
use provenn_algebra::small::{Coefficients, fold_rows, from_i64};
use provenn_circuits::circuit::{AxisMap, Circuit, Expr, View, padded_positions};
use provenn_circuits::forms::{box_variables, box_vectors};
use provenn_circuits::reduction::{BilinearPoints, Subject, instance_variables};
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;
use tracing::debug_span;

/// State of the bilinear sum-check.
pub(crate) struct ContractProver {
    rounds: Bilinear,
    /// Each contract's coefficient in the phase over the summed variables.
    coefficients: Vec<Fp>,
    next_gate: usize,
}

impl ContractProver {
    /// Folds the operands of every contract: the only pass over the weights in the sum-check.
    pub(crate) fn new(
        circuit: &Circuit,
        values: &Witness<'_>,
        points: &BilinearPoints,
        watch: &mut Watch<'_>,
    ) -> ContractProver {
        let timer = watch.timer();
        let (summands, times): (Vec<Summand>, Vec<(Subject, f64)>) = circuit
            .contracts
            .par_iter()
            .enumerate()
            .map(|(l, contract)| {
                let _span = debug_span!("operands", layer = circuit.origins.contract(l)).entered();
                let (batch, sum) = instance_variables(contract);
                let (i, j) = &points.own[l];
                let operand = |expr: &Expr, own: &[usize], point: &[Fp]| {
                    operand(circuit, values, expr, [&contract.b, own, &contract.k], point)
                };
                let (summand, time) = timer.time(|| Summand {
                    a: operand(&contract.a, &contract.i, i),
                    c: operand(&contract.c, &contract.j, j),
                    batch,
                    sum,
                    coefficients: [points.powers[l], points.coefficients[l]],
                });
                (summand, (Subject::Contract(l), time))
            })
            .unzip();
        watch.lap(|| Work::Subjects(times));
        let rounds = Bilinear::new(summands, &points.batch);
        ContractProver { rounds, coefficients: points.coefficients.clone(), next_gate: 0 }
    }

    /// The next round's `h1`, `h2`.
    pub(crate) fn round(&self) -> (Fp, Fp) {
        self.rounds.sums()
    }

    /// Binds the round's variable.
    pub(crate) fn bind(&mut self, rho: Fp) {
        self.rounds.bind(&rho);
    }

    /// Passes from the batch variables to the summed ones.
    pub(crate) fn begin_sum_phase(&mut self) {
        self.rounds.begin_sum_phase();
    }

    /// `p0, p1, q0, q1` of the next pair of contracts.
    pub(crate) fn gate(&mut self) -> [Fp; 4] {
        let own = self.coefficients.iter().zip(self.rounds.ends()).skip(self.next_gate);
        let mut operands = own.take(2).map(|(coefficient, (a, c))| (*coefficient * a, c));
        let zero = (Fp::ZERO, Fp::ZERO);
        let (p0, q1) = operands.next().unwrap_or(zero);
        let (p1, q0) = operands.next().unwrap_or(zero);
        self.next_gate += 2;
        [p0, p1, q0, q1]
    }
}

/// An operand on `batch ++ own ++ sum`, folded over its own indices if it has any, and what is left padded.
fn operand(
    circuit: &Circuit,
    values: &Witness<'_>,
    expr: &Expr,
    [batch, own, sum]: [&[usize]; 3],
    point: &[Fp],
) -> Operand {
    if own.is_empty() {
        let entries = expr.evaluate(&[batch, sum].concat(), &circuit.tensors, values);
        return Operand::Integers(pad(entries, batch, sum));
    }
    Operand::Field(pad(Cow::Owned(fold(circuit, values, expr, [batch, own, sum], point)), batch, sum))
}

/// The entries of a box of batch and summed indices, each index padded to a power of two.
fn pad<T: Copy + Default>(entries: Cow<'_, [T]>, batch: &[usize], sum: &[usize]) -> Vec<T> {
    let variables = box_variables(sum);
    let len = 1 << (box_variables(batch) + variables);
    if entries.len() == len {
        return entries.into_owned();
    }
    let mut padded = vec![T::default(); len];
    let sums = padded_positions(sum);
    for (b, row) in padded_positions(batch).into_iter().zip(entries.chunks(sums.len())) {
        for (value, s) in row.iter().zip(&sums) {
            padded[(b << variables) + s] = *value;
        }
    }
    padded
}

/// Folds an operand on `batch ++ own ++ sum` over its own indices.
fn fold(
    circuit: &Circuit,
    values: &Witness<'_>,
    expr: &Expr,
    [batch, own, sum]: [&[usize]; 3],
    point: &[Fp],
) -> Vec<Fp> {
    let kept = [batch, sum].concat();
    let weights = box_vectors(own, point);
    let constant = weights.iter().fold(from_i64(expr.constant), |mass, w| mass * w.iter().sum::<Fp>());
    let mut folded = vec![constant; kept.iter().product()];
    for (coefficient, view) in &expr.terms {
        let tensor = &circuit.tensors[view.tensor];
        let indices = Indices { batch: batch.len(), weights: &weights };
        let term = Folded::new(view, &tensor.shape, &values[view.tensor], &indices, &kept);
        term.add_to(from_i64(*coefficient), &kept, &mut folded);
    }
    folded
}

/// Which of a view's indices are folded: those after the first `batch`, with these weights.
struct Indices<'w> {
    batch: usize,
    weights: &'w [Vec<Fp>],
}

impl Indices<'_> {
    /// The weights of an index that is folded, or its number among those that are kept.
    fn get(&self, index: usize) -> Result<&[Fp], usize> {
        match index.checked_sub(self.batch) {
            None => Err(index),
            Some(own) => match self.weights.get(own) {
                Some(weights) => Ok(weights),
                None => Err(index - self.weights.len()),
            },
        }
    }
}

/// Weights of consecutive positions of an axis.
struct Span {
    start: usize,
    weights: Vec<Fp>,
}

impl Span {
    /// The weights of `positions`, shifted, that lie on an axis of length `extent`.
    fn new(positions: &[(i64, Fp)], shift: i64, extent: usize) -> Span {
        let inside = positions.iter().filter_map(|&(at, weight)| {
            usize::try_from(at + shift).ok().filter(|&at| at < extent).map(|at| (at, weight))
        });
        let (start, end) =
            inside.clone().fold((extent, 0), |(start, end), (at, _)| (start.min(at), end.max(at + 1)));
        let mut weights = vec![Fp::ZERO; end.saturating_sub(start)];
        inside.for_each(|(at, weight)| weights[at - start] += weight);
        Span { start: start.min(end), weights }
    }

    /// Where the positions' rows lie in a block of rows of `inner` entries.
    fn rows(&self, inner: usize) -> Range<usize> {
        self.start * inner..(self.start + self.weights.len()) * inner
    }
}

/// A tensor folded along the axes that folded indices feed, and the view of it from the indices that are kept.
///
/// Axes are folded one after the other: an axis that also follows kept indices, as a convolution's does the window's, becomes an
/// axis of those. So the work is that of reading the tensor once per window position of one axis, and no box of all windows
/// is ever built.
struct Folded<'v> {
    entries: Cow<'v, [i64]>,
    /// The entries, once an axis has been folded.
    folded: Option<Vec<Fp>>,
    shape: Vec<usize>,
    view: View,
    /// Product of the weights of folded indices that feed no axis.
    factor: Fp,
}

/// How a view is folded along the axes that folded indices feed.
struct Folding {
    /// The axes, the first to be folded first; per axis how its entries are folded for each value of the kept indices that it
    /// follows.
    folds: Vec<(usize, Vec<Span>)>,
    /// The view that is left, from the kept indices.
    view: View,
    /// Product of the weights of folded indices that feed no axis.
    factor: Fp,
}

impl Folding {
    fn new(view: &View, shape: &[usize], indices: &Indices<'_>, kept: &[usize]) -> Folding {
        let mut fed = vec![false; indices.weights.len()];
        let mut this = Folding {
            folds: Vec::new(),
            view: View::new(view.tensor, Vec::with_capacity(shape.len())),
            factor: Fp::ONE,
        };
        for (axis, map) in view.axes.iter().enumerate() {
            let mut kept_terms = Vec::new();
            let mut positions = vec![(map.offset, Fp::ONE)];
            for &(index, stride) in &map.terms {
                match indices.get(index) {
                    Err(index) => kept_terms.push((index, stride)),
                    Ok(weights) => {
                        fed[index - indices.batch] = true;
                        let read = |&(at, weight): &(i64, Fp)| {
                            let read = move |(x, w): (usize, &Fp)| (at + stride * x as i64, weight * w);
                            weights.iter().enumerate().map(read)
                        };
                        positions = positions.iter().flat_map(read).collect();
                    }
                }
            }
            if kept_terms.len() == map.terms.len() {
                this.view.axes.push(AxisMap { offset: map.offset, terms: kept_terms });
                continue;
            }
            let extents: Vec<usize> = kept_terms.iter().map(|&(index, _)| kept[index]).collect();
            let own: Vec<usize> = kept_terms.iter().map(|&(index, _)| index).collect();
            let shifts = kept_terms.iter().fold(vec![0i64], |shifts, &(index, stride)| {
                let shift = |&at: &i64| (0..kept[index] as i64).map(move |x| at + stride * x);
                shifts.iter().flat_map(shift).collect()
            });
            this.folds.push((
                axis,
                shifts.into_iter().map(|shift| Span::new(&positions, shift, shape[axis])).collect(),
            ));
            this.view.axes.push(AxisMap::split(&own, &extents));
        }
        for (weights, fed) in indices.weights.iter().zip(fed) {
            if !fed {
                this.factor *= weights.iter().sum::<Fp>();
            }
        }
        // The axes that shrink most come first: what follows is then cheaper.
        this.folds.sort_by(|(a, u), (b, v)| (u.len() * shape[*b]).cmp(&(v.len() * shape[*a])).then(a.cmp(b)));
        this
    }

    /// What folding a tensor of this shape takes.
    fn operations(&self, shape: &[usize]) -> Operations {
        let mut entries: u64 = shape.iter().map(|&extent| extent as u64).product();
        let mut operations = Operations::default();
        for (number, (axis, spans)) in self.folds.iter().enumerate() {
            let lines = entries / shape[*axis] as u64;
            let products = lines * spans.iter().map(|span| span.weights.len() as u64).sum::<u64>();
            entries = lines * spans.len() as u64;
            if number == 0 {
                (operations.integers, operations.sums) = (products, entries);
            } else {
                operations.elements += products;
            }
        }
        operations
    }
}

/// What the sum-check over one contract takes a prover.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Operations {
    /// Products of field elements with integers.
    pub(crate) integers: u64,
    /// Sums of such products.
    pub(crate) sums: u64,
    /// Products of field elements.
    pub(crate) elements: u64,
    /// Entries of operands that are not folded, before they are padded.
    pub(crate) reads: u64,
    /// Padded entries of both operands together, where all variables are the batch's.
    pub(crate) batch: u64,
    /// The same where some are summed.
    pub(crate) sum: u64,
}

impl Operations {
    /// Of a contract of a circuit; `points` are any of the circuit's.
    pub(crate) fn new(circuit: &Circuit, contract: usize, points: &BilinearPoints) -> Operations {
        let (own, contract) = (&points.own[contract], &circuit.contracts[contract]);
        let kept = [&contract.b[..], &contract.k].concat();
        let read: u64 = kept.iter().map(|&extent| extent as u64).product();
        let mut total = Operations::default();
        for (expr, indices, point) in [(&contract.a, &contract.i, &own.0), (&contract.c, &contract.j, &own.1)]
        {
            let weights = box_vectors(indices, point);
            for (_, view) in &expr.terms {
                let shape = &circuit.tensors[view.tensor].shape;
                let indices = Indices { batch: contract.b.len(), weights: &weights };
                let own = Folding::new(view, shape, &indices, &kept).operations(shape);
                total.integers += own.integers;
                total.sums += own.sums;
                total.elements += own.elements;
                if indices.weights.is_empty() {
                    total.reads += read;
                } else {
                    total.elements += READ_PRODUCTS * read;
                }
            }
        }
        let (batch, sum) = instance_variables(contract);
        *if sum == 0 { &mut total.batch } else { &mut total.sum } += 1 << (batch + sum);
        total
    }
}

/// Products for an entry of a view that is left after folding: it becomes a field element, is multiplied by the coefficient, and
/// put in its padded place.
const READ_PRODUCTS: u64 = 4;

impl<'v> Folded<'v> {
    fn new(
        view: &View,
        shape: &[usize],
        entries: &'v [i64],
        indices: &Indices<'_>,
        kept: &[usize],
    ) -> Folded<'v> {
        let Folding { folds, view, factor } = Folding::new(view, shape, indices, kept);
        let entries = Cow::Borrowed(entries);
        let mut this = Folded { entries, folded: None, shape: shape.to_vec(), view, factor };
        for (axis, vectors) in folds {
            this.fold_axis(axis, &vectors);
        }
        this
    }

    /// Replaces an axis by one entry per vector: the inner product of the axis with it.
    fn fold_axis(&mut self, axis: usize, spans: &[Span]) {
        let extent = self.shape[axis];
        let inner: usize = self.shape[axis + 1..].iter().product();
        let block = extent * inner;
        let folded = match self.folded.take() {
            None => {
                let coefficients: Vec<Coefficients> =
                    spans.iter().map(|span| Coefficients::new(&span.weights)).collect();
                let fold = |block: &[i64]| -> Vec<Fp> {
                    let rows = |span: &Span| &block[span.rows(inner)];
                    spans.iter().zip(&coefficients).flat_map(|(s, c)| fold_rows(c, rows(s), inner)).collect()
                };
                self.entries.par_chunks(block).flat_map_iter(fold).collect()
            }
            Some(entries) => {
                let fold = |block: &[Fp]| -> Vec<Fp> {
                    let mut out = vec![Fp::ZERO; spans.len() * inner];
                    for (out, span) in out.chunks_mut(inner).zip(spans) {
                        for (row, weight) in block[span.rows(inner)].chunks(inner).zip(&span.weights) {
                            out.iter_mut().zip(row).for_each(|(o, x)| *o += *weight * x);
                        }
                    }
                    out
                };
                entries.par_chunks(block).flat_map_iter(fold).collect()
            }
        };
        self.folded = Some(folded);
        self.shape[axis] = spans.len();
    }

    /// Adds `coefficient` times what the view reads, on the box of the kept indices.
    fn add_to(&self, coefficient: Fp, kept: &[usize], out: &mut [Fp]) {
        let coefficient = coefficient * self.factor;
        self.view.for_each_run(kept, &self.shape, |first, count, start, step| {
            let read = (0..count as i64).map(|t| (start + step * t) as usize);
            let out = out[first..first + count].iter_mut().zip(read);
            match &self.folded {
                Some(folded) => out.for_each(|(out, at)| *out += coefficient * folded[at]),
                None => out.for_each(|(out, at)| *out += coefficient * from_i64(self.entries[at])),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use provenn_algebra::multilinear::{eq_table, variables};
    use provenn_circuits::circuit::{Role, Tensor, product_form};
    use provenn_circuits::forms::Form;
    use provenn_circuits::model;

    #[test]
    fn products_are_counted_as_they_are_made() {
        let weights = |count: usize| vec![vec![Fp::ONE; count]];
        // A matrix, folded along its rows.
        let gemm = View::axes(0, &[0, 1]);
        let rows = weights(4);
        let folding = Folding::new(&gemm, &[4, 6], &Indices { batch: 0, weights: &rows }, &[6]);
        assert_eq!(
            folding.operations(&[4, 6]),
            Operations { integers: 24, sums: 6, ..Operations::default() }
        );
        // Windows of three on an axis of eight: every position of the window reads six entries.
        let mut window = View::new(0, vec![AxisMap::index(0)]);
        window.axes[0].terms.push((1, 1));
        let outputs = weights(6);
        let folding = Folding::new(&window, &[8], &Indices { batch: 0, weights: &outputs }, &[3]);
        assert_eq!(folding.operations(&[8]), Operations { integers: 18, sums: 3, ..Operations::default() });
        // Of two folded axes the second has field elements.
        let both = [weights(4), weights(6)].concat();
        let folding = Folding::new(&gemm, &[4, 6], &Indices { batch: 0, weights: &both }, &[]);
        let Operations { integers, sums, elements, .. } = folding.operations(&[4, 6]);
        assert_eq!((integers, elements), (24, sums));
        assert!([4, 6].contains(&sums));
        // Nothing is folded.
        let kept = Folding::new(&gemm, &[4, 6], &Indices { batch: 2, weights: &[] }, &[4, 6]);
        assert_eq!(kept.operations(&[4, 6]), Operations::default());
    }

    /// A box of batch, own and summed indices, a tensor's shape, and a view from the box to the tensor.
    fn any_view() -> impl Strategy<Value = ([Vec<usize>; 3], Vec<usize>, View)> {
        let extents = || prop::collection::vec(1usize..5, 0..3);
        let axes = prop::collection::vec((1usize..6, -3i64..5), 0..4);
        let feeds = prop::collection::vec((0usize..4, -3i64..4), 6);
        (extents(), extents(), extents(), axes, feeds).prop_map(|(batch, own, sum, axes, feeds)| {
            let shape = axes.iter().map(|&(extent, _)| extent).collect();
            let mut maps: Vec<AxisMap> = axes.iter().map(|&(_, offset)| AxisMap::fixed(offset)).collect();
            let indices = batch.len() + own.len() + sum.len();
            // The last indices first, so that axes list them in any order.
            for (index, (axis, stride)) in feeds.into_iter().enumerate().take(indices).rev() {
                if let Some(map) = maps.get_mut(axis) {
                    map.terms.push((index, stride));
                }
            }
            ([batch, own, sum], shape, View::new(0, maps))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn folding_through_a_view_gives_what_the_verifier_pulls_back(
            ([batch, own, sum], shape, view) in any_view(),
            coefficient in -5i64..6,
            constant in -2i64..3,
            seed in any::<u64>(),
        ) {
            let values: Vec<i64> = (0..shape.iter().product::<usize>() as i64).map(|v| (v * v - 7) << 20).collect();
            let mut circuit = Circuit::default();
            let range = model::Range::signed(40);
            circuit.tensors.push(Tensor { name: String::new(), shape, role: Role::Witness, range });
            let expr = Expr::view(coefficient, view).offset(constant);
            let point = |extents: &[usize], salt: u64| -> Vec<Fp> {
                let count = extents.iter().map(|&d| variables(d)).sum::<usize>() as u64;
                (0..count).map(|i| Fp::from(seed ^ salt << 32 ^ i).square()).collect()
            };
            let (b, o, s) = (point(&batch, 1), point(&own, 2), point(&sum, 3));
            let values_of = vec![Cow::Borrowed(&values[..])];
            let folded = match operand(&circuit, &values_of, &expr, [&batch, &own, &sum], &o) {
                Operand::Field(entries) => entries,
                Operand::Integers(entries) => entries.into_iter().map(from_i64).collect(),
            };
            let left: Fp =
                folded.iter().zip(eq_table(&[&b[..], &s].concat())).map(|(value, eq)| *value * eq).sum();
            let mut form = Form::default();
            let extents = [&batch[..], &own, &sum].concat();
            form.add_expr(Fp::ONE, &expr, &box_vectors(&extents, &[b, o, s].concat()), &circuit);
            let terms = form.terms.iter().map(|term| term.coefficient * product_form(&values, &term.vectors));
            prop_assert_eq!(left, form.affine.constant + terms.sum::<Fp>());
        }
    }
}
