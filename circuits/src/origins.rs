//! Which layer each part of a circuit is there for: for people who ask what a layer costs. Nothing that is proved depends
//! on it.

use crate::circuit::{Circuit, TensorId};

/// Per part of a circuit, the node of the layer list that it was made for.
///
/// A copy of a value under another shape belongs to the node that needed it first. The input and its range checks, and the
/// multiplicities of tables, belong to no node. Of a circuit that was not lowered from a layer list, nothing is known.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    tensors: Vec<Option<usize>>,
    linears: Vec<Option<usize>>,
    contracts: Vec<Option<usize>>,
    lookups: Vec<Option<usize>>,
    steps: Vec<Option<usize>>,
}

fn get(nodes: &[Option<usize>], index: usize) -> Option<usize> {
    nodes.get(index).copied().flatten()
}

impl Origins {
    /// The node of a tensor.
    pub fn tensor(&self, id: TensorId) -> Option<usize> {
        get(&self.tensors, id)
    }

    /// The node of a linear constraint.
    pub fn linear(&self, index: usize) -> Option<usize> {
        get(&self.linears, index)
    }

    /// The node of a bilinear constraint.
    pub fn contract(&self, index: usize) -> Option<usize> {
        get(&self.contracts, index)
    }

    /// The node of a look-up.
    pub fn lookup(&self, index: usize) -> Option<usize> {
        get(&self.lookups, index)
    }

    /// The node of a step of the witness.
    pub fn step(&self, index: usize) -> Option<usize> {
        get(&self.steps, index)
    }

    /// Names the node of one tensor.
    pub(crate) fn set_tensor(&mut self, id: TensorId, node: usize) {
        if let Some(origin) = self.tensors.get_mut(id) {
            *origin = Some(node);
        }
    }
}

impl Circuit {
    /// Everything that was added since the last call is there for `node`.
    pub(crate) fn attribute(&mut self, node: Option<usize>) {
        let Circuit { tensors, linears, contracts, lookups, steps, origins, .. } = self;
        origins.tensors.resize(tensors.len(), node);
        origins.linears.resize(linears.len(), node);
        origins.contracts.resize(contracts.len(), node);
        origins.lookups.resize(lookups.len(), node);
        origins.steps.resize(steps.len(), node);
    }
}
