//! Envelopes of `esp_encrypted_img`, and what can be wrong with them: each [`Damage`] names the refusals that may follow.
//!
//! They are sealed for one device, [`device`], as deriving a device's key takes milliseconds.

use dryburn::envelope::{EciesKey, EnvelopeError, HEADER_SIZE, MAGIC, Recipient, UnwrapError, seal};
use proptest::{collection::vec, prelude::*};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::sync::LazyLock;

/// The key of the device that the envelopes are for.
pub fn device() -> EciesKey {
    static KEY: LazyLock<EciesKey> = LazyLock::new(|| {
        let key = EciesKey::from_hmac_key(&[0x42; 32]);
        key.unwrap_or_else(|| unreachable!("this HMAC key gives a scalar"))
    });
    KEY.clone()
}

/// Plaintext that sits on both sides of every block boundary: any bytes, up to a few KiB.
pub fn plaintext() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => vec(any::<u8>(), 0..80), 2 => vec(any::<u8>(), 0..5000), 1 => Just(Vec::new())]
}

/// A good envelope and what is in it.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// What was sealed.
    pub plaintext: Vec<u8>,
    /// The envelope.
    pub envelope: Vec<u8>,
}

/// A good envelope for [`device`].
pub fn sealed() -> impl Strategy<Value = Sealed> {
    (plaintext(), any::<u64>()).prop_map(|(plaintext, seed)| {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let envelope = seal(&plaintext, &Recipient::ecies(&device()), &mut rng);
        let envelope = envelope.unwrap_or_else(|e| unreachable!("a P-256 key seals: {e}"));
        Sealed { plaintext, envelope }
    })
}

/// Sizes of the chunks in which something of `length` bytes may arrive; they add up to it, and some are 0.
pub fn chunks(length: usize) -> impl Strategy<Value = Vec<usize>> {
    let small = vec(0..40_usize, 1..40);
    let large = vec(0..1500_usize, 1..10);
    prop_oneof![small, large].prop_map(move |sizes| {
        let mut left = length;
        let mut cut = Vec::new();
        for size in sizes.into_iter().cycle().take(length.saturating_add(1).saturating_mul(2)) {
            cut.push(size.min(left));
            left -= size.min(left);
            if left == 0 {
                break;
            }
        }
        cut.push(left);
        cut
    })
}

/// What happened to an envelope after it was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// A byte is another.
    Changed {
        /// Its offset.
        offset: usize,
        /// What it was XORed with; not 0.
        xor: u8,
    },
    /// It ends after so many bytes.
    Cut(usize),
    /// So many bytes follow; at least 1.
    Longer(usize),
}

/// Any damage to an envelope of `length` bytes; the header, where the structure is, comes in for more of it.
pub fn damage(length: usize) -> impl Strategy<Value = Damage> {
    let header = (0..HEADER_SIZE, 1..=u8::MAX).prop_map(|(offset, xor)| Damage::Changed { offset, xor });
    let anywhere = (0..length.max(1), 1..=u8::MAX).prop_map(|(offset, xor)| Damage::Changed { offset, xor });
    let cut = (0..length.max(1)).prop_map(Damage::Cut);
    let longer = (1..600_usize).prop_map(Damage::Longer);
    prop_oneof![3 => header, 3 => anywhere, 2 => cut, 1 => longer]
}

impl Damage {
    /// The envelope after the damage.
    pub fn apply(self, envelope: &[u8]) -> Vec<u8> {
        let mut damaged = envelope.to_vec();
        match self {
            Self::Changed { offset, xor } => damaged.iter_mut().skip(offset).take(1).for_each(|byte| *byte ^= xor),
            Self::Cut(length) => damaged.truncate(length),
            Self::Longer(more) => damaged.resize(damaged.len().saturating_add(more), 0xFF),
        }
        damaged
    }

    /// Whether `error` is a refusal that this damage to an ECIES envelope of `length` bytes may lead to.
    pub fn explains(self, error: EnvelopeError, length: usize) -> bool {
        let full = length as u64;
        match (self, error) {
            (Self::Changed { offset: 0..4, .. }, EnvelopeError::BadMagic { found }) => found != MAGIC,
            // another point or another salt agrees on another key
            (Self::Changed { offset: 4..68, .. }, EnvelopeError::Unwrap(UnwrapError::NotOnCurve)) => true,
            (Self::Changed { offset: 4..100, .. }, EnvelopeError::BadTag) => true,
            (Self::Changed { offset, .. }, EnvelopeError::Unwrap(UnwrapError::EciesZeros { offset: at, .. })) => {
                (100..388).contains(&offset) && offset == at
            }
            (
                Self::Changed { offset: 404..408, .. },
                EnvelopeError::Truncated { .. } | EnvelopeError::Trailing { .. },
            ) => true,
            (Self::Changed { offset: 424..512, xor }, EnvelopeError::ReservedNotZero { found, .. }) => found == xor,
            (Self::Changed { offset: 388..404 | 408..424 | HEADER_SIZE.., .. }, EnvelopeError::BadTag) => true,
            (Self::Cut(cut), EnvelopeError::Truncated { found, expected }) => {
                found == cut as u64 && expected == if cut < HEADER_SIZE { HEADER_SIZE as u64 } else { full }
            }
            (Self::Longer(_), EnvelopeError::Trailing { expected }) => expected == full,
            _ => false,
        }
    }
}
