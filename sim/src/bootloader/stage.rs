//! The second stage's state: the board that it works on, and what each of its steps needs.

use super::{build::Build, efuse_driver, event::Event, policy::app_signature, security};
use crate::{
    bus::EncryptionUnit,
    config::Config,
    event::Event as Any,
    fault::{Fault, PowerLost, PoweredEfuses, PoweredFlash},
};
use dryburn::{
    Chip, SecureBootScheme,
    efuse::security as fuses,
    image::{self, Kind, Purpose, Region, Rules, SignaturePolicy, Target, Verified},
};
use rand_chacha::ChaCha20Rng;

/// The second stage at work on one board, for one boot.
pub struct Bootloader<'a> {
    /// The board's flash; otadata may be written.
    pub flash: &'a mut PoweredFlash<'a>,
    /// The board's eFuses; first-boot enablement burns some.
    pub efuses: &'a mut PoweredEfuses<'a>,
    /// The encryption unit as it was set up at reset.
    pub unit: &'a EncryptionUnit,
    /// How the bootloader was built.
    pub config: &'a Config,
    /// The bootloader itself.
    pub build: &'a Build,
    /// The chip's random numbers.
    pub rng: &'a mut ChaCha20Rng,
    /// Where everything is reported to.
    pub observer: &'a mut dyn FnMut(Any),
}

/// Why the bootloader ends without an app.
pub(super) enum Stop {
    /// It resets the chip.
    Reset,
    /// There is no power.
    PowerLost,
}

impl From<PowerLost> for Stop {
    fn from(_: PowerLost) -> Self {
        Self::PowerLost
    }
}

/// Why a step of first-boot enablement ends early.
#[derive(Clone, Copy)]
pub(super) enum Halt {
    /// It fails with this ESP-IDF error code.
    Code(i32),
    /// There is no power.
    PowerLost,
}

impl From<i32> for Halt {
    fn from(code: i32) -> Self {
        Self::Code(code)
    }
}

impl From<PowerLost> for Halt {
    fn from(_: PowerLost) -> Self {
        Self::PowerLost
    }
}

impl Halt {
    /// A write that fails gives ESP-IDF's `code`, unless power failed.
    pub(super) fn of(fault: Fault, code: i32) -> Self {
        match fault {
            Fault::Flash(_) => Self::Code(code),
            Fault::Power(PowerLost) => Self::PowerLost,
        }
    }

    /// The code, which a caller deals with; without power there is nobody to do so.
    pub(super) fn code(self) -> Result<i32, PowerLost> {
        match self {
            Self::Code(code) => Ok(code),
            Self::PowerLost => Err(PowerLost),
        }
    }
}

impl Bootloader<'_> {
    pub(super) fn tell(&mut self, event: Event) {
        (self.observer)(Any::Bootloader(event));
    }

    pub(super) fn security(&mut self, event: security::Event) {
        self.tell(Event::Security(event));
    }

    pub(super) fn driver(&mut self, event: efuse_driver::Event) {
        self.tell(Event::Efuse(event));
    }

    pub(super) fn chip(&self) -> Chip {
        self.efuses.chip()
    }

    pub(super) fn target(&self) -> Target {
        Target {
            chip: self.efuses.chip(),
            revision: fuses::chip_revision(&*self.efuses),
            block_revision: fuses::block_revision(&*self.efuses),
            ignore_max_revision: fuses::wafer_major_disabled(&*self.efuses),
            ignore_max_block_revision: fuses::block_major_disabled(&*self.efuses),
            idf: self.build.idf,
        }
    }

    /// Verifies an image for any purpose; its events go to the observer.
    pub(crate) fn verify_as(
        &mut self,
        region: Region,
        kind: Kind,
        purpose: Purpose<'_>,
    ) -> Result<Verified, image::Refusal> {
        let target = self.target();
        let policy = self.signature_policy(kind);
        let rules = Rules { target: &target, kind, purpose, signature: policy.as_ref() };
        let mut view = self.unit.view(self.flash);
        let observer = &mut *self.observer;
        image::verify(&mut view, region, &rules, &mut |e| observer(Any::Bootloader(Event::Image(e))))
    }

    /// Verifies an image that is not to be started; gives its length with the signature.
    pub(super) fn verified_length(&mut self, region: Region, kind: Kind) -> Result<u32, image::Refusal> {
        let verified = self.verify_as(region, kind, Purpose::Verify)?;
        let policy = self.signature_policy(kind);
        Ok(policy.and_then(|policy| policy.end(verified.length)).unwrap_or(verified.length))
    }

    /// The length of the image in `region` without its signature, silently.
    pub(super) fn image_length(&self, region: Region) -> Option<u32> {
        let target = self.target();
        let rules = Rules { target: &target, kind: Kind::Bootloader, purpose: Purpose::Verify, signature: None };
        image::verify(&mut self.unit.view(self.flash), region, &rules, &mut |_| {}).ok().map(|v| v.length)
    }

    /// What Secure Boot v2 was built with.
    pub(super) fn scheme(&self) -> SecureBootScheme {
        self.config.secure_boot_v2_scheme(self.chip(), fuses::chip_revision(&*self.efuses))
    }

    /// Whose signature an image must carry. The bootloader's own digest of Secure Boot v1 is for the ROM alone to check.
    pub(super) fn signature_policy(&self, kind: Kind) -> Option<SignaturePolicy> {
        let policy = app_signature(self.config, self.efuses, self.build.idf);
        policy.filter(|policy| kind == Kind::App || !matches!(policy, SignaturePolicy::V1 { .. }))
    }
}
