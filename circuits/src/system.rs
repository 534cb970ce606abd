//! What a key's layer list implies: circuits, layouts, message counts and sizes, the same for both sides.

use crate::artifact::{self, CommitmentFormat};
use crate::circuit::{Circuit, Role, TensorId, Visibility};
use crate::closing::halvings;
use crate::error::CircuitError;
use crate::forms::{GATE_COLUMNS, box_variables};
use crate::layout::{Group, Layout, MIN_ROWS};
use crate::lower::{Modes, check_readings, inference, key};
use crate::model::{LayerList, Range, TableBits};
use crate::products::{self, MAX_K, UNUSABLE_ROWS, size_parameter, usable_rows};
use crate::reduction::{BlockKind, Party, Plan, readings, reduce};
use ff::PrimeField;
use provenn_algebra::Fp;

/// Largest row length.
pub const MAX_ROWS: usize = 1 << 13;

/// Most field elements of the pieces of all claims on tensors of many columns: half a gigabyte.
const MAX_PIECES: i64 = 1 << 24;

/// A circuit with its layout and the plan of its messages.
#[derive(Debug, Clone)]
pub struct System {
    /// The constraints.
    pub circuit: Circuit,
    /// The columns.
    pub layout: Layout,
    /// The messages.
    pub plan: Plan,
    /// Columns of the round masks: one mask per round message and at least one spare entry.
    pub mask_columns: usize,
}

impl System {
    fn new(circuit: Circuit, plan: Plan, n: usize) -> System {
        let layout = Layout::new(&circuit, n);
        let mask_columns = mask_columns(&plan, n);
        System { circuit, layout, plan, mask_columns }
    }

    /// Runs the reduction with a party.
    ///
    /// # Errors
    /// The party's first error.
    pub fn reduce<P: Party>(&self, party: &mut P) -> Result<(), P::Error> {
        reduce(&self.circuit, &self.plan, party)
    }

    /// Most field elements that the pieces of the claims on tensors of many columns have: some of them merge.
    pub fn piece_elements(&self) -> u64 {
        piece_elements(&self.circuit, &self.plan, &self.layout)
    }

    /// Bytes of the messages of one proof; `k` is the size parameter of halo2.
    pub fn message_bytes(&self, k: u32) -> usize {
        self.message_parts(k).into_iter().map(|(_, bytes)| bytes).sum()
    }

    /// Bytes of an input or output in a proof.
    fn shown_bytes(&self, id: Option<TensorId>, visibility: Visibility, group: Group) -> usize {
        match visibility {
            Visibility::Committed => 32 * self.layout.group(group).len(),
            Visibility::Public => id.map_or(0, |id| {
                let tensor = &self.circuit.tensors[id];
                artifact::encoded_len(tensor.range, tensor.len())
            }),
        }
    }

    /// Format of a commitment to a tensor, and of its public values; empty without a tensor.
    pub fn format(&self, id: Option<TensorId>) -> CommitmentFormat {
        let tensor = id.map(|id| &self.circuit.tensors[id]);
        CommitmentFormat {
            n: self.layout.n as u32,
            shape: tensor.map_or(Vec::new(), |tensor| tensor.shape.iter().map(|&d| d as u32).collect()),
            range: tensor.map_or(Range::new(0, 0), |tensor| tensor.range),
        }
    }

