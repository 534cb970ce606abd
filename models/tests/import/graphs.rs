//! Builds small ONNX files.

use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, type_proto,
};

/// Pseudo-random reals in [-1, 1], the same in every run.
pub(crate) fn reals(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

pub(crate) fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
        raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..TensorProto::default()
    }
}

pub(crate) fn integers(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![values.len() as i64],
        data_type: DataType::Int64 as i32,
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// A single integer, without axes.
pub(crate) fn integer(name: &str, value: i64) -> TensorProto {
    TensorProto { dims: Vec::new(), ..integers(name, &[value]) }
}

/// Integers of another type.
pub(crate) fn codes(name: &str, kind: DataType, dims: &[i64], values: &[i32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: kind as i32,
        int32_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// Random weights `dims`.
pub(crate) fn random(name: &str, dims: &[i64]) -> TensorProto {
    let seed = name.bytes().fold(dims.len() as u64, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
    floats(name, dims, &reals(seed, dims.iter().product::<i64>() as usize))
}

pub(crate) fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i, ..AttributeProto::default() }
}

pub(crate) fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    let ints = ints.to_vec();
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Ints as i32,
        ints,
        ..AttributeProto::default()
    }
}

pub(crate) fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Float as i32, f, ..AttributeProto::default() }
}

pub(crate) fn text(name: &str, s: &str) -> AttributeProto {
    let s = s.as_bytes().to_vec();
    AttributeProto { name: name.into(), r#type: AttributeType::String as i32, s, ..AttributeProto::default() }
}

pub(crate) fn tensor(name: &str, t: TensorProto) -> AttributeProto {
    let t = Some(t);
    AttributeProto { name: name.into(), r#type: AttributeType::Tensor as i32, t, ..AttributeProto::default() }
}

/// `node("Gemm x w b -> y", &[..])`: an unnamed node.
pub(crate) fn node(text: &str, attributes: &[AttributeProto]) -> NodeProto {
    let (left, right) = text.split_once(" -> ").unwrap();
    let mut words = left.split(' ').map(|word| if word == "_" { "" } else { word }.to_owned());
    NodeProto {
        op_type: words.next().unwrap(),
        input: words.collect(),
        output: right.split(' ').map(str::to_owned).collect(),
        attribute: attributes.to_vec(),
        ..NodeProto::default()
    }
}

/// A graph from input `x` of shape `input`, 0 for a symbolic axis, to output `y`.
pub(crate) fn model(input: &[i64], nodes: &[NodeProto], initializers: &[TensorProto]) -> ModelProto {
    let dim = |&length: &i64| Dimension {
        value: Some(if length == 0 {
            dimension::Value::DimParam("batch".into())
        } else {
            dimension::Value::DimValue(length)
        }),
        ..Dimension::default()
    };
    let info = |name: &str, dims: Option<&[i64]>| ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: DataType::Float as i32,
                shape: dims.map(|dims| TensorShapeProto { dim: dims.iter().map(dim).collect() }),
            })),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    };
    ModelProto {
        ir_version: 7,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 13 }],
        graph: Some(GraphProto {
            name: "test".into(),
            node: nodes.to_vec(),
            initializer: initializers.to_vec(),
            input: vec![info("x", Some(input))],
            output: vec![info("y", None)],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

pub(crate) fn with_opset(mut model: ModelProto, version: i64) -> ModelProto {
    model.opset_import[0].version = version;
    model
}

pub(crate) fn bytes(model: &ModelProto) -> Vec<u8> {
    model.encode_to_vec()
}
