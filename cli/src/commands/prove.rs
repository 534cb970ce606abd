//! `provenn prove`: from a key and an input to a proof.

use crate::args::{Prove, TensorPart};
use crate::failure::Failure;
use crate::files::{Access, Target, check_distinct, check_memory, proving_key, renamed, sample, write};
use crate::output::{Lines, Report, bytes, duration, head_json, milliseconds, output_lines};
use crate::plan;
use crate::progress::Progress;
use crate::spans::Trace;
use provenn::{Modes, ProveOptions, Visibility, memory};
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

pub(crate) fn run(args: &Prove, progress: &Progress, trace: Option<Trace>) -> Result<Report, Failure> {
    let path = args.output.clone().unwrap_or_else(|| {
        let name = args.input.file_name().map(PathBuf::from).unwrap_or_default();
        renamed(&name, &["json", "npy", "npz"], "proof")
    });
    let opening_target = match args.hide.is_empty() {
        true => None,
        false => {
            let beside = || renamed(&path, &["proof"], "opening");
            let opening = args.opening.clone().unwrap_or_else(beside);
            Some(Target::new(opening, Access::Private, args.force)?)
        }
    };
    let trace_target =
        args.trace.clone().map(|path| Target::new(path, Access::Public, args.force)).transpose()?;
    let target = Target::new(path, Access::Public, args.force)?;
    let written: Vec<&Target> = [&target].into_iter().chain(&opening_target).chain(&trace_target).collect();
    check_distinct(&written, &[&args.key, &args.input])?;

    let steps = progress.start("prove");
    steps.step("loading the key");
    if let Ok(file) = std::fs::metadata(&args.key) {
        check_memory("loading the key", memory::loading_about(file.len()), args.force)?;
    }
    let key = proving_key(&args.key)?;
    let input = sample(&args.input, args.index, key.input_len())?;
    let visibility = |part| match args.hide.contains(&part) {
        true => Visibility::Committed,
        false => Visibility::Public,
    };
    let modes = Modes { input: visibility(TensorPart::Input), output: visibility(TensorPart::Output) };
    check_memory("proving", memory::proving(key.shape(), modes), args.force)?;
    steps.step("tables");
    key.warm_up();
    steps.plan(plan::proving(&key, modes));
    let options = ProveOptions { modes, context: args.context.as_bytes() };
    let started = Instant::now();
    let proof = key.prove_observed(&input, options, &mut |phase| steps.phase(phase.name()))?;
    let elapsed = started.elapsed();
    let memory = memory::peak();
    let trace = trace_target.as_ref().zip(trace.map(Trace::finish));
    steps.step("writing");
    let opening = opening_target.as_ref().zip(proof.opening.as_deref());
    let mut files = vec![(&target, proof.bytes.as_slice())];
    files.extend(opening);
    files.extend(trace.as_ref().map(|(target, trace)| (*target, trace.as_slice())));
    write(&files)?;
    drop(steps);

    let mut lines = Lines::default();
    output_lines(&mut lines, key.layers(), &proof.output);
    if let Some((target, _)) = opening {
        lines.line("opening", format!("{}, private", target.path().display()));
    }
    if let Some(target) = &trace_target {
        lines.line("trace", target.path().display());
    }
    let memory_text = memory.map_or("unknown".to_string(), bytes);
    lines.line(
        "proof",
        format!(
            "{}: {}, peak memory {memory_text}, {}",
            target.path().display(),
            duration(elapsed),
            bytes(proof.bytes.len() as u64)
        ),
    );
    let (argmax, head) = head_json(key.layers(), &proof.output);
    let json = json!({
        "model_id": key.model_id().to_string(),
        "prove_ms": milliseconds(elapsed),
        "peak_rss_bytes": memory,
        "proof": target.path().to_string_lossy(),
        "proof_bytes": proof.bytes.len(),
        "opening": opening.map(|(target, _)| target.path().to_string_lossy()),
        "trace": trace_target.as_ref().map(|target| target.path().to_string_lossy()),
        "output": proof.output.reals,
        "output_int": proof.output.integers,
        "argmax": argmax,
        "head": head,
    });
    Ok(Report::good(lines.finish(), json))
}
