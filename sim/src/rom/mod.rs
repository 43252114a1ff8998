//! The first stage, in mask ROM: finds the bootloader, verifies it where eFuse demands it, copies it to RAM.
//!
//! Two families (`esp32`, and `later` for everything after it), one row of facts per ROM ([`Rom`]). Source: behaviour
//! sheet §1.

mod esp32;
pub(crate) mod event;
mod later;
mod table;

pub use event::{Event, ResetCause};
pub use table::{Family, ROMS, Rom};

use crate::{
    bus::{CpuView, EncryptionUnit},
    event::Event as Any,
    fault::{PowerLost, PoweredEfuses},
    flash::Flash,
};
use dryburn::{
    SECTOR,
    efuse::{self, security},
    image::{HASH_SIZE, HEADER_SIZE, Header, SEGMENT_HEADER_SIZE, SegmentHeader},
    secure_boot::{
        ImageDigest,
        v2::{self, SignatureBlock},
    },
};
use sha2::{Digest, Sha256};

/// How the first stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The bootloader runs.
    Bootloader,
    /// The ROM gives up and waits for a watchdog, or tries for ever.
    Stuck,
    /// The ROM resets the chip.
    Reset,
    /// The ROM waits for a download.
    Download,
    /// Power failed while it was burning an eFuse.
    PowerLost,
}

/// The ROM at work on one board, for one boot.
pub struct FirstStage<'a> {
    /// Which ROM.
    pub rom: &'static Rom,
    /// The board's flash.
    pub flash: &'a Flash,
    /// The board's eFuses; the ROM itself revokes a key where eFuse says so.
    pub efuses: &'a mut PoweredEfuses<'a>,
    /// The encryption unit as it was set up at reset.
    pub unit: &'a EncryptionUnit,
    /// The strapping register.
    pub strap: u32,
    /// Where everything is reported to.
    pub observer: &'a mut dyn FnMut(Any),
}

impl FirstStage<'_> {
    /// Runs from reset to the bootloader's entry point, or to where it ends.
    pub fn run(&mut self, cause: ResetCause) -> Verdict {
        self.tell(Event::Banner { cause, strap: self.strap });
        if self.rom.is_download(self.strap) {
            self.tell(Event::WaitingForDownload);
            return Verdict::Download;
        }
        let verdict = match self.rom.family {
            Family::Esp32 => self.esp32(),
            Family::Later => self.later(),
        };
        verdict.unwrap_or(Verdict::PowerLost)
    }

    fn tell(&mut self, event: Event) {
        (self.observer)(Any::Rom(event));
    }

    fn view(&self) -> CpuView<'_> {
        self.unit.view(self.flash)
    }

    fn base(&self) -> u32 {
        self.efuses.chip().spec().bootloader_offset
    }

    fn read<const N: usize>(&self, address: u32) -> Option<[u8; N]> {
        let mut raw = [0; N];
        self.view().fill(address, &mut raw).ok().map(|()| raw)
    }

    fn header(&self) -> Header {
        // flash always has a first sector behind the bootloader offset; an unreadable one looks erased
        Header::from_bytes(self.read(self.base()).unwrap_or([0xFF; HEADER_SIZE]))
    }

    fn gives_up(&mut self) -> Verdict {
        self.tell(Event::GivesUp { file: "ets_main.c", line: self.rom.gives_up_line });
        Verdict::Stuck
    }

    /// The segment headers, each with the flash address of its data, as far as they can be read.
    fn segments(&self, count: u8) -> impl Iterator<Item = (SegmentHeader, u32)> {
        let mut at = self.base().saturating_add(HEADER_SIZE as u32);
        (0..count).map_while(move |_| {
            let header = SegmentHeader::from_bytes(self.read::<SEGMENT_HEADER_SIZE>(at)?);
            let data = at.checked_add(SEGMENT_HEADER_SIZE as u32)?;
            at = data.checked_add(header.data_len)?;
            Some((header, data))
        })
    }

    /// XOR of the data of all segments, and the byte that the image holds for it.
    fn checksum(&self, count: u8) -> Option<(u8, u8, u32)> {
        let mut xor = dryburn::image::CHECKSUM_SEED;
        let mut end = self.base().checked_add(HEADER_SIZE as u32)?;
        for (segment, data) in self.segments(count) {
            let bytes = self.bytes(data, segment.data_len)?;
            xor = bytes.iter().fold(xor, |x, b| x ^ b);
            end = data.checked_add(segment.data_len)?;
        }
        let length = end.checked_sub(self.base())?.checked_add(16)? & !15;
        let end = self.base().checked_add(length)?;
        let [stored] = self.read(end.checked_sub(1)?)?;
        Some((xor, stored, length))
    }

    fn bytes(&self, address: u32, length: u32) -> Option<Vec<u8>> {
        let end = address.checked_add(length)?;
        (end <= self.flash.size()).then_some(())?;
        let mut bytes = vec![0; length as usize];
        self.view().fill(address, &mut bytes).ok()?;
        Some(bytes)
    }

    fn sha256(&self, length: u32) -> Option<[u8; 32]> {
        Some(Sha256::digest(self.bytes(self.base(), length)?).into())
    }

    /// The signature check of secure boot v2 over an image of `image_len` bytes; tells about refused blocks.
    fn signature_ok(&mut self, image_len: u32) -> Result<bool, PowerLost> {
        let Some(length) = image_len.checked_next_multiple_of(SECTOR) else { return Ok(false) };
        let content = self.bytes(self.base(), length);
        let sector = self.bytes(self.base().saturating_add(length), SECTOR);
        let (Some(content), Some(sector)) = (content, sector) else { return Ok(false) };
        let schemes = security::secure_boot_schemes(&*self.efuses);
        let Some(digest) = schemes.first().map(|scheme| ImageDigest::of(*scheme, &content)) else { return Ok(false) };
        let trusted = security::secure_boot_digests(&*self.efuses);
        let blocks = self.efuses.chip().spec().signature_blocks.into();
        let mut refused = Vec::new();
        let verdict = v2::verify(&sector, digest.as_ref(), &trusted, schemes, blocks, &mut |index, error| {
            refused.push((index, error));
        });
        for (index, error) in refused {
            self.tell(Event::SignatureBlock { index: index as u8, error });
            if error == v2::BlockError::BadSignature
                && let Some(key) = SignatureBlock::at(&sector, index).and_then(SignatureBlock::key_digest)
            {
                self.revoke(trusted.iter().position(|digest| digest.is_some_and(|d| d.is_of(&key))))?;
            }
        }
        Ok(verdict.is_ok())
    }

    /// Aggressive revocation: a trusted key whose signature is wrong is revoked at once (formats sheet §7.4).
    fn revoke(&mut self, digest: Option<usize>) -> Result<(), PowerLost> {
        let aggressive = efuse::read(&*self.efuses, "SECURE_BOOT_AGGRESSIVE_REVOKE") == 1;
        if let Some(digest) = digest.filter(|_| aggressive) {
            // a write-protected bit stays; the ROM says the same
            let _ = self.efuses.burn_field(&format!("SECURE_BOOT_KEY_REVOKE{digest}"), 1)?;
            self.tell(Event::KeyRevoked { digest: digest as u8 });
        }
        Ok(())
    }

    /// Length of the image behind the given data end, with the appended hash where the header has one.
    fn with_hash(header: &Header, length: u32) -> u32 {
        if header.hash_appended() == 1 { length.saturating_add(HASH_SIZE) } else { length }
    }
}
