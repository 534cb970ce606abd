//! Layer lists of strangers: refused by the very limit that they break, before they cost anybody much, and never a panic.

use super::honest::{accepted, extremes, keys};
use super::models::{Model, Network, activation, list, reshape};
use crate::ProveOptions;
use provenn_circuits::functions::{Curve, Sampled};
use provenn_circuits::layers::{
    Arrange, AveragePool, AxisSource, Combine, Function, Layer, MaxPool, Product, Requantize, Window,
};
use provenn_circuits::model::{Node, Range, Scale, TableBits};
use provenn_circuits::system::KeyShape;
use provenn_circuits::{CircuitError, LayerList};

const TABLES: TableBits = TableBits { limb: 4, direct: 4 };

fn node(layer: Layer, inputs: &[u32]) -> Node {
    Node { layer, inputs: inputs.to_vec() }
}

fn source(axis: Option<u32>, offset: i32, stride: i32) -> AxisSource {
    AxisSource { axis, offset, stride, repeat: true }
}

fn arrange(shape: &[u32], pieces: Vec<Vec<AxisSource>>) -> Layer {
    Layer::Arrange(Arrange { shape: shape.to_vec(), periods: vec![1; shape.len()], pieces, fill: 0 })
}

fn window(kernel: u32, stride: u32, begin: u32, end: u32) -> Window {
    Window {
        kernel: vec![kernel],
        strides: vec![stride],
        dilations: vec![1],
        begin: vec![begin],
        end: vec![end],
    }
}

/// The parameter whose limit a layer list breaks.
fn broken(layers: &LayerList) -> &'static str {
    match KeyShape::derive(layers) {
        Err(CircuitError::Parameter { what, .. }) => what,
        other => panic!("{:?}", other.map(|_| ())),
    }
}

fn lists(shape: &[usize], nodes: Vec<Node>) -> LayerList {
    list(shape, Range::new(-8, 7), nodes, TABLES)
}

#[test]
fn a_scalar_that_nothing_covers_is_its_fill_also_for_a_max_pool() {
    // Were the fill missing from the range, the max-pool's table would be too small for it.
    let mut network = Network::new(&[3], Range::new(-3, 3), TABLES, 1);
    let mut add = |layer, input, requantize| network.add(layer, &[input], requantize).expect("it fits");
    let relu = (0, Function::Relu, Range::new(0, 1));
    let rectified = add(activation(Function::Relu, 0, relu.2, 8), 0, Some(relu));
    let outside = vec![vec![source(None, 5, 1)]];
    let fill = Arrange { shape: vec![], periods: vec![], pieces: outside, fill: 100 };
    let scalar = add(Layer::Arrange(fill), rectified, None);
    let shaped = add(reshape(&[1, 1, 1]), scalar, None);
    add(Layer::MaxPool(MaxPool { window: window(2, 1, 0, 1) }), shaped, None);
    let model = network.model;
    assert_eq!(model.run(&[1, 2, 3]), [100]);
    accepted(&model, &extremes(&model));
}

#[test]
fn arrangements_with_far_steps_are_computed_without_overflow() {
    let nodes = vec![
        node(arrange(&[1, 1 << 12], vec![vec![source(Some(0), 0, 1), source(Some(1), 0, 1)]]), &[0]),
        node(arrange(&[1 << 10, 1], vec![vec![source(Some(0), 0, 1 << 28), source(Some(1), 0, 1)]]), &[1]),
    ];
    let model = Model { layers: lists(&[1, 1 << 12], nodes), parameters: vec![] };
    accepted(&model, &[model.random_input(4)]);
    let nodes = vec![node(
        arrange(&[1 << 20, 1], vec![vec![source(Some(0), 0, 1 << 28), source(Some(1), 0, 1)]]),
        &[0],
    )];
    assert_eq!(broken(&lists(&[1, 1 << 12], nodes)), "reach of an axis");
}

#[test]
fn arrangements_of_more_than_a_million_entries_are_proved() {
    let nodes = vec![
        node(arrange(&[1025, 1024], vec![vec![source(Some(1), 0, 1), source(Some(0), 0, 1)]]), &[0]),
        node(activation(Function::Relu, 0, Range::new(0, 7), 4), &[1]),
    ];
    assert!(KeyShape::derive(&lists(&[1024, 1025], nodes)).is_ok());
}

