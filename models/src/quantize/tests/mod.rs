//! Small float graphs, quantized and run, against the same graphs in floats.

mod evaluate;
mod graphs;
mod own_scales;

use super::{Floats, QuantizeOptions, QuantizedModel, quantize_floats};
use crate::error::ModelError;
use crate::executor::{Executor, dequantize_output, quantize_input};
use crate::float::FloatLayer;
use crate::simplify::{Step, simplify};
use evaluate::evaluate;
use graphs::{Build, Random};
use provenn_circuits::functions::Curve;
use provenn_circuits::layers::{Function, Layer};
use provenn_circuits::model::Head;

/// Quantizes a graph on samples; the float model is the evaluator of the tests.
fn quantized(
    graph: &Build,
    samples: &[Vec<f32>],
    options: &QuantizeOptions,
) -> Result<QuantizedModel, ModelError> {
    let run = |_: usize, input: &[f32]| {
        let values = evaluate(&graph.input_shape, &graph.layers, input);
        // What has no tensor is not seen.
        let seen = graph.layers.iter().zip(values).map(|(layer, value)| layer.tensor.as_ref().map(|_| value));
        Ok(seen.collect())
    };
    let floats =
        Floats { input_shape: &graph.input_shape, layers: &graph.layers, head: Head::None, run: &run };
    quantize_floats(&floats, samples, options, &mut |_| {})
}

/// Many bits, so that what is left of the error is a mistake.
fn fine() -> QuantizeOptions {
    QuantizeOptions { input_bits: 12, activation_bits: 12, output_bits: 13, weight_bits: Some(16) }
}

fn samples(graph: &Build, count: usize) -> Vec<Vec<f32>> {
    let len = graph.input_shape.iter().product();
    (0..count).map(|seed| Random::new(1000 + seed as u64).reals(len, 1.0)).collect()
}

/// The float graph's and the integer model's output on a sample.
fn both(graph: &Build, model: &QuantizedModel, sample: &[f32]) -> (Vec<f32>, Vec<f64>) {
    let float = evaluate(&graph.input_shape, &graph.layers, sample).pop().unwrap();
    let executor = Executor::new(&model.layers, &model.parameters).unwrap();
    let integer = executor.run(&quantize_input(&model.layers, sample).unwrap()).unwrap();
    (float, dequantize_output(&model.layers, &integer))
}

/// Largest error over samples, as a share of the largest output.
fn error(graph: &Build, model: &QuantizedModel, samples: &[Vec<f32>]) -> f64 {
    let (mut error, mut size) = (0f64, 0f64);
    for sample in samples {
        let (float, integer) = both(graph, model, sample);
        for (x, y) in float.iter().zip(integer) {
            error = error.max((f64::from(*x) - y).abs());
            size = size.max(f64::from(x.abs()));
        }
    }
    if size == 0.0 { error } else { error / size }
}

/// Quantizes with many bits, and checks that the integer model is the float model and that no input leaves its ranges.
fn check(graph: &Build, tolerance: f64) -> QuantizedModel {
    let samples = samples(graph, 12);
    let model = quantized(graph, &samples, &fine()).unwrap();
    let error = error(graph, &model, &samples);
    assert!(error <= tolerance, "error {error}, {:#?}\n{:#?}", kinds(&model), ops(&graph.layers));
    check_extremes(&model);
    model
}

fn kinds(model: &QuantizedModel) -> Vec<&'static str> {
    model.layers.nodes.iter().map(|node| node.layer.kind()).collect()
}

fn ops(layers: &[FloatLayer]) -> Vec<String> {
    let short = |layer: &FloatLayer| {
        let op: String = format!("{:?}", layer.op).chars().take(40).collect();
        format!("{op} {:?} {:?}", layer.inputs, layer.shape)
    };
    layers.iter().map(short).collect()
}

