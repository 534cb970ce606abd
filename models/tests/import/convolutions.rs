//! Convolutions, transposed convolutions and pools.

use crate::check::{check, kinds, window};
use crate::graphs::*;
use tract_onnx::pb::{AttributeProto, TensorProto};

fn conv(input: &[i64], weight: &[i64], attributes: &[AttributeProto]) -> Vec<usize> {
    let bias = random("b", &weight[..1]);
    let with = check(&model(input, &[node("Conv x w b -> y", attributes)], &[random("w", weight), bias]));
    let without = check(&model(input, &[node("Conv x w -> y", attributes)], &[random("w", weight)]));
    assert_eq!(kinds(&with), ["Conv"]);
    assert_eq!(with.output_shape(), without.output_shape());
    with.output_shape().to_vec()
}

#[test]
fn convolutions_of_every_form() {
    assert_eq!(conv(&[1, 3, 9], &[4, 3, 3], &[]), [1, 4, 7]);
    assert_eq!(conv(&[2, 3, 9], &[4, 3, 3], &[ints("strides", &[2]), ints("pads", &[2, 1])]), [2, 4, 5]);
    assert_eq!(conv(&[0, 3, 7, 6], &[4, 3, 3, 2], &[ints("kernel_shape", &[3, 2])]), [1, 4, 5, 5]);
    assert_eq!(conv(&[1, 3, 7, 6], &[4, 3, 3, 3], &[ints("pads", &[1, 0, 2, 3])]), [1, 4, 8, 7]);
    assert_eq!(conv(&[1, 3, 7, 8], &[4, 3, 3, 2], &[ints("dilations", &[2, 3])]), [1, 4, 3, 5]);
    assert_eq!(conv(&[1, 4, 7, 6], &[6, 2, 3, 3], &[int("group", 2)]), [1, 6, 5, 4]);
    assert_eq!(
        conv(&[1, 4, 7, 6], &[4, 1, 3, 3], &[int("group", 4), ints("strides", &[2, 3])]),
        [1, 4, 3, 2]
    );
    assert_eq!(conv(&[1, 2, 4, 5, 6], &[3, 2, 2, 3, 1], &[ints("strides", &[1, 2, 3])]), [1, 3, 3, 2, 2]);
    assert_eq!(
        conv(&[1, 2, 5, 5], &[3, 2, 1, 1], &[ints("pads", &[0; 4]), text("auto_pad", "NOTSET")]),
        [1, 3, 5, 5]
    );
}

#[test]
fn padding_is_computed() {
    for (auto, stride, begin, end, output) in [
        ("SAME_UPPER", 1, [1, 1], [2, 1], [7, 6]),
        ("SAME_LOWER", 1, [2, 1], [1, 1], [7, 6]),
        ("SAME_UPPER", 2, [1, 0], [2, 1], [4, 3]),
        ("SAME_LOWER", 2, [2, 1], [1, 0], [4, 3]),
        ("VALID", 2, [0, 0], [0, 0], [2, 2]),
    ] {
        let attributes = [text("auto_pad", auto), ints("strides", &[stride, stride])];
        let model =
            model(&[1, 2, 7, 6], &[node("Conv x w -> y", &attributes)], &[random("w", &[3, 2, 4, 3])]);
        let float = check(&model);
        let window = window(&float.layers[0].op);
        assert_eq!((&window.begin[..], &window.end[..]), (&begin[..], &end[..]), "{auto} {stride}");
        assert_eq!(float.output_shape()[2..], output);
    }
}

fn transposed(
    input: &[i64],
    weight: &[i64],
    attributes: &[AttributeProto],
    expected: &[usize],
) -> Vec<&'static str> {
    let groups = attributes.iter().find(|a| a.name == "group").map_or(1, |a| a.i);
    let bias = random("b", &[weight[1] * groups]);
    let nodes = [node("ConvTranspose x w b -> y", attributes)];
    let float = check(&model(input, &nodes, &[random("w", weight), bias]));
    assert_eq!(float.output_shape(), expected);
    kinds(&float)
}

