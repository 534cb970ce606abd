//! Linear forms over hidden messages and committed tensors: the claims to which every layer is reduced.

use crate::circuit::{Circuit, Expr, Role, TensorId, Values, product_form, pull_back};
use crate::layout::{Layout, Piece, support};
use ff::{Field, PrimeField};
use provenn_algebra::Fp;
use provenn_algebra::multilinear::{eq_prefix, variables};
use provenn_algebra::parallel;
use provenn_algebra::small::from_i64;
use std::collections::HashMap;

/// Columns of the halo2 circuit of products: `p0, p1, q0, q1, t, w`.
pub const GATE_COLUMNS: usize = 6;

/// A hidden message of the prover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// Message number so-and-so of the sum-check rounds.
    Round(usize),
    /// A cell of the product rows: row, and column in `0..6`.
    Gate(usize, usize),
}

/// `constant + sum coefficient * slot`.
#[derive(Debug, Clone, Default)]
pub struct Affine {
    /// Constant part.
    pub constant: Fp,
    /// `(slot, coefficient)` pairs.
    pub slots: Vec<(Slot, Fp)>,
}

impl Affine {
    /// The value of one slot.
    pub fn slot(slot: Slot) -> Affine {
        Affine { constant: Fp::ZERO, slots: vec![(slot, Fp::ONE)] }
    }

    /// Adds `factor * other`.
    pub fn add(mut self, factor: Fp, other: &Affine) -> Affine {
        self.constant += factor * other.constant;
        self.slots.extend(other.slots.iter().map(|(slot, c)| (*slot, factor * c)));
        self
    }

    /// Adds `coefficient * slot`.
    pub fn plus(mut self, coefficient: Fp, slot: Slot) -> Affine {
        self.slots.push((slot, coefficient));
        self
    }

    /// Times `factor`.
    pub fn scale(mut self, factor: Fp) -> Affine {
        self.constant *= factor;
        for (_, c) in &mut self.slots {
            *c *= factor;
        }
        self
    }
}

/// `coefficient * <tensor, product of per-axis vectors>`.
#[derive(Debug, Clone)]
pub struct TensorTerm {
    /// Coefficient.
    pub coefficient: Fp,
    /// The tensor.
    pub tensor: TensorId,
    /// One vector per tensor axis, of its true extent.
    pub vectors: Vec<Vec<Fp>>,
}

/// An affine form over hidden messages plus a linear form over tensors.
#[derive(Debug, Clone, Default)]
pub struct Form {
    /// Part over hidden messages.
    pub affine: Affine,
    /// Part over tensors.
    pub terms: Vec<TensorTerm>,
}

impl From<Affine> for Form {
    fn from(affine: Affine) -> Form {
        Form { affine, terms: Vec::new() }
    }
}

impl Form {
    /// Adds `coefficient` times the multilinear extension of `expr` at the point whose equality vectors, one per box
    /// index, truncated to true extents, are `vectors`.
    pub fn add_expr(&mut self, coefficient: Fp, expr: &Expr, vectors: &[Vec<Fp>], circuit: &Circuit) {
        if expr.constant != 0 {
            let mass = vectors.iter().fold(coefficient, |mass, v| mass * v.iter().sum::<Fp>());
            self.affine.constant += mass * from_i64(expr.constant);
        }
        for (c, view) in &expr.terms {
            let tensor = &circuit.tensors[view.tensor];
            let (factor, axes) = pull_back(view, &tensor.shape, vectors);
            if tensor.role == Role::Ones {
                let mass = axes.iter().fold(factor, |mass, axis| mass * axis.iter().sum::<Fp>());
                self.affine.constant += coefficient * from_i64(*c) * mass;
                continue;
            }
            self.terms.push(TensorTerm {
                coefficient: coefficient * from_i64(*c) * factor,
                tensor: view.tensor,
                vectors: axes,
            });
        }
    }

    /// Adds `factor` times an affine form.
    pub fn add_affine(mut self, factor: Fp, other: &Affine) -> Form {
        self.affine = self.affine.add(factor, other);
        self
    }
}

/// Equality vectors of a point over the indices of a box: the point's coordinates, most significant index first.
pub fn box_vectors(extents: &[usize], point: &[Fp]) -> Vec<Vec<Fp>> {
    let mut rest = point;
    extents
        .iter()
        .map(|&extent| {
            let (own, tail) = rest.split_at(variables(extent));
            rest = tail;
            eq_prefix(own, extent)
        })
        .collect()
}

