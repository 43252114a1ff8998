//! What is wrong with an eFuse file.

use dryburn::{Chip, chip::UnknownChip};

/// Why bytes are not an eFuse file. Says nothing of their content but positions: it may hold keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// No form has this size.
    #[error(
        "not an eFuse file: found {found} bytes; known are 124 or 100 (raw, ESP32), 84 (raw, C2), 336 (raw, other chips), \
         288 (espefuse --virt, ESP32), 512 (espefuse --virt, other chips), 1024 (QEMU), and the text of espefuse dump, of \
         espefuse summary --format json and of an EFSR: token"
    )]
    Size {
        /// Size in bytes.
        found: usize,
    },
    /// The form does not say which chip it belongs to.
    #[error("the file holds the eFuses of some chip ({form}) but does not say of which: name it with --chip")]
    NeedsChip {
        /// The form that was recognised.
        form: &'static str,
    },
    /// The file belongs to another chip than the one asked for.
    #[error("the file is the {form} of {found}, not of {expected}")]
    OtherChip {
        /// The form that was recognised.
        form: &'static str,
        /// Which chips have this form.
        found: &'static str,
        /// The chip asked for.
        expected: Chip,
    },
    /// Bytes after the last block of a QEMU file are not zero.
    #[error(
        "offset {offset:#x}: not a QEMU eFuse file: found {found:#04x} after the last block, expected zeros to the end"
    )]
    Padding {
        /// Offset in the file, in bytes.
        offset: usize,
        /// The byte there.
        found: u8,
    },
    /// A line, field or piece of a text form cannot be read.
    #[error("{place}: found {found}, expected {expected}")]
    Text {
        /// Line, field or piece.
        place: String,
        /// What is there (never a value).
        found: String,
        /// What should be there.
        expected: String,
    },
    /// A token names a chip that does not exist.
    #[error("the token's second piece: {0}")]
    Chip(#[from] UnknownChip),
}

impl FileError {
    pub(super) fn text(place: impl Into<String>, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Text { place: place.into(), found: found.into(), expected: expected.into() }
    }
}