#[test]
fn transposed_convolutions_are_convolutions() {
    let square = |stride: i64| ints("strides", &[stride, stride]);
    assert_eq!(transposed(&[1, 3, 4, 5], &[3, 2, 3, 3], &[], &[1, 2, 6, 7]), ["Conv"]);
    assert_eq!(transposed(&[1, 3, 4, 5], &[3, 2, 2, 2], &[square(2)], &[1, 2, 8, 10]), ["Arrange", "Conv"]);
    let attributes = [square(2), ints("pads", &[1, 1, 1, 1]), ints("output_padding", &[1, 1])];
    assert_eq!(transposed(&[1, 3, 4, 5], &[3, 2, 3, 3], &attributes, &[1, 2, 8, 10]), ["Arrange", "Conv"]);
    // A kernel shorter than the strides, and padding longer than the kernel: what is inserted is cut off again.
    let attributes = [square(3)];
    assert_eq!(
        transposed(&[1, 3, 4, 5], &[3, 2, 1, 2], &attributes, &[1, 2, 10, 14]),
        ["Arrange", "Arrange", "Conv"]
    );
    let attributes = [ints("pads", &[3, 2, 2, 3])];
    assert_eq!(transposed(&[1, 3, 5, 6], &[3, 2, 2, 3], &attributes, &[1, 2, 1, 3]), ["Arrange", "Conv"]);
    let attributes = [int("group", 2), ints("dilations", &[2, 1]), square(2)];
    transposed(&[1, 4, 3, 3], &[4, 3, 2, 3], &attributes, &[1, 6, 7, 7]);
    transposed(&[1, 4, 5], &[4, 3, 4], &[ints("strides", &[2]), ints("pads", &[1, 1])], &[1, 3, 10]);
    transposed(&[1, 2, 2, 3, 2], &[2, 2, 2, 2, 2], &[ints("strides", &[2, 1, 2])], &[1, 2, 4, 4, 4]);
    for auto in ["SAME_UPPER", "SAME_LOWER"] {
        transposed(&[1, 3, 4, 5], &[3, 2, 3, 3], &[square(2), text("auto_pad", auto)], &[1, 2, 8, 10]);
    }
}

fn pool(text: &str, opset: i64, input: &[i64], attributes: &[AttributeProto]) -> Vec<usize> {
    let float = check(&with_opset(model(input, &[node(text, attributes)], &[]), opset));
    assert_eq!(float.layers.len(), 1);
    float.output_shape().to_vec()
}

#[test]
fn pools_of_every_form() {
    let kernel = |lengths: &[i64]| ints("kernel_shape", lengths);
    for operator in ["MaxPool x -> y", "AveragePool x -> y"] {
        let pool = |input: &[i64], attributes: &[AttributeProto]| pool(operator, 13, input, attributes);
        assert_eq!(pool(&[1, 2, 9], &[kernel(&[3])]), [1, 2, 7]);
        assert_eq!(pool(&[1, 2, 7, 6], &[kernel(&[3, 2]), ints("strides", &[2, 2])]), [1, 2, 3, 3]);
        assert_eq!(pool(&[1, 2, 4, 5, 6], &[kernel(&[2, 2, 2])]), [1, 2, 3, 4, 5]);
        let pads = ints("pads", &[1, 0, 0, 1]);
        assert_eq!(pool(&[1, 2, 7, 6], &[kernel(&[2, 2]), pads]), [1, 2, 7, 6]);
        for auto in ["SAME_UPPER", "SAME_LOWER"] {
            let attributes = [kernel(&[2, 3]), ints("strides", &[2, 2]), text("auto_pad", auto)];
            assert_eq!(pool(&[1, 2, 7, 6], &attributes), [1, 2, 4, 3]);
        }
    }
    let attributes = [kernel(&[2, 2]), ints("dilations", &[2, 3])];
    assert_eq!(pool("MaxPool x -> y", 12, &[1, 2, 6, 7], &attributes), [1, 2, 4, 4]);
    assert_eq!(pool("AveragePool x -> y", 19, &[1, 2, 6, 7], &attributes), [1, 2, 4, 4]);
    // The indices are not read.
    let nodes = [node("MaxPool x -> y i", &[kernel(&[2, 2])])];
    check(&model(&[1, 2, 4, 4], &nodes, &[]));
}

