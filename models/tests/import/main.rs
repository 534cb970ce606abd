//! Import of small graphs that are built here, one for every form and every refusal.

mod forms;
mod graphs;
mod refusals;
