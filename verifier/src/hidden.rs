//! Hidden messages: the verifier's end of the channel.

use crate::error::Rejection;
use provenn_algebra::Fp;
use provenn_algebra::transcript::VerifierTranscript;
use provenn_circuits::forms::{Form, GATE_COLUMNS, Messages};
use provenn_circuits::reduction::Party;

/// The verifier's party: reads every masked message and absorbs it.
pub(crate) struct VerifierParty<'t, 'p> {
    transcript: &'t mut VerifierTranscript<'p>,
    pub(crate) masked: Messages,
    pub(crate) forms: Vec<Form>,
}

impl<'t, 'p> VerifierParty<'t, 'p> {
    pub(crate) fn new(transcript: &'t mut VerifierTranscript<'p>) -> Self {
        VerifierParty { transcript, masked: Messages::default(), forms: Vec::new() }
    }
}

impl Party for VerifierParty<'_, '_> {
    type Error = Rejection;

    fn challenge(&mut self) -> Fp {
        self.transcript.challenge()
    }

    fn round(&mut self, _first: usize) -> Result<(), Rejection> {
        for _ in 0..2 {
            let message = self.transcript.scalar()?;
            self.masked.rounds.push(message);
        }
        Ok(())
    }

    fn gate(&mut self, _row: usize) -> Result<(), Rejection> {
        let mut cells = [Fp::zero(); GATE_COLUMNS];
        for cell in &mut cells {
            *cell = self.transcript.scalar()?;
        }
        self.masked.gates.push(cells);
        Ok(())
    }

    fn assert_zero(&mut self, form: Form) {
        self.forms.push(form);
    }
}
