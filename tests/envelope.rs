//! Envelopes: the vendor's files open byte for byte, ours have their layout, and nothing that was changed is accepted.
//!
//! Independent truth: files of `esp_enc_img_gen.py`, the keys that the vectors' checker computed, the `aes-gcm` crate, and the
//! CBC example of NIST SP 800-38A.

use aes_gcm::{
    AesGcm, KeyInit,
    aead::{AeadInOut, consts::U16},
    aes::Aes256,
};
use dryburn::envelope::{
    ContentKey, Contents, EciesKey, EnvelopeError, HEADER_SIZE, Header, MAGIC, Opener, OpeningKey, Recipient, Unwrap,
    UnwrapError, WRAPPED_SIZE, open, seal,
};
use dryburn_sim::strategy::envelope as strategy;
use proptest::prelude::*;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{fs, path::PathBuf};

fn vector(name: &str) -> Vec<u8> {
    fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)).unwrap()
}

fn text(name: &str) -> String {
    String::from_utf8(vector(name)).unwrap()
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

fn key(name: &str) -> OpeningKey<ChaCha20Rng> {
    OpeningKey::from_pem(&text(name), rng()).unwrap()
}

fn device() -> EciesKey {
    let key: [u8; 32] = vector("encimg/device_hmac_key.bin").try_into().unwrap();
    EciesKey::from_hmac_key(&key).unwrap()
}

/// Gives a key that was unwrapped before, so that a test of everything behind it need not do so each time.
struct Known<'a>(&'a [u8; 32]);

impl Unwrap for Known<'_> {
    fn unwrap_key(&mut self, _: &[u8; WRAPPED_SIZE]) -> Result<ContentKey, UnwrapError> {
        Ok(ContentKey::new(*self.0))
    }
}

fn unwrapped(envelope: &[u8], key: &mut impl Unwrap) -> [u8; 32] {
    *key.unwrap_key(Header::at(envelope).unwrap().wrapped_key()).unwrap().expose()
}

#[test]
fn what_the_vendors_tool_made_opens_byte_for_byte() {
    let plain = vector("encimg/plain_1000.bin");
    assert!(open(&vector("encimg/enc_rsa.bin"), key("keys/rsa3072_a.pem")).unwrap() == plain);
    let ecc = vector("encimg/enc_ecc.bin");
    assert!(open(&ecc, key("encimg/device_priv_key.pem")).unwrap() == plain);
    assert!(open(&ecc, device()).unwrap() == plain);
}

/// The values that the formats sheet §9.2 gives for the vectors.
#[test]
fn keys_are_derived_as_the_vendors_tool_derives_them() {
    let d = hex::decode("0ac2bad0bc32528c6ea02499e1f124bbd3c0cbd5b7216119f803c8dafa342d17").unwrap();
    let by_scalar = EciesKey::from_scalar(&d.try_into().unwrap()).unwrap();
    assert_eq!(by_scalar.public(), device().public());
    assert_eq!(Recipient::from_pem(&text("encimg/device_pub_key.pem")).unwrap(), Recipient::ecies(&device()));
    let ecc = unwrapped(&vector("encimg/enc_ecc.bin"), &mut device());
    assert_eq!(hex::encode(ecc), "b8f4fcae85522848aa2a2f595e91cf182fd8ad4768340c9a9e929eccb9eec077");
    let rsa = unwrapped(&vector("encimg/enc_rsa.bin"), &mut key("keys/rsa3072_a.pem"));
    assert_eq!(hex::encode(rsa), "fca9410359c9855f88819ff0b55df8b375fe7e368e273675fe5ba0b9560b3b96");
}

#[test]
fn the_header_view_shows_what_the_vectors_hold() {
    let (rsa, ecc) = (vector("encimg/enc_rsa.bin"), vector("encimg/enc_ecc.bin"));
    let (rsa, ecc) = (Header::at(&rsa).unwrap(), Header::at(&ecc).unwrap());
    for (header, ecies, iv, tag) in [
        (rsa, false, "007f7828abe81a996cf0a2153cdd7ac6", "af0125e98f5f7f1c5cd813a54a4e4348"),
        (ecc, true, "4efd6b283a78e73aa8442ca882ae87c2", "5c95639f21c7bc8991a247888342590e"),
    ] {
        assert_eq!((header.magic(), header.size(), header.looks_like_ecies()), (MAGIC, 1000, ecies));
        assert_eq!((hex::encode(header.iv()), hex::encode(header.tag())), (iv.into(), tag.into()));
        assert_eq!(&Contents::parse(header).unwrap().to_bytes(), header.0, "parsed and emitted");
    }
    assert_eq!(hex::encode(ecc.salt()), "c612a2051ed1551fd061997d550f87cb0cf9cf87778396a0f880ed07e5ff1577");
}

