//! Secure Boot v1, key files and signing, against files made by espsecure (`tests/vectors/sbv1`, `sbv2`, `keys`).

use dryburn::{
    SecureBootScheme::{self, V2EcdsaP192, V2EcdsaP256, V2EcdsaP384, V2Rsa3072},
    secure_boot::{
        KeyDigest,
        sign::{BlockDamage, KeyError, PublicKey, SignError, SigningKey, damage_block},
        v1::{self, BootloaderDigest, SignatureBlock, VerifyError},
        v2::{self, BLOCK, SECTOR},
    },
};
use proptest::prelude::*;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use sha2::{Digest, Sha256, Sha384};
use std::{fs, path::PathBuf};

const KEYS: [(&str, SecureBootScheme); 5] = [
    ("rsa3072_a", V2Rsa3072),
    ("rsa3072_b", V2Rsa3072),
    ("p192", V2EcdsaP192),
    ("p256", V2EcdsaP256),
    ("p384", V2EcdsaP384),
];

fn vector(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn text(name: &str) -> String {
    String::from_utf8(vector(name)).unwrap()
}

fn key(name: &str) -> SigningKey {
    SigningKey::from_pem(&text(&format!("keys/{name}.pem"))).unwrap()
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

fn digest_of(scheme: SecureBootScheme, content: &[u8]) -> Vec<u8> {
    if scheme == V2EcdsaP384 { Sha384::digest(content).to_vec() } else { Sha256::digest(content).to_vec() }
}

#[test]
fn bootloader_digests_are_espsecures() {
    let iv: [u8; 128] = vector("keys/iv128_80_ff.bin").try_into().unwrap();
    for (file, key, image, appended) in [
        ("boot_digest_k32", "k32_00_1f", "esp32_boot", true),
        ("boot_digest_k24", "k24_00_17", "esp32_boot", true),
        ("boot_digest_k32_nodigest", "k32_00_1f", "esp32_boot_nodigest", false),
    ] {
        let expected = vector(&format!("sbv1/{file}.bin"));
        let key = v1::engine_key(&vector(&format!("keys/{key}.bin"))).unwrap();
        let image = vector(&format!("image/{image}.bin"));
        let image = &image[..v1::file_len(image.len(), appended)];
        for chunk in [1, 7, 16, 128, 1000] {
            let mut engine = BootloaderDigest::new(&key, &iv);
            image.chunks(chunk).for_each(|bytes| engine.update(bytes));
            assert_eq!(engine.finalize(), expected[128..192], "{file} in chunks of {chunk}");
        }
        // What the device reads is the file from 0x1000 on, for as long as the image without its digest, rounded up.
        let image_len = vector("image/esp32_boot.bin").len() as u32 - 32;
        let read = v1::device_len(image_len).unwrap() as usize;
        let mut engine = BootloaderDigest::new(&key, &iv);
        engine.update(&expected[v1::HEADER..][..read]);
        assert_eq!(engine.finalize(), expected[128..192], "{file} from flash");
    }
}

#[test]
fn lengths_are_rounded_to_pieces_of_128() {
    // Up to 32 bytes in the last piece are the appended digest's; without one, every byte counts.
    for (len, with_digest) in [(384, 384), (385, 384), (416, 384), (417, 417), (511, 511), (512, 512), (20, 0)] {
        assert_eq!(v1::file_len(len, true), with_digest);
        assert_eq!(v1::file_len(len, false), len);
    }
    assert_eq!(v1::device_len(304), Some(384));
    assert_eq!(v1::device_len(384), Some(384));
    assert_eq!(v1::device_len(u32::MAX), None);
    for len in [0, 16, 23, 25, 31, 33, 64] {
        assert_eq!(v1::engine_key(&vec![0; len]).unwrap_err().found, len);
    }
}

#[test]
fn v1_signatures_are_espsecures_byte_for_byte() {
    let (content, expected) = (vector("sbv2/payload100.bin"), vector("sbv1/payload100_signed_v1.bin"));
    let digest = Sha256::digest(&content).into();
    assert_eq!(key("p256").sign_v1(&digest).unwrap(), expected[100..]);
    let raw = key("p256").public().unwrap().raw_p256().unwrap();
    assert_eq!(raw[..], vector("sbv1/p256_pub_raw64.bin"));
    let (signed, block) = SignatureBlock::split(&expected).unwrap();
    assert_eq!(signed, content);
    assert_eq!(v1::verify(block, &digest, &raw), Ok(()));
    assert_eq!(PublicKey::from_raw_p256(&raw).unwrap(), key("p256").public().unwrap());
    let attached = PublicKey::from_raw_p256(&raw).unwrap().attach_v1(&digest, block.signature()).unwrap();
    assert_eq!(attached, expected[100..]);
}

#[test]
fn every_byte_of_a_v1_block_counts() {
    let file = vector("sbv1/payload100_signed_v1.bin");
    let raw: [u8; 64] = vector("sbv1/p256_pub_raw64.bin").try_into().unwrap();
    let digest: [u8; 32] = Sha256::digest(&file[..100]).into();
    let block: [u8; 68] = file[100..].try_into().unwrap();
    for byte in 0..68 {
        for bit in 0..8 {
            let mut damaged = block;
            damaged[byte] ^= 1 << bit;
            let expected = if byte < 4 {
                VerifyError::BadVersion { found: u32::from_le_bytes(damaged[..4].try_into().unwrap()) }
            } else {
                VerifyError::BadSignature
            };
            assert_eq!(v1::verify(SignatureBlock(&damaged), &digest, &raw), Err(expected), "byte {byte}, bit {bit}");
        }
    }
    for byte in 0..64 {
        let mut other = raw;
        other[byte] ^= 1;
        assert_eq!(v1::verify(SignatureBlock(&block), &digest, &other), Err(VerifyError::BadSignature));
    }
    let mut other = digest;
    other[31] ^= 1;
    assert_eq!(v1::verify(SignatureBlock(&block), &other, &raw), Err(VerifyError::BadSignature));
    for extreme in [[0; 64], [0xFF; 64]] {
        let mut block = [0; 68];
        block[4..].copy_from_slice(&extreme);
        assert_eq!(v1::verify(SignatureBlock(&block), &digest, &raw), Err(VerifyError::BadSignature));
        assert_eq!(v1::verify(SignatureBlock(&block), &digest, &extreme), Err(VerifyError::BadSignature));
    }
    assert!(SignatureBlock::split(&file[..67]).is_none());
    assert_eq!(SignatureBlock(&[0xFF; 68]).version(), u32::MAX);
}

#[test]
fn public_keys_and_digests_are_espsecures() {
    for (name, scheme) in KEYS {
        let public = key(name).public().unwrap();
        let pem = text(&format!("sbv2/pub_{name}.pem"));
        assert_eq!(public.scheme(), scheme);
        assert_eq!(public.to_pem(), pem, "{name}");
        assert_eq!(PublicKey::from_pem(&pem).unwrap(), public, "{name}");
        assert_eq!(public.digest()[..], vector(&format!("sbv2/pubkey_digest_{name}.bin")), "{name}");
        assert_eq!(public.raw_p256().is_some(), scheme == V2EcdsaP256);
        // PEM text as openssl and espsecure write it.
        assert_eq!(*key(name).to_pem().unwrap(), text(&format!("keys/{name}.pem")), "{name}");
    }
    let digest = key("p256").bootloader_key().unwrap();
    assert_eq!(digest[..], vector("sbv1/p256_privkey_digest256.bin"));
    assert_eq!(digest[..24], vector("sbv1/p256_privkey_digest192.bin"));
}

#[test]
fn what_is_signed_verifies_for_every_scheme() {
    let content = vector("sbv2/payload4k.bin");
    for (name, scheme) in KEYS {
        let (key, digest) = (key(name), digest_of(scheme, &content));
        let block = key.sign_v2(&digest, &mut rng()).unwrap();
        let mut sector = [0xFF; SECTOR];
        sector[..BLOCK].copy_from_slice(&block);
        let trusted = [Some(KeyDigest::Whole(vector(&format!("sbv2/pubkey_digest_{name}.bin")).try_into().unwrap()))];
        let mut refused = vec![];
        let result = v2::verify(&sector, &digest, &trusted, &[scheme], 1, &mut |_, e| refused.push(e));
        assert_eq!((result, refused), (Ok(0), vec![]), "{name}");
        // The same seed gives the same bytes, another one others.
        assert_eq!(key.sign_v2(&digest, &mut rng()).unwrap(), block);
        assert_ne!(key.sign_v2(&digest, &mut ChaCha20Rng::seed_from_u64(8)).unwrap(), block);
        let wrong = key.sign_v2(&digest[1..], &mut rng());
        assert_eq!(wrong, Err(SignError::DigestLength { expected: digest.len(), found: digest.len() - 1 }));
        if scheme != V2EcdsaP256 {
            assert_eq!(key.sign_v1(&[0; 32]), Err(SignError::NotV1 { scheme }));
            assert_eq!(key.bootloader_key().unwrap_err(), SignError::NotV1 { scheme });
        }
    }
}

#[test]
fn blocks_differ_from_espsecures_in_nothing_but_signature_and_crc() {
    let mut content = vector("sbv2/payload100.bin");
    content.resize(SECTOR, 0xFF);
    for (name, scheme) in KEYS {
        let theirs = vector(&format!("sbv2/payload100_signed_{name}.bin"))[SECTOR..][..BLOCK].to_vec();
        let ours = key(name).sign_v2(&digest_of(scheme, &content), &mut rng()).unwrap();
        let signature = match scheme {
            V2Rsa3072 => 812..1196,
            V2EcdsaP192 => 101..149,
            V2EcdsaP384 => 149..245,
            _ => 101..165,
        };
        for (at, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert!(ours == theirs || signature.contains(&at) || (1196..1200).contains(&at), "{name}: byte {at}");
        }
    }
}

#[test]
fn new_keys_sign_and_are_read_back() {
    let content = [1, 2, 3];
    for scheme in [V2Rsa3072, V2EcdsaP192, V2EcdsaP256, V2EcdsaP384] {
        let new = SigningKey::generate(scheme, &mut rng()).unwrap();
        assert_eq!(new.scheme(), scheme);
        let read = SigningKey::from_pem(&new.to_pem().unwrap()).unwrap();
        assert_eq!(read.public().unwrap(), new.public().unwrap());
        let digest = digest_of(scheme, &content);
        let block = read.sign_v2(&digest, &mut rng()).unwrap();
        assert!(v2::verify_signature(v2::SignatureBlock(&block), &digest));
        assert_eq!(format!("{new:?}"), format!("SigningKey({scheme:?})"));
    }
}

#[test]
fn key_files_that_cannot_be_used_say_why() {
    let private = |pem: &str| SigningKey::from_pem(pem).unwrap_err();
    let p256 = text("keys/p256.pem");
    assert_eq!(private(""), KeyError::NotPem);
    assert_eq!(private("-----BEGIN EC PRIVATE KEY-----\nMHcC"), KeyError::NotPem);
    let public = text("sbv2/pub_p256.pem");
    assert_eq!(private(&public), KeyError::WrongKind { wanted: "private", found: "PUBLIC KEY".into() });
    let error = PublicKey::from_pem(&p256).unwrap_err();
    assert_eq!(error, KeyError::WrongKind { wanted: "public", found: "EC PRIVATE KEY".into() });
    assert_eq!(private(&p256.replace("MHcC", "MHcD")), KeyError::Malformed);
    assert_eq!(private(&p256.replace("MHcC", "M*cC")), KeyError::Malformed);
    assert_eq!(private(&text("keys/rsa3072_a.pem").replace("RSA PRIVATE", "EC PRIVATE")), KeyError::Malformed);
    assert_eq!(private(&p256.replace("EC PRIVATE", "RSA PRIVATE")), KeyError::Malformed);
    assert_eq!(private(&p256.replace("EC PRIVATE", "ENCRYPTED PRIVATE")), KeyError::Encrypted);
    assert_eq!(private(&p256.replace("MHcC", "Proc-Type: 4,ENCRYPTED\n\nMHcC")), KeyError::Encrypted);
    // Text around the key, Windows line ends and another line length are no hindrance.
    let body: String = p256.lines().filter(|line| !line.starts_with('-')).collect();
    for text in [
        format!("Bag Attributes\n{p256}trailing"),
        p256.replace('\n', "\r\n"),
        format!("{public}{p256}"),
        format!("-----BEGIN EC PRIVATE KEY-----\n{body}\n-----END EC PRIVATE KEY-----"),
    ] {
        assert_eq!(SigningKey::from_pem(&text).unwrap().public().unwrap().to_pem(), public);
    }
}

#[test]
fn detached_signatures_are_checked_before_they_are_attached() {
    let content = vector("sbv2/payload4k.bin");
    let digest = digest_of(V2Rsa3072, &content);
    let block = vector("sbv2/payload4k_signed_a.bin")[SECTOR..][..BLOCK].to_vec();
    let signature: Vec<u8> = block[812..1196].iter().rev().copied().collect();
    let public = |name: &str| PublicKey::from_pem(&text(&format!("sbv2/pub_{name}.pem"))).unwrap();
    assert_eq!(public("rsa3072_a").attach(&digest, &signature).unwrap(), block[..]);
    assert_eq!(public("rsa3072_b").attach(&digest, &signature), Err(SignError::BadSignature));
    assert_eq!(public("rsa3072_a").attach(&digest, &signature[1..]), Err(SignError::BadSignature));
    assert_eq!(public("p256").attach(&digest, &signature), Err(SignError::BadSignature));
    let found = SignError::DigestLength { expected: 48, found: 32 };
    assert_eq!(public("p384").attach(&digest, &signature), Err(found));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_upsets_the_key_readers(noise in "[ -~\n]{0,200}", label in "(EC |RSA |)(PRIVATE|PUBLIC) KEY", at in 0usize..400, byte in 32u8..127) {
        let _ = SigningKey::from_pem(&noise);
        let wrapped = format!("-----BEGIN {label}-----\n{noise}\n-----END {label}-----\n");
        prop_assert!(SigningKey::from_pem(&wrapped).is_err() && PublicKey::from_pem(&wrapped).is_err());
        // One changed character: either still a key, or refused.
        for name in ["keys/p256.pem", "keys/p192.pem", "sbv2/pub_p384.pem", "sbv2/pub_rsa3072_a.pem"] {
            let mut text = text(name).into_bytes();
            let at = at % text.len();
            text[at] = byte;
            let text = String::from_utf8(text).unwrap();
            let _ = SigningKey::from_pem(&text);
            let _ = PublicKey::from_pem(&text);
        }
    }
}

/// One damage each, in a file that espsecure signed with two keys: that block is refused for that reason, the other decides.
#[test]
fn a_damaged_block_is_wrong_in_one_place_only() {
    let file = vector("sbv2/payload4k_signed_ab.bin");
    let (image, sector) = file.split_at(file.len() - SECTOR);
    let digest = Sha256::digest(image);
    let trusted = ["rsa3072_a", "rsa3072_b"].map(|name| Some(KeyDigest::Whole(key(name).public().unwrap().digest())));
    type Is = fn(&v2::BlockError) -> bool;
    let damages: [(BlockDamage, Is); 5] = [
        (BlockDamage::Signature, |e| matches!(e, v2::BlockError::BadSignature)),
        (BlockDamage::Version(3), |e| matches!(e, v2::BlockError::UnknownVersion { version: 3, .. })),
        (BlockDamage::Digest, |e| matches!(e, v2::BlockError::DigestMismatch)),
        (BlockDamage::Crc, |e| matches!(e, v2::BlockError::BadCrc { .. })),
        (BlockDamage::Magic, |e| matches!(e, v2::BlockError::BadMagic { found: 0xE6 })),
    ];
    for (damage, expected) in damages {
        for index in 0..2 {
            let mut bad = sector.to_vec();
            assert!(damage_block(&mut bad, index, damage));
            let mut seen = Vec::new();
            let verdict = v2::verify(&bad, &digest, &trusted, &[V2Rsa3072], 3, &mut |at, e| seen.push((at, e)));
            assert_eq!(verdict, Ok(1 - index.min(1)), "{damage:?}: the other block vouches");
            if index == 0 {
                assert!(matches!(seen.as_slice(), [(0, e)] if expected(e)), "{damage:?}: {seen:?}");
            }
            assert_eq!(bad[(1 - index) * BLOCK..][..BLOCK], sector[(1 - index) * BLOCK..][..BLOCK]);
        }
    }
    let mut untouched = sector.to_vec();
    for index in [2, 3, usize::MAX] {
        assert!(!damage_block(&mut untouched, index, BlockDamage::Crc), "there is no block {index}");
    }
    assert!(!damage_block(&mut untouched[..100], 0, BlockDamage::Crc), "a sector cut short");
    assert_eq!(untouched, sector);
}
