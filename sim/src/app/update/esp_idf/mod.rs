//! An app on ESP-IDF that updates itself as ESP-IDF's examples do: their calls, in their order, with their lines
//! (UNVERIFIED: by the examples' source, not by recordings).
//!
//! | app | fetches | used for |
//! |---|---|---|
//! | [`native`] | whatever hands it bytes | files that someone sends; raw writes, where the example is patched (report R5) |
//! | [`https`] | with `esp_https_ota` | URLs |

mod decrypt;
mod https;
mod native;

use super::{Args, Installed, args::As, key::Key, transport::Transport};
use crate::{
    app::{App, AppBuild, EspOta, Event, RawWrites, event::Level},
    device::{Device, PowerCycle},
    rom::Rom,
    tools::Failure,
    uart,
};
use dryburn::{IdfVersion, efuse::security, image::AppDescriptor};

/// An app's first line comes about a second after the reset.
const STARTED: u64 = 1_000_000;

/// How the app fared.
enum End {
    /// The new slot starts next.
    Installed,
    /// It gave up. What it cannot know, or does not say, is told beside its log.
    GaveUp(Option<String>),
    /// It is stuck in a call, for ever, and why.
    Stuck(String),
}

pub(super) fn update(
    device: &mut Device,
    cycle: &PowerCycle,
    args: &Args,
    transport: Transport,
    key: Option<Key>,
) -> Result<Installed, Failure> {
    let rom = Rom::of(device.chip(), security::chip_revision(&device.efuses));
    let raw_writes = match args.way {
        As::Plain | As::Envelope => RawWrites::None,
        As::Raw => RawWrites::Apps,
        As::RawAll => RawWrites::All,
    };
    let build = AppBuild { raw_writes, ..AppBuild::default() };
    let app = App::started_with(device, cycle, &build).ok_or_else(|| Failure::new("device ota: no app runs"))?;
    let idf = app.idf();
    let mut ota = EspOta::new(app);
    let end = match transport {
        Transport::Server(fetched) if raw_writes == RawWrites::None => https::run(&mut ota, args, *fetched, key)?,
        transport => native::run(&mut ota, args, transport, key)?,
    };
    let mut micros = STARTED;
    let mut text = uart::render_app(&ota.app.take_events(), idf, rom, &mut micros);
    match &end {
        End::Stuck(because) => text += &format!("--- dryburn: {because}; the app waits for ever\n"),
        End::GaveUp(Some(because)) => text += &format!("--- dryburn: {because}\n"),
        End::GaveUp(None) | End::Installed => {}
    }
    Ok(Installed { text, done: matches!(end, End::Installed) })
}

/// Lines of an app's own, under its tag.
struct Voice(&'static str);

impl Voice {
    fn say(&self, ota: &mut EspOta<'_>, level: Level, text: impl Into<String>) {
        ota.app.tell(Event::Says { level, tag: self.0, text: text.into() });
    }

    fn info(&self, ota: &mut EspOta<'_>, text: impl Into<String>) {
        self.say(ota, Level::Info, text);
    }

    fn warn(&self, ota: &mut EspOta<'_>, text: impl Into<String>) {
        self.say(ota, Level::Warning, text);
    }

    fn error(&self, ota: &mut EspOta<'_>, text: impl Into<String>) {
        self.say(ota, Level::Error, text);
    }

    /// The examples' check of the new version; false when they do not go on.
    fn accepts(&self, ota: &mut EspOta<'_>, new: &AppDescriptor, args: &Args) -> bool {
        let running = ota.app.running().clone();
        let version = ota.partition_description(Some(&running)).map(|d| d.version().to_owned()).unwrap_or_default();
        self.info(ota, format!("Running firmware version: {version}"));
        if new.version() == version && !args.any_version {
            self.warn(ota, "Current running version is the same as a new. We will not continue the update.");
            return false;
        }
        true
    }

    /// The check of `advanced_https_ota` in builds with anti-rollback.
    fn is_recent(&self, ota: &mut EspOta<'_>, new: &AppDescriptor) -> bool {
        let burned = security::secure_version(&ota.app.device.efuses);
        let checks = ota.app.is_built_with("BOOTLOADER_APP_ANTI_ROLLBACK");
        if checks && new.secure_version() < burned {
            let version = new.secure_version();
            let text = format!("New firmware security version is less than eFuse programmed, {version} < {burned}");
            self.warn(ota, text);
            return false;
        }
        true
    }
}

/// The wording of [`crate::app::EspError`] in the examples.
fn name(error: crate::app::EspError) -> &'static str {
    error.name().unwrap_or("UNKNOWN ERROR")
}

/// Whether the examples of that release look at what `esp_https_ota` made of the download before they finish.
fn is_later(idf: IdfVersion) -> bool {
    idf.since(4, 3)
}
