//! Simplification of the float graph before it is quantized: fewer, larger layers with the same output.
//!
//! Every rule is exact in real numbers. Each removes a place where the integer model would round:
//!
//! - sums and products with constants (batch normalization among them) go into the convolution or fully connected
//!   layer before them that nobody else reads, or into the one behind them where zero padding allows it;
//! - sums of sums become one sum;
//! - clamps of clamps become one clamp, and what changes nothing goes away;
//! - a clamp or quantization behind a pooling or reshape moves in front of it, where it can join the layer that computes
//!   the values.
//!
//! The rules are applied until none fits. Each makes the graph smaller or moves a layer towards the input, so they end.

use crate::float::{FloatFunction, FloatLayer, FloatOp};
use provenn_circuits::functions::Curve;
use provenn_circuits::layers::Window;
use provenn_circuits::model::Range;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// Most operands of a sum that other sums are merged into.
const MAX_OPERANDS: usize = 16;
/// Constants that differ by less than this share of themselves are the same constant rounded to 32 bits.
const SAME: f64 = 1e-6;

/// A layer of the simplified graph.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    /// Name of the node that it comes from.
    pub(crate) name: String,
    /// What it does.
    pub(crate) op: FloatOp,
    /// The values that it reads: 0 is the model's input, `i + 1` the output of step `i`.
    pub(crate) inputs: Vec<usize>,
    /// Shape of its output.
    pub(crate) shape: Vec<usize>,
    /// The imported layer that has the same output, if there is one.
    pub(crate) source: Option<usize>,
}

/// The simplified graph, in topological order; the last step's output is the model's.
pub(crate) fn simplify(input_shape: &[usize], layers: &[FloatLayer]) -> Vec<Step> {
    let steps = layers.iter().enumerate().map(|(index, layer)| Step {
        name: layer.name.clone(),
        op: layer.op.clone(),
        inputs: layer.inputs.clone(),
        shape: layer.shape.clone(),
        source: Some(index),
    });
    let mut graph = Rewriter {
        input_shape: input_shape.to_vec(),
        steps: steps.collect(),
        places: (0..layers.len()).collect(),
        output: layers.len(),
        readers: Vec::new(),
    };
    graph.count_readers();
    loop {
        let mut changed = false;
        for id in graph.order() {
            while graph.readers[id + 1] > 0 && graph.rewrite(id) {
                graph.count_readers();
                changed = true;
            }
        }
        if !changed {
            return graph.finish();
        }
    }
}

struct Rewriter {
    input_shape: Vec<usize>,
    /// Step `i` gives value `i + 1`. Steps that nobody reads are gone.
    steps: Vec<Step>,
    /// Where a step stands among steps that do not depend on each other.
    places: Vec<usize>,
    /// The value that is the model's output.
    output: usize,
    /// Number of uses of each value by live steps; the model's output is one more use.
    readers: Vec<usize>,
}

impl Rewriter {
    fn count_readers(&mut self) {
        self.readers = vec![0; self.steps.len() + 1];
        self.readers[self.output] = 1;
        let mut open = vec![self.output];
        while let Some(value) = open.pop() {
            if value == 0 {
                continue;
            }
            for &input in &self.steps[value - 1].inputs {
                self.readers[input] += 1;
                if self.readers[input] == 1 {
                    open.push(input);
                }
            }
        }
    }

    /// Live steps in topological order, as close to the file's as that allows.
    fn order(&self) -> Vec<usize> {
        let mut missing: Vec<usize> = self.steps.iter().map(|step| step.inputs.len()).collect();
        let mut uses: Vec<Vec<usize>> = vec![Vec::new(); self.steps.len() + 1];
        for (id, step) in self.steps.iter().enumerate().filter(|(id, _)| self.readers[id + 1] > 0) {
            step.inputs.iter().for_each(|&input| uses[input].push(id));
        }
        let mut ready = BinaryHeap::new();
        let mut order = Vec::with_capacity(self.steps.len());
        let mut done = vec![0];
        loop {
            for value in done.drain(..) {
                for &id in &uses[value] {
                    missing[id] -= 1;
                    if missing[id] == 0 {
                        ready.push(Reverse((self.places[id], id)));
                    }
                }
            }
            let Some(Reverse((_, id))) = ready.pop() else { return order };
            order.push(id);
            done.push(id + 1);
        }
    }

