//! The `provenn` command, run as its users run it.

mod bench;
mod common;
mod estimate;
mod files;
mod forgeries;
mod inspect;
mod journey;
mod networks;
mod observation;
mod refusals;
