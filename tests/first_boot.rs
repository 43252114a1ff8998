//! First-boot enablement: which eFuses each chip burns. The tables are read off ESP-IDF's sources, which have a file per
//! chip (`flash_encryption_secure_features.c`, `secure_boot_secure_features.c`); only the ESP32-C3's were recorded.

use dryburn::{
    Chip, IdfVersion, Revision,
    efuse::{self, Efuse},
    image::Builder,
    partition::{self, PartitionType, Subtype},
    secure_boot::{ImageDigest, sign::SigningKey, v2::SECTOR},
};
use dryburn_sim::{
    device::{Device, Watch},
    efuse::Efuses,
    flash::Flash,
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{collections::BTreeMap, fs, path::PathBuf};

const TABLE: u32 = 0xD000;
const APP: u32 = 0x1_0000;
const IDF: IdfVersion = IdfVersion::LATEST;

const ENCRYPTION: &[&str] = &["SECURE_FLASH_ENC_ENABLED=y", "SECURE_FLASH_ENCRYPTION_MODE_RELEASE=y"];
const SECURE_BOOT: &[&str] = &["SECURE_BOOT_V2_ENABLED=y"];
const ECDSA: &[&str] = &["SECURE_BOOT_V2_ENABLED=y", "SECURE_SIGNED_APPS_ECDSA_V2_SCHEME=y"];

/// Fields of BLOCK0 by name, with their values.
type Fields = BTreeMap<&'static str, u32>;

/// What a virgin chip has burned in BLOCK0 once a bootloader built with `options` has run; all is signed with `key`.
fn burned(chip: Chip, revision: Revision, key: Option<&str>, options: &[&str]) -> Fields {
    let mut flash = Flash::new(Flash::MIN_SIZE).expect("a legal size");
    let entry = partition::Entry::new("ota_0", PartitionType(0), Subtype(0x10), APP, 0x2_0000);
    flash.program(TABLE, &partition::build(&[entry], true).expect("a table")).expect("inside");
    let key = key.map(|name| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/keys").join(name);
        SigningKey::from_pem(&fs::read_to_string(path).expect("a key file")).expect("a key")
    });
    let bootloader = Builder::bootloader(chip, IDF).flash_size(0).build();
    let app = Builder::app(chip).size(8 * 1024).build();
    for (at, mut image) in [(chip.spec().bootloader_offset, bootloader), (APP, app)] {
        if let Some(key) = &key {
            image.resize(image.len().next_multiple_of(SECTOR), 0xFF);
            let digest = ImageDigest::of(key.scheme(), &image);
            image.extend(key.sign_v2(digest.as_ref(), &mut ChaCha20Rng::seed_from_u64(1)).expect("a signature"));
        }
        flash.program(at, &image).expect("inside");
    }
    let virgin = Efuses::with_revision(chip, revision).expect("a revision");
    let mut device = Device::new(flash, virgin);
    for option in options.iter().chain([&"PARTITION_TABLE_OFFSET=0xd000"]) {
        device.config.set(option).expect("an option");
    }
    assert!(device.power_on(Watch::UntilSettled).runs_an_app(), "{chip} {revision} {options:?}: first boot");
    assert!(device.power_on(Watch::UntilSettled).runs_an_app(), "{chip} {revision} {options:?}: later boot");
    let fields = efuse::fields_at(chip, revision).iter().filter(|field| field.block == 0);
    let read = |field| efuse::read_field(&device.efuses as &dyn Efuse, field);
    fields.map(|field| (field.name, read(field))).filter(|(_, value)| *value != 0).collect()
}

/// `WR_DIS` and `RD_DIS`, then fields that are 1, then `common`.
fn fields(wr_dis: u32, rd_dis: u32, ones: &[&'static str], common: &[(&'static str, u32)]) -> Fields {
    let protection = [("WR_DIS", wr_dis), ("RD_DIS", rd_dis)];
    let ones = ones.iter().map(|name| (*name, 1));
    protection.into_iter().filter(|(_, value)| *value != 0).chain(ones).chain(common.iter().copied()).collect()
}

