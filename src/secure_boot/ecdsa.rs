//! ECDSA P-256 verification of a digest; all numbers arrive little-endian, as the signature block has them.

use p256::{
    FieldBytes,
    ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier},
};

/// Whether `signature` (r, s) is one of the public key `point` (X, Y) over the SHA-256 `digest`.
pub(super) fn verify_p256(point: &[u8; 64], signature: &[u8; 64], digest: &[u8; 32]) -> bool {
    let Some(([x, y], [r, s])) = big_endian(point).zip(big_endian(signature)) else { return false };
    // SEC 1: an uncompressed point is 0x04, X, Y.
    let mut sec1 = [4; 65];
    sec1.iter_mut().skip(1).zip(x.iter().chain(&y)).for_each(|(to, from)| *to = *from);
    let (Ok(key), Ok(signature)) = (VerifyingKey::from_sec1_bytes(&sec1), Signature::from_scalars(r, s)) else {
        return false;
    };
    key.verify_prehash(digest, &signature).is_ok()
}

/// The two little-endian halves of `pair`, big-endian.
fn big_endian(pair: &[u8; 64]) -> Option<[FieldBytes; 2]> {
    let (first, rest) = pair.split_first_chunk::<32>()?;
    let second = rest.first_chunk::<32>()?;
    Some([first, second].map(|number| {
        let mut number = *number;
        number.reverse();
        FieldBytes::from(number)
    }))
}
