//! Makes valid images of any size for any chip, deterministically from a seed.
//!
//! The content is noise (a SHA-256 counter stream of the seed), the layout is that of `esptool elf2image`: a data segment
//! that begins with the descriptor, RAM, code; mapped segments aligned to the MMU page (formats sheet §1.9).

use super::{
    APP_DESCRIPTOR_MAGIC, APP_DESCRIPTOR_SIZE, BOOTLOADER_DESCRIPTOR_MAGIC, BOOTLOADER_DESCRIPTOR_SIZE, CHECKSUM_SEED,
    HEADER_SIZE, Kind, MAGIC, SEGMENT_HEADER_SIZE, SegmentHeader,
};
use crate::{Chip, IdfVersion, Revision};
use alloc::{string::String, vec::Vec};
use sha2::{Digest, Sha256};

/// One segment to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentData {
    /// CPU address.
    pub load_addr: u32,
    /// Content; its length is rounded up to 4 bytes with zeros.
    pub data: Vec<u8>,
}

/// Collects what an image shall be, then [`build`](Self::build)s it.
#[derive(Clone, Debug)]
pub struct Builder {
    chip: Chip,
    kind: Kind,
    seed: u64,
    size: usize,
    segments: Option<Vec<SegmentData>>,
    hash_appended: bool,
    min_revision: Revision,
    max_revision: Revision,
    flash_size: u8,
    version: String,
    project_name: String,
    secure_version: u32,
    idf_ver: String,
}

/// Smallest size in bytes that [`Builder::size`] can give.
pub const MIN_SIZE: usize = 1024;

impl Builder {
    /// An app of 64 KiB, version 1.0.0.
    pub fn app(chip: Chip) -> Self {
        Self {
            chip,
            kind: Kind::App,
            seed: 0,
            size: 64 * 1024,
            segments: None,
            hash_appended: true,
            min_revision: Revision(0),
            max_revision: Revision(u16::MAX),
            flash_size: 2,
            version: "1.0.0".into(),
            project_name: "dryburn-app".into(),
            secure_version: 0,
            idf_ver: "v6.1".into(),
        }
    }

    /// A second-stage bootloader of 24 KiB as ESP-IDF `idf` lays it out; from 5.2 on it carries a descriptor.
    pub fn bootloader(chip: Chip, idf: IdfVersion) -> Self {
        Self { kind: Kind::Bootloader, size: 24 * 1024, idf_ver: alloc::format!("v{idf}"), ..Self::app(chip) }
    }

    /// The noise in the segments depends on this and on the version.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Size of the file in bytes, rounded up to a multiple of 16 and to at least [`MIN_SIZE`].
    pub fn size(mut self, size: usize) -> Self {
        self.size = size;
        self
    }

    /// Exactly these segments instead of made-up ones.
    pub fn segments(mut self, segments: Vec<SegmentData>) -> Self {
        self.segments = Some(segments);
        self
    }

    /// Whether a SHA-256 is appended; the default is yes.
    pub fn hash_appended(mut self, yes: bool) -> Self {
        self.hash_appended = yes;
        self
    }

    /// Chip revisions that may run the image.
    pub fn revisions(mut self, min: Revision, max: Revision) -> Self {
        (self.min_revision, self.max_revision) = (min, max);
        self
    }

    /// Flash size code of the header: 1 MB shifted left by this (4 bits).
    pub fn flash_size(mut self, code: u8) -> Self {
        self.flash_size = code;
        self
    }

    /// App version, cut to 31 bytes.
    pub fn version(mut self, version: &str) -> Self {
        self.version = version.into();
        self
    }

    /// Project name, cut to 31 bytes.
    pub fn project_name(mut self, name: &str) -> Self {
        self.project_name = name.into();
        self
    }

    /// Anti-rollback version of an app.
    pub fn secure_version(mut self, version: u32) -> Self {
        self.secure_version = version;
        self
    }