#[test]
fn flash_encryption_in_release_mode() {
    // WR_DIS: BLOCK_KEY0 (23), KEY_PURPOSE_0 (8), the group of DIS_ICACHE (2)
    const LOCKED: u32 = 0x0080_0104;
    const CACHE: [&str; 2] = ["DIS_DOWNLOAD_ICACHE", "DIS_DOWNLOAD_DCACHE"];
    const JTAG: [&str; 2] = ["DIS_PAD_JTAG", "DIS_USB_JTAG"];
    const MSPI: &str = "SPI_DOWNLOAD_MSPI_DIS";
    const PSEUDO: &str = "XTS_DPA_PSEUDO_LEVEL";
    let first = Revision(0);
    let table: &[(Chip, Revision, u32, &[&str])] = &[
        (Chip::Esp32s2, first, LOCKED, &[CACHE[0], CACHE[1], "HARD_DIS_JTAG", "DIS_BOOT_REMAP", "DIS_LEGACY_SPI_BOOT"]),
        (Chip::Esp32s3, first, LOCKED, &[CACHE[0], CACHE[1], JTAG[0], JTAG[1], "DIS_DIRECT_BOOT"]),
        (Chip::Esp32c3, first, LOCKED, &[CACHE[0], JTAG[0], JTAG[1], "DIS_DIRECT_BOOT"]),
        (Chip::Esp32c5, first, LOCKED, &[MSPI, PSEUDO, JTAG[0], JTAG[1], "DIS_DIRECT_BOOT"]),
        (Chip::Esp32c6, first, LOCKED, &[CACHE[0], JTAG[0], JTAG[1], "DIS_DIRECT_BOOT"]),
        (Chip::Esp32c61, first, LOCKED, &[MSPI, PSEUDO, JTAG[0], JTAG[1], "DIS_DIRECT_BOOT"]),
        (Chip::Esp32h2, first, LOCKED, &[JTAG[0], JTAG[1], "DIS_DIRECT_BOOT"]),
        (Chip::Esp32h2, Revision::new(1, 2), LOCKED, &[PSEUDO, JTAG[0], JTAG[1], "DIS_DIRECT_BOOT"]),
        // no DIS_ICACHE, so nothing to lock it with
        (Chip::Esp32p4, first, 0x0080_0100, &[MSPI, JTAG[0], JTAG[1], "DIS_DIRECT_BOOT"]),
        (Chip::Esp32p4, Revision::new(3, 0), 0x0080_0100, &[MSPI, PSEUDO, JTAG[0], JTAG[1], "DIS_DIRECT_BOOT"]),
    ];
    let common = [("DIS_DOWNLOAD_MANUAL_ENCRYPT", 1), ("SPI_BOOT_CRYPT_CNT", 7), ("KEY_PURPOSE_0", 4)];
    for (chip, revision, wr_dis, ones) in table {
        let expected = fields(*wr_dis, 1, ones, &common);
        assert_eq!(burned(*chip, *revision, None, ENCRYPTION), expected, "{chip} {revision}");
    }
    // the ESP32-C2 has one key block, which its 256-bit key fills
    let ones = ["XTS_KEY_LENGTH_256", "DIS_DOWNLOAD_ICACHE", "DIS_PAD_JTAG", "DIS_DIRECT_BOOT"];
    let expected = fields(0x80, 3, &ones, &common[..2]);
    assert_eq!(burned(Chip::Esp32c2, first, None, ENCRYPTION), expected);
}

#[test]
fn xts_aes_256_keys_take_two_blocks() {
    let options = [ENCRYPTION, &["SECURE_FLASH_ENCRYPTION_AES256=y"]].concat();
    for chip in [Chip::Esp32s2, Chip::Esp32s3, Chip::Esp32p4] {
        let found = burned(chip, Revision(0), None, &options);
        let of = |name| found.get(name).copied();
        assert_eq!([of("KEY_PURPOSE_0"), of("KEY_PURPOSE_1"), of("RD_DIS")], [Some(2), Some(3), Some(3)], "{chip}");
        // both blocks and both purposes
        assert_eq!(of("WR_DIS").map(|bits| bits & !4), Some(0x0180_0300), "{chip}");
    }
}

