//! Ledgers to make pages of.

use provenn::ledger::{Accuracy, Bytes, LayerCost, Ledger, Machine, Part, Spread};

/// Phases of a layer, as the prover names them.
pub(crate) const PHASES: [&str; 4] = ["witness", "commitments", "look-ups", "bilinear"];

fn spread(median_ms: f64) -> Spread {
    Spread { median_ms, min_ms: 0.94 * median_ms, max_ms: 1.09 * median_ms }
}

fn parts(parts: &[(&str, f64)]) -> Vec<Part> {
    parts.iter().map(|&(name, ms)| Part { name: name.into(), time: spread(ms) }).collect()
}

fn sizes(sizes: &[(&str, usize)]) -> Vec<Bytes> {
    sizes.iter().map(|&(name, bytes)| Bytes { name: name.into(), bytes }).collect()
}

/// A layer whose committed values are its outputs and their remainders, with times per phase.
fn layer(index: usize, kind: &str, shape: &[usize], [macs, parameters]: [u64; 2], ms: [f64; 4]) -> LayerCost {
    let outputs = shape.iter().product::<usize>() as u64;
    let free = ms == [0.0; 4];
    let total: f64 = ms.iter().sum();
    LayerCost {
        index,
        name: Some(format!("node{index}")),
        kind: kind.into(),
        output_shape: shape.to_vec(),
        macs,
        parameters,
        committed: if free { 0 } else { 2 * outputs },
        lookups: if free { 0 } else { 3 * outputs },
        prove: spread(total),
        phases: if free { vec![] } else { parts(&std::array::from_fn::<_, 4, _>(|i| (PHASES[i], ms[i]))) },
        share: 0.0,
        ns_per_mac: (macs > 0).then(|| total * 1e6 / macs as f64),
        ns_per_parameter: (parameters > 0).then(|| total * 1e6 / parameters as f64),
    }
}

/// A LeNet-5 with 12 layers.
pub(crate) fn lenet() -> Ledger {
    let mut layers = vec![
        layer(0, "convolution", &[6, 28, 28], [117_600, 156], [0.41, 4.92, 9.84, 1.37]),
        layer(1, "rectifier", &[6, 28, 28], [0, 0], [0.09, 1.88, 6.21, 0.0]),
        layer(2, "average pool", &[6, 14, 14], [0, 0], [0.04, 0.61, 1.93, 0.02]),
        layer(3, "convolution", &[16, 10, 10], [240_000, 2_416], [0.52, 1.71, 3.35, 1.88]),
        layer(4, "rectifier", &[16, 10, 10], [0, 0], [0.03, 0.64, 2.11, 0.0]),
        layer(5, "average pool", &[16, 5, 5], [0, 0], [0.01, 0.22, 0.66, 0.01]),
        layer(6, "reshape", &[400], [0, 0], [0.0; 4]),
        layer(7, "gemm", &[120], [48_000, 48_120], [0.07, 0.14, 0.26, 0.83]),
        layer(8, "rectifier", &[120], [0, 0], [0.004, 0.05, 0.16, 0.0]),
        layer(9, "gemm", &[84], [10_080, 10_164], [0.02, 0.1, 0.18, 0.21]),
        layer(10, "rectifier", &[84], [0, 0], [0.003, 0.036, 0.11, 0.0]),
        layer(11, "gemm", &[10], [840, 850], [0.004, 0.013, 0.021, 0.034]),
    ];
    let shared = parts(&[("masks", 8.7), ("opening", 6.3), ("halo2 proof", 11.9), ("encoding", 0.06)]);
    let total: f64 = layers.iter().map(|layer| layer.prove.median_ms).sum::<f64>()
        + shared.iter().map(|part| part.time.median_ms).sum::<f64>();
    for layer in &mut layers {
        layer.share = layer.prove.median_ms / total;
    }
    let proof_parts = sizes(&[
        ("commitments", 6_944),
        ("look-up rounds", 4_096),
        ("bilinear rounds", 1_216),
        ("opening", 2_560),
        ("halo2 proof", 3_136),
        ("input and output", 804),
    ]);
    Ledger {
        model: "lenet5-mnist".into(),
        model_id: "09673b7ef70b57eadf266d166f9e268254cdbd4075bac857e578b6cdd43fa9dc".into(),
        version: "0.1.0".into(),
        date: "2025-03-14".into(),
        command: "provenn bench lenet5.pk --input five.json --runs 10 --html report.html".into(),
        machine: Machine {
            processor: "AMD EPYC 9R14 96-Core Processor".into(),
            cores: 8,
            threads: 8,
            memory_bytes: Some(33_285_996_544),
            system: "Linux x86_64".into(),
            backend: "AVX-512 IFMA".into(),
        },
        input: "five.json".into(),
        runs: 10,
        layers,
        shared,
        prove: spread(total),
        verify: spread(5.4),
        verify_phases: parts(&[
            ("statement", 0.02),
            ("commitments", 0.71),
            ("reduction", 0.63),
            ("combination", 0.28),
            ("opening", 0.11),
            ("halo2", 0.88),
            ("coefficients", 0.34),
            ("equation", 2.43),
        ]),
        proof_bytes: proof_parts.iter().map(|part| part.bytes).sum(),
        proof_parts,
        proving_key_bytes: 287_412,
        verifying_key_bytes: 31_904,
        peak_memory_bytes: Some(94_371_840),
        accuracy: Some(Accuracy {
            samples: 10_000,
            float: Some(0.9891),
            integer: Some(0.9887),
            agreement: Some(0.9974),
            greatest_error: Some(0.0712),
        }),
        native: spread(0.213),
        overhead: total / 0.213,
    }
}

