//! The halo2 proof of the hidden products, byte for byte as `create_proof` of halo2_proofs 0.4.1 writes it.
//!
//! That function serves every circuit. Ours is one fixed circuit ([`provenn_circuits::products`]), of 32 rows in most
//! proofs, for which it took most of their time. Knowing the circuit leaves little to do: no permutation, look-up or
//! instance, one selector, one gate of degree 3, one point of evaluation. From the same seed come the same draws in the
//! same order, the same bytes, and halo2's own verifier checks them. So this is a change of speed alone, which the test
//! `writes_the_same_bytes_as_halo2` pins down. The steps, as "The halo2 Book" names them under "Proving system":
//!
//! 1. "Circuit commitments": the advice columns, over the Lagrange bases;
//! 2. "Vanishing argument": a random polynomial, and the quotient of the gates in two pieces of `2^k` coefficients;
//! 3. "Multipoint opening argument": everything is opened at one point, and that opening at another, by a further
//!    quotient (Bowe, Grigg, Hopwood, "Recursive Proof Composition without a Trusted Setup", eprint 2019/1021);
//! 4. "Inner product argument": `k` rounds, close to appendix A.2 of Bünz, Chiesa, Mishra, Spooner, "Proof-Carrying Data
//!    from Accumulation Schemes", TCC 2020.
//!
//! What makes it fast, in order of gain: all bases are fixed and hold their doublings ([`FixedBases`]). The inner
//! product argument therefore never folds its generators: each point of a round is a sum over half of the original
//! ones, with products of challenges in the scalars. That is `k 2^k` terms for all rounds, the best way while `k` is
//! small. What depends on no row is committed before, during the reduction or in prepared material: the random polynomial, and the polynomial
//! that blinds the opening, whose constant term is put right later. At `k = 5` the proof is 22 sums, of 1 to 33 terms
//! each; polynomials cost next to nothing.

use crate::error::ProverError;
use ff::{Field, PrimeField, WithSmallOrderMulGroup};
use group::{Curve, CurveAffine};
use provenn_algebra::fixed::FixedBases;
use provenn_algebra::parallel::once;
use provenn_algebra::small::inner_product_field;
use provenn_algebra::transcript::ProverTranscript;
use provenn_algebra::{EqAffine, Fp};
use provenn_circuits::forms::GATE_COLUMNS;
use provenn_circuits::products::{MAX_K, MIN_K, ProductKeys, UNUSABLE_ROWS, usable_rows};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::OnceLock;
use zeroize::{Zeroize, Zeroizing};

/// Pieces of `2^k` coefficients that the quotient has: the gate has degree 3.
const PIECES: usize = 2;

/// All random values of one proof, in the order in which `create_proof` of halo2_proofs 0.4.1 draws them from a
/// ChaCha20 generator. None of them depends on a challenge.
pub(crate) struct ProductRandomness {
    /// Values of the unusable rows, by column.
    pub(crate) tails: [[Fp; UNUSABLE_ROWS]; GATE_COLUMNS],
    /// Blinds of the columns.
    pub(crate) blinds: [Fp; GATE_COLUMNS],
    /// The random polynomial of the vanishing argument.
    vanishing: Polynomial,
    quotient_blinds: [Fp; PIECES],
    opening_blind: Fp,
    /// The polynomial that blinds the opening, but for its constant term.
    opening: Polynomial,
    /// Blinds of both points of every round.
    rounds: Vec<[Fp; 2]>,
}

impl ProductRandomness {
    /// The values that follow from a seed, for size parameter `k`.
    pub(crate) fn from_seed(seed: &[u8; 32], k: u32) -> ProductRandomness {
        let n = 1usize << k;
        let mut rng = ChaCha20Rng::from_seed(*seed);
        let mut draw = || Fp::random(&mut rng);
        let polynomial = |draw: &mut dyn FnMut() -> Fp| {
            let mut polynomial: Polynomial = Zeroizing::new((0..=n).map(|_| draw()).collect());
            polynomial.rotate_right(1);
            polynomial
        };
        ProductRandomness {
            tails: std::array::from_fn(|_| std::array::from_fn(|_| draw())),
            blinds: std::array::from_fn(|_| draw()),
            vanishing: polynomial(&mut draw),
            quotient_blinds: std::array::from_fn(|_| draw()),
            opening_blind: draw(),
            opening: polynomial(&mut draw),
            rounds: (0..k).map(|_| [draw(), draw()]).collect(),
        }
    }
}

