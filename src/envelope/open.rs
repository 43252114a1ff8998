//! Opening an `esp_encrypted_img` envelope as its bytes arrive, in chunks of any size.

use super::{
    Contents, EnvelopeError, HEADER_SIZE, Header, Pushed, Unwrap,
    gcm::Gcm,
    stream::{self, Stream},
};

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
    stream: Stream<HEADER_SIZE, Body>,
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
        Self { key, limit, stream: Stream::new() }
    }

    /// Size of the plaintext in bytes as the header states it, once that is complete. Nothing proves it before the end.
    pub fn size(&self) -> Option<u32> {
        self.stream.body().map(|body| body.size)
    }

    /// Takes the next bytes of the envelope, as many as `output` has room for the plaintext of.
    ///
    /// # Errors
    /// The first check that fails, as soon as it does; each later call says the same. [`EnvelopeError::OutputTooSmall`]
    /// changes nothing.
    pub fn push<'o>(&mut self, input: &[u8], output: &'o mut [u8]) -> Result<Pushed<'o>, EnvelopeError> {
        let (key, limit) = (&mut self.key, self.limit);
        self.stream.push(input, output, |raw| body(key, raw, limit))
    }

    /// The end of the envelope: whether it was complete, and whether its tag is right.
    ///
    /// # Errors
    /// [`EnvelopeError::Truncated`], [`EnvelopeError::BadTag`], or what refused the envelope before.
    pub fn finish(self) -> Result<Authentic, EnvelopeError> {
        let Body { gcm, size, tag, .. } = self.stream.finish()?;
        if gcm.verifies(&tag) { Ok(Authentic::new(size)) } else { Err(EnvelopeError::BadTag) }
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

impl stream::Body for Body {
    fn total(&self) -> u64 {
        (HEADER_SIZE as u64).saturating_add(u64::from(self.size))
    }

    fn left(&self) -> u64 {
        u64::from(self.left)
    }

    fn decrypt(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), EnvelopeError> {
        let count = input.len().min(output.len());
        let Some(output) = output.get_mut(..count) else { return Ok((0, 0)) };
        output.iter_mut().zip(input).for_each(|(to, from)| *to = *from);
        // a u32 of bytes does not exhaust the key stream
        self.gcm.decrypt(output).map_err(|_| EnvelopeError::Trailing { expected: stream::Body::total(self) })?;
        self.left = self.left.saturating_sub(count as u32);
        Ok((count, count))
    }
}

impl<U> core::fmt::Debug for Opener<U> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Opener").field("limit", &self.limit).finish_non_exhaustive()
    }
}
