//! `provenn bench`: the ledger.

use crate::common::{INPUT_LEN, Place, digits};
use serde_json::Value;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number, not {value}"))
}

fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("an array, not {value}"))
}

/// The middle of a spread, which lies between its ends.
fn middle(spread: &Value) -> f64 {
    let [min, middle, max] = ["min_ms", "median_ms", "max_ms"].map(|name| number(&spread[name]));
    // The middle of parts is found by bisection.
    assert!(0.0 <= min && min <= middle * (1.0 + 1e-9) && middle <= max * (1.0 + 1e-9), "{spread}");
    middle
}

#[track_caller]
fn adds_up(parts: impl Iterator<Item = f64>, whole: f64) {
    let sum: f64 = parts.sum();
    assert!((sum - whole).abs() <= 0.02 * whole, "{sum} of {whole}");
}

fn check(ledger: &Value, runs: u64) {
    let prove = middle(&ledger["prove"]);
    let (layers, shared) = (array(&ledger["layers"]), array(&ledger["shared"]));
    let rows = layers.iter().map(|layer| middle(&layer["prove"]));
    adds_up(rows.chain(shared.iter().map(|part| middle(&part["time"]))), prove);
    adds_up(
        array(&ledger["verify_phases"]).iter().map(|part| middle(&part["time"])),
        middle(&ledger["verify"]),
    );
    for layer in layers {
        let time = middle(&layer["prove"]);
        adds_up(array(&layer["phases"]).iter().map(|part| middle(&part["time"])), time);
        adds_up([number(&layer["share"]) * prove].into_iter(), time);
        adds_up([number(&layer["ns_per_mac"]) * number(&layer["macs"])].into_iter(), time * 1e6);
        adds_up([number(&layer["ns_per_parameter"]) * number(&layer["parameters"])].into_iter(), time * 1e6);
    }
    let bytes: u64 = array(&ledger["proof_parts"]).iter().map(|part| part["bytes"].as_u64().unwrap()).sum();
    assert_eq!((Some(bytes), ledger["runs"].as_u64()), (ledger["proof_bytes"].as_u64(), Some(runs)));
    adds_up([prove / middle(&ledger["native"])].into_iter(), number(&ledger["overhead"]));
}

#[test]
fn rows_and_shared_parts_add_up_to_a_proof() {
    let place = Place::new();
    let before = place.files();
    for runs in [1, 2, 5] {
        let ledger =
            place.provenn(&format!("bench digits.pk --input input.json --runs {runs} --json")).good().json();
        check(&ledger, runs);
        let layers = array(&ledger["layers"]);
        let exact = |name: &str| layers.iter().map(|layer| layer[name].as_u64().unwrap()).collect::<Vec<_>>();
        assert_eq!((exact("index"), exact("macs")), (vec![0, 1], vec![64 * 32, 32 * 10]));
        assert_eq!(exact("parameters"), [65 * 32, 33 * 10]);
        // The last layer's accumulators are the public output: it commits to nothing and looks nothing up.
        assert_eq!((exact("committed")[1], exact("lookups")[1]), (0, 0));
        assert!(exact("committed")[0] >= 64 && exact("lookups")[0] >= 64);
        let text = |name: &str| layers.iter().map(|layer| layer[name].as_str().unwrap()).collect::<Vec<_>>();
        assert_eq!((text("kind"), text("name")), (vec!["Gemm", "Gemm"], vec!["fc1", "fc2"]));
        assert_eq!(layers[0]["output_shape"], serde_json::json!([1, 32]));
        for layer in layers {
            assert!(middle(&layer["prove"]) > 0.0);
        }
        assert_eq!(ledger["proof_bytes"].as_u64(), Some(digits().proof.len() as u64));
        assert_eq!(ledger["proving_key_bytes"].as_u64(), Some(digits().pk.len() as u64));
        assert_eq!(ledger["verifying_key_bytes"].as_u64(), Some(digits().vk.len() as u64));
        assert_eq!(ledger["peak_memory_bytes"].is_u64(), cfg!(target_os = "linux"));
        assert_eq!(
            (ledger["model"].as_str(), ledger["input"].as_str()),
            (Some("digits"), Some("input.json"))
        );
        let command = format!("provenn bench digits.pk --input input.json --runs {runs} --json");
        assert_eq!(ledger["command"].as_str(), Some(&command[..]));
        assert_eq!(
            (ledger["accuracy"]["samples"].as_u64(), ledger["date"].as_str().unwrap().len()),
            (Some(200), 10)
        );
        assert!(number(&ledger["accuracy"]["integer"]) >= 0.99);
    }
    assert_eq!(place.files(), before, "nothing is written");
}

