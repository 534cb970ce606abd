//! Text of a report: escaped strings, and numbers with their units.

/// Escapes a string for text and for quoted attributes. A model's author chooses its names, so control characters and
/// those that reorder the text around them are replaced too.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                escaped.push(char::REPLACEMENT_CHARACTER);
            }
            '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            c if c.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Between a number and its unit, which are never on two lines.
const SPACE: char = '\u{a0}';

/// What stands for a number that there is none of.
pub(super) const NONE: &str = "–";

/// The value where it can be drawn, else 0.
pub(super) fn positive(value: f64) -> f64 {
    if value.is_finite() && value > 0.0 { value } else { 0.0 }
}

/// Three significant digits and no exponent, for values of at least 1; two decimals for smaller ones.
fn digits(value: f64) -> String {
    if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// `value` in the greatest of the ascending `units` in which it is at least 1 after rounding.
fn in_unit(value: f64, units: &[(f64, &str)]) -> String {
    let fits = |&&(size, _): &&(f64, &str)| value >= 0.9995 * size;
    let (size, unit) = units.iter().rev().find(fits).unwrap_or(&units[0]);
    format!("{}{SPACE}{unit}", digits(value / size))
}

/// Milliseconds in a unit for people.
pub(super) fn time(ms: f64) -> String {
    const UNITS: [(f64, &str); 6] =
        [(1e-9, "ps"), (1e-6, "ns"), (1e-3, "µs"), (1.0, "ms"), (1e3, "s"), (6e4, "min")];
    match ms {
        0.0 => format!("0{SPACE}ms"),
        ms if !ms.is_finite() || ms < 0.0 => NONE.into(),
        // Seconds are still easy to read well beyond one minute.
        ms if (59_500.0..6e5).contains(&ms) => format!("{:.0}{SPACE}s", ms / 1e3),
        // Nothing that was measured.
        ms if ms >= 1e12 => format!("{ms:.1e}{SPACE}ms"),
        ms => in_unit(ms, &UNITS),
    }
}

/// Nanoseconds in a unit for people.
pub(super) fn nanoseconds(ns: Option<f64>) -> String {
    ns.map_or(NONE.into(), |ns| time(ns / 1e6))
}

/// Bytes in a decimal unit.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count}{SPACE}B"),
        _ => in_unit(count as f64, &[(1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB")]),
    }
}

/// A number with separators.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// A count and its noun.
pub(super) fn counted(n: u64, one: &str, more: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { more })
}

/// A power of ten, as on an axis.
pub(super) fn power(exponent: i32) -> String {
    match exponent {
        0..=2 => 10u32.pow(exponent as u32).to_string(),
        3..=14 => {
            let unit = ["k", "M", "G", "T"][exponent as usize / 3 - 1];
            format!("{}{unit}", 10u32.pow(exponent as u32 % 3))
        }
        _ => format!("1e{exponent}"),
    }
}

/// A power of ten of milliseconds, as on an axis.
pub(super) fn power_of_time(exponent: i32) -> String {
    match exponent {
        -9..-6 => format!("{} ps", power(exponent + 9)),
        -6..-3 => format!("{} ns", power(exponent + 6)),
        -3..0 => format!("{} µs", power(exponent + 3)),
        0..3 => format!("{} ms", power(exponent)),
        3..9 => format!("{} s", count(10u64.pow(exponent as u32 - 3))),
        _ => format!("1e{exponent} ms"),
    }
}

/// A part of a whole: 0 to 1 as 0 to 100 %.
pub(super) fn percent(part: f64) -> String {
    match 100.0 * part {
        p if !p.is_finite() => NONE.into(),
        p if p > 0.0 && p < 0.05 => format!("&lt;0.1{SPACE}%"),
        p => format!("{:.1}{SPACE}%", p.max(0.0)),
    }
}

/// An accuracy.
pub(super) fn accuracy(part: f64) -> String {
    if part.is_finite() { format!("{:.2}{SPACE}%", 100.0 * part) } else { NONE.into() }
}

/// A number without a unit, with three significant digits.
pub(super) fn number(value: f64) -> String {
    match value {
        v if !v.is_finite() => NONE.into(),
        v if (1e-4..1e6).contains(&v) => {
            let decimals = (2 - v.log10().floor() as i32).max(0) as usize;
            format!("{v:.decimals$}")
        }
        v => format!("{v:.2e}"),
    }
}

/// A ratio.
pub(super) fn factor(ratio: f64) -> Option<String> {
    match ratio {
        r if !r.is_finite() || r <= 0.0 => None,
        r if r < 99.95 => Some(format!("{}×", digits(r))),
        r if r < 1e15 => {
            let unit = 10f64.powi((r.log10().floor() as i32 - 2).max(0));
            Some(format!("{}×", count(((r / unit).round() * unit) as u64)))
        }
        r => Some(format!("{r:.1e}×")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: String) -> String {
        text.replace(SPACE, " ")
    }

    #[test]
    fn escaped_text_has_no_markup_and_no_invisible_control() {
        assert_eq!(
            escape("<script>alert('x')</script>&\"\n"),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot; "
        );
        assert_eq!(escape("a\0b\u{1b}[31m\u{202e}c\u{ffff}"), "a\u{fffd}b\u{fffd}[31m\u{fffd}c\u{fffd}");
        assert_eq!(escape("größe 模型"), "größe 模型");
    }

    #[test]
    fn times_have_three_digits_and_a_unit() {
        for (ms, text) in [
            (0.0, "0 ms"),
            (3.5e-7, "350 ps"),
            (1.234e-6, "1.23 ns"),
            (4.56e-3, "4.56 µs"),
            (0.04567, "45.7 µs"),
            (0.99996, "1.00 ms"),
            (0.999, "999 µs"),
            (9.996, "10.0 ms"),
            (12.34, "12.3 ms"),
            (999.4, "999 ms"),
            (999.9, "1.00 s"),
            (1234.5, "1.23 s"),
            (59_990.0, "60 s"),
            (123_400.0, "123 s"),
            (6e5, "10.0 min"),
            (f64::MAX, "1.8e308 ms"),
            (f64::NAN, "–"),
            (f64::INFINITY, "–"),
            (-1.0, "–"),
        ] {
            assert_eq!(plain(time(ms)), text, "{ms}");
        }
        assert_eq!(plain(nanoseconds(Some(1234.0))), "1.23 µs");
        assert_eq!(plain(nanoseconds(None)), "–");
    }

    #[test]
    fn sizes_counts_and_ratios_have_sensible_digits() {
        assert_eq!(plain(bytes(999)), "999 B");
        assert_eq!(plain(bytes(21_612)), "21.6 kB");
        assert_eq!(plain(bytes(999_999)), "1.00 MB");
        assert_eq!(plain(bytes(u64::MAX)), "18446744 TB");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "layer", "layers"), "1 layer");
        assert_eq!(counted(0, "layer", "layers"), "0 layers");
        assert_eq!(plain(percent(0.1234)), "12.3 %");
        assert_eq!(plain(percent(0.0001)), "&lt;0.1 %");
        assert_eq!(plain(percent(0.0)), "0.0 %");
        assert_eq!(plain(percent(f64::NAN)), "–");
        for (value, text) in [(0.0712, "0.0712"), (1.234, "1.23"), (98765.4, "98765"), (1e-7, "1.00e-7")] {
            assert_eq!(number(value), text);
        }
        assert_eq!(number(f64::NAN), "–");
        assert_eq!(factor(1.5).as_deref(), Some("1.50×"));
        assert_eq!(factor(2463.7).as_deref(), Some("2,460×"));
        assert_eq!(factor(999.6).as_deref(), Some("1,000×"));
        assert_eq!(factor(f64::INFINITY), None);
        assert_eq!(factor(0.0), None);
    }

    #[test]
    fn powers_of_ten_are_short() {
        let powers: Vec<String> = (0..7).map(power).collect();
        assert_eq!(powers, ["1", "10", "100", "1k", "10k", "100k", "1M"]);
        let times: Vec<String> = (-8..5).map(power_of_time).collect();
        assert_eq!(
            times,
            [
                "10 ps", "100 ps", "1 ns", "10 ns", "100 ns", "1 µs", "10 µs", "100 µs", "1 ms", "10 ms",
                "100 ms", "1 s", "10 s"
            ]
        );
    }
}
