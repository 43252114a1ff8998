//! Images that a board accepts, and what can be wrong with them: each [`Damage`] names the refusal that must follow.
//!
//! Each damage is one that leaves all checks before its own satisfied, so exactly its own refusal is due (behaviour sheet
//! §2.5, the order of checks).

use crate::flash::Flash;
use dryburn::{
    Chip, IdfVersion, Revision, SecureBootScheme,
    image::{
        BadDestination, Builder, CHECKSUM_SEED, HEADER_SIZE, Kind, Loader, Purpose, Refusal, Region, Rules,
        SEGMENT_HEADER_SIZE, SegmentData, SegmentHeader, SignaturePolicy, Target, V2Policy,
    },
};
use proptest::{collection::vec, prelude::*};
use std::fmt;

/// Flash size in bytes of the boards that the images lie on.
pub const FLASH_SIZE: u32 = 0x20_0000;

/// Offset of the eFuse block revisions in the app descriptor, from the start of the image.
const BLOCK_REVISIONS: u32 = 32 + 176;

/// ESP-IDF release lines from 3.3 to 6.2: on both sides of every change that verification knows.
pub const IDF_LINES: [IdfVersion; 15] = [
    IdfVersion::new(3, 3),
    IdfVersion::new(4, 0),
    IdfVersion::new(4, 1),
    IdfVersion::new(4, 2),
    IdfVersion::new(4, 3),
    IdfVersion::new(4, 4),
    IdfVersion::new(5, 0),
    IdfVersion::new(5, 1),
    IdfVersion::new(5, 2),
    IdfVersion::new(5, 3),
    IdfVersion::new(5, 4),
    IdfVersion::new(5, 5),
    IdfVersion::new(6, 0),
    IdfVersion::new(6, 1),
    IdfVersion::new(6, 2),
];

/// One of [`IDF_LINES`].
pub fn idf() -> impl Strategy<Value = IdfVersion> {
    prop::sample::select(&IDF_LINES[..])
}

/// Any chip.
pub fn chip() -> impl Strategy<Value = Chip> {
    prop::sample::select(&Chip::ALL[..])
}

/// App or bootloader.
pub fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(&[Kind::App, Kind::Bootloader][..])
}

/// Any board and boot code.
pub fn target() -> impl Strategy<Value = Target> {
    (chip(), 0..700_u16, prop::option::of(0..300_u16), any::<bool>(), any::<bool>(), idf()).prop_map(
        |(chip, revision, block, ignore_max_revision, ignore_max_block_revision, idf)| Target {
            chip,
            revision: Revision(revision),
            block_revision: block.map(Revision).filter(|_| chip != Chip::Esp32),
            ignore_max_revision,
            ignore_max_block_revision,
            idf,
        },
    )
}

/// An image in the flash of a board, and what the board asks of it.
#[derive(Clone)]
pub struct Placed {
    /// The board and its boot code.
    pub target: Target,
    /// App or bootloader.
    pub kind: Kind,
    /// Where the image lies.
    pub region: Region,
    /// The image.
    pub bytes: Vec<u8>,
    /// The bootloader that shall load it; `None` verifies only.
    pub loader: Option<Loader>,
    /// Whose signature it must carry.
    pub signature: Option<SignaturePolicy>,
}

impl fmt::Debug for Placed {
    /// Without the bytes, which would bury a failed assertion; [`valid`] makes them again from the seed of the test.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segments: Vec<_> = self.segments().map(|(header, at)| (header, format!("at {at:#x}"))).collect();
        f.debug_struct("Placed")
            .field("target", &self.target)
            .field("kind", &self.kind)
            .field("region", &self.region)
            .field("length", &self.bytes.len())
            .field("segments", &segments)
            .field("loader", &self.loader)
            .field("signed", &self.signature.is_some())
            .finish()
    }
}

