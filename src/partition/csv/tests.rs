//! Against files and messages of the real gen_esp32part.

use super::*;
use crate::partition::build;
use std::{borrow::ToOwned, format, string::String, vec, vec::Vec};

macro_rules! vector {
    ($name:literal) => {
        include_str!(concat!("../../../tests/vectors/ptable/", $name))
    };
}
macro_rules! binary {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/vectors/ptable/", $name))
    };
}

/// Parses and verifies; the second part is what the tool prints besides the complaint.
fn check(text: &str, options: &Options<'_>) -> (Result<Vec<Partition>, Diagnostic>, Vec<String>) {
    let mut log = Vec::new();
    let partitions = parse(text, options).and_then(|p| verify(&p, options, &mut log).map(|()| p));
    (partitions, log)
}

fn table(text: &str, options: &Options<'_>) -> Vec<u8> {
    let entries: Vec<Entry> = check(text, options).0.unwrap().iter().map(Partition::entry).collect();
    build(&entries, options.md5).unwrap()
}

/// The complaint about a CSV and the characters that it points at.
fn complaint(text: &str, options: &Options<'_>) -> (String, String) {
    let diagnostic = check(text, options).0.unwrap_err();
    let line = text.lines().nth(diagnostic.line - 1).unwrap();
    (diagnostic.message, line.chars().skip(diagnostic.column - 1).take(diagnostic.length).collect())
}

#[track_caller]
fn refused(text: &str, message: &str, place: &str) {
    assert_eq!(complaint(text, &Options::default()), (message.to_owned(), place.to_owned()));
}

/// A refusal inside one row, in the generator's wrapping.
#[track_caller]
fn row_refused(text: &str, message: &str, place: &str) {
    let line = text.lines().count();
    let message = format!(
        "Error at line {line}: {message}\nPlease check extra_partition_subtypes.inc file in build/config directory"
    );
    refused(text, &message, place);
}

#[test]
fn tables_are_the_generator_s_byte_for_byte() {
    let default = Options::default();
    assert_eq!(table(vector!("two_ota.csv"), &default), binary!("two_ota.bin"));
    let nomd5 = Options { md5: false, ..default.clone() };
    assert_eq!(table(vector!("two_ota.csv"), &nomd5), binary!("two_ota_nomd5.bin"));
    let moved = Options { table_offset: 0x1_0000, ..default.clone() };
    assert_eq!(table(vector!("two_ota.csv"), &moved), binary!("two_ota_off10000.bin"));
    let boot = Options { primary_bootloader_offset: Some(0x1000), ..default };
    assert_eq!(table(vector!("boot.csv"), &boot), binary!("boot.bin"));
}

#[test]
fn and_back() {
    let options = Options::default();
    let mut log = Vec::new();
    let partitions = from_binary(binary!("two_ota.bin"), &options, &mut log).unwrap();
    assert_eq!(to_csv(&partitions, &options), vector!("two_ota_back.csv"));
    assert_eq!(verify(&partitions, &options, &mut log), Ok(()));
    assert!(log.is_empty());
    // What it writes, it reads.
    assert_eq!(table(vector!("two_ota_back.csv"), &options), binary!("two_ota.bin"));
}

#[test]
fn rows_know_their_place() {
    let partitions = parse("# a\n\n  nvs , data, nvs,, 16K\n", &Options::default()).unwrap();
    let row = partitions[0].row.unwrap();
    assert_eq!(row.line, 3);
    assert_eq!(row.whole, Span { column: 3, length: 21 });
    assert_eq!(row.fields[1], Some(Span { column: 9, length: 4 }));
    assert_eq!(row.fields[3], Some(Span { column: 19, length: 0 }));
    assert_eq!(row.fields[5], None);
}

