//! Anti-rollback: the eFuse counter, and the apps that are too old for it. Formats sheet §10, security-builds sheet §2 (7-10).

use super::{
    efuse_driver::{Batch, Event as E},
    security::Event as S,
    stage::Bootloader,
};
use crate::{bus::CpuView, fault::PowerLost};
use dryburn::{
    boot,
    efuse::{self, security},
    image::{APP_DESCRIPTOR_MAGIC, APP_DESCRIPTOR_SIZE, AppDescriptor, DESCRIPTOR_OFFSET, Region},
};

const INVALID_ARG: i32 = 0x102;
const NOT_FOUND: i32 = 0x105;

/// The anti-rollback version of the app in `region`; tells when it has no descriptor.
pub(super) fn version_of(view: &CpuView<'_>, region: Option<Region>, tell: &mut dyn FnMut(S)) -> Option<u32> {
    let Some(region) = region else {
        tell(S::NoDescriptor { code: INVALID_ARG });
        return None;
    };
    let mut raw = [0; APP_DESCRIPTOR_SIZE];
    let read = view.fill(region.offset.saturating_add(DESCRIPTOR_OFFSET), &mut raw);
    let descriptor = AppDescriptor::from_bytes(raw);
    if read.is_err() || descriptor.magic_word() != APP_DESCRIPTOR_MAGIC {
        tell(S::NoDescriptor { code: NOT_FOUND });
        return None;
    }
    Some(descriptor.secure_version())
}

impl Bootloader<'_> {
    /// How many bits of SECURE_VERSION count: the field, or less where the build says so.
    fn secure_version_bits(&self) -> u32 {
        let field = efuse::field(self.chip(), "SECURE_VERSION").map_or(0, |f| u32::from(f.len));
        self.config.number("BOOTLOADER_APP_SEC_VER_SIZE_EFUSE_FIELD").unwrap_or(field).min(field)
    }

    pub(super) fn secure_version(&self) -> u32 {
        security::secure_version(&*self.efuses)
    }

    fn app_version_number(&mut self, region: Option<Region>) -> Option<u32> {
        let view = self.unit.view(self.flash);
        let observer = &mut *self.observer;
        version_of(&view, region, &mut |e| observer(crate::event::Event::Bootloader(super::Event::Security(e))))
    }

    /// Whether the app in `region` is new enough to be tried; without anti-rollback every app is.
    pub(super) fn secure_version_allows(&mut self, region: Option<Region>) -> bool {
        if !self.config.is_set("BOOTLOADER_APP_ANTI_ROLLBACK") {
            return true;
        }
        let burned = self.secure_version();
        self.app_version_number(region).is_some_and(|app| boot::secure_version_allows(app, burned))
    }

    /// Raises the counter to the version of the app in `region`.
    pub(crate) fn raise_secure_version(&mut self, region: Option<Region>) -> Result<(), PowerLost> {
        let Some(version) = self.app_version_number(region) else { return Ok(()) };
        let (burned, most) = (self.secure_version(), self.secure_version_bits());
        if version <= burned {
            return Ok(());
        }
        if version > most {
            self.security(S::AntiRollbackTooLarge { most, version });
            return Ok(());
        }
        let ones = |n: u32| 1u64.checked_shl(n).map_or(u64::MAX, |bit| bit - 1) as u32;
        let bits = ones(version) & !ones(burned);
        let field = efuse::field(self.chip(), "SECURE_VERSION");
        let shift = field.map_or(0, |f| u32::from(f.bit) % 32);
        let repeated = efuse::read(&*self.efuses, "SECURE_VERSION") & bits;
        if repeated != 0 {
            self.driver(E::Repeated { bits: repeated << shift });
        } else {
            let mut batch = Batch::new(self.efuses, self.build.idf);
            batch.stage(self.efuses, "SECURE_VERSION", bits);
            self.commit(batch)?;
        }
        self.security(S::AntiRollbackRaised { version });
        Ok(())
    }
}
