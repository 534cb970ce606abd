//! Reads the response `y^` of the opening: as it is, or by the rounds that halve it (docs, "The protocol as built", section
//! "Halving").

use crate::error::Rejection;
use crate::opening::scalars;
use ff::Field;
use provenn_algebra::small::inner_product_field;
use provenn_algebra::transcript::VerifierTranscript;
use provenn_algebra::{EqAffine, Fp};
use provenn_circuits::closing::{folded_blocks, folded_rows, halvings};

/// One round: its points, and its challenge with the inverse.
struct Round {
    points: [EqAffine; 2],
    challenge: Fp,
    inverse: Fp,
}

/// The response, folded by the challenges of its rounds.
pub(crate) struct Response {
    /// What it says that `<y^, eq>` is.
    pub(crate) value: Fp,
    /// Times the generator U: the challenge after `value`. Not used without rounds.
    xi: Fp,
    rounds: Vec<Round>,
    /// What is left of `y^`.
    short: Vec<Fp>,
    /// `eq`, folded likewise.
    eq: Vec<Fp>,
}

impl Response {
    /// Reads the response of `2^point.len()` entries; `point` is that of `eq`.
    pub(crate) fn read(point: &[Fp], transcript: &mut VerifierTranscript<'_>) -> Result<Response, Rejection> {
        let n = 1usize << point.len();
        let count = halvings(n);
        if count == 0 {
            let (short, eq) = (scalars(n, transcript)?, folded_rows(point, &[]));
            return Ok(Response {
                value: inner_product_field(&short, &eq),
                xi: Fp::ZERO,
                rounds: vec![],
                short,
                eq,
            });
        }
        let value = transcript.scalar()?;
        let xi = transcript.challenge();
        let mut rounds = Vec::with_capacity(count);
        for _ in 0..count {
            let points = [transcript.point()?, transcript.point()?];
            let challenge = transcript.challenge();
            rounds.push(Round { points, challenge, inverse: Fp::ZERO });
        }
        invert(&mut rounds)?;
        let short = scalars(n >> count, transcript)?;
        let challenges: Vec<Fp> = rounds.iter().map(|round| round.challenge).collect();
        let eq = folded_rows(point, &challenges);
        Ok(Response { value, xi, rounds, short, eq })
    }

    /// Coefficients of the original generators in `<short, folded generators>`.
    pub(crate) fn rows(&self) -> Vec<Fp> {
        let challenges: Vec<Fp> = self.rounds.iter().map(|round| round.challenge).collect();
        let blocks = folded_blocks(&challenges);
        blocks.iter().flat_map(|c| self.short.iter().map(move |y| *c * y)).collect()
    }

    /// Coefficient of U: what the short vector gives, less what was claimed.
    pub(crate) fn inner_product(&self) -> Fp {
        self.xi * (inner_product_field(&self.short, &self.eq) - self.value)
    }

    /// The points of the rounds with the coefficients with which they are to be taken off.
    pub(crate) fn points(&self) -> impl Iterator<Item = (Fp, EqAffine)> {
        self.rounds.iter().flat_map(|round| {
            let [left, right] = round.points;
            [(round.challenge, left), (round.inverse, right)]
        })
    }
}

/// Inverts the challenges, all with one inversion.
fn invert(rounds: &mut [Round]) -> Result<(), Rejection> {
    let mut product = Fp::ONE;
    for round in rounds.iter_mut() {
        round.inverse = product;
        product *= round.challenge;
    }
    let mut inverse: Fp = Option::from(product.invert()).ok_or(Rejection::ZeroChallenge)?;
    for round in rounds.iter_mut().rev() {
        round.inverse *= inverse;
        inverse *= round.challenge;
    }
    Ok(())
}
