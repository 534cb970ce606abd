//! Builds small float graphs.

use crate::float::{FloatFunction, FloatLayer, FloatOp};
use provenn_circuits::functions::Curve;
use provenn_circuits::layers::{Arrange, AxisSource, Window};
use provenn_circuits::model::Range;

/// Pseudo-random numbers, the same in every run.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % n
    }

    /// In [-1, 1].
    pub(super) fn real(&mut self) -> f32 {
        self.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0
    }

    pub(super) fn reals(&mut self, count: usize, size: f32) -> Vec<f32> {
        (0..count).map(|_| self.real() * size).collect()
    }
}

/// A graph under construction.
#[derive(Debug, Clone)]
pub(super) struct Build {
    pub(super) input_shape: Vec<usize>,
    pub(super) layers: Vec<FloatLayer>,
    pub(super) random: Random,
}

impl Build {
    pub(super) fn new(input_shape: &[usize], seed: u64) -> Self {
        Build { input_shape: input_shape.to_vec(), layers: Vec::new(), random: Random::new(seed) }
    }

    pub(super) fn shape(&self, value: usize) -> Vec<usize> {
        if value == 0 { self.input_shape.clone() } else { self.layers[value - 1].shape.clone() }
    }

    pub(super) fn push(&mut self, op: FloatOp, inputs: &[usize], shape: &[usize]) -> usize {
        let name = format!("n{}", self.layers.len());
        let tensor = Some(name.clone());
        self.layers.push(FloatLayer { name, op, inputs: inputs.to_vec(), shape: shape.to_vec(), tensor });
        self.layers.len()
    }

    fn same(&mut self, op: FloatOp, x: usize) -> usize {
        let shape = self.shape(x);
        self.push(op, &[x], &shape)
    }

    /// A square window over two spatial axes, and the shape that it gives.
    fn window(&self, x: usize, k: usize, stride: usize, pad: usize) -> (Window, Vec<usize>) {
        let shape = self.shape(x);
        let list = |x: usize| vec![x as u32; 2];
        let (kernel, strides, dilations) = (list(k), list(stride), list(1));
        let window = Window { kernel, strides, dilations, begin: list(pad), end: list(pad) };
        let extent = |d: usize| (d + 2 * pad - k) / stride + 1;
        (window, vec![shape[0], shape[1], extent(shape[2]), extent(shape[3])])
    }

    pub(super) fn conv(
        &mut self,
        x: usize,
        outputs: usize,
        k: usize,
        (stride, pad, groups): (usize, usize, usize),
    ) -> usize {
        let (window, mut shape) = self.window(x, k, stride, pad);
        let row = shape[1] / groups * k * k;
        shape[1] = outputs;
        let mut weight = self.random.reals(outputs * row, 1.5 / (row as f32).sqrt());
        // Channels of different loudness.
        for (o, row) in weight.chunks_mut(row).enumerate() {
            row.iter_mut().for_each(|w| *w *= [1.0, 0.3, 2.0][o % 3]);
        }
        let bias = Some(self.random.reals(outputs, 0.3));
        self.push(FloatOp::Conv { groups, outputs, window, weight, bias }, &[x], &shape)
    }

    pub(super) fn gemm(&mut self, x: usize, outputs: usize) -> usize {
        let mut shape = self.shape(x);
        let inputs = shape.pop().unwrap();
        shape.push(outputs);
        let weight = self.random.reals(inputs * outputs, 1.5 / (inputs as f32).sqrt());
        let bias = Some(self.random.reals(outputs, 0.3));
        self.push(FloatOp::Gemm { inputs, outputs, weight, bias }, &[x], &shape)
    }

    /// Batch normalization.
    pub(super) fn norm(&mut self, x: usize) -> usize {
        let mut shape = vec![1; self.shape(x).len()];
        let channels = self.shape(x)[1];
        shape[1] = channels;
        let weight = Some(self.random.reals(channels, 0.5).iter().map(|w| w + 1.0).collect());
        let bias = Some(self.random.reals(channels, 0.3));
        self.same(FloatOp::Affine { shape, weight, bias }, x)
    }

    pub(super) fn relu(&mut self, x: usize) -> usize {
        self.same(FloatOp::Function(FloatFunction::Relu), x)
    }

    pub(super) fn clip(&mut self, x: usize, lo: f32, hi: f32) -> usize {
        self.same(FloatOp::Function(FloatFunction::Clip { lo, hi }), x)
    }

    pub(super) fn curve(&mut self, x: usize, curve: Curve) -> usize {
        self.same(FloatOp::Function(FloatFunction::Curve(curve)), x)
    }

    pub(super) fn quantize(&mut self, x: usize, scale: f32, range: Range) -> usize {
        self.same(FloatOp::Quantize { scale: scale.into(), range }, x)
    }

    pub(super) fn combine(&mut self, inputs: &[usize], coefficients: &[f64], offset: f64) -> usize {
        let shape = self.shape(inputs[0]);
        self.push(FloatOp::Combine { coefficients: coefficients.to_vec(), offset }, inputs, &shape)
    }

