//! Lowering: from a layer list to the circuits that are proved.

use crate::bounds;
use crate::circuit::{
    AxisMap, Circuit, Contract, Expr, Linear, Lookup, Part, Quotient, Role, Source, Step, Tensor, TensorId,
    View, Visibility,
};
use crate::error::CircuitError;
use crate::forms::FEW_COLUMNS;
use crate::layers::{Function, Layer, Requantize};
use crate::model::{LayerList, MAX_AXES, Range, ValueSpec};
use crate::reduction::{LeafPlan, readings};
use crate::system::MAX_ROWS;
use crate::tables::Table;
use std::collections::HashMap;

/// Which of input and output are public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modes {
    /// The input.
    pub input: Visibility,
    /// The output.
    pub output: Visibility,
}

impl Modes {
    /// Input and output in the clear.
    pub const PUBLIC: Modes = Modes { input: Visibility::Public, output: Visibility::Public };

    /// All four, in the order of [`Modes::index`].
    pub const ALL: [Modes; 4] = {
        use Visibility::{Committed, Public};
        [
            Modes { input: Public, output: Public },
            Modes { input: Committed, output: Public },
            Modes { input: Public, output: Committed },
            Modes { input: Committed, output: Committed },
        ]
    };

    /// Number of the combination: bit 0 for a committed input, bit 1 for a committed output.
    pub fn index(self) -> usize {
        usize::from(self.input == Visibility::Committed)
            + 2 * usize::from(self.output == Visibility::Committed)
    }
}

/// A value between layers: a tensor under a logical shape.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) tensor: TensorId,
    /// Logical shape; the tensor's own shape has the same entries in the same row-major order.
    pub(crate) shape: Vec<usize>,
}

/// A rounded division whose quotient is yet to be placed.
struct Division {
    source: Source,
    shift: u32,
    remainder: Vec<(TensorId, u32)>,
}

/// A circuit under construction.
pub(crate) struct Builder<'l> {
    pub(crate) circuit: Circuit,
    layers: &'l LayerList,
    modes: Modes,
    /// Parameter tensors of each node.
    pub(crate) parameters: Vec<Vec<TensorId>>,
    /// The node whose tensor is the model's output.
    output_node: Option<usize>,
    /// Tensors that are yet to be constrained to a range: once it is known how they are computed.
    unchecked: Vec<(TensorId, Range)>,
    /// Copies of tensors under other shapes.
    copies: HashMap<(TensorId, Vec<usize>), TensorId>,
    /// Tensors of ones, by shape.
    ones: HashMap<Vec<usize>, TensorId>,
}

/// The circuit of one inference.
///
/// # Errors
/// [`CircuitError`] if the layer list is malformed, or if a constraint could wrap or leave a tensor unbounded.
pub fn inference(layers: &LayerList, modes: Modes) -> Result<Circuit, CircuitError> {
    let specs = layers.values()?;
    // The output of the last node that is not a mere reshape.
    let output_node = layers.nodes.len().checked_sub(1).and_then(|mut node| {
        while let Layer::Reshape(_) = layers.nodes[node].layer {
            node = (layers.nodes[node].inputs[0] as usize).checked_sub(1)?;
        }
        Some(node)
    });
    let mut builder = Builder::new(layers, modes, output_node);
    let input = builder.declare(
        "input",
        squeezed(&input_layout(layers, &specs[0])),
        Role::Input(modes.input),
        specs[0].range,
    );
    if modes.input == Visibility::Committed {
        builder.range_check(input, specs[0].range);
    }
    builder.circuit.attribute(None);
    let mut values = vec![Value { tensor: input, shape: specs[0].shape.clone() }];
    for (index, node) in layers.nodes.iter().enumerate() {
        let operands: Vec<Value> = node.inputs.iter().map(|&value| values[value as usize].clone()).collect();
        values.push(node.layer.as_kind().lower(&mut builder, index, &operands, &specs[index + 1]));
        builder.circuit.attribute(Some(index));
    }
    if builder.output_node.is_none() {
        // Only reshapes: the output is a copy of the input.
        let spec = &specs[layers.nodes.len()];
        let shape = builder.circuit.tensors[input].shape.clone();
        let output = builder.declare("output", shape, Role::Output(modes.output), spec.range);
        builder.copy(input, output);
        builder.circuit.attribute(layers.nodes.len().checked_sub(1));
        if modes.output == Visibility::Committed {
            builder.range_check(output, spec.range);
        }
    }
    builder.finish(true)
}

/// The circuit of the key proof: every weight and bias lies in its declared range.
///
/// # Errors
/// [`CircuitError`] if the layer list is malformed.
pub fn key(layers: &LayerList) -> Result<Circuit, CircuitError> {
    layers.values()?;
    let mut builder = Builder::new(layers, Modes::PUBLIC, None);
    for parameter in builder.parameters.concat() {
        let range = builder.circuit.tensors[parameter].range;
        builder.range_check(parameter, range);
    }
    builder.finish(false)
}

