//! Closing: the row sum-check over all forms at once, and one folded, masked opening of all columns.

use crate::columns::Columns;
use crate::costs::Shared;
use crate::error::ProverError;
use crate::halving::send_halved;
use crate::hidden::Masks;
use crate::hooks::Hooks;
use crate::prepared::OneTimeVectors;
use crate::products::ProductRandomness;
use crate::prove::terms;
use crate::watch::{Timer, Watch, Work};
use ff::{Field, PrimeField};
use provenn_algebra::commit::Committer;
use provenn_algebra::inner_products::{Entries, InnerProducts, Pair};
use provenn_algebra::small::{combination, inner_product_field};
use provenn_algebra::transcript::ProverTranscript;
use provenn_algebra::{EqAffine, Fp};
use provenn_circuits::closing::{KnowledgePowers, Opening, halvings};
use provenn_circuits::forms::{Combined, GATE_COLUMNS};
use provenn_circuits::layout::Piece;
use provenn_circuits::products::{ProductKeys, UNUSABLE_ROWS};
use provenn_circuits::system::{System, round_mask_coefficients};
use rayon::prelude::*;
use tracing::{debug_span, trace_span};
use zeroize::Zeroizing;

/// First messages of the opening, before its challenge.
pub(crate) struct OpeningMessages {
    /// Commitments to the one-time vectors `d` (over G), `d''` (over B) and `d'` (over G).
    pub(crate) commitments: [EqAffine; 3],
    /// `g = <Z, eq> + <Z_Mu, eq>`.
    pub(crate) g: Fp,
    /// `delta = <d, eq> + <d'', eq> + <d', c>`.
    pub(crate) delta: Fp,
}

/// The answer to the opening's challenge.
pub(crate) struct Response {
    /// Blinds of `y`, `x`, `z`.
    pub(crate) blinds: [Fp; 3],
    /// `e R + d'`.
    pub(crate) z: Vec<Fp>,
    /// `e Y_Mu + e^2 Z_Mu + d''`.
    pub(crate) x: Vec<Fp>,
    /// `e Y + e^2 Z + d`.
    pub(crate) y: Vec<Fp>,
}

/// What the closing works on.
pub(crate) struct Closing<'c> {
    pub(crate) system: &'c System,
    pub(crate) keys: &'c ProductKeys,
    pub(crate) committer: &'c Committer,
    pub(crate) columns: &'c Columns<'c>,
    pub(crate) masks: &'c Masks,
    pub(crate) combined: &'c Combined,
    /// The terms of `combined`.
    pub(crate) pieces: &'c [Piece],
}