    pub(super) fn product(&mut self, a: usize, b: usize) -> usize {
        let shape = self.shape(a);
        self.push(FloatOp::Product, &[a, b], &shape)
    }

    pub(super) fn max_pool(&mut self, x: usize, k: usize, stride: usize, pad: usize) -> usize {
        let (window, shape) = self.window(x, k, stride, pad);
        self.push(FloatOp::MaxPool { window }, &[x], &shape)
    }

    pub(super) fn average_pool(
        &mut self,
        x: usize,
        k: usize,
        stride: usize,
        pad: usize,
        padding: bool,
    ) -> usize {
        let (window, shape) = self.window(x, k, stride, pad);
        let include = vec![if padding { [pad as u32; 2] } else { [0, 0] }; 2];
        self.push(FloatOp::AveragePool { window, include }, &[x], &shape)
    }

    /// Mean over the spatial axes.
    pub(super) fn global_mean(&mut self, x: usize) -> usize {
        let shape = self.shape(x);
        let axes = (2..shape.len()).collect();
        self.push(FloatOp::Reduce { axes, mean: true }, &[x], &[&shape[..2], &[1, 1]].concat())
    }

    pub(super) fn flatten(&mut self, x: usize) -> usize {
        let shape = self.shape(x);
        self.push(FloatOp::Reshape, &[x], &[shape[0], shape[1..].iter().product()])
    }

    /// Concatenation along the channels.
    pub(super) fn concat(&mut self, inputs: &[usize]) -> usize {
        let mut shape = self.shape(inputs[0]);
        let mut start = 0;
        let mut pieces = Vec::new();
        for &input in inputs {
            let own = self.shape(input);
            let source = |axis: usize| {
                let offset = if axis == 1 { -(start as i32) } else { 0 };
                AxisSource { axis: Some(axis as u32), offset, stride: 1, repeat: true }
            };
            pieces.push((0..own.len()).map(source).collect());
            start += own[1];
        }
        shape[1] = start;
        let extents: Vec<u32> = shape.iter().map(|&d| d as u32).collect();
        let periods = vec![1; shape.len()];
        let arrange = Arrange { shape: extents, periods, pieces, fill: 0 };
        self.push(FloatOp::Arrange { arrange, fill: 0.0 }, inputs, &shape)
    }

    /// Constant padding of the spatial axes by one entry.
    pub(super) fn pad(&mut self, x: usize, fill: f64) -> usize {
        let mut shape = self.shape(x);
        let source = |axis: usize| {
            let offset = if axis < 2 { 0 } else { -1 };
            AxisSource { axis: Some(axis as u32), offset, stride: 1, repeat: true }
        };
        let pieces = vec![(0..shape.len()).map(source).collect()];
        shape[2..].iter_mut().for_each(|d| *d += 2);
        let extents: Vec<u32> = shape.iter().map(|&d| d as u32).collect();
        let arrange = Arrange { periods: vec![1; shape.len()], shape: extents, pieces, fill: 0 };
        self.push(FloatOp::Arrange { arrange, fill }, &[x], &shape)
    }

    /// A layer of random kind on a random value, `[1, channels, n, n]` all of them.
    pub(super) fn any(&mut self, values: &mut Vec<usize>) {
        let x = values[self.random.below(values.len())];
        let shape = self.shape(x);
        let (channels, extent) = (shape[1], shape[2]);
        let alike: Vec<usize> = values.iter().copied().filter(|&v| self.shape(v) == shape).collect();
        let other = alike[self.random.below(alike.len())];
        let tall: Vec<usize> = values
            .iter()
            .copied()
            .filter(|&v| self.shape(v)[2..] == shape[2..] && self.shape(v)[1] <= 8)
            .collect();
        let value = match self.random.below(17) {
            0 | 1 => self.conv(x, 4, 3.min(extent), (1, usize::from(extent >= 3), 1)),
            2 => self.conv(x, 2 * channels.min(4), 1, (1, 0, if channels <= 4 { channels } else { 1 })),
            3 => self.norm(x),
            4 | 5 => self.relu(x),
            6 => self.clip(x, 0.0, 1.0),
            7 => self.clip(x, -0.5, 0.75),
            8 => {
                let curves = [Curve::Sigmoid, Curve::Tanh, Curve::HardSwish, Curve::Silu];
                let curve = curves[self.random.below(4)];
                self.curve(x, curve)
            }
            9 | 10 => self.combine(&[x, other], &[1.0, 0.7], 0.1),
            11 => self.combine(&[x], &[-1.5], 0.25),
            12 => self.product(x, other),
            13 if extent >= 3 => self.max_pool(x, 2, 1, 0),
            14 if extent >= 3 => self.average_pool(x, 3, 2, 1, false),
            15 if tall.len() > 1 => {
                let (a, b) = (self.random.below(tall.len()), self.random.below(tall.len()));
                self.concat(&[tall[a], tall[b]])
            }
            16 if extent <= 6 => self.pad(x, 0.5),
            _ => self.global_mean(x),
        };
        values.push(value);
    }
}
