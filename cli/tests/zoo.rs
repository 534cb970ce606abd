//! Every bundled model: accuracy in integers, proofs of ordinary and of extreme inputs.

use provenn_circuits::model::Range;
use provenn_models::executor::{Executor, quantize_input};
use provenn_models::fidelity::measure;
use provenn_models::zoo::{self, ZooModel};
use provenn_models::{Dataset, QuantizeOptions, import, quantize};
use provenn_prover::{ProveOptions, ProvingKey};
use provenn_verifier::VerifyingKey;

/// All-minimum, all-maximum, and inputs whose entries are one or the other: in blocks, in stripes, and scattered.
fn extremes(len: usize, Range { lo, hi }: Range) -> Vec<Vec<i64>> {
    let pattern = |high: &dyn Fn(usize) -> bool| (0..len).map(|i| if high(i) { hi } else { lo }).collect();
    vec![
        vec![lo; len],
        vec![hi; len],
        pattern(&|i| i < len / 2),
        pattern(&|i| i % 2 == 0),
        // The top bit of a multiplicative hash of the index.
        pattern(&|i| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 1),
    ]
}

/// Quantizes on the calibration samples; integers lose at most `loss` of the float accuracy on held-out ones; a held-out input
/// and extreme ones are proved, and each proof says what the executor computes.
fn check(model: ZooModel, loss: f64) {
    let float = import(model.onnx).unwrap();
    let load = |bytes| Dataset::from_npz_bytes(bytes, float.input_len()).unwrap();
    let (samples, test) = (load(model.samples_npz), load(model.test_npz));
    let one = Dataset::from_json_bytes(model.input_json, float.input_len()).unwrap();
    assert_eq!(one.samples[0], test.samples[0], "the bundled input is the first held-out sample");

    let quantized = quantize(&float, &samples.samples, &QuantizeOptions::default()).unwrap();
    let report = measure(&float, &quantized, &test).unwrap();
    let (real, integer) = (report.float_accuracy.unwrap(), report.integer_accuracy.unwrap());
    println!(
        "{}: accuracy {real} in floats, {integer} in integers, on {} samples",
        model.name, report.samples
    );
    assert!(
        real >= 0.95 && integer >= real - loss,
        "{}: {real} in floats, {integer} in integers",
        model.name
    );

    let layers = &quantized.layers;
    let executor = Executor::new(layers, &quantized.parameters).unwrap();
    let pk = ProvingKey::commit(layers.clone(), quantized.parameters.clone(), vec![], &mut |_| {}).unwrap();
    let vk = VerifyingKey::from_bytes(&pk.verifying_key().unwrap()).unwrap();
    let mut inputs = extremes(float.input_len(), layers.input_range);
    inputs.push(quantize_input(layers, &one.samples[0]).unwrap());
    for input in &inputs {
        let proof = pk.prove(input, ProveOptions::default()).unwrap();
        assert_eq!(proof.output, executor.run(input).unwrap());
        let verified = vk.verify(&proof.bytes, b"").unwrap();
        assert_eq!(verified.input.values(), Some(&input[..]));
        assert_eq!(verified.output.values(), Some(&proof.output[..]));
        println!("{}: a proof of {} bytes", model.name, proof.bytes.len());
    }
}

#[test]
fn the_digits_perceptron_is_exact_enough_and_proved() {
    check(zoo::digits_mlp(), 0.005);
}

#[test]
fn the_time_series_network_is_exact_enough_and_proved() {
    check(zoo::conv1d_timeseries(), 0.005);
}

#[test]
fn lenet_is_exact_enough_and_proved() {
    check(zoo::lenet5(), 0.005);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "a larger model: run with --release")]
fn the_depthwise_network_is_exact_enough_and_proved() {
    check(zoo::mobilenet_digits(), 0.01);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "a larger model: run with --release")]
fn the_residual_network_is_exact_enough_and_proved() {
    check(zoo::resnet_digits(), 0.01);
}

#[test]
fn the_list_of_all_models_is_complete() {
    let mut names: Vec<_> = zoo::all().iter().map(|model| model.name.to_string()).collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/zoo");
    let mut folders: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("train.py").exists())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    folders.sort();
    assert_eq!(names, folders);
}
