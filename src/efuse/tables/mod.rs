//! The field tables, one file per chip.

use super::{Field, FieldKind};

pub(super) mod esp32;
pub(super) mod esp32c2;
pub(super) mod esp32c3;
pub(super) mod esp32c5;
pub(super) mod esp32c6;
pub(super) mod esp32c61;
pub(super) mod esp32h2;
pub(super) mod esp32p4;
pub(super) mod esp32p4_v3;
pub(super) mod esp32s2;
pub(super) mod esp32s3;

/// One row of a table.
#[allow(clippy::too_many_arguments, reason = "the columns of a table")]
const fn field(
    name: &'static str,
    aliases: &'static [&'static str],
    block: u8,
    bit: u16,
    len: u16,
    write_disable: Option<u8>,
    read_disable: &'static [u8],
    kind: FieldKind,
    category: &'static str,
) -> Field {
    Field { name, aliases, block, bit, len, write_disable, read_disable, kind, category }
}
