//! Secure Boot v2: the signature sector after an image (formats sheet §7).
//!
//! The sector holds up to three blocks of 1216 bytes at 0, 1216 and 2432; the rest is 0xFF. All numbers are
//! little-endian.
//!
//! | offset | size | every block |
//! |---|---|---|
//! | 0 | 1 | magic 0xE7 |
//! | 1 | 1 | version: 2 RSA, 3 ECDSA |
//! | 2 | 1 | SHA id of ECDSA blocks: 0 SHA-256, 1 SHA-384; 0 in RSA blocks |
//! | 4 | 32 | SHA-256 of the image from its start to the signature sector (48, SHA-384, with P-384) |
//! | 1196 | 4 | CRC-32 of bytes 0..1196 |
//!
//! | offset | size | RSA-3072 | | offset | size | ECDSA P-192, P-256 | | offset | size | ECDSA P-384 |
//! |---|---|---|---|---|---|---|---|---|---|---|
//! | 36 | 384 | n | | 36 | 1 | curve id: 1 P-192, 2 P-256 | | 52 | 1 | curve id 3 |
//! | 420 | 4 | e | | 37 | 64 | X, Y | | 53 | 96 | X, Y |
//! | 424 | 384 | R = 2^6144 mod n | | 101 | 64 | r, s | | 149 | 96 | r, s |
//! | 808 | 4 | M' = -(n^-1) mod 2^32 | | | | | | | | |
//! | 812 | 384 | signature | | | | | | | | |

use super::{KeyDigest, ecdsa, rsa_pss};
use crate::{bytes, chip::SecureBootScheme};
use sha2::{Digest, Sha256};

/// Size in bytes of the signature sector.
pub const SECTOR: usize = 4096;
/// Size in bytes of one signature block.
pub const BLOCK: usize = 1216;
/// How many blocks a sector can hold.
pub const MAX_BLOCKS: usize = 3;
/// The first byte of every signature block.
pub const MAGIC: u8 = 0xE7;
/// Offset of the CRC-32, and number of bytes that it covers.
const CRC: usize = 1196;

/// One block as it lies in flash; shows its fields and judges nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureBlock<'a>(pub &'a [u8; BLOCK]);

impl<'a> SignatureBlock<'a> {
    /// Block `index` (0, 1 or 2) of a signature sector; `None` where `sector` is too short for it.
    pub fn at(sector: &'a [u8], index: usize) -> Option<Self> {
        if index >= MAX_BLOCKS {
            return None;
        }
        sector.get(index.checked_mul(BLOCK)?..)?.first_chunk().map(Self)
    }

    /// Byte 0; [`MAGIC`] in a block.
    pub fn magic(self) -> u8 {
        self.byte(0)
    }

    /// Byte 1: 2 RSA, 3 ECDSA.
    pub fn version(self) -> u8 {
        self.byte(1)
    }

    /// Byte 2: 1 says SHA-384 in an ECDSA block, else SHA-256.
    pub fn sha_id(self) -> u8 {
        self.byte(2)
    }

    /// The curve id of an ECDSA block: 1 P-192, 2 P-256, 3 P-384. `None` for other versions.
    pub fn curve(self) -> Option<u8> {
        match (self.version(), self.sha_id()) {
            (3, 1) => Some(self.byte(52)),
            (3, _) => Some(self.byte(36)),
            _ => None,
        }
    }

    /// How the block is signed, if it is in a way that any chip knows.
    pub fn scheme(self) -> Option<SecureBootScheme> {
        match (self.version(), self.sha_id(), self.curve()) {
            (2, ..) => Some(SecureBootScheme::V2Rsa3072),
            (3, 0, Some(1)) => Some(SecureBootScheme::V2EcdsaP192),
            (3, 0, Some(2)) => Some(SecureBootScheme::V2EcdsaP256),
            (3, 1, Some(3)) => Some(SecureBootScheme::V2EcdsaP384),
            _ => None,
        }
    }

    /// Whether the fields lie as in a block with SHA-384, which is what P-384 uses: an ECDSA block of SHA id 1.
    pub fn has_sha384(self) -> bool {
        (self.version(), self.sha_id()) == (3, 1)
    }