/// Runs inputs at the ends of their range: every value stays in its range, every quotient in its domain.
fn check_extremes(model: &QuantizedModel) {
    let layers = &model.layers;
    layers.check_parameters(&model.parameters).unwrap();
    let values = layers.values().unwrap();
    let executor = Executor::new(layers, &model.parameters).unwrap();
    let (lo, hi) = (layers.input_range.lo, layers.input_range.hi);
    let mut random = Random::new(7);
    let mut inputs = vec![vec![lo; values[0].len()], vec![hi; values[0].len()]];
    inputs
        .extend((0..6).map(|_| (0..values[0].len()).map(|_| [lo, hi][random.below(2)]).collect::<Vec<_>>()));
    for input in inputs {
        let outputs = executor.run_traced(&input).unwrap();
        for (output, spec) in outputs.iter().zip(&values[1..]) {
            assert_eq!(output.len(), spec.len());
            assert!(output.iter().all(|&y| spec.range.contains(y)), "{:?}", spec.range);
        }
    }
}

fn as_layers(steps: &[Step]) -> Vec<FloatLayer> {
    let layer = |step: &Step| FloatLayer {
        name: step.name.clone(),
        op: step.op.clone(),
        inputs: step.inputs.clone(),
        shape: step.shape.clone(),
        tensor: None,
    };
    steps.iter().map(layer).collect()
}

/// Simplifies, checks that the output is the same and that sources are what they say, and gives the names of what is left.
fn check_simplified(graph: &Build) -> Vec<Step> {
    let steps = simplify(&graph.input_shape, &graph.layers);
    for sample in samples(graph, 3) {
        let before = evaluate(&graph.input_shape, &graph.layers, &sample);
        let after = evaluate(&graph.input_shape, &as_layers(&steps), &sample);
        let same = |a: &[f32], b: &[f32]| {
            a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-4 * (1.0 + a.abs().max(b.abs())))
        };
        assert!(same(before.last().unwrap(), after.last().unwrap()), "{:#?}", ops(&graph.layers));
        for (step, value) in steps.iter().zip(&after) {
            if let Some(source) = step.source {
                assert!(same(value, &before[source]), "{} of {:#?}", step.name, ops(&graph.layers));
            }
        }
    }
    steps
}

fn image(seed: u64) -> Build {
    Build::new(&[1, 3, 8, 8], seed)
}

#[test]
fn random_graphs_stay_close_and_never_leave_their_ranges() {
    for seed in 0..250 {
        let mut graph = image(seed);
        let mut values = vec![0];
        for _ in 0..4 + graph.random.below(8) {
            graph.any(&mut values);
        }
        if seed % 2 == 0 {
            let x = graph.global_mean(*values.last().unwrap());
            let x = graph.flatten(x);
            graph.gemm(x, 3);
        }
        graph.layers = live(&graph.layers);
        check_simplified(&graph);
        check(&graph, 0.03);
    }
}

/// The layers that the last one depends on, as an importer gives them; some without a tensor.
fn live(layers: &[FloatLayer]) -> Vec<FloatLayer> {
    let mut used = vec![false; layers.len() + 1];
    used[layers.len()] = true;
    for (index, layer) in layers.iter().enumerate().rev() {
        if used[index + 1] {
            layer.inputs.iter().for_each(|&input| used[input] = true);
        }
    }
    let mut values = vec![0; layers.len() + 1];
    let mut kept = Vec::new();
    for (index, layer) in layers.iter().enumerate().filter(|(index, _)| used[index + 1]) {
        let inputs = layer.inputs.iter().map(|&input| values[input]).collect();
        let keeps = layer.op.clamp().is_some()
            || matches!(
                layer.op,
                crate::float::FloatOp::Arrange { .. } | crate::float::FloatOp::MaxPool { .. }
            );
        let tensor = layer.tensor.clone().filter(|_| !keeps || index % 2 == 0 || index + 1 == layers.len());
        kept.push(FloatLayer { inputs, tensor, ..layer.clone() });
        values[index + 1] = kept.len();
    }
    kept
}

