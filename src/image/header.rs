//! The 24-byte image header, the 8-byte segment header, and the two descriptors: raw views with named fields.
//!
//! Source: formats sheet §1.2, 1.3, 1.6, 1.7. All integers are little-endian.

use crate::{Revision, bytes};

/// First byte of every image.
pub const MAGIC: u8 = 0xE9;
/// Size in bytes of the image header.
pub const HEADER_SIZE: usize = 24;
/// Size in bytes of a segment header.
pub const SEGMENT_HEADER_SIZE: usize = 8;
/// Most segments an image may have.
pub const MAX_SEGMENTS: u8 = 16;
/// Size in bytes of the application descriptor.
pub const APP_DESCRIPTOR_SIZE: usize = 256;
/// First word of an application descriptor.
pub const APP_DESCRIPTOR_MAGIC: u32 = 0xABCD_5432;
/// Size in bytes of the bootloader descriptor.
pub const BOOTLOADER_DESCRIPTOR_SIZE: usize = 80;
/// First byte of a bootloader descriptor.
pub const BOOTLOADER_DESCRIPTOR_MAGIC: u8 = 0x50;
/// File offset of either descriptor: the first data byte of segment 0.
pub const DESCRIPTOR_OFFSET: u32 = 32;

/// The image header as it lies in flash; a view that never judges.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 1 | magic 0xE9 |
/// | 1 | 1 | segment_count |
/// | 2 | 1 | spi_mode |
/// | 3 | 1 | spi_speed (3:0), spi_size (7:4) |
/// | 4 | 4 | entry_addr |
/// | 8 | 4 | wp_pin, clk/q, d/cs, hd/wp drive strengths |
/// | 12 | 2 | chip_id |
/// | 14 | 1 | min_chip_rev (legacy) |
/// | 15 | 2 | min_chip_rev_full |
/// | 17 | 2 | max_chip_rev_full |
/// | 19 | 4 | reserved |
/// | 23 | 1 | hash_appended |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    raw: [u8; HEADER_SIZE],
}

impl Header {
    /// Takes the first 24 bytes of an image.
    pub const fn from_bytes(raw: [u8; HEADER_SIZE]) -> Self {
        Self { raw }
    }
    /// The bytes.
    pub const fn to_bytes(self) -> [u8; HEADER_SIZE] {
        self.raw
    }
    fn byte(&self, offset: usize) -> u8 {
        self.raw.get(offset).copied().unwrap_or(0xFF)
    }
    /// First byte; 0xE9 in an image.
    pub fn magic(&self) -> u8 {
        self.byte(0)
    }
    /// Number of segments claimed.
    pub fn segment_count(&self) -> u8 {
        self.byte(1)
    }
    /// Flash mode code: 0 QIO, 1 QOUT, 2 DIO, 3 DOUT, 4 FAST_READ, 5 SLOW_READ.
    pub fn spi_mode(&self) -> u8 {
        self.byte(2)
    }
    /// Flash clock code (bits 3:0 of byte 3).
    pub fn spi_speed(&self) -> u8 {
        self.byte(3) & 0x0F
    }
    /// Flash size code (bits 7:4 of byte 3): 1 MB shifted left by this.
    pub fn spi_size(&self) -> u8 {
        self.byte(3) >> 4
    }
    /// Address where execution starts.
    pub fn entry_addr(&self) -> u32 {
        bytes::le32(&self.raw, 4).unwrap_or(0)
    }
    /// Bytes 8..12: write-protect pin and pin drive strengths.
    pub fn pins(&self) -> [u8; 4] {
        bytes::array(&self.raw, 8).unwrap_or([0xFF; 4])
    }
    /// Chip that the image was built for.
    pub fn chip_id(&self) -> u16 {
        bytes::le16(&self.raw, 12).unwrap_or(u16::MAX)
    }
    /// Minimum revision as ESP-IDF up to 4.2 reads it.
    pub fn min_chip_rev(&self) -> u8 {
        self.byte(14)
    }
    /// Minimum chip revision.
    pub fn min_chip_rev_full(&self) -> Revision {
        Revision(bytes::le16(&self.raw, 15).unwrap_or(0))
    }
    /// Maximum chip revision; 0 and 65535 mean that there is none.
    pub fn max_chip_rev_full(&self) -> Revision {
        Revision(bytes::le16(&self.raw, 17).unwrap_or(u16::MAX))
    }
    /// Byte 23: 1 when a SHA-256 follows the checksum block.
    pub fn hash_appended(&self) -> u8 {
        self.byte(23)
    }
}

/// A segment header as it lies in flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// CPU address that the data is loaded or mapped to.
    pub load_addr: u32,
    /// Length of the data in bytes.
    pub data_len: u32,
}

