//! Proofs for neural networks: commit a model once, prove its inferences, verify them in milliseconds.
//!
//! ```text
//! ONNX, samples --Model--commit--> ProvingKey --prove(input)--> Proof
//!                                      \--verifying_key--> VerifyingKey --verify(proof)--> Verified
//! ```
//!
//! The proving key is private: it holds the weights. The verifying key and the proofs are for everybody.
//!
//! ```
//! use provenn::{Dataset, Model, ProveOptions, QuantizeOptions, VerifyingKey, zoo};
//!
//! let digits = zoo::digits_mlp();
//! let samples = Dataset::from_npz_bytes(digits.samples_npz, 64)?;
//! let model = Model::from_onnx(digits.onnx, &samples, &QuantizeOptions::default())?;
//! let pk = model.commit()?;
//! let vk = VerifyingKey::from_bytes(&pk.verifying_key()?)?;
//!
//! let proof = pk.prove(&samples.samples[0], ProveOptions::default())?;
//! let verified = vk.verify(&proof.bytes, b"")?;
//! assert_eq!(verified.output.values(), Some(&proof.output.integers[..]));
//! assert_eq!(verified.model_id, pk.model_id());
//! # Ok::<(), provenn::Error>(())
//! ```

mod error;
mod estimate;
mod key;
pub mod ledger;
pub mod memory;
mod model;
pub mod report;
mod values;

pub use error::Error;
pub use estimate::{CircuitEstimate, Estimate, LayerEstimate, SharedEstimate, UnitCost};
pub use key::{Notes, Proof, ProvingKey};
pub use model::Model;
pub use provenn_circuits::artifact::ModelId;
pub use provenn_circuits::circuit::Visibility;
pub use provenn_circuits::{LayerList, Modes};
pub use provenn_models::executor::HeadOutput;
pub use provenn_models::{Dataset, Fidelity, FloatModel, ModelError, QuantizeOptions, Stage, import, zoo};
pub use provenn_prover::{Costs, Phase, Prepared, ProveOptions, ProverError, Shared, settle, settle_alone};
pub use provenn_verifier::{Part, Phase as VerifyPhase, Rejection, Shown, Verified, VerifyingKey};
pub use values::Values;

/// The README's Rust, tested.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