impl ProductRandomness {
    /// The polynomials that can be committed to before any row is known: that of the vanishing argument, and the one that
    /// blinds the opening.
    pub(crate) fn polynomials(&self) -> [&Polynomial; 2] {
        [&self.vanishing, &self.opening]
    }

    /// Commitments to them.
    pub(crate) fn commit(&self, keys: &ProductKeys) -> [EqAffine; 2] {
        let points = ProductTables::get(keys).commit(std::iter::empty(), &self.polynomials());
        [points[0], points[1]]
    }
}

impl Drop for ProductRandomness {
    fn drop(&mut self) {
        self.tails.zeroize();
        self.blinds.zeroize();
        self.quotient_blinds.zeroize();
        self.opening_blind.zeroize();
        self.rounds.zeroize();
    }
}

/// Polynomials of fewer than `n = 2^k` coefficients: by their coefficients, by their values on the powers of a root of
/// unity of order `n` (one per row of the circuit), and on a coset of those of order `2n`.
struct Domain {
    n: usize,
    /// The first `n` powers of a root of unity of order `2n`.
    roots: Vec<Fp>,
}

impl Domain {
    fn new(k: u32) -> Domain {
        let n = 1 << k;
        let root = (k + 1..Fp::S).fold(Fp::ROOT_OF_UNITY, |root, _| root.square());
        let powers = std::iter::successors(Some(Fp::ONE), |power| Some(*power * root));
        Domain { n, roots: powers.take(n).collect() }
    }

    /// Values at the powers of the root of unity of order `values.len()`, `n` or `2n`, from coefficients, in place: the
    /// fast Fourier transform of Cooley and Tukey.
    fn transform(&self, values: &mut [Fp]) {
        let bits = values.len().ilog2();
        for i in 0..values.len() {
            let j = i.reverse_bits() >> (usize::BITS - bits);
            if i < j {
                values.swap(i, j);
            }
        }
        let mut half = 1;
        while half < values.len() {
            let roots = self.roots.iter().step_by(self.n / half);
            for block in values.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for ((low, high), root) in low.iter_mut().zip(high).zip(roots.clone()) {
                    let product = *high * root;
                    *high = *low - product;
                    *low += product;
                }
            }
            half *= 2;
        }
    }

    /// The inverse of [`Domain::transform`].
    fn interpolate(&self, values: &mut [Fp]) {
        self.transform(values);
        values[1..].reverse();
        let scale = Fp::TWO_INV.pow_vartime([u64::from(values.len().ilog2())]);
        values.iter_mut().for_each(|value| *value *= scale);
    }

    /// Values on the coset, from coefficients.
    fn on_coset(&self, coefficients: &[Fp]) -> Zeroizing<Vec<Fp>> {
        let mut values = Zeroizing::new(Vec::with_capacity(2 * self.n));
        values.extend_from_slice(coefficients);
        values.resize(2 * self.n, Fp::ZERO);
        scale(&mut values, Fp::ZETA);
        self.transform(&mut values);
        values
    }

    /// Coefficients, twice `n` of them, from values on the coset.
    fn interpolate_coset(&self, values: &mut [Fp]) {
        self.interpolate(values);
        scale(values, Fp::ZETA.square());
    }
}

/// Multiplies coefficients by the powers of a cube root of unity: the polynomial's argument is multiplied by it.
fn scale(coefficients: &mut [Fp], root: Fp) {
    let powers = [Fp::ONE, root, root.square()];
    coefficients.iter_mut().zip(powers.iter().cycle()).for_each(|(c, power)| *c *= power);
}

fn evaluate(coefficients: &[Fp], x: Fp) -> Fp {
    coefficients.iter().rev().fold(Fp::ZERO, |value, c| value * x + c)
}

/// `accumulator = accumulator * factor + terms`.
fn combine(accumulator: &mut [Fp], factor: Fp, terms: &[Fp]) {
    accumulator.iter_mut().zip(terms).for_each(|(a, t)| *a = *a * factor + t);
}