impl Placed {
    /// What verification is asked.
    pub fn rules(&self) -> Rules<'_> {
        let purpose = self.loader.as_ref().map_or(Purpose::Verify, Purpose::Load);
        Rules { target: &self.target, kind: self.kind, purpose, signature: self.signature.as_ref() }
    }

    /// A flash of [`FLASH_SIZE`] bytes with the image in it and nothing else; what sticks out of it is left out.
    pub fn flash(&self) -> Flash {
        let mut bytes = vec![0xFF; FLASH_SIZE as usize];
        let room = bytes.iter_mut().skip(self.region.offset as usize);
        room.zip(&self.bytes).for_each(|(cell, byte)| *cell = *byte);
        Flash::from_bytes(&bytes).unwrap_or_else(|e| unreachable!("a legal size: {e}"))
    }

    /// The segment headers, each with the offset in the image of its data. Of a damaged image, as far as they go.
    pub fn segments(&self) -> impl Iterator<Item = (SegmentHeader, usize)> {
        let count = self.bytes.get(1).copied().unwrap_or(0);
        let mut at = HEADER_SIZE;
        (0..count).map_while(move |_| {
            let header = SegmentHeader::from_bytes(*self.bytes.get(at..)?.first_chunk()?);
            let data = at.checked_add(SEGMENT_HEADER_SIZE)?;
            at = data.checked_add(header.data_len as usize)?;
            Some((header, data))
        })
    }

    /// Where the checksum byte lies.
    fn checksum_at(&self) -> Option<usize> {
        let (header, data) = self.segments().last()?;
        Some(data.checked_add(header.data_len as usize)? | 15)
    }

    fn has_hash(&self) -> bool {
        self.bytes.get(23) == Some(&1)
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) -> Option<()> {
        self.bytes.get_mut(offset..)?.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(())
    }

    /// Segment `index` modulo their number.
    fn pick(&self, index: usize) -> Option<(u8, SegmentHeader, usize)> {
        let index = index.checked_rem(self.segments().count())?;
        let (header, data) = self.segments().nth(index)?;
        Some((index as u8, header, data))
    }
}

/// Images that their board accepts: any chip, kind and ESP-IDF, made-up segments or odd ones (up to 16; empty, padding).
pub fn valid() -> impl Strategy<Value = Placed> {
    let extra = vec((0..40_usize, any::<bool>()), 0..=13);
    let shape = (prop::option::of(extra), 1024..20_000_usize, any::<u64>(), any::<bool>());
    (target(), kind(), shape, 0..8_u32).prop_map(|(target, kind, (extra, size, seed, hash), page)| {
        let builder = match kind {
            Kind::App => Builder::app(target.chip),
            Kind::Bootloader => Builder::bootloader(target.chip, target.idf),
        };
        let legacy = Revision::new(target.revision.major(), 0);
        let builder = builder.size(size).seed(seed).hash_appended(hash).revisions(legacy, Revision(u16::MAX));
        let offset = match kind {
            Kind::App => 0x1_0000 + page * 0x1_0000,
            Kind::Bootloader => target.chip.spec().bootloader_offset,
        };
        let region = Region { offset, size: 0x4_0000 };
        let bytes = builder.build();
        let plain = Placed { target, kind, region, bytes, loader: None, signature: None };
        match extra {
            None => plain,
            Some(extra) => {
                let bytes = builder.segments(with_more(&plain, &extra)).build();
                Placed { bytes, ..plain }
            }
        }
    })
}

/// The segments of `placed` and behind them `extra` ones: words of data, in RAM or as padding.
fn with_more(placed: &Placed, extra: &[(usize, bool)]) -> Vec<SegmentData> {
    let ram = placed.target.chip.spec().memory.iram.start;
    let own = placed.segments().map(|(header, at)| SegmentData {
        load_addr: header.load_addr,
        data: placed.bytes.iter().skip(at).take(header.data_len as usize).copied().collect(),
    });
    let more = extra
        .iter()
        .map(|(words, padding)| SegmentData { load_addr: if *padding { 0 } else { ram }, data: vec![0x5A; words * 4] });
    own.chain(more).collect()
}

