//! Every supported form of every operator: the integer run stays close to the float engine's run of the graph.

use crate::graphs::*;
use provenn_circuits::layers::{Function, Layer};
use provenn_circuits::model::Head;
use provenn_models::executor::{apply_head, dequantize_output, quantize_input, run};
use provenn_models::fidelity::measure;
use provenn_models::{Dataset, FloatModel, QuantizeOptions, QuantizedModel, import, quantize};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, TensorProto};

/// Imports, quantizes on random samples, and checks the errors against the size of the outputs.
fn check(model: ModelProto) -> (FloatModel, QuantizedModel) {
    let float = import(&bytes(&model)).unwrap();
    let samples: Vec<_> = (0..40).map(|seed| reals(seed + 1, float.input_len())).collect();
    let options = QuantizeOptions { activation_bits: 10, input_bits: 10, ..QuantizeOptions::default() };
    let quantized = quantize(&float, &samples, &options).unwrap();
    let size = samples
        .iter()
        .enumerate()
        .flat_map(|(index, sample)| float.activations(index, sample).unwrap().pop().unwrap())
        .fold(0f32, |max, y| max.max(y.abs()));
    let data = Dataset { samples, labels: None };
    let report = measure(&float, &quantized, &data).unwrap();
    assert!(report.max_abs_error <= 0.02 * f64::from(size), "{report:?}, outputs up to {size}");
    assert_eq!(report.layers.len(), quantized.layers.nodes.len());
    (float, quantized)
}

fn kinds(quantized: &QuantizedModel) -> Vec<&'static str> {
    quantized.layers.nodes.iter().map(|node| node.layer.kind()).collect()
}

fn functions(quantized: &QuantizedModel) -> Vec<Option<Function>> {
    quantized.layers.gemms().map(|(_, gemm)| gemm.requantize.map(|r| r.function)).collect()
}

#[test]
fn gemm_in_every_orientation_with_every_bias() {
    let biases: [(&str, &[i64]); 5] = [("", &[]), ("b", &[5]), ("b", &[1, 5]), ("b", &[1]), ("b", &[])];
    for trans_b in [0, 1] {
        let dims: &[i64] = if trans_b == 1 { &[5, 4] } else { &[4, 5] };
        for (bias, bias_dims) in biases {
            let gemm = node(
                format!("Gemm x w {bias} -> y").replace("  ", " ").as_str(),
                &[int("transB", trans_b), float("alpha", 0.5), float("beta", -3.0), int("transA", 0)],
            );
            let mut initializers = vec![random("w", dims)];
            if !bias.is_empty() {
                initializers.push(random("b", bias_dims));
            }
            let (_, quantized) = check(model(&[1, 4], &[gemm], &initializers));
            assert_eq!(functions(&quantized), [None]);
            assert_eq!(quantized.parameters.len(), if bias.is_empty() { 1 } else { 2 });
        }
    }
}

#[test]
fn mat_mul_takes_added_constants_in_any_order_and_shape() {
    for dims in [&[5][..], &[1, 5], &[1], &[]] {
        for add in ["Add h b -> y", "Add b h -> y"] {
            let nodes = [node("MatMul x w -> h", &[]), node(add, &[])];
            check(model(&[1, 4], &nodes, &[random("w", &[4, 5]), random("b", dims)]));
        }
    }
    let nodes = [node("MatMul x w -> h", &[]), node("Add h b -> h2", &[]), node("Add c h2 -> y", &[])];
    check(model(&[1, 4], &nodes, &[random("w", &[4, 5]), random("b", &[5]), random("c", &[5])]));
    let nodes = [node("Gemm x w b -> h", &[]), node("Add h c -> y", &[])];
    check(model(&[1, 4], &nodes, &[random("w", &[4, 5]), random("b", &[5]), random("c", &[1, 5])]));
}

#[test]
fn leading_axes_are_rows() {
    for shape in [&[3, 4][..], &[2, 3, 4], &[4], &[0, 4]] {
        let nodes = [node("MatMul x w -> h", &[]), node("Relu h -> r", &[]), node("MatMul r v -> y", &[])];
        let (float, quantized) = check(model(shape, &nodes, &[random("w", &[4, 6]), random("v", &[6, 3])]));
        assert_eq!(functions(&quantized), [Some(Function::Relu), None]);
        let expected: Vec<usize> = shape.iter().map(|&d| d.max(1) as usize).collect();
        assert_eq!(float.input_shape, expected);
    }
}

