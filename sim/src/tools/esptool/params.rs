//! Patching flash mode, frequency and size into the header of a bootloader image (formats sheet §1.2, §1.5).
//!
//! Header byte 2 is the mode; byte 3 has the size in bits 7:4 and the frequency in bits 3:0. The digest at the end of the
//! image, where there is one, is made again; an image that is signed or that a Secure Boot v1 digest covers is broken by
//! this, on the real tool as here.

use super::args::Params;
use super::image::Image;
use super::{Failure, fatal, size_name};
use dryburn::Chip;
use sha2::{Digest, Sha256};

/// A name and its nibble.
type Names = [(&'static str, u8)];

const MODES: &Names = &[("qio", 0), ("qout", 1), ("dio", 2), ("dout", 3)];
const SIZES: &Names =
    &[("1MB", 0), ("2MB", 1), ("4MB", 2), ("8MB", 3), ("16MB", 4), ("32MB", 5), ("64MB", 6), ("128MB", 7)];

/// The frequencies of a chip, in the order in which the tool lists them; the first name of a nibble is the one printed.
fn frequencies(chip: Chip) -> &'static Names {
    match chip {
        Chip::Esp32c2 => &[("60m", 0xF), ("30m", 0), ("20m", 1), ("15m", 2)],
        // The ROM of the C6 divides from another clock: 80m is written as 0.
        Chip::Esp32c6 => &[("80m", 0), ("40m", 0), ("20m", 2)],
        Chip::Esp32c5 | Chip::Esp32c61 => &[("80m", 0xF), ("40m", 0), ("20m", 2)],
        Chip::Esp32h2 => &[("48m", 0xF), ("24m", 0), ("16m", 1), ("12m", 2)],
        _ => &[("80m", 0xF), ("40m", 0), ("26m", 1), ("20m", 2)],
    }
}

fn name_of(names: &Names, nibble: u8) -> Option<&'static str> {
    names.iter().find(|(_, n)| *n == nibble).map(|(name, _)| *name)
}

fn nibble_of(names: &Names, name: &str) -> Option<u8> {
    names.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, nibble)| *nibble)
}

/// The name of a mode byte.
pub fn mode_name(byte: u8) -> Option<&'static str> {
    name_of(MODES, byte)
}

/// The name of a size nibble (bits 7:4 of header byte 3, shifted down).
pub fn flash_size_name(nibble: u8) -> Option<&'static str> {
    name_of(SIZES, nibble)
}

/// The name of a frequency nibble.
pub fn frequency_name(chip: Chip, nibble: u8) -> Option<&'static str> {
    name_of(frequencies(chip), nibble)
}

impl Params {
    /// Whether everything is `keep`: no header is touched.
    pub fn keep(&self) -> bool {
        [&self.flash_mode, &self.flash_freq, &self.flash_size].iter().all(|v| v.eq_ignore_ascii_case("keep"))
    }

    /// Header bytes 2 and 3 after the change; `flash_size` is what `detect` finds, in bytes.
    fn apply(&self, chip: Chip, old: [u8; 2], flash_size: Option<u32>) -> Result<[u8; 2], Failure> {
        let keep = |text: &str| text.eq_ignore_ascii_case("keep");
        let [mut mode, mut rest] = old;
        if !keep(&self.flash_mode) {
            mode = nibble_of(MODES, &self.flash_mode)
                .ok_or_else(|| unsupported("mode", &self.flash_mode, "modes", MODES))?;
        }
        if !keep(&self.flash_freq) {
            let names = frequencies(chip);
            let nibble = nibble_of(names, &self.flash_freq);
            rest =
                rest & 0xF0 | nibble.ok_or_else(|| unsupported("frequency", &self.flash_freq, "frequencies", names))?;
        }
        if !keep(&self.flash_size) {
            let detected = flash_size.filter(|_| self.flash_size.eq_ignore_ascii_case("detect")).map(size_name);
            let wanted = detected.as_ref().unwrap_or(&self.flash_size);
            let nibble = nibble_of(SIZES, wanted);
            rest = rest & 0x0F | nibble.ok_or_else(|| unsupported("size", wanted, "sizes", SIZES))? << 4;
        }
        Ok([mode, rest])
    }

    /// Patches `image`, which goes to `address`, if that is where the chip's bootloader lies; gives the lines to print. The
    /// image grows where its digest was cut off.
    ///
    /// # Errors
    /// A mode, frequency or size that the chip does not have.
    pub fn patch(
        &self,
        chip: Chip,
        address: u32,
        image: &mut Vec<u8>,
        flash_size: Option<u32>,
    ) -> Result<String, Failure> {
        if self.keep() || address != chip.spec().bootloader_offset {
            return Ok(String::new());
        }
        let old = image.get(2..4).and_then(|b| b.first_chunk::<2>().copied()).unwrap_or_default();
        // Refuse a bad value even where there is no image to patch.
        let new = self.apply(chip, old, flash_size)?;
        let unpatched = |what: String| {
            Ok(format!("WARNING: Image file at {address:#x} {what}, so not changing any flash settings.\n"))
        };
        if image.first() != Some(&0xE9) {
            return unpatched("doesn't look like an image file".into());
        }
        let (hash_appended, length) = match Image::parse_as(image, chip) {
            Ok(parsed) => (parsed.hash_appended(), parsed.hashed_length()),
            Err(_) => return unpatched(format!("is not a valid {} image", chip.spec().title)),
        };
        if old == new {
            return Ok(String::new());
        }
        if let Some(field) = image.get_mut(2..4) {
            field.copy_from_slice(&new);
        }
        let mut text = format!("Flash parameters set to {:#06x}.\n", u16::from_be_bytes(new));
        if hash_appended {
            let digest = Sha256::digest(image.get(..length).unwrap_or_default());
            let end = image.len().min(length + digest.len());
            image.splice(length..end, digest);
            text += "SHA digest in image updated.\n";
        }
        Ok(text)
    }
}

fn unsupported(what: &str, value: &str, plural: &str, names: &Names) -> Failure {
    let list: Vec<_> = names.iter().map(|(name, _)| *name).collect();
    fatal(format!("Flash {what} '{value}' is not supported by this chip type. Supported {plural}: {}", list.join(", ")))
}
