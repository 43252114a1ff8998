//! An app on the core's updater: any transport, any way in, resumed after lost connections.

use super::{
    Args, Installed,
    args::As,
    key::Key,
    stored::Stored,
    transport::{Cut, Transport},
};
use crate::{
    app::{
        Event,
        dryburn::{App, AppFlash},
        event::Level,
    },
    device::{Device, PowerCycle},
    event::Event as Any,
    rom::Rom,
    tools::Failure,
    uart,
};
use dryburn::{
    IdfVersion,
    boot::Slot,
    efuse::security,
    ota::{Ciphertext, Direct, Envelope, Erase, FinishError, PlainImage, Update, Updater, Way, WriteError},
};
use std::fmt::{Debug, Display};

const TAG: &str = "update";
const STARTED: u64 = 1_000_000;
/// A connection that is lost so often without a byte in between is given up.
const MOST_FRUITLESS: u32 = 3;

/// The app's log.
#[derive(Default)]
struct Log(Vec<Any>);

impl Log {
    fn say(&mut self, level: Level, text: impl Into<String>) {
        self.0.push(Any::App(Event::Says { level, tag: TAG, text: text.into() }));
    }
}

pub(super) fn update(
    device: &mut Device,
    cycle: &PowerCycle,
    args: &Args,
    mut transport: Transport,
    key: Option<Key>,
) -> Result<Installed, Failure> {
    let rom = Rom::of(device.chip(), security::chip_revision(&device.efuses));
    let idf = cycle.boots.last().map_or(IdfVersion::LATEST, |boot| boot.idf);
    let mut app = App::started(device, cycle).ok_or_else(|| Failure::new("device ota: no app runs"))?;
    let mut log = Log::default();
    let result = install(&mut app, args, &mut transport, key, &mut log);
    let done = result.is_ok();
    if let Err(text) = result {
        log.say(Level::Error, text);
    }
    let mut micros = STARTED;
    Ok(Installed { text: uart::render_app(&log.0, idf, rom, &mut micros), done })
}

fn install(
    app: &mut App<'_>,
    args: &Args,
    transport: &mut Transport,
    key: Option<Key>,
    log: &mut Log,
) -> Result<(), String> {
    let mut stored = None;
    if args.resume && args.way == As::Envelope {
        log.say(Level::Warning, "an envelope is opened from its first byte on: after a reset it starts anew");
    } else if args.resume {
        stored = Stored::find(app.device()).map_err(|e| e.to_string())?;
        if stored.is_none() {
            log.say(Level::Warning, "no data partition `progress`: after a reset the update starts anew");
        }
    }
    let mut updater = app.updater().map_err(|e| e.to_string())?;
    let running = updater.running();
    let slot = updater.next_slot().ok_or("the partition table has no slot but the running one")?;
    log.say(Level::Info, format!("running {}, the update goes to ota_{slot}", label(running)));
    match (args.way, key) {
        (As::Plain, _) => one_to_one(&mut updater, slot, PlainImage, args, transport, stored, log),
        (As::Raw | As::RawAll, _) => one_to_one(&mut updater, slot, Ciphertext, args, transport, stored, log),
        (As::Envelope, Some(key)) => {
            connect(transport, log).map_err(|cut| cut.to_string())?;
            let way = Envelope(key.opener(updater.slot_size(slot).unwrap_or(0)));
            let update = updater.begin(slot, way, None, Erase::AsWritten).map_err(|e| e.to_string())?;
            receive(update, args, transport, log, |_, _| Ok(())).map_err(End::text)
        }
        (As::Envelope, None) => Err("no key to open envelopes with".into()),
    }
}

/// An update that can go on where it was before a reset: a record is kept while it lasts, and forgotten when it is over.
fn one_to_one<W: Direct>(
    updater: &mut Updater<AppFlash<'_>>,
    slot: u8,
    way: W,
    args: &Args,
    transport: &mut Transport,
    mut stored: Option<Stored>,
    log: &mut Log,
) -> Result<(), String> {
    let result = match resume(updater, slot, way, transport, &stored, log) {
        Ok(Some(update)) => receive(update, args, transport, log, keep(&mut stored)),
        Ok(None) => {
            connect(transport, log).map_err(|cut| cut.to_string())?;
            forget(updater, &mut stored)?;
            let size = announced(transport)?;
            let update = updater.begin(slot, way, size, Erase::AsWritten).map_err(|e| e.to_string())?;
            receive(update, args, transport, log, keep(&mut stored))
        }
        Err(cut) => Err(End::Lost(cut.to_string())),
    };
    match result {
        Ok(()) => forget(updater, &mut stored),
        Err(End::Lost(text)) => Err(text),
        Err(End::Refused(text)) => {
            forget(updater, &mut stored)?;
            Err(text)
        }
    }
}

/// The update before the reset, if there was one of this file and its bytes are still there.
fn resume<'u, 'f, W: Direct>(
    updater: &'u mut Updater<AppFlash<'f>>,
    slot: u8,
    way: W,
    transport: &mut Transport,
    stored: &Option<Stored>,
    log: &mut Log,
) -> Result<Option<Update<'u, AppFlash<'f>, W>>, Cut> {
    let last = stored.as_ref().and_then(Stored::last).filter(|(progress, _)| progress.slot() == slot);
    let Some((progress, name)) = last else { return Ok(None) };
    let from = progress.offset();
    transport.begin_at(from.into());
    let reason = match connect(transport, log) {
        Ok(()) if transport.file_name() != name => "the file is not the one of before the reset".into(),
        Ok(()) => match updater.resume(&progress, way) {
            Ok(update) => {
                log.say(Level::Info, format!("{from} bytes are there from before the reset, going on behind them"));
                return Ok(Some(update));
            }
            Err(error) => error.to_string().trim_end_matches("; begin anew").to_owned(),
        },
        Err(cut) if cut.is_passing() => return Err(cut),
        Err(cut) => cut.to_string(),
    };
    log.say(Level::Warning, format!("{reason}; starting anew"));
    transport.begin_at(0);
    Ok(None)
}

