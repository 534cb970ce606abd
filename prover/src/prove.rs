//! One proof, from a system and its values to bytes.

use crate::columns::{ColumnSet, Columns, PackedSet};
use crate::costs::Shared;
use crate::early::Early;
use crate::error::ProverError;
use crate::hidden::ProverParty;
use crate::hooks::Hooks;
use crate::opening::{Closing, reveal_sums};
use crate::prepared::{LatePoints, Material};
use crate::products::{ProductColumns, prove_products};
use crate::watch::{Digits, Watch, Work};
use crate::witness::Witness;
use provenn_algebra::commit::Committer;
use provenn_algebra::transcript::ProverTranscript;
use provenn_circuits::artifact::Statement;
use provenn_circuits::circuit::Tensor;
use provenn_circuits::forms::{Combined, TensorTerm, combine};
use provenn_circuits::layout::Group;
use provenn_circuits::products::ProductKeys;
use provenn_circuits::system::System;
use std::borrow::Cow;
use tracing::{Span, debug_span, info_span};

/// What the prover is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Running the model on integers.
    Witness,
    /// Committing to the witness and the masks.
    Commitments,
    /// LogUp-GKR over all look-ups.
    Lookups,
    /// The bilinear sum-check over all contractions.
    Bilinear,
    /// The row sum-check and the folded opening.
    Opening,
    /// The halo2 proof of the hidden products.
    Products,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Phase; 6] = [
        Phase::Witness,
        Phase::Commitments,
        Phase::Lookups,
        Phase::Bilinear,
        Phase::Opening,
        Phase::Products,
    ];

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Witness => "witness",
            Phase::Commitments => "commitments",
            Phase::Lookups => "look-ups",
            Phase::Bilinear => "bilinear",
            Phase::Opening => "opening",
            Phase::Products => "halo2",
        }
    }

    /// A span of the same name.
    pub(crate) fn span(self) -> Span {
        match self {
            Phase::Witness => info_span!("witness"),
            Phase::Commitments => info_span!("commitments"),
            Phase::Lookups => info_span!("look-ups"),
            Phase::Bilinear => info_span!("bilinear"),
            Phase::Opening => info_span!("opening"),
            Phase::Products => info_span!("halo2"),
        }
    }
}

/// What one proof is made from.
pub(crate) struct Job<'j> {
    pub(crate) system: &'j System,
    pub(crate) k: u32,
    pub(crate) committer: &'j Committer,
    pub(crate) weights: &'j PackedSet,
    /// Columns of a committed input and output, with the blinds of their published commitments.
    pub(crate) input: &'j PackedSet,
    pub(crate) output: &'j PackedSet,
    pub(crate) statement: Statement<'j>,
}

/// The terms of the claims, with the entries of the vectors that each becomes: of its columns, and of a row.
pub(crate) fn terms(system: &System, combined: &Combined) -> Work {
    let count = |term: &TensorTerm| {
        let shape = &system.circuit.tensors[term.tensor].shape;
        let rows = shape.iter().map(|d| d.next_power_of_two()).product::<usize>().min(system.layout.n);
        (term.tensor, (system.layout.columns_of(term.tensor, shape).len() + rows) as f64)
    };
    Work::Terms(combined.terms.iter().map(count).collect())
}

/// Commitments to the witness, by tensor.
pub(crate) fn commitments_to(system: &System, values: &Witness<'_>) -> Work {
    let witness = |tensor: &Tensor| Group::of(tensor.role) == Some(Group::Witness);
    let digits = |(tensor, values): (&Tensor, &Cow<'_, [i64]>)| {
        if witness(tensor) { Digits::of(values) } else { Digits::default() }
    };
    Work::Commitments(system.circuit.tensors.iter().zip(values).map(digits).collect())
}

