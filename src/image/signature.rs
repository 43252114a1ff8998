//! The signature behind an image: whose it must be, where it lies, and what checking it came across.

use super::{Event, Refusal, Target};
use crate::{
    Chip, SECTOR, SecureBootScheme,
    secure_boot::{
        ImageDigest, KeyDigest, v1,
        v2::{self, BlockError, SignatureBlock},
    },
};
use embedded_storage::nor_flash::ReadNorFlash;

/// What a signature is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignaturePolicy {
    /// Secure Boot v1: a signature by the key that is compiled into the boot code.
    V1 {
        /// P-256 public key, X then Y, big-endian.
        public_key: [u8; 64],
    },
    /// Secure Boot v2.
    V2(V2Policy),
}

/// Secure Boot v2: a signature by a key whose digest is in eFuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V2Policy {
    /// The scheme that the boot code was built for.
    pub scheme: SecureBootScheme,
    /// What eFuse holds of the keys that it trusts.
    pub trusted: [Option<KeyDigest>; 3],
    /// Whether only those keys will do; before secure boot is set up, any key that signed does.
    pub enforced: bool,
}

/// What checking a signature came across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(tag = "signature", rename_all = "snake_case"))]
pub enum SignatureEvent {
    /// Secure Boot v1: what lies behind the image is no signature block.
    BadV1Version {
        /// The word where its version should be.
        found: u32,
    },
    /// The eFuse that demands signatures is not burned yet.
    NotEnforced,
    /// ESP-IDF 4.x, before enablement: the digest in eFuse is not that of the signature block.
    DigestDiffers,
    /// The arithmetic begins.
    Verifying {
        /// What the boot code was built for.
        scheme: SecureBootScheme,
    },
    /// A block was passed over.
    Block {
        /// Index of the block in the signature sector.
        index: u8,
        /// Why.
        error: BlockError,
    },
    /// ESP-IDF 5.4 and later: no block is of the scheme that the boot code was built for.
    NoBlockOfScheme {
        /// That scheme.
        scheme: SecureBootScheme,
    },
    /// A trusted key signed the image.
    Verified,
    /// None did.
    Failed,
}

impl SignaturePolicy {
    /// Whether the image digest that is signed is SHA-384.
    pub(super) fn is_sha384(&self) -> bool {
        matches!(self, Self::V2(V2Policy { scheme: SecureBootScheme::V2EcdsaP384, .. }))
    }

    /// Offset from the image's start where the signature begins, for an image of `image_len` bytes.
    pub fn start(&self, image_len: u32) -> u32 {
        match self {
            Self::V1 { .. } => image_len,
            Self::V2(_) => image_len.checked_next_multiple_of(SECTOR).unwrap_or(u32::MAX),
        }
    }

    /// Offset behind the signature.
    pub fn end(&self, image_len: u32) -> Option<u32> {
        match self {
            Self::V1 { .. } => image_len.checked_add(v1::SIGNATURE as u32),
            Self::V2(_) => image_len.checked_next_multiple_of(SECTOR)?.checked_add(SECTOR),
        }
    }
}

/// Checks the signature at flash address `at` over an image with that digest. Whether a trusted key signed it.
pub(super) fn check<F: ReadNorFlash>(
    flash: &mut F,
    at: u32,
    policy: &SignaturePolicy,
    digest: &ImageDigest,
    target: &Target,
    observer: &mut dyn FnMut(Event),
) -> Result<bool, Refusal> {
    match (policy, digest) {
        (SignaturePolicy::V1 { public_key }, ImageDigest::Sha256(digest)) => {
            check_v1(flash, at, public_key, digest, observer)
        }
        (SignaturePolicy::V1 { .. }, ImageDigest::Sha384(_)) => Ok(false),
        (SignaturePolicy::V2(policy), digest) => check_v2(flash, at, policy, digest.as_ref(), target, observer),
    }
}

fn check_v1<F: ReadNorFlash>(
    flash: &mut F,
    at: u32,
    key: &[u8; 64],
    digest: &[u8; 32],
    observer: &mut dyn FnMut(Event),
) -> Result<bool, Refusal> {
    let mut block = [0; v1::SIGNATURE];
    flash.read(at, &mut block).map_err(|_| Refusal::ReadFailed { address: at })?;
    let verdict = v1::verify(v1::SignatureBlock(&block), digest, key);
    if let Err(v1::VerifyError::BadVersion { found }) = verdict {
        observer(Event::Signature(SignatureEvent::BadV1Version { found }));
    }
    Ok(verdict.is_ok())
}

/// Holds one block at a time, as the sector is more than a small device's stack should have to give.
#[inline(never)]
fn check_v2<F: ReadNorFlash>(
    flash: &mut F,
    at: u32,
    policy: &V2Policy,
    digest: &[u8],
    target: &Target,
    observer: &mut dyn FnMut(Event),
) -> Result<bool, Refusal> {
    let mut block = [0; v2::BLOCK];
    let mut tell = |event| observer(Event::Signature(event));
    if !policy.enforced {
        tell(SignatureEvent::NotEnforced);
        let key = load(flash, at, 0, &mut block)?.key_digest();
        let same = key.is_some_and(|key| policy.trusted.iter().flatten().any(|trusted| trusted.is_of(&key)));
        if !target.idf.since(4, 3) && !same {
            tell(SignatureEvent::DigestDiffers);
        }
    }
    let scheme = policy.scheme;
    tell(SignatureEvent::Verifying { scheme });
    let blocks = target.chip.spec().signature_blocks;
    // the ESP32 has one scheme and leaves all to the ROM
    if target.idf.since(5, 4) && target.chip != Chip::Esp32 {
        let mut found = false;
        for index in 0..blocks {
            found |= load(flash, at, index, &mut block)?.version() == version(scheme);
        }
        if !found {
            tell(SignatureEvent::NoBlockOfScheme { scheme });
            return Ok(false);
        }
    }
    let trusted = |key: &[u8; 32]| !policy.enforced || policy.trusted.iter().flatten().any(|t| t.is_of(key));
    for index in 0..blocks {
        match v2::check(load(flash, at, index, &mut block)?, digest, &trusted, &[scheme]) {
            Ok(()) => {
                tell(SignatureEvent::Verified);
                return Ok(true);
            }
            Err(error) => tell(SignatureEvent::Block { index, error }),
        }
    }
    tell(SignatureEvent::Failed);
    Ok(false)
}

/// Reads block `index` of the signature sector at `at`.
fn load<'a, F: ReadNorFlash>(
    flash: &mut F,
    at: u32,
    index: u8,
    block: &'a mut [u8; v2::BLOCK],
) -> Result<SignatureBlock<'a>, Refusal> {
    let address = at.saturating_add(u32::from(index).saturating_mul(v2::BLOCK as u32));
    flash.read(address, block).map_err(|_| Refusal::ReadFailed { address })?;
    Ok(SignatureBlock(block))
}

/// The version byte of a scheme's signature blocks.
fn version(scheme: SecureBootScheme) -> u8 {
    if scheme == SecureBootScheme::V2Rsa3072 { 2 } else { 3 }
}

#[cfg(test)]
mod tests;
