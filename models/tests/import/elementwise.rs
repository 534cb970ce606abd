//! Sums, products, fully connected layers and functions.

use crate::check::{check, compare, kinds};
use crate::graphs::*;
use provenn_circuits::functions::Curve;
use provenn_models::float::{FloatFunction, FloatOp};
use provenn_models::{FloatModel, import};
use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

#[test]
fn gemm_in_every_orientation_with_every_bias() {
    let biases: [(&str, &[i64]); 5] = [("", &[]), ("b", &[5]), ("b", &[1, 5]), ("b", &[1]), ("b", &[])];
    for trans_b in [0, 1] {
        let dims: &[i64] = if trans_b == 1 { &[5, 4] } else { &[4, 5] };
        for (bias, bias_dims) in biases {
            let text = format!("Gemm x w {bias} -> y").replace("  ", " ");
            let attributes =
                [int("transB", trans_b), float("alpha", 0.5), float("beta", -3.0), int("transA", 0)];
            let mut initializers = vec![random("w", dims)];
            if !bias.is_empty() {
                initializers.push(random("b", bias_dims));
            }
            let float = check(&model(&[1, 4], &[node(&text, &attributes)], &initializers));
            assert_eq!(kinds(&float), ["Gemm"]);
        }
    }
}

#[test]
fn mat_mul_with_a_constant_on_either_side() {
    for shape in [&[3, 4][..], &[2, 3, 4], &[4], &[0, 4]] {
        let nodes = [node("MatMul x w -> h", &[]), node("Relu h -> r", &[]), node("MatMul r v -> y", &[])];
        let float = check(&model(shape, &nodes, &[random("w", &[4, 6]), random("v", &[6, 3])]));
        assert_eq!(kinds(&float), ["Gemm", "Relu", "Gemm"]);
        let expected: Vec<usize> = shape.iter().map(|&d| d.max(1) as usize).collect();
        assert_eq!(float.input_shape, expected);
    }
    for (shape, expected) in [(&[4, 3][..], &[6, 3][..]), (&[2, 4, 3], &[2, 6, 3])] {
        let float = check(&model(shape, &[node("MatMul w x -> y", &[])], &[random("w", &[6, 4])]));
        assert_eq!((kinds(&float), float.output_shape()), (vec!["Arrange", "Gemm", "Arrange"], expected));
    }
}

#[test]
fn constants_are_broadcast() {
    for dims in [&[4][..], &[3, 1], &[1, 1, 4], &[2, 3, 4], &[1], &[]] {
        for text in
            ["Add x b -> y", "Add b x -> y", "Sub x b -> y", "Sub b x -> y", "Mul x b -> y", "Mul b x -> y"]
        {
            let float = check(&model(&[2, 3, 4], &[node(text, &[])], &[random("b", dims)]));
            assert_eq!(
                (kinds(&float), float.output_shape()),
                (vec!["Affine"], &[2, 3, 4][..]),
                "{text} {dims:?}"
            );
        }
        let entries: Vec<f32> = (0..dims.iter().product::<i64>()).map(|i| 0.5 + i as f32).collect();
        check(&model(&[2, 3, 4], &[node("Div x b -> y", &[])], &[floats("b", dims, &entries)]));
    }
    // The value is broadcast too.
    let float = check(&model(&[3, 1], &[node("Add x b -> y", &[])], &[random("b", &[2, 1, 4])]));
    assert_eq!((kinds(&float), float.output_shape()), (vec!["Reshape", "Affine"], &[2, 3, 4][..]));
}

#[test]
fn values_meet_values() {
    let w = || [random("w", &[4, 4]), random("v", &[4, 1])];
    let first = || vec![node("MatMul x w -> a", &[]), node("MatMul x v -> b", &[])];
    let one = |text: &str, kind: &str| {
        let nodes = [first(), vec![node(text, &[])]].concat();
        let float = check(&model(&[3, 4], &nodes, &w()));
        assert_eq!((kinds(&float).last(), float.output_shape()), (Some(&kind), &[3, 4][..]), "{text}");
    };
    one("Add a b -> y", "Combine");
    one("Sub a b -> y", "Combine");
    one("Sub b a -> y", "Combine");
    one("Sum a b x a -> y", "Combine");
    one("Mean a b x -> y", "Combine");
    one("Mul a b -> y", "Product");
    one("Mul a a -> y", "Product");
    one("Add a a -> y", "Combine");
    one("Neg a -> y", "Combine");
    // A residual block: the input is read twice.
    let nodes = [node("MatMul x w -> h", &[]), node("Relu h -> r", &[]), node("Add r x -> y", &[])];
    let float = check(&model(&[3, 4], &nodes, &w()));
    assert_eq!(float.layers[2].inputs, [2, 0]);
}