/// Number of variables of a box.
pub fn box_variables(extents: &[usize]) -> usize {
    extents.iter().map(|&extent| variables(extent)).sum()
}

/// All asserted forms, combined by powers of one challenge into `sum of terms + masks = target`.
#[derive(Debug, Clone)]
pub struct Combined {
    /// Terms over committed tensors.
    pub terms: Vec<TensorTerm>,
    /// Coefficient of each round mask.
    pub rounds: Vec<Fp>,
    /// Coefficient of each gate mask: rows of six.
    pub gates: Vec<[Fp; GATE_COLUMNS]>,
    /// The public right side.
    pub target: Fp,
}

/// Masked values of all hidden messages, as they stand in the proof.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    /// Round messages.
    pub rounds: Vec<Fp>,
    /// Gate rows.
    pub gates: Vec<[Fp; GATE_COLUMNS]>,
}

impl Messages {
    /// The value in a slot.
    pub fn get(&self, slot: Slot) -> Fp {
        match slot {
            Slot::Round(i) => self.rounds[i],
            Slot::Gate(row, column) => self.gates[row][column],
        }
    }

    /// An affine form's value.
    pub fn value(&self, affine: &Affine) -> Fp {
        affine.slots.iter().fold(affine.constant, |sum, (slot, c)| sum + *c * self.get(*slot))
    }
}

/// Combines `form_i = 0` by powers of `challenge`.
///
/// With masked messages `m^ = m + mu`, a form `const + sum c_s m_s + <V, v>` is zero exactly if
/// `<V, v> - sum c_s mu_s = -const - sum c_s m^_s`, whose right side is public. Public tensors' terms count as
/// constants, from `public`.
pub fn combine(
    forms: Vec<Form>,
    challenge: Fp,
    masked: &Messages,
    circuit: &Circuit,
    public: &Values<'_>,
) -> Combined {
    let mut combined = Combined {
        terms: Vec::new(),
        rounds: vec![Fp::ZERO; masked.rounds.len()],
        gates: vec![[Fp::ZERO; GATE_COLUMNS]; masked.gates.len()],
        target: Fp::ZERO,
    };
    let mut power = Fp::ONE;
    for form in forms {
        combined.target -= power * masked.value(&form.affine);
        for (slot, c) in &form.affine.slots {
            let mask = match *slot {
                Slot::Round(i) => &mut combined.rounds[i],
                Slot::Gate(row, column) => &mut combined.gates[row][column],
            };
            *mask -= power * c;
        }
        for mut term in form.terms {
            term.coefficient *= power;
            if circuit.tensors[term.tensor].role.is_public() {
                combined.target -= term.coefficient * product_form(&public[term.tensor], &term.vectors);
            } else {
                combined.terms.push(term);
            }
        }
        power *= challenge;
    }
    combined
}

impl Combined {
    /// The terms as pieces over columns and rows, merged where that is cheap to see: what a prover sums over.
    pub fn pieces(&self, circuit: &Circuit, layout: &Layout) -> Vec<Piece> {
        let (n, columns) = (layout.n, layout.columns());
        let mut pieces =
            Pieces { single: vec![Vec::new(); columns], merged: vec![None; columns], ..Pieces::default() };
        for terms in self.terms.chunks(AT_ONCE) {
            let factored = parallel::map(terms, FACTOR * n * terms.len(), |term| {
                let TensorTerm { coefficient, tensor, vectors } = term;
                layout.factor(*tensor, &circuit.tensors[*tensor].shape, *coefficient, vectors)
            });
            factored.into_iter().flatten().for_each(|piece| pieces.add(piece));
            pieces.merge(n);
        }
        pieces.finish()
    }
}

/// Terms whose pieces on few columns are there at once.
const AT_ONCE: usize = 256;

/// Nanoseconds for one row of a piece, to decide about threads.
const FACTOR: usize = 20;

/// Pieces of at most this many columns are added to those columns' own row vectors: then tensors of few columns cost
/// memory in proportion to their entries, however many constraints read them (lowering limits how many those are).
pub(crate) const FEW_COLUMNS: usize = 4;

