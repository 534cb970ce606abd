//! The layer kinds. One kind is one file: shape rule, integer semantics, constraints, tests.
//!
//! Every kind computes integers that need not fit into few bits, the *accumulators*, and most then requantize them.

mod activation;
mod affine;
mod arrange;
mod average_pool;
mod broadcast;
mod combine;
mod conv;
mod gemm;
mod max_pool;
mod product;
mod reduce;
mod requantize;
mod reshape;
mod window;

pub use activation::Activation;
pub use affine::Affine;
pub use arrange::{Arrange, AxisSource};
pub use average_pool::AveragePool;
pub use combine::Combine;
pub use conv::Conv;
pub use gemm::Gemm;
pub use max_pool::MaxPool;
pub use product::Product;
pub use reduce::Reduce;
pub use requantize::{Function, Requantize};
pub use reshape::Reshape;
pub use window::Window;

use crate::circuit::AxisMap;
use crate::error::CircuitError;
use crate::lower::{Builder, Value};
use crate::model::{ParameterKind, ParameterSpec, Range, ValueSpec};
use bincode::{Decode, Encode};

/// Most operands of a layer.
pub const MAX_OPERANDS: usize = 64;

/// A layer of the list: the registry of layer kinds.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Layer {
    /// Fully connected: the last axis times a weight matrix, plus a bias.
    Gemm(Gemm),
    /// A requantized function of every entry.
    Activation(Activation),
    /// The same entries under another shape.
    Reshape(Reshape),
    /// Convolution over the spatial axes.
    Conv(Conv),
    /// A linear combination of operands with public coefficients.
    Combine(Combine),
    /// The product of two operands.
    Product(Product),
    /// Every entry times a weight, plus a bias, both broadcast.
    Affine(Affine),
    /// The largest entry of every window.
    MaxPool(MaxPool),
    /// The mean of every window.
    AveragePool(AveragePool),
    /// The sum over axes.
    Reduce(Reduce),
    /// The operands' entries in another arrangement.
    Arrange(Arrange),
}

/// An operand of a layer.
#[derive(Debug, Clone, Copy)]
pub struct Operand<'a> {
    /// Shape and range.
    pub spec: &'a ValueSpec,
    /// Entries, row-major.
    pub values: &'a [i64],
}

/// What every kind of layer defines.
pub(crate) trait Kind {
    /// Name of the kind, as shown to people.
    fn name(&self) -> &'static str;

    /// Least and largest number of operands.
    fn operands(&self) -> (usize, usize) {
        (1, 1)
    }

    /// Checks the layer's parameters and gives the shape and range of its output. The number of operands is right.
    fn output(&self, node: usize, inputs: &[&ValueSpec]) -> Result<ValueSpec, CircuitError>;

    /// The parameter tensors.
    fn parameters(&self, _node: usize) -> Vec<ParameterSpec> {
        Vec::new()
    }

    /// How the accumulator is requantized, if it is.
    fn requantize(&self) -> Option<&Requantize> {
        None
    }

    /// Range of the accumulator over all inputs in range, for these very parameters; `None` if it leaves 62 bits. The operands'
    /// shapes have passed [`Kind::output`].
    fn worst_case(&self, inputs: &[&ValueSpec], parameters: &[&[i64]]) -> Option<Range>;

    /// How many constraints the layer becomes, but for a constant factor.
    fn parts(&self, inputs: &[&ValueSpec], _output: &ValueSpec) -> u64 {
        inputs.len() as u64
    }

    /// Multiply-accumulate operations.
    fn macs(&self, _inputs: &[&ValueSpec], _output: &ValueSpec) -> u64 {
        0
    }

