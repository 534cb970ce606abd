//! Column layout: where every committed tensor entry lies, as a function of the circuit alone.
//!
//! A tensor's axes are put in the order that minimises the number of columns with at least one true entry; an
//! axis of length `d` takes `ceil(log2 d)` index bits; the low `nu` bits of a position are its row, the high
//! bits its column, and columns with only padding do not exist. Tensors that fit into one column share columns, as
//! aligned power-of-two pieces, largest first. Weights, committed input, committed output and witness never share a
//! column.

use crate::circuit::{Circuit, Role, Tensor, TensorId, View, Visibility};
use ff::Field;
use provenn_algebra::Fp;
use provenn_algebra::multilinear::{eq_at, eq_table, variables};
use provenn_algebra::small::inner_product_field;
use std::collections::HashMap;
use std::ops::Range;

/// Smallest row length.
pub const MIN_ROWS: usize = 32;

/// The groups of columns, in the order of the closing argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Weights: committed in the key.
    Weight,
    /// A committed input.
    Input,
    /// A committed output.
    Output,
    /// Everything else that is committed per proof.
    Witness,
}

impl Group {
    /// The group of a tensor, `None` if it is not committed.
    pub fn of(role: Role) -> Option<Group> {
        match role {
            Role::Weight(_) => Some(Group::Weight),
            Role::Input(Visibility::Committed) => Some(Group::Input),
            Role::Output(Visibility::Committed) => Some(Group::Output),
            Role::Input(Visibility::Public) | Role::Output(Visibility::Public) | Role::Ones => None,
            Role::Witness | Role::Multiplicity(_) => Some(Group::Witness),
        }
    }
}

/// Where one tensor lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Tensor axes, most significant first.
    pub order: Vec<usize>,
    /// First column.
    pub column: usize,
    /// First row; 0 unless the tensor shares its column.
    pub row: usize,
    /// Whether the tensor has columns of its own.
    pub wide: bool,
}

/// Where everything lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Row length, `2^nu`.
    pub n: usize,
    /// One placement per tensor, `None` for public ones.
    pub placements: Vec<Option<Placement>>,
    /// Columns of the weights.
    pub weights: Range<usize>,
    /// Columns of a committed input.
    pub input: Range<usize>,
    /// Columns of a committed output.
    pub output: Range<usize>,
    /// Columns of the witness.
    pub witness: Range<usize>,
}

/// The split of a tensor's ordered axes into whole column axes, at most one that straddles, and whole row axes.
struct Split<'a> {
    high: &'a [usize],
    /// `(axis, low bits)`.
    straddle: Option<(usize, usize)>,
    low: &'a [usize],
}

fn split<'a>(order: &'a [usize], shape: &[usize], nu: usize) -> Split<'a> {
    let mut bits = 0;
    let mut first_low = order.len();
    while first_low > 0 && bits + variables(shape[order[first_low - 1]]) <= nu {
        first_low -= 1;
        bits += variables(shape[order[first_low]]);
    }
    if first_low == 0 || bits == nu {
        return Split { high: &order[..first_low], straddle: None, low: &order[first_low..] };
    }
    let straddle = order[first_low - 1];
    Split { high: &order[..first_low - 1], straddle: Some((straddle, nu - bits)), low: &order[first_low..] }
}

impl Split<'_> {
    fn columns(&self, shape: &[usize]) -> usize {
        let high: usize = self.high.iter().map(|&a| shape[a]).product();
        high * self.straddle.map_or(1, |(a, bits)| shape[a].div_ceil(1 << bits))
    }
}

fn padded_len(shape: &[usize]) -> usize {
    shape.iter().map(|d| d.next_power_of_two()).product()
}

