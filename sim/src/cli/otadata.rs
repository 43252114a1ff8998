//! `dryburn otadata`: otadata partitions to rehearse with, and what a bootloader makes of one.

use crate::tools::{Failure, Workbench, number};
use clap::Subcommand;
use dryburn::{
    SECTOR,
    boot::{self, Event, MAX_OTA_SLOTS, Options, Slots},
    image::Region,
    otadata::{ENTRY_SIZE, Entry, PARTITION_SIZE, State, crc},
};
use std::{fmt::Write, str::FromStr};

/// Make and show otadata.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write an otadata partition of 0x2000 bytes, in plaintext
    New(New),
    /// Show both entries and which slot they choose
    Show(Show),
}

#[derive(clap::Args)]
struct New {
    /// File to write
    file: String,
    /// An entry, for otadata[0] and then otadata[1]: SEQ[:STATE[:CRC]] or `blank`. STATE is NEW, PENDING_VERIFY, VALID,
    /// INVALID, ABORTED, UNDEFINED (as an app without rollback leaves it; the default) or a number; CRC is ok, bad or a
    /// number. What is left out is blank
    #[arg(long, value_name = "ENTRY")]
    entry: Vec<Wanted>,
}

#[derive(clap::Args)]
struct Show {
    /// otadata in plaintext
    file: String,
    /// Number of OTA slots in the partition table
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=MAX_OTA_SLOTS as i64))]
    slots: u8,
}

/// An entry as the command line states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted(Entry);

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("blank") {
            return Ok(Self(Entry::BLANK));
        }
        let mut parts = text.split(':');
        let ota_seq = word(parts.next().unwrap_or(""))?;
        let state = parts.next().map_or(Ok(State::Undefined), state)?;
        let right = crc(ota_seq);
        let stored = match parts.next() {
            None | Some("ok") => right,
            // a byte of it is gone, as after a torn write; any other value will do where that byte was 0 anyway
            Some("bad") => Some(right & 0x00FF_FFFF).filter(|wrong| *wrong != right).unwrap_or(!right),
            Some(text) => word(text)?,
        };
        match parts.next() {
            Some(more) => Err(format!("nothing may follow the CRC: found ':{more}'")),
            None => Ok(Self(with_crc(Entry::new(ota_seq, state), stored))),
        }
    }
}

fn with_crc(entry: Entry, crc: u32) -> Entry {
    let mut raw = entry.to_bytes();
    for (byte, new) in raw.iter_mut().skip(28).zip(crc.to_le_bytes()) {
        *byte = new;
    }
    Entry::from_bytes(raw)
}

fn word(text: &str) -> Result<u32, String> {
    u32::try_from(number(text)?).map_err(|_| format!("'{text}' has more than 32 bits"))
}

/// The states by the names that ESP-IDF gives them.
const STATES: [(&str, State); 6] = [
    ("NEW", State::New),
    ("PENDING_VERIFY", State::PendingVerify),
    ("VALID", State::Valid),
    ("INVALID", State::Invalid),
    ("ABORTED", State::Aborted),
    ("UNDEFINED", State::Undefined),
];

fn state(text: &str) -> Result<State, String> {
    let name = text.to_ascii_uppercase().replace('-', "_");
    match STATES.iter().find(|(known, _)| *known == name) {
        Some((_, state)) => Ok(*state),
        None => word(text).map(State::from_word).map_err(|_| {
            let known = STATES.map(|(name, _)| name).join(", ");
            format!("'{text}' is no state: write {known} or a number of 32 bits")
        }),
    }
}

fn state_name(state: State) -> String {
    let known = STATES.iter().find(|(_, known)| *known == state);
    known.map_or_else(|| format!("state {:#x}", state.to_word()), |(name, _)| (*name).into())
}

/// Runs one `dryburn otadata` command.
///
/// # Errors
/// Unreadable files, files that are too short, more than two entries; nothing is written then.
pub fn run(bench: &Workbench, args: &Args) -> Result<String, Failure> {
    match &args.command {
        Command::New(new) => make(bench, new),
        Command::Show(show) => describe(bench, show),
    }
}

fn make(bench: &Workbench, new: &New) -> Result<String, Failure> {
    if new.entry.len() > 2 {
        let found = new.entry.len();
        return Err(Failure::new(format!("--entry: found {found} entries; otadata has two, one in each sector")));
    }
    let mut bytes = vec![0xFF; PARTITION_SIZE as usize];
    for (sector, Wanted(entry)) in bytes.chunks_mut(SECTOR as usize).zip(&new.entry) {
        for (byte, new) in sector.iter_mut().zip(entry.to_bytes()) {
            *byte = new;
        }
    }
    bench.write(&new.file, &bytes)?;
    Ok(String::new())
}

