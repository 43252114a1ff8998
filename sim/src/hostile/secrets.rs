//! What vouches and what hides: signature sectors, key files, envelopes.

use super::Cursor;
use crate::strategy::envelope::device;
use dryburn::{
    SecureBootScheme,
    envelope::{
        self, ContentKey, Contents, EnvelopeError, HEADER_SIZE, Header, Opener, OpeningKey, Recipient, Unwrap,
        UnwrapError, WRAPPED_SIZE, cbc,
    },
    secure_boot::{
        KeyDigest,
        sign::{PublicKey, SigningKey},
        v1,
        v2::{self, SignatureBlock},
    },
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

const SCHEMES: [SecureBootScheme; 5] = [
    SecureBootScheme::V1,
    SecureBootScheme::V2Rsa3072,
    SecureBootScheme::V2EcdsaP192,
    SecureBootScheme::V2EcdsaP256,
    SecureBootScheme::V2EcdsaP384,
];

/// A signature sector of Secure Boot v2, or an app's signature of v1.
///
/// # Panics
/// When what is asserted does not hold.
pub fn signature_block(input: &[u8]) {
    let mut cursor = Cursor(input);
    let repairs = cursor.byte();
    let mut sector = cursor.0.to_vec();
    if repairs & 1 != 0 {
        // past the CRC, which chance does not get right
        for block in sector.chunks_exact_mut(v2::BLOCK).take(v2::MAX_BLOCKS) {
            if let Some(crc) = SignatureBlock::at(block, 0).map(SignatureBlock::computed_crc) {
                block[1196..1200].copy_from_slice(&crc.to_le_bytes());
            }
        }
    }
    let blocks: Vec<SignatureBlock<'_>> = (0..4).filter_map(|index| SignatureBlock::at(&sector, index)).collect();
    let digest = blocks.first().map_or(&[][..], |block| block.image_digest());
    let trusted: Vec<_> =
        blocks.iter().map(|block| block.key_digest().filter(|_| repairs & 2 == 0).map(KeyDigest::Whole)).collect();
    for scheme in SCHEMES {
        let mut told = Vec::new();
        let verdict =
            v2::verify(&sector, digest, &trusted, &[scheme], 3, &mut |index, error| told.push((index, error)));
        match verdict {
            Ok(index) => {
                let block = blocks[index];
                assert_eq!((block.magic(), block.scheme()), (v2::MAGIC, Some(scheme)));
                assert_eq!((block.stored_crc(), block.image_digest()), (block.computed_crc(), digest));
                assert!(
                    trusted.iter().flatten().any(|key| block.key_digest().is_some_and(|digest| key.is_of(&digest)))
                );
                assert!(v2::verify_signature(block, digest));
                assert_eq!(told.len(), index, "one refusal for each block before");
            }
            Err(_) => assert_eq!(told.len(), blocks.len().min(v2::MAX_BLOCKS)),
        }
    }
    if let Some((content, block)) = v1::SignatureBlock::split(cursor.0) {
        let key = content.last_chunk().unwrap_or(&[0; 64]);
        let digest = content.first_chunk().unwrap_or(&[0; 32]);
        assert!(v1::verify(block, digest, key).is_err() || block.version() == v1::VERSION);
    }
}

/// A PEM file with a key for signing or for envelopes.
///
/// # Panics
/// As [`signature_block`].
pub fn key_file(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(key) = SigningKey::from_pem(text) {
        let pem = key.to_pem().expect("a key that was read");
        let again = SigningKey::from_pem(&pem).expect("a key that was written");
        assert_eq!(*again.to_pem().expect("a key that was read"), *pem);
        assert_eq!(again.scheme(), key.scheme());
    }
    if let Ok(key) = PublicKey::from_pem(text) {
        let again = PublicKey::from_pem(key.to_pem()).expect("a key that was written");
        assert_eq!((again.digest(), again.scheme()), (key.digest(), key.scheme()));
    }
    let recipient = Recipient::from_pem(text);
    let opener = OpeningKey::from_pem(text, ChaCha20Rng::seed_from_u64(0));
    if let (Ok(recipient), Ok(opener)) = (recipient, opener) {
        assert_eq!(recipient.is_rsa(), matches!(opener, OpeningKey::Rsa(_)));
    }
}

/// A key that any wrapped key unwraps to: the header's other fields can then be reached without arithmetic on curves.
struct Any;

impl Unwrap for Any {
    fn unwrap_key(&mut self, wrapped: &[u8; WRAPPED_SIZE]) -> Result<ContentKey, UnwrapError> {
        let mut key = [0; 32];
        key.copy_from_slice(&wrapped[..32]);
        Ok(ContentKey::new(key))
    }
}

/// What came of an envelope: all plaintext that was handed out, and the end.
type Opened = (Vec<u8>, Result<u32, EnvelopeError>);

/// An envelope of `esp_encrypted_img`, or this crate's own with AES-CBC.
///
/// # Panics
/// As [`signature_block`].
pub fn envelope(input: &[u8]) {
    let mut cursor = Cursor(input);
    let [scheme, chunk] = cursor.array();
    let file = cursor.0;
    let chunk = usize::from(chunk).max(1) * if scheme & 0x80 != 0 { 97 } else { 1 };
    let room = envelope::MIN_OUTPUT + usize::from(scheme >> 2 & 31) * 7;
    let limit = if scheme & 2 != 0 { 4096 } else { u32::MAX };
    let (in_chunks, at_once) = if scheme & 1 == 0 && file.starts_with(&envelope::MAGIC) {
        match file.first_chunk::<HEADER_SIZE>().filter(|_| scheme & 2 == 0) {
            // the key of a device, which chance seldom fits
            Some(_) => (esp(device(), file, chunk, room, limit), esp(device(), file, usize::MAX, file.len(), limit)),
            None => (esp(Any, file, chunk, room, limit), esp(Any, file, usize::MAX, file.len(), limit)),
        }
    } else {
        (cbc_opened(file, chunk, room, limit), cbc_opened(file, usize::MAX, file.len(), limit))
    };
    // an envelope that turns out too long at its end has given plaintext in chunks, and none at once
    let same_plaintext = in_chunks.0 == at_once.0 || matches!(at_once.1, Err(EnvelopeError::Trailing { .. }));
    assert!(same_plaintext, "{} and {} bytes", in_chunks.0.len(), at_once.0.len());
    assert_eq!(in_chunks.1, at_once.1);
    assert!(in_chunks.0.len() <= file.len());
    match in_chunks.1 {
        Ok(size) => assert_eq!(size as usize, in_chunks.0.len()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Some(header) = Header::at(file)
        && let Ok(contents) = Contents::parse(header)
    {
        assert_eq!(contents.to_bytes()[..], file[..HEADER_SIZE]);
    }
}

fn esp<U: Unwrap>(key: U, file: &[u8], chunk: usize, room: usize, limit: u32) -> Opened {
    let mut opener = Opener::new(key, limit);
    let (plaintext, refused) = pushed(file, chunk, room, |input, output| {
        let pushed = opener.push(input, output)?;
        Ok((pushed.consumed, pushed.plaintext.unproven().len()))
    });
    (plaintext, refused.and_then(|()| opener.finish()).map(|proof| proof.size()))
}

fn cbc_opened(file: &[u8], chunk: usize, room: usize, limit: u32) -> Opened {
    let mut opener = cbc::Opener::new(ContentKey::new([0x5A; 32]), limit);
    let (plaintext, refused) = pushed(file, chunk, room, |input, output| {
        let pushed = opener.push(input, output)?;
        Ok((pushed.consumed, pushed.plaintext.unproven().len()))
    });
    (plaintext, refused.and_then(|()| opener.finish()).map(|unsigned| unsigned.size()))
}

/// Pushes `file` in chunks of `chunk` bytes, with `room` bytes for the plaintext of each push.
fn pushed(
    file: &[u8],
    chunk: usize,
    room: usize,
    mut push: impl FnMut(&[u8], &mut [u8]) -> Result<(usize, usize), EnvelopeError>,
) -> (Vec<u8>, Result<(), EnvelopeError>) {
    let mut output = vec![0; room.max(envelope::MIN_OUTPUT)];
    let mut plaintext = Vec::new();
    for chunk in file.chunks(chunk) {
        let mut rest = chunk;
        while !rest.is_empty() {
            match push(rest, &mut output) {
                Ok((consumed, made)) => {
                    assert!(consumed > 0, "nothing is taken of {} bytes", rest.len());
                    plaintext.extend_from_slice(&output[..made]);
                    rest = &rest[consumed..];
                }
                Err(error) => return (plaintext, Err(error)),
            }
        }
    }
    (plaintext, Ok(()))
}
