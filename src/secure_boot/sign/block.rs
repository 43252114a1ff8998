//! Putting a v2 signature block together (offsets: [`super::super::v2`]).

use crate::{
    SecureBootScheme,
    secure_boot::{
        ecdsa,
        montgomery::m_prime,
        v2::{BLOCK, MAGIC, SignatureBlock, digest_len},
    },
};
use crypto_bigint::{Odd, U3072, modular::FixedMontyParams};

const DIGEST: usize = 4;
pub(super) const CRC: usize = 1196;

/// Copies `bytes` to `offset`; what does not fit is left out, which no caller here does.
fn put(block: &mut [u8; BLOCK], offset: usize, bytes: &[u8]) {
    let target = block.iter_mut().skip(offset);
    target.zip(bytes).for_each(|(to, from)| *to = *from);
}

/// A block with scheme and RSA public key filled in, nothing else. `None` where the modulus is even.
pub(super) fn rsa(n: &U3072, e: u32) -> Option<[u8; BLOCK]> {
    let odd: Odd<U3072> = Option::from(Odd::new(*n))?;
    let n_le = n.to_le_bytes();
    let n_le: &[u8] = n_le.as_ref();
    let mut block = [0; BLOCK];
    put(&mut block, 0, &[MAGIC, 2]);
    put(&mut block, 36, n_le);
    put(&mut block, 420, &e.to_le_bytes());
    // crypto-bigint's Montgomery R is 2^3072, and its square is the block's R.
    let r = FixedMontyParams::new_vartime(odd).r2().to_le_bytes();
    put(&mut block, 424, r.as_ref());
    put(&mut block, 808, &m_prime(n_le.as_array()?).to_le_bytes());
    Some(block)
}

/// A block with scheme, curve and public point (X, Y, big-endian) filled in, nothing else.
pub(super) fn ecdsa<const N: usize>(scheme: SecureBootScheme, point: &[u8; N]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let (sha_id, at, curve) = match scheme {
        SecureBootScheme::V2EcdsaP192 => (0, 36, 1),
        SecureBootScheme::V2EcdsaP384 => (1, 52, 3),
        _ => (0, 36, 2),
    };
    put(&mut block, 0, &[MAGIC, 3, sha_id]);
    put(&mut block, at, &[curve]);
    put(&mut block, at.saturating_add(1), &ecdsa::swap(point));
    block
}

/// Offset and size of the signature in a block of `scheme`.
fn signature_field(scheme: SecureBootScheme) -> (usize, usize) {
    match scheme {
        SecureBootScheme::V2Rsa3072 => (812, 384),
        SecureBootScheme::V2EcdsaP192 => (101, 48),
        SecureBootScheme::V2EcdsaP384 => (149, 96),
        SecureBootScheme::V2EcdsaP256 | SecureBootScheme::V1 => (101, 64),
    }
}

/// Fills in the image digest and the `signature` as it is in the block (little-endian), then the CRC.
pub(super) fn finish(block: &mut [u8; BLOCK], scheme: SecureBootScheme, digest: &[u8], signature: &[u8]) {
    let (offset, _) = signature_field(scheme);
    put(block, DIGEST, digest.get(..digest_len(scheme)).unwrap_or(digest));
    put(block, offset, signature);
    seal(block);
}

/// Makes the CRC right.
pub(super) fn seal(block: &mut [u8; BLOCK]) {
    let crc = crc32fast::hash(block.get(..CRC).unwrap_or(&[]));
    put(block, CRC, &crc.to_le_bytes());
}

/// Flips a bit in the middle of the signature, wherever the block's scheme has it.
pub(super) fn flip_signature(block: &mut [u8; BLOCK]) {
    let Some(scheme) = SignatureBlock(block).scheme() else { return };
    let (offset, size) = signature_field(scheme);
    block.iter_mut().skip(offset.saturating_add(size / 2)).take(1).for_each(|byte| *byte ^= 1);
}

/// The signature that a block of `scheme` carries, as it is there.
pub(super) fn signature_of(block: SignatureBlock<'_>, scheme: SecureBootScheme) -> &[u8] {
    let (offset, size) = signature_field(scheme);
    block.0.get(offset..).and_then(|from| from.get(..size)).unwrap_or(&[])
}