impl Closing<'_> {
    /// The row sum-check, the opening, and its response.
    pub(crate) fn prove(
        &self,
        one_time: OneTimeVectors,
        one_time_points: [EqAffine; 3],
        transcript: &mut ProverTranscript,
        hooks: &mut impl Hooks,
        watch: &mut Watch<'_>,
    ) -> Result<(), ProverError> {
        let n = self.system.layout.n;
        let (folded, times) = debug_span!("fold").in_scope(|| self.folded_columns(watch.timer()));
        watch.lap(|| self.pieces_by(|at, _| times[at], 0));
        let (bound, at_bound) = debug_span!("rounds").in_scope(|| self.row_rounds(&folded, transcript));
        // Every pair of vectors is bound as a whole.
        watch.lap(|| self.pieces_by(|_, _| 1.0, self.system.mask_columns + GATE_COLUMNS));
        let zeta = transcript.challenge();
        let powers = KnowledgePowers::new(&self.system.layout, self.system.mask_columns, zeta);
        watch.lap(|| Work::Shared(Shared::Opening));
        let timer = watch.timer();
        // Both sums are passes over columns, and neither needs the other.
        let ((opening, opening_time, (y, y_time)), (z, z_time)) = rayon::join(
            || {
                let _span = debug_span!("y").entered();
                let (opening, time) = timer.time(|| Opening::new(self.combined, self.system, &bound));
                let y = timer.time(|| self.combination(folded, &at_bound, &opening));
                (opening, time, y)
            },
            || {
                let _span = debug_span!("z").entered();
                timer.time(|| Zeroizing::new(self.column_sum(&powers.columns, &powers.masks)))
            },
        );
        watch.lap(|| {
            let (columns, masks) = (0..self.system.layout.columns(), self.masks.rounds.len() as f64);
            Work::Together(vec![
                (terms(self.system, self.combined), opening_time),
                (self.pieces_by(|_, _| 1.0, self.masks.rounds.len()), y_time),
                (Work::Columns(vec![(columns.clone(), columns.len() as f64)], masks), z_time),
            ])
        });
        let y_mu = self.gate_sum(&opening.gate_masks);
        let z_mu = self.gate_sum(&powers.gate_masks);

        let eq = &opening.eq;
        let coefficients = round_mask_coefficients(&bound);
        let mut first = OpeningMessages {
            commitments: one_time_points,
            g: inner_product_field(&z, eq) + inner_product_field(&z_mu, &eq[..z_mu.len()]),
            delta: inner_product_field(&one_time.rows, eq)
                + inner_product_field(&one_time.gates, &eq[..one_time.gates.len()])
                + inner_product_field(&one_time.row_masks, &coefficients),
        };
        hooks.opening(&mut first);
        for commitment in &first.commitments {
            transcript.point(commitment)?;
        }
        transcript.scalar(&first.g);
        transcript.scalar(&first.delta);

        let e = transcript.challenge();
        let e2 = e.square();
        // Blinds: of y^, x^, z^.
        let column_blinds = |coefficients: &[Fp], masks: &[Fp]| -> Fp {
            let tensors: Fp =
                coefficients.iter().zip(self.columns.blinds()).map(|(c, blind)| *c * blind).sum();
            tensors + inner_product_field(masks, &self.masks.round_blinds)
        };
        let gate_blinds = |coefficients: &[Fp]| inner_product_field(coefficients, &self.masks.gate_blinds);
        let answer = |y: &[Fp], z: &[Fp], d: &[Fp]| -> Vec<Fp> {
            y.iter().zip(z).zip(d).map(|((y, z), d)| e * y + e2 * z + d).collect()
        };
        let mut response = Response {
            blinds: [
                e * column_blinds(&opening.columns, &opening.masks)
                    + e2 * column_blinds(&powers.columns, &powers.masks)
                    + one_time.blinds[0],
                e * gate_blinds(&opening.gate_masks)
                    + e2 * gate_blinds(&powers.gate_masks)
                    + one_time.blinds[1],
                e * self.masks.row_blind + one_time.blinds[2],
            ],
            z: self.masks.rows.iter().zip(&one_time.row_masks).map(|(mask, d)| e * mask + d).collect(),
            x: answer(&y_mu, &z_mu, &one_time.gates),
            y: answer(&y, &z, &one_time.rows),
        };
        hooks.response(&mut response, eq);
        for scalar in response.blinds.iter().chain(&response.z).chain(&response.x) {
            transcript.scalar(scalar);
        }
        match halvings(n) {
            0 => response.y.iter().for_each(|scalar| transcript.scalar(scalar)),
            rounds => debug_span!("halving")
                .in_scope(|| send_halved(response.y, &bound, rounds, self.committer, transcript, hooks))?,
        }
        watch.lap(|| Work::Shared(Shared::Opening));
        Ok(())
    }

    /// A pass over all pieces, for the owners of their columns, that takes so much for each, and `rest` for the masks.
    fn pieces_by(&self, weight: impl Fn(usize, &Piece) -> f64, rest: usize) -> Work {
        let range = |piece: &Piece| piece.first..piece.first + piece.columns.len();
        let pieces = self.pieces.iter().enumerate();
        Work::Columns(pieces.map(|(at, piece)| (range(piece), weight(at, piece))).collect(), rest as f64)
    }

    /// For every piece of the claim, the combination of its columns, with the time that it took; nothing for a column that
    /// stands for itself.
    fn folded_columns(&self, timer: Timer) -> (Vec<Vec<Fp>>, Vec<f64>) {
        let n = self.system.layout.n;
        let sum = |piece: &Piece| {
            if is_column(piece) {
                return (Vec::new(), 0.0);
            }
            let _span = trace_span!("piece", columns = piece.columns.len()).entered();
            timer.time(|| self.columns.sum(piece.first, &piece.columns, n))
        };
        self.pieces.par_iter().map(sum).unzip()
    }

    /// The masked sum-check over the row variables; returns its challenges, and the rows of every piece at that point.
    fn row_rounds(&self, folded: &[Vec<Fp>], transcript: &mut ProverTranscript) -> (Vec<Fp>, Vec<Fp>) {
        let (n, nu) = (self.system.layout.n, self.system.layout.nu());
        let gates: [Vec<Fp>; GATE_COLUMNS] =
            std::array::from_fn(|column| self.combined.gates.iter().map(|cells| cells[column]).collect());
        let pieces = self.pieces.iter().zip(folded).map(|(piece, x)| {
            let x = if is_column(piece) { self.columns.column(piece.first) } else { Entries::Field(x) };
            Pair { x, u: &piece.rows, first: piece.row }
        });
        let mask = |(x, u)| Pair { x: Entries::Field(x), u, first: 0 };
        let rounds =
            self.masks.rounds.iter().map(Vec::as_slice).zip(self.combined.rounds.chunks(n)).map(mask);
        let gates = self.masks.gates.iter().map(Vec::as_slice).zip(gates.iter().map(Vec::as_slice)).map(mask);
        let pairs: Vec<Pair<'_>> = pieces.chain(rounds).chain(gates).collect();
        let mut products = InnerProducts::new(&pairs, nu);
        let mut claim = self.combined.target;
        let mut bound = Vec::with_capacity(nu);
        for masks in self.masks.rows.chunks(2) {
            let (h0, h2) = products.sums();
            let h1 = claim - h0.double() - h2;
            transcript.scalar(&(h1 + masks[0]));
            transcript.scalar(&(h2 + masks[1]));
            let rho = transcript.challenge();
            claim = claim * Fp::TWO_INV + (rho - Fp::TWO_INV) * h1 + (rho.square() - Fp::TWO_INV) * h2;
            bound.push(rho);
            products.bind(&rho);
        }
        let mut at_bound = products.ends();
        at_bound.truncate(self.pieces.len());
        (bound, at_bound)
    }

    /// `Y`: the columns combined with the opening's coefficients, from the folded pieces and their rows at the opening's point.
    fn combination(
        &self,
        mut folded: Vec<Vec<Fp>>,
        at_bound: &[Fp],
        opening: &Opening,
    ) -> Zeroizing<Vec<Fp>> {
        let n = self.system.layout.n;
        let (columns, others): (Vec<usize>, Vec<usize>) =
            (0..self.pieces.len()).partition(|&at| is_column(&self.pieces[at]));
        let coefficients: Vec<Fp> = others.iter().map(|&at| at_bound[at]).collect();
        let vectors: Vec<Vec<Fp>> = others.iter().map(|&at| std::mem::take(&mut folded[at])).collect();
        let mut y = Zeroizing::new(combination(&coefficients, &vectors, n));
        let follow = |a: &usize, b: &usize| self.pieces[*a].first + 1 == self.pieces[*b].first;
        for run in columns.chunk_by(follow) {
            let coefficients: Vec<Fp> = run.iter().map(|&at| at_bound[at]).collect();
            self.columns.add(self.pieces[run[0]].first, &coefficients, &mut y);
        }
        self.add_masks(&mut y, &opening.masks);
        y
    }

    /// Every column times its coefficient.
    fn column_sum(&self, coefficients: &[Fp], masks: &[Fp]) -> Vec<Fp> {
        let mut sum = self.columns.sum(0, coefficients, self.system.layout.n);
        self.add_masks(&mut sum, masks);
        sum
    }

    fn add_masks(&self, sum: &mut [Fp], coefficients: &[Fp]) {
        sum.par_iter_mut().with_min_len(256).enumerate().for_each(|(row, slot)| {
            for (mask, c) in self.masks.rounds.iter().zip(coefficients) {
                *slot += *c * mask[row];
            }
        });
    }

    fn gate_sum(&self, coefficients: &[Fp; GATE_COLUMNS]) -> Zeroizing<Vec<Fp>> {
        let mut sum = Zeroizing::new(vec![Fp::ZERO; self.keys.lagrange.len()]);
        for (mask, c) in self.masks.gates.iter().zip(coefficients) {
            for (slot, value) in sum.iter_mut().zip(mask) {
                *slot += *c * value;
            }
        }
        sum
    }
}

/// Whether a piece is one column as it is.
fn is_column(piece: &Piece) -> bool {
    piece.columns == [Fp::ONE]
}

/// Step 16: the sums of halo2's and the masks' values on the last rows, column by column, then the sums of the blinds.
pub(crate) fn reveal_sums(masks: &Masks, halo2: &ProductRandomness, transcript: &mut ProverTranscript) {
    for (mask, tail) in masks.gates.iter().zip(&halo2.tails) {
        for (mask, value) in mask[mask.len() - UNUSABLE_ROWS..].iter().zip(tail) {
            transcript.scalar(&(*mask + value));
        }
    }
    for (mask, blind) in masks.gate_blinds.iter().zip(&halo2.blinds) {
        transcript.scalar(&(*mask + blind));
    }
}
