//! Opening an envelope that is in memory as a whole.

use super::{EnvelopeError, Opener, Unwrap};
use alloc::{vec, vec::Vec};

/// The plaintext of an `esp_encrypted_img` envelope, given only when its tag is right.
///
/// # Errors
/// [`EnvelopeError`].
pub fn open<U: Unwrap>(envelope: &[u8], key: U) -> Result<Vec<u8>, EnvelopeError> {
    let mut opener = Opener::new(key, u32::MAX);
    // as large as the input at most, whatever the header says
    let mut plaintext = vec![0; envelope.len().max(super::MIN_OUTPUT)];
    let made = opener.push(envelope, &mut plaintext)?.plaintext.unproven().len();
    let _proof = opener.finish()?;
    plaintext.truncate(made);
    Ok(plaintext)
}
