//! The outcomes of a campaign as a table.

use super::{Campaign, Case, Verdict};
use crate::{bus::EncryptionUnit, device::Device, fault::Operation};
use dryburn::partition;
use std::fmt::Write;

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
        let mut rows: Vec<Row> = Vec::new();
        for case in &self.cases {
            let (place, ending) = (places.name(&case.operation), case.ending.to_string());
            let op = case.cut.op;
            match rows.iter_mut().find(|row| row.place == place && row.ending == ending) {
                Some(row) => {
                    row.last = op;
                    row.states += 1;
                }
                None => {
                    let replay = case.cut.to_string();
                    rows.push(Row { place, first: op, last: op, states: 1, replay, ending });
                }
            }
        }
        let mut out = format!("{} writes, {} cuts; uncut: {}\n", self.writes.len(), self.cases.len(), self.whole);
        let _ = writeln!(out, "{:<9} {:<16} {:>6}  {:<17} then", "ops", "cut in", "cuts", "first");
        for row in &rows {
            let ops = if row.first == row.last { row.first.to_string() } else { format!("{}-{}", row.first, row.last) };
            let _ = writeln!(out, "{ops:<9} {:<16} {:>6}  {:<17} {}", row.place, row.states, row.replay, row.ending);
        }
        let count = |is: fn(&Case) -> bool| self.cases.iter().filter(|case| is(case)).count();
        let _ = writeln!(
            out,
            "{} run the app, {} do not until they are flashed anew, {} not even then",
            count(|case| case.ending.verdict == Verdict::Runs),
            count(|case| case.ending.flashed_anew == Some(true)),
            count(|case| case.ending.flashed_anew == Some(false)),
        );
        out
    }
}

/// Names for parts of flash: start, name, in ascending order.
struct Places(Vec<(u32, String)>);

impl Places {
    fn of(board: &Device) -> Self {
        let table_at = board.config.partition_table_offset();
        let base = board.chip().spec().bootloader_offset;
        let mut places =
            vec![(0, "sector 0".to_owned()), (base, "bootloader".to_owned()), (table_at, "partition table".to_owned())];
        let mut table = [0; partition::TABLE_SIZE];
        let unit = EncryptionUnit::at_reset(&board.efuses);
        let read = unit.view(&board.flash).fill(table_at, &mut table);
        if let Ok(verified) =
            read.map_err(drop).and_then(|()| partition::verify(&table, board.flash.size()).map_err(drop))
        {
            for entry in verified.bootloader_entries(&table) {
                let bytes = entry.to_bytes();
                let label = bytes.iter().skip(12).take(16).take_while(|b| **b != 0).map(|b| char::from(*b)).collect();
                places.push((entry.offset, label));
            }
        }
        places.sort_by_key(|place| place.0);
        Self(places)
    }

    fn name(&self, operation: &Operation) -> String {
        let address = match operation {
            Operation::Burn { block, .. } => return format!("BLOCK{block}"),
            Operation::Program { address, .. } | Operation::Erase { address } => *address,
        };
        let place = self.0.iter().rev().find(|(start, _)| *start <= address);
        place.map_or_else(|| format!("{address:#x}"), |(_, name)| name.clone())
    }
}
