//! Layers that compute sums or products: what they are in real numbers, and what in integers.

use super::linear::{Factors, Inputs, IntegerLayer, RealLayer};
use super::scales::Scales;
use crate::float::FloatOp;
use provenn_circuits::layers::{Affine, AveragePool, Combine, Conv, Gemm, Layer, Product, Reduce, Window};
use provenn_circuits::model::ValueSpec;

/// A value of the integer model.
#[derive(Debug, Clone)]
pub(super) struct Value {
    /// 0 is the input, `i + 1` the output of node `i`.
    pub(super) id: u32,
    pub(super) scales: Scales,
    pub(super) spec: ValueSpec,
}

impl Value {
    /// Largest absolute integer.
    pub(super) fn largest(&self) -> f64 {
        self.spec.range.lo.unsigned_abs().max(self.spec.range.hi.unsigned_abs()) as f64
    }
}

/// Bits of factors, with the sign.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bits {
    /// Of secret weights.
    pub(super) weights: u8,
    /// Of public coefficients.
    pub(super) coefficients: u8,
}

/// The layer in floats, with its operands' scales.
pub(super) fn real_layer<'o>(
    op: &'o FloatOp,
    operands: &[Value],
    shape: &[usize],
    bits: Bits,
) -> RealLayer<'o> {
    let terms = terms(op, operands, shape);
    let first = &operands[0];
    let one =
        |factors: Vec<f64>, bits: u8, bias: Option<f64>, scales: Vec<f64>, largest: Vec<f64>| RealLayer {
            factors: Factors::Double(factors),
            rows: 1,
            bias: bias.map(|bias| vec![bias]),
            inputs: Inputs { scales, largest, groups: 1, kernel: 1 },
            bits,
        };
    // The operand itself, or its steps if its channels have scales of their own.
    let scale = if first.scales.is_one() { first.scales.largest() } else { 1.0 };
    let reach = scale * first.largest();
    let bias_of = |bias: &Option<Vec<f32>>| -> Option<Vec<f64>> {
        bias.as_ref().map(|bias| bias.iter().map(|&b| b.into()).collect())
    };
    match op {
        FloatOp::Conv { groups, outputs, weight, bias, window } => {
            let inner = first.spec.shape[2..].iter().product();
            let scales = first.scales.of_channels(first.spec.shape[1], inner);
            let largest = scales.iter().map(|scale| scale * first.largest()).collect();
            let kernel = window.kernel.iter().map(|&k| k as usize).product();
            RealLayer {
                factors: Factors::Single(weight),
                rows: *outputs,
                bias: bias_of(bias),
                inputs: Inputs { scales, largest, groups: *groups, kernel },
                bits: bits.weights,
            }
        }
        FloatOp::Gemm { inputs, outputs, weight, bias } => {
            let scales = first.scales.of_channels(*inputs, 1);
            let largest = scales.iter().map(|scale| scale * first.largest()).collect();
            RealLayer {
                factors: Factors::Single(weight),
                rows: *outputs,
                bias: bias_of(bias),
                inputs: Inputs { scales, largest, groups: 1, kernel: 1 },
                bits: bits.weights,
            }
        }
        FloatOp::Affine { shape, weight, bias } => {
            let rows = shape.iter().product();
            let (factors, bits) = match weight {
                Some(weight) => (Factors::Single(weight), bits.weights),
                None => (Factors::Double(vec![1.0; rows]), bits.coefficients),
            };
            RealLayer {
                factors,
                rows,
                bias: bias_of(bias),
                inputs: Inputs { scales: vec![scale], largest: vec![reach], groups: 1, kernel: 1 },
                bits,
            }
        }
        FloatOp::Combine { coefficients, offset } => {
            let scales: Vec<f64> = operands.iter().map(|operand| operand.scales.largest()).collect();
            let largest = operands.iter().zip(&scales).map(|(operand, scale)| operand.largest() * scale);
            let largest = largest.collect();
            one(coefficients.clone(), bits.coefficients, Some(*offset), scales, largest)
        }
        FloatOp::Product => {
            let scale = operands.iter().map(|operand| operand.scales.largest()).product::<f64>();
            let largest = operands.iter().map(Value::largest).product::<f64>() * scale;
            one(vec![1.0], bits.coefficients, None, vec![scale], vec![largest])
        }
        // Below, the worst case of a mean is that of one entry.
        FloatOp::AveragePool { .. } => {
            let count = usize::BITS - terms.leading_zeros();
            one(vec![1.0], (bits.coefficients + count as u8).min(40), None, vec![scale], vec![reach])
        }
        FloatOp::Reduce { mean, .. } => {
            let factor = if *mean { 1.0 / terms as f64 } else { 1.0 };
            one(vec![factor], bits.coefficients, None, vec![scale], vec![reach * terms as f64])
        }
        _ => one(vec![1.0], bits.coefficients, None, vec![scale], vec![reach]),
    }
}

/// A requantization alone.
pub(super) static IDENTITY: FloatOp = FloatOp::Reshape;

