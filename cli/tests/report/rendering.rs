//! How a browser shows a page.
//!
//! Set `PROVENN_PICTURES` to a folder to keep the pictures there, each as PNG in base 64.

use crate::browser::{Browser, Tab, find};
use crate::example::{degenerate, lenet, named};
use provenn::report::html;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use tempfile::TempDir;

const WIDTHS: [u32; 3] = [320, 800, 1400];
const SCHEMES: [&str; 2] = ["light", "dark"];

/// What is wrong with the page in the tab: a scroll bar below the page, things that stick out of it, text that is cut
/// or small, labels of a chart that cover one another.
const MEASURE: &str = r#"(() => {
    const root = document.documentElement, problems = [];
    if (root.scrollWidth > innerWidth) problems.push(`the page scrolls: ${root.scrollWidth} > ${innerWidth}`);
    const name = e => `${e.tagName}.${e.getAttribute('class')} "${e.textContent.slice(0, 40)}"`;
    for (const e of document.querySelectorAll('body *')) {
        const box = e.getBoundingClientRect(), scrolls = e.closest('.scroll');
        if (box.width === 0 || (scrolls && scrolls !== e)) continue;
        if (box.left < -0.5 || box.right > root.clientWidth + 0.5)
            problems.push(`sticks out, ${box.left} to ${box.right}: ${name(e)}`);
        if (e.children.length === 0 && e.textContent.trim() && e.tagName !== 'title' && e.tagName !== 'desc'
            && parseFloat(getComputedStyle(e).fontSize) < 11) problems.push(`small: ${name(e)}`);
    }
    const text = [...document.querySelectorAll('.scatter')].map(chart => [...chart.querySelectorAll('text')]);
    for (const labels of text) for (const a of labels) for (const b of labels) {
        if (a === b) break;
        const p = a.getBoundingClientRect(), q = b.getBoundingClientRect();
        const x = Math.min(p.right, q.right) - Math.max(p.left, q.left);
        const y = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
        if (x > 1 && y > 4) problems.push(`${name(a)} covers ${name(b)} by ${x} times ${y}`);
    }
    return problems;
})()"#;

/// Counts the colours of a picture, and tells the brightness of most of it, 0 to 255.
const LOOK: &str = r#"(async data => {
    const image = new Image();
    image.src = 'data:image/png;base64,' + data;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height), context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
    const counts = new Map();
    for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) || 0) + 1);
    const [most] = [...counts].reduce((a, b) => a[1] >= b[1] ? a : b);
    return { colours: counts.size, brightness: ((most & 255) + (most >> 8 & 255) + (most >> 16 & 255)) / 3 };
})"#;

/// A page's file and a browser, if there is one. There has to be where `CI` is set.
fn browser() -> Option<(Browser, TempDir)> {
    let Some(program) = find() else {
        assert!(std::env::var_os("CI").is_none(), "no Chromium on the path, and CHROMIUM is not set");
        // Unlike that of a macro, this is shown for a test that passes.
        let line = "NOT RUN: no Chromium on the path, and CHROMIUM is not set: pages were not rendered\n";
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return None;
    };
    Some((Browser::start(&program), tempfile::tempdir().unwrap()))
}

fn put(folder: &TempDir, text: &str) -> PathBuf {
    let file = folder.path().join("report.html");
    std::fs::write(&file, text).unwrap();
    file
}

/// The colours and the brightness of a picture.
fn look(browser: &mut Browser, picture: &str) -> Value {
    browser.tab().evaluate(&format!("{LOOK}('{picture}')"))
}

fn keep(name: &str, picture: &str) {
    if let Some(folder) = std::env::var_os("PROVENN_PICTURES") {
        std::fs::write(PathBuf::from(folder).join(format!("{name}.png.base64")), picture).unwrap();
    }
}

fn assert_in_order(tab: &mut Tab<'_>, what: &str) {
    assert_eq!(tab.evaluate(MEASURE), json!([]), "{what}");
    assert_eq!(tab.errors(), [""; 0], "{what}");
}

