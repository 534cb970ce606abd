//! Every kind of layer over random shapes, alone and in graphs: constraints, executor and verifier agree, also at the extremes.

use super::honest::{accepted, extremes, keys};
use super::models::{Model, Network, uniform};
use crate::ProveOptions;
use proptest::prelude::*;
use provenn_circuits::Modes;
use provenn_circuits::functions::{Curve, Dyadic, Sampled};
use provenn_circuits::layers::{
    Activation, Affine, Arrange, AveragePool, AxisSource, Combine, Conv, Function, Gemm, Layer, MaxPool,
    Product, Reduce, Requantize, Reshape, Window,
};
use provenn_circuits::model::{Range, Scale, TableBits};
use rand_chacha::ChaCha20Rng;

/// A source of small choices.
struct Choices(ChaCha20Rng);

impl Choices {
    fn up_to(&mut self, most: usize) -> usize {
        uniform(&mut self.0, Range::new(0, most as i64)) as usize
    }

    fn between(&mut self, least: i64, most: i64) -> i64 {
        uniform(&mut self.0, Range::new(least, most))
    }

    fn flip(&mut self) -> bool {
        self.up_to(1) == 1
    }

    fn window(&mut self, axes: usize) -> Window {
        let mut list = |least: i64, most: i64| (0..axes).map(|_| self.between(least, most) as u32).collect();
        Window {
            kernel: list(1, 4),
            strides: list(1, 3),
            dilations: list(1, 2),
            begin: list(0, 2),
            end: list(0, 2),
        }
    }

    fn scale(&mut self) -> Scale {
        Scale { mantissa: 5, exponent: -(self.up_to(3) as i32) - 4 }
    }

    fn requantization(&mut self) -> (u8, Function, Range) {
        let function = match self.up_to(3) {
            0 => Function::Relu,
            1 => Function::Table(Sampled {
                curve: match self.up_to(3) {
                    0 => Curve::Sigmoid,
                    1 => Curve::Tanh,
                    2 => Curve::LeakyRelu { alpha: Dyadic { mantissa: 3, exponent: -4 } },
                    _ => Curve::HardSwish,
                },
                input: self.scale(),
                output: self.scale(),
                bits: 4 + self.up_to(3) as u8,
            }),
            _ => Function::Identity,
        };
        let hi = self.between(1, 40);
        let lo = if function == Function::Relu { 0 } else { -self.between(0, 40) };
        (self.up_to(8) as u8, function, Range::new(lo, hi))
    }

    fn bits(&mut self, least: i64, most: i64) -> Option<u8> {
        self.flip().then(|| self.between(least, most) as u8)
    }

    /// A layer of some kind for operands of these shapes; it need not fit.
    fn layer(&mut self, shapes: &[&[usize]]) -> Layer {
        let shape = shapes[0];
        let spatial = shape.len().saturating_sub(2).max(1);
        match self.up_to(10) {
            0 | 1 if shapes.len() == 1 => {
                let channels = shape.get(1).copied().unwrap_or(1) as u32;
                let divisors: Vec<u32> = (1..=channels).filter(|d| channels.is_multiple_of(*d)).collect();
                let groups = divisors[self.up_to(divisors.len() - 1)];
                Layer::Conv(Conv {
                    groups,
                    outputs: groups * self.between(1, 3) as u32,
                    channels: channels / groups,
                    window: self.window(spatial),
                    weight_bits: self.between(2, 9) as u8,
                    bias_bits: self.bits(2, 14),
                    requantize: None,
                })
            }
            2 if shapes.len() == 1 => Layer::MaxPool(MaxPool { window: self.window(spatial) }),
            3 if shapes.len() == 1 => {
                let window = self.window(spatial);
                let include = |axis: usize| [window.begin[axis], window.end[axis]];
                let include =
                    (0..spatial).map(|axis| if self.flip() { include(axis) } else { [0, 0] }).collect();
                let numerator = self.between(1, 1 << 12) as u64;
                Layer::AveragePool(AveragePool { include, window, numerator, requantize: None })
            }
            4 if shapes.len() == 1 => {
                let axes: Vec<u32> = (0..shape.len() as u32).filter(|_| self.flip()).collect();
                let kept = self.flip();
                let summed = |axis: usize| axes.contains(&(axis as u32));
                let all = shape.iter().enumerate().map(|(axis, &d)| if summed(axis) { 1 } else { d as u32 });
                let left =
                    shape.iter().enumerate().filter(|(axis, _)| !summed(*axis)).map(|(_, &d)| d as u32);
                let shape = if kept { all.collect() } else { left.collect() };
                Layer::Reduce(Reduce { axes, shape, multiplier: self.between(1, 300), requantize: None })
            }
            5 => {
                let coefficients = shapes.iter().map(|_| self.between(-300, 300)).collect();
                Layer::Combine(Combine { coefficients, offset: self.between(-500, 500), requantize: None })
            }
            6 if shapes.len() == 2 => {
                Layer::Product(Product { multiplier: self.between(-5, 9), requantize: None })
            }
            7 if shapes.len() == 1 => {
                let shape = shape.iter().map(|&d| if self.flip() { d as u32 } else { 1 }).collect();
                let weight_bits = self.bits(2, 9);
                let multiplier = if weight_bits.is_some() { 0 } else { self.between(-9, 9) };
                Layer::Affine(Affine {
                    shape,
                    weight_bits,
                    multiplier,
                    bias_bits: self.bits(2, 12),
                    requantize: None,
                })
            }
            8 => self.arrangement(shapes),
            9 if shapes.len() == 1 => {
                let inputs = shape.last().copied().unwrap_or(1) as u32;
                let outputs = self.between(1, 5) as u32;
                let weight_bits = self.between(2, 9) as u8;
                let bias_bits = self.bits(2, 12);
                Layer::Gemm(Gemm { inputs, outputs, weight_bits, bias_bits, requantize: None })
            }
            _ => {
                let entries: usize = shape.iter().product();
                let divisors: Vec<usize> = (1..=entries).filter(|d| entries.is_multiple_of(*d)).collect();
                let first = divisors[self.up_to(divisors.len() - 1)];
                Layer::Reshape(Reshape { shape: vec![first as u32, (entries / first) as u32] })
            }
        }
    }

