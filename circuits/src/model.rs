//! The layer list: a quantized model without its weights.
//!
//! It is the public part of a model. The verifying key records it, the verifier lowers it to
//! constraints, the executor runs it, and its canonical encoding is part of the model ID.

use crate::error::CircuitError;
use crate::layers::Layer;
use bincode::{Decode, Encode};

/// An inclusive range of integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Range {
    /// Smallest value.
    pub lo: i64,
    /// Largest value.
    pub hi: i64,
}

impl Range {
    /// The range `[lo, hi]`.
    pub const fn new(lo: i64, hi: i64) -> Self {
        Range { lo, hi }
    }

    /// Signed two's complement range of `bits` bits: `[-2^(bits-1), 2^(bits-1) - 1]`, `1 <= bits <= 62`.
    pub const fn signed(bits: u32) -> Self {
        Range { lo: -(1 << (bits - 1)), hi: (1 << (bits - 1)) - 1 }
    }

    /// Unsigned range of `bits` bits: `[0, 2^bits - 1]`, `bits <= 62`.
    pub const fn unsigned(bits: u32) -> Self {
        Range { lo: 0, hi: (1 << bits) - 1 }
    }

    /// Whether `value` lies in the range.
    pub const fn contains(&self, value: i64) -> bool {
        self.lo <= value && value <= self.hi
    }

    /// Whether every value of `other` lies in the range.
    pub const fn covers(&self, other: &Range) -> bool {
        self.lo <= other.lo && other.hi <= self.hi
    }

    /// The value of the range nearest to `value`.
    pub fn clamp(&self, value: i64) -> i64 {
        value.clamp(self.lo, self.hi)
    }

    /// The smallest range that covers both.
    pub fn union(&self, other: &Range) -> Range {
        Range { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }
}

/// A positive dyadic scale: one integer step stands for `mantissa * 2^exponent`.
///
/// The only trace of real numbers in a key, and exact: nothing in the proof depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Scale {
    /// Mantissa, not zero.
    pub mantissa: u32,
    /// Power of two.
    pub exponent: i32,
}

/// What follows the proved layers: reported, not proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Head {
    /// Nothing: the output is the model's output.
    None,
    /// The model ends in a softmax over the last axis; the proved output is its logits.
    Softmax,
    /// The model ends in a log-softmax over the last axis; the proved output is its logits.
    LogSoftmax,
    /// The model ends in an arg-max over the last axis; the proved output is its logits.
    ArgMax,
}

/// The sizes of the look-up tables, chosen by cost for the whole model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct TableBits {
    /// Ranges of more bits are split into limbs of this many bits, 4 to 14.
    pub limb: u8,
    /// Requantizations whose worst case lies in `[-2^direct, 2^direct)` are one look-up; wider ones are
    /// first saturated to that domain. 4 to 13.
    pub direct: u8,
}

/// One layer of the list and the values it reads.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Node {
    /// The layer.
    pub layer: Layer,
    /// Its operands: value 0 is the model's input, value `i + 1` the output of node `i`.
    pub inputs: Vec<u32>,
}

/// A quantized model without its weights.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LayerList {
    /// Shape of the input, row-major.
    pub input_shape: Vec<u32>,
    /// Range of every input entry.
    pub input_range: Range,
    /// Real value of one step of the input.
    pub input_scale: Scale,
    /// Layers in topological order; the last one's output is the model's output.
    pub nodes: Vec<Node>,
    /// Real value of one step of the output.
    pub output_scale: Scale,
    /// What follows, unproved.
    pub head: Head,
    /// Table sizes.
    pub tables: TableBits,
}

/// What a parameter tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// Weights of a layer.
    Weight,
    /// Biases of a layer.
    Bias,
}

/// Shape and range of one parameter tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterSpec {
    /// The node it belongs to.
    pub node: usize,
    /// What it is for.
    pub kind: ParameterKind,
    /// Shape, row-major.
    pub shape: Vec<usize>,
    /// Its entries are signed integers of this many bits.
    pub bits: u32,
}

