//! Whose signature apps must carry: only a bootloader that was built with secure boot asks.

use crate::{config::Config, efuse::Efuses};
use dryburn::{
    IdfVersion,
    efuse::security as fuses,
    image::{SignaturePolicy, V2Policy},
};

/// What a bootloader of release `idf` that was built with `config` asks of an app on a chip with these eFuses; the app asks the
/// same of an update.
pub(crate) fn app_signature(config: &Config, efuses: &Efuses, idf: IdfVersion) -> Option<SignaturePolicy> {
    if config.secure_boot_v1() {
        // a bootloader without a key trusts nobody
        return Some(SignaturePolicy::V1 { public_key: config.verification_key.unwrap_or([0; 64]) });
    }
    let trusted = fuses::secure_boot_digests(efuses);
    // from 4.3 on, digests that are burned count before secure boot is switched on
    let present = idf.since(4, 3) && trusted.iter().any(Option::is_some);
    let enforced = fuses::secure_boot_v2_enabled(efuses) || present;
    let scheme = config.secure_boot_v2_scheme(efuses.chip(), fuses::chip_revision(efuses));
    config.secure_boot_v2().then_some(SignaturePolicy::V2(V2Policy { scheme, trusted, enforced }))
}
