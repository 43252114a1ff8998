//! What the boot code asks the eFuses: encryption, signatures, revisions, anti-rollback.
//!
//! Sources: formats sheet §4.5, §5.4-5.5 (encryption), §7.3 (digests), §8.2-8.3 (fields, revisions), §10 (SECURE_VERSION).

use super::{Efuse, field, field_at, read, read_block, read_field};
use crate::{Chip, Revision, SecureBootScheme, secure_boot::KeyDigest};

/// A field of the first silicon revision: for what decides the revision itself.
fn first<E: Efuse + ?Sized>(e: &E, name: &str) -> u16 {
    field(e.chip(), name).map_or(0, |f| u16::try_from(read_field(e, f)).unwrap_or(u16::MAX))
}

/// The silicon revision (formats sheet §8.2 for the ESP32, §8.3 for the others).
///
/// ESP32: the third bit of CHIP_VER lies in a register of the silicon (SYSCON_DATE bit 31), not in eFuse; it is taken as 1
/// where CHIP_VER_REV2 is burned, so revision 2 does not occur here.
pub fn chip_revision<E: Efuse + ?Sized>(e: &E) -> Revision {
    match e.chip() {
        Chip::Esp32 => {
            let major = match (first(e, "CHIP_VER_REV1"), first(e, "CHIP_VER_REV2")) {
                (1, 0) => 1,
                (1, 1) => 3,
                _ => 0,
            };
            Revision::new(major, first(e, "WAFER_VERSION_MINOR"))
        }
        Chip::Esp32s2 | Chip::Esp32s3 | Chip::Esp32c3 => {
            let low = first(e, "WAFER_VERSION_MINOR_LO");
            if e.chip() == Chip::Esp32s3 && low == 0 && block_revision(e) == Some(Revision::new(1, 1)) {
                return Revision(0); // the first S3 used the revision field for something else
            }
            Revision::new(first(e, "WAFER_VERSION_MAJOR"), (first(e, "WAFER_VERSION_MINOR_HI") << 3) | low)
        }
        Chip::Esp32p4 => {
            let major = (first(e, "WAFER_VERSION_MAJOR_HI") << 2) | first(e, "WAFER_VERSION_MAJOR_LO");
            Revision::new(major, first(e, "WAFER_VERSION_MINOR"))
        }
        _ => Revision::new(first(e, "WAFER_VERSION_MAJOR"), first(e, "WAFER_VERSION_MINOR")),
    }
}

/// The revision of the eFuse block layout, major * 100 + minor; `None` on the ESP32, which has none.
pub fn block_revision<E: Efuse + ?Sized>(e: &E) -> Option<Revision> {
    (e.chip() != Chip::Esp32).then(|| Revision::new(first(e, "BLK_VERSION_MAJOR"), first(e, "BLK_VERSION_MINOR")))
}

/// DISABLE_WAFER_VERSION_MAJOR: images' maximum chip revision is not checked. Never on the ESP32.
pub fn wafer_major_disabled<E: Efuse + ?Sized>(e: &E) -> bool {
    read(e, "DISABLE_WAFER_VERSION_MAJOR") != 0
}

/// DISABLE_BLK_VERSION_MAJOR: images' maximum eFuse block revision is not checked. Never on the ESP32.
pub fn block_major_disabled<E: Efuse + ?Sized>(e: &E) -> bool {
    read(e, "DISABLE_BLK_VERSION_MAJOR") != 0
}

/// The name of the flash encryption counter of a chip.
pub fn crypt_count_name(chip: Chip) -> &'static str {
    if chip == Chip::Esp32 { "FLASH_CRYPT_CNT" } else { "SPI_BOOT_CRYPT_CNT" }
}

/// FLASH_CRYPT_CNT (7 bits, ESP32) or SPI_BOOT_CRYPT_CNT (3 bits): formats sheet §4.5 and §5.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CryptCount {
    /// The bits as burned.
    pub value: u8,
    /// Width of the field in bits.
    pub bits: u8,
}

impl CryptCount {
    /// Flash encryption is on: an odd number of bits is burned.
    pub fn enabled(self) -> bool {
        self.value.count_ones() % 2 == 1
    }

