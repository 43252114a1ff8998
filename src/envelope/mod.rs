//! Envelopes: update images that are encrypted for the way from the server to the device.
//!
//! Flash encryption protects what lies in one device's flash, with a key of its own and for one address. An envelope
//! protects a file that many devices fetch: the device takes the image out, and hands the plaintext to the updater, which
//! writes it as any other (founding reports R1 and R2).
//!
//! | format | key | what proves that the image is the one that was sealed | open with |
//! |---|---|---|---|
//! | `esp_encrypted_img`, RSA | wrapped with RSA-3072 | GCM tag: [`Authentic`] | [`Opener`] and `RsaKey` |
//! | `esp_encrypted_img`, ECIES | agreed with P-256 | GCM tag: [`Authentic`] | [`Opener`] and [`EciesKey`] |
//! | [`cbc`] | shared, in the running firmware | nothing but the app's signature: [`cbc::NeedsSignature`] | [`cbc::Opener`] |
//!
//! `esp_encrypted_img` is the format of Espressif's component of that name (formats sheet §9). [`cbc`] is a format of this
//! crate's own for what report R2 was advised.
//!
//! # Plaintext comes before its proof
//! Neither cipher can say that a chunk is right until all of them were seen, and no device has the memory to wait. So chunks
//! are handed out as [`Unverified`], and only [`Opener::finish`], which consumes the opener, gives [`Authentic`]. Whoever
//! writes the chunks to flash must not let them become bootable before: hold back the first 16 bytes of the image, or
//! leave otadata alone.
//!
//! # What a tag proves
//! That nobody changed the envelope after it was sealed, not who sealed it: a public key is enough to seal. Who may make
//! firmware is for the app's signature to say ([`secure_boot`](crate::secure_boot)), inside the envelope.
//!
//! # RSA
//! The `rsa` crate's private-key operations are not proven to take the same time for every input (RUSTSEC-2023-0071,
//! "Marvin"; no patched version exists), and the padding of `esp_encrypted_img`, PKCS#1 v1.5, is the one that such attacks
//! are about. `RsaKey` blinds each operation with random numbers. Do not tell the server which check an envelope failed.
//! Devices that have a choice take ECIES, or the DS peripheral behind [`Unwrap`].

pub mod cbc;
mod ecies;
mod error;
mod gcm;
mod header;
#[cfg(feature = "seal")]
mod keys;
mod open;
#[cfg(feature = "unwrap-rsa")]
mod rsa;
#[cfg(feature = "seal")]
mod seal;
mod stream;
mod unwrap;
#[cfg(feature = "alloc")]
mod whole;

pub use ecies::EciesKey;
pub use error::EnvelopeError;
pub use header::{Contents, HEADER_SIZE, Header, MAGIC};
#[cfg(feature = "seal")]
pub use keys::{OpeningKey, Recipient};
pub use open::{Authentic, Opener};
#[cfg(feature = "unwrap-rsa")]
pub use rsa::RsaKey;
#[cfg(feature = "seal")]
pub use seal::{SealError, seal};
pub use stream::{MIN_OUTPUT, Pushed, Unverified};
pub use unwrap::{ContentKey, Unwrap, UnwrapError, WRAPPED_SIZE};

#[cfg(feature = "alloc")]
pub use whole::open;

/// Whether `file` begins like an envelope of either format. Sealed once more, it would have to be opened twice, which no
/// updater does.
pub fn is_envelope(file: &[u8]) -> bool {
    file.starts_with(&MAGIC) || file.starts_with(&cbc::MAGIC)
}

#[cfg(test)]
mod tests;
