//! Proofs, verifications and inferences of one model, timed.

use super::machine::{command, machine, today};
use crate::failure::Failure;
use crate::output::milliseconds;
use crate::plan;
use crate::progress::Steps;
use provenn::ledger::{Accuracy, Bytes, LayerCost, Ledger, Part, Spread};
use provenn::{
    Costs, Error, LayerList, Modes, Phase, ProveOptions, ProvingKey, Shared, VerifyPhase as Step,
    VerifyingKey, memory,
};
use provenn_circuits::model::ValueSpec;
use provenn_models::executor::{Executor, quantize_input};
use serde_json::Value;
use std::hint::black_box;
use std::time::Instant;

/// What is measured.
pub(super) struct Subject<'s> {
    pub(super) key: &'s ProvingKey,
    pub(super) vk: &'s VerifyingKey,
    pub(super) model: String,
    pub(super) input: &'s [f32],
    /// The input in words.
    pub(super) what: String,
    /// Bytes of the proving and of the verifying key.
    pub(super) key_bytes: [usize; 2],
}

/// All runs, in milliseconds.
#[derive(Default)]
struct Runs {
    costs: Vec<Costs>,
    verify: Vec<f64>,
    /// By run, then by position in [`Step::ALL`].
    steps: Vec<[f64; Step::ALL.len()]>,
    native: Vec<f64>,
    proof_bytes: usize,
}

/// Measures `runs` proofs, each verified, after one to warm up.
pub(super) fn measure(subject: &Subject<'_>, runs: usize, steps: &Steps) -> Result<Ledger, Failure> {
    let Subject { key, vk, input, .. } = *subject;
    steps.step("tables");
    key.warm_up();
    let executor = Executor::new(key.layers(), key.parameters()).map_err(Error::from)?;
    let integers = quantize_input(key.layers(), input).map_err(Error::from)?;
    let mut all = Runs::default();
    let proof = || plan::proving(key, ProveOptions::default().modes).chain(plan::verifying(key.shape()));
    steps.plan((0..=runs).flat_map(|_| proof()));
    for run in 0..=runs {
        steps.part("bench", run, runs);
        let (proof, costs) =
            key.prove_measured(input, ProveOptions::default(), &mut |phase| steps.phase(phase.name()))?;
        let mut marks = Vec::with_capacity(Step::ALL.len());
        let started = Instant::now();
        let observe = &mut |step: Step| {
            marks.push((step, Instant::now()));
            steps.phase(step.name());
        };
        vk.verify_observed(&proof.bytes, b"", observe).map_err(Error::from)?;
        let verified = Instant::now();
        black_box(executor.run(black_box(&integers)).map_err(Error::from)?);
        let native = verified.elapsed();
        if run == 0 {
            continue;
        }
        all.costs.push(costs);
        all.verify.push(milliseconds(verified - started));
        all.steps.push(by_step(&marks, started, verified));
        all.native.push(milliseconds(native));
        all.proof_bytes = proof.bytes.len();
    }
    ledger(subject, &all)
}

/// Milliseconds of each phase, from when it began to when the next did; the first began at `start`.
fn by_step(marks: &[(Step, Instant)], start: Instant, end: Instant) -> [f64; Step::ALL.len()] {
    let starts = [start].into_iter().chain(marks.iter().skip(1).map(|(_, at)| *at));
    let ends = marks.iter().skip(1).map(|(_, at)| *at).chain([end]);
    let mut spent = [0.0; Step::ALL.len()];
    for (((step, _), start), end) in marks.iter().zip(starts).zip(ends) {
        spent[*step as usize] += milliseconds(end - start);
    }
    spent
}