    /// How many more times plaintext can be flashed and encrypted: half of the bits that are left. It counts burned bits,
    /// whichever they are, and does not look at the write protection of the field.
    pub fn plaintext_flashes_left(self) -> u8 {
        self.bits.saturating_sub(u8::try_from(self.value.count_ones()).unwrap_or(u8::MAX)) / 2
    }
}

/// The flash encryption counter.
pub fn crypt_count<E: Efuse + ?Sized>(e: &E) -> CryptCount {
    let found = field(e.chip(), crypt_count_name(e.chip()));
    CryptCount {
        value: found.map_or(0, |f| u8::try_from(read_field(e, f)).unwrap_or(0)),
        bits: found.map_or(0, |f| u8::try_from(f.len).unwrap_or(0)),
    }
}

/// Whether WR_DIS freezes `name`; `false` for fields that the chip does not have or that nothing freezes.
pub fn write_protected<E: Efuse + ?Sized>(e: &E, name: &str) -> bool {
    let bit = field_at(e.chip(), chip_revision(e), name).and_then(|f| f.write_disable);
    bit.is_some_and(|bit| read(e, "WR_DIS") >> bit & 1 == 1)
}

/// Whether RD_DIS hides `name`, in whole or in part.
pub fn read_protected<E: Efuse + ?Sized>(e: &E, name: &str) -> bool {
    let bits = field_at(e.chip(), chip_revision(e), name).map_or(&[][..], |f| f.read_disable);
    bits.iter().any(|bit| read(e, "RD_DIS") >> bit & 1 == 1)
}

/// The flash encryption counter is frozen (WR_DIS bit 2 on ESP32 and C2, 4 on the others).
pub fn crypt_count_write_protected<E: Efuse + ?Sized>(e: &E) -> bool {
    write_protected(e, crypt_count_name(e.chip()))
}

/// Secure Boot v1 is on: ABS_DONE_0 of the ESP32.
pub fn secure_boot_v1_enabled<E: Efuse + ?Sized>(e: &E) -> bool {
    read(e, "ABS_DONE_0") != 0
}

/// Secure Boot v2 is on: ABS_DONE_1 of the ESP32, SECURE_BOOT_EN of the others.
pub fn secure_boot_v2_enabled<E: Efuse + ?Sized>(e: &E) -> bool {
    read(e, if e.chip() == Chip::Esp32 { "ABS_DONE_1" } else { "SECURE_BOOT_EN" }) != 0
}

/// SECURE_VERSION, the anti-rollback counter: the number of burned bits (formats sheet §10).
pub fn secure_version<E: Efuse + ?Sized>(e: &E) -> u32 {
    read(e, "SECURE_VERSION").count_ones()
}

/// The number of key blocks with a purpose: none on ESP32 and C2.
pub fn key_blocks(chip: Chip) -> u8 {
    if matches!(chip, Chip::Esp32 | Chip::Esp32c2) { 0 } else { 6 }
}

const PURPOSE_FIELDS: [(&str, &str); 6] = [
    ("KEY_PURPOSE_0", "KEY_PURPOSE_0_H"),
    ("KEY_PURPOSE_1", "KEY_PURPOSE_1_H"),
    ("KEY_PURPOSE_2", "KEY_PURPOSE_2_H"),
    ("KEY_PURPOSE_3", "KEY_PURPOSE_3_H"),
    ("KEY_PURPOSE_4", "KEY_PURPOSE_4_H"),
    ("KEY_PURPOSE_5", "KEY_PURPOSE_5_H"),
];

/// The value of KEY_PURPOSE_n (0 to 5; with its _H bit above on the P4 from v3.0 on); `None` where there is no such field.
pub fn key_purpose<E: Efuse + ?Sized>(e: &E, key_block: u8) -> Option<u8> {
    if key_block >= key_blocks(e.chip()) {
        return None;
    }
    let (low, high) = PURPOSE_FIELDS.get(usize::from(key_block))?;
    u8::try_from(read(e, low) | (read(e, high) << 4)).ok()
}

/// Which key block has this purpose, counted from BLOCK_KEY0; the first where there are several.
pub fn key_block_with<E: Efuse + ?Sized>(e: &E, purpose: KeyPurpose) -> Option<u8> {
    (0..key_blocks(e.chip())).find(|n| key_purpose(e, *n) == Some(purpose.value()))
}

/// The block number of BLOCK_KEYn.
pub fn key_block_number(chip: Chip, key_block: u8) -> usize {
    usize::from(key_block).saturating_add(if chip == Chip::Esp32c2 { 3 } else { 4 })
}

