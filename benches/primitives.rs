//! Benchmarks of the primitives: field, small-integer sums, trees of fractions, commitments, multi-scalar
//! multiplication, point decoding.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use halo2_proofs::arithmetic::{Field, best_multiexp};
use provenn_algebra::backend::{Backend, backend};
use provenn_algebra::bilinear::{Bilinear, Operand, Summand};
use provenn_algebra::commit::Committer;
use provenn_algebra::encoding::{compress, decompress_on};
use provenn_algebra::fixed::FixedBases;
use provenn_algebra::fractions::{Leaves, Tree};
use provenn_algebra::generators::generators;
use provenn_algebra::inner_products::{Entries, InnerProducts, Pair};
use provenn_algebra::measure::{ELEMENTS, Operation, repeat_fp, repeat_fq};
use provenn_algebra::msm::msm_on;
use provenn_algebra::small::{
    Coefficients, fold_columns_on, fold_rows_on, inner_product_field, inner_product_on, row_products_on,
};
use provenn_algebra::{Fp, Fq};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::hint::black_box;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(0)
}

fn scalars(n: usize) -> Vec<Fp> {
    let mut rng = rng();
    (0..n).map(|_| Fp::random(&mut rng)).collect()
}

/// Signed integers of so many bits.
fn integers(n: usize, bits: u32) -> Vec<i64> {
    let mut rng = rng();
    (0..n).map(|_| rng.next_u64() as i64 >> (64 - bits)).collect()
}

fn field(c: &mut Criterion) {
    let mut group = c.benchmark_group("field");
    let (a, b) = (scalars(1024), scalars(1025));
    group.throughput(Throughput::Elements(1024));
    group.bench_function("multiply Fp", |bench| {
        let mut out = a.clone();
        bench.iter(|| {
            for (o, (x, y)) in out.iter_mut().zip(a.iter().zip(&b[1..])) {
                *o = x * y;
            }
            black_box(&out);
        });
    });
    group.bench_function("multiply Fq", |bench| {
        let mut rng = rng();
        let x: Vec<Fq> = (0..1024).map(|_| Fq::random(&mut rng)).collect();
        let mut out = x.clone();
        bench.iter(|| {
            for (o, (x, y)) in out.iter_mut().zip(x.iter().zip(x.iter().rev())) {
                *o = x * y;
            }
            black_box(&out);
        });
    });
    group.bench_function("inner product", |bench| bench.iter(|| inner_product_field(&a, black_box(&b[1..]))));
    group.finish();
}

/// Single operations on eight lanes, per lane.
fn lanes(c: &mut Criterion) {
    const TIMES: usize = 256;
    let (a, b) = (Fp::random(&mut rng()), Fq::random(&mut rng()));
    let mut group = c.benchmark_group("lanes");
    group.throughput(Throughput::Elements((TIMES * ELEMENTS) as u64));
    for operation in Operation::ALL {
        for backend in backends() {
            let id = |field: &str| BenchmarkId::new(format!("{} {field}", operation.name()), backend.name());
            group.bench_function(id("Fp"), |bench| {
                bench.iter(|| repeat_fp(backend, operation, black_box([a, a.square()]), TIMES));
            });
            group.bench_function(id("Fq"), |bench| {
                bench.iter(|| repeat_fq(backend, operation, black_box([b, b.square()]), TIMES));
            });
        }
    }
    group.finish();
}

/// The portable kernels, and this process's, where they are others.
fn backends() -> Vec<Backend> {
    let mut backends = vec![Backend::Portable, backend()];
    backends.dedup();
    backends
}

fn small(c: &mut Criterion) {
    const SIDE: usize = 1024;
    let coefficients = Coefficients::new(&scalars(SIDE));
    for bits in [8, 14, 20, 40] {
        let values = integers(SIDE * SIDE, bits);
        let mut group = c.benchmark_group(format!("small {bits} bit"));
        group.sample_size(20);
        for backend in backends() {
            let name = |function: &str| BenchmarkId::new(function, backend.name());
            group.throughput(Throughput::Elements(SIDE as u64));
            group.bench_function(name("inner_product"), |b| {
                b.iter(|| inner_product_on(backend, &coefficients, black_box(&values[..SIDE])));
            });
            group.throughput(Throughput::Elements((SIDE * SIDE) as u64));
            group.bench_function(name("fold_rows"), |b| {
                b.iter(|| fold_rows_on(backend, &coefficients, black_box(&values[..]), SIDE));
            });
            group.bench_function(name("fold_columns"), |b| {
                b.iter(|| fold_columns_on(backend, &coefficients, black_box(&values), SIDE));
            });
        }
        group.finish();
    }
    let values = integers(SIDE * SIDE, 14);
    let packed: Vec<i16> = values.iter().map(|&v| v as i16).collect();
    let mut group = c.benchmark_group("small 14 bit");
    group.sample_size(20);
    group.throughput(Throughput::Elements((SIDE * SIDE) as u64));
    for backend in backends() {
        group.bench_function(BenchmarkId::new("fold_rows of i16", backend.name()), |b| {
            b.iter(|| fold_rows_on(backend, &coefficients, black_box(&packed[..]), SIDE));
        });
        group.bench_function(BenchmarkId::new("row_products", backend.name()), |b| {
            let mut products = Vec::with_capacity(SIDE);
            b.iter(|| {
                products.clear();
                row_products_on(backend, &values[..SIDE], black_box(&values), &mut products);
                black_box(&products);
            });
        });
    }
    group.finish();
}

