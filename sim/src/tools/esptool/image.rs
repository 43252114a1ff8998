//! An image as esptool reads it: a small reader of its own, so that a damaged image is shown as the tool shows it. Whether
//! a chip would start the image is for `dryburn::image` to say.

use super::memory_map;
use dryburn::Chip;

/// A segment of the image.
pub(super) struct Segment {
    /// CPU address.
    pub load: u32,
    /// File offset of its 8-byte header, as the tool prints it.
    pub header: usize,
    /// Length of the data as its header has it.
    pub length: usize,
}

impl Segment {
    pub fn data<'a>(&self, image: &'a [u8]) -> &'a [u8] {
        let start = self.header + 8;
        image.get(start..start + self.length).unwrap_or_default()
    }
}

/// An image whose segments lie within the file.
pub struct Image<'a> {
    pub bytes: &'a [u8],
    /// The chip that its header names.
    pub chip: Chip,
    pub segments: Vec<Segment>,
    /// File offset of the checksum byte.
    pub checksum_at: usize,
}

/// Size of the header in bytes (formats sheet §1.2).
const HEADER: usize = 24;

impl<'a> Image<'a> {
    /// Finds chip and segments.
    ///
    /// # Errors
    /// What the tool would print: no image, chip unknown, a part beyond the end of the file.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        Self::parse_as(bytes, detect(bytes)?)
    }

    /// Finds the segments of an image that is taken for one of `chip`.
    ///
    /// # Errors
    /// A part beyond the end of the file.
    pub fn parse_as(bytes: &'a [u8], chip: Chip) -> Result<Self, String> {
        let count = match bytes.get(..HEADER) {
            Some([0xE9, count, ..]) => *count,
            _ => return Err(format!("End of file reading the image header: {} bytes, expected {HEADER}", bytes.len())),
        };
        let mut at = HEADER;
        let mut segments = Vec::with_capacity(usize::from(count));
        for n in 0..count {
            let (Some(load), Some(length)) = (le32(bytes, at), le32(bytes, at + 4)) else {
                let left = bytes.len().saturating_sub(at);
                return Err(format!(
                    "End of file reading the header of segment {n} at offset {at:#x}: {left} bytes, expected 8"
                ));
            };
            let rest = bytes.len() - (at + 8);
            if length as usize > rest {
                return Err(format!("End of file reading segment {load:#x}, length {length} (actual length {rest})"));
            }
            segments.push(Segment { load, header: at, length: length as usize });
            at += 8 + length as usize;
        }
        let checksum_at = at | 0xF;
        if checksum_at >= bytes.len() {
            return Err(format!(
                "End of file reading the checksum at offset {checksum_at:#x}: the file has {} bytes",
                bytes.len()
            ));
        }
        Ok(Self { bytes, chip, segments, checksum_at })
    }

    /// Whether the header announces a SHA-256 digest behind the checksum.
    pub fn hash_appended(&self) -> bool {
        self.bytes.get(23) == Some(&1)
    }

    /// Number of bytes that the digest covers; the digest starts there.
    pub fn hashed_length(&self) -> usize {
        self.checksum_at + 1
    }

    pub fn byte(&self, offset: usize) -> u8 {
        self.bytes.get(offset).copied().unwrap_or_default()
    }

    pub fn le16(&self, offset: usize) -> u16 {
        u16::from_le_bytes([self.byte(offset), self.byte(offset + 1)])
    }

    /// `0xEF` and all data bytes, exclusive-ored (formats sheet §1.4).
    pub fn checksum(&self) -> u8 {
        self.segments.iter().flat_map(|s| s.data(self.bytes)).fold(0xEF, |sum, byte| sum ^ byte)
    }

    /// The data of the segments in a range of that name.
    pub fn segments_in(&self, range: &str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let named = move |s: &&Segment| memory_map::names(self.chip, s.load).contains(&range);
        self.segments.iter().filter(named).map(|s| s.data(self.bytes))
    }
}

/// The chip that the header names.
pub(super) fn detect(bytes: &[u8]) -> Result<Chip, String> {
    match bytes.first() {
        None => return Err("Image is empty.".into()),
        Some(0xE9) => {}
        Some(other) => return Err(format!("This is not a valid image (invalid magic number: {other:#x}).")),
    }
    let id = match bytes.get(..HEADER) {
        Some(header) => u16::from_le_bytes([header[12], header[13]]),
        None => return Err(format!("End of file reading the image header: {} bytes, expected {HEADER}", bytes.len())),
    };
    if let Some(flag) = bytes.get(23).filter(|flag| **flag > 1) {
        return Err(format!(
            "hash_appended at offset 0x17 is {flag:#x}, expected 0 or 1: not an image of an ESP32-family chip"
        ));
    }
    Chip::from_image_chip_id(id).ok_or_else(|| {
        format!(
            "Chip id {id:#06x} at offset 0xc is none that is modelled: name the chip with --chip to read it as that"
        )
    })
}

pub(super) fn le32(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|b| u32::from_le_bytes(*b))
}
