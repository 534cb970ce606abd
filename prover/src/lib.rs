//! Commits quantized neural networks and proves their inferences in zero knowledge.
//!
//! ```text
//! weights, layer list --ProvingKey::commit--> proving key, verifying key (with the key proof)
//! proving key, input  --ProvingKey::prove---> proof, output
//! ```
//!
//! The protocol's messages, in order, are in `prove`; what each reduction claims is written once, in
//! `provenn_circuits::reduction`.

mod columns;
mod contract;
mod costs;
mod early;
mod error;
mod halving;
mod hidden;
mod hooks;
mod key;
mod lookup;
mod opening;
mod prepared;
mod process;
mod products;
mod prove;
pub mod rehearsal;
pub mod stages;
mod watch;
mod witness;

#[cfg(test)]
mod tests;

pub use costs::{Costs, Shared};
pub use error::ProverError;
pub use key::{Proof, ProveOptions, ProvingKey};
pub use prepared::Prepared;
pub use process::{settle, settle_alone};
pub use prove::Phase;
