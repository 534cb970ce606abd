//! Convolutional networks from ONNX files to accepted proofs, and files that are refused.

use crate::common::Place;
use prost::Message;
use provenn::zoo::{self, ZooModel};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::type_proto::Value as Type;
use tract_onnx::pb::{AttributeProto, ModelProto};

/// A place with a model of the zoo beside the usual files.
fn place(model: ZooModel) -> Place {
    let place = Place::new();
    place.put("net.onnx", model.onnx);
    place.put("net.npz", model.samples_npz);
    place.put("net.json", model.input_json);
    place
}

/// The file, changed.
fn changed(model: ZooModel, change: impl FnOnce(&mut ModelProto)) -> Vec<u8> {
    let mut proto = ModelProto::decode(model.onnx).unwrap();
    change(&mut proto);
    proto.encode_to_vec()
}

#[test]
fn lenet_is_committed_proved_and_verified_with_three_commands() {
    let place = place(zoo::lenet5());
    let commit = place.provenn("commit net.onnx --calibrate net.npz -o net --json").good().json();
    assert_eq!(commit["parameters"], 61706);
    let proved = place.provenn("prove net.pk net.json -o net.proof --json").good().json();
    let verified = place.provenn("verify net.vk net.proof --json").good().json();
    assert_eq!((verified["accepted"].as_bool(), &verified["model_id"]), (Some(true), &commit["model_id"]));
    assert_eq!(verified["output"], proved["output"]);
    let run = place.provenn("run net.pk net.json --json").good().json();
    assert_eq!(run["outputs"][0].as_array().map(Vec::len), Some(10));
    assert!(place.get("net.proof").len() < 48_000);
    let text = place.provenn("inspect net.vk").good().out;
    for part in ["Conv 5x5", "MaxPool 2x2/2", "Gemm", "reads", "relu"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn inputs_and_outputs_of_a_network_are_hidden_and_opened() {
    let place = place(zoo::conv1d_timeseries());
    place.provenn("commit net.onnx --calibrate net.npz -o net").good();
    place.provenn("prove net.pk net.json -o net.proof --hide input,output").good();
    place.provenn("verify net.vk net.proof").good();
    place.provenn("open net.vk net.proof net.opening").good();
    place.rejected("verify digits.vk net.proof", "");
}

#[test]
fn every_bundled_model_is_supported_node_by_node() {
    for model in zoo::all() {
        let place = place(model);
        let json = place.provenn("inspect net.onnx --json").good().json();
        assert_eq!(json["supported"], true, "{}", model.name);
        let nodes = json["nodes"].as_array().unwrap();
        assert!(!nodes.is_empty() && nodes.iter().all(|node| node["supported"] == true), "{}", model.name);
    }
}

#[test]
fn every_unsupported_node_is_named_with_what_to_do() {
    let place = place(zoo::lenet5());
    let bytes = changed(zoo::lenet5(), |model| {
        let nodes = &mut model.graph.as_mut().unwrap().node;
        let pools: Vec<usize> = (0..nodes.len()).filter(|&n| nodes[n].op_type == "MaxPool").collect();
        nodes[pools[0]].attribute.push(AttributeProto {
            name: "auto_pad".to_string(),
            r#type: AttributeType::String as i32,
            s: b"SIDEWAYS".to_vec(),
            ..AttributeProto::default()
        });
        nodes[pools[0]].name = "first pool".to_string();
        let last = nodes.len() - 1;
        nodes[last].op_type = "Einsum".to_string();
        nodes[last].name = "last node".to_string();
    });
    place.put("net.onnx", bytes);
    place.refused(
        "commit net.onnx --calibrate net.npz -o net",
        "node first pool: attribute auto_pad of MaxPool is SIDEWAYS",
    );
    let json = place.provenn("inspect net.onnx --json").good().json();
    let refused: Vec<&str> = json["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["supported"] == false)
        .map(|node| node["name"].as_str().unwrap())
        .collect();
    // What reads the output of the first can be neither supported nor refused, but for its operator.
    assert_eq!(refused, ["first pool", "last node"], "{json}");
    let text = place.provenn("inspect net.onnx").good().out;
    for part in [
        "node first pool: attribute auto_pad of MaxPool is SIDEWAYS",
        "node last node: operator Einsum",
        "cannot be committed",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn shapes_that_are_not_fixed_are_refused_by_input_and_axis() {
    let place = place(zoo::lenet5());
    let bytes = changed(zoo::lenet5(), |model| {
        let input = &mut model.graph.as_mut().unwrap().input[0];
        let Some(Type::TensorType(tensor)) = input.r#type.as_mut().and_then(|t| t.value.as_mut()) else {
            panic!("a tensor")
        };
        tensor.shape.as_mut().unwrap().dim[2].value = Some(Dim::DimParam("height".to_string()));
    });
    place.put("net.onnx", bytes);
    place.refused("commit net.onnx --calibrate net.npz -o net", "axis 2 has no fixed length (height)");
}
