//! Models that bring their own scales: the integers are theirs.

use super::graphs::Build;
use super::{QuantizeOptions, both, check_extremes, check_simplified, kinds, quantized, samples};
use crate::scale::{scale_from_f64, scale_to_f64};
use provenn_circuits::functions::Curve;
use provenn_circuits::model::Range;

const SIGNED: Range = Range::new(-128, 127);
/// Unsigned with zero point 3.
const UNSIGNED: Range = Range::new(-3, 252);

/// Number of outputs that are another multiple of the last scale, off by one, and of all outputs.
fn misses(graph: &Build, last: f32) -> (usize, usize) {
    check_simplified(graph);
    let samples = samples(graph, 12);
    let model = quantized(graph, &samples, &QuantizeOptions::default()).unwrap();
    check_extremes(&model);
    assert_eq!(Some(model.layers.output_scale), scale_from_f64(last.into()));
    let (mut missed, mut all) = (0, 0);
    for sample in &samples {
        let (float, integer) = both(graph, &model, sample);
        for (x, y) in float.iter().zip(integer) {
            let steps = (f64::from(*x) / f64::from(last)).round() - (y / f64::from(last)).round();
            assert!(steps.abs() <= 1.0, "off by {steps}");
            missed += usize::from(steps != 0.0);
            all += 1;
        }
    }
    (missed, all)
}

#[test]
fn one_layer_gives_the_models_own_integers() {
    for seed in 0..10 {
        let mut graph = Build::new(&[1, 4, 8, 8], seed);
        let x = graph.quantize(0, 0.007_843_138, SIGNED);
        let y = graph.conv(x, 8, 3, (1, 1, 1));
        let y = graph.relu(y);
        graph.quantize(y, 0.012_345_6, UNSIGNED);
        let samples = samples(&graph, 2);
        let model = quantized(&graph, &samples, &QuantizeOptions::default()).unwrap();
        assert_eq!(kinds(&model), ["Conv"]);
        assert_eq!(model.layers.input_range, SIGNED);
        assert_eq!(scale_to_f64(model.layers.input_scale), f64::from(0.007_843_138f32));
        assert_eq!(misses(&graph, 0.012_345_6).0, 0);
    }
}

#[test]
fn residual_networks_keep_their_integers() {
    let mut total = (0, 0);
    for seed in 0..10 {
        let mut graph = Build::new(&[1, 4, 8, 8], seed);
        let x = graph.quantize(0, 0.008, SIGNED);
        let a = graph.conv(x, 8, 3, (1, 1, 1));
        let a = graph.relu(a);
        let a = graph.quantize(a, 0.013, UNSIGNED);
        let p = graph.max_pool(a, 3, 1, 1);
        let p = graph.quantize(p, 0.013, UNSIGNED);
        let b = graph.conv(p, 8, 3, (1, 1, 8));
        let b = graph.quantize(b, 0.017, SIGNED);
        let sum = graph.combine(&[a, b], &[1.0, 1.0], 0.0);
        let sum = graph.relu(sum);
        let sum = graph.quantize(sum, 0.021, UNSIGNED);
        let sigmoid = graph.curve(sum, Curve::Sigmoid);
        let sigmoid = graph.quantize(sigmoid, 1.0 / 255.0, Range::unsigned(8));
        let scaled = graph.product(sum, sigmoid);
        let scaled = graph.quantize(scaled, 0.02, UNSIGNED);
        let joined = graph.concat(&[scaled, a]);
        let joined = graph.quantize(joined, 0.022, UNSIGNED);
        let mean = graph.global_mean(joined);
        let mean = graph.quantize(mean, 0.01, UNSIGNED);
        let flat = graph.flatten(mean);
        let y = graph.gemm(flat, 10);
        graph.quantize(y, 0.02, SIGNED);
        // A tie that is rounded to the other side travels on.
        let (missed, all) = misses(&graph, 0.02);
        total = (total.0 + missed, total.1 + all);
    }
    assert!(100 * total.0 <= total.1, "{} of {} outputs", total.0, total.1);
}

#[test]
fn several_quantizations_of_one_value_are_one() {
    let mut graph = Build::new(&[1, 4, 8, 8], 1);
    let x = graph.quantize(0, 0.008, SIGNED);
    let y = graph.quantize(0, 0.008, SIGNED);
    let a = graph.conv(x, 4, 1, (1, 0, 1));
    let b = graph.conv(y, 4, 1, (1, 0, 1));
    let a = graph.quantize(a, 0.010_1, SIGNED);
    let b = graph.quantize(b, 0.02, SIGNED);
    let c = graph.concat(&[a, b]);
    let c = graph.quantize(c, 0.02, SIGNED);
    let c = graph.quantize(c, 0.02, SIGNED);
    graph.flatten(c);
    let model = quantized(&graph, &samples(&graph, 2), &QuantizeOptions::default()).unwrap();
    assert_eq!(kinds(&model), ["Conv", "Conv", "Combine", "Arrange", "Reshape"]);
    let (missed, all) = misses(&graph, 0.02);
    assert!(1000 * missed <= all, "{missed} of {all} outputs");
}
