//! Verification of a complete update, and the proof that comes out of it.

use super::{
    CheckError, Policy, Proof, Updater, choice,
    error::{FinishError, FlashOp, OtadataError, WriteError},
    medium::{Medium, View, tried},
    sink::Sink,
};
use crate::{
    boot,
    flash_encryption::PIECE,
    image::{
        self, APP_DESCRIPTOR_MAGIC, APP_DESCRIPTOR_SIZE, AppDescriptor, DESCRIPTOR_OFFSET, Kind, Purpose, Region,
        Rules, Verified,
    },
    otadata::State,
};
use core::fmt::Debug;
use embedded_storage::nor_flash::ReadNorFlash;

/// A slot with an image that the bootloader will accept: the proof that [`set_boot`](Self::set_boot) asks for.
#[must_use = "the bootloader does not know of the new app before `set_boot`"]
pub struct Ready<'u, M> {
    updater: &'u mut Updater<M>,
    slot: u8,
    verified: Verified,
}

impl<M: Medium> Ready<'_, M> {
    /// The slot.
    pub fn slot(&self) -> u8 {
        self.slot
    }

    /// The image in it.
    pub fn image(&self) -> &Verified {
        &self.verified
    }

    /// Makes the slot the bootloader's choice: the next reset starts it. With rollback it has to be
    /// [confirmed](Updater::confirm) before the reset after that.
    ///
    /// # Errors
    /// [`OtadataError`]. Otadata then still chooses the running app, or the new one already; never neither.
    pub fn set_boot(self) -> Result<(), OtadataError<M::Error>> {
        let Self { updater, slot, .. } = self;
        updater.release()?;
        let entries = updater.entries()?;
        let state = if updater.policy.boot.rollback { State::New } else { State::Undefined };
        let count = updater.slots.app_count;
        match choice::select(&entries, updater.running, slot, count, state) {
            Some(write) => updater.carry_out(write),
            // after a release there is always a write; were there none, otadata would not hold what was written to it
            None => Err(OtadataError::NotStored { sector: 0 }),
        }
    }
}

impl Sink {
    /// All has arrived: programs what is still buffered. The first piece stays back.
    pub(super) fn complete<M: Medium, S: Debug>(&mut self, medium: &mut M) -> Result<(), FinishError<M::Error, S>> {
        let written = self.written();
        if written == 0 {
            return Err(FinishError::Empty);
        }
        if let Some(size) = self.size.filter(|size| *size != written) {
            return Err(FinishError::Incomplete { written, size });
        }
        if self.raw && !(written as usize).is_multiple_of(PIECE) {
            return Err(FinishError::Misaligned { written });
        }
        let flushed: Result<(), WriteError<M::Error, S>> = self.flush(medium);
        match flushed {
            Ok(()) => Ok(()),
            Err(WriteError::Flash(fault)) => Err(FinishError::Flash(fault)),
            Err(WriteError::BadMagic { found }) => {
                Err(FinishError::Image(image::Refusal::BadMagic { offset: self.region.offset, found }))
            }
            Err(_) => Err(FinishError::Failed),
        }
    }
}

impl<M: Medium> Updater<M> {
    /// Verifies the image that lies in `slot`, whoever wrote it there: for a choice that was verified before a reset but not
    /// made, or to go back to the app before.
    ///
    /// # Errors
    /// [`CheckError`]; nothing is changed.
    pub fn check(
        &mut self,
        slot: u8,
        observer: &mut dyn FnMut(image::Event),
    ) -> Result<Ready<'_, M>, CheckError<M::Error>> {
        let region = self.admit(slot, false, None)?;
        let verified = self.verify(region, None, observer).map_err(CheckError::Image)?;
        Ok(Ready { updater: self, slot, verified })
    }

    /// Verifies what arrived and lets it be startable.
    pub(super) fn accept<S: Debug>(
        &mut self,
        slot: u8,
        sink: &Sink,
        proof: Proof,
        observer: &mut dyn FnMut(image::Event),
    ) -> Result<Ready<'_, M>, FinishError<M::Error, S>> {
        let Region { offset, .. } = sink.region;
        if proof == Proof::NeedsSignature && self.policy.signature.is_none() {
            return Err(FinishError::SignatureNeeded);
        }
        if sink.raw {
            // only the encryption unit can read it, so it has to be whole
            tried(self.medium.program_raw(offset, &sink.head), FlashOp::Program, offset)?;
        }
        let held_back = (!sink.raw).then_some((offset, &sink.head));
        let written = sink.at;
        let verdict = self.verify(sink.region, held_back, observer).and_then(|verified| {
            let end = self.policy.signature.map_or(Some(verified.length), |policy| policy.end(verified.length));
            let length = end.unwrap_or(u32::MAX);
            if length > written { Err(FinishError::Truncated { length, written }) } else { Ok(verified) }
        });
        let verified = match verdict {
            Ok(verified) => verified,
            Err(error) => {
                if sink.raw {
                    tried(self.medium.erase_sector(offset), FlashOp::Erase, offset)?;
                }
                return Err(error);
            }
        };
        if !sink.raw {
            tried(self.medium.program(offset, &sink.head), FlashOp::Program, offset)?;
            let mut stored = [0; PIECE];
            tried(self.medium.read(offset, &mut stored), FlashOp::Read, offset)?;
            if stored != sink.head {
                return Err(FinishError::NotStored { address: offset });
            }
        }
        Ok(Ready { updater: self, slot, verified })
    }

    fn verify<S: Debug>(
        &mut self,
        region: Region,
        held_back: Option<(u32, &[u8; PIECE])>,
        observer: &mut dyn FnMut(image::Event),
    ) -> Result<Verified, FinishError<M::Error, S>> {
        let Self { policy, medium, .. } = self;
        let Policy { target, signature, boot } = policy;
        let rules = Rules { target, kind: Kind::App, purpose: Purpose::Verify, signature: signature.as_ref() };
        let mut view = View { medium, held_back };
        let verified = image::verify(&mut view, region, &rules, observer).map_err(FinishError::Image)?;
        if let Some(burned) = boot.anti_rollback {
            let app = secure_version(&mut view, region).map_err(|found| FinishError::NoDescriptor { found })?;
            if !boot::secure_version_allows(app, burned) {
                return Err(FinishError::SecureVersion { app, burned });
            }
        }
        Ok(verified)
    }

    /// Whether the bootloader would start the app in `region`.
    pub(super) fn is_bootable(&mut self, region: Region) -> bool {
        self.verify::<core::convert::Infallible>(region, None, &mut |_| {}).is_ok()
    }
}

/// The anti-rollback version of the app in `region`, or the word that lies where its descriptor should begin. A call of its own, so
/// that its buffer does not take stack while the image is verified.
#[inline(never)]
pub(super) fn secure_version(flash: &mut impl ReadNorFlash, region: Region) -> Result<u32, u32> {
    let mut raw = [0; APP_DESCRIPTOR_SIZE];
    let at = region.offset.saturating_add(DESCRIPTOR_OFFSET);
    flash.read(at, &mut raw).map_err(|_| u32::MAX)?;
    let descriptor = AppDescriptor::from_bytes(raw);
    match descriptor.magic_word() {
        APP_DESCRIPTOR_MAGIC => Ok(descriptor.secure_version()),
        found => Err(found),
    }
}
