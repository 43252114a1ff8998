//! The chips: one constant row each ([`ROWS`]).
//!
//! Sources: formats sheet §0 (chip table), §1.2-1.3 (headers, memory ranges), §7.3 (key digests). Ranges are half-open,
//! addresses are CPU addresses, sizes are in bytes.

#![allow(clippy::single_range_in_vec_init, reason = "lists of address ranges, some with one member")]

use core::{fmt, ops::Range, str::FromStr};

/// A chip family member that ESP-IDF builds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Chip {
    Esp32,
    Esp32s2,
    Esp32s3,
    Esp32c2,
    Esp32c3,
    Esp32c5,
    Esp32c6,
    Esp32c61,
    Esp32h2,
    Esp32p4,
}

/// A silicon revision as ESP-IDF counts it: `major * 100 + minor`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
pub struct Revision(pub u16);

impl Revision {
    /// Builds a revision from its two parts.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self(major.saturating_mul(100).saturating_add(minor))
    }
    /// The part before the dot.
    pub const fn major(self) -> u16 {
        self.0 / 100
    }
    /// The part after the dot.
    pub const fn minor(self) -> u16 {
        self.0 % 100
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}", self.major(), self.minor())
    }
}

impl FromStr for Revision {
    type Err = BadRevision;
    /// Reads `v3.0`, `3.0` or `3`.
    fn from_str(s: &str) -> Result<Self, BadRevision> {
        let s = s.strip_prefix('v').unwrap_or(s);
        let (major, minor) = s.split_once('.').unwrap_or((s, "0"));
        match (major.parse::<u16>(), minor.parse::<u16>()) {
            (Ok(major), Ok(minor)) if major < 656 && minor < 100 => Ok(Self::new(major, minor)),
            _ => Err(BadRevision),
        }
    }
}

/// The text is not a chip revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a chip revision: write it like v3.0")]
pub struct BadRevision;

/// The name is not one of [`Chip::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown chip: choose one of esp32, esp32s2, esp32s3, esp32c2, esp32c3, esp32c5, esp32c6, esp32c61, esp32h2, esp32p4"
)]
pub struct UnknownChip;

/// How a chip encrypts its flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashCipher {
    /// AES-256 whose key is tweaked by the address, one key per 32-byte row (ESP32).
    AddressTweakedAes256,
    /// XTS-AES over 128-byte units.
    Xts {
        /// XTS-AES-256 from two eFuse blocks exists beside XTS-AES-128.
        aes256: bool,
        /// XTS-AES-128 whose key is derived from 128 eFuse bits exists (C2).
        derived: bool,
    },
}

/// A way to sign what boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum SecureBootScheme {
    /// Secure Boot v1: AES digest of the bootloader, ECDSA P-256 over apps.
    V1,
    /// Secure Boot v2 with RSA-3072-PSS.
    V2Rsa3072,
    /// Secure Boot v2 with ECDSA on NIST P-192.
    V2EcdsaP192,
    /// Secure Boot v2 with ECDSA on NIST P-256.
    V2EcdsaP256,
    /// Secure Boot v2 with ECDSA on NIST P-384.
    V2EcdsaP384,
}

/// Where the CPU sees what. All ranges are half-open CPU addresses.
#[derive(Debug, PartialEq, Eq)]
pub struct Memory {
    /// Flash mapped as data; the same as `irom` where the chip has one window.
    pub drom: Range<u32>,
    /// Flash mapped as code.
    pub irom: Range<u32>,
    /// Further mapped windows (the PSRAM window of the P4).
    pub mapped: &'static [Range<u32>],
    /// Internal RAM on the data bus.
    pub dram: Range<u32>,
    /// Internal RAM on the instruction bus; the same as `dram` where the chip has one bus.
    pub iram: Range<u32>,
    /// RTC or LP memory, and other memory that a segment may be loaded to.
    pub rtc: &'static [Range<u32>],
}

