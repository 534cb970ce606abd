//! One scale for all that is concatenated.
//!
//! The operands of a concatenation must have one scale. Values that meet in concatenations, directly or through others, form
//! a class, whose scale is the largest that one of its members asks for. A member that is requantized anyway takes the class's
//! scale, unless others read it too and it would lose more than two bits. What still has another scale where it is
//! concatenated is requantized there.

use super::plan::Graph;
use crate::float::FloatOp;

/// Bits that a value with other readers may lose to a common scale, as a factor.
const MAX_LOSS: f64 = 4.0;

/// The scales that concatenations ask for.
#[derive(Debug, Default)]
pub(super) struct Classes {
    /// For each value, the scale that its requantization should have.
    pub(super) target: Vec<Option<f64>>,
}

/// How a value comes by its scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Origin {
    /// It is requantized; the scale that it asks for.
    Free(f64),
    /// It has a scale.
    Fixed(f64),
}

impl Classes {
    /// `origin` tells how the output of a block, or the input, comes by its scale; `None` for what keeps its operands' scale.
    pub(super) fn new(graph: &Graph, origin: impl Fn(usize) -> Option<Origin>) -> Classes {
        let values = graph.steps.len() + 1;
        let mut parent: Vec<usize> = (0..values).collect();
        let mut roots: Vec<usize> = Vec::with_capacity(values);
        for value in 0..values {
            // A concatenation is a member itself; everything else that keeps its operand's scale stands for the operand.
            let keeps = value > 0 && origin(value).is_none() && graph.steps[value - 1].inputs.len() == 1;
            let root = if keeps { roots[graph.steps[value - 1].inputs[0]] } else { value };
            roots.push(root);
        }
        let mut joined = vec![false; values];
        for (index, step) in graph.steps.iter().enumerate() {
            if matches!(step.op, FloatOp::Arrange { .. }) && step.inputs.len() > 1 {
                for member in step.inputs.iter().map(|&input| roots[input]).chain([index + 1]) {
                    joined[member] = true;
                    let (a, b) = (find(&mut parent, member), find(&mut parent, index + 1));
                    parent[a] = b;
                }
            }
        }
        let mut scale = vec![0.0f64; values];
        for value in (0..values).filter(|&value| joined[value]) {
            if let Some(Origin::Free(own) | Origin::Fixed(own)) = origin(value) {
                let class = find(&mut parent, value);
                scale[class] = scale[class].max(own);
            }
        }
        let target = (0..values)
            .map(|value| {
                let common =
                    Some(scale[find(&mut parent, value)]).filter(|scale| joined[value] && *scale > 0.0)?;
                match origin(value) {
                    Some(Origin::Free(own))
                        if own * MAX_LOSS < common && !only_concatenated(graph, value) =>
                    {
                        None
                    }
                    Some(Origin::Fixed(_)) => None,
                    _ => Some(common),
                }
            })
            .collect();
        Classes { target }
    }
}

fn find(parent: &mut [usize], mut member: usize) -> usize {
    while parent[member] != member {
        parent[member] = parent[parent[member]];
        member = parent[member];
    }
    member
}

/// Whether a value goes nowhere but into concatenations.
fn only_concatenated(graph: &Graph, value: usize) -> bool {
    !graph.readers(value).is_empty()
        && graph.readers(value).iter().all(|&reader| match &graph.steps[reader].op {
            FloatOp::Arrange { .. } if graph.steps[reader].inputs.len() > 1 => true,
            FloatOp::Arrange { .. } | FloatOp::Reshape | FloatOp::MaxPool { .. } => {
                only_concatenated(graph, reader + 1)
            }
            _ => false,
        })
}
