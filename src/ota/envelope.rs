//! The crate's own envelopes as a way in.

use super::{Opened, Opener, Proof};
use crate::envelope::{self, EnvelopeError, Pushed, Unwrap, cbc};

impl From<Pushed<'_>> for Opened {
    fn from(Pushed { consumed, plaintext }: Pushed<'_>) -> Self {
        // the updater holds back the first bytes until `finish`
        Self { consumed, produced: plaintext.unproven().len() }
    }
}

impl<U: Unwrap> Opener for envelope::Opener<U> {
    type Error = EnvelopeError;

    fn open(&mut self, input: &[u8], output: &mut [u8]) -> Result<Opened, EnvelopeError> {
        self.push(input, output).map(Opened::from)
    }

    fn finish(self) -> Result<Proof, EnvelopeError> {
        envelope::Opener::finish(self).map(|_authentic| Proof::Enough)
    }
}

impl Opener for cbc::Opener {
    type Error = EnvelopeError;

    fn open(&mut self, input: &[u8], output: &mut [u8]) -> Result<Opened, EnvelopeError> {
        self.push(input, output).map(Opened::from)
    }

    fn finish(self) -> Result<Proof, EnvelopeError> {
        cbc::Opener::finish(self).map(|_needs_signature| Proof::NeedsSignature)
    }
}
