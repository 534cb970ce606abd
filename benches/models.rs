//! What the benchmarks run on: the bundled models, and synthetic layers of one kind.

use provenn_circuits::layers::{Activation, Conv, Function, Layer, Requantize, Window};
use provenn_circuits::model::{Head, LayerList, Node, Range, Scale, TableBits, ValueSpec};
use provenn_models::zoo::ZooModel;
use provenn_models::{Dataset, QuantizeOptions, import, quantize};
use provenn_prover::ProvingKey;

/// A bundled model, committed, with one quantized held-out input.
///
/// # Panics
/// Never: bundled models are valid.
pub fn bundled(zoo: ZooModel) -> (ProvingKey, Vec<i64>) {
    let float = import(zoo.onnx).expect("the bundled model is valid");
    let samples = Dataset::from_npz_bytes(zoo.samples_npz, float.input_len()).expect("bundled samples");
    let test = Dataset::from_npz_bytes(zoo.test_npz, float.input_len()).expect("bundled samples");
    let model =
        quantize(&float, &samples.samples, &QuantizeOptions::default()).expect("the bundled model quantizes");
    let input =
        provenn_models::executor::quantize_input(&model.layers, &test.samples[0]).expect("a bundled sample");
    (committed(model.layers, model.parameters), input)
}

/// The range of signed 8-bit values, which synthetic models read.
pub const INPUT: Range = Range::new(-128, 127);

/// A single rectifier over `len` values, each looked up once: all its cost is that of the look-ups.
pub fn rectifier(len: u32) -> (ProvingKey, Vec<i64>) {
    let requantize = Requantize { shift: 0, function: Function::Relu, output: Range::new(0, 127), domain: 7 };
    single(&[len], Layer::Activation(Activation { requantize }))
}

/// A single 3x3 convolution of `channels` to as many channels of `side x side`, with its accumulators as output: nothing is
/// looked up, and all the cost of its reduction is that of folding weights and windows.
pub fn convolution(channels: u32, side: u32) -> (ProvingKey, Vec<i64>) {
    single(&[1, channels, side, side], convolution_layer(channels))
}

/// A 3x3 convolution of `channels` to as many channels, of the same sides.
pub fn convolution_layer(channels: u32) -> Layer {
    Layer::Conv(Conv {
        groups: 1,
        outputs: channels,
        channels,
        window: Window { begin: vec![1; 2], end: vec![1; 2], ..square_window(3, 1) },
        weight_bits: 8,
        bias_bits: None,
        requantize: None,
    })
}

/// A window of `kernel x kernel` positions, `stride` apart, without padding.
pub fn square_window(kernel: u32, stride: u32) -> Window {
    let both = |n: u32| vec![n; 2];
    Window { kernel: both(kernel), strides: both(stride), dilations: both(1), begin: both(0), end: both(0) }
}

/// A model of one layer over 8-bit values of this shape, with an input.
///
/// # Panics
/// If the layer does not fit the shape.
pub fn single(shape: &[u32], layer: Layer) -> (ProvingKey, Vec<i64>) {
    let mut network = Network::new(shape);
    network.add(layer, &[0]);
    network.committed()
}

/// A model under construction: layers with made-up parameters over an operand of 8-bit values.
#[derive(Debug)]
pub struct Network {
    layers: LayerList,
    parameters: Vec<Vec<i64>>,
    values: Vec<ValueSpec>,
}

impl Network {
    /// No layers yet; value 0 is the input.
    pub fn new(shape: &[u32]) -> Network {
        let scale = Scale { mantissa: 1, exponent: 0 };
        let layers = LayerList {
            input_shape: shape.to_vec(),
            input_range: INPUT,
            input_scale: scale,
            nodes: vec![],
            output_scale: scale,
            head: Head::None,
            tables: TableBits { limb: 8, direct: 8 },
        };
        let input = ValueSpec { shape: shape.iter().map(|&d| d as usize).collect(), range: INPUT };
        Network { layers, parameters: vec![], values: vec![input] }
    }

    /// Adds a layer that reads these values, as it is; returns the number of its value.
    ///
    /// # Panics
    /// If the layer does not fit its operands.
    pub fn add(&mut self, layer: Layer, inputs: &[usize]) -> usize {
        let node = self.layers.nodes.len();
        let specs: Vec<&ValueSpec> = inputs.iter().map(|&value| &self.values[value]).collect();
        let output = layer.output(node, &specs).expect("the layer fits its operands");
        self.parameters.extend(parameters(&layer, node));
        self.values.push(output);
        self.layers.nodes.push(Node { layer, inputs: inputs.iter().map(|&value| value as u32).collect() });
        self.values.len() - 1
    }

    /// Adds a layer whose accumulators are rectified and rounded to 8 bits, as between the layers of a trained model: quotients
    /// may exceed the output's range four times before they saturate.
    ///
    /// # Panics
    /// If the layer does not fit its operands, or has no accumulators.
    pub fn add_requantized(&mut self, mut layer: Layer, inputs: &[usize]) -> usize {
        const DOMAIN: u8 = 9;
        let node = self.layers.nodes.len();
        let specs: Vec<&ValueSpec> = inputs.iter().map(|&value| &self.values[value]).collect();
        let parameters = parameters(&layer, node);
        let own: Vec<&[i64]> = parameters.iter().map(|p| &p[..]).collect();
        let worst = layer.worst_case(&specs, &own).expect("accumulators of 62 bits");
        let fits = |shift: &u8| Requantize::domain_of(*shift, worst) <= DOMAIN;
        let shift = (0..=40).find(fits).expect("some shift rounds to a few bits");
        let domain = Requantize::domain_of(shift, worst);
        let output = Range::new(0, 127);
        layer.set_requantize(Some(Requantize { shift, function: Function::Relu, output, domain }));
        self.add(layer, inputs)
    }

    /// The model, committed, with an input.
    ///
    /// # Panics
    /// If the layers are no valid model.
    pub fn committed(self) -> (ProvingKey, Vec<i64>) {
        let input = (0..self.values[0].len() as i64).map(|i| i * 37 % 256 - 128).collect();
        (committed(self.layers, self.parameters), input)
    }
}

/// Integers of the declared bits for every parameter of a layer.
fn parameters(layer: &Layer, node: usize) -> Vec<Vec<i64>> {
    let made = |len: usize, bits: u32| {
        let (factor, modulus) = (53, 1i64 << bits.min(16));
        // A signed range is symmetric: the least value of two's complement is not in it.
        (0..len as i64).map(|i| (i * factor % modulus - modulus / 2).max(1 - modulus / 2)).collect()
    };
    layer.parameters(node).iter().map(|spec| made(spec.len(), spec.bits)).collect()
}

fn committed(layers: LayerList, parameters: Vec<Vec<i64>>) -> ProvingKey {
    let key = ProvingKey::commit(layers, parameters, vec![], &mut |_| {}).expect("a valid model");
    key.warm_up();
    key
}
