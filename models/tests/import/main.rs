//! Import of small graphs that are built here, one for every form and every refusal.

mod check;
mod convolutions;
mod elementwise;
mod ends;
mod evaluate;
mod graphs;
mod movements;
mod quantized;
mod refusals;
