//! Why an envelope is refused.

use super::{MIN_OUTPUT, UnwrapError};

/// Why an envelope is refused. Offsets count bytes from its start. Never says anything of keys, or of the tag that would
/// have been right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The first four bytes are not [`MAGIC`](super::MAGIC).
    #[error("no esp_encrypted_img envelope: offset 0 holds {}, expected cf b6 88 07", Hex(found))]
    BadMagic {
        /// The bytes found; E9 begins a plain image.
        found: [u8; 4],
    },
    /// The first four bytes are not [`cbc::MAGIC`](super::cbc::MAGIC).
    #[error("no AES-CBC envelope: offset 0 holds {}, expected 44 42 43 31", Hex(found))]
    BadCbcMagic {
        /// The bytes found.
        found: [u8; 4],
    },
    /// A byte of the header that is zero in every envelope is not.
    #[error("offset {offset:#x} holds {found:#04x}, expected 0x00: the header was changed after sealing")]
    ReservedNotZero {
        /// Where.
        offset: usize,
        /// The byte found.
        found: u8,
    },
    /// The plaintext would be larger than the caller has room for.
    #[error("the envelope holds {size} bytes, expected at most {limit}: the image does not fit its slot")]
    TooLarge {
        /// Size of the plaintext in bytes, as the header states it.
        size: u32,
        /// The caller's limit in bytes.
        limit: u32,
    },
    /// The key is not wrapped for this device.
    #[error(transparent)]
    Unwrap(#[from] UnwrapError),
    /// The envelope ends early.
    #[error("the envelope ends at {found} bytes, expected {expected}: fetch the rest")]
    Truncated {
        /// Bytes seen.
        found: u64,
        /// Bytes that it should have; of the header alone where that is not complete.
        expected: u64,
    },
    /// There is more than the header announces.
    #[error("the envelope goes on after {expected} bytes, where it should end")]
    Trailing {
        /// Length in bytes that the header announces, itself included.
        expected: u64,
    },
    /// The tag does not match: the envelope was changed, or the key is another.
    #[error(
        "the tag at offset 0x198 does not match: the envelope was changed after sealing, or sealed for another key"
    )]
    BadTag,
    /// The output buffer is too small to make progress.
    #[error("the output buffer has {found} bytes, expected at least {MIN_OUTPUT}")]
    OutputTooSmall {
        /// Its size in bytes.
        found: usize,
    },
}

/// Bytes as people write them.
struct Hex<'a>(&'a [u8; 4]);

impl core::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "{a:02x} {b:02x} {c:02x} {d:02x}")
    }
}