/// The shape under which the input is laid out: that of the reshapes that follow it, if all its readers agree.
fn input_layout(layers: &LayerList, input: &ValueSpec) -> Vec<usize> {
    let mut value = 0;
    let mut shape = input.shape.clone();
    loop {
        let mut readers = layers.nodes.iter().enumerate().filter(|(_, node)| node.inputs.contains(&value));
        match (readers.next(), readers.next()) {
            (Some((index, node)), None) => match &node.layer {
                Layer::Reshape(reshape) => {
                    shape = reshape.shape.iter().map(|&d| d as usize).collect();
                    value = index as u32 + 1;
                }
                _ => return shape,
            },
            _ => return shape,
        }
    }
}

/// A shape without its axes of length 1.
pub(crate) fn squeezed(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|&d| d != 1).collect()
}

impl<'l> Builder<'l> {
    /// A circuit of nothing but the parameters.
    fn new(layers: &'l LayerList, modes: Modes, output_node: Option<usize>) -> Self {
        let mut builder = Builder {
            circuit: Circuit::default(),
            layers,
            modes,
            parameters: Vec::new(),
            output_node,
            unchecked: Vec::new(),
            copies: HashMap::new(),
            ones: HashMap::new(),
        };
        builder.declare_parameters();
        builder.circuit.attribute(None);
        for (node, parameters) in builder.parameters.iter().enumerate() {
            parameters.iter().for_each(|&id| builder.circuit.origins.set_tensor(id, node));
        }
        builder
    }

    pub(crate) fn declare(&mut self, name: &str, shape: Vec<usize>, role: Role, range: Range) -> TensorId {
        self.circuit.tensors.push(Tensor { name: name.to_string(), shape, role, range });
        self.circuit.tensors.len() - 1
    }

    fn declare_parameters(&mut self) {
        self.parameters = vec![Vec::new(); self.layers.nodes.len()];
        for (index, spec) in self.layers.parameters().into_iter().enumerate() {
            let name = format!("layer {} {:?}", spec.node, spec.kind).to_lowercase();
            let id = self.declare(&name, spec.shape, Role::Weight(index), Range::signed(spec.bits));
            self.parameters[spec.node].push(id);
        }
    }

    /// Role of the output tensor of a node.
    pub(crate) fn output_role(&self, node: usize) -> Role {
        if self.output_node == Some(node) { Role::Output(self.modes.output) } else { Role::Witness }
    }

    pub(crate) fn table(&mut self, table: Table) -> usize {
        self.circuit.tables.iter().position(|t| *t == table).unwrap_or_else(|| {
            self.circuit.tables.push(table);
            self.circuit.tables.len() - 1
        })
    }

    /// Looks up whole tensors of one shape, one per column of the table.
    pub(crate) fn lookup(&mut self, table: Table, exprs: Vec<Expr>, extents: Vec<usize>) {
        let table = self.table(table);
        self.circuit.lookups.push(Lookup { extents, exprs, table });
    }

    /// Declares the limbs of a non-negative integer of `bits` bits and looks them up; returns them, least significant
    /// first, with their bits, and the expression of their sum.
    pub(crate) fn limbs(&mut self, name: &str, shape: &[usize], bits: u32) -> (Vec<(TensorId, u32)>, Expr) {
        let width = u32::from(self.layers.tables.limb);
        let mut limbs = Vec::new();
        let mut sum = Expr::default();
        let mut at = 0;
        while at < bits {
            let own = width.min(bits - at);
            let tensor = self.declare(
                &format!("{name} bits {at}..{}", at + own),
                shape.to_vec(),
                Role::Witness,
                Range::unsigned(own),
            );
            let view = whole(tensor, shape.len());
            self.lookup(Table::Range { bits: own }, vec![Expr::view(1, view.clone())], shape.to_vec());
            sum = sum.plus(1 << at, view);
            limbs.push((tensor, own));
            at += own;
        }
        (limbs, sum)
    }

    /// Constrains every entry of a tensor to `range`.
    fn range_check(&mut self, tensor: TensorId, range: Range) {
        let shape = self.circuit.tensors[tensor].shape.clone();
        let entries = self.circuit.tensors[tensor].len();
        let above = Expr::view(1, whole(tensor, shape.len())).offset(-range.lo);
        let below = Expr::view(-1, whole(tensor, shape.len())).offset(range.hi);
        let width = (range.hi - range.lo) as u64;
        let bits = (u64::BITS - width.leading_zeros()).max(1);
        let sides = if width + 1 == 1 << bits { vec![above] } else { vec![above, below] };
        let limb = u32::from(self.layers.tables.limb);
        // One look-up in a table of the full width, where that is no more leaves than limbs are.
        let direct =
            bits <= limb || (bits <= 14 && (1usize << bits) <= entries * (bits.div_ceil(limb) as usize - 1));
        for side in sides {
            if direct {
                self.lookup(Table::Range { bits }, vec![side], shape.clone());
            } else {
                let name = format!("{} in range", self.circuit.tensors[tensor].name);
                let (limbs, sum) = self.limbs(&name, &shape, bits);
                let source = Source::new(&shape, side.clone());
                self.circuit.steps.push(Step::Limbs { source, limbs });
                self.circuit.linears.push(Linear { extents: shape.clone(), expr: side.add(-1, &sum) });
            }
        }
        self.circuit.attribute(self.circuit.origins.tensor(tensor));
    }

