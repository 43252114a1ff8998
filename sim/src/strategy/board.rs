//! Boards: a good device of any chip and ESP-IDF, with and without flash encryption, and damage to what lies in its flash.

use crate::{bus::EncryptionUnit, efuse::Efuses, flash::Flash};
use dryburn::{
    Chip, IdfVersion, SECTOR,
    efuse::security,
    image::Builder,
    otadata,
    partition::{self, PartitionType, Subtype},
};
use proptest::{collection::vec, prelude::*, sample::Index};

/// Flash size in bytes of [`good_flash`].
pub const FLASH_SIZE: u32 = 0x10_0000;
/// Flash offset of the partition table.
pub const TABLE: u32 = 0x8000;
/// Flash offset of the otadata partition.
pub const OTADATA: u32 = 0xD000;
/// Flash offsets of the two OTA slots.
pub const SLOTS: [u32; 2] = [0x1_0000, 0x2_0000];
/// Size in bytes of an OTA slot.
pub const SLOT_SIZE: u32 = 0x1_0000;
/// Everything of [`good_flash`] lies below this flash offset.
pub const USED: u32 = 0x3_2000;

/// One damage to the bytes of a flash chip.
#[derive(Clone, Debug)]
pub enum Damage {
    /// A bit is flipped.
    Bit(Index, u8),
    /// Bytes lie there that were not there.
    Bytes(Index, Vec<u8>),
    /// A sector is erased.
    Erased(Index),
    /// From here on nothing was written.
    Cut(Index),
    /// A sector lies where another one should.
    Moved(Index, Index),
}

/// Damage where it matters more often than not: in the first 200 KB.
pub fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), 0..8_u8).prop_map(|(at, bit)| Damage::Bit(at, bit)),
        4 => (at(), vec(any::<u8>(), 1..64)).prop_map(|(at, bytes)| Damage::Bytes(at, bytes)),
        2 => at().prop_map(Damage::Erased),
        1 => at().prop_map(Damage::Cut),
        2 => (at(), at()).prop_map(|(from, to)| Damage::Moved(from, to)),
    ]
}

impl Damage {
    /// The flash after the damage; it must hold [`USED`] bytes.
    pub fn apply(&self, flash: &mut [u8]) {
        let used = USED as usize;
        let sector = |at: &Index| at.index(used / SECTOR as usize) * SECTOR as usize;
        match self {
            Self::Bit(at, bit) => flash[at.index(used)] ^= 1 << bit,
            Self::Bytes(at, bytes) => {
                let at = at.index(used);
                flash[at..at + bytes.len()].copy_from_slice(bytes);
            }
            Self::Erased(at) => flash[sector(at)..][..SECTOR as usize].fill(0xFF),
            Self::Cut(at) => flash[at.index(used)..].fill(0xFF),
            Self::Moved(from, to) => {
                let from = sector(from);
                flash.copy_within(from..from + SECTOR as usize, sector(to));
            }
        }
    }
}

/// Burns a flash encryption key and turns encryption on.
pub fn encrypt(efuses: &mut Efuses, key: &[u32; 8]) {
    let chip = efuses.chip();
    let esp32 = chip == Chip::Esp32;
    efuses.burn(security::key_block_number(chip, 0), key);
    if esp32 {
        efuses.burn_field("FLASH_CRYPT_CONFIG", 0xF).expect("room on a blank chip");
    } else if security::key_purpose(efuses, 0).is_some() && chip != Chip::Esp32c2 {
        efuses.burn_field("KEY_PURPOSE_0", 4).expect("room on a blank chip");
    }
    efuses.burn_field(security::crypt_count_name(chip), 1).expect("room on a blank chip");
}

/// The bytes of a good device with these eFuses: everything lies as the CPU must find it.
pub fn good_flash(efuses: &Efuses, idf: IdfVersion, pair: [otadata::Entry; 2]) -> Flash {
    let chip = efuses.chip();
    let unit = EncryptionUnit::at_reset(efuses);
    let mut flash = Flash::new(FLASH_SIZE).expect("room on a blank chip");
    let entry = |label, kind, subtype, offset, size| {
        partition::Entry::new(label, PartitionType(kind), Subtype(subtype), offset, size)
    };
    let table = [
        entry("nvs", 1, 2, 0x9000, 0x4000),
        entry("otadata", 1, 0, OTADATA, 0x2000),
        entry("ota_0", 0, 0x10, SLOTS[0], SLOT_SIZE),
        entry("ota_1", 0, 0x11, SLOTS[1], SLOT_SIZE),
    ];
    let bootloader = Builder::bootloader(chip, idf).flash_size(0).size(8 * 1024).build();
    unit.program(&mut flash, chip.spec().bootloader_offset, &bootloader).expect("room on a blank chip");
    unit.program(&mut flash, TABLE, &partition::build(&table, true).expect("room on a blank chip"))
        .expect("room on a blank chip");
    for (sector, entry) in pair.iter().enumerate() {
        unit.program(&mut flash, OTADATA + sector as u32 * SECTOR, &entry.to_bytes()).expect("room on a blank chip");
    }
    for (i, slot) in SLOTS.iter().enumerate() {
        let app = Builder::app(chip).size(4096).seed(i as u64).version(&format!("1.0.{i}")).build();
        unit.program(&mut flash, *slot, &app).expect("room on a blank chip");
    }
    flash
}
