//! The outcomes of a campaign as a table.

use super::{Campaign, Case, Ending, Second, Started};
use crate::{bus::EncryptionUnit, device::Device, fault::Operation};
use dryburn::{SECTOR, partition};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

/// One line: cuts in the same place that end alike.
struct Row {
    place: String,
    first: u64,
    last: u64,
    states: usize,
    replay: String,
    ending: String,
}

impl Campaign {
    /// The outcomes by what was cut, in the words of `board`'s partition table. Each line names its first cut, which replays.
    pub fn table(&self, board: &Device) -> String {
        let places = Places::of(board);
        let shown = Shown { apps: self.apps().len() > 1 };
        let mut out =
            format!("{} writes, {} cuts; uncut: {}\n", self.writes.len(), self.cases.len(), shown.ending(&self.whole));
        let cases = self.cases.iter().map(|case| (case.cut.to_string(), case));
        out += &shown.rows("ops", 17, cases, &places);
        out += &shown.sums(self.cases.iter());
        if let Some(second) = &self.second {
            let _ = writeln!(out, "\n{} second cuts, in the power-on that follows", second.len());
            let cases = second.iter().map(|Second { first, case }| (format!("{first}, {}", case.cut), case));
            out += &shown.rows("its ops", 35, cases, &places);
            out += &shown.sums(second.iter().map(|second| &second.case));
        }
        out
    }

    /// The apps that run in the end, or at first.
    fn apps(&self) -> BTreeSet<&Started> {
        let second = self.second.iter().flatten().map(|second| &second.case);
        let cut = self.cases.iter().chain(second).map(|case| &case.ending);
        let endings = [&self.whole].into_iter().chain(cut);
        endings.flat_map(|ending| ending.app.iter().chain(&ending.at_first)).collect()
    }
}

/// How endings are shown: apps by slot and version where more than one ever runs.
struct Shown {
    apps: bool,
}

impl Shown {
    fn ending(&self, ending: &Ending) -> String {
        if self.apps { format!("{ending:#}") } else { ending.to_string() }
    }

    fn rows<'a>(
        &self,
        ops: &str,
        width: usize,
        cases: impl Iterator<Item = (String, &'a Case)>,
        places: &Places,
    ) -> String {
        let mut rows: Vec<Row> = Vec::new();
        for (replay, case) in cases {
            let (place, ending) = (places.name(&case.operation), self.ending(&case.ending));
            let op = case.cut.op;
            match rows.iter_mut().find(|row| row.place == place && row.ending == ending) {
                Some(row) => {
                    row.first = row.first.min(op);
                    row.last = row.last.max(op);
                    row.states += 1;
                }
                None => rows.push(Row { place, first: op, last: op, states: 1, replay, ending }),
            }
        }
        let mut out = format!("{ops:<9} {:<16} {:>6}  {:<width$} then\n", "cut in", "cuts", "first");
        for row in &rows {
            let ops = if row.first == row.last { row.first.to_string() } else { format!("{}-{}", row.first, row.last) };
            let _ =
                writeln!(out, "{ops:<9} {:<16} {:>6}  {:<width$} {}", row.place, row.states, row.replay, row.ending);
        }
        out
    }

    fn sums<'a>(&self, cases: impl Iterator<Item = &'a Case>) -> String {
        let mut running: BTreeMap<Option<&Started>, usize> = BTreeMap::new();
        let (mut revived, mut dead) = (0, 0);
        for case in cases {
            match case.ending.flashed_anew {
                Some(true) => revived += 1,
                Some(false) => dead += 1,
                None => *running.entry(case.ending.app.as_ref().filter(|_| self.apps)).or_default() += 1,
            }
        }
        if running.is_empty() {
            running.insert(None, 0);
        }
        let name = |app: Option<&Started>| app.map_or_else(|| "the app".to_owned(), Started::to_string);
        let running: Vec<String> = running.into_iter().map(|(app, n)| format!("{n} run {}", name(app))).collect();
        format!("{}, {revived} do not until they are flashed anew, {dead} not even then\n", running.join(", "))
    }
}

/// A part of flash with a name.
struct Place {
    from: u32,
    to: u32,
    name: String,
}

/// The parts of flash, in ascending order.
struct Places(Vec<Place>);

impl Places {
    fn of(board: &Device) -> Self {
        let table_at = board.config.partition_table_offset();
        let base = board.chip().spec().bootloader_offset;
        let place = |from, to, name: &str| Place { from, to, name: name.to_owned() };
        let mut places = vec![
            place(0, SECTOR, "sector 0"),
            place(base, table_at, "bootloader"),
            place(table_at, table_at.saturating_add(SECTOR), "partition table"),
        ];
        let mut table = [0; partition::TABLE_SIZE];
        let unit = EncryptionUnit::at_reset(&board.efuses);
        let read = unit.view(&board.flash).fill(table_at, &mut table);
        if let Ok(verified) =
            read.map_err(drop).and_then(|()| partition::verify(&table, board.flash.size()).map_err(drop))
        {
            for entry in verified.bootloader_entries(&table) {
                let bytes = entry.to_bytes();
                let label: String =
                    bytes.iter().skip(12).take(16).take_while(|b| **b != 0).map(|b| char::from(*b)).collect();
                places.push(place(entry.offset, entry.offset.saturating_add(entry.size), &label));
            }
        }
        places.sort_by_key(|place| place.from);
        Self(places)
    }

    fn name(&self, operation: &Operation) -> String {
        let address = match operation {
            Operation::Burn { block, .. } => return format!("BLOCK{block}"),
            Operation::Program { address, .. } | Operation::Erase { address } => *address,
        };
        let place = self.0.iter().rev().find(|place| (place.from..place.to).contains(&address));
        place.map_or_else(|| "no partition".into(), |place| place.name.clone())
    }
}
