//! Real models: the bundled ones, and larger ones that lie beside a developer's checkout.

use provenn_models::executor::Executor;
use provenn_models::fidelity::measure;
use provenn_models::{Dataset, FloatModel, QuantizeOptions, QuantizedModel, import, quantize, zoo};
use std::path::{Path, PathBuf};

/// Accuracy that quantization may cost on held-out samples.
const ALLOWED_LOSS: f64 = 0.005;

/// Inputs at the ends of their range keep every value in its range.
fn check_extremes(model: &QuantizedModel) {
    let values = model.layers.values().unwrap();
    let executor = Executor::new(&model.layers, &model.parameters).unwrap();
    let ends = [model.layers.input_range.lo, model.layers.input_range.hi];
    let input = |kind: usize| {
        let end =
            |index: usize| if kind < 2 { kind } else { index.wrapping_mul(0x9e37_79b9) >> (10 + kind) & 1 };
        (0..values[0].len()).map(|index| ends[end(index)]).collect::<Vec<_>>()
    };
    for kind in 0..4 {
        let outputs = executor.run_traced(&input(kind)).unwrap();
        for (output, spec) in outputs.iter().zip(&values[1..]) {
            assert!(output.iter().all(|&value| spec.range.contains(value)));
        }
    }
}

/// Quantizes on `samples`, measures on `test`, and gives the accuracies of the float and of the integer model.
fn accuracies(name: &str, float: &FloatModel, samples: &[Vec<f32>], test: &Dataset) -> (f64, f64) {
    let quantized = quantize(float, samples, &QuantizeOptions::default()).unwrap();
    quantized.layers.check_parameters(&quantized.parameters).unwrap();
    check_extremes(&quantized);
    let report = measure(float, &quantized, test).unwrap();
    let layers: Vec<_> = quantized
        .layers
        .nodes
        .iter()
        .zip(&quantized.layer_names)
        .map(|(node, name)| {
            let requantize = node.layer.requantize().map(|r| (r.shift, r.domain, r.output.lo, r.output.hi));
            format!("{} {name}: {requantize:?}", node.layer.kind())
        })
        .collect();
    println!("{name}: kind, name, (shift, domain, lo, hi): {layers:#?}");
    println!("{report:#?}");
    (report.float_accuracy.unwrap(), report.integer_accuracy.unwrap())
}

#[test]
fn bundled_digits_lose_no_accuracy() {
    let model = zoo::digits_mlp();
    let float = import(model.onnx).unwrap();
    let samples = Dataset::from_npz_bytes(model.samples_npz, float.input_len()).unwrap();
    let test = Dataset::from_npz_bytes(model.test_npz, float.input_len()).unwrap();
    assert_eq!(
        Dataset::from_json_bytes(model.input_json, float.input_len()).unwrap().samples[0],
        test.samples[0]
    );
    assert!(samples.samples.len() <= 200);
    let (float, integer) = accuracies(model.name, &float, &samples.samples, &test);
    assert!(float >= 0.95 && integer >= float - ALLOWED_LOSS, "float {float}, integer {integer}");
}

fn suite(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/suite");
    let path = folder.join(format!("{name}.onnx"));
    if !path.exists() {
        println!("skipped: the suite's {name}.onnx is not beside this checkout");
        return None;
    }
    Some(path)
}

/// Calibrates on the first 100 held-out samples, for the suite has no training data, and measures on all.
fn check(name: &str) {
    let Some(path) = suite(name) else { return };
    let float = import(&std::fs::read(&path).unwrap()).unwrap();
    let test = Dataset::load(path.with_file_name(format!("{name}.test.npz")), float.input_len()).unwrap();
    let calibration = &test.samples[..test.samples.len().min(100)];
    let (float, integer) = accuracies(name, &float, calibration, &test);
    assert!(integer >= float - ALLOWED_LOSS, "float {float}, integer {integer}");
}

#[test]
fn suite_digits_lose_no_accuracy() {
    check("digits-mlp");
}

#[test]
fn suite_mnist_loses_no_accuracy() {
    check("mnist-mlp");
}

#[test]
fn suite_dense_4m_loses_no_accuracy() {
    check("dense-4m");
}

#[test]
fn suite_lenet5_loses_no_accuracy() {
    check("lenet5");
}

#[test]
fn suite_cnn_264k_loses_no_accuracy() {
    check("cnn-264k");
}

/// Models of the zoo that do not travel with the program.
#[test]
fn zoo_models_lose_no_accuracy() {
    for name in ["lenet5", "resnet-digits", "mobilenet-digits", "conv1d-timeseries"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("zoo").join(name);
        let float = import(&std::fs::read(folder.join(format!("{name}.onnx"))).unwrap()).unwrap();
        let data = |file: &str| Dataset::load(folder.join(file), float.input_len()).unwrap();
        let (float, integer) = accuracies(name, &float, &data("samples.npz").samples, &data("test.npz"));
        assert!(integer >= float - ALLOWED_LOSS, "{name}: float {float}, integer {integer}");
    }
}
