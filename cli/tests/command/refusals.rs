//! What cannot be used is refused with exit code 2, a cause that names the place, a hint, and no partial files.

use crate::common::{INPUT_LEN, Place, npy};
use prost::Message;
use tract_onnx::pb::ModelProto;

/// The digits model, edited.
fn edited(edit: impl FnOnce(&mut ModelProto)) -> Vec<u8> {
    let mut model = ModelProto::decode(provenn::zoo::digits_mlp().onnx).unwrap();
    edit(&mut model);
    model.encode_to_vec()
}

#[test]
fn model_files() {
    let place = Place::new();
    let commit = "--calibrate samples.npz -o x";
    let onnx = place.get("digits.onnx");
    place.put("text.onnx", "hello, this is no model");
    place.put("empty.onnx", "");
    place.put("cut.onnx", &onnx[..onnx.len() / 2]);
    for name in ["text.onnx", "empty.onnx", "cut.onnx", "digits.pk", "samples.npz"] {
        place.refused(&format!("commit {name} {commit}"), &format!("{name}: not an ONNX model"));
    }
    place.refused(&format!("commit none.onnx {commit}"), "none.onnx: no such file");
    place.refused(&format!("commit . {commit}"), "this is a directory");
}

#[test]
fn operators_and_weights() {
    let place = Place::new();
    let commit = |name: &str| format!("commit {name} --calibrate samples.npz -o x");
    let graph =
        |edit: fn(&mut tract_onnx::pb::GraphProto)| edited(|model| edit(model.graph.as_mut().unwrap()));
    place.put("conv.onnx", graph(|graph| graph.node[1].op_type = "Sin".to_string()));
    place.refused(&commit("conv.onnx"), "conv.onnx: node relu1: operator Sin is not supported");
    for (value, text) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let mut model = ModelProto::decode(provenn::zoo::digits_mlp().onnx).unwrap();
        let tensor = &mut model.graph.as_mut().unwrap().initializer[0];
        assert_eq!(tensor.name, "fc1.weight");
        let mut raw = tensor.raw_data.to_vec();
        raw[20..24].copy_from_slice(&value.to_le_bytes());
        tensor.raw_data = raw;
        place.put("weights.onnx", model.encode_to_vec());
        place.refused(&commit("weights.onnx"), &format!("tensor fc1.weight: entry 5 is {text}"));
    }
    place.put(
        "controls.onnx",
        graph(|graph| {
            graph.node[1].op_type = "Sin".to_string();
            graph.node[1].name = "two\nlines\u{1b}[31m".to_string();
        }),
    );
    place.refused(&commit("controls.onnx"), "node two lines\\u{1b}[31m: operator Sin");
}

#[test]
fn calibration_data() {
    let place = Place::new();
    let commit = |name: &str| format!("commit digits.onnx --calibrate {name} -o x");
    place.put("short.npy", npy("2, 63", &[0.5; 126]));
    place.refused(&commit("short.npy"), "short.npy: sample 0 has 63 entries, expected 64");
    let mut values = [0.5; 2 * INPUT_LEN];
    values[INPUT_LEN + 3] = f32::NAN;
    place.put("nan.npy", npy("2, 64", &values));
    place.refused(&commit("nan.npy"), "sample 1, index 3 is NaN");
    place.put("none.npy", npy("0, 64", &[]));
    place.refused(&commit("none.npy"), "no samples");
    place.refused("prove digits.pk none.npy -o x.proof", "has no sample 0, it holds 0");
    place.put("broken.npz", "PK, but no archive");
    place.refused(&commit("broken.npz"), "broken.npz: ");
    place.refused(&commit("missing.npz"), "missing.npz: no such file");
    place.refused(&commit("digits.onnx"), "digits.onnx: unknown data format");
}

