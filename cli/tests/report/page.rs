//! What a page says.

use crate::example::{PHASES, degenerate, lenet, named};
use crate::xml::{Element, parse};
use provenn::ledger::Ledger;
use provenn::report::html;

/// The page, with plain spaces before units.
fn page(ledger: &Ledger) -> Element {
    parse(&html(ledger).replace('\u{a0}', " ")).unwrap()
}

/// The numbers of a drawing's attribute: of pixels or of percent.
fn is_drawable(name: &str, value: &str) -> bool {
    let number = value.strip_suffix('%').unwrap_or(value).parse::<f64>();
    number.is_ok_and(|number| {
        let is_length = ["width", "height", "r"].contains(&name);
        let is_percent = value.ends_with('%');
        number.is_finite()
            && (!is_length || number >= 0.0)
            && (!is_percent || (0.0..=100.001).contains(&number))
            && number.abs() < 1000.0
    })
}

/// No number that is none, in text or in a drawing.
fn check(page: &Element, what: &str) {
    for word in page.text.split(|c: char| !c.is_alphanumeric()) {
        assert!(!["NaN", "nan", "inf", "Infinity", "None", "Some"].contains(&word), "{what}: {word}");
    }
    const GEOMETRY: [&str; 13] =
        ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "dx", "dy", "width", "height"];
    for svg in page.find("svg", "") {
        for element in svg.all() {
            for (name, value) in element.attributes.iter().filter(|(name, _)| GEOMETRY.contains(&&**name)) {
                assert!(is_drawable(name, value), "{what}: {} {name}=\"{value}\"", element.name);
            }
        }
    }
}

#[test]
fn degenerate_ledgers_give_whole_pages() {
    check(&page(&lenet()), "a LeNet-5");
    for (what, ledger) in degenerate() {
        let page = parse(&html(&ledger)).unwrap_or_else(|error| panic!("{what}: {error}"));
        check(&page, what);
        assert_eq!(page.find("tbody", "")[0].children.len(), ledger.layers.len(), "{what}");
    }
}

#[test]
fn numbers_that_cannot_be_drawn_are_noticed() {
    for value in ["NaN", "inf", "-1", "100.1%", "-0.5%", "1e9", "NaN%", ""] {
        assert!(!is_drawable("width", value), "{value}");
    }
    assert!(is_drawable("x", "-46") && is_drawable("width", "100%") && is_drawable("cx", "12.345%"));
}

#[test]
fn hostile_names_stay_text() {
    const PLAIN: &str = "the tags of a page with a plain name";
    // How many labels fit into a chart depends on the name's length.
    let of_labels = |name: &str| ["svg", "text", "tspan", "line"].contains(&name);
    let tags = |name: &str| -> Vec<String> {
        let page = page(&named(name));
        page.all().iter().map(|element| element.name.clone()).filter(|name| !of_labels(name)).collect()
    };
    let expected = tags(PLAIN);
    for name in [
        "<script>alert(1)</script>",
        "\"><script>alert(1)</script>",
        "' onload='alert(1)",
        "</title></style></svg><img src=x onerror=alert(1)>",
        "]]><!-- &amp; &#0; &bogus; --!>",
        "}</style><style>*{display:none",
        "a\0b\u{7}\u{1b}[2J\r\n\u{202e}evil\u{ffff}",
        "",
        "🦀🦀 é 模型",
    ] {
        let page = html(&named(name));
        assert!(!page.contains("<script") && !page.contains("<img"), "{name}");
        assert_eq!(tags(name), expected, "{name}");
        for element in parse(&page).unwrap().all() {
            assert!(!element.attributes.iter().any(|(key, _)| key.starts_with("on")), "{name}");
        }
    }
    let hostile = page(&named("<script>alert(1)</script>"));
    assert_eq!(hostile.find("h1", "")[0].text, "What a proof of <script>alert(1)</script> costs");
    assert_eq!(hostile.find("pre", "")[0].text, "<script>alert(1)</script>");
}

#[test]
fn every_layer_is_in_the_table_and_in_each_chart() {
    let ledger = lenet();
    let page = page(&ledger);
    let rows = &page.find("tbody", "")[0].children;
    let charts = page.find("svg", "scatter");
    let names = page.find("ol", "bars")[0].find("span", "name");
    assert_eq!((rows.len(), charts.len(), names.len()), (12, 2, 12));
    for (i, layer) in ledger.layers.iter().enumerate() {
        let name = format!("{i} {}", layer.kind);
        assert_eq!(rows[i].children[0].text, name);
        assert_eq!(Some(&rows[i].children[1].text), layer.name.as_ref());
        assert!(names[i].text.starts_with(&name), "{}", names[i].text);
        for chart in &charts {
            let circles = chart.find("circle", "");
            assert_eq!(circles.len(), 12);
            assert!(circles[i].text.starts_with(&format!("{name}: ")), "{}", circles[i].text);
        }
    }
    for chart in charts {
        let labels = chart.find("svg", "label");
        let mut labels: Vec<&str> = labels.iter().filter_map(|label| label.text.split(' ').next()).collect();
        labels.sort_by_key(|label| label.parse::<usize>().unwrap());
        assert_eq!(labels, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]);
    }
}

