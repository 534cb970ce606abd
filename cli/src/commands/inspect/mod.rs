//! `provenn inspect`: what a file is.

mod key;
mod onnx;

use crate::args::Inspect;
use crate::failure::{At, Failure};
use crate::files::{MAX_MODEL_BYTES, read};
use crate::output::{Lines, Report, bytes};
use provenn::{Modes, ProvingKey, VerifyingKey, Visibility};
use provenn_circuits::artifact::{
    ArtifactError, Kind, OpeningContent, ProofContent, VERSION, decode, identify,
};
use serde_json::json;
use std::path::Path;

pub(crate) fn run(args: &Inspect) -> Result<Report, Failure> {
    let path = args.file.as_path();
    let file = read(path, "any artifact", MAX_MODEL_BYTES)?;
    let kind = match identify(&file) {
        Ok((kind, _)) => kind,
        Err(ArtifactError::Magic) => return onnx::run(path, &file),
        Err(error) => return Err(error).at(path),
    };
    let mut lines = Lines::default();
    lines.line("file", format!("{}, format {VERSION}, {}", kind.name(), bytes(file.len() as u64)));
    match kind {
        Kind::ProvingKey => {
            let key = ProvingKey::from_bytes(&file).at(path)?;
            key::describe(
                lines,
                kind,
                file.len(),
                key.model_id(),
                key.layers(),
                key.shape(),
                Some(key.notes()),
            )
        }
        Kind::VerifyingKey => {
            let key = VerifyingKey::from_bytes(&file).at(path)?;
            key::describe(lines, kind, file.len(), key.model_id(), key.layers(), key.shape(), None)
        }
        Kind::Proof => proof(lines, path, &file),
        Kind::Opening => opening(lines, path, &file),
    }
}

fn proof(mut lines: Lines, path: &Path, file: &[u8]) -> Result<Report, Failure> {
    let content: ProofContent<'_> = decode(Kind::Proof, file).at(path)?;
    let Some(modes) = Modes::ALL.get(usize::from(content.modes)) else {
        let reason = format!("the visibility byte is {}", content.modes);
        return Err(ArtifactError::Malformed { kind: Kind::Proof.name(), reason }).at(path);
    };
    let visibility = |visibility| match visibility {
        Visibility::Public => "public",
        Visibility::Committed => "committed",
    };
    let (input, output) = (visibility(modes.input), visibility(modes.output));
    let context = String::from_utf8_lossy(content.context);
    lines
        .line("model ID", content.model_id)
        .line("context", format!("{context:?}"))
        .line("input", format!("{input}, {}", bytes(content.input.len() as u64)))
        .line("output", format!("{output}, {}", bytes(content.output.len() as u64)))
        .line("messages", bytes(content.messages.len() as u64))
        .text("Not verified: see provenn verify.\n");
    let json = json!({
        "kind": Kind::Proof.name(),
        "version": VERSION,
        "bytes": file.len(),
        "model_id": content.model_id.to_string(),
        "context": context,
        "input": input,
        "input_bytes": content.input.len(),
        "output": output,
        "output_bytes": content.output.len(),
        "message_bytes": content.messages.len(),
    });
    Ok(Report::good(lines.finish(), json))
}

fn opening(mut lines: Lines, path: &Path, file: &[u8]) -> Result<Report, Failure> {
    let content: OpeningContent = decode(Kind::Opening, file).at(path)?;
    let mut json = json!({ "kind": Kind::Opening.name(), "version": VERSION, "bytes": file.len() });
    for (name, part) in [("input", &content.input), ("output", &content.output)] {
        let Some(part) = part else {
            lines.line(name, "not in this opening");
            json[name] = json!(null);
            continue;
        };
        let range = part.format.range;
        lines.line(name, format!("{} values, {} to {}", part.values.len(), range.lo, range.hi));
        json[name] =
            json!({ "values": part.values.len(), "shape": part.format.shape, "range": [range.lo, range.hi] });
    }
    lines.text("Private. Not verified: see provenn open.\n");
    Ok(Report::good(lines.finish(), json))
}
