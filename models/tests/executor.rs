//! The executor refuses what is not as declared, and its numbers are those of the integer semantics.

use provenn_circuits::layers::{Activation, Function, Gemm, Layer, Requantize};
use provenn_circuits::model::{Head, LayerList, Node, Range, Scale, TableBits};
use provenn_models::executor::{apply_head, argmax, dequantize_output, quantize_input, run, run_traced};

/// Two inputs in [-4, 3] in steps of 1/2, one requantized layer, a rectifier of its own.
fn layers() -> LayerList {
    let requantize =
        Requantize { shift: 2, function: Function::Identity, output: Range::new(-3, 3), domain: 6 };
    let rectify = Requantize { shift: 0, function: Function::Relu, output: Range::new(0, 3), domain: 2 };
    let gemm =
        Gemm { inputs: 2, outputs: 2, weight_bits: 4, bias_bits: Some(4), requantize: Some(requantize) };
    LayerList {
        input_shape: vec![1, 2],
        input_range: Range::new(-4, 3),
        input_scale: Scale { mantissa: 1, exponent: -1 },
        nodes: vec![
            Node { layer: Layer::Gemm(gemm), inputs: vec![0] },
            Node { layer: Layer::Activation(Activation { requantize: rectify }), inputs: vec![1] },
        ],
        output_scale: Scale { mantissa: 3, exponent: 1 },
        head: Head::None,
        tables: TableBits { limb: 8, direct: 12 },
    }
}

fn parameters() -> Vec<Vec<i64>> {
    vec![vec![1, 2, -3, 7], vec![0, -8]]
}

#[test]
fn the_integer_semantics() {
    // 1*3 + 2*3 = 9, 9/4 rounds to 2; -3*3 + 7*3 - 8 = 4, 4/4 = 1.
    assert_eq!(run_traced(&layers(), &parameters(), &[3, 3]).unwrap(), [[2, 1], [2, 1]]);
    // 1*-4 + 2*3 = 2, 2/4 rounds half up to 1; 12 + 21 - 8 = 25, 25/4 saturates at 3.
    assert_eq!(run(&layers(), &parameters(), &[-4, 3]).unwrap(), [1, 3]);
    // 1*0 + 2*-3 = -6, -6/4 rounds half up to -1; -21 - 8 = -29 saturates at -3.
    assert_eq!(run_traced(&layers(), &parameters(), &[0, -3]).unwrap(), [[-1, -3], [0, 0]]);
}

#[test]
fn what_is_not_as_declared_is_refused() {
    let message =
        |parameters: &[Vec<i64>], input: &[i64]| run(&layers(), parameters, input).unwrap_err().to_string();
    assert_eq!(message(&parameters(), &[0]), "the input has 1 entries, expected 2");
    assert_eq!(message(&parameters(), &[0, 4]), "the input, index 1 is 4, expected -4 to 3");
    assert_eq!(message(&parameters()[..1], &[0, 0]), "the list of parameters has 1 entries, expected 2");
    let wide = [vec![1, 2, -3, 8], vec![0, 0]];
    assert_eq!(message(&wide, &[0, 0]), "Weight of layer 0, index 3 is 8, expected -8 to 7");
    let short = [vec![1, 2, -3, 7], vec![0]];
    assert_eq!(message(&short, &[0, 0]), "Bias of layer 0 has 1 entries, expected 2");
    let mut invalid = layers();
    invalid.nodes[1].inputs[0] = 2;
    let error = run(&invalid, &parameters(), &[0, 0]).unwrap_err().to_string();
    assert_eq!(
        error,
        "the quantized model is outside the limits of the proof system: layer 1 reads value 2, only 2 precede it"
    );
}

#[test]
fn inputs_round_half_away_from_zero_and_saturate() {
    let quantize = |a, b| quantize_input(&layers(), &[a, b]).unwrap();
    assert_eq!(quantize(0.25, -0.25), [1, -1]);
    assert_eq!(quantize(0.2, 1e30), [0, 3]);
    assert_eq!(quantize(-1e30, -1.6), [-4, -3]);
    let message = |input: &[f32]| quantize_input(&layers(), input).unwrap_err().to_string();
    assert_eq!(message(&[0.0]), "sample 0 has 1 entries, expected 2");
    assert_eq!(message(&[0.0, f32::INFINITY]), "sample 0, index 1 is inf, expected a finite number");
}

#[test]
fn outputs_are_scaled_and_ties_go_to_the_lowest_index() {
    assert_eq!(dequantize_output(&layers(), &[0, 1, -2]), [0.0, 6.0, -12.0]);
    assert_eq!(argmax(&[1, 5, 5, 2]), 1);
    let head = apply_head(Head::ArgMax, 2, &[1.0, 1.0, 0.0, 2.0]);
    assert_eq!((head.values, head.classes), (vec![1.0, 1.0, 0.0, 2.0], vec![0, 1]));
}
