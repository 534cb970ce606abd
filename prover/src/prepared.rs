//! What a proof needs that depends on neither its input nor a challenge: blinds, masks, one-time vectors, and the
//! commitments to them.

use crate::error::ProverError;
use crate::hidden::{MaskCommitments, Masks, random_vector};
use crate::hooks::Hooks;
use crate::products::{ProductRandomness, ProductTables};
use ff::Field;
use provenn_algebra::commit::{Committer, blinding_points};
use provenn_algebra::{EqAffine, Fp};
use provenn_circuits::Modes;
use provenn_circuits::artifact::ModelId;
use provenn_circuits::forms::GATE_COLUMNS;
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
}

impl Drop for Blinds {
    fn drop(&mut self) {
        self.scalars.zeroize();
        self.points.zeroize();
    }
}

/// The one-time vectors of the opening, their blinds and commitments.
pub(crate) struct OneTimeVectors {
    /// `d`, over the generators.
    pub(crate) rows: Vec<Fp>,
    /// `d''`, over halo2's bases.
    pub(crate) gates: Vec<Fp>,
    /// `d'`, over the generators.
    pub(crate) row_masks: Vec<Fp>,
    pub(crate) blinds: [Fp; 3],
    /// `D`, `D''`, `D'`.
    pub(crate) commitments: [EqAffine; 3],
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
    /// Commitments to the polynomials of [`ProductRandomness::polynomials`].
    pub(crate) product_points: [EqAffine; 2],
}

impl Material {
    /// Material for one proof of a system; the seeds are used up.
    pub(crate) fn new(system: &System, k: u32, committer: &Committer, seeds: Seeds) -> Material {
        let tables = ProductTables::get(ProductKeys::get(k));
        let mut rng = ChaCha20Rng::from_seed(*seeds.masks);
        let mut blinds = |group| Blinds::new(system.layout.group(group).len(), &mut rng);
        let [input, output, witness] = [Group::Input, Group::Output, Group::Witness].map(&mut blinds);
        let masks = Masks::new(system, 1 << k, &mut rng);
        let rows = random_vector(&mut rng, system.layout.n);
        let gates = random_vector(&mut rng, 1 << k);
        let row_masks = random_vector(&mut rng, masks.rows.len());
        let vector_blinds: [Fp; 3] = std::array::from_fn(|_| Fp::random(&mut rng));
        let products = ProductRandomness::from_seed(&seeds.products, k);

        let with_blind = |values: &[Fp], blind: &Fp| -> Zeroizing<Vec<Fp>> {
            Zeroizing::new([&[*blind, Fp::ZERO], values].concat())
        };
        let vectors: Vec<Zeroizing<Vec<Fp>>> = masks
            .rounds
            .iter()
            .zip(&masks.round_blinds)
            .chain([
                (&masks.rows, &masks.row_blind),
                (&rows, &vector_blinds[0]),
                (&row_masks, &vector_blinds[2]),
            ])
            .map(|(values, blind)| with_blind(values, blind))
            .collect();
        let mut over_rows = committer.sums(&vectors.iter().map(|v| v.as_slice()).collect::<Vec<_>>());
        let [row_mask_point, rows_point, row_masks_point] = take_last(&mut over_rows);

        let columns = masks.gates.iter().zip(&masks.gate_blinds).chain([(&gates, &vector_blinds[1])]);
        let mut over_gates = tables.commit(columns, &products.polynomials());
        let product_points = take_last(&mut over_gates);
        let [gates_point] = take_last(&mut over_gates);
        debug_assert_eq!(over_gates.len(), GATE_COLUMNS);
        Material {
            input,
            output,
            witness,
            masks,
            mask_commitments: MaskCommitments { rounds: over_rows, gates: over_gates, rows: row_mask_point },
            one_time: OneTimeVectors {
                rows,
                gates,
                row_masks,
                blinds: vector_blinds,
                commitments: [rows_point, gates_point, row_masks_point],
            },
            products,
            product_points,
        }
    }
}

/// The last points of a list, taken from it.
fn take_last<const N: usize>(points: &mut Vec<EqAffine>) -> [EqAffine; N] {
    let last = points.split_off(points.len() - N);
    std::array::from_fn(|i| last[i])
}
