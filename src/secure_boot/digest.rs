//! The two digests of Secure Boot v2: that of an image, which is signed, and that of a key, which eFuse trusts.

use crate::chip::{Chip, SecureBootScheme};
use sha2::{Digest, Sha256, Sha384};

/// The digest of an image from its start to the signature sector, as its scheme signs it (formats sheet §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageDigest {
    /// RSA-3072, P-192, P-256.
    Sha256([u8; 32]),
    /// P-384.
    Sha384([u8; 48]),
}

impl ImageDigest {
    /// The digest of `content` that `scheme` signs.
    pub fn of(scheme: SecureBootScheme, content: &[u8]) -> Self {
        if scheme == SecureBootScheme::V2EcdsaP384 {
            Self::Sha384(Sha384::digest(content).into())
        } else {
            Self::Sha256(Sha256::digest(content).into())
        }
    }
}

impl AsRef<[u8]> for ImageDigest {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Sha256(bytes) => bytes,
            Self::Sha384(bytes) => bytes,
        }
    }
}

/// What eFuse holds of a trusted key: the SHA-256 of the key as its signature block has it, or the first half of that
/// (formats sheet §7.3). Always SHA-256, also for P-384.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyDigest {
    /// All 32 bytes.
    Whole([u8; 32]),
    /// The first 16 bytes: the ESP32-C2, whose one key block they share with a flash encryption key.
    FirstHalf([u8; 16]),
}

impl KeyDigest {
    /// What the eFuses of `chip` hold of a key with this SHA-256.
    pub fn on(chip: Chip, key: [u8; 32]) -> Self {
        match key.first_chunk() {
            Some(half) if chip == Chip::Esp32c2 => Self::FirstHalf(*half),
            _ => Self::Whole(key),
        }
    }

    /// Whether this is what eFuse holds of the key with this SHA-256.
    pub fn is_of(&self, key: &[u8; 32]) -> bool {
        key.starts_with(self.as_ref())
    }
}

impl AsRef<[u8]> for KeyDigest {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) => bytes,
            Self::FirstHalf(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c2_holds_half_a_digest() {
        let key = core::array::from_fn(|i| i as u8);
        let mut neighbour = key;
        neighbour[31] ^= 1;
        let (half, whole) = (KeyDigest::on(Chip::Esp32c2, key), KeyDigest::on(Chip::Esp32c6, key));
        assert_eq!((half.as_ref(), whole.as_ref()), (&key[..16], &key[..]));
        assert!(half.is_of(&key) && half.is_of(&neighbour));
        assert!(whole.is_of(&key) && !whole.is_of(&neighbour));
    }

    #[test]
    fn only_p384_signs_sha_384() {
        // FIPS 180-4 examples: "abc"
        let wide = ImageDigest::of(SecureBootScheme::V2EcdsaP384, b"abc");
        assert_eq!(wide.as_ref()[..4], [0xCB, 0x00, 0x75, 0x3F]);
        let narrow = ImageDigest::of(SecureBootScheme::V2EcdsaP256, b"abc");
        assert_eq!(narrow.as_ref()[..4], [0xBA, 0x78, 0x16, 0xBF]);
        assert_eq!((wide.as_ref().len(), narrow.as_ref().len()), (48, 32));
    }
}