/// One thing wrong with an image that was accepted, or with the place that it lies in. Where a damage does not suit an
/// image (say, a hash where there is none), [`apply`](Self::apply) gives `None`.
#[derive(Clone, Copy, Debug)]
pub enum Damage {
    /// The partition is larger than 16 MB.
    HugePartition,
    /// The image would begin at the end of the flash chip.
    BehindFlash,
    /// Another first byte.
    Magic(u8),
    /// Another chip id.
    Chip(u16),
    /// The board is this much older than the image asks for (`major * 100 + minor`).
    TooOld(u16),
    /// The board is this much newer than the image allows.
    TooNew(u16),
    /// More than 16 segments.
    SegmentCount(u8),
    /// The length of a segment is not a multiple of 4, or too large.
    SegmentLength(usize, u32),
    /// No room for the app descriptor: so many words in segment 0.
    ShortDescriptor(u32),
    /// Another magic word of the app descriptor.
    Descriptor(u32),
    /// A mapped segment is moved by so many words within its page.
    Misaligned(usize, u32),
    /// A segment that must not be loaded where it wants to go.
    Destination(BadDestination),
    /// The board's eFuse block revision is lower than the app asks for.
    BlockTooOld,
    /// The board's eFuse block revision is higher than the app allows.
    BlockTooNew,
    /// A segment reaches beyond the flash chip by so many words.
    BeyondFlash(usize, u32),
    /// A segment reaches beyond 32-bit addresses.
    Wrapped(usize),
    /// One bit of a segment's data.
    DataBit(usize, u32, u8),
    /// One bit of the checksum byte.
    ChecksumBit(u8),
    /// The partition is shorter than the image by so many bytes.
    ShortPartition(u32),
    /// One bit of the appended hash.
    HashBit(u8),
    /// One bit of the reserved bytes of the header.
    ReservedBit(u8),
    /// Only what comes before the header of a segment was written.
    CutBefore(usize),
    /// A signature is asked for and there is none.
    Unsigned,
}

/// Any damage.
pub fn damage() -> impl Strategy<Value = Damage> {
    use BadDestination::{Data, LoaderIram, Range, Stack};
    let index = any::<usize>;
    prop_oneof![
        Just(Damage::HugePartition),
        Just(Damage::BehindFlash),
        any::<u8>().prop_map(Damage::Magic),
        any::<u16>().prop_map(Damage::Chip),
        (1..500_u16).prop_map(Damage::TooOld),
        (1..500_u16).prop_map(Damage::TooNew),
        (17..=255_u8).prop_map(Damage::SegmentCount),
        (index(), any::<u32>()).prop_map(|(i, length)| Damage::SegmentLength(i, length)),
        (0..64_u32).prop_map(Damage::ShortDescriptor),
        any::<u32>().prop_map(Damage::Descriptor),
        (index(), 1..32_u32).prop_map(|(i, words)| Damage::Misaligned(i, words)),
        prop::sample::select(&[Stack, Data, LoaderIram, Range][..]).prop_map(Damage::Destination),
        Just(Damage::BlockTooOld),
        Just(Damage::BlockTooNew),
        (index(), 1..1000_u32).prop_map(|(i, words)| Damage::BeyondFlash(i, words)),
        index().prop_map(Damage::Wrapped),
        (index(), any::<u32>(), 0..8_u8).prop_map(|(i, at, bit)| Damage::DataBit(i, at, bit)),
        (0..8_u8).prop_map(Damage::ChecksumBit),
        (1..0x1_0000_u32).prop_map(Damage::ShortPartition),
        any::<u8>().prop_map(Damage::HashBit),
        (0..32_u8).prop_map(Damage::ReservedBit),
        index().prop_map(Damage::CutBefore),
        Just(Damage::Unsigned),
    ]
}

impl Damage {
    /// The damaged image and the refusal that is due, or `None` where this damage does not suit the image. `placed` must
    /// be [`valid`].
    pub fn apply(self, placed: &Placed) -> Option<(Placed, Refusal)> {
        let mut bad = placed.clone();
        let app = placed.kind == Kind::App;
        let refusal = match self {
            Self::HugePartition | Self::BehindFlash | Self::ShortPartition(_) | Self::Unsigned => {
                self.place(&mut bad)?
            }
            Self::Magic(_) | Self::Chip(_) | Self::SegmentCount(_) => self.header(&mut bad)?,
            Self::TooOld(_) | Self::TooNew(_) | Self::BlockTooOld | Self::BlockTooNew => {
                self.revision(&mut bad, app)?
            }
            Self::Destination(reason) => destination(&mut bad, reason).filter(|_| app)?,
            Self::ShortDescriptor(_) | Self::Descriptor(_) => self.descriptor(&mut bad).filter(|_| app)?,
            Self::SegmentLength(..)
            | Self::Misaligned(..)
            | Self::BeyondFlash(..)
            | Self::Wrapped(_)
            | Self::CutBefore(_) => self.segment(&mut bad)?,
            Self::DataBit(..) | Self::ChecksumBit(_) => self.checksum(&mut bad)?,
            Self::HashBit(bit) => {
                let at = placed.checksum_at()?.checked_add(1)?.checked_add(usize::from(bit / 8))?;
                *bad.bytes.get_mut(at)? ^= 1 << (bit % 8);
                Some(Refusal::Hash).filter(|_| app && placed.has_hash())?
            }
            Self::ReservedBit(bit) => {
                *bad.bytes.get_mut(19 + usize::from(bit / 8))? ^= 1 << (bit % 8);
                Some(Refusal::Hash).filter(|_| app && placed.has_hash())?
            }
        };
        Some((bad, refusal))
    }

