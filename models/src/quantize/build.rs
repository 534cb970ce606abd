//! The integer layers, one block after the other.

use super::calibrate::{Calibration, Extent};
use super::concat::{Classes, Origin};
use super::functions::{Argument, clamped, result, symmetric};
use super::linear::{Factors, Inputs, IntegerLayer, RealLayer, Row};
use super::plan::{Block, Graph};
use super::scales::{Scales, dyadic, rounded};
use super::{Floats, QuantizeOptions, QuantizedModel};
use crate::error::ModelError;
use crate::float::{FloatFunction, FloatOp};
use crate::scale::{power_of_two, scale_from_f64, scale_to_f64};
use provenn_circuits::functions::Sampled;
use provenn_circuits::layers::{
    Activation, Affine, Arrange, AveragePool, Combine, Conv, Function, Gemm, Layer, MaxPool, Product, Reduce,
    Requantize, Reshape, Window,
};
use provenn_circuits::model::{LayerList, Node, Range, TableBits, ValueSpec};

/// A quiet channel's scale is at least that of the layer's loudest divided by this.
const CHANNEL_SPREAD: f64 = 8.0;
/// Headroom of a requantized output over its calibrated maximum.
const OUTPUT_HEADROOM: f64 = 1.25;
/// Bits of public coefficients, with the sign.
const COEFFICIENT_BITS: u8 = 20;
/// Requantized values have at most this many bits, with the sign.
const VALUE_BITS: u32 = 14;

/// A value of the integer model.
#[derive(Debug, Clone)]
struct Value {
    /// 0 is the input, `i + 1` the output of node `i`.
    id: u32,
    scales: Scales,
    spec: ValueSpec,
}

impl Value {
    fn largest(&self) -> f64 {
        self.spec.range.lo.unsigned_abs().max(self.spec.range.hi.unsigned_abs()) as f64
    }
}

/// What a block's accumulator becomes.
struct Target {
    /// Scales of the rounded quotients, or of the raw accumulators, in the order of the layer's rows, or one for all.
    quotients: Vec<f64>,
    shift: i32,
    /// `None` gives the accumulator itself.
    requantize: Option<(Function, Range)>,
    /// Scales of the output.
    output: Scales,
}

/// A node to be added.
struct New<'n> {
    name: &'n str,
    source: Option<usize>,
    layer: Layer,
    /// Shift, function and range; the domain follows.
    requantize: Option<(i32, Function, Range)>,
    parameters: Vec<Vec<i64>>,
    scales: Scales,
}

/// Builds the integer model.
struct Builder<'a> {
    graph: &'a Graph<'a>,
    calibration: &'a Calibration,
    options: &'a QuantizeOptions,
    weight_bits: u8,
    classes: Classes,
    /// The integer value of each value of the graph.
    values: Vec<Option<Value>>,
    model: QuantizedModel,
}

/// The integer model with weights of `weight_bits` bits.
pub(super) fn build(
    floats: &Floats,
    graph: &Graph,
    calibration: &Calibration,
    options: &QuantizeOptions,
    weight_bits: u8,
) -> Result<QuantizedModel, ModelError> {
    let (range, scale) = input(graph, calibration, options)?;
    let origin = |value: usize| origin(graph, calibration, options, scale, value);
    let model = QuantizedModel {
        layers: LayerList {
            input_shape: axes(floats.input_shape),
            input_range: range,
            input_scale: dyadic(scale),
            nodes: Vec::new(),
            output_scale: dyadic(scale),
            head: floats.head,
            tables: TableBits { limb: 8, direct: 12 },
        },
        parameters: Vec::new(),
        layer_names: Vec::new(),
        scales: Vec::new(),
        sources: Vec::new(),
    };
    let spec = ValueSpec { shape: floats.input_shape.to_vec(), range };
    let mut values = vec![None; graph.steps.len() + 1];
    values[0] = Some(Value { id: 0, scales: Scales::one(scale), spec });
    let classes = Classes::new(graph, origin);
    let mut builder = Builder { graph, calibration, options, weight_bits, classes, values, model };
    for block in graph.blocks.iter().flatten() {
        let value = builder.block(block)?;
        for step in [block.core, block.applied, block.last] {
            builder.values[step + 1] = Some(value.clone());
        }
    }
    builder.finish()
}

