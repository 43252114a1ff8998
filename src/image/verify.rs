//! Streaming verification, in the order in which ESP-IDF's `esp_image_load` checks (behaviour sheet §2.5).

use super::{
    BadDestination, CHECKSUM_SEED, Event, HASH_SIZE, HEADER_SIZE, Header, Kind, MAGIC, MAX_SEGMENTS, Refusal,
    SEGMENT_HEADER_SIZE, SegmentHeader, SegmentUse, SignaturePolicy, header, signature,
};
use crate::{Chip, IdfVersion, Revision, bytes, secure_boot::ImageDigest};
use core::ops::Range;
use embedded_storage::nor_flash::ReadNorFlash;
use sha2::{Digest, Sha256, Sha384};

/// Bytes read from flash at a time.
const CHUNK: usize = 1024;
/// Segments and partitions of chips with a narrow cache map end here.
const SIXTEEN_MB: u32 = 16 * 1024 * 1024;

/// Where the image lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Flash address of the first byte.
    pub offset: u32,
    /// Size of the partition in bytes.
    pub size: u32,
}

/// The chip that shall run the image, and the boot code that looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The chip.
    pub chip: Chip,
    /// Its silicon revision.
    pub revision: Revision,
    /// eFuse block revision; `None` on the ESP32, which has none.
    pub block_revision: Option<Revision>,
    /// eFuse DISABLE_WAFER_VERSION_MAJOR: the maximum chip revision is not looked at.
    pub ignore_max_revision: bool,
    /// eFuse DISABLE_BLK_VERSION_MAJOR: the maximum eFuse block revision is not looked at.
    pub ignore_max_block_revision: bool,
    /// ESP-IDF release that built the boot code.
    pub idf: IdfVersion,
}

/// Why the image is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// To find out whether it is good.
    Verify,
    /// To start it: RAM segments are copied, so their destination matters.
    Load(&'a Loader),
}

/// The memory that the running bootloader itself occupies: half-open CPU addresses, empty where unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loader {
    /// Its stack.
    pub stack: Range<u32>,
    /// Its static data.
    pub data: Range<u32>,
    /// The code that copies segments.
    pub iram: Range<u32>,
}

/// What is asked of the image.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Chip and boot code.
    pub target: &'a Target,
    /// App or bootloader.
    pub kind: Kind,
    /// Verify or load.
    pub purpose: Purpose<'a>,
    /// Whose signature it must carry, if any.
    pub signature: Option<&'a SignaturePolicy>,
}

/// A good image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Length in bytes, the appended hash included, a signature not. The hash of a bootloader is not looked at: in a region
    /// that leaves the flash it may lie outside.
    pub length: u32,
    /// The header.
    pub header: Header,
    /// SHA-256 over everything before the appended hash.
    pub digest: [u8; 32],
    /// Which mapped segments there are: data and code.
    pub maps: Maps,
}

/// The mapped segments of an image. The hand-over needs one of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maps {
    /// Segments in the data window.
    pub drom: u8,
    /// Segments in the code window.
    pub irom: u8,
}

/// Verifies the image in `region`. The observer hears of everything in the order of the real boot code; a refusal is told
/// to it once, at its place, and returned.
///
/// Reads `flash` in pieces of at most 1 KiB and never beyond its capacity; needs no allocator.
///
/// # Errors
/// The first check that fails.
pub fn verify<F: ReadNorFlash>(
    flash: &mut F,
    region: Region,
    rules: &Rules<'_>,
    observer: &mut dyn FnMut(Event),
) -> Result<Verified, Refusal> {
    let sha =
        Hashes { sha256: Sha256::new(), sha384: rules.signature.filter(|p| p.is_sha384()).map(|_| Sha384::new()) };
    let result = Pass { flash, region, rules, observer: &mut *observer, sha, xor: CHECKSUM_SEED }.run();
    if let Err(refusal) = result
        && !is_told_early(&refusal, rules)
    {
        observer(Event::Refused(refusal));
    }
    result
}

/// ESP-IDF up to 4.2 goes on for a few lines after a wrong magic byte or chip id; those refusals are told where they occur.
fn is_told_early(refusal: &Refusal, rules: &Rules<'_>) -> bool {
    !rules.target.idf.since(4, 3) && matches!(refusal, Refusal::BadMagic { .. } | Refusal::WrongChip { .. })
}

struct Pass<'a, F> {
    flash: &'a mut F,
    region: Region,
    rules: &'a Rules<'a>,
    observer: &'a mut dyn FnMut(Event),
    sha: Hashes,
    xor: u8,
}

/// The hash that images carry, and beside it the one that is signed where that is another.
#[derive(Clone)]
struct Hashes {
    sha256: Sha256,
    sha384: Option<Sha384>,
}

