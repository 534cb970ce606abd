//! What commands tell of themselves: progress, spans, traces.

use crate::common::Place;
use provenn::{Phase, VerifyPhase};
use serde_json::Value;
use std::collections::HashMap;

fn text<'v>(event: &'v Value, name: &str) -> &'v str {
    event[name].as_str().unwrap_or_default()
}

/// Checks that spans of each thread are nested and end, and returns the names of all, with their depth and arguments.
fn spans(trace: &[u8]) -> Vec<(String, usize, Value)> {
    let events: Vec<Value> = serde_json::from_slice(trace).unwrap();
    let mut open: HashMap<u64, Vec<&str>> = HashMap::new();
    let mut spans = Vec::new();
    let mut last = 0.0;
    for event in &events {
        let stack = open.entry(event["tid"].as_u64().unwrap()).or_default();
        match text(event, "ph") {
            "B" => {
                spans.push((text(event, "name").to_string(), stack.len(), event["args"].clone()));
                stack.push(text(event, "name"));
            }
            "E" => assert_eq!(stack.pop(), Some(text(event, "name")), "{event}"),
            _ => continue,
        }
        let time = event["ts"].as_f64().unwrap();
        assert!(time >= 0.0, "{event}");
        last = f64::max(last, time);
    }
    assert!(open.values().all(Vec::is_empty) && last > 0.0);
    spans
}

#[test]
fn a_trace_of_a_proof() {
    let place = Place::new();
    let said = place.provenn("prove digits.pk input.json -o x.proof --trace x.json").good();
    assert!(
        said.out.lines().any(|line| line.starts_with("trace ") && line.ends_with(" x.json")),
        "{}",
        said.out
    );
    assert_eq!(said.err, "");
    place.provenn("verify digits.vk x.proof").good();
    let spans = spans(&place.get("x.json"));
    let depths = |name: &str| -> Vec<usize> {
        spans.iter().filter(|span| span.0 == name).map(|span| span.1).collect()
    };
    assert_eq!(depths("prove"), [0]);
    for phase in Phase::ALL {
        assert!(depths(phase.name()).contains(&1), "{phase:?}");
    }
    // What is done for each layer names it.
    for name in ["step", "operands"] {
        let layers: Vec<u64> = spans
            .iter()
            .filter(|span| span.0 == name)
            .filter_map(|span| span.2["layer"].as_str()?.parse().ok())
            .collect();
        assert!(layers.contains(&0) && layers.contains(&1), "{name}: {spans:?}");
    }
    for part in ["masks", "columns", "leaves", "tree", "rounds", "fold", "halving"] {
        assert!(!depths(part).is_empty(), "{part}");
    }
    assert!(spans.iter().all(|span| !span.0.contains("input.json") && span.0.len() < 30));
}

#[test]
fn a_trace_is_written_with_the_proof_or_not_at_all() {
    let place = Place::new();
    place.put("x.json", "precious");
    place.refused("prove digits.pk input.json --trace x.json", "x.json: exists already");
    place.refused("prove digits.pk input.json --trace none/x.json", "none/x.json: cannot be written");
    place.refused("prove digits.pk input.json -o a --trace a", "would be written twice");
    place.refused("prove digits.pk input.json --hide input --opening a --trace a", "would be written twice");
    place.refused("prove digits.pk input.json -o a --trace ./a --force", "would be written twice");
    place
        .refused("prove digits.pk input.json -o ./digits.pk --force", "digits.pk: would be written and read");
    place.refused("prove digits.pk none.json --trace y.json", "none.json: no such file");
    place.provenn("prove digits.pk input.json --trace x.json --force").good();
    assert_ne!(place.get("x.json"), b"precious");
    let said = place.provenn("prove digits.pk input.json -o y.proof --trace y.json --json").good().json();
    assert_eq!(said["trace"].as_str(), Some("y.json"));
}

#[test]
fn spans_are_told_as_they_end() {
    let place = Place::new();
    let told = |arguments: &str, least: &[&str]| -> usize {
        let said = place.provenn(arguments).good();
        let lines: Vec<&str> = said.err.lines().collect();
        for line in &lines {
            assert!(line.contains("close time.busy="), "{arguments}: {line}");
        }
        for name in least {
            let ends = |line: &&&str| line.contains(&format!("{name}: close")) || line.contains(name);
            assert!(lines.iter().any(|line| ends(&line)), "{arguments}: {name}: {}", said.err);
        }
        lines.len()
    };
    let phases = Phase::ALL.map(Phase::name);
    let few = told("prove digits.pk input.json -o a.proof -v", &phases);
    let more = told("prove digits.pk input.json -o b.proof -vv", &["operands", "halving"]);
    let most = told("prove digits.pk input.json -o c.proof -vvv", &["piece"]);
    assert!(few < more && more < most, "{few}, {more}, {most}");
    told("verify digits.vk a.proof --verbose", &VerifyPhase::ALL.map(VerifyPhase::name));
    told("bench digits.pk --runs 1 -v", &phases);
    let steps = ["reading the model", "calibrating", "measuring fidelity", "key proof", "writing"];
    told("commit digits.onnx --calibrate samples.npz -o v --weight-bits 8 -v", &steps);
}

#[test]
fn nothing_is_shown_where_there_is_no_terminal() {
    let place = Place::new();
    for arguments in [
        "commit digits.onnx --calibrate samples.npz -o q --weight-bits 8",
        "prove digits.pk input.json",
        "verify digits.vk good.proof",
        "bench digits.pk --runs 1",
    ] {
        assert_eq!(place.provenn(arguments).good().err, "", "{arguments}");
    }
}
