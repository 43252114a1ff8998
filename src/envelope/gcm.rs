//! AES-256-GCM with a 16-byte IV and no additional data (NIST SP 800-38D), a chunk at a time.
//!
//! The `aes-gcm` crate needs the whole ciphertext before it gives the first byte; a device does not have that memory. So its
//! parts are put together here, and the tests hold the result against it.

use super::ContentKey;
use aes::{
    Aes256,
    cipher::{BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper, StreamCipherError},
};
use ctr::CtrCore;
use ghash::{Block, GHash, universal_hash::UniversalHash};
use p256::elliptic_curve::subtle::ConstantTimeEq;

const BLOCK: usize = 16;

/// State of one message.
pub(super) struct Gcm {
    stream: StreamCipherCoreWrapper<CtrCore<Aes256, ctr::flavors::Ctr32BE>>,
    hash: GHash,
    /// First block of the key stream, which covers the tag.
    mask: [u8; BLOCK],
    /// Ciphertext that does not fill a block yet.
    pending: [u8; BLOCK],
    filled: usize,
    /// Bytes of ciphertext so far.
    length: u64,
}

impl Gcm {
    pub(super) fn new(key: &ContentKey, iv: &[u8; BLOCK]) -> Self {
        let aes = Aes256::new(key.expose().into());
        let mut subkey = Block::default();
        aes.encrypt_block(&mut subkey);
        let hash = GHash::new(&subkey);
        // An IV that is not 12 bytes long is hashed, with its length behind it, into the first counter block.
        let mut counter = hash.clone();
        counter.update(&[Block::from(*iv), lengths(0, BLOCK as u64)]);
        let core = CtrCore::inner_iv_init(aes, &counter.finalize());
        let mut stream = StreamCipherCoreWrapper::from_core(core);
        let mut mask = [0; BLOCK];
        // a key stream has 2^32 blocks
        let _ = stream.try_apply_keystream(&mut mask);
        Self { stream, hash, mask, pending: [0; BLOCK], filled: 0, length: 0 }
    }

    /// Decrypts `data` in place.
    ///
    /// # Errors
    /// More than 64 GiB, which no `u32` size reaches.
    pub(super) fn decrypt(&mut self, data: &mut [u8]) -> Result<(), StreamCipherError> {
        self.absorb(data);
        self.stream.try_apply_keystream(data)
    }

    /// Encrypts `data` in place.
    ///
    /// # Errors
    /// As [`Self::decrypt`].
    #[cfg(feature = "seal")]
    pub(super) fn encrypt(&mut self, data: &mut [u8]) -> Result<(), StreamCipherError> {
        self.stream.try_apply_keystream(data)?;
        self.absorb(data);
        Ok(())
    }

    /// Hashes ciphertext.
    fn absorb(&mut self, data: &[u8]) {
        self.length = self.length.saturating_add(data.len() as u64);
        let mut rest = data;
        if self.filled > 0 {
            let room = BLOCK.saturating_sub(self.filled);
            let (head, tail) = rest.split_at(room.min(rest.len()));
            self.keep(head);
            rest = tail;
            if self.filled < BLOCK {
                return;
            }
            self.hash.update(&[Block::from(self.pending)]);
            self.filled = 0;
        }
        let (blocks, tail) = Block::slice_as_chunks(rest);
        self.hash.update(blocks);
        self.keep(tail);
    }

    /// Appends to the pending block.
    fn keep(&mut self, bytes: &[u8]) {
        self.pending.iter_mut().skip(self.filled).zip(bytes).for_each(|(to, from)| *to = *from);
        self.filled = self.filled.saturating_add(bytes.len());
    }

    /// The tag over everything so far.
    pub(super) fn tag(mut self) -> [u8; BLOCK] {
        if self.filled > 0 {
            self.pending.iter_mut().skip(self.filled).for_each(|byte| *byte = 0);
            self.hash.update(&[Block::from(self.pending)]);
        }
        self.hash.update(&[lengths(0, self.length)]);
        let mut tag: [u8; BLOCK] = self.hash.finalize().into();
        tag.iter_mut().zip(self.mask).for_each(|(tag, mask)| *tag ^= mask);
        tag
    }

    /// Whether `tag` is the one over everything so far, in a time that does not depend on where it differs.
    pub(super) fn verifies(self, tag: &[u8; BLOCK]) -> bool {
        self.tag().ct_eq(tag).into()
    }
}

/// The block with the lengths in bits of additional data and message, given in bytes.
fn lengths(additional: u64, message: u64) -> Block {
    let mut block = Block::default();
    let words = additional.wrapping_mul(8).to_be_bytes().into_iter().chain(message.wrapping_mul(8).to_be_bytes());
    block.iter_mut().zip(words).for_each(|(to, from)| *to = from);
    block
}