/// Our envelopes for every kind of key file, opened by the `aes-gcm` crate, with every byte of the header accounted for.
#[test]
fn ours_have_the_vendors_layout() {
    let plain = vector("encimg/plain_1000.bin");
    for (public, private, ecies) in [
        ("sbv2/pub_rsa3072_a.pem", "keys/rsa3072_a.pem", false),
        ("keys/rsa3072_a.pem", "keys/rsa3072_a.pem", false),
        ("encimg/device_pub_key.pem", "encimg/device_priv_key.pem", true),
    ] {
        let recipient = Recipient::from_pem(&text(public)).unwrap();
        assert_eq!(recipient.is_rsa(), !ecies);
        let envelope = seal(&plain, &recipient, &mut rng()).unwrap();
        assert_eq!(envelope.len(), 1512, "{public}");
        assert_eq!(envelope[..4], [0xcf, 0xb6, 0x88, 0x07]);
        assert_eq!(envelope[404..408], 1000_u32.to_le_bytes());
        assert!(envelope[424..512].iter().all(|byte| *byte == 0));
        assert_eq!(envelope[100..388].iter().all(|byte| *byte == 0), ecies);
        assert_eq!(by_aes_gcm(&envelope, &mut key(private)), Some(plain.clone()), "{public}");
        assert!(open(&envelope, key(private)).unwrap() == plain);
        let again = seal(&plain, &recipient, &mut ChaCha20Rng::seed_from_u64(8)).unwrap();
        for field in [4..100, 388..404, 408..424, 512..1512] {
            assert_ne!(envelope[field.clone()], again[field], "{public}: new random numbers each time");
        }
    }
}

/// Opens with the one-shot implementation of the `aes-gcm` crate.
fn by_aes_gcm(envelope: &[u8], key: &mut impl Unwrap) -> Option<Vec<u8>> {
    let gcm = AesGcm::<Aes256, U16>::new_from_slice(&unwrapped(envelope, key)).unwrap();
    let iv: [u8; 16] = envelope[388..404].try_into().unwrap();
    let tag: [u8; 16] = envelope[408..424].try_into().unwrap();
    let mut body = envelope[512..].to_vec();
    gcm.decrypt_inout_detached(&iv.into(), &[], body.as_mut_slice().into(), &tag.into()).ok().map(|()| body)
}

#[test]
fn every_changed_byte_of_the_vendors_files_is_refused() {
    let ecc = vector("encimg/enc_ecc.bin");
    let ecies = device();
    for (offset, xor) in (0..ecc.len()).flat_map(|offset| [(offset, 1), (offset, 0x80)]) {
        let damage = strategy::Damage::Changed { offset, xor };
        let error = open(&damage.apply(&ecc), ecies.clone()).unwrap_err();
        assert!(damage.explains(error, ecc.len()), "{damage:?}: {error}");
    }
    let rsa = vector("encimg/enc_rsa.bin");
    let mut private = key("keys/rsa3072_a.pem");
    let known = unwrapped(&rsa, &mut private);
    for offset in 0..rsa.len() {
        let damaged = strategy::Damage::Changed { offset, xor: 0x10 }.apply(&rsa);
        let error = match offset {
            // each of these is a private-key operation: some of them, and both ends
            4..388 if !(offset % 13 == 0 || [4, 387].contains(&offset)) => continue,
            4..388 => open(&damaged, &mut private).unwrap_err(),
            _ => open(&damaged, Known(&known)).unwrap_err(),
        };
        let wanted = match offset {
            0..4 => matches!(error, EnvelopeError::BadMagic { .. }),
            4..388 => matches!(error, EnvelopeError::Unwrap(_) | EnvelopeError::BadTag),
            404..408 => matches!(error, EnvelopeError::Truncated { .. } | EnvelopeError::Trailing { .. }),
            424..512 => error == EnvelopeError::ReservedNotZero { offset, found: 0x10 },
            _ => error == EnvelopeError::BadTag,
        };
        assert!(wanted, "offset {offset}: {error}");
    }
}

#[test]
fn truncation_at_each_place_and_anything_behind_the_end_is_refused() {
    let envelope = vector("encimg/enc_ecc.bin");
    let known = unwrapped(&envelope, &mut device());
    for cut in 0..envelope.len() {
        let damage = strategy::Damage::Cut(cut);
        let error = open(&damage.apply(&envelope), Known(&known)).unwrap_err();
        assert!(damage.explains(error, envelope.len()), "cut at {cut}: {error}");
    }
    let mut longer = envelope;
    longer.push(0);
    assert_eq!(open(&longer, Known(&known)), Err(EnvelopeError::Trailing { expected: 1512 }));
}

#[test]
fn another_key_is_refused_and_the_error_says_which_scheme_it_is() {
    let (rsa, ecc) = (vector("encimg/enc_rsa.bin"), vector("encimg/enc_ecc.bin"));
    assert_eq!(open(&rsa, key("keys/rsa3072_b.pem")), Err(UnwrapError::Rsa.into()));
    assert_eq!(open(&ecc, key("keys/rsa3072_a.pem")), Err(UnwrapError::Rsa.into()));
    assert_eq!(open(&ecc, key("keys/p256.pem")), Err(EnvelopeError::BadTag));
    assert_eq!(open(&rsa, device()), Err(UnwrapError::NotOnCurve.into()));
    for name in ["keys/p384.pem", "keys/k32_zero.bin", "sbv2/pub_p384.pem", "keys/p256.pem"] {
        let text = String::from_utf8_lossy(&vector(name)).into_owned();
        assert!(Recipient::from_pem(&text).is_err(), "{name}: no one to seal for");
    }
}

