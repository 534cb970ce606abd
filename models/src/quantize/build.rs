//! The integer layers, one block after the other.

use super::calibrate::Calibration;
use super::functions::{clamped, symmetric};
use super::layer::{
    Bits, IDENTITY, Value, axes, integer_layer, is_nonnegative, is_spatial, plain_mean, pooled, real_layer,
};
use super::plan::{Block, Graph};
use super::scales::{Scales, dyadic, rounded};
use super::target::{TOO_LARGE, Targets, own_scale};
use super::{Floats, QuantizeOptions, QuantizedModel, refused};
use crate::error::ModelError;
use crate::float::{FloatFunction, FloatOp};
use provenn_circuits::functions::{Curve, Sampled};
use provenn_circuits::layers::{Activation, Arrange, Combine, Function, Layer, MaxPool, Requantize, Reshape};
use provenn_circuits::model::{LayerList, Node, Range, Scale, TableBits, ValueSpec};

/// Bits of public coefficients, with the sign, of a model that brings its own scales.
const OWN_SCALES_COEFFICIENT_BITS: u8 = 24;
/// Bits of public coefficients, with the sign, of the model's last layer, whose accumulators are its output.
const OUTPUT_COEFFICIENT_BITS: u8 = 20;
/// Bits that other coefficients have, with the sign, beyond those of the operands.
const SPARE_COEFFICIENT_BITS: u8 = 5;
/// Requantized values have at most this many bits, with the sign.
const VALUE_BITS: u32 = 14;
/// Most steps of what an arrangement fills with, and of the distance between entries whose maximum is taken.
const MOST_STEPS: f64 = 8191.0;
/// How much coarser an arrangement's operands may become for what it fills with.
const MAX_COARSENING: f64 = 16.0;

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
    targets: Targets<'a>,
    weight_bits: u8,
    /// Whether the model brings its own scales.
    own_scales: bool,
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
    let targets = Targets::new(graph, calibration, options, scale);
    let own_scales = graph.has_own_scales();
    let mut builder = Builder { graph, targets, weight_bits, own_scales, values, model };
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

    /// Bits of the factors of a block with these operands.
    fn bits(&self, is_output: bool, operands: &[Value]) -> Bits {
        let coefficients = match (self.own_scales, is_output) {
            (true, _) => OWN_SCALES_COEFFICIENT_BITS,
            (false, true) => OUTPUT_COEFFICIENT_BITS,
            (false, false) => {
                let largest = operands.iter().map(Value::largest).fold(1.0, f64::max);
                (largest.log2().ceil() as u8 + SPARE_COEFFICIENT_BITS).min(OUTPUT_COEFFICIENT_BITS)
            }
        };
        Bits { weights: self.weight_bits, coefficients }
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
        New { name: self.graph.name(block), source, layer, requantize: None, parameters: Vec::new(), scales }
    }

    /// A function or quantization of a value that is requantized already.
    fn pointwise(&mut self, block: &Block, operand: &Value) -> Result<Value, ModelError> {
        let range = operand.spec.range;
        let scale = operand.scales.largest();
        let kept = match block.quantize {
            None => Some(range),
            Some((own, own_range)) => (own_scale(self.graph.name(block), own)? == scale).then_some(own_range),
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
                let (scale, output) = self.targets.curve_result(block)?;
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
            false => rounded(self.targets.common(block.core + 1).unwrap_or(largest)),
        };
        let fill = self.representable(block, fill, scale, &operands);
        let needed = fill.abs() / MOST_STEPS;
        if needed > MAX_COARSENING * scale {
            let reason = format!("it fills with {fill}, far outside of its operand's range");
            return Err(refused(self.graph.name(block), reason));
        }
        let scale = if needed > scale { rounded(needed * (1.0 + 1e-6)) } else { scale };
        for operand in &mut operands {
            if operand.scales.largest() != scale {
                *operand = self.rescaled(self.graph.name(block), operand, scale)?;
            }
        }
        let fill = (fill / scale).round() as i64;
        let layer = Layer::Arrange(Arrange { fill, ..arrange.clone() });
        self.add(self.new_node(block, layer, Scales::one(scale)), &operands)
    }

    /// What an arrangement fills with. Where only the largest entry of windows is read, everything far below the operands
    /// is the same, and what a maximum can read is as low.
    fn representable(&self, block: &Block, fill: f64, scale: f64, operands: &[Value]) -> f64 {
        let readers = self.graph.readers(block.core + 1);
        let compared = |&step: &usize| matches!(self.graph.steps[step].op, FloatOp::MaxPool { .. });
        if readers.is_empty() || !readers.iter().all(compared) {
            return fill;
        }
        let of = |operand: &Value, end: i64| end as f64 * operand.scales.largest();
        let least = operands.iter().map(|operand| of(operand, operand.spec.range.lo)).fold(0.0, f64::min);
        let most = operands.iter().map(|operand| of(operand, operand.spec.range.hi)).fold(0.0, f64::max);
        // Two steps are for the rounding of operands that are brought to another scale.
        fill.max((most - (MOST_STEPS - 2.0) * scale).min(least))
    }

    /// A value with another scale.
    fn rescaled(&mut self, name: &str, operand: &Value, scale: f64) -> Result<Value, ModelError> {
        let operands = std::slice::from_ref(operand);
        let real = real_layer(&IDENTITY, operands, &operand.spec.shape, self.bits(false, operands));
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
        self.add(new, operands)
    }

    /// A mean over a power of two of entries, in the operand's own scale, of a model that brings its scales: its halves
    /// are exact and frequent, so they go to the even integer, as such a model means it. `None` for anything else.
    fn even_mean(&self, block: &Block, op: &FloatOp, operand: &Value) -> Result<Option<New<'a>>, ModelError> {
        let (Some((scale, output)), None) = (block.quantize, block.function) else { return Ok(None) };
        let step = &self.graph.steps[block.core];
        let Some((layer, count)) = plain_mean(op, operand, &step.shape) else { return Ok(None) };
        let scale = own_scale(self.graph.name(block), scale)?;
        let largest = operand.spec.range.lo.abs().max(operand.spec.range.hi + 1).saturating_mul(count);
        let bits = (i64::BITS - (largest - 1).leading_zeros()).max(1);
        if count == 1
            || !(count as u64).is_power_of_two()
            || bits > 13
            || operand.scales != Scales::one(scale)
        {
            return Ok(None);
        }
        let power = |exponent| Scale { mantissa: 1, exponent };
        let input = power(-(count.trailing_zeros() as i32));
        let sampled = Sampled { curve: Curve::Even, input, output: power(0), bits: bits as u8 };
        let requantize = Some((0, Function::Table(sampled), output));
        Ok(Some(New { requantize, ..self.new_node(block, layer, Scales::one(scale)) }))
    }

    /// A layer that computes sums or products.
    fn accumulate(&mut self, block: &Block, op: &FloatOp, operands: Vec<Value>) -> Result<Value, ModelError> {
        if let Some(new) = self.even_mean(block, op, &operands[0])? {
            return self.add(new, &operands);
        }
        let step = &self.graph.steps[block.core];
        let bits = self.bits(self.graph.is_output(block.last + 1), &operands);
        let real = real_layer(op, &operands, &step.shape, bits);
        let rows = real.row_facts();
        // Sums over the spatial axes keep the scales of channels: what follows is in multiples of them.
        let channels = Some(&operands[0]).filter(|operand| !operand.scales.is_one() && is_spatial(op));
        let nonnegative = is_nonnegative(op, &operands);
        let target = self.targets.target(block, &real, &rows, channels, nonnegative)?;
        let mut integer = real.quantize(&target.quotients, target.shift);
        let requantize = target.requantize.map(|(function, range)| (target.shift, function, range));
        let (layer, parameters) = integer_layer(op, &mut integer, &step.shape, self.weight_bits, &operands);
        let new = New { requantize, parameters, ..self.new_node(block, layer, target.output) };
        self.add(new, &operands)
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
