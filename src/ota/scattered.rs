//! An update whose bytes come in any order.

use super::{
    Ready, Update,
    error::{FinishError, WriteError},
    medium::Medium,
    source::{Direct, Proof},
};
use crate::{flash_encryption::PIECE, image};
use core::convert::Infallible;

/// An update under way, in any order. What is left out stays erased, and verification finds it.
///
/// No byte may be written twice: on NOR flash both would count, and on an encrypted device neither.
pub struct Scattered<'u, M, W> {
    update: Update<'u, M, W>,
}

impl<'u, M: Medium, W: Direct> Scattered<'u, M, W> {
    pub(super) fn new(update: Update<'u, M, W>) -> Self {
        Self { update }
    }

    /// Takes `bytes` at `offset` of the image. The offset is a multiple of 16; a length that is none is filled up with 0xFF,
    /// so only the last chunk of an image may have one.
    ///
    /// # Errors
    /// [`WriteError`]. After an error of the flash driver the update is over.
    pub fn write_at(&mut self, offset: u32, bytes: &[u8]) -> Result<(), WriteError<M::Error, Infallible>> {
        let Update { updater, sink, .. } = &mut self.update;
        if sink.failed {
            return Err(WriteError::Failed);
        }
        let length = bytes.len();
        if !(offset as usize).is_multiple_of(PIECE) || (W::RAW && !length.is_multiple_of(PIECE)) {
            return Err(WriteError::Misaligned { offset, length });
        }
        let end = u64::from(offset).saturating_add(length as u64);
        let room = sink.size.unwrap_or(sink.region.size);
        if end > u64::from(room) {
            return Err(WriteError::TooMuch { end, room });
        }
        if let Some(found) = bytes.first().copied().filter(|byte| offset == 0 && !W::RAW && *byte != image::MAGIC) {
            return Err(WriteError::BadMagic { found });
        }
        sink.failed = true;
        let (pieces, rest) = bytes.split_at(length & !(PIECE.wrapping_sub(1)));
        sink.program(&mut updater.medium, offset, pieces)?;
        if !rest.is_empty() {
            let mut last = [0xFF; PIECE];
            last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            sink.program(&mut updater.medium, offset.saturating_add(pieces.len() as u32), &last)?;
        }
        sink.failed = false;
        sink.at = sink.at.max(end as u32);
        Ok(())
    }

    /// As [`Update::finish`].
    ///
    /// # Errors
    /// [`FinishError`]: the slot then holds nothing that can be started.
    pub fn finish(
        self,
        observer: &mut dyn FnMut(image::Event),
    ) -> Result<Ready<'u, M>, FinishError<M::Error, Infallible>> {
        let Update { updater, slot, mut sink, .. } = self.update;
        if sink.failed {
            return Err(FinishError::Failed);
        }
        sink.complete(&mut updater.medium)?;
        updater.accept(slot, &sink, Proof::Enough, observer)
    }
}