    fn place(self, bad: &mut Placed) -> Option<Refusal> {
        let length = bad.bytes.len() as u32;
        match self {
            Self::HugePartition => {
                bad.region.size = 0x100_0001;
                let size = bad.region.size;
                (!bad.target.chip.spec().wide_map).then_some(Refusal::PartitionTooLarge { size })
            }
            Self::BehindFlash => {
                bad.region.offset = FLASH_SIZE;
                Some(Refusal::ReadFailed { address: FLASH_SIZE })
            }
            Self::ShortPartition(by) => {
                bad.region.size = length.checked_sub(by)?;
                Some(Refusal::TooLong { length, partition: bad.region.size })
            }
            _ => {
                let scheme = SecureBootScheme::V2Rsa3072;
                bad.signature = Some(SignaturePolicy::V2(V2Policy { scheme, trusted: [None; 3], enforced: false }));
                Some(Refusal::Signature { hash_matches: true }).filter(|_| bad.has_hash())
            }
        }
    }

    fn header(self, bad: &mut Placed) -> Option<Refusal> {
        let offset = bad.region.offset;
        match self {
            Self::Magic(found) => {
                bad.put(0, &[found])?;
                (found != dryburn::image::MAGIC).then_some(Refusal::BadMagic { offset, found })
            }
            Self::Chip(found) => {
                bad.put(12, &found.to_le_bytes())?;
                let expected = bad.target.chip.spec().image_chip_id;
                (found != expected).then_some(Refusal::WrongChip { expected, found })
            }
            Self::SegmentCount(count) => {
                bad.put(1, &[count])?;
                Some(Refusal::TooManySegments { offset, count })
            }
            _ => None,
        }
    }

    fn revision(self, bad: &mut Placed, app: bool) -> Option<Refusal> {
        let Target { revision: found, block_revision, idf, .. } = bad.target;
        let max_counts = app && idf.since(4, 3);
        let block = block_revision.filter(|_| app && idf.since(5, 1));
        match self {
            Self::TooOld(by) => {
                let required = Revision(found.0.checked_add(by)?);
                bad.put(14, &[u8::try_from(required.major()).ok()?])?;
                bad.put(15, &required.0.to_le_bytes())?;
                let old = Revision::new(required.major(), 0);
                if idf.since(4, 3) {
                    Some(Refusal::RevisionTooLow { required, found })
                } else {
                    (required.major() > found.major()).then_some(Refusal::RevisionTooLow { required: old, found })
                }
            }
            Self::TooNew(by) => {
                let required = Revision(found.0.checked_sub(by).filter(|r| *r > 0)?);
                bad.put(17, &required.0.to_le_bytes())?;
                bad.target.ignore_max_revision = false;
                max_counts.then_some(Refusal::RevisionTooHigh { required, found })
            }
            Self::BlockTooOld => {
                let found = block?;
                let required = Revision(found.0.checked_add(1)?);
                bad.put(BLOCK_REVISIONS as usize, &required.0.to_le_bytes())?;
                Some(Refusal::BlockRevisionTooLow { required, found })
            }
            _ => {
                let found = block?;
                let required = Revision(found.0.checked_sub(1).filter(|r| *r > 0)?);
                bad.put(BLOCK_REVISIONS as usize + 2, &required.0.to_le_bytes())?;
                bad.target.ignore_max_block_revision = false;
                Some(Refusal::BlockRevisionTooHigh { required, found })
            }
        }
    }

    fn descriptor(self, bad: &mut Placed) -> Option<Refusal> {
        match self {
            Self::ShortDescriptor(words) => {
                let length = words.checked_mul(4)?;
                bad.put(28, &length.to_le_bytes())?;
                bad.target.idf.since(6, 2).then_some(Refusal::NoRoomForDescriptor { index: 0, length })
            }
            Self::Descriptor(found) => {
                bad.put(32, &found.to_le_bytes())?;
                let chosen = bad.target.chip.spec().mmu_pages.len() > 1;
                (chosen && found != dryburn::image::APP_DESCRIPTOR_MAGIC).then_some(Refusal::NoDescriptor { found })
            }
            _ => None,
        }
    }

