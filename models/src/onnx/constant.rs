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
    /// Integers and Booleans of an element type.
    Int(DataType, Vec<i64>),
}

/// Evaluates `$body` with `$values` bound to the entries, and wraps the list of entries that it gives in the same type.
macro_rules! map_entries {
    ($entries:expr, $values:ident => $body:expr) => {
        match $entries {
            Entries::Float($values) => Entries::Float($body),
            Entries::Double($values) => Entries::Double($body),
            Entries::Int(element, $values) => Entries::Int(*element, $body),
        }
    };
}

/// A constant tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Constant {
    /// Name of the tensor it was read from.
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) entries: Entries,
}

const TYPES: &str = "FLOAT, DOUBLE, BOOL, INT8 to INT64 or UINT8 to UINT32";

impl Constant {
    /// Reads a tensor. `name` is what messages call it.
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
        let element = DataType::try_from(proto.data_type)
            .map_err(|_| element_type(name, &proto.data_type.to_string()))?;
        let width = width(element).ok_or_else(|| element_type(name, element.as_str_name()))?;
        let entries = read_entries(proto, element);
        let actual = if proto.raw_data.is_empty() { count(&entries) } else { proto.raw_data.len() / width };
        if actual != len || !proto.raw_data.len().is_multiple_of(width) {
            return Err(bad(format!("it holds {actual} entries, its shape {shape:?} asks for {len}")));
        }
        Ok(Constant { name: name.to_owned(), shape, entries })
    }

    /// A list of 64-bit integers.
    pub(super) fn of_integers(name: &str, values: Vec<i64>) -> Self {
        let shape = vec![values.len()];
        Constant { name: name.to_owned(), shape, entries: Entries::Int(DataType::Int64, values) }
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        count(&self.entries)
    }

    fn check_finite(&self) -> Result<(), ModelError> {
        let bad = match &self.entries {
            Entries::Float(v) => v.iter().position(|x| !x.is_finite()).map(|i| (i, f64::from(v[i]))),
            Entries::Double(v) => v.iter().position(|x| !x.is_finite()).map(|i| (i, v[i])),
            Entries::Int(..) => None,
        };
        bad.map_or(Ok(()), |(index, value)| {
            Err(ModelError::WeightNotFinite { tensor: self.name.clone(), index, value })
        })
    }

    /// The entries as 32-bit floats, which is the type of the values they meet; every one is finite.
    pub(super) fn floats(&self) -> Result<&[f32], ModelError> {
        self.check_finite()?;
        self.any_floats()
    }

    /// The entries as 32-bit floats, infinities and NaN too.
    pub(super) fn any_floats(&self) -> Result<&[f32], ModelError> {
        match &self.entries {
            Entries::Float(values) => Ok(values),
            Entries::Double(_) => Err(element_type_expected(&self.name, "DOUBLE", "FLOAT")),
            Entries::Int(..) => Err(element_type_expected(&self.name, "an integer", "FLOAT")),
        }
    }

    /// The only entry as a 32-bit float, which may be infinite.
    pub(super) fn scalar(&self) -> Result<f32, ModelError> {
        match self.any_floats()? {
            &[value] => Ok(value),
            values => Err(self.not_scalar(values.len())),
        }
    }

    /// The entries as integers.
    pub(super) fn integers(&self) -> Result<&[i64], ModelError> {
        match &self.entries {
            Entries::Int(_, values) => Ok(values),
            _ => Err(element_type_expected(&self.name, "a float", "INT64")),
        }
    }

    /// The only entry as an integer.
    pub(super) fn integer(&self) -> Result<i64, ModelError> {
        match self.integers()? {
            &[value] => Ok(value),
            values => Err(self.not_scalar(values.len())),
        }
    }

    fn not_scalar(&self, len: usize) -> ModelError {
        let reason = format!("it holds {len} entries, expected one");
        ModelError::Tensor { tensor: self.name.clone(), reason }
    }

    /// The element type.
    pub(super) fn element(&self) -> DataType {
        match &self.entries {
            Entries::Float(_) => DataType::Float,
            Entries::Double(_) => DataType::Double,
            Entries::Int(element, _) => *element,
        }
    }

    /// The constant under another element type.
    pub(super) fn cast(&self, to: i64) -> Result<Self, ModelError> {
        let element = i32::try_from(to).ok().and_then(|t| DataType::try_from(t).ok());
        let element = element.ok_or_else(|| element_type(&self.name, &to.to_string()))?;
        let entries = match (element, &self.entries) {
            (DataType::Float, Entries::Float(_)) | (DataType::Double, Entries::Double(_)) => {
                self.entries.clone()
            }
            (DataType::Float, Entries::Double(v)) => Entries::Float(v.iter().map(|&x| x as f32).collect()),
            (DataType::Float, Entries::Int(_, v)) => Entries::Float(v.iter().map(|&x| x as f32).collect()),
            (DataType::Double, Entries::Float(v)) => Entries::Double(v.iter().map(|&x| x.into()).collect()),
            (DataType::Double, Entries::Int(_, v)) => Entries::Double(v.iter().map(|&x| x as f64).collect()),
            (DataType::Bool, Entries::Float(v)) => boolean(v.iter().map(|&x| x != 0.0)),
            (DataType::Bool, Entries::Double(v)) => boolean(v.iter().map(|&x| x != 0.0)),
            (DataType::Bool, Entries::Int(_, v)) => boolean(v.iter().map(|&x| x != 0)),
            (DataType::Int64 | DataType::Int32, Entries::Float(v)) => {
                Entries::Int(element, v.iter().map(|&x| x as i64).collect())
            }
            (DataType::Int64 | DataType::Int32, Entries::Double(v)) => {
                Entries::Int(element, v.iter().map(|&x| x as i64).collect())
            }
            (DataType::Int64 | DataType::Int32, Entries::Int(_, v)) => Entries::Int(element, v.clone()),
            (other, _) => return Err(element_type(&self.name, other.as_str_name())),
        };
        if let Entries::Int(element, values) = &entries {
            self.check_range(*element, values)?;
        }
        Ok(Constant { entries, ..self.clone() })
    }

    /// Refuses entries that an element type cannot hold.
    fn check_range(&self, element: DataType, values: &[i64]) -> Result<(), ModelError> {
        let Some((lo, hi)) = integer_range(element) else { return Ok(()) };
        match values.iter().find(|value| !(lo..=hi).contains(value)) {
            None => Ok(()),
            Some(value) => Err(ModelError::Tensor {
                tensor: self.name.clone(),
                reason: format!("its entry {value} is no {}", element.as_str_name()),
            }),
        }
    }

    /// The same entries under another shape, which must have as many.
    pub(super) fn reshaped(&self, shape: Vec<usize>) -> Self {
        Constant { shape, ..self.clone() }
    }

    /// The constant of `shape` whose entry `i` is this one's entry `source(i)`.
    pub(super) fn gather(&self, shape: Vec<usize>, len: usize, source: impl Fn(usize) -> usize) -> Self {
        let entries = map_entries!(&self.entries, v => (0..len).map(|i| v[source(i)]).collect());
        Constant { name: self.name.clone(), shape, entries }
    }

    /// The constant with its axes permuted: axis `j` of the result is axis `perm[j]` of this one.
    ///
    /// `perm` must be a permutation of the axes.
    pub(super) fn transpose(&self, perm: &[usize]) -> Self {
        let strides = strides(&self.shape);
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
        self.gather(shape.clone(), self.len(), source)
    }

    /// The constant as a tensor of a file.
    pub(super) fn proto(&self, name: &str) -> TensorProto {
        let element = self.element();
        TensorProto {
            name: name.to_owned(),
            dims: self.shape.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect(),
            data_type: element as i32,
            raw_data: match &self.entries {
                Entries::Float(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
                Entries::Double(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
                Entries::Int(_, v) => {
                    let width = width(element).unwrap_or(8);
                    v.iter().flat_map(|x| x.to_le_bytes().into_iter().take(width)).collect()
                }
            },
            ..TensorProto::default()
        }
    }
}

/// Row-major distances between neighbours along every axis.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
    }
    strides
}