/// What is particular about one chip, or one generation of its silicon.
#[derive(Debug, PartialEq, Eq)]
pub struct Spec {
    /// The chip.
    pub chip: Chip,
    /// esptool's name.
    pub name: &'static str,
    /// The name as printed.
    pub title: &'static str,
    /// The first silicon revision that this row describes.
    pub from_revision: Revision,
    /// `chip_id` in image headers.
    pub image_chip_id: u16,
    /// Flash offset of the second-stage bootloader.
    pub bootloader_offset: u32,
    /// MMU page sizes that an app may be linked for; the first is the default.
    pub mmu_pages: &'static [u32],
    /// One window serves code and data.
    pub shared_map: bool,
    /// The cache address map is 32 bits wide: no 16 MB limit on segments and partitions.
    pub wide_map: bool,
    /// Flash encryption.
    pub flash_cipher: FlashCipher,
    /// Secure boot schemes that the ROM knows.
    pub secure_boot: &'static [SecureBootScheme],
    /// How many secure boot key digests the eFuses hold: as many blocks of a signature sector count at first boot.
    pub key_digests: u8,
    /// How many blocks of a signature sector ROM and second stage look at. The documentation says one of the ESP32, its
    /// recorded ROM looks at three; of the ESP32-C2 only the documentation is known (UNVERIFIED).
    pub signature_blocks: u8,
    /// CPU address of the eFuse controller.
    pub efuse_base: u32,
    /// Memory map.
    pub memory: Memory,
}

const K: u32 = 1024;
const PAGE_64K: &[u32] = &[64 * K];
const PAGES_C2: &[u32] = &[64 * K, 32 * K, 16 * K];
const PAGES_C6: &[u32] = &[64 * K, 32 * K, 16 * K, 8 * K];
const XTS_128: FlashCipher = FlashCipher::Xts { aes256: false, derived: false };
const XTS_BOTH: FlashCipher = FlashCipher::Xts { aes256: true, derived: false };

use SecureBootScheme::{V1, V2EcdsaP192, V2EcdsaP256, V2EcdsaP384, V2Rsa3072};

/// ESP32, both generations share all but the secure boot schemes.
const ESP32: Spec = Spec {
    chip: Chip::Esp32,
    name: "esp32",
    title: "ESP32",
    from_revision: Revision(0),
    image_chip_id: 0x0000,
    bootloader_offset: 0x1000,
    mmu_pages: PAGE_64K,
    shared_map: false,
    wide_map: false,
    flash_cipher: FlashCipher::AddressTweakedAes256,
    secure_boot: &[V1],
    key_digests: 0,
    signature_blocks: 3,
    efuse_base: 0x3FF5_A000,
    memory: Memory {
        drom: 0x3F40_0000..0x3F80_0000,
        irom: 0x400D_0000..0x4040_0000,
        mapped: &[],
        dram: 0x3FFA_E000..0x4000_0000,
        iram: 0x4008_0000..0x400A_A000,
        rtc: &[0x400C_0000..0x400C_2000, 0x3FF8_0000..0x3FF8_2000, 0x5000_0000..0x5000_2000],
    },
};

/// ESP32-C5; the first silicon knows no RSA (by ESP-IDF's Kconfig).
const C5: Spec = Spec {
    chip: Chip::Esp32c5,
    name: "esp32c5",
    title: "ESP32-C5",
    image_chip_id: 0x0017,
    bootloader_offset: 0x2000,
    shared_map: true,
    wide_map: true,
    flash_cipher: XTS_128,
    secure_boot: &[V2EcdsaP256, V2EcdsaP384],
    key_digests: 3,
    efuse_base: 0x600B_4800,
    memory: shared(0x4200_0000..0x4400_0000, 0x4080_0000..0x4086_0000, &[0x5000_0000..0x5000_4000]),
    ..ESP32
};

