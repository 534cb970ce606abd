//! What cannot be imported is refused with an error that names the place, and nothing panics.

use crate::graphs::*;
use provenn_models::{import, zoo};
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{AttributeProto, ModelProto, NodeProto, TensorProto};

fn refusal(model: &ModelProto) -> String {
    import(&bytes(model)).unwrap_err().to_string()
}

#[track_caller]
fn refused(nodes: &[NodeProto], initializers: &[TensorProto], expected: &str) {
    let message = refusal(&model(&[2, 4], nodes, initializers));
    assert!(message.contains(expected) && !message.contains('\n'), "{message}");
}

#[test]
fn operators_and_attributes_are_named() {
    let w = || vec![random("w", &[4, 5]), random("b", &[5]), integers("s", &[-1, 2])];
    let one = |text: &str, attributes: &[AttributeProto], expected: &str| {
        refused(&[node(text, attributes)], &w(), expected);
    };
    one("Sin x -> y", &[], "node Sin -> y: operator Sin is not supported: supported are Gemm");
    one("Gemm x w -> y", &[int("transA", 1)], "attribute transA of Gemm is 1, expected 0");
    one("Gemm x w -> y", &[int("transB", 2)], "attribute transB of Gemm is 2, expected 0 or 1");
    one("Gemm x w -> y", &[float("alpha", f32::NAN)], "attribute alpha of Gemm is NaN");
    one(
        "Gemm x w -> y",
        &[float("transB", 1.0)],
        "attribute transB of Gemm is of type FLOAT, expected type INT",
    );
    one("Gemm x w -> y", &[int("gamma", 1)], "attribute gamma of Gemm is set, expected no such attribute");
    one("Gemm w x -> y", &[], "operand 0 of Gemm is the constant w");
    one("Gemm x x -> y", &[], "operand 1 of Gemm is x, which depends on the input, expected a constant");
    one("Gemm x -> y", &[], "operand 1 of Gemm is missing");
    one("Gemm x nothing -> y", &[], "operand 1 of Gemm is nothing, which nothing before it gives");
    one("Gemm x w s -> y", &[], "tensor s: element type an integer is not supported, expected FLOAT");
    one("Gemm x w w -> y", &[], "shape [4, 5] does not fit, expected a bias w of 5 entries");
    one("MatMul x b -> y", &[], "shape [5] does not fit, expected weights b with two axes");
    one("Add x b -> y", &[], "a constant can be added only right after Gemm or MatMul");
    one("Reshape x w -> y", &[], "tensor w: element type a float is not supported, expected INT64");
    one("Flatten x -> y", &[int("axis", 3)], "attribute axis of Flatten is 3, expected -2 to 2");
    one("Softmax x -> y", &[int("axis", 0)], "attribute axis of Softmax is 0, expected 1, the last one");
    one("ArgMax x -> y", &[int("axis", 1), int("select_last_index", 1)], "select_last_index of ArgMax is 1");
    one("ArgMax x -> y", &[], "attribute axis of ArgMax is 0, expected 1");
    one("Softmax x -> y", &[], "no layer to prove");
    one("Identity x -> y", &[], "no layer to prove");
    one("Identity x -> z", &[], "no layer to prove");
    one("Identity w -> y", &[], "no layer to prove");
    let mut named = node("Conv x w -> y", &[]);
    named.name = "/c1/Conv".into();
    refused(&[named], &w(), "node /c1/Conv: operator Conv is not supported");
    let mut foreign = node("Relu x -> y", &[]);
    foreign.domain = "com.microsoft".into();
    refused(&[foreign], &w(), "operator com.microsoft.Relu is not supported");
}

#[test]
fn chains_only() {
    let w = [random("w", &[4, 4])];
    let skip = [node("MatMul x w -> h", &[]), node("Add h x -> y", &[])];
    refused(&skip, &w, "operand 1 of Add is x, which depends on the input");
    let fork = [
        node("MatMul x w -> h", &[]),
        node("Relu h -> r", &[]),
        node("MatMul r w -> g", &[]),
        node("Add g h -> y", &[]),
    ];
    refused(&fork, &w, "operand 1 of Add is h");
    let softmax = [node("Softmax x -> s", &[]), node("MatMul s w -> y", &[])];
    refused(&softmax, &w, "nothing may follow Softmax -> s");
    let twice = [node("Relu x -> y", &[]), node("Identity x -> y", &[])];
    refused(&twice, &w, "tensor y has another producer");
    let unordered = [node("Relu h -> y", &[]), node("MatMul x w -> h", &[])];
    refused(&unordered, &w, "operand 0 of Relu is h, which nothing before it gives");
}

