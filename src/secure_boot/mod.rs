//! Secure boot: who signed what is about to start.
//!
//! Verification only, with public keys: private-key code is behind the feature `sign`, for release tools.
//!
//! | module | what it holds |
//! |---|---|
//! | [`KeyDigest`], [`ImageDigest`] | what eFuse trusts, what is signed |
//! | [`v1`] | ESP32: AES digest of the bootloader, signature appended to an app (ECDSA P-256) |
//! | [`v2`] | signature sector with up to three blocks: RSA-3072-PSS, ECDSA P-256, P-384 and (feature `p192`) P-192 |
//! | `sign` | key files, and signatures of both versions (feature `sign`) |
//!
//! Sources: formats sheet §6 (v1), §7 (v2).

mod digest;
mod ecdsa;
mod montgomery;
mod rsa_pss;
#[cfg(feature = "sign")]
pub mod sign;
pub mod v1;
pub mod v2;

pub use digest::{ImageDigest, KeyDigest};

#[cfg(test)]
mod tests;
