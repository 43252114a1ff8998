//! An app on the core's updater: any transport, any way in, resumed after lost connections.

use super::{
    Args, Installed,
    args::As,
    key::Key,
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
    ota::{Ciphertext, Envelope, Erase, FinishError, PlainImage, Updater, Way, WriteError},
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
    let mut updater = app.updater().map_err(|e| e.to_string())?;
    let running = updater.running();
    let slot = updater.next_slot().ok_or("the partition table has no slot but the running one")?;
    log.say(Level::Info, format!("running {}, the update goes to ota_{slot}", label(running)));
    connect(transport, log)?;
    match (args.way, key) {
        (As::Plain, _) => receive(&mut updater, slot, PlainImage, true, args, transport, log),
        (As::Raw | As::RawAll, _) => receive(&mut updater, slot, Ciphertext, true, args, transport, log),
        (As::Envelope, Some(key)) => {
            let limit = updater.slot_size(slot).unwrap_or(0);
            receive(&mut updater, slot, Envelope(key.opener(limit)), false, args, transport, log)
        }
        (As::Envelope, None) => Err("no key to open envelopes with".into()),
    }
}

fn label(slot: Slot) -> String {
    match slot {
        Slot::Factory => "factory".into(),
        Slot::Test => "test".into(),
        Slot::Ota(i) => format!("ota_{i}"),
    }
}

/// Connects; one that fails in passing is tried again.
fn connect(transport: &mut Transport, log: &mut Log) -> Result<(), String> {
    let mut fruitless = 0;
    loop {
        match transport.connect() {
            Ok(()) => return Ok(()),
            Err(cut) if cut.is_passing() && fruitless < MOST_FRUITLESS => {
                fruitless += 1;
                log.say(Level::Warning, format!("{cut}; trying again"));
            }
            Err(cut) => return Err(cut.to_string()),
        }
    }
}

fn receive<W: Way>(
    updater: &mut Updater<AppFlash<'_>>,
    slot: u8,
    way: W,
    one_to_one: bool,
    args: &Args,
    transport: &mut Transport,
    log: &mut Log,
) -> Result<(), String>
where
    W::Error: Debug + MaybeReason,
{
    let announced = transport.announced().filter(|_| one_to_one);
    let too_large = |bytes| format!("{bytes} bytes are announced, more than any flash chip has");
    let size = announced.map(|bytes| u32::try_from(bytes).map_err(|_| too_large(bytes))).transpose()?;
    let mut update = updater.begin(slot, way, size, Erase::AsWritten).map_err(|e| e.to_string())?;
    let mut buf = vec![0; args.chunk()];
    let mut total = 0_u64;
    let mut fruitless = 0;
    loop {
        let cut = match transport.fill(&mut buf) {
            Ok(0) if transport.is_complete() || transport.announced().is_none() => break,
            Ok(0) => Cut::Lost(total),
            Ok(n) => {
                fruitless = 0;
                total = total.saturating_add(n as u64);
                update.write(buf.get(..n).unwrap_or(&[])).map_err(why_not_written)?;
                continue;
            }
            Err(cut) => cut,
        };
        if !cut.is_passing() || fruitless >= MOST_FRUITLESS {
            return Err(format!("{cut}; given up, otadata is as it was"));
        }
        fruitless += 1;
        log.say(Level::Warning, format!("{cut}; going on at byte {total}"));
        connect(transport, log)?;
    }
    let ready = update.finish(&mut |_| {}).map_err(why_not_finished)?;
    let length = ready.image().length;
    ready.set_boot().map_err(|e| e.to_string())?;
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