    /// The integer semantics.
    fn evaluate(&self, inputs: &[Operand<'_>], output: &ValueSpec, parameters: &[&[i64]]) -> Vec<i64>;

    /// The constraints; returns where the output lies.
    fn lower(&self, builder: &mut Builder<'_>, node: usize, inputs: &[Value], output: &ValueSpec) -> Value;
}

impl Layer {
    pub(crate) fn as_kind(&self) -> &dyn Kind {
        match self {
            Layer::Gemm(layer) => layer,
            Layer::Activation(layer) => layer,
            Layer::Reshape(layer) => layer,
            Layer::Conv(layer) => layer,
            Layer::Combine(layer) => layer,
            Layer::Product(layer) => layer,
            Layer::Affine(layer) => layer,
            Layer::MaxPool(layer) => layer,
            Layer::AveragePool(layer) => layer,
            Layer::Reduce(layer) => layer,
            Layer::Arrange(layer) => layer,
        }
    }

    /// Name of the kind, as shown to people.
    pub fn kind(&self) -> &'static str {
        self.as_kind().name()
    }

    /// Checks the layer's parameters and gives the shape and range of its output.
    ///
    /// # Errors
    /// [`CircuitError`] naming `node` and what does not fit.
    pub fn output(&self, node: usize, inputs: &[&ValueSpec]) -> Result<ValueSpec, CircuitError> {
        let (least, most) = self.as_kind().operands();
        let count = inputs.len() as i64;
        CircuitError::limit(Some(node), "number of operands", count, least as i64, most as i64)?;
        self.as_kind().output(node, inputs)
    }

    /// The parameter tensors of the layer.
    pub fn parameters(&self, node: usize) -> Vec<ParameterSpec> {
        self.as_kind().parameters(node)
    }

    /// How the layer's accumulator is requantized, if it is.
    pub fn requantize(&self) -> Option<&Requantize> {
        self.as_kind().requantize()
    }

    /// Requantizes the layer's accumulator, or not. Layers without accumulators stay as they are, and an activation is always
    /// requantized.
    pub fn set_requantize(&mut self, requantize: Option<Requantize>) {
        match self {
            Layer::Gemm(layer) => layer.requantize = requantize,
            Layer::Conv(layer) => layer.requantize = requantize,
            Layer::Combine(layer) => layer.requantize = requantize,
            Layer::Product(layer) => layer.requantize = requantize,
            Layer::Affine(layer) => layer.requantize = requantize,
            Layer::AveragePool(layer) => layer.requantize = requantize,
            Layer::Reduce(layer) => layer.requantize = requantize,
            Layer::Activation(layer) => layer.requantize = requantize.unwrap_or(layer.requantize),
            Layer::Reshape(_) | Layer::MaxPool(_) | Layer::Arrange(_) => {}
        }
    }

    /// Range of the accumulator over all inputs in range, for these very parameters: the worst case that
    /// [`Requantize::domain`] must hold. `None` if it leaves 62 bits.
    ///
    /// The operands' shapes must have passed [`Layer::output`] for any requantization.
    pub fn worst_case(&self, inputs: &[&ValueSpec], parameters: &[&[i64]]) -> Option<Range> {
        self.as_kind().worst_case(inputs, parameters).filter(|range| ACCUMULATOR.covers(range))
    }

    /// Checks what can only be checked with the parameters at hand: that every valid input stays in the layer's domains.
    ///
    /// # Errors
    /// [`CircuitError`] naming `node` and the domain that is too small.
    pub fn check_parameters(
        &self,
        node: usize,
        inputs: &[&ValueSpec],
        parameters: &[&[i64]],
    ) -> Result<(), CircuitError> {
        let Some(requantize) = self.requantize() else { return Ok(()) };
        let worst = self.worst_case(inputs, parameters).ok_or_else(|| wraps(node))?;
        requantize.check_domain(node, Requantize::domain_of(requantize.shift, worst))
    }

    /// How many constraints the layer becomes, but for a constant factor.
    pub(crate) fn parts(&self, inputs: &[&ValueSpec], output: &ValueSpec) -> u64 {
        self.as_kind().parts(inputs, output)
    }

    /// Multiply-accumulate operations of the layer.
    pub fn macs(&self, inputs: &[&ValueSpec], output: &ValueSpec) -> u64 {
        self.as_kind().macs(inputs, output)
    }

    /// The integer semantics: the layer's output on `inputs`, with its parameter tensors in order.
    ///
    /// Operands and parameters must have the lengths and ranges of their specifications, and `output` must be what
    /// [`Layer::output`] gives.
    pub fn evaluate(&self, inputs: &[Operand<'_>], output: &ValueSpec, parameters: &[&[i64]]) -> Vec<i64> {
        self.as_kind().evaluate(inputs, output, parameters)
    }
}

/// Accumulators are signed integers of 62 bits.
pub(crate) const ACCUMULATOR: Range = Range::signed(62);

/// The accumulator of a layer may leave [`ACCUMULATOR`].
fn wraps(node: usize) -> CircuitError {
    CircuitError::Wraps { constraint: format!("layer {node}: accumulator"), bits: 63, limit: 62 }
}

/// Range of a layer's output, from that of its accumulator and how it is requantized.
fn output_range(
    node: usize,
    accumulator: Option<Range>,
    requantize: Option<&Requantize>,
) -> Result<Range, CircuitError> {
    let accumulator = accumulator.filter(|range| ACCUMULATOR.covers(range)).ok_or_else(|| wraps(node))?;
    match requantize {
        None => Ok(accumulator),
        Some(requantize) => {
            requantize.check(node)?;
            Ok(requantize.output)
        }
    }
}

/// As [`output_range`], for a layer without secret parameters: its worst case is known, and the domain must hold it.
fn public_output_range(
    node: usize,
    accumulator: Option<Range>,
    requantize: Option<&Requantize>,
) -> Result<Range, CircuitError> {
    let range = output_range(node, accumulator, requantize)?;
    if let (Some(requantize), Some(accumulator)) = (requantize, accumulator) {
        requantize.check_domain(node, Requantize::domain_of(requantize.shift, accumulator))?;
    }
    Ok(range)
}

/// Requantizes accumulators, if the layer does.
fn finish(accumulators: Vec<i64>, requantize: Option<&Requantize>) -> Vec<i64> {
    match requantize {
        None => accumulators,
        Some(requantize) => requantize.apply_all(&accumulators),
    }
}

/// Bits of weights and biases within their limits.
fn check_bits(node: usize, weight: Option<u8>, bias: Option<u8>) -> Result<(), CircuitError> {
    if let Some(bits) = weight {
        CircuitError::limit(Some(node), "weight bits", bits.into(), 2, 24)?;
    }
    if let Some(bits) = bias {
        CircuitError::limit(Some(node), "bias bits", bits.into(), 2, 40)?;
    }
    Ok(())
}

/// Specifications of a layer's weights and biases.
fn parameter_specs(
    node: usize,
    weight: Option<(Vec<usize>, u8)>,
    bias: Option<(Vec<usize>, u8)>,
) -> Vec<ParameterSpec> {
    let spec =
        |kind| move |(shape, bits): (Vec<usize>, u8)| ParameterSpec { node, kind, shape, bits: bits.into() };
    let weight = weight.map(spec(ParameterKind::Weight));
    weight.into_iter().chain(bias.map(spec(ParameterKind::Bias))).collect()
}

/// Range of a sum of `terms` products of weights of `weight_bits` with entries of `input`, plus a bias.
fn sum_of_products(terms: u64, weight_bits: u8, bias_bits: Option<u8>, input: Range) -> Option<Range> {
    let terms = i64::try_from(terms).ok()?;
    let product = product_range(Range::signed(weight_bits.into()), input)?;
    let bias = bias_bits.map_or(Range::new(0, 0), |bits| Range::signed(bits.into()));
    Some(Range {
        lo: product.lo.min(0).checked_mul(terms)?.checked_add(bias.lo)?,
        hi: product.hi.max(0).checked_mul(terms)?.checked_add(bias.hi)?,
    })
}

/// Range of the product of a value of `a` and one of `b`.
fn product_range(a: Range, b: Range) -> Option<Range> {
    let ends =
        [a.lo.checked_mul(b.lo)?, a.lo.checked_mul(b.hi)?, a.hi.checked_mul(b.lo)?, a.hi.checked_mul(b.hi)?];
    Some(Range { lo: *ends.iter().min()?, hi: *ends.iter().max()? })
}

/// Range of `bias[row] + sum weights[row] * x` over all rows, every `x` in `input` or, if `padded`, 0.
fn rows_worst_case(
    rows: usize,
    weights: &[i64],
    bias: Option<&[i64]>,
    input: Range,
    padded: bool,
) -> Option<Range> {
    let input = if padded { input.union(&Range::new(0, 0)) } else { input };
    let width = weights.len() / rows.max(1);
    let row = |row: usize| {
        let bias = bias.map_or(0, |bias| bias[row]);
        weights[row * width..(row + 1) * width].iter().try_fold(Range::new(bias, bias), |sum, &w| {
            let (x, y) = (w.checked_mul(input.lo)?, w.checked_mul(input.hi)?);
            Some(Range::new(sum.lo.checked_add(x.min(y))?, sum.hi.checked_add(x.max(y))?))
        })
    };
    (0..rows).map(row).try_fold(None, |all: Option<Range>, own| {
        let own = own?;
        Some(Some(all.map_or(own, |all| all.union(&own))))
    })?
}

/// A shape of a layer's parameters as a shape of tensors.
fn extents(shape: &[u32]) -> Vec<usize> {
    shape.iter().map(|&d| d as usize).collect()
}

/// The maps of a box onto itself.
fn indices(axes: usize) -> Vec<AxisMap> {
    (0..axes).map(AxisMap::index).collect()
}