/// The trusted public-key digests as software reads them (all zeros where read-protected).
///
/// `None`: no key block has that purpose, or it is revoked (SECURE_BOOT_KEY_REVOKEn). ESP32: block 2 is the only one. C2:
/// the upper half of BLOCK_KEY0 is the only one. Where there is no purpose field, a block that reads as zeros counts as
/// not burned; so on a C2 with nothing but a readable flash encryption key, the digest is one of zeros, which no key has.
pub fn secure_boot_digests<E: Efuse + ?Sized>(e: &E) -> [Option<KeyDigest>; 3] {
    use KeyPurpose::{SecureBootDigest0, SecureBootDigest1, SecureBootDigest2};
    match e.chip() {
        Chip::Esp32 => [Some(read_block(e, 2)).filter(is_burned).map(KeyDigest::Whole), None, None],
        Chip::Esp32c2 => {
            let block = Some(read_block(e, 3)).filter(is_burned);
            [block.as_ref().and_then(|b| b.last_chunk()).copied().map(KeyDigest::FirstHalf), None, None]
        }
        chip => [
            (SecureBootDigest0, "SECURE_BOOT_KEY_REVOKE0"),
            (SecureBootDigest1, "SECURE_BOOT_KEY_REVOKE1"),
            (SecureBootDigest2, "SECURE_BOOT_KEY_REVOKE2"),
        ]
        .map(|(purpose, revoke)| {
            let key = key_block_with(e, purpose).filter(|_| read(e, revoke) == 0)?;
            Some(KeyDigest::Whole(read_block(e, key_block_number(chip, key))))
        }),
    }
}

fn is_burned(block: &[u8; 32]) -> bool {
    *block != [0; 32]
}

/// The schemes that the ROM takes with these eFuses: with SECURE_BOOT_SHA384_EN only ECDSA P-384, as the image digest is
/// SHA-384 then; else what the silicon knows. Which of them signed, the signature block says. (Formats sheet §7.3; that
/// SECURE_BOOT_SHA384_EN excludes the other schemes is UNVERIFIED.)
pub fn secure_boot_schemes<E: Efuse + ?Sized>(e: &E) -> &'static [SecureBootScheme] {
    if read(e, "SECURE_BOOT_SHA384_EN") == 1 {
        return &[SecureBootScheme::V2EcdsaP384];
    }
    e.chip().spec_at(chip_revision(e)).secure_boot
}

/// What a key block is for: the value of KEY_PURPOSE_n (formats sheet §5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the vendor's names are the documentation")]
pub enum KeyPurpose {
    User,
    Reserved,
    EcdsaKey,
    XtsAes256Key1,
    XtsAes256Key2,
    XtsAes128Key,
    HmacDownAll,
    HmacDownJtag,
    HmacDownDigitalSignature,
    HmacUp,
    SecureBootDigest0,
    SecureBootDigest1,
    SecureBootDigest2,
    KmInitKey,
    XtsAes128PsramKey,
    EcdsaKeyP192,
    EcdsaKeyP384L,
    EcdsaKeyP384H,
}

const ALL: &[Chip] = &[
    Chip::Esp32s2,
    Chip::Esp32s3,
    Chip::Esp32c3,
    Chip::Esp32c6,
    Chip::Esp32h2,
    Chip::Esp32c5,
    Chip::Esp32c61,
    Chip::Esp32p4,
];
const HMAC: &[Chip] =
    &[Chip::Esp32s2, Chip::Esp32s3, Chip::Esp32c3, Chip::Esp32c6, Chip::Esp32h2, Chip::Esp32c5, Chip::Esp32p4];
const XTS_256: &[Chip] = &[Chip::Esp32s2, Chip::Esp32s3, Chip::Esp32p4];
const ECDSA: &[Chip] = &[Chip::Esp32h2, Chip::Esp32c5, Chip::Esp32c61, Chip::Esp32p4];
const MANAGED: &[Chip] = &[Chip::Esp32c5, Chip::Esp32p4];

