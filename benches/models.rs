//! What the benchmarks run on: the bundled models, and synthetic layers of one kind.

use provenn_circuits::layers::{Activation, Conv, Function, Layer, Requantize, Window};
use provenn_circuits::model::{Head, LayerList, Node, Range, Scale, TableBits};
use provenn_models::zoo::ZooModel;
use provenn_models::{Dataset, QuantizeOptions, import, quantize};
use provenn_prover::ProvingKey;

/// A bundled model, committed, with one quantized held-out input.
pub(crate) fn bundled(zoo: ZooModel) -> (ProvingKey, Vec<i64>) {
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
    single(vec![len], range, Layer::Activation(Activation { requantize }), vec![])
}

/// A single 3x3 convolution of `channels` to as many channels of `side x side`, with its accumulators as output: nothing is
/// looked up, and all the cost of its reduction is that of folding weights and windows.
pub(crate) fn convolution(channels: u32, side: u32) -> (ProvingKey, Vec<i64>) {
    let layer = Layer::Conv(Conv {
        groups: 1,
        outputs: channels,
        channels,
        window: Window {
            kernel: vec![3; 2],
            strides: vec![1; 2],
            dilations: vec![1; 2],
            begin: vec![1; 2],
            end: vec![1; 2],
        },
        weight_bits: 8,
        bias_bits: None,
        requantize: None,
    });
    let weights = (0..i64::from(9 * channels * channels)).map(|i| i * 53 % 256 - 128).collect();
    single(vec![1, channels, side, side], Range::new(-128, 127), layer, vec![weights])
}

/// A model of one layer, with an input.
fn single(shape: Vec<u32>, range: Range, layer: Layer, parameters: Vec<Vec<i64>>) -> (ProvingKey, Vec<i64>) {
    let scale = Scale { mantissa: 1, exponent: 0 };
    let len: u32 = shape.iter().product();
    let layers = LayerList {
        input_shape: shape,
        input_range: range,
        input_scale: scale,
        nodes: vec![Node { layer, inputs: vec![0] }],
        output_scale: scale,
        head: Head::None,
        tables: TableBits { limb: 8, direct: 8 },
    };
    let input = (0..i64::from(len)).map(|i| i * 37 % 256 - 128).collect();
    (committed(layers, parameters), input)
}

fn committed(layers: LayerList, parameters: Vec<Vec<i64>>) -> ProvingKey {
    let key = ProvingKey::commit(layers, parameters, vec![], &mut |_| {}).expect("a valid model");
    key.warm_up();
    key
}
