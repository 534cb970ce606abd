//! An ONNX file: its nodes, and whether they can be proved.

use crate::failure::Failure;
use crate::output::{Lines, Report, bytes, count, one_line, table};
use provenn_models::onnx::OPERATORS;
use serde_json::json;
use std::path::Path;
use tract_onnx::pb::{GraphProto, NodeProto};
use tract_onnx::prelude::Framework;

pub(super) fn run(path: &Path, file: &[u8]) -> Result<Report, Failure> {
    let unknown = || Failure::Unknown { path: path.to_path_buf() };
    let model = tract_onnx::onnx().proto_model_for_read(&mut &file[..]).map_err(|_| unknown())?;
    let graph = model.graph.as_ref().ok_or_else(unknown)?;
    let opset = model.opset_import.iter().find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
    let opset = opset.map_or(0, |set| set.version);
    // The importer has the last word: an operator can be supported, but not where it stands.
    let verdict = provenn::import(file);

    let mut lines = Lines::default();
    lines
        .line("file", format!("ONNX model, operator set {opset}, {}", bytes(file.len() as u64)))
        .line("graph", &graph.name)
        .line("inputs", names(graph.input.iter().map(|info| &info.name)))
        .line("outputs", names(graph.output.iter().map(|info| &info.name)))
        .line("weights", format!("{} in {} tensors", count(entries(graph)), graph.initializer.len()))
        .text("\n");
    let mut rows = vec![["node", "operator", "supported"].map(str::to_string).to_vec()];
    for node in &graph.node {
        let support = support(node).map_or("no".to_string(), |limits| format!("yes: {limits}"));
        rows.push(vec![name(node), node.op_type.clone(), support]);
    }
    lines.text(&table(&rows)).text("\n");
    let nodes: Vec<_> = graph
        .node
        .iter()
        .map(|node| {
            json!({
                "name": name(node),
                "operator": node.op_type,
                "supported": support(node).is_some(),
                "limits": support(node),
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

/// The limits within which a node's operator is supported.
fn support(node: &NodeProto) -> Option<&'static str> {
    if !matches!(node.domain.as_str(), "" | "ai.onnx") {
        return None;
    }
    OPERATORS.iter().find(|operator| operator.name == node.op_type).map(|operator| operator.limits)
}

fn name(node: &NodeProto) -> String {
    match (node.name.as_str(), node.output.first()) {
        ("", Some(output)) => format!("{} -> {output}", node.op_type),
        (name, _) => name.to_string(),
    }
}

fn names<'n>(names: impl Iterator<Item = &'n String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn entries(graph: &GraphProto) -> u64 {
    let len = |dims: &[i64]| dims.iter().map(|&d| u64::try_from(d).unwrap_or(0)).fold(1, u64::saturating_mul);
    graph.initializer.iter().map(|tensor| len(&tensor.dims)).fold(0, u64::saturating_add)
}
