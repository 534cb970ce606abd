//! The arrangement of the leaves: which look-up and which table row is which leaf of the fraction tree.
//!
//! An equality vector is a product over the axes of a box only where every axis has a power of two of indices. A box of
//! other extents is therefore cut: an axis along the binary digits of its extent, `28 = 16 + 8 + 4`, and the box into the
//! products of its axes' pieces. Each product is one aligned block of leaves. Where a cut would not be worth its cost, the
//! last piece of an axis is padded to a power of two.
//!
//! All blocks that differ only along one axis, the site's *major* axis, cost the verifier one reading of the site's
//! expressions: its indices are the most significant in a block, so the coordinates of all other axes are the same
//! in all of them, and the equality vectors of its pieces are laid end to end. Every further choice of pieces is
//! another reading, a [`Part`].

use crate::circuit::{Circuit, Expr, Role, TensorId};
use provenn_algebra::multilinear::variables;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

/// Most parts of one site.
const MAX_PARTS: usize = 8;
/// Most parts of all sites together, beyond one per site.
const MAX_FURTHER_PARTS: u64 = 1 << 9;
/// What a part costs, in leaves: both sides read the site's expressions once more, and open them. Dearer where there would
/// be too many parts.
const PART_COST: u64 = 1 << 10;
/// What a part costs where that spares the tree a level, with its rounds.
const LEAST_PART_COST: u64 = 1 << 7;
/// What a block costs, in leaves: its weight is a product over the variables of the tree.
const BLOCK_COST: u64 = 8;

/// What a block of leaves belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// A look-up, by index.
    Site(usize),
    /// A table, by index, and the tensor of its multiplicities.
    Table(usize, TensorId),
}

/// An aligned block of `2^variables` leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// What it belongs to.
    pub kind: BlockKind,
    /// Its size, as a power of two.
    pub variables: usize,
    /// Index of its first leaf, a multiple of its size.
    pub start: usize,
}

/// The part of a site's box whose indices on all axes but the major one lie in one piece each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Per axis of the box, the indices; on the major axis all of them.
    pub ranges: Vec<Range<usize>>,
    /// Per piece of the major axis, the number of its block in [`LeafPlan::blocks`]. In the block, every axis of its
    /// piece is padded to a power of two; the major axis is the most significant, the others follow in order.
    pub blocks: Vec<usize>,
}

/// How the box of a look-up is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The major axis, `None` for a box without axes.
    pub major: Option<usize>,
    /// Pieces of the major axis, in order; one of one index without axes.
    pub pieces: Vec<Range<usize>>,
    /// The parts: together, every entry of the box once.
    pub parts: Vec<Part>,
}

/// The arrangement of the leaves: blocks by size descending, gaps at the end.
#[derive(Debug, Clone)]
pub struct LeafPlan {
    /// The blocks, in leaf order, without gaps in between.
    pub blocks: Vec<Block>,
    /// Leaves of all blocks; all further leaves are gaps.
    pub len: usize,
    /// There are `2^variables` leaves.
    pub variables: usize,
    /// Where the entries of each look-up are.
    pub sites: Vec<Site>,
}

impl LeafPlan {
    /// The leaves of a circuit, `None` if it has no look-ups. Without `cutting` every box is one block.
    pub fn new(circuit: &Circuit, cutting: bool) -> Option<LeafPlan> {
        let mut blocks = Vec::new();
        for (id, tensor) in circuit.tensors.iter().enumerate() {
            if let Role::Multiplicity(table) = tensor.role {
                let variables = variables(circuit.tables[table].rows());
                blocks.push(Block { kind: BlockKind::Table(table, id), variables, start: 0 });
            }
        }
        let tables: u64 = blocks.iter().map(|block| 1 << block.variables).sum();
        let boxes: Vec<&[usize]> = circuit.lookups.iter().map(|lookup| &lookup.extents[..]).collect();
        let mut sites = Vec::with_capacity(boxes.len());
        let cuts = if cutting {
            cuts(&boxes, tables)
        } else {
            boxes.iter().map(|extents| Cut::none(extents)).collect()
        };
        for (l, (cut, extents)) in cuts.iter().zip(&boxes).enumerate() {
            sites.push(Site::new(cut, extents, |variables| {
                blocks.push(Block { kind: BlockKind::Site(l), variables, start: 0 });
                blocks.len() - 1
            }));
        }
        let mut order: Vec<usize> = (0..blocks.len()).collect();
        order.sort_by_key(|&block| Reverse(blocks[block].variables));
        let mut numbers = vec![0; blocks.len()];
        let mut next = 0;
        for (number, &block) in order.iter().enumerate() {
            numbers[block] = number;
            blocks[block].start = next;
            next += 1 << blocks[block].variables;
        }
        for number in sites.iter_mut().flat_map(|site| &mut site.parts).flat_map(|part| &mut part.blocks) {
            *number = numbers[*number];
        }
        let blocks = order.into_iter().map(|block| blocks[block]).collect();
        // A tree has at least one level; a single leaf gets a gap beside it.
        (next > 0).then(|| LeafPlan { blocks, len: next, variables: variables(next).max(1), sites })
    }

