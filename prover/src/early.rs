//! The columns of the witness, committed to while the model is run.
//!
//! A tensor that has columns of its own is laid out as soon as it is computed, and committed to on whatever thread has nothing else
//! to do; tensors that share columns come last. The blinds are not needed for that: their points, which may still be in the making,
//! are added at the end. So the commitments are those that would have been made all at once.

use crate::columns::ColumnSet;
use crate::costs::Shared;
use crate::error::ProverError;
use crate::hooks::Hooks;
use crate::prepared::{Blinds, Material, Seeds};
use crate::prove::{Phase, commitments_to};
use crate::watch::{Timer, Watch, Work};
use crate::witness::{Witness, assign};
use provenn_algebra::EqAffine;
use provenn_algebra::commit::Committer;
use provenn_circuits::circuit::TensorId;
use provenn_circuits::layout::Group;
use provenn_circuits::system::System;
use rayon::Scope;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::debug_span;
use zeroize::{Zeroize, Zeroizing};

/// What a proof is made for and with.
pub(crate) struct Setting<'s> {
    pub(crate) system: &'s System,
    pub(crate) k: u32,
    pub(crate) committer: &'s Committer,
}

/// The values of a circuit, the material of the proof, and the columns of the witness with their commitments.
///
/// Material that is not there yet is made while the model is run, as it depends on no value, and so are the commitments to tensors
/// that are known already. What that has cost in the end is what it has taken longer than the model.
///
/// # Errors
/// Those of [`assign`]; [`ProverError::Randomness`].
pub(crate) fn execute<'w>(
    setting: &Setting<'_>,
    parameters: &'w [Vec<i64>],
    input: Option<&'w [i64]>,
    prepared: Option<Material>,
    hooks: &mut impl Hooks,
    watch: &mut Watch<'_>,
) -> Result<(Witness<'w>, Material, Option<Early>), ProverError> {
    let &Setting { system, k, committer } = setting;
    watch.phase(Phase::Witness);
    let seeds = if prepared.is_none() { Some(Seeds::fresh(hooks)?) } else { None };
    let timer = watch.timer();
    let mut early = hooks.commits_early().then(|| Early::new(system));
    let (mut material, mut mask_time) = (prepared, 0.0);
    let (made, taken) = (&mut material, &mut mask_time);
    let values = rayon::in_place_scope(|scope| {
        if let Some(seeds) = seeds {
            scope.spawn(move |_| {
                let make = || Material::without_late_points(system, k, committer, seeds);
                let (material, nanoseconds) = debug_span!("masks").in_scope(|| timer.time(make));
                (*made, *taken) = (Some(material), nanoseconds);
            });
        }
        let mut stream = early.as_mut().map(|early| Stream::new(early, system, committer, timer));
        let mut values = assign(&system.circuit, parameters, input, watch, |id, values, watch| {
            if let Some(stream) = &mut stream {
                stream.ready(id, values, scope, watch);
            }
        })?;
        hooks.witness(&system.circuit, &mut values);
        watch.phase(Phase::Commitments);
        if let Some(stream) = stream {
            stream.finish(&values, scope, watch);
        }
        Ok::<_, ProverError>(values)
    })?;
    watch.lap(|| {
        let commitments = early.as_ref().map_or(0.0, Early::nanoseconds);
        Work::Together(vec![
            (Work::Shared(Shared::Masks), mask_time.max(1.0)),
            (commitments_to(system, &values), commitments),
        ])
    });
    Ok((values, material.expect("made before the scope ends"), early))
}

/// All columns of a witness, with their commitments but for the blinds.
///
/// What is committed without a blind tells the witness to anybody who can guess it, so these points are erased.
pub(crate) struct Early {
    first: usize,
    n: usize,
    entries: Vec<i64>,
    sums: Zeroizing<Vec<EqAffine>>,
    /// Nanoseconds that threads spent on commitments.
    nanoseconds: AtomicU64,
}

impl Early {
    /// Columns of zeros.
    fn new(system: &System) -> Early {
        let (columns, n) = (system.layout.witness.clone(), system.layout.n);
        Early {
            first: columns.start,
            n,
            entries: vec![0; columns.len() * n],
            sums: Zeroizing::new(vec![EqAffine::default(); columns.len()]),
            nanoseconds: AtomicU64::new(0),
        }
    }

    /// Nanoseconds that threads spent on commitments, if somebody measures.
    fn nanoseconds(&self) -> f64 {
        self.nanoseconds.load(Ordering::Relaxed) as f64
    }

    /// The columns and their commitments with these blinds.
    pub(crate) fn blind(mut self, blinds: &mut Blinds) -> (ColumnSet, Vec<EqAffine>) {
        let commitments = blinds.add_to(&self.sums);
        let columns = ColumnSet {
            first: self.first,
            n: self.n,
            entries: std::mem::take(&mut self.entries),
            blinds: std::mem::take(&mut blinds.scalars),
        };
        (columns, commitments)
    }
}