    /// ESP-IDF version that the descriptor names, cut to 31 bytes.
    pub fn idf_ver(mut self, idf_ver: &str) -> Self {
        self.idf_ver = idf_ver.into();
        self
    }

    /// The image.
    pub fn build(&self) -> Vec<u8> {
        let segments = match &self.segments {
            Some(given) => given.clone(),
            None => self.made_up_segments(),
        };
        let mut out = Vec::with_capacity(self.size);
        out.extend(self.header(&segments));
        let mut xor = CHECKSUM_SEED;
        for segment in &segments {
            let mut data = segment.data.clone();
            data.resize(data.len().next_multiple_of(4), 0);
            xor = data.iter().fold(xor, |x, b| x ^ b);
            let header = SegmentHeader { load_addr: segment.load_addr, data_len: data.len() as u32 };
            out.extend(header.to_bytes());
            out.extend(data);
        }
        out.resize(out.len() | 15, 0);
        out.push(xor);
        if self.hash_appended {
            let digest = Sha256::digest(&out);
            out.extend(digest);
        }
        out
    }

    fn header(&self, segments: &[SegmentData]) -> [u8; HEADER_SIZE] {
        let spec = self.chip.spec();
        let entry = match (self.kind, segments) {
            (Kind::Bootloader, [.., last]) => last.load_addr.wrapping_add(4),
            (Kind::App, [_, ram, ..]) => ram.load_addr.wrapping_add(4),
            (_, [.., last]) => last.load_addr,
            (_, []) => 0,
        };
        let mut header = [0; HEADER_SIZE];
        let [e0, e1, e2, e3] = entry.to_le_bytes();
        let [id0, id1] = spec.image_chip_id.to_le_bytes();
        let [min0, min1] = self.min_revision.0.to_le_bytes();
        let [max0, max1] = self.max_revision.0.to_le_bytes();
        let min_legacy = self.min_revision.major().min(255) as u8;
        // DIO; the slowest common clock code 0; write-protect pin disabled
        let fields = [
            MAGIC,
            segments.len().min(255) as u8,
            2,
            self.flash_size << 4,
            e0,
            e1,
            e2,
            e3,
            0xEE,
            0,
            0,
            0,
            id0,
            id1,
            min_legacy,
            min0,
            min1,
            max0,
            max1,
            0,
            0,
            0,
            0,
            u8::from(self.hash_appended),
        ];
        header.copy_from_slice(&fields);
        header
    }

