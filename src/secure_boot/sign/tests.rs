//! Key files in every encoding that openssl writes, and what is refused at the edges.

use super::*;
use crate::secure_boot::v2::{self, BLOCK, SignatureBlock};
use rsa::{BoxedUint, RsaPrivateKey, RsaPublicKey, pkcs1::DecodeRsaPrivateKey, traits::PublicKeyParts};
use sha2::{Digest, Sha256, Sha384};
use std::{format, string::ToString, vec::Vec};

macro_rules! text {
    ($name:literal) => {
        include_str!(concat!("../../../tests/vectors/", $name))
    };
}
macro_rules! binary {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/vectors/", $name))
    };
}

fn key(pem: &str) -> SigningKey {
    SigningKey::from_pem(pem).unwrap()
}

#[test]
fn pkcs_8_holds_the_same_keys() {
    for (pkcs8, other) in [
        (text!("pem/rsa3072_a_pkcs8.pem"), text!("keys/rsa3072_a.pem")),
        (text!("pem/p256_pkcs8.pem"), text!("keys/p256.pem")),
        (text!("pem/p384_pkcs8.pem"), text!("keys/p384.pem")),
        #[cfg(feature = "p192")]
        (text!("pem/p192_pkcs8.pem"), text!("keys/p192.pem")),
    ] {
        assert_eq!(key(pkcs8).scheme(), key(other).scheme());
        assert_eq!(key(pkcs8).public().unwrap(), key(other).public().unwrap());
        assert_eq!(key(pkcs8).to_pem().unwrap().as_str(), key(other).to_pem().unwrap().as_str());
    }
}

#[test]
fn keys_that_no_chip_verifies_are_called_by_name() {
    let private = |pem| SigningKey::from_pem(pem).unwrap_err();
    assert_eq!(private(text!("pem/ed25519.pem")), KeyError::UnknownAlgorithm);
    assert_eq!(PublicKey::from_pem(text!("pem/ed25519_public.pem")), Err(KeyError::UnknownAlgorithm));
    assert_eq!(private(text!("pem/secp256k1.pem")), KeyError::UnknownCurve { name: "secp256k1".into() });
    // without a name here: its number
    assert_eq!(private(text!("pem/prime239v1.pem")), KeyError::UnknownCurve { name: "1.2.840.10045.3.1.4".into() });
    assert_eq!(private(text!("pem/rsa2048.pem")), KeyError::RsaSize { bits: 2048 });
    assert_eq!(PublicKey::from_pem(text!("pem/rsa2048_public.pem")), Err(KeyError::RsaSize { bits: 2048 }));
}

#[test]
fn key_files_of_64_kib_are_read_and_no_longer_ones() {
    let pem = text!("keys/p256.pem");
    let of = |len: usize| format!("{}{pem}", " ".repeat(len - pem.len()));
    assert!(SigningKey::from_pem(&of(64 * 1024)).is_ok());
    assert_eq!(SigningKey::from_pem(&of(64 * 1024 + 1)).unwrap_err(), KeyError::NotPem);
}

#[test]
fn rsa_exponents_have_at_most_32_bits() {
    let n = RsaPrivateKey::from_pkcs1_pem(text!("keys/rsa3072_a.pem")).unwrap().n().as_ref().clone();
    let with = |e: u64| PublicKey::rsa(&RsaPublicKey::new_unchecked(n.clone(), BoxedUint::from(e)));
    let block = |key: &PublicKey| key.to_pem().to_string();
    assert_eq!(block(&with(65537).unwrap()), text!("sbv2/pub_rsa3072_a.pem"));
    assert!(with(0xFFFF_FFFF).is_ok());
    assert_eq!(with(0x1_0000_0001), Err(KeyError::RsaExponent));
}

#[test]
fn private_numbers_are_those_of_the_vectors() {
    // keys/p256.pem and keys/p384.pem have the numbers 01 02 03 …
    let counted = |len: u8| (1..=len).collect::<Vec<u8>>();
    let number = |pem| key(pem).private_number().map(|number| number.to_vec());
    assert_eq!(number(text!("keys/p256.pem")), Some(counted(32)));
    assert_eq!(number(text!("keys/p384.pem")), Some(counted(48)));
    assert_eq!(number(text!("keys/rsa3072_a.pem")), None);
    let digest = key(text!("keys/p256.pem")).bootloader_key().unwrap();
    assert_eq!(digest.as_slice(), binary!("sbv1/p256_privkey_digest256.bin"));
    assert_eq!(
        key(text!("keys/p384.pem")).bootloader_key().unwrap_err(),
        SignError::NotV1 { scheme: SecureBootScheme::V2EcdsaP384 }
    );
}

#[test]
fn der_signatures_of_openssl_are_attached() {
    let content = binary!("sbv2/payload4k.bin");
    let (sha256, sha384) = (Sha256::digest(content), Sha384::digest(content));
    let attach = |pem, digest: &[u8], der: &[u8]| {
        let block: [u8; BLOCK] = key(pem).public().unwrap().attach(digest, der)?;
        assert!(v2::verify_signature(SignatureBlock(&block), digest));
        assert_eq!(SignatureBlock(&block).scheme(), Some(key(pem).scheme()));
        Ok::<_, SignError>(())
    };
    let (p256, p384) = (text!("keys/p256.pem"), text!("keys/p384.pem"));
    assert_eq!(attach(p256, &sha256, binary!("pem/payload4k_p256.der")), Ok(()));
    assert_eq!(attach(p384, &sha384, binary!("pem/payload4k_p384.der")), Ok(()));
    #[cfg(feature = "p192")]
    assert_eq!(attach(text!("keys/p192.pem"), &sha256, binary!("pem/payload4k_p192.der")), Ok(()));
    assert_eq!(attach(p256, &[0; 32], binary!("pem/payload4k_p256.der")), Err(SignError::BadSignature));
    assert_eq!(attach(p384, &sha384, binary!("pem/payload4k_p256.der")), Err(SignError::BadSignature));
}

#[test]
fn a_damaged_signature_has_one_bit_flipped() {
    let (signed, sector) = binary!("sbv2/payload4k_signed_a.bin").split_at(4096);
    // behind the third block of a sector there is no fourth
    let four: Vec<u8> = sector[..BLOCK].repeat(4);
    let mut bytes = four.clone();
    assert!(!damage_block(&mut bytes, 3, BlockDamage::Signature) && bytes == four);
    assert!(damage_block(&mut bytes, 2, BlockDamage::Signature));
    let changed: Vec<usize> = (0..four.len()).filter(|at| four[*at] != bytes[*at]).collect();
    // the signature is at 812..1196 of the block, the CRC at 1196
    let (signature, crc) = changed.split_at(1);
    assert_eq!(signature[0], 2 * BLOCK + (812 + 1196) / 2, "the middle");
    assert_eq!((four[signature[0]] ^ bytes[signature[0]]).count_ones(), 1);
    assert!(crc.iter().all(|at| (2 * BLOCK + 1196..2 * BLOCK + 1200).contains(at)));
    let block = v2::SignatureBlock::at(&bytes, 2).unwrap();
    assert!(!v2::verify_signature(block, &Sha256::digest(signed)));
}

#[test]
fn this_build_says_what_it_verifies() {
    use SecureBootScheme::{V1, V2EcdsaP192, V2EcdsaP256, V2EcdsaP384, V2Rsa3072};
    let can = [V1, V2EcdsaP192, V2EcdsaP256, V2EcdsaP384, V2Rsa3072].map(v2::can_verify);
    assert_eq!(can, [false, cfg!(feature = "p192"), true, true, true]);
}
