//! Imports a graph, runs it with the float engine, and compares every layer with what it means.

use crate::evaluate::evaluate;
use crate::graphs::{bytes, reals};
use provenn_circuits::layers::Window;
use provenn_models::float::{FloatFunction, FloatOp};
use provenn_models::{FloatModel, import};
use tract_onnx::pb::ModelProto;

/// Imports and compares on random inputs in [-2, 2].
#[track_caller]
pub(crate) fn check(model: &ModelProto) -> FloatModel {
    let float = import(&bytes(model)).unwrap_or_else(|error| panic!("{error}"));
    for seed in 1..4 {
        let input: Vec<f32> = reals(seed, float.input_len()).iter().map(|x| 2.0 * x).collect();
        compare(&float, &input);
    }
    float
}

/// Compares every layer's output with that of the float engine.
#[track_caller]
pub(crate) fn compare(float: &FloatModel, input: &[f32]) {
    let engine = float.activations(0, input).unwrap_or_else(|error| panic!("{error}"));
    let expected = evaluate(float, input);
    assert_eq!(engine.len(), float.layers.len());
    assert!(engine.last().is_some_and(Option::is_some), "the output has no tensor");
    for (index, layer) in float.layers.iter().enumerate() {
        let len: usize = layer.shape.iter().product();
        assert_eq!(expected[index].len(), len, "{layer:?}");
        let Some(actual) = &engine[index] else {
            let same_values = matches!(
                layer.op,
                FloatOp::Arrange { .. }
                    | FloatOp::Reshape
                    | FloatOp::MaxPool { .. }
                    | FloatOp::Function(FloatFunction::Relu | FloatFunction::Clip { .. })
            );
            assert!(same_values, "{layer:?} has no tensor");
            continue;
        };
        assert_eq!(actual.len(), len, "{layer:?}");
        let size = expected[index].iter().fold(1e-3f64, |size, x| size.max(x.abs()));
        for (entry, (&x, y)) in actual.iter().zip(&expected[index]).enumerate() {
            let error = (f64::from(x) - y).abs();
            assert!(
                error <= 1e-4 * size,
                "layer {index} {}, entry {entry}: {x}, expected {y}; {:?}",
                layer.name,
                layer.op
            );
        }
    }
}

/// Names of the layers' kinds.
pub(crate) fn kinds(float: &FloatModel) -> Vec<&'static str> {
    float
        .layers
        .iter()
        .map(|layer| match layer.op {
            FloatOp::Gemm { .. } => "Gemm",
            FloatOp::Conv { .. } => "Conv",
            FloatOp::Combine { .. } => "Combine",
            FloatOp::Product => "Product",
            FloatOp::Affine { .. } => "Affine",
            FloatOp::MaxPool { .. } => "MaxPool",
            FloatOp::AveragePool { .. } => "AveragePool",
            FloatOp::Reduce { .. } => "Reduce",
            FloatOp::Arrange { .. } => "Arrange",
            FloatOp::Function(FloatFunction::Relu) => "Relu",
            FloatOp::Function(FloatFunction::Clip { .. }) => "Clip",
            FloatOp::Function(FloatFunction::Curve(_)) => "Curve",
            FloatOp::Reshape => "Reshape",
            FloatOp::Quantize { .. } => "Quantize",
        })
        .collect()
}

/// The window of a layer that has one.
pub(crate) fn window(op: &FloatOp) -> &Window {
    match op {
        FloatOp::Conv { window, .. } | FloatOp::MaxPool { window } | FloatOp::AveragePool { window, .. } => {
            window
        }
        other => panic!("{other:?} has no window"),
    }
}
