//! What the second stage comes across, around the decisions of the core.

use dryburn::{Chip, Revision, boot, image, partition};
use serde::Serialize;

/// One thing that the second stage prints about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "bootloader", rename_all = "snake_case")]
pub enum Event {
    /// Who it is.
    Banner {
        /// ESP-IDF version text.
        idf: String,
        /// Compile time, where it is printed.
        compile_time: Option<String>,
        /// The chip has two cores.
        multicore: Option<bool>,
    },
    /// The silicon.
    ChipRevision {
        /// Chip revision.
        revision: Revision,
        /// eFuse block revision, where the chip has one.
        block: Option<Revision>,
    },
    /// The flash set-up of the header.
    Flash {
        /// Clock code.
        speed: u8,
        /// Mode code, as the controller register tells it.
        mode: u8,
        /// Size code.
        size: u8,
    },
    /// Random numbers come next.
    EntropyOn,
    /// The partition table is refused.
    Table {
        /// Why.
        error: TableRefusal,
    },
    /// The partition table, printed.
    TableListed {
        /// Its rows, in order.
        rows: Vec<Row>,
    },
    /// A decision of the core.
    Boot(boot::Event),
    /// An image check of the core.
    Image(image::Event),
    /// Secure boot, flash encryption, anti-rollback.
    Security(super::security::Event),
    /// The eFuse driver.
    Efuse(super::efuse_driver::Event),
    /// The app starts.
    EntropyOff,
}

/// The bootloader's refusal of a partition table.
pub type TableRefusal = partition::TableError;

/// One printed row of the partition table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Label up to its NUL, one character per byte.
    pub label: String,
    /// Type.
    pub kind: u8,
    /// Subtype.
    pub subtype: u8,
    /// Flash address.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
}

/// Chips with two cores that can run ESP-IDF.
pub(crate) fn is_multicore(chip: Chip) -> bool {
    matches!(chip, Chip::Esp32 | Chip::Esp32s3 | Chip::Esp32p4)
}
