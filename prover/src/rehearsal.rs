//! What a proof would cost, without making one: a circuit's exact counts times unit costs that are measured now, on this
//! machine, with this process's kernels and threads (docs, "What proving costs", section "Estimate").
//!
//! The reduction is run on random messages, as its forms decide what is opened; nothing is committed or proved.

use crate::columns::ColumnSet;
use crate::contract::Operations;
use crate::early::{Setting, execute};
use crate::error::ProverError;
use crate::hidden::random_vector;
use crate::hooks::Honest;
use crate::lookup::leaves;
use crate::prepared::{Material, Purpose, Seeds, fresh_rng, fresh_seed};
use crate::products::{ProductColumns, ProductRandomness};
use crate::stages::{product_rows, products};
use crate::watch::{Digits, Watch};
use crate::witness::assign;
use ff::Field;
use group::Curve;
use halo2_proofs::plonk::{SingleVerifier, verify_proof};
use provenn_algebra::bilinear::{Bilinear, Operand, Summand};
use provenn_algebra::commit::Committer;
use provenn_algebra::encoding::{compress, decompress};
use provenn_algebra::fractions::{Leaves, Tree};
use provenn_algebra::generators::generators;
use provenn_algebra::inner_products::{Entries, InnerProducts, Pair};
use provenn_algebra::msm::msm;
use provenn_algebra::small::{Coefficients, Integer, combination, fold_rows};
use provenn_algebra::transcript::{ProverTranscript, VerifierTranscript};
use provenn_algebra::{EqAffine, Fp};
use provenn_circuits::circuit::{Circuit, Expr, Role, Source, Step, TensorId};
use provenn_circuits::closing::{Opening, halvings};
use provenn_circuits::forms::{Combined, Form, GATE_COLUMNS, Messages, combine};
use provenn_circuits::layout::{Group, Layout, Piece};
use provenn_circuits::products::ProductKeys;
use provenn_circuits::reduction::{BilinearPoints, BlockKind, Party};
use provenn_circuits::system::{KeyShape, System};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;
use std::borrow::Cow;
use std::convert::Infallible;
use std::hint::black_box;
use std::time::Instant;

/// A measurement is repeated until it has been made so often, or for so long.
const RUNS: usize = 7;
/// Seconds: see [`RUNS`].
const ENOUGH: f64 = 0.25;
/// Bytes that are touched between measurements: about a second-level cache.
const CACHE: usize = 1 << 21;
/// Leaves of the largest tree on which unit costs are measured: larger ones are beyond all caches, as this is.
const TREE: usize = 1 << 19;
/// Entries or terms on which unit costs are measured, at most.
const SAMPLE: usize = 1 << 15;
/// Columns on which unit costs are measured, at most.
const COLUMNS: usize = 64;
/// Columns of weights that are committed to measure what that takes.
const WEIGHT_COLUMNS: usize = 128;
/// Columns that are folded to measure what that takes.
const FOLDED: usize = 128;
/// Fewer of them: see [`FOLDED`].
const FEW: usize = 4;
/// Entries of operands on which the bilinear sum-check is measured.
const BILINEAR: usize = 1 << 12;

/// Points of a proof that are decoded outside of [`System::message_bytes`]'s commitments: of the opening and of halo2.
const OTHER_POINTS: usize = 40;

