//! AES-CBC envelopes: the cipher is NIST's, chunks of any size come out the same, and what proves an image is its signature.

use dryburn::{
    Chip, IdfVersion, Revision, SecureBootScheme,
    envelope::{
        ContentKey, EnvelopeError,
        cbc::{HEADER_SIZE, Header, Opener, seal},
    },
    image::{Builder, Refusal, Region, SignaturePolicy, Target, V2Policy},
    secure_boot::{KeyDigest, sign::SigningKey},
};
use dryburn_sim::flash::Flash;
use proptest::prelude::*;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

fn key() -> ContentKey {
    ContentKey::new([0x5A; 32])
}

/// Opens in chunks of `chunk` bytes into `room` bytes; gives the plaintext that nothing proves yet.
fn open(envelope: &[u8], key: ContentKey, chunk: usize, room: usize) -> Result<Vec<u8>, EnvelopeError> {
    let mut opener = Opener::new(key, u32::MAX);
    let (mut output, mut plain) = (vec![0; room], Vec::new());
    for mut rest in envelope.chunks(chunk) {
        while !rest.is_empty() {
            let pushed = opener.push(rest, &mut output)?;
            plain.extend_from_slice(pushed.plaintext.unproven());
            rest = &rest[pushed.consumed..];
        }
    }
    let end = opener.finish()?;
    assert_eq!(end.size() as usize, plain.len());
    Ok(plain)
}

/// NIST SP 800-38A F.2.5, CBC-AES256.
#[test]
fn the_cipher_is_the_standards() {
    let key = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
    let iv = "000102030405060708090a0b0c0d0e0f";
    let plain = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51";
    let cipher = "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d";
    let bytes = |text| hex::decode(text).unwrap();
    let key = || ContentKey::new(bytes(key).try_into().unwrap());
    let envelope = seal(&bytes(plain), &key(), bytes(iv).try_into().unwrap()).unwrap();
    // 44 42 43 31, the size, eight zeros, the IV, the ciphertext
    assert_eq!(hex::encode(&envelope), format!("44424331{}{}{iv}{cipher}", "20000000", "0".repeat(16)));
    assert_eq!(open(&envelope, key(), 64, 64).unwrap(), bytes(plain));
}

#[test]
fn every_size_has_whole_blocks_and_comes_out_as_it_went_in() {
    for size in 0..50_usize {
        let plain: Vec<u8> = (0..size as u8).collect();
        let envelope = seal(&plain, &key(), [size as u8; 16]).unwrap();
        assert_eq!(envelope.len(), HEADER_SIZE + size.next_multiple_of(16));
        assert_eq!(open(&envelope, key(), 7, 33).unwrap(), plain);
        for cut in 0..envelope.len() {
            let error = open(&envelope[..cut], key(), 50, 16).unwrap_err();
            let expected = if cut < HEADER_SIZE { HEADER_SIZE } else { envelope.len() } as u64;
            assert_eq!(error, EnvelopeError::Truncated { found: cut as u64, expected }, "{size} bytes cut at {cut}");
        }
        let longer = [envelope.as_slice(), &[0]].concat();
        let expected = envelope.len() as u64;
        assert_eq!(open(&longer, key(), 64, 64), Err(EnvelopeError::Trailing { expected }));
    }
}

#[test]
fn what_is_structure_in_the_header_is_checked() {
    let envelope = seal(&[1; 20], &key(), [2; 16]).unwrap();
    for offset in 0..16 {
        let mut damaged = envelope.clone();
        damaged[offset] ^= 0x40;
        let error = open(&damaged, key(), 64, 64).unwrap_err();
        let wanted = match offset {
            0..4 => matches!(error, EnvelopeError::BadCbcMagic { .. }),
            4..8 => matches!(error, EnvelopeError::Truncated { .. }),
            _ => error == EnvelopeError::ReservedNotZero { offset, found: 0x40 },
        };
        assert!(wanted, "offset {offset}: {error}");
    }
    let mut opener = Opener::new(key(), 19);
    assert_eq!(opener.push(&envelope, &mut [0; 64]), Err(EnvelopeError::TooLarge { size: 20, limit: 19 }));
    let header = Header::at(&envelope).unwrap();
    assert_eq!((header.size(), header.iv(), header.reserved()), (20, [2; 16], [0; 8]));
}