/// What the prover precomputes for one size of the circuit.
pub(crate) struct ProductTables {
    k: u32,
    domain: Domain,
    /// `n` Lagrange bases, the base of blinds, `n` bases of coefficients, the base of inner products. So what is
    /// committed by values has its blind behind it, and what is committed by coefficients has it in front.
    bases: FixedBases,
    /// Coefficients of the selector, after its blind, which is 1 in halo2's key.
    selector: Vec<Fp>,
    /// Selector by vanishing polynomial, on the coset.
    quotient: Vec<Fp>,
}

impl ProductTables {
    /// The tables of one size; derived on first use.
    pub(crate) fn get(keys: &ProductKeys) -> &'static ProductTables {
        static TABLES: [OnceLock<ProductTables>; (MAX_K - MIN_K + 1) as usize] =
            [const { OnceLock::new() }; 6];
        once(&TABLES[(keys.params.k() - MIN_K) as usize], || ProductTables::derive(keys))
    }

    fn derive(keys: &ProductKeys) -> ProductTables {
        let k = keys.params.k();
        let domain = Domain::new(k);
        let mut selector = vec![Fp::ONE; 1 + domain.n];
        selector[1 + usable_rows(k)..].fill(Fp::ZERO);
        domain.interpolate(&mut selector[1..]);
        let mut quotient = domain.on_coset(&selector[1..]).to_vec();
        // X^n - 1 has two values on the coset, by turns.
        let shift = Fp::ZETA.pow_vartime([domain.n as u64]);
        let inverses = [shift - Fp::ONE, -shift - Fp::ONE].map(|v| v.invert().unwrap_or(Fp::ZERO));
        quotient.iter_mut().zip(inverses.iter().cycle()).for_each(|(q, inverse)| *q *= inverse);
        let bases = [&keys.lagrange[..], &[keys.blinding], &keys.params.get_g(), &[keys.inner]].concat();
        ProductTables { k, domain, bases: FixedBases::new(&bases), selector, quotient }
    }

    /// Commits over halo2's Lagrange bases to columns of `n` values, with these blinds; then to polynomials.
    pub(crate) fn commit<'v>(
        &self,
        columns: impl Iterator<Item = (&'v Vec<Fp>, &'v Fp)>,
        polynomials: &[&Polynomial],
    ) -> Vec<EqAffine> {
        let columns: Vec<Zeroizing<Vec<Fp>>> = columns
            .inspect(|(values, _)| assert_eq!(values.len(), self.domain.n))
            .map(|(values, blind)| Zeroizing::new(values.iter().chain([blind]).copied().collect()))
            .collect();
        let vectors: Vec<(usize, &[Fp])> = columns
            .iter()
            .map(|column| (0, column.as_slice()))
            .chain(polynomials.iter().map(|p| (self.domain.n, p.as_slice())))
            .collect();
        self.bases.sums(&vectors)
    }

    /// Commits to polynomials, and appends the commitments to the proof.
    fn write(
        &self,
        polynomials: &[&Polynomial],
        transcript: &mut ProverTranscript,
    ) -> Result<(), ProverError> {
        self.commit(std::iter::empty(), polynomials).iter().try_for_each(|point| Ok(transcript.point(point)?))
    }
}

/// The blind of a polynomial's commitment, then its coefficients.
pub(crate) type Polynomial = Zeroizing<Vec<Fp>>;

/// The part of a halo2 proof that follows no challenge: the columns with their commitments, and their values on a coset.
pub(crate) struct ProductColumns {
    columns: Vec<Polynomial>,
    points: Vec<EqAffine>,
    cosets: Vec<Zeroizing<Vec<Fp>>>,
}