    /// `to = from`, for tensors of one shape.
    fn copy(&mut self, from: TensorId, to: TensorId) {
        let extents = self.circuit.tensors[from].shape.clone();
        let expr = Expr::view(1, whole(from, extents.len()));
        let source = Source::new(&extents, expr.clone());
        self.circuit.steps.push(Step::Store { source, output: to });
        self.circuit
            .linears
            .push(Linear { extents: extents.clone(), expr: expr.plus(-1, whole(to, extents.len())) });
    }

    /// The tensor's entries, in the same row-major order, as a tensor of another shape: itself, or a committed copy. A split
    /// of an axis is a view; merging axes is not.
    pub(crate) fn reshaped(&mut self, from: TensorId, shape: &[usize]) -> TensorId {
        let Tensor { shape: own, range, name, .. } = self.circuit.tensors[from].clone();
        if own == shape {
            return from;
        }
        let key = (from, shape.to_vec());
        if let Some(&copy) = self.copies.get(&key) {
            return copy;
        }
        let Some((extents, from_maps, to_maps)) = refinement(&own, shape) else {
            // Every shape refines the flat one.
            let flat = self.reshaped(from, &[own.iter().product()]);
            return self.reshaped(flat, shape);
        };
        let copy = self.declare(&format!("{name} as {shape:?}"), shape.to_vec(), Role::Witness, range);
        self.copies.insert(key, copy);
        let from = View::new(from, from_maps);
        let to = View::new(copy, to_maps);
        let source = Source::new(&extents, Expr::view(1, from.clone()));
        self.circuit.steps.push(Step::Store { source, output: copy });
        self.circuit.linears.push(Linear { extents, expr: Expr::view(1, from).plus(-1, to) });
        copy
    }

    /// A view of a value through the axes of its logical shape, on a box with these extents, with sums over others.
    pub(crate) fn view(
        &mut self,
        value: &Value,
        maps: Vec<AxisMap>,
        extents: &[usize],
        sums: Vec<usize>,
    ) -> View {
        let own = self.circuit.tensors[value.tensor].shape.clone();
        let logical = View { tensor: value.tensor, axes: maps, sums };
        // An axis of length 1 that the tensor lacks does no harm where only its position 0 is read.
        let single = value.shape.iter().zip(&logical.axes).filter(|(extent, _)| **extent == 1);
        let single: (Vec<usize>, Vec<AxisMap>) = single.map(|(extent, map)| (*extent, map.clone())).unzip();
        let only = View { axes: single.1, ..logical.clone() };
        if own == value.shape {
            logical
        } else if squeezed(&own) == squeezed(&value.shape) && only.stays_inside(extents, &single.0) {
            let mut left = value.shape.iter().zip(logical.axes).filter(|(extent, _)| **extent != 1);
            let axis = |&extent: &usize| match extent {
                1 => AxisMap::fixed(0),
                _ => left.next().map_or(AxisMap::fixed(0), |(_, map)| map),
            };
            View { tensor: value.tensor, axes: own.iter().map(axis).collect(), sums: logical.sums }
        } else {
            View { tensor: self.reshaped(value.tensor, &value.shape), ..logical }
        }
    }

    /// A view of a value as an expression that is `fill` where the view leaves the value.
    pub(crate) fn padded(&mut self, value: &Value, maps: Vec<AxisMap>, extents: &[usize], fill: i64) -> Expr {
        let view = self.view(value, maps, extents, vec![]);
        let shape = self.circuit.tensors[view.tensor].shape.clone();
        if fill == 0 {
            return Expr::view(1, view);
        }
        let inside = View { tensor: self.ones(&shape), ..view.clone() };
        Expr::view(1, view).plus(-fill, inside).offset(fill)
    }

    /// The tensor of ones of a shape.
    fn ones(&mut self, shape: &[usize]) -> TensorId {
        if let Some(&ones) = self.ones.get(shape) {
            return ones;
        }
        let ones = self.declare("ones", shape.to_vec(), Role::Ones, Range::new(1, 1));
        self.ones.insert(shape.to_vec(), ones);
        ones
    }

    /// Declares a witness tensor.
    pub(crate) fn witness(&mut self, name: &str, shape: &[usize], range: Range) -> TensorId {
        self.declare(name, shape.to_vec(), Role::Witness, range)
    }