#[test]
fn few_bits_stay_close_too() {
    for seed in 0..40 {
        let mut graph = image(seed);
        let x = graph.conv(0, 8, 3, (1, 1, 1));
        let x = graph.norm(x);
        let x = graph.relu(x);
        let y = graph.conv(x, 8, 3, (1, 1, 8));
        let y = graph.combine(&[y, x], &[1.0, 1.0], 0.0);
        let y = graph.relu(y);
        let y = graph.global_mean(y);
        let y = graph.flatten(y);
        graph.gemm(y, 4);
        let samples = samples(&graph, 24);
        let model = quantized(&graph, &samples, &QuantizeOptions::default()).unwrap();
        let error = error(&graph, &model, &samples);
        assert!(error < 0.05, "seed {seed}: {error}");
        check_extremes(&model);
    }
}

#[test]
fn batch_normalization_and_rectifiers_are_part_of_convolutions() {
    let mut graph = image(1);
    let x = graph.conv(0, 6, 3, (1, 1, 1));
    let x = graph.norm(x);
    let x = graph.relu(x);
    let x = graph.max_pool(x, 2, 2, 0);
    let x = graph.conv(x, 6, 3, (1, 1, 6));
    let x = graph.norm(x);
    let x = graph.clip(x, 0.0, 1.0);
    let x = graph.average_pool(x, 2, 2, 0, true);
    let x = graph.flatten(x);
    graph.gemm(x, 4);
    let model = check(&graph, 0.01);
    assert_eq!(kinds(&model), ["Conv", "MaxPool", "Conv", "AveragePool", "Reshape", "Gemm"]);
    // Loud and quiet channels have scales of their own, up to the layer that absorbs them.
    for node in [0, 1, 2, 3, 4] {
        assert_eq!(model.scales[node].values.len(), 6, "node {node}");
    }
    assert_eq!(model.scales[3].inner, 4);
    assert_eq!(model.sources, [Some(2), Some(3), Some(6), Some(7), Some(8), Some(9)]);
}

#[test]
fn a_rectifier_behind_a_pool_moves_in_front_of_it() {
    let mut graph = image(2);
    let x = graph.conv(0, 4, 3, (1, 1, 1));
    let x = graph.max_pool(x, 3, 2, 1);
    let x = graph.relu(x);
    let x = graph.flatten(x);
    let x = graph.gemm(x, 5);
    let x = graph.relu(x);
    let x = graph.relu(x);
    graph.gemm(x, 3);
    check_simplified(&graph);
    let model = check(&graph, 0.01);
    assert_eq!(kinds(&model), ["Conv", "MaxPool", "Reshape", "Gemm", "Gemm"]);
}

#[test]
fn residuals_of_any_scale_are_added() {
    let mut graph = image(3);
    let x = graph.conv(0, 4, 3, (1, 1, 1));
    let x = graph.relu(x);
    let quiet = graph.combine(&[x], &[0.01], 0.0);
    let y = graph.conv(quiet, 4, 3, (1, 1, 1));
    let y = graph.combine(&[y, x], &[1.0, 20.0], 0.5);
    let y = graph.combine(&[y, x, x], &[1.0, 1.0, 1.0], 0.0);
    graph.relu(y);
    let model = check(&graph, 0.01);
    // The factor went into the convolution, the two sums are one.
    assert_eq!(kinds(&model), ["Conv", "Conv", "Combine"]);
}

#[test]
fn what_is_concatenated_has_one_scale() {
    let mut graph = image(4);
    let a = graph.conv(0, 4, 3, (1, 1, 1));
    let a = graph.relu(a);
    let loud = graph.conv(0, 4, 1, (1, 0, 1));
    let loud = graph.combine(&[loud], &[30.0], 0.0);
    let pooled = graph.max_pool(a, 3, 1, 1);
    let joined = graph.concat(&[a, loud, pooled, 0]);
    let x = graph.conv(joined, 4, 1, (1, 0, 1));
    let x = graph.combine(&[x, a], &[1.0, 1.0], 0.0);
    let x = graph.concat(&[x, joined]);
    graph.conv(x, 2, 1, (1, 0, 1));
    let model = check(&graph, 0.02);
    for node in &model.layers.nodes {
        if let Layer::Arrange(_) = &node.layer {
            let scale = |&value: &u32| match value {
                0 => crate::scale::scale_to_f64(model.layers.input_scale),
                value => model.scales[value as usize - 1].largest(),
            };
            let scales: Vec<f64> = node.inputs.iter().map(scale).collect();
            assert!(scales.iter().all(|&scale| scale == scales[0]), "{scales:?}");
        }
    }
}