#[test]
fn inputs() {
    let place = Place::new();
    let prove = |name: &str| format!("prove digits.pk {name} -o x.proof");
    let json = |entries: &[&str]| format!("{{\"input_data\": [[{}]]}}", entries.join(", "));
    let mut entries = ["0.5"; INPUT_LEN];
    place.put("short.json", json(&entries[1..]));
    place.refused(&prove("short.json"), "short.json: sample 0 has 63 entries, expected 64");
    entries[9] = "\"dark\"";
    place.put("text.json", json(&entries));
    place.refused(&prove("text.json"), "sample 0, index 9 is \"dark\"");
    entries[9] = "null";
    place.put("null.json", json(&entries));
    place.refused(&prove("null.json"), "sample 0, index 9 is null");
    entries[9] = "NaN";
    place.put("nan.json", json(&entries));
    place.refused(&prove("nan.json"), "nan.json: ");
    let mut values = [0.5; INPUT_LEN];
    for (value, text) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        values[63] = value;
        place.put("value.npy", npy("1, 64", &values));
        place.refused(&prove("value.npy"), &format!("value.npy: sample 0, index 63 is {text}"));
        place.refused("run digits.pk value.npy", "index 63");
    }
    place.put("cut.json", "{\"input_data\": [[0.5, ");
    place.refused(&prove("cut.json"), "cut.json: cannot read the data");
    place.put("other.json", "{\"inputs\": [[1]]}");
    place.refused(&prove("other.json"), "no key \"input_data\"");
    place.put("empty.json", "[]");
    place.refused(&prove("empty.json"), "empty.json: ");
    place.refused(&prove("missing.json"), "missing.json: no such file");
    place.refused(&prove("."), "unknown data format");
    std::fs::create_dir(place.path("folder.json")).unwrap();
    place.refused(&prove("folder.json"), "folder.json: this is a directory");
    place.refused("run digits.pk short.json", "short.json: sample 0 has 63 entries");
}

#[test]
fn values_outside_the_calibrated_range_saturate() {
    let place = Place::new();
    place.put("large.npy", npy("64,", &[1e30; INPUT_LEN]));
    place.put("negative.npy", npy("1, 1, 64", &[-1e30; INPUT_LEN]));
    for name in ["large", "negative"] {
        place.provenn(&format!("prove digits.pk {name}.npy")).good();
        place.provenn(&format!("verify digits.vk {name}.proof")).good();
    }
}

#[test]
fn keys() {
    let place = Place::new();
    let prove = |name: &str| format!("prove {name} input.json -o x.proof");
    place.refused(&prove("digits.vk"), "digits.vk: this is a verifying key, expected a proving key");
    place.refused(&prove("good.proof"), "good.proof: this is a proof, expected a proving key");
    place.refused(&prove("digits.onnx"), "digits.onnx: not a Provenn artifact");
    place.refused("run digits.vk input.json", "expected a proving key");
    place.refused(&prove("none.pk"), "none.pk: no such file");
    place
        .refused("verify digits.pk good.proof", "digits.pk: this is a proving key, expected a verifying key");
    place.refused("verify digits.vk none.proof", "none.proof: no such file");
    place.refused("verify . good.proof", "this is a directory");
    place.refused("verify digits.vk .", "this is a directory");

    let pk = place.get("digits.pk");
    place.put("cut.pk", &pk[..pk.len() - 9]);
    place.refused(&prove("cut.pk"), "truncated");
    let vk = place.get("digits.vk");
    place.put("cut.vk", &vk[..vk.len() / 2]);
    place.refused("verify cut.vk good.proof", "cut.vk: ");
    for position in (0..vk.len()).step_by(vk.len() / 12) {
        let mut bad = vk.clone();
        bad[position] ^= 4;
        place.put("bad.vk", &bad);
        place.refused("verify bad.vk good.proof", "bad.vk: ");
    }
}

#[test]
fn usage() {
    let place = Place::new();
    place.refused("", "no command given");
    place.refused("proof", "unrecognized subcommand 'proof'");
    place.refused("verify digits.vk", "required arguments");
    place.refused("verify digits.vk good.proof --contxt a", "unexpected argument '--contxt'");
    place.refused("prove digits.pk input.json -o x.proof --index -1", "-1");
    place.refused("prove digits.pk input.json -o x.proof --index 1x", "1x");
    for bits in ["1", "13", "8.5", "eight"] {
        place.refused(
            &format!("commit digits.onnx --calibrate samples.npz -o x --activation-bits {bits}"),
            "--activation-bits",
        );
    }
    for bits in ["1", "17", "-8"] {
        place.refused(&format!("commit digits.onnx --calibrate samples.npz -o x --weight-bits {bits}"), bits);
    }
}

#[test]
fn failures_are_json_too() {
    let place = Place::new();
    for arguments in ["verify none.vk good.proof --json", "prove --json", "inspect input.json --json"] {
        let said = place.provenn(arguments);
        assert_eq!(said.code, 2, "{said:?}");
        let json = said.json();
        assert!(json["error"].is_string() && json["hint"].is_string(), "{json}");
    }
}