    fn noise(&self, stream: u8, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len.saturating_add(32));
        let mut counter = 0u64;
        while out.len() < len {
            let block = Sha256::new()
                .chain_update(self.seed.to_le_bytes())
                .chain_update(self.version.as_bytes())
                .chain_update([0, stream])
                .chain_update(counter.to_le_bytes())
                .finalize();
            out.extend(block);
            counter = counter.wrapping_add(1);
        }
        out.truncate(len);
        out
    }

    /// Three segments whose sizes add up to the wanted file size.
    fn made_up_segments(&self) -> Vec<SegmentData> {
        let hash = if self.hash_appended { 32 } else { 0 };
        let overhead = HEADER_SIZE.saturating_add(SEGMENT_HEADER_SIZE.saturating_mul(3)).saturating_add(hash);
        let size = self.size.max(MIN_SIZE).next_multiple_of(16);
        // one checksum byte and 15 zeros at most: 16 bytes minus what the headers leave over
        let payload = size.saturating_sub(overhead).saturating_sub(1) & !3;
        let ram = (payload / 8).min(0x4000) & !3;
        let descriptor = self.descriptor();
        let data = (payload / 4).max(descriptor.len()).min(0x40_0000) & !3;
        let code = payload.saturating_sub(ram).saturating_sub(data);
        let data_at = HEADER_SIZE.saturating_add(SEGMENT_HEADER_SIZE);
        let ram_at = data_at.saturating_add(data).saturating_add(SEGMENT_HEADER_SIZE);
        let code_at = ram_at.saturating_add(ram).saturating_add(SEGMENT_HEADER_SIZE);
        let mut first = descriptor;
        first.extend(self.noise(0, data.saturating_sub(first.len())));
        let [data_addr, ram_addr, code_addr] = match self.kind {
            Kind::App => self.app_addresses(data_at, data, code_at),
            Kind::Bootloader => self.bootloader_addresses(),
        };
        [(data_addr, first), (ram_addr, self.noise(1, ram)), (code_addr, self.noise(2, code))]
            .map(|(load_addr, data)| SegmentData { load_addr, data })
            .into()
    }

    fn app_addresses(&self, data_at: usize, data: usize, code_at: usize) -> [u32; 3] {
        let spec = self.chip.spec();
        let page = spec.mmu_pages.first().copied().unwrap_or(0x1_0000);
        let in_page = |at: usize| (at as u32).checked_rem(page).unwrap_or(0);
        // code begins in the page behind the data where both share a window
        let skip = if spec.shared_map {
            (data_at.saturating_add(data) as u32).checked_next_multiple_of(page).unwrap_or(0)
        } else {
            0
        };
        [
            spec.memory.drom.start.wrapping_add(in_page(data_at)),
            spec.memory.iram.start.wrapping_add(0x1_0000),
            spec.memory.irom.start.wrapping_add(skip).wrapping_add(in_page(code_at)),
        ]
    }

    /// Static data, the loader's code, start-up code: where ESP-IDF's linker scripts put them, or the top of RAM.
    fn bootloader_addresses(&self) -> [u32; 3] {
        let memory = &self.chip.spec().memory;
        match self.chip {
            Chip::Esp32 => [0x3FFF_0030, 0x4007_8000, 0x4008_0400],
            Chip::Esp32c3 => [0x3FCD_5830, 0x403C_E710, 0x403C_BF10],
            _ => [
                memory.dram.end.saturating_sub(0xC000),
                memory.iram.end.saturating_sub(0x8000),
                memory.iram.end.saturating_sub(0x1_0000),
            ],
        }
    }

    fn descriptor(&self) -> Vec<u8> {
        let text = |s: &str, len: usize| {
            let mut field: Vec<u8> = s.bytes().take(len.saturating_sub(1)).collect();
            field.resize(len, 0);
            field
        };
        let mut out = Vec::new();
        match self.kind {
            Kind::App => {
                out.extend(APP_DESCRIPTOR_MAGIC.to_le_bytes());
                out.extend(self.secure_version.to_le_bytes());
                out.extend([0; 8]);
                out.extend(text(&self.version, 32));
                out.extend(text(&self.project_name, 32));
                out.extend(text("00:00:00", 16));
                out.extend(text("Jan  1 2026", 16));
                out.extend(text(&self.idf_ver, 32));
                out.extend(self.noise(3, 32));
                out.extend([0, 0, 0xFF, 0xFF]);
                let page = self.chip.spec().mmu_pages.first().copied().unwrap_or(0x1_0000);
                out.push(page.trailing_zeros() as u8);
                out.resize(APP_DESCRIPTOR_SIZE, 0);
            }
            Kind::Bootloader if self.idf_ver.parse::<IdfVersion>().is_ok_and(|v| v.since(5, 2)) => {
                out.extend([BOOTLOADER_DESCRIPTOR_MAGIC, 0, 0, 0]);
                out.extend(1u32.to_le_bytes());
                out.extend(text(&self.idf_ver, 32));
                // ESP-IDF 6 leaves the compile time out, so that builds can be reproduced
                let time = if self.idf_ver.parse().is_ok_and(|v: IdfVersion| v.since(6, 0)) {
                    ""
                } else {
                    "Jan  1 2026 00:00:00"
                };
                out.extend(text(time, 24));
                out.resize(BOOTLOADER_DESCRIPTOR_SIZE, 0);
            }
            Kind::Bootloader => {}
        }
        out
    }
}

