//! One record of the table as it lies in flash (formats sheet §2.1). Nothing here judges.

use super::{PartitionType, Subtype};
use crate::bytes::{array, c_str, le16, le32};

/// Size in bytes of every record of the table.
pub const ENTRY_SIZE: usize = 32;
/// Magic number of an entry: bytes `AA 50`.
pub const MAGIC: u16 = 0x50AA;
/// Magic number of the MD5 record: bytes `EB EB`.
pub const MD5_MAGIC: u16 = 0xEBEB;
/// Flag bit 0: with flash encryption on, this partition is encrypted.
pub const FLAG_ENCRYPTED: u32 = 1 << 0;
/// Flag bit 1: the application may not write this partition.
pub const FLAG_READONLY: u32 = 1 << 1;

/// A record of the table, field by field; any 32 bytes are one. [`Entry::to_bytes`] gives the same bytes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// 0x50AA in an entry.
    pub magic: u16,
    /// Type.
    pub kind: PartitionType,
    /// Subtype.
    pub subtype: Subtype,
    /// Offset in flash, in bytes.
    pub offset: u32,
    /// Size in bytes.
    pub size: u32,
    /// Label, NUL-padded; a label of 16 bytes has no NUL.
    pub label: [u8; 16],
    /// [`FLAG_ENCRYPTED`], [`FLAG_READONLY`]; devices ignore the other bits.
    pub flags: u32,
}

impl Entry {
    /// The fields of 32 bytes; `None` for any other number of bytes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.as_array::<ENTRY_SIZE>()?;
        let [_, _, kind, subtype, ..] = *bytes;
        Some(Self {
            magic: le16(bytes, 0)?,
            kind: PartitionType(kind),
            subtype: Subtype(subtype),
            offset: le32(bytes, 4)?,
            size: le32(bytes, 8)?,
            label: array(bytes, 12)?,
            flags: le32(bytes, 28)?,
        })
    }

    /// An entry with the right magic, without flags; `label` is cut after 16 bytes, as the generator does.
    pub fn new(label: &str, kind: PartitionType, subtype: Subtype, offset: u32, size: u32) -> Self {
        let mut field = [0; 16];
        field.iter_mut().zip(label.bytes()).for_each(|(to, from)| *to = from);
        Self { magic: MAGIC, kind, subtype, offset, size, label: field, flags: 0 }
    }

    /// The 32 bytes of the record.
    pub fn to_bytes(&self) -> [u8; ENTRY_SIZE] {
        let mut bytes = [0; ENTRY_SIZE];
        let fields = self
            .magic
            .to_le_bytes()
            .into_iter()
            .chain([self.kind.0, self.subtype.0])
            .chain(self.offset.to_le_bytes())
            .chain(self.size.to_le_bytes())
            .chain(self.label)
            .chain(self.flags.to_le_bytes());
        bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        bytes
    }

    /// The label up to its NUL, as far as it is UTF-8.
    pub fn label_text(&self) -> &str {
        c_str(&self.label)
    }

    /// Flag bit 0; what it means is for [`is_encrypted_with_flash_encryption`] to say.
    pub const fn has_encrypted_flag(&self) -> bool {
        self.flags & FLAG_ENCRYPTED != 0
    }

    /// Flag bit 1.
    pub const fn is_readonly(&self) -> bool {
        self.flags & FLAG_READONLY != 0
    }

    /// The first offset behind the partition; wider than 32 bits, as nothing says that the entry is sane.
    pub const fn end(&self) -> u64 {
        // Two 32-bit numbers: the sum cannot leave 64 bits.
        (self.offset as u64).saturating_add(self.size as u64)
    }

    /// Whether this is the bootloader's end marker: magic 0xFFFF, type 0xFF, subtype 0xFF.
    pub const fn is_end(&self) -> bool {
        self.magic == 0xFFFF && self.kind.0 == PartitionType::END.0 && self.subtype.0 == Subtype::END.0
    }
}

/// Whether software reads and writes this partition through the encryption unit while flash encryption is on: apps,
/// bootloaders, partition tables, otadata, TEE otadata and NVS keys always, all others by their flag (formats sheet §2.5).
///
/// With flash encryption off nothing is encrypted. Builds with `CONFIG_NVS_COMPATIBLE_PRE_V4_3_ENCRYPTION_FLAG` ignore the
/// flag of data/nvs partitions; that is the caller's to know.
pub const fn is_encrypted_with_flash_encryption(entry: &Entry) -> bool {
    match entry.kind {
        PartitionType::APP | PartitionType::BOOTLOADER | PartitionType::PARTITION_TABLE => true,
        PartitionType::DATA => {
            matches!(entry.subtype, Subtype::DATA_OTA | Subtype::DATA_TEE_OTA | Subtype::DATA_NVS_KEYS)
                || entry.has_encrypted_flag()
        }
        _ => entry.has_encrypted_flag(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_OTA: &[u8] = include_bytes!("../../tests/vectors/ptable/two_ota.bin");

    #[test]
    fn fields_of_the_generator_s_entries() {
        let nvs = Entry::parse(&TWO_OTA[..32]).unwrap();
        assert_eq!(nvs, Entry::new("nvs", PartitionType::DATA, Subtype::DATA_NVS, 0x9000, 0x4000));
        let secret = Entry::parse(&TWO_OTA[6 * 32..7 * 32]).unwrap();
        let expected = Entry::new("secret", PartitionType(0x40), Subtype(1), 0x31_0000, 0x1000);
        assert_eq!(secret, Entry { flags: FLAG_ENCRYPTED, ..expected });
        assert_eq!(secret.label_text(), "secret");
        for record in TWO_OTA.chunks(32) {
            assert_eq!(Entry::parse(record).unwrap().to_bytes(), record);
        }
        assert!(Entry::parse(&TWO_OTA[9 * 32..10 * 32]).unwrap().is_end());
        assert_eq!(Entry::parse(&TWO_OTA[..31]), None);
    }

    #[test]
    fn the_end_marker_is_magic_type_and_subtype() {
        let with = |at: usize, byte| {
            let mut raw = [0xFF; ENTRY_SIZE];
            raw[at] = byte;
            Entry::parse(&raw).unwrap().is_end()
        };
        assert!(with(4, 0) && with(31, 0), "the rest is not looked at");
        assert_eq!([0, 1, 2, 3].map(|at| with(at, 0)), [false; 4]);
    }

    #[test]
    fn labels_of_sixteen_bytes_have_no_nul() {
        let entry = Entry::new("abcdefghijklmnopqrst", PartitionType::APP, Subtype(0), 0, 0);
        assert_eq!(&entry.label, b"abcdefghijklmnop");
        assert_eq!(entry.label_text(), "abcdefghijklmnop");
    }

    #[test]
    fn what_flash_encryption_covers() {
        let encrypted = |kind, subtype, flags| {
            is_encrypted_with_flash_encryption(&Entry {
                flags,
                ..Entry::new("x", PartitionType(kind), Subtype(subtype), 0, 0)
            })
        };
        for (kind, subtype) in [(0, 0), (0, 0x42), (2, 0), (3, 1), (1, 0), (1, 0x90), (1, 4)] {
            assert!(encrypted(kind, subtype, 0), "{kind} {subtype}");
        }
        for (kind, subtype) in [(1, 1), (1, 2), (1, 3), (1, 5), (1, 0x81), (0x40, 0), (0x40, 4), (4, 0)] {
            assert!(!encrypted(kind, subtype, FLAG_READONLY), "{kind} {subtype}");
            assert!(encrypted(kind, subtype, FLAG_ENCRYPTED), "{kind} {subtype}");
        }
    }
}
