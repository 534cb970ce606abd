//! Closing: the row sum-check, the folded opening, and the binding of halo2's columns, as one group equation.

use crate::error::Rejection;
use crate::halving::Response;
use crate::key::VerifyingKey;
use crate::verify::Phase;
use ff::{Field, PrimeField};
use group::Curve;
use halo2_proofs::plonk::{Error, VerificationStrategy, verify_proof};
use halo2_proofs::poly::commitment::{Guard, MSM};
use halo2_proofs::transcript::{Challenge255, EncodedChallenge};
use provenn_algebra::msm::msm;
use provenn_algebra::small::inner_product_field;
use provenn_algebra::transcript::VerifierTranscript;
use provenn_algebra::{EqAffine, Fp};
use provenn_circuits::closing::{KnowledgePowers, Opening};
use provenn_circuits::forms::{Combined, GATE_COLUMNS, Messages};
use provenn_circuits::products::UNUSABLE_ROWS;
use provenn_circuits::system::{System, round_mask_coefficients};

/// Points that the closing opens.
pub(crate) struct Commitments {
    /// Tensor columns, by number.
    pub(crate) columns: Vec<EqAffine>,
    /// Round mask columns.
    pub(crate) masks: Vec<EqAffine>,
    /// Gate mask columns.
    pub(crate) gate_masks: Vec<EqAffine>,
    /// Masks of the row sum-check.
    pub(crate) row_masks: EqAffine,
}

/// Hands out halo2's final multi-scalar multiplication instead of evaluating it.
struct Deferred<'a>(MSM<'a, EqAffine>);

impl<'a> VerificationStrategy<'a, EqAffine> for Deferred<'a> {
    type Output = MSM<'a, EqAffine>;

    fn process<E: EncodedChallenge<EqAffine>>(
        self,
        f: impl FnOnce(MSM<'a, EqAffine>) -> Result<Guard<'a, EqAffine, E>, Error>,
    ) -> Result<Self::Output, Error> {
        Ok(f(self.0)?.use_challenges())
    }
}