/// `2^variables` leaves, most of them rows of one table, as look-ups make them.
fn leaves(backend: Backend, variables: usize) -> Leaves {
    const ROWS: u32 = 1 << 10;
    let mut leaves = Leaves::on(backend);
    let column = integers(ROWS as usize, 8);
    let constants = scalars(2);
    let first = leaves.rows(&constants[0], &constants[1..], &[&column]);
    leaves.resize(1 << variables);
    let (numerators, denominators) = leaves.entries();
    numerators.fill(Leaves::ONE);
    for (leaf, entry) in denominators.iter_mut().enumerate() {
        *entry = first + leaf as u32 * 37 % ROWS;
    }
    leaves
}

/// The tree of fractions over leaves, and all rounds of the sum-check over its largest level, which is half of all levels' work.
fn fractions(c: &mut Criterion) {
    let mut group = c.benchmark_group("fractions");
    group.sample_size(10);
    for variables in 12..=17 {
        let (point, lambda) = (scalars(variables), scalars(1)[0]);
        group.throughput(Throughput::Elements(1 << variables));
        for backend in backends() {
            let name = |what: &str| BenchmarkId::new(format!("{what}, {}", backend.name()), 1 << variables);
            group.bench_function(name("tree"), |b| {
                b.iter_batched(
                    || leaves(backend, variables),
                    |leaves| Tree::new(leaves, variables),
                    BatchSize::PerIteration,
                );
            });
            group.bench_function(name("rounds of the last level"), |b| {
                b.iter_batched(
                    || {
                        let mut tree = Tree::new(leaves(backend, variables), variables);
                        tree.root();
                        for level in 1..variables - 1 {
                            tree.layer(&point[..level], &lambda);
                        }
                        tree
                    },
                    |mut tree| {
                        let mut layer = tree.layer(&point[..variables - 1], &lambda);
                        for rho in &point[..variables - 1] {
                            black_box(layer.sums());
                            layer.bind(rho);
                        }
                        layer.end()
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

fn commitments(c: &mut Criterion) {
    const VALUES: usize = 1 << 14;
    const FIELD_COLUMNS: usize = 4;
    for n in [256, 1024] {
        let mut group = c.benchmark_group(format!("commit to columns of {n}"));
        group.sample_size(10);
        for backend in backends() {
            let name = |what: &str| format!("{what}, {}", backend.name());
            let committer = Committer::on(backend, n);
            committer.prepare();
            for bits in [8, 12] {
                let values = integers(VALUES, bits);
                let columns: Vec<&[i64]> = values.chunks(n).collect();
                let blinds = scalars(columns.len());
                group.throughput(Throughput::Elements(VALUES as u64));
                group.bench_function(BenchmarkId::new(name("commit_small"), bits), |b| {
                    b.iter(|| committer.commit_small(black_box(&columns), &blinds));
                });
                // A new committer each time, so that the table of multiples is never built.
                group.bench_function(BenchmarkId::new(name("commit_small, no table"), bits), |b| {
                    b.iter_batched(
                        || Committer::on(backend, n),
                        |committer| committer.commit_small(black_box(&columns), &blinds),
                        BatchSize::LargeInput,
                    );
                });
            }
            let full = scalars(FIELD_COLUMNS * n);
            let columns: Vec<&[Fp]> = full.chunks(n).collect();
            group.throughput(Throughput::Elements(n as u64));
            group.bench_function(name("commit_field"), |b| {
                b.iter(|| committer.commit_field(black_box(columns[0]), &full[0]));
            });
            group.throughput(Throughput::Elements((FIELD_COLUMNS * n) as u64));
            group.bench_function(name("sums, 4 vectors"), |b| {
                b.iter(|| committer.sums(black_box(&columns)));
            });
        }
        group.finish();
    }
}

fn multi_scalar(c: &mut Criterion) {
    let points = generators(4096).g;
    let scalars = scalars(4096);
    let mut group = c.benchmark_group("msm");
    group.sample_size(10);
    for n in [64, 256, 556, 1112, 4096] {
        for backend in backends() {
            group.bench_function(BenchmarkId::new(backend.name(), n), |b| {
                b.iter(|| msm_on(backend, black_box(&scalars[..n]), &points[..n]));
            });
        }
        group.bench_function(BenchmarkId::new("halo2", n), |b| {
            b.iter(|| best_multiexp(black_box(&scalars[..n]), &points[..n]));
        });
    }
    group.finish();
}

fn fixed_bases(c: &mut Criterion) {
    let points = generators(66).g;
    let scalars = scalars(8 * 33);
    let vectors: Vec<(usize, &[Fp])> = scalars.chunks(33).map(|v| (0, v)).collect();
    let mut group = c.benchmark_group("fixed bases");
    for backend in backends() {
        let name = |what: &str| format!("{what}, {}", backend.name());
        group.bench_function(name("prepare 66"), |b| {
            b.iter(|| FixedBases::on(backend, black_box(&points)));
        });
        let bases = FixedBases::on(backend, &points);
        group.bench_function(name("one sum of 33"), |b| b.iter(|| bases.sums(black_box(&vectors[..1]))));
        group.bench_function(name("eight sums of 33"), |b| b.iter(|| bases.sums(black_box(&vectors))));
    }
    group.finish();
}

fn points(c: &mut Criterion) {
    let bytes = compress(&generators(256).g);
    let mut group = c.benchmark_group("points");
    group.throughput(Throughput::Elements(256));
    for backend in backends() {
        group.bench_function(BenchmarkId::new("decompress", backend.name()), |b| {
            b.iter(|| decompress_on(backend, black_box(&bytes)));
        });
    }
    group.finish();
}

/// All rounds of the sum-check over 64 inner products, half of them with integers.
fn rounds(c: &mut Criterion) {
    const PAIRS: usize = 64;
    const VARIABLES: usize = 9;
    let (elements, values) = (scalars(PAIRS << VARIABLES), integers(PAIRS << VARIABLES, 14));
    let pairs: Vec<Pair<'_>> = elements
        .chunks(1 << VARIABLES)
        .zip(values.chunks(1 << VARIABLES))
        .enumerate()
        .map(|(i, (u, v))| {
            let x = if i < PAIRS / 2 { Entries::Field(u) } else { Entries::Wide(v) };
            Pair { x, u, first: 0 }
        })
        .collect();
    let challenges = scalars(VARIABLES);
    let mut group = c.benchmark_group("rounds");
    group.throughput(Throughput::Elements((PAIRS << VARIABLES) as u64));
    for backend in backends() {
        group.bench_function(BenchmarkId::new("inner products", backend.name()), |b| {
            b.iter(|| {
                let mut products = InnerProducts::on(backend, black_box(&pairs), VARIABLES);
                challenges.iter().for_each(|rho| products.bind(rho));
                products.ends()
            });
        });
    }
    group.finish();
}

/// All rounds of the bilinear sum-check over one product of `2^14` entries: of small integers and of field elements over batch variables,
/// and of field elements over summed ones.
fn bilinear(c: &mut Criterion) {
    const VARIABLES: usize = 14;
    let mut group = c.benchmark_group("bilinear");
    group.throughput(Throughput::Elements(1 << VARIABLES));
    let [a, c] = [1, 13].map(|bits| integers(1 << VARIABLES, bits));
    let coefficients = [Fp::from(3), Fp::from(5)];
    let integers = [Operand::Integers(a), Operand::Integers(c)];
    let elements = [(); 2].map(|()| Operand::Field(scalars(1 << VARIABLES)));
    let products = [
        ("batch of integers", integers, VARIABLES),
        ("batch of field elements", elements.clone(), VARIABLES),
        ("sum of field elements", elements, 0),
    ];
    let points = scalars(VARIABLES);
    for (name, [a, c], batch) in products {
        let summand = Summand { a, c, batch, sum: VARIABLES - batch, coefficients };
        for backend in backends() {
            group.bench_function(BenchmarkId::new(name, backend.name()), |b| {
                b.iter_batched(
                    || vec![summand.clone()],
                    |summands| {
                        let mut rounds = Bilinear::on(backend, summands, &points[..batch]);
                        for (round, rho) in points.iter().enumerate() {
                            if round == batch {
                                rounds.begin_sum_phase();
                            }
                            black_box(rounds.sums());
                            rounds.bind(rho);
                        }
                        rounds.ends()
                    },
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(
    benches,
    field,
    lanes,
    small,
    fractions,
    rounds,
    bilinear,
    commitments,
    multi_scalar,
    fixed_bases,
    points
);
criterion_main!(benches);