#[test]
fn a_table_for_people() {
    let place = Place::new();
    let said = place.provenn("bench digits.pk --runs 2 --threads 1").good();
    let starts =
        ["model ", "input       random entries", "machine ", "0  fc1 ", "1  fc2 ", "no layer's ", "masks "];
    let rest = [
        "halo2 proof ",
        "prove, all ",
        "verification ",
        "verify, all ",
        "proof ",
        "keys ",
        "fidelity ",
        "native ",
    ];
    for start in starts.into_iter().chain(rest) {
        assert!(said.out.lines().any(|line| line.starts_with(start)), "{start}: {}", said.out);
    }
    assert!(
        said.out.contains("runs        2 after one to warm up") && said.out.contains("threads: 1,"),
        "{}",
        said.out
    );
    let again = place.provenn("bench digits.pk --runs 1 --input test.npz --index 3 --json").good().json();
    assert_eq!(again["input"].as_str(), Some("test.npz, sample 3"));
}

#[test]
fn the_table_as_comma_separated_values() {
    let place = Place::new();
    place.provenn("bench digits.pk --runs 2 --csv costs.csv").good();
    let text = String::from_utf8(place.get("costs.csv")).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{text}");
    let column = |name: &str| rows[0].iter().position(|head| *head == name).unwrap();
    let of = |section: &'static str| rows.iter().filter(move |row| row[0] == section);
    let median = |row: &Vec<&str>| row[column("median_ms")].parse::<f64>().unwrap();
    let total = |name: &str| of("total").find(|row| row[column("name")] == name).map(median).unwrap();
    adds_up(of("layer").chain(of("shared")).map(median), total("prove"));
    adds_up(of("verify").map(median), total("verify"));
    assert_eq!(of("layer").map(|row| row[column("macs")]).collect::<Vec<_>>(), ["2048", "320"]);
    assert_eq!(of("layer").map(|row| row[column("output_shape")]).collect::<Vec<_>>(), ["1x32", "1x10"]);
    assert!(total("native") > 0.0);

    place.refused("bench digits.pk --runs 1 --csv costs.csv", "costs.csv: exists already");
    assert_eq!(place.get("costs.csv"), text.as_bytes());
    place.provenn("bench digits.pk --runs 1 --csv costs.csv --force").good();
    assert_ne!(place.get("costs.csv"), text.as_bytes());
}

#[test]
fn the_report_as_a_page() {
    let place = Place::new();
    place.provenn("bench digits.pk --runs 1 --html report.html --csv costs.csv").good();
    let page = String::from_utf8(place.get("report.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"), "{page}");
    // What was measured and how are there, layers by name among it.
    let command = "provenn bench digits.pk --runs 1 --html report.html --csv costs.csv";
    for text in ["digits", "random entries", command, "fc1", "fc2", "halo2 proof"] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!place.get("costs.csv").is_empty());

    std::fs::remove_file(place.path("costs.csv")).unwrap();
    let both = "bench digits.pk --runs 1 --csv costs.csv --html report.html";
    place.refused(both, "report.html: exists already");
    assert_eq!(place.get("report.html"), page.as_bytes());
    place.provenn(&format!("{both} --force")).good();
    assert_ne!(place.get("report.html"), page.as_bytes());
}

#[test]
fn bad_input_is_refused_before_anything_is_measured() {
    let place = Place::new();
    place.refused("bench digits.pk --runs 0", "invalid value '0' for '--runs <N>'");
    place.refused("bench digits.pk --runs many", "--runs");
    place.refused("bench none.pk", "none.pk: no such file");
    place.refused("bench digits.vk", "this is a verifying key, expected a proving key");
    place.refused("bench digits.pk --input none.json", "none.json: no such file");
    place.refused("bench digits.pk --input digits.onnx", "digits.onnx");
    place.refused("bench digits.pk --input samples.npz", "holds 200 samples");
    place.refused("bench digits.pk --input input.json --index 1", "has no sample 1");
    place.refused("bench digits.pk --index 1", "--input");
    place.put("short.json", format!("{:?}", vec![0.5; INPUT_LEN - 1]));
    place.refused("bench digits.pk --input short.json", "short.json");
    place.put("text.json", "not numbers");
    place.refused("bench digits.pk --input text.json", "text.json");
    place.refused("bench digits.pk --csv none/costs.csv", "none/costs.csv: cannot be written");
    place.refused("bench digits.pk --html none/report.html", "none/report.html: cannot be written");
    place.refused("bench digits.pk --html a --csv ./a", "a: would be written twice");
    place.refused("bench digits.pk --csv ./digits.pk --force", "digits.pk: would be written and read");
    place.refused("bench digits.pk --input input.json --csv input.json --force", "written and read");
    place.refused("bench digits.pk --csv .", "not a name for a file");
    std::fs::create_dir(place.path("folder")).unwrap();
    place.refused("bench digits.pk --csv folder", "folder: this is a directory");
    // Nothing is left of a file that was to be written.
    place.refused("bench digits.pk --csv costs.csv --input short.json", "short.json");

    // The version follows magic and kind.
    let mut pk = place.get("digits.pk");
    pk[12] ^= 1;
    place.put("other.pk", &pk);
    place.refused("bench other.pk", "version");
    assert!(place.provenn("bench other.pk").err.contains("use the version of provenn that wrote the file"));
}
