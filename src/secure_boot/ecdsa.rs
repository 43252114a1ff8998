//! ECDSA verification of a digest over the NIST curves; all numbers are big-endian here, as SEC 1 has them.
//!
//! A digest longer than the curve's order is cut to its leftmost bits (FIPS 186-5 §6.4.2): SHA-256 over P-192.

/// Bytes of an uncompressed P-384 point: 0x04, X, Y.
const LONGEST_POINT: usize = 97;

macro_rules! curve {
    ($verify:ident, $curve:ident, $bytes:literal) => {
        /// Whether `signature` (r, s) is one of the public key `point` (X, Y) over `digest`.
        pub(super) fn $verify(point: &[u8; $bytes], signature: &[u8; $bytes], digest: &[u8]) -> bool {
            use $curve::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier};
            let mut sec1 = [4; LONGEST_POINT];
            sec1.iter_mut().skip(1).zip(point).for_each(|(to, from)| *to = *from);
            let Some(sec1) = sec1.get(..=$bytes) else { return false };
            let (Ok(key), Ok(signature)) = (VerifyingKey::from_sec1_bytes(sec1), Signature::from_slice(signature))
            else {
                return false;
            };
            key.verify_prehash(digest, &signature).is_ok()
        }
    };
}

#[cfg(feature = "p192")]
curve!(verify_p192, p192, 48);
curve!(verify_p256, p256, 64);
curve!(verify_p384, p384, 96);

/// Two numbers of `N / 2` bytes each with the byte order of each reversed: signature blocks of Secure Boot v2 are
/// little-endian.
pub(super) fn swap<const N: usize>(pair: &[u8; N]) -> [u8; N] {
    let mut swapped = *pair;
    let (first, second) = swapped.split_at_mut(N / 2);
    first.reverse();
    second.reverse();
    swapped
}
