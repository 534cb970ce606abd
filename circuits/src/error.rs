//! What can be wrong with a layer list or a circuit.

/// Why a layer list cannot be lowered to a sound circuit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CircuitError {
    /// A parameter of a layer, or of the list, is outside its domain.
    #[error("{}{what} is {value}, allowed are {lo} to {hi}", at(node))]
    Parameter {
        /// The layer, if it is one layer's.
        node: Option<usize>,
        /// The parameter's name.
        what: &'static str,
        /// Its value.
        value: i64,
        /// Smallest allowed value.
        lo: i64,
        /// Largest allowed value.
        hi: i64,
    },
    /// A layer reads a value that does not precede it.
    #[error("layer {node} reads value {operand}, only {available} precede it")]
    Operand {
        /// The layer.
        node: usize,
        /// The value it reads.
        operand: u32,
        /// Number of values before the layer.
        available: usize,
    },
    /// A shape does not fit.
    #[error("{}the shape {shape:?} does not fit: expected {expected}", at(node))]
    Shape {
        /// The layer, if it is one layer's.
        node: Option<usize>,
        /// The shape found.
        shape: Vec<usize>,
        /// What would fit.
        expected: String,
    },
    /// An entry is outside its declared range.
    #[error("{what}[{index}] is {value}, declared are {lo} to {hi}")]
    OutOfRange {
        /// The tensor.
        what: String,
        /// The entry's row-major index.
        index: usize,
        /// Its value.
        value: i64,
        /// Smallest declared value.
        lo: i64,
        /// Largest declared value.
        hi: i64,
    },
    /// A tensor has the wrong number of entries.
    #[error("{what} has {actual} entries, expected {expected}")]
    Length {
        /// The tensor.
        what: String,
        /// Entries expected.
        expected: usize,
        /// Entries found.
        actual: usize,
    },
    /// A secret tensor's entry is not bounded by any constraint.
    #[error("entry {entry} of tensor {tensor} is bounded by no look-up and no constraint on bounded tensors")]
    Unbounded {
        /// The tensor's index.
        tensor: usize,
        /// The entry's row-major index.
        entry: usize,
    },
    /// An expression could leave the range in which field arithmetic is integer arithmetic.
    #[error("constraint {constraint} may reach 2^{bits}, allowed is below 2^{limit}")]
    Wraps {
        /// The constraint's description.
        constraint: String,
        /// Bits its worst case may need.
        bits: u32,
        /// Bits allowed.
        limit: u32,
    },
    /// A constraint is not well formed: a view, box or table it names does not fit.
    #[error("{constraint}: {reason}")]
    Malformed {
        /// The constraint's description.
        constraint: String,
        /// What does not fit.
        reason: String,
    },
}

impl CircuitError {
    /// [`CircuitError::Parameter`] unless `value` lies in `lo..=hi`.
    pub(crate) fn limit(
        node: Option<usize>,
        what: &'static str,
        value: i64,
        lo: i64,
        hi: i64,
    ) -> Result<(), CircuitError> {
        if (lo..=hi).contains(&value) {
            Ok(())
        } else {
            Err(CircuitError::Parameter { node, what, value, lo, hi })
        }
    }
}

fn at(node: &Option<usize>) -> String {
    node.map(|node| format!("layer {node}: ")).unwrap_or_default()
}
