//! Images: no bytes that upset or stall verification, what is built is accepted, what is damaged is refused for just that
//! damage, and images made by esptool are what their ELF files say.

use dryburn::{
    Chip, IdfVersion, Revision,
    image::{
        self, APP_DESCRIPTOR_MAGIC, APP_DESCRIPTOR_SIZE, AppDescriptor, BOOTLOADER_DESCRIPTOR_SIZE,
        BootloaderDescriptor, Event, HEADER_SIZE, Header, Kind, Loader, Purpose, Refusal, Region, Rules,
        SEGMENT_HEADER_SIZE, SegmentHeader, Target, Verified,
    },
};
use dryburn_sim::{
    flash::{Flash, FlashError},
    strategy::image::{self as strategy, FLASH_SIZE, Placed},
};
use embedded_storage::nor_flash::{ErrorType, ReadNorFlash};
use proptest::{collection::vec, prelude::*, sample::Index};
use std::{collections::HashSet, fs, mem::discriminant, path::Path};

/// A flash that counts how much is read.
struct Counting<'a> {
    flash: &'a Flash,
    read: u64,
    reads: u64,
}

impl<'a> Counting<'a> {
    fn new(flash: &'a Flash) -> Self {
        Self { flash, read: 0, reads: 0 }
    }
}

impl ErrorType for Counting<'_> {
    type Error = FlashError;
}

impl ReadNorFlash for Counting<'_> {
    const READ_SIZE: usize = 1;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.read += bytes.len() as u64;
        self.reads += 1;
        self.flash.read(offset, bytes)
    }
    fn capacity(&self) -> usize {
        self.flash.size() as usize
    }
}

fn verified(placed: &Placed) -> (Result<Verified, Refusal>, Vec<Event>) {
    let (flash, mut events) = (placed.flash(), Vec::new());
    let verdict = image::verify(&mut Counting::new(&flash), placed.region, &placed.rules(), &mut |e| events.push(e));
    (verdict, events)
}

/// Reading an image costs its data once, the signature's share of it once more for the simple hash, and small change:
/// headers, descriptors, hash, and the 4096 bytes of signatures.
const SMALL: u64 = 16 * 1024;

