//! What a proof tells while it is made: the phases that begin, and, if somebody measures, where its time goes.

use crate::costs::Shared;
use crate::prove::Phase;
use provenn_circuits::circuit::TensorId;
use provenn_circuits::reduction::Subject;
use std::ops::Range;
use std::time::Instant;
use tracing::Span;
use tracing::span::EnteredSpan;

/// What a stretch of time was spent on.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// No layer in particular.
    Shared(Shared),
    /// A step of the witness, by index.
    Step(usize),
    /// A tensor.
    Tensor(TensorId),
    /// A constraint or a table.
    Subject(Subject),
    /// Constraints or tables, with how long each took, on whatever thread.
    Subjects(Vec<(Subject, f64)>),
    /// The tree of fractions.
    Tree,
    /// Commitments to the columns of the witness: of each tensor, the non-zero digits of all values, and the most digits of one.
    Commitments(Vec<Digits>),
    /// Anything that passes over these columns, each range with how long it took or how much there was to do; and what there was
    /// to do besides, for no layer.
    Columns(Vec<(Range<usize>, f64)>, f64),
    /// The rounds of the bilinear sum-check.
    Rounds,
    /// All of these at once, with how long each took, on whatever thread.
    Together(Vec<(Work, f64)>),
    /// Terms of the claims: tensors, with how much each takes.
    Terms(Vec<(TensorId, f64)>),
}

/// Digits of some values to base 256.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Digits {
    /// Non-zero digits of all values.
    pub(crate) nonzero: u64,
    /// Digits of the longest value.
    pub(crate) longest: u32,
}

impl Digits {
    /// Counts digits of at most 128 in absolute value, as `provenn_algebra::commit` recodes values for its table.
    pub(crate) fn of(values: &[i64]) -> Digits {
        values.iter().fold(Digits::default(), |Digits { nonzero, longest }, value| {
            let mut rest = u128::from(value.unsigned_abs());
            let (mut count, mut len) = (0, 0);
            while rest > 0 {
                let digit = rest & 0xff;
                count += u64::from(digit != 0);
                len += 1;
                rest = (rest >> 8) + u128::from(digit > 128);
            }
            Digits { nonzero: nonzero + count, longest: longest.max(len) }
        })
    }
}

/// A stretch of time, from the end of the one before.
#[derive(Debug)]
pub(crate) struct Lap {
    pub(crate) phase: Phase,
    pub(crate) work: Work,
    pub(crate) nanoseconds: f64,
}

/// Who looks at a proof in the making.
pub(crate) struct Watch<'w> {
    observe: &'w mut dyn FnMut(Phase),
    clock: Option<Clock>,
    /// The span of the phase; it ends before the one around it.
    span: Option<EnteredSpan>,
    _whole: Option<EnteredSpan>,
}

/// The laps so far.
struct Clock {
    last: Instant,
    phase: Phase,
    laps: Vec<Lap>,
}

impl<'w> Watch<'w> {
    /// Is told the phases.
    pub(crate) fn new(observe: &'w mut dyn FnMut(Phase)) -> Watch<'w> {
        Watch { observe, clock: None, span: None, _whole: None }
    }

    /// Measures too, from now on.
    pub(crate) fn measuring(observe: &'w mut dyn FnMut(Phase)) -> Watch<'w> {
        let clock = Clock { last: Instant::now(), phase: Phase::Witness, laps: Vec::new() };
        Watch { observe, clock: Some(clock), span: None, _whole: None }
    }

    /// All phases are within a span, which begins now.
    pub(crate) fn within(self, span: Span) -> Watch<'w> {
        Watch { _whole: Some(span.entered()), ..self }
    }

    /// A phase begins.
    pub(crate) fn phase(&mut self, phase: Phase) {
        if let Some(clock) = &mut self.clock {
            clock.phase = phase;
        }
        // Spans are nested: the last one ends before anything begins.
        self.span = None;
        (self.observe)(phase);
        self.span = Some(phase.span().entered());
    }

    /// All time since the last lap went to this work. What it takes to say so counts for nothing.
    pub(crate) fn lap(&mut self, work: impl FnOnce() -> Work) {
        if let Some(clock) = &mut self.clock {
            let now = Instant::now();
            let nanoseconds = (now - clock.last).as_nanos() as f64;
            clock.laps.push(Lap { phase: clock.phase, work: work(), nanoseconds });
            clock.last = Instant::now();
        }
    }

    /// What times parts of work that threads share.
    pub(crate) fn timer(&self) -> Timer {
        Timer { measures: self.clock.is_some() }
    }

    /// All laps, if they were measured.
    pub(crate) fn into_laps(self) -> Option<Vec<Lap>> {
        self.clock.map(|clock| clock.laps)
    }
}

/// Times parts of work, if somebody measures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timer {
    measures: bool,
}

impl Timer {
    /// The result of some work, and the nanoseconds that it took; 0 if nobody measures.
    pub(crate) fn time<T>(self, work: impl FnOnce() -> T) -> (T, f64) {
        let started = self.measures.then(Instant::now);
        let result = work();
        (result, started.map_or(0.0, |started| started.elapsed().as_nanos() as f64))
    }
}
