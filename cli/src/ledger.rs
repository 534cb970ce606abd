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
    /// What was proved: the input's file, or how it was made.
    pub input: String,
    /// Proofs made; all times are over these.
    pub runs: usize,
    /// One per layer, in model order. Their times and those of `shared` add up to `prove`.
    pub layers: Vec<LayerCost>,
    /// What belongs to no layer: statement, masks, the opening's shared part, halo2 proof, encoding.
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
    /// Accuracy on the samples of the key's fidelity report.
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
///
/// Medians of parts do not add up to the median of their sum. So the middle of a part is its quantile at the level, near a half,
/// at which all parts together give the median of the whole ([`Spread::parts`]).
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Spread {
    /// The median; of a part, the quantile that adds up.
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
    /// Its name in the model, if the key records it.
    pub name: Option<String>,
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
    /// Samples of the report: those that the model was calibrated on.
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

impl Spread {
    /// Median, least and greatest of some times; 0 for none.
    pub fn new(times: &[f64]) -> Spread {
        let sorted = sorted(times);
        Spread::at(&sorted, quantile(&sorted, 0.5))
    }

    /// The spreads of parts, each given by its times in the same runs, whose middles add up to `whole`: each is the part's
    /// quantile at one common level. There is such a level for every sum between those of all least and all greatest
    /// times, which the median of the runs' sums is.
    pub fn parts(parts: &[Vec<f64>], whole: f64) -> Vec<Spread> {
        let parts: Vec<Vec<f64>> = parts.iter().map(|times| sorted(times)).collect();
        let sum = |level: f64| parts.iter().map(|part| quantile(part, level)).sum::<f64>();
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..BISECTIONS {
            let middle = (low + high) / 2.0;
            if sum(middle) < whole { low = middle } else { high = middle }
        }
        parts.iter().map(|part| Spread::at(part, quantile(part, high))).collect()
    }

    fn at(sorted: &[f64], middle: f64) -> Spread {
        let end = |time: Option<&f64>| time.copied().unwrap_or(0.0);
        Spread { median_ms: middle, min_ms: end(sorted.first()), max_ms: end(sorted.last()) }
    }
}

/// Halvings of the interval in which the level of [`Spread::parts`] lies: no rounding error is larger than what is left.
const BISECTIONS: u32 = 60;

fn sorted(times: &[f64]) -> Vec<f64> {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The quantile of sorted times at a level, 0 to 1, linear in between; 0 for none.
fn quantile(sorted: &[f64], level: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = level * last as f64;
    let below = (place as usize).min(last);
    let above = (below + 1).min(last);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_median_least_and_greatest() {
        let spread = |times: &[f64]| {
            let Spread { median_ms, min_ms, max_ms } = Spread::new(times);
            [min_ms, median_ms, max_ms]
        };
        assert_eq!(spread(&[]), [0.0; 3]);
        assert_eq!(spread(&[3.0]), [3.0; 3]);
        assert_eq!(spread(&[5.0, 1.0]), [1.0, 3.0, 5.0]);
        assert_eq!(spread(&[9.0, 1.0, 2.0]), [1.0, 2.0, 9.0]);
        assert_eq!(spread(&[4.0, 1.0, 2.0, 9.0]), [1.0, 3.0, 9.0]);
    }

    #[test]
    fn the_middles_of_parts_add_up_to_the_median_of_the_whole() {
        // Runs in which now one part is slow and now another: the medians add up to 6, the median run takes 14.
        let slow = |at: usize| (0..9).map(|run| if run % 3 == at { 10.0 } else { 2.0 }).collect::<Vec<f64>>();
        let parts = [slow(0), slow(1), slow(2)];
        let check = |parts: &[Vec<f64>]| {
            let runs = parts[0].len();
            let totals: Vec<f64> = (0..runs).map(|run| parts.iter().map(|part| part[run]).sum()).collect();
            let whole = Spread::new(&totals).median_ms;
            let spreads = Spread::parts(parts, whole);
            let sum: f64 = spreads.iter().map(|spread| spread.median_ms).sum();
            assert!((sum - whole).abs() <= 1e-9 * whole.max(1.0), "{sum} of {whole}");
            for (spread, part) in spreads.iter().zip(parts) {
                let Spread { median_ms, min_ms, max_ms } = *spread;
                assert!(min_ms <= median_ms && median_ms <= max_ms, "{spread:?}");
                assert!(part.contains(&min_ms) && part.contains(&max_ms));
            }
            whole
        };
        assert_eq!(check(&parts), 14.0);
        assert_eq!(check(&[vec![1.0], vec![0.0], vec![3.5]]), 4.5);
        assert_eq!(check(&[vec![0.0; 3], vec![0.0; 3]]), 0.0);
        // Any times, from a linear congruence.
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as f64
        };
        for runs in [1, 2, 3, 4, 11] {
            for count in 1..9 {
                let parts: Vec<Vec<f64>> = (0..count).map(|_| (0..runs).map(|_| next()).collect()).collect();
                check(&parts);
            }
        }
    }
}
