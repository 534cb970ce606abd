//! Verifies Provenn proofs: that a committed, quantized model, run on an input, gave an output.
//!
//! The verifier trusts nothing but the model ID that its user expects. Sizes come from the verifying key, whose circuits it
//! derives from the layer list; encodings are canonical; nothing panics and nothing is allocated by a length that a
//! proof claims. No threads, no file system, no floats.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod error;
mod halving;
mod hidden;
mod key;
mod opening;
mod verify;

#[cfg(test)]
mod simulator;

pub use error::{Part, Rejection};
pub use key::VerifyingKey;
pub use verify::{Phase, Shown, Verified};