/// The median of the seconds that `run` takes, once warm.
fn seconds<R>(mut run: impl FnMut() -> R) -> f64 {
    let mut times = Vec::with_capacity(RUNS);
    let mut total = 0.0;
    let mut cache = vec![0u64; CACHE / 8];
    black_box(run());
    while times.len() < RUNS && (total < ENOUGH || times.is_empty()) {
        // In a proof, other steps have used the caches before.
        black_box(&mut cache).iter_mut().for_each(|word| *word += 1);
        let started = Instant::now();
        black_box(run());
        let elapsed = started.elapsed().as_secs_f64();
        total += elapsed;
        times.push(elapsed);
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Unit costs on this machine, in seconds. They hold for one row length.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Units {
    /// Row length.
    pub n: usize,
    /// A non-zero base-256 digit of a committed value.
    pub digit: f64,
    /// A column of committed values.
    pub column: f64,
    /// An entry of a committed column, packed.
    pub entry: f64,
    /// A value that a constraint reads while the witness is computed.
    pub read: f64,
    /// A look-up, or row of a table, that is made a leaf.
    pub lookup: f64,
    /// A multiply-accumulate of integers.
    pub mac: f64,
    /// A product of a field element and an integer in 16 bits, on all threads.
    pub narrow: f64,
    /// A sum of such products.
    pub narrow_sum: f64,
    /// A product of a field element and an integer in 64 bits, on all threads.
    pub wide: f64,
    /// A sum of such products.
    pub wide_sum: f64,
    /// A product of field elements, on one thread.
    pub product: f64,
    /// A padded entry of two operands in all rounds of the bilinear sum-check, over batch variables.
    pub batch_entry: f64,
    /// The same over summed ones.
    pub sum_entry: f64,
    /// A row of a piece of the claim, in all rounds of the row sum-check and its combination.
    pub row: f64,
    /// All rounds that halve the response.
    pub halving: f64,
    /// Setting up a committer: generators, tables of their multiples.
    pub setup: f64,
}

impl Units {
    /// The costs of single operations, with names for people.
    pub fn list(&self) -> [(&'static str, f64); 15] {
        [
            ("digit committed", self.digit),
            ("column committed", self.column),
            ("entry packed", self.entry),
            ("value read", self.read),
            ("leaf made", self.lookup),
            ("multiply-accumulate", self.mac),
            ("product with 16 bits", self.narrow),
            ("sum of products with 16 bits", self.narrow_sum),
            ("product with 64 bits", self.wide),
            ("sum of products with 64 bits", self.wide_sum),
            ("product of field elements", self.product),
            ("entry of batch operands", self.batch_entry),
            ("entry of summed operands", self.sum_entry),
            ("row of a piece", self.row),
            ("halving", self.halving),
        ]
    }

    /// Measures them for row length `n`; a second at most.
    ///
    /// # Errors
    /// [`ProverError::Randomness`] if the operating system gives none.
    pub fn measure(n: usize) -> Result<Units, ProverError> {
        let mut rng = fresh_rng(&mut Honest, Purpose::Masks)?;
        let started = Instant::now();
        let committer = Committer::new(n);
        committer.prepare();
        let setup = started.elapsed().as_secs_f64();
        // Small non-zero integers, in no order.
        let integer = |i: usize| (i as i64 * 37 + i as i64 / 251) % 127 + 1;
        let columns = (SAMPLE / n).clamp(8, COLUMNS);
        let full: Vec<i64> = (0..columns * n).map(integer).collect();
        let sparse: Vec<i64> =
            full.iter().enumerate().map(|(i, &v)| if i % n == 0 { v } else { 0 }).collect();
        let blinding = provenn_algebra::commit::blinding_points(&random_vector(&mut rng, columns));
        let commit = |entries: &[i64]| {
            let entries: Vec<&[i64]> = entries.chunks(n).collect();
            seconds(|| committer.commit_small_onto(&entries, &blinding))
        };
        let (with_all, with_one) = (commit(&full), commit(&sparse));
        let digit = ((with_all - with_one) / (columns * (n - 1)) as f64).max(0.0);
        let column = with_one / columns as f64;

        let narrow: Vec<i16> = (0..FOLDED * n).map(|i| integer(i) as i16).collect();
        let wide: Vec<i64> = narrow.iter().map(|&v| v.into()).collect();
        let weights = random_vector(&mut rng, FOLDED);
        let (narrow_sum, narrow) = fold_units(n, &weights, &narrow);
        let (wide_sum, wide) = fold_units(n, &weights, &wide);

        let elements = random_vector(&mut rng, 1 << 10);
        let product = seconds(|| elements.iter().zip(elements.iter().rev()).map(|(a, b)| *a * b).sum::<Fp>())
            / elements.len() as f64;
        let batch_entry = bilinear_unit(&Summand {
            a: Operand::Integers(vec![1; BILINEAR]),
            c: Operand::Integers((0..BILINEAR).map(integer).collect()),
            batch: BILINEAR.ilog2() as usize,
            sum: 0,
            coefficients: [Fp::ONE; 2],
        });
        let sum_entry = bilinear_unit(&Summand {
            a: Operand::Field(random_vector(&mut rng, BILINEAR)),
            c: Operand::Integers((0..BILINEAR).map(integer).collect()),
            batch: 0,
            sum: BILINEAR.ilog2() as usize,
            coefficients: [Fp::ONE; 2],
        });
        let mac = seconds(|| {
            let mut products = Vec::with_capacity(columns);
            provenn_algebra::small::row_products(&full[..n], &full, &mut products);
            products
        }) / full.len() as f64;

        let row = row_unit(n, &mut rng);
        let halving = match halvings(n) {
            0 => 0.0,
            rounds => {
                let side = |high: bool| {
                    let mut side = random_vector(&mut rng.clone(), n + 2);
                    let half = n / 2;
                    side[2..][if high { half..n } else { 0..half }].fill(Fp::ZERO);
                    side
                };
                let sides = [side(false), side(true)];
                rounds as f64 * seconds(|| committer.sums(&[&sides[0], &sides[1]]))
            }
        };
        Ok(Units {
            n,
            digit,
            column,
            entry: 0.0,
            read: 0.0,
            lookup: 0.0,
            mac,
            narrow,
            narrow_sum,
            wide,
            wide_sum,
            product,
            batch_entry,
            sum_entry,
            row,
            halving,
            setup,
        })
    }
}

/// Seconds per entry of all rounds over one product.
fn bilinear_unit(summand: &Summand) -> f64 {
    let point = vec![fixed_point(); summand.batch];
    let run = || {
        let mut rounds = Bilinear::new(vec![summand.clone()], &point);
        let bind = |rounds: &mut Bilinear, variables: usize| {
            for _ in 0..variables {
                black_box(rounds.sums());
                rounds.bind(&fixed_point());
            }
        };
        bind(&mut rounds, summand.batch);
        rounds.begin_sum_phase();
        bind(&mut rounds, summand.sum);
        rounds.ends()
    };
    seconds(run) / (1 << (summand.batch + summand.sum)) as f64
}

/// Seconds of a sum of products of field elements and integers, and of each product; on all threads.
fn fold_units<T: Integer>(n: usize, weights: &[Fp], entries: &[T]) -> (f64, f64) {
    let tasks = 2 * rayon::current_num_threads();
    let time = |columns: usize| {
        let fold = |_| fold_rows(&Coefficients::new(&weights[..columns]), &entries[..columns * n], n);
        seconds(|| (0..tasks).into_par_iter().map(fold).collect::<Vec<_>>()) / (tasks * n) as f64
    };
    let (few, many) = (time(FEW), time(FOLDED));
    let product = ((many - few) / (FOLDED - FEW) as f64).max(0.0);
    ((few - FEW as f64 * product).max(0.0), product)
}

/// See [`Units::row`].
fn row_unit(n: usize, rng: &mut ChaCha20Rng) -> f64 {
    let pairs = (SAMPLE / n).clamp(8, COLUMNS);
    let vectors: Vec<Vec<Fp>> = (0..pairs).map(|_| random_vector(rng, n)).collect();
    let coefficients = random_vector(rng, pairs);
    let all = seconds(|| {
        let pairs: Vec<Pair<'_>> =
            vectors.iter().map(|x| Pair { x: Entries::Field(x), u: x, first: 0 }).collect();
        let variables = n.ilog2() as usize;
        let mut products = InnerProducts::new(&pairs, variables);
        for _ in 0..variables {
            black_box(products.sums());
            products.bind(&coefficients[0]);
        }
        (products, combination(&coefficients, &vectors, n))
    });
    all / (pairs * n) as f64
}

/// Seconds that a proof spends on what belongs to one tensor, by phase.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Computing it, with what is looked up.
    pub witness: f64,
    /// Committing to it.
    pub commitments: f64,
    /// Leaves of its look-ups.
    pub lookups: f64,
    /// The contracts that give it.
    pub bilinear: f64,
    /// Folding its columns.
    pub opening: f64,
    /// Values committed in every proof.
    pub committed: u64,
    /// Leaves of the fraction tree.
    pub leaves: u64,
}

impl Cost {
    /// All phases.
    pub fn total(&self) -> f64 {
        self.witness + self.commitments + self.lookups + self.bilinear + self.opening
    }
}

/// What one proof of a circuit would cost, in seconds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rehearsal {
    /// What belongs to each tensor of the circuit. Look-ups belong to the tensor that they are about, those of tables to the
    /// multiplicities.
    pub tensors: Vec<Cost>,
    /// Masks, one-time vectors, and the commitments to them.
    pub masks: f64,
    /// Rounds and combinations of the opening that belong to no tensor.
    pub opening: f64,
    /// The halo2 proof.
    pub products: f64,
    /// Verification of the proof, with the key loaded.
    pub verify: f64,
    /// Field elements of the pieces of the claim, as they are opened.
    pub pieces: u64,
    /// Non-zero base-256 digits that are committed.
    pub digits: u64,
    /// The unit costs.
    pub units: Units,
}

impl Rehearsal {
    /// All of the proof.
    pub fn prove(&self) -> f64 {
        self.tensors.iter().map(Cost::total).sum::<f64>() + self.masks + self.opening + self.products
    }

    /// Rehearses the proof of an inference. The model is run on `input`, which decides how many digits are not zero.
    ///
    /// # Errors
    /// As [`ProvingKey::prove`](crate::ProvingKey::prove).
    pub fn inference(
        shape: &KeyShape,
        system: &System,
        parameters: &[Vec<i64>],
        input: &[i64],
        units: &Units,
    ) -> Result<Rehearsal, ProverError> {
        let run =
            || assign(&system.circuit, parameters, Some(input), &mut Watch::new(&mut |_| {}), |_, _, _| {});
        let values = run()?;
        let witness = seconds(|| run().map(|values| values.len()));
        let mut units = *units;
        let (reads, macs) = (witness_reads(&system.circuit), witness_macs(&system.circuit));
        let spent = macs.iter().sum::<u64>() as f64 * units.mac;
        // What is not multiplication is reading; the whole is measured.
        units.read = (witness - spent).max(witness / 10.0) / reads.iter().sum::<u64>().max(1) as f64;
        let scale =
            witness / cost_of_witness(&reads, &macs, &units).iter().sum::<f64>().max(f64::MIN_POSITIVE);
        units.read *= scale;
        units.mac *= scale;
        let layout = &system.layout;
        let entries = (layout.witness.len() * layout.n).max(1);
        let group = Group::Witness;
        let lay_out = || {
            ColumnSet::lay_out(&system.circuit, layout, group, &values, vec![], &mut Watch::new(&mut |_| {}))
        };
        let laid_out = seconds(lay_out);
        units.entry = (seconds(|| lay_out().pack()) - laid_out).max(0.0) / entries as f64;
        let digits: Vec<u64> = values.iter().map(|values| digits(values)).collect();
        if let Some(plan) = &system.plan.leaves {
            let point = fixed_point();
            let all = seconds(|| {
                leaves(&system.circuit, plan, &values, (point, point), &mut Watch::new(&mut |_| {}))
            });
            units.lookup = all / plan.len as f64;
        }
        let committer = Committer::new(shape.n);
        committer.prepare();
        let setting = Setting { system, k: shape.k, committer: &committer };
        let execute = || {
            execute(&setting, parameters, Some(input), None, &mut Honest, &mut Watch::new(&mut |_| {}))
                .map(|(values, _, _)| values.len())
        };
        execute()?;
        let together = seconds(execute);
        rehearse(&setting, &digits, &units, |_, _| together)
    }

    /// Rehearses the key proof and the commitments to the weights. Values are taken to be spread evenly over their ranges. The unit
    /// costs must be those of a rehearsed inference: they tell what reading a value takes.
    ///
    /// # Errors
    /// As [`ProvingKey::commit`](crate::ProvingKey::commit).
    pub fn key(shape: &KeyShape, parameters: &[Vec<i64>], units: &Units) -> Result<Rehearsal, ProverError> {
        let system = &shape.key;
        let expected: Vec<u64> = system
            .circuit
            .tensors
            .iter()
            .map(|tensor| match tensor.role {
                Role::Weight(index) => digits(&parameters[index]),
                Role::Multiplicity(_) => {
                    tensor.len() as u64 * digits(&[tensor.range.hi / tensor.len() as i64 + 1])
                }
                _ => {
                    let values = (tensor.range.hi - tensor.range.lo + 1).max(1) as f64;
                    (tensor.len() as f64 * (1.0 - 1.0 / values)) as u64
                }
            })
            .collect();
        let committer = Committer::new(shape.n);
        committer.prepare();
        let setting = Setting { system, k: shape.k, committer: &committer };
        let (reads, macs) = (witness_reads(&system.circuit), witness_macs(&system.circuit));
        let witness: f64 = cost_of_witness(&reads, &macs, units).iter().sum();
        // The witness is computed on one thread; the commitments' units are of all threads.
        let threads = rayon::current_num_threads() as f64;
        let together =
            |masks: f64, commitments: f64| ((witness + masks) / threads + commitments).max(witness);
        let mut rehearsal = rehearse(&setting, &expected, units, together)?;
        let weight = weight_unit(shape.n, parameters)?;
        for (tensor, cost) in system.circuit.tensors.iter().zip(&mut rehearsal.tensors) {
            if matches!(tensor.role, Role::Weight(_)) {
                cost.commitments += tensor.len() as f64 * weight;
            }
        }
        // One of the two tables is built, as soon as it pays.
        rehearsal.opening += units.setup / 2.0;
        Ok(rehearsal)
    }
}

/// Seconds to commit to an entry of the weights, measured on some of them.
fn weight_unit(n: usize, parameters: &[Vec<i64>]) -> Result<f64, ProverError> {
    let all: Vec<&[i64]> = parameters.iter().flat_map(|tensor| tensor.chunks(n)).collect();
    let columns: Vec<&[i64]> =
        all.iter().step_by(all.len().div_ceil(WEIGHT_COLUMNS).max(1)).copied().collect();
    let entries: usize = columns.iter().map(|column| column.len()).sum();
    let blinds = random_vector(&mut fresh_rng(&mut Honest, Purpose::Masks)?, columns.len());
    let committer = Committer::new(n);
    committer.prepare();
    Ok(seconds(|| committer.commit_small(&columns, &blinds)) / entries.max(1) as f64)
}

/// Non-zero digits of all values, as they are committed.
fn digits(values: &[i64]) -> u64 {
    Digits::of(values).nonzero
}

/// Any field element that is not small.
fn fixed_point() -> Fp {
    Fp::from(3).pow_vartime([1 << 40])
}

/// Values read to compute each tensor, with those that are looked up.
fn witness_reads(circuit: &Circuit) -> Vec<u64> {
    let mut reads = vec![0; circuit.tensors.len()];
    let cost = |expr: &Expr, extents: &[usize]| -> u64 {
        let len = |extents: &[usize]| extents.iter().map(|&extent| extent as u64).product::<u64>();
        len(extents) + expr.terms.iter().map(|(_, view)| len(&view.indices(extents))).sum::<u64>()
    };
    let of_source =
        |source: &Source| source.parts.iter().map(|part| cost(&part.expr, &part.extents)).sum::<u64>();
    for step in &circuit.steps {
        let read = match step {
            Step::Store { source, .. } => of_source(source),
            Step::Limbs { source, limbs } => (1 + limbs.len() as u64) * of_source(source),
            Step::Divide { source, remainder, .. } => (4 + remainder.len() as u64) * of_source(source),
            Step::Larger { extents, operands, .. } => operands.iter().map(|expr| cost(expr, extents)).sum(),
            Step::Map { source, outputs, .. } => (1 + outputs.len() as u64) * of_source(source),
        };
        if let Some(&output) = step.outputs().first() {
            reads[output] += read;
        }
    }
    for (index, lookup) in circuit.lookups.iter().enumerate() {
        if let Some(first) = lookup.exprs.first() {
            let subject = subject(circuit, &lookup.exprs, circuit.origins.lookup(index));
            reads[subject] += cost(first, &lookup.extents);
        }
    }
    reads
}

/// Multiply-accumulates that give each tensor.
fn witness_macs(circuit: &Circuit) -> Vec<u64> {
    let mut macs = vec![0; circuit.tensors.len()];
    for (index, contract) in circuit.contracts.iter().enumerate() {
        let boxes = [&contract.b, &contract.i, &contract.j, &contract.k];
        let products: u64 = boxes.into_iter().flatten().map(|&extent| extent as u64).product();
        macs[subject(circuit, [&contract.expr], circuit.origins.contract(index))] += products;
    }
    macs
}

fn cost_of_witness(reads: &[u64], macs: &[u64], units: &Units) -> Vec<f64> {
    reads
        .iter()
        .zip(macs)
        .map(|(&reads, &macs)| reads as f64 * units.read + macs as f64 * units.mac)
        .collect()
}

/// The tensor that expressions of a constraint are about: the first that they read and that was made for the constraint's layer, else
/// the first that a proof commits to or shows.
fn subject<'e>(
    circuit: &Circuit,
    exprs: impl IntoIterator<Item = &'e Expr>,
    layer: Option<usize>,
) -> TensorId {
    let read: Vec<TensorId> = exprs
        .into_iter()
        .flat_map(|expr| &expr.terms)
        .map(|(_, view)| view.tensor)
        .filter(|&tensor| circuit.tensors[tensor].role != Role::Ones)
        .collect();
    let own = read.iter().find(|&&tensor| circuit.origins.tensor(tensor) == layer);
    own.or(read.first()).copied().unwrap_or(0)
}

