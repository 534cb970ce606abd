//! Where models begin and end, and what is left out in between.

use crate::check::{check, kinds};
use crate::graphs::*;
use provenn_circuits::model::Head;
use provenn_models::import;
use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;

#[test]
fn what_does_nothing_to_values_is_left_out() {
    let double = TensorProto {
        name: "d".into(),
        dims: vec![6, 4],
        data_type: DataType::Double as i32,
        double_data: reals(9, 24).into_iter().map(f64::from).collect(),
        ..TensorProto::default()
    };
    let training = codes("training", DataType::Bool, &[], &[0]);
    let nodes = [
        node("Constant -> c", &[tensor("value", double)]),
        node("Cast c -> cf", &[int("to", 1)]),
        node("Transpose cf -> ct", &[ints("perm", &[1, 0])]),
        node("Identity ct -> w", &[]),
        node("Identity x -> i", &[]),
        node("Cast i -> j", &[int("to", 1)]),
        node("MatMul j w -> h", &[]),
        node("Dropout h ratio training -> y", &[]),
    ];
    let imported = check(&model(&[1, 4], &nodes, &[floats("ratio", &[], &[0.5]), training]));
    assert_eq!(kinds(&imported), ["Gemm"]);
    let nodes = [node("MatMul x w -> h", &[]), node("Dropout h -> y mask", &[float("ratio", 0.5)])];
    check(&with_opset(model(&[1, 4], &nodes, &[random("w", &[4, 6])]), 9));
}

#[test]
fn heads_are_reported_and_left_out() {
    let w = [random("w", &[4, 5])];
    for (text, attributes, head) in [
        ("Softmax h -> y", vec![], Head::Softmax),
        ("Softmax h -> y", vec![int("axis", 1)], Head::Softmax),
        ("LogSoftmax h -> y", vec![int("axis", -1)], Head::LogSoftmax),
        ("ArgMax h -> y", vec![int("axis", 1), int("keepdims", 0)], Head::ArgMax),
    ] {
        let float = check(&model(&[1, 4], &[node("MatMul x w -> h", &[]), node(text, &attributes)], &w));
        assert_eq!((float.head, kinds(&float)), (head, vec!["Gemm"]));
    }
    let nodes = [node("MatMul x w -> h", &[]), node("Softmax h -> y", &[])];
    check(&with_opset(model(&[1, 4], &nodes, &w), 9));
    // The largest probability is that of the largest logit; nothing else may follow.
    let nodes = [
        node("MatMul x w -> h", &[]),
        node("Softmax h -> p", &[]),
        node("Identity p -> i", &[]),
        node("ArgMax i -> a", &[int("axis", -1)]),
        node("Cast a -> y", &[int("to", 6)]),
    ];
    assert_eq!(check(&model(&[1, 4], &nodes, &w)).head, Head::ArgMax);
    // Classes in channels, before spatial axes of length 1.
    let nodes = [node("GlobalAveragePool x -> g", &[]), node("Softmax g -> y", &[int("axis", 1)])];
    let float = check(&model(&[1, 3, 4, 4], &nodes, &[]));
    assert_eq!(
        (float.head, kinds(&float), float.output_shape()),
        (Head::Softmax, vec!["Reduce", "Reshape"], &[1, 3][..])
    );
}

#[test]
fn every_operator_set_from_9_to_18_is_read() {
    let nodes = [
        node("Conv x k -> c", &[]),
        node("BatchNormalization c s s s v -> n", &[]),
        node("Relu n -> r", &[]),
        node("MaxPool r -> m", &[ints("kernel_shape", &[2, 2])]),
        node("Flatten m -> f", &[]),
        node("Gemm f w b -> h", &[int("transB", 1)]),
        node("Relu h -> i", &[]),
        node("MatMul i u -> y", &[]),
    ];
    let constants = [
        random("k", &[4, 3, 3, 3]),
        random("s", &[4]),
        floats("v", &[4], &[0.5, 1.0, 2.0, 3.0]),
        random("w", &[6, 36]),
        random("b", &[6]),
        random("u", &[6, 3]),
    ];
    for opset in 9..=24 {
        check(&with_opset(model(&[0, 3, 6, 6], &nodes, &constants), opset));
    }
}

#[test]
fn unused_nodes_and_weights_are_ignored() {
    let nodes = [
        node("MatMul x w -> h", &[]),
        node("Sin x -> unused", &[]),
        // Only its shape is read.
        node("Relu h -> r", &[]),
        node("Shape r -> s", &[]),
        node("Reshape h s -> y", &[]),
    ];
    let initializers = [random("w", &[4, 6]), floats("spare", &[1], &[f32::NAN])];
    assert_eq!(kinds(&check(&model(&[1, 4], &nodes, &initializers))), ["Gemm"]);
}

#[test]
fn the_output_is_the_last_layer() {
    let nodes = [
        node("MatMul x w -> h", &[]),
        node("Identity h -> y", &[]),
        node("Relu h -> r", &[]),
        node("Shape r -> s", &[]),
    ];
    let float = check(&model(&[1, 4], &nodes, &[random("w", &[4, 6])]));
    assert_eq!((kinds(&float), float.output_shape()), (vec!["Gemm"], &[1, 6][..]));
}

#[test]
fn names_in_use_are_not_taken_for_helpers() {
    // The engine is given tensors of its own, whose names the file may have.
    let nodes = [
        node("Relu x -> y/Relu.0", &[]),
        node("Neg y/Relu.0 -> y/constant.0", &[]),
        node("PRelu y/constant.0 y/Mul.0 -> y", &[]),
    ];
    check(&model(&[2, 3], &nodes, &[random("y/Mul.0", &[3])]));
}

#[test]
fn a_whole_network() {
    // Inverted residuals, squeeze and excitation, and a decoder with a skip connection.
    let nodes = [
        node("Conv x k1 b1 -> c1", &[ints("pads", &[1; 4])]),
        node("HardSwish c1 -> a1", &[]),
        node("Conv a1 k2 -> c2", &[ints("pads", &[1; 4]), int("group", 4), ints("strides", &[2, 2])]),
        node("Clip c2 zero six -> a2", &[]),
        node("GlobalAveragePool a2 -> g", &[]),
        node("Conv g k3 -> c3", &[]),
        node("HardSigmoid c3 -> e", &[]),
        node("Mul a2 e -> m", &[]),
        node("Add m a2 -> r", &[]),
        node("ConvTranspose r k4 -> u", &[ints("strides", &[2, 2])]),
        node("Concat u a1 -> cat", &[int("axis", 1)]),
        node("AveragePool cat -> p", &[ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])]),
        node("Flatten p -> f", &[]),
        node("Gemm f w -> h", &[]),
        node("Softmax h -> y", &[]),
    ];
    let constants = [
        random("k1", &[4, 3, 3, 3]),
        random("b1", &[4]),
        random("k2", &[4, 1, 3, 3]),
        random("k3", &[4, 4, 1, 1]),
        random("k4", &[4, 2, 2, 2]),
        random("w", &[54, 10]),
        floats("zero", &[], &[0.0]),
        floats("six", &[], &[6.0]),
    ];
    let model = with_opset(model(&[0, 3, 6, 6], &nodes, &constants), 14);
    let float = check(&model);
    assert_eq!((float.layers.len(), float.head), (15, Head::Softmax));
    let again = import(&bytes(&model)).unwrap();
    assert_eq!(float.layers, again.layers);
}
