//! The last steps as both sides see them: which combination of the columns is opened, and at what.
//!
//! All forms together claim `sum of terms + masks = target`, where a term is a linear form on a tensor's columns. A sum-check over the rows leaves a point `r`; then the
//! columns combine with the public coefficients of [`Opening`] (docs, "The protocol as built", section "Closing").

use crate::forms::{Combined, GATE_COLUMNS, TensorTerm};
use crate::layout::{Group, Layout, RowPoint};
use crate::system::System;
use ff::Field;
use provenn_algebra::Fp;
use provenn_algebra::multilinear::eq_table;

/// Public coefficients of the folded opening at a row point.
pub struct Opening {
    /// `eq(r, row)` for every row.
    pub eq: Vec<Fp>,
    /// Coefficients of the tensor columns in `Y`.
    pub columns: Vec<Fp>,
    /// Coefficients of the mask columns in `Y`.
    pub masks: Vec<Fp>,
    /// Coefficients of the gate mask columns in `Y_Mu`.
    pub gate_masks: [Fp; GATE_COLUMNS],
}

impl Opening {
    /// The coefficients of the combined claim at row point `r`.
    pub fn new(combined: &Combined, system: &System, r: &[Fp]) -> Opening {
        let (circuit, layout, n) = (&system.circuit, &system.layout, system.layout.n);
        let eq = eq_table(r);
        let mut columns = vec![Fp::ZERO; layout.columns()];
        let mut rows = RowPoint::new(r);
        for TensorTerm { coefficient, tensor, vectors } in &combined.terms {
            let shape = &circuit.tensors[*tensor].shape;
            layout.bind_rows(*tensor, shape, *coefficient, vectors, &mut rows, &mut columns);
        }
        let masks = (0..system.mask_columns)
            .map(|column| {
                let own = combined.rounds.iter().skip(column * n).take(n);
                own.zip(&eq).map(|(c, q)| *c * q).sum()
            })
            .collect();
        let gate_masks =
            std::array::from_fn(|column| combined.gates.iter().zip(&eq).map(|(c, q)| c[column] * q).sum());
        Opening { eq, columns, masks, gate_masks }
    }
}

/// The powers of zeta with which every column enters `Z`, so that the opening proves knowledge of each of them.
pub struct KnowledgePowers {
    /// Of the tensor columns, by column number.
    pub columns: Vec<Fp>,
    /// Of the mask columns.
    pub masks: Vec<Fp>,
    /// Of the gate mask columns.
    pub gate_masks: [Fp; GATE_COLUMNS],
}

impl KnowledgePowers {
    /// Order: weights, committed input, committed output, witness, masks; then the gate masks.
    pub fn new(layout: &Layout, mask_columns: usize, zeta: Fp) -> KnowledgePowers {
        let mut power = Fp::ONE;
        let mut next = || {
            let this = power;
            power *= zeta;
            this
        };
        let mut columns = vec![Fp::ZERO; layout.columns()];
        for group in [Group::Weight, Group::Input, Group::Output, Group::Witness] {
            for column in layout.group(group) {
                columns[column] = next();
            }
        }
        let masks = (0..mask_columns).map(|_| next()).collect();
        let gate_masks = std::array::from_fn(|_| next());
        KnowledgePowers { columns, masks, gate_masks }
    }
}