#[test]
fn messages_of_the_failing_vectors() {
    refused(vector!("err_align.csv"), "Partition factory invalid: Offset 0x11000 is not aligned to 0x10000", "0x11000");
    refused(
        vector!("err_low.csv"),
        "CSV Error at line 1: Partitions overlap. Partition sets offset 0x8000. But partition table occupies the whole \
         sector 0x8000. Use a free offset 0x9000 or higher.",
        "0x8000",
    );
    refused(
        vector!("err_nvs_small.csv"),
        "Partition n invalid: 'n' partition of type 1 and subtype 2 of this size (0x2000) must be flagged as 'readonly' \
         (the size of read/write NVS has to be at least 0x3000)",
        "0x2000",
    );
    refused(
        vector!("err_overlap.csv"),
        "CSV Error at line 2: Partitions overlap. Partition sets offset 0xc000. Previous partition ends 0xf000",
        "0xC000",
    );
    refused(vector!("err_dup.csv"), "Partition names must be unique", "a");
    let (_, log) = check(vector!("err_dup.csv"), &Options::default());
    assert_eq!(
        log,
        ["A list of partitions that have the same name:", "a,data,nvs,0x9000,16K,", "a,data,phy,0xd000,4K,"]
    );
    refused(vector!("err_otadata.csv"), "otadata partition must have size = 0x2000", "0x1000");
    assert_eq!(check(vector!("err_otadata.csv"), &Options::default()).1, ["otadata,data,ota,0x9000,4K,"]);

    assert!(check(vector!("err_sec1.csv"), &Options::default()).0.is_ok());
    let v2 = Options { secure: Some(Secure::V2), ..Options::default() };
    assert!(check(vector!("err_sec1.csv"), &v2).0.is_ok());
    let v1 = Options { secure: Some(Secure::V1), ..Options::default() };
    let expected = ("Partition f invalid: Size 0x11000 is not aligned to 0x10000".to_owned(), "0x11000".to_owned());
    assert_eq!(complaint(vector!("err_sec1.csv"), &v1), expected);
    // Not an error: the name is cut without a word.
    let long = table(vector!("err_longname.csv"), &Options::default());
    assert_eq!(Entry::parse(&long[..32]).unwrap().label_text(), "abcdefghijklmnop");
}

#[test]
fn messages_about_fields() {
    row_refused("a,,,,", "Field 'type' can't be left empty.", "a,,,,");
    row_refused("a,app,,,1M", "App partition cannot have an empty subtype", "a,app,,,1M");
    row_refused("#\na,data,nvs,,", "Size field can't be empty", "a,data,nvs,,");
    row_refused(
        "a, boot, 0, , 1M",
        "Value 'boot' is not valid. Known keywords: bootloader, partition_table, app, data",
        "boot",
    );
    row_refused(
        "a, data, $FOO, , 1M",
        "Value '$FOO' is not valid. Known keywords: ota, phy, nvs, coredump, nvs_keys, efuse, undefined, esphttpd, fat, \
         spiffs, littlefs, tee_ota",
        "$FOO",
    );
    row_refused("a, 0x40, foo, , 1M", "Invalid field value foo", "foo");
    row_refused("a, data, nvs, 0xZ, 1M", "Invalid field value 0xZ", "0xZ");
    row_refused("ä, data, nvs, , 5G", "Invalid field value 5G", "5G");
    row_refused("a, 256, 0, , 1M", "Invalid field value 256", "256");
    row_refused("a, data, nvs, , 1M, secret", "CSV flag column contains unknown flag 'secret'", "secret");
    let bootloader = "Primary bootloader offset is not defined. Please use --primary-bootloader-offset";
    row_refused("b, bootloader, primary, 0x1000, ", bootloader, "0x1000");
    let recovery = "Recovery bootloader offset is not defined. Please use --recovery-bootloader-offset";
    row_refused("b, bootloader, recovery, N/A, ", recovery, "N/A");
    refused("$FOO, data, nvs, , 1M", "unknown variable 'FOO'", "$FOO");
    let help = |text| check(text, &Options::default()).0.unwrap_err().help.unwrap();
    assert_eq!(help("a, data, nvs, 0x9000, 99999999999999999999"), "larger than any flash");
    assert_eq!(help("a, data, nvs, $FOO, 1M"), "the variable is not set");
    assert_eq!(help("a, data, nvs, foo, 1M"), "write a number such as 0x10000, 64K or 1M");
    assert_eq!(help("a, 0x40, foo, , 1M"), "this type has no keywords; write a number from 0 to 0xfe");
    assert_eq!(help("a, 256, 0, , 1M"), "write a number from 0 to 0xfe");
    refused(
        "a, data, nvs, -5, 16K",
        "CSV Error at line 1: Partitions overlap. Partition sets offset 0x-5. But partition table occupies the whole \
         sector 0x8000. Use a free offset 0x9000 or higher.",
        "-5",
    );
    refused("a, data, nvs, , 99999M", "Partition a invalid: Size 0x1869f00000 does not fit in 32 bits", "99999M");
    refused("a, data, nvs, 0x10000, -0x9000", "Partition a invalid: Size 0x-7000 does not fit in 32 bits", "-0x9000");
}