    /// The leaf of each entry of a look-up's box, row-major. `extents` are those of the box.
    pub fn positions(&self, lookup: usize, extents: &[usize]) -> Vec<usize> {
        let site = &self.sites[lookup];
        let mut leaves = vec![0; extents.iter().product()];
        for part in &site.parts {
            for (piece, &block) in site.pieces.iter().zip(&part.blocks) {
                // Indices, step between row-major positions and step between leaves, by axis.
                let mut steps: Vec<(&Range<usize>, usize, usize)> =
                    part.ranges.iter().map(|range| (range, 1, 1)).collect();
                let (mut entries, mut padded) = (1, 1);
                for (axis, step) in steps.iter_mut().enumerate().rev() {
                    step.1 = entries;
                    entries *= extents[axis];
                    if site.major != Some(axis) {
                        step.2 = padded;
                        padded *= step.0.len().next_power_of_two();
                    }
                }
                if let Some(axis) = site.major {
                    (steps[axis].0, steps[axis].2) = (piece, padded);
                }
                let start = vec![(0, self.blocks[block].start)];
                let pairs = steps.into_iter().fold(start, |pairs, (range, step, leaves)| {
                    let along = |(at, leaf)| {
                        let index = move |x| (at + (range.start + x) * step, leaf + x * leaves);
                        (0..range.len()).map(index)
                    };
                    pairs.into_iter().flat_map(along).collect()
                });
                for (at, leaf) in pairs {
                    leaves[at] = leaf;
                }
            }
        }
        leaves
    }
}

/// Every expression of a constraint, with the extents of its box and how often it is read for the claims: a look-up once for
/// every part into which its box is cut, once without a plan.
pub fn readings<'c>(
    circuit: &'c Circuit,
    leaves: Option<&'c LeafPlan>,
) -> impl Iterator<Item = (&'c Expr, Vec<usize>, u64)> {
    let lookups = circuit.lookups.iter().enumerate().flat_map(move |(l, lookup)| {
        let times = leaves.map_or(1, |leaves| leaves.sites[l].parts.len() as u64);
        lookup.exprs.iter().map(move |expr| (expr, lookup.extents.clone(), times))
    });
    let linears = circuit.linears.iter().map(|linear| (&linear.expr, linear.extents.clone(), 1));
    let contracts = circuit.contracts.iter().flat_map(|contract| {
        [
            (&contract.expr, contract.left_extents(), 1),
            (&contract.a, contract.a_extents(), 1),
            (&contract.c, contract.c_extents(), 1),
        ]
    });
    linears.chain(contracts).chain(lookups)
}