    /// A transposition, slice and padding of one operand, or a concatenation of several.
    fn arrangement(&mut self, shapes: &[&[usize]]) -> Layer {
        let axes = shapes[0].len();
        let fill = self.between(-3, 3);
        let source = |axis: usize, offset: i64, stride: i64, repeat: bool| AxisSource {
            axis: Some(axis as u32),
            offset: offset as i32,
            stride: stride as i32,
            repeat,
        };
        if shapes.len() > 1 {
            let along = self.up_to(axes.max(1) - 1);
            let mut at = 0;
            let mut pieces = Vec::new();
            for shape in shapes {
                pieces.push(
                    (0..shape.len()).map(|a| source(a, if a == along { -at } else { 0 }, 1, true)).collect(),
                );
                at += shape.get(along).copied().unwrap_or(1) as i64;
            }
            let mut shape: Vec<u32> = shapes[0].iter().map(|&d| d as u32).collect();
            if let Some(length) = shape.get_mut(along) {
                *length = at as u32;
            }
            return Layer::Arrange(Arrange { periods: vec![1; axes], shape, pieces, fill });
        }
        let turn = self.up_to(axes.max(1) - 1);
        let mut shape = Vec::new();
        let mut periods = Vec::new();
        let mut piece = Vec::new();
        for (a, &extent) in shapes[0].iter().enumerate() {
            let period = self.between(1, 2);
            shape.push((self.between(1, extent as i64 + 2) * period) as u32);
            periods.push(period as u32);
            let back = self.flip();
            let offset = if back { extent as i64 - 1 } else { self.between(-1, 1) };
            let stride = self.between(1, 2) * if back { -1 } else { 1 };
            piece.push((a, offset, stride, self.flip()));
        }
        // Output axis `a` is fed by operand axis `a + turn`.
        let mut sources: Vec<AxisSource> = piece.iter().map(|&(a, o, s, r)| source(a, o, s, r)).collect();
        for source in &mut sources {
            source.axis = source.axis.map(|a| (a + turn as u32) % axes as u32);
        }
        Layer::Arrange(Arrange { shape, periods, pieces: vec![sources], fill })
    }
}

/// A random graph of up to `layers` layers over an operand `[batch, channels, spatial..]`.
fn graph(layers: usize, seed: u64) -> Model {
    let mut choices = Choices(super::models::rng(seed));
    let rank = 3 + choices.up_to(1);
    let shape: Vec<usize> = (0..rank).map(|axis| 1 + choices.up_to(if axis == 0 { 1 } else { 5 })).collect();
    let range = if choices.flip() { Range::new(0, 31) } else { Range::new(-20, 31) };
    let tables = TableBits { limb: 4 + choices.up_to(4) as u8, direct: 6 + choices.up_to(4) as u8 };
    let mut network = Network::new(&shape, range, tables, seed ^ 1);
    let mut tries = 0;
    while network.len() <= layers && tries < 60 {
        tries += 1;
        // Mostly the newest value, so that graphs grow deep; any earlier one for the second operand.
        let newest = network.len() - 1;
        let mut inputs = vec![if choices.up_to(3) == 0 { choices.up_to(newest) } else { newest }];
        if choices.up_to(2) == 0 {
            inputs.push(choices.up_to(newest));
        }
        let shapes: Vec<&[usize]> = inputs.iter().map(|&value| &network.value(value).shape[..]).collect();
        let layer = choices.layer(&shapes);
        let last = network.len() == layers;
        let requantize = (!last || choices.flip()).then(|| choices.requantization());
        if network.value(newest).len() < 2000 {
            network.add(layer, &inputs, requantize);
        }
    }
    if network.len() == 1 {
        let requantize = Requantize { shift: 0, function: Function::Identity, output: range, domain: 6 };
        network.add(Layer::Activation(Activation { requantize }), &[0], Some((0, Function::Identity, range)));
    }
    network.model
}

/// Proves with every choice of what is committed: then the verifier knows the output's range from the constraints alone.
fn accepted_in_all_modes(model: &Model, input: &[i64]) {
    let (pk, vk) = keys(model);
    for modes in Modes::ALL {
        let options = ProveOptions { modes, ..ProveOptions::default() };
        let proof = pk.prove(input, options).expect("a valid input");
        assert_eq!(proof.output, model.run(input));
        assert!(vk.verify(&proof.bytes, b"").is_ok(), "{modes:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn single_layers_are_proved_on_random_and_extreme_inputs(seed in any::<u64>()) {
        let model = graph(1, seed);
        let mut inputs = extremes(&model);
        inputs.push(model.random_input(seed));
        accepted(&model, &inputs);
        accepted_in_all_modes(&model, &inputs[0]);
    }

    #[test]
    fn graphs_of_layers_are_proved_on_random_and_extreme_inputs(seed in any::<u64>(), layers in 2usize..7) {
        let model = graph(layers, seed);
        let mut inputs = extremes(&model);
        inputs.push(model.random_input(seed));
        accepted(&model, &inputs);
    }
}
