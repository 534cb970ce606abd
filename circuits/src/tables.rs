//! Look-up tables: integer functions given by name and parameters alone.
//!
//! Nearly every column is piecewise linear in the row number, so its multilinear extension has a closed form in
//! `O(pieces * variables)` and the verifier need not expand it. The values of a curve are computed row by row, in at most
//! `2^14` rows.

use crate::functions::Sampled;
use crate::layers::Function;
use crate::model::Range;
use ff::Field;
use provenn_algebra::Fp;
use provenn_algebra::multilinear::{eq_table, prefix_moments};
use provenn_algebra::small::from_i64;

/// A look-up table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// One column: `0 .. 2^bits`.
    Range {
        /// Bits, 1 to 14.
        bits: u32,
    },
    /// Two columns: `y'` in `[-2^bits, 2^bits)` and `clamp(f(y'))`.
    Clamp {
        /// The function `f`.
        function: Function,
        /// Smallest result.
        lo: i64,
        /// Largest result.
        hi: i64,
        /// Bits of the domain, 1 to 13.
        bits: u32,
    },
    /// Two columns: `d` in `[-2^bits, 2^bits)` and `max(d, 0)`, never saturated.
    Rectify {
        /// Bits of the domain, 1 to 13.
        bits: u32,
    },
    /// Three columns: `high` in `[-2^bits, 2^bits)`, `z`, `o`, such that `z * low + o` saturates
    /// `2^split * high + low` to `[-2^split, 2^split)`: `(0, 1, 0)`, `(-1, 1, -2^split)`, `(> 0, 0, 2^split - 1)`,
    /// `(< -1, 0, -2^split)`.
    Saturate {
        /// Bits of the low part.
        split: u32,
        /// Bits of the domain, 1 to 13.
        bits: u32,
    },
}

/// What a column is made of.
enum Column {
    /// Linear pieces, starts strictly increasing from row 0.
    Pieces(Vec<Piece>),
    /// Entries within a range, computed one by one.
    Entries(Sampled, Range),
}

/// `slope * row + intercept` on the rows from `start` to the next piece.
struct Piece {
    start: usize,
    slope: i64,
    intercept: i64,
}