    fn finish(mut self) -> Vec<Step> {
        let order = self.order();
        let mut values = vec![0; self.steps.len() + 1];
        order.iter().enumerate().for_each(|(index, &id)| values[id + 1] = index + 1);
        order
            .into_iter()
            .map(|id| {
                let mut step = self.steps[id].clone_shell();
                std::mem::swap(&mut step.op, &mut self.steps[id].op);
                step.inputs.iter_mut().for_each(|input| *input = values[*input]);
                step
            })
            .collect()
    }

    fn shape(&self, value: usize) -> &[usize] {
        value.checked_sub(1).map_or(&self.input_shape, |id| &self.steps[id].shape)
    }

    /// The step that gives a value.
    fn step(&self, value: usize) -> Option<&Step> {
        self.steps.get(value.checked_sub(1)?)
    }

    /// The step that gives a value which has one reader.
    fn sole(&self, value: usize) -> Option<usize> {
        (value > 0 && self.readers[value] == 1).then(|| value - 1)
    }

    fn push(&mut self, step: Step, place: usize) -> usize {
        self.steps.push(step);
        self.places.push(place);
        self.steps.len()
    }

    /// Tries every rule on one step; whether one fitted.
    fn rewrite(&mut self, id: usize) -> bool {
        self.drop_identity(id)
            || self.uniform_constants(id)
            || self.join_linear(id)
            || self.join_constants(id)
            || self.join_sums(id)
            || self.absorb_operand(id)
            || self.join_clamps(id)
            || self.join_reshapes(id)
            || self.same_quantization(id)
            || self.move_forward(id)
            || self.quantize_pieces(id)
    }

    /// A step that changes nothing.
    fn drop_identity(&mut self, id: usize) -> bool {
        let step = &self.steps[id];
        let operand = step.inputs[0];
        if self.output == id + 1 && operand == 0 || self.shape(operand) != step.shape {
            return false;
        }
        let nothing = match &step.op {
            FloatOp::Combine { .. } => {
                matches!(step.op.scalar(), Some((factor, 0.0)) if (factor - 1.0).abs() < SAME)
            }
            FloatOp::Function(FloatFunction::Relu) => self.is_nonnegative(operand),
            FloatOp::Function(FloatFunction::Clip { lo, hi }) => {
                *hi == f32::INFINITY
                    && (*lo == f32::NEG_INFINITY || *lo <= 0.0 && self.is_nonnegative(operand))
            }
            FloatOp::Reshape => true,
            FloatOp::Quantize { scale, range } => {
                self.grid(operand).is_some_and(|(grid, values)| grid == *scale && range.covers(&values))
            }
            _ => false,
        };
        if nothing {
            let source = step.source;
            self.redirect(id + 1, operand);
            if operand > 0 && self.steps[operand - 1].source.is_none() {
                self.steps[operand - 1].source = source;
            }
        }
        nothing
    }

    fn redirect(&mut self, from: usize, to: usize) {
        for step in &mut self.steps {
            step.inputs.iter_mut().filter(|input| **input == from).for_each(|input| *input = to);
        }
        if self.output == from {
            self.output = to;
        }
    }

    /// Whether no entry can be negative.
    fn is_nonnegative(&self, value: usize) -> bool {
        self.nonnegative(value, &mut HashMap::new())
    }

    fn nonnegative(&self, value: usize, known: &mut HashMap<usize, bool>) -> bool {
        let Some(step) = self.step(value) else { return false };
        if let Some(&known) = known.get(&value) {
            return known;
        }
        let mut operands = || step.inputs.iter().all(|&input| self.nonnegative(input, known));
        let result = match &step.op {
            FloatOp::Function(FloatFunction::Relu) => true,
            FloatOp::Function(FloatFunction::Clip { lo, hi }) => *lo >= 0.0 && *hi >= 0.0,
            FloatOp::Function(FloatFunction::Curve(curve)) => matches!(
                curve,
                Curve::Sigmoid
                    | Curve::Softplus
                    | Curve::HardSigmoid { .. }
                    | Curve::Exp
                    | Curve::Sqrt
                    | Curve::Abs
            ),
            FloatOp::Quantize { range, .. } => range.lo >= 0,
            FloatOp::MaxPool { .. }
            | FloatOp::AveragePool { .. }
            | FloatOp::Reduce { .. }
            | FloatOp::Reshape => operands(),
            FloatOp::Arrange { fill, .. } => *fill >= 0.0 && operands(),
            _ => false,
        };
        known.insert(value, result);
        result
    }