#[test]
fn messages_of_the_rules() {
    refused(
        "a, data, ota, , 0x2000\nb, data, ota, , 0x2000",
        "Found multiple otadata partitions. Only one partition can be defined with type=\"data\"(1) and subtype=\"ota\"(0).",
        "ota",
    );
    refused("a, data, tee_ota, , 0x1000", "TEE otadata partition must have size = 0x2000", "0x1000");
    let readonly =
        "Partition c invalid: 'c' partition of type 1 and subtype 3 is always read-write and cannot be read-only";
    refused("c, data, coredump, , 4K, readonly", readonly, "readonly");
    assert!(check("n, data, nvs, , 0x2000, readonly", &Options::default()).0.is_ok());
    let (result, log) =
        check("app, data, phy, , 4K\notadata, data, ota, , 8K\nota_0, data, nvs, , 16K", &Options::default());
    assert!(result.is_ok());
    assert_eq!(
        log,
        [
            "WARNING: Partition has name 'app' which is a partition type, but does not match this partition's type (0x1). \
         Mistake in partition table?",
            "WARNING: Partition has name 'ota_0' which is a partition subtype, but this partition has non-matching type 0x1 \
         and subtype 0x2. Mistake in partition table?",
        ]
    );
    let boot =
        Options { primary_bootloader_offset: Some(0), recovery_bootloader_offset: Some(0x2000), ..Options::default() };
    let low = "CSV Error at line 1: Partitions overlap. Partition sets offset 0x2000. But partition table occupies the \
               whole sector 0x8000. Use a free offset 0x9000 or higher.";
    assert_eq!(complaint("r, bootloader, recovery, ,", &boot).0, low);
}

#[test]
fn overlaps_that_only_a_binary_table_can_have() {
    let verdict = |a: (u32, u32), b: (u32, u32)| {
        let entry = |name, (offset, size)| Entry::new(name, PartitionType::DATA, Subtype::DATA_PHY, offset, size);
        let bytes = build(&[entry("a", a), entry("b", b)], true).unwrap();
        let mut log = Vec::new();
        let options = Options::default();
        let partitions = from_binary(&bytes, &options, &mut log).unwrap();
        verify(&partitions, &options, &mut log).map_err(|d| d.message)
    };
    let overlap = "Partition at 0xa000 overlaps 0x9000-0xafff";
    assert_eq!(verdict((0xA000, 0x1000), (0x9000, 0x2000)), Err(overlap.into()));
    assert_eq!(verdict((0x8000, 0x1000), (0x9000, 0x2000)), Err("Partition offset 0x8000 is below 0x9000".into()));
    assert_eq!(verdict((0xA000, 0x1000), (0x9000, 0x1000)), Ok(()));
}

#[test]
fn flash_size() {
    let partitions = parse(vector!("two_ota.csv"), &Options::default()).unwrap();
    assert_eq!(verify_size_fits(&partitions, 4 << 20), Ok(()));
    assert_eq!(
        verify_size_fits(&partitions, 2 << 20).unwrap_err().message,
        "Partitions tables occupies 3.1MB of flash (3219456 bytes) which does not fit in configured flash size 2MB. \
         Change the flash size in menuconfig under the 'Serial Flasher Config' menu."
    );
    assert_eq!(verify_size_fits(&[], 0), Ok(()));
}

#[test]
fn bad_binaries() {
    let read = |bytes: &[u8], md5: bool| {
        let mut log = Vec::new();
        let result = from_binary(bytes, &Options { md5, ..Options::default() }, &mut log);
        (result.map(|p| p.len()).map_err(|d| d.message), log)
    };
    let mut bytes = binary!("two_ota.bin").to_vec();
    bytes[0x110] ^= 1;
    let mismatch = "MD5 checksums don't match! (computed: 0xa2164eda602c6724e6c21b4fa848e5a0, parsed: \
                    0xb'a3164eda602c6724e6c21b4fa848e5a0')";
    assert_eq!(read(&bytes, true).0, Err(mismatch.into()));
    assert_eq!(read(&bytes, false).0, Err("Invalid magic bytes (b'\\xeb\\xeb') for partition definition".into()));
    let length = "Partition table length must be a multiple of 32 bytes";
    assert_eq!(read(&bytes[..40], true).0, Err(length.into()));
    assert_eq!(read(&bytes[..64], true).0, Err("Partition table is missing an end-of-table marker".into()));
    bytes[28] = 0x11;
    let warning = "WARNING: Partition definition had unknown flag(s) 0x00000010. Newer binary format?";
    assert_eq!(read(&bytes, true).1[0], warning);
    bytes[12] = 0xFF;
    assert_eq!(read(&bytes, true).0, Err("label b'\\xffvs' is not UTF-8".into()));
}

