//! Float layers, evaluated as their definitions say.

use crate::float::{FloatFunction, FloatLayer, FloatOp};
use crate::simplify::broadcast;
use provenn_circuits::functions::Curve;
use provenn_circuits::layers::{Arrange, Window};

/// A tensor of a float graph.
#[derive(Debug, Clone)]
struct Tensor {
    shape: Vec<usize>,
    values: Vec<f64>,
}

impl Tensor {
    fn at(&self, index: &[usize]) -> f64 {
        self.values[self.shape.iter().zip(index).fold(0, |at, (&d, &i)| at * d + i)]
    }

    /// The values broadcast to a shape.
    fn spread(&self, shape: &[usize]) -> Vec<f64> {
        let own = [&vec![1; shape.len() - self.shape.len()][..], &self.shape].concat();
        broadcast(&self.values, &own, shape)
    }
}

/// Every layer's output.
pub(super) fn evaluate(input_shape: &[usize], layers: &[FloatLayer], input: &[f32]) -> Vec<Vec<f32>> {
    let input = input.iter().map(|&x| x.into()).collect();
    let mut values = vec![Tensor { shape: input_shape.to_vec(), values: input }];
    for layer in layers {
        let operands: Vec<&Tensor> = layer.inputs.iter().map(|&input| &values[input]).collect();
        let result = output(&layer.op, &operands, &layer.shape);
        assert_eq!(result.len(), layer.shape.iter().product::<usize>(), "{}", layer.name);
        values.push(Tensor { shape: layer.shape.clone(), values: result });
    }
    values[1..].iter().map(|tensor| tensor.values.iter().map(|&x| x as f32).collect()).collect()
}

fn output(op: &FloatOp, operands: &[&Tensor], shape: &[usize]) -> Vec<f64> {
    let x = operands[0];
    let each = |f: &dyn Fn(f64) -> f64| x.values.iter().map(|&x| f(x)).collect();
    let bias_at = |bias: &Option<Vec<f32>>, o: usize| bias.as_ref().map_or(0.0, |bias| f64::from(bias[o]));
    match op {
        FloatOp::Gemm { inputs, outputs, weight, bias } => x
            .values
            .chunks(*inputs)
            .flat_map(|row| {
                let sum = move |o: usize| {
                    let weights = weight[o * inputs..(o + 1) * inputs].iter();
                    weights.zip(row).map(|(&w, x)| f64::from(w) * x).sum::<f64>() + bias_at(bias, o)
                };
                (0..*outputs).map(sum).collect::<Vec<_>>()
            })
            .collect(),
        FloatOp::Conv { groups, outputs, window, weight, bias } => indices(shape)
            .map(|index| {
                let (batch, o) = (index[0], index[1]);
                let channels = x.shape[1] / groups;
                let first = o / (outputs / groups) * channels;
                let kernel: Vec<usize> = window.kernel.iter().map(|&k| k as usize).collect();
                let size: usize = kernel.iter().product();
                let mut sum = bias_at(bias, o);
                for c in 0..channels {
                    for (k, position) in positions(window, &x.shape[2..], &index[2..]).into_iter().enumerate()
                    {
                        if let Some(position) = position {
                            let w = f64::from(weight[(o * channels + c) * size + k]);
                            sum += w * x.at(&[&[batch, first + c], &position[..]].concat());
                        }
                    }
                }
                sum
            })
            .collect(),
        FloatOp::Combine { coefficients, offset } => {
            let mut sum = vec![*offset; shape.iter().product()];
            for (operand, c) in operands.iter().zip(coefficients) {
                sum.iter_mut().zip(operand.spread(shape)).for_each(|(sum, x)| *sum += c * x);
            }
            sum
        }
        FloatOp::Product => {
            x.spread(shape).iter().zip(operands[1].spread(shape)).map(|(x, y)| x * y).collect()
        }
        FloatOp::Affine { shape: own, weight, bias } => {
            let spread = |constants: &Option<Vec<f32>>, default: f32| match constants {
                Some(constants) => broadcast(constants, own, shape),
                None => vec![default; shape.iter().product()],
            };
            let (weight, bias) = (spread(weight, 1.0), spread(bias, 0.0));
            let line = |((x, &w), &b): ((f64, &f32), &f32)| x * f64::from(w) + f64::from(b);
            x.spread(shape).into_iter().zip(&weight).zip(&bias).map(line).collect()
        }
        FloatOp::MaxPool { window } => indices(shape)
            .map(|index| {
                let inside = positions(window, &x.shape[2..], &index[2..]).into_iter().flatten();
                inside.map(|p| x.at(&[&index[..2], &p].concat())).fold(f64::NEG_INFINITY, f64::max)
            })
            .collect(),
        FloatOp::AveragePool { window, include } => indices(shape)
            .map(|index| {
                let inside = positions(window, &x.shape[2..], &index[2..]).into_iter().flatten();
                let sum: f64 = inside.map(|p| x.at(&[&index[..2], &p].concat())).sum();
                let count: usize = (0..include.len())
                    .map(|axis| {
                        let [before, after] = include[axis].map(i64::from);
                        let counts = |k: &i64| {
                            let at = index[axis + 2] as i64 * i64::from(window.strides[axis])
                                + k * i64::from(window.dilations[axis])
                                - i64::from(window.begin[axis]);
                            (-before..x.shape[axis + 2] as i64 + after).contains(&at)
                        };
                        (0..i64::from(window.kernel[axis])).filter(counts).count()
                    })
                    .product();
                sum / count as f64
            })
            .collect(),
        FloatOp::Reduce { axes, mean } => {
            let kept: Vec<usize> = x
                .shape
                .iter()
                .enumerate()
                .map(|(axis, &d)| if axes.contains(&axis) { 1 } else { d })
                .collect();
            let mut sums = vec![0.0; kept.iter().product()];
            for (index, value) in indices(&x.shape).zip(&x.values) {
                let at = kept.iter().zip(&index).fold(0, |at, (&d, &i)| at * d + if d == 1 { 0 } else { i });
                sums[at] += value;
            }
            let terms = if *mean { (x.values.len() / sums.len()) as f64 } else { 1.0 };
            sums.iter().map(|sum| sum / terms).collect()
        }
        FloatOp::Arrange { arrange, fill } => {
            indices(shape).map(|index| arranged(arrange, operands, &index).unwrap_or(*fill)).collect()
        }
        FloatOp::Function(FloatFunction::Relu) => each(&|x| x.max(0.0)),
        FloatOp::Function(FloatFunction::Clip { lo, hi }) => each(&|x| x.max((*lo).into()).min((*hi).into())),
        FloatOp::Function(FloatFunction::Curve(curve)) => each(&|x| function(*curve, x)),
        FloatOp::Reshape => x.values.clone(),
        FloatOp::Quantize { scale, range } => {
            each(&|x| scale * (x / scale).round_ties_even().clamp(range.lo as f64, range.hi as f64))
        }
    }
}