/// Number of entries of a shape, if it is within the limits of the proof system.
pub(super) fn entries_of(shape: &[usize]) -> Option<usize> {
    let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
    (len <= MAX_ENTRIES && shape.len() <= MAX_AXES).then_some(len)
}

/// Smallest and largest value of an integer type; `None` for other types.
pub(super) fn integer_range(element: DataType) -> Option<(i64, i64)> {
    Some(match element {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Uint8 => (0, u8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Uint16 => (0, u16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::Uint32 => (0, u32::MAX.into()),
        DataType::Int64 => (i64::MIN, i64::MAX),
        DataType::Bool => (0, 1),
        _ => return None,
    })
}

/// Bytes of an entry, for the types that are read.
fn width(element: DataType) -> Option<usize> {
    Some(match element {
        DataType::Int8 | DataType::Uint8 | DataType::Bool => 1,
        DataType::Int16 | DataType::Uint16 => 2,
        DataType::Float | DataType::Int32 | DataType::Uint32 => 4,
        DataType::Double | DataType::Int64 => 8,
        _ => return None,
    })
}

fn read_entries(proto: &TensorProto, element: DataType) -> Entries {
    let raw = &proto.raw_data;
    match element {
        DataType::Float if raw.is_empty() => Entries::Float(proto.float_data.clone()),
        DataType::Float => Entries::Float(little_endian(raw, f32::from_le_bytes)),
        DataType::Double if raw.is_empty() => Entries::Double(proto.double_data.clone()),
        DataType::Double => Entries::Double(little_endian(raw, f64::from_le_bytes)),
        _ => Entries::Int(element, read_integers(proto, element)),
    }
}

fn read_integers(proto: &TensorProto, element: DataType) -> Vec<i64> {
    let raw = &proto.raw_data;
    if raw.is_empty() {
        return match element {
            DataType::Int64 => proto.int64_data.clone(),
            DataType::Uint32 => {
                proto.uint64_data.iter().map(|&v| i64::try_from(v).unwrap_or(i64::MAX)).collect()
            }
            DataType::Uint8 => proto.int32_data.iter().map(|&v| (v as u8).into()).collect(),
            DataType::Int8 => proto.int32_data.iter().map(|&v| (v as i8).into()).collect(),
            DataType::Uint16 => proto.int32_data.iter().map(|&v| (v as u16).into()).collect(),
            DataType::Int16 => proto.int32_data.iter().map(|&v| (v as i16).into()).collect(),
            DataType::Bool => proto.int32_data.iter().map(|&v| (v != 0).into()).collect(),
            _ => proto.int32_data.iter().map(|&v| v.into()).collect(),
        };
    }
    match element {
        DataType::Int8 => little_endian(raw, |b| i8::from_le_bytes(b).into()),
        DataType::Uint8 => little_endian(raw, |b| u8::from_le_bytes(b).into()),
        DataType::Bool => raw.iter().map(|&b| (b != 0).into()).collect(),
        DataType::Int16 => little_endian(raw, |b| i16::from_le_bytes(b).into()),
        DataType::Uint16 => little_endian(raw, |b| u16::from_le_bytes(b).into()),
        DataType::Uint32 => little_endian(raw, |b| u32::from_le_bytes(b).into()),
        DataType::Int64 => little_endian(raw, i64::from_le_bytes),
        _ => little_endian(raw, |b| i32::from_le_bytes(b).into()),
    }
}

fn count(entries: &Entries) -> usize {
    match entries {
        Entries::Float(v) => v.len(),
        Entries::Double(v) => v.len(),
        Entries::Int(_, v) => v.len(),
    }
}

/// Boolean entries.
pub(super) fn boolean(values: impl Iterator<Item = bool>) -> Entries {
    Entries::Int(DataType::Bool, values.map(i64::from).collect())
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