/// A named way to damage an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// First byte 0xEA instead of 0xE9.
    Magic,
    /// Chip id of another chip.
    ChipId(u16),
    /// Minimum chip revision.
    MinRevision(Revision),
    /// Maximum chip revision.
    MaxRevision(Revision),
    /// Number of segments claimed.
    SegmentCount(u8),
    /// Length claimed by segment 0.
    SegmentLength(u32),
    /// Load address of segment 0.
    LoadAddress(u32),
    /// One bit of the checksum byte.
    Checksum,
    /// One bit of the appended SHA-256.
    Hash,
    /// One bit in the middle of the data, leaving checksum and hash behind.
    Bit,
    /// The last part of the file is missing: cut to this many bytes.
    Truncate(usize),
}

/// Damages `image` in place. With `repair`, checksum and appended hash are made right again afterwards, so that only the
/// named damage is left. Does nothing where the image is too short to hold what is damaged.
pub fn damage(image: &mut Vec<u8>, damage: Damage, repair: bool) {
    // found before the damage, which may hide it
    let checksum_at = checksum_position(image);
    let hash_appended = image.get(23) == Some(&1);
    apply(image, damage, hash_appended);
    let Some(checksum_at) = checksum_at.filter(|_| repair) else { return };
    if damage == Damage::Bit {
        flip(image, checksum_at); // one bit of data, so the same bit of the XOR
    }
    if hash_appended && !matches!(damage, Damage::Hash | Damage::Truncate(_)) {
        let body = checksum_at.saturating_add(1);
        let digest = Sha256::digest(image.get(..body).unwrap_or(&[]));
        put(image, body, &digest);
    }
}

fn apply(image: &mut Vec<u8>, damage: Damage, hash_appended: bool) {
    let len = image.len();
    let from_end = |n: usize| len.wrapping_sub(n);
    match damage {
        Damage::Magic => put(image, 0, &[0xEA]),
        Damage::ChipId(id) => put(image, 12, &id.to_le_bytes()),
        Damage::MinRevision(r) => {
            put(image, 14, &[r.major().min(255) as u8]);
            put(image, 15, &r.0.to_le_bytes());
        }
        Damage::MaxRevision(r) => put(image, 17, &r.0.to_le_bytes()),
        Damage::SegmentCount(n) => put(image, 1, &[n]),
        Damage::SegmentLength(length) => put(image, 28, &length.to_le_bytes()),
        Damage::LoadAddress(addr) => put(image, 24, &addr.to_le_bytes()),
        Damage::Checksum => flip(image, from_end(if hash_appended { 33 } else { 1 })),
        Damage::Hash => flip(image, from_end(1)),
        Damage::Bit => flip(image, from_end(len / 2)),
        Damage::Truncate(to) => image.truncate(to),
    }
}

fn put(image: &mut [u8], offset: usize, bytes: &[u8]) {
    if let Some(target) = image.get_mut(offset..).and_then(|t| t.get_mut(..bytes.len())) {
        target.copy_from_slice(bytes);
    }
}

fn flip(image: &mut [u8], offset: usize) {
    if let Some(byte) = image.get_mut(offset) {
        *byte ^= 1;
    }
}

/// Where the checksum byte of a well-formed image lies.
fn checksum_position(image: &[u8]) -> Option<usize> {
    let count = *image.get(1)?;
    let mut at = HEADER_SIZE;
    for _ in 0..count {
        let len = crate::bytes::le32(image, at.checked_add(4)?)? as usize;
        at = at.checked_add(SEGMENT_HEADER_SIZE)?.checked_add(len)?;
    }
    Some(at | 15).filter(|at| *at < image.len())
}

#[cfg(test)]
mod tests;
