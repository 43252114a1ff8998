//! RSA keys that the arithmetic would go along with.
#![cfg(feature = "sign")]

use super::{
    sign::PublicKey,
    v2::{self, BLOCK, SignatureBlock},
};
use sha2::{Digest, Sha256};
use std::{vec, vec::Vec};

const CONTENT: &[u8] = include_bytes!("../../tests/vectors/sbv2/payload4k.bin");

/// RFC 8017 §9.1.1 with SHA-256 and a salt of 32 bytes, for a modulus of 3072 bits.
fn pss_encoding(digest: &[u8], salt: [u8; 32]) -> Vec<u8> {
    let h = Sha256::new().chain_update([0; 8]).chain_update(digest).chain_update(salt).finalize();
    let mut db = vec![0; 318];
    db.push(1);
    db.extend(salt);
    let mask = (0..11_u32).flat_map(|i| Sha256::new().chain_update(h).chain_update(i.to_be_bytes()).finalize());
    db.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    db[0] &= 0x7F;
    db.extend(h);
    db.push(0xBC);
    db
}

#[test]
fn the_smallest_exponent_is_3() {
    let digest = Sha256::digest(CONTENT);
    let key = PublicKey::from_pem(include_str!("../../tests/vectors/pem/rsa3072_e3_public.pem")).unwrap();
    let signature = include_bytes!("../../tests/vectors/pem/payload4k_rsa3072_e3.sig");
    let block: [u8; BLOCK] = key.attach(&digest, signature).unwrap();
    assert_eq!(block[420..424], [3, 0, 0, 0]);
    assert!(v2::verify_signature(SignatureBlock(&block), &digest));
    // to the power of 1 everybody can sign
    let mut forged = block;
    forged[420] = 1;
    let encoded = pss_encoding(&digest, [7; 32]);
    forged[812..1196].iter_mut().rev().zip(&encoded).for_each(|(to, from)| *to = *from);
    assert!(!v2::verify_signature(SignatureBlock(&forged), &digest));
    for exponent in [0, 2] {
        let mut block = block;
        block[420] = exponent;
        assert!(!v2::verify_signature(SignatureBlock(&block), &digest));
    }
}
