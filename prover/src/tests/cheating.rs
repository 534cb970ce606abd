//! A prover that cheats is rejected, and for the right reason.
//!
//! Each test runs the real prover with one deviation (`crate::hooks`), or alters a real proof. A false witness leads to
//! a false combined claim: [`Rejection::FalseClaim`]. Openings that do not match their commitments, and false hidden
//! products, leave the scalar equation true and the group equation false: [`Rejection::FalseOpening`].

use super::honest::keys;
use super::models::{Model, Recipe, activation, list, reshape};
use crate::columns::ColumnSet;
use crate::hidden::Masks;
use crate::hooks::{Honest, Hooks};
use crate::opening::{OpeningMessages, Response};
use crate::products::ProductTables;
use crate::witness::Witness;
use crate::{ProveOptions, ProverError, ProvingKey};
use ff::{Field, PrimeField};
use group::Curve;
use provenn_algebra::fractions::Leaves;
use provenn_algebra::generators::generators;
use provenn_algebra::transcript::TranscriptError;
use provenn_algebra::{EqAffine, Fp};
use provenn_circuits::Modes;
use provenn_circuits::artifact::{Kind, ModelId, ProofContent, VerifyingKeyContent, decode, encode};
use provenn_circuits::circuit::{Circuit, Role, TensorId};
use provenn_circuits::closing::halvings;
use provenn_circuits::forms::{Form, GATE_COLUMNS, Slot};
use provenn_circuits::layers::{Function, Gemm, Layer, Requantize};
use provenn_circuits::layout::Group;
use provenn_circuits::model::{Node, Range, TableBits};
use provenn_circuits::products::{MIN_K, ProductKeys};
use provenn_circuits::reduction::LeafPlan;
use provenn_verifier::{Part, Rejection, VerifyingKey};
use std::borrow::Cow;
use std::sync::LazyLock;

struct Fixture {
    model: Model,
    pk: ProvingKey,
    vk: VerifyingKey,
    input: Vec<i64>,
}

/// A model with every kind of constraint: direct and saturated requantizations, limbs, padding in every axis.
static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let recipe = Recipe {
        widths: vec![17, 11, 6, 3],
        tables: TableBits { limb: 4, direct: 6 },
        raw_output: false,
        ..Recipe::default()
    };
    let model = recipe.build();
    let (pk, vk) = keys(&model);
    let input = model.random_input(5);
    Fixture { model, pk, vk, input }
});

/// A model with rows long enough for several rounds of halving.
static LONG: LazyLock<Fixture> = LazyLock::new(|| {
    let model = Recipe { widths: vec![90, 70, 8], shift: 9, raw_output: false, ..Recipe::default() }.build();
    let (pk, vk) = keys(&model);
    let input = model.random_input(5);
    Fixture { model, pk, vk, input }
});

/// The verdict on the proof of a deviating prover.
fn verdict(hooks: &mut impl Hooks) -> Result<(), Rejection> {
    verdict_with(ProveOptions::default(), hooks)
}

fn verdict_with(options: ProveOptions<'_>, hooks: &mut impl Hooks) -> Result<(), Rejection> {
    verdict_on(&FIXTURE, options, hooks)
}

fn verdict_on(fixture: &Fixture, options: ProveOptions<'_>, hooks: &mut impl Hooks) -> Result<(), Rejection> {
    let Fixture { pk, vk, input, .. } = fixture;
    let proof =
        pk.prove_with(input, options, None, hooks, &mut |_| {}).expect("the cheating prover finishes");
    vk.verify(&proof.bytes, options.context).map(|_| ())
}

fn named(circuit: &Circuit, name: &str) -> TensorId {
    circuit.tensors.iter().position(|tensor| tensor.name == name).unwrap_or_else(|| {
        let names: Vec<_> = circuit.tensors.iter().map(|tensor| &tensor.name).collect();
        panic!("no tensor {name} in {names:?}")
    })
}

/// Counts again how often every table row is looked up: what a cheat who wants to be consistent does.
fn recount(circuit: &Circuit, values: &mut Witness<'_>) {
    for id in 0..circuit.tensors.len() {
        let Role::Multiplicity(table) = circuit.tensors[id].role else { continue };
        let mut counts = vec![0; circuit.tables[table].rows()];
        for lookup in circuit.lookups.iter().filter(|lookup| lookup.table == table) {
            for &key in lookup.exprs[0].evaluate(&lookup.extents, &circuit.tensors, values).iter() {
                if let Some(row) = circuit.tables[table].row_of(key) {
                    counts[row] += 1;
                }
            }
        }
        values[id] = counts.into();
    }
}

