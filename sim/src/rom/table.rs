//! One row of facts per ROM.

use dryburn::{Chip, Revision};

/// The two kinds of first stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The ESP32.
    Esp32,
    /// Every chip after it.
    Later,
}

/// What is particular about one ROM.
#[derive(Debug, PartialEq, Eq)]
pub struct Rom {
    /// The chip.
    pub chip: Chip,
    /// First silicon revision that carries it.
    pub from_revision: Revision,
    /// How it works.
    pub family: Family,
    /// Lines before `rst:`.
    pub banner: &'static [&'static str],
    /// Line of `ets_main.c` where it gives up; UNVERIFIED for all but the ESP32, the C3 and the S3.
    pub gives_up_line: u16,
}

const LATER: Rom = Rom {
    chip: Chip::Esp32c3,
    from_revision: Revision(0),
    family: Family::Later,
    banner: &["ESP-ROM:esp32c3-api1-20210207", "Build:Feb  7 2021"],
    gives_up_line: 333,
};

/// The ROMs. Banners other than those of the ESP32, C3 and S3 follow ESP-IDF's list of ROM dates and are UNVERIFIED.
pub const ROMS: &[Rom] = &[
    Rom {
        chip: Chip::Esp32,
        from_revision: Revision(0),
        family: Family::Esp32,
        banner: &["ets Jun  8 2016 00:22:57", ""],
        gives_up_line: 371,
    },
    Rom {
        chip: Chip::Esp32,
        from_revision: Revision(300),
        family: Family::Esp32,
        banner: &["ets Jul 29 2019 12:21:46", ""],
        gives_up_line: 384,
    },
    LATER,
    Rom { chip: Chip::Esp32s2, banner: &["ESP-ROM:esp32s2-rc4-20191025", "Build:Oct 25 2019"], ..LATER },
    Rom {
        chip: Chip::Esp32s3,
        banner: &["ESP-ROM:esp32s3-20210327", "Build:Mar 27 2021"],
        gives_up_line: 329,
        ..LATER
    },
    Rom { chip: Chip::Esp32c2, banner: &["ESP-ROM:esp8684-api2-20220127", "Build:Jan 27 2022"], ..LATER },
    Rom { chip: Chip::Esp32c5, banner: &["ESP-ROM:esp32c5-eco2-20250121", "Build:Jan 21 2025"], ..LATER },
    Rom { chip: Chip::Esp32c6, banner: &["ESP-ROM:esp32c6-20220919", "Build:Sep 19 2022"], ..LATER },
    Rom { chip: Chip::Esp32c61, banner: &["ESP-ROM:esp32c61-20250228", "Build:Feb 28 2025"], ..LATER },
    Rom { chip: Chip::Esp32h2, banner: &["ESP-ROM:esp32h2-20221101", "Build:Nov  1 2022"], ..LATER },
    Rom { chip: Chip::Esp32p4, banner: &["ESP-ROM:esp32p4-20230811", "Build:Aug 11 2023"], ..LATER },
];

impl Rom {
    /// The ROM of `chip` at silicon revision `revision`.
    pub fn of(chip: Chip, revision: Revision) -> &'static Rom {
        ROMS.iter().rev().find(|rom| rom.chip == chip && rom.from_revision <= revision).unwrap_or(&LATER)
    }

    /// Whether the straps select download mode (behaviour sheet §1.1; on later chips bit 3 is GPIO9 or its like).
    pub fn is_download(&self, strap: u32) -> bool {
        match self.family {
            Family::Esp32 => strap & 0x10 == 0 && strap & 0x18 == 0,
            Family::Later => strap & 0x08 == 0,
        }
    }

    /// A normal flash boot's straps.
    pub fn default_strap(&self) -> u32 {
        match self.family {
            Family::Esp32 => 0x13,
            Family::Later => 0x0F,
        }
    }
}
