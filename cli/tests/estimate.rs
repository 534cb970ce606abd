//! Estimates of the bundled models: their counts and sizes are those of real keys and proofs. Times are printed as ratios;
//! nothing is asserted about them.

use provenn::{Dataset, Estimate, Model, Modes, ProveOptions, QuantizeOptions, VerifyingKey, import, memory};
use provenn_circuits::circuit::Role;
use provenn_models::zoo::{self, ZooModel};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Proofs whose times are measured.
const RUNS: usize = 9;

/// Held while times are measured: tests run side by side.
static MACHINE: Mutex<()> = Mutex::new(());

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn milliseconds(started: Instant) -> f64 {
    1e3 * started.elapsed().as_secs_f64()
}

fn check(zoo: ZooModel) {
    let _alone = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let start = memory::resident();
    let started = Instant::now();
    let float = import(zoo.onnx).unwrap();
    let samples = Dataset::from_npz_bytes(zoo.samples_npz, float.input_len()).unwrap();
    let model =
        Model::quantize(&float, &samples, &QuantizeOptions::default()).unwrap().with_source("model.onnx");
    let quantizing = started.elapsed();
    let estimate = Estimate::new(&model, &samples.samples[0], quantizing, start).unwrap();

    let started = Instant::now();
    let key = model.commit().unwrap();
    let commit = 1e3 * quantizing.as_secs_f64() + milliseconds(started);
    let public = key.verifying_key().unwrap();
    assert_eq!(estimate.proving_key_bytes, key.to_bytes().unwrap().len());
    assert_eq!(estimate.verifying_key_bytes, public.len());
    let shape = key.shape();
    for modes in Modes::ALL {
        for context in [&b""[..], b"a context"] {
            let proof = key.prove(&samples.samples[0], ProveOptions { modes, context }).unwrap();
            assert_eq!(shape.proof_bytes(modes, context.len()), proof.bytes.len(), "{modes:?}");
        }
    }

    let system = shape.inference(Modes::PUBLIC);
    let counts = system.counts();
    let circuit = &estimate.circuit;
    assert_eq!((circuit.n, circuit.k), (shape.n, shape.k));
    assert_eq!(
        (circuit.leaves, circuit.lookups, circuit.committed, circuit.columns),
        (counts.leaves, counts.lookups, counts.committed, counts.columns)
    );
    assert_eq!(
        (circuit.weight_columns, circuit.rounds, circuit.gates),
        (counts.weight_columns, counts.rounds, counts.gates)
    );
    // What belongs to no layer are the tables: their rows are leaves, and the multiplicities of them are committed.
    let tables: usize = system
        .circuit
        .tensors
        .iter()
        .filter(|tensor| matches!(tensor.role, Role::Multiplicity(_)))
        .map(|tensor| tensor.len())
        .sum();
    let sum = |part: fn(&provenn::LayerEstimate) -> u64| estimate.layers.iter().map(part).sum::<u64>();
    assert_eq!(sum(|layer| layer.committed) + tables as u64, counts.committed as u64);
    assert_eq!(sum(|layer| layer.leaves) + tables as u64, counts.leaves as u64);
    for (layer, counts) in estimate.layers.iter().zip(system.layer_counts(estimate.layers.len())) {
        assert_eq!(
            (layer.committed, layer.leaves),
            (counts.committed as u64, counts.leaves as u64),
            "{}, {}",
            zoo.name,
            layer.name
        );
    }
    assert_eq!(sum(|layer| layer.macs), estimate.macs);
    assert_eq!(sum(|layer| layer.parameters), estimate.parameters);
    let layers: f64 = estimate.layers.iter().map(|layer| layer.prove_ms).sum();
    let shared: f64 = estimate.shared.iter().map(|part| part.ms).sum();
    assert!((layers + shared - estimate.prove_ms).abs() <= 1e-6 * estimate.prove_ms);
    for layer in &estimate.layers {
        assert!((layer.phases_ms.iter().sum::<f64>() - layer.prove_ms).abs() <= 1e-6 * estimate.prove_ms);
    }

    let verifier = VerifyingKey::from_bytes(&public).unwrap();
    key.warm_up();
    let (mut prove, mut verify) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let started = Instant::now();
        let proof = key.prove(&samples.samples[0], ProveOptions::default()).unwrap();
        prove.push(milliseconds(started));
        assert_eq!(proof.bytes.len(), estimate.proof_bytes);
        let started = Instant::now();
        verifier.verify(&proof.bytes, b"").unwrap();
        verify.push(milliseconds(started));
    }
    println!(
        "{}: predicted over measured: commit {:.2}, prove {:.2}, verify {:.2}; the estimate took {:.0} ms",
        zoo.name,
        (estimate.commit_ms - estimate.write_ms) / commit,
        estimate.prove_ms / median(prove),
        estimate.verify_ms / median(verify),
        estimate.estimate_ms
    );
}

#[test]
fn small_models_cost_what_is_estimated() {
    check(zoo::digits_mlp());
    check(zoo::conv1d_timeseries());
    check(zoo::lenet5());
}

#[test]
#[cfg_attr(debug_assertions, ignore = "larger models: run with --release")]
fn larger_models_cost_what_is_estimated() {
    check(zoo::mobilenet_digits());
    check(zoo::resnet_digits());
}