/// Adds to one entry of a tensor of the witness.
struct Add(&'static str, usize, i64);

impl Hooks for Add {
    fn witness(&mut self, circuit: &Circuit, values: &mut Witness<'_>) {
        values[named(circuit, self.0)].to_mut()[self.1] += self.2;
        recount(circuit, values);
    }
}

#[test]
fn the_fixture_has_every_kind_of_constraint_and_its_honest_proof_is_accepted() {
    assert_eq!(verdict(&mut Honest), Ok(()));
    let circuit = &FIXTURE.pk.shape().inference(Modes::PUBLIC).circuit;
    for name in ["layer 0 saturated", "layer 0 remainder bits 4..5", "layer 0 inside", "layer 2 output"] {
        named(circuit, name);
    }
    assert!(circuit.contracts.len() > 3);
}

#[test]
fn false_witness_values_are_rejected() {
    for (name, entry) in [
        ("layer 0 output", 3),
        ("layer 1 output", 5),
        ("layer 0 remainder bits 0..4", 0),
        ("layer 0 remainder bits 4..5", 10),
        ("layer 0 quotient high", 2),
        ("layer 0 quotient low bits 0..4", 4),
        ("layer 0 inside", 6),
        ("layer 0 edge", 7),
        ("layer 0 saturated", 8),
        ("layer 2 output", 1),
    ] {
        for delta in [1, -1] {
            let verdict = verdict(&mut Add(name, entry, delta));
            // A false public output may leave its declared range before anything else is checked.
            let expected = matches!(verdict, Err(Rejection::FalseClaim))
                || (name == "layer 2 output"
                    && matches!(verdict, Err(Rejection::OutOfRange { part: Part::Output, .. })));
            assert!(expected, "{name}[{entry}] {delta:+}: {verdict:?}");
        }
    }
}

#[test]
fn other_weights_than_the_committed_ones_are_rejected() {
    /// Runs, consistently, a model that differs in one parameter.
    struct Other(usize, usize);
    impl Hooks for Other {
        fn parameters<'p>(&mut self, committed: &'p [Vec<i64>]) -> Cow<'p, [Vec<i64>]> {
            let mut other = committed.to_vec();
            let parameter = &mut other[self.0][self.1];
            *parameter += if *parameter > 0 { -1 } else { 1 };
            Cow::Owned(other)
        }
    }
    // Weight and bias of the first and of the last layer.
    for (tensor, entry) in [(0, 40), (1, 2), (4, 17), (5, 0)] {
        let verdict = verdict(&mut Other(tensor, entry));
        assert_eq!(verdict, Err(Rejection::FalseClaim), "parameter {tensor}[{entry}]");
    }
}

#[test]
fn a_false_multiplicity_is_rejected() {
    struct Multiplicity(i64);
    impl Hooks for Multiplicity {
        fn witness(&mut self, circuit: &Circuit, values: &mut Witness<'_>) {
            values[named(circuit, "multiplicities of table 0")].to_mut()[3] += self.0;
        }
    }
    for delta in [1, -1, i64::MAX / 2] {
        assert_eq!(verdict(&mut Multiplicity(delta)), Err(Rejection::FalseClaim));
    }
}

#[test]
fn an_out_of_range_limb_is_rejected_even_if_the_sum_is_right() {
    struct Borrow;
    impl Hooks for Borrow {
        fn witness(&mut self, circuit: &Circuit, values: &mut Witness<'_>) {
            // 2^shift * quotient + remainder stays what it is: one step less above, 2^5 more below.
            values[named(circuit, "layer 0 remainder bits 0..4")].to_mut()[0] += 32;
            values[named(circuit, "layer 0 quotient low bits 0..4")].to_mut()[0] -= 1;
            recount(circuit, values);
        }
    }
    assert_eq!(verdict(&mut Borrow), Err(Rejection::FalseClaim));
}

#[test]
fn a_false_look_up_is_not_saved_by_gaps() {
    struct Gap;
    impl Hooks for Gap {
        fn witness(&mut self, circuit: &Circuit, values: &mut Witness<'_>) {
            values[named(circuit, "layer 1 output")].to_mut()[0] += 1;
        }
        fn leaves(&mut self, leaves: &mut Leaves, plan: &LeafPlan) {
            let gap = leaves.len();
            assert!(gap < 1 << plan.variables, "the fixture has a gap");
            // The gap takes minus the sum of all other fractions, so that the root is 0 as it should be.
            let fractions = (0..gap).map(|leaf| leaves.get(leaf));
            let sum: Fp = fractions.map(|(p, q)| p * q.invert().expect("no denominator is 0")).sum();
            leaves.resize(gap + 1);
            let entry = leaves.element(&-sum);
            leaves.entries().0[gap] = entry;
        }
    }
    assert_eq!(verdict(&mut Gap), Err(Rejection::FalseClaim));
}

#[test]
fn a_false_look_up_is_rejected_in_every_block_of_its_site() {
    /// A false output entry, whose own leaf makes the sum of all fractions 0 as it should be.
    struct Leaf {
        entry: usize,
        leaf: usize,
    }
    impl Hooks for Leaf {
        fn witness(&mut self, circuit: &Circuit, values: &mut Witness<'_>) {
            let output = &mut values[named(circuit, "layer 0 output")].to_mut()[self.entry];
            *output += if *output < 63 { 1 } else { -1 };
        }
        fn leaves(&mut self, leaves: &mut Leaves, _: &LeafPlan) {
            let fraction = |leaf: usize| {
                let (p, q) = leaves.get(leaf);
                p * q.invert().expect("no denominator is 0")
            };
            let others: Fp = (0..leaves.len()).filter(|&leaf| leaf != self.leaf).map(fraction).sum();
            assert_eq!(leaves.get(self.leaf).0, Fp::ONE, "the leaf is an entry's");
            let entry = leaves.element(&-others.invert().expect("the honest fraction is not 0"));
            leaves.entries().1[self.leaf] = entry;
        }
    }
    let relu = activation(Function::Relu, 0, Range::new(0, 63), 7);
    let nodes = vec![Node { layer: relu, inputs: vec![0] }];
    let shape = [33, 72];
    let tables = TableBits { limb: 6, direct: 8 };
    let model = Model { layers: list(&shape, Range::new(-128, 127), nodes, tables), parameters: vec![] };
    let (pk, vk) = keys(&model);
    let input = model.random_input(3);
    let system = pk.shape().inference(Modes::PUBLIC);
    let leaves = system.plan.leaves.as_ref().expect("there are look-ups");
    let positions = leaves.positions(0, &shape);
    assert_eq!((leaves.sites[0].parts.len(), leaves.sites[0].pieces.len()), (2, 2));
    let honest = pk.prove(&input, ProveOptions::default()).expect("a valid input");
    assert!(vk.verify(&honest.bytes, b"").is_ok());
    for &block in leaves.sites[0].parts.iter().flat_map(|part| &part.blocks) {
        let block = leaves.blocks[block];
        let own = block.start..block.start + (1 << block.variables);
        let entry = positions.iter().rposition(|leaf| own.contains(leaf)).expect("a block has an entry");
        let mut cheat = Leaf { entry, leaf: positions[entry] };
        let proof = pk.prove_with(&input, ProveOptions::default(), None, &mut cheat, &mut |_| {});
        let proof = proof.expect("the cheating prover finishes");
        assert_eq!(vk.verify(&proof.bytes, b"").map(|_| ()), Err(Rejection::FalseClaim), "{block:?}");
    }
}