#[test]
fn a_page_fits_at_every_width_in_both_schemes() {
    let Some((mut browser, folder)) = browser() else { return };
    let file = put(&folder, &html(&lenet()));
    for width in WIDTHS {
        for scheme in SCHEMES {
            let what = format!("lenet-{width}-{scheme}");
            let mut tab = browser.tab();
            tab.show(width, scheme);
            tab.open(&file);
            assert_in_order(&mut tab, &what);
            assert_eq!(tab.evaluate("innerWidth"), width, "{what}");
            assert_eq!(tab.requests(&file), [""; 0], "{what}");
            let picture = tab.picture();
            keep(&what, &picture);
            let seen = look(&mut browser, &picture);
            assert!(seen["colours"].as_u64().unwrap() > 100, "{what} is blank: {seen}");
            let brightness = seen["brightness"].as_f64().unwrap();
            assert!(if scheme == "dark" { brightness < 60.0 } else { brightness > 200.0 }, "{what}: {seen}");
        }
    }
}

#[test]
fn degenerate_and_hostile_pages_fit_too() {
    let Some((mut browser, folder)) = browser() else { return };
    let long = "an-unbroken-name-that-goes-on".repeat(20);
    let hostile = [
        ("a long name", named(&long)),
        ("wide characters", named(&"模型".repeat(60))),
        ("markup", named("\"></title></style></svg><script>console.error(1)</script>")),
    ];
    for (what, ledger) in degenerate().into_iter().chain(hostile) {
        let file = put(&folder, &html(&ledger));
        let mut tab = browser.tab();
        for width in WIDTHS {
            tab.show(width, "light");
            tab.open(&file);
            assert_in_order(&mut tab, &format!("{what}, {width} wide"));
            keep(&format!("{what}-{width}"), &tab.picture());
        }
    }
}

#[test]
fn pages_that_are_not_in_order_are_noticed() {
    let Some((mut browser, folder)) = browser() else { return };
    let page = html(&lenet());
    let with = |addition: &str| page.replace("</main>", &format!("{addition}</main>"));
    let found = |text: &str, browser: &mut Browser| {
        let file = put(&folder, text);
        let mut tab = browser.tab();
        tab.show(800, "light");
        tab.open(&file);
        (tab.evaluate(MEASURE).to_string(), tab.errors().concat(), tab.requests(&file).len())
    };

    let wide = "<svg width=\"2000\" height=\"9\"></svg>";
    let (problems, errors, _) = found(&with(wide), &mut browser);
    assert!(problems.contains("the page scrolls") && problems.contains("sticks out"), "{problems}");
    assert_eq!(errors, "");
    let small = "<svg class=\"scatter\"><text font-size=\"1\" y=\"9\" style=\"font-size:9px\">a</text></svg>";
    assert!(found(&with(small), &mut browser).0.contains("small"));
    let twice = "<svg class=\"scatter\"><text y=\"20\">one</text><text y=\"22\">two</text></svg>";
    assert!(found(&with(twice), &mut browser).0.contains("covers"));

    // The page's own policy refuses to run a script, and says so.
    let script = "<script>console.error('a script ran')</script>";
    let (_, errors, _) = found(&with(script), &mut browser);
    assert!(errors.contains("Content Security Policy") && !errors.contains("a script ran"), "{errors}");
    let free = with(script).replace("http-equiv=\"Content-Security-Policy\"", "name=\"none\"");
    assert!(found(&free, &mut browser).1.contains("a script ran"));
    let throws = free.replace("console.error('a script ran')", "throw new Error('a script threw')");
    assert!(found(&throws, &mut browser).1.contains("a script threw"));
    let asks = free.replace(script, "<img src=\"missing.png\" alt=\"\">");
    let (_, errors, requests) = found(&asks, &mut browser);
    assert!(errors.contains("ERR_FILE_NOT_FOUND") && requests == 1, "{errors}");

    let mut tab = browser.tab();
    tab.show(800, "light");
    let blank = tab.picture();
    assert_eq!(look(&mut browser, &blank)["colours"], 1);
}