/// The axis order with the fewest columns; the row-major one if none is better.
///
/// Only two things decide how many columns an order needs: the set of axes that lie wholly in the row, and the axis that
/// straddles the boundary. So all choices of those two are tried, not all orders.
fn best_order(tensor: &Tensor, nu: usize) -> Vec<usize> {
    let shape = &tensor.shape;
    let axes = shape.len();
    let row_major: Vec<usize> = (0..axes).collect();
    if matches!(tensor.role, Role::Input(_) | Role::Output(_)) {
        // An input or output commitment means the same under every key of its format.
        return row_major;
    }
    let bits: Vec<usize> = shape.iter().map(|&d| variables(d)).collect();
    let is_low = |set: usize, axis: usize| (set >> axis) & 1 == 1;
    let mut best = (split(&row_major, shape, nu).columns(shape), None);
    for straddle in 0..axes {
        for set in (0..1usize << axes).filter(|&set| !is_low(set, straddle)) {
            let low_bits: usize = (0..axes).filter(|&axis| is_low(set, axis)).map(|axis| bits[axis]).sum();
            if low_bits > nu || low_bits + bits[straddle] <= nu {
                // The row would end elsewhere: another choice of the two describes that order.
                continue;
            }
            let high = (0..axes).filter(|&axis| axis != straddle && !is_low(set, axis));
            let columns = high.map(|axis| shape[axis]).product::<usize>()
                * shape[straddle].div_ceil(1 << (nu - low_bits));
            if columns < best.0 {
                best = (columns, Some((straddle, set)));
            }
        }
    }
    let Some((straddle, set)) = best.1 else { return row_major };
    let (low, high): (Vec<usize>, Vec<usize>) =
        row_major.into_iter().filter(|&axis| axis != straddle).partition(|&axis| is_low(set, axis));
    [&high[..], &[straddle], &low].concat()
}

impl Layout {
    /// The layout of a circuit at row length `n`, a power of two.
    pub fn new(circuit: &Circuit, n: usize) -> Layout {
        let nu = variables(n);
        let mut placements = vec![None; circuit.tensors.len()];
        let mut next = 0;
        // Layers of one model repeat their shapes.
        let mut known: HashMap<(bool, &[usize]), Vec<usize>> = HashMap::new();
        let mut place = |group: Group| {
            let members: Vec<TensorId> = (0..circuit.tensors.len())
                .filter(|&t| Group::of(circuit.tensors[t].role) == Some(group))
                .collect();
            let start = next;
            for &id in &members {
                let tensor = &circuit.tensors[id];
                if padded_len(&tensor.shape) > n {
                    let shown = matches!(tensor.role, Role::Input(_) | Role::Output(_));
                    let order =
                        known.entry((shown, &tensor.shape)).or_insert_with(|| best_order(tensor, nu)).clone();
                    let columns = split(&order, &tensor.shape, nu).columns(&tensor.shape);
                    placements[id] = Some(Placement { order, column: next, row: 0, wide: true });
                    next += columns;
                }
            }
            let mut small: Vec<TensorId> =
                members.into_iter().filter(|&id| padded_len(&circuit.tensors[id].shape) <= n).collect();
            small.sort_by_key(|&id| std::cmp::Reverse(padded_len(&circuit.tensors[id].shape)));
            let mut row = n;
            for id in small {
                let shape = &circuit.tensors[id].shape;
                if row + padded_len(shape) > n {
                    next += 1;
                    row = 0;
                }
                let order = (0..shape.len()).collect();
                placements[id] = Some(Placement { order, column: next - 1, row, wide: false });
                row += padded_len(shape);
            }
            start..next
        };
        let weights = place(Group::Weight);
        let input = place(Group::Input);
        let output = place(Group::Output);
        let witness = place(Group::Witness);
        Layout { n, placements, weights, input, output, witness }
    }

    /// Number of rows as a power of two.
    pub fn nu(&self) -> usize {
        variables(self.n)
    }

    /// Number of columns of tensors.
    pub fn columns(&self) -> usize {
        self.witness.end
    }