/// The parts of a rehearsal that are the same for every circuit. `digits` are those of each tensor. `together` tells what the witness,
/// the masks and the commitments take together, given what the last two take alone.
fn rehearse(
    setting: &Setting<'_>,
    digits: &[u64],
    units: &Units,
    together: impl Fn(f64, f64) -> f64,
) -> Result<Rehearsal, ProverError> {
    let &Setting { system, k, committer } = setting;
    let System { circuit, layout, .. } = system;
    let n = layout.n;
    let mut tensors = vec![Cost::default(); circuit.tensors.len()];
    let (reads, macs) = (witness_reads(circuit), witness_macs(circuit));
    for (cost, seconds) in tensors.iter_mut().zip(cost_of_witness(&reads, &macs, units)) {
        cost.witness = seconds;
    }

    let committed = |id: TensorId| {
        layout.placements[id].is_some() && Group::of(circuit.tensors[id].role) != Some(Group::Weight)
    };
    let mut all_digits = 0;
    for (id, tensor) in circuit.tensors.iter().enumerate().filter(|&(id, _)| committed(id)) {
        all_digits += digits[id];
        tensors[id].committed = tensor.len() as u64;
        let columns = tensor.len() as f64 / n as f64;
        tensors[id].commitments = digits[id] as f64 * units.digit + columns * units.column;
    }
    let made = |late: bool| -> Result<f64, ProverError> {
        let seeds = || Seeds::fresh(&mut Honest);
        let material = || {
            let make = if late { Material::new } else { Material::without_late_points };
            seeds().map(|seeds| make(system, k, committer, seeds))
        };
        material()?;
        Ok(seconds(material))
    };
    let masks = made(false)?;
    // Made during the reduction, by a thread that has some other work too.
    let late = (made(true)? - masks).max(0.0) / rayon::current_num_threads() as f64;
    let witness: f64 = tensors.iter().map(|cost| cost.witness).sum();
    let commitments: f64 = tensors.iter().map(|cost| cost.commitments).sum();
    let longer = (together(masks, commitments) - witness).max(0.0) / (masks + commitments);
    for (id, tensor) in circuit.tensors.iter().enumerate().filter(|&(id, _)| committed(id)) {
        tensors[id].commitments = longer * tensors[id].commitments + tensor.len() as f64 * units.entry;
    }
    let masks = longer * masks + late;
    let run = Dummy::run(system)?;
    let leaf = leaf_unit(system);
    if let Some(plan) = &system.plan.leaves {
        for block in &plan.blocks {
            let tensor = match block.kind {
                BlockKind::Site(l) => subject(circuit, &circuit.lookups[l].exprs, circuit.origins.lookup(l)),
                BlockKind::Table(_, multiplicities) => multiplicities,
            };
            let leaves = 1u64 << block.variables;
            tensors[tensor].leaves += leaves;
            tensors[tensor].lookups += leaves as f64 * (leaf + units.lookup);
        }
    }
    for (index, contract) in circuit.contracts.iter().enumerate() {
        let Some(points) = &run.points else { break };
        let operations = Operations::new(circuit, index, points);
        let subject = subject(circuit, [&contract.expr], circuit.origins.contract(index));
        tensors[subject].bilinear += operations.integers as f64 * units.wide
            + operations.sums as f64 * units.wide_sum
            + operations.elements as f64 * units.product
            + operations.reads as f64 * units.read
            + operations.batch as f64 * units.batch_entry
            + operations.sum as f64 * units.sum_entry;
    }

    let owners = owners(circuit, layout);
    for piece in &run.pieces {
        let entries = (piece.columns.len() * n) as f64;
        let fold = match piece.columns.len() {
            // A column that stands for itself.
            1 => 0.0,
            _ => entries * units.narrow + n as f64 * units.narrow_sum,
        };
        let each = (fold + n as f64 * units.row) / piece.columns.len() as f64;
        for column in piece.first..piece.first + piece.columns.len() {
            tensors[owners[column]].opening += each;
        }
    }
    for &owner in &owners {
        // The sum of all columns is taken at once, on all threads.
        tensors[owner].opening += n as f64 * units.narrow;
    }
    share(&mut tensors, run.lookups * run.reduce, |cost| &mut cost.lookups);
    share(&mut tensors, (1.0 - run.lookups) * run.reduce, |cost| &mut cost.bilinear);
    let others = (system.mask_columns + GATE_COLUMNS) as f64 * n as f64 * units.row;
    let opening = others + units.halving + run.combine + run.pieces_seconds + run.coefficients;
    let columns = if rayon::current_num_threads() > 1 { product_columns(k)? } else { 0.0 };
    let halo2 = (seconds(|| products(k).map(|proof| proof.len())) - columns).max(0.0);
    let verify = verification(system, k, &run)?;
    let pieces = run.pieces.iter().map(|piece| (piece.columns.len() + piece.rows.len()) as u64).sum();
    Ok(Rehearsal {
        tensors,
        masks,
        opening,
        products: halo2,
        verify,
        pieces,
        digits: all_digits,
        units: *units,
    })
}

