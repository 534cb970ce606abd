//! Verification of one proof.

use crate::error::{Part, Rejection};
use crate::hidden::VerifierParty;
use crate::key::VerifyingKey;
use crate::opening::{Commitments, verify};
use provenn_algebra::EqAffine;
use provenn_algebra::commit::Committer;
use provenn_algebra::encoding::{compress, decompress};
use provenn_algebra::transcript::VerifierTranscript;
use provenn_circuits::Modes;
use provenn_circuits::artifact::{
    CommitmentFormat, Kind, ModelId, OpeningContent, ProofContent, Statement, TensorOpening, decode,
    encoded_len, values_from_bytes,
};
use provenn_circuits::circuit::{TensorId, Visibility};
use provenn_circuits::forms::{GATE_COLUMNS, combine};
use provenn_circuits::layout::{Group, Layout};
use provenn_circuits::system::System;
use std::borrow::Cow;
use std::ops::Range;
use tracing::{Span, info_span};

/// What the verifier is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Decoding the statement and absorbing it.
    Statement,
    /// Reading the commitments of the proof.
    Commitments,
    /// Running the reductions on the masked messages.
    Reduction,
    /// Combining the claims of the reductions.
    Combination,
    /// Reading the row sum-check and the folded opening.
    Opening,
    /// Reading halo2's proof of the hidden products.
    Products,
    /// Checking the scalar equation, computing the scalars of the one over the group.
    Coefficients,
    /// The equation.
    Equation,
}

impl Phase {
    /// All phases, in order.
    pub const ALL: [Phase; 8] = [
        Phase::Statement,
        Phase::Commitments,
        Phase::Reduction,
        Phase::Combination,
        Phase::Opening,
        Phase::Products,
        Phase::Coefficients,
        Phase::Equation,
    ];

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Statement => "statement",
            Phase::Commitments => "commitments",
            Phase::Reduction => "reduction",
            Phase::Combination => "combination",
            Phase::Opening => "opening",
            Phase::Products => "halo2",
            Phase::Coefficients => "coefficients",
            Phase::Equation => "equation",
        }
    }

    /// A span of the same name.
    fn span(self) -> Span {
        match self {
            Phase::Statement => info_span!("statement"),
            Phase::Commitments => info_span!("commitments"),
            Phase::Reduction => info_span!("reduction"),
            Phase::Combination => info_span!("combination"),
            Phase::Opening => info_span!("opening"),
            Phase::Products => info_span!("halo2"),
            Phase::Coefficients => info_span!("coefficients"),
            Phase::Equation => info_span!("equation"),
        }
    }
}

/// A tensor of an accepted statement, as far as the proof shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Its values, row-major.
    Public(Vec<i64>),
    /// A hiding commitment to them.
    Committed {
        /// What it is a commitment to.
        format: CommitmentFormat,
        /// Compressed points, one per column.
        points: Vec<[u8; 32]>,
    },
}

impl Shown {
    /// The values, if they are public.
    pub fn values(&self) -> Option<&[i64]> {
        match self {
            Shown::Public(values) => Some(values),
            Shown::Committed { .. } => None,
        }
    }
}

/// What an accepted proof says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The model that was run.
    pub model_id: ModelId,
    /// The context that the proof is bound to.
    pub context: Vec<u8>,
    /// Its input.
    pub input: Shown,
    /// Its output.
    pub output: Shown,
}

impl VerifyingKey {
    /// Verifies a proof for this model, bound to `context`.
    ///
    /// # Errors
    /// [`Rejection`] with the reason: the statement is not proved.
    pub fn verify(&self, proof: &[u8], context: &[u8]) -> Result<Verified, Rejection> {
        self.verify_observed(proof, context, &mut |_| {})
    }

    /// As [`VerifyingKey::verify`]; `observe` is called at the start of each phase.
    ///
    /// # Errors
    /// As [`VerifyingKey::verify`].
    pub fn verify_observed(
        &self,
        proof: &[u8],
        context: &[u8],
        observe: &mut dyn FnMut(Phase),
    ) -> Result<Verified, Rejection> {
        let _verify = info_span!("verify").entered();
        let mut span = None;
        let observe = &mut |phase: Phase| {
            // Spans are nested: the last one ends before anything begins.
            span = None;
            observe(phase);
            span = Some(phase.span().entered());
        };
        observe(Phase::Statement);
        let content: ProofContent<'_> = decode(Kind::Proof, proof)?;
        let statement = ParsedStatement::new(self, &content, context)?;
        let ParsedStatement { system, input, output, input_points, output_points, .. } = &statement;
        let mut transcript = VerifierTranscript::new(content.messages);
        statement.absorb(self.model_id, &content, &mut transcript);
        let published = [&input_points[..], output_points].concat();
        let public = [(system.circuit.input(), input), (system.circuit.output(), output)]
            .into_iter()
            .filter_map(|(id, shown)| Some((id?, shown.values()?)))
            .collect::<Vec<_>>();
        verify_system(self, system, &published, &public, &mut transcript, observe)?;
        Ok(Verified {
            model_id: self.model_id,
            context: content.context.to_vec(),
            input: statement.input,
            output: statement.output,
        })
    }

