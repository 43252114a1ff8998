//! The failure matrix as one table: each cell of the documents in `scenarios/matrix/ota/failures` is run, and what came of it
//! is one letter. What the updaters and the bootloader say word for word is for the documents; here it is how it ended.
//!
//! Beside the table stands what holds in every cell: an app runs after each failure, and the next good update is installed.

use dryburn_sim::{
    board::BoardMaker,
    scenario::{Board, Case, Cell, Document, Maker, Step, parse},
    tools::Output,
};
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};
use tempfile::TempDir;

const FOLDER: &str = "scenarios/matrix/ota/failures";
const CHIPS: [&str; 5] = ["esp32", "esp32s2", "esp32c3", "esp32s3", "esp32c6"];
const SECURITY: [(&str, &str); 4] = [("plain", "--"), ("fe", "FE"), ("sb", "SB"), ("fe+sb", "FS")];
const UPDATERS: [&str; 2] = ["ESP-IDF's updater", "dryburn's updater"];

/// What the updaters say when they refuse before all of the update has arrived.
const ON_THE_WAY_IN: [&str; 7] = [
    "esp_ota_write failed",
    "Decrypt callback failed",
    "refused: the image begins with",
    "refused: the 384 bytes at offset 0x4 do not decrypt",
    "refused: no AES-CBC envelope",
    "does not fit the slot",
    "refused: data up to offset",
];
/// What ESP-IDF's updater says when all has arrived; dryburn's says `refused: ` and why.
const AT_THE_END: [&str; 4] =
    ["esp_ota_end failed", "esp_encrypted_img_decrypt_end failed", "esp_ota_set_boot_partition failed", "refused: "];

/// How an update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Refused before all of it had arrived.
    OnTheWayIn,
    /// Refused once it had arrived, before its slot was chosen.
    AtTheEnd,
    /// Accepted; the bootloader starts the old app.
    FallsBack,
    /// Accepted, and started.
    Runs,
}

impl Outcome {
    const ALL: [(Self, char, &'static str); 4] = [
        (Self::OnTheWayIn, 'i', "refused on the way in"),
        (Self::AtTheEnd, 'e', "refused at the end, before the slot is chosen"),
        (Self::FallsBack, 'B', "accepted; the bootloader starts the old app"),
        (Self::Runs, 'r', "accepted, and runs"),
    ];

    fn symbol(self) -> char {
        Self::ALL.iter().find(|(outcome, ..)| *outcome == self).unwrap().1
    }
}

/// A place in the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    failure: String,
    chip: String,
    security: String,
    updater: String,
}

impl Place {
    fn new(cell: &Cell, case: &Case) -> Self {
        let var = |name: &str| cell.vars.iter().find(|(key, _)| key == name).unwrap().1.clone();
        let (failure, updater) = case.title.rsplit_once(": ").unwrap();
        Self { failure: failure.into(), chip: var("chip"), security: var("security"), updater: updater.into() }
    }
}

/// What stands in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Ended(Outcome),
    Skipped(String),
}

fn documents() -> Vec<Document> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        parse(&name, &fs::read_to_string(path).unwrap()).unwrap()
    };
    paths.iter().map(read).collect()
}

fn run(board: &mut dyn Board, cell: &Cell, step: &Step) -> Output {
    let words: Vec<String> = step.words.iter().map(|word| cell.fill(word)).collect();
    board.run(&words)
}

