//! Models that ONNX Runtime quantized: the integer model gives the integers that ONNX Runtime gives.
//!
//! `generate.py` says what the fixtures hold. Integers differ only where a quotient is close to half a step: factors have a
//! limited number of bits here, and ONNX Runtime adds 32-bit floats. A layer alone is therefore nearly always equal, but for
//! means over a power of two of entries: there halves are common, and some of them are no longer halves in floats. A whole
//! model is nearly always equal if it is shallow; in a deep one every difference becomes several in the next layer, as it
//! does between ONNX Runtime's own float and integer kernels: those agree on 92.8 % of the outputs of `residual`, and on
//! 98.1 % of those of `resnet-digits`.

use ndarray::{ArrayD, Ix1, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadableElement};
use provenn_circuits::layers::{Layer, Operand};
use provenn_models::executor::{Executor, argmax, quantize_input};
use provenn_models::scale::scale_to_f64;
use provenn_models::{FloatModel, QuantizeOptions, QuantizedModel, import, quantize};
use std::fs::File;
use std::path::{Path, PathBuf};

fn path(name: &str, extension: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/qdq").join(format!("{name}.{extension}"))
}

/// The arrays that `generate.py` describes.
struct Arrays(NpzReader<File>);

impl Arrays {
    fn open(name: &str) -> Self {
        Arrays(NpzReader::new(File::open(path(name, "npz")).unwrap()).unwrap())
    }

    fn rows<T: ReadableElement + Clone>(&mut self, name: &str) -> Vec<Vec<T>> {
        let array: ArrayD<T> = self.0.by_name::<OwnedRepr<T>, IxDyn>(name).unwrap();
        array.outer_iter().map(|row| row.iter().cloned().collect()).collect()
    }

    fn integers(&mut self, name: &str) -> Vec<Vec<i64>> {
        self.rows::<i16>(name).iter().map(|row| row.iter().map(|&code| code.into()).collect()).collect()
    }

    fn number<T: ReadableElement + Clone>(&mut self, name: &str) -> T {
        self.0.by_name::<OwnedRepr<T>, Ix1>(name).unwrap()[0].clone()
    }
}

/// How far integers are from the expected ones.
#[derive(Debug, Default)]
struct Distance {
    count: usize,
    equal: usize,
    /// One more than expected.
    above: usize,
    /// The largest absolute difference.
    largest: u64,
}

impl Distance {
    fn include(&mut self, expected: &[i64], actual: &[i64]) {
        assert_eq!(expected.len(), actual.len());
        for (expected, actual) in expected.iter().zip(actual) {
            self.count += 1;
            self.equal += usize::from(actual == expected);
            self.above += usize::from(*actual == expected + 1);
            self.largest = self.largest.max(actual.abs_diff(*expected));
        }
    }

    fn equal(&self) -> f64 {
        self.equal as f64 / self.count as f64
    }
}

/// A fixture, and what this crate makes of it.
struct Case {
    name: &'static str,
    arrays: Arrays,
    inputs: Vec<Vec<f32>>,
    float: FloatModel,
    quantized: QuantizedModel,
}

impl Case {
    fn new(name: &'static str) -> Self {
        let mut arrays = Arrays::open(name);
        let float = import(&std::fs::read(path(name, "onnx")).unwrap()).unwrap();
        let inputs = arrays.rows("x");
        let calibrated: i64 = arrays.number("calibrated");
        let samples = &inputs[..calibrated as usize];
        let quantized = quantize(&float, samples, &QuantizeOptions::default()).unwrap();
        Case { name, arrays, inputs, float, quantized }
    }

    fn quantize(&self, input: &[f32]) -> Vec<i64> {
        quantize_input(&self.quantized.layers, input).unwrap()
    }

    /// Outputs of the whole model: this share is equal, the others are the next integer, and the classes of 99 % of the inputs
    /// are equal.
    fn outputs_agree(&mut self, share: f64) {
        let scale: f32 = self.arrays.number("scale");
        let layers = &self.quantized.layers;
        assert_eq!(scale_to_f64(layers.output_scale), f64::from(scale), "{}: the output's scale", self.name);
        let zero_point: i16 = self.arrays.number("zero_point");
        let centred = |rows: Vec<Vec<i64>>| -> Vec<Vec<i64>> {
            rows.iter().map(|row| row.iter().map(|code| code - i64::from(zero_point)).collect()).collect()
        };
        let graph = centred(self.arrays.integers("graph"));
        let kernels = centred(self.arrays.integers("kernels"));
        let executor = Executor::new(layers, &self.quantized.parameters).unwrap();
        let (mut distance, mut of_kernels, mut classes) = (Distance::default(), Distance::default(), 0);
        for ((input, graph), kernels) in self.inputs.iter().zip(&graph).zip(&kernels) {
            let output = executor.run(&self.quantize(input)).unwrap();
            distance.include(graph, &output);
            of_kernels.include(kernels, &output);
            classes += usize::from(argmax(graph) == argmax(&output));
        }
        let count = self.inputs.len();
        println!("{}: {:.4} equal, {distance:?}; {classes} of {count} classes", self.name, distance.equal());
        println!(
            "{}: {:.4} equal to ONNX Runtime's integer kernels, {of_kernels:?}",
            self.name,
            of_kernels.equal()
        );
        assert!(distance.equal() >= share && distance.largest <= 1, "{}: {distance:?}", self.name);
        assert!(classes as f64 >= 0.99 * count as f64, "{}: {classes} of {count} classes", self.name);
    }