/// Range and scale of the model's input: its own, if it is quantized at once, else those that calibration asks for.
fn input(
    graph: &Graph,
    calibration: &Calibration,
    options: &QuantizeOptions,
) -> Result<(Range, f64), ModelError> {
    if let [reader] = graph.readers(0)
        && let FloatOp::Quantize { scale, range } = graph.steps[*reader].op
    {
        return Ok((range, own_scale(&graph.steps[*reader].name, scale)?));
    }
    let extent = calibration.whole(0);
    let range = match extent.lo >= 0.0 {
        true => Range::unsigned(options.input_bits.into()),
        false => symmetric(options.input_bits),
    };
    Ok((range, rounded(extent.magnitude() / range.hi as f64)))
}

/// A scale that the model itself gives.
fn own_scale(name: &str, scale: f64) -> Result<f64, ModelError> {
    match scale_from_f64(scale) {
        Some(scale) => Ok(scale_to_f64(scale)),
        None => Err(refused(name, format!("its scale is {scale}"))),
    }
}

fn refused(name: &str, reason: String) -> ModelError {
    ModelError::Quantize { layer: name.to_owned(), reason }
}

/// How a value comes by its scale, as far as concatenations are concerned.
fn origin(
    graph: &Graph,
    calibration: &Calibration,
    options: &QuantizeOptions,
    input_scale: f64,
    value: usize,
) -> Option<Origin> {
    let Some(index) = value.checked_sub(1) else { return Some(Origin::Fixed(input_scale)) };
    let step = &graph.steps[index];
    let Some(block) = &graph.blocks[index] else {
        // Inside of a block, or its end.
        let block = graph.blocks[graph.ends[index]?].as_ref()?;
        return block_origin(graph, calibration, options, block);
    };
    match &step.op {
        FloatOp::Function(FloatFunction::Curve(_)) | FloatOp::Quantize { .. } => {
            block_origin(graph, calibration, options, block)
        }
        op if op.accumulates() => block_origin(graph, calibration, options, block),
        _ if block.quantize.is_some() => block_origin(graph, calibration, options, block),
        _ => None,
    }
}

fn block_origin(
    graph: &Graph,
    calibration: &Calibration,
    options: &QuantizeOptions,
    block: &Block,
) -> Option<Origin> {
    if let Some((scale, _)) = block.quantize {
        return Some(Origin::Fixed(scale));
    }
    let wish = Wish::of(graph, calibration, options, block, false);
    let extent = calibration.whole(block.applied + 1);
    let scale = match block.function {
        Some(FloatFunction::Curve(_)) => result(extent, wish.bits, wish.headroom, None).0,
        _ => {
            let extent = if wish.range.lo == 0 { extent.hi.max(0.0) } else { extent.magnitude() };
            extent * wish.headroom / wish.range.hi as f64
        }
    };
    Some(Origin::Free(rounded(scale)))
}

/// The range that a block's output should have.
struct Wish {
    bits: u8,
    range: Range,
    headroom: f64,
}

impl Wish {
    fn of(
        graph: &Graph,
        calibration: &Calibration,
        options: &QuantizeOptions,
        block: &Block,
        nonnegative: bool,
    ) -> Wish {
        let last = graph.reaches_output(block.last + 1);
        let bits = if last { options.output_bits } else { options.activation_bits };
        let rectified = match block.function {
            Some(FloatFunction::Relu) => true,
            Some(FloatFunction::Clip { lo, .. }) => lo >= 0.0,
            Some(FloatFunction::Curve(_)) => calibration.whole(block.applied + 1).lo >= 0.0,
            None => nonnegative,
        };
        let range = if rectified { Range::unsigned(bits.into()) } else { symmetric(bits) };
        Wish { bits, range, headroom: if last { OUTPUT_HEADROOM } else { 1.0 } }
    }
}

