//! Real models: the bundled digits, and larger ones that lie beside a developer's checkout.

use provenn_models::fidelity::measure;
use provenn_models::{Dataset, QuantizeOptions, import, quantize, zoo};
use std::path::{Path, PathBuf};

/// Accuracy that quantization may cost on held-out samples.
const ALLOWED_LOSS: f64 = 0.005;

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
    let quantized = quantize(&float, &samples.samples, &QuantizeOptions::default()).unwrap();
    let report = measure(&float, &quantized, &test).unwrap();
    let (float, integer) = (report.float_accuracy.unwrap(), report.integer_accuracy.unwrap());
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
    let quantized = quantize(&float, calibration, &QuantizeOptions::default()).unwrap();
    let report = measure(&float, &quantized, &test).unwrap();
    let gemms = quantized.layers.gemms().map(|(node, gemm)| {
        let shift = gemm.requantize.map(|r| (r.shift, r.domain, r.output.hi));
        (node, gemm.weight_bits, gemm.bias_bits, shift)
    });
    println!(
        "{name}: node, weight bits, bias bits, (shift, domain, largest): {:?}",
        gemms.collect::<Vec<_>>()
    );
    println!("{report:#?}");
    let (float, integer) = (report.float_accuracy.unwrap(), report.integer_accuracy.unwrap());
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
fn convolutions_are_refused_by_name() {
    let Some(path) = suite("lenet5") else { return };
    let error = import(&std::fs::read(path).unwrap()).unwrap_err().to_string();
    assert!(error.starts_with("node /c1/Conv: operator Conv is not supported"), "{error}");
}