impl Hashes {
    fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(sha384) = &mut self.sha384 {
            sha384.update(bytes);
        }
    }

    fn sha256(&self) -> [u8; 32] {
        self.sha256.clone().finalize().into()
    }

    fn signed(&self) -> ImageDigest {
        match &self.sha384 {
            Some(sha384) => ImageDigest::Sha384(sha384.clone().finalize().into()),
            None => ImageDigest::Sha256(self.sha256()),
        }
    }
}

impl<F: ReadNorFlash> Pass<'_, F> {
    fn run(mut self) -> Result<Verified, Refusal> {
        let Region { offset, size } = self.region;
        if size > SIXTEEN_MB && !self.wide_map() {
            return Err(Refusal::PartitionTooLarge { size });
        }
        let raw: [u8; HEADER_SIZE] = self.read(offset)?;
        self.sha.update(&raw);
        let header = Header::from_bytes(raw);
        self.check_header(&header)?;

        let mut maps = Maps::default();
        let mut next = offset.checked_add(HEADER_SIZE as u32).ok_or(Refusal::Wrapped)?;
        for index in 0..header.segment_count() {
            next = self.segment(index, next, &mut maps)?;
        }
        self.trailer(next, &header).map(|(length, digest)| Verified { length, header, digest, maps })
    }

    fn wide_map(&self) -> bool {
        self.rules.target.chip.spec().wide_map
    }

    fn read<const N: usize>(&mut self, address: u32) -> Result<[u8; N], Refusal> {
        let mut buf = [0; N];
        self.flash.read(address, &mut buf).map_err(|_| Refusal::ReadFailed { address })?;
        Ok(buf)
    }

    fn check_header(&mut self, header: &Header) -> Result<(), Refusal> {
        let offset = self.region.offset;
        let target = self.rules.target;
        let old = !target.idf.since(4, 3);
        let mut magic = Ok(());
        if header.magic() != MAGIC {
            let refusal = Refusal::BadMagic { offset, found: header.magic() };
            if !old {
                return Err(refusal);
            }
            (self.observer)(Event::Refused(refusal));
            magic = Err(refusal);
        }
        if old {
            if header.spi_mode() > 5 {
                (self.observer)(Event::SpiModeOdd { offset, mode: header.spi_mode() });
            }
            if header.spi_size() > 5 {
                (self.observer)(Event::SpiSizeOdd { offset, size: header.spi_size() });
            }
        }
        magic?;
        self.check_chip(header)?;
        if header.segment_count() > MAX_SEGMENTS {
            return Err(Refusal::TooManySegments { offset, count: header.segment_count() });
        }
        Ok(())
    }

    fn check_chip(&mut self, header: &Header) -> Result<(), Refusal> {
        check_chip(header, self.rules.kind, self.rules.target, self.observer)
    }

    /// One segment; gives the flash address behind it.
    fn segment(&mut self, index: u8, at: u32, maps: &mut Maps) -> Result<u32, Refusal> {
        let raw: [u8; SEGMENT_HEADER_SIZE] = self.read(at)?;
        self.sha.update(&raw);
        let SegmentHeader { load_addr, data_len: length } = SegmentHeader::from_bytes(raw);
        let flash_address = at.checked_add(SEGMENT_HEADER_SIZE as u32).ok_or(Refusal::Wrapped)?;
        if !length.is_multiple_of(4) || (length >= SIXTEEN_MB && !self.wide_map()) {
            return Err(Refusal::SegmentLength { index, length });
        }
        let app = self.rules.kind == Kind::App;
        if index == 0 && app && self.rules.target.idf.since(6, 2) && length < header::APP_DESCRIPTOR_SIZE as u32 {
            return Err(Refusal::NoRoomForDescriptor { index, length });
        }
        let page = self.mmu_page(index, flash_address)?;
        let window = self.window(load_addr);
        if window != Window::None && flash_address.checked_rem(page) != load_addr.checked_rem(page) {
            return Err(Refusal::Misaligned { index, load_addr, flash_address });
        }
        let loads = matches!(self.rules.purpose, Purpose::Load(_)) && app;
        let action = match window {
            Window::Data | Window::Code => SegmentUse::Map,
            Window::None if loads && load_addr >= NOT_LOADED_BELOW => SegmentUse::Load,
            Window::None => SegmentUse::Skip,
        };
        match window {
            Window::Data => maps.drom = maps.drom.saturating_add(1),
            Window::Code => maps.irom = maps.irom.saturating_add(1),
            Window::None => {}
        }
        (self.observer)(Event::Segment { index, flash_address, load_addr, length, action });
        if action == SegmentUse::Load {
            self.check_destination(index, load_addr, length)?;
        }
        // looked at with the first piece of data, so not in a segment without any
        if index == 0 && app && length > 0 {
            self.check_block_revision(flash_address)?;
        }
        let end = flash_address.checked_add(length).ok_or(Refusal::Wrapped)?;
        if end as usize > self.flash.capacity() {
            return Err(Refusal::BeyondFlash { index, flash_address, length });
        }
        self.data(flash_address, end)?;
        Ok(end)
    }

    /// The MMU page size that the image was linked for; chips with a choice say it in the app descriptor.
    fn mmu_page(&mut self, index: u8, flash_address: u32) -> Result<u32, Refusal> {
        let pages = self.rules.target.chip.spec().mmu_pages;
        let default = pages.first().copied().unwrap_or(0x1_0000);
        if pages.len() < 2 || self.rules.kind != Kind::App {
            return Ok(default);
        }
        // the descriptor is in segment 0, whose data begins at a fixed place
        let first = self.region.offset.saturating_add(header::DESCRIPTOR_OFFSET);
        let at = if index == 0 { flash_address } else { first };
        let magic = u32::from_le_bytes(self.read(at)?);
        if magic != header::APP_DESCRIPTOR_MAGIC {
            return Err(Refusal::NoDescriptor { found: magic });
        }
        let [log2] = self.read(at.saturating_add(180))?;
        Ok(if (13..=18).contains(&log2) { 1u32.wrapping_shl(u32::from(log2)) } else { default })
    }

    fn window(&self, load_addr: u32) -> Window {
        let memory = &self.rules.target.chip.spec().memory;
        if memory.irom.contains(&load_addr) {
            Window::Code
        } else if memory.drom.contains(&load_addr) || memory.mapped.iter().any(|r| r.contains(&load_addr)) {
            Window::Data
        } else {
            Window::None
        }
    }

    fn check_destination(&self, index: u8, start: u32, length: u32) -> Result<(), Refusal> {
        let Purpose::Load(loader) = self.rules.purpose else { return Ok(()) };
        let end = start.saturating_add(length);
        if start == end {
            return Ok(());
        }
        let memory = &self.rules.target.chip.spec().memory;
        let inside = |r: &Range<u32>| r.contains(&start) && end <= r.end;
        let hits = |r: &Range<u32>| !r.is_empty() && start < r.end && r.start < end;
        let reason = if inside(&memory.dram) && hits(&loader.stack) {
            Some(BadDestination::Stack)
        } else if inside(&memory.dram) && hits(&loader.data) {
            Some(BadDestination::Data)
        } else if inside(&memory.iram) && hits(&loader.iram) {
            Some(BadDestination::LoaderIram)
        } else if inside(&memory.dram) || inside(&memory.iram) || memory.rtc.iter().any(inside) {
            None
        } else {
            Some(BadDestination::Range)
        };
        reason.map_or(Ok(()), |reason| Err(Refusal::Destination { index, start, end, reason }))
    }

    fn check_block_revision(&mut self, flash_address: u32) -> Result<(), Refusal> {
        let Some(found) = self.rules.target.block_revision else { return Ok(()) };
        if !self.rules.target.idf.since(5, 1) {
            return Ok(());
        }
        let Ok(raw) = self.read::<4>(flash_address.saturating_add(176)) else { return Ok(()) };
        let min = Revision(bytes::le16(&raw, 0).unwrap_or(0));
        let max = Revision(bytes::le16(&raw, 2).unwrap_or(0));
        if is_limit(min) && found < min {
            return Err(Refusal::BlockRevisionTooLow { required: min, found });
        }
        if is_limit(max) && found > max && !self.rules.target.ignore_max_block_revision {
            return Err(Refusal::BlockRevisionTooHigh { required: max, found });
        }
        Ok(())
    }

    /// Hashes and sums the bytes from `at` to `end`.
    fn data(&mut self, mut at: u32, end: u32) -> Result<(), Refusal> {
        let mut buf = [0; CHUNK];
        while at < end {
            let len = (end.saturating_sub(at) as usize).min(CHUNK);
            let Some(piece) = buf.get_mut(..len) else { break };
            self.flash.read(at, piece).map_err(|_| Refusal::ReadFailed { address: at })?;
            self.sha.update(piece);
            self.xor = piece.iter().fold(self.xor, |x, b| x ^ b);
            at = at.saturating_add(len as u32);
        }
        Ok(())
    }

    /// Everything behind the last segment: checksum, size, then hash or signature. Gives length and digest.
    fn trailer(mut self, end: u32, header: &Header) -> Result<(u32, [u8; 32]), Refusal> {
        let start = self.region.offset;
        let unpadded = end.checked_sub(start).ok_or(Refusal::Wrapped)?;
        // the checksum byte is the last of a 16-byte block
        let length = unpadded.checked_add(16).ok_or(Refusal::Wrapped)? & !15;
        let stored_end = start.checked_add(length).ok_or(Refusal::Wrapped)?;
        let calculated = self.xor;
        self.data(end, stored_end)?;
        let [read] = self.read(stored_end.saturating_sub(1))?;
        if calculated != read {
            return Err(Refusal::Checksum { calculated, read });
        }
        let hash_appended = header.hash_appended() == 1;
        let image_len = if hash_appended { length.checked_add(HASH_SIZE).ok_or(Refusal::Wrapped)? } else { length };
        let full = match self.rules.signature {
            None => Some(image_len),
            Some(policy) => policy.end(image_len),
        };
        let full = full.ok_or(Refusal::Wrapped)?;
        if full > self.region.size {
            return Err(Refusal::TooLong { length: full, partition: self.region.size });
        }
        let digest = self.sha.sha256();
        if let Some(policy) = self.rules.signature {
            self.signature(policy, image_len, stored_end)?;
        } else if hash_appended && self.checks_hash() && self.read::<32>(stored_end)? != digest {
            return Err(Refusal::Hash);
        }
        Ok((image_len, digest))
    }

    fn signature(&mut self, policy: &SignaturePolicy, image_len: u32, hashed_to: u32) -> Result<(), Refusal> {
        (self.observer)(Event::VerifyingSignature);
        let at = self.region.offset.saturating_add(policy.start(image_len));
        self.data(hashed_to, at)?;
        let signed = self.sha.signed();
        if signature::check(self.flash, at, policy, &signed, self.rules.target, self.observer)? {
            return Ok(());
        }
        Err(Refusal::Signature { hash_matches: self.last_hash_matches(image_len)? })
    }

    /// ESP-IDF does not check the hash of a bootloader: flashing tools may have patched its header (formats sheet §1.5).
    fn checks_hash(&self) -> bool {
        self.rules.kind == Kind::App
    }

    /// Whether the last 32 bytes of the image are the SHA-256 of those before, whatever the header says.
    fn last_hash_matches(&mut self, image_len: u32) -> Result<bool, Refusal> {
        let start = self.region.offset;
        let hash_at = start.saturating_add(image_len.saturating_sub(HASH_SIZE));
        self.sha = Hashes { sha256: Sha256::new(), sha384: None };
        self.data(start, hash_at)?;
        Ok(self.read::<32>(hash_at)? == self.sha.sha256())
    }
}