    /// Declares a node's output, whose entries lie in `range` and are known, from its constraints alone, to lie in `derived`.
    pub(crate) fn result(&mut self, node: usize, shape: &[usize], range: Range, derived: Range) -> TensorId {
        let role = self.output_role(node);
        let shown = matches!(role, Role::Output(_));
        let declared = if shown { range } else { derived };
        let tensor = self.declare(&format!("layer {node} output"), shape.to_vec(), role, declared);
        if role == Role::Output(Visibility::Committed) && !range.covers(&derived) {
            self.unchecked.push((tensor, range));
        }
        tensor
    }

    /// A witness tensor that equals an expression.
    pub(crate) fn stored(&mut self, name: &str, shape: &[usize], expr: Expr) -> Value {
        let range = bounds::range(&self.circuit, &expr, shape);
        let tensor = self.witness(name, shape, range);
        self.circuit.steps.push(Step::Store { source: Source::new(shape, expr.clone()), output: tensor });
        let expr = expr.plus(-1, whole(tensor, shape.len()));
        self.circuit.linears.push(Linear { extents: shape.to_vec(), expr });
        Value { tensor, shape: shape.to_vec() }
    }

    /// The output of a node whose accumulator is an expression on the output's box.
    pub(crate) fn linear(
        &mut self,
        node: usize,
        output: &ValueSpec,
        requantize: Option<&Requantize>,
        expr: Expr,
    ) -> Value {
        let parts = vec![(vec![0; output.shape.len()], output.shape.clone(), expr)];
        self.piecewise(node, output, requantize, parts)
    }

    /// The output of a node whose accumulator is, on parts of the output's box that cover it without overlap, one expression
    /// each: `(start, extents, expression on the whole box)`.
    pub(crate) fn piecewise(
        &mut self,
        node: usize,
        output: &ValueSpec,
        requantize: Option<&Requantize>,
        parts: Vec<(Vec<usize>, Vec<usize>, Expr)>,
    ) -> Value {
        let axes = output.shape.len();
        let shift = |start: &[usize]| -> Vec<AxisMap> {
            let map = |(axis, &start)| AxisMap { offset: start as i64, terms: vec![(axis, 1)] };
            start.iter().enumerate().map(map).collect()
        };
        let own: Vec<Part> = parts
            .into_iter()
            .map(|(start, extents, expr)| Part { expr: expr.through(&shift(&start), axes), start, extents })
            .collect();
        let ranges = own.iter().map(|part| bounds::range(&self.circuit, &part.expr, &part.extents));
        let derived = ranges.reduce(|a, b| a.union(&b)).unwrap_or(Range::new(0, 0));
        let source = Source { extents: output.shape.clone(), parts: own.clone(), contract: None };
        let (tensor, accumulator) = self.accumulated(node, output, requantize, source, derived);
        for Part { start, extents, expr } in own {
            let expr = expr.add(-1, &accumulator.through(&shift(&start), axes));
            self.circuit.linears.push(Linear { extents, expr });
        }
        Value { tensor, shape: output.shape.clone() }
    }

    /// The output of a node whose accumulator is the right side of a contract plus a bias, a view on the output's box. The
    /// contract's expression is yet to be set; index `t` of the output's box is `to_left[t]` on the contract's left side.
    pub(crate) fn bilinear(
        &mut self,
        node: usize,
        output: &ValueSpec,
        requantize: Option<&Requantize>,
        bias: Option<View>,
        contract: Contract,
        to_left: &[AxisMap],
    ) -> Value {
        let bias = bias.map_or(Expr::default(), |bias| Expr::view(1, bias));
        let offset = bounds::range(&self.circuit, &bias, &output.shape);
        let products = bounds::product_range(&self.circuit, &contract);
        let derived =
            Range::new(products.lo.saturating_add(offset.lo), products.hi.saturating_add(offset.hi));
        let index = self.circuit.contracts.len();
        let left = contract.left_extents().len();
        self.circuit.contracts.push(contract);
        let mut strides = vec![0; left];
        let mut stride = 1;
        for (map, extent) in to_left.iter().zip(&output.shape).rev() {
            map.terms.iter().for_each(|&(at, step)| strides[at] += stride * step as usize);
            stride *= extent;
        }
        let mut source = Source::new(&output.shape, bias.clone());
        source.contract = Some((index, strides));
        let (tensor, accumulator) = self.accumulated(node, output, requantize, source, derived);
        self.circuit.contracts[index].expr = accumulator.add(-1, &bias).through(to_left, left);
        Value { tensor, shape: output.shape.clone() }
    }