#[test]
fn channel_scales_follow_rows_through_a_flatten() {
    let nodes = [
        node("MatMul x w -> h", &[]),
        node("Relu h -> r", &[]),
        node("Flatten r -> f", &[]),
        node("Gemm f v -> y", &[]),
    ];
    let mut loud = random("w", &[4, 6]);
    loud.raw_data.chunks_mut(4).step_by(6).for_each(|entry| {
        let value = f32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]) * 20.0;
        entry.copy_from_slice(&value.to_le_bytes());
    });
    let (_, quantized) = check(model(&[1, 3, 4], &nodes, &[loud.clone(), random("v", &[18, 3])]));
    assert!(quantized.scales[0].iter().any(|&scale| scale != quantized.scales[0][0]));

    // Here the next layer's inputs are no multiple of the channels, so all share one scale.
    let nodes = [
        node("MatMul x w -> h", &[]),
        node("Relu h -> r", &[]),
        node("Reshape r s -> f", &[]),
        node("MatMul f v -> y", &[]),
    ];
    let initializers = [loud, integers("s", &[2, 9]), random("v", &[9, 3])];
    let (_, quantized) = check(model(&[1, 3, 4], &nodes, &initializers));
    assert!(quantized.scales[0].iter().all(|&scale| scale == quantized.scales[0][0]));
}

#[test]
fn rectifiers_fuse_where_they_can() {
    let w = [random("w", &[4, 6]), random("v", &[6, 3]), integers("s", &[1, 6]), integers("t", &[2, 3])];
    let relu = |text| node(text, &[]);
    // Fused, and a second one is nothing.
    let nodes = [relu("MatMul x w -> h"), relu("Relu h -> r"), relu("Relu r -> q"), relu("MatMul q v -> y")];
    let (_, quantized) = check(model(&[1, 4], &nodes, &w));
    assert_eq!(kinds(&quantized), ["Gemm", "Gemm"]);
    assert_eq!(functions(&quantized), [Some(Function::Relu), None]);
    // None: the identity.
    let nodes = [relu("MatMul x w -> h"), relu("MatMul h v -> y")];
    let (_, quantized) = check(model(&[1, 4], &nodes, &w));
    assert_eq!(functions(&quantized), [Some(Function::Identity), None]);
    // On the input.
    let nodes = [relu("Relu x -> r"), relu("MatMul r w -> y")];
    let (_, quantized) = check(model(&[1, 4], &nodes, &w));
    assert_eq!(kinds(&quantized), ["Activation", "Gemm"]);
    // Alone.
    let (_, quantized) = check(model(&[1, 4], &[relu("Relu x -> y")], &[]));
    assert_eq!(kinds(&quantized), ["Activation"]);
    // After a reshape.
    let nodes = [
        relu("MatMul x w -> h"),
        relu("Reshape h t -> g"),
        relu("Relu g -> r"),
        relu("Reshape r s -> f"),
        relu("MatMul f v -> y"),
    ];
    let (_, quantized) = check(model(&[1, 4], &nodes, &w));
    assert_eq!(kinds(&quantized), ["Gemm", "Reshape", "Activation", "Reshape", "Gemm"]);
    // At the end, fused and not.
    let (_, quantized) = check(model(&[1, 4], &[relu("MatMul x w -> h"), relu("Relu h -> y")], &w));
    let Layer::Gemm(gemm) = &quantized.layers.nodes[0].layer else { panic!("a Gemm") };
    assert_eq!(gemm.requantize.unwrap().output.hi, 4095);
    let nodes = [relu("MatMul x w -> h"), relu("Reshape h t -> g"), relu("Relu g -> y")];
    let (_, quantized) = check(model(&[1, 4], &nodes, &w));
    assert_eq!(quantized.layers.values().unwrap().last().unwrap().range.hi, 4095);
}