/// A model of many layers, so that points and labels crowd.
pub(crate) fn deep() -> Ledger {
    let layers = (0..60)
        .map(|i| match i % 3 {
            0 => layer(i, "convolution", &[64, 32, 32], [37_748_736, 36_928], [12.0, 40.0, 60.0, 90.0]),
            1 => layer(i, "batch normalization", &[64, 32, 32], [65_536, 128], [1.0, 9.0, 20.0, 4.0]),
            _ => layer(i, "rectifier", &[64, 32, 32], [0, 0], [1.0, 9.0, 30.0 + i as f64, 0.0]),
        })
        .collect();
    Ledger { layers, ..lenet() }
}

/// Ledgers with little, nothing, or nonsense in them, each with what is wrong.
pub(crate) fn degenerate() -> Vec<(&'static str, Ledger)> {
    let zero = Spread::default();
    let nan = Spread { median_ms: f64::NAN, min_ms: f64::INFINITY, max_ms: f64::NEG_INFINITY };
    let timeless = |spread: Spread| {
        let mut ledger = lenet();
        for layer in &mut ledger.layers {
            layer.prove = spread;
            layer.share = spread.median_ms;
            layer.ns_per_mac = Some(spread.median_ms);
            for phase in &mut layer.phases {
                phase.time = spread;
            }
        }
        for part in ledger.shared.iter_mut().chain(&mut ledger.verify_phases) {
            part.time = spread;
        }
        Ledger { prove: spread, verify: spread, native: spread, overhead: f64::INFINITY, ..ledger }
    };
    let one = Ledger { layers: vec![lenet().layers.remove(7)], runs: 1, ..lenet() };
    let mut uncounted = lenet();
    for layer in &mut uncounted.layers {
        (layer.macs, layer.parameters) = (0, 0);
        (layer.ns_per_mac, layer.ns_per_parameter) = (None, None);
    }
    let mut extreme = lenet();
    (extreme.layers[0].prove.median_ms, extreme.layers[0].macs) = (f64::MAX, u64::MAX);
    (extreme.layers[1].prove.median_ms, extreme.layers[1].parameters) = (f64::MIN_POSITIVE, u64::MAX);
    extreme.layers[3].output_shape = vec![];
    let mut partial = lenet();
    (partial.layers[0].name, partial.layers[1].name) = (None, Some(String::new()));
    partial.layers[0].phases.truncate(1);
    partial.layers[3].phases.iter_mut().for_each(|part| part.time.median_ms *= 3.0);
    let no_labels =
        Accuracy { samples: 1, float: None, integer: None, agreement: None, greatest_error: None };
    vec![
        ("one layer, one run", one),
        ("no layers", Ledger { layers: vec![], shared: vec![], runs: 0, ..lenet() }),
        ("no MACs and no parameters", uncounted),
        ("times of zero", timeless(zero)),
        ("times that are no numbers", timeless(nan)),
        ("no accuracy", Ledger { accuracy: None, peak_memory_bytes: None, ..lenet() }),
        ("accuracy without labels", Ledger { accuracy: Some(no_labels), ..lenet() }),
        ("no sizes", Ledger { proof_bytes: 0, proof_parts: vec![], verify_phases: vec![], ..lenet() }),
        ("extreme numbers", extreme),
        ("phases that are less and more than their layer", partial),
        ("many layers", deep()),
    ]
}

/// The LeNet with a string in every place that takes one.
pub(crate) fn named(name: &str) -> Ledger {
    let mut ledger = lenet();
    for layer in &mut ledger.layers {
        (layer.kind, layer.name) = (name.into(), Some(name.into()));
        layer.phases.iter_mut().for_each(|part| part.name = name.into());
    }
    ledger.shared.iter_mut().chain(&mut ledger.verify_phases).for_each(|part| part.name = name.into());
    ledger.proof_parts.iter_mut().for_each(|part| part.name = name.into());
    let machine = Machine {
        processor: name.into(),
        system: name.into(),
        backend: name.into(),
        ..ledger.machine.clone()
    };
    let text = || name.to_string();
    Ledger {
        model: text(),
        model_id: text(),
        version: text(),
        date: text(),
        command: text(),
        input: text(),
        machine,
        ..ledger
    }
}