#[test]
fn last_windows_go_over_the_end() {
    let kernel = ints("kernel_shape", &[3, 3]);
    let ceil = [kernel.clone(), ints("strides", &[2, 2]), int("ceil_mode", 1)];
    // Only where something of the input is left for them.
    for (input, pads, output) in [(6, 0, 3), (7, 0, 3), (6, 1, 4), (5, 1, 3), (4, 1, 3)] {
        let attributes = [&ceil[..], &[ints("pads", &[pads; 4])]].concat();
        for operator in ["MaxPool x -> y", "AveragePool x -> y"] {
            assert_eq!(pool(operator, 13, &[1, 2, input, 5], &attributes)[2], output, "{input} {pads}");
        }
        let attributes = [&attributes[..], &[int("count_include_pad", 1)]].concat();
        assert_eq!(pool("AveragePool x -> y", 13, &[1, 2, input, 5], &attributes)[2], output);
    }
    // This one would start in the padding at the end.
    let attributes = [ints("kernel_shape", &[1]), ints("strides", &[2]), int("ceil_mode", 1)];
    assert_eq!(pool("MaxPool x -> y", 13, &[1, 1, 4], &attributes), [1, 1, 2]);
}

#[test]
fn padding_counts_where_it_is_asked() {
    for include in [0, 1] {
        let attributes = [
            ints("kernel_shape", &[3, 2]),
            ints("pads", &[1, 0, 2, 1]),
            ints("strides", &[2, 1]),
            int("count_include_pad", include),
        ];
        assert_eq!(pool("AveragePool x -> y", 11, &[1, 2, 5, 4], &attributes), [1, 2, 3, 4]);
    }
}

#[test]
fn reductions_over_every_axis() {
    let one = |text: &str, opset: i64, attributes: &[AttributeProto], constants: &[TensorProto]| {
        let float = check(&with_opset(model(&[2, 3, 4, 5], &[node(text, attributes)], constants), opset));
        (kinds(&float), float.output_shape().to_vec())
    };
    assert_eq!(one("GlobalAveragePool x -> y", 9, &[], &[]), (vec!["Reduce"], vec![2, 3, 1, 1]));
    assert_eq!(one("GlobalMaxPool x -> y", 9, &[], &[]), (vec!["MaxPool"], vec![2, 3, 1, 1]));
    for (axes, keep, expected) in [
        (&[2i64, 3][..], 1, vec![2, 3, 1, 1]),
        (&[-1, 1], 0, vec![2, 4]),
        (&[3], 0, vec![2, 3, 4]),
        (&[0], 0, vec![3, 4, 5]),
    ] {
        let attributes = [ints("axes", axes), int("keepdims", keep)];
        for (operator, operand) in [("ReduceMean", 18), ("ReduceSum", 13), ("ReduceMax", 18)] {
            let with = one(&format!("{operator} x -> y"), operand - 1, &attributes, &[]);
            let operands = format!("{operator} x axes -> y");
            let axes = [integers("axes", axes)];
            let without = one(&operands, operand, &attributes[1..], &axes);
            assert_eq!((&with.1, &without.1), (&expected, &expected), "{operator}");
        }
    }
    for operator in ["ReduceMean x -> y", "ReduceSum x -> y", "ReduceMax x -> y"] {
        assert_eq!(one(operator, 18, &[int("keepdims", 0)], &[]).1, Vec::<usize>::new());
        let none = [int("noop_with_empty_axes", 1)];
        let nodes = [node(operator, &none).clone(), node("Relu y -> z", &[])];
        let mut graph = with_opset(model(&[2, 3], &nodes, &[]), 18);
        graph.graph.as_mut().unwrap().output[0].name = "z".into();
        assert_eq!(kinds(&check(&graph)), ["Relu"]);
    }
    // The axes need not be the last ones for the largest entry.
    assert_eq!(
        one("ReduceMax x -> y", 13, &[ints("axes", &[1])], &[]).0,
        ["Arrange", "Reshape", "MaxPool", "Reshape"]
    );
}