#[test]
fn reshapes_are_resolved() {
    let gemm = |inputs: i64| (node("MatMul f w -> y", &[]), random("w", &[inputs, 3]));
    for (axis, inputs) in [(0, 24), (1, 12), (2, 4), (3, 1), (-1, 4), (-3, 24)] {
        let (mat_mul, w) = gemm(inputs);
        check(model(&[2, 3, 4], &[node("Flatten x -> f", &[int("axis", axis)]), mat_mul], &[w]));
    }
    for (shape, inputs) in
        [(&[-1, 6][..], 6), (&[0, -1], 12), (&[0, 0, 2, 2], 2), (&[24], 24), (&[4, 0, 2], 2)]
    {
        let (mat_mul, w) = gemm(inputs);
        check(model(&[2, 3, 4], &[node("Reshape x s -> f", &[]), mat_mul], &[w, integers("s", shape)]));
    }
    let (mat_mul, w) = gemm(12);
    let reshape = node("Reshape x s -> f", &[int("allowzero", 1)]);
    check(with_opset(model(&[2, 3, 4], &[reshape, mat_mul], &[w, integers("s", &[2, -1])]), 14));
    // At the end, after the accumulators.
    let nodes = [node("MatMul x w -> h", &[]), node("Reshape h s -> y", &[])];
    let (_, quantized) = check(model(&[1, 4], &nodes, &[random("w", &[4, 6]), integers("s", &[2, 3])]));
    assert_eq!(functions(&quantized), [None]);
}

