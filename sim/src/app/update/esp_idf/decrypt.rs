//! What opens envelopes in an app on ESP-IDF.

use super::super::key::Key;
use crate::app::{App, EspError, encrypted_img::EncryptedImg, https_ota::Decrypt};
use dryburn::envelope::{MIN_OUTPUT, OpeningKey, cbc};

/// The decrypt callback for `key`, for a slot of `limit` bytes.
pub(super) fn callback(key: Key, limit: u32) -> Box<dyn Decrypt> {
    match key {
        Key::Img(key) => {
            let rsa = matches!(key, OpeningKey::Rsa(_));
            Box::new(EncryptedImg::start(key, rsa, limit))
        }
        Key::Cbc(key) => Box::new(OwnCode(Some(cbc::Opener::new(key, limit)))),
    }
}

/// AES-CBC, as an app's own code does it (report R2). Nothing but the app's signature proves what comes out.
struct OwnCode(Option<cbc::Opener>);

impl Decrypt for OwnCode {
    fn decrypt(&mut self, _: &mut App<'_>, data: &[u8]) -> Result<Vec<u8>, EspError> {
        let opener = self.0.as_mut().ok_or(EspError::Fail)?;
        let mut plain = Vec::with_capacity(data.len());
        let mut output = vec![0; data.len().max(MIN_OUTPUT)];
        let mut rest = data;
        loop {
            let pushed = opener.push(rest, &mut output).map_err(|_| EspError::Fail)?;
            let made = pushed.plaintext.unproven();
            plain.extend_from_slice(made);
            rest = rest.get(pushed.consumed..).unwrap_or(&[]);
            if rest.is_empty() || (pushed.consumed == 0 && made.is_empty()) {
                return Ok(plain);
            }
        }
    }

    fn end(&mut self, _: &mut App<'_>) -> Result<(), EspError> {
        let opener = self.0.take().ok_or(EspError::Fail)?;
        opener.finish().map(|_needs_signature| ()).map_err(|_| EspError::Fail)
    }
}
