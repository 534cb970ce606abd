//! What the layers of a float model mean, entry by entry, in double precision.

use provenn_circuits::functions::{Curve, Dyadic};
use provenn_circuits::layers::{Arrange, Window};
use provenn_models::FloatModel;
use provenn_models::float::{FloatFunction, FloatLayer, FloatOp};

/// A tensor, row-major.
#[derive(Clone)]
struct Tensor {
    shape: Vec<usize>,
    entries: Vec<f64>,
}

impl Tensor {
    /// The entry at a place; 0 for axes of length 1 stands for any place along them, axes in front are left out.
    fn at(&self, place: &[usize]) -> f64 {
        let place = &place[place.len() - self.shape.len()..];
        let index =
            self.shape.iter().zip(place).fold(0, |index, (&length, &position)| {
                index * length + if length == 1 { 0 } else { position }
            });
        self.entries[index]
    }
}

/// All places of a shape, in row-major order.
fn places(shape: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for &length in shape {
        all = all.iter().flat_map(|place| (0..length).map(|i| [&place[..], &[i]].concat())).collect();
    }
    all
}

/// Evaluates the model: the output of every layer.
pub(crate) fn evaluate(model: &FloatModel, input: &[f32]) -> Vec<Vec<f64>> {
    let entries = input.iter().map(|&x| x.into()).collect();
    let mut values = vec![Tensor { shape: model.input_shape.clone(), entries }];
    for (index, layer) in model.layers.iter().enumerate() {
        assert!(layer.inputs.iter().all(|&input| input <= index), "{layer:?}");
        let inputs: Vec<&Tensor> = layer.inputs.iter().map(|&input| &values[input]).collect();
        let entries = apply(layer, &inputs);
        values.push(Tensor { shape: layer.shape.clone(), entries });
    }
    values.into_iter().skip(1).map(|value| value.entries).collect()
}

fn apply(layer: &FloatLayer, inputs: &[&Tensor]) -> Vec<f64> {
    let x = inputs[0];
    let every =
        |value: &dyn Fn(&[usize]) -> f64| places(&layer.shape).iter().map(|place| value(place)).collect();
    match &layer.op {
        FloatOp::Gemm { inputs, outputs, weight, bias } => {
            assert_eq!((weight.len(), x.shape.last()), (inputs * outputs, Some(inputs)));
            every(&|place| {
                let (&output, row) = place.split_last().unwrap();
                let terms = (0..*inputs)
                    .map(|i| f64::from(weight[output * inputs + i]) * x.at(&[row, &[i]].concat()));
                terms.sum::<f64>() + bias.as_ref().map_or(0.0, |bias| bias[output].into())
            })
        }
        FloatOp::Conv { groups, outputs, window, weight, bias } => {
            check_window(window, x, layer);
            let (own, depth) = (x.shape[1] / groups, outputs / groups);
            let offsets = places(&window.kernel.iter().map(|&k| k as usize).collect::<Vec<_>>());
            assert_eq!(weight.len(), outputs * own * offsets.len());
            every(&|place| {
                let output = place[1];
                let mut sum = bias.as_ref().map_or(0.0, |bias| bias[output].into());
                for channel in 0..own {
                    for (index, offset) in offsets.iter().enumerate() {
                        let Some(read) = read(window, x, &place[2..], offset) else { continue };
                        let at = [&[place[0], output / depth * own + channel], &read[..]].concat();
                        sum +=
                            f64::from(weight[(output * own + channel) * offsets.len() + index]) * x.at(&at);
                    }
                }
                sum
            })
        }
        FloatOp::Combine { coefficients, offset } => every(&|place| {
            offset + coefficients.iter().zip(inputs).map(|(c, x)| c * x.at(place)).sum::<f64>()
        }),
        FloatOp::Product => every(&|place| x.at(place) * inputs[1].at(place)),
        FloatOp::Affine { shape, weight, bias } => {
            assert_eq!([shape.len(), x.shape.len()], [layer.shape.len(); 2]);
            let constant = |list: &Option<Vec<f32>>, none: f64| Tensor {
                shape: if list.is_some() { shape.clone() } else { vec![1; shape.len()] },
                entries: list.as_ref().map_or(vec![none], |list| list.iter().map(|&x| x.into()).collect()),
            };
            let (weight, bias) = (constant(weight, 1.0), constant(bias, 0.0));
            every(&|place| weight.at(place) * x.at(place) + bias.at(place))
        }
        FloatOp::MaxPool { window } => {
            check_window(window, x, layer);
            every(&|place| covered(window, x, place).fold(f64::NEG_INFINITY, f64::max))
        }
        FloatOp::AveragePool { window, include } => {
            check_window(window, x, layer);
            every(&|place| covered(window, x, place).sum::<f64>() / counted(window, include, x, &place[2..]))
        }
        FloatOp::Reduce { axes, mean } => {
            assert!(axes.is_sorted());
            let window: Vec<usize> = axes.iter().map(|&axis| x.shape[axis]).collect();
            let kept = layer.shape.len() == x.shape.len();
            every(&|place| {
                let mut rest =
                    place.iter().enumerate().filter(|(a, _)| !kept || !axes.contains(a)).map(|(_, &p)| p);
                let base: Vec<usize> = (0..x.shape.len())
                    .map(|a| if axes.contains(&a) { 0 } else { rest.next().unwrap() })
                    .collect();
                let entries = places(&window).into_iter().map(|offset| {
                    let mut at = base.clone();
                    axes.iter().zip(offset).for_each(|(&axis, o)| at[axis] = o);
                    x.at(&at)
                });
                let sum: f64 = entries.sum();
                if *mean { sum / window.iter().product::<usize>() as f64 } else { sum }
            })
        }
        FloatOp::Arrange { arrange, fill } => {
            assert!(arrange.shape.iter().map(|&d| d as usize).eq(layer.shape.iter().copied()));
            assert!(arrange.shape.iter().zip(&arrange.periods).all(|(d, p)| d.is_multiple_of(*p)));
            assert_eq!(arrange.pieces.len(), inputs.len());
            every(&|place| {
                let found = (0..inputs.len()).filter_map(|piece| moved(arrange, piece, inputs[piece], place));
                let found: Vec<f64> = found.collect();
                assert!(found.len() <= 1);
                found.first().copied().unwrap_or(*fill)
            })
        }
        FloatOp::Function(function) => x.entries.iter().map(|&x| function_of(*function, x)).collect(),
        FloatOp::Reshape => x.entries.clone(),
        FloatOp::Quantize { scale, range } => x
            .entries
            .iter()
            .map(|x| scale * (x / scale).round_ties_even().clamp(range.lo as f64, range.hi as f64))
            .collect(),
    }
}

