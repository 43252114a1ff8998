//! RSASSA-PSS verification with RSA-3072, SHA-256, MGF1-SHA-256 and a 32-byte salt (RFC 8017 §8.1.2, §9.1.2).
//!
//! All numbers arrive little-endian, as the signature block has them (formats sheet §7.2). No secrets are involved, so
//! the arithmetic may take time that depends on its input.

use super::montgomery::{self, SIZE};
use sha2::{Digest, Sha256};

const HASH: usize = 32;
const SALT: usize = 32;
/// The data block before the hash and the trailer byte.
const DB: usize = SIZE - HASH - 1;
/// The data block's zeros, before the byte 0x01 and the salt.
const ZEROS: usize = DB - SALT - 1;

/// The public key as a signature block carries it, little-endian.
pub(super) struct PublicKey<'a> {
    /// Modulus.
    pub n: &'a [u8; SIZE],
    /// Exponent.
    pub e: u32,
    /// 2^6144 mod n.
    pub r: &'a [u8; SIZE],
    /// -(n^-1) mod 2^32.
    pub m_prime: u32,
}

/// Whether `signature` (little-endian) is one of `key` over the SHA-256 `digest`.
///
/// The modulus must have exactly 3072 bits and be odd, the exponent odd and at least 3. The hardware computes with the
/// block's `r` and `m_prime`; were they wrong its result would be, so such a key verifies nothing here either.
pub(super) fn verify(key: &PublicKey<'_>, signature: &[u8; SIZE], digest: &[u8; 32]) -> bool {
    let mut encoded = [0; SIZE];
    if montgomery::m_prime(key.n) != key.m_prime
        || montgomery::power(signature, key.e, key.n, key.r, &mut encoded).is_none()
    {
        return false;
    }
    encoded.reverse();
    encodes(&mut encoded, digest)
}

/// EMSA-PSS-VERIFY: whether `encoded`, big-endian, is an encoding of `digest`. Unmasks it in place.
#[inline(never)]
fn encodes(encoded: &mut [u8; SIZE], digest: &[u8; 32]) -> bool {
    let Some((db, rest)) = encoded.split_first_chunk_mut::<DB>() else { return false };
    let Some((hash, &[0xBC])) = rest.split_first_chunk::<HASH>() else { return false };
    // emBits is 3071: the top bit is not part of the encoding and must be clear.
    if db.first().is_none_or(|top| top & 0x80 != 0) {
        return false;
    }
    unmask(db, hash);
    if let Some(top) = db.first_mut() {
        *top &= 0x7F;
    }
    let Some((zeros, [0x01, salt @ ..])) = db.split_first_chunk::<ZEROS>() else { return false };
    let expected = Sha256::new().chain_update([0; 8]).chain_update(digest).chain_update(salt).finalize();
    zeros.iter().all(|byte| *byte == 0) && expected.as_slice() == hash
}

/// XORs `data` with MGF1-SHA-256 of `seed`.
fn unmask(data: &mut [u8], seed: &[u8]) {
    for (chunk, counter) in data.chunks_mut(HASH).zip(0u32..) {
        let mask = Sha256::new().chain_update(seed).chain_update(counter.to_be_bytes()).finalize();
        chunk.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    }
}