/// Runs one cell of a document: its set-up once, each case on a copy of it.
fn run_cell(document: &Document, cell: &Cell) -> Vec<(Place, Entry)> {
    if let Some(because) = &cell.skip {
        let skipped = |case: &Case| (Place::new(cell, case), Entry::Skipped(because.clone()));
        return document.cases.iter().map(skipped).collect();
    }
    let folder = tempfile::tempdir().unwrap();
    let mut board = BoardMaker.make(&cell.spec, folder.path()).unwrap();
    for step in &document.setup {
        let output = run(board.as_mut(), cell, step);
        assert_eq!(output.status, 0, "{} ({}): {}\n{}", document.path, cell.name(), step.command, output.text);
    }
    let fork = |case: &Case| {
        let place = Place::new(cell, case);
        let copy = copied(&folder);
        let mut board = board.fork(copy.path());
        let outcome = run_case(board.as_mut(), cell, case).unwrap_or_else(|reason| panic!("{place:?}: {reason}"));
        (place, Entry::Ended(outcome))
    };
    document.cases.iter().map(fork).collect()
}

fn copied(folder: &TempDir) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// Runs a case and checks its form: the update, a reset, a good update, a reset.
fn run_case(board: &mut dyn Board, cell: &Cell, case: &Case) -> Result<Outcome, String> {
    let mut updates = Vec::new();
    let mut boots = Vec::new();
    for step in &case.steps {
        let output = run(board, cell, step);
        match step.words.get(..2).unwrap_or(&[]) {
            [device, verb] if device == "device" && verb == "ota" => updates.push(output),
            // one before the update is part of the preparation
            [device, verb] if device == "device" && verb == "reset" && !updates.is_empty() => boots.push(output),
            _ if output.status != 0 => return Err(format!("{}\n{}", step.command, output.text)),
            _ => {}
        }
    }
    let ([update, next], [boot, last]) = (updates.as_slice(), boots.as_slice()) else {
        return Err(format!("{} updates and {} resets behind them, expected 2 of each", updates.len(), boots.len()));
    };
    let (old, new) = (0x20000, 0x40000);
    let started = started(boot)?;
    let outcome = match (update.status, started) {
        (0, at) if at == new => Outcome::Runs,
        (0, at) if at == old => Outcome::FallsBack,
        (_, at) if at == old => refusal(&update.text)?,
        (status, at) => return Err(format!("status {status}, then the app at {at:#x} starts")),
    };
    if next.status != 0 {
        return Err(format!("no next update:\n{}", next.text));
    }
    match self::started(last)? {
        at if at == if started == old { new } else { old } => Ok(outcome),
        at => Err(format!("the next update is not started, but what is at {at:#x}")),
    }
}

/// Address of the app that a boot started.
fn started(boot: &Output) -> Result<u32, String> {
    let said = "Loaded app from partition at offset 0x";
    let (_, at) = boot.text.rsplit_once(said).filter(|_| boot.status == 0).ok_or_else(|| boot.text.clone())?;
    u32::from_str_radix(at.lines().next().unwrap_or("").trim(), 16).map_err(|e| format!("{e}: {at}"))
}

fn refusal(text: &str) -> Result<Outcome, String> {
    let says = |lines: &[&str]| lines.iter().any(|line| text.contains(line));
    match (says(&ON_THE_WAY_IN), says(&AT_THE_END)) {
        (true, _) => Ok(Outcome::OnTheWayIn),
        (_, true) => Ok(Outcome::AtTheEnd),
        _ => Err(format!("not a known refusal:\n{text}")),
    }
}

/// All cells. Where one document runs a cell and another skips it, it is run.
fn matrix(documents: &[Document]) -> (Vec<String>, BTreeMap<Place, Entry>) {
    let mut rows: Vec<String> = Vec::new();
    for case in documents.iter().flat_map(|document| &document.cases) {
        let failure = case.title.rsplit_once(": ").unwrap().0.to_owned();
        if !rows.contains(&failure) {
            rows.push(failure);
        }
    }
    let cells: Vec<_> = documents.iter().flat_map(|d| d.cells.iter().map(move |cell| (d, cell))).collect();
    let ran: Vec<_> = cells.par_iter().flat_map(|(document, cell)| run_cell(document, cell)).collect();
    let mut entries = BTreeMap::new();
    for (place, entry) in ran {
        match (entries.get(&place), &entry) {
            (None, _) | (Some(Entry::Skipped(_)), Entry::Ended(_)) => {
                entries.insert(place, entry);
            }
            (Some(Entry::Ended(_)), Entry::Ended(_)) => panic!("{place:?} stands in two documents"),
            (Some(_), Entry::Skipped(_)) => {}
        }
    }
    (rows, entries)
}