impl ParameterSpec {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.shape.iter().fold(1, |n: usize, &d| n.saturating_mul(d))
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Shape and range of one value between layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueSpec {
    /// Shape, row-major.
    pub shape: Vec<usize>,
    /// Range of every entry.
    pub range: Range,
}

impl ValueSpec {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Most values, and most parameters, of a model.
pub const MAX_ENTRIES: usize = 1 << 27;
/// Most operands of all layers together, steps of max-pools and boxes of average pools included: lowering takes time and
/// memory in proportion to it.
pub const MAX_PARTS: i64 = 1 << 13;
/// Most nodes of a model.
pub const MAX_NODES: usize = 4096;
/// Most axes of a tensor.
pub const MAX_AXES: usize = 8;

impl LayerList {
    /// Checks every parameter of every layer and returns the specification of every value: the input's first,
    /// then each node's output.
    ///
    /// # Errors
    /// [`CircuitError`] naming the node and the parameter that is out of its domain.
    pub fn values(&self) -> Result<Vec<ValueSpec>, CircuitError> {
        let limit = |what, value, lo, hi| CircuitError::limit(None, what, value, lo, hi);
        limit("number of layers", self.nodes.len() as i64, 1, MAX_NODES as i64)?;
        limit("limb table bits", self.tables.limb.into(), 4, 14)?;
        limit("direct table bits", self.tables.direct.into(), 4, 13)?;
        limit("input scale mantissa", self.input_scale.mantissa.into(), 1, u32::MAX.into())?;
        limit("output scale mantissa", self.output_scale.mantissa.into(), 1, u32::MAX.into())?;
        limit(
            "input range width",
            self.input_range.hi.saturating_sub(self.input_range.lo),
            0,
            (1 << 16) - 1,
        )?;
        limit("input range", self.input_range.lo, -(1 << 16), 1 << 16)?;
        limit("number of axes of the input", self.input_shape.len() as i64, 0, MAX_AXES as i64)?;
        let shape: Vec<usize> = self.input_shape.iter().map(|&d| d as usize).collect();
        check_shape(None, &shape)?;
        let mut values = vec![ValueSpec { shape, range: self.input_range }];
        let mut parts = 0u64;
        for (index, node) in self.nodes.iter().enumerate() {
            let inputs = node
                .inputs
                .iter()
                .map(|&v| {
                    values.get(v as usize).ok_or(CircuitError::Operand {
                        node: index,
                        operand: v,
                        available: values.len(),
                    })
                })
                .collect::<Result<Vec<_>, _>>()?;
            let output = node.layer.output(index, &inputs)?;
            check_shape(Some(index), &output.shape)?;
            parts = parts.saturating_add(node.layer.parts(&inputs, &output));
            limit("number of operands and pooling steps of all layers", parts as i64, 0, MAX_PARTS)?;
            values.push(output);
        }
        let parameters: usize =
            self.parameters().iter().map(ParameterSpec::len).fold(0, usize::saturating_add);
        limit("number of parameters", i64::try_from(parameters).unwrap_or(i64::MAX), 0, MAX_ENTRIES as i64)?;
        Ok(values)
    }

    /// Checks that these parameters keep every valid input in the domains of every layer: then no valid input can make a
    /// prover fail.
    ///
    /// # Errors
    /// [`CircuitError`] naming the layer whose domain is too small.
    pub fn check_parameters(&self, parameters: &[Vec<i64>]) -> Result<(), CircuitError> {
        let values = self.values()?;
        let specs = self.parameters();
        for (index, node) in self.nodes.iter().enumerate() {
            let inputs: Vec<&ValueSpec> = node.inputs.iter().map(|&v| &values[v as usize]).collect();
            let own = specs.iter().zip(parameters).filter(|(spec, _)| spec.node == index);
            let own: Vec<&[i64]> = own.map(|(_, parameter)| &parameter[..]).collect();
            node.layer.check_parameters(index, &inputs, &own)?;
        }
        Ok(())
    }

    /// The parameter tensors, in the order in which they are committed.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        self.nodes.iter().enumerate().flat_map(|(index, node)| node.layer.parameters(index)).collect()
    }

    /// Multiply-accumulate operations of one inference.
    pub fn macs(&self) -> Result<u64, CircuitError> {
        let values = self.values()?;
        Ok(self
            .nodes
            .iter()
            .zip(&values[1..])
            .map(|(node, output)| {
                let inputs: Vec<_> = node.inputs.iter().map(|&v| &values[v as usize]).collect();
                node.layer.macs(&inputs, output)
            })
            .fold(0, u64::saturating_add))
    }
}

pub(crate) fn check_shape(node: Option<usize>, shape: &[usize]) -> Result<(), CircuitError> {
    let entries = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if shape.len() > MAX_AXES || shape.contains(&0) || entries.is_none_or(|n| n > MAX_ENTRIES) {
        return Err(CircuitError::Shape {
            node,
            shape: shape.to_vec(),
            expected: format!("1 to {MAX_ENTRIES} entries in at most {MAX_AXES} axes"),
        });
    }
    Ok(())
}