/// Seconds for the part of a halo2 proof that is made during the opening, where there is a thread for it.
fn product_columns(k: u32) -> Result<f64, ProverError> {
    let (keys, rows) = (ProductKeys::get(k), product_rows(k));
    let randomness = ProductRandomness::from_seed(&*fresh_seed(&mut Honest, Purpose::Products)?, k);
    Ok(seconds(|| ProductColumns::new(keys, &rows, &randomness).is_ok()))
}

/// Adds seconds to a part of the tensors' costs, in proportion to what they are.
fn share(tensors: &mut [Cost], seconds: f64, part: impl Fn(&mut Cost) -> &mut f64) {
    let total: f64 = tensors.iter_mut().map(|cost| *part(cost)).sum();
    if total > 0.0 {
        tensors.iter_mut().map(part).for_each(|part| *part *= 1.0 + seconds / total);
    }
}

/// Seconds per leaf, of the tree and its rounds.
fn leaf_unit(system: &System) -> f64 {
    let Some(plan) = &system.plan.leaves else { return 0.0 };
    // A tree of the same form, smaller by a power of two if it is large.
    let smaller = (plan.len / TREE).next_power_of_two().ilog2() as usize;
    let (len, variables) = (plan.len >> smaller, plan.variables - smaller);
    let tables: usize = plan
        .blocks
        .iter()
        .filter(|block| matches!(block.kind, BlockKind::Table(..)))
        .map(|block| 1 << block.variables)
        .sum();
    let tables = (tables >> smaller).max(1);
    let values: Vec<i64> = (0..tables as i64).collect();
    let point: Vec<Fp> =
        std::iter::successors(Some(fixed_point()), |x| Some(x.square())).take(variables).collect();
    let mut tree = Vec::new();
    for run in 0..RUNS {
        let mut leaves = Leaves::new();
        leaves.resize(len);
        let first = leaves.rows(&point[0], &[point[0].square()], &[&values]);
        let (p, q) = leaves.entries();
        for (leaf, (p, q)) in p.iter_mut().zip(q).enumerate() {
            let row = first + (leaf * 7919 % tables) as u32;
            (*p, *q) = (if leaf < len - tables.min(len) { Leaves::ONE } else { row }, row);
        }
        let started = Instant::now();
        let mut nodes = Tree::new(leaves, variables);
        let root = nodes.root();
        for level in 1..variables {
            let mut layer = nodes.layer(&point[..level], &point[0]);
            for rho in &point[..level] {
                black_box(layer.sums());
                layer.bind(rho);
            }
            black_box(layer.end());
        }
        black_box(root);
        if run > 0 {
            tree.push(started.elapsed().as_secs_f64());
        }
        if tree.iter().sum::<f64>() > ENOUGH {
            break;
        }
    }
    tree.sort_by(f64::total_cmp);
    let tree = tree[tree.len() / 2];
    tree / len as f64
}

