//! An ONNX file: its nodes, and whether they can be proved.

use crate::failure::Failure;
use crate::output::{Lines, Report, bytes, count, one_line, table};
use provenn_models::onnx::{NodeSupport, OPERATORS, Support, support};
use serde_json::json;
use std::path::Path;
use tract_onnx::pb::GraphProto;
use tract_onnx::prelude::Framework;

pub(super) fn run(path: &Path, file: &[u8]) -> Result<Report, Failure> {
    let unknown = || Failure::Unknown { path: path.to_path_buf() };
    let model = tract_onnx::onnx().proto_model_for_read(&mut &file[..]).map_err(|_| unknown())?;
    let graph = model.graph.as_ref().ok_or_else(unknown)?;
    let opset = model.opset_import.iter().find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
    let opset = opset.map_or(0, |set| set.version);
    // The importer has the last word: an operator can be supported, but not where it stands.
    let verdict = provenn::import(file);
    let nodes = support(file).unwrap_or_default();

    let mut lines = Lines::default();
    lines
        .line("file", format!("ONNX model, operator set {opset}, {}", bytes(file.len() as u64)))
        .line("graph", &graph.name)
        .line("inputs", names(graph.input.iter().map(|info| &info.name)))
        .line("outputs", names(graph.output.iter().map(|info| &info.name)))
        .line("weights", format!("{} in {} tensors", count(entries(graph)), graph.initializer.len()))
        .text("\n");
    if !nodes.is_empty() {
        let mut rows = vec![["node", "operator", "supported"].map(str::to_string).to_vec()];
        rows.extend(nodes.iter().map(|node| vec![node.name.clone(), node.operator.clone(), answer(node)]));
        lines.text(&table(&rows)).text("\n");
    }
    for node in &nodes {
        if let Support::Refused(error) = &node.support {
            lines.line("unsupported", one_line(&error.to_string()));
        }
    }
    let nodes: Vec<_> = nodes
        .iter()
        .map(|node| {
            json!({
                "name": node.name,
                "operator": node.operator,
                "supported": match &node.support {
                    Support::Supported | Support::Unused => Some(true),
                    Support::Refused(_) => Some(false),
                    _ => None,
                },
                "reason": match &node.support {
                    Support::Refused(error) => Some(one_line(&error.to_string())),
                    _ => None,
                },
                "limits": limits(node),
            })
        })
        .collect();
    let mut json = json!({
        "kind": "onnx",
        "bytes": file.len(),
        "opset": opset,
        "graph": graph.name,
        "parameters": entries(graph),
        "nodes": nodes,
    });
    match &verdict {
        Ok(float) => {
            lines.line(
                "verdict",
                format!("can be committed: input {:?}, output {:?}", float.input_shape, float.output_shape()),
            );
            json["supported"] = json!(true);
            json["input_shape"] = json!(float.input_shape);
            json["output_shape"] = json!(float.output_shape());
        }
        Err(error) => {
            lines.line("verdict", format!("cannot be committed: {error}"));
            json["supported"] = json!(false);
            json["reason"] = json!(one_line(&error.to_string()));
        }
    }
    Ok(Report::good(lines.finish(), json))
}

/// Whether a node is supported, and within which limits its operator is.
fn answer(node: &NodeSupport) -> String {
    let limits = limits(node).map_or(String::new(), |limits| format!(": {limits}"));
    match node.support {
        Support::Supported => format!("yes{limits}"),
        Support::Unused => "not used by the output".to_string(),
        Support::Refused(_) => format!("no{limits}"),
        _ => "unknown: it reads what an unsupported node gives".to_string(),
    }
}

/// The limits within which a node's operator is supported.
fn limits(node: &NodeSupport) -> Option<&'static str> {
    OPERATORS.iter().find(|operator| operator.name == node.operator).map(|operator| operator.limits)
}

fn names<'n>(names: impl Iterator<Item = &'n String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn entries(graph: &GraphProto) -> u64 {
    let len = |dims: &[i64]| dims.iter().map(|&d| u64::try_from(d).unwrap_or(0)).fold(1, u64::saturating_mul);
    graph.initializer.iter().map(|tensor| len(&tensor.dims)).fold(0, u64::saturating_add)
}
