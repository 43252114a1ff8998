//! `esp_encrypted_img`: the component that opens pre-encrypted images, as a decrypt callback. Formats sheet §9.4.
//!
//! The cipher and its checks are the core's ([`dryburn::envelope`]); here is what the component logs and returns. It judges
//! the magic word as soon as four bytes are there, the core with the whole header; the outcome is the same.

use super::{App, EspError, Event as AppEvent, https_ota::Decrypt};
use dryburn::envelope::{EnvelopeError, MIN_OUTPUT, Opener, Unwrap};
use serde::Serialize;

/// What the component logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "encrypted_img", rename_all = "snake_case")]
pub enum Event {
    /// The magic word is right.
    MagicVerified,
    /// The first four bytes are another format's.
    BadMagic,
    /// The RSA key is about to be used.
    ReadingKey,
    /// The AES key cannot be taken out of the header.
    NoGcmKey {
        /// The key is an RSA key.
        rsa: bool,
    },
    /// The end came before the size that the header states, or after it.
    Incomplete,
    /// The tag does not match.
    InvalidAuth,
}

/// `esp_decrypt_handle_t`.
pub struct EncryptedImg<U> {
    opener: Option<Opener<U>>,
    rsa: bool,
    seen: usize,
}

impl<U: Unwrap> EncryptedImg<U> {
    /// `esp_encrypted_img_decrypt_start` with this device's key, for a slot of `limit` bytes. (The component knows no
    /// limit; `esp_ota_write` does.)
    pub fn start(key: U, rsa: bool, limit: u32) -> Self {
        Self { opener: Some(Opener::new(key, limit)), rsa, seen: 0 }
    }

    fn refuse(&mut self, app: &mut App<'_>, error: EnvelopeError) -> EspError {
        self.opener = None;
        let magic_right = !matches!(error, EnvelopeError::BadMagic { .. });
        if magic_right && self.seen == 0 {
            self.header_lines(app);
        }
        app.tell(AppEvent::EncryptedImg(match error {
            EnvelopeError::BadMagic { .. } => Event::BadMagic,
            EnvelopeError::Unwrap(_) => Event::NoGcmKey { rsa: self.rsa },
            EnvelopeError::BadTag => Event::InvalidAuth,
            _ => Event::Incomplete,
        }));
        EspError::Fail
    }

    fn header_lines(&self, app: &mut App<'_>) {
        app.tell(AppEvent::EncryptedImg(Event::MagicVerified));
        if self.rsa {
            app.tell(AppEvent::EncryptedImg(Event::ReadingKey));
        }
    }
}

impl<U: Unwrap> Decrypt for EncryptedImg<U> {
    fn decrypt(&mut self, app: &mut App<'_>, data: &[u8]) -> Result<Vec<u8>, EspError> {
        let Some(opener) = self.opener.as_mut() else { return Err(EspError::Fail) };
        let mut plain = Vec::with_capacity(data.len());
        let mut output = vec![0; data.len().max(MIN_OUTPUT)];
        let mut rest = data;
        while !rest.is_empty() {
            let pushed = match opener.push(rest, &mut output) {
                Ok(pushed) => pushed,
                Err(error) => return Err(self.refuse(app, error)),
            };
            // handed on before the tag is checked, as the component does
            plain.extend_from_slice(pushed.plaintext.unproven());
            rest = rest.get(pushed.consumed..).unwrap_or(&[]);
        }
        if self.seen == 0 && !plain.is_empty() {
            self.header_lines(app);
        }
        self.seen = self.seen.saturating_add(plain.len());
        Ok(plain)
    }

    fn end(&mut self, app: &mut App<'_>) -> Result<(), EspError> {
        match self.opener.take().map(Opener::finish) {
            Some(Ok(_proof)) => Ok(()),
            Some(Err(error)) => Err(self.refuse(app, error)),
            None => Err(EspError::Fail),
        }
    }
}
