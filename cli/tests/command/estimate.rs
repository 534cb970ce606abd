//! What a model would cost, and jobs that memory does not suffice for.

use crate::common::Place;

#[test]
fn an_estimate_tells_what_commit_and_prove_then_do() {
    let place = Place::new();
    let before = place.files();
    let estimate = place.provenn("estimate digits.onnx --calibrate samples.npz --json").good().json();
    assert_eq!(place.files(), before, "nothing is written");
    assert_eq!(estimate["model"], "digits.onnx");
    assert_eq!(estimate["calibrated"], true);
    let commit = place.provenn("commit digits.onnx --calibrate samples.npz -o x --json").good().json();
    let prove = place.provenn("prove x.pk input.json -o x.proof --json").good().json();
    for (predicted, real) in [
        ("proving_key_bytes", &commit["pk_bytes"]),
        ("verifying_key_bytes", &commit["vk_bytes"]),
        ("parameters", &commit["parameters"]),
        ("macs", &commit["macs"]),
        ("proof_bytes", &prove["proof_bytes"]),
    ] {
        assert_eq!(&estimate[predicted], real, "{predicted}");
    }
    for positive in ["commit_ms", "quantize_ms", "prove_ms", "verify_ms", "estimate_ms"] {
        assert!(estimate[positive].as_f64().unwrap() > 0.0, "{positive}");
    }
    let units = estimate["units"].as_array().unwrap();
    assert!(units.iter().all(|unit| unit["ns"].as_f64().unwrap() >= 0.0));
}

#[test]
fn an_estimate_is_readable() {
    let place = Place::new();
    let said = place.provenn("estimate digits.onnx --calibrate samples.npz --threads 1").good();
    let words: Vec<&str> = said.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for label in [
        "machine", "model", "layer", "masks", "halo2", "commit", "prove", "verify", "proof", "private",
        "public",
    ] {
        assert!(words.contains(&label), "{label}: {said:?}");
    }
    assert!(said.out.contains("1 thread,"), "{said:?}");
    assert!(!said.out.contains("made-up"), "{said:?}");
    assert_eq!(said.err, "");
}

#[test]
fn samples_may_be_made_up() {
    let place = Place::new();
    let said = place.provenn("estimate digits.onnx --weight-bits 8").good();
    assert!(said.out.contains("made-up"), "{said:?}");
    let json = place.provenn("estimate digits.onnx --weight-bits 8 --json").good().json();
    assert_eq!(json["calibrated"], false);
}

#[test]
fn models_that_cannot_be_committed_are_not_estimated() {
    let place = Place::new();
    place.put("bad.onnx", "no model");
    place.refused("estimate bad.onnx", "bad.onnx");
    place.refused("estimate missing.onnx", "missing.onnx: no such file");
    place.refused("estimate digits.pk", "digits.pk");
    place.refused("estimate digits.onnx --calibrate missing.npz", "missing.npz: no such file");
    place.put("short.json", "[[1, 2, 3]]");
    place.refused("estimate digits.onnx --calibrate short.json", "short.json");
    place.refused("estimate digits.onnx --weight-bits 40", "40");
}

/// Runs the command with a limit on its memory, in bytes.
fn limited(place: &Place, limit: &str, arguments: &str) -> (i32, String, String) {
    let output = assert_cmd::Command::cargo_bin("provenn")
        .unwrap()
        .args(arguments.split_whitespace())
        .current_dir(place.dir.path())
        .env(provenn::memory::LIMIT_VARIABLE, limit)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn what_does_not_fit_is_refused_with_the_numbers_unless_forced() {
    let place = Place::new();
    let jobs = [
        (
            "commit digits.onnx --calibrate samples.npz -o x",
            "committing needs about ",
            ["x.pk", "x.vk"].as_slice(),
        ),
        ("prove digits.pk input.json -o y.proof", "loading the key needs about ", &["y.proof"]),
    ];
    let before = place.files();
    for (job, cause, files) in jobs {
        let (code, out, err) = limited(&place, "1000", job);
        assert_eq!((code, &out[..]), (2, ""), "{err}");
        let lines: Vec<&str> = err.lines().collect();
        assert!(lines[0].contains(cause) && lines[0].ends_with(" of memory, 0 bytes are available"), "{err}");
        assert!(lines[1].contains("--force"), "{err}");
        assert_eq!(place.files(), before, "nothing is written");
        let (code, _, err) = limited(&place, "1000", &format!("{job} --force"));
        assert_eq!(code, 0, "{err}");
        assert!(files.iter().all(|file| place.files().contains(&file.to_string())));
        files.iter().for_each(|file| std::fs::remove_file(place.path(file)).unwrap());
        // A limit that nothing comes near, and one that is no number.
        for limit in ["1000000000000", "much"] {
            let (code, _, err) = limited(&place, limit, job);
            assert_eq!(code, 0, "{err}");
            files.iter().for_each(|file| std::fs::remove_file(place.path(file)).unwrap());
        }
    }
}
