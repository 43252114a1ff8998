//! The board: a chip with flash and eFuses that can be powered on.
//!
//! A reset forgets: only flash, eFuses and straps survive it. Everything else is made anew for each boot.

use crate::{
    bootloader::{self, Bootloader},
    bus::EncryptionUnit,
    config::Config,
    efuse::Efuses,
    event::{Event, Outcome},
    fault::{Power, PoweredEfuses, PoweredFlash},
    flash::Flash,
    rom::{FirstStage, ResetCause, Rom, Verdict},
};
use dryburn::{Chip, IdfVersion, efuse::security};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

/// A board on the desk.
#[derive(Clone)]
pub struct Device {
    /// The flash chip.
    pub flash: Flash,
    /// The eFuses; they also say which chip it is.
    pub efuses: Efuses,
    /// The strapping register at reset.
    pub strap: u32,
    /// How the bootloader in flash was built.
    pub config: Config,
    /// ESP-IDF release that built it, where the image does not say so.
    pub idf: Option<IdfVersion>,
    /// The chip's random numbers.
    pub rng: ChaCha20Rng,
}

/// One boot: what was reported, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Boot {
    /// Why the chip started.
    pub cause: ResetCause,
    /// ESP-IDF release whose wording applies.
    pub idf: IdfVersion,
    /// Everything that was reported, in order.
    pub events: Vec<Event>,
    /// How it ended.
    pub outcome: Outcome,
}

/// What a power cycle led to.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PowerCycle {
    /// The boots, from power-on to the last one that was watched.
    pub boots: Vec<Boot>,
    /// A boot changed nothing and reset the chip: it will go on like that for ever.
    pub reset_loop: bool,
}

/// How long a power cycle is watched. An app that runs, or a ROM that gives up, ends it in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Until a boot changes nothing and resets: it will go on like that for ever.
    UntilSettled,
    /// At most so many boots, whether they change anything or not.
    Boots(u32),
}

impl From<u32> for Watch {
    fn from(boots: u32) -> Self {
        Self::Boots(boots)
    }
}

/// No first-boot enablement or fallback takes more boots than this to settle.
const MOST_BOOTS: u32 = 16;

impl PowerCycle {
    /// How the last boot ended.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.boots.last().map(|boot| &boot.outcome)
    }

    /// Whether an app runs now.
    pub fn runs_an_app(&self) -> bool {
        matches!(self.outcome(), Some(Outcome::App { .. }))
    }
}

impl Device {
    /// A board with this flash and these eFuses, strapped for a normal boot.
    pub fn new(flash: Flash, efuses: Efuses) -> Self {
        let rom = Rom::of(efuses.chip(), security::chip_revision(&efuses));
        Self {
            flash,
            efuses,
            strap: rom.default_strap(),
            config: Config::default(),
            idf: None,
            rng: ChaCha20Rng::seed_from_u64(0),
        }
    }

    /// The chip.
    pub fn chip(&self) -> Chip {
        self.efuses.chip()
    }

    /// Applies power and watches.
    pub fn power_on(&mut self, watch: impl Into<Watch>) -> PowerCycle {
        self.start(ResetCause::PowerOn, watch.into(), &Power::steady())
    }

    /// Applies power that may fail, and watches.
    pub fn power_on_with(&mut self, watch: impl Into<Watch>, power: &Power) -> PowerCycle {
        self.start(ResetCause::PowerOn, watch.into(), power)
    }

    /// Resets the chip as `esp_restart()` does, and watches.
    pub fn reset(&mut self, watch: impl Into<Watch>) -> PowerCycle {
        self.start(ResetCause::AppRestart, watch.into(), &Power::steady())
    }

    /// Resets the chip while power may fail, and watches.
    pub fn reset_with(&mut self, watch: impl Into<Watch>, power: &Power) -> PowerCycle {
        self.start(ResetCause::AppRestart, watch.into(), power)
    }

    fn start(&mut self, cause: ResetCause, watch: Watch, power: &Power) -> PowerCycle {
        let most = match watch {
            Watch::UntilSettled => MOST_BOOTS,
            Watch::Boots(most) => most,
        };
        let mut cause = cause;
        let mut boots: Vec<Boot> = Vec::new();
        let mut reset_loop = false;
        while (boots.len() as u64) < u64::from(most.max(1)) {
            let before = (self.flash.clone(), self.efuses.clone());
            let boot = self.boot_with(cause, power);
            let goes_on = boot.outcome == Outcome::Reset;
            let same = before.0.changed_sectors(&self.flash).is_empty() && before.1 == self.efuses;
            boots.push(boot);
            if !goes_on {
                break;
            }
            reset_loop |= same;
            if same && watch == Watch::UntilSettled {
                break;
            }
            cause = ResetCause::Software;
        }
        PowerCycle { boots, reset_loop }
    }

    /// One boot, from reset to its end.
    pub fn boot(&mut self, cause: ResetCause) -> Boot {
        self.boot_with(cause, &Power::steady())
    }

    fn boot_with(&mut self, cause: ResetCause, power: &Power) -> Boot {
        let unit = EncryptionUnit::at_reset(&self.efuses);
        let chip = self.chip();
        let rom = Rom::of(chip, security::chip_revision(&self.efuses));
        let mut events = Vec::new();
        let mut observer = |event| events.push(event);
        let verdict = FirstStage {
            rom,
            flash: &self.flash,
            efuses: &mut PoweredEfuses::new(&mut self.efuses, power),
            unit: &unit,
            strap: self.strap,
            observer: &mut observer,
        }
        .run(cause);
        let offset = chip.spec().bootloader_offset;
        let build = bootloader::Build::inspect(&unit.view(&self.flash), chip, offset, self.idf);
        let outcome = match verdict {
            Verdict::Stuck => Outcome::RomStuck,
            Verdict::Reset => Outcome::Reset,
            Verdict::PowerLost => Outcome::PowerLost,
            Verdict::Download => Outcome::Download,
            Verdict::Bootloader => Bootloader {
                flash: &mut PoweredFlash::new(&mut self.flash, power),
                efuses: &mut PoweredEfuses::new(&mut self.efuses, power),
                unit: &unit,
                config: &self.config,
                build: &build,
                rng: &mut self.rng,
                observer: &mut observer,
            }
            .run(),
        };
        Boot { cause, idf: build.idf, events, outcome }
    }
}