#[test]
fn curves_are_tables_of_what_comes_before() {
    for curve in [Curve::Sigmoid, Curve::Tanh, Curve::HardSwish, Curve::Silu, Curve::Softplus, Curve::Exp] {
        let mut graph = image(5);
        let x = graph.conv(0, 4, 3, (1, 1, 1));
        let x = graph.curve(x, curve);
        let gate = graph.global_mean(x);
        let gate = graph.conv(gate, 4, 1, (1, 0, 1));
        let gate = graph.curve(gate, Curve::Sigmoid);
        let x = graph.product(x, gate);
        let y = graph.curve(x, Curve::Tanh);
        graph.combine(&[x, y], &[1.0, 1.0], 0.0);
        let model = check(&graph, 0.01);
        assert_eq!(kinds(&model), ["Conv", "Reduce", "Conv", "Product", "Activation", "Combine"]);
        let tables = model.layers.nodes.iter().filter_map(|node| node.layer.requantize());
        let tables = tables.filter(|requantize| matches!(requantize.function, Function::Table(_)));
        assert_eq!(tables.count(), 3);
    }
}

#[test]
fn pools_count_padding_or_not() {
    for padding in [false, true] {
        let mut graph = image(6);
        let x = graph.conv(0, 4, 3, (1, 1, 1));
        let x = graph.average_pool(x, 3, 2, 1, padding);
        graph.conv(x, 3, 1, (1, 0, 1));
        check(&graph, 0.01);
    }
}

#[test]
fn silent_and_dead_layers_have_scales() {
    let mut graph = image(7);
    let x = graph.conv(0, 4, 3, (1, 1, 1));
    // Nothing passes for any sample.
    let x = graph.combine(&[x], &[1.0], -100.0);
    let x = graph.relu(x);
    let y = graph.average_pool(x, 2, 2, 0, true);
    let y = graph.curve(y, Curve::HardSwish);
    let y = graph.norm(y);
    let y = graph.max_pool(y, 2, 2, 0);
    let z = graph.product(y, y);
    let z = graph.concat(&[z, y]);
    graph.combine(&[z], &[0.0], 0.0);
    for samples in [samples(&graph, 2), vec![vec![0.0; 192]]] {
        for bits in [2, 8, 12] {
            let options = QuantizeOptions {
                input_bits: bits,
                activation_bits: bits,
                output_bits: bits,
                weight_bits: Some(8),
            };
            let model = quantized(&graph, &samples, &options).unwrap();
            let finite = |scale: &f64| scale.is_normal() && *scale > 0.0;
            assert!(model.scales.iter().all(|scales| scales.values.iter().all(finite)));
            check_extremes(&model);
        }
    }
}

#[test]
fn what_changes_nothing_still_has_an_output() {
    for last in 0..3 {
        let mut graph = image(8);
        let x = graph.relu(0);
        let x = graph.relu(x);
        match last {
            0 => {}
            1 => drop(graph.flatten(x)),
            _ => drop(graph.combine(&[x], &[1.0], 0.0)),
        }
        let model = check(&graph, 0.01);
        assert_eq!(model.layers.nodes.len(), if last == 1 { 2 } else { 1 });
    }
}

#[test]
fn a_layer_that_does_not_fit_is_named() {
    let mut graph = image(9);
    let x = graph.quantize(0, 1.0, provenn_circuits::model::Range::new(-128, 127));
    let y = graph.conv(x, 2, 1, (1, 0, 1));
    graph.layers[y - 1].name = "the culprit".to_owned();
    graph.quantize(y, 1e-20, provenn_circuits::model::Range::new(-128, 127));
    let error = quantized(&graph, &samples(&graph, 1), &QuantizeOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "layer the culprit cannot be quantized: its weights are too large for the scale of its output"
    );
}
