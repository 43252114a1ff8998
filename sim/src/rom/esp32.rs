//! The ESP32's ROM: revision 3 (`Jul 29 2019`), and the one before it (`Jun  8 2016`). Behaviour sheet §1.2, 1.3.

use super::{Event, FirstStage, Verdict};
use crate::{bootloader::v1_digest as digest, fault::PowerLost};
use dryburn::{
    Revision,
    efuse::{self, security},
    image::{Header, MAGIC},
    secure_boot::v1,
};

/// RAM that secure boot v2 verifies the bootloader in.
const STAGING_KIB: u32 = 48;
/// Longest segment that it verifies.
const MAX_SEGMENT: u32 = 1024 * 1024;

impl FirstStage<'_> {
    fn is_revision_3(&self) -> bool {
        self.rom.from_revision >= Revision::new(3, 0)
    }

    pub(super) fn esp32(&mut self) -> Result<Verdict, PowerLost> {
        let header = self.header();
        let plausible = header.magic() == MAGIC && header.segment_count() <= 0x20 && header.spi_mode() <= 5;
        if !self.is_revision_3() {
            if !plausible {
                self.tell(Event::FlashReadError { offset: self.base() });
                return Ok(self.esp32_gives_up());
            }
        } else if !plausible {
            let [a, b, c, d, ..] = header.to_bytes();
            self.tell(Event::InvalidHeader { word: u32::from_le_bytes([a, b, c, d]) });
            return Ok(Verdict::Stuck);
        } else if header.chip_id() != 0 {
            self.tell(Event::WrongChip { expected: 0, found: header.chip_id() });
            return Ok(Verdict::Stuck);
        }
        let secure = self.is_revision_3() && security::secure_boot_v2_enabled(&*self.efuses);
        self.tell(Event::Pins { pins: header.pins() });
        self.tell(Event::SpiMode { mode: header.spi_mode(), divider: divider(&header), as_number: secure });
        if secure { self.esp32_secure(&header) } else { Ok(self.esp32_plain(&header)) }
    }

    fn esp32_plain(&mut self, header: &Header) -> Verdict {
        let count = header.segment_count();
        let segments: Vec<_> = self.segments(count).collect();
        for (i, (segment, data)) in segments.iter().enumerate() {
            let length = segment.data_len;
            self.tell(Event::Load { address: segment.load_addr, length, secure: false });
            if !length.is_multiple_of(4) {
                self.tell(Event::BadLength { length });
                return self.esp32_gives_up();
            }
            // a segment header that would straddle a 16-byte block is read in two pieces
            let tail = data.wrapping_add(length) % 16;
            if tail > 8 && i + 1 < segments.len() {
                self.tell(Event::Straddle { tail: tail as u8, room: (16 - tail) as u8 });
            }
        }
        let Some((calculated, stored, length)) = self.checksum(count) else {
            self.tell(Event::FlashReadError { offset: self.base() });
            return self.esp32_gives_up();
        };
        if calculated != stored {
            self.tell(Event::Checksum { calculated, stored });
            return self.esp32_gives_up();
        }
        if security::secure_boot_v1_enabled(&*self.efuses) && !self.v1_digest_matches(length) {
            self.tell(Event::SecureBootV1Failed);
            if self.is_revision_3() {
                return Verdict::Reset;
            }
            return self.gives_up();
        }
        self.tell(Event::Entry { address: header.entry_addr() });
        Verdict::Bootloader
    }

    /// Secure boot v1: the digest at flash 0x80 is that of the bootloader, as the CPU reads both.
    fn v1_digest_matches(&self, length: u32) -> bool {
        let Some(iv) = self.read::<{ v1::IV }>(0) else { return false };
        let stored = self.read::<{ v1::DIGEST }>(v1::IV as u32);
        let base = self.base();
        let calculated = v1::device_len(length).and_then(|length| {
            digest(&self.efuses.secure_boot_v1_key(), &iv, length, |at, buf| {
                self.view().fill(base.saturating_add(at), buf).is_ok()
            })
        });
        stored.is_some() && calculated == stored
    }

    fn esp32_secure(&mut self, header: &Header) -> Result<Verdict, PowerLost> {
        self.tell(Event::SecureBootV2);
        let base = self.base();
        let segments: Vec<_> = self.segments(header.segment_count()).collect();
        let mut end = base;
        for (segment, data) in &segments {
            end = data.saturating_add(segment.data_len);
            if end.saturating_sub(base) > STAGING_KIB * 1024 {
                self.tell(Event::StagingTooSmall { kib: STAGING_KIB });
                return Ok(self.secure_boot_stuck());
            }
            if !segment.data_len.is_multiple_of(4) || segment.data_len > MAX_SEGMENT {
                self.tell(Event::BadBlock);
                return Ok(self.secure_boot_stuck());
            }
        }
        let length = end.saturating_sub(base).saturating_add(16) & !15;
        let image_len = Self::with_hash(header, length);
        let staged = image_len.checked_next_multiple_of(dryburn::SECTOR).unwrap_or(u32::MAX);
        if staged > STAGING_KIB * 1024 {
            self.tell(Event::StagingTooSmall { kib: STAGING_KIB });
            return Ok(self.secure_boot_stuck());
        }
        let passed = self.signature_ok(image_len)?;
        self.tell(Event::SecureBootVerdict { passed });
        if !passed {
            return Ok(Verdict::Stuck);
        }
        for (segment, _) in segments {
            self.tell(Event::Load { address: segment.load_addr, length: segment.data_len, secure: true });
        }
        self.tell(Event::Entry { address: header.entry_addr() });
        Ok(Verdict::Bootloader)
    }

    fn secure_boot_stuck(&mut self) -> Verdict {
        self.tell(Event::GivesUp { file: "ets_secure_boot_v2.c", line: 74 });
        Verdict::Stuck
    }

    /// With CONSOLE_DEBUG_DISABLE not burned, the ROM offers its BASIC interpreter.
    fn esp32_gives_up(&mut self) -> Verdict {
        if efuse::read(&*self.efuses, "CONSOLE_DEBUG_DISABLE") == 0 {
            self.tell(Event::Basic);
            return Verdict::Stuck;
        }
        self.gives_up()
    }
}

/// Divider of the 80 MHz flash clock that a header's clock code stands for.
pub(super) fn divider(header: &Header) -> u8 {
    match header.spi_speed() {
        0xF => 1,
        code => code + 2,
    }
}