impl Site {
    /// Cuts a box into as many pieces per axis as `cut` says; `block` numbers a new block of so many variables.
    fn new(cut: &Cut, extents: &[usize], mut block: impl FnMut(usize) -> usize) -> Site {
        let pieces: Vec<Vec<Range<usize>>> =
            cut.pieces.iter().zip(extents).map(|(&count, &extent)| pieces(extent, count)).collect();
        // The axis with the most pieces: that leaves the fewest parts.
        let major = (0..pieces.len()).max_by_key(|&axis| (pieces[axis].len(), Reverse(axis)));
        let whole: Vec<Range<usize>> = extents.iter().map(|&extent| 0..extent).collect();
        let products =
            (0..pieces.len()).filter(|&axis| major != Some(axis)).fold(vec![whole], |parts, axis| {
                let along = |ranges: Vec<Range<usize>>| {
                    pieces[axis].iter().map(move |piece| {
                        let mut ranges = ranges.clone();
                        ranges[axis] = piece.clone();
                        ranges
                    })
                };
                parts.into_iter().flat_map(along).collect()
            });
        let along_major = major.map_or_else(|| self::pieces(1, 1), |axis| pieces[axis].clone());
        let mut part = |ranges: Vec<Range<usize>>| {
            let others = (0..ranges.len()).filter(|&axis| major != Some(axis));
            let minor: usize = others.map(|axis| variables(ranges[axis].len())).sum();
            let blocks = along_major.iter().map(|piece| block(minor + variables(piece.len()))).collect();
            Part { ranges, blocks }
        };
        let parts = products.into_iter().map(&mut part).collect();
        Site { major, pieces: along_major, parts }
    }
}

/// The pieces of an axis: its extent's leading binary digits, and, in the last piece, what is left.
fn pieces(extent: usize, count: usize) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut pieces = Vec::with_capacity(count);
    for _ in 1..count {
        let len = 1 << (extent - start).ilog2();
        pieces.push(start..start + len);
        start += len;
    }
    pieces.push(start..extent);
    pieces
}

/// One way to cut a box.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cut {
    /// Number of pieces of each axis.
    pieces: Vec<usize>,
    /// Leaves, padding included.
    leaves: u64,
    /// Parts: all combinations of pieces of all axes but that of the most.
    parts: u64,
    /// Blocks: all combinations of pieces.
    blocks: u64,
}

impl Cut {
    /// The box as one block.
    fn none(extents: &[usize]) -> Cut {
        let leaves = extents.iter().map(|extent| extent.next_power_of_two() as u64).product();
        Cut { pieces: vec![1; extents.len()], leaves, parts: 1, blocks: 1 }
    }

    /// Every cut of a box with at most [`MAX_PARTS`] parts, of those that save leaves on every axis that they cut.
    fn all(extents: &[usize]) -> Vec<Cut> {
        let whole = Cut { pieces: Vec::new(), leaves: 1, parts: 1, blocks: 1 };
        extents.iter().fold(vec![whole], |cuts, &extent| {
            let choices = piece_counts(extent);
            let with = |cut: &Cut, &(count, len): &(usize, u64)| {
                let pieces = [&cut.pieces[..], &[count]].concat();
                let blocks = cut.blocks * count as u64;
                let most = pieces.iter().copied().max().unwrap_or(1) as u64;
                Cut { pieces, leaves: cut.leaves * len, parts: blocks / most, blocks }
            };
            let cuts = cuts.iter().flat_map(|cut| choices.iter().map(move |choice| with(cut, choice)));
            cuts.filter(|cut| cut.parts <= MAX_PARTS as u64).collect()
        })
    }

    /// What the cut costs, in leaves, if a part costs `part`.
    fn cost(&self, part: u64) -> u64 {
        self.leaves + part * self.parts + BLOCK_COST * self.blocks
    }
}

/// Numbers of pieces of an axis that need fewer leaves than any smaller number, with the leaves along the axis.
fn piece_counts(extent: usize) -> Vec<(usize, u64)> {
    let mut counts: Vec<(usize, u64)> = Vec::new();
    for count in 1..=extent.count_ones() as usize {
        let leaves = pieces(extent, count).iter().map(|piece| piece.len().next_power_of_two() as u64).sum();
        if counts.last().is_none_or(|&(_, least)| leaves < least) {
            counts.push((count, leaves));
        }
    }
    counts
}

