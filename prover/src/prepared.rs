//! What a proof needs that depends on neither its input nor a challenge: blinds, masks, one-time vectors, and the
//! commitments to them.

use crate::error::ProverError;
use crate::hidden::{MaskCommitments, Masks, random_vector};
use crate::hooks::Hooks;
use crate::products::{ProductRandomness, ProductTables};
use ff::Field;
use provenn_algebra::commit::{Committer, add_points, blinding_points};
use provenn_algebra::{EqAffine, Fp};
use provenn_circuits::Modes;
use provenn_circuits::artifact::ModelId;
use provenn_circuits::layout::Group;
use provenn_circuits::products::ProductKeys;
use provenn_circuits::system::System;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, Rng, SeedableRng};
use zeroize::{Zeroize, Zeroizing};

/// What a fresh seed is for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// The blinds of the weight commitments.
    Weights,
    /// Blinds, masks and one-time vectors of a proof.
    Masks,
    /// The halo2 proof.
    Products,
}

/// 32 fresh bytes of the operating system.
pub(crate) fn fresh_seed(
    hooks: &mut impl Hooks,
    purpose: Purpose,
) -> Result<Zeroizing<[u8; 32]>, ProverError> {
    let mut seed = Zeroizing::new([0; 32]);
    if let Some(fixed) = hooks.seed() {
        let mut rng = ChaCha20Rng::from_seed(fixed);
        rng.set_stream(purpose as u64);
        rng.fill_bytes(&mut seed[..]);
        return Ok(seed);
    }
    getrandom::fill(&mut seed[..]).map_err(|error| ProverError::Randomness { reason: error.to_string() })?;
    Ok(seed)
}

/// A generator with a fresh seed.
pub(crate) fn fresh_rng(hooks: &mut impl Hooks, purpose: Purpose) -> Result<ChaCha20Rng, ProverError> {
    Ok(ChaCha20Rng::from_seed(*fresh_seed(hooks, purpose)?))
}

/// What all randomness of one proof follows from.
pub(crate) struct Seeds {
    masks: Zeroizing<[u8; 32]>,
    products: Zeroizing<[u8; 32]>,
}

impl Seeds {
    /// Fresh ones.
    pub(crate) fn fresh(hooks: &mut impl Hooks) -> Result<Seeds, ProverError> {
        let masks = fresh_seed(hooks, Purpose::Masks)?;
        Ok(Seeds { masks, products: fresh_seed(hooks, Purpose::Products)? })
    }
}

/// One-time material for one proof, made before its input is known.
///
/// It can be used once: a proof takes it by value, it cannot be copied or written to a file, and it is erased when dropped.
/// It belongs to one key, one choice of what is public, and the process that made it.
///
/// Who copies the memory of the process, by a snapshot of a virtual machine say, has the material twice. Two proofs with
/// the same material reveal the weights and both inputs. So prepare after such a copy, not before.
#[must_use = "the material serves one later proof"]
pub struct Prepared {
    model_id: ModelId,
    modes: Modes,
    /// The process that made it: a fork would have it twice.
    process: u32,
    material: Material,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("model_id", &self.model_id)
            .field("modes", &self.modes)
            .finish_non_exhaustive()
    }
}

impl Prepared {
    pub(crate) fn new(model_id: ModelId, modes: Modes, material: Material) -> Prepared {
        Prepared { model_id, modes, process: std::process::id(), material }
    }

    /// The key that it was made for.
    pub fn model_id(&self) -> ModelId {
        self.model_id
    }

    /// The choice of what is public that it was made for.
    pub fn modes(&self) -> Modes {
        self.modes
    }

    /// The material, if it was made by this process for this key and these modes.
    pub(crate) fn material(self, model_id: ModelId, modes: Modes) -> Result<Material, ProverError> {
        if self.model_id != model_id {
            return Err(ProverError::PreparedModel { expected: model_id, actual: self.model_id });
        }
        if self.modes != modes {
            return Err(ProverError::PreparedModes { expected: modes, actual: self.modes });
        }
        let process = std::process::id();
        if self.process != process {
            return Err(ProverError::PreparedProcess { expected: process, actual: self.process });
        }
        Ok(self.material)
    }

    #[cfg(test)]
    pub(crate) fn of_process(self, process: u32) -> Prepared {
        Prepared { process, ..self }
    }
}

/// Blinds of columns with their points `rho H`.
pub(crate) struct Blinds {
    pub(crate) scalars: Vec<Fp>,
    points: Vec<EqAffine>,
}

impl Blinds {
    fn new(count: usize, rng: &mut impl CryptoRng) -> Blinds {
        let scalars = random_vector(rng, count);
        let points = blinding_points(&scalars);
        Blinds { scalars, points }
    }

    /// Commitments to columns with these blinds.
    pub(crate) fn commit(&self, committer: &Committer, columns: &[&[i64]]) -> Vec<EqAffine> {
        committer.commit_small_onto(columns, &self.points)
    }

    /// Commitments with these blinds, from those without.
    pub(crate) fn add_to(&self, sums: &[EqAffine]) -> Vec<EqAffine> {
        add_points(sums, &self.points)
    }
}