fn check_window(window: &Window, x: &Tensor, layer: &FloatLayer) {
    for (axis, (&input, &output)) in x.shape[2..].iter().zip(&layer.shape[2..]).enumerate() {
        let padded = input as u32 + window.begin[axis] + window.end[axis];
        let extent = window.dilations[axis] * (window.kernel[axis] - 1) + 1;
        assert_eq!((padded - extent) / window.strides[axis] + 1, output as u32, "{layer:?}");
    }
}

/// The spatial place that a window position reads; `None` for padding.
fn read(window: &Window, x: &Tensor, place: &[usize], offset: &[usize]) -> Option<Vec<usize>> {
    (0..place.len())
        .map(|a| {
            let position = place[a] * window.strides[a] as usize + offset[a] * window.dilations[a] as usize;
            position.checked_sub(window.begin[a] as usize).filter(|&position| position < x.shape[a + 2])
        })
        .collect()
}

/// The entries that a window covers.
fn covered<'a>(window: &'a Window, x: &'a Tensor, place: &'a [usize]) -> impl Iterator<Item = f64> + 'a {
    let offsets = places(&window.kernel.iter().map(|&k| k as usize).collect::<Vec<_>>());
    offsets.into_iter().filter_map(move |offset| {
        let read = read(window, x, &place[2..], &offset)?;
        Some(x.at(&[&place[..2], &read[..]].concat()))
    })
}

/// Positions of a window that count for its mean.
fn counted(window: &Window, include: &[[u32; 2]], x: &Tensor, place: &[usize]) -> f64 {
    let along = |a: usize| {
        (0..i64::from(window.kernel[a]))
            .map(|k| {
                place[a] as i64 * i64::from(window.strides[a]) + k * i64::from(window.dilations[a])
                    - i64::from(window.begin[a])
            })
            .filter(|p| {
                *p >= -i64::from(include[a][0]) && *p < x.shape[a + 2] as i64 + i64::from(include[a][1])
            })
            .count() as f64
    };
    (0..place.len()).map(along).product()
}

/// The entry that a piece of an arrangement has for a place.
fn moved(arrange: &Arrange, piece: usize, x: &Tensor, place: &[usize]) -> Option<f64> {
    let at: Option<Vec<usize>> = arrange.pieces[piece]
        .iter()
        .zip(&x.shape)
        .map(|(source, &length)| {
            let position = match source.axis {
                None => source.offset,
                Some(axis) => {
                    let period = arrange.periods[axis as usize] as usize;
                    let (q, r) = (place[axis as usize] / period, place[axis as usize] % period);
                    if r != 0 && !source.repeat {
                        return None;
                    }
                    source.offset + source.stride * q as i32
                }
            };
            usize::try_from(position).ok().filter(|&position| position < length)
        })
        .collect();
    at.map(|at| x.at(&at))
}

fn function_of(function: FloatFunction, x: f64) -> f64 {
    let real = |d: Dyadic| f64::from(d.mantissa) * 2f64.powi(d.exponent);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match function {
        FloatFunction::Relu => x.max(0.0),
        FloatFunction::Clip { lo, hi } => x.clamp(lo.into(), hi.into()),
        FloatFunction::Curve(curve) => match curve {
            Curve::LeakyRelu { alpha } => {
                if x < 0.0 {
                    real(alpha) * x
                } else {
                    x
                }
            }
            Curve::HardSigmoid { alpha, beta } => (real(alpha) * x + real(beta)).clamp(0.0, 1.0),
            Curve::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Curve::Sigmoid => sigmoid(x),
            Curve::Tanh => x.tanh(),
            Curve::Elu { alpha } => {
                if x < 0.0 {
                    real(alpha) * (x.exp() - 1.0)
                } else {
                    x
                }
            }
            Curve::Softplus => (1.0 + x.exp()).ln(),
            Curve::Gelu => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            Curve::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }
            Curve::Silu => x * sigmoid(x),
            Curve::Erf => erf(x),
            Curve::Exp => x.exp(),
            Curve::Sqrt => x.max(0.0).sqrt(),
            Curve::Abs => x.abs(),
            Curve::Even => x.round_ties_even(),
        },
    }
}

/// The series of the error function, good for the small arguments here.
fn erf(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}