#[test]
fn shapes_are_checked() {
    refused(
        &[node("MatMul x w -> y", &[])],
        &[random("w", &[3, 5])],
        "expected a last axis of 3, as in weights w",
    );
    for shape in [&[3, 3][..], &[-1, -1], &[-2, 4], &[0, 0, 0], &[-1, 3], &[i64::MAX, 4], &[0, 3]] {
        let message = refusal(&model(&[2, 4], &[node("Reshape x s -> y", &[])], &[integers("s", shape)]));
        assert!(message.starts_with("node Reshape -> y: shape"), "{message}");
        assert!(message.ends_with("expected 8 entries, as in [2, 4]"), "{message}");
    }
    let gemm = [node("Gemm x w -> y", &[])];
    let message = refusal(&model(&[2, 3, 4], &gemm, &[random("w", &[4, 5])]));
    assert!(message.contains("expected a left operand with two axes"), "{message}");
    let message = refusal(&model(&[1, 0], &gemm, &[random("w", &[4, 5])]));
    assert!(message.starts_with("input x: axis 1 has no fixed length (batch)"), "{message}");
    let message = refusal(&model(&[1 << 40, 4], &gemm, &[random("w", &[4, 5])]));
    assert!(message.starts_with("input x: shape [1099511627776, 4] does not fit"), "{message}");
}

#[test]
fn tensors_are_checked() {
    let gemm = || vec![node("MatMul x w -> y", &[])];
    let mut bad = random("w", &[4, 5]);
    bad.raw_data[17 * 4..18 * 4].copy_from_slice(&f32::NAN.to_le_bytes());
    refused(&gemm(), &[bad], "tensor w: entry 17 is NaN, every weight must be finite");
    let short = TensorProto { dims: vec![4, 6], ..random("w", &[4, 5]) };
    refused(&gemm(), &[short], "tensor w: it holds 20 entries, its shape [4, 6] asks for 24");
    let negative = TensorProto { dims: vec![-4, 5], ..random("w", &[4, 5]) };
    refused(&gemm(), &[negative], "negative axis");
    let huge = TensorProto { dims: vec![1 << 40, 1 << 40], ..random("w", &[4, 5]) };
    refused(&gemm(), &[huge], "more than");
    let half = TensorProto { data_type: DataType::Float16 as i32, ..random("w", &[4, 5]) };
    refused(&gemm(), &[half], "tensor w: element type FLOAT16 is not supported");
    let unknown = TensorProto { data_type: 99, ..random("w", &[4, 5]) };
    refused(&gemm(), &[unknown], "tensor w: element type 99 is not supported");
    let external = TensorProto { data_location: Some(DataLocation::External as i32), ..random("w", &[4, 5]) };
    refused(&gemm(), &[external], "its data is in another file");
}

#[test]
fn the_interface_is_one_input_and_one_output() {
    let good = model(&[1, 4], &[node("MatMul x w -> y", &[])], &[random("w", &[4, 5])]);
    let change = |edit: fn(&mut tract_onnx::pb::GraphProto)| {
        let mut model = good.clone();
        edit(model.graph.as_mut().unwrap());
        refusal(&model)
    };
    assert_eq!(
        change(|graph| {
            let mut second = graph.input[0].clone();
            second.name = "x2".into();
            graph.input.push(second);
        }),
        "the model has 2 inputs (x, x2), expected exactly 1"
    );
    assert_eq!(change(|graph| graph.output.clear()), "the model has 0 outputs (), expected exactly 1");
    assert_eq!(change(|graph| graph.input.clear()), "the model has 0 inputs (), expected exactly 1");
    assert_eq!(change(|graph| graph.input[0].r#type = None), "not an ONNX model: input x has no tensor type");
    assert_eq!(refusal(&ModelProto { graph: None, ..good.clone() }), "not an ONNX model: it has no graph");
    let message = refusal(&with_opset(good, 8));
    assert_eq!(message, "operator set 8 is not supported, supported are 9 to 24: export the model again");
    assert_eq!(import(b"").unwrap_err().to_string(), "not an ONNX model: the file is empty");
    assert!(import(b"{\"input\": 1}").unwrap_err().to_string().starts_with("not an ONNX model"));
}

#[test]
fn damaged_files_never_panic() {
    let whole = zoo::digits_mlp().onnx;
    for len in (0..whole.len()).step_by(97).chain(whole.len() - 60..whole.len()) {
        let _ = import(&whole[..len]);
    }
    let nodes = [
        node("Flatten x -> f", &[int("axis", 1)]),
        node("Gemm f w b -> h", &[int("transB", 1), float("alpha", 1.0)]),
        node("Relu h -> r", &[]),
        node("Reshape r s -> q", &[]),
        node("Softmax q -> y", &[int("axis", -1)]),
    ];
    let initializers = [random("w", &[3, 4]), random("b", &[3]), integers("s", &[1, -1])];
    let small = bytes(&model(&[1, 2, 2], &nodes, &initializers));
    assert!(import(&small).is_ok());
    for position in 0..small.len() {
        for flip in [0x01, 0x04, 0x10, 0x80, 0xff] {
            let mut damaged = small.clone();
            damaged[position] ^= flip;
            let _ = import(&damaged);
        }
    }
}
