//! What goes through a handle: `esp_ota_write` and `esp_ota_write_with_offset`. Behaviour sheet §5.3.

use super::{EspOta, Handle, Open, image_kind};
use crate::app::{EspError, Event};
use dryburn::{
    SECTOR, image,
    partition::{self, PartitionType},
};

impl EspOta<'_> {
    /// `esp_ota_write`; `None` is a null pointer.
    ///
    /// # Errors
    /// 0x102 for no data and for an unknown handle, 0x1503 for a wrong magic number (the handle stays usable), 0x104 past
    /// the end of the partition.
    pub fn write(&mut self, handle: Handle, data: Option<&[u8]>) -> Result<(), EspError> {
        let Some(mut data) = data else {
            self.app.tell(Event::NoData);
            return Err(EspError::InvalidArg);
        };
        let release = self.app.release();
        if data.is_empty() && release.empty_write_is_ok {
            return Ok(());
        }
        let Some(at) = self.find(handle) else {
            self.app.tell(Event::NoHandle { with_offset: false });
            return Err(EspError::InvalidArg);
        };
        // worked on as a copy, as the vendor's code changes it step by step and may leave it half-way
        let mut open = self.open[at].clone();
        let result = self.write_to(&mut open, &mut data);
        self.open[at] = open;
        result
    }

    fn write_to(&mut self, open: &mut Open, data: &mut &[u8]) -> Result<(), EspError> {
        if open.sequential {
            self.erase_entered(open, data.len() as u32)?;
        }
        if open.wrote == 0 && open.partial_bytes == 0 && !data.is_empty() {
            self.check_magic(open, data)?;
        }
        if self.app.flash_encryption() {
            if open.partial_bytes != 0 {
                let (head, rest) = data.split_at(data.len().min(16 - open.partial_bytes));
                open.partial[open.partial_bytes..open.partial_bytes + head.len()].copy_from_slice(head);
                open.partial_bytes += head.len();
                if open.partial_bytes != 16 {
                    return Ok(());
                }
                self.app.partition_write(&open.partition, open.wrote, &open.partial)?;
                open.partial = [0xFF; 16];
                open.partial_bytes = 0;
                open.wrote += 16;
                *data = rest;
            }
            let (body, tail) = data.split_at(data.len() & !15);
            open.partial[..tail.len()].copy_from_slice(tail);
            open.partial_bytes = tail.len();
            *data = body;
        }
        self.app.partition_write(&open.partition, open.wrote, data)?;
        open.wrote += data.len() as u32;
        Ok(())
    }

    /// Erases the sectors that a sequential write enters. They are counted from the bytes in flash, so the up to 15 bytes
    /// that wait do not count.
    fn erase_entered(&mut self, open: &Open, length: u32) -> Result<(), EspError> {
        let end = open.wrote.wrapping_add(length);
        let last = if self.app.release().erases_one_more { end } else { end.wrapping_sub(1) } / SECTOR;
        let first = open.wrote / SECTOR;
        if open.wrote.is_multiple_of(SECTOR) {
            let sectors = last.wrapping_sub(first).wrapping_add(1);
            self.app.partition_erase(&open.partition, open.wrote, sectors.wrapping_mul(SECTOR))
        } else if first != last {
            let sectors = last.wrapping_sub(first);
            self.app.partition_erase(&open.partition, (first + 1) * SECTOR, sectors.wrapping_mul(SECTOR))
        } else {
            Ok(())
        }
    }

    fn check_magic(&mut self, open: &Open, data: &[u8]) -> Result<(), EspError> {
        let event = match (image_kind(&open.partition), open.partition.kind, data) {
            (Some(_), _, [found, ..]) if *found != image::MAGIC => Event::ImageMagic { found: *found },
            (None, PartitionType::PARTITION_TABLE, [a, b, ..]) if u16::from_le_bytes([*a, *b]) != partition::MAGIC => {
                Event::TableMagic { found: u16::from_le_bytes([*a, *b]) }
            }
            _ => return Ok(()),
        };
        self.app.tell(event);
        Err(EspError::OtaValidateFailed)
    }

    /// `esp_ota_write_with_offset`.
    ///
    /// # Errors
    /// 0x102 for no data, an unknown handle, and on an encrypted device for a length or an offset that is not a multiple of
    /// 16; 0x104 past the end of the partition; an assertion on a handle that was opened for sequential writes.
    pub fn write_with_offset(&mut self, handle: Handle, data: Option<&[u8]>, offset: u32) -> Result<(), EspError> {
        let Some(data) = data else {
            self.app.tell(Event::NoData);
            return Err(EspError::InvalidArg);
        };
        let Some(at) = self.find(handle) else {
            self.app.tell(Event::NoHandle { with_offset: true });
            return Err(EspError::InvalidArg);
        };
        if self.open[at].sequential {
            let idf = self.app.idf();
            self.app.tell(Event::AssertFailed {
                function: "esp_ota_write_with_offset",
                line: (idf.since(5, 3) && !idf.since(5, 4)).then_some(326),
                expression: "it->need_erase == 0 && \"must erase the partition before writing to it\"",
            });
            return Err(EspError::Aborts);
        }
        if self.app.flash_encryption() && !data.len().is_multiple_of(16) {
            self.app.tell(Event::OffsetWriteUnaligned);
            return Err(EspError::InvalidArg);
        }
        let partition = self.open[at].partition.clone();
        self.app.partition_write(&partition, offset, data)?;
        self.open[at].wrote += data.len() as u32;
        Ok(())
    }
}
