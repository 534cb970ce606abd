//! A ledger as one HTML page for people: no network, no scripts, charts as SVG.
//!
//! The page is also well-formed XML, which is what its tests parse.

mod bars;
mod layers;
mod scatter;
mod text;

use crate::ledger::{Accuracy, Bytes, LayerCost, Ledger, Part, Spread};
use bars::{Row, Segment};
use scatter::{Point, Subject};
use text::{NONE, accuracy, bytes, count, counted, escape, factor, number, percent, positive, time};

const STYLE: &str = include_str!("style.css");

/// Phases that have a colour of their own. Later ones share the neutral one.
const COLOURS: usize = 6;

/// The page. All text of the ledger is escaped, and numbers that are not finite are shown as a dash.
pub fn html(ledger: &Ledger) -> String {
    let phases = phases(ledger);
    let model = escape(&ledger.model);
    let sections = [
        section("Cost of each layer", &layer_costs(ledger, &phases)),
        section("Cost against size", &scatters(ledger)),
        format!(
            "<div class=\"pair\">\n{}{}</div>\n",
            section("Where the prover's time goes", &prover_phases(ledger, &phases)),
            section("Where the verifier's time goes", &verifier_phases(ledger))
        ),
        section("What the proof's bytes are", &proof_parts(ledger)),
        section("All layers", &all_layers(ledger, &phases)),
        section("How it was measured", &measurement(ledger)),
    ];
    // Nothing may be loaded and nothing may run, even if a name got past the escaping.
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>What a proof of {model} costs</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n{}</header>\n<main>\n{}</main>\n\
         <footer>Made by Provenn {}. Model ID <code>{}</code></footer>\n</body>\n</html>\n",
        header(ledger),
        sections.concat(),
        escape(&ledger.version),
        escape(&ledger.model_id)
    )
}

fn section(title: &str, content: &str) -> String {
    format!("<section>\n<h2>{title}</h2>\n{content}</section>\n")
}

/// Names of the layers' phases, in order of first appearance.
fn phases(ledger: &Ledger) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for part in ledger.layers.iter().flat_map(|layer| &layer.phases) {
        if !names.contains(&part.name.as_str()) {
            names.push(&part.name);
        }
    }
    names
}

fn colour(phase: usize) -> String {
    if phase < COLOURS { format!("phase{phase}") } else { "other".into() }
}

fn header(ledger: &Ledger) -> String {
    let model = escape(&ledger.model);
    let machine = &ledger.machine;
    format!(
        "<p class=\"over\">Provenn {}, {}</p>\n<h1>What a proof of <em>{model}</em> costs</h1>\n<p class=\"lead\">{}</p>\n\
         <div class=\"cards\">\n{}</div>\n\
         <p class=\"machine\">Measured on {}, {}, with {}.</p>\n<pre><code>{}</code></pre>\n",
        escape(&ledger.version),
        escape(&ledger.date),
        summary(ledger),
        cards(ledger),
        escape(&machine.processor),
        escape(&machine.system),
        counted(machine.threads as u64, "thread", "threads"),
        escape(&ledger.command)
    )
}

/// The main numbers in sentences.
fn summary(ledger: &Ledger) -> String {
    let mut text = format!(
        "Proving what this model makes of one input takes {}. Checking the proof takes {}, with a public key of {}.",
        time(ledger.prove.median_ms),
        time(ledger.verify.median_ms),
        bytes(ledger.verifying_key_bytes as u64)
    );
    let most = ledger
        .layers
        .iter()
        .max_by(|a, b| positive(a.prove.median_ms).total_cmp(&positive(b.prove.median_ms)));
    if let Some(most) = most.filter(|most| ledger.layers.len() > 1 && positive(most.prove.median_ms) > 0.0) {
        text += &format!(
            " Of {} layers, the most expensive is number {} ({}), with {} of the proving time.",
            count(ledger.layers.len() as u64),
            most.index,
            escape(&most.kind),
            percent(most.share)
        );
    }
    text
}

fn card(name: &str, value: &str, notes: &[String]) -> String {
    let notes: String = notes.iter().map(|note| format!("<span class=\"note\">{note}</span>")).collect();
    format!(
        "<div class=\"card\"><span class=\"name\">{name}</span><span class=\"number\">{value}</span>{notes}</div>\n"
    )
}

/// "median of 10 runs", and the extent.
fn spread_notes(spread: &Spread, runs: usize) -> Vec<String> {
    match runs {
        0 | 1 => vec!["one run".into()],
        _ => vec![
            format!("{} to {}", time(spread.min_ms), time(spread.max_ms)),
            format!("median of {} runs", count(runs as u64)),
        ],
    }
}

fn cards(ledger: &Ledger) -> String {
    let proof = vec![
        counted(ledger.proof_bytes as u64, "byte", "bytes"),
        format!("public key {}", bytes(ledger.verifying_key_bytes as u64)),
    ];
    let overhead = vec![format!("of {} for the model on integers alone", time(ledger.native.median_ms))];
    let (value, notes) = accuracy_card(ledger.accuracy.as_ref());
    [
        card("Accuracy", &value, &notes),
        card("Prove", &time(ledger.prove.median_ms), &spread_notes(&ledger.prove, ledger.runs)),
        card("Verify", &time(ledger.verify.median_ms), &spread_notes(&ledger.verify, ledger.runs)),
        card("Proof", &bytes(ledger.proof_bytes as u64), &proof),
        card("Overhead", &factor(ledger.overhead).unwrap_or(NONE.into()), &overhead),
    ]
    .concat()
}

