//! A ledger as text and as comma-separated values.

use crate::output::{Lines, aligned, bytes, count};
use provenn::ledger::{LayerCost, Ledger, Part, Spread};

/// For people.
pub(super) fn text(ledger: &Ledger) -> String {
    let mut lines = Lines::default();
    let machine = &ledger.machine;
    let memory = machine.memory_bytes.map_or(String::new(), |count| format!(", {}", bytes(count)));
    lines
        .line("model", &ledger.model)
        .line("model ID", &ledger.model_id)
        .line("input", &ledger.input)
        .line(
            "machine",
            format!(
                "{}, threads: {}, cores: {}{memory}, {}, {} kernels",
                machine.processor, machine.threads, machine.cores, machine.system, machine.backend
            ),
        )
        .line(
            "runs",
            format!("{} after one to warm up, {}; medians with least and greatest", ledger.runs, ledger.date),
        )
        .text("\n")
        .text(&aligned(&layer_rows(ledger), 3))
        .text("\n");
    for (title, whole, parts) in
        [("prove", ledger.prove, &ledger.shared), ("verify", ledger.verify, &ledger.verify_phases)]
    {
        let heads = if title == "prove" {
            ["no layer's", "ms", "least", "greatest", "share"]
        } else {
            ["verification", "ms", "least", "greatest", "share"]
        };
        let mut rows = vec![heads.map(str::to_string).to_vec()];
        rows.extend(parts.iter().map(|part| part_row(&part.name, part.time, whole)));
        rows.push(part_row(&format!("{title}, all"), whole, whole));
        lines.text(&aligned(&rows, 1)).text("\n");
    }
    let sizes: Vec<String> =
        ledger.proof_parts.iter().map(|part| format!("{} {}", count(part.bytes as u64), part.name)).collect();
    lines
        .line("proof", format!("{} bytes: {}", count(ledger.proof_bytes as u64), sizes.join(", ")))
        .line(
            "keys",
            format!(
                "private {}, public {}",
                bytes(ledger.proving_key_bytes as u64),
                bytes(ledger.verifying_key_bytes as u64)
            ),
        )
        .line("peak memory", ledger.peak_memory_bytes.map_or("unknown".to_string(), bytes));
    if let Some(accuracy) = &ledger.accuracy {
        let percent = |part: f64| format!("{:.2} %", 100.0 * part);
        let found = [
            accuracy.float.map(|part| format!("accuracy {} float", percent(part))),
            accuracy.integer.map(|part| format!("{} integer", percent(part))),
            accuracy.agreement.map(|part| format!("integers agree with floats on {}", percent(part))),
            accuracy.greatest_error.map(|error| format!("worst output error {error:.2e}")),
        ];
        let found: Vec<String> = found.into_iter().flatten().collect();
        lines.line("fidelity", format!("{}; {} samples", found.join(", "), count(accuracy.samples as u64)));
    }
    let Spread { median_ms, min_ms, max_ms } = ledger.native;
    lines
        .line("native", format!("{median_ms:.3} ms ({min_ms:.3} to {max_ms:.3}) for the integers alone"))
        .line("overhead", format!("a proof takes {:.0} times as long", ledger.overhead));
    lines.finish()
}

fn layer_rows(ledger: &Ledger) -> Vec<Vec<String>> {
    let heads = [
        "",
        "layer",
        "kind",
        "output",
        "MACs",
        "parameters",
        "committed",
        "look-ups",
        "ms",
        "least",
        "greatest",
        "share",
        "ns/MAC",
        "ns/par.",
    ];
    let row = |layer: &LayerCost| {
        let per = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.2}"));
        vec![
            layer.index.to_string(),
            layer.name.clone().unwrap_or_default(),
            layer.kind.clone(),
            shape(layer),
            count(layer.macs),
            count(layer.parameters),
            count(layer.committed),
            count(layer.lookups),
            format!("{:.3}", layer.prove.median_ms),
            format!("{:.3}", layer.prove.min_ms),
            format!("{:.3}", layer.prove.max_ms),
            percent(layer.share),
            per(layer.ns_per_mac),
            per(layer.ns_per_parameter),
        ]
    };
    [heads.map(str::to_string).to_vec()].into_iter().chain(ledger.layers.iter().map(row)).collect()
}

fn shape(layer: &LayerCost) -> String {
    layer.output_shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn part_row(name: &str, Spread { median_ms, min_ms, max_ms }: Spread, whole: Spread) -> Vec<String> {
    let share = if whole.median_ms > 0.0 { percent(median_ms / whole.median_ms) } else { String::new() };
    let times = [median_ms, min_ms, max_ms].map(|time| format!("{time:.3}"));
    [name.to_string()].into_iter().chain(times).chain([share]).collect()
}

/// For other programs: one line per layer, per part that is no layer's, per phase of the verifier, and per whole. Times
/// are in milliseconds.
pub(super) fn csv(ledger: &Ledger) -> String {
    let mut text = "section,index,name,kind,output_shape,macs,parameters,committed,lookups,median_ms,min_ms,max_ms,share,\
                    ns_per_mac,ns_per_parameter\n"
        .to_string();
    let optional = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let mut line = |cells: [String; 9], time: Spread, share: Option<f64>, per: [Option<f64>; 2]| {
        let times = [time.median_ms, time.min_ms, time.max_ms].map(|ms| ms.to_string());
        let rest = [share, per[0], per[1]].map(optional);
        let cells: Vec<String> =
            cells.into_iter().chain(times).chain(rest).map(|cell| quoted(&cell)).collect();
        text += &cells.join(",");
        text.push('\n');
    };
    for layer in &ledger.layers {
        let counts =
            [layer.macs, layer.parameters, layer.committed, layer.lookups].map(|count| count.to_string());
        let [macs, parameters, committed, lookups] = counts;
        let cells = [
            "layer".to_string(),
            layer.index.to_string(),
            layer.name.clone().unwrap_or_default(),
            layer.kind.clone(),
            shape(layer),
            macs,
            parameters,
            committed,
            lookups,
        ];
        line(cells, layer.prove, Some(layer.share), [layer.ns_per_mac, layer.ns_per_parameter]);
    }
    let mut parts = |section: &str, parts: &[Part], whole: Spread| {
        for Part { name, time } in parts {
            let share = (whole.median_ms > 0.0).then(|| time.median_ms / whole.median_ms);
            line(plain(section, name), *time, share, [None; 2]);
        }
    };
    parts("shared", &ledger.shared, ledger.prove);
    parts("verify", &ledger.verify_phases, ledger.verify);
    for (name, whole) in [("prove", ledger.prove), ("verify", ledger.verify), ("native", ledger.native)] {
        line(plain("total", name), whole, None, [None; 2]);
    }
    text
}

/// The first cells of a line that is about no layer.
fn plain(section: &str, name: &str) -> [String; 9] {
    let mut cells: [String; 9] = Default::default();
    (cells[0], cells[2]) = (section.to_string(), name.to_string());
    cells
}

/// A cell as RFC 4180 has it.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_string()
    }
}