impl ProductColumns {
    /// The columns of these rows, which should be products; unused rows are 0.
    ///
    /// # Errors
    /// [`ProverError::Halo2`] for more rows than fit.
    pub(crate) fn new(
        keys: &ProductKeys,
        rows: &[[Fp; GATE_COLUMNS]],
        randomness: &ProductRandomness,
    ) -> Result<ProductColumns, ProverError> {
        let tables = ProductTables::get(keys);
        if rows.len() > usable_rows(tables.k) || randomness.rounds.len() != tables.k as usize {
            return Err(ProverError::Halo2 {
                reason: format!("{} rows do not fit size {}", rows.len(), tables.k),
            });
        }
        let n = tables.domain.n;
        // By values, which the blind follows.
        let mut columns: Vec<Polynomial> = (0..GATE_COLUMNS)
            .map(|column| {
                let mut values = Zeroizing::new(Vec::with_capacity(n + 1));
                values.extend(rows.iter().map(|row| row[column]));
                values.resize(usable_rows(tables.k), Fp::ZERO);
                values.extend_from_slice(&randomness.tails[column]);
                values.push(randomness.blinds[column]);
                values
            })
            .collect();
        let vectors: Vec<(usize, &[Fp])> = columns.iter().map(|column| (0, column.as_slice())).collect();
        let points = tables.bases.sums(&vectors);
        // By coefficients, which follow the blind.
        for column in &mut columns {
            column.rotate_right(1);
            tables.domain.interpolate(&mut column[1..]);
        }
        let cosets = columns.iter().map(|column| tables.domain.on_coset(&column[1..])).collect();
        Ok(ProductColumns { columns, points, cosets })
    }
}

/// Proves that the rows of these columns are products.
///
/// Rows that are no products give a proof that the verifier rejects. The randomness, with which the columns have been made, is used
/// up: two proofs with the same would reveal the rows. `points` are the commitments to its polynomials.
pub(crate) fn prove_products(
    keys: &ProductKeys,
    columns: ProductColumns,
    randomness: ProductRandomness,
    points: [EqAffine; 2],
    transcript: &mut ProverTranscript,
) -> Result<(), ProverError> {
    let tables = ProductTables::get(keys);
    keys.vk.hash_into(transcript).map_err(|error| ProverError::Halo2 { reason: error.to_string() })?;
    // On a thread of the pool, from which its other threads are reached sooner.
    rayon::scope(|_| tables.prove(columns, &randomness, points, transcript))
}

impl ProductTables {
    fn prove(
        &self,
        ProductColumns { mut columns, points, cosets }: ProductColumns,
        randomness: &ProductRandomness,
        [vanishing_point, opening_point]: [EqAffine; 2],
        transcript: &mut ProverTranscript,
    ) -> Result<(), ProverError> {
        let n = self.domain.n;
        for point in &points {
            transcript.point(point)?;
        }

        // The challenges of look-ups and permutations, of which there are none.
        for _ in 0..3 {
            transcript.challenge();
        }
        transcript.point(&vanishing_point)?;
        let y = transcript.challenge();
        let [mut quotient, high] = self.quotient(&cosets, y, &randomness.quotient_blinds);
        self.write(&[&quotient, &high], transcript)?;

        let x = transcript.challenge();
        let others = [&self.selector, &*randomness.vanishing];
        for polynomial in columns.iter().map(|column| &**column).chain(others) {
            transcript.scalar(&evaluate(&polynomial[1..], x));
        }

        // All polynomials in one, by powers of a challenge.
        let x1 = transcript.challenge();
        let xn = x.pow_vartime([n as u64]);
        quotient.iter_mut().zip(high.iter()).for_each(|(low, high)| *low += xn * high);
        let mut all = columns.remove(0);
        let others = [&self.selector, &*quotient, &*randomness.vanishing];
        for polynomial in columns.iter().map(|column| &**column).chain(others) {
            combine(&mut all, x1, polynomial);
        }

        // There is one set of points, so nothing for this challenge to combine.
        transcript.challenge();
        let mut opened = divide(&all, x);
        opened[0] = randomness.opening_blind;
        self.write(&[&opened], transcript)?;
        let x3 = transcript.challenge();
        transcript.scalar(&evaluate(&all[1..], x3));
        let x4 = transcript.challenge();
        combine(&mut opened, x4, &all);
        self.open(&opened, x3, randomness, opening_point, transcript)
    }