    /// Columns of a group.
    pub fn group(&self, group: Group) -> Range<usize> {
        match group {
            Group::Weight => self.weights.clone(),
            Group::Input => self.input.clone(),
            Group::Output => self.output.clone(),
            Group::Witness => self.witness.clone(),
        }
    }

    /// Writes a tensor's entries into `columns`, which holds the columns from number `first` on, `n` entries each.
    pub fn fill(&self, id: TensorId, shape: &[usize], values: &[i64], first: usize, columns: &mut [i64]) {
        let Some(placement) = &self.placements[id] else { return };
        let nu = self.nu();
        let split = if placement.wide {
            split(&placement.order, shape, nu)
        } else {
            Split { high: &[], straddle: None, low: &placement.order }
        };
        // Contribution of each coordinate to the position in `columns`.
        let mut steps: Vec<Vec<usize>> = shape.iter().map(|&d| vec![0; d]).collect();
        let mut weight = 1;
        for &axis in split.low.iter().rev() {
            for (x, step) in steps[axis].iter_mut().enumerate() {
                *step = x * weight;
            }
            weight *= shape[axis].next_power_of_two();
        }
        let mut column = self.n;
        if let Some((axis, bits)) = split.straddle {
            for (x, step) in steps[axis].iter_mut().enumerate() {
                *step = (x & ((1 << bits) - 1)) * weight + (x >> bits) * column;
            }
            column *= shape[axis].div_ceil(1 << bits);
        }
        for &axis in split.high.iter().rev() {
            for (x, step) in steps[axis].iter_mut().enumerate() {
                *step = x * column;
            }
            column *= shape[axis];
        }
        let base = (placement.column - first) * self.n + placement.row;
        let (outer, inner) = match steps.split_last() {
            Some((inner, outer)) => (outer, &inner[..]),
            None => (&[][..], &[0][..]),
        };
        let mut index = vec![0usize; outer.len()];
        for row in values.chunks(inner.len()) {
            let start = base + outer.iter().zip(&index).map(|(steps, &x)| steps[x]).sum::<usize>();
            for (value, step) in row.iter().zip(inner) {
                columns[start + step] = *value;
            }
            for (x, steps) in index.iter_mut().zip(outer).rev() {
                *x += 1;
                if *x < steps.len() {
                    break;
                }
                *x = 0;
            }
        }
    }

    /// The columns in which a tensor has entries; none if it is not committed.
    pub fn columns_of(&self, id: TensorId, shape: &[usize]) -> Range<usize> {
        let Some(placement) = &self.placements[id] else { return 0..0 };
        let count = if placement.wide { split(&placement.order, shape, self.nu()).columns(shape) } else { 1 };
        placement.column..placement.column + count
    }

    /// Field elements of the pieces that a view of a tensor becomes, at most: the rank of its straddling axis times the columns
    /// and the rows.
    pub fn piece_len(&self, view: &View, extents: &[usize], shape: &[usize]) -> u64 {
        let Some(placement) = self.placements[view.tensor].as_ref().filter(|placement| placement.wide) else {
            return 0;
        };
        let split = split(&placement.order, shape, self.nu());
        let rank = split.straddle.map_or(1, |(axis, bits)| {
            let low = 1usize << bits;
            let map = &view.axes[axis];
            // A prefix of a product over the index bits: full blocks and a partial one.
            let plain =
                matches!(map.terms[..], [(index, 1)] if map.offset == 0 && extents[index] == shape[axis]);
            if plain { 2 } else { shape[axis].div_ceil(low).min(low) }
        });
        (rank as u64).saturating_mul((split.columns(shape) + self.n) as u64)
    }