/// ESP32-P4; P-384 came with the second silicon, together with the second eFuse table.
const P4: Spec = Spec {
    chip: Chip::Esp32p4,
    name: "esp32p4",
    title: "ESP32-P4",
    image_chip_id: 0x0012,
    bootloader_offset: 0x2000,
    shared_map: true,
    wide_map: true,
    flash_cipher: XTS_BOTH,
    secure_boot: &[V2Rsa3072, V2EcdsaP256],
    key_digests: 3,
    efuse_base: 0x5012_D000,
    memory: Memory {
        mapped: &[0x4800_0000..0x4C00_0000],
        ..shared(
            0x4000_0000..0x4400_0000,
            0x4FF0_0000..0x4FFC_0000,
            &[0x3010_0000..0x3010_2000, 0x5010_8000..0x5011_0000],
        )
    },
    ..ESP32
};

/// One row per chip, or several in the order of revisions: the ESP32, the C5 and the P4 learned secure boot schemes later.
pub const ROWS: &[Spec] = &[
    ESP32,
    Spec { from_revision: Revision(300), secure_boot: &[V1, V2Rsa3072], key_digests: 1, ..ESP32 },
    Spec {
        chip: Chip::Esp32s2,
        name: "esp32s2",
        title: "ESP32-S2",
        image_chip_id: 0x0002,
        flash_cipher: XTS_BOTH,
        secure_boot: &[V2Rsa3072],
        key_digests: 3,
        efuse_base: 0x3F41_A000,
        memory: Memory {
            drom: 0x3F00_0000..0x3FF8_0000,
            irom: 0x4008_0000..0x4080_0000,
            mapped: &[],
            dram: 0x3FFB_0000..0x4000_0000,
            iram: 0x4002_0000..0x4007_0000,
            rtc: &[0x4007_0000..0x4007_2000, 0x3FF9_E000..0x3FFA_0000, 0x5000_0000..0x5000_2000],
        },
        ..ESP32
    },
    Spec {
        chip: Chip::Esp32s3,
        name: "esp32s3",
        title: "ESP32-S3",
        image_chip_id: 0x0009,
        bootloader_offset: 0,
        wide_map: true,
        flash_cipher: XTS_BOTH,
        secure_boot: &[V2Rsa3072],
        key_digests: 3,
        efuse_base: 0x6000_7000,
        memory: Memory {
            drom: 0x3C00_0000..0x3E00_0000,
            irom: 0x4200_0000..0x4400_0000,
            mapped: &[],
            dram: 0x3FC8_8000..0x3FD0_0000,
            iram: 0x4037_0000..0x403E_0000,
            rtc: &[0x600F_E000..0x6010_0000, 0x5000_0000..0x5000_2000],
        },
        ..ESP32
    },
    Spec {
        chip: Chip::Esp32c2,
        name: "esp32c2",
        title: "ESP32-C2",
        image_chip_id: 0x000C,
        bootloader_offset: 0,
        mmu_pages: PAGES_C2,
        flash_cipher: FlashCipher::Xts { aes256: false, derived: true },
        secure_boot: &[V2EcdsaP192, V2EcdsaP256],
        key_digests: 1,
        signature_blocks: 1,
        efuse_base: 0x6000_8800,
        memory: Memory {
            drom: 0x3C00_0000..0x3C40_0000,
            irom: 0x4200_0000..0x4240_0000,
            mapped: &[],
            dram: 0x3FCA_0000..0x3FCE_0000,
            iram: 0x4037_C000..0x403C_0000,
            rtc: &[],
        },
        ..ESP32
    },
    Spec {
        chip: Chip::Esp32c3,
        name: "esp32c3",
        title: "ESP32-C3",
        image_chip_id: 0x0005,
        bootloader_offset: 0,
        flash_cipher: XTS_128,
        secure_boot: &[V2Rsa3072],
        key_digests: 3,
        efuse_base: 0x6000_8800,
        memory: Memory {
            drom: 0x3C00_0000..0x3C80_0000,
            irom: 0x4200_0000..0x4280_0000,
            mapped: &[],
            dram: 0x3FC8_0000..0x3FCE_0000,
            iram: 0x4037_C000..0x403E_0000,
            rtc: &[0x5000_0000..0x5000_2000],
        },
        ..ESP32
    },
    C5,
    Spec { from_revision: Revision::new(0, 1), secure_boot: &[V2Rsa3072, V2EcdsaP256, V2EcdsaP384], ..C5 },
    Spec {
        chip: Chip::Esp32c6,
        name: "esp32c6",
        title: "ESP32-C6",
        image_chip_id: 0x000D,
        bootloader_offset: 0,
        mmu_pages: PAGES_C6,
        shared_map: true,
        flash_cipher: XTS_128,
        secure_boot: &[V2Rsa3072, V2EcdsaP192, V2EcdsaP256],
        key_digests: 3,
        efuse_base: 0x600B_0800,
        memory: shared(0x4200_0000..0x4300_0000, 0x4080_0000..0x4088_0000, &[0x5000_0000..0x5000_4000]),
        ..ESP32
    },
    Spec {
        chip: Chip::Esp32c61,
        name: "esp32c61",
        title: "ESP32-C61",
        image_chip_id: 0x0014,
        bootloader_offset: 0,
        mmu_pages: PAGES_C6,
        shared_map: true,
        wide_map: true,
        flash_cipher: XTS_128,
        secure_boot: &[V2EcdsaP256],
        key_digests: 3,
        efuse_base: 0x600B_4800,
        memory: shared(0x4200_0000..0x4400_0000, 0x4080_0000..0x4085_0000, &[]),
        ..ESP32
    },
    Spec {
        chip: Chip::Esp32h2,
        name: "esp32h2",
        title: "ESP32-H2",
        image_chip_id: 0x0010,
        bootloader_offset: 0,
        mmu_pages: PAGES_C6,
        shared_map: true,
        flash_cipher: XTS_128,
        secure_boot: &[V2Rsa3072, V2EcdsaP192, V2EcdsaP256],
        key_digests: 3,
        efuse_base: 0x600B_0800,
        memory: shared(0x4200_0000..0x4300_0000, 0x4080_0000..0x4085_0000, &[0x5000_0000..0x5000_1000]),
        ..ESP32
    },
    P4,
    Spec { from_revision: Revision::new(3, 0), secure_boot: &[V2Rsa3072, V2EcdsaP256, V2EcdsaP384], ..P4 },
];

