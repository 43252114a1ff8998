//! Everything that a power cycle reports, in order.

use crate::{app::event as app, bootloader::event as bootloader, rom::event as rom};
use serde::Serialize;

/// One event of a power cycle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// From the first stage.
    Rom(rom::Event),
    /// From the second stage.
    Bootloader(bootloader::Event),
    /// From the application.
    App(app::Event),
}

/// How a boot ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// An app was started.
    App {
        /// The slot.
        slot: dryburn::boot::Slot,
        /// Flash address of its partition.
        offset: u32,
        /// What the app descriptor says, where there is one.
        version: Option<String>,
    },
    /// An app was loaded but cannot run: the bootloader aborts while it maps the app's segments.
    Crash {
        /// Why.
        reason: &'static str,
    },
    /// The second stage gave up and resets the chip.
    Reset,
    /// The ROM gave up; only a watchdog ends it.
    RomStuck,
    /// The chip waits for a download.
    Download,
    /// Power failed while the boot was writing.
    PowerLost,
    /// The boot code reached a step that is not modelled.
    NotModelled {
        /// The step.
        what: &'static str,
    },
}