#[test]
fn an_image_that_does_not_fit_is_refused_before_any_of_it_comes_out() {
    let envelope = vector("encimg/enc_ecc.bin");
    let known = unwrapped(&envelope, &mut device());
    let mut output = [0; 64];
    let mut opener = Opener::new(Known(&known), 999);
    let refused = opener.push(&envelope[..HEADER_SIZE], &mut output);
    assert_eq!(refused, Err(EnvelopeError::TooLarge { size: 1000, limit: 999 }));
    // what was refused stays so
    assert_eq!(opener.push(&[], &mut output), Err(EnvelopeError::TooLarge { size: 1000, limit: 999 }));
    assert_eq!(opener.finish(), Err(EnvelopeError::TooLarge { size: 1000, limit: 999 }));

    let mut opener = Opener::new(Known(&known), 1000);
    assert_eq!(opener.push(&envelope, &mut [0; 15]), Err(EnvelopeError::OutputTooSmall { found: 15 }));
    assert_eq!(opener.push(&envelope, &mut output).unwrap().consumed, HEADER_SIZE + 64);
    assert_eq!(opener.size(), Some(1000));
}

#[test]
fn sealed_twice_is_opened_twice() {
    let plain = b"an app".as_slice();
    let recipient = Recipient::ecies(&device());
    let once = seal(plain, &recipient, &mut rng()).unwrap();
    let twice = seal(&once, &recipient, &mut rng()).unwrap();
    let opened = open(&twice, device()).unwrap();
    assert!(dryburn::envelope::is_envelope(&opened));
    assert_eq!(open(&opened, device()).unwrap(), plain);
}

#[test]
fn nothing_secret_is_printed() {
    let ecies = device();
    let shown = format!("{ecies:?} {:?} {:?}", key("keys/rsa3072_a.pem"), ContentKey::new([0xAB; 32]));
    assert_eq!(shown, "EciesKey { .. } Rsa(RsaKey { .. }) ContentKey { .. }");
    // An opener is what a device keeps in RAM during an update.
    let size = size_of::<Opener<EciesKey>>();
    assert!(size <= 1024, "an opener has {size} bytes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn chunking_never_matters(
        (sealed, sizes, room) in strategy::sealed().prop_flat_map(|s| {
            let length = s.envelope.len();
            (Just(s), strategy::chunks(length), 16..600_usize)
        })
    ) {
        let mut opener = Opener::new(strategy::device(), u32::MAX);
        let (mut output, mut plain) = (vec![0; room], Vec::new());
        let mut rest = sealed.envelope.as_slice();
        for size in sizes {
            let (mut chunk, behind) = rest.split_at(size);
            while !chunk.is_empty() {
                let pushed = opener.push(chunk, &mut output).unwrap();
                prop_assert!(pushed.consumed > 0);
                plain.extend_from_slice(pushed.plaintext.unproven());
                chunk = &chunk[pushed.consumed..];
            }
            rest = behind;
        }
        prop_assert_eq!(opener.finish().unwrap().size() as usize, sealed.plaintext.len());
        prop_assert!(plain == sealed.plaintext);
        prop_assert_eq!(by_aes_gcm(&sealed.envelope, &mut strategy::device()), Some(plain));
    }

    #[test]
    fn no_damage_is_accepted(
        (sealed, damage) in strategy::sealed().prop_flat_map(|s| {
            let length = s.envelope.len();
            (Just(s), strategy::damage(length))
        })
    ) {
        let error = open(&damage.apply(&sealed.envelope), strategy::device()).unwrap_err();
        prop_assert!(damage.explains(error, sealed.envelope.len()), "{:?}: {}", damage, error);
    }

    #[test]
    fn noise_is_refused_without_a_panic(
        mut noise in prop::collection::vec(any::<u8>(), 0..1200),
        magic in any::<bool>(),
        sizes in prop::collection::vec(1..300_usize, 1..20),
    ) {
        if magic {
            noise.iter_mut().zip(MAGIC).for_each(|(to, from)| *to = from);
        }
        let mut opener = Opener::new(strategy::device(), 4096);
        let mut output = [0; 64];
        let mut rest = noise.as_slice();
        for size in sizes.into_iter().cycle() {
            let chunk = &rest[..size.min(rest.len())];
            match opener.push(chunk, &mut output) {
                Ok(pushed) if !rest.is_empty() => rest = &rest[pushed.consumed..],
                _ => break,
            }
        }
        prop_assert!(opener.finish().is_err());
    }
}
