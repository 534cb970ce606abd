//! From a model file to an accepted proof, the way the README tells it.

use crate::common::{Place, digits, names};
use serde_json::Value;

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn integers(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect()
}

fn is_model_id(value: &Value) -> bool {
    value.as_str().is_some_and(|id| id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[test]
fn three_commands_and_three_files() {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    let zoo = provenn::zoo::digits_mlp();
    place.put("digits-mlp.onnx", zoo.onnx);
    place.put("samples.npz", zoo.samples_npz);
    place.put("input.json", zoo.input_json);

    let commit =
        place.provenn("commit digits-mlp.onnx --calibrate samples.npz -o digits --json").good().json();
    assert!(is_model_id(&commit["model_id"]), "{commit}");
    assert_eq!((commit["parameters"].as_u64(), commit["macs"].as_u64()), (Some(2410), Some(2368)));
    assert_eq!(commit["pk_bytes"].as_u64(), Some(place.get("digits.pk").len() as u64));
    assert_eq!(commit["vk_bytes"].as_u64(), Some(place.get("digits.vk").len() as u64));
    assert!(commit["seconds"].as_f64().unwrap() > 0.0);
    let fidelity = &commit["fidelity"];
    assert_eq!(fidelity["samples"].as_u64(), Some(200));
    assert!(fidelity["top1_agreement"].as_f64().unwrap() >= 0.99, "{fidelity}");
    assert!(fidelity["float_accuracy"].is_f64() && fidelity["integer_accuracy"].is_f64(), "{fidelity}");
    assert_eq!(fidelity["layers"].as_array().unwrap().len(), 2);

    let prove = place.provenn("prove digits.pk input.json -o x.proof --json").good().json();
    assert_eq!(prove["model_id"], commit["model_id"]);
    assert!(prove["prove_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(prove["peak_rss_bytes"].is_u64(), cfg!(target_os = "linux"));
    assert_eq!(prove["proof_bytes"].as_u64(), Some(place.get("x.proof").len() as u64));
    assert_eq!((floats(&prove["output"]).len(), integers(&prove["output_int"]).len()), (10, 10));

    let verify = place.provenn("verify digits.vk x.proof --json").good().json();
    assert_eq!((&verify["accepted"], &verify["reason"]), (&Value::Bool(true), &Value::Null));
    assert_eq!(verify["model_id"], commit["model_id"]);
    assert!(verify["verify_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(floats(&verify["input"]).len(), 64);
    assert_eq!((&verify["output"], &verify["output_int"]), (&prove["output"], &prove["output_int"]));

    let run = place.provenn("run digits.pk input.json --json").good().json();
    assert_eq!((&run["outputs"][0], &run["outputs_int"][0]), (&prove["output"], &prove["output_int"]));
    assert_eq!((run["argmax"][0].as_u64(), &run["accuracy"]), (Some(1), &Value::Null));
    assert_eq!(
        place.files(),
        ["digits-mlp.onnx", "digits.pk", "digits.vk", "input.json", "samples.npz", "x.proof"]
    );
}

#[test]
fn text_for_people() {
    let place = Place::new();
    let said = place.provenn("commit digits.onnx --calibrate samples.npz -o other --weight-bits 8").good();
    for part in ["model ID", "2,410 parameters", "fidelity", "accuracy", "other.pk", "other.vk"] {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
    let said = place.provenn("prove digits.pk input.json -o x.proof").good();
    let last = said.out.lines().last().unwrap();
    assert!(last.contains("x.proof") && last.contains(" ms") && last.contains("peak memory"), "{last}");
    let said = place.provenn("verify digits.vk x.proof").good();
    assert!(said.out.starts_with("model ID"), "{said:?}");
    assert!(said.out.lines().last().unwrap().starts_with("ACCEPTED"), "{said:?}");
    assert!(said.out.contains("\ninput ") && said.out.contains("\noutput "), "{said:?}");
    assert_eq!(said.err, "");
    let said = place.provenn("run digits.pk test.npz").good();
    assert!(said.out.contains("accuracy"), "{said:?}");
}

#[test]
fn batches() {
    let place = Place::new();
    let run = place.provenn("run digits.pk test.npz --json").good().json();
    assert_eq!(run["outputs"].as_array().unwrap().len(), 450);
    assert!(run["accuracy"].as_f64().unwrap() >= 0.98, "{}", run["accuracy"]);
    place.refused("prove digits.pk test.npz -o x.proof", "test.npz: holds 450 samples");
    place.refused("prove digits.pk test.npz --index 450 -o x.proof", "has no sample 450");
    let prove = place.provenn("prove digits.pk test.npz --index 17 -o x.proof --json").good().json();
    assert_eq!(prove["output_int"], run["outputs_int"][17]);
}

#[test]
fn names_have_defaults() {
    let place = Place::new();
    std::fs::create_dir(place.path("models")).unwrap();
    place.put("models/m.onnx", place.get("digits.onnx"));
    place.put("models/in.json", place.get("input.json"));
    place.provenn("commit models/m.onnx --calibrate samples.npz --weight-bits 8").good();
    place.provenn("prove m.pk models/in.json").good();
    place.provenn("verify m.vk in.proof").good();
    assert_eq!(names(&place.path("models")), ["in.json", "m.onnx"]);
}

#[test]
fn a_context_binds() {
    let place = Place::new();
    place
        .provenn_with(&["prove", "digits.pk", "input.json", "-o", "x.proof", "--context", "invoice 7"])
        .good();
    let verify = place
        .provenn_with(&["verify", "digits.vk", "x.proof", "--context", "invoice 7", "--json"])
        .good()
        .json();
    assert_eq!(verify["context"], "invoice 7");
    place.rejected("verify digits.vk x.proof", "bound to the context \"invoice 7\", expected \"\"");
    place.rejected("verify digits.vk x.proof --context other", "expected \"other\"");
    place.rejected("verify digits.vk good.proof --context other", "expected \"other\"");
    let long = "c".repeat(70_000);
    place.refused(
        &format!("prove digits.pk input.json -o y.proof --context {long}"),
        "the context has 70000 bytes",
    );
}

#[test]
fn a_pinned_model_id() {
    let place = Place::new();
    let id = place.provenn("verify digits.vk good.proof --json").good().json()["model_id"].clone();
    let id = id.as_str().unwrap();
    place.provenn(&format!("verify digits.vk good.proof --model-id {id}")).good();
    place.provenn(&format!("verify digits.vk good.proof --model-id {}", id.to_uppercase())).good();
    let other = "0".repeat(64);
    place.rejected(&format!("verify digits.vk good.proof --model-id {other}"), &other);
    place.refused("verify digits.vk good.proof --model-id 12", "64 hexadecimal digits");
}

#[test]
fn hidden_tensors_are_opened_by_whom_they_are_shown_to() {
    let place = Place::new();
    let prove =
        place.provenn("prove digits.pk input.json -o x.proof --hide input,output --json").good().json();
    assert_eq!(prove["opening"], "x.opening");
    let verify = place.provenn("verify digits.vk x.proof --json").good().json();
    for part in ["input", "output"] {
        assert_eq!(verify[part], Value::Null);
        assert_eq!(verify[format!("{part}_int")], Value::Null);
        assert!(verify[format!("{part}_commitment")][0].as_str().is_some_and(|p| p.len() == 64), "{verify}");
    }
    assert!(place.provenn("verify digits.vk x.proof").good().out.contains("committed to by"));

    let open = place.provenn("open digits.vk x.proof x.opening --json").good().json();
    assert_eq!((&open["output"], &open["output_int"]), (&prove["output"], &prove["output_int"]));
    assert_eq!(floats(&open["input"]).len(), 64);
    let input = place.provenn("open digits.vk x.proof x.opening --part input --json").good().json();
    assert_eq!((&input["input"], &input["output"]), (&open["input"], &Value::Null));
    assert!(place.provenn("open digits.vk x.proof x.opening").good().out.contains("ACCEPTED"));

    place.provenn("prove digits.pk input.json -o y.proof --hide output --opening y.secret").good();
    place.rejected("open digits.vk y.proof x.opening", "does not open to these values");
    place.rejected("open digits.vk y.proof y.secret --part input", "the proof's input is public");
    place.rejected("open digits.vk good.proof y.secret", "public: there is nothing to open");
    place.rejected("open digits.vk x.proof y.secret --part input", "the opening has no input");
    let mut opening = place.get("y.secret");
    opening.truncate(opening.len() - 1);
    place.put("cut.opening", &opening);
    place.rejected("open digits.vk y.proof cut.opening", "truncated");
    place.rejected("open digits.vk y.proof y.proof", "this is a proof, expected");
    place.refused("prove digits.pk input.json -o z.proof --opening z.secret", "--hide");
    place.refused("prove digits.pk input.json -o z.proof --hide weights", "weights");
    place.refused(
        "prove digits.pk input.json -o z.proof --hide input --opening z.proof",
        "would be written twice",
    );
}

#[test]
fn output_does_not_depend_on_threads() {
    let place = Place::new();
    let outputs = [1, 3].map(|threads| {
        let arguments = format!("prove digits.pk input.json -o {threads}.proof --threads {threads} --json");
        place.provenn(&arguments).good().json()["output_int"].clone()
    });
    assert_eq!(outputs[0], outputs[1]);
    place.provenn("verify digits.vk 1.proof --threads 1").good();
    place.refused("verify digits.vk 1.proof --threads 0", "--threads");
}

#[test]
fn the_demo_leaves_nothing_behind_unless_asked() {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    let said = place.provenn("demo").good();
    for part in ["model ID", "ACCEPTED", "REJECTED", "██", "this is a 1"] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    assert_eq!(place.files(), [""; 0]);
    let json = place.provenn("demo --keep here --json").good().json();
    assert_eq!(json["forgeries"].as_array().unwrap().len(), 4);
    assert_eq!(
        names(&place.path("here")),
        ["digits-mlp.onnx", "digits.pk", "digits.proof", "digits.vk", "input.json", "samples.npz"]
    );
    place.provenn("verify here/digits.vk here/digits.proof").good();
    place.refused("demo --keep here", "exists already");
}

#[test]
fn help_fits_a_screen_and_has_examples() {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    let help = place.provenn("--help").good();
    assert!(help.out.lines().count() <= 40 && help.out.contains("Examples:"), "{}", help.out);
    assert_eq!(help.err, "");
    for command in ["commit", "prove", "verify", "run", "open", "inspect", "demo"] {
        let help = place.provenn(&format!("{command} --help")).good();
        assert!(help.out.lines().count() <= 40, "{}", help.out);
    }
    assert!(place.provenn("--version").good().out.starts_with("provenn "));
}

#[test]
fn proofs_are_fresh() {
    let place = Place::new();
    place.provenn("prove digits.pk input.json -o x.proof").good();
    assert_ne!(place.get("x.proof"), digits().proof);
}
