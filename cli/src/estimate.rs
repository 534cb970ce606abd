//! What committing to a model and proving its inferences would cost, before either is done.

use crate::error::Error;
use crate::memory;
use crate::model::Model;
use provenn_algebra::backend::backend;
use provenn_circuits::Modes;
use provenn_circuits::system::KeyShape;
use provenn_models::executor::quantize_input;
use provenn_prover::ProvingKey;
use provenn_prover::rehearsal::{Cost, Rehearsal, Units};
use serde::Serialize;
use std::io::Write;
use std::time::{Duration, Instant};

/// The predicted cost of a model, for this machine. Sizes and counts are exact for these scales and table sizes; times come from
/// unit costs that were measured for it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Estimate {
    /// Parameters.
    pub parameters: u64,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// Threads that were used.
    pub threads: usize,
    /// Kernels: portable or vector ones.
    pub backend: String,
    /// Milliseconds to commit, with quantization and writing.
    pub commit_ms: f64,
    /// Milliseconds that quantizing took: measured, as it was done.
    pub quantize_ms: f64,
    /// Milliseconds to write both keys to the current directory, as far as it can be written to: measured on empty bytes.
    pub write_ms: f64,
    /// Milliseconds to prove an inference, input and output public, with the key loaded.
    pub prove_ms: f64,
    /// Milliseconds to verify a proof, with the key loaded.
    pub verify_ms: f64,
    /// Bytes of a proof, input and output public, without a context.
    pub proof_bytes: usize,
    /// Bytes of the proving key.
    pub proving_key_bytes: usize,
    /// Bytes of the verifying key.
    pub verifying_key_bytes: usize,
    /// Most memory of a process that commits, where the system tells what this one has.
    pub commit_memory_bytes: Option<u64>,
    /// Most memory of a process that loads the key and proves, where the system tells what this one has.
    pub prove_memory_bytes: Option<u64>,
    /// Milliseconds that this estimate took, without the quantization.
    pub estimate_ms: f64,
    /// The layers, in model order.
    pub layers: Vec<LayerEstimate>,
    /// Milliseconds of a proof that belong to no layer. With those of the layers they add up to `prove_ms`.
    pub shared: Vec<SharedEstimate>,
    /// Sizes of the proof's circuit.
    pub circuit: CircuitEstimate,
    /// Unit costs, in nanoseconds.
    pub units: Vec<UnitCost>,
}

/// The predicted cost of one layer in every proof.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct LayerEstimate {
    /// Name of the node that it comes from.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Shape of its output.
    pub output_shape: Vec<usize>,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Parameters.
    pub parameters: u64,
    /// Values committed.
    pub committed: u64,
    /// Leaves of its look-ups.
    pub leaves: u64,
    /// Milliseconds of the prover.
    pub prove_ms: f64,
    /// The same by phase: witness, commitments, look-ups, bilinear, opening.
    pub phases_ms: [f64; 5],
}

/// A part of a proof that belongs to no layer.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SharedEstimate {
    /// What it is.
    pub name: &'static str,
    /// Milliseconds of the prover.
    pub ms: f64,
}

/// Sizes that decide what a proof costs.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CircuitEstimate {
    /// Row length.
    pub n: usize,
    /// Size parameter of the halo2 circuit.
    pub k: u32,
    /// Leaves of the fraction tree.
    pub leaves: usize,
    /// Look-ups.
    pub lookups: usize,
    /// Values committed per proof.
    pub committed: usize,
    /// Their non-zero base-256 digits.
    pub digits: u64,
    /// Columns committed per proof.
    pub columns: usize,
    /// Columns committed in the key.
    pub weight_columns: usize,
    /// Round messages.
    pub rounds: usize,
    /// Gate rows.
    pub gates: usize,
    /// Field elements of the pieces of the claim.
    pub pieces: u64,
}

/// A unit cost.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct UnitCost {
    /// What it is the cost of.
    pub name: &'static str,
    /// Nanoseconds.
    pub ns: f64,
}

