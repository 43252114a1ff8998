//! Secure boot: who signed what is about to start.
//!
//! Only verification, and only with public keys: no private-key code is in this crate's default build.
//!
//! | module | scheme | state |
//! |---|---|---|
//! | [`v2`] | signature sector with up to three blocks, RSA-3072-PSS or ECDSA P-256 | here |
//! | [`v2`] | ECDSA P-192 and P-384 | blocks are shown, signatures are refused as [`v2::BlockError::Unsupported`] |
//! | v1 | AES digest of the bootloader, appended ECDSA signature of the app | not here yet |
//!
//! Sources: formats sheet §6 (v1), §7 (v2).

mod ecdsa;
mod rsa_pss;
pub mod v2;
