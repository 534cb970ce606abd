//! Samples for calibration and measurement: JSON, NPY and NPZ files.

use crate::error::ModelError;
use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadNpyError, ReadNpyExt, ReadNpzError};
use std::io::Cursor;
use std::path::Path;

/// Samples, each with the entries of one input of the model, and their labels if there are any.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// The samples, row-major; all of one length, every entry finite.
    pub samples: Vec<Vec<f32>>,
    /// One label a sample.
    pub labels: Option<Vec<i64>>,
}

impl Dataset {
    /// Loads a `.json`, `.npy` or `.npz` file of samples that have `input_len` entries each.
    ///
    /// The file holds an array whose leading axis counts the samples, or exactly one sample. See
    /// [`Dataset::from_json_bytes`], [`Dataset::from_npy_bytes`] and [`Dataset::from_npz_bytes`].
    ///
    /// # Errors
    /// [`ModelError`] naming the file, or the sample and index that do not fit.
    pub fn load(path: impl AsRef<Path>, input_len: usize) -> Result<Self, ModelError> {
        let path = path.as_ref();
        let name = || path.display().to_string();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        let parse = match extension.as_str() {
            "json" => Self::from_json_bytes,
            "npy" => Self::from_npy_bytes,
            "npz" => Self::from_npz_bytes,
            _ => return Err(ModelError::DataFormat { path: name() }),
        };
        let bytes = std::fs::read(path).map_err(|reason| ModelError::Io { path: name(), reason })?;
        parse(&bytes, input_len)
    }

    /// Reads `{"input_data": ARRAY}`, with an optional `"labels"` array, or a plain array, nested to any depth.
    ///
    /// # Errors
    /// As [`Dataset::load`].
    pub fn from_json_bytes(bytes: &[u8], input_len: usize) -> Result<Self, ModelError> {
        use serde_json::Value;
        // Some writers put NaN and Infinity where JSON has no numbers: as strings, they are refused with their place.
        let root: Value = serde_json::from_slice(bytes)
            .or_else(|e| serde_json::from_slice(&with_quoted_constants(bytes)).map_err(|_| e))
            .map_err(|e| bad_data(format!("not JSON: {e}")))?;
        let (data, labels) = match &root {
            Value::Object(object) => {
                let data = object.get("input_data");
                (data.ok_or_else(|| bad_data("no key \"input_data\""))?, object.get("labels"))
            }
            other => (other, None),
        };
        let labels = match labels {
            None => None,
            Some(Value::Array(labels)) => Some(
                labels
                    .iter()
                    .enumerate()
                    .map(|(index, label)| {
                        label.as_i64().ok_or_else(|| ModelError::Label { index, actual: label.to_string() })
                    })
                    .collect::<Result<Vec<_>, _>>()?,
            ),
            Some(_) => return Err(bad_data("\"labels\" is not an array")),
        };
        let samples = json_samples(data, input_len)?
            .into_iter()
            .enumerate()
            .map(|(sample, leaves)| {
                leaves
                    .into_iter()
                    .enumerate()
                    .map(|(index, leaf)| match leaf.as_f64() {
                        Some(value) => Ok(value as f32),
                        None => Err(ModelError::SampleValue { sample, index, actual: leaf.to_string() }),
                    })
                    .collect()
            })
            .collect::<Result<Vec<_>, _>>()?;
        Self::checked(samples, labels)
    }

    /// Reads one array of floats or integers.
    ///
    /// # Errors
    /// As [`Dataset::load`].
    pub fn from_npy_bytes(bytes: &[u8], input_len: usize) -> Result<Self, ModelError> {
        let array = Array::read(|kind| kind.npy(bytes))?;
        Self::checked(array.samples(input_len)?, None)
    }

