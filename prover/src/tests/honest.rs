//! Honest proofs are accepted and say what the executor computes.

use super::models::{Model, Recipe, activation, list, reshape, rng, uniform};
use crate::hooks::{Honest, Hooks};
use crate::prepared::{Purpose, fresh_seed};
use crate::{Prepared, ProveOptions, ProverError, ProvingKey};
use proptest::prelude::*;
use provenn_circuits::circuit::Visibility;
use provenn_circuits::layers::{Activation, Function, Gemm, Layer, Requantize};
use provenn_circuits::model::{Node, Range, TableBits};
use provenn_circuits::system::KeyShape;
use provenn_circuits::{CircuitError, Modes};
use provenn_verifier::{Part, Rejection, Shown, VerifyingKey};

pub(super) fn keys(model: &Model) -> (ProvingKey, VerifyingKey) {
    let pk = ProvingKey::commit(model.layers.clone(), model.parameters.clone(), vec![], &mut |_| {})
        .expect("the model is valid");
    let vk =
        VerifyingKey::from_bytes(&pk.verifying_key().expect("a small key")).expect("the key proof is true");
    (pk, vk)
}

pub(super) fn accepted(model: &Model, inputs: &[Vec<i64>]) {
    let (pk, vk) = keys(model);
    for input in inputs {
        let proof = pk.prove(input, ProveOptions::default()).expect("a valid input");
        assert_eq!(proof.output, model.run(input), "constraints and executor agree");
        let verified = vk.verify(&proof.bytes, b"").expect("an honest proof");
        assert_eq!(verified.input.values(), Some(&input[..]));
        assert_eq!(verified.output.values(), Some(&proof.output[..]));
    }
}

/// All-minimum, all-maximum and random extreme inputs.
pub(super) fn extremes(model: &Model) -> Vec<Vec<i64>> {
    let Range { lo, hi } = model.layers.input_range;
    let len = model.random_input(0).len();
    let mut rng = rng(77);
    let mixed = (0..len).map(|_| if uniform(&mut rng, Range::new(0, 1)) == 0 { lo } else { hi }).collect();
    vec![vec![lo; len], vec![hi; len], mixed]
}