fn ledger(subject: &Subject<'_>, all: &Runs) -> Result<Ledger, Failure> {
    let Subject { key, .. } = *subject;
    let layers = key.layers();
    let values = layers.values().map_err(Error::from)?;
    let ms = |time: fn(&Costs, usize, usize) -> f64, layer: usize, phase: usize| -> Vec<f64> {
        all.costs.iter().map(|costs| time(costs, layer, phase) / 1e6).collect()
    };
    let prove = Spread::new(&ms(|costs, _, _| costs.total(), 0, 0));
    let rows = (0..layers.nodes.len()).map(|layer| ms(|costs, layer, _| costs.layer(layer), layer, 0));
    let shared =
        (0..Shared::ALL.len()).map(|part| ms(|costs, _, part| costs.shared(Shared::ALL[part]), 0, part));
    let mut spreads = Spread::parts(&rows.chain(shared).collect::<Vec<_>>(), prove.median_ms);
    let shared = spreads.split_off(layers.nodes.len());

    let counts = key.shape().inference(Modes::PUBLIC).layer_counts(layers.nodes.len());
    let costs =
        layers.nodes.iter().enumerate().zip(spreads).zip(counts).map(|(((index, node), spread), counts)| {
            let inputs: Vec<&ValueSpec> = node.inputs.iter().map(|&value| &values[value as usize]).collect();
            let macs = node.layer.macs(&inputs, &values[index + 1]);
            let parameters = parameters(layers, index);
            let phases: Vec<Vec<f64>> = (0..LAYER_PHASES.len())
                .map(|phase| {
                    ms(|costs, layer, phase| costs.layer_phase(layer, LAYER_PHASES[phase]), index, phase)
                })
                .collect();
            let per = |count: u64| (count > 0).then(|| spread.median_ms * 1e6 / count as f64);
            LayerCost {
                index,
                name: key.notes().layer_names.get(index).cloned(),
                kind: node.layer.kind().to_string(),
                output_shape: values[index + 1].shape.clone(),
                macs,
                parameters,
                committed: counts.committed as u64,
                lookups: counts.lookups as u64,
                prove: spread,
                phases: named(LAYER_PHASES.map(Phase::name), Spread::parts(&phases, spread.median_ms)),
                share: ratio(spread.median_ms, prove.median_ms),
                ns_per_mac: per(macs),
                ns_per_parameter: per(parameters),
            }
        });
    let verify = Spread::new(&all.verify);
    let steps: Vec<Vec<f64>> =
        (0..Step::ALL.len()).map(|step| all.steps.iter().map(|times| times[step]).collect()).collect();
    let native = Spread::new(&all.native);
    Ok(Ledger {
        model: subject.model.clone(),
        model_id: key.model_id().to_string(),
        version: env!("CARGO_PKG_VERSION").to_string(),
        date: today(),
        command: command(),
        machine: machine(),
        input: subject.what.clone(),
        runs: all.costs.len(),
        layers: costs.collect(),
        shared: named(Shared::ALL.map(Shared::name), shared),
        prove,
        verify,
        verify_phases: named(Step::ALL.map(Step::name), Spread::parts(&steps, verify.median_ms)),
        proof_bytes: all.proof_bytes,
        proof_parts: proof_parts(key, all.proof_bytes),
        proving_key_bytes: subject.key_bytes[0],
        verifying_key_bytes: subject.key_bytes[1],
        peak_memory_bytes: memory::peak(),
        accuracy: key.notes().fidelity.as_ref().and_then(accuracy),
        native,
        overhead: ratio(prove.median_ms, native.median_ms),
    })
}

/// The phases in which layers cost something.
const LAYER_PHASES: [Phase; 5] =
    [Phase::Witness, Phase::Commitments, Phase::Lookups, Phase::Bilinear, Phase::Opening];

fn parameters(layers: &LayerList, node: usize) -> u64 {
    layers.parameters().iter().filter(|spec| spec.node == node).map(|spec| spec.len() as u64).sum()
}

fn named<const N: usize>(names: [&str; N], spreads: Vec<Spread>) -> Vec<Part> {
    names.into_iter().zip(spreads).map(|(name, time)| Part { name: name.to_string(), time }).collect()
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// The messages by what they are, and what the artifact holds besides.
fn proof_parts(key: &ProvingKey, whole: usize) -> Vec<Bytes> {
    let messages = key.shape().inference(Modes::PUBLIC).message_parts(key.shape().k);
    let rest = whole.saturating_sub(messages.iter().map(|(_, bytes)| bytes).sum());
    let all = messages.into_iter().chain([("input, output and header", rest)]);
    all.map(|(name, bytes)| Bytes { name: name.to_string(), bytes }).collect()
}

/// What a key's notes say of the model's fidelity; nothing if they are another program's.
fn accuracy(fidelity: &Value) -> Option<Accuracy> {
    let number = |name: &str| fidelity.get(name).and_then(Value::as_f64);
    Some(Accuracy {
        samples: usize::try_from(fidelity.get("samples")?.as_u64()?).ok()?,
        float: number("float_accuracy"),
        integer: number("integer_accuracy"),
        agreement: number("top1_agreement"),
        greatest_error: number("max_abs_error"),
    })
}