    /// Bits of statistical security of one transcript: `-log2` of a bound on the chance that random challenges turn a false
    /// claim into a true one (docs, "Soundness", section "Composition"). Finding a discrete logarithm is easier.
    pub fn statistical_bits(&self, k: u32) -> u32 {
        let plan = &self.plan;
        let tree = plan.leaves.as_ref().map_or(0, |leaves| leaves.variables) as u128;
        let rows: u128 = self.circuit.tables.iter().map(|table| table.rows() as u128).sum();
        let point =
            self.circuit.linears.iter().map(|linear| box_variables(&linear.extents)).max().unwrap_or(0);
        let contract_point =
            self.circuit.contracts.iter().map(|contract| box_variables(&contract.left_extents())).max();
        let contracts = self.circuit.contracts.len();
        // Two claims per leaf level and one per layer, one per linear constraint, two per contract and three that join them.
        let forms = tree as usize + 2 + self.circuit.linears.len() + 2 * contracts + 3;
        let columns = self.layout.columns() + self.mask_columns + GATE_COLUMNS;
        let rounds = 2 * (plan.batch_variables + plan.sum_variables + self.layout.nu());
        // One challenge that ties the inner product to the response, three answers to each that halves it.
        let halving = match halvings(self.layout.n) {
            0 => 0,
            rounds => 1 + 3 * rounds,
        };
        let small = point + contract_point.unwrap_or(0) + contracts + rounds + forms + columns + halving + 9;
        let chances = 3 * rows + (1 << tree) + tree * tree + tree + small as u128 + (1 << (k + 2));
        254 - (u128::BITS - chances.leading_zeros())
    }

    /// Sizes that decide what a proof costs.
    pub fn counts(&self) -> Counts {
        let witness = self.circuit.tensors.iter().zip(&self.layout.placements);
        Counts {
            leaves: self.plan.leaves.as_ref().map_or(0, |leaves| leaves.len),
            lookups: self.circuit.lookups.iter().map(|l| l.extents.iter().product::<usize>()).sum(),
            committed: witness
                .filter(|(tensor, placement)| placement.is_some() && !matches!(tensor.role, Role::Weight(_)))
                .map(|(tensor, _)| tensor.len())
                .sum(),
            columns: self.layout.columns() - self.layout.weights.len() + self.mask_columns,
            weight_columns: self.layout.weights.len(),
            rounds: self.plan.rounds,
            gates: self.plan.gates,
        }
    }
}

impl System {
    /// Bytes of the messages of one proof by what they are, in the order in which they are sent; `k` is the size parameter of
    /// halo2.
    pub fn message_parts(&self, k: u32) -> [(&'static str, usize); 7] {
        let (n, nu, plan) = (self.layout.n, self.layout.nu(), &self.plan);
        let levels = plan.leaves.as_ref().map_or(0, |leaves| leaves.variables);
        let bilinear_rounds = 2 * (plan.batch_variables + plan.sum_variables);
        let points_of_halving = 2 * halvings(n);
        // Three points, two scalars, three blinds; masks of the row rounds and gate columns; the row.
        let row = (n >> halvings(n)) + usize::from(halvings(n) > 0) + points_of_halving;
        [
            ("witness commitments", self.layout.witness.len()),
            ("mask commitments", self.mask_columns + GATE_COLUMNS + 1),
            ("look-ups", plan.rounds - bilinear_rounds + GATE_COLUMNS * levels),
            ("bilinear", bilinear_rounds + GATE_COLUMNS * (plan.gates - levels)),
            ("opening", 2 * nu + 8 + 2 * nu + (1 << k) + row),
            ("revealed sums", GATE_COLUMNS * (UNUSABLE_ROWS + 1)),
            ("halo2 proof", products::proof_elements(k)),
        ]
        .map(|(name, elements)| (name, 32 * elements))
    }

    /// What each of so many layers has of these sizes, in model order. Tables and their multiplicities, the input and its range
    /// checks are no layer's.
    pub fn layer_counts(&self, layers: usize) -> Vec<LayerCounts> {
        let mut counts = vec![LayerCounts::default(); layers];
        let origins = &self.circuit.origins;
        for (id, (tensor, placement)) in self.circuit.tensors.iter().zip(&self.layout.placements).enumerate()
        {
            let own = origins.tensor(id).and_then(|node| counts.get_mut(node));
            if let (Some(own), true, false) =
                (own, placement.is_some(), matches!(tensor.role, Role::Weight(_)))
            {
                own.committed += tensor.len();
            }
        }
        for (index, lookup) in self.circuit.lookups.iter().enumerate() {
            if let Some(own) = origins.lookup(index).and_then(|node| counts.get_mut(node)) {
                own.lookups += lookup.extents.iter().product::<usize>();
            }
        }
        for block in self.plan.leaves.iter().flat_map(|leaves| &leaves.blocks) {
            let BlockKind::Site(index) = block.kind else { continue };
            if let Some(own) = origins.lookup(index).and_then(|node| counts.get_mut(node)) {
                own.leaves += 1 << block.variables;
            }
        }
        counts
    }
}

/// Sizes of one layer's part of a circuit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LayerCounts {
    /// Values committed per proof.
    pub committed: usize,
    /// Look-ups.
    pub lookups: usize,
    /// Leaves of the fraction tree, padding included.
    pub leaves: usize,
}

