//! Flash encryption in bulk: the same bytes as the row and unit functions beside it, many times faster.
//!
//! | file | |
//! |---|---|
//! | `block` | the shuffles and words of a block |
//! | `tables` | what an ESP32 key is turned into once |
//! | `esp32`, `xts` | the two algorithms, written for vectors of any width; the ideas are explained there |
//! | `zmm`, `xmm` | the instructions for 512-bit and 128-bit vectors |
//! | here | which of them this machine has, and the cutting of data into groups |
//!
//! This is the one place of the crate with `unsafe`: a load and a store per width, whose sizes are types, and the calls
//! of functions whose instructions were looked for first. Lengths and addresses are cut to whole groups here; what
//! sticks out goes to narrower vectors, and at last to the row or unit functions.

#[cfg(target_arch = "x86_64")]
mod block;
#[cfg(target_arch = "x86_64")]
mod esp32;
#[cfg(target_arch = "x86_64")]
mod tables;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
mod xmm;
#[cfg(target_arch = "x86_64")]
mod xts;
#[cfg(target_arch = "x86_64")]
mod zmm;

#[cfg(not(target_arch = "x86_64"))]
mod none;
#[cfg(not(target_arch = "x86_64"))]
pub(super) use none::{Esp32, Xts};
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Esp32, Xts};

/// The instructions that flash encryption uses. All give the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// The crates `aes` and `xts-mode`, row by row and unit by unit. On every machine.
    Portable,
    /// AES-NI and AVX: 128-bit vectors.
    AesNi,
    /// AVX-512 with VAES: 512-bit vectors, and [`Path::AesNi`] where data is too short for them.
    Avx512,
}

impl Path {
    /// From the slowest to the fastest.
    pub const ALL: [Self; 3] = [Self::Portable, Self::AesNi, Self::Avx512];

    /// The fastest that this machine has. Without the feature `std` the machine is the one that was compiled for.
    pub fn fastest() -> Self {
        Self::ALL.into_iter().rfind(|path| path.is_available()).unwrap_or(Self::Portable)
    }

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            Self::AesNi => has_aes_ni(),
            Self::Avx512 => has_aes_ni() && has_avx512(),
        }
    }

    /// `portable`, `aes-ni` or `avx512`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::AesNi => "aes-ni",
            Self::Avx512 => "avx512",
        }
    }
}

/// Whether the machine has all of these features.
macro_rules! has {
    ($($feature:tt),*) => {{
        #[cfg(all(feature = "std", target_arch = "x86_64"))]
        let has = true $(&& std::arch::is_x86_feature_detected!($feature))*;
        #[cfg(not(all(feature = "std", target_arch = "x86_64")))]
        let has = cfg!(target_arch = "x86_64") $(&& cfg!(target_feature = $feature))*;
        has
    }};
}

fn has_aes_ni() -> bool {
    has!("aes", "avx")
}

fn has_avx512() -> bool {
    has!("avx512f", "avx512bw", "avx512vbmi", "vaes", "vpclmulqdq")
}

/// To flash or from flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// Plaintext to what flash holds.
    Encrypt,
    /// What flash holds to plaintext.
    Decrypt,
}
