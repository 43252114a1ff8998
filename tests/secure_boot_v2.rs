//! Secure Boot v2 signatures made by espsecure (`tests/vectors/sbv2`), and everything that must be refused.

use dryburn::{
    Chip,
    chip::SecureBootScheme::{self, V2EcdsaP192, V2EcdsaP256, V2EcdsaP384, V2Rsa3072},
    secure_boot::{
        KeyDigest,
        v2::{self, BLOCK, BlockError, MAGIC, NotVerified, SECTOR, SignatureBlock},
    },
};
use proptest::prelude::*;
use sha2::{Digest, Sha256, Sha384};
use std::{fs, path::PathBuf};

type Refusals = Vec<(usize, BlockError)>;

fn vector(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/sbv2").join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A signed file's content digest, SHA-384 where P-384 signed it, and its signature sector.
fn signed(name: &str) -> (Vec<u8>, Vec<u8>) {
    let file = vector(name);
    let (content, sector) = file.split_at(file.len() - SECTOR);
    let digest =
        if name.contains("p384") { Sha384::digest(content).to_vec() } else { Sha256::digest(content).to_vec() };
    (digest, sector.to_vec())
}

fn key_digest(key: &str) -> [u8; 32] {
    vector(&format!("pubkey_digest_{key}.bin")).try_into().unwrap()
}

fn trusted_key(key: &str) -> KeyDigest {
    KeyDigest::Whole(key_digest(key))
}

fn verify(
    sector: &[u8],
    digest: &[u8],
    trusted: &[&str],
    scheme: SecureBootScheme,
) -> (Result<usize, NotVerified>, Refusals) {
    let trusted: Vec<_> = trusted.iter().map(|key| Some(trusted_key(key))).collect();
    let mut refusals = vec![];
    (v2::verify(sector, digest, &trusted, &[scheme], 3, &mut |index, error| refusals.push((index, error))), refusals)
}

/// The first refusal, where nothing verified.
fn refused(sector: &[u8], digest: &[u8], trusted: &str, scheme: SecureBootScheme) -> BlockError {
    let (result, refusals) = verify(sector, digest, &[trusted], scheme);
    assert_eq!(result, Err(NotVerified));
    assert_eq!(refusals.len(), 3, "every block is reported: {refusals:?}");
    refusals[0].1
}

/// Corrects the CRC of block 0 after damage.
fn fix_crc(sector: &mut [u8]) {
    let crc = crc32fast::hash(&sector[..1196]);
    sector[1196..1200].copy_from_slice(&crc.to_le_bytes());
}

/// What v2 says of block 0 when its own key is trusted, CRC corrected.
fn verdict_of_trusted(sector: &mut [u8], digest: &[u8]) -> Option<BlockError> {
    fix_crc(sector);
    let key = SignatureBlock::at(sector, 0).unwrap().key_digest().map(KeyDigest::Whole);
    let mut refusals = vec![];
    let scheme = SignatureBlock::at(sector, 0).unwrap().scheme().unwrap();
    let result = v2::verify(sector, digest, &[None, key], &[scheme], 1, &mut |_, error| refusals.push(error));
    assert_eq!(result.is_ok(), refusals.is_empty());
    refusals.pop()
}

const FILES: [(&str, &str, SecureBootScheme); 6] = [
    ("payload100_signed_rsa3072_a.bin", "rsa3072_a", V2Rsa3072),
    ("payload100_signed_rsa3072_b.bin", "rsa3072_b", V2Rsa3072),
    ("payload4k_signed_a.bin", "rsa3072_a", V2Rsa3072),
    ("payload100_signed_p192.bin", "p192", V2EcdsaP192),
    ("payload100_signed_p256.bin", "p256", V2EcdsaP256),
    ("payload100_signed_p384.bin", "p384", V2EcdsaP384),
];

#[test]
fn blocks_of_espsecure_show_their_fields() {
    for (file, key, scheme) in FILES {
        let (digest, sector) = signed(file);
        let block = SignatureBlock::at(&sector, 0).unwrap();
        assert_eq!(block.magic(), MAGIC, "{file}");
        assert_eq!(block.scheme(), Some(scheme), "{file}");
        assert_eq!(block.stored_crc(), block.computed_crc(), "{file}");
        assert_eq!(block.key_digest(), Some(key_digest(key)), "{file}");
        assert_eq!(block.image_digest(), digest, "{file}");
        assert_eq!(digest.len(), v2::digest_len(scheme), "{file}");
    }
}

#[test]
fn signatures_of_espsecure_verify() {
    for (file, key, scheme) in FILES {
        let (digest, sector) = signed(file);
        let (result, refusals) = verify(&sector, &digest, &[key], scheme);
        assert_eq!((result, refusals), (Ok(0), vec![]), "{file}");
        let block = SignatureBlock::at(&sector, 0).unwrap();
        assert!(v2::can_verify(scheme) && v2::verify_signature(block, &digest), "{file}");
        // A digest of the wrong length is no digest, even where its first bytes are right.
        assert!(!v2::verify_signature(block, &digest[..digest.len() - 1]), "{file}");
        assert!(!v2::verify_signature(block, &[&digest[..], &[0; 16]].concat()), "{file}");
    }
}

#[test]
fn any_block_with_a_trusted_key_will_do() {
    let (digest, sector) = signed("payload4k_signed_ab.bin");
    assert_eq!(verify(&sector, &digest, &["rsa3072_a"], V2Rsa3072), (Ok(0), vec![]));
    assert_eq!(verify(&sector, &digest, &["rsa3072_b", "rsa3072_a"], V2Rsa3072), (Ok(0), vec![]));
    let (result, refusals) = verify(&sector, &digest, &["p256", "rsa3072_b"], V2Rsa3072);
    assert_eq!((result, refusals), (Ok(1), vec![(0, BlockError::UntrustedKey)]));

    // A device that looks at one block only does not find the second key.
    let trusted = [Some(trusted_key("rsa3072_b"))];
    assert_eq!(v2::verify(&sector, &digest, &trusted, &[V2Rsa3072], 1, &mut |_, _| ()), Err(NotVerified));
    // The ESP32-C2's rule: 16 bytes of the digest.
    let half = [Some(KeyDigest::on(Chip::Esp32c2, key_digest("rsa3072_a")))];
    assert_eq!(v2::verify(&sector, &digest, &half, &[V2Rsa3072], 1, &mut |_, _| ()), Ok(0));
    // A revoked or absent key is no key.
    assert_eq!(v2::verify(&sector, &digest, &[None, None], &[V2Rsa3072], 3, &mut |_, _| ()), Err(NotVerified));
}

#[test]
fn a_good_block_after_a_damaged_one_counts() {
    let (digest, mut sector) = signed("payload4k_signed_ab.bin");
    sector[900] ^= 1;
    let (result, refusals) = verify(&sector, &digest, &["rsa3072_a", "rsa3072_b"], V2Rsa3072);
    assert_eq!(result, Ok(1));
    assert!(matches!(refusals[..], [(0, BlockError::BadCrc { stored, computed })] if stored != computed));
}

#[test]
fn checks_come_in_the_roms_order() {
    let (digest, mut sector) = signed("payload100_signed_rsa3072_a.bin");
    // Everything is wrong at first; each step puts right what was reported.
    sector[900] ^= 1;
    sector[1] = 9;
    sector[0] = 0xE6;
    let other_image = [7; 32];
    assert_eq!(refused(&sector, &other_image, "rsa3072_b", V2Rsa3072), BlockError::BadMagic { found: 0xE6 });
    sector[0] = MAGIC;
    assert!(matches!(refused(&sector, &other_image, "rsa3072_b", V2Rsa3072), BlockError::BadCrc { .. }));
    fix_crc(&mut sector);
    let unknown = BlockError::UnknownVersion { version: 9, curve: None };
    assert_eq!(refused(&sector, &other_image, "rsa3072_b", V2Rsa3072), unknown);
    sector[1] = 2;
    fix_crc(&mut sector);
    assert_eq!(refused(&sector, &other_image, "rsa3072_b", V2Rsa3072), BlockError::DigestMismatch);
    assert_eq!(refused(&sector, &digest, "rsa3072_b", V2Rsa3072), BlockError::UntrustedKey);
    assert_eq!(refused(&sector, &digest, "rsa3072_a", V2Rsa3072), BlockError::BadSignature);
    sector[900] ^= 1;
    fix_crc(&mut sector);
    assert_eq!(verify(&sector, &digest, &["rsa3072_a"], V2Rsa3072).0, Ok(0));
}

#[test]
fn the_configured_scheme_is_the_only_one() {
    let (digest, sector) = signed("payload100_signed_p256.bin");
    let found = BlockError::UnknownVersion { version: 3, curve: Some(2) };
    for scheme in [V2Rsa3072, V2EcdsaP192, V2EcdsaP384, SecureBootScheme::V1] {
        assert_eq!(refused(&sector, &digest, "p256", scheme), found);
    }
}

#[test]
fn a_signature_of_another_image_is_refused() {
    for (file, key, scheme) in [FILES[0], FILES[3], FILES[4], FILES[5]] {
        let (digest, mut sector) = signed(file);
        let other = vec![0x42; digest.len()];
        assert_eq!(refused(&sector, &other, key, scheme), BlockError::DigestMismatch);
        // Even when the digest in the block is rewritten to fit.
        sector[4..4 + other.len()].copy_from_slice(&other);
        fix_crc(&mut sector);
        assert_eq!(refused(&sector, &other, key, scheme), BlockError::BadSignature);
    }
}

#[test]
fn every_field_of_a_trusted_key_counts() {
    // One byte of n, e, R, M' and the signature in turn, with the changed key itself trusted.
    for (file, offsets) in [
        (FILES[0].0, &[36, 37, 200, 419, 420, 421, 423, 424, 600, 807, 808, 811, 812, 1000, 1195][..]),
        (FILES[3].0, &[37, 60, 61, 84, 101, 124, 125, 148]),
        (FILES[4].0, &[37, 68, 69, 100, 101, 132, 133, 164]),
        (FILES[5].0, &[53, 100, 101, 148, 149, 196, 197, 244]),
    ] {
        let (digest, sector) = signed(file);
        assert_eq!(verdict_of_trusted(&mut sector.clone(), &digest), None);
        for &offset in offsets {
            for bit in [1, 0x10, 0x80] {
                let mut sector = sector.clone();
                sector[offset] ^= bit;
                let verdict = verdict_of_trusted(&mut sector, &digest);
                assert_eq!(verdict, Some(BlockError::BadSignature), "{file}: byte {offset}, bit {bit:#x}");
            }
        }
    }
}

/// What becomes of a block when the byte at `offset` changes and the CRC is put right; `None`: it still vouches.
fn expected(scheme: SecureBootScheme, offset: usize) -> Option<BlockError> {
    let (digest, curve, key, signature) = match scheme {
        V2Rsa3072 => (4..36, None, 36..812, 812..1196),
        V2EcdsaP192 => (4..36, Some(36), 37..101, 101..149),
        V2EcdsaP256 => (4..36, Some(36), 37..101, 101..165),
        V2EcdsaP384 => (4..52, Some(52), 53..149, 149..245),
        SecureBootScheme::V1 => unreachable!("no v1 files here"),
    };
    Some(match offset {
        0 => BlockError::BadMagic { found: MAGIC ^ 1 },
        // Which scheme it then seems to be of is not looked at here.
        1 => BlockError::UnknownVersion { version: 0, curve: None },
        2 if curve.is_some() => BlockError::UnknownVersion { version: 0, curve: None },
        _ if curve == Some(offset) => BlockError::UnknownVersion { version: 0, curve: None },
        _ if digest.contains(&offset) => BlockError::DigestMismatch,
        _ if key.contains(&offset) => BlockError::UntrustedKey,
        _ if signature.contains(&offset) => BlockError::BadSignature,
        _ => return None,
    })
}

#[test]
fn every_byte_of_a_block_is_judged_as_expected() {
    for (file, key, scheme) in [FILES[0], FILES[3], FILES[4], FILES[5]] {
        let (digest, good) = signed(file);
        let trusted = [Some(trusted_key(key))];
        let verdict = |sector: &[u8]| {
            let mut refusals = vec![];
            let result = v2::verify(sector, &digest, &trusted, &[scheme], 1, &mut |_, error| refusals.push(error));
            assert_eq!(result.is_ok(), refusals.is_empty());
            refusals.pop()
        };
        for offset in 0..BLOCK {
            let mut sector = good.clone();
            sector[offset] ^= 1;
            // Bytes behind the CRC are not under it.
            match (offset, verdict(&sector)) {
                (0, Some(BlockError::BadMagic { .. }))
                | (1..1200, Some(BlockError::BadCrc { .. }))
                | (1200.., None) => {}
                (_, other) => panic!("{file}: byte {offset}: {other:?}"),
            }
            if (1196..1200).contains(&offset) {
                continue;
            }
            fix_crc(&mut sector);
            let found = match verdict(&sector) {
                Some(BlockError::UnknownVersion { .. }) => Some(BlockError::UnknownVersion { version: 0, curve: None }),
                other => other,
            };
            assert_eq!(found, expected(scheme, offset), "{file}: byte {offset}");
        }
    }
}

#[test]
fn impossible_rsa_numbers_are_refused() {
    let (digest, good) = signed(FILES[0].0);
    type Change = fn(&mut [u8]);
    let changes: [(&str, Change); 8] = [
        ("n = 0", |s| s[36..420].fill(0)),
        ("n = 1", |s| (s[36..420].fill(0), s[36] = 1).1),
        ("n even", |s| s[36] &= 0xFE),
        ("n of 3071 bits", |s| s[419] &= 0x7F),
        ("n all ones", |s| s[36..420].fill(0xFF)),
        ("e = 0", |s| s[420..424].fill(0)),
        ("e = 1", |s| s[420..424].copy_from_slice(&[1, 0, 0, 0])),
        ("everything zero", |s| s[36..1196].fill(0)),
    ];
    for (what, change) in changes {
        let mut sector = good.clone();
        change(&mut sector);
        assert_eq!(verdict_of_trusted(&mut sector, &digest), Some(BlockError::BadSignature), "{what}");
    }
    // s + n would verify if it were reduced first; RFC 8017 §5.2.2 wants s < n. n has its top bit set, so it may not fit.
    let mut sector = good.clone();
    sector[812..1196].fill(0xFF);
    assert_eq!(verdict_of_trusted(&mut sector, &digest), Some(BlockError::BadSignature));
}

#[test]
fn short_and_empty_sectors_hold_no_block() {
    let (digest, sector) = signed(FILES[0].0);
    assert_eq!(verify(&sector[..BLOCK], &digest, &["rsa3072_a"], V2Rsa3072), (Ok(0), vec![]));
    assert_eq!(verify(&sector[..BLOCK - 1], &digest, &["rsa3072_a"], V2Rsa3072), (Err(NotVerified), vec![]));
    assert_eq!(refused(&[0xFF; SECTOR], &digest, "rsa3072_a", V2Rsa3072), BlockError::BadMagic { found: 0xFF });
    assert!(SignatureBlock::at(&sector, 3).is_none() && SignatureBlock::at(&sector, usize::MAX).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_flipped_bit_passes(which in 0usize..4, bit in 0usize..1200 * 8) {
        let (file, key, scheme) = [FILES[0], FILES[3], FILES[4], FILES[5]][which];
        let (digest, mut sector) = signed(file);
        sector[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify(&sector, &digest, &[key], scheme).0.is_err());
    }

    #[test]
    fn noise_neither_panics_nor_verifies(
        noise in prop::collection::vec(any::<u8>(), BLOCK), version in 1u8..5, sha in 0u8..3, curve in 0u8..5, odd in any::<bool>(),
    ) {
        let mut sector = noise;
        sector[0] = MAGIC;
        sector[1] = version;
        sector[2] = sha;
        if version == 3 {
            sector[if sha == 1 { 52 } else { 36 }] = curve;
        } else {
            sector[36] = sector[36] & 0xFE | u8::from(odd);
            sector[419] |= 0x80;
        }
        let digest = SignatureBlock::at(&sector, 0).unwrap().image_digest().to_vec();
        prop_assert!(!v2::verify_signature(SignatureBlock::at(&sector, 0).unwrap(), &digest));
        if SignatureBlock::at(&sector, 0).unwrap().scheme().is_some() {
            prop_assert!(verdict_of_trusted(&mut sector, &digest).is_some());
        }
    }
}
