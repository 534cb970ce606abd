//! `provenn commit`: from an ONNX file to a pair of keys.

use crate::args::Commit;
use crate::failure::{At, Failure};
use crate::files::{
    Access, MAX_MODEL_BYTES, Target, check_distinct, check_memory, check_name, dataset, read, renamed, write,
};
use crate::output::{Lines, Report, bytes, count, duration};
use crate::plan;
use crate::progress::Progress;
use provenn::{Error, Fidelity, Model, QuantizeOptions, Stage, import, memory};
use provenn_circuits::system::KeyShape;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

pub(crate) fn run(args: &Commit, progress: &Progress) -> Result<Report, Failure> {
    let started = Instant::now();
    let name = args.onnx.file_name().map(PathBuf::from).unwrap_or_default();
    let base = args.output.clone().unwrap_or_else(|| name.with_extension(""));
    check_name(&base)?;
    let known = ["pk", "vk"];
    let pk_target = Target::new(renamed(&base, &known, "pk"), Access::Private, args.force)?;
    let vk_target = Target::new(renamed(&base, &known, "vk"), Access::Public, args.force)?;
    check_distinct(&[&pk_target, &vk_target], &[&args.onnx, &args.calibrate])?;

    let steps = progress.start("commit");
    steps.step("reading the model");
    let float = import(&read(&args.onnx, "a model", MAX_MODEL_BYTES)?).at(&args.onnx)?;
    let calibration = dataset(&args.calibrate, float.input_len())?;
    steps.plan(plan::quantizing(calibration.samples.len()));
    let options = QuantizeOptions {
        activation_bits: args.activation_bits,
        weight_bits: args.weight_bits,
        ..QuantizeOptions::default()
    };
    let observe = &mut |stage: Stage| steps.step(stage.name());
    let model = Model::quantize_observed(&float, &calibration, &options, observe)?;
    let model = model.with_source(name.to_string_lossy());
    let layers = &model.quantized().layers;
    let shape = KeyShape::derive(layers).map_err(Error::from)?;
    check_memory("committing", memory::committing(&shape, layers), args.force)?;
    let parameters = model.quantized().parameters.iter().map(Vec::len).sum();
    steps.plan(plan::committing(&shape, parameters));
    drop(shape);
    let key = model.commit_observed(&mut |phase| steps.phase(phase.name()))?;
    steps.step("writing");
    let (pk, vk) = (key.to_bytes()?, key.verifying_key()?);
    write(&[(&pk_target, &pk), (&vk_target, &vk)])?;
    drop(steps);

    let layers = key.layers();
    let macs = layers.macs().map_err(Error::from)?;
    let elapsed = started.elapsed();
    let mut lines = Lines::default();
    lines
        .line("model ID", key.model_id())
        .line("model", format!("{} parameters, {} multiplications", count(parameters as u64), count(macs)));
    fidelity_lines(&mut lines, model.fidelity());
    lines
        .line("private key", format!("{}, {}", pk_target.path().display(), bytes(pk.len() as u64)))
        .line("public key", format!("{}, {}", vk_target.path().display(), bytes(vk.len() as u64)))
        .line("time", duration(elapsed));
    let json = json!({
        "model_id": key.model_id().to_string(),
        "parameters": parameters,
        "macs": macs,
        "fidelity": model.fidelity(),
        "seconds": elapsed.as_secs_f64(),
        "pk": pk_target.path().to_string_lossy(),
        "pk_bytes": pk.len(),
        "vk": vk_target.path().to_string_lossy(),
        "vk_bytes": vk.len(),
    });
    Ok(Report::good(lines.finish(), json))
}

pub(crate) fn fidelity_lines(lines: &mut Lines, fidelity: &Fidelity) {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let mut agreement = format!(
        "integers agree with floats on {} of {} samples",
        percent(fidelity.top1_agreement),
        fidelity.samples
    );
    if let (Some(float), Some(integer)) = (fidelity.float_accuracy, fidelity.integer_accuracy) {
        agreement += &format!("; accuracy {} float, {} integer", percent(float), percent(integer));
    }
    lines.line("fidelity", agreement);
    lines.line(
        "",
        format!(
            "output error {:.2e} mean, {:.2e} worst; {} of activations saturated",
            fidelity.mean_abs_error,
            fidelity.max_abs_error,
            percent(fidelity.saturated)
        ),
    );
    for layer in &fidelity.layers {
        lines.line(
            "",
            format!("{}: {:.2e} mean, {:.2e} worst", layer.name, layer.mean_abs_error, layer.max_abs_error),
        );
    }
}