#[test]
fn false_round_messages_are_rejected() {
    struct Message(usize);
    impl Hooks for Message {
        fn message(&mut self, slot: Slot, value: &mut Fp) {
            if slot == Slot::Round(self.0) {
                *value += Fp::ONE;
            }
        }
    }
    let rounds = FIXTURE.pk.shape().inference(Modes::PUBLIC).plan.rounds;
    for slot in [0, 1, rounds / 2, rounds - 2, rounds - 1] {
        assert_eq!(verdict(&mut Message(slot)), Err(Rejection::FalseClaim), "message {slot}");
    }
}

#[test]
fn masks_changed_after_their_commitment_are_rejected() {
    struct Round;
    impl Hooks for Round {
        fn masks(&mut self, masks: &mut Masks) {
            masks.rounds[0][5] += Fp::ONE;
        }
    }
    struct Gate;
    impl Hooks for Gate {
        fn masks(&mut self, masks: &mut Masks) {
            masks.gates[2][1] += Fp::ONE;
        }
    }
    struct Row;
    impl Hooks for Row {
        fn masks(&mut self, masks: &mut Masks) {
            masks.rows[1] += Fp::ONE;
        }
    }
    // Every claim is true of the changed masks; they are not the committed ones.
    assert_eq!(verdict(&mut Round), Err(Rejection::FalseOpening));
    assert_eq!(verdict(&mut Gate), Err(Rejection::FalseOpening));
    assert_eq!(verdict(&mut Row), Err(Rejection::FalseOpening));
}

/// Changes a gate row, with or without telling halo2.
struct Gate {
    row: usize,
    column: usize,
    true_products: bool,
    honest: Option<[Fp; GATE_COLUMNS]>,
}

impl Hooks for Gate {
    fn gate(&mut self, row: usize, cells: &mut [Fp; GATE_COLUMNS]) {
        if row == self.row {
            self.honest = Some(*cells);
            cells[self.column] += Fp::ONE;
        }
    }
    fn products(&mut self, gates: &mut [[Fp; GATE_COLUMNS]]) {
        if let (true, Some(honest)) = (self.true_products, self.honest) {
            gates[self.row] = honest;
        }
    }
}

#[test]
fn false_gate_values_are_rejected() {
    let gates = FIXTURE.pk.shape().inference(Modes::PUBLIC).plan.gates;
    for row in [0, 1, gates - 2] {
        for column in 0..GATE_COLUMNS {
            for true_products in [true, false] {
                let verdict = verdict(&mut Gate { row, column, true_products, honest: None });
                // The root's w and some cells of the last rows enter no claim: there halo2 alone decides.
                assert!(
                    matches!(verdict, Err(Rejection::FalseClaim | Rejection::FalseOpening)),
                    "row {row}, column {column}: {verdict:?}"
                );
            }
        }
    }
    // w of the root is asserted by no form: only the product gate and the binding speak for it.
    for true_products in [true, false] {
        let verdict = verdict(&mut Gate { row: 0, column: 5, true_products, honest: None });
        assert_eq!(verdict, Err(Rejection::FalseOpening));
    }
}

/// Claims that the root's numerator is 0 although a look-up is false, and hides it in another message column.
struct CancelAcrossColumns {
    honest: Option<[Fp; GATE_COLUMNS]>,
    true_products: bool,
}

impl Hooks for CancelAcrossColumns {
    fn witness(&mut self, circuit: &Circuit, values: &mut Witness<'_>) {
        let output = values[named(circuit, "layer 2 output")].to_mut();
        output[0] += if output[0] < 31 { 1 } else { -1 };
    }
    fn gate(&mut self, row: usize, cells: &mut [Fp; GATE_COLUMNS]) {
        if row == 0 {
            self.honest = Some(*cells);
            let t = cells[4];
            assert_ne!(t, Fp::ZERO, "the look-up is false");
            cells[4] = Fp::ZERO;
            cells[5] += t;
        }
    }
    fn products(&mut self, gates: &mut [[Fp; GATE_COLUMNS]]) {
        if let (true, Some(honest)) = (self.true_products, self.honest) {
            gates[0] = honest;
        }
    }
}

#[test]
fn errors_that_cancel_across_message_columns_are_rejected() {
    // Every scalar claim is satisfied and the errors of the two columns add up to 0: only the weights, squeezed after the last
    // byte, tell them apart. With the false row told to halo2, the product gate does.
    for true_products in [true, false] {
        let verdict = verdict(&mut CancelAcrossColumns { honest: None, true_products });
        assert_eq!(verdict, Err(Rejection::FalseOpening));
    }
}

