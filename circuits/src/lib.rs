//! What Provenn proves: quantized layers as linear, bilinear and look-up constraints on integer tensors.
//!
//! Everything that the prover and the verifier must agree on is written here, once:
//!
//! ```text
//! layer list -> tensor circuit -> interactive reduction -> linear forms over committed columns
//!   model         lower, circuit     reduction               forms, layout
//! ```

pub mod artifact;
pub mod bounds;
pub mod circuit;
pub mod closing;
pub mod error;
pub mod forms;
pub mod functions;
pub mod layers;
pub mod layout;
pub mod lower;
pub mod model;
pub mod origins;
pub mod products;
pub mod reduction;
pub mod system;
pub mod tables;

pub use error::CircuitError;
pub use lower::Modes;
pub use model::{LayerList, Range, Scale};
