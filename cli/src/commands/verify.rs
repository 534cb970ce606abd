//! `provenn verify`: from a key and a proof to a verdict.

use crate::args::Verify;
use crate::failure::Failure;
use crate::files::{evidence, verifying_key_of};
use crate::output::{
    Lines, Report, Verdict, commitment, commitment_summary, duration, head_json, milliseconds, one_line,
    output_lines, summary,
};
use crate::plan;
use crate::progress::Progress;
use provenn::{LayerList, ModelId, Shown, Values, Verified, VerifyPhase, VerifyingKey};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub(crate) fn run(args: &Verify, progress: &Progress) -> Result<Report, Failure> {
    let steps = progress.start("verify");
    steps.step("loading the key");
    let key = match verifying_key_of(&args.key, args.model_id)? {
        Ok(key) => key,
        Err(claimed) => {
            let expected = args.model_id.map_or_else(String::new, |id| id.to_string());
            let reason = format!("the key is of model {claimed}, expected model {expected}");
            return Ok(rejected(claimed, &reason, Duration::ZERO));
        }
    };
    let proof = evidence(&args.proof, "proof")?;
    steps.plan(plan::verifying(key.shape()));
    let observe = &mut |phase: VerifyPhase| steps.phase(phase.name());
    let started = Instant::now();
    let verdict = proof.and_then(|proof| key.verify_observed(&proof, args.context.as_bytes(), observe));
    let elapsed = started.elapsed();
    drop(steps);
    Ok(match verdict {
        Ok(verified) => accepted(&key, verified, elapsed),
        Err(rejection) => rejected(key.model_id(), &rejection.to_string(), elapsed),
    })
}

fn accepted(key: &VerifyingKey, verified: Verified, elapsed: Duration) -> Report {
    let layers = key.layers();
    let mut lines = Lines::default();
    lines.line("model ID", verified.model_id);
    if !verified.context.is_empty() {
        lines.line("context", format!("{:?}", String::from_utf8_lossy(&verified.context)));
    }
    let mut json = json!({
        "accepted": true,
        "reason": null,
        "model_id": verified.model_id.to_string(),
        "verify_ms": milliseconds(elapsed),
        "context": String::from_utf8_lossy(&verified.context),
    });
    let input = tensor(&mut json, "input", verified.input, layers, Values::input);
    match &input {
        Ok(values) => lines.line("input", summary(&values.reals)),
        Err(points) => lines.line("input", commitment_summary(points)),
    };
    let output = tensor(&mut json, "output", verified.output, layers, Values::output);
    match &output {
        Ok(values) => {
            output_lines(&mut lines, layers, values);
            (json["argmax"], json["head"]) = head_json(layers, values);
        }
        Err(points) => {
            lines.line("output", commitment_summary(points));
        }
    }
    lines.text(&format!("ACCEPTED in {}\n", duration(elapsed)));
    Report::good(lines.finish(), json)
}

/// Puts a tensor into the JSON object: its values, or its commitment, which is then the error.
fn tensor(
    json: &mut Value,
    name: &str,
    shown: Shown,
    layers: &LayerList,
    values: fn(&LayerList, Vec<i64>) -> Values,
) -> Result<Values, Vec<String>> {
    let points = commitment(&shown);
    let values = shown.values().map(|integers| values(layers, integers.to_vec()));
    json[name] = json!(values.as_ref().map(|v| &v.reals));
    json[format!("{name}_int")] = json!(values.as_ref().map(|v| &v.integers));
    json[format!("{name}_commitment")] = json!(points);
    values.ok_or(points.unwrap_or_default())
}

fn rejected(model_id: ModelId, reason: &str, elapsed: Duration) -> Report {
    let reason = one_line(reason);
    let text = Lines::default().line("model ID", model_id).text(&format!("REJECTED: {reason}\n")).finish();
    let json = json!({
        "accepted": false,
        "reason": reason,
        "model_id": model_id.to_string(),
        "verify_ms": milliseconds(elapsed),
        "input": null,
        "output": null,
        "output_int": null,
    });
    Report { text, json, verdict: Verdict::Rejected }
}
