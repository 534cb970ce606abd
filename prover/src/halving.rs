//! Sends the response `y^` of the opening by rounds that halve it (docs, "The protocol as built", section "Halving").
//!
//! `y^` is masked by `d` already, so nothing here is secret.

use crate::error::ProverError;
use crate::hooks::Hooks;
use ff::Field;
use provenn_algebra::Fp;
use provenn_algebra::commit::Committer;
use provenn_algebra::small::inner_product_field;
use provenn_algebra::transcript::ProverTranscript;
use provenn_circuits::closing::{folded_blocks, folded_rows};

/// Sends `<y, eq(point)>` and the messages of so many rounds, then what is left of `y`.
///
/// The generators are never folded: each point is a sum over half of the original ones, with products of challenges in
/// the scalars.
pub(crate) fn send_halved(
    mut y: Vec<Fp>,
    point: &[Fp],
    rounds: usize,
    committer: &Committer,
    transcript: &mut ProverTranscript,
    hooks: &mut impl Hooks,
) -> Result<(), ProverError> {
    let mut value = inner_product_field(&y, &folded_rows(point, &[]));
    hooks.response_value(&mut value);
    transcript.scalar(&value);
    let xi = transcript.challenge();
    let mut challenges = Vec::with_capacity(rounds);
    let mut sides = [0, 1].map(|_| vec![Fp::ZERO; 2 + y.len()]);
    for round in 0..rounds {
        let (eq, blocks) = (folded_rows(point, &challenges), folded_blocks(&challenges));
        let half = y.len() / 2;
        let ((low, high), (eq_low, eq_high)) = (y.split_at(half), eq.split_at(half));
        // The lower half of the row on the upper half of each block of generators, then the reverse.
        let parts = [(low, eq_high, half), (high, eq_low, 0)];
        for (scalars, (part, eq, first)) in sides.iter_mut().zip(parts) {
            scalars.fill(Fp::ZERO);
            scalars[1] = xi * inner_product_field(part, eq);
            for (block, c) in scalars[2..].chunks_exact_mut(2 * half).zip(&blocks) {
                block[first..].iter_mut().zip(part).for_each(|(scalar, y)| *scalar = *c * y);
            }
        }
        let mut points = committer.sums(&[&sides[0], &sides[1]]);
        hooks.halving(round, &mut points);
        for point in &points {
            transcript.point(point)?;
        }
        let u = transcript.challenge();
        let inverse: Fp =
            Option::from(u.invert()).ok_or(ProverError::Unlucky { what: "a challenge was 0" })?;
        y = low.iter().zip(high).map(|(low, high)| *low + inverse * high).collect();
        challenges.push(u);
    }
    hooks.short_response(&mut y);
    y.iter().for_each(|scalar| transcript.scalar(scalar));
    Ok(())
}
