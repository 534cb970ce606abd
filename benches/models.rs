//! What the benchmarks run on: the bundled model, and synthetic layers of one kind.

use provenn_circuits::layers::{Activation, Function, Layer, Requantize};
use provenn_circuits::model::{Head, LayerList, Node, Range, Scale, TableBits};
use provenn_models::zoo::digits_mlp;
use provenn_models::{Dataset, QuantizeOptions, import, quantize};
use provenn_prover::ProvingKey;

/// The bundled digits perceptron, committed, with one quantized held-out input.
pub(crate) fn digits() -> (ProvingKey, Vec<i64>) {
    let zoo = digits_mlp();
    let float = import(zoo.onnx).expect("the bundled model is valid");
    let samples = Dataset::from_npz_bytes(zoo.samples_npz, float.input_len()).expect("bundled samples");
    let test = Dataset::from_npz_bytes(zoo.test_npz, float.input_len()).expect("bundled samples");
    let model =
        quantize(&float, &samples.samples, &QuantizeOptions::default()).expect("the bundled model quantizes");
    let input =
        provenn_models::executor::quantize_input(&model.layers, &test.samples[0]).expect("a bundled sample");
    (committed(model.layers, model.parameters), input)
}

/// A single rectifier over `len` values, each looked up once: all its cost is that of the look-ups.
pub(crate) fn rectifier(len: u32) -> (ProvingKey, Vec<i64>) {
    let range = Range::new(-128, 127);
    let requantize = Requantize { shift: 0, function: Function::Relu, output: Range::new(0, 127), domain: 7 };
    let scale = Scale { mantissa: 1, exponent: 0 };
    let layers = LayerList {
        input_shape: vec![len],
        input_range: range,
        input_scale: scale,
        nodes: vec![Node { layer: Layer::Activation(Activation { requantize }), inputs: vec![0] }],
        output_scale: scale,
        head: Head::None,
        tables: TableBits { limb: 8, direct: 8 },
    };
    let input = (0..i64::from(len)).map(|i| i * 37 % 256 - 128).collect();
    (committed(layers, vec![]), input)
}

fn committed(layers: LayerList, parameters: Vec<Vec<i64>>) -> ProvingKey {
    let key = ProvingKey::commit(layers, parameters, vec![], &mut |_| {}).expect("a valid model");
    key.prepare();
    key
}
