//! The table of layers.

use super::text::{NONE, count, escape, nanoseconds, percent, time};
use crate::ledger::{LayerCost, Ledger, Part, Spread};

/// All layers with all that is known of them, the shared parts, and the whole.
pub(super) fn table(ledger: &Ledger, phases: &[&str]) -> String {
    let heads = ["MACs", "parameters", "committed values", "look-ups"];
    let mut head = String::from(
        "<th scope=\"col\">layer</th><th scope=\"col\" class=\"text\">name</th>\
         <th scope=\"col\" class=\"text\">output shape</th>",
    );
    for name in heads.into_iter().chain(["time", "min to max", "share", "per MAC", "per parameter"]) {
        head += &format!("<th scope=\"col\">{name}</th>");
    }
    for phase in phases {
        head += &format!("<th scope=\"col\">{}</th>", escape(phase));
    }
    let layers: String = ledger.layers.iter().map(|layer| row(layer, phases)).collect();
    let shared: String = ledger.shared.iter().map(|part| shared_row(part, ledger, phases.len())).collect();
    format!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"Table of layers\" tabindex=\"0\">\n<table>\n\
         <thead><tr>{head}</tr></thead>\n<tbody>\n{layers}</tbody>\n<tfoot>\n{shared}{}</tfoot>\n</table>\n</div>\n",
        whole_row(ledger, phases)
    )
}

fn row(layer: &LayerCost, phases: &[&str]) -> String {
    let mut cells = vec![
        count(layer.macs),
        count(layer.parameters),
        count(layer.committed),
        count(layer.lookups),
        time(layer.prove.median_ms),
        extent(&layer.prove),
        percent(layer.share),
        nanoseconds(layer.ns_per_mac),
        nanoseconds(layer.ns_per_parameter),
    ];
    cells.extend(phases.iter().map(|&name| {
        let times = layer.phases.iter().filter(|part| part.name == name).map(|part| part.time.median_ms);
        times.reduce(|a, b| a + b).map_or(NONE.into(), time)
    }));
    format!(
        "<tr><th scope=\"row\">{} {}</th><td class=\"text\">{}</td><td class=\"text\">{}</td>{}</tr>\n",
        layer.index,
        escape(&layer.kind),
        layer.name.as_deref().map_or(NONE.into(), escape),
        shape(&layer.output_shape),
        data(&cells)
    )
}

fn shared_row(part: &Part, ledger: &Ledger, phases: usize) -> String {
    let mut cells = vec![String::new(); 4];
    cells.extend([time(part.time.median_ms), extent(&part.time)]);
    cells.push(percent(part.time.median_ms / ledger.prove.median_ms));
    cells.resize(cells.len() + 2 + phases, String::new());
    format!(
        "<tr><th scope=\"row\">{}</th><td></td><td class=\"text\">no layer</td>{}</tr>\n",
        escape(&part.name),
        data(&cells)
    )
}

fn whole_row(ledger: &Ledger, phases: &[&str]) -> String {
    let total = |of: fn(&LayerCost) -> u64| {
        count(ledger.layers.iter().map(of).fold(0, |sum: u64, n| sum.saturating_add(n)))
    };
    let mut cells = vec![
        total(|layer| layer.macs),
        total(|layer| layer.parameters),
        total(|layer| layer.committed),
        total(|layer| layer.lookups),
        time(ledger.prove.median_ms),
        extent(&ledger.prove),
        String::new(),
        String::new(),
        String::new(),
    ];
    cells.extend(phases.iter().map(|&phase| time(phase_total(ledger, phase))));
    format!("<tr class=\"whole\"><th scope=\"row\">whole proof</th><td></td><td></td>{}</tr>\n", data(&cells))
}

/// Sum of a phase's medians over all layers.
pub(super) fn phase_total(ledger: &Ledger, phase: &str) -> f64 {
    let parts = ledger.layers.iter().flat_map(|layer| &layer.phases);
    parts.filter(|part| part.name == phase).map(|part| part.time.median_ms).sum()
}

/// An output's shape, as in `16 × 5 × 5`.
pub(super) fn shape(extents: &[usize]) -> String {
    if extents.is_empty() {
        return "one number".into();
    }
    extents.iter().map(usize::to_string).collect::<Vec<_>>().join("\u{a0}×\u{a0}")
}

fn extent(spread: &Spread) -> String {
    format!("{} to {}", time(spread.min_ms), time(spread.max_ms))
}

fn data(cells: &[String]) -> String {
    cells.iter().map(|cell| format!("<td>{cell}</td>")).collect()
}
