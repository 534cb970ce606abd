//! Average pooling: a multiple of the sum of every window.

use super::window::{Run, Window};
use super::{Kind, Operand, Requantize, finish, public_output_range};
use crate::circuit::Expr;
use crate::error::CircuitError;
use crate::lower::{Builder, Value};
use crate::model::{Range, ValueSpec};
use bincode::{Decode, Encode};

/// The mean of every window of a `[batch, channels, spatial..]` operand, padding as 0:
/// `acc = round(numerator / count) * sum of the window`, rounded half up, where `count` is the number of window positions that
/// count. The quotient of the true mean's scale and the output's is part of `numerator / 2^shift`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct AveragePool {
    /// The window.
    pub window: Window,
    /// Per spatial axis: window positions count that lie in the operand or at most so far before and after it.
    pub include: Vec<[u32; 2]>,
    /// Times the mean, 1 to `2^40`.
    pub numerator: u64,
    /// Requantization of the accumulator; `None` gives the accumulator itself.
    pub requantize: Option<Requantize>,
}

/// Output positions `start..end` of one axis, whose windows have `counted` positions that count.
#[derive(Clone, Copy)]
struct Stretch {
    start: usize,
    end: usize,
    counted: i64,
    /// Most window positions inside the operand.
    inside: i64,
}

impl AveragePool {
    /// Stretches of output positions of one axis with equal counts.
    fn stretches(&self, axis: usize, input: usize, output: usize) -> Vec<Stretch> {
        let window = &self.window;
        let [before, after] = self.include[axis].map(i64::from);
        let mut stretches: Vec<Stretch> = Vec::new();
        for o in 0..output {
            let positions = (0..i64::from(window.kernel[axis])).map(|k| {
                o as i64 * i64::from(window.strides[axis]) + k * i64::from(window.dilations[axis])
                    - i64::from(window.begin[axis])
            });
            let within =
                |lo: i64, hi: i64| positions.clone().filter(|at| (lo..hi).contains(at)).count() as i64;
            let counted = within(-before, input as i64 + after).max(1);
            let inside = within(0, input as i64);
            match stretches.last_mut() {
                Some(last) if last.counted == counted => {
                    last.end = o + 1;
                    last.inside = last.inside.max(inside);
                }
                _ => stretches.push(Stretch { start: o, end: o + 1, counted, inside }),
            }
        }
        stretches
    }

    /// The boxes of output positions with equal counts: one stretch per axis.
    fn regions(&self, input: &[usize], output: &[usize]) -> Vec<Vec<Stretch>> {
        (0..self.window.axes()).fold(vec![vec![]], |regions, axis| {
            let stretches = self.stretches(axis, input[axis], output[axis]);
            regions
                .iter()
                .flat_map(|region| stretches.iter().map(|stretch| [&region[..], &[*stretch]].concat()))
                .collect()
        })
    }

    /// What the sums of a region are multiplied with.
    fn multiplier(&self, region: &[Stretch]) -> i64 {
        let count: i128 = region.iter().map(|stretch| i128::from(stretch.counted)).product();
        ((2 * i128::from(self.numerator) + count) / (2 * count)) as i64
    }

    fn accumulator(&self, input: &ValueSpec, spatial: &[usize]) -> Option<Range> {
        let padded = self.window.is_padded();
        let entry = if padded { input.range.union(&Range::new(0, 0)) } else { input.range };
        self.regions(&input.shape[2..], spatial).iter().try_fold(Range::new(0, 0), |range, region| {
            let inside = region.iter().try_fold(1i64, |n, stretch| n.checked_mul(stretch.inside))?;
            // The sum is computed first, so it must fit even if it is then multiplied by 0.
            let most = self.multiplier(region).max(1).checked_mul(inside)?;
            Some(range.union(&Range::new(entry.lo.checked_mul(most)?, entry.hi.checked_mul(most)?)))
        })
    }

    fn spatial(&self, node: usize, input: &ValueSpec) -> Result<Vec<usize>, CircuitError> {
        let limit = |what, value, lo, hi| CircuitError::limit(Some(node), what, value, lo, hi);
        let spatial = self.window.output(node, input)?;
        let axes = self.window.axes() as i64;
        limit("axes of counted padding", self.include.len() as i64, axes, axes)?;
        self.include
            .iter()
            .flatten()
            .try_for_each(|&pad| limit("counted padding", pad.into(), 0, 1 << 16))?;
        limit("average numerator", self.numerator.min(1 << 41) as i64, 1, 1 << 40)?;
        let reads: u64 = (0..spatial.len())
            .map(|axis| (spatial[axis] as u64).saturating_mul(self.window.kernel[axis].into()))
            .fold(0, u64::saturating_add);
        limit("window positions along the axes of an average", reads.min(1 << 24) as i64, 1, 1 << 14)?;
        limit("window positions of an average", self.window.positions().min(1 << 24) as i64, 1, 1 << 22)?;
        Ok(spatial)
    }
}

/// Most boxes of output positions with different counts.
const MAX_REGIONS: i64 = 1 << 10;

