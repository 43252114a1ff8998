//! Files without secrets: images, partition tables, otadata, eFuse files, scenario documents.

use super::Cursor;
use crate::{
    efuse::{Efuses, Format},
    scenario,
    strategy::image::IDF_LINES,
};
use dryburn::{
    Chip, Revision, SECTOR, SecureBootScheme,
    image::{
        self, BadDestination, Event, HEADER_SIZE, Kind, Loader, Purpose, Refusal, Region, Rules, SignaturePolicy,
        Target, V2Policy,
    },
    otadata::{self, Entry, State},
    partition::{
        self, PartitionType,
        csv::{self, Options},
    },
    secure_boot::KeyDigest,
};
use embedded_storage::nor_flash::{ErrorType, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use sha2::{Digest, Sha256};

/// Bytes in a flash that is erased behind them, and how much was read of it.
struct Counted<'a> {
    bytes: &'a [u8],
    capacity: usize,
    read: u64,
}

/// A read that leaves the flash.
#[derive(Debug)]
struct Outside;

impl NorFlashError for Outside {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::OutOfBounds
    }
}

impl ErrorType for Counted<'_> {
    type Error = Outside;
}

impl ReadNorFlash for Counted<'_> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), Outside> {
        let from = offset as usize;
        self.read += buf.len() as u64;
        if from.checked_add(buf.len()).is_none_or(|end| end > self.capacity) {
            return Err(Outside);
        }
        buf.fill(0xFF);
        let there = self.bytes.get(from..).unwrap_or_default();
        buf.iter_mut().zip(there).for_each(|(to, byte)| *to = *byte);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.capacity
    }
}

/// An image file: what the boot code of any chip and ESP-IDF makes of it.
///
/// # Panics
/// When what is asserted does not hold, as all functions here.
pub fn image(input: &[u8]) {
    let mut cursor = Cursor(input);
    let [board, idf, rules, place, revision, block, size_low, size_high] = cursor.array();
    let bytes = cursor.0;
    let named = bytes.get(12..14).map(|id| u16::from_le_bytes([id[0], id[1]]));
    let chip = Chip::ALL.into_iter().find(|chip| board == 0 && named == Some(chip.spec().image_chip_id));
    let chip = chip.unwrap_or(Chip::ALL[usize::from(board) % Chip::ALL.len()]);
    let target = Target {
        chip,
        revision: Revision(u16::from(revision) * 3),
        block_revision: Some(Revision(block.into())).filter(|_| chip != Chip::Esp32),
        ignore_max_revision: rules & 1 != 0,
        ignore_max_block_revision: rules & 2 != 0,
        idf: IDF_LINES[usize::from(idf) % IDF_LINES.len()],
    };
    let kind = if rules & 4 != 0 { Kind::Bootloader } else { Kind::App };
    let ram = chip.spec().memory.dram.start;
    let loader = Loader { stack: ram..ram + 0x100, ..Loader::default() };
    let purpose = if rules & 8 != 0 { Purpose::Load(&loader) } else { Purpose::Verify };
    let signature = match rules >> 4 & 3 {
        1 => Some(SignaturePolicy::V1 { public_key: [7; 64] }),
        policy @ (2 | 3) => {
            let scheme = SecureBootScheme::V2EcdsaP256;
            Some(SignaturePolicy::V2(V2Policy {
                scheme,
                trusted: [Some(KeyDigest::Whole([0; 32])), None, None],
                enforced: policy == 3,
            }))
        }
        _ => None,
    };
    let capacity = bytes.len().next_multiple_of(SECTOR as usize) + usize::from(place >> 4) * SECTOR as usize;
    let size = match u16::from_le_bytes([size_low, size_high]) {
        0 => capacity as u32,
        pages => u32::from(pages) * 0x100,
    };
    let region = Region { offset: u32::from(place & 3) * 4, size };
    let rules = Rules { target: &target, kind, purpose, signature: signature.as_ref() };
    let mut flash = Counted { bytes, capacity, read: 0 };
    let mut told = Vec::new();
    let verdict = image::verify(&mut flash, region, &rules, &mut |event| told.push(event));

    // a signed image is hashed a second time where its signature does not verify
    let most = 2 * capacity as u64 + 0x4000;
    assert!(flash.read <= most, "{} bytes read of {capacity}: {verdict:?}", flash.read);
    let refusals: Vec<Refusal> = told
        .iter()
        .filter_map(|event| if let Event::Refused(refusal) = event { Some(*refusal) } else { None })
        .collect();
    match verdict {
        Ok(verified) => {
            assert_eq!(refusals, [], "accepted");
            assert!(verified.length <= region.size, "{verified:?} in {region:?}");
            let hashed = verified.header.hash_appended() == 1;
            // nobody looks at the hash of a bootloader, so in a region that leaves the flash it may lie outside
            let unread = if hashed && kind == Kind::Bootloader && signature.is_none() { 32 } else { 0 };
            let end = region.offset as usize + verified.length as usize;
            assert!(end <= capacity + unread, "{verified:?} in {capacity} bytes");
            let mut whole = vec![0; verified.length as usize];
            let inside = whole.len() - (end.max(capacity) - capacity);
            assert!(flash.read(region.offset, &mut whole[..inside]).is_ok());
            assert_eq!(verified.header.to_bytes()[..], whole[..HEADER_SIZE]);
            if hashed {
                let (hashed, hash) = whole.split_at(whole.len() - 32);
                assert_eq!(Sha256::digest(hashed)[..], verified.digest);
                assert!(kind == Kind::Bootloader || signature.is_some() || hash == verified.digest);
            }
        }
        Err(refusal) => {
            assert!(refusals.contains(&refusal), "{refusal:?} was not told: {refusals:?}");
            assert!(refusals.len() == 1 || !target.idf.since(4, 3), "{refusals:?}");
            let in_stack = matches!(refusal, Refusal::Destination { reason: BadDestination::Data, .. });
            assert!(!in_stack, "the loader has no data");
            let _ = refusal.to_string();
        }
    }
}