    /// The scale of which all entries are multiples, and the range of these multiples.
    fn grid(&self, value: usize) -> Option<(f64, Range)> {
        self.multiples(value, &mut HashMap::new())
    }

    fn multiples(
        &self,
        value: usize,
        known: &mut HashMap<usize, Option<(f64, Range)>>,
    ) -> Option<(f64, Range)> {
        let step = self.step(value)?;
        if let Some(known) = known.get(&value) {
            return *known;
        }
        let result = match &step.op {
            FloatOp::Quantize { scale, range } => Some((*scale, *range)),
            FloatOp::MaxPool { .. } | FloatOp::Reshape => self.multiples(step.inputs[0], known),
            FloatOp::Function(FloatFunction::Relu) => self
                .multiples(step.inputs[0], known)
                .map(|(scale, range)| (scale, Range::new(range.lo.max(0), range.hi.max(0)))),
            FloatOp::Arrange { fill, .. } => {
                let pieces: Option<Vec<_>> =
                    step.inputs.iter().map(|&input| self.multiples(input, known)).collect();
                pieces.and_then(|pieces| {
                    let scale = pieces.first()?.0;
                    let steps = fill / scale;
                    let fits = steps == steps.round() && steps.abs() < 1e9;
                    let same = pieces.iter().all(|piece| piece.0 == scale);
                    let filled = Range::new(steps as i64, steps as i64);
                    let range = pieces.iter().fold(filled, |range, piece| range.union(&piece.1));
                    (fits && same).then_some((scale, range))
                })
            }
            _ => None,
        };
        known.insert(value, result);
        result
    }

    /// Constants that are all equal are a factor and a summand.
    fn uniform_constants(&mut self, id: usize) -> bool {
        let step = &self.steps[id];
        let FloatOp::Affine { weight, bias, .. } = &step.op else { return false };
        let (Some(factor), Some(summand)) = (uniform(weight, 1.0), uniform(bias, 0.0)) else { return false };
        if self.shape(step.inputs[0]) != step.shape {
            return false;
        }
        self.steps[id].op = FloatOp::Combine { coefficients: vec![factor], offset: summand };
        true
    }

    /// Constants behind a convolution or fully connected layer become part of it.
    fn join_linear(&mut self, id: usize) -> bool {
        let step = &self.steps[id];
        let Some(linear) = self.sole(step.inputs[0]) else { return false };
        let Some((axis, channels)) = self.steps[linear].op.output_channels(step.shape.len()) else {
            return false;
        };
        if self.steps[linear].shape != step.shape {
            return false;
        }
        let Some((factors, summands)) = step.op.constants(axis, channels) else { return false };
        let Some(op) = self.steps[linear].op.scaled_outputs(&factors, &summands) else { return false };
        self.steps[id].op = op;
        self.steps[id].inputs = self.steps[linear].inputs.clone();
        self.steps[id].name = self.steps[linear].name.clone();
        true
    }

    /// A factor and summand, or constants, of a value that is one itself.
    fn join_constants(&mut self, id: usize) -> bool {
        let step = &self.steps[id];
        let Some(first) = step.inputs.first().and_then(|&input| self.sole(input)) else { return false };
        if self.steps[first].shape != step.shape {
            return false;
        }
        let Some(op) = compose(&self.steps[first].op, &step.op) else { return false };
        self.steps[id].op = op;
        self.steps[id].inputs = self.steps[first].inputs.clone();
        true
    }