#[test]
fn false_opening_messages_are_rejected() {
    #[derive(Clone, Copy, Debug)]
    enum Field {
        D(usize),
        G,
        Delta,
    }
    struct Opening(Field);
    impl Hooks for Opening {
        fn opening(&mut self, opening: &mut OpeningMessages) {
            match self.0 {
                Field::D(i) => opening.commitments[i] = ProductKeys::get(MIN_K).blinding,
                Field::G => opening.g += Fp::ONE,
                Field::Delta => opening.delta += Fp::ONE,
            }
        }
    }
    for i in 0..3 {
        assert_eq!(verdict(&mut Opening(Field::D(i))), Err(Rejection::FalseOpening), "D {i}");
    }
    assert_eq!(verdict(&mut Opening(Field::G)), Err(Rejection::FalseClaim));
    assert_eq!(verdict(&mut Opening(Field::Delta)), Err(Rejection::FalseClaim));
}

#[test]
fn false_responses_are_rejected() {
    #[derive(Clone, Copy, Debug)]
    enum Change {
        Blind(usize),
        /// Changes that the scalar equation does not see.
        Balanced,
        Y,
        X,
        Z,
    }
    struct Respond(Change);
    impl Hooks for Respond {
        fn response(&mut self, response: &mut Response, eq: &[Fp]) {
            match self.0 {
                Change::Blind(i) => response.blinds[i] += Fp::ONE,
                Change::Balanced => {
                    response.y[0] += eq[1];
                    response.y[1] -= eq[0];
                }
                Change::Y => response.y[2] += Fp::ONE,
                Change::X => response.x[2] += Fp::ONE,
                Change::Z => response.z[2] += Fp::ONE,
            }
        }
    }
    // Whole and halved: a response that is not the committed one is halved honestly.
    for fixture in [&*FIXTURE, &*LONG] {
        let verdict = |change| verdict_on(fixture, ProveOptions::default(), &mut Respond(change));
        for change in [Change::Blind(0), Change::Blind(1), Change::Blind(2), Change::Balanced] {
            assert_eq!(verdict(change), Err(Rejection::FalseOpening), "{change:?}");
        }
        for change in [Change::Y, Change::X, Change::Z] {
            assert_eq!(verdict(change), Err(Rejection::FalseClaim), "{change:?}");
        }
    }
    // Moving weight from the tensors' rows to R's coordinates, which the scalar equation cannot see either.
    struct IntoRowMasks;
    impl Hooks for IntoRowMasks {
        fn response(&mut self, response: &mut Response, eq: &[Fp]) {
            response.y[0] += Fp::ONE;
            response.x[0] -= Fp::ONE;
            assert_ne!(eq[0], Fp::ZERO);
        }
    }
    assert_eq!(verdict(&mut IntoRowMasks), Err(Rejection::FalseOpening));
}

#[test]
fn false_halvings_are_rejected() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Change {
        Nothing,
        /// The inner product, with or without a `delta` that makes the scalar equation true again.
        Value {
            balanced: bool,
        },
        /// The inner product, balanced, with the difference as a multiple of U in `D`: what the factor xi of U is for.
        ValueIntoU,
        /// One of the points of a round.
        Point(usize, usize),
        Swapped(usize),
        /// Both points of a round are those of the one before it.
        Repeated(usize),
        Short(usize),
        /// Changes that the inner product of what is left does not see.
        ShortBalanced,
    }
    struct Halve {
        change: Change,
        previous: Vec<EqAffine>,
        rounds: usize,
        eq_ratio: Option<Fp>,
    }
    impl Hooks for Halve {
        fn opening(&mut self, opening: &mut OpeningMessages) {
            if self.change == (Change::Value { balanced: true }) {
                opening.delta += Fp::ONE;
            }
            if self.change == Change::ValueIntoU {
                opening.delta -= Fp::ONE;
                opening.commitments[0] = (opening.commitments[0] + generators(0).u).to_affine();
            }
        }
        fn response(&mut self, _response: &mut Response, eq: &[Fp]) {
            // Neighbours differ in the last bit only, which is never halved: their weights keep their ratio.
            self.eq_ratio = Option::from(eq[1].invert()).map(|inverse: Fp| eq[0] * inverse);
        }
        fn response_value(&mut self, value: &mut Fp) {
            match self.change {
                Change::Value { .. } => *value += Fp::ONE,
                Change::ValueIntoU => *value -= Fp::ONE,
                _ => {}
            }
        }
        fn halving(&mut self, round: usize, points: &mut [EqAffine]) {
            self.rounds += 1;
            let honest = points.to_vec();
            match self.change {
                Change::Point(at, side) if at == round => {
                    points[side] = ProductKeys::get(MIN_K).blinding;
                }
                Change::Swapped(at) if at == round => points.swap(0, 1),
                Change::Repeated(at) if at == round => points.copy_from_slice(&self.previous),
                _ => {}
            }
            self.previous = honest;
        }
        fn short_response(&mut self, response: &mut [Fp]) {
            match self.change {
                Change::Short(at) => response[at] += Fp::ONE,
                Change::ShortBalanced => {
                    response[0] += Fp::ONE;
                    response[1] -= self.eq_ratio.expect("eq is not 0");
                }
                _ => {}
            }
        }
    }
    let verdict = |change| {
        let mut hooks = Halve { change, previous: vec![], rounds: 0, eq_ratio: None };
        let verdict = verdict_on(&LONG, ProveOptions::default(), &mut hooks);
        assert_eq!(hooks.rounds, halvings(LONG.pk.shape().n));
        verdict
    };
    let rounds = halvings(LONG.pk.shape().n);
    assert!(rounds >= 2, "n = {}", LONG.pk.shape().n);
    assert_eq!(verdict(Change::Nothing), Ok(()));
    assert_eq!(verdict(Change::Value { balanced: false }), Err(Rejection::FalseClaim));
    let mut changes = vec![
        Change::Value { balanced: true },
        Change::ValueIntoU,
        Change::Repeated(1),
        Change::Short(0),
        Change::Short(31),
        Change::ShortBalanced,
    ];
    for round in 0..rounds {
        changes.extend([Change::Point(round, 0), Change::Point(round, 1), Change::Swapped(round)]);
    }
    for change in changes {
        assert_eq!(verdict(change), Err(Rejection::FalseOpening), "{change:?}");
    }
}