/// A binary partition table.
///
/// # Panics
/// As [`image()`].
pub fn partition_table(input: &[u8]) {
    for record in input.chunks_exact(partition::ENTRY_SIZE) {
        let entry = partition::Entry::parse(record).expect("32 bytes are a record");
        assert_eq!(entry.to_bytes(), record);
    }
    let entries: Vec<_> = partition::entries(input).collect();
    let flash_size = 0x40_0000;
    match partition::verify(input, flash_size) {
        Ok(verified) => {
            assert!(verified.count < partition::MAX_RECORDS && verified.count == entries.len());
            assert!(entries.iter().all(|entry| entry.end() <= flash_size.into()));
            let again = partition::build(&entries, verified.md5.is_some());
            if let Ok(table) = again {
                let ends = verified.md5.is_none_or(|index| index == entries.len());
                assert!(!ends || input.starts_with(&table[..verified.count * partition::ENTRY_SIZE]));
                assert_eq!(partition::verify(&table, flash_size).map(|v| v.count), Ok(verified.count));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(count) = partition::verify_as_application(input) {
        assert_eq!(partition::entries(input).take(count).count(), count.min(entries.len()));
    }
    let options = Options::default();
    let mut log = Vec::new();
    match csv::from_binary(input, &options, &mut log) {
        Ok(partitions) => {
            let _ = csv::verify(&partitions, &options, &mut log);
            let text = csv::to_csv(&partitions, &options);
            // the generator gives bootloaders and tables a place and a size of its own
            let placed = [PartitionType::BOOTLOADER, PartitionType::PARTITION_TABLE];
            let plain =
                |p: &csv::Partition| p.name.bytes().all(|b| b.is_ascii_alphanumeric()) && !placed.contains(&p.kind);
            let again = csv::parse(&text, &options);
            if let Ok(again) = again
                && partitions.iter().all(plain)
            {
                let fields = |list: &[csv::Partition]| list.iter().map(|p| p.entry()).collect::<Vec<_>>();
                assert_eq!(fields(&again), fields(&partitions), "{text}");
            }
        }
        Err(diagnostic) => assert!(!diagnostic.message.is_empty()),
    }
}

/// A partition CSV.
///
/// # Panics
/// As [`image()`].
pub fn partition_csv(input: &[u8]) {
    let mut cursor = Cursor(input);
    let [switches, table] = cursor.array();
    let environment = |name: &str| (name == "HOME").then(|| "a, data".to_string());
    let options = Options {
        table_offset: u32::from(table) * 0x1000,
        primary_bootloader_offset: (switches & 1 != 0).then_some(0x1000),
        recovery_bootloader_offset: (switches & 2 != 0).then_some(0x20_0000),
        secure: [None, Some(csv::Secure::V1), Some(csv::Secure::V2), None][usize::from(switches >> 2 & 3)],
        md5: switches & 16 == 0,
        environment: (switches & 32 != 0).then_some(&environment),
        ..Options::default()
    };
    let Ok(text) = csv::decode(cursor.0) else { return };
    match csv::parse(&text, &options) {
        Ok(partitions) => {
            let good = csv::verify(&partitions, &options, &mut Vec::new()).is_ok();
            let _ = csv::verify_size_fits(&partitions, 0x40_0000);
            let entries: Vec<_> = partitions.iter().map(csv::Partition::entry).collect();
            let Ok(table) = partition::build(&entries, options.md5) else { return };
            let read = csv::from_binary(&table, &options, &mut Vec::new());
            // a label is cut after 16 bytes, maybe inside of a character, and ends at its first NUL
            let short = |p: &csv::Partition| p.name.len() <= 16 && !p.name.contains('\0');
            if good && partitions.iter().all(short) {
                let rows = |list: &[csv::Partition]| list.iter().map(|p| p.to_csv(&options)).collect::<Vec<_>>();
                assert_eq!(read.as_deref().map(rows), Ok(rows(&partitions)));
            }
        }
        Err(diagnostic) => {
            let line = csv::lines(&text).nth(diagnostic.line.saturating_sub(1));
            assert!(diagnostic.line >= 1 && diagnostic.column >= 1 && diagnostic.length >= 1, "{diagnostic:?}");
            let most = line.map_or(0, |line| line.chars().count());
            assert!(diagnostic.column + diagnostic.length - 1 <= most.max(1), "{diagnostic:?} in {line:?}");
        }
    }
}

/// The two entries of an otadata partition, and an update.
///
/// # Panics
/// As [`image()`].
pub fn otadata(input: &[u8]) {
    let mut cursor = Cursor(input);
    let [slots, slot, state, same_sector_rule] = cursor.array();
    let (slots, slot, same_sector_rule) = (u32::from(slots % 17), u32::from(slot % 17), same_sector_rule & 1 != 0);
    let state = State::from_word(if state == 0xFF { u32::MAX } else { state.into() });
    let raw: [[u8; otadata::ENTRY_SIZE]; 2] = [cursor.array(), cursor.array()];
    let pair = raw.map(Entry::from_bytes);
    for (entry, raw) in pair.iter().zip(raw) {
        assert_eq!(entry.to_bytes(), raw);
        assert_eq!(State::from_word(entry.state().to_word()), entry.state());
        assert!(!entry.is_valid() || (entry.crc_matches() && !entry.is_initial()));
        assert_eq!(entry.slot(slots).is_none(), slots == 0);
    }
    let active = otadata::active(&pair);
    assert!(active.is_none_or(|index| pair[index].is_valid()));
    let Some(update) = otadata::select(&pair, slot, slots, state, same_sector_rule) else { return };
    assert!(update.sector < 2 && slot < slots);
    assert!(update.entry.crc_matches() && update.entry.state() == state);
    // an entry of zeros counts as valid and maps like 0xFFFFFFFF; ESP-IDF goes on from there just so
    if update.entry.ota_seq() == 0 {
        return;
    }
    assert_eq!(update.entry.slot(slots), Some(slot));
    let mut after = pair;
    after[update.sector] = update.entry;
    if !matches!(state, State::Invalid | State::Aborted) {
        let chosen = otadata::active(&after).and_then(|index| after[index].slot(slots));
        assert_eq!(chosen, Some(slot), "{pair:?} then {update:?}");
    }
}

/// An eFuse file in any form.
///
/// # Panics
/// As [`image()`].
pub fn efuse_file(input: &[u8]) {
    let mut cursor = Cursor(input);
    let chip = Chip::ALL.get(usize::from(cursor.byte()).wrapping_sub(1) % 16).copied();
    match Efuses::parse(cursor.0, chip) {
        Ok(efuses) => {
            assert!(chip.is_none_or(|chip| chip == efuses.chip()));
            for format in [Format::Raw, Format::Virt, Format::Qemu] {
                let written = efuses.to_bytes(format);
                // eFuses that spell a text are taken for one; no key that was drawn at random does
                if std::str::from_utf8(&written).is_ok_and(|text| !text.contains('\0')) {
                    continue;
                }
                let again = Efuses::parse(&written, Some(efuses.chip())).expect("a file that was written");
                assert_eq!(again.to_bytes(format), written, "{format:?}");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A scenario document.
///
/// # Panics
/// As [`image()`].
pub fn scenario(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match scenario::parse("scenario.md", text) {
        Ok(mut document) => {
            document.forget_positions();
            let text = document.emit();
            let again = scenario::parse("scenario.md", &text);
            let Ok(mut again) = again else { panic!("{text}\n{again:?}") };
            again.forget_positions();
            assert_eq!(again, document, "{text}");
        }
        Err(diagnostics) => {
            assert!((1..=20).contains(&diagnostics.len()));
            for diagnostic in diagnostics {
                assert!(diagnostic.line >= 1 && diagnostic.line <= text.matches('\n').count() + 1);
                assert!(diagnostic.column >= 1 && diagnostic.render(false).starts_with("error: "));
            }
        }
    }
}
