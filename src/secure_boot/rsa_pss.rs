//! RSASSA-PSS verification with RSA-3072, SHA-256, MGF1-SHA-256 and a 32-byte salt (RFC 8017 §8.1.2, §9.1.2).
//!
//! All numbers arrive little-endian, as the signature block has them (formats sheet §7.2). No secrets are involved, so
//! the arithmetic may take time that depends on its input.

use crypto_bigint::{NonZero, U3072};
use sha2::{Digest, Sha256};

/// Size in bytes of the modulus, the signature and the encoded message: 3072 bits.
pub(super) const SIZE: usize = 384;
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
    raise(key, signature).is_some_and(|encoded| encodes(&encoded, digest))
}

/// `signature ^ e mod n`, big-endian; `None` where key or signature is out of range.
fn raise(key: &PublicKey<'_>, signature: &[u8; SIZE]) -> Option<[u8; SIZE]> {
    let n = U3072::from_le_slice(key.n);
    let odd = key.n.first().is_some_and(|low| low & 1 == 1);
    if n.bits_vartime() != U3072::BITS || !odd || key.e < 3 || key.e.is_multiple_of(2) {
        return None;
    }
    let low_word = u32::from_le_bytes(*key.n.first_chunk()?);
    if low_word.wrapping_mul(key.m_prime) != u32::MAX {
        return None;
    }
    let n: NonZero<U3072> = Option::from(NonZero::new(n))?;
    // n has 3072 bits, so 2^3072 mod n is 2^3072 - n
    let r = n.wrapping_neg();
    if product(&r, &r, &n) != U3072::from_le_slice(key.r) {
        return None;
    }
    let s = U3072::from_le_slice(signature);
    if s >= *n {
        return None;
    }
    // Square and multiply with plain reductions: Montgomery tables would take most of a small device's stack, and the
    // usual exponent 65537 takes 17 products.
    let mut power = U3072::ONE;
    for bit in (0..u32::BITS.saturating_sub(key.e.leading_zeros())).rev() {
        power = product(&power, &power, &n);
        if key.e >> bit & 1 == 1 {
            power = product(&power, &s, &n);
        }
    }
    power.to_be_bytes().as_ref().first_chunk().copied()
}

/// One product; a call of its own, so that its temporary numbers take stack once.
#[inline(never)]
fn product(a: &U3072, b: &U3072, n: &NonZero<U3072>) -> U3072 {
    a.mul_mod_vartime(b, n)
}

/// EMSA-PSS-VERIFY: whether `encoded` is an encoding of `digest`.
fn encodes(encoded: &[u8; SIZE], digest: &[u8; 32]) -> bool {
    let Some((db, rest)) = encoded.split_first_chunk::<DB>() else { return false };
    let Some((hash, &[0xBC])) = rest.split_first_chunk::<HASH>() else { return false };
    // emBits is 3071: the top bit is not part of the encoding and must be clear.
    let Some((&top, _)) = db.split_first() else { return false };
    if top & 0x80 != 0 {
        return false;
    }
    let mut db = *db;
    unmask(&mut db, hash);
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
