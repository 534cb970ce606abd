//! Arrangements: transposition, slice, concatenation, constant padding, expansion, nearest upsampling, insertion of zeros.

use super::{Kind, MAX_OPERANDS, Operand, extents};
use crate::circuit::{AxisMap, Expr, View, clip};
use crate::error::CircuitError;
use crate::lower::{Builder, Value};
use crate::model::{MAX_AXES, Range, ValueSpec};
use bincode::{Decode, Encode};

/// Where one axis of an operand is read.
///
/// With `period` the output axis's period, output position `o = q * period + r` reads operand position
/// `offset + stride * q`, for every `r` if `repeat`, else only for `r = 0`. Positions outside the operand are not covered by
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct AxisSource {
    /// The output axis, or `None` for an operand axis that is read at `offset` only.
    pub axis: Option<u32>,
    /// Operand position at output position 0.
    pub offset: i32,
    /// Operand positions from one period to the next; may be negative, not 0.
    pub stride: i32,
    /// Whether every position of a period reads the same operand position (an upsampling), or only the first (an insertion of
    /// `fill`). No difference where the period is 1.
    pub repeat: bool,
}

/// The entries of the operands in another arrangement.
///
/// Every output entry is read from the one operand that covers it, or is `fill`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Arrange {
    /// Shape of the output.
    pub shape: Vec<u32>,
    /// One period per output axis, dividing its length; 1 unless the axis is upsampled.
    pub periods: Vec<u32>,
    /// Per operand one source per axis of it. An output axis that no operand axis follows repeats the operand.
    pub pieces: Vec<Vec<AxisSource>>,
    /// Value of the entries that no operand covers, within `2^16`.
    pub fill: i64,
}

impl Arrange {
    /// Extents of the box of `(quotient, remainder)` pairs, one pair per output axis.
    fn pairs(&self) -> Vec<usize> {
        let pair = |(&extent, &period): (&u32, &u32)| [(extent / period) as usize, period as usize];
        self.shape.iter().zip(&self.periods).flat_map(pair).collect()
    }

    /// Where operand `piece`, of shape `from`, is read on the box of pairs.
    fn maps(&self, piece: usize, from: &[usize]) -> Vec<AxisMap> {
        let map = |(source, extent): (&AxisSource, &usize)| {
            let mut map = AxisMap::fixed(source.offset.into());
            if let Some(axis) = source.axis {
                let axis = axis as usize;
                map.terms.push((2 * axis, source.stride.into()));
                if !source.repeat && self.periods[axis] > 1 {
                    // From the second position of a period on it reads outside the operand.
                    let quotients = i64::from(self.shape[axis] / self.periods[axis]);
                    let reach = i64::from(source.stride).abs() * quotients + i64::from(source.offset).abs();
                    map.terms.push((2 * axis + 1, reach + *extent as i64));
                }
            }
            map
        };
        self.pieces[piece].iter().zip(from).map(map).collect()
    }

    /// Quotients `lo..hi` of each output axis for which the operand is read inside; `None` if it never is.
    fn covered(&self, piece: usize, from: &[usize]) -> Option<Vec<(i64, i64)>> {
        let mut covered: Vec<(i64, i64)> =
            self.shape.iter().zip(&self.periods).map(|(&d, &p)| (0, i64::from(d / p))).collect();
        for (source, &extent) in self.pieces[piece].iter().zip(from) {
            let extent = extent as i64;
            let inside = match source.axis {
                None => (0..extent).contains(&i64::from(source.offset)),
                Some(axis) => {
                    let range = &mut covered[axis as usize];
                    *range = clip(*range, source.offset.into(), source.stride.into(), extent);
                    range.0 < range.1
                }
            };
            if !inside {
                return None;
            }
        }
        Some(covered)
    }

    fn check(&self, node: usize, inputs: &[&ValueSpec]) -> Result<(), CircuitError> {
        let limit = |what, value, lo, hi| CircuitError::limit(Some(node), what, value, lo, hi);
        let axes = self.shape.len() as i64;
        limit("number of axes", axes, 0, MAX_AXES as i64)?;
        crate::model::check_shape(Some(node), &extents(&self.shape))?;
        limit("number of periods", self.periods.len() as i64, axes, axes)?;
        for (&extent, &period) in self.shape.iter().zip(&self.periods) {
            limit("period", period.into(), 1, extent.min(1 << 16).into())?;
            limit("rest of an axis after its periods", (extent % period).into(), 0, 0)?;
        }
        let count = inputs.len() as i64;
        limit("number of arranged operands", self.pieces.len() as i64, count, count)?;
        limit("fill", self.fill, -(1 << 16), 1 << 16)?;
        for (piece, input) in self.pieces.iter().zip(inputs) {
            let own = input.shape.len() as i64;
            limit("number of arranged axes", piece.len() as i64, own, own)?;
            let mut seen = [false; MAX_AXES];
            for source in piece {
                limit("offset of an axis", source.offset.into(), -(1 << 28), 1 << 28)?;
                let Some(axis) = source.axis else { continue };
                limit("output axis", axis.into(), 0, axes - 1)?;
                let again = i64::from(std::mem::replace(&mut seen[axis as usize], true));
                limit("times that an operand follows one output axis twice", again, 0, 0)?;
                limit("stride of an axis", i64::from(source.stride).abs(), 1, 1 << 28)?;
                // A step out of the operand, times a period, is then within 62 bits.
                let quotients = i64::from(self.shape[axis as usize] / self.periods[axis as usize]);
                let reach = i64::from(source.stride).abs() * quotients;
                limit("reach of an axis", reach, 1, 1 << 40)?;
            }
        }
        Ok(())
    }

