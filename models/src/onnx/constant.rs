//! Constant tensors of a graph: weights, biases, shapes.

use crate::error::ModelError;
use provenn_circuits::model::{MAX_AXES, MAX_ENTRIES};
use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};

/// Entries of a constant.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entries {
    Float(Vec<f32>),
    Double(Vec<f64>),
    Int(Vec<i64>),
}

/// A constant tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constant {
    /// Name of the tensor it was read from.
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) entries: Entries,
}

const TYPES: &str = "FLOAT, DOUBLE, INT32, INT64 or BOOL";

impl Constant {
    /// Reads a tensor and checks that its floats are finite. `name` is what messages call it.
    pub(super) fn read(name: &str, proto: &TensorProto) -> Result<Self, ModelError> {
        let bad = |reason: String| ModelError::Tensor { tensor: name.to_owned(), reason };
        if proto.data_location == Some(DataLocation::External as i32) || !proto.external_data.is_empty() {
            return Err(bad("its data is in another file: save the model as one file".to_owned()));
        }
        if proto.segment.is_some() {
            return Err(bad("its data is in segments".to_owned()));
        }
        let shape = proto
            .dims
            .iter()
            .map(|&d| usize::try_from(d).ok())
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| bad(format!("its shape {:?} has a negative axis", proto.dims)))?;
        let len = entries_of(&shape)
            .ok_or_else(|| bad(format!("its shape {shape:?} has more than {MAX_ENTRIES} entries")))?;
        let raw = &proto.raw_data;
        let found = |typed: usize, width: usize| if raw.is_empty() { typed } else { raw.len() / width };
        let (entries, actual, width) = match DataType::try_from(proto.data_type) {
            Ok(DataType::Float) => {
                let values = if raw.is_empty() {
                    proto.float_data.clone()
                } else {
                    little_endian(raw, f32::from_le_bytes)
                };
                (Entries::Float(values), found(proto.float_data.len(), 4), 4)
            }
            Ok(DataType::Double) => {
                let values = if raw.is_empty() {
                    proto.double_data.clone()
                } else {
                    little_endian(raw, f64::from_le_bytes)
                };
                (Entries::Double(values), found(proto.double_data.len(), 8), 8)
            }
            Ok(DataType::Int64) => {
                let values = if raw.is_empty() {
                    proto.int64_data.clone()
                } else {
                    little_endian(raw, i64::from_le_bytes)
                };
                (Entries::Int(values), found(proto.int64_data.len(), 8), 8)
            }
            Ok(DataType::Int32) => {
                let values = if raw.is_empty() {
                    proto.int32_data.iter().map(|&v| v.into()).collect()
                } else {
                    little_endian(raw, |b| i32::from_le_bytes(b).into())
                };
                (Entries::Int(values), found(proto.int32_data.len(), 4), 4)
            }
            Ok(DataType::Bool) => {
                let values = if raw.is_empty() {
                    proto.int32_data.iter().map(|&v| v.into()).collect()
                } else {
                    raw.iter().map(|&b| b.into()).collect()
                };
                (Entries::Int(values), found(proto.int32_data.len(), 1), 1)
            }
            Ok(other) => return Err(element_type(name, other.as_str_name())),
            Err(_) => return Err(element_type(name, &proto.data_type.to_string())),
        };
        if actual != len || !raw.len().is_multiple_of(width) {
            return Err(bad(format!("it holds {actual} entries, its shape {shape:?} asks for {len}")));
        }
        let constant = Constant { name: name.to_owned(), shape, entries };
        constant.check_finite()?;
        Ok(constant)
    }

    fn check_finite(&self) -> Result<(), ModelError> {
        let bad = match &self.entries {
            Entries::Float(v) => v.iter().position(|x| !x.is_finite()).map(|i| (i, f64::from(v[i]))),
            Entries::Double(v) => v.iter().position(|x| !x.is_finite()).map(|i| (i, v[i])),
            Entries::Int(_) => None,
        };
        bad.map_or(Ok(()), |(index, value)| {
            Err(ModelError::WeightNotFinite { tensor: self.name.clone(), index, value })
        })
    }

    /// The entries as 32-bit floats, which is the type of the values they meet.
    pub(super) fn floats(&self) -> Result<&[f32], ModelError> {
        match &self.entries {
            Entries::Float(values) => Ok(values),
            Entries::Double(_) => Err(element_type_expected(&self.name, "DOUBLE", "FLOAT")),
            Entries::Int(_) => Err(element_type_expected(&self.name, "an integer", "FLOAT")),
        }
    }

    /// The entries as integers.
    pub(super) fn integers(&self) -> Result<&[i64], ModelError> {
        match &self.entries {
            Entries::Int(values) => Ok(values),
            _ => Err(element_type_expected(&self.name, "a float", "INT64")),
        }
    }

    /// The constant under another element type: FLOAT, DOUBLE, INT32 or INT64.
    pub(super) fn cast(&self, to: i64) -> Result<Self, ModelError> {
        let data_type = i32::try_from(to).ok().and_then(|t| DataType::try_from(t).ok());
        let entries = match (data_type, &self.entries) {
            (Some(DataType::Float), Entries::Double(v)) => {
                Entries::Float(v.iter().map(|&x| x as f32).collect())
            }
            (Some(DataType::Float), Entries::Int(v)) => Entries::Float(v.iter().map(|&x| x as f32).collect()),
            (Some(DataType::Double), Entries::Float(v)) => {
                Entries::Double(v.iter().map(|&x| x.into()).collect())
            }
            (Some(DataType::Double), Entries::Int(v)) => {
                Entries::Double(v.iter().map(|&x| x as f64).collect())
            }
            (Some(DataType::Int64 | DataType::Int32), Entries::Float(v)) => {
                Entries::Int(v.iter().map(|&x| x as i64).collect())
            }
            (Some(DataType::Int64 | DataType::Int32), Entries::Double(v)) => {
                Entries::Int(v.iter().map(|&x| x as i64).collect())
            }
            (Some(DataType::Float | DataType::Double | DataType::Int64 | DataType::Int32), entries) => {
                entries.clone()
            }
            (Some(other), _) => return Err(element_type(&self.name, other.as_str_name())),
            (None, _) => return Err(element_type(&self.name, &to.to_string())),
        };
        let cast = Constant { entries, ..self.clone() };
        cast.check_finite()?;
        Ok(cast)
    }

    /// The constant with its axes permuted: axis `j` of the result is axis `perm[j]` of this one.
    ///
    /// `perm` must be a permutation of the axes.
    pub(super) fn transpose(&self, perm: &[usize]) -> Self {
        let mut strides = vec![1usize; self.shape.len()];
        for axis in (1..self.shape.len()).rev() {
            strides[axis - 1] = strides[axis] * self.shape[axis];
        }
        let shape: Vec<usize> = perm.iter().map(|&p| self.shape[p]).collect();
        let strides: Vec<usize> = perm.iter().map(|&p| strides[p]).collect();
        let source = |mut index: usize| {
            let mut offset = 0;
            for axis in (0..shape.len()).rev() {
                offset += index % shape[axis] * strides[axis];
                index /= shape[axis];
            }
            offset
        };
        fn gather<T: Copy>(values: &[T], source: impl Fn(usize) -> usize) -> Vec<T> {
            (0..values.len()).map(|i| values[source(i)]).collect()
        }
        let entries = match &self.entries {
            Entries::Float(v) => Entries::Float(gather(v, source)),
            Entries::Double(v) => Entries::Double(gather(v, source)),
            Entries::Int(v) => Entries::Int(gather(v, source)),
        };
        Constant { name: self.name.clone(), shape, entries }
    }
}

/// Number of entries of a shape, if it is within the limits of the proof system.
pub(super) fn entries_of(shape: &[usize]) -> Option<usize> {
    let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
    (len <= MAX_ENTRIES && shape.len() <= MAX_AXES).then_some(len)
}

fn little_endian<const W: usize, T>(raw: &[u8], read: impl Fn([u8; W]) -> T) -> Vec<T> {
    raw.as_chunks::<W>().0.iter().map(|&bytes| read(bytes)).collect()
}

fn element_type(tensor: &str, actual: &str) -> ModelError {
    element_type_expected(tensor, actual, TYPES)
}

pub(super) fn element_type_expected(tensor: &str, actual: &str, expected: &'static str) -> ModelError {
    ModelError::ElementType { tensor: tensor.to_owned(), actual: actual.to_owned(), expected }
}