    /// Both pieces of the quotient of the gates, combined with powers of `y`, by the vanishing polynomial.
    fn quotient(&self, cosets: &[Zeroizing<Vec<Fp>>], y: Fp, blinds: &[Fp; PIECES]) -> [Polynomial; PIECES] {
        let n = self.domain.n;
        let mut values = Zeroizing::new(Vec::with_capacity(PIECES * n));
        values.extend(self.quotient.iter().enumerate().map(|(i, selector)| {
            let [p0, p1, q0, q1, t, w] = std::array::from_fn(|column| cosets[column][i]);
            *selector * ((p0 * q1 + p1 * q0 - t) * y + q0 * q1 - w)
        }));
        self.domain.interpolate_coset(&mut values);
        std::array::from_fn(|piece| {
            Zeroizing::new([&blinds[piece..=piece], &values[piece * n..(piece + 1) * n]].concat())
        })
    }

    /// The inner product argument: opens a polynomial at `x`.
    fn open(
        &self,
        polynomial: &Polynomial,
        x: Fp,
        randomness: &ProductRandomness,
        opening_point: EqAffine,
        transcript: &mut ProverTranscript,
    ) -> Result<(), ProverError> {
        let n = self.domain.n;
        // A random polynomial with the root x blinds the other. It is committed to already but for its constant term.
        let mut p = randomness.opening.clone();
        let value = evaluate(&p[1..], x);
        p[1] -= value;
        let correction = self.bases.sum(n + 1, &[-value]);
        transcript.point(&(opening_point.to_curve() + correction).to_affine())?;
        let xi = transcript.challenge();
        let z = transcript.challenge();
        combine(&mut p, xi, polynomial);
        let value = evaluate(&p[1..], x);
        p[1] -= value;

        let mut blind = Zeroizing::new(p.remove(0));
        let mut b: Vec<Fp> = std::iter::successors(Some(Fp::ONE), |power| Some(*power * x)).take(n).collect();
        // Generator i of a round is the sum of the original generators at i + j * len, j = 0, 1, .., with these
        // coefficients.
        let mut coefficients = vec![Fp::ONE];
        let mut sides = [0, 1].map(|_| Zeroizing::new(vec![Fp::ZERO; n + 2]));
        for blinds in &randomness.rounds {
            let half = p.len() / 2;
            let (p_low, p_high) = p.split_at_mut(half);
            let (b_low, b_high) = b.split_at_mut(half);
            let halves = [(&*p_high, &*b_low, 0), (&*p_low, &*b_high, half)];
            for ((scalars, (p, b, first)), blind) in sides.iter_mut().zip(halves).zip(blinds) {
                scalars.fill(Fp::ZERO);
                scalars[0] = *blind;
                scalars[n + 1] = z * inner_product_field(p, b);
                for (block, c) in scalars[1..=n].chunks_exact_mut(2 * half).zip(&coefficients) {
                    block[first..].iter_mut().zip(p).for_each(|(scalar, p)| *scalar = *c * p);
                }
            }
            self.write(&[&sides[0], &sides[1]], transcript)?;
            let u = transcript.challenge();
            let inverse: Fp =
                Option::from(u.invert()).ok_or(ProverError::Unlucky { what: "a challenge was 0" })?;
            p_low.iter_mut().zip(p_high).for_each(|(low, high)| *low += inverse * *high);
            b_low.iter_mut().zip(b_high).for_each(|(low, high)| *low += u * *high);
            p.truncate(half);
            b.truncate(half);
            coefficients = coefficients.iter().flat_map(|c| [*c, *c * u]).collect();
            *blind += blinds[0] * inverse + blinds[1] * u;
        }
        transcript.scalar(&p[0]);
        transcript.scalar(&blind);
        Ok(())
    }
}

/// The quotient of a polynomial by `X - x`, without the remainder; its blind is 0.
fn divide(polynomial: &[Fp], x: Fp) -> Polynomial {
    let mut quotient = Zeroizing::new(vec![Fp::ZERO; polynomial.len()]);
    let mut carry = Fp::ZERO;
    for (q, c) in quotient[1..].iter_mut().zip(&polynomial[2..]).rev() {
        carry = carry * x + c;
        *q = carry;
    }
    quotient
}

#[cfg(test)]
mod tests {
    use super::*;
    use halo2_proofs::plonk::{SingleVerifier, create_proof, verify_proof};
    use proptest::prelude::*;
    use provenn_algebra::transcript::VerifierTranscript;
    use provenn_circuits::products::ProductCircuit;