fn render(rows: &[String], entries: &BTreeMap<Place, Entry>) -> String {
    let mut text = String::new();
    let width = rows.iter().map(String::len).max().unwrap_or(0);
    let line = |label: &str, cells: &dyn Fn(&str, (&str, &str)) -> String| {
        let chips = CHIPS.map(|chip| SECURITY.map(|security| cells(chip, security)).join(" "));
        format!("{label:width$}  {}", chips.join("  ")).trim_end().to_owned() + "\n"
    };
    let heads = CHIPS.map(|chip| format!("{chip:11}")).join("  ");
    let _ = writeln!(text, "{:width$}  {}", "", heads.trim_end());
    text += &line("", &|_, (_, short)| short.into());
    let mut reasons = BTreeMap::<&str, usize>::new();
    for row in rows {
        text += &line(row, &|chip, (security, _)| {
            let symbol = |updater: &&str| match entry(entries, row, chip, security, updater) {
                Entry::Ended(outcome) => outcome.symbol(),
                Entry::Skipped(_) => '.',
            };
            UPDATERS.iter().map(symbol).collect()
        });
    }
    text += "\n-- neither, FE flash encryption, SB secure boot, FS both; left ESP-IDF's updater, right dryburn's\n\n";
    let _ = writeln!(text, "            ESP-IDF  dryburn");
    for (outcome, symbol, meaning) in Outcome::ALL {
        let count = |updater: &str| {
            entries.iter().filter(|(p, e)| p.updater == updater && **e == Entry::Ended(outcome)).count()
        };
        let _ = writeln!(text, "{symbol}           {:7}  {:7}  {meaning}", count(UPDATERS[0]), count(UPDATERS[1]));
    }
    for entry in entries.values() {
        if let Entry::Skipped(because) = entry {
            *reasons.entry(because).or_default() += 1;
        }
    }
    let skipped: usize = reasons.values().sum();
    let _ = writeln!(text, "\n{} cells, {} run, {skipped} skipped (.):", entries.len(), entries.len() - skipped);
    for (because, count) in reasons {
        let _ = writeln!(text, "{count:4}  {because}");
    }
    text
}

fn entry<'a>(
    entries: &'a BTreeMap<Place, Entry>,
    failure: &str,
    chip: &str,
    security: &str,
    updater: &str,
) -> &'a Entry {
    let [failure, chip, security, updater] = [failure, chip, security, updater].map(str::to_owned);
    let place = Place { failure, chip, security, updater };
    entries.get(&place).unwrap_or_else(|| panic!("{place:?} stands in no document"))
}

#[test]
fn failure_matrix() {
    let documents = documents();
    let (rows, entries) = matrix(&documents);

    // that each device goes on and takes the next update was checked in each cell that ran
    let known: BTreeSet<&str> = UPDATERS.into();
    assert!(entries.keys().all(|place| known.contains(place.updater.as_str())));
    for (place, entry) in &entries {
        let Entry::Ended(outcome) = entry else { continue };
        if place.updater == UPDATERS[0] {
            let Place { failure, chip, security, .. } = place;
            let own = self::entry(&entries, failure, chip, security, UPDATERS[1]);
            let refused = |entry: &Entry| matches!(entry, Entry::Ended(Outcome::OnTheWayIn | Outcome::AtTheEnd));
            assert!(!refused(&Entry::Ended(*outcome)) || refused(own), "{place:?}: only ESP-IDF's updater refuses");
        } else {
            assert_ne!(*outcome, Outcome::FallsBack, "{place:?}: refused by the bootloader, not by the updater");
        }
    }
    insta::assert_snapshot!(render(&rows, &entries));
}