    fn segment(self, bad: &mut Placed) -> Option<Refusal> {
        let spec = bad.target.chip.spec();
        let (Self::SegmentLength(i, _)
        | Self::Misaligned(i, _)
        | Self::BeyondFlash(i, _)
        | Self::Wrapped(i)
        | Self::CutBefore(i)) = self
        else {
            return None;
        };
        let (index, header, data) = bad.pick(i)?;
        let flash_address = bad.region.offset.checked_add(data as u32)?;
        match self {
            Self::SegmentLength(_, length) => {
                bad.put(data.checked_sub(4)?, &length.to_le_bytes())?;
                let wrong = !length.is_multiple_of(4) || (length >= 0x100_0000 && !spec.wide_map);
                wrong.then_some(Refusal::SegmentLength { index, length })
            }
            Self::Misaligned(_, words) => {
                let load_addr = header.load_addr ^ (words * 4);
                bad.put(data.checked_sub(8)?, &load_addr.to_le_bytes())?;
                let mapped = [&spec.memory.drom, &spec.memory.irom].iter().any(|range| range.contains(&load_addr));
                mapped.then_some(Refusal::Misaligned { index, load_addr, flash_address })
            }
            Self::BeyondFlash(_, words) => {
                let length = FLASH_SIZE.checked_sub(flash_address)?.checked_add(words * 4)?;
                bad.put(data.checked_sub(4)?, &length.to_le_bytes())?;
                Some(Refusal::BeyondFlash { index, flash_address, length })
            }
            Self::Wrapped(_) => {
                bad.put(data.checked_sub(4)?, &0xFFFF_FFFC_u32.to_le_bytes())?;
                spec.wide_map.then_some(Refusal::Wrapped)
            }
            _ => {
                bad.bytes.truncate(data.checked_sub(SEGMENT_HEADER_SIZE)?);
                // before segment 0 the cut would be behind the 24 bytes of the header, which stay
                Some(Refusal::SegmentLength { index, length: u32::MAX })
            }
        }
    }

    fn checksum(self, bad: &mut Placed) -> Option<Refusal> {
        let at = bad.checksum_at()?;
        let right = *bad.bytes.get(at)?;
        match self {
            Self::DataBit(i, offset, bit) => {
                let (index, header, data) = bad.pick(i)?;
                // the descriptor's fields have checks of their own
                let from = if index == 0 { dryburn::image::APP_DESCRIPTOR_SIZE as u32 } else { 0 };
                let offset = from.checked_add(offset.checked_rem(header.data_len.checked_sub(from)?)?)?;
                *bad.bytes.get_mut(data.checked_add(offset as usize)?)? ^= 1 << bit;
                Some(Refusal::Checksum { calculated: right ^ (1 << bit), read: right })
            }
            Self::ChecksumBit(bit) => {
                *bad.bytes.get_mut(at)? ^= 1 << bit;
                Some(Refusal::Checksum { calculated: right, read: right ^ (1 << bit) })
            }
            _ => None,
        }
    }
}

/// Makes segment 1, which goes to RAM, one that may not: by its own address, or by what the bootloader occupies.
fn destination(bad: &mut Placed, reason: BadDestination) -> Option<Refusal> {
    let (index, header, data) = bad.pick(1)?;
    let memory = &bad.target.chip.spec().memory;
    let start = match reason {
        BadDestination::Range => 0x7000_0000,
        BadDestination::Stack | BadDestination::Data => memory.dram.start.checked_add(0x1000)?,
        BadDestination::LoaderIram => header.load_addr,
    };
    let end = start.checked_add(header.data_len).filter(|end| *end > start)?;
    let occupied = end.checked_sub(4)?..end.checked_add(0x1000)?;
    let mut loader = Loader::default();
    match reason {
        BadDestination::Stack => loader.stack = occupied,
        BadDestination::Data => loader.data = occupied,
        BadDestination::LoaderIram => loader.iram = occupied,
        BadDestination::Range => {}
    }
    bad.loader = Some(loader);
    bad.put(data.checked_sub(8)?, &start.to_le_bytes())?;
    Some(Refusal::Destination { index, start, end, reason })
}

/// The XOR checksum over all data of the segments of `image`, whatever the byte behind them says.
pub fn checksum(placed: &Placed) -> u8 {
    let data = placed.segments().flat_map(|(header, at)| placed.bytes.iter().skip(at).take(header.data_len as usize));
    data.fold(CHECKSUM_SEED, |x, byte| x ^ byte)
}