    /// The digest of the image that the signer saw: 48 bytes with SHA-384, else 32.
    pub fn image_digest(self) -> &'a [u8] {
        let len = if self.has_sha384() { 48 } else { 32 };
        self.0.get(4..).and_then(|from| from.get(..len)).unwrap_or(&[])
    }

    /// The CRC-32 that the block carries.
    pub fn stored_crc(self) -> u32 {
        bytes::le32(self.0, CRC).unwrap_or(0)
    }

    /// The CRC-32 that it should carry.
    pub fn computed_crc(self) -> u32 {
        crc32fast::hash(self.0.get(..CRC).unwrap_or(&[]))
    }

    /// The public key's bytes, which eFuses hold the SHA-256 of; empty for versions other than 2 and 3.
    pub fn key_bytes(self) -> &'a [u8] {
        let range = match self.version() {
            2 => 36..812,
            3 if self.has_sha384() => 52..149,
            3 => 36..101,
            _ => 0..0,
        };
        self.0.get(range).unwrap_or(&[])
    }

    /// SHA-256 of the public key, as eFuses hold it (formats sheet §7.3); `None` where [`Self::scheme`] is.
    pub fn key_digest(self) -> Option<[u8; 32]> {
        self.scheme().map(|_| Sha256::digest(self.key_bytes()).into())
    }

    fn byte(self, offset: usize) -> u8 {
        self.0.get(offset).copied().unwrap_or(0)
    }

    fn field<const N: usize>(self, offset: usize) -> Option<&'a [u8; N]> {
        self.0.get(offset..)?.first_chunk()
    }
}

/// Why a block does not vouch for the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum BlockError {
    /// The first byte is not [`MAGIC`].
    #[error("no signature block: its first byte is {found:#04x}, not 0xe7")]
    BadMagic {
        /// The byte found; 0xFF where nothing was written.
        found: u8,
    },
    /// The block is damaged.
    #[error("signature block CRC {stored:#010x}, calculated {computed:#010x}")]
    BadCrc {
        /// The CRC in the block.
        stored: u32,
        /// The CRC of the block's bytes.
        computed: u32,
    },
    /// The block is of no known scheme, or of another one than the device is configured for.
    #[error("signature block version {version} (curve {curve:?}) is not the configured scheme")]
    UnknownVersion {
        /// Version byte.
        version: u8,
        /// Curve id of an ECDSA block.
        curve: Option<u8>,
    },
    /// This build cannot verify signatures of that scheme: P-192 needs the feature `p192`.
    #[error("this build cannot verify signatures of the scheme {scheme:?}")]
    Unsupported {
        /// The scheme that the device is configured for.
        scheme: SecureBootScheme,
    },
    /// The digest in the block is not that of the image.
    #[error("the image digest in the signature block is not that of the image")]
    DigestMismatch,
    /// No trusted key signed the block.
    #[error("signed with a key that the eFuses do not trust")]
    UntrustedKey,
    /// The signature is not one of the block's key over the image digest, or the key's numbers are impossible.
    #[error("the signature does not verify")]
    BadSignature,
}

/// No block of the sector vouches for the image; the observer was told why, block by block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no signature block verifies the image")]
pub struct NotVerified;

/// Looks for a block that vouches for an image, as the ROM does, and returns its index.
///
/// - `sector`: the signature sector; blocks that lie beyond its end count as absent.
/// - `image_digest`: [`super::ImageDigest`] from the image's start to the signature sector.
/// - `trusted`: key digests that the eFuses hold and that are not revoked; which one matches does not matter.
/// - `schemes`: what the device takes: one in the second stage, in ROM all that it knows. Schemes that sign another
///   length of digest than `image_digest` has never verify.
/// - `max_blocks`: how many blocks it looks at, 1 to 3.
/// - `observer`: told of each block that was refused, in order.
///
/// A block is checked for magic, CRC, scheme, image digest, key and signature in that order (behaviour sheet §1.2), and
/// the first failure ends its check; the next block is then tried. The ROM prints a bad magic for block 0 only, so
/// those of later blocks are events without a line in its log. That a block with a bad magic does not end the search
/// is the sheet's word (§7.4), UNVERIFIED on silicon.
///
/// # Errors
/// [`NotVerified`] when no block passed.
pub fn verify(
    sector: &[u8],
    image_digest: &[u8],
    trusted: &[Option<KeyDigest>],
    schemes: &[SecureBootScheme],
    max_blocks: usize,
    observer: &mut dyn FnMut(usize, BlockError),
) -> Result<usize, NotVerified> {
    let is_trusted = |key: &[u8; 32]| trusted.iter().flatten().any(|digest| digest.is_of(key));
    verify_where(sector, image_digest, &is_trusted, schemes, max_blocks, observer)
}

/// [`verify`] with a rule of its own for which keys are trusted: before secure boot is set up, any key is.
///
/// # Errors
/// [`NotVerified`] when no block passed.
pub fn verify_where(
    sector: &[u8],
    image_digest: &[u8],
    is_trusted: &dyn Fn(&[u8; 32]) -> bool,
    schemes: &[SecureBootScheme],
    max_blocks: usize,
    observer: &mut dyn FnMut(usize, BlockError),
) -> Result<usize, NotVerified> {
    let blocks = (0..max_blocks.min(MAX_BLOCKS)).map_while(|index| Some((index, SignatureBlock::at(sector, index)?)));
    for (index, block) in blocks {
        match check(block, image_digest, is_trusted, schemes) {
            Ok(()) => return Ok(index),
            Err(error) => observer(index, error),
        }
    }
    Err(NotVerified)
}

