//! `provenn estimate`: what a model would cost, without a key or a proof.

use crate::args::Estimate as Args;
use crate::failure::{At, Failure};
use crate::files::{MAX_MODEL_BYTES, dataset, read};
use crate::output::{Lines, Report, bytes, count, table};
use crate::progress::Progress;
use provenn::{Dataset, Estimate, Model, QuantizeOptions, import, memory};
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// Samples that are made up where none are given.
const SAMPLES: usize = 32;

pub(crate) fn run(args: &Args, progress: &Progress) -> Result<Report, Failure> {
    let start = memory::resident();
    let started = Instant::now();
    let name = args.onnx.file_name().map(PathBuf::from).unwrap_or_default();
    let steps = progress.start("estimate");
    steps.step("reading the model");
    let float = import(&read(&args.onnx, "a model", MAX_MODEL_BYTES)?).at(&args.onnx)?;
    let calibration = match &args.calibrate {
        Some(path) => dataset(path, float.input_len())?,
        None => made_up(float.input_len()),
    };
    steps.step("quantizing");
    let options = QuantizeOptions {
        activation_bits: args.activation_bits,
        weight_bits: args.weight_bits,
        ..QuantizeOptions::default()
    };
    let model = Model::quantize(&float, &calibration, &options)?.with_source(name.to_string_lossy());
    let quantizing = started.elapsed();
    let sample = calibration.samples.first().map(Vec::as_slice).unwrap_or_default();
    steps.step("measuring unit costs");
    let estimate = Estimate::new(&model, sample, quantizing, start)?;
    drop(steps);

    let calibrated = args.calibrate.is_some();
    let mut json = json!({ "model": name.to_string_lossy(), "calibrated": calibrated });
    if let (Some(json), Ok(serde_json::Value::Object(estimate))) =
        (json.as_object_mut(), serde_json::to_value(&estimate))
    {
        json.extend(estimate);
    }
    Ok(Report::good(text(&estimate, calibrated), json))
}

/// Samples of values spread evenly from -1 to 1, always the same.
fn made_up(len: usize) -> Dataset {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1u64 << 23) as f32) - 1.0
    };
    let samples = (0..SAMPLES).map(|_| (0..len).map(|_| next()).collect()).collect();
    Dataset { samples, labels: None }
}

fn text(estimate: &Estimate, calibrated: bool) -> String {
    let memory = |bytes: Option<u64>| bytes.map_or("unknown".to_string(), crate::output::bytes);
    let mut lines = Lines::default();
    let threads = match estimate.threads {
        1 => "1 thread".to_string(),
        threads => format!("{threads} threads"),
    };
    lines.line("machine", format!("this one, {threads}, backend {}", estimate.backend));
    lines.line(
        "model",
        format!("{} parameters, {} multiplications", count(estimate.parameters), count(estimate.macs)),
    );
    if !calibrated {
        lines.line("scales", "from made-up samples: --calibrate gives those of a key, and its exact sizes");
    }
    let milliseconds =
        |ms: f64| if ms < 1000.0 { format!("{ms:.1} ms") } else { format!("{:.2} s", ms / 1e3) };
    lines.text("\n").text(&layers(estimate)).text("\n");
    lines
        .line(
            "commit",
            format!(
                "{} ({} of them for quantization), peak memory {}",
                milliseconds(estimate.commit_ms),
                milliseconds(estimate.quantize_ms),
                memory(estimate.commit_memory_bytes)
            ),
        )
        .line(
            "prove",
            format!(
                "{}, peak memory {}",
                milliseconds(estimate.prove_ms),
                memory(estimate.prove_memory_bytes)
            ),
        )
        .line("verify", milliseconds(estimate.verify_ms))
        .line("proof", bytes(estimate.proof_bytes as u64))
        .line("private key", bytes(estimate.proving_key_bytes as u64))
        .line("public key", bytes(estimate.verifying_key_bytes as u64));
    lines.finish()
}

/// One row per layer, then what they share.
fn layers(estimate: &Estimate) -> String {
    let heads =
        ["", "layer", "kind", "output", "weights", "MACs", "committed", "leaves", "prove, ms", "share"];
    let mut rows = vec![heads.map(str::to_string).to_vec()];
    let share = |ms: f64| format!("{:.1} %", 100.0 * ms / estimate.prove_ms.max(f64::MIN_POSITIVE));
    for (index, layer) in estimate.layers.iter().enumerate() {
        let shape: Vec<String> = layer.output_shape.iter().map(usize::to_string).collect();
        rows.push(vec![
            index.to_string(),
            layer.name.clone(),
            layer.kind.clone(),
            shape.join("x"),
            count(layer.parameters),
            count(layer.macs),
            count(layer.committed),
            count(layer.leaves),
            format!("{:.2}", layer.prove_ms),
            share(layer.prove_ms),
        ]);
    }
    for part in &estimate.shared {
        let mut row = vec![String::new(); heads.len()];
        row[1] = part.name.to_string();
        row[8] = format!("{:.2}", part.ms);
        row[9] = share(part.ms);
        rows.push(row);
    }
    table(&rows)
}
