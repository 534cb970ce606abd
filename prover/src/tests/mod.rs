//! The protocol end to end: honest runs, degenerate shapes, and a prover that cheats.

mod cheating;
mod costs;
mod false_layers;
mod honest;
mod hostile;
mod layers;
pub(crate) mod models;
