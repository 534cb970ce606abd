//! `provenn inspect` on every kind of file.

use crate::common::Place;
use prost::Message;
use tract_onnx::pb::ModelProto;

#[test]
fn keys() {
    let place = Place::new();
    let pk = place.provenn("inspect digits.pk --json").good().json();
    let vk = place.provenn("inspect digits.vk --json").good().json();
    assert_eq!((pk["kind"].as_str(), vk["kind"].as_str()), (Some("proving key"), Some("verifying key")));
    for key in ["model_id", "parameters", "macs", "n", "k", "tables", "proof", "input", "output"] {
        assert!(!pk[key].is_null() && pk[key] == vk[key], "{key}: {pk} {vk}");
    }
    assert_eq!(pk["parameters"], 2410);
    assert_eq!((pk["input"]["shape"][1].as_u64(), pk["output"]["shape"][1].as_u64()), (Some(64), Some(10)));
    assert_eq!((pk["layers"][0]["name"].as_str(), vk["layers"][0]["name"].as_str()), (Some("fc1"), None));
    assert_eq!(pk["layers"][0]["requantize"]["function"], "relu");
    assert!(pk["fidelity"].is_object() && vk["fidelity"].is_null());
    let text = place.provenn("inspect digits.pk").good().out;
    for part in ["proving key", "model ID", "fc1", "Gemm", "[32, 64]", "relu", "columns", "k = "] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn proofs_and_openings() {
    let place = Place::new();
    place.provenn("prove digits.pk input.json -o x.proof --hide input --context shop").good();
    let proof = place.provenn("inspect x.proof --json").good().json();
    assert_eq!(
        (
            proof["kind"].as_str(),
            proof["context"].as_str(),
            proof["input"].as_str(),
            proof["output"].as_str()
        ),
        (Some("proof"), Some("shop"), Some("committed"), Some("public"))
    );
    assert_eq!(proof["bytes"].as_u64(), Some(place.get("x.proof").len() as u64));
    assert!(place.provenn("inspect x.proof").good().out.contains("model ID"));
    let opening = place.provenn("inspect x.opening --json").good().json();
    assert_eq!((opening["kind"].as_str(), opening["input"]["values"].as_u64()), (Some("opening"), Some(64)));
    assert!(opening["output"].is_null());
}

#[test]
fn models() {
    let place = Place::new();
    let model = place.provenn("inspect digits.onnx --json").good().json();
    assert_eq!((model["kind"].as_str(), model["supported"].as_bool()), (Some("onnx"), Some(true)));
    let operators: Vec<&str> =
        model["nodes"].as_array().unwrap().iter().map(|node| node["operator"].as_str().unwrap()).collect();
    assert_eq!(operators, ["Gemm", "Relu", "Gemm"]);
    let mut model = ModelProto::decode(&place.get("digits.onnx")[..]).unwrap();
    model.graph.as_mut().unwrap().node[1].op_type = "Sin".to_string();
    place.put("sin.onnx", model.encode_to_vec());
    let json = place.provenn("inspect sin.onnx --json").good().json();
    assert_eq!(
        (json["supported"].as_bool(), json["nodes"][1]["supported"].as_bool()),
        (Some(false), Some(false))
    );
    let text = place.provenn("inspect sin.onnx").good().out;
    assert!(text.contains("cannot be committed: node relu1"), "{text}");
}

#[test]
fn anything_else_is_refused() {
    let place = Place::new();
    place.refused("inspect input.json", "neither a Provenn artifact nor an ONNX model");
    place.refused("inspect samples.npz", "neither a Provenn artifact nor an ONNX model");
    place.refused("inspect none", "no such file");
    place.refused("inspect .", "this is a directory");
    place.put("cut.vk", &place.get("digits.vk")[..100]);
    place.refused("inspect cut.vk", "truncated");
}