    /// Writes `coefficient * <tensor, product of vectors>` as a sum of `(column weights, row vector)` pieces.
    ///
    /// `vectors` has one entry per tensor axis, of the axis's true extent. Entries outside true extents get weight 0.
    pub fn factor(&self, id: TensorId, shape: &[usize], coefficient: Fp, vectors: &[Vec<Fp>]) -> Vec<Piece> {
        let Some(placement) = &self.placements[id] else { return Vec::new() };
        if !placement.wide {
            let rows = outer_product(&placement.order, shape, vectors, coefficient, true);
            return vec![Piece { columns: vec![Fp::ONE], first: placement.column, row: placement.row, rows }];
        }
        let split = split(&placement.order, shape, self.nu());
        let high = outer_product(split.high, shape, vectors, coefficient, false);
        let low = outer_product(split.low, shape, vectors, Fp::ONE, true);
        let Some((axis, bits)) = split.straddle else {
            return vec![Piece { columns: high, first: placement.column, row: 0, rows: low }];
        };
        rank_factor(&vectors[axis], 1 << bits)
            .into_iter()
            .map(|(across, along)| Piece {
                columns: products(&high, &across, across.len()),
                first: placement.column,
                row: 0,
                rows: products(&along, &low, low.len()),
            })
            .collect()
    }

    /// Binds the rows of `coefficient * <tensor, product of vectors>` to `rows`: adds to every column the weight with which it
    /// then counts. This is what the pieces of [`Layout::factor`] come to, summed over their rows times `eq(rows, row)`; as both
    /// factors are products over the axes that lie in a row, so is the sum, and no vector as long as a row is built.
    pub fn bind_rows(
        &self,
        id: TensorId,
        shape: &[usize],
        coefficient: Fp,
        vectors: &[Vec<Fp>],
        rows: &mut RowPoint<'_>,
        columns: &mut [Fp],
    ) {
        let Some(placement) = &self.placements[id] else { return };
        let split = if placement.wide {
            split(&placement.order, shape, self.nu())
        } else {
            Split { high: &[], straddle: None, low: &placement.order }
        };
        // Axes from the least significant row variable up.
        let mut end = self.nu();
        let mut weight = coefficient;
        for &axis in split.low.iter().rev() {
            let count = variables(shape[axis]);
            end -= count;
            weight *= inner_product_field(&vectors[axis], &rows.table(end, count)[..shape[axis]]);
        }
        let columns = &mut columns[placement.column..];
        let high = |weight| outer_product(split.high, shape, vectors, weight, false);
        match split.straddle {
            None => {
                weight *= eq_at(&rows.point[..end], placement.row >> (self.nu() - end));
                for (slot, weight) in columns.iter_mut().zip(high(weight)) {
                    *slot += weight;
                }
            }
            Some((axis, bits)) => {
                let eq = rows.table(end - bits, bits);
                let blocks = vectors[axis].chunks(1 << bits);
                let across: Vec<Fp> =
                    blocks.map(|block| inner_product_field(block, &eq[..block.len()])).collect();
                for (slots, weight) in columns.chunks_mut(across.len()).zip(high(weight)) {
                    for (slot, across) in slots.iter_mut().zip(&across) {
                        *slot += weight * across;
                    }
                }
            }
        }
    }
}

/// A point in the row variables, with the equality tables of the runs of its coordinates that tensors' axes take.
pub struct RowPoint<'r> {
    point: &'r [Fp],
    /// By first coordinate and number of coordinates.
    tables: HashMap<(usize, usize), Vec<Fp>>,
}

impl<'r> RowPoint<'r> {
    /// `point` has one coordinate per row variable, most significant first.
    pub fn new(point: &'r [Fp]) -> Self {
        RowPoint { point, tables: HashMap::new() }
    }

    /// `eq` at the coordinates `start..start + count`, for every assignment of theirs.
    fn table(&mut self, start: usize, count: usize) -> &[Fp] {
        let point = self.point;
        self.tables.entry((start, count)).or_insert_with(|| eq_table(&point[start..start + count]))
    }
}

/// A rank-one piece of a linear form over committed columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Weights of consecutive columns.
    pub columns: Vec<Fp>,
    /// Number of the first of them.
    pub first: usize,
    /// First row that `rows` covers.
    pub row: usize,
    /// Weights of consecutive rows.
    pub rows: Vec<Fp>,
}