#[test]
fn secure_boot_v2() {
    // WR_DIS: BLOCK_KEY0 (23), KEY_PURPOSE_0 (8), RD_DIS (0)
    const LOCKED: u32 = 0x0080_0101;
    const PAD: [&str; 3] = ["DIS_PAD_JTAG", "DIS_USB_JTAG", "DIS_DIRECT_BOOT"];
    const S2: [&str; 3] = ["HARD_DIS_JTAG", "DIS_BOOT_REMAP", "DIS_LEGACY_SPI_BOOT"];
    let common = [
        ("SECURE_BOOT_EN", 1),
        ("SECURE_BOOT_KEY_REVOKE1", 1),
        ("SECURE_BOOT_KEY_REVOKE2", 1),
        ("KEY_PURPOSE_0", 9),
        ("ENABLE_SECURITY_DOWNLOAD", 1),
    ];
    let (rsa, p256, p384) = ("rsa3072_a.pem", "p256.pem", "p384.pem");
    let (first, third) = (Revision(0), Revision::new(3, 0));
    let wide = [ECDSA, &["SECURE_BOOT_ECDSA_KEY_LEN_384_BITS=y"]].concat();
    let soft = |bits| ("SOFT_DIS_JTAG", bits);
    let sha384 = ("SECURE_BOOT_SHA384_EN", 1);
    type Row<'a> = (Chip, Revision, &'a str, &'a [&'a str], &'a [&'static str], &'a [(&'static str, u32)]);
    let table: &[Row<'_>] = &[
        (Chip::Esp32s2, first, rsa, SECURE_BOOT, &S2, &[soft(1)]),
        (Chip::Esp32s3, first, rsa, SECURE_BOOT, &PAD, &[soft(7)]),
        (Chip::Esp32c6, first, rsa, SECURE_BOOT, &PAD, &[soft(7)]),
        (Chip::Esp32c6, first, p256, ECDSA, &PAD, &[soft(7)]),
        (Chip::Esp32c61, first, p256, SECURE_BOOT, &PAD, &[]),
        (Chip::Esp32h2, first, p256, ECDSA, &PAD, &[soft(7)]),
        (Chip::Esp32c5, first, p256, ECDSA, &PAD, &[soft(7)]),
        (Chip::Esp32c5, first, p384, &wide, &PAD, &[soft(7), sha384]),
        (Chip::Esp32p4, first, p256, ECDSA, &PAD, &[soft(7)]),
        (Chip::Esp32p4, third, p384, &wide, &PAD, &[soft(7), sha384]),
    ];
    for (chip, revision, key, options, ones, more) in table {
        let expected = fields(LOCKED, 0, ones, &[&common[..], more].concat());
        assert_eq!(burned(*chip, *revision, Some(key), options), expected, "{chip} {revision} {key}");
    }
}

#[test]
fn secure_boot_v2_of_the_esp32() {
    // BLOCK2 (8), RD_DIS (0)
    let ones = ["ABS_DONE_1", "JTAG_DISABLE", "CONSOLE_DEBUG_DISABLE"];
    let mut found = burned(Chip::Esp32, Revision::new(3, 0), Some("rsa3072_a.pem"), SECURE_BOOT);
    // the revision that the factory burned
    found.retain(|name, _| !name.starts_with("CHIP_VER"));
    assert_eq!(found, fields(0x101, 0, &ones, &[]));
}

#[test]
fn the_c2_burns_both_keys_together() {
    let (first, key) = (Revision(0), Some("p256.pem"));
    let ones = ["SECURE_BOOT_EN", "ENABLE_SECURITY_DOWNLOAD", "DIS_PAD_JTAG", "DIS_DIRECT_BOOT"];
    // BLOCK_KEY0 (7), RD_DIS (0)
    assert_eq!(burned(Chip::Esp32c2, first, key, SECURE_BOOT), fields(0x81, 0, &ones, &[]));
    let both = [SECURE_BOOT, ENCRYPTION].concat();
    let more = [("DIS_DOWNLOAD_ICACHE", 1), ("DIS_DOWNLOAD_MANUAL_ENCRYPT", 1), ("SPI_BOOT_CRYPT_CNT", 7)];
    assert_eq!(burned(Chip::Esp32c2, first, key, &both), fields(0x81, 1, &ones, &more));
}