    /// A sum whose summands are sums, or the same value twice.
    fn join_sums(&mut self, id: usize) -> bool {
        let step = &self.steps[id];
        let FloatOp::Combine { coefficients, offset } = &step.op else { return false };
        let mut terms: Vec<(usize, f64)> = Vec::new();
        let mut sum = *offset;
        let mut changed = false;
        let mut add = |input: usize, c: f64, changed: &mut bool| match terms.iter_mut().find(|t| t.0 == input)
        {
            Some((_, coefficient)) => {
                *coefficient += c;
                *changed = true;
            }
            None => terms.push((input, c)),
        };
        let mut room = MAX_OPERANDS.saturating_sub(coefficients.len());
        for (&input, &c) in step.inputs.iter().zip(coefficients) {
            let inner = self.sole(input).map(|inner| &self.steps[inner]);
            match inner.map(|inner| (&inner.op, &inner.inputs)) {
                Some((FloatOp::Combine { coefficients, offset }, inputs))
                    if coefficients.len() <= room + 1 && step.inputs.len() > 1 =>
                {
                    room -= coefficients.len() - 1;
                    sum += c * offset;
                    inputs.iter().zip(coefficients).for_each(|(&i, &k)| add(i, c * k, &mut changed));
                    changed = true;
                }
                _ => add(input, c, &mut changed),
            }
        }
        if changed {
            self.steps[id].inputs = terms.iter().map(|t| t.0).collect();
            self.steps[id].op =
                FloatOp::Combine { coefficients: terms.iter().map(|t| t.1).collect(), offset: sum };
        }
        changed
    }

    /// Constants in front of a convolution or fully connected layer become part of it, unless a summand would have to
    /// reach into the padding.
    fn absorb_operand(&mut self, id: usize) -> bool {
        let step = &self.steps[id];
        let operand = step.inputs[0];
        let Some((axis, channels, padded)) = step.op.input_channels(self.shape(operand)) else {
            return false;
        };
        let Some(before) = self.sole(operand) else { return false };
        let before = &self.steps[before];
        if !matches!(before.op, FloatOp::Combine { .. } | FloatOp::Affine { .. })
            || self.shape(before.inputs[0]) != before.shape
        {
            return false;
        }
        let Some((factors, summands)) = before.op.constants(axis, channels) else { return false };
        if padded && summands.iter().any(|&summand| summand != 0.0) {
            return false;
        }
        let source = before.inputs[0];
        let Some(op) = step.op.scaled_inputs(&factors, &summands) else { return false };
        self.steps[id].op = op;
        self.steps[id].inputs = vec![source];
        true
    }

    /// A clamp of a clamp.
    fn join_clamps(&mut self, id: usize) -> bool {
        let step = &self.steps[id];
        let Some((lo, hi)) = step.op.clamp() else { return false };
        let Some(inner) = self.sole(step.inputs[0]) else { return false };
        let Some((inner_lo, inner_hi)) = self.steps[inner].op.clamp() else { return false };
        let end = |x: f32| x.max(lo).min(hi);
        let (lo, hi) = (end(inner_lo), end(inner_hi));
        self.steps[id].inputs = self.steps[inner].inputs.clone();
        self.steps[id].op = FloatOp::Function(match (lo, hi) {
            (0.0, f32::INFINITY) => FloatFunction::Relu,
            _ => FloatFunction::Clip { lo, hi },
        });
        true
    }

    fn join_reshapes(&mut self, id: usize) -> bool {
        let step = &self.steps[id];
        if step.op != FloatOp::Reshape {
            return false;
        }
        let Some(before) = self.step(step.inputs[0]).filter(|before| before.op == FloatOp::Reshape) else {
            return false;
        };
        self.steps[id].inputs = before.inputs.clone();
        true
    }

    /// The same quantization of the same value.
    fn same_quantization(&mut self, id: usize) -> bool {
        let step = &self.steps[id];
        if !matches!(step.op, FloatOp::Quantize { .. }) {
            return false;
        }
        let same = |other: &Step| other.inputs == step.inputs && other.op == step.op;
        let Some(other) = (0..self.steps.len())
            .find(|&other| other != id && self.readers[other + 1] > 0 && same(&self.steps[other]))
        else {
            return false;
        };
        self.redirect(id + 1, other + 1);
        true
    }