#[test]
fn powers_are_products() {
    let one = |exponent: TensorProto| {
        let nodes = [node("Relu x -> r", &[]), node("Pow r e -> y", &[])];
        kinds(&check(&model(&[2, 3], &nodes, &[exponent])))
    };
    assert_eq!(one(floats("e", &[], &[2.0])), ["Relu", "Product"]);
    assert_eq!(one(floats("e", &[1], &[3.0])), ["Relu", "Product", "Product"]);
    assert_eq!(one(integer("e", 2)), ["Relu", "Product"]);
    assert_eq!(one(floats("e", &[], &[1.0])), ["Relu"]);
}

#[test]
fn batch_normalization_is_affine() {
    let constants = |channels: i64| {
        let positive: Vec<f32> = (0..channels).map(|i| 0.25 + i as f32).collect();
        vec![
            random("scale", &[channels]),
            random("bias", &[channels]),
            random("mean", &[channels]),
            floats("var", &[channels], &positive),
        ]
    };
    for shape in [&[2, 3][..], &[1, 3, 5], &[1, 3, 4, 5]] {
        let attributes = [float("epsilon", 0.01), float("momentum", 0.9)];
        let normalize = node("BatchNormalization x scale bias mean var -> y", &attributes);
        for opset in [9, 14, 15] {
            let float =
                check(&with_opset(model(shape, std::slice::from_ref(&normalize), &constants(3)), opset));
            assert_eq!(kinds(&float), ["Affine"]);
            let FloatOp::Affine { shape: constants, .. } = &float.layers[0].op else { panic!("an Affine") };
            assert_eq!(constants.iter().product::<usize>(), 3);
            assert_eq!(constants[1], 3);
        }
    }
    // Old exporters name outputs that only training gives.
    let normalize = node("BatchNormalization x scale bias mean var -> y m v a b", &[]);
    check(&with_opset(model(&[1, 3, 4], &[normalize], &constants(3)), 9));
}

fn function(text: &str, opset: i64, attributes: &[AttributeProto]) -> FloatModel {
    let nodes = [node("MatMul x w -> h", &[]), node(text, attributes)];
    check(&with_opset(model(&[3, 4], &nodes, &[random("w", &[4, 5])]), opset))
}

fn curve(float: &FloatModel) -> Curve {
    match float.layers.last().map(|layer| &layer.op) {
        Some(FloatOp::Function(FloatFunction::Curve(curve))) => *curve,
        other => panic!("{other:?} is no curve"),
    }
}

#[test]
fn functions_of_every_entry() {
    assert_eq!(kinds(&function("Relu h -> y", 9, &[])), ["Gemm", "Relu"]);
    assert_eq!(curve(&function("Sigmoid h -> y", 9, &[])), Curve::Sigmoid);
    assert_eq!(curve(&function("Tanh h -> y", 9, &[])), Curve::Tanh);
    assert_eq!(curve(&function("Softplus h -> y", 9, &[])), Curve::Softplus);
    assert_eq!(curve(&function("Erf h -> y", 9, &[])), Curve::Erf);
    assert_eq!(curve(&function("Exp h -> y", 9, &[])), Curve::Exp);
    assert_eq!(curve(&function("Abs h -> y", 9, &[])), Curve::Abs);
    assert_eq!(curve(&function("HardSwish h -> y", 14, &[])), Curve::HardSwish);
    assert_eq!(curve(&function("Gelu h -> y", 20, &[])), Curve::Gelu);
    assert_eq!(curve(&function("Gelu h -> y", 20, &[text("approximate", "tanh")])), Curve::GeluTanh);
    assert_eq!(curve(&function("Swish h -> y", 24, &[])), Curve::Silu);
    let value = |curve: Curve| match curve {
        Curve::LeakyRelu { alpha } | Curve::Elu { alpha } => {
            f64::from(alpha.mantissa) * 2f64.powi(alpha.exponent)
        }
        other => panic!("{other:?}"),
    };
    for alpha in [0.01f32, 0.2, 1.0, 3.0, -0.7, 123.456] {
        let attributes = [float("alpha", alpha)];
        assert_eq!(value(curve(&function("LeakyRelu h -> y", 9, &attributes))), f64::from(alpha));
        assert_eq!(value(curve(&function("Elu h -> y", 9, &attributes))), f64::from(alpha));
    }
    assert_eq!(value(curve(&function("LeakyRelu h -> y", 9, &[]))), f64::from(0.01f32));
    assert_eq!(kinds(&function("LeakyRelu h -> y", 9, &[float("alpha", 0.0)])), ["Gemm", "Relu"]);
    function("HardSigmoid h -> y", 9, &[]);
    function("HardSigmoid h -> y", 9, &[float("alpha", 0.3), float("beta", -0.1)]);
    assert_eq!(kinds(&function("Selu h -> y", 9, &[])), ["Gemm", "Curve", "Combine"]);
    function("Selu h -> y", 9, &[float("alpha", 0.5), float("gamma", 2.0)]);
    let nodes = [node("Abs x -> a", &[]), node("Sqrt a -> y", &[])];
    assert_eq!(kinds(&check(&model(&[3, 4], &nodes, &[]))), ["Curve", "Curve"]);
}