#[test]
fn a_layers_bar_is_as_long_as_its_time() {
    for (what, ledger) in [("a LeNet-5", lenet()), degenerate().swap_remove(9)] {
        let page = page(&ledger);
        let widths: Vec<f64> = page.find("ol", "bars")[0]
            .find("svg", "bar")
            .iter()
            .map(|bar| {
                let rects = bar.find("rect", "");
                rects.iter().map(|rect| number(rect.attribute("width"))).sum::<f64>()
            })
            .collect();
        let longest = ledger.layers.iter().map(|layer| layer.prove.max_ms).fold(0.0, f64::max);
        for (layer, width) in ledger.layers.iter().zip(widths) {
            let expected = 100.0 * layer.prove.median_ms / longest;
            assert!((width - expected).abs() < 0.02, "{what}, {}: {width}, not {expected}", layer.index);
        }
    }
}

fn number(percent: Option<&str>) -> f64 {
    percent.unwrap().strip_suffix('%').unwrap().parse().unwrap()
}

#[test]
fn points_are_at_their_places_on_logarithmic_axes() {
    let page = page(&lenet());
    let circles = page.find("svg", "scatter")[0].find("circle", "");
    let x = |i: usize| number(circles[i].attribute("cx"));
    // Layers without MACs are in a strip of their own at the left.
    for i in [1, 2, 4, 5, 6, 8, 10] {
        assert!(x(i) == x(1) && x(i) < x(11), "{i}");
    }
    let y = |i: usize| circles[i].attribute("cy").unwrap().parse::<f64>().unwrap();
    let ledger = lenet();
    // Equal ratios are equal distances.
    let log_macs = |i: usize| (ledger.layers[i].macs as f64).ln();
    let log_ms = |i: usize| ledger.layers[i].prove.median_ms.ln();
    let ratio = |f: &dyn Fn(usize) -> f64| (f(0) - f(9)) / (f(3) - f(11));
    assert!((ratio(&x) - ratio(&log_macs)).abs() < 1e-3);
    assert!((ratio(&y) - ratio(&log_ms)).abs() < 1e-2);
    assert!(y(0) < y(3), "more time is higher up");
}

#[test]
fn the_headlines_are_there_with_units() {
    let page = page(&lenet());
    let cards: Vec<String> = page
        .find("div", "card")
        .iter()
        .map(|card| card.children.iter().map(|child| child.text.as_str()).collect::<Vec<_>>().join(" | "))
        .collect();
    assert_eq!(
        cards,
        [
            "Accuracy | 98.87 % | floating-point model 98.91 % | same class on 99.74 % | \
             greatest error of an output 0.0712 | of 10,000 samples",
            "Prove | 67.7 ms | 63.6 ms to 73.8 ms | median of 10 runs",
            "Verify | 5.40 ms | 5.08 ms to 5.89 ms | median of 10 runs",
            "Proof | 18.8 kB | 18,756 bytes | public key 31.9 kB",
            "Overhead | 318× | of 213 µs for the model on integers alone",
        ]
    );
    assert_eq!(page.find("pre", "")[0].text, lenet().command);
    for text in
        ["five.json", "AMD EPYC", "8 threads", "33.3 GB", "AVX-512 IFMA", "94.4 MB", "287 kB", "2025-03-14"]
    {
        assert!(page.text.contains(text), "{text}");
    }
    for name in PHASES.iter().chain(&["masks", "encoding", "equation", "look-up rounds"]) {
        assert!(page.find("span", "name").iter().any(|span| span.text.starts_with(name)), "{name}");
    }
}

#[test]
fn charts_have_names_for_those_who_cannot_see_them() {
    let page = page(&lenet());
    let ids: Vec<&str> = page.all().iter().filter_map(|element| element.attribute("id")).collect();
    assert_eq!(ids.len(), ids.iter().collect::<std::collections::HashSet<_>>().len(), "each once");
    for class in ["bar", "scatter"] {
        for svg in page.find("svg", class) {
            assert_eq!(svg.attribute("role"), Some("img"));
            let named = match svg.attribute("aria-labelledby") {
                Some(named) => named.split(' ').all(|id| ids.contains(&id)),
                None => svg.attribute("aria-label").is_some_and(|label| !label.is_empty()),
            };
            assert!(named, "{svg:?}");
        }
    }
}

#[test]
fn a_page_needs_nothing_but_itself() {
    let text = html(&lenet());
    for foreign in ["http:", "https:", "@import", "url(", "//"] {
        assert!(!text.contains(foreign), "{foreign}");
    }
    let page = parse(&text).unwrap();
    for element in page.all() {
        assert!(!["script", "link", "img", "iframe", "object", "use", "image"].contains(&&*element.name));
        for (name, _) in &element.attributes {
            assert!(!["src", "href", "style"].contains(&&**name), "{}: {name}", element.name);
        }
    }
}