/// Limits what combining the claims can cost a prover: every view of a tensor of many columns may become vectors as long as
/// those and a column.
fn check_pieces(circuit: &Circuit, plan: &Plan, n: usize) -> Result<(), CircuitError> {
    let total = i64::try_from(piece_elements(circuit, plan, &Layout::new(circuit, n))).unwrap_or(i64::MAX);
    CircuitError::limit(None, "field elements of the claims' pieces", total, 0, MAX_PIECES)
}

/// See [`System::piece_elements`].
fn piece_elements(circuit: &Circuit, plan: &Plan, layout: &Layout) -> u64 {
    let mut total = 0u64;
    for (expr, extents, times) in readings(circuit, plan.leaves.as_ref()) {
        for (_, view) in &expr.terms {
            let shape = &circuit.tensors[view.tensor].shape;
            let len = layout.piece_len(view, &view.indices(&extents), shape);
            total = total.saturating_add(len.saturating_mul(times));
        }
    }
    total
}

/// Sizes of one circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Leaves of the fraction tree: of all blocks, their padding included, without the gap at the end.
    pub leaves: usize,
    /// Look-ups.
    pub lookups: usize,
    /// Values committed per proof.
    pub committed: usize,
    /// Columns committed per proof, mask columns included.
    pub columns: usize,
    /// Columns committed in the key.
    pub weight_columns: usize,
    /// Round messages.
    pub rounds: usize,
    /// Gate rows.
    pub gates: usize,
}

fn mask_columns(plan: &Plan, n: usize) -> usize {
    (plan.rounds + 1).div_ceil(n)
}

/// Everything that follows from a layer list.
#[derive(Debug, Clone)]
pub struct KeyShape {
    /// Row length of all commitments under this key.
    pub n: usize,
    /// Size parameter of the halo2 circuit.
    pub k: u32,
    /// The key proof's circuit.
    pub key: System,
    /// The inference circuits, by [`Modes::index`].
    pub inference: [System; 4],
}

impl KeyShape {
    /// Lowers a layer list.
    ///
    /// # Errors
    /// [`CircuitError`] if the list is malformed, unsound, or too large.
    pub fn derive(layers: &LayerList) -> Result<KeyShape, CircuitError> {
        let [a, b, c, d] = Modes::ALL.map(|modes| inference(layers, modes));
        let circuits = [key(layers)?, a?, b?, c?, d?];
        // Cut boxes are read more often: where that is too much, no box is cut.
        let Plans { n, k, plans } = Plans::new(&circuits, true).or_else(|_| Plans::new(&circuits, false))?;
        let system = |circuit, plan| System::new(circuit, plan, n);
        let ([key, a, b, c, d], [own, pa, pb, pc, pd]) = (circuits, plans);
        let inference = [system(a, pa), system(b, pb), system(c, pc), system(d, pd)];
        Ok(KeyShape { n, k, key: system(key, own), inference })
    }

    /// Bytes of every proof with these modes and a context of so many bytes.
    pub fn proof_bytes(&self, modes: Modes, context: usize) -> usize {
        let system = self.inference(modes);
        let input = system.shown_bytes(system.circuit.input(), modes.input, Group::Input);
        let output = system.shown_bytes(system.circuit.output(), modes.output, Group::Output);
        artifact::proof_bytes([context, input, output, system.message_bytes(self.k)])
    }