/// Runs the protocol; returns the messages. The columns that were committed early, if they were, are those of `values`. The material is
/// used up, and erased whatever happens.
pub(crate) fn prove(
    job: &Job<'_>,
    values: &Witness<'_>,
    material: Material,
    early: Option<Early>,
    hooks: &mut impl Hooks,
    watch: &mut Watch<'_>,
) -> Result<Vec<u8>, ProverError> {
    let Job { system, k, committer, .. } = *job;
    let layout = &system.layout;
    let keys = ProductKeys::get(k);
    let Material { mut witness, mut masks, mask_commitments, one_time, products, mut late, .. } = material;
    let mut transcript = ProverTranscript::new();
    job.statement.absorb(|bytes| transcript.absorb(bytes));
    watch.lap(|| Work::Shared(Shared::Statement));

    let (columns, commitments) = match early {
        Some(early) => {
            let blinded = debug_span!("blinds").in_scope(|| early.blind(&mut witness));
            watch.lap(|| Work::Columns(vec![(layout.witness.clone(), layout.witness.len() as f64)], 0.0));
            blinded
        }
        None => {
            let blinds = std::mem::take(&mut witness.scalars);
            let mut columns =
                ColumnSet::lay_out(&system.circuit, layout, Group::Witness, values, blinds, watch);
            hooks.columns(&mut columns);
            let mut commitments =
                debug_span!("columns").in_scope(|| witness.commit(committer, &columns.columns()));
            hooks.commitments(&mut commitments);
            watch.lap(|| commitments_to(system, values));
            (columns, commitments)
        }
    };
    let columns = debug_span!("packing").in_scope(|| columns.pack());
    for point in commitments.iter().chain(&mask_commitments.rounds).chain(&mask_commitments.gates) {
        transcript.point(point)?;
    }
    hooks.masks(&mut masks);
    if hooks.early_challenge() {
        transcript.challenge();
    }
    transcript.point(&mask_commitments.rows)?;
    watch.lap(|| {
        let witness = layout.witness.clone();
        let masks = mask_commitments.rounds.len() + mask_commitments.gates.len() + 1;
        Work::Columns(vec![(witness.clone(), witness.len() as f64)], masks as f64)
    });

    // The reduction leaves threads idle: many of its rounds are shorter than waking one takes.
    let (masked, mut gates, mut forms) = rayon::in_place_scope(|scope| {
        if late.is_none() {
            scope.spawn(|_| {
                let make = || LatePoints::new(k, committer, &one_time, &products);
                late = Some(debug_span!("one-time vectors").in_scope(make));
            });
        }
        let mut party = ProverParty::new(system, values, &masks, &mut transcript, hooks, watch);
        system.reduce(&mut party)?;
        Ok::<_, ProverError>(party.finish())
    })?;
    let late = late.expect("made before the scope ends");
    watch.lap(|| Work::Shared(Shared::Masks));
    hooks.forms(&mut forms);

    watch.phase(Phase::Opening);
    hooks.products(&mut gates);
    let mut product_columns = None;
    rayon::in_place_scope(|scope| {
        scope.spawn(|_| {
            let make = || ProductColumns::new(keys, &gates, &products);
            product_columns = Some(debug_span!("product columns").in_scope(make));
        });
        let challenge = transcript.challenge();
        let combined = debug_span!("combination")
            .in_scope(|| combine(forms, challenge, &masked, &system.circuit, values));
        watch.lap(|| terms(system, &combined));
        let pieces = &debug_span!("pieces").in_scope(|| combined.pieces(&system.circuit, layout))[..];
        watch.lap(|| terms(system, &combined));
        let columns = Columns { sets: vec![job.weights, job.input, job.output, &columns] };
        let closing = Closing {
            system,
            keys,
            committer,
            columns: &columns,
            masks: &masks,
            combined: &combined,
            pieces,
        };
        closing.prove(one_time, late.vectors, &mut transcript, hooks, watch)
    })?;
    watch.lap(|| Work::Shared(Shared::Products));

    watch.phase(Phase::Products);
    let product_columns = product_columns.expect("made before the scope ends")?;
    reveal_sums(&masks, &products, &mut transcript);
    prove_products(keys, product_columns, products, late.products, &mut transcript)?;
    watch.lap(|| Work::Shared(Shared::Products));
    let messages = transcript.finish();
    debug_assert_eq!(messages.len(), system.message_bytes(k));
    Ok(messages)
}