/// The scales of a value's channels after something that works on spatial axes alone.
pub(super) fn pooled(operand: &Value, shape: &[usize]) -> Scales {
    if operand.scales.is_one() {
        return operand.scales.clone();
    }
    let from = &operand.spec.shape;
    let before: usize = from[2..].iter().product();
    let after = shape.iter().product::<usize>() / (from[0] * from[1]);
    Scales { values: operand.scales.values.clone(), inner: operand.scales.inner / before * after }
}

/// Whether an operation is over spatial axes alone, if its operand's channels have their own scales.
pub(super) fn is_spatial(op: &FloatOp) -> bool {
    matches!(op, FloatOp::AveragePool { .. } | FloatOp::Reduce { .. })
}

/// Entries of the operand that one sum or mean is over.
fn terms(op: &FloatOp, operands: &[Value], shape: &[usize]) -> usize {
    match op {
        FloatOp::AveragePool { window, .. } => positions(window),
        FloatOp::Reduce { .. } => operands[0].spec.len() / shape.iter().product::<usize>().max(1),
        _ => 1,
    }
}

/// A mean that is one number times the sum of its entries, as a layer that gives that sum, and how many entries there are.
pub(super) fn plain_mean(op: &FloatOp, operand: &Value, shape: &[usize]) -> Option<(Layer, i64)> {
    let count = terms(op, std::slice::from_ref(operand), shape) as i64;
    let requantize = None;
    match op {
        FloatOp::AveragePool { window, include } => {
            let pads = window.begin.iter().zip(&window.end).map(|(&begin, &end)| [begin, end]);
            let (all, window, include) = (include.iter().copied().eq(pads), window.clone(), include.clone());
            let numerator = count as u64;
            all.then_some((Layer::AveragePool(AveragePool { window, include, numerator, requantize }), count))
        }
        FloatOp::Reduce { axes: summed, mean: true } => {
            let layer = Reduce { axes: axes(summed), shape: axes(shape), multiplier: 1, requantize };
            Some((Layer::Reduce(layer), count))
        }
        _ => None,
    }
}

fn positions(window: &Window) -> usize {
    window.kernel.iter().map(|&k| k as usize).product()
}

/// Whether no accumulator can be negative.
pub(super) fn is_nonnegative(op: &FloatOp, operands: &[Value]) -> bool {
    let all = operands.iter().all(|operand| operand.spec.range.lo >= 0);
    all && match op {
        FloatOp::Combine { coefficients, offset } => *offset >= 0.0 && coefficients.iter().all(|&c| c >= 0.0),
        FloatOp::Product | FloatOp::AveragePool { .. } | FloatOp::Reduce { .. } => true,
        op => *op == IDENTITY,
    }
}

/// The layer without its requantization, and its parameters.
pub(super) fn integer_layer(
    op: &FloatOp,
    integer: &mut IntegerLayer,
    shape: &[usize],
    weight_bits: u8,
    operands: &[Value],
) -> (Layer, Vec<Vec<i64>>) {
    let bias_bits = integer.bias_bits();
    let mut factors = std::mem::take(&mut integer.factors);
    let bias = integer.bias.take();
    let offset = bias.as_ref().map_or(0, |bias| bias[0]);
    let factor = factors[0];
    let requantize = None;
    let mut parameters = |weights: bool| -> Vec<Vec<i64>> {
        let weights = weights.then(|| std::mem::take(&mut factors));
        weights.into_iter().chain(bias.clone()).collect()
    };
    match op {
        FloatOp::Conv { groups, outputs, window, .. } => {
            let layer = Conv {
                groups: *groups as u32,
                outputs: *outputs as u32,
                window: window.clone(),
                channels: (operands[0].spec.shape[1] / groups) as u32,
                weight_bits,
                bias_bits,
                requantize,
            };
            (Layer::Conv(layer), parameters(true))
        }
        FloatOp::Gemm { inputs, outputs, .. } => {
            let (inputs, outputs) = (*inputs as u32, *outputs as u32);
            let layer = Gemm { inputs, outputs, weight_bits, bias_bits, requantize };
            (Layer::Gemm(layer), parameters(true))
        }
        FloatOp::Affine { shape, weight, .. } => {
            let weighted = weight.is_some();
            let layer = Affine {
                shape: axes(shape),
                weight_bits: weighted.then_some(weight_bits),
                multiplier: if weighted { 0 } else { factor },
                bias_bits,
                requantize,
            };
            (Layer::Affine(layer), parameters(weighted))
        }
        FloatOp::Product => (Layer::Product(Product { multiplier: factor.max(1), requantize }), Vec::new()),
        FloatOp::AveragePool { window, include } => {
            let numerator = factor.max(1) as u64;
            let (window, include) = (window.clone(), include.clone());
            (Layer::AveragePool(AveragePool { window, include, numerator, requantize }), Vec::new())
        }
        FloatOp::Reduce { axes: summed, .. } => {
            let layer =
                Reduce { axes: axes(summed), shape: axes(shape), multiplier: factor.max(1), requantize };
            (Layer::Reduce(layer), Vec::new())
        }
        _ => {
            let coefficients = std::mem::take(&mut factors);
            (Layer::Combine(Combine { coefficients, offset, requantize }), Vec::new())
        }
    }
}

pub(super) fn axes(shape: &[usize]) -> Vec<u32> {
    shape.iter().map(|&d| d as u32).collect()
}