/// A sum of pieces, merged where that is cheap to see.
#[derive(Default)]
struct Pieces {
    /// Pieces on few columns merge into one row vector per column: here are their numbers, with the weights of the column.
    single: Vec<Vec<(usize, Fp)>>,
    few: Vec<Piece>,
    /// The row vectors so far.
    merged: Vec<Option<Vec<Fp>>>,
    wide: Vec<Piece>,
    /// Numbers of wide pieces by what is easily seen of their columns or rows.
    by_columns: HashMap<Mark, Vec<usize>>,
    by_rows: HashMap<Mark, Vec<usize>>,
}

/// What is easily seen of a vector at a place: two numbers for the place, the ends of the part that is not 0, and the values there.
/// Equal vectors have equal marks, and vectors that depend on challenges differ in theirs nearly always.
type Mark = (usize, usize, Option<[(usize, [u8; 32]); 2]>);

fn mark(first: usize, count: usize, vector: &[Fp]) -> Mark {
    let end = |at: usize| (at, vector[at].to_repr());
    let range = support(vector);
    (first, count, (!range.is_empty()).then(|| [end(range.start), end(range.end - 1)]))
}

impl Pieces {
    /// Adds a piece, merging it where it has few columns, or the same columns or the same rows as another piece.
    fn add(&mut self, piece: Piece) {
        if piece.columns.len() <= FEW_COLUMNS {
            for (column, weight) in piece.columns.iter().enumerate().filter(|(_, w)| !bool::from(w.is_zero()))
            {
                self.single[piece.first + column].push((self.few.len(), *weight));
            }
            self.few.push(piece);
            return;
        }
        let columns = mark(piece.first, piece.columns.len(), &piece.columns);
        let same = |&&at: &&usize| self.wide[at].columns == piece.columns;
        if let Some(&at) = self.by_columns.get(&columns).and_then(|known| known.iter().find(same)) {
            for (slot, e) in self.wide[at].rows.iter_mut().zip(&piece.rows) {
                *slot += e;
            }
            let rows = mark(piece.first, piece.columns.len(), &self.wide[at].rows);
            self.by_rows.entry(rows).or_default().push(at);
            return;
        }
        let rows = mark(piece.first, piece.columns.len(), &piece.rows);
        let same = |&&at: &&usize| self.wide[at].rows == piece.rows;
        let known = self.by_rows.get(&rows).and_then(|known| known.iter().find(same)).copied();
        let at = match known {
            Some(at) => {
                for (slot, c) in self.wide[at].columns.iter_mut().zip(&piece.columns) {
                    *slot += c;
                }
                at
            }
            None => {
                self.wide.push(piece);
                self.wide.len() - 1
            }
        };
        let Piece { first, columns, rows: own, .. } = &self.wide[at];
        self.by_columns.entry(mark(*first, columns.len(), columns)).or_default().push(at);
        if known.is_none() {
            self.by_rows.entry(mark(*first, columns.len(), own)).or_default().push(at);
        }
    }

    /// Adds the pieces on few columns to the row vectors, of `n` rows.
    fn merge(&mut self, n: usize) {
        let terms: usize = self.single.iter().map(Vec::len).sum();
        let columns: Vec<usize> =
            (0..self.single.len()).filter(|&column| !self.single[column].is_empty()).collect();
        let merged = parallel::map(&columns, FACTOR * n * terms, |&column| {
            let mut rows = self.merged[column].clone().unwrap_or_else(|| vec![Fp::ZERO; n]);
            for &(at, weight) in &self.single[column] {
                let piece = &self.few[at];
                let slots = rows[piece.row..].iter_mut().zip(&piece.rows);
                if weight == Fp::ONE {
                    slots.for_each(|(slot, e)| *slot += e);
                } else {
                    slots.for_each(|(slot, e)| *slot += weight * e);
                }
            }
            rows
        });
        for (column, rows) in columns.into_iter().zip(merged) {
            self.merged[column] = Some(rows);
            self.single[column].clear();
        }
        self.few.clear();
    }

    /// The pieces, all merged.
    fn finish(self) -> Vec<Piece> {
        let single =
            self.merged.into_iter().enumerate().filter_map(|(first, rows)| {
                Some(Piece { columns: vec![Fp::ONE], first, row: 0, rows: rows? })
            });
        // What is 0 at the ends of a piece costs nobody anything.
        let trimmed = self.wide.into_iter().map(|piece| {
            let (columns, rows) = (support(&piece.columns), support(&piece.rows));
            Piece {
                first: piece.first + columns.start,
                row: piece.row + rows.start,
                columns: piece.columns[columns].to_vec(),
                rows: piece.rows[rows].to_vec(),
            }
        });
        trimmed.chain(single).collect()
    }
}
