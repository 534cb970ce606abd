//! The zero-knowledge simulator, as a test: without any secret, and with a random oracle that answers one challenge as
//! told, it makes a proof of a *false* statement that the verifier accepts.
//!
//! So whatever a proof contains could have been made without the weights (docs, "Soundness", section "Zero
//! knowledge"). The steps are numbered as there.

use crate::error::Rejection;
use crate::key::VerifyingKey;
use crate::verify::verify_system;
use ff::{Field, PrimeField};
use group::{Curve, CurveAffine, Group};
use halo2_proofs::plonk::create_proof;
use provenn_algebra::generators::Generators;
use provenn_algebra::msm::msm;
use provenn_algebra::multilinear::eq_table;
use provenn_algebra::small::inner_product_field;
use provenn_algebra::transcript::{ProverTranscript, TranscriptError, VerifierTranscript};
use provenn_algebra::{Eq, EqAffine, Fp};
use provenn_circuits::artifact::{Statement, values_to_bytes};
use provenn_circuits::closing::{KnowledgePowers, Opening, halvings};
use provenn_circuits::forms::{Form, GATE_COLUMNS, Messages, combine};
use provenn_circuits::layers::{Function, Gemm, Layer, Requantize};
use provenn_circuits::model::{Head, LayerList, Node, Range, Scale, TableBits};
use provenn_circuits::products::{ProductCircuit, UNUSABLE_ROWS};
use provenn_circuits::reduction::Party;
use provenn_circuits::system::round_mask_coefficients;
use provenn_circuits::{CircuitError, Modes};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::borrow::Cow;

/// Sends uniform round messages, and the gate rows it was given.
struct Simulator<'t> {
    transcript: &'t mut ProverTranscript,
    rng: ChaCha20Rng,
    gates: Vec<[Fp; GATE_COLUMNS]>,
    masked: Messages,
    forms: Vec<Form>,
    challenges: usize,
}

impl Party for Simulator<'_> {
    type Error = TranscriptError;

    fn challenge(&mut self) -> Fp {
        self.challenges += 1;
        self.transcript.challenge()
    }

    fn round(&mut self, _first: usize) -> Result<(), TranscriptError> {
        for _ in 0..2 {
            let message = Fp::random(&mut self.rng);
            self.transcript.scalar(&message);
            self.masked.rounds.push(message);
        }
        Ok(())
    }

    fn gate(&mut self, row: usize) -> Result<(), TranscriptError> {
        for cell in &self.gates[row] {
            self.transcript.scalar(cell);
        }
        self.masked.gates.push(self.gates[row]);
        Ok(())
    }

    fn assert_zero(&mut self, form: Form) {
        self.forms.push(form);
    }
}

/// A perceptron with so many hidden entries: few give short rows, many long ones, which are halved.
fn layers(hidden: u32) -> LayerList {
    let requantize = Requantize { shift: 4, function: Function::Relu, output: Range::new(0, 63), domain: 9 };
    let gemm = |inputs, outputs, requantize| {
        Layer::Gemm(Gemm { inputs, outputs, weight_bits: 5, bias_bits: Some(6), requantize })
    };
    let scale = Scale { mantissa: 1, exponent: 0 };
    LayerList {
        input_shape: vec![5],
        input_range: Range::new(-16, 15),
        input_scale: scale,
        nodes: vec![
            Node { layer: gemm(5, hidden, Some(requantize)), inputs: vec![0] },
            Node { layer: gemm(hidden, 2, None), inputs: vec![1] },
        ],
        output_scale: scale,
        head: Head::None,
        tables: TableBits { limb: 4, direct: 6 },
    }
}

fn random(rng: &mut ChaCha20Rng, len: usize) -> Vec<Fp> {
    (0..len).map(|_| Fp::random(&mut *rng)).collect()
}

fn point(rng: &mut ChaCha20Rng) -> EqAffine {
    (Eq::generator() * Fp::random(rng)).to_affine()
}

fn sum(scalars: Vec<Fp>, points: Vec<EqAffine>) -> EqAffine {
    msm(&scalars, &points).to_affine()
}

/// The messages of a response that is halved, as the definition says: with folded generators.
fn halve(
    mut y: Vec<Fp>,
    r: &[Fp],
    generators: &Generators,
    transcript: &mut ProverTranscript,
) -> Result<(), TranscriptError> {
    let mut eq = eq_table(r);
    let mut g: Vec<Eq> = generators.g.iter().map(|g| g.to_curve()).collect();
    transcript.scalar(&inner_product_field(&y, &eq));
    let u = generators.u * transcript.challenge();
    for _ in 0..halvings(y.len()) {
        let half = y.len() / 2;
        let commit = |y: &[Fp], g: &[Eq], eq: &[Fp]| -> EqAffine {
            let rows: Eq = y.iter().zip(g).map(|(y, g)| *g * y).sum();
            (rows + u * inner_product_field(y, eq)).to_affine()
        };
        transcript.point(&commit(&y[..half], &g[half..], &eq[half..]))?;
        transcript.point(&commit(&y[half..], &g[..half], &eq[..half]))?;
        let challenge = transcript.challenge();
        let inverse = challenge.invert().expect("not 0 but with negligible probability");
        y = (0..half).map(|i| y[i] + inverse * y[half + i]).collect();
        eq = (0..half).map(|i| eq[i] + challenge * eq[half + i]).collect();
        g = (0..half).map(|i| g[i] + g[half + i] * challenge).collect();
    }
    y.iter().for_each(|y| transcript.scalar(y));
    Ok(())
}

