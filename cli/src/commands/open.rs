//! `provenn open`: the values behind the commitments of a proof.

use crate::args::Open;
use crate::failure::Failure;
use crate::files::{evidence, verifying_key};
use crate::output::{Lines, Report, Verdict, one_line, output_lines, summary};
use provenn::{Part, Rejection, Shown, Values, Verified, VerifyingKey};
use provenn_circuits::artifact::{Kind, ProofContent, decode};
use serde_json::json;

pub(crate) fn run(args: &Open) -> Result<Report, Failure> {
    let key = verifying_key(&args.key)?;
    let (proof, opening) = (evidence(&args.proof, "proof")?, evidence(&args.opening, "opening")?);
    let opened = proof.and_then(|proof| open(&key, &proof, &opening?, args.part.map(Part::from)));
    let model_id = key.model_id().to_string();
    let (verified, parts) = match opened {
        Ok(opened) => opened,
        Err(rejection) => {
            let reason = one_line(&rejection.to_string());
            let json = json!({ "accepted": false, "reason": reason, "model_id": model_id });
            let text =
                Lines::default().line("model ID", &model_id).text(&format!("REJECTED: {reason}\n")).finish();
            return Ok(Report { text, json, verdict: Verdict::Rejected });
        }
    };
    let context = String::from_utf8_lossy(&verified.context);
    let mut json = json!({ "accepted": true, "reason": null, "model_id": model_id, "context": context });
    let mut lines = Lines::default();
    lines.line("model ID", &model_id);
    if !context.is_empty() {
        lines.line("context", format!("{context:?}"));
    }
    for (part, integers) in parts {
        let values = match part {
            Part::Input => Values::input(key.layers(), integers),
            Part::Output => Values::output(key.layers(), integers),
        };
        match part {
            Part::Input => {
                lines.line("input", summary(&values.reals));
            }
            Part::Output => output_lines(&mut lines, key.layers(), &values),
        }
        json[part.to_string()] = json!(values.reals);
        json[format!("{part}_int")] = json!(values.integers);
    }
    lines.text("ACCEPTED: the proof is valid and these are the values behind its commitments\n");
    Ok(Report::good(lines.finish(), json))
}

type Opened = (Verified, Vec<(Part, Vec<i64>)>);

/// Verifies the proof, in whatever context it names, and opens one part or all committed ones.
fn open(key: &VerifyingKey, proof: &[u8], opening: &[u8], part: Option<Part>) -> Result<Opened, Rejection> {
    let content: ProofContent<'_> = decode(Kind::Proof, proof)?;
    let verified = key.verify(proof, content.context)?;
    let committed = |part: &Part| {
        let shown = match part {
            Part::Input => &verified.input,
            Part::Output => &verified.output,
        };
        matches!(shown, Shown::Committed { .. })
    };
    let parts = match part {
        Some(part) => vec![part],
        None => [Part::Input, Part::Output].into_iter().filter(committed).collect(),
    };
    if parts.is_empty() {
        return Err(Rejection::NothingToOpen { part: Part::Output });
    }
    let parts = parts.into_iter().map(|part| Ok((part, key.open(proof, opening, part)?)));
    let parts = parts.collect::<Result<Vec<_>, Rejection>>()?;
    Ok((verified, parts))
}