    /// Verifies that `opening` opens the committed input or output of `proof`, and returns its values.
    ///
    /// The proof itself is not verified here: see [`VerifyingKey::verify`].
    ///
    /// # Errors
    /// [`Rejection`] with the reason.
    pub fn open(&self, proof: &[u8], opening: &[u8], part: Part) -> Result<Vec<i64>, Rejection> {
        let content: ProofContent<'_> = decode(Kind::Proof, proof)?;
        let statement = ParsedStatement::new(self, &content, content.context)?;
        let opening: OpeningContent = decode(Kind::Opening, opening)?;
        let (shown, opened, group, id) = match part {
            Part::Input => (&statement.input, opening.input, Group::Input, statement.system.circuit.input()),
            Part::Output => {
                (&statement.output, opening.output, Group::Output, statement.system.circuit.output())
            }
        };
        let Shown::Committed { format, points } = shown else {
            return Err(Rejection::NothingToOpen { part });
        };
        let opened = opened.ok_or(Rejection::NotInOpening { part })?;
        let id = id.ok_or(Rejection::NothingToOpen { part })?;
        check_opening(statement.system, id, group, part, format, points, opened)
    }
}

/// The statement of a proof, with every size and range checked.
struct ParsedStatement<'k> {
    system: &'k System,
    modes: Modes,
    input: Shown,
    output: Shown,
    input_points: Vec<EqAffine>,
    output_points: Vec<EqAffine>,
    formats: [CommitmentFormat; 2],
}

impl<'k> ParsedStatement<'k> {
    fn new(key: &'k VerifyingKey, content: &ProofContent<'_>, context: &[u8]) -> Result<Self, Rejection> {
        if content.model_id != key.model_id {
            return Err(Rejection::Model { expected: key.model_id, actual: content.model_id });
        }
        if content.context != context {
            return Err(Rejection::Context {
                expected: String::from_utf8_lossy(context).into_owned(),
                actual: String::from_utf8_lossy(content.context).into_owned(),
            });
        }
        let modes =
            *Modes::ALL.get(usize::from(content.modes)).ok_or(Rejection::Modes { actual: content.modes })?;
        let system = key.shape.inference(modes);
        let (input_id, output_id) = (system.circuit.input(), system.circuit.output());
        let (input, input_points) = shown(system, Part::Input, modes.input, input_id, content.input)?;
        let (output, output_points) = shown(system, Part::Output, modes.output, output_id, content.output)?;
        let formats = [system.format(input_id), system.format(output_id)];
        Ok(ParsedStatement { system, modes, input, output, input_points, output_points, formats })
    }

    fn absorb(&self, model_id: ModelId, content: &ProofContent<'_>, transcript: &mut VerifierTranscript<'_>) {
        let statement = Statement::Inference {
            model_id,
            modes: self.modes,
            context: content.context,
            input_format: &self.formats[0],
            input: content.input,
            output_format: &self.formats[1],
            output: content.output,
        };
        statement.absorb(|bytes| transcript.absorb(bytes));
    }
}