/// The best of what is known: accuracy, else agreement with the floating-point model, else the greatest error.
fn accuracy_card(known: Option<&Accuracy>) -> (String, Vec<String>) {
    let Some(known) = known else {
        return (NONE.into(), vec!["not measured: the key has none".into()]);
    };
    let of = format!("of {}", counted(known.samples as u64, "sample", "samples"));
    let float = known.float.map(|float| format!("floating-point model {}", accuracy(float)));
    let agreement = known.agreement.map(|part| format!("same class on {}", accuracy(part)));
    let error = known.greatest_error.filter(|error| error.is_finite());
    let error = error.map(|error| format!("greatest error of an output {}", number(error)));
    match (known.integer, known.agreement) {
        (Some(integer), _) => {
            (accuracy(integer), [float, agreement, error, Some(of)].into_iter().flatten().collect())
        }
        (None, Some(part)) => {
            let same = "same class as the floating-point model".to_string();
            (accuracy(part), [Some(same), error, Some(of)].into_iter().flatten().collect())
        }
        (None, None) => {
            (NONE.into(), [error, Some("no labels".into()), Some(of)].into_iter().flatten().collect())
        }
    }
}

fn legend(entries: impl Iterator<Item = (String, String)>) -> String {
    // The swatch is a drawing, so that it is printed where backgrounds are not.
    let items: String = entries
        .map(|(class, name)| {
            format!(
                "<li><svg class=\"swatch\" width=\"12\" height=\"12\" aria-hidden=\"true\">\
                 <rect class=\"{class}\" width=\"12\" height=\"12\"/></svg>{name}</li>"
            )
        })
        .collect();
    format!("<ul class=\"legend\">{items}</ul>\n")
}

/// What a thin line over a bar means, if there is one.
fn extent_note(runs: usize) -> &'static str {
    if runs > 1 { " Thin lines reach from the least to the greatest of all runs." } else { "" }
}

fn layer_costs(ledger: &Ledger, phases: &[&str]) -> String {
    if ledger.layers.is_empty() {
        return "<p class=\"empty\">The model has no layers.</p>\n".into();
    }
    let rows: Vec<Row> = ledger.layers.iter().map(|layer| layer_row(layer, ledger, phases)).collect();
    let mut entries: Vec<(String, String)> =
        phases.iter().enumerate().map(|(i, name)| (colour(i), escape(name))).collect();
    if rows.iter().flat_map(|row| &row.segments).any(|segment| segment.class == "rest") {
        entries.push(("rest".into(), "not told apart".into()));
    }
    format!(
        "<p>The prover's time for each layer, in model order, and its part of the whole proof.{}</p>\n{}{}",
        extent_note(ledger.runs),
        legend(entries.into_iter()),
        bars::bars(&rows)
    )
}

/// A layer's bar is as long as its median. The medians of its phases need not add up to that: they are shortened if
/// they are more, and followed by a neutral rest if they are clearly less.
fn layer_row(layer: &LayerCost, ledger: &Ledger, phases: &[&str]) -> Row {
    const CLEARLY: f64 = 0.01;
    let median = positive(layer.prove.median_ms);
    let sum: f64 = layer.phases.iter().map(|part| positive(part.time.median_ms)).sum();
    let scale = if sum > median { median / sum } else { 1.0 };
    let mut segments: Vec<Segment> = layer
        .phases
        .iter()
        .map(|part| Segment {
            class: colour(phases.iter().position(|&name| name == part.name).unwrap_or(COLOURS)),
            length: scale * positive(part.time.median_ms),
            title: format!("{}: {}", escape(&part.name), time(part.time.median_ms)),
        })
        .collect();
    if median - sum > CLEARLY * median {
        let title = format!("not told apart: {}", time(median - sum));
        segments.push(Segment { class: "rest".into(), length: median - sum, title });
    }
    Row {
        number: Some(layer.index),
        name: escape(&layer.kind),
        note: layers::shape(&layer.output_shape),
        value: format!("{} <small>{}</small>", time(layer.prove.median_ms), percent(layer.share)),
        segments,
        extent: bars::extent(&layer.prove, ledger.runs),
    }
}