#[test]
fn malformed_halvings_are_rejected() {
    let options = ProveOptions::default();
    let proof = LONG.pk.prove(&LONG.input, options).expect("a valid input").bytes;
    let content: ProofContent<'_> = decode(Kind::Proof, &proof).expect("a proof");
    let Words { response, points, short, .. } = Words::new(&LONG);
    let verdict = |messages: &[u8]| {
        let bytes = altered(&proof, |content| content.messages = messages);
        LONG.vk.verify(&bytes, b"").map(|_| ())
    };
    assert_eq!(verdict(content.messages), Ok(()));
    // The messages end before each word of the response.
    for word in response..short.end {
        let at = 32 * word;
        let expected = Rejection::Message(TranscriptError::Truncated { at });
        assert_eq!(verdict(&content.messages[..at]), Err(expected), "word {word}");
        let at = at + 31;
        let expected = Rejection::Message(TranscriptError::Truncated { at });
        assert_eq!(verdict(&content.messages[..at]), Err(expected), "word {word}");
    }
    // Encodings that are not canonical: the modulus of the scalar field, and a point whose abscissa is 2^255 - 1 or that is
    // the identity.
    let mut modulus = (-Fp::ONE).to_repr();
    modulus[0] += 1;
    for word in response..short.end {
        let at = 32 * word;
        let is_point = points.contains(&word);
        for bytes in [if is_point { [0; 32] } else { modulus }, [0xff; 32]] {
            let mut messages = content.messages.to_vec();
            messages[at..at + 32].copy_from_slice(&bytes);
            let expected =
                if is_point { TranscriptError::Point { at } } else { TranscriptError::Scalar { at } };
            assert_eq!(verdict(&messages), Err(Rejection::Message(expected)), "word {word}");
        }
    }
}

#[test]
fn false_commitments_are_rejected() {
    /// Commits to other values than it opens.
    struct Committed(usize);
    impl Hooks for Committed {
        fn commitments(&mut self, commitments: &mut [EqAffine]) {
            match self.0 {
                0 => commitments.swap(0, 1),
                1 => commitments[0] = commitments[1],
                _ => {
                    // The same values under the bases of the message columns: a column with two readings.
                    let tables = ProductTables::get(ProductKeys::get(MIN_K));
                    let column = vec![Fp::ONE; 1 << MIN_K];
                    commitments[0] = tables.commit([(&column, &Fp::ONE)].into_iter(), &[])[0];
                }
            }
        }
    }
    for way in 0..3 {
        assert_eq!(verdict(&mut Committed(way)), Err(Rejection::FalseOpening), "way {way}");
    }
}

#[test]
fn a_challenge_squeezed_too_early_is_rejected() {
    struct Early;
    impl Hooks for Early {
        fn early_challenge(&self) -> bool {
            true
        }
    }
    assert_eq!(verdict(&mut Early), Err(Rejection::FalseClaim));
}

#[test]
fn a_changed_claim_coefficient_is_rejected() {
    struct Coefficient(usize);
    impl Hooks for Coefficient {
        fn forms(&mut self, forms: &mut [Form]) {
            let form = &mut forms[self.0];
            match form.terms.first_mut() {
                Some(term) => term.coefficient += Fp::ONE,
                None => form.affine.slots[0].1 += Fp::ONE,
            }
        }
    }
    struct Count(usize);
    impl Hooks for Count {
        fn forms(&mut self, forms: &mut [Form]) {
            self.0 = forms.len();
        }
    }
    let mut count = Count(0);
    assert_eq!(verdict(&mut count), Ok(()));
    for form in [0, 1, count.0 / 2, count.0 - 1] {
        assert_eq!(verdict(&mut Coefficient(form)), Err(Rejection::FalseClaim), "form {form}");
    }
}

#[test]
fn padding_is_never_read() {
    /// Fills everything that is no tensor entry with garbage: rows of contracted axes, of tables, between tensors.
    struct Garbage<'f>(&'f Fixture, bool);
    impl Hooks for Garbage<'_> {
        fn columns(&mut self, columns: &mut ColumnSet) {
            let system = self.0.pk.shape().inference(Modes::PUBLIC);
            let mut occupied = vec![0i64; columns.entries.len()];
            for (id, tensor) in system.circuit.tensors.iter().enumerate() {
                if Group::of(tensor.role) == Some(Group::Witness) {
                    let ones = vec![1; tensor.len()];
                    system.layout.fill(id, &tensor.shape, &ones, columns.first, &mut occupied);
                }
            }
            let padding = occupied.iter().filter(|&&used| used == 0).count();
            assert!(padding > 20, "the fixture has padding");
            for (entry, used) in columns.entries.iter_mut().zip(occupied) {
                if used == 0 {
                    *entry = 1_000_003;
                }
            }
            if self.1 {
                // A prover that would need the padding: one true entry wrong.
                columns.entries[0] += 1;
            }
        }
    }
    let fixture = &*FIXTURE;
    assert_eq!(verdict(&mut Garbage(fixture, false)), Ok(()));
    assert_eq!(verdict(&mut Garbage(fixture, true)), Err(Rejection::FalseClaim));
}