    /// Whether two operands can cover one output entry.
    fn overlap(one: &[(i64, i64)], other: &[(i64, i64)]) -> bool {
        one.iter().zip(other).all(|(a, b)| a.0.max(b.0) < a.1.min(b.1))
    }

    /// Number of output entries that an operand covers.
    fn entries(&self, piece: usize, covered: &[(i64, i64)]) -> usize {
        let inserted = |axis: usize| {
            self.pieces[piece].iter().any(|source| source.axis == Some(axis as u32) && !source.repeat)
        };
        let axis = |(axis, &(lo, hi)): (usize, &(i64, i64))| {
            let period = if inserted(axis) { 1 } else { self.periods[axis] as usize };
            (hi - lo) as usize * period
        };
        covered.iter().enumerate().map(axis).product()
    }
}

impl Kind for Arrange {
    fn name(&self) -> &'static str {
        "Arrange"
    }

    fn operands(&self) -> (usize, usize) {
        (1, MAX_OPERANDS)
    }

    fn output(&self, node: usize, inputs: &[&ValueSpec]) -> Result<ValueSpec, CircuitError> {
        self.check(node, inputs)?;
        let covered: Vec<_> =
            inputs.iter().enumerate().map(|(piece, input)| self.covered(piece, &input.shape)).collect();
        let covering = || covered.iter().enumerate().filter_map(|(piece, own)| Some((piece, own.as_ref()?)));
        for (piece, own) in covering() {
            let before = covering().take_while(|&(other, _)| other < piece);
            let overlapping = before.filter(|(_, other)| Self::overlap(own, other)).count() as i64;
            CircuitError::limit(Some(node), "operands that cover the same entries", overlapping, 0, 0)?;
        }
        let shape = extents(&self.shape);
        let filled: usize = covering().map(|(piece, own)| self.entries(piece, own)).sum();
        let fill = (filled < shape.iter().product()).then_some(Range::new(self.fill, self.fill));
        let ranges = inputs.iter().map(|input| input.range).chain(fill);
        let range = ranges.reduce(|a, b| a.union(&b)).unwrap_or(Range::new(0, 0));
        Ok(ValueSpec { shape, range })
    }

    fn worst_case(&self, inputs: &[&ValueSpec], _parameters: &[&[i64]]) -> Option<Range> {
        self.output(0, inputs).ok().map(|output| output.range)
    }

    fn evaluate(&self, inputs: &[Operand<'_>], output: &ValueSpec, _parameters: &[&[i64]]) -> Vec<i64> {
        // The box of pairs is the output's entries in the same order.
        let mut entries = vec![self.fill; output.len()];
        for (piece, operand) in inputs.iter().enumerate() {
            let from = &operand.spec.shape;
            View::new(0, self.maps(piece, from)).for_each_run(
                &self.pairs(),
                from,
                |first, count, start, step| {
                    for (t, entry) in entries[first..first + count].iter_mut().enumerate() {
                        *entry = operand.values[(start + step * t as i64) as usize];
                    }
                },
            );
        }
        entries
    }

    /// Constraint: `y - fill = sum over the operands of (x - fill)` on the entries that each covers.
    fn lower(&self, builder: &mut Builder<'_>, node: usize, inputs: &[Value], output: &ValueSpec) -> Value {
        let pairs = self.pairs();
        let start = Expr::default().offset(self.fill);
        let expr = inputs.iter().enumerate().fold(start, |expr, (piece, input)| {
            let padded = builder.padded(input, self.maps(piece, &input.shape), &pairs, self.fill);
            expr.add(1, &padded).offset(-self.fill)
        });
        builder.split(node, output, &pairs, expr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(axis: u32, offset: i32, stride: i32) -> AxisSource {
        AxisSource { axis: Some(axis), offset, stride, repeat: true }
    }

    fn spec(shape: &[usize]) -> ValueSpec {
        ValueSpec { shape: shape.to_vec(), range: Range::new(1, 9) }
    }

    fn run(arrange: &Arrange, operands: &[(&[usize], &[i64])]) -> (Range, Vec<i64>) {
        let specs: Vec<ValueSpec> = operands.iter().map(|(shape, _)| spec(shape)).collect();
        let output = arrange.output(0, &specs.iter().collect::<Vec<_>>()).expect("a valid arrangement");
        let operands: Vec<Operand<'_>> =
            specs.iter().zip(operands).map(|(spec, (_, values))| Operand { spec, values }).collect();
        (output.range, arrange.evaluate(&operands, &output, &[]))
    }

    #[test]
    fn transposition_concatenation_padding_and_upsampling() {
        let matrix: (&[usize], &[i64]) = (&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let arrange = |shape: &[u32], periods: &[u32], pieces: Vec<Vec<AxisSource>>| Arrange {
            shape: shape.to_vec(),
            periods: periods.to_vec(),
            pieces,
            fill: 0,
        };
        let transposed = arrange(&[3, 2], &[1, 1], vec![vec![source(1, 0, 1), source(0, 0, 1)]]);
        assert_eq!(run(&transposed, &[matrix]), (Range::new(1, 9), vec![1, 4, 2, 5, 3, 6]));
        let piece = |offset| vec![source(0, 0, 1), source(1, offset, 1)];
        let concatenated = arrange(&[2, 6], &[1, 1], vec![piece(0), piece(-3)]);
        let doubled = vec![1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6];
        assert_eq!(run(&concatenated, &[matrix, matrix]), (Range::new(1, 9), doubled));
        let padded = arrange(&[2, 5], &[1, 1], vec![piece(-1)]);
        assert_eq!(run(&padded, &[matrix]), (Range::new(0, 9), vec![0, 1, 2, 3, 0, 0, 4, 5, 6, 0]));
        let reversed = arrange(&[2, 2], &[1, 1], vec![vec![source(0, 0, 1), source(1, 2, -2)]]);
        assert_eq!(run(&reversed, &[matrix]).1, [3, 1, 6, 4]);
        let upsampled = arrange(&[2, 6], &[1, 2], vec![piece(0)]);
        assert_eq!(run(&upsampled, &[matrix]).1, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]);
        let mut inserted = upsampled;
        inserted.pieces[0][1].repeat = false;
        assert_eq!(run(&inserted, &[matrix]), (Range::new(0, 9), vec![1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0]));
        let row = AxisSource { axis: None, offset: 1, stride: 1, repeat: true };
        let expanded = arrange(&[2, 3], &[1, 1], vec![vec![row, source(1, 0, 1)]]);
        assert_eq!(run(&expanded, &[matrix]).1, [4, 5, 6, 4, 5, 6]);
    }

    #[test]
    fn an_operand_that_is_never_read_leaves_the_fill() {
        // A scalar output has no axis that could be empty.
        let outside = AxisSource { axis: None, offset: 5, stride: 1, repeat: true };
        let arrange = Arrange { shape: vec![], periods: vec![], pieces: vec![vec![outside]], fill: 100 };
        assert_eq!(run(&arrange, &[(&[3], &[1, 2, 3])]), (Range::new(1, 100), vec![100]));
    }

    #[test]
    fn steps_beyond_every_operand_do_not_overflow() {
        let far = AxisSource { axis: Some(0), offset: -(1 << 28), stride: 1 << 28, repeat: false };
        let arrange = |shape: u32, period: u32| Arrange {
            shape: vec![shape],
            periods: vec![period],
            pieces: vec![vec![far.clone()]],
            fill: 0,
        };
        assert_eq!(run(&arrange(4096, 1), &[(&[3], &[7, 8, 9])]).1.iter().filter(|&&y| y != 0).count(), 1);
        assert_eq!(run(&arrange(1 << 13, 2), &[(&[3], &[7, 8, 9])]).1.iter().sum::<i64>(), 7);
        assert!(arrange(1 << 20, 1).output(0, &[&spec(&[3])]).is_err());
        assert!(arrange(1 << 20, 1 << 17).output(0, &[&spec(&[3])]).is_err());
    }

    #[test]
    fn operands_that_cover_the_same_entries_are_refused() {
        let piece = |offset| vec![source(0, offset, 1)];
        let arrange =
            Arrange { shape: vec![5], periods: vec![1], pieces: vec![piece(0), piece(-2)], fill: 0 };
        let spec = spec(&[3]);
        assert!(matches!(
            arrange.output(4, &[&spec, &spec]),
            Err(CircuitError::Parameter { node: Some(4), .. })
        ));
        let apart = Arrange { pieces: vec![piece(0), piece(-3)], ..arrange };
        assert!(apart.output(4, &[&spec, &spec]).is_ok());
    }
}
