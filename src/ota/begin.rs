//! How an update begins or goes on.

use super::{
    Erase, Progress, Scattered, Update, Updater, choice,
    error::{BeginError, FlashOp, ResumeError},
    medium::{Medium, tried},
    sink::Sink,
    source::{Direct, Way},
};
use crate::{SECTOR, boot::Slot, flash_encryption::PIECE, image::Region};

/// Bytes that a resumed update reads at a time.
const CHUNK: usize = 256;

impl<M: Medium> Updater<M> {
    /// Begins an update of `slot`. `size` is that of the image in bytes (of an envelope's content) where it is known: then no
    /// byte more is taken and no byte less will do.
    ///
    /// From here on otadata does not name the slot; an earlier choice of any slot but the running one is taken back.
    ///
    /// # Errors
    /// [`BeginError`].
    pub fn begin<W: Way>(
        &mut self,
        slot: u8,
        way: W,
        size: Option<u32>,
        erase: Erase,
    ) -> Result<Update<'_, M, W>, BeginError<M::Error>> {
        let region = self.admit(slot, W::RAW, size)?;
        self.release()?;
        let mut sink = Sink::new(region, W::RAW, size);
        sink.prepare(&mut self.medium, erase)?;
        Ok(Update { updater: self, slot, way, sink })
    }

    /// Begins an update whose chunks come in any order. The slot is erased first: for `size` bytes, or all of it.
    ///
    /// # Errors
    /// [`BeginError`].
    pub fn begin_scattered<W: Direct>(
        &mut self,
        slot: u8,
        way: W,
        size: Option<u32>,
    ) -> Result<Scattered<'_, M, W>, BeginError<M::Error>> {
        self.begin(slot, way, size, Erase::First).map(Scattered::new)
    }

    /// Goes on with an update after a reset or a lost connection: the next byte wanted is that at
    /// [`progress.offset()`](Progress::offset).
    ///
    /// # Errors
    /// [`ResumeError`]; then begin anew.
    pub fn resume<W: Direct>(
        &mut self,
        progress: &Progress,
        way: W,
    ) -> Result<Update<'_, M, W>, ResumeError<M::Error>> {
        let Progress { slot, raw, size, written, head, crc } = *progress;
        if raw != W::RAW {
            return Err(ResumeError::OtherWay { raw });
        }
        let region = self.admit(slot, raw, size)?;
        if !written.is_multiple_of(SECTOR) || written > region.size || size.is_some_and(|size| written > size) {
            return Err(ResumeError::BadExtent { written });
        }
        if written > 0 && self.crc_of(region, raw, &head, written)? != crc {
            return Err(ResumeError::FlashDiffers { written });
        }
        self.release().map_err(BeginError::from)?;
        let sink = Sink::new(region, raw, size).resumed(head, written, crc);
        Ok(Update { updater: self, slot, way, sink })
    }

    /// CRC of what lies in the slot, with the piece that is held back at its place.
    fn crc_of(
        &mut self,
        region: Region,
        raw: bool,
        head: &[u8; PIECE],
        written: u32,
    ) -> Result<u32, BeginError<M::Error>> {
        let mut crc = crc32fast::Hasher::new();
        crc.update(head);
        let mut buf = [0; CHUNK];
        let mut done = PIECE as u32;
        while done < written {
            let length = (written.saturating_sub(done) as usize).min(CHUNK);
            let part = buf.get_mut(..length).unwrap_or(&mut []);
            let at = region.offset.saturating_add(done);
            let read = if raw { self.medium.read_raw(at, part) } else { self.medium.read(at, part) };
            tried(read, FlashOp::Read, at)?;
            crc.update(part);
            done = done.saturating_add(length as u32);
        }
        Ok(crc.finalize())
    }

    /// The checks that come before anything is changed; gives the slot's place.
    pub(super) fn admit(&mut self, slot: u8, raw: bool, size: Option<u32>) -> Result<Region, BeginError<M::Error>> {
        let slots = self.slots.app_count;
        let region = self.slots.region(Slot::Ota(slot)).filter(|_| slot < slots);
        let region = region.ok_or(BeginError::NoSuchSlot { slot, slots })?;
        if self.running == Slot::Ota(slot) {
            return Err(BeginError::RunningSlot { slot });
        }
        if let Some(state) = self.state()?.filter(|state| !choice::is_confirmed(*state)) {
            return Err(BeginError::Unconfirmed { state });
        }
        if let Some(size) = size.filter(|size| *size > region.size) {
            return Err(BeginError::TooLarge { size, slot_size: region.size });
        }
        if raw && !self.medium.is_encrypted() {
            return Err(BeginError::NotEncrypted);
        }
        Ok(region)
    }
}
