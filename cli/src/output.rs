//! What commands print: text for people, or one JSON object.

use provenn::{LayerList, Shown, Values};
use provenn_circuits::model::Head;
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

/// What a command found.
pub(crate) struct Report {
    /// Lines for people.
    pub(crate) text: String,
    /// The same for machines.
    pub(crate) json: Value,
    pub(crate) verdict: Verdict,
}

/// Decides between the exit codes 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    Rejected,
}

impl Report {
    pub(crate) fn good(text: String, json: Value) -> Report {
        Report { text, json, verdict: Verdict::Good }
    }
}

/// Writes to stdout. A reader that has left, as of a pipe, is no error.
pub(crate) fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// On one line, with control characters escaped: names in a model file are its author's.
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().flat_map(escape).collect()
}

fn escape(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}

/// Lines of a name and a value.
#[derive(Default)]
pub(crate) struct Lines(String);

impl Lines {
    pub(crate) fn line(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        self.0 += format!("{name:<12}{}", one_line(&value.to_string())).trim_end();
        self.0.push('\n');
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.0 += text;
        self
    }

    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.0)
    }
}

/// Aligned columns, the first row being their heads.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    aligned(rows, usize::MAX)
}

/// [`table`] with the columns from number `right` on aligned to the right, as numbers are read.
pub(crate) fn aligned(rows: &[Vec<String>], right: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &[String], column: usize| row.get(column).map(|c| one_line(c)).unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let pad = |(column, &w): (usize, &usize)| match column < right {
            true => format!("{:<w$}", cell(row, column)),
            false => format!("{:>w$}", cell(row, column)),
        };
        let line: Vec<String> = widths.iter().enumerate().map(pad).collect();
        text += line.join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// Numbers on one line: all of a few, else the first and the extent.
pub(crate) fn summary(values: &[f64]) -> String {
    const FEW: usize = 10;
    let number = |v: &f64| format!("{v:.4}").trim_end_matches('0').trim_end_matches('.').to_string();
    let join = |values: &[f64]| values.iter().map(number).collect::<Vec<_>>().join(" ");
    if values.len() <= FEW {
        return join(values);
    }
    let lo = values.iter().copied().fold(f64::INFINITY, f64::min);
    let hi = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} ... ({} values, {} to {})", join(&values[..6]), values.len(), number(&lo), number(&hi))
}

/// Bytes in a unit for people.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} bytes"),
        10_000..10_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

/// A number with separators.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
    groups.join(",")
}

/// A duration in a unit for people.
pub(crate) fn duration(time: Duration) -> String {
    let ms = milliseconds(time);
    if ms < 1000.0 { format!("{ms:.1} ms") } else { format!("{:.2} s", ms / 1e3) }
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub(crate) fn head_name(head: Head) -> &'static str {
    match head {
        Head::None => "none",
        Head::Softmax => "softmax",
        Head::LogSoftmax => "log-softmax",
        Head::ArgMax => "arg-max",
    }
}

/// Adds the lines of a proved output and of what its head makes of it.
pub(crate) fn output_lines(lines: &mut Lines, layers: &LayerList, output: &Values) {
    lines.line("output", summary(&output.reals));
    let head = output.head(layers);
    let classes: Vec<f64> = head.classes.iter().map(|&class| class as f64).collect();
    match layers.head {
        Head::None if output.reals.len() > head.classes.len() => {
            lines.line("largest", format!("index {}", summary(&classes)));
        }
        Head::None => {}
        Head::ArgMax => {
            lines.line("arg-max", summary(&classes));
        }
        Head::Softmax | Head::LogSoftmax => {
            let name = head_name(layers.head);
            lines.line(name, format!("{}; largest: index {}", summary(&head.values), summary(&classes)));
        }
    }
}

/// The head's view of an output, for JSON: the index of the largest entry of each row, and the head's values.
pub(crate) fn head_json(layers: &LayerList, output: &Values) -> (Value, Value) {
    let head = output.head(layers);
    let argmax = match head.classes.as_slice() {
        [class] => json!(class),
        classes => json!(classes),
    };
    (argmax, json!({ "kind": head_name(layers.head), "values": head.values }))
}

/// The compressed points of a commitment, in hexadecimal.
pub(crate) fn commitment(shown: &Shown) -> Option<Vec<String>> {
    match shown {
        Shown::Committed { points, .. } => Some(
            points.iter().map(|point| point.iter().map(|byte| format!("{byte:02x}")).collect()).collect(),
        ),
        Shown::Public(_) => None,
    }
}

/// A commitment on one line.
pub(crate) fn commitment_summary(points: &[String]) -> String {
    let first = points.first().map(String::as_str).unwrap_or_default();
    match points.len() {
        0 | 1 => format!("committed to by {first}"),
        n => format!("committed to by {n} points, {first} ..."),
    }
}
