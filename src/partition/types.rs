//! Partition types and subtypes. Any `u8` is kept; the known ones have names (formats sheet §2.2).

/// The type byte of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
pub struct PartitionType(pub u8);

/// The subtype byte of an entry; what it means depends on the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
pub struct Subtype(pub u8);

impl PartitionType {
    /// An application.
    pub const APP: Self = Self(0x00);
    /// Data of ESP-IDF or of the application.
    pub const DATA: Self = Self(0x01);
    /// A second-stage bootloader.
    pub const BOOTLOADER: Self = Self(0x02);
    /// A partition table.
    pub const PARTITION_TABLE: Self = Self(0x03);
    /// What an erased record shows; part of the end marker.
    pub const END: Self = Self(0xFF);

    /// The generator's keyword for the type.
    pub fn name(self) -> Option<&'static str> {
        TYPES.iter().find(|(_, kind)| *kind == self).map(|(name, _)| *name)
    }
}

/// The subtypes, named after the type that gives them their meaning.
impl Subtype {
    /// App: the factory application.
    pub const APP_FACTORY: Self = Self(0x00);
    /// App: slot `ota_0`; the slots up to `ota_15` follow.
    pub const APP_OTA_0: Self = Self(0x10);
    /// App: the test application.
    pub const APP_TEST: Self = Self(0x20);
    /// App: the first of the two TEE applications.
    pub const APP_TEE_0: Self = Self(0x30);
    /// App: the second of the two TEE applications.
    pub const APP_TEE_1: Self = Self(0x31);
    /// Data: otadata.
    pub const DATA_OTA: Self = Self(0x00);
    /// Data: RF calibration.
    pub const DATA_PHY: Self = Self(0x01);
    /// Data: non-volatile storage.
    pub const DATA_NVS: Self = Self(0x02);
    /// Data: core dump.
    pub const DATA_COREDUMP: Self = Self(0x03);
    /// Data: keys of encrypted NVS.
    pub const DATA_NVS_KEYS: Self = Self(0x04);
    /// Data: emulated eFuses.
    pub const DATA_EFUSE: Self = Self(0x05);
    /// Data: no subtype was given.
    pub const DATA_UNDEFINED: Self = Self(0x06);
    /// Data: otadata of the TEE.
    pub const DATA_TEE_OTA: Self = Self(0x90);
    /// Bootloader and partition table: the one that boots.
    pub const PRIMARY: Self = Self(0x00);
    /// Bootloader and partition table: staging area of an update.
    pub const STAGED: Self = Self(0x01);
    /// Bootloader: what the ROM falls back to.
    pub const BOOTLOADER_RECOVERY: Self = Self(0x02);
    /// What an erased record shows; part of the end marker.
    pub const END: Self = Self(0xFF);

    /// The generator's keyword for this subtype of `kind`.
    pub fn name(self, kind: PartitionType) -> Option<&'static str> {
        SUBTYPES.iter().find(|(k, _, subtype)| *k == kind && *subtype == self).map(|(_, name, _)| *name)
    }

    /// For an app: the number of its OTA slot, 0 to 15.
    pub const fn ota_slot(self) -> Option<u8> {
        if self.0 & 0xF0 == Self::APP_OTA_0.0 { Some(self.0 & 0x0F) } else { None }
    }
}

/// The generator's keywords for types, in the order in which it lists them.
pub const TYPES: &[(&str, PartitionType)] = &[
    ("bootloader", PartitionType::BOOTLOADER),
    ("partition_table", PartitionType::PARTITION_TABLE),
    ("app", PartitionType::APP),
    ("data", PartitionType::DATA),
];

use PartitionType as T;
use Subtype as S;

/// The generator's keywords for subtypes, in the order in which it lists those of one type.
pub const SUBTYPES: &[(PartitionType, &str, Subtype)] = &[
    (T::BOOTLOADER, "primary", S::PRIMARY),
    (T::BOOTLOADER, "ota", S::STAGED),
    (T::BOOTLOADER, "recovery", S::BOOTLOADER_RECOVERY),
    (T::PARTITION_TABLE, "primary", S::PRIMARY),
    (T::PARTITION_TABLE, "ota", S::STAGED),
    (T::APP, "factory", S::APP_FACTORY),
    (T::APP, "test", S::APP_TEST),
    (T::APP, "ota_0", S(0x10)),
    (T::APP, "ota_1", S(0x11)),
    (T::APP, "ota_2", S(0x12)),
    (T::APP, "ota_3", S(0x13)),
    (T::APP, "ota_4", S(0x14)),
    (T::APP, "ota_5", S(0x15)),
    (T::APP, "ota_6", S(0x16)),
    (T::APP, "ota_7", S(0x17)),
    (T::APP, "ota_8", S(0x18)),
    (T::APP, "ota_9", S(0x19)),
    (T::APP, "ota_10", S(0x1A)),
    (T::APP, "ota_11", S(0x1B)),
    (T::APP, "ota_12", S(0x1C)),
    (T::APP, "ota_13", S(0x1D)),
    (T::APP, "ota_14", S(0x1E)),
    (T::APP, "ota_15", S(0x1F)),
    (T::APP, "tee_0", S::APP_TEE_0),
    (T::APP, "tee_1", S::APP_TEE_1),
    (T::DATA, "ota", S::DATA_OTA),
    (T::DATA, "phy", S::DATA_PHY),
    (T::DATA, "nvs", S::DATA_NVS),
    (T::DATA, "coredump", S::DATA_COREDUMP),
    (T::DATA, "nvs_keys", S::DATA_NVS_KEYS),
    (T::DATA, "efuse", S::DATA_EFUSE),
    (T::DATA, "undefined", S::DATA_UNDEFINED),
    (T::DATA, "esphttpd", S(0x80)),
    (T::DATA, "fat", S(0x81)),
    (T::DATA, "spiffs", S(0x82)),
    (T::DATA, "littlefs", S(0x83)),
    (T::DATA, "tee_ota", S::DATA_TEE_OTA),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_depend_on_the_type() {
        assert_eq!(PartitionType::PARTITION_TABLE.name(), Some("partition_table"));
        assert_eq!(PartitionType(0x40).name(), None);
        assert_eq!(Subtype(0).name(PartitionType::APP), Some("factory"));
        assert_eq!(Subtype(0).name(PartitionType::DATA), Some("ota"));
        assert_eq!(Subtype(0).name(PartitionType::BOOTLOADER), Some("primary"));
        assert_eq!(Subtype(0).name(PartitionType(0x40)), None);
        assert_eq!(Subtype(0x1B).name(PartitionType::APP), Some("ota_11"));
    }

    #[test]
    fn ota_slots() {
        assert_eq!(Subtype(0x0F).ota_slot(), None);
        assert_eq!(Subtype(0x10).ota_slot(), Some(0));
        assert_eq!(Subtype(0x1F).ota_slot(), Some(15));
        assert_eq!(Subtype(0x20).ota_slot(), None);
        for (kind, name, subtype) in SUBTYPES {
            if let (PartitionType::APP, Some(slot)) = (*kind, name.strip_prefix("ota_")) {
                assert_eq!(subtype.ota_slot(), slot.parse().ok());
            }
        }
    }
}