impl SegmentHeader {
    /// Takes the 8 bytes before a segment's data.
    pub fn from_bytes(raw: [u8; SEGMENT_HEADER_SIZE]) -> Self {
        let [a, b, c, d, e, f, g, h] = raw;
        Self { load_addr: u32::from_le_bytes([a, b, c, d]), data_len: u32::from_le_bytes([e, f, g, h]) }
    }
    /// The bytes.
    pub fn to_bytes(self) -> [u8; SEGMENT_HEADER_SIZE] {
        let [a, b, c, d] = self.load_addr.to_le_bytes();
        let [e, f, g, h] = self.data_len.to_le_bytes();
        [a, b, c, d, e, f, g, h]
    }
}

/// The application descriptor (`esp_app_desc_t`) as it lies in flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppDescriptor {
    raw: [u8; APP_DESCRIPTOR_SIZE],
}

impl AppDescriptor {
    /// Takes the 256 bytes at file offset 0x20 of an app.
    pub const fn from_bytes(raw: [u8; APP_DESCRIPTOR_SIZE]) -> Self {
        Self { raw }
    }
    fn text(&self, offset: usize, len: usize) -> &str {
        bytes::c_str(self.raw.get(offset..).and_then(|r| r.get(..len)).unwrap_or(&[]))
    }
    /// First word; [`APP_DESCRIPTOR_MAGIC`] in an app.
    pub fn magic_word(&self) -> u32 {
        bytes::le32(&self.raw, 0).unwrap_or(0)
    }
    /// Anti-rollback version.
    pub fn secure_version(&self) -> u32 {
        bytes::le32(&self.raw, 4).unwrap_or(0)
    }
    /// App version.
    pub fn version(&self) -> &str {
        self.text(16, 32)
    }
    /// Project name.
    pub fn project_name(&self) -> &str {
        self.text(48, 32)
    }
    /// Compile time.
    pub fn time(&self) -> &str {
        self.text(80, 16)
    }
    /// Compile date.
    pub fn date(&self) -> &str {
        self.text(96, 16)
    }
    /// ESP-IDF version that built the app.
    pub fn idf_ver(&self) -> &str {
        self.text(112, 32)
    }
    /// SHA-256 of the ELF file.
    pub fn app_elf_sha256(&self) -> [u8; 32] {
        bytes::array(&self.raw, 144).unwrap_or([0; 32])
    }
    /// Minimum eFuse block revision; 0 and 65535 mean unset.
    pub fn min_efuse_blk_rev_full(&self) -> Revision {
        Revision(bytes::le16(&self.raw, 176).unwrap_or(0))
    }
    /// Maximum eFuse block revision; 0 and 65535 mean unset.
    pub fn max_efuse_blk_rev_full(&self) -> Revision {
        Revision(bytes::le16(&self.raw, 178).unwrap_or(0))
    }
    /// MMU page size as a power of two; 0 in images of old ESP-IDF releases.
    pub fn mmu_page_size_log2(&self) -> u8 {
        self.raw.get(180).copied().unwrap_or(0)
    }
}

/// The bootloader descriptor (`esp_bootloader_desc_t`) as it lies in flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootloaderDescriptor {
    raw: [u8; BOOTLOADER_DESCRIPTOR_SIZE],
}

impl BootloaderDescriptor {
    /// Takes the 80 bytes at file offset 0x20 of a bootloader.
    pub const fn from_bytes(raw: [u8; BOOTLOADER_DESCRIPTOR_SIZE]) -> Self {
        Self { raw }
    }
    fn text(&self, offset: usize, len: usize) -> &str {
        bytes::c_str(self.raw.get(offset..).and_then(|r| r.get(..len)).unwrap_or(&[]))
    }
    /// First byte; [`BOOTLOADER_DESCRIPTOR_MAGIC`] where there is a descriptor (ESP-IDF 5.2 and later).
    pub fn magic_byte(&self) -> u8 {
        self.raw.first().copied().unwrap_or(0)
    }
    /// Bootloader anti-rollback version.
    pub fn secure_version(&self) -> u8 {
        self.raw.get(3).copied().unwrap_or(0)
    }
    /// Bootloader version.
    pub fn version(&self) -> u32 {
        bytes::le32(&self.raw, 4).unwrap_or(0)
    }
    /// ESP-IDF version that built the bootloader.
    pub fn idf_ver(&self) -> &str {
        self.text(8, 32)
    }
    /// Compile date and time.
    pub fn date_time(&self) -> &str {
        self.text(40, 24)
    }
}

#[cfg(test)]
mod tests;