#[test]
fn clips_in_every_version() {
    let one = |text: &str, opset: i64, attributes: &[AttributeProto], ends: &[TensorProto]| {
        let nodes = [node("MatMul x w -> h", &[]), node(text, attributes)];
        let constants = [&[random("w", &[4, 5])], ends].concat();
        let float = check(&with_opset(model(&[3, 4], &nodes, &constants), opset));
        match &float.layers.last().unwrap().op {
            FloatOp::Function(FloatFunction::Relu) => Some((0.0, f32::INFINITY)),
            FloatOp::Function(FloatFunction::Clip { lo, hi }) => Some((*lo, *hi)),
            _ => None,
        }
    };
    let (lo, hi) = (floats("lo", &[], &[-0.25]), floats("hi", &[], &[0.5]));
    let six = [float("min", 0.0), float("max", 6.0)];
    assert_eq!(one("Clip h -> y", 9, &six, &[]), Some((0.0, 6.0)));
    assert_eq!(one("Clip h -> y", 9, &six[..1], &[]), Some((0.0, f32::INFINITY)));
    assert_eq!(one("Clip h -> y", 9, &six[1..], &[]), Some((f32::NEG_INFINITY, 6.0)));
    assert_eq!(one("Clip h -> y", 9, &[float("min", f32::MIN), float("max", f32::MAX)], &[]), None);
    for opset in [11, 12, 13, 18] {
        assert_eq!(one("Clip h lo hi -> y", opset, &[], &[lo.clone(), hi.clone()]), Some((-0.25, 0.5)));
        assert_eq!(
            one("Clip h _ hi -> y", opset, &[], std::slice::from_ref(&hi)),
            Some((f32::NEG_INFINITY, 0.5))
        );
        assert_eq!(
            one("Clip h lo -> y", opset, &[], std::slice::from_ref(&lo)),
            Some((-0.25, f32::INFINITY))
        );
        assert_eq!(one("Clip h -> y", opset, &[], &[]), None);
    }
    let infinite = floats("hi", &[], &[f32::INFINITY]);
    assert_eq!(one("Clip h lo hi -> y", 13, &[], &[lo.clone(), infinite]), Some((-0.25, f32::INFINITY)));
    assert_eq!(one("Max h lo -> y", 13, &[], std::slice::from_ref(&lo)), Some((-0.25, f32::INFINITY)));
    assert_eq!(one("Min hi h -> y", 13, &[], &[hi]), Some((f32::NEG_INFINITY, 0.5)));
    assert_eq!(one("Max h lo -> y", 13, &[], &[floats("lo", &[1], &[0.0])]), Some((0.0, f32::INFINITY)));
}

#[test]
fn slopes_are_broadcast() {
    for dims in [&[1][..], &[], &[3, 1, 1], &[1, 3, 1, 1]] {
        let float = check(&model(&[1, 3, 2, 4], &[node("PRelu x s -> y", &[])], &[random("s", dims)]));
        assert_eq!(kinds(&float), ["Relu", "Affine", "Affine", "Combine"]);
    }
}

/// Layers of a graph that ends in a function of `h`, of which one is the curve expected.
fn written(nodes: &[NodeProto], expected: Curve) {
    let nodes = [&[node("MatMul x w -> h", &[])], nodes].concat();
    let constants = [
        random("w", &[4, 5]),
        floats("half", &[], &[0.5]),
        floats("one", &[1], &[1.0]),
        floats("root", &[], &[std::f32::consts::SQRT_2]),
        floats("inverse", &[], &[std::f32::consts::FRAC_1_SQRT_2]),
        floats("three", &[], &[3.0]),
        floats("zero", &[], &[0.0]),
        floats("six", &[], &[6.0]),
    ];
    let float = check(&model(&[3, 4], &nodes, &constants));
    assert_eq!((kinds(&float), curve(&float)), (vec!["Gemm", "Curve"], expected), "{nodes:?}");
}

