//! Events to the exact lines that a given ESP-IDF version prints.
//!
//! Decisions live in the core and flow in the model; wording lives here and only here: `rom` for the first stage,
//! `bootloader` for the second, `app` for the application. A text that changed between releases is a small table of (first release, text).
//! Source: behaviour sheet §0-2, recorded logs.

mod app;
mod bootloader;
mod https_ota;
mod rom;
mod security;

use crate::{
    bootloader as bootloader_event,
    device::{Boot, PowerCycle},
    event::{Event, Outcome},
    rom::Rom,
};
use dryburn::{Chip, IdfVersion};

/// Lines as they leave the UART, with time stamps of the model's own making: the stamp advances with the text itself
/// (115200 baud) and with the bytes that are verified, so it is the same on every run.
struct Uart<'a> {
    chip: Chip,
    idf: IdfVersion,
    rom: &'static Rom,
    out: &'a mut String,
    micros: u64,
}

/// Log levels of ESP-IDF.
#[derive(Clone, Copy)]
enum Level {
    Error,
    Warning,
    Info,
}

impl Uart<'_> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Rom(event) => rom::line(self, event),
            Event::Bootloader(event) => bootloader::lines(self, event),
            Event::App(event) => app::lines(self, event),
        }
    }

    /// A line without a stamp: the ROM's.
    fn raw(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
        self.spend(text.len() as u64 * 87);
    }

    /// A line of the second stage.
    fn log(&mut self, level: Level, tag: &str, text: &str) {
        let level = match level {
            Level::Error => 'E',
            Level::Warning => 'W',
            Level::Info => 'I',
        };
        let line = format!("{level} ({}) {tag}: {text}", self.micros / 1000);
        self.raw(&line);
    }

    fn error(&mut self, tag: &str, text: &str) {
        self.log(Level::Error, tag, text);
    }

    fn info(&mut self, tag: &str, text: &str) {
        self.log(Level::Info, tag, text);
    }

    fn warn(&mut self, tag: &str, text: &str) {
        self.log(Level::Warning, tag, text);
    }

    /// The text of the newest release that is not newer than this one.
    fn since<'t>(&self, versions: &[((u8, u8), &'t str)]) -> &'t str {
        versions
            .iter()
            .filter(|((major, minor), _)| self.idf.since(*major, *minor))
            .max_by_key(|(version, _)| *version)
            .map_or("", |(_, text)| text)
    }

    fn spend(&mut self, micros: u64) {
        self.micros += micros;
    }
}

/// The UART text of one boot of a `chip`, lines ended by `\n`. Characters stand for bytes (Latin-1): see [`to_bytes`].
pub fn render(boot: &Boot, rom: &'static Rom) -> String {
    let mut out = String::new();
    let mut uart = Uart { chip: rom.chip, idf: boot.idf, rom, out: &mut out, micros: 20_000 };
    for event in in_order(boot) {
        uart.event(event);
    }
    out
}

/// The UART text of what an app that ESP-IDF `idf` built reports. `micros` is the time since its boot; it advances.
pub fn render_app(events: &[Event], idf: IdfVersion, rom: &'static Rom, micros: &mut u64) -> String {
    let mut out = String::new();
    let mut uart = Uart { chip: rom.chip, idf, rom, out: &mut out, micros: *micros };
    for event in events {
        uart.event(event);
    }
    *micros = uart.micros;
    out
}

/// The events in the order in which that release tells of them. Up to ESP-IDF 4.0 the second stage checks the chip before
/// it says who it is, and turns the entropy source on before it shows the flash set-up (behaviour sheet §2.1, public logs
/// of 3.3.2 and 4.0.1). A bootloader that the check ends says nothing else.
fn in_order(boot: &Boot) -> Vec<&Event> {
    use bootloader_event::Event as E;
    let mut events: Vec<&Event> = boot.events.iter().collect();
    let place = |events: &[&Event], is: fn(&E) -> bool| {
        events.iter().position(|event| matches!(event, Event::Bootloader(event) if is(event)))
    };
    if boot.idf.since(4, 1) {
        return events;
    }
    let Some(banner) = place(&events, |event| matches!(event, E::Banner { .. })) else { return events };
    let banner = events.remove(banner);
    if let Some(flash) = place(&events, |event| matches!(event, E::Flash { .. })) {
        let flash = events.remove(flash);
        let behind = place(&events, |event| matches!(event, E::EntropyOn)).map_or(events.len(), |at| at + 1);
        events.insert(behind, flash);
        events.insert(behind.saturating_sub(1), banner);
    }
    events
}

/// The UART text of a power cycle, followed by a remark of our own (`--- dryburn: …`) where the log alone would leave the
/// reader waiting: a reset loop, a ROM that waits for a watchdog.
pub fn render_cycle(cycle: &PowerCycle, rom: &'static Rom) -> (String, Option<String>) {
    let text = cycle.boots.iter().map(|boot| render(boot, rom)).collect();
    (text, remark(cycle))
}

fn remark(cycle: &PowerCycle) -> Option<String> {
    let text = match cycle.outcome()? {
        // whoever cut it says so
        Outcome::App { .. } | Outcome::PowerLost => return None,
        Outcome::Reset if cycle.reset_loop => "reset loop: every boot ends like this one".into(),
        Outcome::Reset => "reset; more boots were not asked for".into(),
        Outcome::RomStuck => "the ROM goes no further; a watchdog resets the chip and it ends here again".into(),
        Outcome::Crash { reason } => format!("the bootloader aborts: {reason}"),
        Outcome::Download => "download mode".into(),
        Outcome::NotModelled { what } => format!("stopped: {what} is not modelled yet"),
    };
    Some(text)
}

/// The bytes on the wire: each character is one byte, as labels in a damaged partition table may be any byte.
pub fn to_bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

/// Flash modes in the words of log lines; the ROM shortens two of them.
const MODES: [(&str, &str); 6] = [
    ("QIO", "QIO"),
    ("QOUT", "QOUT"),
    ("DIO", "DIO"),
    ("DOUT", "DOUT"),
    ("FAST READ", "FAST_RD"),
    ("SLOW READ", "SLOW_RD"),
];