impl Table {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match *self {
            Table::Range { bits } => 1 << bits,
            Table::Clamp { bits, .. } | Table::Rectify { bits } | Table::Saturate { bits, .. } => 2 << bits,
        }
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        match self {
            Table::Range { .. } => 1,
            Table::Clamp { .. } | Table::Rectify { .. } => 2,
            Table::Saturate { .. } => 3,
        }
    }

    /// Whether a column is a curve, whose entries must be computed one by one.
    pub(crate) fn is_curve(&self, column: usize) -> bool {
        matches!(self.contents(column), Column::Entries(..))
    }

    fn contents(&self, column: usize) -> Column {
        match (*self, column) {
            (Table::Clamp { function: Function::Table(curve), lo, hi, .. }, 1) => {
                Column::Entries(curve, Range::new(lo, hi))
            }
            _ => Column::Pieces(self.pieces(column)),
        }
    }

    /// The linear pieces of a column that is made of them.
    fn pieces(&self, column: usize) -> Vec<Piece> {
        let piece = |start: i64, slope, intercept| Piece { start: start as usize, slope, intercept };
        match (*self, column) {
            (_, 0) => vec![piece(0, 1, self.first_key())],
            (Table::Range { .. }, _) => vec![],
            (Table::Rectify { bits }, _) => vec![piece(0, 0, 0), piece(1 << bits, 1, -(1 << bits))],
            (Table::Clamp { function, lo, hi, bits }, _) => {
                // Both are clamps: the identity of [lo, hi], the rectifier of [max(lo, 0), hi].
                let floor = if function == Function::Relu { lo.max(0) } else { lo };
                let (half, rows) = (1i64 << bits, 2i64 << bits);
                let mut pieces = vec![];
                let rise = (floor + half).clamp(0, rows);
                let top = (hi + half).clamp(0, rows);
                if rise > 0 {
                    pieces.push(piece(0, 0, floor));
                }
                if rise < top {
                    pieces.push(piece(rise, 1, -half));
                }
                if top < rows {
                    pieces.push(piece(top, 0, hi));
                }
                pieces
            }
            (Table::Saturate { split, bits }, column) => {
                let half = 1i64 << bits;
                let edge = 1i64 << split;
                if column == 1 {
                    vec![piece(0, 0, 0), piece(half - 1, 0, 1), piece(half + 1, 0, 0)]
                } else {
                    vec![piece(0, 0, -edge), piece(half, 0, 0), piece(half + 1, 0, edge - 1)]
                }
            }
        }
    }

    /// A whole column.
    pub fn column(&self, column: usize) -> Vec<i64> {
        match self.contents(column) {
            Column::Entries(curve, range) => curve.column(range),
            Column::Pieces(pieces) => self
                .spans(&pieces)
                .flat_map(|(piece, end)| {
                    (piece.start..end).map(|row| piece.slope * row as i64 + piece.intercept)
                })
                .collect(),
        }
    }

    /// The pieces of a column with their ends.
    fn spans<'p>(&self, pieces: &'p [Piece]) -> impl Iterator<Item = (&'p Piece, usize)> {
        let ends = pieces.iter().skip(1).map(|piece| piece.start).chain([self.rows()]);
        pieces.iter().zip(ends)
    }

    /// A range that holds every entry of a column; the least one, except for a curve.
    pub fn column_range(&self, column: usize) -> Range {
        match self.contents(column) {
            Column::Entries(_, range) => range,
            Column::Pieces(pieces) => self
                .spans(&pieces)
                .map(|(piece, end)| {
                    let (a, b) = (piece.slope * piece.start as i64, piece.slope * (end as i64 - 1));
                    Range::new(a.min(b) + piece.intercept, a.max(b) + piece.intercept)
                })
                .reduce(|a, b| a.union(&b))
                .unwrap_or(Range::new(0, 0)),
        }
    }

    /// The first column's entry in row 0; its entries go up by one.
    fn first_key(&self) -> i64 {
        match *self {
            Table::Range { .. } => 0,
            Table::Clamp { bits, .. } | Table::Rectify { bits } | Table::Saturate { bits, .. } => {
                -(1 << bits)
            }
        }
    }

    /// The row whose first column is `value`.
    pub fn row_of(&self, value: i64) -> Option<usize> {
        let row = value.checked_sub(self.first_key())?;
        usize::try_from(row).ok().filter(|row| *row < self.rows())
    }

    /// Multilinear extension of a column at `point`, whose variables cover exactly the rows.
    pub fn extension(&self, column: usize, point: &[Fp]) -> Fp {
        let pieces = match self.contents(column) {
            Column::Entries(curve, range) => {
                let entries = curve.column(range).into_iter().zip(eq_table(point));
                return entries.map(|(entry, eq)| from_i64(entry) * eq).sum();
            }
            Column::Pieces(pieces) => pieces,
        };
        let mut below = (Fp::ZERO, Fp::ZERO);
        let mut sum = Fp::ZERO;
        for (piece, end) in self.spans(&pieces) {
            let upto = prefix_moments(point, end);
            sum +=
                from_i64(piece.slope) * (upto.1 - below.1) + from_i64(piece.intercept) * (upto.0 - below.0);
            below = upto;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Curve;
    use crate::model::Scale;

    fn all() -> Vec<Table> {
        let clamp = |function, lo, hi, bits| Table::Clamp { function, lo, hi, bits };
        let scale = |exponent| Scale { mantissa: 3, exponent };
        let sigmoid = Sampled { curve: Curve::Sigmoid, input: scale(-5), output: scale(-9), bits: 5 };
        vec![
            clamp(Function::Table(sigmoid), 0, 127, 5),
            Table::Range { bits: 1 },
            Table::Range { bits: 5 },
            clamp(Function::Relu, 0, 15, 6),
            clamp(Function::Relu, 0, 15, 4),
            clamp(Function::Relu, 0, 255, 4),
            clamp(Function::Identity, -7, 7, 5),
            clamp(Function::Identity, -8, 7, 3),
            clamp(Function::Identity, -100, 100, 3),
            clamp(Function::Identity, 3, 3, 3),
            Table::Rectify { bits: 1 },
            Table::Rectify { bits: 6 },
            Table::Saturate { split: 4, bits: 1 },
            Table::Saturate { split: 4, bits: 3 },
        ]
    }

    #[test]
    fn columns_follow_their_definitions() {
        for table in all() {
            let columns: Vec<Vec<i64>> = (0..table.columns()).map(|column| table.column(column)).collect();
            for row in 0..table.rows() {
                let entry = |column: usize| columns[column][row];
                match table {
                    Table::Range { .. } => assert_eq!(entry(0), row as i64),
                    Table::Clamp { function, lo, hi, bits } => {
                        assert_eq!(entry(0), row as i64 - (1 << bits));
                        assert_eq!(entry(1), function.apply(entry(0), Range::new(lo, hi)), "{table:?} {row}");
                    }
                    Table::Rectify { bits } => {
                        assert_eq!(entry(0), row as i64 - (1 << bits));
                        assert_eq!(entry(1), entry(0).max(0));
                    }
                    Table::Saturate { split, .. } => {
                        for low in [0, 1, (1 << split) - 1] {
                            let value = (entry(0) << split) + low;
                            assert_eq!(
                                entry(1) * low + entry(2),
                                value.clamp(-(1 << split), (1 << split) - 1)
                            );
                        }
                    }
                }
                assert_eq!(table.row_of(entry(0)), Some(row));
            }
        }
    }

    #[test]
    fn extensions_and_ranges_agree_with_the_expanded_columns() {
        for table in all() {
            let m = table.rows().trailing_zeros() as u64;
            let point: Vec<Fp> = (0..m).map(|i| Fp::from(i * i + 9).square()).collect();
            for column in 0..table.columns() {
                let entries = table.column(column);
                assert_eq!(entries.len(), table.rows());
                let direct: Fp = entries.iter().zip(eq_table(&point)).map(|(v, e)| from_i64(*v) * e).sum();
                assert_eq!(table.extension(column, &point), direct, "{table:?} column {column}");
                let range = table.column_range(column);
                assert!(entries.iter().all(|&entry| range.contains(entry)));
                if !matches!(table, Table::Clamp { function: Function::Table(_), .. }) {
                    assert_eq!(Some(&range.lo), entries.iter().min());
                    assert_eq!(Some(&range.hi), entries.iter().max());
                }
            }
        }
    }
}