#[test]
fn what_does_nothing_to_values_is_left_out() {
    let double = TensorProto {
        name: "d".into(),
        dims: vec![6, 4],
        data_type: DataType::Double as i32,
        double_data: reals(9, 24).into_iter().map(f64::from).collect(),
        ..TensorProto::default()
    };
    let training = TensorProto {
        name: "training".into(),
        data_type: DataType::Bool as i32,
        int32_data: vec![0],
        ..TensorProto::default()
    };
    let nodes = [
        node("Constant -> c", &[tensor("value", double)]),
        node("Cast c -> cf", &[int("to", 1)]),
        node("Transpose cf -> ct", &[ints("perm", &[1, 0])]),
        node("Identity ct -> w", &[]),
        node("Identity x -> i", &[]),
        node("MatMul i w -> h", &[]),
        node("Dropout h ratio training -> y", &[]),
    ];
    let (_, quantized) = check(model(&[1, 4], &nodes, &[floats("ratio", &[], &[0.5]), training]));
    assert_eq!(kinds(&quantized), ["Gemm"]);
    let nodes = [node("MatMul x w -> h", &[]), node("Dropout h -> y", &[float("ratio", 0.5)])];
    check(with_opset(model(&[1, 4], &nodes, &[random("w", &[4, 6])]), 9));
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
        let (float, quantized) =
            check(model(&[1, 4], &[node("MatMul x w -> h", &[]), node(text, &attributes)], &w));
        assert_eq!((float.head, quantized.layers.head), (head, head));
        assert_eq!(kinds(&quantized), ["Gemm"]);
    }
    let nodes = [node("MatMul x w -> h", &[]), node("Softmax h -> y", &[])];
    check(with_opset(model(&[1, 4], &nodes, &w), 9));

    let logits = [1.0, 3.0, 3.0, 0.0, -1.0, -1.0];
    let soft = apply_head(Head::Softmax, 3, &logits);
    assert_eq!(soft.classes, [1, 0]);
    assert!((soft.values[..3].iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let log = apply_head(Head::LogSoftmax, 3, &logits);
    assert!(log.values.iter().zip(&soft.values).all(|(l, p)| (l.exp() - p).abs() < 1e-12));
}

#[test]
fn every_operator_set_from_9_to_18_is_read() {
    let nodes = [
        node("Flatten x -> f", &[]),
        node("Gemm f w b -> h", &[int("transB", 1)]),
        node("Relu h -> r", &[]),
        node("MatMul r v -> y", &[]),
    ];
    let initializers = [random("w", &[6, 12]), random("b", &[6]), random("v", &[6, 3])];
    for opset in 9..=18 {
        check(with_opset(model(&[0, 3, 4], &nodes, &initializers), opset));
    }
}

#[test]
fn unused_nodes_and_weights_are_ignored() {
    let nodes = [node("MatMul x w -> y", &[]), node("Sin x -> unused", &[])];
    let initializers = [random("w", &[4, 6]), floats("spare", &[1], &[f32::NAN])];
    check(model(&[1, 4], &nodes, &initializers));
}

fn two_layers(w: TensorProto, b: TensorProto, v: TensorProto) -> FloatModel {
    let nodes = [node("Gemm x w b -> h", &[]), node("Relu h -> r", &[]), node("MatMul r v -> y", &[])];
    import(&bytes(&model(&[1, 4], &nodes, &[w, b, v]))).unwrap()
}

#[test]
fn extreme_weights_and_inputs_quantize() {
    let filled = |name: &str, dims: &[i64], value: f32| {
        floats(name, dims, &vec![value; dims.iter().product::<i64>() as usize])
    };
    let normal = || (random("w", &[4, 6]), random("b", &[6]), random("v", &[6, 3]));
    let mut dead = random("b", &[6]);
    dead.raw_data[..4].copy_from_slice(&(-1e6f32).to_le_bytes());
    let (w, b, v) = normal();
    let cases = [
        (filled("w", &[4, 6], 0.0), b.clone(), v.clone()),
        (filled("w", &[4, 6], 0.0), filled("b", &[6], 0.0), v.clone()),
        (filled("w", &[4, 6], 0.0), filled("b", &[6], 0.0), filled("v", &[6, 3], 0.0)),
        (w.clone(), filled("b", &[6], -1e6), v.clone()),
        (w.clone(), filled("b", &[6], 1e30), v.clone()),
        (w.clone(), dead, v.clone()),
        (filled("w", &[4, 6], 1e30), b.clone(), filled("v", &[6, 3], 1e-30)),
        (filled("w", &[4, 6], 1e-38), b.clone(), v.clone()),
        (filled("w", &[4, 6], 1e-38), filled("b", &[6], 0.0), filled("v", &[6, 3], 1e-7)),
        (w, b, filled("v", &[6, 3], 0.0)),
    ];
    for (index, (w, b, v)) in cases.into_iter().enumerate() {
        let float = two_layers(w, b, v);
        for input in [vec![0.0; 4], vec![1.0; 4], vec![-1e-30, 0.0, 1e-30, 0.0], vec![1e4; 4]] {
            let quantized =
                quantize(&float, std::slice::from_ref(&input), &QuantizeOptions::default()).unwrap();
            let integers = quantize_input(&quantized.layers, &input).unwrap();
            let output = run(&quantized.layers, &quantized.parameters, &integers).unwrap();
            let output = dequantize_output(&quantized.layers, &output);
            let expected = float.activations(0, &input).unwrap().pop().unwrap();
            let size = expected.iter().fold(0f32, |max, y| max.max(y.abs()));
            for (&x, y) in expected.iter().zip(output) {
                let error = (f64::from(x) - y).abs();
                assert!(error <= 0.02 * f64::from(size) + 1e-3, "case {index}, {input:?}: {x} became {y}");
            }
        }
    }
}

#[test]
fn weight_bits_are_as_asked() {
    let float = two_layers(random("w", &[4, 6]), random("b", &[6]), random("v", &[6, 3]));
    let samples: Vec<_> = (1..20).map(|seed| reals(seed, 4)).collect();
    for bits in 2..=16 {
        let options = QuantizeOptions { weight_bits: Some(bits), ..QuantizeOptions::default() };
        let quantized = quantize(&float, &samples, &options).unwrap();
        assert!(quantized.layers.gemms().all(|(_, gemm)| gemm.weight_bits == bits));
        let largest = quantized.parameters[0].iter().map(|w| w.abs()).max().unwrap();
        let limit = (1 << (bits - 1)) - 1;
        assert!(largest <= limit && 2 * largest + 1 >= limit, "{largest} of {limit}");
        assert_eq!(quantized, quantize(&float, &samples, &options).unwrap());
    }
    for options in [
        QuantizeOptions { weight_bits: Some(17), ..QuantizeOptions::default() },
        QuantizeOptions { input_bits: 1, ..QuantizeOptions::default() },
        QuantizeOptions { activation_bits: 13, ..QuantizeOptions::default() },
        QuantizeOptions { output_bits: 14, ..QuantizeOptions::default() },
    ] {
        let error = quantize(&float, &samples, &options).unwrap_err();
        assert!(matches!(error, provenn_models::ModelError::Option { .. }), "{error}");
    }
    let error = quantize(&float, &[], &QuantizeOptions::default()).unwrap_err();
    assert!(matches!(error, provenn_models::ModelError::NoSamples));
    let error = quantize(&float, &[vec![0.0, f32::NAN, 0.0, 0.0]], &QuantizeOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "sample 0, index 1 is NaN, expected a finite number");
}