/// Products of entries of the vectors of `axes`, most significant first, padded to powers of two if `pad`.
fn outer_product(axes: &[usize], shape: &[usize], vectors: &[Vec<Fp>], scale: Fp, pad: bool) -> Vec<Fp> {
    axes.iter().fold(vec![scale], |product, &axis| {
        let len = if pad { shape[axis].next_power_of_two() } else { shape[axis] };
        products(&product, &vectors[axis], len)
    })
}

/// `a[i] * b[j]` at `i * len + j`, and 0 for `j` beyond `b`. What is 0 at either end of `b`, or in `a`, costs nothing: a part
/// of a look-up's box has vectors that are 0 outside a range.
fn products(a: &[Fp], b: &[Fp], len: usize) -> Vec<Fp> {
    let mut products = vec![Fp::ZERO; a.len() * len];
    if a == [Fp::ONE] {
        products[..b.len()].copy_from_slice(b);
        return products;
    }
    let range = support(b);
    for (chunk, x) in products.chunks_mut(len).zip(a).filter(|(_, x)| !bool::from(x.is_zero())) {
        for (slot, y) in chunk[range.clone()].iter_mut().zip(&b[range.clone()]) {
            *slot = *x * y;
        }
    }
    products
}

/// The least range outside which a vector is 0.
pub(crate) fn support(vector: &[Fp]) -> Range<usize> {
    let nonzero = |entry: &Fp| !bool::from(entry.is_zero());
    let ends = vector.iter().position(nonzero).zip(vector.iter().rposition(nonzero));
    ends.map_or(0..0, |(first, last)| first..last + 1)
}