    /// Reads the arrays `x` and, if there is one, `y`; a single array of any name is taken for `x`.
    ///
    /// # Errors
    /// As [`Dataset::load`].
    pub fn from_npz_bytes(bytes: &[u8], input_len: usize) -> Result<Self, ModelError> {
        let mut reader =
            NpzReader::new(Cursor::new(bytes)).map_err(|e| bad_data(format!("not an NPZ file: {e}")))?;
        let names = reader.names().map_err(|e| bad_data(format!("not an NPZ file: {e}")))?;
        let x = match names.as_slice() {
            [only] => only.as_str(),
            names if names.iter().any(|name| name == "x") => "x",
            _ => return Err(bad_data(format!("no array x, found {}", names.join(", ")))),
        };
        let samples = Array::read(|kind| kind.npz(&mut reader, x))?.samples(input_len)?;
        let labels = if x == "x" && names.iter().any(|name| name == "y") {
            Some(Array::read(|kind| kind.npz(&mut reader, "y"))?.labels()?)
        } else {
            None
        };
        Self::checked(samples, labels)
    }

    fn checked(samples: Vec<Vec<f32>>, labels: Option<Vec<i64>>) -> Result<Self, ModelError> {
        for (sample, entries) in samples.iter().enumerate() {
            check_finite(sample, entries)?;
        }
        match &labels {
            Some(labels) if labels.len() != samples.len() => {
                Err(ModelError::LabelCount { expected: samples.len(), actual: labels.len() })
            }
            _ => Ok(Dataset { samples, labels }),
        }
    }
}

/// Refuses a sample with an entry that is not a finite number.
pub(crate) fn check_finite(sample: usize, entries: &[f32]) -> Result<(), ModelError> {
    match entries.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(index) => Err(ModelError::SampleValue { sample, index, actual: entries[index].to_string() }),
    }
}

fn bad_data(reason: impl Into<String>) -> ModelError {
    ModelError::Data { reason: reason.into().split_whitespace().collect::<Vec<_>>().join(" ") }
}

/// The same text with the bare words `NaN`, `Infinity` and `-Infinity` outside of strings in quotes.
fn with_quoted_constants(text: &[u8]) -> Vec<u8> {
    const WORDS: [&[u8]; 3] = [b"NaN", b"-Infinity", b"Infinity"];
    let mut quoted = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    while let Some(&byte) = rest.first() {
        let word = WORDS.iter().find(|word| !in_string && rest.starts_with(word));
        let (taken, tail) = rest.split_at(match (word, byte) {
            (Some(word), _) => word.len(),
            (None, b'\\') => 2.min(rest.len()),
            _ => 1,
        });
        in_string ^= byte == b'"';
        let mark: &[u8] = if word.is_some() { b"\"" } else { b"" };
        quoted.extend_from_slice(mark);
        quoted.extend_from_slice(taken);
        quoted.extend_from_slice(mark);
        rest = tail;
    }
    quoted
}

fn json_samples(data: &serde_json::Value, len: usize) -> Result<Vec<Vec<&serde_json::Value>>, ModelError> {
    fn leaves<'a>(value: &'a serde_json::Value, out: &mut Vec<&'a serde_json::Value>) {
        match value {
            serde_json::Value::Array(values) => values.iter().for_each(|value| leaves(value, out)),
            leaf => out.push(leaf),
        }
    }
    let serde_json::Value::Array(children) = data else {
        return Err(bad_data("the data is not an array"));
    };
    let parts: Vec<Vec<_>> = children
        .iter()
        .map(|child| {
            let mut part = Vec::new();
            leaves(child, &mut part);
            part
        })
        .collect();
    if parts.iter().all(|part| part.len() == len) {
        return Ok(parts);
    }
    let total = parts.iter().map(Vec::len).sum();
    if total == len {
        return Ok(vec![parts.concat()]);
    }
    match children.as_slice() {
        [only @ serde_json::Value::Array(_)] => json_samples(only, len),
        _ if children.iter().any(serde_json::Value::is_array) => {
            let (sample, part) =
                parts.iter().enumerate().find(|(_, part)| part.len() != len).unwrap_or((0, &parts[0]));
            Err(ModelError::SampleLength { sample, expected: len, actual: part.len() })
        }
        _ => Err(ModelError::SampleLength { sample: 0, expected: len, actual: total }),
    }
}

/// An array of any numeric type.
enum Array {
    Float(ArrayD<f32>),
    Double(ArrayD<f64>),
    Int(ArrayD<i64>),
}