/// An app of ESP32-C3 with a signature sector (ECDSA P-256 is the quick one), and what its device demands.
struct Signed {
    image: Vec<u8>,
    policy: SignaturePolicy,
}

static SIGNED: LazyLock<Signed> = LazyLock::new(|| {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let scheme = SecureBootScheme::V2EcdsaP256;
    let signer = SigningKey::generate(scheme, &mut rng).unwrap();
    let mut image = Builder::app(Chip::Esp32c3).size(8192).build();
    let block = signer.sign_v2(&Sha256::digest(&image), &mut rng).unwrap();
    image.extend_from_slice(&block);
    image.resize(8192 + 4096, 0xFF);
    let digest = signer.public().unwrap().digest();
    // not enforced, as before secure boot is set up: the envelope insists all the same
    let policy = V2Policy { scheme, trusted: [Some(KeyDigest::Whole(digest)), None, None], enforced: false };
    Signed { image, policy: SignaturePolicy::V2(policy) }
});

/// Opens an envelope into a slot, and asks for the proof.
fn update(envelope: &[u8], policy: &SignaturePolicy) -> Result<u32, Refusal> {
    let mut flash = Flash::new(0x20_0000).unwrap();
    let mut opener = Opener::new(key(), 0x1_0000);
    let (mut output, mut at, mut rest) = ([0; 512], 0x1_0000, envelope);
    while !rest.is_empty() {
        let pushed = opener.push(rest, &mut output).unwrap();
        flash.program(at, pushed.plaintext.unproven()).unwrap();
        at += pushed.plaintext.unproven().len() as u32;
        rest = &rest[pushed.consumed..];
    }
    let target = Target {
        chip: Chip::Esp32c3,
        revision: Revision::new(0, 4),
        block_revision: None,
        ignore_max_revision: false,
        ignore_max_block_revision: false,
        idf: IdfVersion::LATEST,
    };
    let region = Region { offset: 0x1_0000, size: 0x1_0000 };
    let (proof, _) = opener.finish().unwrap().check(&mut flash, region, &target, policy, &mut |_| {})?;
    Ok(proof.size())
}

#[test]
fn the_signature_is_the_proof() {
    let Signed { image, policy } = &*SIGNED;
    let envelope = seal(image, &key(), [9; 16]).unwrap();
    assert_eq!(update(&envelope, policy), Ok(image.len() as u32));
    let stranger = V2Policy {
        scheme: SecureBootScheme::V2EcdsaP256,
        trusted: [Some(KeyDigest::Whole([7; 32])), None, None],
        enforced: false,
    };
    let refused = update(&envelope, &SignaturePolicy::V2(stranger));
    assert!(matches!(refused, Err(Refusal::Signature { .. })), "a key that eFuse does not trust: {refused:?}");
    let unsigned = seal(&image[..8192], &key(), [9; 16]).unwrap();
    let refused = update(&unsigned, policy);
    assert!(matches!(refused, Err(Refusal::Signature { .. })), "{refused:?}");
    let another = seal(image, &ContentKey::new([0x5B; 32]), [9; 16]).unwrap();
    let refused = update(&another, policy);
    assert!(matches!(refused, Err(Refusal::BadMagic { .. } | Refusal::WrongChip { .. })), "{refused:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chunking_never_matters(
        plain in prop::collection::vec(any::<u8>(), 0..400),
        chunk in 1..100_usize,
        room in 16..100_usize,
    ) {
        let envelope = seal(&plain, &key(), [1; 16]).unwrap();
        prop_assert_eq!(open(&envelope, key(), chunk, room).unwrap(), plain);
    }

    /// A changed byte of IV or ciphertext comes out as other plaintext, and the image or its signature is then refused. (Behind
    /// the block's CRC, and behind the block, padding proves nothing and starts nothing.)
    #[test]
    fn no_changed_byte_gets_past_the_signature(offset in 16..HEADER_SIZE + 8192 + 1200, xor in 1..=u8::MAX) {
        let mut envelope = seal(&SIGNED.image, &key(), [9; 16]).unwrap();
        envelope[offset] ^= xor;
        prop_assert!(update(&envelope, &SIGNED.policy).is_err());
    }
}
