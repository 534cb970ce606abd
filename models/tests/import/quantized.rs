//! Graphs that are quantized already, as tools for static quantization write them.

use crate::check::{check, kinds};
use crate::graphs::*;
use provenn_circuits::model::{Head, Range};
use provenn_models::FloatModel;
use provenn_models::float::FloatOp;
use tract_onnx::pb::NodeProto;
use tract_onnx::pb::tensor_proto::DataType;

fn plain(texts: &[&str]) -> Vec<NodeProto> {
    texts.iter().map(|text| node(text, &[])).collect()
}

fn ranges(float: &FloatModel) -> Vec<(f64, Range)> {
    let quantize = |op: &FloatOp| match op {
        FloatOp::Quantize { scale, range } => Some((*scale, *range)),
        _ => None,
    };
    float.layers.iter().filter_map(|layer| quantize(&layer.op)).collect()
}

#[test]
fn values_are_rounded_to_the_models_own_grid() {
    for (kind, zero, lo, hi) in [
        (DataType::Uint8, 128, -128, 127),
        (DataType::Uint8, 3, -3, 252),
        (DataType::Int8, 0, -128, 127),
        (DataType::Int8, -100, -28, 227),
        (DataType::Uint16, 1000, -1000, 64535),
        (DataType::Int16, 0, -32768, 32767),
    ] {
        let scale = 0.01f32;
        let nodes = plain(&["QuantizeLinear x s z -> q", "DequantizeLinear q s z -> d", "Relu d -> y"]);
        let constants = [floats("s", &[], &[scale]), codes("z", kind, &[], &[zero])];
        let float = check(&model(&[3, 4], &nodes, &constants));
        assert_eq!(kinds(&float), ["Quantize", "Relu"]);
        assert_eq!(ranges(&float), [(scale.into(), Range { lo, hi })]);
    }
    // Without a zero point; at the end; the scale as a list of one.
    let nodes = plain(&["Relu x -> r", "QuantizeLinear r s -> q", "DequantizeLinear q s -> y"]);
    let float = check(&model(&[3, 4], &nodes, &[floats("s", &[1], &[0.5])]));
    assert_eq!(ranges(&float), [(0.5, Range { lo: 0, hi: 255 })]);
}

#[test]
fn one_quantization_for_several_readers() {
    let nodes = plain(&[
        "QuantizeLinear x s z -> q",
        "DequantizeLinear q s z -> a",
        "DequantizeLinear q s z -> b",
        "Relu b -> c",
        "Add a c -> y",
    ]);
    let constants = [floats("s", &[], &[0.02]), codes("z", DataType::Int8, &[], &[0])];
    assert_eq!(kinds(&check(&model(&[3, 4], &nodes, &constants))), ["Quantize", "Relu", "Combine"]);
}

#[test]
fn constants_are_folded() {
    let entries: Vec<i32> = (0..24).map(|i| i * 37 % 256 - 128).collect();
    let scales = floats("ws", &[3], &[0.01, 0.02, 0.005]);
    let zeros = codes("wz", DataType::Int8, &[3], &[0, 3, -7]);
    let common = [
        floats("s", &[], &[0.02]),
        codes("z", DataType::Uint8, &[], &[100]),
        codes("b", DataType::Int32, &[3], &[1000, -2000, 70000]),
        floats("bs", &[3], &[2e-4, 4e-4, 1e-5]),
        codes("bz", DataType::Int32, &[3], &[0, 0, 0]),
    ];
    // Weights of each type, with scales for every output.
    let nodes = [
        plain(&["QuantizeLinear x s z -> q", "DequantizeLinear q s z -> d"]),
        vec![node("DequantizeLinear w ws wz -> wf", &[int("axis", 0)])],
        vec![node("DequantizeLinear b bs bz -> bf", &[int("axis", 0)])],
        plain(&["Conv d wf bf -> c", "QuantizeLinear c s z -> cq", "DequantizeLinear cq s z -> y"]),
    ]
    .concat();
    let constants =
        [&common[..], &[codes("w", DataType::Int8, &[3, 2, 2, 2], &entries), scales, zeros]].concat();
    let float = check(&model(&[1, 2, 4, 4], &nodes, &constants));
    assert_eq!(kinds(&float), ["Quantize", "Conv", "Quantize"]);
    let FloatOp::Conv { weight, bias, .. } = &float.layers[1].op else { panic!("a Conv") };
    assert_eq!((weight[9], bias.as_ref().unwrap()[1]), ((entries[9] - 3) as f32 * 0.02, -2000.0 * 4e-4));

    // Weights that the graph quantizes itself.
    let nodes = plain(&["QuantizeLinear w s z -> q", "DequantizeLinear q s z -> f", "MatMul x f -> y"]);
    let float = check(&model(&[3, 4], &nodes, &[&common[..], &[random("w", &[4, 5])]].concat()));
    let FloatOp::Gemm { weight, .. } = &float.layers[0].op else { panic!("a Gemm") };
    assert!(weight.iter().all(|w| (w / 0.02 - (w / 0.02).round()).abs() < 1e-4));
}

#[test]
fn what_follows_the_proved_part_may_be_quantized() {
    let nodes = [
        node("MatMul x w -> h", &[]),
        node("Softmax h -> p", &[]),
        node("QuantizeLinear p s z -> q", &[]),
        node("DequantizeLinear q s z -> y", &[]),
    ];
    let constants =
        [random("w", &[4, 3]), floats("s", &[], &[0.004]), codes("z", DataType::Uint8, &[], &[0])];
    let float = check(&model(&[2, 4], &nodes, &constants));
    assert_eq!((kinds(&float), float.head), (vec!["Gemm"], Head::Softmax));
}
