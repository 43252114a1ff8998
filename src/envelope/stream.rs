//! What opening has in common in both formats: the header is collected first, then comes the body, and a refusal stays.

use super::EnvelopeError;

/// Smallest output buffer in bytes.
pub const MIN_OUTPUT: usize = 16;

/// Plaintext whose proof is not there yet. It may be written where nothing starts it, and must not be acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "these bytes are given once"]
pub struct Unverified<'a>(&'a [u8]);

impl<'a> Unverified<'a> {
    /// The bytes, for a caller who keeps them from becoming bootable until there is proof.
    pub fn unproven(self) -> &'a [u8] {
        self.0
    }
}

/// What one call of `push` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed<'a> {
    /// Bytes of the input that were used. Where that is less than all of it, the output was full: push the rest.
    pub consumed: usize,
    /// The plaintext that came out.
    pub plaintext: Unverified<'a>,
}

/// What comes behind a header.
pub(super) trait Body {
    /// Length in bytes of the envelope.
    fn total(&self) -> u64;

    /// How many of them are to come.
    fn left(&self) -> u64;

    /// Decrypts as much as there is room for, of no more than is to come; gives the bytes used and the bytes made.
    fn decrypt(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), EnvelopeError>;
}

/// An envelope of which a part has arrived.
#[allow(clippy::large_enum_variant, reason = "there is no allocator to box with")]
pub(super) enum Stream<const HEADER: usize, B> {
    Header { raw: [u8; HEADER], filled: usize },
    Body(B),
    Refused(EnvelopeError),
}

impl<const HEADER: usize, B: Body> Stream<HEADER, B> {
    pub fn new() -> Self {
        Self::Header { raw: [0; HEADER], filled: 0 }
    }

    /// The body, once the header is complete.
    pub fn body(&self) -> Option<&B> {
        match self {
            Self::Body(body) => Some(body),
            _ => None,
        }
    }

    /// Takes the next bytes, as many as `output` has room for the plaintext of; `begin` judges the header.
    pub fn push<'o>(
        &mut self,
        input: &[u8],
        output: &'o mut [u8],
        begin: impl FnOnce(&[u8; HEADER]) -> Result<B, EnvelopeError>,
    ) -> Result<Pushed<'o>, EnvelopeError> {
        if output.len() < MIN_OUTPUT {
            return Err(EnvelopeError::OutputTooSmall { found: output.len() });
        }
        match self.advance(input, output, begin) {
            Ok((consumed, made)) => {
                let plaintext = Unverified(output.get(..made).unwrap_or(&[]));
                Ok(Pushed { consumed, plaintext })
            }
            Err(error) => {
                *self = Self::Refused(error);
                Err(error)
            }
        }
    }

    /// Bytes consumed, and bytes of plaintext made.
    fn advance(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        begin: impl FnOnce(&[u8; HEADER]) -> Result<B, EnvelopeError>,
    ) -> Result<(usize, usize), EnvelopeError> {
        let mut consumed = 0_usize;
        if let Self::Header { raw, filled } = self {
            consumed = HEADER.saturating_sub(*filled).min(input.len());
            raw.iter_mut().skip(*filled).zip(input).for_each(|(to, from)| *to = *from);
            *filled = filled.saturating_add(consumed);
            if *filled < HEADER {
                return Ok((consumed, 0));
            }
            *self = Self::Body(begin(raw)?);
        }
        match self {
            Self::Body(body) => {
                let input = input.get(consumed..).unwrap_or(&[]);
                if input.len() as u64 > body.left() {
                    return Err(EnvelopeError::Trailing { expected: body.total() });
                }
                let (used, made) = body.decrypt(input, output)?;
                Ok((consumed.saturating_add(used), made))
            }
            Self::Refused(error) => Err(*error),
            Self::Header { .. } => Ok((consumed, 0)),
        }
    }

    /// The end of the envelope: its body, if it was complete.
    pub fn finish(self) -> Result<B, EnvelopeError> {
        match self {
            Self::Header { filled, .. } => {
                Err(EnvelopeError::Truncated { found: filled as u64, expected: HEADER as u64 })
            }
            Self::Refused(error) => Err(error),
            Self::Body(body) if body.left() > 0 => {
                let expected = body.total();
                Err(EnvelopeError::Truncated { found: expected.saturating_sub(body.left()), expected })
            }
            Self::Body(body) => Ok(body),
        }
    }
}