#[test]
fn an_owner_cannot_hide_weights_in_padding() {
    struct Hide;
    impl Hooks for Hide {
        fn weights(&mut self, columns: &mut ColumnSet) {
            // The contracted axis of layer 0 has 17 entries in 32.
            for entry in &mut columns.entries {
                if *entry == 0 {
                    *entry = 999;
                }
            }
        }
    }
    let Fixture { model, input, .. } = &*FIXTURE;
    let mut parameters = model.parameters.clone();
    for v in parameters.iter_mut().flatten() {
        // No true weight is 0, so that only padding is changed.
        *v = if *v == 0 { 1 } else { *v };
    }
    let model = Model { layers: model.layers.clone(), parameters };
    let pk = ProvingKey::commit_with(
        model.layers.clone(),
        model.parameters.clone(),
        vec![],
        &mut Hide,
        &mut |_| {},
    )
    .expect("the owner finishes");
    let vk = VerifyingKey::from_bytes(&pk.verifying_key().expect("a small key"))
        .expect("all true weights are in range");
    let proof = pk.prove(input, ProveOptions::default()).expect("a valid input");
    assert_eq!(proof.output, model.run(input), "the hidden weights change nothing");
    assert!(vk.verify(&proof.bytes, b"").is_ok());
}

#[test]
fn weights_that_are_not_integers_in_range_give_no_key() {
    /// Commits to another value of one weight of the first layer.
    struct Weight(usize, i64);
    impl Hooks for Weight {
        fn weights(&mut self, columns: &mut ColumnSet) {
            let entry = columns.entries.iter().position(|&v| v == 77).expect("every weight is in a column");
            columns.entries[entry] = self.1;
        }
        fn witness(&mut self, circuit: &Circuit, values: &mut Witness<'_>) {
            values[named(circuit, "layer 0 weight")].to_mut()[self.0] = self.1;
            recount(circuit, values);
        }
    }
    let Fixture { model, .. } = &*FIXTURE;
    // A unique old value, so that the entry in the columns is the one in the tensor.
    let mut parameters = model.parameters.clone();
    parameters[0].fill(3);
    parameters[0][20] = 77;
    parameters.iter_mut().skip(1).flatten().for_each(|v| *v = if *v == 77 { 76 } else { *v });
    for value in [128, -129, i64::MAX / 4] {
        let mut hooks = Weight(20, value);
        let pk = ProvingKey::commit_with(
            model.layers.clone(),
            parameters.clone(),
            vec![],
            &mut hooks,
            &mut |_| {},
        )
        .expect("the owner finishes");
        let verdict = VerifyingKey::from_bytes(&pk.verifying_key().expect("a small key")).map(|_| ());
        assert_eq!(verdict, Err(Rejection::KeyProof(Box::new(Rejection::FalseClaim))), "weight {value}");
    }
}

fn honest_proof(options: ProveOptions<'_>) -> Vec<u8> {
    FIXTURE.pk.prove(&FIXTURE.input, options).expect("a valid input").bytes
}

/// Re-encodes a proof with one part changed.
fn altered<'a>(bytes: &'a [u8], change: impl FnOnce(&mut ProofContent<'a>)) -> Vec<u8> {
    let mut content: ProofContent<'a> = decode(Kind::Proof, bytes).expect("a proof");
    change(&mut content);
    encode(Kind::Proof, &content).expect("a small proof")
}

#[test]
fn statements_cannot_be_exchanged() {
    let Fixture { vk, model, .. } = &*FIXTURE;
    let proof = honest_proof(ProveOptions { context: b"order 7", ..ProveOptions::default() });
    let verify = |bytes: &[u8], context: &[u8]| vk.verify(bytes, context).map(|_| ());
    assert_eq!(verify(&proof, b"order 7"), Ok(()));
    // Another context, with and without rewriting the one in the proof.
    assert!(matches!(verify(&proof, b"order 8"), Err(Rejection::Context { .. })));
    let moved = altered(&proof, |content| content.context = b"order 8");
    assert_eq!(verify(&moved, b"order 8"), Err(Rejection::FalseClaim));
    // Another input, another output, in range.
    // The input's range starts at -20, the output's at 0.
    let input_range = model.layers.input_range;
    let output_range = model.layers.values().expect("a valid list").pop().expect("values").range;
    let zeros = provenn_circuits::artifact::values_to_bytes(input_range, &[0; 17]);
    let moved = altered(&proof, |content| content.input = &zeros);
    assert_eq!(verify(&moved, b"order 7"), Err(Rejection::FalseClaim));
    let output = model.run(&FIXTURE.input);
    let other = if output[2] == 0 { 1 } else { 0 };
    let other = provenn_circuits::artifact::values_to_bytes(output_range, &[output[0], output[1], other]);
    let moved = altered(&proof, |content| content.output = &other);
    assert_eq!(verify(&moved, b"order 7"), Err(Rejection::FalseClaim));
    // Out of range, and of the wrong length.
    let far = provenn_circuits::artifact::values_to_bytes(output_range, &[0, 64, 0]);
    let moved = altered(&proof, |content| content.output = &far);
    assert!(matches!(
        verify(&moved, b"order 7"),
        Err(Rejection::OutOfRange { part: Part::Output, index: 1, value: 64, .. })
    ));
    let moved = altered(&proof, |content| content.output = &far[..2]);
    assert_eq!(
        verify(&moved, b"order 7"),
        Err(Rejection::Length { part: Part::Output, expected: 3, actual: 2 })
    );
    // Another visibility.
    let moved = altered(&proof, |content| content.modes = 4);
    assert_eq!(verify(&moved, b"order 7"), Err(Rejection::Modes { actual: 4 }));
    let moved = altered(&proof, |content| content.modes = 2);
    assert!(verify(&moved, b"order 7").is_err());
}