/// The tensor with most entries of each column.
fn owners(circuit: &Circuit, layout: &Layout) -> Vec<TensorId> {
    let mut owners = vec![0; layout.columns()];
    let mut most = vec![0; layout.columns()];
    for (id, tensor) in circuit.tensors.iter().enumerate() {
        for column in layout.columns_of(id, &tensor.shape) {
            if most[column] < tensor.len() {
                (owners[column], most[column]) = (id, tensor.len());
            }
        }
    }
    owners
}

/// The reduction, on random messages.
struct Dummy {
    rng: ChaCha20Rng,
    masked: Messages,
    forms: Vec<Form>,
    points: Option<BilinearPoints>,
    /// When the bilinear sum-check began.
    began: Option<Instant>,
}

impl Party for Dummy {
    type Error = Infallible;

    fn challenge(&mut self) -> Fp {
        Fp::random(&mut self.rng)
    }

    fn round(&mut self, _first: usize) -> Result<(), Infallible> {
        let messages = [self.challenge(), self.challenge()];
        self.masked.rounds.extend(messages);
        Ok(())
    }

    fn gate(&mut self, _row: usize) -> Result<(), Infallible> {
        let cells = std::array::from_fn(|_| self.challenge());
        self.masked.gates.push(cells);
        Ok(())
    }

