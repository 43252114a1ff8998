//! The key with which an app opens envelopes.

use super::{Args, args::As};
use crate::{
    efuse::Efuses,
    tools::{Failure, Workbench},
};
use dryburn::{
    efuse::security::{self, KeyPurpose},
    envelope::{self, ContentKey, EciesKey, OpeningKey, cbc},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

/// What opens an envelope.
pub(super) enum Key {
    /// `esp_encrypted_img`, with a private key in the app or an HMAC key in eFuse.
    Img(OpeningKey<ChaCha20Rng>),
    /// AES-256-CBC, with a shared key in the app.
    Cbc(ContentKey),
}

/// An envelope that is being opened by the core's updater.
pub(super) enum Opener {
    /// `esp_encrypted_img`.
    Img(Box<envelope::Opener<OpeningKey<ChaCha20Rng>>>),
    /// AES-256-CBC.
    Cbc(Box<cbc::Opener>),
}

/// Reads the key that `--as envelope` needs.
pub(super) fn load(bench: &mut Workbench, args: &Args) -> Result<Option<Key>, Failure> {
    if args.way != As::Envelope {
        return match args.key {
            Some(_) => Err(Failure::new("--key is for --as envelope")),
            None => Ok(None),
        };
    }
    let Some(file) = &args.key else {
        let efuses = bench.efuses_mut().ok_or_else(|| Failure::new("no board on the desk"))?;
        return hmac_key(efuses).map(|key| Some(Key::Img(OpeningKey::Ecies(key))));
    };
    let bytes = bench.read(file)?;
    if let Ok(key) = <[u8; 32]>::try_from(bytes.as_slice()) {
        return Ok(Some(Key::Cbc(ContentKey::new(key))));
    }
    // never any of the file's content in the text: it is a key
    let bad = |reason: &dyn std::fmt::Display| {
        Failure::new(format!(
            "{file}: {reason}; expected a PEM file with an RSA-3072 or P-256 private key, or the 32 bytes of an AES-CBC key"
        ))
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| bad(&format!("{} bytes that are no PEM text", bytes.len())))?;
    let rng = ChaCha20Rng::from_rng(&mut bench.rng);
    OpeningKey::from_pem(text, rng).map(|key| Some(Key::Img(key))).map_err(|e| bad(&e))
}

/// The device key that the HMAC peripheral derives from the eFuse key block with purpose HMAC_UP (formats sheet §9.2).
fn hmac_key(efuses: &Efuses) -> Result<EciesKey, Failure> {
    let block = security::key_block_with(efuses, KeyPurpose::HmacUp).ok_or_else(|| {
        Failure::new("--as envelope: no --key, and no eFuse key block with purpose HMAC_UP to derive one from")
    })?;
    let raw = efuses.raw_block(security::key_block_number(efuses.chip(), block));
    EciesKey::from_hmac_key(&raw).ok_or_else(|| Failure::new("the HMAC_UP key in eFuse makes no P-256 key"))
}

impl Key {
    /// Opens an envelope for a slot of `limit` bytes.
    pub fn opener(self, limit: u32) -> Opener {
        match self {
            Self::Img(key) => Opener::Img(Box::new(envelope::Opener::new(key, limit))),
            Self::Cbc(key) => Opener::Cbc(Box::new(cbc::Opener::new(key, limit))),
        }
    }
}

impl dryburn::ota::Opener for Opener {
    type Error = envelope::EnvelopeError;

    fn open(&mut self, input: &[u8], output: &mut [u8]) -> Result<dryburn::ota::Opened, Self::Error> {
        match self {
            Self::Img(opener) => opener.open(input, output),
            Self::Cbc(opener) => opener.open(input, output),
        }
    }

    fn finish(self) -> Result<dryburn::ota::Proof, Self::Error> {
        match self {
            Self::Img(opener) => dryburn::ota::Opener::finish(*opener),
            Self::Cbc(opener) => dryburn::ota::Opener::finish(*opener),
        }
    }
}