/// Element types of NPY files that are read.
#[derive(Clone, Copy)]
enum Kind {
    F32,
    F64,
    I64,
    U64,
    I32,
    U32,
    I16,
    U16,
    I8,
    U8,
}

impl Kind {
    const ALL: [Kind; 10] = [
        Kind::F32,
        Kind::F64,
        Kind::I64,
        Kind::U64,
        Kind::I32,
        Kind::U32,
        Kind::I16,
        Kind::U16,
        Kind::I8,
        Kind::U8,
    ];

    fn npy(self, bytes: &[u8]) -> Result<Array, ReadNpyError> {
        fn read<T: ndarray_npy::ReadableElement>(bytes: &[u8]) -> Result<ArrayD<T>, ReadNpyError> {
            ArrayD::read_npy(Cursor::new(bytes))
        }
        Ok(match self {
            Kind::F32 => Array::Float(read(bytes)?),
            Kind::F64 => Array::Double(read(bytes)?),
            Kind::I64 => Array::Int(read(bytes)?),
            Kind::U64 => Array::Int(read::<u64>(bytes)?.mapv(|v| i64::try_from(v).unwrap_or(i64::MAX))),
            Kind::I32 => Array::Int(read::<i32>(bytes)?.mapv(i64::from)),
            Kind::U32 => Array::Int(read::<u32>(bytes)?.mapv(i64::from)),
            Kind::I16 => Array::Int(read::<i16>(bytes)?.mapv(i64::from)),
            Kind::U16 => Array::Int(read::<u16>(bytes)?.mapv(i64::from)),
            Kind::I8 => Array::Int(read::<i8>(bytes)?.mapv(i64::from)),
            Kind::U8 => Array::Int(read::<u8>(bytes)?.mapv(i64::from)),
        })
    }

    fn npz(self, reader: &mut NpzReader<Cursor<&[u8]>>, name: &str) -> Result<Array, ReadNpyError> {
        fn read<T: ndarray_npy::ReadableElement>(
            reader: &mut NpzReader<Cursor<&[u8]>>,
            name: &str,
        ) -> Result<ArrayD<T>, ReadNpyError> {
            reader.by_name::<OwnedRepr<T>, IxDyn>(name).map_err(|error| match error {
                ReadNpzError::Npy(error) => error,
                ReadNpzError::Zip(error) => ReadNpyError::Io(error.into()),
            })
        }
        Ok(match self {
            Kind::F32 => Array::Float(read(reader, name)?),
            Kind::F64 => Array::Double(read(reader, name)?),
            Kind::I64 => Array::Int(read(reader, name)?),
            Kind::U64 => {
                Array::Int(read::<u64>(reader, name)?.mapv(|v| i64::try_from(v).unwrap_or(i64::MAX)))
            }
            Kind::I32 => Array::Int(read::<i32>(reader, name)?.mapv(i64::from)),
            Kind::U32 => Array::Int(read::<u32>(reader, name)?.mapv(i64::from)),
            Kind::I16 => Array::Int(read::<i16>(reader, name)?.mapv(i64::from)),
            Kind::U16 => Array::Int(read::<u16>(reader, name)?.mapv(i64::from)),
            Kind::I8 => Array::Int(read::<i8>(reader, name)?.mapv(i64::from)),
            Kind::U8 => Array::Int(read::<u8>(reader, name)?.mapv(i64::from)),
        })
    }
}

impl Array {
    /// Tries the element types in turn.
    fn read(mut attempt: impl FnMut(Kind) -> Result<Array, ReadNpyError>) -> Result<Array, ModelError> {
        let mut found = String::new();
        for kind in Kind::ALL {
            match attempt(kind) {
                Ok(array) => return Ok(array),
                Err(ReadNpyError::WrongDescriptor(descriptor)) => found = descriptor.to_string(),
                Err(error) => return Err(bad_data(format!("not an NPY array: {error}"))),
            }
        }
        Err(ModelError::ElementType {
            tensor: "data".to_owned(),
            actual: found,
            expected: "floats or integers",
        })
    }

    fn shape(&self) -> &[usize] {
        match self {
            Array::Float(array) => array.shape(),
            Array::Double(array) => array.shape(),
            Array::Int(array) => array.shape(),
        }
    }