/// purpose, value, name, the chips that have it.
const PURPOSES: &[(KeyPurpose, u8, &str, &[Chip])] = &[
    (KeyPurpose::User, 0, "USER", ALL),
    (KeyPurpose::Reserved, 1, "RESERVED", &[Chip::Esp32s2, Chip::Esp32s3, Chip::Esp32c3, Chip::Esp32c6]),
    (KeyPurpose::Reserved, 2, "RESERVED", &[Chip::Esp32h2]),
    (KeyPurpose::EcdsaKey, 1, "ECDSA_KEY", ECDSA),
    (KeyPurpose::XtsAes256Key1, 2, "XTS_AES_256_KEY_1", XTS_256),
    (KeyPurpose::XtsAes256Key2, 3, "XTS_AES_256_KEY_2", XTS_256),
    (KeyPurpose::XtsAes128Key, 4, "XTS_AES_128_KEY", ALL),
    (KeyPurpose::HmacDownAll, 5, "HMAC_DOWN_ALL", HMAC),
    (KeyPurpose::HmacDownJtag, 6, "HMAC_DOWN_JTAG", HMAC),
    (KeyPurpose::HmacDownDigitalSignature, 7, "HMAC_DOWN_DIGITAL_SIGNATURE", HMAC),
    (KeyPurpose::HmacUp, 8, "HMAC_UP", HMAC),
    (KeyPurpose::SecureBootDigest0, 9, "SECURE_BOOT_DIGEST0", ALL),
    (KeyPurpose::SecureBootDigest1, 10, "SECURE_BOOT_DIGEST1", ALL),
    (KeyPurpose::SecureBootDigest2, 11, "SECURE_BOOT_DIGEST2", ALL),
    (KeyPurpose::KmInitKey, 12, "KM_INIT_KEY", MANAGED),
    (KeyPurpose::XtsAes128PsramKey, 15, "XTS_AES_128_PSRAM_KEY", &[Chip::Esp32c5]),
    (KeyPurpose::EcdsaKeyP192, 16, "ECDSA_KEY_P192", MANAGED),
    (KeyPurpose::EcdsaKeyP384L, 17, "ECDSA_KEY_P384_L", MANAGED),
    (KeyPurpose::EcdsaKeyP384H, 18, "ECDSA_KEY_P384_H", MANAGED),
];

impl KeyPurpose {
    /// The purpose with this value on `chip`; `None` where the chip gives it no meaning.
    pub fn from_value(chip: Chip, value: u8) -> Option<Self> {
        PURPOSES.iter().find(|(_, v, _, chips)| *v == value && chips.contains(&chip)).map(|(purpose, ..)| *purpose)
    }

    /// The purpose that the vendor's tool calls `name` on `chip`.
    pub fn from_name(chip: Chip, name: &str) -> Option<Self> {
        PURPOSES.iter().find(|(_, _, n, chips)| *n == name && chips.contains(&chip)).map(|(purpose, ..)| *purpose)
    }

    /// The purposes that `chip` knows, by value.
    pub fn all(chip: Chip) -> impl Iterator<Item = Self> {
        PURPOSES.iter().filter(move |(.., chips)| chips.contains(&chip)).map(|(purpose, ..)| *purpose)
    }

    fn row(self) -> (u8, &'static str) {
        PURPOSES.iter().find(|(p, ..)| *p == self).map_or((0, "USER"), |(_, value, name, _)| (*value, *name))
    }

    /// The value of KEY_PURPOSE_n on `chip`; `None` where the chip has no such purpose.
    pub fn value_on(self, chip: Chip) -> Option<u8> {
        PURPOSES.iter().find(|(p, .., chips)| *p == self && chips.contains(&chip)).map(|(_, value, ..)| *value)
    }

    /// The value of KEY_PURPOSE_n, the same on all chips but for RESERVED (1; on the H2 2: see [`KeyPurpose::value_on`]).
    pub fn value(self) -> u8 {
        self.row().0
    }

    /// The vendor's name.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Software must not read such a key: the vendor's tool read-protects it (formats sheet §5.4).
    pub fn is_secret(self) -> bool {
        !matches!(
            self,
            Self::User | Self::Reserved | Self::SecureBootDigest0 | Self::SecureBootDigest1 | Self::SecureBootDigest2
        )
    }

    /// A flash or PSRAM encryption key, which lies byte-reversed in its block (formats sheet §5.3).
    pub fn is_xts(self) -> bool {
        matches!(self, Self::XtsAes256Key1 | Self::XtsAes256Key2 | Self::XtsAes128Key | Self::XtsAes128PsramKey)
    }
}