    /// Declares a node's output and how it follows from its accumulator, the source. Returns the output and the expression that
    /// the caller must assert to equal the accumulator.
    fn accumulated(
        &mut self,
        node: usize,
        output: &ValueSpec,
        requantize: Option<&Requantize>,
        source: Source,
        derived: Range,
    ) -> (TensorId, Expr) {
        let shape = &output.shape;
        match requantize {
            Some(requantize) => {
                let tensor = self.result(node, shape, output.range, output.range);
                let accumulator =
                    self.requantize(&format!("layer {node}"), requantize, shape, source, tensor);
                (tensor, accumulator)
            }
            None => {
                let tensor = self.result(node, shape, output.range, derived);
                self.circuit.steps.push(Step::Store { source, output: tensor });
                (tensor, Expr::view(1, whole(tensor, shape.len())))
            }
        }
    }

    /// The output of a node that equals an expression on the box `pairs`: per output axis a quotient and a remainder, whose
    /// positions are those of the axis.
    pub(crate) fn split(&mut self, node: usize, output: &ValueSpec, pairs: &[usize], expr: Expr) -> Value {
        let derived = bounds::range(&self.circuit, &expr, pairs);
        let tensor = self.result(node, &output.shape, output.range, derived);
        let axis = |axis: usize| match pairs[2 * axis + 1] {
            1 => AxisMap::index(2 * axis),
            _ => AxisMap::split(&[2 * axis, 2 * axis + 1], &pairs[2 * axis..2 * axis + 2]),
        };
        let view = View::new(tensor, (0..output.shape.len()).map(axis).collect());
        self.circuit.steps.push(Step::Store { source: Source::new(pairs, expr.clone()), output: tensor });
        self.circuit.linears.push(Linear { extents: pairs.to_vec(), expr: expr.plus(-1, view) });
        Value { tensor, shape: output.shape.clone() }
    }

    /// The range of `max(a, b)`, as far as the look-up of [`Builder::larger`] tells from `b`.
    pub(crate) fn above(&self, b: &Expr, shape: &[usize], table: Table) -> Range {
        let (below, rise) = (bounds::range(&self.circuit, b, shape), table.column_range(1));
        Range::new(below.lo, below.hi.saturating_add(rise.hi))
    }

    /// `output = max(a, b)`: `(a - b, output - b)` is in the table of the rectifier.
    pub(crate) fn larger(&mut self, table: Table, shape: &[usize], a: &Expr, b: &Expr, output: TensorId) {
        let difference = a.clone().add(-1, b);
        let rise = Expr::view(1, whole(output, shape.len())).add(-1, b);
        self.lookup(table, vec![difference, rise], shape.to_vec());
        let operands = [a.clone(), b.clone()];
        self.circuit.steps.push(Step::Larger { extents: shape.to_vec(), operands, output });
    }

    /// Constrains `output = requantize(acc)`, where `acc` is the source. Returns the expression that the caller must
    /// assert to equal `acc`: `2^shift * quotient + remainder - half`.
    pub(crate) fn requantize(
        &mut self,
        name: &str,
        requantize: &Requantize,
        shape: &[usize],
        source: Source,
        output: TensorId,
    ) -> Expr {
        let axes = shape.len();
        let shift = u32::from(requantize.shift);
        let (remainder, remainder_sum) = self.limbs(&format!("{name} remainder"), shape, shift);
        let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
        let domain = u32::from(requantize.domain);
        let Requantize { function, output: Range { lo, hi }, .. } = *requantize;
        let direct = u32::from(self.layers.tables.direct);
        let (table_bits, saturate) = match function {
            // The domain is the curve's own.
            Function::Table(curve) => (curve.bits.into(), domain > curve.bits.into()),
            // Outside [-2^direct, 2^direct) the function must be constant to be saturated first.
            Function::Identity | Function::Relu
                if domain > direct && hi < 1 << direct && lo >= -(1 << direct) =>
            {
                (direct, true)
            }
            Function::Identity | Function::Relu => (domain, false),
        };
        let division = Division { source, shift, remainder };
        let (input, sum) = if saturate {
            let (sum, saturated) = self.narrow(name, shape, division, (domain, table_bits));
            (saturated, sum)
        } else {
            let range = Range::signed(table_bits + 1);
            let tensor = self.witness(&format!("{name} quotient"), shape, range);
            self.divide(division, Quotient::Whole(tensor));
            (tensor, Expr::view(1, whole(tensor, axes)))
        };
        self.map(Table::Clamp { function, lo, hi, bits: table_bits }, shape, input, &[output]);
        Expr::default().add(1 << shift, &sum).add(1, &remainder_sum).offset(-half)
    }