    /// Bytes of every verifying key of this shape; `layers` is the list that it was derived from.
    pub fn verifying_key_bytes(&self, layers: &LayerList) -> usize {
        artifact::verifying_key_bytes(layers, self.key.layout.weights.len(), self.key.message_bytes(self.k))
    }

    /// The inference circuit of the given modes.
    pub fn inference(&self, modes: Modes) -> &System {
        &self.inference[modes.index()]
    }
}

/// The plans of a key's circuits, with the sizes that they share.
struct Plans {
    n: usize,
    k: u32,
    plans: [Plan; 5],
}

impl Plans {
    /// Of the key circuit, then of the inference circuits.
    fn new(circuits: &[Circuit; 5], cutting: bool) -> Result<Plans, CircuitError> {
        let plans = circuits.each_ref().map(|circuit| Plan::new(circuit, cutting));
        let gates = plans.iter().map(|plan| plan.gates).max().unwrap_or(0);
        let k = size_parameter(gates).ok_or(CircuitError::Parameter {
            node: None,
            what: "number of gate rows",
            value: gates as i64,
            lo: 0,
            hi: usable_rows(MAX_K) as i64,
        })?;
        let n = row_length(&circuits[1..], &plans[1..], 1 << k);
        for (circuit, plan) in circuits.iter().zip(&plans) {
            check_readings(circuit, plan.leaves.as_ref())?;
            check_pieces(circuit, plan, n)?;
        }
        Ok(Plans { n, k, plans })
    }
}

/// The power of two that minimises row length plus columns of a proof and its weights (ties: the smaller): the terms of the
/// verifier's one sum.
///
/// As the response to the opening is halved, longer rows would make shorter proofs, but slower verification and proving
/// (docs, "What proving costs", section "Row length"). The key proof's own columns do not count: it is made once, and
/// everybody pays for the inference.
fn row_length(circuits: &[Circuit], plans: &[Plan], halo2_rows: usize) -> usize {
    let mut n = MIN_ROWS.max(halo2_rows);
    let mut best = (usize::MAX, n);
    while n <= MAX_ROWS {
        let columns = circuits
            .iter()
            .zip(plans)
            .map(|(circuit, plan)| Layout::new(circuit, n).columns() + mask_columns(plan, n))
            .max()
            .unwrap_or(0);
        best = best.min((n + columns, n));
        n *= 2;
    }
    best.1
}

/// Chooses the table sizes of a layer list by the estimated cost of proving it with public input and output.
///
/// The unit costs are those of the portable code: a leaf of the fraction tree and a committed value cost about the
/// same, a column or a row of the opening about forty times as much (docs, "What proving costs").
///
/// # Errors
/// [`CircuitError`] if no choice gives a sound circuit: the error of the largest tables.
pub fn choose_tables(layers: &LayerList) -> Result<LayerList, CircuitError> {
    const COLUMN: usize = 40;
    let widest = layers
        .nodes
        .iter()
        .filter_map(|node| node.layer.requantize())
        .map(|requantize| {
            let bound = requantize.output.hi.max(-requantize.output.lo - 1).max(1) as u64;
            (u64::BITS - bound.leading_zeros()) as u8
        })
        .max()
        .unwrap_or(4)
        .clamp(4, 13);
    let mut best: Option<(usize, LayerList)> = None;
    let mut failure = None;
    for direct in widest..=13 {
        for limb in 4..=14 {
            let candidate = LayerList { tables: TableBits { limb, direct }, ..layers.clone() };
            // The key must derive as a whole: the key proof, and the modes that need the most constraints.
            let sound = key(&candidate).and_then(|_| inference(&candidate, Modes::ALL[3]));
            let circuit = match sound.and_then(|_| inference(&candidate, Modes::PUBLIC)) {
                Ok(circuit) => circuit,
                Err(error) => {
                    failure = Some(error);
                    continue;
                }
            };
            let plan = Plan::new(&circuit, true);
            let cost = (0..)
                .map(|bits| MIN_ROWS << bits)
                .take_while(|&n| n <= MAX_ROWS)
                .map(|n| {
                    let counts = System::new(circuit.clone(), plan.clone(), n).counts();
                    let columns = counts.columns + counts.weight_columns + n + counts.rounds;
                    counts.leaves + counts.committed + COLUMN * columns
                })
                .min()
                .unwrap_or(usize::MAX);
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, candidate));
            }
        }
    }
    match (best, failure) {
        (Some((_, layers)), _) => Ok(layers),
        (None, Some(error)) => Err(error),
        (None, None) => Ok(layers.clone()),
    }
}

