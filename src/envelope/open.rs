//! Opening an `esp_encrypted_img` envelope as its bytes arrive, in chunks of any size.

use super::{Contents, EnvelopeError, HEADER_SIZE, Header, Unwrap, gcm::Gcm};

/// Smallest output buffer in bytes.
pub const MIN_OUTPUT: usize = 16;

/// Plaintext whose proof is not there yet. It may be written where nothing starts it, and must not be acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "these bytes are given once"]
pub struct Unverified<'a>(pub(super) &'a [u8]);

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

/// Proof that all of an image's plaintext has been handed out and is what was sealed. Only this module makes one.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "this is what an updater waits for"]
pub struct Authentic {
    size: u32,
}

impl Authentic {
    pub(super) fn new(size: u32) -> Self {
        Self { size }
    }

    /// Size in bytes of the plaintext.
    pub fn size(&self) -> u32 {
        self.size
    }
}

/// Opens one envelope. About 1 KiB, and no allocator unless the key needs one.
///
/// ```
/// use dryburn::envelope::{EciesKey, EnvelopeError, Opener};
/// # fn demo(hmac_key: [u8; 32], chunks: &[&[u8]], slot_size: u32) -> Result<(), EnvelopeError> {
/// # fn write_to_slot(_: &[u8]) {}
/// # fn make_bootable() {}
/// # let Some(key) = EciesKey::from_hmac_key(&hmac_key) else { return Ok(()) };
/// let mut opener = Opener::new(key, slot_size);
/// let mut buffer = [0; 1024];
/// for chunk in chunks {
///     let mut rest = *chunk;
///     while !rest.is_empty() {
///         let pushed = opener.push(rest, &mut buffer)?;
///         write_to_slot(pushed.plaintext.unproven());
///         rest = rest.get(pushed.consumed..).unwrap_or(&[]);
///     }
/// }
/// let _proof = opener.finish()?;
/// make_bootable();
/// # Ok(())
/// # }
/// ```
pub struct Opener<U> {
    key: U,
    limit: u32,
    state: State,
}

#[allow(clippy::large_enum_variant, reason = "there is no allocator to box with")]
enum State {
    Header { raw: [u8; HEADER_SIZE], filled: usize },
    Body(Body),
    Refused(EnvelopeError),
}

struct Body {
    gcm: Gcm,
    size: u32,
    /// Bytes of ciphertext that are to come.
    left: u32,
    tag: [u8; 16],
}

impl<U: Unwrap> Opener<U> {
    /// An opener with the key of this device, for a plaintext of at most `limit` bytes: the size of the slot.
    pub fn new(key: U, limit: u32) -> Self {
        Self { key, limit, state: State::Header { raw: [0; HEADER_SIZE], filled: 0 } }
    }

    /// Size of the plaintext in bytes as the header states it, once that is complete. Nothing proves it before the end.
    pub fn size(&self) -> Option<u32> {
        match &self.state {
            State::Body(body) => Some(body.size),
            _ => None,
        }
    }

    /// Takes the next bytes of the envelope, as many as `output` has room for the plaintext of.
    ///
    /// # Errors
    /// The first check that fails, as soon as it does; each later call says the same. [`EnvelopeError::OutputTooSmall`]
    /// changes nothing.
    pub fn push<'o>(&mut self, input: &[u8], output: &'o mut [u8]) -> Result<Pushed<'o>, EnvelopeError> {
        if output.len() < MIN_OUTPUT {
            return Err(EnvelopeError::OutputTooSmall { found: output.len() });
        }
        match self.advance(input, output) {
            Ok((consumed, made)) => {
                let plaintext = Unverified(output.get(..made).unwrap_or(&[]));
                Ok(Pushed { consumed, plaintext })
            }
            Err(error) => {
                self.state = State::Refused(error);
                Err(error)
            }
        }
    }

    /// Bytes consumed, and bytes of plaintext made.
    fn advance(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), EnvelopeError> {
        let mut consumed = 0_usize;
        if let State::Header { raw, filled } = &mut self.state {
            let room = HEADER_SIZE.saturating_sub(*filled);
            consumed = room.min(input.len());
            raw.iter_mut().skip(*filled).zip(input).for_each(|(to, from)| *to = *from);
            *filled = filled.saturating_add(consumed);
            if *filled < HEADER_SIZE {
                return Ok((consumed, 0));
            }
            let body = body(&mut self.key, raw, self.limit)?;
            self.state = State::Body(body);
        }
        match &mut self.state {
            State::Body(body) => {
                let made = body.push(input.get(consumed..).unwrap_or(&[]), output)?;
                Ok((consumed.saturating_add(made), made))
            }
            State::Refused(error) => Err(*error),
            State::Header { .. } => Ok((consumed, 0)),
        }
    }

    /// The end of the envelope: whether it was complete, and whether its tag is right.
    ///
    /// # Errors
    /// [`EnvelopeError::Truncated`], [`EnvelopeError::BadTag`], or what refused the envelope before.
    pub fn finish(self) -> Result<Authentic, EnvelopeError> {
        match self.state {
            State::Header { filled, .. } => {
                Err(EnvelopeError::Truncated { found: filled as u64, expected: HEADER_SIZE as u64 })
            }
            State::Refused(error) => Err(error),
            State::Body(body) if body.left > 0 => {
                let expected = body.total();
                Err(EnvelopeError::Truncated { found: expected.saturating_sub(u64::from(body.left)), expected })
            }
            State::Body(Body { gcm, size, tag, .. }) => {
                if gcm.verifies(&tag) {
                    Ok(Authentic::new(size))
                } else {
                    Err(EnvelopeError::BadTag)
                }
            }
        }
    }
}

fn body<U: Unwrap>(key: &mut U, raw: &[u8; HEADER_SIZE], limit: u32) -> Result<Body, EnvelopeError> {
    let Contents { wrapped_key, iv, size, tag } = Contents::parse(Header(raw))?;
    if size > limit {
        return Err(EnvelopeError::TooLarge { size, limit });
    }
    let key = key.unwrap_key(wrapped_key)?;
    Ok(Body { gcm: Gcm::new(&key, &iv), size, left: size, tag })
}

impl Body {
    /// Length in bytes of the envelope.
    fn total(&self) -> u64 {
        (HEADER_SIZE as u64).saturating_add(u64::from(self.size))
    }

    /// Decrypts as much as there is room for; gives the number of bytes.
    fn push(&mut self, input: &[u8], output: &mut [u8]) -> Result<usize, EnvelopeError> {
        if input.len() as u64 > u64::from(self.left) {
            return Err(EnvelopeError::Trailing { expected: self.total() });
        }
        let count = input.len().min(output.len());
        let Some(output) = output.get_mut(..count) else { return Ok(0) };
        output.iter_mut().zip(input).for_each(|(to, from)| *to = *from);
        // a u32 of bytes does not exhaust the key stream
        self.gcm.decrypt(output).map_err(|_| EnvelopeError::Trailing { expected: self.total() })?;
        self.left = self.left.saturating_sub(count as u32);
        Ok(count)
    }
}

impl<U> core::fmt::Debug for Opener<U> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Opener").field("limit", &self.limit).finish_non_exhaustive()
    }
}