/// How each box is cut, where `tables` leaves are needed besides.
///
/// Each box is cut so that leaves, parts and blocks cost the least together (ties: the first cut in the order of
/// [`Cut::all`]). A part costs [`PART_COST`] leaves, doubled until there are at most [`MAX_FURTHER_PARTS`] more parts than
/// boxes. Then a lower cost, down to [`LEAST_PART_COST`], is taken where the tree has fewer levels with it: the highest
/// of those with the fewest levels.
fn cuts(boxes: &[&[usize]], tables: u64) -> Vec<Cut> {
    let mut all: HashMap<&[usize], Vec<Cut>> = HashMap::new();
    for extents in boxes {
        all.entry(extents).or_insert_with(|| Cut::all(extents));
    }
    let choose = |part: u64| {
        let best: HashMap<&[usize], &Cut> = all
            .iter()
            .filter_map(|(&extents, cuts)| {
                cuts.iter().min_by_key(|cut| cut.cost(part)).map(|cut| (extents, cut))
            })
            .collect();
        Choice::new(boxes.iter().map(|extents| best[extents]).collect(), tables)
    };
    let mut part = PART_COST;
    let mut chosen = choose(part);
    while chosen.further_parts > MAX_FURTHER_PARTS {
        part *= 2;
        chosen = choose(part);
    }
    while part / 2 >= LEAST_PART_COST {
        part /= 2;
        let other = choose(part);
        if other.further_parts <= MAX_FURTHER_PARTS && other.variables < chosen.variables {
            chosen = other;
        }
    }
    chosen.cuts.into_iter().cloned().collect()
}

/// One cut for each box, with what they need together.
struct Choice<'c> {
    cuts: Vec<&'c Cut>,
    /// Levels of the tree.
    variables: usize,
    /// Parts beyond one per box.
    further_parts: u64,
}

