//! Signing, for release tools (feature `sign`; needs an allocator).
//!
//! Keys are read from PEM files ([`SigningKey`], [`PublicKey`]); images are signed by their digest, so that the caller
//! decides what is hashed: everything before the block in v1, the image padded with 0xFF to the signature sector in v2.
//!
//! | what | how | same bytes every time |
//! |---|---|---|
//! | v1, ECDSA P-256 | RFC 6979 | yes, and the same as espsecure's |
//! | v2, ECDSA | RFC 6979 with random bytes mixed in | no |
//! | v2, RSA-3072 | PSS with a random salt of 32 bytes | no |
//!
//! # Where to sign
//! On a host of your own, never as a service. The RSA crate's private-key operations are not proven to take the same time
//! for every key (RUSTSEC-2023-0071, "Marvin"; no patched version exists), so whoever can have many things signed and
//! measure each over a network might learn the key. Signing a release on a local host gives nobody that chance.
//! Verifying uses no private key and none of that crate. A key that must not be on the host at all signs elsewhere: see
//! [`PublicKey::attach`].

mod block;
mod damage;
mod key;
pub(crate) mod pem;
mod public;

pub use damage::{BlockDamage, damage_block};
pub use key::SigningKey;
pub use public::PublicKey;

use crate::SecureBootScheme;
use alloc::string::String;

/// Why a file is no key that Secure Boot can use. Never says anything about the key's content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no complete `-----BEGIN …-----` to `-----END …-----`.
    #[error("no PEM text from -----BEGIN to -----END")]
    NotPem,
    /// There is PEM text, but none that holds a key of the kind asked for.
    #[error("the PEM text holds no {wanted} key; found {found}")]
    WrongKind {
        /// "private" or "public".
        wanted: &'static str,
        /// Label of the first PEM text.
        found: String,
    },
    /// The private key needs a password.
    #[error("the key is encrypted with a password; decrypt it first (openssl pkey -in FILE -out FILE)")]
    Encrypted,
    /// The PEM text cannot be decoded, or the numbers in it do not make a key.
    #[error("the PEM text is damaged, or its numbers do not make a key")]
    Malformed,
    /// Neither RSA nor ECDSA.
    #[error("the key is neither RSA nor ECDSA")]
    UnknownAlgorithm,
    /// An RSA key of another size, or of an exponent that a signature block cannot hold.
    #[error("RSA key has {bits} bits. Only RSA-3072 is supported.")]
    RsaSize {
        /// Size of the modulus in bits.
        bits: u32,
    },
    /// The RSA exponent does not fit the 4 bytes of a signature block.
    #[error("the RSA key's exponent does not fit 32 bits; generate a key with exponent 65537")]
    RsaExponent,
    /// An elliptic curve that no chip verifies.
    #[error("ECDSA curve {name}: only P-192, P-256 and P-384 are supported")]
    UnknownCurve {
        /// Name of the curve, or its object identifier.
        name: String,
    },
    /// The key is of a scheme that this build leaves out (P-192 without the feature `p192`), or that does not fit what is
    /// to be done with it.
    #[error("a key of the scheme {scheme:?} cannot be used here")]
    Unsupported {
        /// The scheme of the key, or the one asked for.
        scheme: SecureBootScheme,
    },
}

/// Why something was not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The digest is not of the scheme's length.
    #[error("a digest of {expected} bytes is signed with this key, not of {found}")]
    DigestLength {
        /// Length that the key's scheme wants, in bytes.
        expected: usize,
        /// Length found, in bytes.
        found: usize,
    },
    /// Secure Boot v1 signs with ECDSA P-256 only.
    #[error("Secure Boot v1 signs with ECDSA P-256, not with {scheme:?}")]
    NotV1 {
        /// Scheme of the key.
        scheme: SecureBootScheme,
    },
    /// A detached signature is not one of the public key over the digest.
    #[error("the detached signature is not one of the public key over the digest")]
    BadSignature,
    /// The signature came out wrong: the key's numbers do not belong together.
    #[error("the signature does not verify: the parts of the private key do not belong together")]
    Failed,
}

#[cfg(test)]
mod tests;