    fn true_rows(count: usize, rng: &mut ChaCha20Rng) -> Vec<[Fp; GATE_COLUMNS]> {
        let mut row = || {
            let [p0, p1, q0, q1] = std::array::from_fn(|_| Fp::random(&mut *rng));
            [p0, p1, q0, q1, p0 * q1 + p1 * q0, q0 * q1]
        };
        (0..count).map(|_| row()).collect()
    }

    fn prove_with(
        k: u32,
        rows: &[[Fp; GATE_COLUMNS]],
        randomness: ProductRandomness,
        transcript: &mut ProverTranscript,
    ) -> Result<(), ProverError> {
        let keys = ProductKeys::get(k);
        let points = randomness.commit(keys);
        let columns = ProductColumns::new(keys, rows, &randomness)?;
        prove_products(keys, columns, randomness, points, transcript)
    }

    /// The proof, and the challenge that follows it.
    fn ours(k: u32, rows: &[[Fp; GATE_COLUMNS]], seed: &[u8; 32]) -> (Vec<u8>, Fp) {
        let mut transcript = ProverTranscript::new();
        transcript.absorb(b"before");
        let randomness = ProductRandomness::from_seed(seed, k);
        prove_with(k, rows, randomness, &mut transcript).expect("the rows fit");
        let next = transcript.challenge();
        (transcript.finish(), next)
    }

    fn theirs(k: u32, rows: &[[Fp; GATE_COLUMNS]], seed: &[u8; 32]) -> (Vec<u8>, Fp) {
        let keys = ProductKeys::get(k);
        let mut transcript = ProverTranscript::new();
        transcript.absorb(b"before");
        let circuit = ProductCircuit::new(k, rows.to_vec());
        let rng = ChaCha20Rng::from_seed(*seed);
        create_proof(&keys.params, keys.proving_key(), &[circuit], &[&[]], rng, &mut transcript)
            .expect("the rows fit");
        let next = transcript.challenge();
        (transcript.finish(), next)
    }

    fn accepted(k: u32, proof: &[u8]) -> bool {
        let keys = ProductKeys::get(k);
        let mut transcript = VerifierTranscript::new(proof);
        transcript.absorb(b"before");
        verify_proof(&keys.params, &keys.vk, SingleVerifier::new(&keys.params), &[&[]], &mut transcript)
            .is_ok()
            && transcript.remaining() == 0
    }

    #[test]
    fn writes_the_same_bytes_as_halo2() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for k in MIN_K..=MAX_K {
            for count in [0, 1, usable_rows(k) / 3, usable_rows(k) - 1, usable_rows(k)] {
                let rows = true_rows(count, &mut rng);
                let seed = [k as u8 + count as u8; 32];
                let proof = ours(k, &rows, &seed);
                assert_eq!(proof, theirs(k, &rows, &seed), "k = {k}, {count} rows");
                assert_eq!(proof.0.len(), 32 * (2 * k as usize + 22));
                assert!(accepted(k, &proof.0), "k = {k}, {count} rows");
            }
        }
    }

    #[test]
    fn a_false_product_is_rejected() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        for k in [MIN_K, MIN_K + 1] {
            for column in 0..GATE_COLUMNS {
                let mut rows = true_rows(7, &mut rng);
                rows[column][column] += Fp::ONE;
                let proof = ours(k, &rows, &[9; 32]);
                assert!(!accepted(k, &proof.0), "k = {k}, column {column}");
                assert_eq!(proof, theirs(k, &rows, &[9; 32]), "k = {k}, column {column}");
            }
        }
    }

    #[test]
    fn too_many_rows_are_refused() {
        let rows = vec![[Fp::ZERO; GATE_COLUMNS]; usable_rows(MIN_K) + 1];
        let randomness = ProductRandomness::from_seed(&[0; 32], MIN_K);
        let result = prove_with(MIN_K, &rows, randomness, &mut ProverTranscript::new());
        assert!(matches!(result, Err(ProverError::Halo2 { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn writes_the_same_bytes_as_halo2_on_any_seed(
            seed in prop::array::uniform32(any::<u8>()),
            k in MIN_K..MIN_K + 2,
            count in 0..=usable_rows(MIN_K),
        ) {
            let rows = true_rows(count, &mut ChaCha20Rng::from_seed(seed));
            prop_assert_eq!(ours(k, &rows, &seed), theirs(k, &rows, &seed));
        }
    }
}
