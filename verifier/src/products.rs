//! halo2's proof of the hidden products, as a sum of points that is to be the identity.
//!
//! The verifier of halo2_proofs 0.4.1 for the one fixed circuit ([`provenn_circuits::products`]): the same messages, the
//! same challenges, the same last equation. halo2's own checks that equation by a multi-scalar multiplication of its
//! own, over some sixty points; here its terms are handed out, to be added to the verifier's one equation. The steps, as
//! "The halo2 Book" names them under "Proving system":
//!
//! 1. "Circuit commitments": six advice columns;
//! 2. "Vanishing argument": a random polynomial, the quotient of the gates in two pieces of `2^k` coefficients, and what
//!    the quotient's value must be, given those of the columns;
//! 3. "Multipoint opening argument": everything at one point, and that opening at another;
//! 4. "Inner product argument": `k` rounds, close to appendix A.2 of Bünz, Chiesa, Mishra, Spooner, "Proof-Carrying Data
//!    from Accumulation Schemes", TCC 2020.
//!
//! Every sum over halo2's monomial bases is written over its Lagrange bases, which the equation has anyway: the
//! coefficients of a polynomial weigh the former as its values weigh the latter.

use crate::error::Rejection;
use ff::Field;
use provenn_algebra::transcript::{TranscriptError, VerifierTranscript};
use provenn_algebra::{EqAffine, Fp};
use provenn_circuits::forms::GATE_COLUMNS;
use provenn_circuits::products::{ProductKeys, usable_rows};

/// Terms of halo2's last equation.
#[derive(Debug)]
pub(crate) struct ProductTerms {
    /// Scalars of the Lagrange bases.
    pub(crate) lagrange: Vec<Fp>,
    /// Scalar of the blinding base.
    pub(crate) blinding: Fp,
    /// Scalar of the base of the inner products.
    pub(crate) inner: Fp,
    /// The advice columns' commitments, with their scalars.
    pub(crate) advice: [(Fp, EqAffine); GATE_COLUMNS],
    /// All other points.
    pub(crate) others: Vec<(Fp, EqAffine)>,
}

/// Reads the proof. It is valid exactly if the terms add up to the identity.
///
/// # Errors
/// [`Rejection::Products`] for a message that is malformed, and if a challenge is a number that it is with negligible
/// probability, for which the equation is not defined.
pub(crate) fn read(
    keys: &ProductKeys,
    transcript: &mut VerifierTranscript<'_>,
) -> Result<ProductTerms, Rejection> {
    let k = keys.params.k();
    keys.vk.hash_into(transcript).map_err(|error| Rejection::Products { reason: error.to_string() })?;
    let advice = points::<GATE_COLUMNS>(transcript)?;
    // The challenges of look-ups and permutations, of which there are none.
    for _ in 0..3 {
        transcript.challenge();
    }
    let [random] = points(transcript)?;
    let y = transcript.challenge();
    let [low, high] = points(transcript)?;
    let x = transcript.challenge();
    let cells = scalars::<GATE_COLUMNS>(transcript)?;
    let [selector, random_value] = scalars(transcript)?;

    // What the quotient of the gates by X^n - 1 must be at x.
    let xn = x.pow_vartime([1 << k]);
    let [p0, p1, q0, q1, t, w] = cells;
    let gates = selector * ((p0 * q1 + p1 * q0 - t) * y + q0 * q1 - w);
    let quotient = gates * inverse(xn - Fp::ONE)?;

    // All polynomials in one, by powers of a challenge.
    let x1 = transcript.challenge();
    // There is one set of points, so nothing for this challenge to combine.
    transcript.challenge();
    let [opened] = points(transcript)?;
    let x3 = transcript.challenge();
    let [value] = scalars(transcript)?;
    let x4 = transcript.challenge();
    let at_x = cells.into_iter().chain([selector, quotient, random_value]);
    let at_x = at_x.fold(Fp::ZERO, |sum, value| sum * x1 + value);
    let claim = (value - at_x) * inverse(x3 - x)? * x4 + value;

    // The inner product argument: P - [claim] G_0 + [xi] S + sum ([u^-1] L + [u] R) = [c] (G' + [b z] U) + [f] W.
    let [blinding_polynomial] = points(transcript)?;
    let xi = transcript.challenge();
    let z = transcript.challenge();
    let mut others = vec![(x4, opened), (xi, blinding_polynomial)];
    let mut rounds = Vec::with_capacity(k as usize);
    for _ in 0..k {
        let [left, right] = points(transcript)?;
        let u = transcript.challenge();
        others.extend([(inverse(u)?, left), (u, right)]);
        rounds.push(u);
    }
    let [c, f] = scalars(transcript)?;
    // G' is the sum over the bases with the coefficients of prod_i (1 + u_i X^(2^(k - 1 - i))).
    let folded = |x: Fp| {
        let squares = std::iter::successors(Some(x), |x| Some(x.square()));
        rounds.iter().rev().zip(squares).fold(Fp::ONE, |product, (u, x)| product * (Fp::ONE + *u * x))
    };

    // The powers of x1: the random polynomial's is 1, then come the quotient's, the selector's, the columns' from the last.
    let mut power = x1;
    others.extend([(Fp::ONE, random), (power, low), (power * xn, high)]);
    power *= x1;
    let selector = power;
    let mut advice = advice.map(|point| (Fp::ZERO, point));
    for (scalar, _) in advice.iter_mut().rev() {
        power *= x1;
        *scalar = power;
    }
    let omega = keys.vk.get_domain().get_omega();
    let roots = std::iter::successors(Some(Fp::ONE), |root| Some(*root * omega));
    let active = std::iter::repeat_n(selector, usable_rows(k)).chain(std::iter::repeat(Fp::ZERO));
    let lagrange = roots.zip(active).take(1 << k).map(|(root, selector)| selector - claim - c * folded(root));
    Ok(ProductTerms {
        lagrange: lagrange.collect(),
        // halo2 blinds the selector with 1.
        blinding: selector - f,
        inner: -(c * folded(x3) * z),
        advice,
        others,
    })
}

