//! What is told of a Secure Boot v2 signature, release by release.
#![cfg(feature = "sign")]

use super::*;
use crate::{
    IdfVersion, Revision,
    image::{Builder, Kind, Purpose, Region, Rules, flash_of_bytes::Bytes, verify},
    secure_boot::sign::SigningKey,
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use sha2::{Digest, Sha256};
use std::vec::Vec;

fn key() -> SigningKey {
    SigningKey::from_pem(include_str!("../../../tests/vectors/keys/p256.pem")).unwrap()
}

/// An app of 8 KiB and its signature sector.
fn signed(chip: Chip) -> Vec<u8> {
    let mut image = Builder::app(chip).size(8192).build();
    let block = key().sign_v2(&Sha256::digest(&image), &mut ChaCha20Rng::seed_from_u64(7)).unwrap();
    image.extend(block);
    image.resize(3 * 4096, 0xFF);
    image
}

const TRUSTED: SecureBootScheme = SecureBootScheme::V2EcdsaP256;

fn policy(scheme: SecureBootScheme, digest: [u8; 32], enforced: bool) -> V2Policy {
    V2Policy { scheme, trusted: [Some(KeyDigest::Whole(digest)), None, None], enforced }
}

fn check(chip: Chip, idf: (u8, u8), image: &[u8], policy: V2Policy) -> (Result<(), Refusal>, Vec<SignatureEvent>) {
    let target = Target {
        chip,
        revision: Revision(0),
        block_revision: None,
        ignore_max_revision: false,
        ignore_max_block_revision: false,
        idf: IdfVersion::new(idf.0, idf.1),
    };
    let policy = SignaturePolicy::V2(policy);
    let rules = Rules { target: &target, kind: Kind::App, purpose: Purpose::Verify, signature: Some(&policy) };
    let mut events = Vec::new();
    let region = Region { offset: 0, size: 0x10_0000 };
    let verdict = verify(&mut Bytes(image.to_vec()), region, &rules, &mut |event| {
        if let Event::Signature(event) = event {
            events.push(event);
        }
    });
    (verdict.map(|_| ()), events)
}

#[test]
fn before_enablement_any_key_will_do_and_4_2_says_which_it_is_not() {
    use SignatureEvent::{DigestDiffers, NotEnforced, Verified, Verifying};
    let image = signed(Chip::Esp32c6);
    let own = key().public().unwrap().digest();
    let verifying = Verifying { scheme: TRUSTED };
    for (idf, digest, events) in [
        ((4, 2), own, &[NotEnforced, verifying, Verified][..]),
        ((4, 2), [1; 32], &[NotEnforced, DigestDiffers, verifying, Verified]),
        ((4, 3), [1; 32], &[NotEnforced, verifying, Verified]),
        ((5, 4), own, &[NotEnforced, verifying, Verified]),
    ] {
        assert_eq!(
            check(Chip::Esp32c6, idf, &image, policy(TRUSTED, digest, false)),
            (Ok(()), events.to_vec()),
            "{idf:?}"
        );
    }
    // once enforced, its own only, and nothing is said of the others
    assert_eq!(
        check(Chip::Esp32c6, (4, 2), &image, policy(TRUSTED, own, true)),
        (Ok(()), [verifying, Verified].to_vec())
    );
    let (verdict, events) = check(Chip::Esp32c6, (4, 2), &image, policy(TRUSTED, [1; 32], true));
    assert_eq!(verdict, Err(Refusal::Signature { hash_matches: true }));
    assert!(!events.contains(&DigestDiffers) && events.ends_with(&[SignatureEvent::Failed]), "{events:?}");
}

#[test]
fn esp_idf_5_4_looks_for_a_block_of_its_scheme_first() {
    use SignatureEvent::{Failed, NoBlockOfScheme};
    let own = key().public().unwrap().digest();
    let scheme = SecureBootScheme::V2Rsa3072;
    for (chip, idf, first) in [
        (Chip::Esp32c6, (5, 4), true),
        (Chip::Esp32c6, (6, 1), true),
        (Chip::Esp32c6, (5, 3), false),
        (Chip::Esp32, (5, 4), false),
    ] {
        let (verdict, events) = check(chip, idf, &signed(chip), policy(scheme, own, true));
        assert_eq!(verdict, Err(Refusal::Signature { hash_matches: true }), "{chip}, {idf:?}");
        assert_eq!(events.contains(&NoBlockOfScheme { scheme }), first, "{chip}, {idf:?}");
        assert_eq!(events.contains(&Failed), !first, "{chip}, {idf:?}");
    }
    // there is one, of whichever index
    let mut image = signed(Chip::Esp32c6);
    image.copy_within(8192..8192 + 1216, 8192 + 1216);
    image[8192] = 0;
    let (verdict, events) = check(Chip::Esp32c6, (5, 4), &image, policy(TRUSTED, own, true));
    assert_eq!((verdict, events.last()), (Ok(()), Some(&SignatureEvent::Verified)));
}

#[test]
fn a_refused_signature_says_whether_the_hash_is_right() {
    let own = key().public().unwrap().digest();
    for (at, hash_matches) in [(8192 + 120, true), (8191, false), (4000, false)] {
        let mut image = signed(Chip::Esp32c6);
        image[at] ^= 1;
        let refusal = check(Chip::Esp32c6, (5, 4), &image, policy(TRUSTED, own, true)).0.unwrap_err();
        let checksum = matches!(refusal, Refusal::Checksum { .. });
        assert!(checksum == (at == 4000) && (checksum || refusal == Refusal::Signature { hash_matches }), "{at}");
    }
}