proptest! {
    #[test]
    fn any_bytes_are_judged(
        head in vec(any::<u8>(), 0..600), likely: bool, segments: u8, at: Index, offset: u32, size: u32,
        target in strategy::target(), kind in strategy::kind(), load: bool,
    ) {
        let mut bytes = vec![0xFF; Flash::MIN_SIZE as usize];
        let near = at.index(bytes.len());
        bytes.iter_mut().skip(near).zip(&head).for_each(|(cell, byte)| *cell = *byte);
        if likely {
            // past the first checks more often than chance would have it
            let header = [0xE9, segments % 18, 2, 0x20];
            let id = target.chip.spec().image_chip_id.to_le_bytes();
            bytes.iter_mut().skip(near).zip(header).for_each(|(cell, byte)| *cell = byte);
            bytes.iter_mut().skip(near + 12).zip([id[0], id[1], 0, 0, 0, 0xFF, 0xFF]).for_each(|(cell, byte)| *cell = byte);
        }
        let flash = Flash::from_bytes(&bytes).unwrap();
        let (full, no_loader) = (0..u32::MAX, Loader::default());
        let loader = Loader { stack: full.clone(), data: full, iram: 0..0 };
        let purpose = if load { Purpose::Load(&loader) } else { Purpose::Verify };
        for offset in [near as u32, offset, offset % Flash::MIN_SIZE] {
            for purpose in [purpose, Purpose::Load(&no_loader)] {
                let rules = Rules { target: &target, kind, purpose, signature: None };
                let mut counting = Counting::new(&flash);
                let verdict = image::verify(&mut counting, Region { offset, size }, &rules, &mut |_| {});
                prop_assert!(counting.read <= u64::from(Flash::MIN_SIZE) + SMALL, "{} bytes read: {verdict:?}", counting.read);
                if let Ok(verified) = verdict {
                    prop_assert!(verified.length <= size);
                }
            }
        }
    }

    #[test]
    fn headers_are_read_as_written(raw: [u8; HEADER_SIZE], segment: [u8; SEGMENT_HEADER_SIZE]) {
        prop_assert_eq!(Header::from_bytes(raw).to_bytes(), raw);
        prop_assert_eq!(SegmentHeader::from_bytes(segment).to_bytes(), segment);
    }

    #[test]
    fn descriptors_of_any_bytes_are_shown(app: Vec<u8>, at in 0..100_usize) {
        let mut raw = [0; APP_DESCRIPTOR_SIZE];
        raw.iter_mut().skip(at).zip(&app).for_each(|(cell, byte)| *cell = *byte);
        let d = AppDescriptor::from_bytes(raw);
        for (text, most) in [(d.version(), 32), (d.project_name(), 32), (d.time(), 16), (d.date(), 16), (d.idf_ver(), 32)] {
            prop_assert!(text.len() <= most && !text.contains('\0'));
        }
        let mut raw = [0; BOOTLOADER_DESCRIPTOR_SIZE];
        raw.iter_mut().zip(&app).for_each(|(cell, byte)| *cell = *byte);
        let d = BootloaderDescriptor::from_bytes(raw);
        prop_assert!(d.idf_ver().len() <= 32 && d.date_time().len() <= 24);
    }

    #[test]
    fn what_is_built_is_accepted(placed in strategy::valid()) {
        let (verdict, events) = verified(&placed);
        let verified = verdict.map_err(|refusal| TestCaseError::fail(format!("{refusal}: {placed:?}")))?;
        prop_assert_eq!(verified.length as usize, placed.bytes.len());
        prop_assert_eq!(&verified.header.to_bytes()[..], &placed.bytes[..HEADER_SIZE]);
        let stored = &placed.bytes[placed.bytes.len() - 32..];
        prop_assert!(verified.header.hash_appended() == 0 || verified.digest == stored);
        // the segments that were told of are those that lie there
        let told: Vec<_> = events.iter().filter_map(|event| match event {
            Event::Segment { flash_address, load_addr, length, .. } => {
                Some((SegmentHeader { load_addr: *load_addr, data_len: *length }, (flash_address - placed.region.offset) as usize))
            }
            _ => None,
        }).collect();
        prop_assert_eq!(told, placed.segments().collect::<Vec<_>>());
        prop_assert!(!events.iter().any(|e| matches!(e, Event::Refused(_))));
    }

    #[test]
    fn damage_is_refused_for_what_it_is(placed in strategy::valid(), damage in strategy::damage()) {
        let Some((bad, due)) = damage.apply(&placed) else { return Ok(()) };
        let (verdict, events) = verified(&bad);
        prop_assert_eq!(verdict, Err(due), "{:?} of {:?}", damage, bad);
        let told: Vec<_> = events.iter().filter(|e| matches!(e, Event::Refused(_))).collect();
        prop_assert_eq!(told, [&Event::Refused(due)]);
    }

    /// A header may claim 255 segments of 4 GB each: that costs no more than reading the flash once.
    #[test]
    fn absurd_claims_cost_no_time(
        target in strategy::target(), kind in strategy::kind(), count: u8, length: u32, load_addr: u32, size: u32,
        seed: u8,
    ) {
        let mut bytes = vec![seed; Flash::MIN_SIZE as usize];
        let id = target.chip.spec().image_chip_id.to_le_bytes();
        let header = [0xE9, count, 2, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, id[0], id[1], 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0, 1];
        bytes[..HEADER_SIZE].copy_from_slice(&header);
        // every 8 bytes may be a segment header: the claims repeat wherever the reader looks
        let claim = SegmentHeader { load_addr, data_len: length }.to_bytes();
        for cell in bytes[HEADER_SIZE..].chunks_exact_mut(8) {
            cell.copy_from_slice(&claim);
        }
        let flash = Flash::from_bytes(&bytes).unwrap();
        let rules = Rules { target: &target, kind, purpose: Purpose::Verify, signature: None };
        let mut counting = Counting::new(&flash);
        let _ = image::verify(&mut counting, Region { offset: 0, size }, &rules, &mut |_| {});
        prop_assert!(counting.read <= u64::from(flash.size()) + SMALL, "{} bytes in {} reads", counting.read, counting.reads);
    }

    #[test]
    fn one_flipped_bit_of_an_esptool_image_is_refused(which in 0..VECTORS.len(), at: Index, bit in 0..8_u8) {
        let vector = &VECTORS[which];
        let good = vector.placed();
        let mut bad = good.clone();
        let at = at.index(bad.bytes.len());
        bad.bytes[at] ^= 1 << bit;
        prop_assume!(is_covered(&good, vector.length, at));
        let (verdict, _) = verified(&bad);
        prop_assert!(verdict.is_err(), "{}: bit {bit} at {at:#x} went unseen", vector.file);
    }
}