fn function(curve: Curve, x: f64) -> f64 {
    let sigmoid = 1.0 / (1.0 + (-x).exp());
    match curve {
        Curve::Sigmoid => sigmoid,
        Curve::Silu => x * sigmoid,
        Curve::Tanh => x.tanh(),
        Curve::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Curve::Exp => x.exp(),
        Curve::Softplus => x.exp().ln_1p(),
        Curve::Abs => x.abs(),
        Curve::Even => x,
        Curve::Sqrt => x.max(0.0).sqrt(),
        other => panic!("not used by the tests: {other:?}"),
    }
}

fn arranged(arrange: &Arrange, operands: &[&Tensor], index: &[usize]) -> Option<f64> {
    operands.iter().zip(&arrange.pieces).find_map(|(operand, piece)| {
        let position = piece.iter().zip(&operand.shape).map(|(source, &extent)| {
            let at = match source.axis {
                None => source.offset,
                Some(axis) => {
                    let (o, period) = (index[axis as usize] as i32, arrange.periods[axis as usize] as i32);
                    if o % period != 0 && !source.repeat {
                        return None;
                    }
                    source.offset + source.stride * (o / period)
                }
            };
            usize::try_from(at).ok().filter(|&at| at < extent)
        });
        position.collect::<Option<Vec<_>>>().map(|position| operand.at(&position))
    })
}

/// The input positions that a window reads, `None` in the padding, row-major over the kernel.
fn positions(window: &Window, input: &[usize], output: &[usize]) -> Vec<Option<Vec<usize>>> {
    let kernel: Vec<usize> = window.kernel.iter().map(|&k| k as usize).collect();
    indices(&kernel)
        .map(|k| {
            (0..k.len())
                .map(|axis| {
                    let at = output[axis] as i64 * i64::from(window.strides[axis])
                        + k[axis] as i64 * i64::from(window.dilations[axis])
                        - i64::from(window.begin[axis]);
                    usize::try_from(at).ok().filter(|&at| at < input[axis])
                })
                .collect()
        })
        .collect()
}

/// All indices of a shape, row-major.
fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + use<> {
    let shape = shape.to_vec();
    (0..shape.iter().product::<usize>()).map(move |mut rest| {
        let mut index = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            index[axis] = rest % shape[axis];
            rest /= shape[axis];
        }
        index
    })
}