#[test]
fn functions_written_as_several_operators_are_one_layer() {
    let plain = |texts: &[&str]| texts.iter().map(|text| node(text, &[])).collect::<Vec<_>>();
    for first in ["Div h root -> d", "Mul h inverse -> d", "Mul inverse h -> d"] {
        for rest in [
            ["Add e one -> s", "Mul h s -> p", "Mul p half -> y"],
            ["Add one e -> s", "Mul s h -> p", "Mul half p -> y"],
            ["Add e one -> s", "Mul h half -> p", "Mul p s -> y"],
            ["Add e one -> s", "Mul s half -> p", "Mul h p -> y"],
        ] {
            let nodes = plain(&[&[first, "Erf d -> e"][..], &rest].concat());
            written(&nodes, Curve::Gelu);
        }
    }
    written(&plain(&["Sigmoid h -> s", "Mul h s -> y"]), Curve::Silu);
    written(&plain(&["Sigmoid h -> s", "Mul s h -> y"]), Curve::Silu);
    written(
        &plain(&["Add h three -> t", "Clip t zero six -> c", "Mul h c -> p", "Div p six -> y"]),
        Curve::HardSwish,
    );
    written(
        &plain(&["Add h three -> t", "Clip t zero six -> c", "Div c six -> s", "Mul s h -> y"]),
        Curve::HardSwish,
    );
    let hard = node("HardSigmoid h -> s", &[float("alpha", 1.0 / 6.0)]);
    written(&[hard, node("Mul h s -> y", &[])], Curve::HardSwish);
}

#[test]
fn functions_that_only_look_alike_stay_what_they_are() {
    let one = |texts: &[&str], numbers: &[(&str, f32)]| {
        let nodes: Vec<NodeProto> = texts.iter().map(|text| node(text, &[])).collect();
        let constants: Vec<TensorProto> = numbers.iter().map(|(name, x)| floats(name, &[], &[*x])).collect();
        kinds(&check(&model(&[3, 4], &nodes, &constants)))
    };
    let erf = ["Mul x a -> d", "Erf d -> e", "Add e b -> s", "Mul x s -> p", "Mul p c -> y"];
    let gelu = [("a", 0.7), ("b", 1.0), ("c", 0.5)];
    assert_eq!(one(&erf, &gelu), ["Affine", "Curve", "Affine", "Product", "Affine"]);
    assert_eq!(one(&erf, &[("a", 0.707_106_77), ("b", 1.0), ("c", 0.6)]).len(), 5);
    assert_eq!(one(&erf, &[("a", 0.707_106_77), ("b", 0.9), ("c", 0.5)]).len(), 5);
    assert_eq!(one(&erf, &[("a", 0.707_106_77), ("b", 1.0), ("c", 0.5)]), ["Curve"]);
    // The sigmoid is of something else, or is read by others too.
    assert_eq!(one(&["Relu x -> r", "Sigmoid r -> s", "Mul x s -> y"], &[]), ["Relu", "Curve", "Product"]);
    assert_eq!(one(&["Sigmoid x -> s", "Mul x s -> p", "Add p s -> y"], &[]), ["Curve", "Curve", "Combine"]);
}

#[test]
fn large_arguments_stay_within_the_engine() {
    let float = import(&bytes(&model(&[4], &[node("Sigmoid x -> y", &[])], &[]))).unwrap();
    compare(&float, &[-20.0, 20.0, 0.0, 5.0]);
}

#[test]
fn standardization_of_scikit_learn_is_affine() {
    let list = |name: &str, values: &[f32]| AttributeProto {
        floats: values.to_vec(),
        r#type: 6,
        ..float(name, 0.0)
    };
    let scaler = |offset: &[f32], scale: &[f32]| {
        let mut scaler = node("Scaler x -> s", &[list("offset", offset), list("scale", scale)]);
        scaler.domain = "ai.onnx.ml".into();
        model(&[2, 3], &[scaler, node("MatMul s w -> y", &[])], &[random("w", &[3, 4])])
    };
    assert_eq!(kinds(&check(&scaler(&[0.5, -1.0, 2.0], &[1.0, 2.0, 0.25]))), ["Affine", "Gemm"]);
    assert_eq!(kinds(&check(&scaler(&[0.5], &[3.0]))), ["Affine", "Gemm"]);
    let error = import(&bytes(&scaler(&[0.5, 1.0], &[3.0]))).unwrap_err().to_string();
    assert!(
        error.contains("attribute offset of ai.onnx.ml.Scaler is [0.5, 1.0], expected 1 or 3"),
        "{error}"
    );
}