    /// Splits the quotient of a division, which lies in `[-2^domain, 2^domain)`, and saturates it to
    /// `[-2^direct, 2^direct)`. Returns the expression of the quotient and the saturated tensor.
    ///
    /// One table narrows the domain by at most [`MAX_TABLE_BITS`] bits, so a wide quotient is saturated in stages.
    fn narrow(
        &mut self,
        name: &str,
        shape: &[usize],
        division: Division,
        (domain, direct): (u32, u32),
    ) -> (Expr, TensorId) {
        let axes = shape.len();
        let split = direct.max(domain.saturating_sub(MAX_TABLE_BITS));
        let stage = if split == direct { name.to_string() } else { format!("{name} to {split} bits,") };
        let range = Range::signed(domain - split + 1);
        let high = self.declare(&format!("{stage} quotient high"), shape.to_vec(), Role::Witness, range);
        let (low, low_sum) = self.limbs(&format!("{stage} quotient low"), shape, split);
        self.divide(division, Quotient::Split { bits: split, high, low });
        let sum = low_sum.clone().plus(1 << split, whole(high, axes));
        let saturated = self.saturate(&stage, shape, (split, domain - split), high, low_sum);
        if split == direct {
            return (sum, saturated);
        }
        let expr = Expr::view(1, whole(saturated, axes));
        let division = Division { source: Source::new(shape, expr.clone()), shift: 0, remainder: vec![] };
        let (parts, narrowed) = self.narrow(name, shape, division, (split, direct));
        self.circuit.linears.push(Linear { extents: shape.to_vec(), expr: expr.add(-1, &parts) });
        (sum, narrowed)
    }

    fn divide(&mut self, division: Division, quotient: Quotient) {
        let Division { source, shift, remainder } = division;
        self.circuit.steps.push(Step::Divide { source, shift, quotient, remainder });
    }

    /// The tensor of `clamp(2^split * high + low, -2^split, 2^split - 1)`, as `z * low + o` with `(high, z, o)` in the
    /// table; `high` lies in `[-2^bits, 2^bits)`.
    fn saturate(
        &mut self,
        name: &str,
        shape: &[usize],
        (split, bits): (u32, u32),
        high: TensorId,
        low: Expr,
    ) -> TensorId {
        let axes = shape.len();
        let edge = Range::new(-(1 << split), (1 << split) - 1);
        let flag = self.declare(&format!("{name} inside"), shape.to_vec(), Role::Witness, Range::new(0, 1));
        let offset = self.declare(&format!("{name} edge"), shape.to_vec(), Role::Witness, edge);
        self.map(Table::Saturate { split, bits }, shape, high, &[flag, offset]);
        // The range of z * low + o before it is known that only one of the two moves.
        let range = Range::new(-(1 << split), (2 << split) - 2);
        let saturated = self.declare(&format!("{name} saturated"), shape.to_vec(), Role::Witness, range);
        let contract = self.circuit.contracts.len();
        self.circuit.contracts.push(Contract {
            b: shape.to_vec(),
            i: vec![],
            j: vec![],
            k: vec![],
            expr: Expr::view(1, whole(saturated, axes)).plus(-1, whole(offset, axes)),
            a: Expr::view(1, whole(flag, axes)),
            c: low,
        });
        let mut source = Source::new(shape, Expr::view(1, whole(offset, axes)));
        let strides = (0..axes).map(|axis| shape[axis + 1..].iter().product()).collect();
        source.contract = Some((contract, strides));
        self.circuit.steps.push(Step::Store { source, output: saturated });
        saturated
    }

    /// `(input, outputs..)` is a row of the table, entry by entry.
    fn map(&mut self, table: Table, shape: &[usize], input: TensorId, outputs: &[TensorId]) {
        let axes = shape.len();
        let input = Expr::view(1, whole(input, axes));
        let columns = outputs.iter().map(|&tensor| Expr::view(1, whole(tensor, axes)));
        self.lookup(table, [input.clone()].into_iter().chain(columns).collect(), shape.to_vec());
        let table = self.table(table);
        let source = Source::new(shape, input);
        self.circuit.steps.push(Step::Map { source, table, outputs: outputs.to_vec() });
    }

    fn finish(mut self, weights_bounded: bool) -> Result<Circuit, CircuitError> {
        for (tensor, range) in std::mem::take(&mut self.unchecked) {
            self.range_check(tensor, range);
        }
        widen_clamps(&mut self.circuit);
        self.circuit.complete_tables();
        check_tables(&self.circuit)?;
        // Multiplicities come last, so that adding a layer moves no other tensor.
        for table in 0..self.circuit.tables.len() {
            let sites: usize = self
                .circuit
                .lookups
                .iter()
                .filter(|lookup| lookup.table == table)
                .map(|lookup| lookup.extents.iter().product::<usize>())
                .sum();
            let rows = self.circuit.tables[table].rows();
            let range = Range::new(0, sites as i64);
            self.declare(
                &format!("multiplicities of table {table}"),
                vec![rows],
                Role::Multiplicity(table),
                range,
            );
        }
        self.circuit.attribute(None);
        check_size(&self.circuit, if weights_bounded { MAX_PADDED_WITNESS } else { MAX_PADDED_KEY_WITNESS })?;
        crate::bounds::check(&self.circuit, weights_bounded)?;
        Ok(self.circuit)
    }
}

/// Look-up tables have at most `2^(MAX_TABLE_BITS + 1)` rows.
const MAX_TABLE_BITS: u32 = 13;