impl Kind for AveragePool {
    fn name(&self) -> &'static str {
        "AveragePool"
    }

    fn output(&self, node: usize, inputs: &[&ValueSpec]) -> Result<ValueSpec, CircuitError> {
        let spatial = self.spatial(node, inputs[0])?;
        let regions = (0..spatial.len())
            .map(|axis| self.stretches(axis, inputs[0].shape[axis + 2], spatial[axis]).len() as i64)
            .fold(1, i64::saturating_mul);
        CircuitError::limit(Some(node), "output boxes with different counts", regions, 1, MAX_REGIONS)?;
        let accumulator = self.accumulator(inputs[0], &spatial);
        let range = public_output_range(node, accumulator, self.requantize.as_ref())?;
        Ok(ValueSpec { shape: [&inputs[0].shape[..2], &spatial].concat(), range })
    }

    fn parts(&self, inputs: &[&ValueSpec], output: &ValueSpec) -> u64 {
        self.regions(&inputs[0].shape[2..], &output.shape[2..]).len() as u64
    }

    fn requantize(&self) -> Option<&Requantize> {
        self.requantize.as_ref()
    }

    fn worst_case(&self, inputs: &[&ValueSpec], _parameters: &[&[i64]]) -> Option<Range> {
        self.accumulator(inputs[0], &self.spatial(0, inputs[0]).ok()?)
    }

    fn evaluate(&self, inputs: &[Operand<'_>], output: &ValueSpec, _parameters: &[&[i64]]) -> Vec<i64> {
        let (from, to) = (&inputs[0].spec.shape[2..], &output.shape[2..]);
        let runs = self.window.runs(from, to);
        let mut multipliers = vec![0; to.iter().product()];
        for region in self.regions(from, to) {
            let multiplier = self.multiplier(&region);
            let positions = region.iter().zip(to).fold(vec![0], |positions, (stretch, &extent)| {
                positions
                    .iter()
                    .flat_map(|at| (stretch.start..stretch.end).map(move |o| at * extent + o))
                    .collect()
            });
            positions.into_iter().for_each(|at| multipliers[at] = multiplier);
        }
        let mut sums = vec![0; output.len()];
        let planes = sums.chunks_mut(multipliers.len()).zip(inputs[0].values.chunks(from.iter().product()));
        for (sums, plane) in planes {
            for Run { output, count, input, step } in runs.iter().flatten() {
                for (t, sum) in sums[*output..output + count].iter_mut().enumerate() {
                    *sum += plane[(input + step * t as i64) as usize];
                }
            }
            sums.iter_mut().zip(&multipliers).for_each(|(sum, multiplier)| *sum *= multiplier);
        }
        finish(sums, self.requantize.as_ref())
    }

    /// Constraints: `acc = multiplier * sum of the window`, one linear constraint per box of equal counts; a window's sum is a
    /// view.
    fn lower(&self, builder: &mut Builder<'_>, node: usize, inputs: &[Value], output: &ValueSpec) -> Value {
        let axes = output.shape.len();
        let mut maps = super::indices(axes);
        for axis in 0..self.window.axes() {
            maps[axis + 2] = self.window.map(axis, axis + 2, axes + axis);
        }
        let sums = builder.view(&inputs[0], maps, &output.shape, self.window.extents());
        let parts = self
            .regions(&inputs[0].shape[2..], &output.shape[2..])
            .iter()
            .map(|region| {
                let start = [0, 0].into_iter().chain(region.iter().map(|stretch| stretch.start)).collect();
                let extents = output.shape[..2].iter().copied();
                let extents: Vec<usize> = extents.chain(region.iter().map(|s| s.end - s.start)).collect();
                (start, extents, Expr::view(self.multiplier(region), sums.clone()))
            })
            .collect();
        builder.piecewise(node, output, self.requantize.as_ref(), parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(include: [u32; 2], numerator: u64) -> AveragePool {
        AveragePool {
            window: Window {
                kernel: vec![3],
                strides: vec![1],
                dilations: vec![1],
                begin: vec![1],
                end: vec![1],
            },
            include: vec![include],
            numerator,
            requantize: None,
        }
    }

    #[test]
    fn padding_counts_or_not() {
        let spec = ValueSpec { shape: vec![1, 1, 4], range: Range::new(-5, 9) };
        // Window sums of 1, 0, 1, 0 are 1, 2, 1, 1.
        for (include, expected) in [([1, 1], [4, 8, 4, 4]), ([0, 0], [6, 8, 4, 6])] {
            let pool = pool(include, 12);
            let output = pool.output(0, &[&spec]).expect("it fits");
            let operand = Operand { spec: &spec, values: &[1, 0, 1, 0] };
            let averages = pool.evaluate(&[operand], &output, &[]);
            assert_eq!(averages, expected);
            assert!(averages.iter().all(|&y| output.range.contains(y)));
        }
    }

    #[test]
    fn multipliers_are_rounded_half_up() {
        let stretch = |counted| [Stretch { start: 0, end: 1, counted, inside: 1 }];
        assert_eq!(pool([0, 0], 10).multiplier(&stretch(3)), 3);
        assert_eq!(pool([0, 0], 10).multiplier(&stretch(4)), 3);
        assert_eq!(pool([0, 0], 9).multiplier(&stretch(4)), 2);
    }
}
