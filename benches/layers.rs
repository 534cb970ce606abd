//! Whole proofs of models of one layer: one group per kind, over sizes, so that a kind's cost curve is visible.
//!
//! Kinds with accumulators are measured twice: with the accumulators as the output, which shows what the layer itself costs, and
//! `requantized`, rectified and rounded to 8 bits, as between the layers of a trained model. A curve starts at what every proof
//! costs. Throughput is in multiplications for fully connected layers and convolutions, else in entries of the operand.
#![allow(missing_docs, reason = "criterion's macros generate undocumented functions")]

use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main, measurement,
};
use provenn_benches::{Network, convolution_layer, rectifier, square_window};
use provenn_circuits::layers::{
    Activation, Affine, Arrange, AveragePool, AxisSource, Combine, Function, Gemm, Layer, MaxPool, Product,
    Reduce, Requantize, Reshape,
};
use provenn_circuits::model::Range;
use provenn_prover::{ProveOptions, ProvingKey};
use std::hint::black_box;
use std::time::Duration;

/// Lengths of vectors, and sides of the squares that are as large.
const SIDES: [u32; 4] = [16, 32, 64, 128];

type Group<'c> = BenchmarkGroup<'c, measurement::WallTime>;

fn group<'c>(c: &'c mut Criterion, kind: &str) -> Group<'c> {
    let mut group = c.benchmark_group(format!("layer {kind}"));
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group
}

fn prove(group: &mut Group<'_>, name: &str, size: u32, (key, input): (ProvingKey, Vec<i64>)) {
    group.bench_function(BenchmarkId::new(name, size), |b| {
        b.iter(|| black_box(key.prove(&input, ProveOptions::default()).expect("a valid input")));
    });
}

/// One layer over the input, once or twice its operand: its accumulators, and requantized.
fn both(group: &mut Group<'_>, size: u32, shape: &[u32], layer: &Layer, operands: &[usize]) {
    let mut network = Network::new(shape);
    network.add(layer.clone(), operands);
    prove(group, "accumulators", size, network.committed());
    let mut network = Network::new(shape);
    network.add_requantized(layer.clone(), operands);
    prove(group, "requantized", size, network.committed());
}

fn gemm(c: &mut Criterion) {
    let mut group = group(c, "Gemm");
    for n in [64, 128, 256, 512] {
        let layer = Layer::Gemm(Gemm {
            inputs: n,
            outputs: n,
            weight_bits: 8,
            bias_bits: Some(16),
            requantize: None,
        });
        group.throughput(Throughput::Elements(u64::from(n * n)));
        both(&mut group, n, &[n], &layer, &[0]);
    }
    group.finish();
}

/// 3x3 on 16x16, from and to so many channels.
fn conv(c: &mut Criterion) {
    const SIDE: u32 = 16;
    let mut group = group(c, "Conv");
    for channels in [4, 8, 16, 32] {
        group.throughput(Throughput::Elements(u64::from(9 * channels * channels * SIDE * SIDE)));
        both(&mut group, channels, &[1, channels, SIDE, SIDE], &convolution_layer(channels), &[0]);
    }
    group.finish();
}

fn activation(c: &mut Criterion) {
    let mut group = group(c, "Activation");
    for len in SIDES.map(|side| side * side) {
        group.throughput(Throughput::Elements(len.into()));
        prove(&mut group, "rectifier", len, rectifier(len));
    }
    group.finish();
}

/// 2x2 windows side by side, of squares.
fn max_pool(c: &mut Criterion) {
    let mut group = group(c, "MaxPool");
    for side in SIDES {
        let mut network = Network::new(&[1, 1, side, side]);
        network.add(Layer::MaxPool(MaxPool { window: square_window(2, 2) }), &[0]);
        group.throughput(Throughput::Elements(u64::from(side * side)));
        prove(&mut group, "2x2", side * side, network.committed());
    }
    group.finish();
}

