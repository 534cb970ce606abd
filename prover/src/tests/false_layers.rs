//! A prover that cheats inside a layer of any kind, and then goes on consistently, is rejected.

use super::honest::{accepted, keys};
use super::models::{Model, Network};
use crate::hooks::Hooks;
use crate::watch::Watch;
use crate::witness::{Witness, count_multiplicities, run};
use crate::{ProveOptions, ProvingKey};
use provenn_circuits::circuit::{Circuit, Quotient, Role, Step, TensorId};
use provenn_circuits::functions::{Curve, Sampled};
use provenn_circuits::layers::{
    Affine, Arrange, AveragePool, AxisSource, Combine, Conv, Function, Gemm, Layer, MaxPool, Product, Reduce,
    Window,
};
use provenn_circuits::model::{Range, Scale, TableBits};
use provenn_circuits::{Modes, system::KeyShape};
use provenn_verifier::{Part, Rejection, VerifyingKey};
use std::sync::LazyLock;

struct Fixture {
    model: Model,
    pk: ProvingKey,
    vk: VerifyingKey,
    input: Vec<i64>,
}

fn window(kernel: u32, stride: u32, pad: u32) -> Window {
    Window {
        kernel: vec![kernel; 2],
        strides: vec![stride; 2],
        dilations: vec![1; 2],
        begin: vec![pad; 2],
        end: vec![pad; 2],
    }
}

/// A graph with every kind of layer; windows are padded, and the values that max-pooling sees may be negative.
pub(super) fn model() -> Model {
    let signed = |shift| Some((shift, Function::Identity, Range::new(-31, 31)));
    let rectified = |shift| Some((shift, Function::Relu, Range::new(0, 31)));
    let mut network = Network::new(&[1, 2, 7, 6], Range::new(-20, 31), TableBits { limb: 4, direct: 7 }, 3);
    let mut add =
        |layer, inputs: &[usize], requantize| network.add(layer, inputs, requantize).expect("it fits");
    let conv = add(
        Layer::Conv(Conv {
            groups: 2,
            outputs: 4,
            channels: 1,
            window: window(3, 2, 1),
            weight_bits: 6,
            bias_bits: Some(8),
            requantize: None,
        }),
        &[0],
        signed(6),
    );
    let largest = add(Layer::MaxPool(MaxPool { window: window(2, 1, 1) }), &[conv], None);
    let average =
        AveragePool { window: window(2, 1, 1), include: vec![[0, 0]; 2], numerator: 16, requantize: None };
    let average = add(Layer::AveragePool(average), &[conv], signed(4));
    let source = |axis, offset| AxisSource { axis: Some(axis), offset, stride: 1, repeat: true };
    // One row of fill above, one column less on the left.
    let piece = vec![source(0, 0), source(1, 0), source(2, -1), source(3, 1)];
    let arrange = Arrange { shape: vec![1, 4, 5, 4], periods: vec![1; 4], pieces: vec![piece], fill: -3 };
    let moved = add(Layer::Arrange(arrange), &[average], None);
    let sum = Combine { coefficients: vec![5, -3], offset: 7, requantize: None };
    let sum = add(Layer::Combine(sum), &[largest, moved], rectified(2));
    let product =
        add(Layer::Product(Product { multiplier: 3, requantize: None }), &[sum, largest], signed(5));
    let scale = |exponent| Scale { mantissa: 1, exponent };
    let curve = Sampled { curve: Curve::Sigmoid, input: scale(-3), output: scale(-5), bits: 5 };
    let affine = Affine {
        shape: vec![1, 4, 1, 1],
        weight_bits: Some(5),
        multiplier: 0,
        bias_bits: Some(7),
        requantize: None,
    };
    let affine = add(Layer::Affine(affine), &[product], Some((4, Function::Table(curve), Range::new(0, 31))));
    let reduce = Reduce { axes: vec![2, 3], shape: vec![1, 4], multiplier: 5, requantize: None };
    let reduce = add(Layer::Reduce(reduce), &[affine], rectified(4));
    let gemm = Gemm { inputs: 4, outputs: 3, weight_bits: 6, bias_bits: Some(8), requantize: None };
    add(Layer::Gemm(gemm), &[reduce], signed(4));
    network.model
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let model = model();
    let (pk, vk) = keys(&model);
    let input = model.random_input(5);
    Fixture { model, pk, vk, input }
});