/// Makes messages for any statement about `key`; returns them, the number of the challenge to program, and its answer.
fn simulate(
    key: &VerifyingKey,
    statement: Statement<'_>,
    public: &[(usize, &[i64])],
    rng: &mut ChaCha20Rng,
) -> Result<(Vec<u8>, usize, Fp), Box<dyn std::error::Error>> {
    let system = key.shape.inference(Modes::PUBLIC);
    let keys = key.products;
    let (n, nu, gate_rows) = (system.layout.n, system.layout.nu(), keys.lagrange.len());
    let mut transcript = ProverTranscript::new();
    statement.absorb(|bytes| transcript.absorb(bytes));
    // 1. Columns.
    let witness: Vec<EqAffine> = system.layout.witness.clone().map(|_| point(rng)).collect();
    let masks: Vec<EqAffine> = (0..system.mask_columns).map(|_| point(rng)).collect();
    let row_masks = point(rng);
    // 2. halo2's columns: the zero witness, with the values and blinds that its generator will draw.
    let seed = [7; 32];
    let mut replay = ChaCha20Rng::from_seed(seed);
    let tails: Vec<Vec<Fp>> = (0..GATE_COLUMNS).map(|_| random(&mut replay, UNUSABLE_ROWS)).collect();
    let blinds = random(&mut replay, GATE_COLUMNS);
    // 3. Gate masks: determined by the masked columns s_j, which are uniform where real ones are.
    let gates: Vec<[Fp; GATE_COLUMNS]> =
        (0..system.plan.gates).map(|_| std::array::from_fn(|_| Fp::random(&mut *rng))).collect();
    let sums: Vec<Vec<Fp>> = (0..GATE_COLUMNS).map(|_| random(rng, UNUSABLE_ROWS)).collect();
    let sigmas = random(rng, GATE_COLUMNS);
    let gate_masks: Vec<EqAffine> = (0..GATE_COLUMNS)
        .map(|column| {
            let mut difference = vec![Fp::ZERO; gate_rows];
            for (slot, cells) in difference.iter_mut().zip(&gates) {
                *slot = cells[column];
            }
            for (t, slot) in difference[gate_rows - UNUSABLE_ROWS..].iter_mut().enumerate() {
                *slot = sums[column][t] - tails[column][t];
            }
            difference.push(sigmas[column] - blinds[column]);
            sum(difference, [&keys.lagrange[..], &[keys.blinding]].concat())
        })
        .collect();
    for point in witness.iter().chain(&masks).chain(&gate_masks).chain([&row_masks]) {
        transcript.point(point)?;
    }
    // 4. Messages.
    let mut party = Simulator {
        transcript: &mut transcript,
        rng: ChaCha20Rng::from_seed([8; 32]),
        gates,
        masked: Messages::default(),
        forms: Vec::new(),
        challenges: 0,
    };
    system.reduce(&mut party)?;
    let (masked, forms, mut challenges) = (party.masked, party.forms, party.challenges);
    let mut values: Vec<Cow<'_, [i64]>> = vec![Cow::Borrowed(&[]); system.circuit.tensors.len()];
    for (id, tensor) in public {
        values[*id] = Cow::Borrowed(tensor);
    }
    let combined = combine(forms, transcript.challenge(), &masked, &system.circuit, &values);
    let mut claim = combined.target;
    let mut bound = Vec::new();
    for _ in 0..nu {
        let (h1, h2) = (Fp::random(&mut *rng), Fp::random(&mut *rng));
        transcript.scalar(&h1);
        transcript.scalar(&h2);
        let rho = transcript.challenge();
        claim = claim * Fp::TWO_INV + (rho - Fp::TWO_INV) * h1 + (rho.square() - Fp::TWO_INV) * h2;
        bound.push(rho);
    }
    let zeta = transcript.challenge();
    challenges += 1 + nu + 1;
    // 5. The opening: answers first, then the commitments that they determine.
    let opening = Opening::new(&combined, system, &bound);
    let powers = KnowledgePowers::new(&system.layout, system.mask_columns, zeta);
    let e = Fp::random(&mut *rng);
    let (y, x, z) = (random(rng, n), random(rng, gate_rows), random(rng, 2 * nu));
    let (answer_blinds, g) = (random(rng, 3), Fp::random(&mut *rng));
    let folded = |own: &[Fp], powers: &[Fp]| -> Vec<Fp> {
        own.iter().zip(powers).map(|(y, z)| -(e * y + e.square() * z)).collect()
    };
    let columns = [&key.weights[..], &witness].concat();
    let rows = &key.generators.g;
    let first = [
        sum(
            [
                &y[..],
                &answer_blinds[..1],
                &folded(&opening.columns, &powers.columns),
                &folded(&opening.masks, &powers.masks),
            ]
            .concat(),
            [&rows[..n], &[key.generators.h], &columns, &masks].concat(),
        ),
        sum(
            [&x[..], &answer_blinds[1..2], &folded(&opening.gate_masks, &powers.gate_masks)].concat(),
            [&keys.lagrange[..], &[keys.blinding], &gate_masks].concat(),
        ),
        sum(
            [&z[..], &answer_blinds[2..], &[-e]].concat(),
            [&rows[..2 * nu], &[key.generators.h], &[row_masks]].concat(),
        ),
    ];
    let opened = inner_product_field(&y, &opening.eq)
        + inner_product_field(&x, &opening.eq[..gate_rows])
        + inner_product_field(&z, &round_mask_coefficients(&bound));
    for commitment in &first {
        transcript.point(commitment)?;
    }
    transcript.scalar(&g);
    transcript.scalar(&(opened - e * claim - e.square() * g));
    // The oracle's own answer is replaced by e.
    transcript.challenge();
    for scalar in answer_blinds.iter().chain(&z).chain(&x) {
        transcript.scalar(scalar);
    }
    match halvings(n) {
        0 => y.iter().for_each(|y| transcript.scalar(y)),
        _ => halve(y, &bound, &key.generators, &mut transcript)?,
    }
    // 6. and 7. The sums, and halo2 on the zero witness.
    for scalar in sums.iter().flatten().chain(&sigmas) {
        transcript.scalar(scalar);
    }
    let circuit = ProductCircuit::new(key.shape.k, vec![]);
    create_proof(
        &keys.params,
        keys.proving_key(),
        &[circuit],
        &[&[]],
        ChaCha20Rng::from_seed(seed),
        &mut transcript,
    )?;
    Ok((transcript.finish(), challenges, e))
}

