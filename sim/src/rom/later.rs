//! The ROMs after the ESP32's, as the ESP32-C3's works. Behaviour sheet §1.4.

use super::{Event, FirstStage, Verdict, esp32::divider};
use crate::fault::PowerLost;
use dryburn::{
    efuse::security,
    image::{HASH_SIZE, Header, MAGIC, MAX_SEGMENTS},
};

/// Longest segment that the ROM loads.
const MAX_SEGMENT: u32 = 1024 * 1024;

impl FirstStage<'_> {
    pub(super) fn later(&mut self) -> Result<Verdict, PowerLost> {
        let header = self.header();
        let speed = header.spi_speed();
        let plausible = header.magic() == MAGIC
            && header.segment_count() <= 0x20
            && header.spi_mode() <= 10
            && (speed <= 2 || speed == 0xF);
        if !plausible {
            let [a, b, c, d, ..] = header.to_bytes();
            self.tell(Event::InvalidHeader { word: u32::from_le_bytes([a, b, c, d]) });
            return Ok(Verdict::Stuck);
        }
        self.tell(Event::Pins { pins: header.pins() });
        self.tell(Event::SpiMode { mode: header.spi_mode(), divider: divider(&header), as_number: false });
        if header.segment_count() > MAX_SEGMENTS {
            self.tell(Event::TooManySegments { count: header.segment_count() });
            return Ok(self.gives_up());
        }
        let expected = self.efuses.chip().spec().image_chip_id;
        if header.chip_id() != expected {
            self.tell(Event::WrongChip { expected, found: header.chip_id() });
            return Ok(self.gives_up());
        }
        let secure = security::secure_boot_v2_enabled(&*self.efuses);
        if secure && !self.secure_boot(&header)? {
            self.tell(Event::SecureBootVerdict { passed: false });
            return Ok(self.gives_up());
        } else if secure {
            self.tell(Event::SecureBootVerdict { passed: true });
        }
        Ok(self.load(&header, secure))
    }

    fn secure_boot(&mut self, header: &Header) -> Result<bool, PowerLost> {
        let trusted = security::secure_boot_digests(&*self.efuses);
        let usable: Vec<u8> = (0u8..3).zip(trusted).filter_map(|(i, digest)| digest.map(|_| i)).collect();
        if usable.is_empty() {
            return Ok(false);
        }
        self.tell(Event::KeyBlocks { usable });
        let Some((_, _, length)) = self.checksum(header.segment_count()) else { return Ok(false) };
        if self.sha256(length) != self.read::<32>(self.base().saturating_add(length)) {
            self.tell(Event::SimpleHashFailed);
            return Ok(false);
        }
        self.signature_ok(Self::with_hash(header, length))
    }

    fn load(&mut self, header: &Header, secure: bool) -> Verdict {
        let count = header.segment_count();
        let segments: Vec<_> = self.segments(count).collect();
        for (segment, _) in &segments {
            let length = segment.data_len;
            if !length.is_multiple_of(4) || length > MAX_SEGMENT {
                self.tell(Event::BadBlock);
                return self.gives_up();
            }
            self.tell(Event::Load { address: segment.load_addr, length, secure: false });
        }
        let Some((calculated, stored, length)) = self.checksum(count) else {
            self.tell(Event::BadBlock);
            return self.gives_up();
        };
        if calculated != stored {
            self.tell(Event::Checksum { calculated, stored });
            return self.gives_up();
        }
        // recorded: the ROM compares whatever the header says about an appended hash
        let at = self.base().saturating_add(length);
        let (calculated, expected) = (self.sha256(length), self.read::<{ HASH_SIZE as usize }>(at));
        if let (Some(calculated), Some(expected)) = (calculated, expected)
            && calculated != expected
        {
            self.tell(Event::Hash { calculated, expected });
            if secure {
                return Verdict::Reset;
            }
        }
        self.tell(Event::Entry { address: header.entry_addr() });
        Verdict::Bootloader
    }
}
