//! AES-256-CBC with a random IV in a header, for devices whose firmware holds one shared key (founding report R2).
//!
//! The vendor's advice in that report names the cipher and where the IV goes, and no format; this one is this crate's own:
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | magic 44 42 43 31, `DBC1` |
//! | 4 | 4 | size of the plaintext in bytes, little-endian |
//! | 8 | 8 | zeros |
//! | 16 | 16 | IV, random for each file |
//! | 32 | n | ciphertext: the plaintext, filled up to a multiple of 16 with bytes that nobody looks at |
//!
//! # CBC proves nothing
//! There is no tag: a changed byte comes out as other plaintext, and some changes are the attacker's to choose. So
//! [`Opener::finish`] gives no [`Authentic`], but [`NeedsSignature`], which only the signature of the app behind it turns
//! into one. Without secure boot (or signed updates without hardware secure boot) this format must not be used. The padding
//! is never judged, so that nothing can be learned from how it is refused.
//!
//! Whoever takes the key out of one device can read, and seal, the updates of all. New products take `esp_encrypted_img`.

use super::{
    Authentic, ContentKey, EnvelopeError, Pushed,
    stream::{self, Stream},
};
use crate::{
    bytes,
    image::{Event, Kind, Purpose, Refusal, Region, Rules, SignaturePolicy, Target, V2Policy, Verified, verify},
};
use aes::{
    Aes256,
    cipher::{Block, BlockModeDecrypt, KeyIvInit},
};
use embedded_storage::nor_flash::ReadNorFlash;

/// Size in bytes of the header.
pub const HEADER_SIZE: usize = 32;
/// The first four bytes: `DBC1`.
pub const MAGIC: [u8; 4] = *b"DBC1";
const BLOCK: usize = 16;

/// A header as it lies in the file; shows its fields and judges nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a>(pub &'a [u8; HEADER_SIZE]);

impl<'a> Header<'a> {
    /// The header at the start of `file`; `None` where it is shorter than one.
    pub fn at(file: &'a [u8]) -> Option<Self> {
        file.first_chunk().map(Self)
    }

    /// Bytes 0..4; [`MAGIC`] in an envelope.
    pub fn magic(self) -> [u8; 4] {
        bytes::array(self.0, 0).unwrap_or_default()
    }

    /// Size in bytes of the plaintext.
    pub fn size(self) -> u32 {
        bytes::le32(self.0, 4).unwrap_or(0)
    }

    /// Bytes 8..16; zeros in an envelope.
    pub fn reserved(self) -> [u8; 8] {
        bytes::array(self.0, 8).unwrap_or_default()
    }

    /// The IV.
    pub fn iv(self) -> [u8; 16] {
        bytes::array(self.0, 16).unwrap_or_default()
    }

    /// Judges the header; gives size and IV.
    fn parse(self, limit: u32) -> Result<(u32, [u8; 16]), EnvelopeError> {
        let (found, size) = (self.magic(), self.size());
        if found != MAGIC {
            return Err(EnvelopeError::BadCbcMagic { found });
        }
        if let Some((at, found)) = self.reserved().iter().enumerate().find(|(_, byte)| **byte != 0) {
            return Err(EnvelopeError::ReservedNotZero { offset: at.saturating_add(8), found: *found });
        }
        if size > limit {
            return Err(EnvelopeError::TooLarge { size, limit });
        }
        Ok((size, self.iv()))
    }
}

/// Opens one AES-CBC envelope, without an allocator.
pub struct Opener {
    key: ContentKey,
    limit: u32,
    stream: Stream<HEADER_SIZE, Body>,
}

struct Body {
    cipher: cbc::Decryptor<Aes256>,
    size: u32,
    /// Bytes of plaintext, and of ciphertext, that are to come.
    left: u32,
    ciphertext_left: u64,
    pending: [u8; BLOCK],
    filled: usize,
}

impl Opener {
    /// An opener with the shared key, for a plaintext of at most `limit` bytes: the size of the slot.
    pub fn new(key: ContentKey, limit: u32) -> Self {
        Self { key, limit, stream: Stream::new() }
    }

    /// Size of the plaintext in bytes as the header states it, once that is complete. Nothing proves it.
    pub fn size(&self) -> Option<u32> {
        self.stream.body().map(|body| body.size)
    }

    /// Takes the next bytes of the envelope, as many as `output` has room for the plaintext of.
    ///
    /// # Errors
    /// As [`super::Opener::push`].
    pub fn push<'o>(&mut self, input: &[u8], output: &'o mut [u8]) -> Result<Pushed<'o>, EnvelopeError> {
        let (key, limit) = (&self.key, self.limit);
        self.stream.push(input, output, |raw| body(key, raw, limit))
    }

    /// The end of the envelope: whether it was complete. There is no tag, so the image's signature is still to be checked.
    ///
    /// # Errors
    /// [`EnvelopeError::Truncated`], or what refused the envelope before.
    pub fn finish(self) -> Result<NeedsSignature, EnvelopeError> {
        let Body { size, .. } = self.stream.finish()?;
        Ok(NeedsSignature { size })
    }
}