#[test]
fn products_whose_parts_overflow_are_refused() {
    let large = Combine { coefficients: vec![1 << 32], offset: 0, requantize: None };
    let zero = Requantize { shift: 0, function: Function::Identity, output: Range::new(0, 0), domain: 4 };
    let nodes = vec![
        node(Layer::Combine(large), &[0]),
        node(Layer::Activation(provenn_circuits::layers::Activation { requantize: zero }), &[0]),
        node(Layer::Product(Product { multiplier: 1 << 32, requantize: None }), &[1, 2]),
    ];
    assert!(matches!(KeyShape::derive(&lists(&[3], nodes)), Err(CircuitError::Wraps { .. })));
}

#[test]
fn many_pieces_of_a_wide_tensor_are_refused() {
    // A tensor of many columns, and slices of it.
    let mut nodes: Vec<Node> = (0..8)
        .map(|axis| {
            let shape: Vec<u32> = (0..8).map(|a| if a == axis { 8 } else { 1 }).collect();
            node(reshape(&shape), &[0])
        })
        .collect();
    let sum = Combine { coefficients: vec![1; 8], offset: 0, requantize: None };
    nodes.push(node(Layer::Combine(sum), &[1, 2, 3, 4, 5, 6, 7, 8]));
    for slice in 0..60u32 {
        let piece = |p: u32| -> Vec<AxisSource> {
            let fixed = |axis: u32| source(None, ((slice * 64 + p) >> (3 * axis)) as i32 & 7, 1);
            (0..7).map(fixed).chain([source(Some(0), -8 * p as i32, 1)]).collect()
        };
        nodes.push(node(arrange(&[512], (0..64).map(piece).collect()), &[9; 64]));
    }
    assert_eq!(broken(&lists(&[8], nodes)), "field elements of the claims' pieces");
}

#[test]
fn many_steps_boxes_operands_and_curves_are_refused() {
    let what = "number of operands and pooling steps of all layers";
    let pool = || node(Layer::MaxPool(MaxPool { window: window(512, 1, 256, 255) }), &[0]);
    assert_eq!(broken(&lists(&[1, 1, 1], (0..20).map(|_| pool()).collect())), what);
    let average = |kernel: u32| {
        let window = window(kernel, 1, kernel - 1, kernel - 1);
        let include = vec![[0, 0]];
        node(Layer::AveragePool(AveragePool { window, include, numerator: 1 << 20, requantize: None }), &[0])
    };
    assert_eq!(broken(&lists(&[1, 1, 64], (0..200).map(|_| average(64)).collect())), what);
    let what = "window positions along the axes of an average";
    assert_eq!(broken(&lists(&[1, 1, 64], vec![average(1 << 14)])), what);
    let curve = |mantissa| {
        let scale = |mantissa| Scale { mantissa, exponent: -10 };
        let curve = Sampled { curve: Curve::Gelu, input: scale(mantissa), output: scale(1), bits: 13 };
        node(activation(Function::Table(curve), 0, Range::new(-8, 7), 4), &[0])
    };
    assert_eq!(broken(&lists(&[3], (1..40).map(curve).collect())), "rows of all curves");
    // Many narrow slices of one value, each bounded piece by piece.
    let operands = |_| {
        let pieces = (0..64).map(|p| vec![source(Some(0), -16 * p, 1)]).collect();
        node(arrange(&[1024], pieces), &[0; 64])
    };
    let what = "number of operands and pooling steps of all layers";
    assert_eq!(broken(&lists(&[16], (0..200).map(operands).collect())), what);
}

#[test]
fn one_copy_serves_all_readers_of_a_shape() {
    // A window over a value that lies under another shape: every position of the window reads the same copy.
    let mut network = Network::new(&[24], Range::new(-8, 7), TABLES, 1);
    let wide = network.add(
        Layer::Combine(Combine { coefficients: vec![1], offset: 0, requantize: None }),
        &[0],
        None,
    );
    let shaped = network.add(reshape(&[1, 2, 12]), &[wide.expect("it fits")], None);
    network.add(Layer::MaxPool(MaxPool { window: window(5, 1, 2, 2) }), &[shaped.expect("it fits")], None);
    let (pk, _) = keys(&network.model);
    let circuit = &pk.shape().inference(provenn_circuits::Modes::PUBLIC).circuit;
    assert_eq!(circuit.tensors.iter().filter(|tensor| tensor.name.contains(" as [")).count(), 1);
    assert!(pk.prove(&network.model.random_input(1), ProveOptions::default()).is_ok());
}