#[test]
fn a_sibling_models_key_rejects() {
    let Fixture { model, .. } = &*FIXTURE;
    let (_, sibling) = keys(model);
    let proof = honest_proof(ProveOptions::default());
    let expected = Rejection::Model { expected: sibling.model_id(), actual: FIXTURE.vk.model_id() };
    assert_eq!(sibling.verify(&proof, b"").map(|_| ()), Err(expected.clone()));
    assert!(expected.to_string().contains(&sibling.model_id().to_string()));
    let renamed = altered(&proof, |content| content.model_id = sibling.model_id());
    assert_eq!(sibling.verify(&renamed, b"").map(|_| ()), Err(Rejection::FalseClaim));
    let unnamed = altered(&proof, |content| content.model_id = ModelId([0; 32]));
    assert!(matches!(FIXTURE.vk.verify(&unnamed, b""), Err(Rejection::Model { .. })));
}

#[test]
fn a_key_proof_does_not_move_to_another_layer_list() {
    let bytes = FIXTURE.pk.verifying_key().expect("a small key");
    let moved = |change: &dyn Fn(&mut VerifyingKeyContent)| {
        let mut content: VerifyingKeyContent = decode(Kind::VerifyingKey, &bytes).expect("a key");
        change(&mut content);
        VerifyingKey::from_bytes(&encode(Kind::VerifyingKey, &content).expect("a small key")).map(|_| ())
    };
    assert_eq!(moved(&|_| {}), Ok(()));
    let false_key = Err(Rejection::KeyProof(Box::new(Rejection::FalseClaim)));
    assert_eq!(moved(&|content| content.core.layers.output_scale.mantissa = 2), false_key);
    assert_eq!(
        moved(&|content| {
            let Layer::Gemm(gemm) = &mut content.core.layers.nodes[0].layer else { panic!("a Gemm") };
            gemm.requantize.as_mut().expect("requantized").output.hi = 31;
        }),
        false_key
    );
    assert_eq!(moved(&|content| content.core.commitments.swap(0, 1)), false_key);
    assert!(matches!(
        moved(&|content| content.core.commitments[0] = [0xff; 32]),
        Err(Rejection::Point { .. })
    ));
    assert!(matches!(
        moved(&|content| {
            content.core.commitments.pop();
        }),
        Err(Rejection::Commitments { .. })
    ));
    assert!(matches!(moved(&|content| content.core.version += 1), Err(Rejection::Artifact(_))));
    assert!(matches!(
        moved(&|content| {
            content.key_proof.pop();
        }),
        Err(Rejection::KeyProof(_))
    ));
}

/// Where the words of a proof with public input and output lie.
struct Words {
    /// Commitments, before all else.
    commitments: usize,
    /// First messages of the opening: three points, two scalars.
    opening: usize,
    /// The blinds of the response; `z^` and `x^` follow.
    blinds: usize,
    /// `y^`, or its inner product and the messages that halve it.
    response: usize,
    /// Points of the halving rounds.
    points: std::ops::Range<usize>,
    /// What is left of `y^`.
    short: std::ops::Range<usize>,
}

impl Words {
    fn new(fixture: &Fixture) -> Words {
        let shape = fixture.pk.shape();
        let system = shape.inference(Modes::PUBLIC);
        let commitments = system.layout.witness.len() + system.mask_columns + GATE_COLUMNS + 1;
        let row_masks = 2 * system.layout.nu();
        let opening = commitments + system.plan.rounds + GATE_COLUMNS * system.plan.gates + row_masks;
        let blinds = opening + 5;
        let response = blinds + 3 + row_masks + (1 << shape.k);
        let rounds = halvings(shape.n);
        let first = response + rounds.min(1);
        let points = first..first + 2 * rounds;
        let short = points.end..points.end + (shape.n >> rounds);
        Words { commitments, opening, blinds, response, points, short }
    }
}

#[test]
fn every_word_of_the_messages_counts() {
    assert_eq!(halvings(FIXTURE.pk.shape().n), 0);
    every_word_counts(&FIXTURE);
    every_word_counts(&LONG);
}

fn every_word_counts(fixture: &Fixture) {
    let Fixture { pk, vk, input, .. } = fixture;
    let proof = pk.prove(input, ProveOptions::default()).expect("a valid input").bytes;
    let content: ProofContent<'_> = decode(Kind::Proof, &proof).expect("a proof");
    let Words { commitments, opening, blinds, response, points, short } = Words::new(fixture);
    let words = content.messages.len() / 32;
    let base = ProductKeys::get(MIN_K).blinding;
    let point: [u8; 32] = provenn_algebra::encoding::compress(&[base])[0];
    for word in 0..words {
        let mut messages = content.messages.to_vec();
        let place = &mut messages[32 * word..32 * word + 32];
        let is_point = word < commitments || (opening..opening + 3).contains(&word) || points.contains(&word);
        if is_point {
            place.copy_from_slice(&point);
        } else {
            // Another canonical scalar; in halo2's points this may be no point, which is as good.
            let old: [u8; 32] = place.try_into().expect("32 bytes");
            let new = Option::<Fp>::from(Fp::from_repr(old)).map_or(Fp::ONE, |v| v + Fp::ONE);
            place.copy_from_slice(&new.to_repr());
        }
        let bytes = altered(&proof, |content| content.messages = &messages);
        let verdict = vk.verify(&bytes, b"").map(|_| ());
        // Everything before the opening's challenge changes it: the answer is then to another question. What follows only
        // enters halo2's transcript and the group equation.
        let value = if points.is_empty() { short.end } else { response + 1 };
        let in_scalar_equation = word < blinds || (blinds + 3..value).contains(&word);
        if in_scalar_equation {
            assert!(
                matches!(verdict, Err(Rejection::FalseClaim | Rejection::Products { .. })),
                "word {word}: {verdict:?}"
            );
        } else {
            assert!(
                matches!(
                    verdict,
                    Err(Rejection::FalseOpening | Rejection::Products { .. } | Rejection::Message(_))
                ),
                "word {word}: {verdict:?}"
            );
        }
    }
    // Missing and additional messages.
    let cut = altered(&proof, |content| content.messages = &content.messages[..32 * words - 32]);
    assert!(matches!(vk.verify(&cut, b""), Err(Rejection::Products { .. })));
    let longer = [content.messages, &[0; 32]].concat();
    let longer = altered(&proof, |content| content.messages = &longer);
    assert_eq!(vk.verify(&longer, b"").map(|_| ()), Err(Rejection::Trailing { extra: 32 }));
    let empty = altered(&proof, |content| content.messages = &[]);
    assert!(matches!(vk.verify(&empty, b""), Err(Rejection::Message(_))));
}