impl Drop for Early {
    fn drop(&mut self) {
        self.entries.zeroize();
    }
}

/// Columns that are committed to at once, at least, so that their additions share inversions.
const COLUMNS_AT_ONCE: usize = 32;

/// Hands columns to threads as their tensors become known.
struct Stream<'s> {
    system: &'s System,
    committer: &'s Committer,
    timer: Timer,
    nanoseconds: &'s AtomicU64,
    /// Per tensor, its columns until it is known, if it has some of its own.
    wide: Vec<Option<Part<'s>>>,
    /// Columns that are laid out.
    laid_out: Vec<Part<'s>>,
    /// The columns that tensors share, with the number of the first.
    shared: (usize, Part<'s>),
}

/// Some columns.
struct Part<'s> {
    entries: &'s mut [i64],
    sums: &'s mut [EqAffine],
}

impl<'s> Stream<'s> {
    fn new(early: &'s mut Early, system: &'s System, committer: &'s Committer, timer: Timer) -> Self {
        let (circuit, layout) = (&system.circuit, &system.layout);
        let mut rest = Part { entries: &mut early.entries, sums: &mut early.sums };
        let mut next = early.first;
        let mut wide: Vec<Option<Part<'s>>> = circuit.tensors.iter().map(|_| None).collect();
        let mut own: Vec<(usize, TensorId)> = (0..circuit.tensors.len())
            .filter(|&id| Group::of(circuit.tensors[id].role) == Some(Group::Witness))
            .filter_map(|id| {
                layout.placements[id].as_ref().filter(|place| place.wide).map(|place| (place.column, id))
            })
            .collect();
        own.sort_unstable();
        for (column, id) in own {
            let count = layout.columns_of(id, &circuit.tensors[id].shape).len();
            assert_eq!(column, next, "columns of their own come first");
            next += count;
            let (entries, left) = rest.entries.split_at_mut(count * layout.n);
            let (sums, left_sums) = rest.sums.split_at_mut(count);
            wide[id] = Some(Part { entries, sums });
            rest = Part { entries: left, sums: left_sums };
        }
        Stream {
            system,
            committer,
            timer,
            nanoseconds: &early.nanoseconds,
            wide,
            laid_out: Vec::new(),
            shared: (next, rest),
        }
    }

    /// A tensor is known.
    fn ready(&mut self, id: TensorId, values: &[i64], scope: &Scope<'s>, watch: &mut Watch<'_>) {
        if let Some(part) = self.wide[id].take() {
            let (circuit, layout) = (&self.system.circuit, &self.system.layout);
            let first = layout.columns_of(id, &circuit.tensors[id].shape).start;
            layout.fill(id, &circuit.tensors[id].shape, values, first, part.entries);
            self.laid_out.push(part);
            if self.laid_out.iter().map(|part| part.sums.len()).sum::<usize>() >= COLUMNS_AT_ONCE {
                self.commit(scope);
            }
            watch.lap(|| Work::Tensor(id));
        }
    }

    /// All tensors are known.
    fn finish(mut self, values: &Witness<'_>, scope: &Scope<'s>, watch: &mut Watch<'_>) {
        for (id, values) in values.iter().enumerate() {
            self.ready(id, values, scope, watch);
        }
        let (circuit, layout) = (&self.system.circuit, &self.system.layout);
        let (first, part) =
            std::mem::replace(&mut self.shared, (0, Part { entries: &mut [], sums: &mut [] }));
        for (id, tensor) in circuit.tensors.iter().enumerate() {
            let shares = layout.placements[id].as_ref().is_some_and(|place| !place.wide);
            if shares && Group::of(tensor.role) == Some(Group::Witness) {
                layout.fill(id, &tensor.shape, &values[id], first, part.entries);
                watch.lap(|| Work::Tensor(id));
            }
        }
        self.laid_out.push(part);
        self.commit(scope);
    }

    /// Commits to the columns that are laid out.
    fn commit(&mut self, scope: &Scope<'s>) {
        let parts = std::mem::take(&mut self.laid_out);
        let (committer, timer, n, total) =
            (self.committer, self.timer, self.system.layout.n, self.nanoseconds);
        scope.spawn(move |_| {
            let _span = debug_span!("columns").entered();
            let columns: Vec<&[i64]> = parts.iter().flat_map(|part| part.entries.chunks(n)).collect();
            let none = vec![EqAffine::default(); columns.len()];
            let commit = || Zeroizing::new(committer.commit_small_onto(&columns, &none));
            let (sums, nanoseconds) = timer.time(commit);
            let mut rest = &sums[..];
            for part in parts {
                let (own, later) = rest.split_at(part.sums.len());
                part.sums.copy_from_slice(own);
                rest = later;
            }
            total.fetch_add(nanoseconds as u64, Ordering::Relaxed);
        });
    }
}
