//! Sliding windows over the spatial axes of a `[batch, channels, spatial..]` tensor.

use crate::circuit::{AxisMap, View};
use crate::error::CircuitError;
use crate::model::ValueSpec;
use bincode::{Decode, Encode};

/// Largest kernel, stride, dilation or padding of one axis.
const MAX_STEP: i64 = 1 << 16;

/// A sliding window: one entry per spatial axis in every list.
///
/// Output position `o` and window position `k` read input position `o * stride + k * dilation - begin`; positions outside
/// the input are padding. There are `(input + begin + end - dilation * (kernel - 1) - 1) / stride + 1` output positions,
/// rounded down.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Window {
    /// Window positions.
    pub kernel: Vec<u32>,
    /// Input positions from one output position to the next.
    pub strides: Vec<u32>,
    /// Input positions from one window position to the next.
    pub dilations: Vec<u32>,
    /// Padding before the first input position.
    pub begin: Vec<u32>,
    /// Padding after the last input position.
    pub end: Vec<u32>,
}

/// Consecutive output positions that read input positions `input, input + step, ..`.
pub(super) struct Run {
    pub(super) output: usize,
    pub(super) count: usize,
    pub(super) input: i64,
    pub(super) step: i64,
}

impl Window {
    /// Number of spatial axes.
    pub fn axes(&self) -> usize {
        self.kernel.len()
    }

    /// Whether any output position reads padding.
    pub fn is_padded(&self) -> bool {
        self.begin.iter().chain(&self.end).any(|&pad| pad > 0)
    }

    /// Number of window positions.
    pub fn positions(&self) -> u64 {
        self.kernel.iter().fold(1, |n, &k| n.saturating_mul(k.into()))
    }

    /// Checks the window against an operand and gives the spatial axes of the output.
    ///
    /// # Errors
    /// [`CircuitError`] naming `node` and the parameter or shape that does not fit.
    pub fn output(&self, node: usize, input: &ValueSpec) -> Result<Vec<usize>, CircuitError> {
        let limit = |what, value, lo, hi| CircuitError::limit(Some(node), what, value, lo, hi);
        let axes = self.axes();
        limit("spatial axes of a window", axes as i64, 1, 3)?;
        let lists = [
            ("window strides", &self.strides, 1),
            ("window dilations", &self.dilations, 1),
            ("window padding before", &self.begin, 0),
            ("window padding after", &self.end, 0),
            ("window kernel", &self.kernel, 1),
        ];
        for (what, list, least) in lists {
            limit(what, list.len() as i64, axes as i64, axes as i64)?;
            list.iter().try_for_each(|&value| limit(what, value.into(), least, MAX_STEP))?;
        }
        let misfit =
            |expected: String| CircuitError::Shape { node: Some(node), shape: input.shape.clone(), expected };
        if input.shape.len() != axes + 2 {
            return Err(misfit(format!("batch, channels and {axes} spatial axes")));
        }
        (0..axes)
            .map(|axis| {
                let padded = input.shape[axis + 2] + (self.begin[axis] + self.end[axis]) as usize;
                let span = self.dilations[axis] as usize * (self.kernel[axis] as usize - 1) + 1;
                let steps = padded.checked_sub(span).map(|free| free / self.strides[axis] as usize + 1);
                steps.ok_or_else(|| {
                    misfit(format!("at least {span} positions, with padding, on axis {}", axis + 2))
                })
            })
            .collect()
    }

    /// Where spatial axis `axis` is read, from the view index of the output position and that of the window position.
    pub(super) fn map(&self, axis: usize, output: usize, window: usize) -> AxisMap {
        AxisMap {
            offset: -i64::from(self.begin[axis]),
            terms: vec![(output, self.strides[axis].into()), (window, self.dilations[axis].into())],
        }
    }

    /// Extents of the window.
    pub(super) fn extents(&self) -> Vec<usize> {
        super::extents(&self.kernel)
    }

    /// For every window position, row-major: what the output positions read, in runs along the last axis.
    pub(super) fn runs(&self, input: &[usize], output: &[usize]) -> Vec<Vec<Run>> {
        let kernel = self.extents();
        (0..kernel.iter().product::<usize>())
            .map(|flat| {
                let mut rest = flat;
                let mut axes = vec![AxisMap::fixed(0); self.axes()];
                for axis in (0..self.axes()).rev() {
                    let at = (rest % kernel[axis]) as i64 * i64::from(self.dilations[axis]);
                    axes[axis] = AxisMap {
                        offset: at - i64::from(self.begin[axis]),
                        terms: vec![(axis, self.strides[axis].into())],
                    };
                    rest /= kernel[axis];
                }
                let mut runs = Vec::new();
                View::new(0, axes).for_each_run(output, input, |output, count, input, step| {
                    runs.push(Run { output, count, input, step });
                });
                runs
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Range;

    fn window(kernel: u32, stride: u32, dilation: u32, begin: u32, end: u32) -> Window {
        Window {
            kernel: vec![kernel],
            strides: vec![stride],
            dilations: vec![dilation],
            begin: vec![begin],
            end: vec![end],
        }
    }

    fn spec(len: usize) -> ValueSpec {
        ValueSpec { shape: vec![1, 1, len], range: Range::new(0, 1) }
    }

    #[test]
    fn output_positions_are_those_whose_windows_fit() {
        for (window, input, output) in [
            (window(3, 1, 1, 0, 0), 5, 3),
            (window(3, 2, 1, 1, 1), 5, 3),
            (window(2, 2, 1, 0, 0), 5, 2),
            (window(2, 2, 1, 0, 1), 5, 3),
            (window(3, 1, 2, 0, 0), 5, 1),
        ] {
            assert_eq!(window.output(0, &spec(input)), Ok(vec![output]));
        }
    }

    #[test]
    fn windows_that_do_not_fit_are_refused() {
        assert!(matches!(
            window(6, 1, 1, 0, 0).output(7, &spec(5)),
            Err(CircuitError::Shape { node: Some(7), .. })
        ));
        for bad in
            [window(0, 1, 1, 0, 0), window(1, 0, 1, 0, 0), window(1, 1, 0, 0, 0), window(1, 1, 1, 1 << 17, 0)]
        {
            assert!(matches!(bad.output(7, &spec(5)), Err(CircuitError::Parameter { node: Some(7), .. })));
        }
        let short = Window { strides: vec![], ..window(1, 1, 1, 0, 0) };
        assert!(short.output(0, &spec(5)).is_err());
    }

    #[test]
    fn runs_read_what_the_definition_says() {
        let window = window(3, 2, 2, 3, 2);
        let (input, output) = (7usize, window.output(0, &spec(7)).expect("it fits")[0]);
        for (k, runs) in window.runs(&[input], &[output]).iter().enumerate() {
            let mut read = vec![None; output];
            for run in runs {
                for t in 0..run.count {
                    read[run.output + t] = Some(run.input + run.step * t as i64);
                }
            }
            for (o, read) in read.into_iter().enumerate() {
                let at = (2 * o + 2 * k) as i64 - 3;
                assert_eq!(read, (0..input as i64).contains(&at).then_some(at));
            }
        }
    }
}
