//! What is to come, for the bar: rough nanoseconds of two cores with vector kernels. Only their proportions show, as the time
//! that is left is told from the time that has passed. `provenn estimate` predicts times from measured costs.

use crate::progress::Planned;
use provenn::{Modes, Phase, ProvingKey, Stage, VerifyPhase};
use provenn_circuits::system::{KeyShape, System};

/// Quantizing on so many samples, and what comes after it as far as that is known: as long again.
pub(crate) fn quantizing(samples: usize) -> impl Iterator<Item = Planned> {
    let weights = samples.min(32) as f64;
    let cost = move |stage| match stage {
        Stage::Calibration => 1.0 + samples as f64,
        Stage::Weights => 6.0 * weights,
        Stage::Tables => 10.0,
        Stage::Fidelity => 2.0 * samples as f64,
    };
    let all: f64 = Stage::ALL.into_iter().map(cost).sum();
    let steps = Stage::ALL.into_iter().map(move |stage| (stage.name(), cost(stage)));
    steps.chain([(Phase::Commitments.name(), all)]).map(|(step, units)| (step, 1e5 * units))
}

/// Committing to so many parameters.
pub(crate) fn committing(shape: &KeyShape, parameters: usize) -> impl Iterator<Item = Planned> {
    [(Phase::Commitments.name(), 60.0 * parameters as f64)]
        .into_iter()
        .chain(transcript(&shape.key, 0))
        .chain([("writing", 2e7)])
}

/// Proving an inference.
pub(crate) fn proving(key: &ProvingKey, modes: Modes) -> impl Iterator<Item = Planned> {
    transcript(key.shape().inference(modes), key.layers().macs().unwrap_or(0))
}

/// Verifying a proof.
pub(crate) fn verifying(shape: &KeyShape) -> impl Iterator<Item = Planned> {
    let counts = shape.inference(Modes::PUBLIC).counts();
    let terms = shape.n + counts.columns + counts.weight_columns;
    let all = 2e6 + 5e3 * terms as f64;
    VerifyPhase::ALL.into_iter().map(move |phase| {
        let share = match phase {
            VerifyPhase::Equation => 0.64,
            VerifyPhase::Reduction => 0.13,
            _ => 0.04,
        };
        (phase.name(), share * all)
    })
}

/// One transcript, of an inference with so many multiply-accumulates.
fn transcript(system: &System, macs: u64) -> impl Iterator<Item = Planned> {
    let (counts, n) = (system.counts(), system.layout.n);
    let [committed, leaves, columns, entries, pieces] = [
        counts.committed,
        counts.leaves,
        counts.columns,
        n * (counts.columns + counts.weight_columns),
        usize::try_from(system.piece_elements()).unwrap_or(usize::MAX),
    ]
    .map(|count| count as f64);
    let bilinear = !system.circuit.contracts.is_empty();
    let phases = Phase::ALL.into_iter().filter(move |&phase| bilinear || phase != Phase::Bilinear);
    phases.map(move |phase| {
        let nanoseconds = match phase {
            Phase::Witness => 25.0 * committed + 0.5 * macs as f64,
            Phase::Commitments => 1.5e6 + 60.0 * committed + 2e3 * columns,
            Phase::Lookups => 110.0 * leaves,
            Phase::Bilinear => 3e5 + 20.0 * committed + 1.2 * entries,
            Phase::Opening => 1e6 + 3.0 * entries + 40.0 * pieces,
            _ => 1.5e6,
        };
        (phase.name(), nanoseconds)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use provenn::{Dataset, Model, ProveOptions, QuantizeOptions, VerifyingKey, import, zoo};

    /// Every step that is told is planned, in that order.
    #[track_caller]
    fn check(planned: impl Iterator<Item = Planned>, told: &[&str]) {
        let planned: Vec<&str> = planned
            .map(|(step, nanoseconds)| {
                assert!(nanoseconds.is_finite() && nanoseconds > 0.0, "{step}: {nanoseconds}");
                step
            })
            .collect();
        assert_eq!(planned, told);
    }

    #[test]
    fn plans_are_what_is_done() {
        let digits = zoo::digits_mlp();
        let float = import(digits.onnx).unwrap();
        let samples = Dataset::from_npz_bytes(digits.samples_npz, float.input_len()).unwrap();
        let mut told = vec![];
        let options = QuantizeOptions::default();
        let model =
            Model::quantize_observed(&float, &samples, &options, &mut |stage| told.push(stage.name()));
        let model = model.unwrap();
        told.push("commitments");
        check(quantizing(samples.samples.len()), &told);

        told.clear();
        let key = model.commit_observed(&mut |phase| told.push(phase.name())).unwrap();
        told.push("writing");
        check(committing(key.shape(), 1), &told);

        told.clear();
        let options = ProveOptions::default();
        let input = &samples.samples[0];
        let proof = key.prove_observed(input, options, &mut |phase| told.push(phase.name())).unwrap();
        check(proving(&key, options.modes), &told);

        told.clear();
        let vk = VerifyingKey::from_bytes(&key.verifying_key().unwrap()).unwrap();
        vk.verify_observed(&proof.bytes, b"", &mut |phase| told.push(phase.name())).unwrap();
        check(verifying(key.shape()), &told);
    }
}