/// Every check of one block, in the ROM's order.
pub(crate) fn check(
    block: SignatureBlock<'_>,
    image_digest: &[u8],
    is_trusted: &dyn Fn(&[u8; 32]) -> bool,
    schemes: &[SecureBootScheme],
) -> Result<(), BlockError> {
    let (found, stored, computed) = (block.magic(), block.stored_crc(), block.computed_crc());
    if found != MAGIC {
        return Err(BlockError::BadMagic { found });
    }
    if stored != computed {
        return Err(BlockError::BadCrc { stored, computed });
    }
    let Some(scheme) = block.scheme().filter(|scheme| schemes.contains(scheme)) else {
        return Err(BlockError::UnknownVersion { version: block.version(), curve: block.curve() });
    };
    if !can_verify(scheme) {
        return Err(BlockError::Unsupported { scheme });
    }
    if block.image_digest() != image_digest {
        return Err(BlockError::DigestMismatch);
    }
    if !block.key_digest().is_some_and(|key| is_trusted(&key)) {
        return Err(BlockError::UntrustedKey);
    }
    if !verify_signature(block, image_digest) {
        return Err(BlockError::BadSignature);
    }
    Ok(())
}

/// Size in bytes of the image digest that `scheme` signs: 48 (SHA-384) for P-384, else 32 (SHA-256).
pub fn digest_len(scheme: SecureBootScheme) -> usize {
    if scheme == SecureBootScheme::V2EcdsaP384 { 48 } else { 32 }
}

/// Whether this build can verify signatures of `scheme` in a signature block: all of v2, P-192 with the feature `p192`.
pub fn can_verify(scheme: SecureBootScheme) -> bool {
    match scheme {
        SecureBootScheme::V1 => false,
        SecureBootScheme::V2EcdsaP192 => cfg!(feature = "p192"),
        SecureBootScheme::V2Rsa3072 | SecureBootScheme::V2EcdsaP256 | SecureBootScheme::V2EcdsaP384 => true,
    }
}

/// Whether the block's signature is one of the block's own key over `digest`; nothing else is looked at, so this says
/// nothing of trust. `false` for schemes that cannot be verified here and for a digest of another than the scheme's
/// length ([`digest_len`]).
pub fn verify_signature(block: SignatureBlock<'_>, digest: &[u8]) -> bool {
    let Some(scheme) = block.scheme() else { return false };
    if digest.len() != digest_len(scheme) {
        return false;
    }
    let verified = match scheme {
        SecureBootScheme::V2Rsa3072 => digest.try_into().ok().and_then(|digest| rsa(block, digest)),
        SecureBootScheme::V2EcdsaP192 => p192(block, digest),
        SecureBootScheme::V2EcdsaP256 => ecdsa(block, 37, 101, ecdsa::verify_p256, digest),
        SecureBootScheme::V2EcdsaP384 => ecdsa(block, 53, 149, ecdsa::verify_p384, digest),
        SecureBootScheme::V1 => None,
    };
    verified.unwrap_or(false)
}

#[cfg(feature = "p192")]
fn p192(block: SignatureBlock<'_>, digest: &[u8]) -> Option<bool> {
    ecdsa(block, 37, 101, ecdsa::verify_p192, digest)
}

#[cfg(not(feature = "p192"))]
fn p192(_: SignatureBlock<'_>, _: &[u8]) -> Option<bool> {
    None
}

/// Calls `verify` with the public key (X, Y) at `point` and the signature (r, s) at `signature`, `N` bytes each. A call of its
/// own, so that one curve's numbers take stack and not those of all.
#[inline(never)]
fn ecdsa<const N: usize>(
    block: SignatureBlock<'_>,
    point: usize,
    signature: usize,
    verify: fn(&[u8; N], &[u8; N], &[u8]) -> bool,
    digest: &[u8],
) -> Option<bool> {
    Some(verify(&ecdsa::swap(block.field(point)?), &ecdsa::swap(block.field(signature)?), digest))
}

fn rsa(block: SignatureBlock<'_>, digest: &[u8; 32]) -> Option<bool> {
    let key = rsa_pss::PublicKey {
        n: block.field(36)?,
        e: bytes::le32(block.0, 420)?,
        r: block.field(424)?,
        m_prime: bytes::le32(block.0, 808)?,
    };
    Some(rsa_pss::verify(&key, block.field(812)?, digest))
}