/// The memory of a chip where code and data share one flash window and one RAM.
const fn shared(flash: Range<u32>, ram: Range<u32>, rtc: &'static [Range<u32>]) -> Memory {
    Memory {
        drom: flash.start..flash.end,
        irom: flash.start..flash.end,
        mapped: &[],
        dram: ram.start..ram.end,
        iram: ram.start..ram.end,
        rtc,
    }
}

impl Chip {
    /// Every chip, in the order of [`ROWS`].
    pub const ALL: [Chip; 10] = [
        Chip::Esp32,
        Chip::Esp32s2,
        Chip::Esp32s3,
        Chip::Esp32c2,
        Chip::Esp32c3,
        Chip::Esp32c5,
        Chip::Esp32c6,
        Chip::Esp32c61,
        Chip::Esp32h2,
        Chip::Esp32p4,
    ];

    /// The row of this chip at its first silicon revision: use it for what does not depend on the revision.
    pub fn spec(self) -> &'static Spec {
        self.spec_at(Revision(0))
    }

    /// The row of this chip at silicon revision `revision`.
    pub fn spec_at(self, revision: Revision) -> &'static Spec {
        ROWS.iter().rev().find(|row| row.chip == self && row.from_revision <= revision).unwrap_or(&ESP32)
    }

    /// The chip whose images carry `id`.
    pub fn from_image_chip_id(id: u16) -> Option<Self> {
        ROWS.iter().find(|row| row.image_chip_id == id).map(|row| row.chip)
    }

    /// esptool's name of the chip.
    pub fn name(self) -> &'static str {
        self.spec().name
    }
}

impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Chip {
    type Err = UnknownChip;
    /// Reads esptool's names in any case, with or without a dash: `esp32c3`, `ESP32-C3`.
    fn from_str(s: &str) -> Result<Self, UnknownChip> {
        ROWS.iter()
            .find(|row| row.name.eq_ignore_ascii_case(s) || row.title.eq_ignore_ascii_case(s))
            .map(|row| row.chip)
            .ok_or(UnknownChip)
    }
}

#[cfg(test)]
mod tests;