    /// A clamp or quantization of pooled or reshaped values: the same before the pooling, if it can join the layer there.
    fn move_forward(&mut self, id: usize) -> bool {
        let step = &self.steps[id];
        let Some(pool) = self.sole(step.inputs[0]) else { return false };
        let through = match &self.steps[pool].op {
            FloatOp::MaxPool { .. } => {
                step.op.clamp().is_some() || matches!(step.op, FloatOp::Quantize { .. })
            }
            FloatOp::Reshape => matches!(step.op, FloatOp::Function(_) | FloatOp::Quantize { .. }),
            _ => false,
        };
        if !through || !self.can_join(self.steps[pool].inputs[0], &step.op) {
            return false;
        }
        let shape = self.shape(self.steps[pool].inputs[0]).to_vec();
        let (moved, pooled) = (self.steps[id].clone(), self.steps[pool].clone());
        // A reshape keeps all entries in order, so that the imported layer's output is still what moves in front of it.
        let source = moved.source.filter(|_| pooled.op == FloatOp::Reshape);
        self.steps[id] = Step { op: pooled.op, name: pooled.name, ..self.steps[id].clone_shell() };
        self.steps[pool] = Step { name: moved.name, op: moved.op, inputs: pooled.inputs, shape, source };
        true
    }

    /// Whether a function of this value can be part of the layer that computes the value.
    fn can_join(&self, value: usize, what: &FloatOp) -> bool {
        let Some(producer) = self.sole(value) else { return false };
        let step = &self.steps[producer];
        match &step.op {
            FloatOp::MaxPool { .. } => {
                !matches!(what, FloatOp::Function(FloatFunction::Curve(_)))
                    && self.can_join(step.inputs[0], what)
            }
            FloatOp::Reshape => self.can_join(step.inputs[0], what),
            FloatOp::Function(_) => {
                matches!(what, FloatOp::Quantize { .. }) && self.can_join(step.inputs[0], &step.op)
            }
            op => op.accumulates(),
        }
    }

    /// A quantization of concatenated values: the same of each, so that all have one scale.
    fn quantize_pieces(&mut self, id: usize) -> bool {
        let step = &self.steps[id];
        let FloatOp::Quantize { scale, range } = step.op else { return false };
        let Some(arrange) = self.sole(step.inputs[0]) else { return false };
        let FloatOp::Arrange { arrange: moves, fill } = &self.steps[arrange].op else { return false };
        let fill = scale * (fill / scale).round().clamp(range.lo as f64, range.hi as f64);
        let op = FloatOp::Arrange { arrange: moves.clone(), fill };
        let (place, name) = (self.places[arrange], step.name.clone());
        let operands = self.steps[arrange].inputs.clone();
        let pieces = operands
            .into_iter()
            .map(|operand| {
                let shape = self.shape(operand).to_vec();
                let op = FloatOp::Quantize { scale, range };
                self.push(Step { name: name.clone(), op, inputs: vec![operand], shape, source: None }, place)
            })
            .collect();
        self.steps[id].op = op;
        self.steps[id].inputs = pieces;
        self.steps[id].name = self.steps[arrange].name.clone();
        true
    }
}

impl Step {
    /// The step with another operation in place of its own, which may be large.
    fn clone_shell(&self) -> Step {
        Step {
            name: self.name.clone(),
            op: FloatOp::Reshape,
            inputs: self.inputs.clone(),
            shape: self.shape.clone(),
            source: self.source,
        }
    }
}

/// The value of all constants, if they are equal; `default` if there are none.
fn uniform(constants: &Option<Vec<f32>>, default: f64) -> Option<f64> {
    let Some(constants) = constants else { return Some(default) };
    let first = *constants.first()?;
    constants.iter().all(|&c| c == first).then(|| first.into())
}