/// The coefficients of the hidden messages of a sum-check over a plain cube: after rounds with challenges `bound`, the masked
/// claim exceeds the true one by `sum c_s mask_s` over the slots in order.
pub fn round_mask_coefficients(bound: &[Fp]) -> Vec<Fp> {
    let mut coefficients = Vec::with_capacity(2 * bound.len());
    for rho in bound {
        for c in &mut coefficients {
            *c *= Fp::TWO_INV;
        }
        coefficients.push(*rho - Fp::TWO_INV);
        coefficients.push(*rho * rho - Fp::TWO_INV);
    }
    coefficients
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Activation, Function, Gemm, Layer, Requantize, Reshape};
    use crate::model::{Head, Node, Scale};

    #[test]
    fn boxes_are_not_cut_where_that_would_exceed_a_limit() {
        let scale = Scale { mantissa: 1, exponent: 0 };
        let layers = |count: u32| {
            let requantize =
                Requantize { shift: 4, function: Function::Relu, output: Range::new(0, 127), domain: 7 };
            let activation =
                |i| Node { layer: Layer::Activation(Activation { requantize }), inputs: vec![i] };
            let mut nodes: Vec<Node> = (0..count).map(activation).collect();
            let inputs = 28 * 28 * 64;
            let gemm = Gemm { inputs, outputs: 1024, weight_bits: 5, bias_bits: None, requantize: None };
            for layer in [Layer::Reshape(Reshape { shape: vec![inputs] }), Layer::Gemm(gemm)] {
                nodes.push(Node { layer, inputs: vec![nodes.len() as u32] });
            }
            LayerList {
                input_shape: vec![28, 28, 64],
                input_range: Range::new(-128, 127),
                input_scale: scale,
                nodes,
                output_scale: scale,
                head: Head::None,
                tables: TableBits { limb: 8, direct: 8 },
            }
        };
        let parts = |count: u32| {
            let shape = KeyShape::derive(&layers(count)).expect("within the limits");
            let plan = &shape.inference(Modes::PUBLIC).plan;
            let leaves = plan.leaves.as_ref().expect("there are look-ups");
            leaves.sites.iter().map(|site| site.parts.len()).max()
        };
        assert!(parts(2) > Some(1));
        assert_eq!(parts(100), Some(1));
    }

    #[test]
    fn statistical_security_is_far_above_the_discrete_logarithms() {
        let scale = Scale { mantissa: 1, exponent: 0 };
        let requantize =
            Requantize { shift: 0, function: Function::Relu, output: Range::new(0, 127), domain: 7 };
        let layers = |len: u32| LayerList {
            input_shape: vec![1 << 10, len >> 10],
            input_range: Range::new(-128, 127),
            input_scale: scale,
            nodes: vec![Node { layer: Layer::Activation(Activation { requantize }), inputs: vec![0] }],
            output_scale: scale,
            head: Head::None,
            tables: TableBits { limb: 8, direct: 8 },
        };
        let bits = |len: u32| {
            let shape = KeyShape::derive(&layers(len)).expect("a valid list");
            shape.inference(Modes::PUBLIC).statistical_bits(shape.k)
        };
        // 2^20 look-ups and a table: 2^21 leaves; a thousand times fewer give eight bits more at least.
        assert_eq!(bits(1 << 20), 232);
        assert!(bits(1 << 10) >= 240);
    }
}
