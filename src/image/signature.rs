//! The signature behind an image: whose it must be, where it lies, and what checking it came across.

use super::{Event, Refusal, Target};
use crate::{SECTOR, SecureBootScheme};
use embedded_storage::nor_flash::ReadNorFlash;

/// What a signature is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignaturePolicy {
    /// The scheme that the boot code was built for.
    pub scheme: SecureBootScheme,
    /// SHA-256 digests of the keys that eFuse trusts.
    pub trusted: [Option<[u8; 32]>; 3],
    /// Whether the eFuse that demands signatures is burned; before that, any key that signed will do.
    pub enforced: bool,
}

/// What checking a signature came across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(tag = "signature", rename_all = "snake_case"))]
pub enum SignatureEvent {
    /// The eFuse that demands signatures is not burned yet.
    NotEnforced,
    /// ESP-IDF 4.x, before enablement: the digest in eFuse is not that of the signature block.
    DigestDiffers,
    /// The arithmetic begins.
    Verifying,
    /// A block was passed over.
    Block {
        /// Index of the block in the signature sector.
        index: u8,
        /// Why.
        error: u8,
    },
    /// A trusted key signed the image.
    Verified,
    /// None did.
    Failed,
}

impl SignaturePolicy {
    /// Offset from the image's start where the signature begins, for an image of `image_len` bytes.
    pub fn start(&self, image_len: u32) -> u32 {
        image_len.checked_next_multiple_of(SECTOR).unwrap_or(u32::MAX)
    }

    /// Offset behind the signature.
    pub fn end(&self, image_len: u32) -> Option<u32> {
        image_len.checked_next_multiple_of(SECTOR)?.checked_add(SECTOR)
    }
}

/// Checks the signature at flash address `at` over an image with SHA-256 `digest`.
pub(super) fn check<F: ReadNorFlash>(
    _flash: &mut F,
    _at: u32,
    _policy: &SignaturePolicy,
    _digest: &[u8; 32],
    _target: &Target,
    observer: &mut dyn FnMut(Event),
) -> Result<bool, Refusal> {
    observer(Event::Signature(SignatureEvent::Verifying));
    observer(Event::Signature(SignatureEvent::Failed));
    Ok(false)
}
