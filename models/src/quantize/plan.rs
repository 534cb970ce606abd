//! What becomes one integer layer, and which values must share a scale.

use super::scales::Channels;
use crate::float::{FloatFunction, FloatOp};
use crate::simplify::Step;
use provenn_circuits::model::Range;

/// One integer layer: a step, and the steps behind it that are part of its requantization.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Block {
    /// The step that computes.
    pub(super) core: usize,
    /// The function of it.
    pub(super) function: Option<FloatFunction>,
    /// The step that is the function, or `core`.
    pub(super) applied: usize,
    /// The model's own scale and range of the result.
    pub(super) quantize: Option<(f64, Range)>,
    /// The step whose output the layer gives.
    pub(super) last: usize,
}

/// The graph with its readers, cut into blocks.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    pub(super) steps: &'a [Step],
    pub(super) input_shape: &'a [usize],
    /// Steps that read each value; one that reads it twice is there twice.
    readers: Vec<Vec<usize>>,
    /// The block that begins at each step; `None` for a step inside of another's block.
    pub(super) blocks: Vec<Option<Block>>,
    /// For a step that ends the block of another step, that step.
    pub(super) ends: Vec<Option<usize>>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(input_shape: &'a [usize], steps: &'a [Step]) -> Self {
        let mut readers = vec![Vec::new(); steps.len() + 1];
        for (index, step) in steps.iter().enumerate() {
            step.inputs.iter().for_each(|&input| readers[input].push(index));
        }
        let mut graph = Graph {
            steps,
            input_shape,
            readers,
            blocks: vec![None; steps.len()],
            ends: vec![None; steps.len()],
        };
        let mut inside = vec![false; steps.len()];
        for core in 0..steps.len() {
            if inside[core] {
                continue;
            }
            let block = graph.block(core);
            [block.applied, block.last].into_iter().filter(|&i| i != core).for_each(|i| inside[i] = true);
            graph.blocks[core] = Some(block);
            graph.ends[block.last] = Some(core).filter(|_| block.last != core);
        }
        graph
    }

    fn block(&self, core: usize) -> Block {
        let op = &self.steps[core].op;
        let mut block = Block { core, function: None, applied: core, quantize: None, last: core };
        match op {
            FloatOp::Function(function) => block.function = Some(*function),
            FloatOp::Quantize { scale, range } => {
                block.quantize = Some((*scale, *range));
                return block;
            }
            op if !op.accumulates() => return block,
            _ => {
                if let Some(next) = self.sole_reader(core + 1)
                    && let FloatOp::Function(function) = &self.steps[next].op
                {
                    block = Block { function: Some(*function), applied: next, last: next, ..block };
                }
            }
        }
        if let Some(next) = self.sole_reader(block.last + 1)
            && let FloatOp::Quantize { scale, range } = self.steps[next].op
        {
            block = Block { quantize: Some((scale, range)), last: next, ..block };
        }
        block
    }

    /// Name of a block: that of its core.
    pub(super) fn name(&self, block: &Block) -> &'a str {
        &self.steps[block.core].name
    }

    pub(super) fn shape(&self, value: usize) -> &[usize] {
        value.checked_sub(1).map_or(self.input_shape, |step| &self.steps[step].shape)
    }

    /// The model's output.
    fn output(&self) -> usize {
        self.steps.len()
    }

    /// Whether the model brings its own scales.
    pub(super) fn has_own_scales(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.op, FloatOp::Quantize { .. }))
    }

    /// The steps that read a value.
    pub(super) fn readers(&self, value: usize) -> &[usize] {
        &self.readers[value]
    }

    /// The only reader of a value that is not the model's output.
    fn sole_reader(&self, value: usize) -> Option<usize> {
        match self.readers[value][..] {
            [reader] if value != self.output() => Some(reader),
            _ => None,
        }
    }

    /// Whether a value is the model's output, but for its shape: then its accumulators need not be requantized.
    pub(super) fn is_output(&self, value: usize) -> bool {
        match self.sole_reader(value) {
            Some(reader) => self.steps[reader].op == FloatOp::Reshape && self.is_output(reader + 1),
            None => value == self.output(),
        }
    }

    /// Whether entries of a value become entries of the model's output without another rounding.
    pub(super) fn reaches_output(&self, value: usize) -> bool {
        let mut open = vec![value];
        let mut seen = vec![false; self.steps.len() + 1];
        while let Some(value) = open.pop() {
            if value == self.output() {
                return true;
            }
            if !std::mem::replace(&mut seen[value], true) {
                let keeps = |step: &usize| {
                    let op = &self.steps[*step].op;
                    op.clamp().is_some()
                        || matches!(op, FloatOp::Reshape | FloatOp::MaxPool { .. } | FloatOp::Arrange { .. })
                };
                open.extend(self.readers[value].iter().filter(|step| keeps(step)).map(|step| step + 1));
            }
        }
        false
    }

    /// Whether every reader of a value takes one scale per channel, that is absorbs it into weights of its own.
    pub(super) fn absorbs(&self, value: usize, channels: Channels) -> bool {
        if value == self.output() {
            return false;
        }
        let shape = self.shape(value);
        self.readers[value].iter().all(|&reader| {
            let step = &self.steps[reader];
            match &step.op {
                FloatOp::Conv { .. } => channels.cover(shape[1], shape[2..].iter().product()),
                FloatOp::Gemm { inputs, .. } => channels.cover(*inputs, 1),
                FloatOp::Reshape => self.absorbs(reader + 1, channels),
                FloatOp::Function(FloatFunction::Relu) => {
                    let alone = self.blocks[reader].is_some_and(|block| block.quantize.is_none());
                    alone && self.absorbs(reader + 1, channels)
                }
                FloatOp::MaxPool { .. } => {
                    channels.pooled(step, shape).is_some_and(|pooled| self.absorbs(reader + 1, pooled))
                }
                FloatOp::AveragePool { .. } | FloatOp::Reduce { .. } => {
                    let Some(block) = self.blocks[reader] else { return false };
                    matches!(block.function, None | Some(FloatFunction::Relu))
                        && block.quantize.is_none()
                        && channels.pooled(step, shape).is_some_and(|c| self.absorbs(block.last + 1, c))
                }
                _ => false,
            }
        })
    }
}