/// A tensor of the statement from its bytes in the proof.
fn shown(
    system: &System,
    part: Part,
    visibility: Visibility,
    id: Option<TensorId>,
    bytes: &[u8],
) -> Result<(Shown, Vec<EqAffine>), Rejection> {
    let length = |expected: usize| {
        if bytes.len() == expected {
            Ok(())
        } else {
            Err(Rejection::Length { part, expected, actual: bytes.len() })
        }
    };
    match visibility {
        Visibility::Public => {
            let (entries, range) = id.map_or((0, provenn_circuits::Range::new(0, 0)), |id| {
                (system.circuit.tensors[id].len(), system.circuit.tensors[id].range)
            });
            length(encoded_len(range, entries))?;
            let values = values_from_bytes(range, bytes);
            match values.iter().position(|&value| !range.contains(value)) {
                None => Ok((Shown::Public(values), Vec::new())),
                Some(index) => Err(Rejection::OutOfRange {
                    part,
                    index,
                    value: values[index],
                    lo: range.lo,
                    hi: range.hi,
                }),
            }
        }
        Visibility::Committed => {
            let group = match part {
                Part::Input => Group::Input,
                Part::Output => Group::Output,
            };
            length(32 * system.layout.group(group).len())?;
            let compressed: Vec<[u8; 32]> = bytes
                .chunks_exact(32)
                .map(|chunk| {
                    let mut point = [0; 32];
                    point.copy_from_slice(chunk);
                    point
                })
                .collect();
            let points = decompress(&compressed)
                .map_err(|source| Rejection::Point { what: format!("{part} commitment"), source })?;
            Ok((Shown::Committed { format: system.format(id), points: compressed }, points))
        }
    }
}

/// Verifies the messages of one transcript, whose statement has been absorbed.
///
/// `published` are the points of a committed input and output, in that order; `public` the values of public tensors.
pub(crate) fn verify_system(
    key: &VerifyingKey,
    system: &System,
    published: &[EqAffine],
    public: &[(TensorId, &[i64])],
    transcript: &mut VerifierTranscript<'_>,
    observe: &mut dyn FnMut(Phase),
) -> Result<(), Rejection> {
    observe(Phase::Commitments);
    // Decoding is most of the work here, so all points are decoded together.
    let (witness, masks) = (system.layout.witness.len(), system.mask_columns);
    let mut points = transcript.points(witness + masks + GATE_COLUMNS + 1)?.into_iter();
    let commitments = Commitments {
        columns: key.weights.iter().chain(published).copied().chain(points.by_ref().take(witness)).collect(),
        masks: points.by_ref().take(masks).collect(),
        gate_masks: points.by_ref().take(GATE_COLUMNS).collect(),
        row_masks: points.next().ok_or(Rejection::FalseOpening)?,
    };
    observe(Phase::Reduction);
    let mut party = VerifierParty::new(transcript);
    system.reduce(&mut party)?;
    let (masked, forms) = (party.masked, party.forms);
    observe(Phase::Combination);
    let mut values: Vec<Cow<'_, [i64]>> = vec![Cow::Borrowed(&[]); system.circuit.tensors.len()];
    for (id, tensor) in public {
        values[*id] = Cow::Borrowed(tensor);
    }
    let challenge = transcript.challenge();
    let combined = combine(forms, challenge, &masked, &system.circuit, &values);
    verify(key, system, &commitments, &combined, &masked, transcript, observe)
}

/// Checks the opening of a commitment; returns the opened values.
fn check_opening(
    system: &System,
    id: TensorId,
    group: Group,
    part: Part,
    format: &CommitmentFormat,
    points: &[[u8; 32]],
    opening: TensorOpening,
) -> Result<Vec<i64>, Rejection> {
    use ff::PrimeField;
    if opening.format != *format {
        return Err(Rejection::Format {
            part,
            expected: format!("{format:?}"),
            actual: format!("{:?}", opening.format),
        });
    }
    let tensor = &system.circuit.tensors[id];
    if opening.values.len() != tensor.len() {
        return Err(Rejection::Length { part, expected: 8 * tensor.len(), actual: 8 * opening.values.len() });
    }
    if let Some(index) = opening.values.iter().position(|&value| !tensor.range.contains(value)) {
        let (value, range) = (opening.values[index], tensor.range);
        return Err(Rejection::OutOfRange { part, index, value, lo: range.lo, hi: range.hi });
    }
    let blinds: Option<Vec<_>> =
        opening.blinds.iter().map(|repr| Option::from(provenn_algebra::Fp::from_repr(*repr))).collect();
    let blinds =
        blinds.filter(|blinds| blinds.len() == points.len()).ok_or(Rejection::WrongOpening { part })?;
    let layout: &Layout = &system.layout;
    let columns: Range<usize> = layout.group(group);
    let mut entries = vec![0; columns.len() * layout.n];
    layout.fill(id, &tensor.shape, &opening.values, columns.start, &mut entries);
    let columns: Vec<&[i64]> = entries.chunks(layout.n).collect();
    let committed = compress(&Committer::new(layout.n).commit_small(&columns, &blinds));
    if committed == points { Ok(opening.values) } else { Err(Rejection::WrongOpening { part }) }
}
