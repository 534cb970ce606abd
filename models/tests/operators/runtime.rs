//! Graphs that ONNX Runtime ran, as `generate.py` describes them.

use crate::{STEP, Tolerance, compare, size};
use ndarray::{ArrayD, Ix1, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadableElement};
use provenn_models::import;
use std::fs::File;
use std::path::Path;

/// Steps that an output may be off: half of one for its rounding, the rest for factors and table arguments of few bits.
const STEPS: f64 = 1.0;
/// Graphs with roundings before the last one.
const TWICE: f64 = 3.0;

fn rows<T: ReadableElement + Clone>(reader: &mut NpzReader<File>, name: &str) -> Vec<Vec<T>> {
    let array: ArrayD<T> = reader.by_name::<OwnedRepr<T>, IxDyn>(name).unwrap();
    array.outer_iter().map(|row| row.iter().cloned().collect()).collect()
}

fn check(reader: &mut NpzReader<File>, name: &str) -> Result<String, String> {
    let model: Vec<u8> = rows(reader, &format!("{name}/model")).concat();
    let inputs: Vec<Vec<f32>> = rows::<i16>(reader, &format!("{name}/x"))
        .iter()
        .map(|row| row.iter().map(|&steps| f32::from(steps) * STEP).collect())
        .collect();
    let expected: Vec<Vec<f32>> = rows(reader, &format!("{name}/y"));
    let float = import(&model).map_err(|error| format!("import: {error}"))?;
    let size = size(&expected);
    for (sample, (input, expected)) in inputs.iter().zip(&expected).enumerate() {
        let values = float.activations(sample, input).map_err(|error| format!("float engine: {error}"))?;
        let output = values.into_iter().next_back().flatten().ok_or("the float engine gives no output")?;
        for (index, (x, y)) in expected.iter().zip(&output).enumerate() {
            if (x - y).abs() > 1e-5 * size {
                return Err(format!("float engine, sample {sample}, output {index}: {y}, expected {x}"));
            }
        }
    }
    let tolerance = match float.layers.len() {
        _ if reader.by_name::<OwnedRepr<bool>, Ix1>(&format!("{name}/exact")).unwrap()[0] => Tolerance::Exact,
        1 => Tolerance::Steps(STEPS),
        _ => Tolerance::Steps(TWICE),
    };
    compare(&float, &inputs, &expected, size, tolerance)
        .map(|worst| format!("{worst:.3} steps, {tolerance:?}"))
}

#[test]
fn integer_models_are_close_to_what_onnx_runtime_computes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operators/operators.npz");
    let mut reader = NpzReader::new(File::open(path).unwrap()).unwrap();
    let mut names = reader.names().unwrap();
    names.retain(|name| name.trim_end_matches(".npy").ends_with("/model"));
    let names: Vec<&str> = names.iter().map(|name| name.split_once('/').unwrap().0).collect();
    assert!(names.len() > 200, "{} graphs", names.len());
    let mut wrong = Vec::new();
    for name in names {
        match check(&mut reader, name) {
            Ok(text) => println!("{name}: {text}"),
            Err(text) => wrong.push(format!("{name}: {text}")),
        }
    }
    assert!(wrong.is_empty(), "{} graphs:\n{}", wrong.len(), wrong.join("\n"));
}