    fn assert_zero(&mut self, form: Form) {
        self.forms.push(form);
    }

    fn begin_contracts(&mut self, points: &BilinearPoints) {
        (self.points, self.began) = (Some(points.clone()), Some(Instant::now()));
    }
}

/// What a reduction leaves to be opened, and the seconds of its steps.
struct Reduced {
    points: Option<BilinearPoints>,
    pieces: Vec<Piece>,
    reduce: f64,
    /// The share of the look-ups in `reduce`.
    lookups: f64,
    combine: f64,
    pieces_seconds: f64,
    coefficients: f64,
}

impl Dummy {
    fn run(system: &System) -> Result<Reduced, ProverError> {
        let circuit = &system.circuit;
        let public: Vec<Cow<'_, [i64]>> = circuit
            .tensors
            .iter()
            .map(|tensor| Cow::Owned(vec![0; if tensor.role.is_public() { tensor.len() } else { 0 }]))
            .collect();
        let rng = fresh_rng(&mut Honest, Purpose::Masks)?;
        let start = || Dummy {
            rng: rng.clone(),
            masked: Messages::default(),
            forms: Vec::new(),
            points: None,
            began: None,
        };
        let reduced = || {
            let mut party = start();
            match system.reduce(&mut party) {
                Ok(()) => party,
            }
        };
        let reduce = seconds(reduced);
        let started = Instant::now();
        let Dummy { mut rng, masked, forms, points, began } = reduced();
        let lookups = began.map_or(1.0, |began| {
            (began - started).as_secs_f64() / started.elapsed().as_secs_f64().max(f64::MIN_POSITIVE)
        });
        let challenge = Fp::random(&mut rng);
        let combined = || -> Combined { combine(forms.clone(), challenge, &masked, circuit, &public) };
        let combine = seconds(combined);
        let combined = combined();
        let pieces_seconds = seconds(|| combined.pieces(circuit, &system.layout));
        let pieces = combined.pieces(circuit, &system.layout);
        let point = random_vector(&mut rng, system.layout.nu());
        let coefficients = seconds(|| Opening::new(&combined, system, &point).columns.len());
        Ok(Reduced { points, pieces, reduce, lookups, combine, pieces_seconds, coefficients })
    }
}