impl<'c> Choice<'c> {
    fn new(cuts: Vec<&'c Cut>, tables: u64) -> Self {
        let leaves = tables + cuts.iter().map(|cut| cut.leaves).sum::<u64>();
        let further_parts = cuts.iter().map(|cut| cut.parts - 1).sum();
        Choice { cuts, variables: variables(leaves as usize), further_parts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::{Lookup, Tensor, View};
    use crate::model;
    use crate::tables::Table;
    use proptest::prelude::*;

    fn plan(boxes: &[Vec<usize>]) -> (Circuit, LeafPlan) {
        let tensor = |shape: &Vec<usize>, role| Tensor {
            name: "t".into(),
            shape: shape.clone(),
            role,
            range: model::Range::new(0, 3),
        };
        let mut tensors: Vec<Tensor> = boxes.iter().map(|shape| tensor(shape, Role::Witness)).collect();
        tensors.push(tensor(&vec![4], Role::Multiplicity(0)));
        let lookups = boxes.iter().enumerate().map(|(id, shape)| Lookup {
            extents: shape.clone(),
            exprs: vec![Expr::view(1, View::axes(id, &(0..shape.len()).collect::<Vec<_>>()))],
            table: 0,
        });
        let lookups = lookups.collect();
        let circuit =
            Circuit { tensors, lookups, tables: vec![Table::Range { bits: 2 }], ..Circuit::default() };
        let plan = LeafPlan::new(&circuit, true).expect("there are look-ups");
        (circuit, plan)
    }

    fn any_box() -> impl Strategy<Value = Vec<usize>> {
        let extent = prop_oneof![Just(1), Just(28), Just(33), 2usize..12, 2usize..40];
        prop::collection::vec(extent, 0..4)
    }

    proptest! {
        #[test]
        fn every_entry_has_one_leaf_of_its_own(boxes in prop::collection::vec(any_box(), 1..5)) {
            let (circuit, plan) = plan(&boxes);
            let mut next = 0;
            let mut last = usize::MAX;
            for block in &plan.blocks {
                prop_assert_eq!(block.start, next);
                prop_assert_eq!(block.start % (1 << block.variables), 0);
                prop_assert!(block.variables <= last);
                next += 1 << block.variables;
                last = block.variables;
            }
            prop_assert_eq!(next, plan.len);
            prop_assert!(plan.len <= 1 << plan.variables && plan.variables >= 1);
            let mut owners = vec![None; plan.len];
            for block in &plan.blocks {
                owners[block.start..][..1 << block.variables].fill(Some(block.kind));
            }
            prop_assert!(owners.iter().all(Option::is_some));
            let mut taken = vec![false; plan.len];
            for (l, lookup) in circuit.lookups.iter().enumerate() {
                let leaves = plan.positions(l, &lookup.extents);
                prop_assert_eq!(leaves.len(), lookup.extents.iter().product::<usize>());
                for leaf in leaves {
                    prop_assert_eq!(owners[leaf], Some(BlockKind::Site(l)));
                    prop_assert!(!std::mem::replace(&mut taken[leaf], true), "leaf {} twice", leaf);
                }
                let site = &plan.sites[l];
                prop_assert!(site.parts.len() <= MAX_PARTS);
                let whole: usize = lookup.extents.iter().map(|d| d.next_power_of_two()).product();
                let own = |kind| kind == BlockKind::Site(l);
                let blocks = plan.blocks.iter().filter(|block| own(block.kind));
                prop_assert!(blocks.map(|block| 1usize << block.variables).sum::<usize>() <= whole);
            }
        }

        #[test]
        fn pieces_are_aligned_and_make_up_the_axis(extent in 1usize..5000) {
            let mut last = None;
            for (count, leaves) in piece_counts(extent) {
                let pieces = pieces(extent, count);
                prop_assert_eq!(pieces.len(), count);
                let mut next = 0;
                for piece in &pieces {
                    prop_assert!(piece.start == next && !piece.is_empty());
                    prop_assert_eq!(piece.start % piece.len().next_power_of_two(), 0);
                    next = piece.end;
                }
                prop_assert_eq!(next, extent);
                let padded: usize = pieces.iter().map(|piece| piece.len().next_power_of_two()).sum();
                prop_assert_eq!(padded as u64, leaves);
                prop_assert!(last.is_none_or(|last| leaves < last));
                last = Some(leaves);
            }
            prop_assert_eq!(last, Some(extent as u64), "all pieces together need no padding");
        }

        #[test]
        fn a_cut_counts_what_the_site_needs(extents in any_box()) {
            for cut in Cut::all(&extents) {
                let mut sizes = Vec::new();
                let site = Site::new(&cut, &extents, |variables| {
                    sizes.push(1u64 << variables);
                    sizes.len() - 1
                });
                prop_assert_eq!(site.parts.len() as u64, cut.parts);
                prop_assert_eq!(sizes.len() as u64, cut.blocks);
                prop_assert_eq!(sizes.iter().sum::<u64>(), cut.leaves);
            }
        }
    }

    #[test]
    fn the_major_axis_is_cut_for_nothing_and_others_where_it_is_worth_a_part() {
        let (_, one) = plan(&[vec![28, 32]]);
        assert_eq!((one.sites[0].parts.len(), one.len), (1, 28 * 32 + 4));
        // 28 by 28: a second axis in three pieces would save 112 leaves for two parts.
        let (_, small) = plan(&[vec![28, 28]]);
        assert_eq!((small.sites[0].parts.len(), small.len), (1, 28 * 32 + 4));
        let (_, large) = plan(&[vec![28, 28, 64]]);
        assert_eq!((large.sites[0].parts.len(), large.len), (3, 28 * 28 * 64 + 4));
        let (_, scalar) = plan(&[vec![]]);
        assert_eq!((scalar.sites[0].major, scalar.len, scalar.variables), (None, 5, 3));
    }

    #[test]
    fn a_level_of_the_tree_is_worth_more_parts() {
        // Cutting both axes saves 896 leaves for two parts: too little, unless the tree needs a level less.
        let shape = vec![32, 28, 31];
        let own = 32 * 28 * 32;
        let (_, alone) = plan(std::slice::from_ref(&shape));
        assert_eq!((alone.sites[0].parts.len(), alone.len), (1, own + 4));
        let rest = (1 << 15) - own;
        let (_, both) = plan(&[shape, vec![rest]]);
        assert!(both.len <= 1 << 15 && both.sites[0].parts.len() > 1, "{} leaves", both.len);
    }

    #[test]
    fn there_are_not_more_parts_than_all_sites_may_have() {
        let boxes = vec![vec![28, 28, 64]; 400];
        let (_, plan) = plan(&boxes);
        let parts: usize = plan.sites.iter().map(|site| site.parts.len()).sum();
        assert!(parts as u64 <= 400 + MAX_FURTHER_PARTS);
    }
}