/// The tensors that a step computes.
fn computed(step: &Step) -> Vec<TensorId> {
    let limbs = |limbs: &[(TensorId, u32)]| limbs.iter().map(|&(tensor, _)| tensor).collect::<Vec<_>>();
    match step {
        Step::Store { output, .. } | Step::Larger { output, .. } => vec![*output],
        Step::Limbs { limbs: parts, .. } => limbs(parts),
        Step::Divide { quotient, remainder, .. } => match quotient {
            Quotient::Whole(tensor) => [limbs(remainder), vec![*tensor]].concat(),
            Quotient::Split { high, low, .. } => [limbs(remainder), vec![*high], limbs(low)].concat(),
        },
        Step::Map { outputs, .. } => outputs.clone(),
    }
}

/// Changes one entry of a tensor and, as far as that can be done, computes everything after it from the false value.
struct Change {
    tensor: TensorId,
    entry: usize,
    delta: i64,
    onwards: bool,
}

impl Hooks for Change {
    fn witness(&mut self, circuit: &Circuit, values: &mut Witness<'_>) {
        values[self.tensor].to_mut()[self.entry] += self.delta;
        if self.onwards {
            let made = circuit.steps.iter().position(|step| computed(step).contains(&self.tensor));
            for step in circuit.steps.iter().skip(made.map_or(0, |made| made + 1)) {
                // A value may now be outside its range; then the prover keeps the old ones.
                let _ = run(circuit, step, values);
            }
        }
        let _ = count_multiplicities(circuit, values, &mut Watch::new(&mut |_| {}));
    }
}

#[test]
fn the_fixture_has_every_kind_of_layer_and_its_honest_proof_is_accepted() {
    let Fixture { model, pk, input, .. } = &*FIXTURE;
    accepted(model, std::slice::from_ref(input));
    let circuit = &pk.shape().inference(Modes::PUBLIC).circuit;
    assert!(circuit.tensors.iter().any(|tensor| tensor.role == Role::Ones));
    let kinds: std::collections::BTreeSet<_> =
        model.layers.nodes.iter().map(|node| node.layer.kind()).collect();
    assert_eq!(kinds.len(), 9, "{kinds:?}");
}

#[test]
fn a_false_value_in_any_tensor_of_any_layer_is_rejected() {
    let Fixture { pk, vk, input, .. } = &*FIXTURE;
    let shape: &KeyShape = pk.shape();
    let circuit = &shape.inference(Modes::PUBLIC).circuit;
    for (tensor, spec) in circuit.tensors.iter().enumerate() {
        if !matches!(spec.role, Role::Witness | Role::Output(_)) {
            continue;
        }
        for (entry, delta, onwards) in [(0, 1, true), (spec.len() / 2, -1, true), (spec.len() - 1, 1, false)]
        {
            let mut change = Change { tensor, entry, delta, onwards };
            let proof = pk.prove_with(input, ProveOptions::default(), None, &mut change, &mut |_| {});
            let proof = proof.expect("the cheating prover finishes");
            let verdict = vk.verify(&proof.bytes, b"").map(|_| ());
            let expected = matches!(
                verdict,
                Err(Rejection::FalseClaim | Rejection::OutOfRange { part: Part::Output, .. })
            );
            assert!(expected, "{}[{entry}] {delta:+}: {verdict:?}", spec.name);
        }
    }
}

#[test]
fn the_value_that_marks_padding_is_no_answer_of_a_max_pool() {
    // The corner window has one entry inside; a prover who calls the padding larger, or keeps a smaller entry, is rejected.
    let Fixture { pk, vk, input, .. } = &*FIXTURE;
    let circuit = &pk.shape().inference(Modes::PUBLIC).circuit;
    let output =
        circuit.tensors.iter().position(|tensor| tensor.name == "layer 1 output").expect("a max-pool");
    struct Replace(TensorId, usize, i64);
    impl Hooks for Replace {
        fn witness(&mut self, circuit: &Circuit, values: &mut Witness<'_>) {
            let honest = std::mem::replace(&mut values[self.0].to_mut()[self.1], self.2);
            assert_ne!(honest, self.2);
            let made =
                circuit.steps.iter().position(|step| computed(step).contains(&self.0)).expect("computed");
            for step in &circuit.steps[made + 1..] {
                let _ = run(circuit, step, values);
            }
            let _ = count_multiplicities(circuit, values, &mut Watch::new(&mut |_| {}));
        }
    }
    for value in [-31, 0, 31] {
        let proof =
            pk.prove_with(input, ProveOptions::default(), None, &mut Replace(output, 0, value), &mut |_| {});
        let proof = proof.expect("the cheating prover finishes");
        assert_eq!(vk.verify(&proof.bytes, b"").map(|_| ()), Err(Rejection::FalseClaim), "{value}");
    }
}
