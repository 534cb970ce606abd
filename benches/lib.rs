//! Benchmarks of Provenn; see the bench targets.