impl<'a> Builder<'a> {
    fn value(&self, value: usize) -> Result<&Value, ModelError> {
        // Blocks stand in the order of their cores, and a core reads what other blocks end with.
        self.values[value].as_ref().ok_or_else(|| {
            refused(
                &self.graph.steps[value.saturating_sub(1)].name,
                "it is used before it is computed".into(),
            )
        })
    }

    fn operands(&self, block: &Block) -> Result<Vec<Value>, ModelError> {
        self.graph.steps[block.core].inputs.iter().map(|&input| self.value(input).cloned()).collect()
    }

    fn name(&self, block: &Block) -> &'a str {
        &self.graph.steps[block.core].name
    }

    fn block(&mut self, block: &Block) -> Result<Value, ModelError> {
        let step = &self.graph.steps[block.core];
        let operands = self.operands(block)?;
        let shape = || axes(&step.shape);
        match &step.op {
            FloatOp::Reshape => {
                let scales = operands[0].scales.clone();
                let layer = Layer::Reshape(Reshape { shape: shape() });
                self.add(self.new_node(block, layer, scales), &operands)
            }
            FloatOp::MaxPool { window } => {
                let scales = pooled(&operands[0], &step.shape);
                let layer = Layer::MaxPool(MaxPool { window: window.clone() });
                self.add(self.new_node(block, layer, scales), &operands)
            }
            FloatOp::Arrange { arrange, fill } => self.arrange(block, arrange, *fill, operands),
            FloatOp::Function(_) | FloatOp::Quantize { .. } => self.pointwise(block, &operands[0]),
            _ => self.accumulate(block, &step.op, operands),
        }
    }

    /// Adds a node and gives its output.
    fn add(&mut self, new: New, operands: &[Value]) -> Result<Value, ModelError> {
        let New { name, source, mut layer, requantize, parameters, scales } = new;
        let node = self.model.layers.nodes.len();
        let circuit = |error| ModelError::QuantizedLayer { layer: name.to_owned(), error };
        let specs: Vec<&ValueSpec> = operands.iter().map(|operand| &operand.spec).collect();
        if let Some((shift, function, output)) = requantize {
            let shift = shift as u8;
            // The worst case exists only for a layer that is valid but for its requantization.
            layer.set_requantize(None);
            if !matches!(layer, Layer::Activation(_)) {
                layer.output(node, &specs).map_err(circuit)?;
            }
            let own: Vec<&[i64]> = parameters.iter().map(Vec::as_slice).collect();
            let worst = layer.worst_case(&specs, &own);
            let worst = worst.ok_or_else(|| refused(name, "its sums may leave 62 bits".to_owned()))?;
            let domain = Requantize::domain_of(shift, worst);
            layer.set_requantize(Some(Requantize { shift, function, output, domain }));
        }
        let spec = layer.output(node, &specs).map_err(circuit)?;
        let inputs = operands.iter().map(|operand| operand.id).collect();
        self.model.layers.nodes.push(Node { layer, inputs });
        self.model.parameters.extend(parameters);
        self.model.layer_names.push(name.to_owned());
        self.model.scales.push(scales.clone());
        self.model.sources.push(source);
        Ok(Value { id: node as u32 + 1, scales, spec })
    }

    /// A layer with the name of the block and, as its source, the output of it.
    fn new_node(&self, block: &Block, layer: Layer, scales: Scales) -> New<'a> {
        let source = self.graph.steps[block.last].source;
        New { name: self.name(block), source, layer, requantize: None, parameters: Vec::new(), scales }
    }

    /// A function or quantization of a value that is requantized already.
    fn pointwise(&mut self, block: &Block, operand: &Value) -> Result<Value, ModelError> {
        let range = operand.spec.range;
        let scale = operand.scales.largest();
        let kept = match block.quantize {
            None => Some(range),
            Some((own, own_range)) => (own_scale(self.name(block), own)? == scale).then_some(own_range),
        };
        let (function, output, scales) = match (block.function, kept) {
            (None | Some(FloatFunction::Relu | FloatFunction::Clip { .. }), Some(kept)) => {
                let (lo, hi) =
                    self.graph.steps[block.applied].op.clamp().unwrap_or((f32::NEG_INFINITY, f32::INFINITY));
                // A rectifier alone takes scales of channels; everything else has one scale.
                let output = clamped(kept, scale, lo, hi);
                if output.covers(&range) {
                    // It changes nothing that can occur.
                    return Ok(operand.clone());
                }
                let function = if lo == 0.0 && output.lo == 0 { Function::Relu } else { Function::Identity };
                (function, output, operand.scales.clone())
            }
            (Some(FloatFunction::Curve(curve)), _) => {
                let extent = range.lo.abs().max(range.hi + 1);
                let bits = (i64::BITS - (extent - 1).leading_zeros()).max(1);
                if bits > 13 {
                    return self.accumulate(block, &IDENTITY, vec![operand.clone()]);
                }
                let (scale, output) = self.curve_result(block)?;
                let function = Function::Table(Sampled {
                    curve,
                    input: dyadic(operand.scales.largest()),
                    output: dyadic(scale),
                    bits: bits as u8,
                });
                (function, output, Scales::one(scale))
            }
            (_, None) => return self.accumulate(block, &IDENTITY, vec![operand.clone()]),
        };
        let requantize = Requantize { shift: 0, function, output, domain: 1 };
        let layer = Layer::Activation(Activation { requantize });
        let requantize = Some((0, function, output));
        let new = New { requantize, ..self.new_node(block, layer, scales) };
        self.add(new, std::slice::from_ref(operand))
    }

    /// Scale and range of a curve's result.
    fn curve_result(&self, block: &Block) -> Result<(f64, Range), ModelError> {
        if let Some((scale, range)) = block.quantize {
            return Ok((own_scale(self.name(block), scale)?, range));
        }
        let wish = Wish::of(self.graph, self.calibration, self.options, block, false);
        let extent = self.calibration.whole(block.applied + 1);
        Ok(result(extent, wish.bits, wish.headroom, self.classes.target[block.last + 1]))
    }

    /// Entries in another arrangement, all of one scale.
    fn arrange(
        &mut self,
        block: &Block,
        arrange: &Arrange,
        fill: f64,
        mut operands: Vec<Value>,
    ) -> Result<Value, ModelError> {
        let largest = operands.iter().map(|operand| operand.scales.largest()).fold(0.0, f64::max);
        let scale = match operands.iter().all(|operand| operand.scales.largest() == largest) {
            true => largest,
            false => rounded(self.classes.target[block.core + 1].unwrap_or(largest)),
        };
        for operand in &mut operands {
            if operand.scales.largest() != scale {
                *operand = self.rescaled(self.name(block), operand, scale)?;
            }
        }
        let fill = (fill / scale).round().clamp(-f64::from(1 << 13), f64::from((1 << 13) - 1)) as i64;
        let layer = Layer::Arrange(Arrange { fill, ..arrange.clone() });
        self.add(self.new_node(block, layer, Scales::one(scale)), &operands)
    }

    /// A value with another scale.
    fn rescaled(&mut self, name: &str, operand: &Value, scale: f64) -> Result<Value, ModelError> {
        let real = self.real(&IDENTITY, std::slice::from_ref(operand), 1);
        let rows = real.row_facts();
        let shift = real.shift(&rows, &[scale]).ok_or_else(|| refused(name, TOO_LARGE.to_owned()))?;
        let factor = operand.scales.largest() / scale;
        let limit = Range::signed(VALUE_BITS);
        let end = |x: i64| limit.clamp((x as f64 * factor).round() as i64);
        let output = Range::new(end(operand.spec.range.lo), end(operand.spec.range.hi));
        let integer = real.quantize(&[scale], shift);
        let layer = Layer::Combine(Combine { coefficients: integer.factors, offset: 0, requantize: None });
        let requantize = Some((shift, Function::Identity, output));
        let (parameters, scales) = (Vec::new(), Scales::one(scale));
        let new = New { name, source: None, layer, requantize, parameters, scales };
        self.add(new, std::slice::from_ref(operand))
    }

    /// A layer that computes sums or products.
    fn accumulate(&mut self, block: &Block, op: &FloatOp, operands: Vec<Value>) -> Result<Value, ModelError> {
        let step = &self.graph.steps[block.core];
        let terms = terms(op, &operands, &step.shape);
        let real = self.real(op, &operands, terms);
        let rows = real.row_facts();
        // Sums over the spatial axes keep the scales of channels: what follows is in multiples of them.
        let channels = Some(&operands[0]).filter(|operand| !operand.scales.is_one() && is_spatial(op));
        let nonnegative = is_nonnegative(op, &operands);
        let target = self.target(block, &real, &rows, channels, nonnegative)?;
        let mut integer = real.quantize(&target.quotients, target.shift);
        let requantize = target.requantize.map(|(function, range)| (target.shift, function, range));
        let (layer, parameters) = integer_layer(op, &mut integer, &step.shape, self.weight_bits, &operands);
        let new = New { requantize, parameters, ..self.new_node(block, layer, target.output) };
        self.add(new, &operands)
    }

    /// The layer in floats, with its operands' scales.
    fn real<'o>(&self, op: &'o FloatOp, operands: &[Value], terms: usize) -> RealLayer<'o> {
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
                    bits: self.weight_bits,
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
                    bits: self.weight_bits,
                }
            }
            FloatOp::Affine { shape, weight, bias } => {
                let rows = shape.iter().product();
                let (factors, bits) = match weight {
                    Some(weight) => (Factors::Single(weight), self.weight_bits),
                    None => (Factors::Double(vec![1.0; rows]), COEFFICIENT_BITS),
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
                one(coefficients.clone(), COEFFICIENT_BITS, Some(*offset), scales, largest)
            }
            FloatOp::Product => {
                let scale = operands.iter().map(|operand| operand.scales.largest()).product::<f64>();
                let largest = operands.iter().map(Value::largest).product::<f64>() * scale;
                one(vec![1.0], COEFFICIENT_BITS, None, vec![scale], vec![largest])
            }
            // Below, the worst case of a mean is that of one entry.
            FloatOp::AveragePool { .. } => {
                let count = usize::BITS - terms.leading_zeros();
                one(vec![1.0], (COEFFICIENT_BITS + count as u8).min(40), None, vec![scale], vec![reach])
            }
            FloatOp::Reduce { mean, .. } => {
                let factor = if *mean { 1.0 / terms as f64 } else { 1.0 };
                one(vec![factor], COEFFICIENT_BITS, None, vec![scale], vec![reach * terms as f64])
            }
            _ => one(vec![1.0], COEFFICIENT_BITS, None, vec![scale], vec![reach]),
        }
    }

    /// What the accumulators become. `channels` is the operand whose channels keep their scales, up to a factor.
    fn target(
        &self,
        block: &Block,
        real: &RealLayer,
        rows: &[Row],
        channels: Option<&Value>,
        nonnegative: bool,
    ) -> Result<Target, ModelError> {
        let name = self.name(block);
        let smallest = rows.iter().map(|row| real.smallest_scale(row)).fold(0.0, f64::max);
        let shift = |quotients: &[f64]| {
            real.shift(rows, quotients).ok_or_else(|| refused(name, TOO_LARGE.to_owned()))
        };
        if let Some(FloatFunction::Curve(curve)) = block.function {
            let (scale, output) = self.curve_result(block)?;
            let value = match block.core == block.applied {
                true => self.graph.steps[block.core].inputs[0],
                false => block.core + 1,
            };
            let argument = Argument::of(curve, self.calibration.whole(value), scale, output, smallest);
            let function = Function::Table(Sampled {
                curve,
                input: dyadic(argument.scale),
                output: dyadic(scale),
                bits: argument.bits,
            });
            let quotients = vec![argument.scale];
            let shift = shift(&quotients)?;
            return Ok(Target {
                shift,
                quotients,
                requantize: Some((function, output)),
                output: Scales::one(scale),
            });
        }
        let clamp = self.graph.steps[block.applied].op.clamp().filter(|_| block.function.is_some());
        let finish = |range: Range, scale: f64| {
            let Some((lo, hi)) = clamp else { return (Function::Identity, range) };
            let output = clamped(range, scale, lo, hi);
            (if lo == 0.0 && output.lo == 0 { Function::Relu } else { Function::Identity }, output)
        };
        if let Some((scale, range)) = block.quantize {
            let scale = own_scale(name, scale)?;
            let quotients = vec![scale];
            let (shift, requantize) = (shift(&quotients)?, Some(finish(range, scale)));
            return Ok(Target { shift, quotients, requantize, output: Scales::one(scale) });
        }
        if clamp.is_none() && channels.is_none() && self.graph.is_output(block.last + 1) {
            let scale = power_of_two(real.accumulator_exponent(rows));
            return Ok(Target {
                quotients: vec![scale],
                shift: 0,
                requantize: None,
                output: Scales::one(scale),
            });
        }
        let wish = Wish::of(self.graph, self.calibration, self.options, block, nonnegative);
        let magnitude = |extent: &Extent| match wish.range.lo >= 0 {
            true => extent.hi.max(0.0),
            false => extent.magnitude(),
        };
        let mut extents: Vec<f64> =
            self.calibration.extents[block.applied + 1].iter().map(magnitude).collect();
        if let Some(operand) = channels {
            return self.channel_target(block, &wish, operand, &extents, smallest, shift);
        }
        if extents.len() != rows.len() {
            let loudest = extents.iter().copied().fold(0.0, f64::max);
            extents = vec![loudest; rows.len()];
        }
        if extents.iter().all(|&extent| extent == 0.0) {
            // Calibration has not seen this layer do anything: allow for all that it could do.
            extents = rows.iter().map(|row| row.bound).collect();
        }
        let loudest = extents.iter().copied().fold(0.0, f64::max);
        if loudest == 0.0 {
            extents.fill(1.0);
        }
        let wanted = |extent: f64, row: &Row| {
            let wanted = extent.max(loudest / CHANNEL_SPREAD) * wish.headroom / wish.range.hi as f64;
            wanted.max(real.smallest_scale(row)).max(f64::MIN_POSITIVE)
        };
        let quotients: Vec<f64> =
            extents.iter().zip(rows).map(|(&extent, row)| wanted(extent, row)).collect();
        let own = self.calibration.channels[block.core + 1];
        let upper = clamp.map_or(f64::INFINITY, |(_, hi)| f64::from(hi) * (1.0 + 1e-6));
        let per_channel = own.count == rows.len()
            && rows.len() > 1
            && !matches!(self.graph.steps[block.core].op, FloatOp::Affine { weight: None, .. })
            && clamp.is_none_or(|(lo, _)| lo == 0.0)
            && quotients.iter().all(|scale| scale * wish.range.hi as f64 <= upper)
            && self.classes.target[block.last + 1].is_none()
            && self.graph.absorbs(block.last + 1, own);
        if per_channel {
            let function = if clamp.is_some() { Function::Relu } else { Function::Identity };
            let output = Scales { values: quotients.clone(), inner: own.inner };
            return Ok(Target {
                shift: shift(&quotients)?,
                quotients,
                requantize: Some((function, wish.range)),
                output,
            });
        }
        let shared = quotients.iter().copied().fold(0.0, f64::max);
        let common = self.classes.target[block.last + 1].map_or(shared, |common| common.max(smallest));
        let scale = rounded(common);
        Ok(Target {
            shift: shift(&[scale])?,
            quotients: vec![scale],
            requantize: Some(finish(wish.range, scale)),
            output: Scales::one(scale),
        })
    }

    /// A sum over spatial axes of a value whose channels have their own scales: they keep them, up to a common factor.
    fn channel_target(
        &self,
        block: &Block,
        wish: &Wish,
        operand: &Value,
        extents: &[f64],
        smallest: f64,
        shift: impl Fn(&[f64]) -> Result<i32, ModelError>,
    ) -> Result<Target, ModelError> {
        let Scales { values, inner } = pooled(operand, &self.graph.steps[block.core].shape);
        let wanted = values.iter().zip(extents.iter().cycle()).map(|(scale, extent)| extent / scale);
        let wanted = wanted.fold(0.0, f64::max) / wish.range.hi as f64;
        let factor = if wanted > 0.0 { wanted } else { 1.0 }.max(smallest);
        let function = if block.function.is_some() { Function::Relu } else { Function::Identity };
        Ok(Target {
            shift: shift(&[factor])?,
            quotients: vec![factor],
            requantize: Some((function, wish.range)),
            output: Scales { values: values.iter().map(|scale| scale * factor).collect(), inner },
        })
    }

    fn finish(mut self) -> Result<QuantizedModel, ModelError> {
        let last = self.graph.steps.len();
        let mut output = self.value(last)?.clone();
        if output.id as usize != self.model.layers.nodes.len() || output.id == 0 {
            // The last layer changes nothing that can occur; the model's output is the last node's all the same.
            let step = &self.graph.steps[last - 1];
            let layer = Layer::Reshape(Reshape { shape: axes(&step.shape) });
            let (name, source, scales) = (&step.name[..], step.source, output.scales.clone());
            let new = New { name, source, layer, requantize: None, parameters: Vec::new(), scales };
            output = self.add(new, &[output])?;
        }
        // Every path above gives the output one scale.
        self.model.layers.output_scale = dyadic(output.scales.largest());
        self.model.layers.values()?;
        Ok(self.model)
    }
}