fn malformed(error: TranscriptError) -> Rejection {
    Rejection::Products { reason: error.to_string() }
}

fn points<const N: usize>(transcript: &mut VerifierTranscript<'_>) -> Result<[EqAffine; N], Rejection> {
    let points = transcript.points(N).map_err(malformed)?;
    points.try_into().map_err(|_| Rejection::Products { reason: "a point is missing".to_string() })
}

fn scalars<const N: usize>(transcript: &mut VerifierTranscript<'_>) -> Result<[Fp; N], Rejection> {
    let mut scalars = [Fp::ZERO; N];
    for scalar in &mut scalars {
        *scalar = transcript.scalar().map_err(malformed)?;
    }
    Ok(scalars)
}

fn inverse(x: Fp) -> Result<Fp, Rejection> {
    Option::from(x.invert()).ok_or(Rejection::Products { reason: "a challenge is exceptional".to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ff::PrimeField;
    use group::Group;
    use halo2_proofs::plonk::{Error, SingleVerifier, create_proof, verify_proof};
    use halo2_proofs::transcript::Challenge255;
    use provenn_algebra::msm::msm;
    use provenn_algebra::transcript::ProverTranscript;
    use provenn_circuits::products::{MIN_K, ProductCircuit};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    /// Whether we accept a proof, and whether halo2 does; `None` if it cannot be read.
    fn verdicts(keys: &ProductKeys, proof: &[u8]) -> [Option<bool>; 2] {
        let mut transcript = VerifierTranscript::new(proof);
        let own = read(keys, &mut transcript).ok().map(|terms| {
            let mut scalars = terms.lagrange;
            let mut points = keys.lagrange.clone();
            scalars.extend([terms.blinding, terms.inner]);
            points.extend([keys.blinding, keys.inner]);
            for (scalar, point) in terms.advice.into_iter().chain(terms.others) {
                scalars.push(scalar);
                points.push(point);
            }
            bool::from(msm(&scalars, &points).is_identity())
        });
        let read = own.map(|_| transcript.remaining());
        let mut transcript = VerifierTranscript::new(proof);
        let strategy = SingleVerifier::new(&keys.params);
        let theirs = verify_proof::<_, Challenge255<EqAffine>, _, _>(
            &keys.params,
            &keys.vk,
            strategy,
            &[&[]],
            &mut transcript,
        );
        assert!(read.is_none_or(|left| left == transcript.remaining()), "both read the same");
        let theirs = match theirs {
            Ok(()) => Some(true),
            Err(Error::ConstraintSystemFailure) => Some(false),
            Err(_) => None,
        };
        [own, theirs]
    }

    /// halo2's own proof of these rows.
    fn prove(keys: &ProductKeys, rows: Vec<[Fp; GATE_COLUMNS]>) -> Result<Vec<u8>, Error> {
        let circuit = ProductCircuit::new(keys.params.k(), rows);
        let mut transcript = ProverTranscript::new();
        let rng = ChaCha20Rng::seed_from_u64(5);
        create_proof(&keys.params, keys.proving_key(), &[circuit], &[&[]], rng, &mut transcript)?;
        Ok(transcript.finish())
    }

    fn rows(count: usize) -> Vec<[Fp; GATE_COLUMNS]> {
        (0..count as u64)
            .map(|r| [r, r + 1, 7, r + 9, r * (r + 9) + (r + 1) * 7, 7 * (r + 9)].map(Fp::from))
            .collect()
    }

    #[test]
    fn judges_as_halo2_does_whatever_word_of_a_proof_is_changed() -> Result<(), Error> {
        for k in MIN_K..MIN_K + 3 {
            let keys = ProductKeys::get(k);
            let proof = prove(keys, rows(usable_rows(k)))?;
            assert_eq!(verdicts(keys, &proof), [Some(true); 2]);
            assert_eq!(proof.len(), 32 * (2 * k as usize + 22));
            for (index, &word) in proof.as_chunks::<32>().0.iter().enumerate() {
                // Another scalar; the opposite point, or a scalar that is none; no point, or another scalar.
                let scalar = Option::<Fp>::from(Fp::from_repr(word)).map(|s| (s + Fp::ONE).to_repr());
                let mut opposite = word;
                opposite[31] ^= 0x80;
                for changed in
                    scalar.into_iter().chain([opposite, [0; 32], [0xff; 32]]).filter(|w| *w != word)
                {
                    let mut forged = proof.clone();
                    forged[32 * index..32 * index + 32].copy_from_slice(&changed);
                    let [own, theirs] = verdicts(keys, &forged);
                    assert_eq!(own, theirs, "k = {k}, word {index}");
                    assert_ne!(own, Some(true));
                }
            }
            for cut in [0, 31, 100, proof.len() - 1] {
                assert_eq!(verdicts(keys, &proof[..cut]), [None; 2]);
            }
        }
        Ok(())
    }

    #[test]
    fn false_products_are_rejected() -> Result<(), Error> {
        let keys = ProductKeys::get(MIN_K);
        for column in 0..GATE_COLUMNS {
            let mut rows = rows(3);
            rows[2][column] += Fp::ONE;
            assert_eq!(verdicts(keys, &prove(keys, rows)?), [Some(false); 2]);
        }
        assert_eq!(verdicts(keys, &prove(keys, vec![])?), [Some(true); 2]);
        Ok(())
    }
}