#[test]
fn a_simulator_without_secrets_makes_proofs_that_pass() -> Result<(), Box<dyn std::error::Error>> {
    simulated_proofs_pass(7, 0)
}

#[test]
fn a_simulator_without_secrets_halves_its_response() -> Result<(), Box<dyn std::error::Error>> {
    simulated_proofs_pass(1000, 2)
}

fn simulated_proofs_pass(hidden: u32, rounds: usize) -> Result<(), Box<dyn std::error::Error>> {
    let layers = layers(hidden);
    let parameters = layers.parameters().iter().map(|spec| vec![1; spec.len()]).collect();
    let owner = provenn_prover::ProvingKey::commit(layers.clone(), parameters, vec![], &mut |_| {})?;
    let key = VerifyingKey::from_bytes(&owner.verifying_key()?)?;
    let system = key.shape.inference(Modes::PUBLIC);
    assert_eq!(halvings(system.layout.n), rounds, "n = {}", system.layout.n);
    // A false statement: the output is not the model's.
    let (input, output) = (vec![1, -2, 3, -4, 5], vec![17, -9]);
    assert_ne!(owner.prove(&input, provenn_prover::ProveOptions::default())?.output, output);
    let missing = CircuitError::Unbounded { tensor: 0, entry: 0 };
    let ids = [system.circuit.input().ok_or(missing.clone())?, system.circuit.output().ok_or(missing)?];
    let formats = ids.map(|id| system.format(Some(id)));
    let input_bytes = values_to_bytes(formats[0].range, &input);
    let output_bytes = values_to_bytes(formats[1].range, &output);
    let statement = Statement::Inference {
        model_id: key.model_id,
        modes: Modes::PUBLIC,
        context: b"",
        input_format: &formats[0],
        input: &input_bytes,
        output_format: &formats[1],
        output: &output_bytes,
    };
    let public = [(ids[0], &input[..]), (ids[1], &output[..])];
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let (messages, index, answer) = simulate(&key, statement, &public, &mut rng)?;

    let verify = |programmed: Option<(usize, Fp)>| {
        let mut transcript = VerifierTranscript::new(&messages);
        if let Some((index, answer)) = programmed {
            transcript.program(index, answer);
        }
        statement.absorb(|bytes| transcript.absorb(bytes));
        verify_system(&key, system, &[], &public, &mut transcript, &mut |_| {})
    };
    assert_eq!(verify(Some((index, answer))), Ok(()));
    // The real oracle is not fooled, nor one that is programmed elsewhere.
    assert!(verify(None).is_err());
    assert!(verify(Some((index - 1, answer))).is_err());
    // Challenges that have no inverse: after e come that of the inner product and those of the rounds.
    for round in 0..rounds {
        assert_eq!(verify(Some((index + 2 + round, Fp::ZERO))), Err(Rejection::ZeroChallenge));
    }
    Ok(())
}