/// Seconds of a verification.
fn verification(system: &System, k: u32, run: &Reduced) -> Result<f64, ProverError> {
    let layout = &system.layout;
    let mut rng = fresh_rng(&mut Honest, Purpose::Masks)?;
    let read = layout.columns() - layout.weights.len() + system.mask_columns + OTHER_POINTS;
    let terms = layout.n + layout.columns() + system.mask_columns + (1 << k) + OTHER_POINTS;
    let bases: Vec<EqAffine> = generators(terms.min(SAMPLE)).g;
    let scalars = random_vector(&mut rng, bases.len());
    let sum = seconds(|| msm(&scalars, &bases).to_affine()) * terms as f64 / bases.len() as f64;
    let points = compress(&bases[..read.min(bases.len())]);
    let decoding = seconds(|| decompress(&points).is_ok()) * read as f64 / points.len() as f64;

    let keys = ProductKeys::get(k);
    let proof = products(k)?;
    let halo2 = seconds(|| {
        let mut transcript = VerifierTranscript::new(&proof);
        verify_proof(&keys.params, &keys.vk, SingleVerifier::new(&keys.params), &[&[]], &mut transcript)
            .is_ok()
    });
    let messages = system.message_bytes(k) / 32;
    let reading = seconds(|| {
        let mut transcript = ProverTranscript::new();
        for scalar in &scalars[..messages.min(scalars.len())] {
            transcript.scalar(scalar);
        }
        transcript.challenge()
    }) * messages as f64
        / messages.min(scalars.len()) as f64;
    Ok(sum + decoding + halo2 + reading + run.reduce + run.combine + run.coefficients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::models::Recipe;
    use crate::{ProveOptions, ProvingKey};
    use provenn_circuits::Modes;
    use provenn_circuits::system::KeyShape;

    #[test]
    fn counts_and_sizes_are_those_of_proofs() {
        for recipe in [
            Recipe::default(),
            Recipe { rows: 3, widths: vec![40, 33, 5], raw_output: false, ..Recipe::default() },
        ] {
            let model = recipe.build();
            let key =
                ProvingKey::commit(model.layers.clone(), model.parameters.clone(), vec![7; 9], &mut |_| {})
                    .expect("a valid model");
            let shape = KeyShape::derive(&model.layers).expect("a valid model");
            let len = model.layers.input_shape.iter().map(|&d| d as usize).product();
            let input = vec![1; len];
            let units = Units::measure(shape.n).expect("the system gives randomness");
            for modes in Modes::ALL {
                let context = b"what it is for";
                let proof = key.prove(&input, ProveOptions { modes, context }).expect("a valid input");
                assert_eq!(proof.bytes.len(), shape.proof_bytes(modes, context.len()), "{modes:?}");
                let system = shape.inference(modes);
                let rehearsal = Rehearsal::inference(&shape, system, &model.parameters, &input, &units)
                    .expect("a valid input");
                let counts = system.counts();
                let sum = |part: fn(&Cost) -> u64| rehearsal.tensors.iter().map(part).sum::<u64>();
                assert_eq!(sum(|cost| cost.committed), counts.committed as u64);
                assert_eq!(sum(|cost| cost.leaves), counts.leaves as u64);
                assert!(rehearsal.prove() > 0.0 && rehearsal.verify > 0.0);
            }
            let artifact = key.to_bytes().expect("a small key");
            assert_eq!(artifact.len(), ProvingKey::artifact_bytes(&model.layers, &shape, 9));
            let public = key.verifying_key().expect("a small key");
            assert_eq!(public.len(), shape.verifying_key_bytes(&model.layers));
            let key = Rehearsal::key(&shape, &model.parameters, &units).expect("a valid model");
            assert_eq!(
                key.tensors.iter().map(|cost| cost.leaves).sum::<u64>(),
                shape.key.counts().leaves as u64
            );
        }
    }
}