/// Whether `header` is for this chip and its revision: the check that the second stage makes of its own header, and of
/// every app. The observer hears only what ESP-IDF states beside the verdict, and what it goes on after.
///
/// # Errors
/// Wrong chip, or a revision outside of what the header allows.
pub fn check_chip(
    header: &Header,
    kind: Kind,
    target: &Target,
    observer: &mut dyn FnMut(Event),
) -> Result<(), Refusal> {
    let expected = target.chip.spec().image_chip_id;
    let chip = if header.chip_id() == expected {
        Ok(())
    } else {
        Err(Refusal::WrongChip { expected, found: header.chip_id() })
    };
    if !target.idf.since(4, 3) {
        if let Err(refusal) = chip {
            observer(Event::Refused(refusal));
        }
        // only the major revision counts here
        let (found, minimum) = (target.revision.major(), header.min_chip_rev());
        if found < u16::from(minimum) {
            let required = Revision::new(u16::from(minimum), 0);
            return Err(Refusal::RevisionTooLow { required, found: target.revision });
        }
        if found > u16::from(minimum) {
            observer(Event::RevisionStated { kind, chip: found, minimum });
        }
        return chip;
    }
    chip?;
    let (min, max) = (header.min_chip_rev_full(), header.max_chip_rev_full());
    if target.revision < min {
        return Err(Refusal::RevisionTooLow { required: min, found: target.revision });
    }
    if kind == Kind::App && !target.ignore_max_revision && is_limit(max) && target.revision > max {
        return Err(Refusal::RevisionTooHigh { required: max, found: target.revision });
    }
    Ok(())
}

/// Load addresses below this mean "not loaded": 0 is padding.
const NOT_LOADED_BELOW: u32 = 0x1000_0000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Window {
    Data,
    Code,
    None,
}

/// 0 and 65535 mean that there is no limit.
fn is_limit(revision: Revision) -> bool {
    revision.0 != 0 && revision.0 != u16::MAX
}

#[cfg(test)]
mod tests;