/// The row sum-check, the opening, its response, halo2, and the equations.
pub(crate) fn verify(
    key: &VerifyingKey,
    system: &System,
    commitments: &Commitments,
    combined: &Combined,
    masked: &Messages,
    transcript: &mut VerifierTranscript<'_>,
    observe: &mut dyn FnMut(Phase),
) -> Result<(), Rejection> {
    let (keys, generators) = (key.products, &key.generators);
    observe(Phase::Opening);
    let (nu, gate_rows) = (system.layout.nu(), keys.lagrange.len());
    // The row sum-check on masked messages.
    let mut claim = combined.target;
    let mut bound = Vec::with_capacity(nu);
    for _ in 0..nu {
        let (h1, h2) = (transcript.scalar()?, transcript.scalar()?);
        let rho = transcript.challenge();
        claim = claim * Fp::TWO_INV + (rho - Fp::TWO_INV) * h1 + (rho.square() - Fp::TWO_INV) * h2;
        bound.push(rho);
    }
    let zeta = transcript.challenge();
    let first = [transcript.point()?, transcript.point()?, transcript.point()?];
    let (g, delta) = (transcript.scalar()?, transcript.scalar()?);
    let e = transcript.challenge();
    let blinds = scalars(3, transcript)?;
    let z = scalars(2 * nu, transcript)?;
    let x = scalars(gate_rows, transcript)?;
    let y = Response::read(&bound, transcript)?;
    let tails = scalars(GATE_COLUMNS * UNUSABLE_ROWS, transcript)?;
    let message_blinds = scalars(GATE_COLUMNS, transcript)?;

    observe(Phase::Products);
    let strategy = Deferred(MSM::new(&keys.params));
    let halo2 =
        verify_proof::<_, Challenge255<EqAffine>, _, _>(&keys.params, &keys.vk, strategy, &[&[]], transcript)
            .map_err(|error| Rejection::Products { reason: error.to_string() })?;
    if transcript.remaining() > 0 {
        return Err(Rejection::Trailing { extra: transcript.remaining() });
    }
    observe(Phase::Coefficients);
    // Weights that depend on every byte of the proof: no two of the equations below can cancel.
    let w = transcript.challenge();

    let opening = Opening::new(combined, system, &bound);
    let eq = &opening.eq;
    let e2 = e.square();
    let opened = y.value
        + inner_product_field(&x, &eq[..gate_rows])
        + inner_product_field(&z, &round_mask_coefficients(&bound));
    if opened != e * claim + e2 * g + delta {
        return Err(Rejection::FalseClaim);
    }

    let powers = KnowledgePowers::new(&system.layout, system.mask_columns, zeta);
    let mut weights = [Fp::ONE; GATE_COLUMNS + 4];
    for i in 1..weights.len() {
        weights[i] = weights[i - 1] * w;
    }
    let [.., wy, wx, wz, wh] = weights;
    let message_weights = &weights[..GATE_COLUMNS];
    let mut equation = Equation::default();
    // The folded openings: Com(y^) = e C_Y + e^2 C_Z + D, the same over the bases B, and Com(z^) = e C_R + D'.
    for (row, (base, y)) in generators.g.iter().zip(y.rows()).enumerate() {
        equation.add(wy * y + z.get(row).map_or(Fp::ZERO, |z| wz * z), *base);
    }
    equation.add(wy * blinds[0] + wz * blinds[2], generators.h);
    // What the halving of y^ adds to its side: the inner product times U, less the points of the rounds.
    equation.add(wy * y.inner_product(), generators.u);
    for (coefficient, point) in y.points() {
        equation.add(-wy * coefficient, point);
    }
    let opened = opening.columns.iter().zip(&powers.columns).zip(&commitments.columns);
    let opened_masks = opening.masks.iter().zip(&powers.masks).zip(&commitments.masks);
    for ((y, z), point) in opened.chain(opened_masks) {
        equation.add(-wy * (e * y + e2 * z), *point);
    }
    for (weight, point) in [wy, wx, wz].into_iter().zip(first) {
        equation.add(-weight, point);
    }
    equation.add(-wz * e, commitments.row_masks);
    // The message columns: halo2's commitment plus the masks' opens to the masked messages and the revealed sums.
    let mut lagrange: Vec<Fp> = x.iter().map(|x| wx * x).collect();
    let mut blinding = wx * blinds[1];
    for (column, weight) in message_weights.iter().enumerate() {
        for (slot, cells) in lagrange.iter_mut().zip(&masked.gates) {
            *slot += *weight * cells[column];
        }
        for (slot, sum) in
            lagrange[gate_rows - UNUSABLE_ROWS..].iter_mut().zip(&tails[column * UNUSABLE_ROWS..])
        {
            *slot += *weight * sum;
        }
        blinding += *weight * message_blinds[column];
        let own = e * opening.gate_masks[column] + e2 * powers.gate_masks[column];
        equation.add(-*weight - wx * own, commitments.gate_masks[column]);
        let advice = transcript.halo2_points().get(column);
        equation.add(-*weight, *advice.ok_or(Rejection::FalseOpening)?);
    }
    for (scalar, base) in lagrange.into_iter().zip(&keys.lagrange) {
        equation.add(scalar, *base);
    }
    equation.add(blinding, keys.blinding);

    observe(Phase::Equation);
    let mut halo2 = halo2;
    halo2.scale(wh);
    halo2.append_term(Fp::ONE, equation.evaluate());
    if halo2.eval() { Ok(()) } else { Err(Rejection::FalseOpening) }
}

pub(crate) fn scalars(count: usize, transcript: &mut VerifierTranscript<'_>) -> Result<Vec<Fp>, Rejection> {
    (0..count).map(|_| Ok(transcript.scalar()?)).collect()
}

/// A sum of scalars times points that should be the identity.
#[derive(Default)]
struct Equation {
    scalars: Vec<Fp>,
    points: Vec<EqAffine>,
}

impl Equation {
    fn add(&mut self, scalar: Fp, point: EqAffine) {
        self.scalars.push(scalar);
        self.points.push(point);
    }

    fn evaluate(&self) -> EqAffine {
        msm(&self.scalars, &self.points).to_affine()
    }
}
