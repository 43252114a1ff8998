//! Key files in every encoding that openssl writes, and what the views and openers show.

#![cfg(feature = "seal")]

use super::*;
use crate::{
    SecureBootScheme,
    secure_boot::sign::{KeyError, SigningKey},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{format, string::String, vec};

macro_rules! text {
    ($name:literal) => {
        include_str!(concat!("../../tests/vectors/", $name))
    };
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

/// The DER in a PEM file, by the standard's base64.
fn der(pem: &str) -> vec::Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let digit = |c| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => 0,
    };
    let mut bytes: vec::Vec<u8> = text
        .as_bytes()
        .chunks(4)
        .flat_map(|four| {
            let word = four.iter().fold(0_u32, |word, c| word << 6 | u32::from(digit(*c)));
            [(word >> 16) as u8, (word >> 8) as u8, word as u8]
        })
        .collect();
    bytes.truncate(bytes.len() - text.bytes().rev().take_while(|c| *c == b'=').count());
    bytes
}

#[test]
fn recipients_are_read_from_every_encoding() {
    let of = |pem| Recipient::from_pem(pem);
    let rsa = of(text!("sbv2/pub_rsa3072_a.pem")).unwrap();
    assert!(rsa.is_rsa());
    for pem in [text!("pem/rsa3072_a_pkcs1_public.pem"), text!("keys/rsa3072_a.pem"), text!("pem/rsa3072_a_pkcs8.pem")]
    {
        assert_eq!(of(pem), Ok(rsa.clone()));
    }
    assert!(!of(text!("sbv2/pub_p256.pem")).unwrap().is_rsa());
    let private = |found: &str| Err(KeyError::WrongKind { wanted: "public", found: found.into() });
    assert_eq!(of(text!("keys/p256.pem")), private("EC PRIVATE KEY"), "its owner is the device");
    assert_eq!(of(text!("pem/p256_pkcs8.pem")), private("PRIVATE KEY"));
    for pem in [text!("pem/rsa2048.pem"), text!("pem/rsa2048_public.pem")] {
        assert_eq!(of(pem), Err(KeyError::RsaSize { bits: 2048 }));
    }
    assert_eq!(of(text!("sbv2/pub_p384.pem")), Err(KeyError::Unsupported { scheme: SecureBootScheme::V2EcdsaP384 }));
    for pem in [text!("pem/ed25519.pem"), text!("pem/ed25519_public.pem")] {
        assert_eq!(of(pem), Err(KeyError::UnknownAlgorithm));
    }
}

#[test]
fn opening_keys_are_read_from_every_encoding() {
    let opens = |recipient: &str, pem| {
        let envelope = seal(b"image", &Recipient::from_pem(recipient).unwrap(), &mut rng()).unwrap();
        assert_eq!(open(&envelope, OpeningKey::from_pem(pem, rng()).unwrap()).unwrap(), b"image");
    };
    opens(text!("sbv2/pub_rsa3072_a.pem"), text!("keys/rsa3072_a.pem"));
    opens(text!("sbv2/pub_rsa3072_a.pem"), text!("pem/rsa3072_a_pkcs8.pem"));
    opens(text!("sbv2/pub_p256.pem"), text!("keys/p256.pem"));
    opens(text!("sbv2/pub_p256.pem"), text!("pem/p256_pkcs8.pem"));
    let refused = |pem| OpeningKey::from_pem(pem, rng()).unwrap_err();
    assert_eq!(refused(text!("pem/rsa2048.pem")), KeyError::RsaSize { bits: 2048 });
    assert_eq!(refused(text!("pem/ed25519.pem")), KeyError::UnknownAlgorithm);
    assert_eq!(refused(text!("keys/p384.pem")), KeyError::Unsupported { scheme: SecureBootScheme::V2EcdsaP384 });
    assert_eq!(refused(text!("pem/p384_pkcs8.pem")), KeyError::Unsupported { scheme: SecureBootScheme::V2EcdsaP384 });
}