/// Most rows of all curves together: the verifier computes them one by one.
const MAX_CURVE_ROWS: u64 = 1 << 19;
/// Most weights, once every axis is padded to a power of two.
const MAX_PADDED_WEIGHTS: u64 = 1 << 27;
/// Most values committed per inference, padded.
const MAX_PADDED_WITNESS: u64 = 1 << 25;
/// Most values committed for the key proof, padded: limbs of weights. It is made and checked once.
const MAX_PADDED_KEY_WITNESS: u64 = 1 << 27;
/// Tensors of at most this many padded entries may lie in so few columns that combining the claims holds a field element
/// for each of their entries.
const SMALL_TENSOR: u64 = (FEW_COLUMNS * MAX_ROWS) as u64;
/// Most entries of all such tensors together: a gigabyte of field elements.
const MAX_PADDED_SMALL: u64 = 1 << 25;
/// Most look-ups, padded.
const MAX_PADDED_LOOKUPS: u64 = 1 << 28;
/// Most entries of input and output together: they are part of every proof.
const MAX_SHOWN: u64 = 1 << 22;
/// Largest sum, over every view of the input or the output, of its entries: where they are public, the verifier
/// evaluates each view entry by entry.
const MAX_SHOWN_READ: u64 = 1 << 26;
/// Largest sum, over every view that a constraint reads, of the extents of its tensor and of its box: the verifier works
/// in proportion to it.
const MAX_READ_EXTENTS: u64 = 1 << 22;
/// Largest sum, over every view that splits an axis, of the rows that the split may need when it is laid out.
const MAX_SPLIT_ROWS: u64 = 1 << 11;

/// A requantization too wide for its tables: the function is not constant outside the direct domain, or the domain is too
/// far beyond it.
fn check_tables(circuit: &Circuit) -> Result<(), CircuitError> {
    circuit.tables.iter().try_for_each(|table| {
        let bits = match *table {
            Table::Range { bits } => bits.saturating_sub(1),
            Table::Clamp { bits, .. } | Table::Rectify { bits } | Table::Saturate { bits, .. } => bits,
        };
        limit("bits of a look-up table's domain", bits.into(), MAX_TABLE_BITS.into())
    })?;
    let curves = circuit.tables.iter().filter(|table| table.is_curve(1));
    limit("rows of all curves", curves.map(|table| table.rows() as u64).sum(), MAX_CURVE_ROWS)
}

fn is_shown(tensor: &Tensor) -> bool {
    matches!(tensor.role, Role::Input(_) | Role::Output(_))
}

/// Entries of a box with every axis padded to a power of two.
fn padded(extents: &[usize]) -> u64 {
    let axis = |&d: &usize| (d as u64).checked_next_power_of_two().unwrap_or(u64::MAX);
    extents.iter().map(axis).fold(1, u64::saturating_mul)
}

/// Hard limits on what a key can make anybody allocate or compute.
fn check_size(circuit: &Circuit, most_values: u64) -> Result<(), CircuitError> {
    let sum = |values: &mut dyn Iterator<Item = u64>| values.fold(0, u64::saturating_add);
    let (mut weights, mut witness, mut shown, mut small) = (0u64, 0u64, 0u64, 0u64);
    for tensor in &circuit.tensors {
        limit("number of axes of a tensor", tensor.shape.len() as u64, MAX_AXES as u64)?;
        if tensor.role == Role::Ones {
            continue;
        }
        let own = padded(&tensor.shape);
        if is_shown(tensor) {
            shown = shown.saturating_add(own);
        }
        if own <= SMALL_TENSOR {
            small = small.saturating_add(own);
        }
        let total = if let Role::Weight(_) = tensor.role { &mut weights } else { &mut witness };
        *total = total.saturating_add(own);
    }
    limit("number of padded weights", weights, MAX_PADDED_WEIGHTS)?;
    limit("number of padded values", witness, most_values)?;
    limit("number of entries of input and output", shown, MAX_SHOWN)?;
    limit("number of padded entries of small tensors", small, MAX_PADDED_SMALL)?;
    let lookups = sum(&mut circuit.lookups.iter().map(|lookup| padded(&lookup.extents)));
    limit("number of padded look-ups", lookups, MAX_PADDED_LOOKUPS)?;
    check_readings(circuit, None)
}