fn recipes() -> impl Strategy<Value = Recipe> {
    (
        (1usize..4, prop::collection::vec(1usize..10, 2..5), 2u8..13, any::<bool>()),
        (4u8..9, 6u8..12, 0u8..9, any::<bool>(), any::<u64>()),
    )
        .prop_map(|((rows, widths, weight_bits, bias), (limb, direct, shift, raw_output, seed))| {
            Recipe {
                rows,
                widths,
                weight_bits,
                bias,
                tables: TableBits { limb, direct },
                shift,
                raw_output,
                seed,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn random_perceptrons_are_proved_on_random_and_extreme_inputs(recipe in recipes()) {
        let model = recipe.build();
        let mut inputs = extremes(&model);
        inputs.push(model.random_input(recipe.seed));
        accepted(&model, &inputs);
    }
}

/// An activation, a reshape and a product over random shapes: every linear, bilinear and look-up form, with copies
/// where the reshape cuts across axes, and with a model of one reader or of two.
fn graphs() -> impl Strategy<Value = (Model, u64)> {
    let shape = prop::collection::vec(1usize..6, 1..4);
    let requantization = (any::<bool>(), 0u8..4, 0u8..3);
    (shape, requantization, 1u32..5, any::<prop::sample::Index>(), any::<bool>(), any::<u64>()).prop_map(
        |(shape, (rectify, shift, spare), outputs, cut, twice, seed)| {
            let input = Range::new(-13, 18);
            let (function, output) = if rectify {
                (Function::Relu, Range::new(0, 15))
            } else {
                (Function::Identity, Range::new(-7, 9))
            };
            let domain = Requantize::domain_of(shift, input) + spare;
            let entries: usize = shape.iter().product();
            let divisors: Vec<usize> = (1..=entries).filter(|d| entries.is_multiple_of(*d)).collect();
            let inputs = divisors[cut.index(divisors.len())];
            let gemm = Layer::Gemm(Gemm {
                inputs: inputs as u32,
                outputs,
                weight_bits: 4,
                bias_bits: Some(6),
                requantize: None,
            });
            let node = |layer, input: u32| Node { layer, inputs: vec![input] };
            let mut nodes = vec![
                node(activation(function, shift, output, domain), 0),
                node(reshape(&[(entries / inputs) as u32, inputs as u32]), 1),
                node(gemm, 2),
            ];
            if twice {
                // The activation's output is read a second time.
                nodes.push(node(activation(Function::Identity, 1, Range::new(-4, 5), 5), 1));
            }
            let tables = TableBits { limb: 4, direct: 4 };
            let mut rng = rng(seed);
            let mut random =
                |len: usize, bits| (0..len).map(|_| uniform(&mut rng, Range::signed(bits))).collect();
            let parameters = vec![random(inputs * outputs as usize, 4), random(outputs as usize, 6)];
            (Model { layers: list(&shape, input, nodes, tables), parameters }, seed)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn random_activations_and_reshapes_are_proved((model, seed) in graphs()) {
        let mut inputs = extremes(&model);
        inputs.push(model.random_input(seed));
        accepted(&model, &inputs);
    }
}

#[test]
fn extreme_weights_are_proved() {
    for (w, b) in [(-128, -2048), (127, 2047), (0, 0)] {
        let mut model = Recipe { widths: vec![9, 4, 2], shift: 3, ..Recipe::default() }.build();
        for parameters in model.parameters.chunks_mut(2) {
            parameters[0].fill(w);
            parameters[1].fill(b);
        }
        accepted(&model, &extremes(&model));
    }
}

#[test]
fn wide_rows_and_many_columns_are_proved() {
    // Weights over several columns, with padding in both axes.
    let model = Recipe { widths: vec![100, 70, 33, 10], shift: 9, ..Recipe::default() }.build();
    accepted(&model, &[model.random_input(5)]);
}

#[test]
fn degenerate_models_are_proved() {
    let tables = TableBits { limb: 4, direct: 4 };
    let range = Range::new(-8, 7);
    let node = |layer, input: u32| Node { layer, inputs: vec![input] };
    let gemm = |inputs, outputs, bias_bits, requantize| {
        Layer::Gemm(Gemm { inputs, outputs, weight_bits: 3, bias_bits, requantize })
    };
    // No look-up in the inference, one weight, no bias.
    let one = list(&[1], range, vec![node(gemm(1, 1, None, None), 0)], tables);
    accepted(&Model { layers: one, parameters: vec![vec![-4]] }, &[vec![-8], vec![7], vec![0]]);
    // No contract and no weights: an activation alone, and after a reshape.
    let relu = || activation(Function::Relu, 1, Range::new(0, 3), 3);
    let alone = list(&[5], range, vec![node(relu(), 0)], tables);
    accepted(&Model { layers: alone, parameters: vec![] }, &[vec![-8, -1, 0, 1, 7]]);
    let reshaped = list(&[2, 3], range, vec![node(reshape(&[3, 2]), 0), node(relu(), 1)], tables);
    accepted(&Model { layers: reshaped, parameters: vec![] }, &[vec![-8, -1, 0, 1, 7, 6]]);
    // Nothing but a reshape.
    let copy = list(&[2, 3], range, vec![node(reshape(&[6]), 0)], tables);
    accepted(&Model { layers: copy, parameters: vec![] }, &[vec![-8, -1, 0, 1, 7, 6]]);
    // A quotient without remainder, wider than the direct table: saturated first.
    let wide = Requantize { shift: 0, function: Function::Identity, output: Range::new(-8, 7), domain: 8 };
    let saturated = list(&[3], range, vec![node(gemm(3, 2, Some(4), Some(wide)), 0)], tables);
    let parameters = vec![vec![3, -4, 3, 0, 1, -1], vec![-8, 7]];
    accepted(&Model { layers: saturated, parameters }, &[vec![7, -8, 7], vec![-8, 7, -8], vec![0, 1, 0]]);
}

#[test]
fn quotients_far_beyond_the_tables_are_saturated_in_stages() {
    let tables = TableBits { limb: 5, direct: 4 };
    let node = |layer, input: u32| Node { layer, inputs: vec![input] };
    for (shift, bias_bits, domain) in
        [(0, 34, 34), (0, 40, 40), (20, 40, 40), (8, 40, 32), (0, 20, 20), (3, 17, 18)]
    {
        let requantize =
            Requantize { shift, function: Function::Identity, output: Range::new(-9, 12), domain };
        let gemm = Gemm {
            inputs: 1,
            outputs: 9,
            weight_bits: 3,
            bias_bits: Some(bias_bits),
            requantize: Some(requantize),
        };
        let edge = 1i64 << (bias_bits - 1);
        let bias = [edge - 1, -edge, 0, 11, -10, 1 << 16, -(1 << 16), (1 << 13) - 1, -(1 << 13)];
        let bias = bias.iter().map(|b: &i64| (*b).clamp(-edge, edge - 1)).collect();
        let layers = list(&[1], Range::new(-2, 1), vec![node(Layer::Gemm(gemm), 0)], tables);
        let model = Model { layers, parameters: vec![vec![1, -1, 3, 0, 2, -4, 1, 1, 1], bias] };
        accepted(&model, &[vec![-2], vec![0], vec![1]]);
    }
}

#[test]
fn reshapes_that_cut_across_axes_are_proved() {
    let tables = TableBits { limb: 6, direct: 8 };
    let node = |layer, input: u32| Node { layer, inputs: vec![input] };
    let requantize = Requantize { shift: 3, function: Function::Relu, output: Range::new(0, 63), domain: 9 };
    let gemm = |inputs, outputs, requantize| {
        Layer::Gemm(Gemm { inputs, outputs, weight_bits: 4, bias_bits: None, requantize })
    };
    // [4, 6] -> [4, 5] -> [2, 10] -> [2, 3]: the second product sums over parts of two axes of the first's output.
    let nodes =
        vec![node(gemm(6, 5, Some(requantize)), 0), node(reshape(&[2, 10]), 1), node(gemm(10, 3, None), 2)];
    let mut rng = rng(4);
    let mut weights =
        |len: usize| (0..len).map(|_| uniform(&mut rng, Range::signed(4))).collect::<Vec<i64>>();
    let parameters = vec![weights(30), weights(30)];
    let model = Model { layers: list(&[4, 6], Range::new(-20, 31), nodes, tables), parameters };
    accepted(&model, &[model.random_input(1), model.random_input(2)]);
    // [6, 4] -> [24] -> [3, 8]: no boundary of the first shape fits the second.
    let nodes = vec![
        node(gemm(4, 4, Some(requantize)), 0),
        node(reshape(&[3, 8]), 1),
        node(gemm(8, 2, Some(requantize)), 2),
    ];
    let mut weights =
        |len: usize| (0..len).map(|_| uniform(&mut rng, Range::signed(4))).collect::<Vec<i64>>();
    let parameters = vec![weights(16), weights(16)];
    let model = Model { layers: list(&[6, 4], Range::new(-20, 31), nodes, tables), parameters };
    accepted(&model, &[model.random_input(1)]);
}

#[test]
fn copies_of_values_that_are_never_zero_are_proved() {
    let tables = TableBits { limb: 4, direct: 4 };
    let node = |layer, input: u32| Node { layer, inputs: vec![input] };
    let gemm = Gemm { inputs: 2, outputs: 3, weight_bits: 3, bias_bits: None, requantize: None };
    let nodes = vec![
        node(activation(Function::Identity, 0, Range::new(3, 10), 4), 0),
        node(reshape(&[6, 2]), 1),
        node(Layer::Gemm(gemm), 2),
    ];
    let layers = list(&[3, 4], Range::new(5, 10), nodes, tables);
    let model = Model { layers, parameters: vec![vec![-4, 3, 1, 0, 2, -1]] };
    accepted(&model, &extremes(&model));
}

#[test]
fn domains_that_some_valid_input_leaves_are_refused_at_commit() {
    let mut model = Recipe::default().build();
    let values = model.layers.values().expect("a valid list");
    let parameters = [&model.parameters[0][..], &model.parameters[1]];
    let worst = model.layers.nodes[0].layer.worst_case(&[&values[0]], &parameters).expect("small integers");
    let Layer::Gemm(gemm) = &mut model.layers.nodes[0].layer else { panic!("a Gemm") };
    let requantize = gemm.requantize.as_mut().expect("requantized");
    let needed = Requantize::domain_of(requantize.shift, worst);
    let commit = |layers: &provenn_circuits::LayerList| {
        ProvingKey::commit(layers.clone(), model.parameters.clone(), vec![], &mut |_| {}).map(|_| ())
    };
    requantize.domain = needed;
    let sufficient = model.layers.clone();
    let Layer::Gemm(gemm) = &mut model.layers.nodes[0].layer else { panic!("a Gemm") };
    gemm.requantize.as_mut().expect("requantized").domain = needed - 1;
    assert_eq!(commit(&sufficient), Ok(()));
    assert!(matches!(
        commit(&model.layers),
        Err(ProverError::Circuit(CircuitError::Parameter { node: Some(0), .. }))
    ));
    // For an activation the layer list alone tells.
    let narrow = Node { layer: activation(Function::Relu, 1, Range::new(0, 3), 2), inputs: vec![0] };
    let layers = list(&[5], Range::new(-16, 15), vec![narrow], TableBits { limb: 4, direct: 4 });
    assert!(matches!(layers.values(), Err(CircuitError::Parameter { node: Some(0), value: 2, lo: 4, .. })));
}

#[test]
fn keys_that_ask_for_too_much_are_refused_before_any_work() {
    let tables = TableBits { limb: 4, direct: 4 };
    let range = Range::new(-8, 7);
    let node = |layer, input: u32| Node { layer, inputs: vec![input] };
    // Each list is refused by the very limit that it is meant to break, so that none can be lost unnoticed.
    let refused = |shape: &[usize], nodes: Vec<Node>, limit: &str| {
        let broken = match KeyShape::derive(&list(shape, range, nodes, tables)) {
            Err(CircuitError::Parameter { what, .. }) => what,
            Err(CircuitError::Shape { .. }) => "shape",
            other => panic!("{limit}: {:?}", other.map(|_| ())),
        };
        assert_eq!(broken, limit);
    };
    let raw = |inputs, outputs, weight_bits| {
        Layer::Gemm(Gemm { inputs, outputs, weight_bits, bias_bits: None, requantize: None })
    };
    // Tables beyond 2^14 rows: the function is not constant where it would be saturated.
    refused(
        &[3],
        vec![node(activation(Function::Identity, 0, Range::new(-8192, 8191), 14), 0)],
        "bits of a look-up table's domain",
    );
    // An axis longer than any verifier wants to walk; more entries than memory.
    refused(
        &[1 << 26],
        vec![node(activation(Function::Relu, 0, Range::new(0, 3), 4), 0)],
        "number of padded values",
    );
    refused(&[1 << 14, 1 << 14], vec![node(activation(Function::Relu, 0, Range::new(0, 3), 4), 0)], "shape");
    refused(
        &[1 << 30, 1 << 30, 1 << 30],
        vec![node(activation(Function::Relu, 0, Range::new(0, 3), 4), 0)],
        "shape",
    );
    refused(&[1 << 11, 1 << 11, 2], vec![node(raw(2, 1, 3), 0)], "number of entries of input and output");
    refused(&[1 << 22], vec![node(raw(1 << 22, 1, 3), 0)], "sum of the extents that constraints read");
    // Many small tensors, each of which may be held whole.
    let nodes = (0..1025).map(|_| node(raw(256, 128, 3), 0)).collect();
    refused(&[256], nodes, "number of padded entries of small tensors");
    // Accumulators beyond 64 bits after a chain of raw outputs.
    let wide = |inputs| raw(inputs, 1, 16);
    let chain = list(
        &[1 << 18],
        Range::new(-65536, -1),
        vec![node(wide(1 << 18), 0), node(wide(1), 1), node(wide(1), 2)],
        tables,
    );
    assert!(matches!(KeyShape::derive(&chain), Err(CircuitError::Wraps { .. })));
    // A requantization whose coefficients would overflow: then its quotient would be free.
    for (shift, domain) in [(40, 40), (40, 36), (40, 21), (21, 40)] {
        let requantize =
            Requantize { shift, function: Function::Identity, output: Range::new(-8, 7), domain };
        let gemm =
            Gemm { inputs: 1, outputs: 1, weight_bits: 2, bias_bits: None, requantize: Some(requantize) };
        refused(&[1], vec![node(Layer::Gemm(gemm), 0)], "requantization shift plus domain bits");
        refused(
            &[1],
            vec![node(Layer::Activation(Activation { requantize }), 0)],
            "requantization shift plus domain bits",
        );
    }
    // Tensors of ever more axes, built by products over one entry.
    let nodes =
        (0..20u32).flat_map(|i| [node(raw(1, 2, 2), 2 * i), node(reshape(&[1 << (i + 1), 1]), 2 * i + 1)]);
    refused(&[1], nodes.collect(), "number of axes of a tensor");
    // Many values that are read under shapes that split their axis.
    let identity = || activation(Function::Identity, 0, range, 4);
    let nodes = (0..40u32).flat_map(|i| {
        [node(identity(), 0), node(reshape(&[60, 60]), 3 * i + 1), node(raw(60, 1, 2), 3 * i + 2)]
    });
    refused(&[3600], nodes.collect(), "sum of the ranks of split axes");
    // A large input that many layers read whole.
    let nodes = (0..40).map(|_| node(raw(256, 1, 3), 0)).collect();
    refused(&[16, 16, 8, 4, 256], nodes, "number of entries of input and output that constraints read");
    // More axes than any tensor has.
    refused(&[1; 9], vec![node(reshape(&[1]), 0)], "number of axes of the input");
    refused(&[1], vec![node(reshape(&[1; 1000]), 0)], "number of axes");
    // Eight axes in many layers: no factorial search.
    let nodes = (0..16).map(|n| node(activation(Function::Identity, 0, range, 4), n)).collect();
    assert!(KeyShape::derive(&list(&[3; 8], range, nodes, tables)).is_ok());
}

#[test]
fn every_choice_of_visibility_is_proved_and_opened() {
    for raw_output in [true, false] {
        let model = Recipe { raw_output, ..Recipe::default() }.build();
        let (pk, vk) = keys(&model);
        let input = model.random_input(9);
        let output = model.run(&input);
        for modes in Modes::ALL {
            let options = ProveOptions { modes, context: b"here" };
            let proof = pk.prove(&input, options).expect("a valid input");
            let verified = vk.verify(&proof.bytes, b"here").expect("an honest proof");
            let parts = [(Part::Input, &verified.input, &input), (Part::Output, &verified.output, &output)];
            for (part, shown, values) in parts {
                match shown {
                    Shown::Public(public) => {
                        assert_eq!(public, values);
                        if let Some(opening) = &proof.opening {
                            assert_eq!(
                                vk.open(&proof.bytes, opening, part),
                                Err(Rejection::NothingToOpen { part })
                            );
                        }
                    }
                    Shown::Committed { .. } => {
                        let opening = proof.opening.as_ref().expect("something is committed");
                        assert_eq!(vk.open(&proof.bytes, opening, part).as_ref(), Ok(values));
                        // Another proof's opening opens nothing here.
                        let other = pk.prove(&model.random_input(10), options).expect("a valid input");
                        let other = other.opening.expect("something is committed");
                        assert_eq!(
                            vk.open(&proof.bytes, &other, part),
                            Err(Rejection::WrongOpening { part })
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn rows_of_every_length_are_opened() {
    // The smallest rows are not halved; then one to four rounds.
    for (widths, shift, n) in [
        (vec![7, 5, 3], 5, 32),
        (vec![40, 40, 3], 9, 64),
        (vec![100, 70, 33, 10], 9, 128),
        (vec![200, 200, 10], 9, 256),
        (vec![512, 400, 2], 10, 512),
    ] {
        let model = Recipe { widths, shift, ..Recipe::default() }.build();
        assert_eq!(KeyShape::derive(&model.layers).expect("a valid list").n, n);
        accepted(&model, &[model.random_input(3)]);
    }
}

/// Lets all randomness of a proof follow from a number.
struct Seeded(u8);

impl Hooks for Seeded {
    fn seed(&mut self) -> Option<[u8; 32]> {
        Some([self.0; 32])
    }

    fn commits_early(&self) -> bool {
        true
    }
}

/// The same, but commits when the whole witness is known.
struct Late(u8);

impl Hooks for Late {
    fn seed(&mut self) -> Option<[u8; 32]> {
        Some([self.0; 32])
    }
}

#[test]
fn a_proof_from_a_fixed_seed_has_these_bytes() {
    // Whole keys and proofs, whatever the threads and the instructions that compute them.
    let small = Recipe::default();
    let saturated = Recipe {
        widths: vec![17, 11, 6, 3],
        tables: TableBits { limb: 4, direct: 6 },
        raw_output: false,
        ..Recipe::default()
    };
    let halved = Recipe { widths: vec![90, 70, 8], shift: 9, ..Recipe::default() };
    let recipes = [small, saturated, halved];
    // Change with the protocol and the formats; the assertion prints the new ones.
    let expected = [
        "649a13bb1470aee99ae18724ad1fb96f",
        "367fcccb584f945ea488ad128f8a4f0f",
        "30b1626f917bbf59d74049c852182365",
    ];
    for (threads, early) in [(1, true), (1, false), (2, true), (2, false)] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let actual: Vec<String> = recipes
            .iter()
            .map(|recipe| {
                let model = recipe.build();
                let (key, proof) = pool.install(|| match early {
                    true => seeded(&model, &mut Seeded(1), Modes::ALL[3]),
                    false => seeded(&model, &mut Late(1), Modes::ALL[3]),
                });
                let hash = blake2b_simd::Params::new()
                    .hash_length(16)
                    .to_state()
                    .update(&key)
                    .update(&proof)
                    .finalize();
                hash.to_hex().to_string()
            })
            .collect();
        assert_eq!(actual, expected, "on {threads} threads, commitments made early: {early}");
    }
}

#[test]
fn commitments_made_early_are_those_made_late() {
    // Windows, several limbs, shared columns, and rows so long that nothing has columns of its own.
    let wide = Recipe { widths: vec![300, 200, 100, 9], shift: 9, ..Recipe::default() };
    let tiny = Recipe { widths: vec![3, 2], ..Recipe::default() };
    for model in [super::false_layers::model(), wide.build(), tiny.build()] {
        for modes in [Modes::ALL[0], Modes::ALL[3]] {
            let late = seeded(&model, &mut Late(2), modes);
            for threads in [1, 2] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                assert!(pool.install(|| seeded(&model, &mut Seeded(2), modes)) == late, "{threads} threads");
            }
        }
    }
}

/// Verifying key and proof from fixed seeds; both are accepted.
fn seeded(model: &Model, hooks: &mut impl Hooks, modes: Modes) -> (Vec<u8>, Vec<u8>) {
    let pk =
        ProvingKey::commit_with(model.layers.clone(), model.parameters.clone(), vec![], hooks, &mut |_| {})
            .expect("the model is valid");
    let key = pk.verifying_key().expect("a small key");
    let options = ProveOptions { modes, context: b"seeded" };
    let proof = pk.prove_with(&model.random_input(1), options, None, hooks, &mut |_| {});
    let proof = proof.expect("a valid input").bytes;
    let vk = VerifyingKey::from_bytes(&key).expect("the key proof is true");
    assert!(vk.verify(&proof, b"seeded").is_ok());
    (key, proof)
}

#[test]
fn a_seed_decides_the_proof_and_its_purposes_are_apart() {
    let model = Recipe::default().build();
    let same = seeded(&model, &mut Seeded(1), Modes::PUBLIC);
    assert_eq!(seeded(&model, &mut Seeded(1), Modes::PUBLIC), same);
    assert_ne!(seeded(&model, &mut Seeded(2), Modes::PUBLIC), same);
    let seeds = [Purpose::Weights, Purpose::Masks, Purpose::Products]
        .map(|purpose| *fresh_seed(&mut Seeded(1), purpose).expect("a fixed seed"));
    assert!(seeds[0] != seeds[1] && seeds[1] != seeds[2] && seeds[2] != seeds[0] && seeds[0] != [1; 32]);
}

#[test]
fn prepared_material_makes_the_same_proof_as_none() {
    let model = Recipe::default().build();
    let (pk, vk) = keys(&model);
    let input = model.random_input(4);
    for modes in Modes::ALL {
        let options = ProveOptions { modes, context: b"" };
        let prepared = pk.prepare(modes).expect("the system gives randomness");
        assert_eq!((prepared.model_id(), prepared.modes()), (pk.model_id(), modes));
        let proof = pk.prove_prepared(&input, options, prepared, &mut |_| {}).expect("a valid input");
        assert_eq!(proof.output, model.run(&input));
        assert!(vk.verify(&proof.bytes, b"").is_ok());
        if let Some(opening) = &proof.opening {
            let part = if modes.input == Visibility::Committed { Part::Input } else { Part::Output };
            assert!(vk.open(&proof.bytes, opening, part).is_ok());
        }
        // From the same seed, byte for byte what a proof without it is.
        let prepared = pk.prepare_with(modes, &mut Seeded(3)).expect("a fixed seed");
        let with = pk.prove_with(&input, options, Some(prepared), &mut Honest, &mut |_| {});
        let without = pk.prove_with(&input, options, None, &mut Seeded(3), &mut |_| {});
        assert_eq!(with, without);
    }
}

#[test]
fn prepared_material_differs_each_time() {
    let model = Recipe::default().build();
    let (pk, _) = keys(&model);
    let input = model.random_input(4);
    let messages = || {
        let prepared = pk.prepare(Modes::PUBLIC).expect("the system gives randomness");
        let proof = pk.prove_prepared(&input, ProveOptions::default(), prepared, &mut |_| {});
        let bytes = proof.expect("a valid input").bytes;
        let content: provenn_circuits::artifact::ProofContent<'_> =
            provenn_circuits::artifact::decode(provenn_circuits::artifact::Kind::Proof, &bytes)
                .expect("a proof");
        words(content.messages)
    };
    assert_eq!(messages().intersection(&messages()).count(), 0);
}

#[test]
fn prepared_material_of_another_key_modes_or_process_is_refused() {
    let model = Recipe::default().build();
    let (pk, vk) = keys(&model);
    let (sibling, _) = keys(&model);
    let input = model.random_input(4);
    let prepare = || pk.prepare(Modes::PUBLIC).expect("the system gives randomness");
    let error = |pk: &ProvingKey, modes: Modes, prepared: Prepared| {
        let options = ProveOptions { modes, context: b"" };
        pk.prove_prepared(&input, options, prepared, &mut |_| {}).err()
    };
    assert_eq!(error(&pk, Modes::PUBLIC, prepare()), None);
    assert_eq!(
        error(&sibling, Modes::PUBLIC, prepare()),
        Some(ProverError::PreparedModel { expected: sibling.model_id(), actual: vk.model_id() })
    );
    for modes in &Modes::ALL[1..] {
        assert_eq!(
            error(&pk, *modes, prepare()),
            Some(ProverError::PreparedModes { expected: *modes, actual: Modes::PUBLIC })
        );
    }
    let (process, parent) = (std::process::id(), std::process::id() ^ 1);
    assert_eq!(
        error(&pk, Modes::PUBLIC, prepare().of_process(parent)),
        Some(ProverError::PreparedProcess { expected: process, actual: parent })
    );
    // It can be made on one thread and used on another, and tells nothing when printed.
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let shown = format!("{:?}", is_send(prepare()));
    assert!(shown.starts_with("Prepared { model_id: ") && shown.ends_with(", .. }"), "{shown}");
}

#[test]
fn outputs_and_acceptance_do_not_depend_on_the_thread_count() {
    let model = Recipe { widths: vec![60, 50, 10], shift: 8, ..Recipe::default() }.build();
    let (pk, vk) = keys(&model);
    let input = model.random_input(2);
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let proof = pool.install(|| pk.prove(&input, ProveOptions::default())).expect("a valid input");
        assert_eq!(proof.output, model.run(&input));
        assert!(pool.install(|| vk.verify(&proof.bytes, b"")).is_ok());
    }
}

#[test]
fn keys_survive_their_files() {
    let model = Recipe::default().build();
    let (pk, vk) = keys(&model);
    let again = ProvingKey::from_bytes(&pk.to_bytes().expect("a small key")).expect("just written");
    assert_eq!((again.model_id(), again.parameters()), (vk.model_id(), &model.parameters[..]));
    let input = model.random_input(1);
    let proof = again.prove(&input, ProveOptions::default()).expect("a valid input");
    assert!(vk.verify(&proof.bytes, b"").is_ok());
    assert_eq!(again.verifying_key(), pk.verifying_key());
}

#[test]
fn invalid_inputs_are_refused_before_any_work() {
    let model = Recipe::default().build();
    let (pk, _) = keys(&model);
    let mut input = model.random_input(1);
    input[3] = 32;
    let expected = ProverError::OutOfRange { what: "input".into(), index: 3, value: 32, lo: -20, hi: 31 };
    assert_eq!(pk.prove(&input, ProveOptions::default()).unwrap_err(), expected);
    input.pop();
    let expected = ProverError::Length { what: "input".into(), expected: 7, actual: 6 };
    assert_eq!(pk.prove(&input, ProveOptions::default()).unwrap_err(), expected);
}

#[test]
fn weights_out_of_their_declared_range_are_not_committed() {
    let mut model = Recipe::default().build();
    model.parameters[0][4] = 128;
    let result = ProvingKey::commit(model.layers, model.parameters, vec![], &mut |_| {});
    assert!(matches!(result.err(), Some(ProverError::OutOfRange { index: 4, value: 128, .. })));
}

/// All points of the curve among the 32-byte words of the messages: group elements, and scalars that happen to be
/// abscissas; both must differ between proofs.
fn words(messages: &[u8]) -> std::collections::HashSet<[u8; 32]> {
    messages.chunks_exact(32).filter_map(|word| word.try_into().ok()).collect()
}

#[test]
fn two_proofs_of_one_statement_share_nothing() {
    let model = Recipe::default().build();
    let (pk, _) = keys(&model);
    let input = model.random_input(6);
    let prove = || pk.prove(&input, ProveOptions::default()).expect("a valid input").bytes;
    let (a, b) = (prove(), prove());
    assert_eq!(a.len(), b.len());
    let messages = |bytes: &[u8]| {
        let content: provenn_circuits::artifact::ProofContent<'_> =
            provenn_circuits::artifact::decode(provenn_circuits::artifact::Kind::Proof, bytes)
                .expect("a proof");
        words(content.messages)
    };
    assert_eq!(messages(&a).intersection(&messages(&b)).count(), 0);
}

#[test]
fn the_same_weights_have_different_commitments_each_time() {
    let model = Recipe::default().build();
    let commitments = || {
        let key = keys(&model).0.verifying_key().expect("a small key");
        let content: provenn_circuits::artifact::VerifyingKeyContent =
            provenn_circuits::artifact::decode(provenn_circuits::artifact::Kind::VerifyingKey, &key)
                .expect("a key");
        content.core.commitments.into_iter().collect::<std::collections::HashSet<_>>()
    };
    assert_eq!(commitments().intersection(&commitments()).count(), 0);
}

#[test]
fn proof_size_depends_on_the_key_only() {
    let model = Recipe::default().build();
    let (pk, _) = keys(&model);
    let sizes: std::collections::HashSet<usize> = extremes(&model)
        .iter()
        .map(|input| pk.prove(input, ProveOptions::default()).expect("a valid input").bytes.len())
        .collect();
    assert_eq!(sizes.len(), 1);
}

/// First proofs of a key derive what later ones find. Threads that wait for that must not wait for themselves.
#[test]
fn first_proofs_may_run_at_once() {
    const PROOFS: usize = 6;
    let model = Recipe { widths: vec![64, 16, 3], ..Recipe::default() }.build();
    let (key, _) = keys(&model);
    let bytes = key.to_bytes().expect("a small key");
    let input = model.random_input(1);
    for _ in 0..4 {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().expect("a few threads");
        let key = std::sync::Arc::new(ProvingKey::from_bytes(&bytes).expect("a key as it was written"));
        let (done, proofs) = std::sync::mpsc::channel();
        for _ in 0..PROOFS {
            let (key, input, done) = (key.clone(), input.clone(), done.clone());
            pool.spawn(move || {
                let proof = key.prove(&input, ProveOptions::default()).map(|proof| proof.output);
                // Nobody listens any more if the test has failed.
                let _ = done.send(proof);
            });
        }
        for _ in 0..PROOFS {
            let output = proofs.recv_timeout(std::time::Duration::from_secs(60));
            assert_eq!(
                output.expect("no thread waits for itself").expect("a valid input"),
                model.run(&input)
            );
        }
    }
}