fn body(key: &ContentKey, raw: &[u8; HEADER_SIZE], limit: u32) -> Result<Body, EnvelopeError> {
    let (size, iv) = Header(raw).parse(limit)?;
    let cipher = cbc::Decryptor::new(key.expose().into(), &iv.into());
    let ciphertext_left = u64::from(size).next_multiple_of(BLOCK as u64);
    Ok(Body { cipher, size, left: size, ciphertext_left, pending: [0; BLOCK], filled: 0 })
}

impl stream::Body for Body {
    fn total(&self) -> u64 {
        u64::from(self.size).next_multiple_of(BLOCK as u64).saturating_add(HEADER_SIZE as u64)
    }

    fn left(&self) -> u64 {
        self.ciphertext_left
    }

    /// Decrypts whole blocks while there is room for them.
    fn decrypt(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize), EnvelopeError> {
        // a block is completed only where its plaintext has room
        let room = output.len() / BLOCK;
        let whole = (self.filled.saturating_add(input.len()) / BLOCK).min(room);
        let length = whole.saturating_mul(BLOCK);
        let (now, rest) = input.split_at_checked(length.saturating_sub(self.filled)).unwrap_or_default();
        if let Some(output) = output.get_mut(..length).filter(|_| whole > 0) {
            output.iter_mut().zip(self.pending).take(self.filled).for_each(|(to, from)| *to = from);
            output.iter_mut().skip(self.filled).zip(now).for_each(|(to, from)| *to = *from);
            self.cipher.decrypt_blocks(Block::<Aes256>::slice_as_chunks_mut(output).0);
            self.filled = 0;
        }
        let mut used = now.len();
        if whole < room {
            self.pending.iter_mut().skip(self.filled).zip(rest).for_each(|(to, from)| *to = *from);
            self.filled = self.filled.saturating_add(rest.len());
            used = input.len();
        }
        let made = (self.left as usize).min(length);
        self.left = self.left.saturating_sub(made as u32);
        self.ciphertext_left = self.ciphertext_left.saturating_sub(used as u64);
        Ok((used, made))
    }
}

impl core::fmt::Debug for Opener {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("cbc::Opener").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// All of the plaintext was handed out, and nothing proves it yet.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "without a signature nothing proves the plaintext"]
pub struct NeedsSignature {
    size: u32,
}

impl NeedsSignature {
    /// Size in bytes of the plaintext.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Verifies the app that the plaintext was written as, in `region` of `flash` as the CPU reads it, and its signature by
    /// `policy`, which is taken as enforced: any key that signed will not do.
    ///
    /// # Errors
    /// [`Refusal`]: the first check of [`verify`] that fails.
    pub fn check<F: ReadNorFlash>(
        self,
        flash: &mut F,
        region: Region,
        target: &Target,
        policy: &SignaturePolicy,
        observer: &mut dyn FnMut(Event),
    ) -> Result<(Authentic, Verified), Refusal> {
        let policy = match policy {
            SignaturePolicy::V2(policy) => SignaturePolicy::V2(V2Policy { enforced: true, ..*policy }),
            v1 @ SignaturePolicy::V1 { .. } => *v1,
        };
        let rules = Rules { target, kind: Kind::App, purpose: Purpose::Verify, signature: Some(&policy) };
        let verified = verify(flash, region, &rules, observer)?;
        Ok((Authentic::new(self.size), verified))
    }
}

/// An envelope with `plaintext`, encrypted with `key` and `iv`, which must be random and new for each file.
///
/// # Errors
/// [`EnvelopeError::TooLarge`] where the size does not fit the header's 32 bits.
#[cfg(feature = "alloc")]
pub fn seal(plaintext: &[u8], key: &ContentKey, iv: [u8; 16]) -> Result<alloc::vec::Vec<u8>, EnvelopeError> {
    use aes::cipher::BlockModeEncrypt;
    let size =
        u32::try_from(plaintext.len()).map_err(|_| EnvelopeError::TooLarge { size: u32::MAX, limit: u32::MAX })?;
    let mut cipher = cbc::Encryptor::<Aes256>::new(key.expose().into(), &iv.into());
    let mut envelope = alloc::vec::Vec::with_capacity(plaintext.len().saturating_add(HEADER_SIZE + BLOCK));
    for field in [&MAGIC[..], &size.to_le_bytes(), &[0; 8], &iv] {
        envelope.extend_from_slice(field);
    }
    for chunk in plaintext.chunks(BLOCK) {
        let mut block = Block::<Aes256>::default();
        block.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        cipher.encrypt_block(&mut block);
        envelope.extend_from_slice(&block);
    }
    Ok(envelope)
}
