//! What a proof's time is attributed to.

use super::models::{Model, Recipe, activation, list, reshape};
use crate::costs::{Costs, Shared};
use crate::hooks::Hooks;
use crate::watch::{Digits, Lap, Watch, Work};
use crate::{Phase, ProveOptions, ProvingKey};
use provenn_circuits::Modes;
use provenn_circuits::artifact::{Kind, ProofContent, decode};
use provenn_circuits::circuit::Role;
use provenn_circuits::layers::{Function, Gemm, Layer};
use provenn_circuits::layout::Group;
use provenn_circuits::model::{Node, Range, TableBits};
use provenn_circuits::reduction::Subject;
use provenn_circuits::system::{KeyShape, LayerCounts, System};

/// An activation, a reshape that needs a copy, one that needs none, and a matrix product.
fn reshaped() -> Model {
    let gemm = Gemm { inputs: 4, outputs: 3, weight_bits: 4, bias_bits: Some(6), requantize: None };
    let node = |layer, input: u32| Node { layer, inputs: vec![input] };
    let nodes = vec![
        node(activation(Function::Relu, 1, Range::new(0, 15), 5), 0),
        node(reshape(&[3, 4]), 1),
        node(Layer::Gemm(gemm), 2),
        node(reshape(&[9]), 3),
    ];
    let layers = list(&[4, 3], Range::new(-20, 31), nodes, TableBits { limb: 4, direct: 5 });
    Model { layers, parameters: vec![(0..12).map(|i| i % 7 - 3).collect(), vec![1, -2, 3]] }
}

fn key(model: &Model) -> ProvingKey {
    ProvingKey::commit(model.layers.clone(), model.parameters.clone(), vec![], &mut |_| {})
        .expect("a valid model")
}

fn sum(costs: &Costs) -> f64 {
    let layers: f64 = (0..costs.layers()).map(|node| costs.layer(node)).sum();
    layers + Shared::ALL.iter().map(|&part| costs.shared(part)).sum::<f64>()
}