/// Stores how far an update got.
fn keep<'s, 'f, W: Direct>(
    stored: &'s mut Option<Stored>,
) -> impl FnMut(&mut Update<'_, AppFlash<'f>, W>, &Transport) -> Result<(), String> + use<'s, 'f, W> {
    |update, transport| {
        let Some(stored) = stored else { return Ok(()) };
        let progress = update.progress();
        stored.keep(update.medium(), progress, transport.file_name()).map_err(not_stored)
    }
}

fn forget(updater: &mut Updater<AppFlash<'_>>, stored: &mut Option<Stored>) -> Result<(), String> {
    let Some(stored) = stored else { return Ok(()) };
    stored.forget(updater.medium()).map_err(not_stored)
}

fn not_stored(error: impl Debug) -> String {
    format!("partition `progress`: {error:?}")
}

/// Size in bytes of a file that is the image itself.
fn announced(transport: &Transport) -> Result<Option<u32>, String> {
    let too_large = |bytes| format!("{bytes} bytes are announced, more than any flash chip has");
    transport.announced().map(|bytes| u32::try_from(bytes).map_err(|_| too_large(bytes))).transpose()
}

fn label(slot: Slot) -> String {
    match slot {
        Slot::Factory => "factory".into(),
        Slot::Test => "test".into(),
        Slot::Ota(i) => format!("ota_{i}"),
    }
}

/// Connects; one that fails in passing is tried again.
fn connect(transport: &mut Transport, log: &mut Log) -> Result<(), Cut> {
    let mut fruitless = 0;
    loop {
        match transport.connect() {
            Ok(()) => return Ok(()),
            Err(cut) if cut.is_passing() && fruitless < MOST_FRUITLESS => {
                fruitless += 1;
                log.say(Level::Warning, format!("{cut}; trying again"));
            }
            Err(cut) => return Err(cut),
        }
    }
}

/// Why an update ended early.
enum End {
    /// No more bytes come for now.
    Lost(String),
    /// What came will not do.
    Refused(String),
}

impl End {
    fn text(self) -> String {
        match self {
            Self::Lost(text) | Self::Refused(text) => text,
        }
    }
}

/// Takes what comes and installs it; `keep` is called after each write.
fn receive<'f, W: Way>(
    mut update: Update<'_, AppFlash<'f>, W>,
    args: &Args,
    transport: &mut Transport,
    log: &mut Log,
    mut keep: impl FnMut(&mut Update<'_, AppFlash<'f>, W>, &Transport) -> Result<(), String>,
) -> Result<(), End>
where
    W::Error: Debug + MaybeReason,
{
    let mut buf = vec![0; args.chunk()];
    let mut total = u64::from(update.written());
    let mut fruitless = 0;
    loop {
        let cut = match transport.fill(&mut buf) {
            Ok(0) if transport.is_complete() || transport.announced().is_none() => break,
            Ok(0) => Cut::Lost(total),
            Ok(n) => {
                fruitless = 0;
                total = total.saturating_add(n as u64);
                update.write(buf.get(..n).unwrap_or(&[])).map_err(|e| End::Refused(why_not_written(e)))?;
                keep(&mut update, transport).map_err(End::Refused)?;
                continue;
            }
            Err(cut) => cut,
        };
        if !cut.is_passing() || fruitless >= MOST_FRUITLESS {
            return Err(End::Lost(format!("{cut}; given up, otadata is as it was")));
        }
        fruitless += 1;
        log.say(Level::Warning, format!("{cut}; going on at byte {total}"));
        connect(transport, log).map_err(|cut| End::Lost(cut.to_string()))?;
    }
    let ready = update.finish(&mut |_| {}).map_err(|e| End::Refused(why_not_finished(e)))?;
    let (length, slot) = (ready.image().length, ready.slot());
    ready.set_boot().map_err(|e| End::Refused(e.to_string()))?;
    log.say(Level::Info, format!("{length} bytes verified, ota_{slot} starts next"));
    Ok(())
}

/// What a way in says when it refuses, where it can.
trait MaybeReason {
    fn reason(&self) -> String;
}

impl MaybeReason for std::convert::Infallible {
    fn reason(&self) -> String {
        String::new()
    }
}

impl MaybeReason for dryburn::envelope::EnvelopeError {
    fn reason(&self) -> String {
        self.to_string()
    }
}

fn why_not_written<E: Debug, S: MaybeReason>(error: WriteError<E, S>) -> String
where
    WriteError<E, S>: Display,
{
    match &error {
        WriteError::Source(source) => format!("refused: {}", source.reason()),
        _ => format!("refused: {error}"),
    }
}

fn why_not_finished<E: Debug, S: MaybeReason>(error: FinishError<E, S>) -> String
where
    FinishError<E, S>: Display,
{
    match &error {
        FinishError::Source(source) => format!("refused: {}", source.reason()),
        _ => format!("refused: {error}"),
    }
}