/// `second` of `first`, where both are sums with, or products with, constants.
fn compose(first: &FloatOp, second: &FloatOp) -> Option<FloatOp> {
    use FloatOp::{Affine, Combine};
    match (first, second) {
        (Combine { coefficients, offset }, Combine { .. }) => {
            let (factor, summand) = second.scalar()?;
            let coefficients = coefficients.iter().map(|c| c * factor).collect();
            Some(Combine { coefficients, offset: offset * factor + summand })
        }
        (Affine { shape, weight, bias }, Combine { .. }) => {
            let (factor, summand) = second.scalar()?;
            let len = shape.iter().product();
            let weight = weight.clone().unwrap_or_else(|| vec![1.0; len]);
            let weight = weight.iter().map(|&w| (f64::from(w) * factor) as f32);
            let bias = bias.clone().unwrap_or_else(|| vec![0.0; len]);
            let bias = bias.iter().map(|&b| (f64::from(b) * factor + summand) as f32);
            finite(Affine {
                shape: shape.clone(),
                weight: Some(weight.collect()),
                bias: Some(bias.collect()),
            })
        }
        (Combine { .. }, Affine { shape, weight, bias }) => {
            let (factor, summand) = first.scalar()?;
            let len = shape.iter().product();
            let weight = weight.clone().unwrap_or_else(|| vec![1.0; len]);
            let bias = bias.clone().unwrap_or_else(|| vec![0.0; len]);
            let sums =
                bias.iter().zip(&weight).map(|(&b, &w)| (f64::from(w) * summand + f64::from(b)) as f32);
            let bias = Some(sums.collect());
            let weight = Some(weight.iter().map(|&w| (f64::from(w) * factor) as f32).collect());
            finite(Affine { shape: shape.clone(), weight, bias })
        }
        (Affine { shape: inner, weight: w1, bias: b1 }, Affine { shape: outer, weight: w2, bias: b2 }) => {
            if inner.len() != outer.len() {
                return None;
            }
            let shape: Vec<usize> = inner.iter().zip(outer).map(|(&a, &b)| a.max(b)).collect();
            let len = shape.iter().product::<usize>();
            // Never more constants than there were.
            if len > inner.iter().product::<usize>().max(outer.iter().product()) {
                return None;
            }
            let spread = |constants: &Option<Vec<f32>>, from: &[usize], default: f32| match constants {
                Some(constants) => broadcast(constants, from, &shape),
                None => vec![default; len],
            };
            let (w1, b1) = (spread(w1, inner, 1.0), spread(b1, inner, 0.0));
            let (w2, b2) = (spread(w2, outer, 1.0), spread(b2, outer, 0.0));
            let weight = w1.iter().zip(&w2).map(|(a, b)| a * b).collect();
            let bias = b1.iter().zip(&w2).zip(&b2);
            let bias =
                bias.map(|((&b, &w), &c)| (f64::from(b) * f64::from(w) + f64::from(c)) as f32).collect();
            finite(Affine { shape, weight: Some(weight), bias: Some(bias) })
        }
        _ => None,
    }
}

/// The operation, if its constants have not overflowed.
fn finite(op: FloatOp) -> Option<FloatOp> {
    let all = |constants: &Option<Vec<f32>>| constants.iter().flatten().all(|c| c.is_finite());
    match &op {
        FloatOp::Affine { weight, bias, .. } if !all(weight) || !all(bias) => None,
        FloatOp::Conv { weight, bias, .. } | FloatOp::Gemm { weight, bias, .. }
            if !weight.iter().all(|w| w.is_finite()) || !all(bias) =>
        {
            None
        }
        _ => Some(op),
    }
}

/// Constants of one shape spread over another with as many axes.
pub(crate) fn broadcast<T: Copy>(constants: &[T], from: &[usize], to: &[usize]) -> Vec<T> {
    let mut strides = vec![0; from.len()];
    let mut stride = 1;
    for axis in (0..from.len()).rev() {
        strides[axis] = if from[axis] == 1 { 0 } else { stride };
        stride *= from[axis];
    }
    let len: usize = to.iter().product();
    (0..len)
        .map(|index| {
            let mut rest = index;
            let mut at = 0;
            for axis in (0..to.len()).rev() {
                at += rest % to[axis] * strides[axis];
                rest /= to[axis];
            }
            constants[at]
        })
        .collect()
}

impl FloatOp {
    /// Whether the layer computes sums or products, which are rounded to integers once, together with a function.
    pub(crate) fn accumulates(&self) -> bool {
        matches!(
            self,
            FloatOp::Gemm { .. }
                | FloatOp::Conv { .. }
                | FloatOp::Combine { .. }
                | FloatOp::Product
                | FloatOp::Affine { .. }
                | FloatOp::AveragePool { .. }
                | FloatOp::Reduce { .. }
        )
    }