/// Writes `vector`, cut into blocks of `width`, as a sum of (block weights) x (row vector): greedily, so a product
/// over the index bits has one term and a truncated product two. There are at most as many terms as blocks, or as entries of one.
fn rank_factor(vector: &[Fp], width: usize) -> Vec<(Vec<Fp>, Vec<Fp>)> {
    let blocks: Vec<Vec<Fp>> = vector
        .chunks(width)
        .map(|block| {
            let mut block = block.to_vec();
            block.resize(width, Fp::ZERO);
            block
        })
        .collect();
    // Per basis vector: block weights, the vector, the place of its first non-zero entry, and that entry's inverse.
    let mut basis: Vec<(Vec<Fp>, Vec<Fp>, usize, Fp)> = Vec::new();
    for (b, block) in blocks.iter().enumerate() {
        let Some(pivot) = block.iter().position(|v| !bool::from(v.is_zero())) else { continue };
        let known = basis.iter_mut().find_map(|(weights, row, place, inverse)| {
            let ratio = block[pivot] * *inverse;
            (*place == pivot && block.iter().zip(row.iter()).all(|(v, r)| *v == ratio * r))
                .then_some((weights, ratio))
        });
        if let Some((weights, ratio)) = known {
            weights[b] = ratio;
        } else if basis.len() == width {
            // One term per row.
            return (0..width)
                .map(|row| {
                    let mut unit = vec![Fp::ZERO; width];
                    unit[row] = Fp::ONE;
                    (blocks.iter().map(|block| block[row]).collect(), unit)
                })
                .collect();
        } else {
            let mut weights = vec![Fp::ZERO; blocks.len()];
            weights[b] = Fp::ONE;
            let inverse = Option::from(block[pivot].invert()).unwrap_or(Fp::ZERO);
            basis.push((weights, block.clone(), pivot, inverse));
        }
    }
    basis.into_iter().map(|(weights, row, ..)| (weights, row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::AxisMap;
    use crate::circuit::product_form;
    use crate::model;
    use proptest::prelude::*;
    use provenn_algebra::multilinear::{eq_prefix, eq_table_scaled};
    use provenn_algebra::small::from_i64;

    fn circuit(shapes: &[Vec<usize>]) -> Circuit {
        let tensors = shapes
            .iter()
            .map(|shape| Tensor {
                name: "t".into(),
                shape: shape.clone(),
                role: Role::Witness,
                range: model::Range::signed(40),
            })
            .collect();
        Circuit { tensors, ..Circuit::default() }
    }

    fn point(m: usize, seed: u64) -> Vec<Fp> {
        (0..m).map(|i| Fp::from(seed + 31 * i as u64).square() + Fp::from(5)).collect()
    }

    proptest! {
        #[test]
        fn pieces_reproduce_the_form_and_no_padding_is_read(
            shapes in prop::collection::vec(prop::collection::vec(1usize..7, 0..4), 1..5),
            eq_structured in any::<bool>(),
            garbage in any::<i32>(),
        ) {
            let circuit = circuit(&shapes);
            let layout = Layout::new(&circuit, 32);
            // Columns start as garbage: whatever lies in padding must not matter.
            let mut columns = vec![i64::from(garbage); layout.columns() * layout.n];
            let values: Vec<Vec<i64>> = circuit.tensors.iter().enumerate()
                .map(|(t, tensor)| (0..tensor.len() as i64).map(|v| v * 13 + t as i64 - 7).collect()).collect();
            for (id, tensor) in circuit.tensors.iter().enumerate() {
                layout.fill(id, &tensor.shape, &values[id], 0, &mut columns);
            }
            for (id, tensor) in circuit.tensors.iter().enumerate() {
                let vectors: Vec<Vec<Fp>> = tensor.shape.iter().enumerate().map(|(a, &d)| {
                    if eq_structured { eq_prefix(&point(variables(d), a as u64 + 2), d) }
                    else { (0..d).map(|x| Fp::from((a * 100 + x * x + 1) as u64)).collect() }
                }).collect();
                let expected = Fp::from(3) * product_form(&values[id], &vectors);
                let pieces = layout.factor(id, &tensor.shape, Fp::from(3), &vectors);
                let got: Fp = pieces.iter().flat_map(|piece| {
                    piece.columns.iter().enumerate().flat_map(|(c, weight)| {
                        let column = &columns[(piece.first + c) * layout.n..][..layout.n];
                        piece.rows.iter().enumerate()
                            .map(|(r, e)| *weight * e * from_i64(column[piece.row + r])).collect::<Vec<_>>()
                    }).collect::<Vec<_>>()
                }).sum();
                prop_assert_eq!(got, expected);
                let r = point(layout.nu(), 71);
                let eq = eq_table(&r);
                let mut bound = vec![Fp::ZERO; layout.columns()];
                for piece in &pieces {
                    let at_r: Fp = piece.rows.iter().zip(&eq[piece.row..]).map(|(e, q)| *e * q).sum();
                    for (slot, weight) in bound[piece.first..].iter_mut().zip(&piece.columns) {
                        *slot += at_r * weight;
                    }
                }
                let (mut rows, mut direct) = (RowPoint::new(&r), vec![Fp::ZERO; layout.columns()]);
                layout.bind_rows(id, &tensor.shape, Fp::from(3), &vectors, &mut rows, &mut direct);
                prop_assert_eq!(direct, bound);
                if eq_structured {
                    prop_assert!(pieces.len() <= 2, "a truncated product has rank at most 2");
                }
            }
        }
    }

    #[test]
    fn long_axes_have_no_more_pieces_than_the_limit_counts() {
        // An axis of more blocks than a row of its own has entries: 1025 of one entry a row, 35 of 32.
        for (shape, n) in [(vec![1025, 32], 32), (vec![1100], 32), (vec![3, 1100], 32), (vec![5, 700, 2], 64)]
        {
            let circuit = circuit(std::slice::from_ref(&shape));
            let layout = Layout::new(&circuit, n);
            let view = View::axes(0, &(0..shape.len()).collect::<Vec<_>>());
            let plain: Vec<Vec<Fp>> = shape
                .iter()
                .enumerate()
                .map(|(a, &d)| eq_prefix(&point(variables(d), a as u64 + 2), d))
                .collect();
            let shifted =
                View::new(0, view.axes.iter().map(|map| AxisMap { offset: -1, ..map.clone() }).collect());
            let free: Vec<Vec<Fp>> = shape
                .iter()
                .map(|&d| (0..d as u64).map(|x| Fp::from(x * x + 1).square()).collect())
                .collect();
            // As of a part of a look-up's box: an axis' binary digits laid end to end, each with a weight of its own and the
            // same last coordinates; only the
            // last two of them; or only the first.
            let last = point(12, 3);
            let digits = |from: usize, to: usize| -> Vec<Vec<Fp>> {
                let axis = |&d: &usize| {
                    let all: Vec<usize> =
                        (0..usize::BITS).rev().filter(|b| (d >> b) & 1 == 1).map(|b| 1 << b).collect();
                    let used = from.min(all.len() - 1)..to.min(all.len());
                    let digit = |(i, &len): (usize, &usize)| {
                        let weight = if used.contains(&i) { Fp::from(i as u64 + 2) } else { Fp::ZERO };
                        eq_table_scaled(&last[last.len() - variables(len)..], weight)
                    };
                    all.iter().enumerate().flat_map(digit).collect()
                };
                shape.iter().map(axis).collect()
            };
            let parts = [digits(0, 99), digits(1, 99), digits(2, 4), digits(0, 1)];
            let parts = parts.map(|vectors| (view.clone(), vectors));
            for (view, vectors) in [(view, plain), (shifted, free)].into_iter().chain(parts) {
                let pieces = layout.factor(0, &shape, Fp::ONE, &vectors);
                let len: usize = pieces.iter().map(|piece| piece.columns.len() + piece.rows.len()).sum();
                assert!(len as u64 <= layout.piece_len(&view, &shape, &shape), "{shape:?}: {}", pieces.len());
            }
        }
    }

    #[test]
    fn a_tall_matrix_is_ordered_to_need_few_columns() {
        // 784 = 3 * 256 + 16 along the rows would need 4 columns per output.
        let layout = Layout::new(&circuit(&[vec![128, 784]]), 256);
        assert_eq!(layout.columns(), 392);
        assert_eq!(layout.placements[0].as_ref().map(|p| p.order.clone()), Some(vec![1, 0]));
    }

    #[test]
    fn no_order_needs_fewer_columns_than_the_chosen_one() {
        // Against all permutations (Heap's algorithm).
        fn permutations(k: usize, order: &mut Vec<usize>, visit: &mut impl FnMut(&[usize])) {
            if k <= 1 {
                return visit(order);
            }
            for i in 0..k {
                permutations(k - 1, order, visit);
                order.swap(if k.is_multiple_of(2) { i } else { 0 }, k - 1);
            }
        }
        for shape in
            [vec![5, 9, 3, 17], vec![33, 2, 31, 3], vec![1, 64, 5, 7], vec![100, 100], vec![3, 3, 3, 3, 3]]
        {
            for nu in 5..9 {
                let mut least = usize::MAX;
                permutations(shape.len(), &mut (0..shape.len()).collect(), &mut |order| {
                    least = least.min(split(order, &shape, nu).columns(&shape));
                });
                let tensor = &circuit(std::slice::from_ref(&shape)).tensors[0];
                assert_eq!(split(&best_order(tensor, nu), &shape, nu).columns(&shape), least);
            }
        }
    }

    #[test]
    fn small_tensors_share_columns_largest_first() {
        let layout = Layout::new(&circuit(&[vec![3], vec![9], vec![], vec![16]]), 32);
        let rows: Vec<_> = layout.placements.iter().flatten().map(|p| (p.column, p.row)).collect();
        assert_eq!(rows, vec![(1, 0), (0, 0), (1, 4), (0, 16)]);
        assert_eq!(layout.columns(), 2);
    }
}