#[track_caller]
fn equal(actual: f64, expected: f64) {
    assert!((actual - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{actual}, expected {expected}");
}

#[test]
fn layers_and_shared_parts_add_up_to_the_whole_proof() {
    for model in [super::false_layers::model(), reshaped(), Recipe::default().build()] {
        let key = key(&model);
        for modes in Modes::ALL {
            let options = ProveOptions { modes, ..ProveOptions::default() };
            let mut phases = Vec::new();
            let started = std::time::Instant::now();
            let (proof, costs) = key
                .prove_measured(&model.random_input(1), options, &mut |phase| phases.push(phase))
                .expect("a valid input");
            let elapsed = started.elapsed().as_nanos() as f64;
            assert_eq!(proof.output, model.run(&model.random_input(1)));
            assert_eq!(phases, Phase::ALL);
            assert_eq!(costs.layers(), model.layers.nodes.len());
            equal(sum(&costs), costs.total());
            assert!(0.0 < costs.total() && costs.total() <= elapsed);
            for (index, node) in model.layers.nodes.iter().enumerate() {
                let by_phase: f64 = Phase::ALL.iter().map(|&phase| costs.layer_phase(index, phase)).sum();
                equal(by_phase, costs.layer(index));
                let free = matches!(node.layer, Layer::Reshape(_));
                assert_eq!(costs.layer(index) == 0.0, free, "layer {index}: {}", node.layer.kind());
                assert_eq!(costs.layer_phase(index, Phase::Products), 0.0);
            }
            for part in Shared::ALL {
                assert!(costs.shared(part) > 0.0, "{part:?}");
            }
            assert_eq!((costs.layer(costs.layers()), costs.layer_phase(99, Phase::Witness)), (0.0, 0.0));
        }
    }
}

#[test]
fn counts_of_layers_add_up_to_those_of_the_circuit() {
    for model in [super::false_layers::model(), reshaped(), Recipe::default().build()] {
        let shape = KeyShape::derive(&model.layers).expect("a valid list");
        let nodes = model.layers.nodes.len();
        for modes in Modes::ALL {
            let system = shape.inference(modes);
            let layers = system.layer_counts(nodes);
            let all = |count: fn(&LayerCounts) -> usize| layers.iter().map(count).sum::<usize>();
            let rows: usize = system.circuit.tables.iter().map(|table| table.rows()).sum();
            let counts = system.counts();
            // Multiplicities are as many as rows. A committed input, its limbs and range checks are no layer's.
            let input = system.circuit.input().expect("an input");
            let of_input = |id: usize| id == input || system.circuit.tensors[id].name.starts_with("input ");
            let tensors = system.circuit.tensors.iter().enumerate();
            let input_values: usize = tensors
                .filter(|(id, tensor)| of_input(*id) && Group::of(tensor.role).is_some())
                .map(|(_, tensor)| tensor.len())
                .sum();
            assert_eq!(all(|layer| layer.committed) + rows + input_values, counts.committed, "{modes:?}");
            if modes.index() & 1 == 0 {
                assert_eq!(input_values, 0);
                assert_eq!(all(|layer| layer.lookups), counts.lookups);
                assert_eq!(all(|layer| layer.leaves) + rows, counts.leaves);
            } else {
                assert!(all(|layer| layer.lookups) < counts.lookups);
            }
        }
    }
}

#[test]
fn a_layers_parts_are_its_own() {
    // Two layers of 7 to 5 and 5 to 3, of which the first is rounded and looked up.
    let shape = KeyShape::derive(&Recipe::default().build().layers).expect("a valid list");
    let system = shape.inference(Modes::PUBLIC);
    let origins = &system.circuit.origins;
    for (id, tensor) in system.circuit.tensors.iter().enumerate() {
        let expected = match tensor.role {
            Role::Input(_) | Role::Multiplicity(_) => None,
            _ => tensor.name.strip_prefix("layer ").and_then(|name| name[..1].parse().ok()),
        };
        assert_eq!(origins.tensor(id), expected, "{}", tensor.name);
    }
    // The first layer saturates, which is a product too.
    assert_eq!((origins.contract(0), origins.contract(1), origins.contract(2)), (Some(0), Some(0), Some(1)));
    assert_eq!(origins.contract(system.circuit.contracts.len()), None);
    assert!((0..system.circuit.lookups.len()).all(|index| origins.lookup(index) == Some(0)));
    let counts = system.layer_counts(2);
    assert_eq!((counts[0].lookups, counts[1].lookups), (system.counts().lookups, 0));
    // The last layer's only tensor is the public output.
    assert_eq!((counts[0].committed > 0, counts[1].committed), (true, 0));
}

/// The costs of one lap of a million nanoseconds.
fn divided(system: &System, work: Work) -> Costs {
    Costs::new(system, 2, &[Lap { phase: Phase::Opening, work, nanoseconds: 1e6 }])
}

#[test]
fn batched_work_is_divided_by_what_drives_it() {
    let recipe = Recipe { widths: vec![7, 5, 3], raw_output: false, ..Recipe::default() };
    let shape = KeyShape::derive(&recipe.build().layers).expect("a valid list");
    let system = shape.inference(Modes::PUBLIC);
    let circuit = &system.circuit;
    let layers = |costs: &Costs| (costs.layer_phase(0, Phase::Opening), costs.layer_phase(1, Phase::Opening));

    // Leaves: each look-up's own, and each table's by the look-ups in it.
    let counts = system.layer_counts(2);
    let mut expected = [counts[0].leaves as f64, counts[1].leaves as f64];
    for (table, rows) in circuit.tables.iter().enumerate() {
        let mut lookups = [0.0; 2];
        for (index, lookup) in circuit.lookups.iter().enumerate().filter(|(_, l)| l.table == table) {
            let layer = circuit.origins.lookup(index).expect("a layer's");
            lookups[layer] += lookup.extents.iter().product::<usize>() as f64;
        }
        for layer in 0..2 {
            expected[layer] += rows.rows() as f64 * lookups[layer] / (lookups[0] + lookups[1]);
        }
    }
    let leaves = system.counts().leaves as f64;
    equal(expected[0] + expected[1], leaves);
    let costs = divided(system, Work::Tree);
    equal(layers(&costs).0, 1e6 * expected[0] / leaves);
    equal(layers(&costs).1, 1e6 * expected[1] / leaves);

    // Entries of the folded operands: 7 and 5 summed indices, padded to 8 both; saturations have their own.
    let entries = |node| {
        let own = (0..circuit.contracts.len()).filter(|&l| circuit.origins.contract(l) == Some(node));
        own.map(|l| {
            let padded = |extents: &[usize]| extents.iter().map(|d| d.next_power_of_two()).product::<usize>();
            (padded(&circuit.contracts[l].b) * padded(&circuit.contracts[l].k)) as f64
        })
        .sum::<f64>()
    };
    let costs = divided(system, Work::Rounds);
    equal(layers(&costs).0, 1e6 * entries(0) / (entries(0) + entries(1)));

    // Measured times, and what is left for nobody.
    let of = |node| {
        let own = (0..circuit.lookups.len()).find(|&l| circuit.origins.lookup(l) == Some(node));
        Subject::Lookup(own.expect("a look-up"))
    };
    let times = vec![(of(0), 3.0), (of(1), 1.0)];
    assert_eq!(layers(&divided(system, Work::Subjects(times))), (75e4, 25e4));
    let weights: Vec<usize> = (0..circuit.tensors.len())
        .filter(|&id| matches!(circuit.tensors[id].role, Role::Weight(_)))
        .collect();
    let costs = divided(system, Work::Terms(vec![(weights[0], 1.0), (weights[2], 4.0)]));
    assert_eq!(layers(&costs), (2e5, 8e5));
    assert_eq!(divided(system, Work::Terms(vec![])).shared(Shared::Opening), 1e6);
    assert_eq!(layers(&divided(system, Work::Subject(Subject::Contract(0)))), (1e6, 0.0));

    // A column by the entries of the tensors in it: all parameters fit into three columns of 32.
    let range = system.layout.weights.clone();
    let costs = divided(system, Work::Columns(vec![(range.clone(), 3.0)], 1.0));
    equal(costs.shared(Shared::Opening), 25e4);
    equal(layers(&costs).0 + layers(&costs).1, 75e4);
    let column = system.layout.columns_of(weights[0], &circuit.tensors[weights[0]].shape);
    let costs = divided(system, Work::Columns(vec![(column, 1.0)], 0.0));
    assert!(layers(&costs).0 > 0.0);

    // Digits of commitments, and of every column one point and nothing to put together.
    let mut digits = vec![Digits::default(); circuit.tensors.len()];
    let witness = |node| {
        let own = |&id: &usize| {
            circuit.tensors[id].role == Role::Witness && circuit.origins.tensor(id) == Some(node)
        };
        (0..digits.len()).find(own).expect("a witness tensor")
    };
    let (first, second) = (witness(0), witness(1));
    digits[first] = Digits { nonzero: 30_000, longest: 1 };
    digits[second] = Digits { nonzero: 10_000, longest: 1 };
    let costs = divided(system, Work::Commitments(digits));
    let columns = system.layout.witness.len() as f64;
    let least = 1e6 * 30_000.0 / (40_000.0 + columns);
    assert!(least <= layers(&costs).0 && layers(&costs).0 <= least + 1e6 * columns / 40_000.0);
    equal(layers(&costs).0 + layers(&costs).1, 1e6);
}

#[test]
fn digits_are_counted_as_they_are_committed() {
    let digits = |values: &[i64]| {
        let Digits { nonzero, longest } = Digits::of(values);
        (nonzero, longest)
    };
    assert_eq!(digits(&[]), (0, 0));
    assert_eq!(digits(&[0, 1, -1, 128, -128]), (4, 1));
    // 129 = 256 - 127.
    assert_eq!(digits(&[129, 0]), (2, 2));
    assert_eq!(digits(&[256, -(1 << 16), 0x8080]), (1 + 1 + 2, 3));
    assert_eq!(digits(&[i64::MIN]), (1, 8));
    assert_eq!(digits(&[i64::MAX]), (2, 8));
    for value in (-70_000..70_000).step_by(37) {
        // Against the definition: the digits' sum is the value.
        let (mut rest, mut count) = (i64::abs(value), 0);
        while rest != 0 {
            let digit = (rest + 127).rem_euclid(256) - 127;
            count += u64::from(digit != 0);
            rest = (rest - digit) / 256;
        }
        assert_eq!(digits(&[value]).0, count, "{value}");
    }
}

struct Seeded;

impl Hooks for Seeded {
    fn seed(&mut self) -> Option<[u8; 32]> {
        Some([7; 32])
    }

    fn commits_early(&self) -> bool {
        true
    }
}

#[test]
fn measuring_changes_no_byte() {
    let model = super::false_layers::model();
    let (key, input) = (key(&model), model.random_input(3));
    let prove = |watch: &mut Watch<'_>| {
        key.prove_watched(&input, ProveOptions::default(), None, &mut Seeded, watch)
            .expect("a valid input")
            .bytes
    };
    let plain = prove(&mut Watch::new(&mut |_| {}));
    assert_eq!(prove(&mut Watch::measuring(&mut |_| {})), plain);
}

#[test]
fn a_proofs_messages_have_the_bytes_that_are_counted() {
    // With and without look-ups, contracts, saturations, halving.
    let halved = Recipe { widths: vec![90, 70, 8], shift: 9, ..Recipe::default() }.build();
    let plain = Recipe { widths: vec![7, 3], ..Recipe::default() }.build();
    for model in [super::false_layers::model(), reshaped(), halved, plain] {
        let key = key(&model);
        for modes in Modes::ALL {
            let options = ProveOptions { modes, ..ProveOptions::default() };
            let proof = key.prove(&model.random_input(1), options).expect("a valid input").bytes;
            let content: ProofContent<'_> = decode(Kind::Proof, &proof).expect("a proof");
            let parts = key.shape().inference(modes).message_parts(key.shape().k);
            let counted: usize = parts.iter().map(|(_, bytes)| bytes).sum();
            assert_eq!(counted, content.messages.len(), "{modes:?}: {parts:?}");
        }
    }
}