    /// Factor and summand of a sum of one operand.
    fn scalar(&self) -> Option<(f64, f64)> {
        match self {
            FloatOp::Combine { coefficients, offset } => match coefficients[..] {
                [factor] => Some((factor, *offset)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Ends of a clamp.
    pub(crate) fn clamp(&self) -> Option<(f32, f32)> {
        match self {
            FloatOp::Function(FloatFunction::Relu) => Some((0.0, f32::INFINITY)),
            FloatOp::Function(FloatFunction::Clip { lo, hi }) => Some((*lo, *hi)),
            _ => None,
        }
    }

    /// Axis and number of the output channels of a layer with weights.
    fn output_channels(&self, axes: usize) -> Option<(usize, usize)> {
        match self {
            FloatOp::Conv { outputs, .. } => Some((1, *outputs)),
            FloatOp::Gemm { outputs, .. } => Some((axes.checked_sub(1)?, *outputs)),
            _ => None,
        }
    }

    /// Axis and number of the input channels of a layer with weights, and whether its operand is padded.
    fn input_channels(&self, operand: &[usize]) -> Option<(usize, usize, bool)> {
        let padded = |window: &Window| window.begin.iter().chain(&window.end).any(|&p| p != 0);
        match self {
            FloatOp::Conv { window, .. } => Some((1, *operand.get(1)?, padded(window))),
            FloatOp::Gemm { inputs, .. } => Some((operand.len().checked_sub(1)?, *inputs, false)),
            _ => None,
        }
    }

    /// Factors and summands of every channel, if they depend on nothing but the index of that axis.
    fn constants(&self, axis: usize, channels: usize) -> Option<(Vec<f64>, Vec<f64>)> {
        if let Some((factor, summand)) = self.scalar() {
            return Some((vec![factor; channels], vec![summand; channels]));
        }
        let FloatOp::Affine { shape, weight, bias } = self else { return None };
        if shape.iter().enumerate().any(|(a, &d)| d != 1 && (a != axis || d != channels)) {
            return None;
        }
        let spread = |constants: &Option<Vec<f32>>, default: f64| match constants {
            None => vec![default; channels],
            Some(constants) => constants.iter().cycle().take(channels).map(|&c| c.into()).collect(),
        };
        Some((spread(weight, 1.0), spread(bias, 0.0)))
    }

    /// The layer with its output channels multiplied and increased; `None` if that overflows.
    fn scaled_outputs(&self, factors: &[f64], summands: &[f64]) -> Option<FloatOp> {
        let mut op = self.clone();
        let (FloatOp::Conv { weight, bias, .. } | FloatOp::Gemm { weight, bias, .. }) = &mut op else {
            return None;
        };
        let row = weight.len() / factors.len();
        for (weights, factor) in weight.chunks_mut(row).zip(factors) {
            weights.iter_mut().for_each(|w| *w = (f64::from(*w) * factor) as f32);
        }
        let old = bias.take().unwrap_or_else(|| vec![0.0; factors.len()]);
        let sums = old.iter().zip(factors).zip(summands);
        let sums: Vec<f32> = sums.map(|((&b, f), s)| (f64::from(b) * f + s) as f32).collect();
        *bias = sums.iter().any(|&b| b != 0.0).then_some(sums);
        finite(op)
    }

    /// The layer for an operand whose channels are multiplied and increased here; `None` if that overflows.
    fn scaled_inputs(&self, factors: &[f64], summands: &[f64]) -> Option<FloatOp> {
        let mut op = self.clone();
        let (groups, rows) = match &op {
            FloatOp::Conv { groups, outputs, .. } => (*groups, *outputs),
            FloatOp::Gemm { outputs, .. } => (1, *outputs),
            _ => return None,
        };
        let (FloatOp::Conv { weight, bias, .. } | FloatOp::Gemm { weight, bias, .. }) = &mut op else {
            return None;
        };
        let row = weight.len() / rows;
        let channels = factors.len() / groups;
        let kernel = row / channels;
        let mut sums: Vec<f64> =
            bias.as_ref().map_or(vec![0.0; rows], |b| b.iter().map(|&b| b.into()).collect());
        for (o, weights) in weight.chunks_mut(row).enumerate() {
            let first = o / (rows / groups) * channels;
            for (channel, weights) in weights.chunks_mut(kernel).enumerate() {
                for w in weights {
                    sums[o] += f64::from(*w) * summands[first + channel];
                    *w = (f64::from(*w) * factors[first + channel]) as f32;
                }
            }
        }
        *bias = sums.iter().any(|&b| b != 0.0).then(|| sums.iter().map(|&b| b as f32).collect());
        finite(op)
    }
}
