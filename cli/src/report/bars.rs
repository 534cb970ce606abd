//! Rows of horizontal bars: a name, a bar, a value.
//!
//! The words are HTML and each bar is an SVG whose lengths are percentages, so that bars stretch with the page while
//! text keeps its size.

use super::text::{escape, percent, positive, time};
use crate::ledger::{Part, Spread};

/// A coloured part of a bar.
pub(super) struct Segment {
    /// Class that gives the colour.
    pub(super) class: String,
    /// Its length, in the unit of the chart.
    pub(super) length: f64,
    /// What it stands for, escaped.
    pub(super) title: String,
}

/// One bar.
pub(super) struct Row {
    /// What stands before the name.
    pub(super) number: Option<usize>,
    /// Escaped name.
    pub(super) name: String,
    /// What is said after the name in smaller print, escaped, or nothing.
    pub(super) note: String,
    /// The value, with its unit.
    pub(super) value: String,
    /// From left to right.
    pub(super) segments: Vec<Segment>,
    /// Least and greatest value of several runs.
    pub(super) extent: Option<(f64, f64)>,
}

impl Row {
    /// A time that is one segment.
    pub(super) fn of_part(part: &Part, class: &str, whole: f64, runs: usize) -> Row {
        let name = escape(&part.name);
        Row {
            number: None,
            note: String::new(),
            value: time_and_share(part.time.median_ms, whole),
            segments: vec![Segment {
                class: class.into(),
                length: part.time.median_ms,
                title: format!("{name}: {}", time(part.time.median_ms)),
            }],
            extent: extent(&part.time, runs),
            name,
        }
    }

    fn end(&self) -> f64 {
        let length: f64 = self.segments.iter().map(|segment| positive(segment.length)).sum();
        length.max(self.extent.map_or(0.0, |(_, hi)| hi))
    }
}

/// A time, and its part of a whole if there is one.
pub(super) fn time_and_share(ms: f64, whole: f64) -> String {
    match positive(whole) {
        0.0 => time(ms),
        whole => format!("{} <small>{}</small>", time(ms), percent(ms / whole)),
    }
}

/// The extent of several runs.
pub(super) fn extent(spread: &Spread, runs: usize) -> Option<(f64, f64)> {
    let (lo, hi) = (positive(spread.min_ms), positive(spread.max_ms));
    (runs > 1 && lo < hi).then_some((lo, hi))
}

/// The rows, all on one scale that starts at 0 and ends at the longest.
pub(super) fn bars(rows: &[Row]) -> String {
    let end = rows.iter().map(Row::end).fold(0.0, f64::max);
    let items: String = rows.iter().map(|row| item(row, end)).collect();
    format!("<ol class=\"bars\">\n{items}</ol>\n")
}

fn item(row: &Row, end: f64) -> String {
    let Row { name, note, value, .. } = row;
    let number = row.number.map(|number| format!("<b>{number}</b> ")).unwrap_or_default();
    let note = if note.is_empty() { String::new() } else { format!(" <small>{note}</small>") };
    let titles: Vec<&str> = row.segments.iter().map(|segment| segment.title.as_str()).collect();
    let label = if titles.is_empty() { "nothing".into() } else { titles.join(", ") };
    format!(
        "<li><span class=\"name\">{number}{name}{note}</span><span class=\"value\">{value}</span>\
         <svg class=\"bar\" width=\"100%\" height=\"18\" role=\"img\" aria-label=\"{label}\">{}</svg></li>\n",
        drawing(row, end)
    )
}

fn drawing(row: &Row, end: f64) -> String {
    let place = |value: f64| if end > 0.0 { 100.0 * (value / end).min(1.0) } else { 0.0 };
    let mut drawing = String::from("<line class=\"base\" x1=\"0\" x2=\"0\" y1=\"0\" y2=\"18\"/>");
    let mut start = 0.0;
    for segment in &row.segments {
        let length = positive(segment.length);
        if length > 0.0 {
            drawing += &format!(
                "<rect class=\"{}\" x=\"{:.3}%\" y=\"2\" width=\"{:.3}%\" height=\"14\"><title>{}</title></rect>",
                segment.class,
                place(start),
                place(start + length) - place(start),
                segment.title
            );
        }
        start += length;
    }
    if let Some((lo, hi)) = row.extent {
        let (lo, hi) = (place(lo), place(hi));
        drawing += &format!(
            "<g class=\"extent\"><line x1=\"{lo:.3}%\" x2=\"{hi:.3}%\" y1=\"9\" y2=\"9\"/>\
             <line x1=\"{lo:.3}%\" x2=\"{lo:.3}%\" y1=\"6\" y2=\"12\"/>\
             <line x1=\"{hi:.3}%\" x2=\"{hi:.3}%\" y1=\"6\" y2=\"12\"/></g>"
        );
    }
    drawing
}