fn describe(bench: &Workbench, show: &Show) -> Result<String, Failure> {
    let bytes = bench.read(&show.file)?;
    let entry = |sector: usize| {
        let raw = bytes.get(sector * SECTOR as usize..).and_then(|b| b.first_chunk::<ENTRY_SIZE>());
        raw.map(|raw| Entry::from_bytes(*raw)).ok_or_else(|| {
            let (name, found) = (&show.file, bytes.len());
            Failure::new(format!("{name}: {found:#x} bytes; otadata has two sectors, {PARTITION_SIZE:#x} bytes"))
        })
    };
    let entries = [entry(0)?, entry(1)?];
    let mut text = String::new();
    for (i, entry) in entries.iter().enumerate() {
        let _ = writeln!(text, "otadata[{i}]  {}", one(entry, show.slots));
    }
    let _ = writeln!(text, "{}", verdict(entries, show.slots));
    Ok(text)
}

fn one(entry: &Entry, slots: u8) -> String {
    if *entry == Entry::BLANK {
        return "blank".into();
    }
    let (seq, stored, right) = (entry.ota_seq(), entry.stored_crc(), crc(entry.ota_seq()));
    let crc = if stored == right { "ok".into() } else { format!("wrong, ota_seq {seq} has {right:#010x}") };
    let names = entry.slot(u32::from(slots)).map_or(String::new(), |slot| format!(", names ota_{slot}"));
    format!("ota_seq {seq}{names}, {}, crc {stored:#010x} {crc}", state_name(entry.state()))
}

/// What a bootloader without rollback and without a factory app makes of the entries; the core decides.
fn verdict(entries: [Entry; 2], count: u8) -> String {
    let mut slots = Slots::default();
    for i in 0..count {
        slots.add(0x00, 0x10 | i, Region { offset: 0, size: SECTOR });
    }
    let mut text = String::new();
    boot::choose(&slots, Some(entries), &Options::default(), &mut |_| None, &mut |event| {
        text = match event {
            Event::Selected { sector, slot } => format!("otadata[{sector}] wins: ota_{slot} is tried first"),
            Event::NoFactoryTryingOta0 => "no entry chooses: factory starts, or ota_0 where there is none".into(),
            _ => "no entry is valid: factory starts, or all slots are tried where there is none".into(),
        };
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Entries on the command line, and the file that otatool's formula made of the same.
    const VECTORS: [(&str, &[&str]); 6] = [
        ("blank", &[]),
        ("seq1_undef", &["1"]),
        ("seq1_valid_seq2_new", &["1:VALID", "2:new:ok"]),
        ("seq3_valid_seq2_aborted", &["3:2:0xed4a5011", "2:ABORTED"]),
        ("seq5_invalid_seq4_valid", &["5:INVALID", "4:valid"]),
        ("badcrc_both", &["1:VALID:bad", "2:VALID:bad"]),
    ];

    fn desk() -> (tempfile::TempDir, Workbench) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let bench = Workbench::confined(folder.path(), 0);
        (folder, bench)
    }

    fn wanted(entries: &[&str]) -> Vec<Wanted> {
        entries.iter().map(|e| e.parse().expect("an entry")).collect()
    }

    #[test]
    fn new_writes_what_the_vendors_formula_writes() {
        let (_folder, bench) = desk();
        for (name, entries) in VECTORS {
            make(&bench, &New { file: "o.bin".into(), entry: wanted(entries) }).expect("written");
            let vector = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/vectors/otadata/{name}.bin"));
            assert_eq!(bench.read("o.bin").expect("file"), std::fs::read(vector).expect("vector"), "{name}");
        }
    }

    #[test]
    fn show_says_which_entry_wins() {
        let (_folder, bench) = desk();
        for (entries, want) in [
            (&["1:VALID", "2:NEW"][..], "otadata[1] wins: ota_1 is tried first"),
            (&["5:INVALID", "4:VALID"], "otadata[1] wins: ota_1 is tried first"),
            (
                &["1:VALID:bad", "2:VALID:bad"],
                "no entry is valid: factory starts, or all slots are tried where there is none",
            ),
            (&["blank", "3:ABORTED"], "no entry chooses: factory starts, or ota_0 where there is none"),
        ] {
            make(&bench, &New { file: "o.bin".into(), entry: wanted(entries) }).expect("written");
            let text = describe(&bench, &Show { file: "o.bin".into(), slots: 2 }).expect("readable");
            assert_eq!(text.lines().last(), Some(want), "{entries:?}");
        }
    }

    #[test]
    fn bad_input_is_refused_and_nothing_written() {
        let (_folder, bench) = desk();
        for text in ["", "x", "1:SOON", "1:NEW:good", "1:NEW:ok:1", "0x100000000"] {
            assert!(text.parse::<Wanted>().is_err(), "{text}");
        }
        let three = New { file: "o.bin".into(), entry: wanted(&["1", "2", "3"]) };
        assert_eq!(make(&bench, &three).map_err(|f| f.status), Err(2));
        assert!(!bench.exists("o.bin"));
        bench.write("short.bin", &[0xFF; 0x1000]).expect("written");
        let show = Show { file: "short.bin".into(), slots: 2 };
        assert_eq!(describe(&bench, &show).map_err(|f| f.status), Err(2));
    }
}