    fn samples(&self, len: usize) -> Result<Vec<Vec<f32>>, ModelError> {
        let shape = self.shape();
        let flat: Vec<f32> = match self {
            Array::Float(array) => array.iter().copied().collect(),
            Array::Double(array) => array.iter().map(|&v| v as f32).collect(),
            Array::Int(array) => array.iter().map(|&v| v as f32).collect(),
        };
        let each: usize = shape.iter().skip(1).product();
        if !shape.is_empty() && each == len && len > 0 {
            return Ok(flat.chunks(len).map(<[f32]>::to_vec).collect());
        }
        if flat.len() == len {
            return Ok(vec![flat]);
        }
        let actual = if shape.len() > 1 { each } else { flat.len() };
        Err(ModelError::SampleLength { sample: 0, expected: len, actual })
    }

    fn labels(&self) -> Result<Vec<i64>, ModelError> {
        let integral = |(index, value): (usize, f64)| {
            if value.fract() == 0.0 && value.abs() < 2f64.powi(53) {
                Ok(value as i64)
            } else {
                Err(ModelError::Label { index, actual: value.to_string() })
            }
        };
        match self {
            Array::Int(array) => Ok(array.iter().copied().collect()),
            Array::Float(array) => array.iter().map(|&v| f64::from(v)).enumerate().map(integral).collect(),
            Array::Double(array) => array.iter().copied().enumerate().map(integral).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2, Array3};
    use ndarray_npy::{NpzWriter, WriteNpyExt};

    fn json(text: &str, len: usize) -> Result<Dataset, ModelError> {
        Dataset::from_json_bytes(text.as_bytes(), len)
    }

    fn npy<T: ndarray_npy::WritableElement, D: ndarray::Dimension>(array: ndarray::Array<T, D>) -> Vec<u8> {
        let mut bytes = Vec::new();
        array.write_npy(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn json_arrays_of_any_depth_are_samples() {
        let one = vec![vec![1.0, 2.0, 3.0, 4.0]];
        for text in [
            "[1, 2, 3, 4]",
            "[[1, 2, 3, 4]]",
            "[[1, 2], [3, 4]]",
            "[[[1, 2], [3, 4]]]",
            "[[[[[1], [2]], [[3], [4]]]]]",
            r#"{"input_data": [[1, 2, 3, 4.0]], "output_data": "ignored"}"#,
        ] {
            assert_eq!(json(text, 4).unwrap().samples, one, "{text}");
        }
        let two = vec![vec![1.0, 2.0], vec![3.0, 4.0]];
        for text in ["[[1, 2], [3, 4]]", "[[[1], [2]], [[3], [4]]]", "[[[1, 2], [3, 4]]]"] {
            assert_eq!(json(text, 2).unwrap().samples, two, "{text}");
        }
        assert_eq!(
            json(r#"{"input_data": [[1], [2]], "labels": [5, 6]}"#, 1).unwrap().labels,
            Some(vec![5, 6])
        );
    }

    #[test]
    fn json_errors_name_the_place() {
        let message = |text: &str, len| json(text, len).unwrap_err().to_string();
        assert_eq!(message("[[1, 2], [3]]", 2), "sample 1 has 1 entries, expected 2");
        assert_eq!(message("[1, 2, 3]", 2), "sample 0 has 3 entries, expected 2");
        assert_eq!(
            message(r#"[[1, 2], [3, "x"]]"#, 2),
            r#"sample 1, index 1 is "x", expected a finite number"#
        );
        assert_eq!(message("[[1, null]]", 2), "sample 0, index 1 is null, expected a finite number");
        assert_eq!(message("[[1, 1e300]]", 2), "sample 0, index 1 is inf, expected a finite number");
        assert_eq!(message(r#"{"data": []}"#, 2), "cannot read the data: no key \"input_data\"");
        assert_eq!(message("3", 2), "cannot read the data: the data is not an array");
        for word in ["NaN", "Infinity", "-Infinity"] {
            assert_eq!(
                message(&format!("[[1, 2], [{word}, 3]]"), 2),
                format!("sample 1, index 0 is \"{word}\", expected a finite number")
            );
        }
        assert!(message("[[1, Nan]]", 2).starts_with("cannot read the data: not JSON"));
        assert!(message(r#"{"a\"NaN": 1, "b": NaN}"#, 2).ends_with("no key \"input_data\""));
        assert_eq!(
            message(r#"{"input_data": [[1], [2]], "labels": [5]}"#, 1),
            "there are 1 labels, expected 2, one a sample"
        );
        assert_eq!(
            message(r#"{"input_data": [[1]], "labels": ["a"]}"#, 1),
            "label 0 is \"a\", expected an integer"
        );
    }

    #[test]
    fn npy_arrays_of_every_numeric_type_are_samples() {
        let expected = vec![vec![1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0]];
        macro_rules! check {
            ($($kind:ty),*) => {$(
                let array = Array2::from_shape_fn((2, 3), |(i, j)| (3 * i + j + 1) as $kind);
                assert_eq!(Dataset::from_npy_bytes(&npy(array), 3).unwrap().samples, expected);
            )*};
        }
        check!(f32, f64, i8, u8, i16, u16, i32, u32, i64, u64);
        let one = Array3::from_elem((1, 2, 3), 1f32);
        assert_eq!(Dataset::from_npy_bytes(&npy(one), 6).unwrap().samples.len(), 1);
        let flat = Array1::from_elem(6, 1f32);
        assert_eq!(Dataset::from_npy_bytes(&npy(flat.clone()), 6).unwrap().samples.len(), 1);
        let error = Dataset::from_npy_bytes(&npy(flat), 4).unwrap_err();
        assert!(matches!(error, ModelError::SampleLength { expected: 4, actual: 6, .. }));
    }

    #[test]
    fn npy_errors_name_the_place() {
        let mut array = Array2::from_elem((5, 20), 1f32);
        array[[3, 17]] = f32::NAN;
        let error = Dataset::from_npy_bytes(&npy(array), 20).unwrap_err();
        assert_eq!(error.to_string(), "sample 3, index 17 is NaN, expected a finite number");
        let error = Dataset::from_npy_bytes(&npy(Array1::from_elem(2, true)), 2).unwrap_err();
        assert!(matches!(error, ModelError::ElementType { .. }), "{error}");
        assert!(matches!(Dataset::from_npy_bytes(b"junk", 2), Err(ModelError::Data { .. })));
    }

    #[test]
    fn npz_takes_x_and_y_or_the_only_array() {
        let npz = |arrays: &[(&str, Array1<f64>)]| {
            let mut bytes = Cursor::new(Vec::new());
            let mut writer = NpzWriter::new_compressed(&mut bytes);
            for (name, array) in arrays {
                writer.add_array(*name, array).unwrap();
            }
            writer.finish().unwrap();
            bytes.into_inner()
        };
        let x = Array1::from(vec![1.0, 2.0]);
        let y = Array1::from(vec![7.0, 8.0]);
        let data = Dataset::from_npz_bytes(&npz(&[("y", y.clone()), ("x", x.clone())]), 1).unwrap();
        assert_eq!((data.samples, data.labels), (vec![vec![1.0], vec![2.0]], Some(vec![7, 8])));
        let data = Dataset::from_npz_bytes(&npz(&[("anything", x.clone())]), 1).unwrap();
        assert_eq!((data.samples.len(), data.labels), (2, None));
        let error = Dataset::from_npz_bytes(&npz(&[("a", x.clone()), ("b", y.clone())]), 1).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the data: no array x, found a, b");
        let error = Dataset::from_npz_bytes(&npz(&[("x", x), ("y", y)]), 2).unwrap_err();
        assert_eq!(error.to_string(), "there are 2 labels, expected 1, one a sample");
    }

    #[test]
    fn files_are_read_by_their_extension() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.JSON");
        std::fs::write(&path, "[1, 2]").unwrap();
        assert_eq!(Dataset::load(&path, 2).unwrap().samples, [[1.0, 2.0]]);
        assert!(matches!(Dataset::load(folder.path().join("x.csv"), 2), Err(ModelError::DataFormat { .. })));
        assert!(matches!(Dataset::load(folder.path().join("x.npz"), 2), Err(ModelError::Io { .. })));
    }
}
