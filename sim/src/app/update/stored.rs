//! Where the app keeps how far an update got, so that it goes on there after a reset: a data partition `progress`.
//!
//! Its first sector is a log of records of 64 bytes; the last that is whole counts. When it is full it is erased: a power
//! failure between that and the next record costs what was received. Records lie there in plaintext.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 40 | [`Progress`] |
//! | 40 | 16 | what names the file: the first bytes of a SHA-256 |
//! | 56 | 8 | 0xFF |

use super::transport::FileName;
use crate::{app::dryburn::AppError, bus::EncryptionUnit, device::Device};
use dryburn::{
    SECTOR,
    ota::{Medium, PROGRESS_SIZE, Progress},
    partition::{self, PartitionType},
};

const LABEL: &str = "progress";
const RECORD: usize = 64;
const NAME: std::ops::Range<usize> = PROGRESS_SIZE..PROGRESS_SIZE + size_of::<FileName>();
/// A record is written each time when so many bytes more are in flash.
const STEP: u32 = 4 * SECTOR;

/// The log.
pub(super) struct Stored {
    /// Flash address of its sector.
    at: u32,
    /// Records in it, whole or not.
    used: u32,
    last: Option<(Progress, FileName)>,
}

impl Stored {
    /// The log of `device`, if its partition table has one.
    pub fn find(device: &Device) -> Result<Option<Self>, AppError> {
        let unit = EncryptionUnit::at_reset(&device.efuses);
        let mut table = [0; SECTOR as usize];
        unit.view(&device.flash).fill(device.config.partition_table_offset(), &mut table)?;
        let count = partition::verify_as_application(&table)?;
        let found = partition::entries(&table)
            .take(count)
            .find(|entry| entry.kind == PartitionType::DATA && entry.label_text() == LABEL && entry.size >= SECTOR);
        let Some(at) = found.map(|entry| entry.offset) else { return Ok(None) };
        let mut log = [0; SECTOR as usize];
        device.flash.read(at, &mut log)?;
        let (records, _) = log.as_chunks::<RECORD>();
        let used =
            records.iter().rposition(|record| record.iter().any(|byte| *byte != 0xFF)).map_or(0, |last| last + 1);
        let read = |record: &[u8; RECORD]| {
            let progress = Progress::from_bytes(record.get(..PROGRESS_SIZE)?).ok()?;
            Some((progress, record.get(NAME)?.try_into().ok()?))
        };
        Ok(Some(Self { at, used: used as u32, last: records.iter().rev().find_map(read) }))
    }

    /// How far the update before the reset got, and of which file.
    pub fn last(&self) -> Option<(Progress, FileName)> {
        self.last
    }

    /// Writes a record when enough came since the last.
    pub fn keep<M: Medium>(&mut self, medium: &mut M, progress: Progress, name: FileName) -> Result<(), M::Error> {
        let before = self.last.map_or(0, |(last, _)| last.offset());
        if progress.offset() < before.saturating_add(STEP) {
            return Ok(());
        }
        if self.used as usize >= SECTOR as usize / RECORD {
            self.erase(medium)?;
        }
        let mut record = [0xFF; RECORD];
        record[..PROGRESS_SIZE].copy_from_slice(&progress.to_bytes());
        record[NAME].copy_from_slice(&name);
        medium.program_raw(self.at + self.used * RECORD as u32, &record)?;
        self.used += 1;
        self.last = Some((progress, name));
        Ok(())
    }

    /// The update is over: there is nothing to go on with.
    pub fn forget<M: Medium>(&mut self, medium: &mut M) -> Result<(), M::Error> {
        self.last = None;
        if self.used > 0 { self.erase(medium) } else { Ok(()) }
    }

    fn erase<M: Medium>(&mut self, medium: &mut M) -> Result<(), M::Error> {
        medium.erase_sector(self.at)?;
        self.used = 0;
        Ok(())
    }
}