/// Hard limits on what reading the constraints for the claims can cost, with this arrangement of the leaves: a look-up is
/// read once for every part into which its box is cut.
pub(crate) fn check_readings(circuit: &Circuit, leaves: Option<&LeafPlan>) -> Result<(), CircuitError> {
    let sum = |values: &mut dyn Iterator<Item = u64>| values.fold(0, u64::saturating_add);
    let (mut read, mut split, mut shown_read) = (0u64, 0u64, 0u64);
    for (expr, extents, times) in readings(circuit, leaves) {
        let count = |total: &mut u64, own: u64| *total = total.saturating_add(own.saturating_mul(times));
        count(&mut read, sum(&mut extents.iter().map(|&d| d as u64)));
        for (_, view) in &expr.terms {
            let tensor = &circuit.tensors[view.tensor];
            let shape = &tensor.shape;
            if is_shown(tensor) {
                count(&mut shown_read, padded(shape));
            }
            count(&mut read, sum(&mut shape.iter().map(|&d| d as u64)));
            // Every combination of the indices that one axis follows is visited.
            let indices = view.indices(&extents);
            let combinations = view.axes.iter().filter(|map| map.terms.len() > 1).map(|map| {
                map.terms.iter().fold(1, |n: u64, &(index, _)| n.saturating_mul(indices[index] as u64))
            });
            count(&mut read, sum(&mut combinations.into_iter()));
            count(&mut read, sum(&mut view.sums.iter().map(|&d| d as u64)));
            // A split axis that straddles columns has the rank of a general matrix, at most the root of its extent.
            let splits = view.axes.iter().zip(shape).filter(|(map, _)| map.terms.len() > 1);
            count(&mut split, sum(&mut splits.map(|(_, &d)| (d as u64).isqrt())));
        }
    }
    limit("sum of the extents that constraints read", read, MAX_READ_EXTENTS)?;
    limit("sum of the ranks of split axes", split, MAX_SPLIT_ROWS)?;
    limit("number of entries of input and output that constraints read", shown_read, MAX_SHOWN_READ)
}

fn limit(what: &'static str, value: u64, most: u64) -> Result<(), CircuitError> {
    CircuitError::limit(None, what, i64::try_from(value).unwrap_or(i64::MAX), 0, most as i64)
}

/// The coarsest box of which both shapes, of equally many entries, merge consecutive axes, with the maps of either's axes;
/// `None` if there is none.
fn refinement(from: &[usize], to: &[usize]) -> Option<(Vec<usize>, Vec<AxisMap>, Vec<AxisMap>)> {
    // Each axis starts and ends at a product of the lengths after it.
    let cuts = |shape: &[usize]| -> Vec<usize> {
        (0..=shape.len()).map(|axis| shape[axis..].iter().product()).collect()
    };
    let (from_cuts, to_cuts) = (cuts(from), cuts(to));
    let mut all: Vec<usize> = from_cuts.iter().chain(&to_cuts).copied().collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    all.dedup();
    let extents: Option<Vec<usize>> =
        all.windows(2).map(|pair| pair[0].is_multiple_of(pair[1]).then(|| pair[0] / pair[1])).collect();
    let extents = extents?;
    let maps = |cuts: &[usize]| -> Vec<AxisMap> {
        cuts.windows(2)
            .map(|axis| {
                let at = |cut: usize| all.iter().position(|&c| c == cut).unwrap_or(0);
                let own: Vec<usize> = (at(axis[0])..at(axis[1])).collect();
                AxisMap::split(&own, &extents[at(axis[0])..at(axis[1])])
            })
            .collect()
    };
    let (from_maps, to_maps) = (maps(&from_cuts), maps(&to_cuts));
    Some((extents, from_maps, to_maps))
}

/// The view of a whole tensor.
pub(crate) fn whole(tensor: TensorId, axes: usize) -> View {
    View::axes(tensor, &(0..axes).collect::<Vec<_>>())
}

/// Lets one clamp table serve all layers with the same function: each moves to the widest domain in use.
fn widen_clamps(circuit: &mut Circuit) {
    let widest = |table: &Table| match *table {
        Table::Clamp { function, lo, hi, .. } => {
            let same = circuit.tables.iter().filter_map(|other| match *other {
                Table::Clamp { function: f, lo: l, hi: h, bits } if (f, l, h) == (function, lo, hi) => {
                    Some(bits)
                }
                _ => None,
            });
            let bits = same.max().unwrap_or(1);
            Table::Clamp { function, lo, hi, bits }
        }
        other => other,
    };
    let mut tables: Vec<Table> = Vec::new();
    let moved: Vec<usize> = circuit
        .tables
        .iter()
        .map(|table| {
            let wide = widest(table);
            tables.iter().position(|t| *t == wide).unwrap_or_else(|| {
                tables.push(wide);
                tables.len() - 1
            })
        })
        .collect();
    for lookup in &mut circuit.lookups {
        let (old, new) = (circuit.tables[lookup.table], tables[moved[lookup.table]]);
        lookup.table = moved[lookup.table];
        // What a look-up says of its first column is now wider, and so is the tensor's declared range.
        if let (Table::Clamp { .. }, [(1, view)]) = (old, &lookup.exprs[0].terms[..]) {
            let tensor = &mut circuit.tensors[view.tensor];
            if tensor.range == old.column_range(0) {
                tensor.range = new.column_range(0);
            }
        }
    }
    for step in &mut circuit.steps {
        if let Step::Map { table, .. } = step {
            *table = moved[*table];
        }
    }
    circuit.tables = tables;
}