/// The same windows.
fn average_pool(c: &mut Criterion) {
    let mut group = group(c, "AveragePool");
    for side in SIDES {
        let window = square_window(2, 2);
        let layer = Layer::AveragePool(AveragePool {
            window,
            include: vec![[0; 2]; 2],
            numerator: 4,
            requantize: None,
        });
        group.throughput(Throughput::Elements(u64::from(side * side)));
        both(&mut group, side * side, &[1, 1, side, side], &layer, &[0]);
    }
    group.finish();
}

/// Layers that work entry by entry, on vectors; both operands of a sum or product are the input.
fn entrywise(c: &mut Criterion) {
    let sum = |_| Layer::Combine(Combine { coefficients: vec![3, 5], offset: 1, requantize: None });
    let product = |_| Layer::Product(Product { multiplier: 1, requantize: None });
    let affine = |len| {
        let (weight_bits, bias_bits) = (Some(8), Some(16));
        Layer::Affine(Affine { shape: vec![len], weight_bits, multiplier: 0, bias_bits, requantize: None })
    };
    type Make<'a> = &'a dyn Fn(u32) -> Layer;
    let kinds: [(&str, Make<'_>, &[usize]); 3] =
        [("Combine", &sum, &[0, 0]), ("Product", &product, &[0, 0]), ("Affine", &affine, &[0])];
    for (kind, layer, operands) in kinds {
        let mut group = group(c, kind);
        for len in SIDES.map(|side| side * side) {
            group.throughput(Throughput::Elements(len.into()));
            both(&mut group, len, &[len], &layer(len), operands);
        }
        group.finish();
    }
}

/// The sum over 8x8 positions of each of so many channels.
fn reduce(c: &mut Criterion) {
    const SIDE: u32 = 8;
    let mut group = group(c, "Reduce");
    for channels in [4, 16, 64, 256] {
        let shape = vec![1, channels, 1, 1];
        let layer = Layer::Reduce(Reduce { axes: vec![2, 3], shape, multiplier: 1, requantize: None });
        let entries = channels * SIDE * SIDE;
        group.throughput(Throughput::Elements(entries.into()));
        both(&mut group, entries, &[1, channels, SIDE, SIDE], &layer, &[0]);
    }
    group.finish();
}

/// Layers that only move entries, each between two rectifiers: compare with two rectifiers and nothing between them.
fn moves(c: &mut Criterion) {
    let reshape = |side: u32| Layer::Reshape(Reshape { shape: vec![side * side] });
    let transpose = |side: u32| {
        let source = |axis| AxisSource { axis: Some(axis), offset: 0, stride: 1, repeat: true };
        let pieces = vec![vec![source(1), source(0)]];
        Layer::Arrange(Arrange { shape: vec![side; 2], periods: vec![1; 2], pieces, fill: 0 })
    };
    type Make<'a> = &'a dyn Fn(u32) -> Layer;
    let kinds: [(&str, Option<Make<'_>>); 3] =
        [("none", None), ("Reshape", Some(&reshape)), ("Arrange", Some(&transpose))];
    for (kind, layer) in kinds {
        let mut group = group(c, kind);
        for side in SIDES {
            let mut network = Network::new(&[side; 2]);
            let before = network.add(relu(), &[0]);
            let moved = layer.map_or(before, |layer| network.add(layer(side), &[before]));
            network.add(relu(), &[moved]);
            group.throughput(Throughput::Elements(u64::from(side * side)));
            prove(&mut group, "between rectifiers", side * side, network.committed());
        }
        group.finish();
    }
}

fn relu() -> Layer {
    let requantize = Requantize { shift: 0, function: Function::Relu, output: Range::new(0, 127), domain: 7 };
    Layer::Activation(Activation { requantize })
}

/// As the command does at its start.
fn settle(_: &mut Criterion) {
    provenn_prover::settle_alone(0).expect("the pool is made once");
}

criterion_group!(benches, settle, gemm, conv, activation, max_pool, average_pool, entrywise, reduce, moves);
criterion_main!(benches);