#[test]
fn every_single_byte_flip_is_rejected_without_a_panic() {
    // The smallest model keeps the number of bytes low; all flips of one bit pattern, one random bit each.
    let model = Recipe { widths: vec![2, 2], shift: 2, raw_output: false, ..Recipe::default() }.build();
    let (pk, vk) = keys(&model);
    let proof = pk.prove(&model.random_input(1), ProveOptions::default()).expect("a valid input").bytes;
    use rayon::prelude::*;
    (0..proof.len()).into_par_iter().for_each(|at| {
        let mut flipped = proof.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(vk.verify(&flipped, b"").is_err(), "byte {at}");
    });
}

#[test]
fn truncated_proofs_are_rejected_without_a_panic() {
    let proof = honest_proof(ProveOptions::default());
    for len in (0..proof.len()).step_by(37) {
        assert!(matches!(FIXTURE.vk.verify(&proof[..len], b""), Err(Rejection::Artifact(_))), "{len} bytes");
    }
}

#[test]
fn false_committed_inputs_and_outputs_are_rejected() {
    let options = ProveOptions { modes: Modes::ALL[3], context: b"" };
    assert_eq!(verdict_with(options, &mut Honest), Ok(()));
    for name in ["input", "layer 2 output"] {
        for delta in [1, -1, 1000] {
            let verdict = verdict_with(options, &mut Add(name, 0, delta));
            assert_eq!(verdict, Err(Rejection::FalseClaim), "{name} {delta:+}");
        }
    }
    let too_long = ProveOptions { context: &[0; (1 << 16) + 1], ..ProveOptions::default() };
    let result = FIXTURE.pk.prove(&FIXTURE.input, too_long);
    assert_eq!(result.err(), Some(ProverError::Context { limit: 1 << 16, actual: (1 << 16) + 1 }));
}

#[test]
fn a_false_flattening_copy_is_rejected() {
    let requantize = Requantize { shift: 3, function: Function::Relu, output: Range::new(0, 63), domain: 9 };
    let gemm = |inputs, outputs, requantize| {
        Layer::Gemm(Gemm { inputs, outputs, weight_bits: 4, bias_bits: None, requantize })
    };
    let node = |layer, input: u32| Node { layer, inputs: vec![input] };
    let nodes =
        vec![node(gemm(4, 4, Some(requantize)), 0), node(reshape(&[3, 8]), 1), node(gemm(8, 2, None), 2)];
    let layers = list(&[6, 4], Range::new(-20, 31), nodes, TableBits { limb: 6, direct: 8 });
    let model = Model { layers, parameters: vec![vec![3; 16], vec![-2; 16]] };
    let (pk, vk) = keys(&model);
    let input = model.random_input(2);
    for (hooks, expected) in [(0, Ok(())), (1, Err(Rejection::FalseClaim))] {
        let mut hooks = Add("layer 0 output as [3, 8]", 7, hooks);
        let proof = pk
            .prove_with(&input, ProveOptions::default(), None, &mut hooks, &mut |_| {})
            .expect("it finishes");
        assert_eq!(vk.verify(&proof.bytes, b"").map(|_| ()), expected);
    }
}

#[test]
fn a_quotient_saturated_in_stages_is_not_free() {
    let requantize =
        Requantize { shift: 20, function: Function::Identity, output: Range::new(-8, 7), domain: 40 };
    let gemm =
        Gemm { inputs: 1, outputs: 2, weight_bits: 2, bias_bits: Some(40), requantize: Some(requantize) };
    let nodes = vec![Node { layer: Layer::Gemm(gemm), inputs: vec![0] }];
    let layers = list(&[1], Range::new(0, 1), nodes, TableBits { limb: 4, direct: 4 });
    let model = Model { layers, parameters: vec![vec![1, -1], vec![0, 3 << 20]] };
    let (pk, vk) = keys(&model);
    assert_eq!(model.run(&[1]), [0, 3]);
    let verdict = |hooks: &mut Add| {
        let proof =
            pk.prove_with(&[1], ProveOptions::default(), None, hooks, &mut |_| {}).expect("it finishes");
        vk.verify(&proof.bytes, b"").map(|_| ())
    };
    assert_eq!(verdict(&mut Add("layer 0 output", 0, 0)), Ok(()));
    for name in [
        "layer 0 to 27 bits, quotient high",
        "layer 0 to 27 bits, quotient low bits 24..27",
        "layer 0 to 27 bits, inside",
        "layer 0 to 27 bits, saturated",
        "layer 0 to 14 bits, quotient high",
        "layer 0 to 14 bits, saturated",
        "layer 0 quotient high",
        "layer 0 saturated",
    ] {
        assert_eq!(verdict(&mut Add(name, 0, 1)), Err(Rejection::FalseClaim), "{name}");
    }
}