impl Estimate {
    /// Predicts what a quantized model costs. `sample` is an input like those to come; `quantizing` is what making the model took, and
    /// `start` the memory that the process had before.
    ///
    /// Nothing is committed or proved. The model is run on the sample, the reduction on random messages, and unit costs are measured,
    /// which takes seconds at most.
    ///
    /// # Errors
    /// [`Error::Prover`] for a model outside the limits of the proof system, [`Error::Model`] for a sample that does not fit.
    pub fn new(
        model: &Model,
        sample: &[f32],
        quantizing: Duration,
        start: Option<u64>,
    ) -> Result<Estimate, Error> {
        let started = Instant::now();
        let (layers, parameters) = (&model.quantized().layers, &model.quantized().parameters);
        let shape = KeyShape::derive(layers)?;
        let commit_memory = memory::with(memory::committing(&shape, layers));
        let deriving = started.elapsed();
        let input = quantize_input(layers, sample)?;
        let units = Units::measure(shape.n)?;
        let system = shape.inference(Modes::PUBLIC);
        let proof = Rehearsal::inference(&shape, system, parameters, &input, &units)?;
        let key = Rehearsal::key(&shape, parameters, &proof.units)?;

        let notes = serde_json::to_vec(&model.notes()).unwrap_or_default().len();
        let proving_key_bytes = ProvingKey::artifact_bytes(layers, &shape, notes);
        let values = layers.values()?;
        let mut rows: Vec<LayerEstimate> = (0..layers.nodes.len())
            .map(|index| {
                let node = &layers.nodes[index];
                let inputs: Vec<_> = node.inputs.iter().map(|&value| &values[value as usize]).collect();
                let own = layers.parameters();
                LayerEstimate {
                    name: model.quantized().layer_names.get(index).cloned().unwrap_or_default(),
                    kind: node.layer.kind().to_string(),
                    output_shape: values[index + 1].shape.clone(),
                    macs: node.layer.macs(&inputs, &values[index + 1]),
                    parameters: own
                        .iter()
                        .filter(|spec| spec.node == index)
                        .map(|spec| spec.len() as u64)
                        .sum(),
                    ..LayerEstimate::default()
                }
            })
            .collect();
        let mut unowned = 0.0;
        for (id, cost) in proof.tensors.iter().enumerate() {
            match system.circuit.origins.tensor(id).and_then(|layer| rows.get_mut(layer)) {
                Some(row) => row.add(cost),
                None => unowned += cost.total(),
            }
        }
        let counts = system.counts();
        let shared = |name, seconds: f64| SharedEstimate { name, ms: 1e3 * seconds };
        let prove_memory = memory::loading_and_proving(
            &shape,
            Modes::PUBLIC,
            layers,
            proving_key_bytes as u64,
            proof.pieces,
        );
        let quantize_ms = 1e3 * quantizing.as_secs_f64();
        let verifying_key_bytes = shape.verifying_key_bytes(layers);
        let write_ms = 1e3 * writing(&[proving_key_bytes, verifying_key_bytes]).as_secs_f64();
        Ok(Estimate {
            parameters: parameters.iter().map(|tensor| tensor.len() as u64).sum(),
            macs: layers.macs()?,
            threads: rayon::current_num_threads(),
            backend: backend().name().to_string(),
            commit_ms: quantize_ms + 1e3 * (deriving.as_secs_f64() + key.prove()) + write_ms,
            quantize_ms,
            write_ms,
            prove_ms: 1e3 * proof.prove(),
            verify_ms: 1e3 * proof.verify,
            proof_bytes: shape.proof_bytes(Modes::PUBLIC, 0),
            proving_key_bytes,
            verifying_key_bytes,
            commit_memory_bytes: commit_memory,
            prove_memory_bytes: start.map(|start| start + prove_memory),
            estimate_ms: 1e3 * started.elapsed().as_secs_f64(),
            layers: rows,
            shared: vec![
                shared("input and tables", unowned),
                shared("masks", proof.masks),
                shared("opening", proof.opening),
                shared("halo2", proof.products),
            ],
            circuit: CircuitEstimate {
                n: shape.n,
                k: shape.k,
                leaves: counts.leaves,
                lookups: counts.lookups,
                committed: counts.committed,
                digits: proof.digits,
                columns: counts.columns,
                weight_columns: counts.weight_columns,
                rounds: counts.rounds,
                gates: counts.gates,
                pieces: proof.pieces,
            },
            units: proof.units.list().map(|(name, seconds)| UnitCost { name, ns: 1e9 * seconds }).to_vec(),
        })
    }
}

/// How long it takes to write files of these sizes to the current directory, so that they are on the disk; nothing if that
/// cannot be done. Nothing is left of them.
fn writing(sizes: &[usize]) -> Duration {
    let started = Instant::now();
    let write = |&size: &usize| -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(".")?;
        file.write_all(&vec![0; size])?;
        file.as_file().sync_all()
    };
    match sizes.iter().try_for_each(write) {
        Ok(()) => started.elapsed(),
        Err(_) => Duration::ZERO,
    }
}

impl LayerEstimate {
    fn add(&mut self, cost: &Cost) {
        let Cost { witness, commitments, lookups, bilinear, opening, .. } = *cost;
        for (slot, seconds) in
            self.phases_ms.iter_mut().zip([witness, commitments, lookups, bilinear, opening])
        {
            *slot += 1e3 * seconds;
        }
        self.prove_ms += 1e3 * cost.total();
        self.committed += cost.committed;
        self.leaves += cost.leaves;
    }
}
