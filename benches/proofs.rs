//! The steps of a proof, and whole proofs of the bundled models.
#![allow(missing_docs, reason = "criterion's macros generate undocumented functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use halo2_proofs::plonk::create_proof;
use provenn_algebra::transcript::ProverTranscript;
use provenn_benches as models;
use provenn_circuits::products::{MIN_K, ProductCircuit, ProductKeys};
use provenn_models::zoo::{self, ZooModel};
use provenn_prover::stages::{Reduction, product_rows, products};
use provenn_prover::{ProveOptions, ProvingKey};
use provenn_verifier::{Phase, VerifyingKey};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// LogUp-GKR over the look-ups of one rectifier layer.
fn lookups(c: &mut Criterion) {
    let mut group = c.benchmark_group("logup_gkr");
    for len in [1 << 10, 1 << 12, 1 << 14] {
        let (key, input) = models::rectifier(len);
        let reduction = Reduction::new(&key, &input).expect("a valid input");
        group.throughput(Throughput::Elements(reduction.leaves() as u64));
        group.bench_function(format!("{}_leaves", reduction.leaves()), |b| {
            b.iter(|| black_box(reduction.run()))
        });
    }
    group.finish();
}

/// The halo2 proof of the hidden products: by our prover, and by halo2's, which writes the same bytes.
fn halo2(c: &mut Criterion) {
    for k in [MIN_K, MIN_K + 1] {
        let keys = ProductKeys::get(k);
        let rows = product_rows(k);
        let create_proof = || {
            let circuit = ProductCircuit::new(k, rows.clone());
            let rng = ChaCha20Rng::from_seed([0; 32]);
            let mut transcript = ProverTranscript::new();
            create_proof(&keys.params, keys.proving_key(), &[circuit], &[&[]], rng, &mut transcript)
                .expect("halo2 proves true products");
            transcript.finish()
        };
        create_proof();
        products(k).expect("true products are proved");
        let mut group = c.benchmark_group(format!("halo2 k={k}"));
        group.sample_size(50);
        group.bench_function("create_proof", |b| b.iter(|| black_box(create_proof())));
        group.bench_function("own", |b| b.iter(|| black_box(products(k))));
        group.finish();
    }
}

/// The reduction of one convolution: its operands are folded through their views.
fn convolutions(c: &mut Criterion) {
    let mut group = c.benchmark_group("convolution");
    for (channels, side) in [(4, 32), (16, 16), (32, 32)] {
        let (key, input) = models::convolution(channels, side);
        let reduction = Reduction::new(&key, &input).expect("a valid input");
        group.throughput(Throughput::Elements(u64::from(channels * channels * 9 + channels * side * side)));
        group.bench_function(format!("{channels}x{side}x{side}"), |b| b.iter(|| black_box(reduction.run())));
    }
    group.finish();
}

/// The bundled models: from key and input to proof bytes, and from key and proof bytes to the verdict.
fn bundled(c: &mut Criterion) {
    zoo::all().into_iter().for_each(|model| whole(c, model));
}

fn whole(c: &mut Criterion, model: ZooModel) {
    let (key, input) = models::bundled(model);
    let mut group = c.benchmark_group(model.name);
    group.sample_size(20);
    group.bench_function("prove", |b| b.iter(|| black_box(key.prove(&input, ProveOptions::default()))));
    let proof = key.prove(&input, ProveOptions::default()).expect("a valid input").bytes;
    let verifying_key = key.verifying_key().expect("a small key");
    let verifier = VerifyingKey::from_bytes(&verifying_key).expect("the key proof is true");
    group.bench_function("verify", |b| b.iter(|| black_box(verifier.verify(&proof, b""))));
    for phase in Phase::ALL {
        group.bench_function(format!("verify/{}", phase.name()), |b| {
            b.iter_custom(|runs| (0..runs).map(|_| time_of(phase, &verifier, &proof)).sum())
        });
    }
    group.bench_function("load_verifying_key", |b| {
        b.iter(|| black_box(VerifyingKey::from_bytes(&verifying_key)))
    });
    let bytes = key.to_bytes().expect("a small key");
    group.bench_function("load_proving_key", |b| b.iter(|| black_box(ProvingKey::from_bytes(&bytes))));
    group.finish();
}

/// The time that one phase of a verification takes.
fn time_of(phase: Phase, verifier: &VerifyingKey, proof: &[u8]) -> Duration {
    let mut marks = Vec::with_capacity(Phase::ALL.len());
    let verdict = verifier.verify_observed(proof, b"", &mut |phase| marks.push((phase, Instant::now())));
    let end = Instant::now();
    verdict.expect("an honest proof");
    let began = marks.iter().position(|(known, _)| *known == phase).expect("every phase is run");
    marks.get(began + 1).map_or(end, |(_, at)| *at) - marks[began].1
}

/// As the command does at its start.
fn settle(_: &mut Criterion) {
    provenn_prover::settle_alone(0).expect("the pool is made once");
}

criterion_group!(benches, settle, lookups, halo2, convolutions, bundled);
criterion_main!(benches);