/// `repr` of bytes, as Python 3 gives it.
#[test]
fn unknown_magic_bytes_are_shown_as_python_shows_bytes() {
    for (magic, shown) in [
        (*b"ab", r"b'ab'"),
        (*b"'a", r#"b"'a""#),
        (*b"\"a", r#"b'"a'"#),
        (*b"'\"", r#"b'\'"'"#),
        (*b"\\\t", r"b'\\\t'"),
        (*b"\r\n", r"b'\r\n'"),
        (*b" ~", r"b' ~'"),
        ([0x1F, 0x7F], r"b'\x1f\x7f'"),
    ] {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&magic);
        let refusal = from_binary(&bytes, &Options::default(), &mut Vec::new()).unwrap_err();
        assert_eq!(refusal.message, format!("Invalid magic bytes ({shown}) for partition definition"));
    }
}

#[test]
fn variables_negative_sizes_and_extra_subtypes() {
    let environment = |name: &str| (name == "SLOT").then(|| "1M".to_owned());
    let extra = ExtraSubtype { kind: PartitionType::DATA, name: "mine".into(), subtype: Subtype(0x40) };
    let options = Options { environment: Some(&environment), extra_subtypes: vec![extra], ..Options::default() };
    let text = "f, app, factory, , -2M\no, APP, Ota_0, , ${SLOT}\nd, data, mine, , 0x1\ne, data, , , 0x1";
    let partitions = parse(text, &options).unwrap();
    let rows: Vec<String> = partitions.iter().map(|p| p.to_csv(&options)).collect();
    assert_eq!(
        rows,
        [
            "f,app,factory,0x10000,0x1f0000,".replace("0x1f0000", "1984K"),
            "o,app,ota_0,0x200000,1M,".into(),
            "d,data,mine,0x300000,0x1,".into(),
            "e,data,undefined,0x301000,0x1,".into(),
        ]
    );
}

#[test]
fn sizes_of_nothing_and_of_the_least_nvs() {
    let options = Options::default();
    assert_eq!(parse("a, data, phy, 0x9000, 0", &options).unwrap()[0].size, 0);
    assert!(check("n, data, nvs, , 0x3000", &options).0.is_ok());
    let help = |text| check(text, &options).0.unwrap_err().help.unwrap();
    assert_eq!(help("a, data, nvs, , 99999M"), "flash offsets end at 0xffffffff");
    let negative = "a negative size means: up to that offset, which must lie behind the partition's own";
    assert_eq!(help("a, data, nvs, 0x10000, -0x9000"), negative);
}

#[test]
fn names_of_extra_subtypes_are_subtypes_too() {
    let mine = ExtraSubtype { kind: PartitionType::DATA, name: "mine".into(), subtype: Subtype(0x40) };
    let options = Options { extra_subtypes: vec![mine], ..Options::default() };
    let warned = |name| check(&format!("{name}, data, phy, , 4K"), &options).1.len();
    assert_eq!([warned("mine"), warned("yours"), warned("nvs")], [1, 0, 1]);
}

#[test]
fn shown_without_a_file_name() {
    let general = from_binary(&[1], &Options::default(), &mut Vec::new()).unwrap_err();
    let expected = "Partition table length must be a multiple of 32 bytes (the file has 1 bytes)";
    assert_eq!(format!("{general}"), expected, "without a line");
    let diagnostic = parse("a, data, nvs, 0x8000, 16K", &Options::default()).unwrap_err();
    assert!(format!("{diagnostic}").starts_with("line 1, column 15: CSV Error at line 1: Partitions overlap."));
    assert_eq!((diagnostic.line, diagnostic.column, diagnostic.length), (1, 15, 6));
}