fn scatters(ledger: &Ledger) -> String {
    let subjects = [
        (Subject { id: "macs", one: "MAC", more: "MACs" }, (|layer| layer.macs) as fn(&LayerCost) -> u64),
        (Subject { id: "parameters", one: "parameter", more: "parameters" }, |layer| layer.parameters),
    ];
    let charts = subjects.map(|(subject, of)| {
        let points: Vec<Point> = ledger
            .layers
            .iter()
            .map(|layer| Point {
                index: layer.index,
                kind: layer.kind.clone(),
                count: of(layer),
                ms: layer.prove.median_ms,
            })
            .collect();
        format!(
            "<figure>\n<figcaption>Time and {}</figcaption>\n{}</figure>\n",
            subject.more,
            scatter::scatter(&points, &subject)
        )
    });
    format!(
        "<p>Every layer is a point with its number. Both axes are logarithmic: a step is ten times as much. Along a \
         dashed line, every MAC or parameter costs the same: the time that the line is marked with. MACs are \
         multiply-accumulates. Where points crowd, some have no label; the table below has them all.</p>\n\
         <div class=\"charts\">\n{}</div>\n",
        charts.concat()
    )
}

fn prover_phases(ledger: &Ledger, phases: &[&str]) -> String {
    let whole = ledger.prove.median_ms;
    let mut rows: Vec<Row> = phases
        .iter()
        .enumerate()
        .map(|(i, phase)| {
            let (name, total) = (escape(phase), layers::phase_total(ledger, phase));
            Row {
                value: bars::time_and_share(total, whole),
                segments: vec![Segment {
                    class: colour(i),
                    length: total,
                    title: format!("{name}: {}", time(total)),
                }],
                number: None,
                note: String::new(),
                extent: None,
                name,
            }
        })
        .collect();
    rows.extend(ledger.shared.iter().map(|part| Row::of_part(part, "rest", whole, ledger.runs)));
    let of_layers: f64 = ledger.layers.iter().map(|layer| positive(layer.prove.median_ms)).sum();
    let of_shared: f64 = ledger.shared.iter().map(|part| positive(part.time.median_ms)).sum();
    format!(
        "<p>{} for the layers and {} that belongs to none of them, such as the randomness that hides the values. \
         Coloured bars are all layers together; grey ones are such shared parts.</p>\n{}",
        time(of_layers),
        time(of_shared),
        bars::bars(&rows)
    )
}

fn verifier_phases(ledger: &Ledger) -> String {
    let row = |part: &Part| Row::of_part(part, "plain", ledger.verify.median_ms, ledger.runs);
    format!(
        "<p>{} in all, with the key loaded.{}</p>\n{}",
        time(ledger.verify.median_ms),
        extent_note(ledger.runs),
        bars::bars(&ledger.verify_phases.iter().map(row).collect::<Vec<_>>())
    )
}

fn proof_parts(ledger: &Ledger) -> String {
    let row = |part: &Bytes| {
        let (name, size) = (escape(&part.name), bytes(part.bytes as u64));
        let share = match ledger.proof_bytes {
            0 => String::new(),
            whole => format!(" <small>{}</small>", percent(part.bytes as f64 / whole as f64)),
        };
        Row {
            value: format!("{size}{share}"),
            segments: vec![Segment {
                class: "plain".into(),
                length: part.bytes as f64,
                title: format!("{name}: {}", counted(part.bytes as u64, "byte", "bytes")),
            }],
            number: None,
            note: String::new(),
            extent: None,
            name,
        }
    };
    format!(
        "<p>{} in all.</p>\n{}",
        counted(ledger.proof_bytes as u64, "byte", "bytes"),
        bars::bars(&ledger.proof_parts.iter().map(row).collect::<Vec<_>>())
    )
}

fn all_layers(ledger: &Ledger, phases: &[&str]) -> String {
    format!(
        "<p>Times are the prover's: the median of {}, then the least and the greatest. Committed values are those \
         that every proof commits to anew; the weights are committed once, in the key. A look-up shows that a value \
         lies in a table, such as that of a rounding or of an activation. The last columns are the layer's time by \
         phase. <span class=\"screen\">The table scrolls sideways.</span></p>\n{}",
        counted(ledger.runs as u64, "proof", "proofs"),
        layers::table(ledger, phases)
    )
}

fn measurement(ledger: &Ledger) -> String {
    let machine = &ledger.machine;
    let known = |size: Option<u64>| size.map_or(NONE.into(), bytes);
    let native = match ledger.runs {
        0 | 1 => time(ledger.native.median_ms),
        _ => format!(
            "{} ({} to {})",
            time(ledger.native.median_ms),
            time(ledger.native.min_ms),
            time(ledger.native.max_ms)
        ),
    };
    let facts = [
        ("Input", escape(&ledger.input)),
        ("Processor", escape(&machine.processor)),
        (
            "Cores",
            format!(
                "{} logical, {} used",
                count(machine.cores as u64),
                counted(machine.threads as u64, "thread", "threads")
            ),
        ),
        ("Memory", known(machine.memory_bytes)),
        ("System", escape(&machine.system)),
        ("Kernels", escape(&machine.backend)),
        ("Greatest memory used", known(ledger.peak_memory_bytes)),
        ("Private key", bytes(ledger.proving_key_bytes as u64)),
        ("Public key", bytes(ledger.verifying_key_bytes as u64)),
        ("Model on integers alone", native),
        ("Date", format!("{} (UTC)", escape(&ledger.date))),
    ];
    let facts: String =
        facts.iter().map(|(name, value)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n")).collect();
    format!("<dl>\n{facts}</dl>\n")
}
