//! The colours of a page can be read, and told apart by people with any of the three kinds of dichromacy.

use crate::example::lenet;
use provenn::report::html;

type Rgb = [f64; 3];

/// The custom properties of each scheme: those of light, and light's with dark's in place.
fn schemes() -> [Vec<(String, Rgb)>; 2] {
    let page = html(&lenet());
    let mut blocks = page.split(":root {").skip(1).map(|block| block.split('}').next().unwrap());
    let (light, dark) = (colours(blocks.next().unwrap()), colours(blocks.next().unwrap()));
    assert_eq!(names(&light), names(&dark));
    [light, dark]
}

fn names(colours: &[(String, Rgb)]) -> Vec<&str> {
    colours.iter().map(|(name, _)| name.as_str()).collect()
}

fn colours(block: &str) -> Vec<(String, Rgb)> {
    let declarations = block.split(';').filter_map(|line| line.trim().strip_prefix("--")?.split_once(": #"));
    declarations.map(|(name, hex)| (name.into(), linear(hex))).collect()
}

fn colour(colours: &[(String, Rgb)], name: &str) -> Rgb {
    colours.iter().find(|(own, _)| own == name).unwrap().1
}

/// Linear light of sRGB (IEC 61966-2-1).
fn linear(hex: &str) -> Rgb {
    std::array::from_fn(|i| {
        let c = f64::from(u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()) / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    })
}

fn apply(matrix: [[f64; 3]; 3], c: Rgb) -> Rgb {
    matrix.map(|row| row.iter().zip(c).map(|(a, b)| a * b).sum())
}

/// Contrast ratio (WCAG 2.2, section 1.4.3).
fn contrast(a: Rgb, b: Rgb) -> f64 {
    let luminance = |c: Rgb| 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2] + 0.05;
    let (a, b) = (luminance(a), luminance(b));
    a.max(b) / a.min(b)
}

/// What is seen without one kind of cones, on linear light (Machado, Oliveira, Fernandes 2009, severity 1), and by all
/// others.
const SIGHTS: [(&str, [[f64; 3]; 3]); 4] = [
    ("trichromat", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    (
        "protanope",
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    ),
    (
        "deuteranope",
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ),
    (
        "tritanope",
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ),
];

/// CIE 1976 L*a*b* under D65.
fn lab(c: Rgb) -> Rgb {
    let to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]];
    let xyz = apply(to_xyz, c.map(|v| v.clamp(0.0, 1.0)));
    let white = [0.9505, 1.0, 1.089];
    let [x, y, z] = std::array::from_fn(|i| {
        let t = xyz[i] / white[i];
        if t > 0.008856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 }
    });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

fn distance(a: Rgb, b: Rgb) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn text_and_charts_have_contrast() {
    for scheme in schemes() {
        for background in ["page", "card"].map(|name| colour(&scheme, name)) {
            for (name, least) in [("text", 7.0), ("muted", 4.5), ("accent", 4.5)] {
                let found = contrast(colour(&scheme, name), background);
                assert!(found >= least, "{name}: {found}");
            }
        }
        let card = colour(&scheme, "card");
        for (name, own) in scheme.iter() {
            if name.starts_with("phase") || ["plain", "rest", "other"].contains(&name.as_str()) {
                let found = contrast(*own, card);
                assert!(found >= 3.0, "{name}: {found}");
            }
        }
    }
}

#[test]
fn phases_can_be_told_apart() {
    for scheme in schemes() {
        let of_phases: Vec<&(String, Rgb)> =
            scheme.iter().filter(|(name, _)| name.starts_with("phase")).collect();
        assert_eq!(of_phases.len(), 6);
        for (sight, matrix) in SIGHTS {
            for (i, (a, of_a)) in of_phases.iter().enumerate() {
                for (b, of_b) in &of_phases[..i] {
                    let found = distance(lab(apply(matrix, *of_a)), lab(apply(matrix, *of_b)));
                    // A difference of 2.3 is just noticeable.
                    assert!(found > 14.0, "{a} and {b} of a {sight}: {found}");
                }
            }
        }
    }
}
