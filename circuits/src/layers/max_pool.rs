//! Max-pooling: the largest entry of every window.

use super::window::{Run, Window};
use super::{Kind, Operand, extents};
use crate::circuit::{AxisMap, Expr};
use crate::error::CircuitError;
use crate::lower::{Builder, Value, whole};
use crate::model::{Range, ValueSpec};
use crate::tables::Table;
use bincode::{Decode, Encode};

/// The largest entry of every window of a `[batch, channels, spatial..]` operand. Padding is never larger than an entry: it
/// counts as the smallest value of the operand's range.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct MaxPool {
    /// The window.
    pub window: Window,
}

impl Kind for MaxPool {
    fn name(&self) -> &'static str {
        "MaxPool"
    }

    fn output(&self, node: usize, inputs: &[&ValueSpec]) -> Result<ValueSpec, CircuitError> {
        let Range { lo, hi } = inputs[0].range;
        CircuitError::limit(
            Some(node),
            "range width of a max-pool's operand",
            hi.saturating_sub(lo),
            0,
            (1 << 13) - 1,
        )?;
        let spatial = self.window.output(node, inputs[0])?;
        // One look-up per window position but the first, along each axis.
        let steps: u64 = self.window.kernel.iter().map(|&k| u64::from(k)).sum();
        CircuitError::limit(Some(node), "sum of a max-pool's kernel axes", steps as i64, 1, 1 << 10)?;
        let shape = [&inputs[0].shape[..2], &spatial].concat();
        Ok(ValueSpec { shape, range: inputs[0].range })
    }

    fn parts(&self, _inputs: &[&ValueSpec], _output: &ValueSpec) -> u64 {
        self.window.kernel.iter().map(|&k| u64::from(k)).sum()
    }

    fn worst_case(&self, inputs: &[&ValueSpec], _parameters: &[&[i64]]) -> Option<Range> {
        Some(inputs[0].range)
    }

    fn evaluate(&self, inputs: &[Operand<'_>], output: &ValueSpec, _parameters: &[&[i64]]) -> Vec<i64> {
        let (from, to) = (&inputs[0].spec.shape[2..], &output.shape[2..]);
        let runs = self.window.runs(from, to);
        let mut largest = vec![output.range.lo; output.len()];
        let planes =
            largest.chunks_mut(to.iter().product()).zip(inputs[0].values.chunks(from.iter().product()));
        for (largest, plane) in planes {
            for Run { output, count, input, step } in runs.iter().flatten() {
                for (t, largest) in largest[*output..output + count].iter_mut().enumerate() {
                    *largest = plane[(input + step * t as i64) as usize].max(*largest);
                }
            }
        }
        largest
    }

    /// Constraints, axis by axis: `m_t = max(m_{t-1}, v_t)` over the positions `v_t` of the window on this axis, as
    /// `(m_{t-1} - v_t, m_t - v_t)` in the table of the rectifier, for `max(a, b) = b + max(a - b, 0)`.
    fn lower(&self, builder: &mut Builder<'_>, node: usize, inputs: &[Value], output: &ValueSpec) -> Value {
        let width = output.range.hi - output.range.lo;
        let bits = (i64::BITS - width.leading_zeros()).max(1);
        // Differences of two values of the operand's range.
        let table = Table::Rectify { bits };
        let axes: Vec<usize> = (0..self.window.axes())
            .filter(|&axis| {
                let window = &self.window;
                window.kernel[axis] > 1
                    || window.strides[axis] > 1
                    || window.begin[axis] + window.end[axis] > 0
            })
            .collect();
        let mut value = inputs[0].clone();
        for (at, &axis) in axes.iter().enumerate() {
            let mut shape = value.shape.clone();
            shape[axis + 2] = output.shape[axis + 2];
            let last = at + 1 == axes.len();
            value = self.along(builder, node, &value, axis, &shape, (table, output, last));
        }
        if axes.is_empty() {
            let view = builder.view(&value, super::indices(output.shape.len()), &output.shape, vec![]);
            return builder.linear(node, output, None, Expr::view(1, view));
        }
        value
    }
}

impl MaxPool {
    /// The largest entries along one spatial axis.
    fn along(
        &self,
        builder: &mut Builder<'_>,
        node: usize,
        value: &Value,
        axis: usize,
        shape: &[usize],
        (table, output, last): (Table, &ValueSpec, bool),
    ) -> Value {
        let lo = output.range.lo;
        let kernel = extents(&self.window.kernel)[axis];
        let read = |builder: &mut Builder<'_>, k: usize| {
            let mut maps = super::indices(shape.len());
            maps[axis + 2] = AxisMap {
                offset: k as i64 * i64::from(self.window.dilations[axis])
                    - i64::from(self.window.begin[axis]),
                terms: vec![(axis + 2, self.window.strides[axis].into())],
            };
            // Outside the operand it reads lo.
            builder.padded(value, maps, shape, lo)
        };
        let mut largest = read(builder, 0);
        if kernel == 1 {
            let spec = ValueSpec { shape: shape.to_vec(), range: output.range };
            return if last {
                builder.linear(node, &spec, None, largest)
            } else {
                builder.stored(&format!("layer {node} axis {axis} read"), shape, largest)
            };
        }
        for k in 1..kernel {
            let next = read(builder, k);
            let range = builder.above(&next, shape, table);
            let tensor = if last && k + 1 == kernel {
                builder.result(node, shape, output.range, range)
            } else {
                builder.witness(&format!("layer {node} largest of {} on axis {axis}", k + 1), shape, range)
            };
            builder.larger(table, shape, &largest, &next, tensor);
            largest = Expr::view(1, whole(tensor, shape.len()));
        }
        let tensor = largest.terms[0].1.tensor;
        Value { tensor, shape: shape.to_vec() }
    }
}