    /// Every layer alone, on the integers that ONNX Runtime gives its operands.
    fn layers_agree(&mut self) {
        let layers = &self.quantized.layers;
        let specs = layers.values().unwrap();
        let mut parameters = vec![Vec::new(); layers.nodes.len()];
        for (spec, tensor) in layers.parameters().iter().zip(&self.quantized.parameters) {
            parameters[spec.node].push(tensor.as_slice());
        }
        let names = self.arrays.0.names().unwrap();
        let known: Vec<Option<Vec<Vec<i64>>>> = self
            .quantized
            .sources
            .iter()
            .map(|source| {
                let name = format!("at/{}", self.float.layers[(*source)?].name);
                let known = names.iter().any(|found| found.trim_end_matches(".npy") == name);
                known.then(|| self.arrays.integers(&name))
            })
            .collect();
        let traced = known.iter().flatten().next().map_or(0, Vec::len);
        let mut distances: Vec<Distance> = known.iter().map(|_| Distance::default()).collect();
        for (index, input) in self.inputs[..traced].iter().enumerate() {
            let mut values = vec![self.quantize(input)];
            for (node, spec) in specs[1..].iter().enumerate() {
                let layer = &layers.nodes[node];
                let operands: Vec<Operand> = layer
                    .inputs
                    .iter()
                    .map(|&value| Operand { spec: &specs[value as usize], values: &values[value as usize] })
                    .collect();
                let mut output = layer.layer.evaluate(&operands, spec, &parameters[node]);
                if let Some(known) = &known[node] {
                    distances[node].include(&known[index], &output);
                    output = known[index].clone();
                    assert!(output.iter().all(|&v| spec.range.contains(v)), "{}: {spec:?}", self.name);
                }
                values.push(output);
            }
        }
        for (node, distance) in distances.iter().enumerate().filter(|(_, distance)| distance.count > 0) {
            let (layer, name) = (&layers.nodes[node].layer, &self.quantized.layer_names[node]);
            println!("{} {name}: {} {:.4} equal, {distance:?}", self.name, layer.kind(), distance.equal());
            let good = match layer {
                // Halves are frequent, and ONNX Runtime's sums of 32-bit floats miss some of them.
                Layer::AveragePool(_) | Layer::Reduce(_) => distance.equal() >= 0.95,
                _ => distance.count - distance.equal <= 1 + distance.count / 1000,
            };
            assert!(good && distance.largest <= 1, "{} {name}: {distance:?}", self.name);
        }
        let sum = |part: fn(&Distance) -> usize| distances.iter().map(part).sum::<usize>() as f64;
        let share = sum(|distance| distance.equal) / sum(|distance| distance.count);
        println!("{}: {share:.4} of all layers' integers equal", self.name);
        assert!(share >= 0.997, "{}: {share} of all layers' integers equal", self.name);
        let compared = known.iter().flatten().count();
        println!("{}: {compared} of {} layers compared", self.name, layers.nodes.len());
        assert!(2 * compared > layers.nodes.len(), "{}: {compared} layers compared", self.name);
    }
}

fn check(name: &'static str, share: f64) {
    let mut case = Case::new(name);
    case.layers_agree();
    case.outputs_agree(share);
}

#[test]
fn a_cnn_with_scales_of_channels_gives_the_same_integers() {
    check("cnn-channels", 0.998);
    check("cnn-flatten", 0.998);
}

#[test]
fn a_cnn_with_signed_activations_gives_the_same_integers() {
    check("cnn-signed", 0.998);
}

#[test]
fn a_residual_network_gives_the_same_integers() {
    // Its means over four entries end in halves, and its last layer reads them.
    check("residual", 0.9);
    check("residual-signed", 0.94);
}

#[test]
fn lenet5_gives_the_same_integers() {
    check("lenet5", 0.998);
}

#[test]
fn resnet_digits_gives_the_same_integers() {
    check("resnet-digits", 0.97);
}

#[test]
fn mobilenet_digits_gives_the_same_integers() {
    check("mobilenet-digits", 0.99);
}

#[test]
fn conv1d_timeseries_gives_the_same_integers() {
    // Its means over four entries end in halves.
    check("conv1d-timeseries", 0.9);
}
