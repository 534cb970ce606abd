//! What the proofs of one model cost, measured: the data behind `provenn bench`.

use serde::Serialize;

/// The measured cost of proving one model, layer by layer.
#[derive(Debug, Clone, Serialize)]
pub struct Ledger {
    /// Name of the model.
    pub model: String,
    /// The model's ID, in hexadecimal.
    pub model_id: String,
    /// Version of Provenn.
    pub version: String,
    /// Day of the measurement, `YYYY-MM-DD`, in UTC.
    pub date: String,
    /// The command that gave it.
    pub command: String,
    /// Where it was measured.
    pub machine: Machine,
    /// Proofs made; all times are over these.
    pub runs: usize,
    /// One per layer, in model order. Their times and those of `shared` add up to `prove`.
    pub layers: Vec<LayerCost>,
    /// What belongs to no layer: masks, opening, halo2 proof, encoding.
    pub shared: Vec<Part>,
    /// A whole proof.
    pub prove: Spread,
    /// A whole verification, with the key loaded.
    pub verify: Spread,
    /// Verification by phase.
    pub verify_phases: Vec<Part>,
    /// Bytes of a proof.
    pub proof_bytes: usize,
    /// Bytes of a proof by what they are.
    pub proof_parts: Vec<Bytes>,
    /// Bytes of the proving key.
    pub proving_key_bytes: usize,
    /// Bytes of the verifying key.
    pub verifying_key_bytes: usize,
    /// Most memory that the process had, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// Accuracy on held-out samples, from the key.
    pub accuracy: Option<Accuracy>,
    /// The model run on integers alone.
    pub native: Spread,
    /// Median of `prove` over median of `native`.
    pub overhead: f64,
}

/// A machine.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Logical cores.
    pub cores: usize,
    /// Threads that were used.
    pub threads: usize,
    /// Memory, in bytes, where the system tells.
    pub memory_bytes: Option<u64>,
    /// Operating system and architecture.
    pub system: String,
    /// Kernels: portable or vector ones.
    pub backend: String,
}

/// Milliseconds over several runs.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Spread {
    /// The median.
    pub median_ms: f64,
    /// The least.
    pub min_ms: f64,
    /// The greatest.
    pub max_ms: f64,
}

/// A named time.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// What was done.
    pub name: String,
    /// How long it took.
    pub time: Spread,
}

/// A named size.
#[derive(Debug, Clone, Serialize)]
pub struct Bytes {
    /// What it is.
    pub name: String,
    /// Its size.
    pub bytes: usize,
}

/// What one layer costs.
#[derive(Debug, Clone, Serialize)]
pub struct LayerCost {
    /// Its place in the model, from 0.
    pub index: usize,
    /// Its kind.
    pub kind: String,
    /// Shape of its output.
    pub output_shape: Vec<usize>,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Parameters.
    pub parameters: u64,
    /// Values committed for it in every proof.
    pub committed: u64,
    /// Look-ups.
    pub lookups: u64,
    /// The prover's time on it.
    pub prove: Spread,
    /// The same, by phase.
    pub phases: Vec<Part>,
    /// Its part of the median time of a whole proof, 0 to 1.
    pub share: f64,
    /// Nanoseconds per multiply-accumulate, if it has any.
    pub ns_per_mac: Option<f64>,
    /// Nanoseconds per parameter, if it has any.
    pub ns_per_parameter: Option<f64>,
}

/// Accuracy and fidelity of the integer model.
#[derive(Debug, Clone, Serialize)]
pub struct Accuracy {
    /// Held-out samples.
    pub samples: usize,
    /// Accuracy of the floating-point model, 0 to 1, if there were labels.
    pub float: Option<f64>,
    /// Accuracy of the integer model, 0 to 1, if there were labels.
    pub integer: Option<f64>,
    /// Part of the samples on which both give the same class, 0 to 1, for a classifier.
    pub agreement: Option<f64>,
    /// Greatest difference of an output from the floating-point model's, if measured.
    pub greatest_error: Option<f64>,
}