#[test]
fn der_of_an_rsa_key_is_pkcs_1_or_pkcs_8() {
    let envelope = include_bytes!("../../tests/vectors/encimg/enc_rsa.bin");
    let plain = include_bytes!("../../tests/vectors/encimg/plain_1000.bin");
    for pem in [text!("keys/rsa3072_a.pem"), text!("pem/rsa3072_a_pkcs8.pem")] {
        let key = RsaKey::from_der(&der(pem), rng()).unwrap();
        assert_eq!(open(envelope, key).unwrap(), plain);
    }
    for pem in [text!("pem/rsa2048.pem"), text!("keys/p256.pem"), text!("sbv2/pub_rsa3072_a.pem")] {
        assert!(RsaKey::from_der(&der(pem), rng()).is_none());
    }
}

#[test]
fn the_servers_key_is_a_point_of_the_curve() {
    let file = include_bytes!("../../tests/vectors/encimg/enc_ecc.bin");
    let key = Header::at(file).unwrap().server_public();
    assert_eq!(key, file[4..68]);
    assert!(crate::secure_boot::sign::PublicKey::from_raw_p256(&key).is_ok());
    assert!(Header::at(&file[..HEADER_SIZE - 1]).is_none());
}

#[test]
fn openers_know_the_size_with_the_header() {
    let mut output = [0; 64];
    let envelope = cbc::seal(&[7; 40], &ContentKey::new([1; 32]), [2; 16]).unwrap();
    let mut opener = cbc::Opener::new(ContentKey::new([1; 32]), 100);
    opener.push(&envelope[..cbc::HEADER_SIZE - 1], &mut output).unwrap();
    assert_eq!(opener.size(), None);
    opener.push(&envelope[cbc::HEADER_SIZE - 1..cbc::HEADER_SIZE], &mut output).unwrap();
    assert_eq!(opener.size(), Some(40));
    opener.push(&[0; 100], &mut output).unwrap_err();
    assert_eq!(opener.size(), None, "refused");

    let key = EciesKey::from_hmac_key(include_bytes!("../../tests/vectors/encimg/device_hmac_key.bin")).unwrap();
    let file = include_bytes!("../../tests/vectors/encimg/enc_ecc.bin");
    let mut opener = Opener::new(key, 1000);
    opener.push(&file[..HEADER_SIZE - 1], &mut output).unwrap();
    assert_eq!(opener.size(), None);
    opener.push(&file[HEADER_SIZE - 1..HEADER_SIZE], &mut output).unwrap();
    assert_eq!(opener.size(), Some(1000));
}

#[test]
fn an_envelope_may_fill_its_slot() {
    let envelope = cbc::seal(&[7; 40], &ContentKey::new([1; 32]), [2; 16]).unwrap();
    let push = |limit| {
        let mut opener = cbc::Opener::new(ContentKey::new([1; 32]), limit);
        opener.push(&envelope, &mut [0; 64]).map(|_| ())
    };
    assert_eq!([push(40), push(41)], [Ok(()), Ok(())]);
    assert_eq!(push(39), Err(EnvelopeError::TooLarge { size: 40, limit: 39 }));
}

#[test]
fn what_holds_keys_shows_its_kind_only() {
    let cbc = cbc::Opener::new(ContentKey::new([0xAB; 32]), 100);
    assert_eq!(format!("{cbc:?}"), "cbc::Opener { limit: 100, .. }");
    let opener = Opener::new(EciesKey::from_scalar(&[0xAB; 32]).unwrap(), 100);
    assert_eq!(format!("{opener:?}"), "Opener { limit: 100, .. }");
    let key = SigningKey::from_pem(text!("keys/p256.pem")).unwrap();
    assert_eq!(format!("{key:?}"), "SigningKey(V2EcdsaP256)");
    use crate::flash_encryption::{FlashCipher, FlashKey};
    for (key, shown, cipher) in [
        (FlashKey::Xts128([0xAB; 32]), "Xts128(..)", "FlashCipher(Xts128, ..)"),
        (FlashKey::Xts256([0xAB; 64]), "Xts256(..)", "FlashCipher(Xts256, ..)"),
    ] {
        assert_eq!(format!("{key:?}"), shown);
        assert_eq!(format!("{:?}", FlashCipher::new(&key)), cipher);
    }
}