impl Drop for Blinds {
    fn drop(&mut self) {
        self.scalars.zeroize();
        self.points.zeroize();
    }
}

/// The one-time vectors of the opening, with their blinds.
pub(crate) struct OneTimeVectors {
    /// `d`, over the generators.
    pub(crate) rows: Vec<Fp>,
    /// `d''`, over halo2's bases.
    pub(crate) gates: Vec<Fp>,
    /// `d'`, over the generators.
    pub(crate) row_masks: Vec<Fp>,
    pub(crate) blinds: [Fp; 3],
}

impl Drop for OneTimeVectors {
    fn drop(&mut self) {
        self.rows.zeroize();
        self.gates.zeroize();
        self.row_masks.zeroize();
        self.blinds.zeroize();
    }
}

/// Everything of one proof that depends on neither its input nor a challenge.
pub(crate) struct Material {
    /// Of a committed input.
    pub(crate) input: Blinds,
    /// Of a committed output.
    pub(crate) output: Blinds,
    /// Of the witness columns.
    pub(crate) witness: Blinds,
    pub(crate) masks: Masks,
    pub(crate) mask_commitments: MaskCommitments,
    pub(crate) one_time: OneTimeVectors,
    pub(crate) products: ProductRandomness,
    /// The commitments that no challenge of the reduction follows, if they are made.
    pub(crate) late: Option<LatePoints>,
}

/// Commitments of a proof's randomness that are sent after the reduction.
pub(crate) struct LatePoints {
    /// To the one-time vectors: `D`, `D''`, `D'`.
    pub(crate) vectors: [EqAffine; 3],
    /// To the polynomials of [`ProductRandomness::polynomials`].
    pub(crate) products: [EqAffine; 2],
}

impl LatePoints {
    pub(crate) fn new(
        k: u32,
        committer: &Committer,
        one_time: &OneTimeVectors,
        products: &ProductRandomness,
    ) -> LatePoints {
        let [rows_blind, gates_blind, row_masks_blind] = &one_time.blinds;
        let vectors = [(&one_time.rows, rows_blind), (&one_time.row_masks, row_masks_blind)];
        let over_rows = sums_with_blinds(committer, vectors.into_iter());
        let tables = ProductTables::get(ProductKeys::get(k));
        let over_gates = tables.commit([(&one_time.gates, gates_blind)].into_iter(), &products.polynomials());
        LatePoints {
            vectors: [over_rows[0], over_gates[0], over_rows[1]],
            products: [over_gates[1], over_gates[2]],
        }
    }
}

/// Commitments to vectors over the generators of rows.
fn sums_with_blinds<'v>(
    committer: &Committer,
    vectors: impl Iterator<Item = (&'v Vec<Fp>, &'v Fp)>,
) -> Vec<EqAffine> {
    let with_blind = |(values, blind): (&Vec<Fp>, &Fp)| -> Zeroizing<Vec<Fp>> {
        Zeroizing::new([&[*blind, Fp::ZERO], &values[..]].concat())
    };
    let vectors: Vec<Zeroizing<Vec<Fp>>> = vectors.map(with_blind).collect();
    committer.sums(&vectors.iter().map(|vector| vector.as_slice()).collect::<Vec<_>>())
}

impl Material {
    /// Material for one proof of a system; the seeds are used up.
    pub(crate) fn new(system: &System, k: u32, committer: &Committer, seeds: Seeds) -> Material {
        let material = Material::without_late_points(system, k, committer, seeds);
        let late = LatePoints::new(k, committer, &material.one_time, &material.products);
        Material { late: Some(late), ..material }
    }

    /// The same but for [`Material::late`]: what the first challenge follows.
    pub(crate) fn without_late_points(
        system: &System,
        k: u32,
        committer: &Committer,
        seeds: Seeds,
    ) -> Material {
        let mut rng = ChaCha20Rng::from_seed(*seeds.masks);
        let mut blinds = |group| Blinds::new(system.layout.group(group).len(), &mut rng);
        let [input, output, witness] = [Group::Input, Group::Output, Group::Witness].map(&mut blinds);
        let masks = Masks::new(system, 1 << k, &mut rng);
        let rows = random_vector(&mut rng, system.layout.n);
        let gates = random_vector(&mut rng, 1 << k);
        let row_masks = random_vector(&mut rng, masks.rows.len());
        let blinds: [Fp; 3] = std::array::from_fn(|_| Fp::random(&mut rng));
        let one_time = OneTimeVectors { rows, gates, row_masks, blinds };
        let products = ProductRandomness::from_seed(&seeds.products, k);

        let columns = masks.rounds.iter().zip(&masks.round_blinds);
        let mut rounds = sums_with_blinds(committer, columns.chain([(&masks.rows, &masks.row_blind)]));
        let row_masks = rounds.pop().expect("the last of the sums");
        let tables = ProductTables::get(ProductKeys::get(k));
        let gates = tables.commit(masks.gates.iter().zip(&masks.gate_blinds), &[]);
        let mask_commitments = MaskCommitments { rounds, gates, rows: row_masks };
        Material { input, output, witness, masks, mask_commitments, one_time, products, late: None }
    }
}
