//! What is known of the bootloader that lies in flash: which ESP-IDF built it, and the memory it occupies.

use crate::bus::CpuView;
use dryburn::{
    Chip, IdfVersion,
    image::{
        BOOTLOADER_DESCRIPTOR_MAGIC, BOOTLOADER_DESCRIPTOR_SIZE, BootloaderDescriptor, DESCRIPTOR_OFFSET, HEADER_SIZE,
        Header, Loader, SEGMENT_HEADER_SIZE, SegmentHeader,
    },
};

/// The bootloader as it was built.
#[derive(Clone, Debug)]
pub struct Build {
    /// ESP-IDF release line.
    pub idf: IdfVersion,
    /// The version as it prints it.
    pub idf_text: String,
    /// The compile time as it prints it, if it does.
    pub compile_time: Option<String>,
    /// Its own memory, which no app segment may overwrite.
    pub loader: Loader,
    /// Size of the flash chip in bytes as its header states it; the ROM's flash driver believes the header, not the chip.
    pub flash_size: u32,
}

/// A bootloader is searched for a version text up to here: the first address that an app, which has one too, can have.
const SEARCHED: u32 = 64 * 1024;

impl Build {
    /// Finds out about the bootloader at `offset`. `told` is the ESP-IDF version that the user states; else the
    /// bootloader descriptor tells it (ESP-IDF 5.2 and later), else a version text in the image, else the newest is taken.
    pub fn inspect(view: &CpuView<'_>, chip: Chip, offset: u32, told: Option<IdfVersion>) -> Self {
        let descriptor = descriptor(view, offset);
        let carried = match &descriptor {
            Some(d) => Some(d.idf_ver().to_owned()),
            None => version_text(view, offset),
        };
        let idf = told.or_else(|| carried.as_deref()?.parse().ok()).unwrap_or(IdfVersion::LATEST);
        let date_time = descriptor.as_ref().map(|d| d.date_time().to_owned()).unwrap_or_default();
        let compile_time =
            if idf.since(5, 2) { Some(date_time).filter(|t| !t.is_empty()) } else { Some("00:00:00".into()) };
        Self {
            idf,
            idf_text: carried.filter(|t| !t.is_empty()).unwrap_or_else(|| format!("v{idf}")),
            compile_time,
            loader: memory(view, chip, offset).unwrap_or_default(),
            flash_size: flash_size(view, offset),
        }
    }
}

/// Codes behind 128 MB count as 2 MB.
fn flash_size(view: &CpuView<'_>, offset: u32) -> u32 {
    let mut raw = [0; HEADER_SIZE];
    let code = view.fill(offset, &mut raw).map_or(u8::MAX, |()| Header::from_bytes(raw).spi_size());
    if code < 8 { 0x10_0000 << code } else { 0x20_0000 }
}

fn descriptor(view: &CpuView<'_>, offset: u32) -> Option<BootloaderDescriptor> {
    let mut raw = [0; BOOTLOADER_DESCRIPTOR_SIZE];
    view.fill(offset.checked_add(DESCRIPTOR_OFFSET)?, &mut raw).ok()?;
    let descriptor = BootloaderDescriptor::from_bytes(raw);
    (descriptor.magic_byte() == BOOTLOADER_DESCRIPTOR_MAGIC && descriptor.idf_ver().starts_with('v'))
        .then_some(descriptor)
}

/// Bootloaders before 5.2 carry their version only as a text that they print: `v4.2-dev-130-g6f359df58f`.
fn version_text(view: &CpuView<'_>, offset: u32) -> Option<String> {
    let mut raw = vec![0; SEARCHED.saturating_sub(offset) as usize];
    view.fill(offset, &mut raw).ok()?;
    raw.split(|b| *b == 0).find_map(|text| {
        let text = std::str::from_utf8(text).ok()?;
        let version: IdfVersion = text.strip_prefix('v')?.parse().ok()?;
        let plausible =
            (3..=9).contains(&version.major) && text.len() < 64 && text.chars().all(|c| c.is_ascii_graphic());
        plausible.then(|| text.to_owned())
    })
}

/// The memory that the bootloader occupies, read off its own segments: static data is its segment in DRAM, the loader is
/// the code segment that does not hold the entry point. The ROM's stack lies below a fixed address.
fn memory(view: &CpuView<'_>, chip: Chip, offset: u32) -> Option<Loader> {
    let mut raw = [0; HEADER_SIZE];
    view.fill(offset, &mut raw).ok()?;
    let header = Header::from_bytes(raw);
    let dram = &chip.spec().memory.dram;
    let mut loader = Loader::default();
    let mut at = offset.checked_add(HEADER_SIZE as u32)?;
    for _ in 0..header.segment_count().min(16) {
        let mut raw = [0; SEGMENT_HEADER_SIZE];
        view.fill(at, &mut raw).ok()?;
        let SegmentHeader { load_addr, data_len } = SegmentHeader::from_bytes(raw);
        let range = load_addr..load_addr.checked_add(data_len)?;
        if dram.contains(&load_addr) && load_addr < chip.spec().memory.iram.start {
            // several consecutive segments make up the data
            loader.data.start = if loader.data.is_empty() { range.start } else { loader.data.start.min(range.start) };
            loader.data.end = loader.data.end.max(range.end);
        } else if !range.contains(&header.entry_addr()) {
            loader.iram = range;
        }
        at = at.checked_add(SEGMENT_HEADER_SIZE as u32)?.checked_add(data_len)?;
    }
    loader.stack = rom_stack(chip);
    Some(loader)
}

/// Where the ROM puts the stack that the bootloader runs on, and the head room that the loader keeps below it. Known for
/// two chips only (ESP-IDF `soc.h`, `SOC_ROM_STACK_START`); elsewhere the check is left out.
fn rom_stack(chip: Chip) -> std::ops::Range<u32> {
    const HEADROOM: u32 = 32 * 1024;
    match chip {
        Chip::Esp32 => 0x3FFE_3F20 - HEADROOM..0x3FFE_3F20,
        Chip::Esp32c3 => 0x3FCD_E710 - HEADROOM..0x3FCD_E710,
        _ => 0..0,
    }
}