/// Why no shift fits.
const TOO_LARGE: &str = "its weights are too large for the scale of its output";

/// A requantization alone.
static IDENTITY: FloatOp = FloatOp::Reshape;

/// The scales of a value's channels after something that works on spatial axes alone.
fn pooled(operand: &Value, shape: &[usize]) -> Scales {
    if operand.scales.is_one() {
        return operand.scales.clone();
    }
    let from = &operand.spec.shape;
    let before: usize = from[2..].iter().product();
    let after = shape.iter().product::<usize>() / (from[0] * from[1]);
    Scales { values: operand.scales.values.clone(), inner: operand.scales.inner / before * after }
}

fn is_spatial(op: &FloatOp) -> bool {
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

fn positions(window: &Window) -> usize {
    window.kernel.iter().map(|&k| k as usize).product()
}

/// Whether no accumulator can be negative.
fn is_nonnegative(op: &FloatOp, operands: &[Value]) -> bool {
    let all = operands.iter().all(|operand| operand.spec.range.lo >= 0);
    all && match op {
        FloatOp::Combine { coefficients, offset } => *offset >= 0.0 && coefficients.iter().all(|&c| c >= 0.0),
        FloatOp::Product | FloatOp::AveragePool { .. } | FloatOp::Reduce { .. } => true,
        op => *op == IDENTITY,
    }
}

/// The layer without its requantization, and its parameters.
fn integer_layer(
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

fn axes(shape: &[usize]) -> Vec<u32> {
    shape.iter().map(|&d| d as u32).collect()
}