/// An image that esptool made, and what its ELF file holds.
struct Vector {
    file: &'static str,
    chip: Chip,
    kind: Kind,
    /// Revisions that the header asks for.
    revisions: (u16, u16),
    /// CPU address and length of each segment.
    segments: &'static [(u32, u32)],
    /// Length of the image in the file, in bytes.
    length: usize,
    /// Version, project, ESP-IDF and secure version of the app descriptor.
    app: Option<(&'static str, &'static str, &'static str, u32)>,
}

/// What `esptool image-info` says of each vector, and what `vectors/gen/mkinputs.py` put into the ELF files.
const VECTORS: &[Vector] = &[
    Vector {
        file: "esp32_app.bin",
        chip: Chip::Esp32,
        kind: Kind::App,
        revisions: (100, 399),
        segments: &[(0x3F40_0020, 0x240), (0x3FFB_0000, 0x60), (0x4008_0400, 0x200), (0, 0xFB40), (0x400D_0020, 0x124)],
        length: 65904,
        app: Some(("1.2.3", "facts-demo", "v5.5", 5)),
    },
    Vector {
        file: "esp32c3_app.bin",
        chip: Chip::Esp32c3,
        kind: Kind::App,
        revisions: (0, 65535),
        segments: &[(0x3C00_0020, 0x180), (0x4038_0000, 0x100), (0, 0xFD68), (0x4201_0020, 0x90)],
        length: 65760,
        app: Some(("1.2.3", "facts-demo", "v5.5", 2)),
    },
    // linked for MMU pages of 8 KB
    Vector {
        file: "esp32c6_app.bin",
        chip: Chip::Esp32c6,
        kind: Kind::App,
        revisions: (0, 65535),
        segments: &[(0x4200_0020, 0x180), (0x4080_0000, 0x100), (0, 0x1D68), (0x4201_2020, 0x90)],
        length: 8416,
        app: Some(("1.2.3", "facts-demo", "v5.5", 1)),
    },
    Vector {
        file: "esp32_boot.bin",
        chip: Chip::Esp32,
        kind: Kind::Bootloader,
        revisions: (0, 65535),
        segments: &[(0x3FFF_0000, 0x80), (0x4007_8000, 0x84)],
        length: 336,
        app: None,
    },
    Vector {
        file: "esp32_boot_nodigest.bin",
        chip: Chip::Esp32,
        kind: Kind::Bootloader,
        revisions: (0, 65535),
        segments: &[(0x3FFF_0000, 0x80), (0x4007_8000, 0x84)],
        length: 304,
        app: None,
    },
    Vector {
        file: "esp32_boot_pad4k.bin",
        chip: Chip::Esp32,
        kind: Kind::Bootloader,
        revisions: (0, 65535),
        segments: &[(0x3FFF_0000, 0x80), (0x4007_8000, 0x84)],
        length: 336,
        app: None,
    },
];

impl Vector {
    fn bytes(&self) -> Vec<u8> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/image").join(self.file);
        fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    fn placed(&self) -> Placed {
        let revision = Revision(self.revisions.0);
        let target = Target {
            chip: self.chip,
            revision,
            block_revision: None,
            ignore_max_revision: false,
            ignore_max_block_revision: false,
            idf: IdfVersion::LATEST,
        };
        let offset = if self.kind == Kind::App { 0x1_0000 } else { self.chip.spec().bootloader_offset };
        let region = Region { offset, size: 0x10_0000 };
        Placed { target, kind: self.kind, region, bytes: self.bytes(), loader: None, signature: None }
    }
}

/// Whether some check of a device depends on the byte at `at`. An app: all but the byte that says that there is a hash. A
/// bootloader, whose hash the second stage does not compare (formats sheet §1.5): what the checksum covers.
fn is_covered(placed: &Placed, length: usize, at: usize) -> bool {
    let data = |(header, from): (SegmentHeader, usize)| (from..from + header.data_len as usize).contains(&at);
    match placed.kind {
        Kind::App => at < length && at != 23,
        Kind::Bootloader => placed.segments().any(data),
    }
}

#[test]
fn esptools_images_are_what_their_elf_files_say() {
    for vector in VECTORS {
        let placed = vector.placed();
        let (verdict, _) = verified(&placed);
        let verified = verdict.unwrap_or_else(|refusal| panic!("{}: {refusal}", vector.file));
        assert_eq!(verified.length as usize, vector.length, "{}", vector.file);
        let found: Vec<_> = placed.segments().map(|(header, _)| (header.load_addr, header.data_len)).collect();
        assert_eq!(found, vector.segments, "{}", vector.file);
        assert_eq!(Chip::from_image_chip_id(verified.header.chip_id()), Some(vector.chip), "{}", vector.file);
        let revisions = (verified.header.min_chip_rev_full().0, verified.header.max_chip_rev_full().0);
        assert_eq!(revisions, vector.revisions, "{}", vector.file);
        let raw = placed.bytes[32..].first_chunk().map(|raw| AppDescriptor::from_bytes(*raw));
        let d = raw.filter(|d| d.magic_word() == APP_DESCRIPTOR_MAGIC);
        let app = d.as_ref().map(|d| (d.version(), d.project_name(), d.idf_ver(), d.secure_version()));
        assert_eq!(app, vector.app, "{}", vector.file);
    }
}

/// Every refusal that needs no signing key is reached by some named damage, so none of the properties above is empty.
#[test]
fn the_damages_reach_every_refusal() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut reached = HashSet::new();
    for _ in 0..4000 {
        let placed = strategy::valid().new_tree(&mut runner).unwrap().current();
        let damage = strategy::damage().new_tree(&mut runner).unwrap().current();
        reached.extend(damage.apply(&placed).map(|(_, refusal)| discriminant(&refusal)));
    }
    // PartitionTooLarge, ReadFailed, BadMagic, WrongChip, RevisionTooLow, RevisionTooHigh, BlockRevisionTooLow,
    // BlockRevisionTooHigh, TooManySegments, SegmentLength, NoRoomForDescriptor, NoDescriptor, Misaligned, Destination,
    // BeyondFlash, Wrapped, Checksum, TooLong, Hash, Signature
    assert_eq!(reached.len(), 20);
}

/// The flash that the strategies place images in holds the largest of them.
#[test]
fn a_placed_image_lies_in_its_flash_as_it_is() {
    let placed = VECTORS[0].placed();
    let mut back = vec![0; placed.bytes.len()];
    placed.flash().read(placed.region.offset, &mut back).unwrap();
    assert!(back == placed.bytes && placed.region.offset + placed.region.size <= FLASH_SIZE);
}
