//! An update whose bytes come in order.

use super::{
    Progress, Ready, Updater,
    error::{FinishError, WriteError},
    medium::Medium,
    sink::Sink,
    source::{Direct, Way},
};
use crate::image;

/// An update under way. Dropping it leaves a slot that cannot be started, and otadata as it was.
pub struct Update<'u, M, W> {
    pub(super) updater: &'u mut Updater<M>,
    pub(super) slot: u8,
    pub(super) way: W,
    pub(super) sink: Sink,
}

impl<'u, M: Medium, W: Way> Update<'u, M, W> {
    /// Takes the next bytes of the update; any number.
    ///
    /// # Errors
    /// [`WriteError`]. The update is over then.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError<M::Error, W::Error>> {
        let Self { updater, sink, way, .. } = self;
        if sink.failed {
            return Err(WriteError::Failed);
        }
        let result = way.feed(sink.written(), bytes, |plain| sink.take(&mut updater.medium, plain));
        sink.failed |= result.is_err();
        result
    }

    /// Bytes of the image that have arrived; of an envelope, those that came out of it.
    pub fn written(&self) -> u32 {
        self.sink.written()
    }

    /// The flash driver, for what else the app has to write meanwhile: the record of its [`progress`](Self::progress), in a
    /// partition of its own. What is done to the slot shows when the update is verified; otadata is not looked at again.
    pub fn medium(&mut self) -> &mut M {
        &mut self.updater.medium
    }

    /// The update is complete: verifies it as the bootloader will.
    ///
    /// `observer` hears what verification comes across, in the boot code's order.
    ///
    /// # Errors
    /// [`FinishError`]: the slot then holds nothing that can be started.
    pub fn finish(
        self,
        observer: &mut dyn FnMut(image::Event),
    ) -> Result<Ready<'u, M>, FinishError<M::Error, W::Error>> {
        let Self { updater, slot, way, mut sink } = self;
        if sink.failed {
            return Err(FinishError::Failed);
        }
        let proof = way.close().map_err(FinishError::Source)?;
        sink.complete(&mut updater.medium)?;
        updater.accept(slot, &sink, proof, observer)
    }
}

impl<M: Medium, W: Direct> Update<'_, M, W> {
    /// The record to store and to [`resume`](Updater::resume) from: it speaks of the sectors that are complete.
    pub fn progress(&self) -> Progress {
        let (written, crc) = self.sink.mark;
        let Sink { raw, size, head, .. } = self.sink;
        Progress { slot: self.slot, raw, size, written, head, crc }
    }
}
