use super::super::{Output, Workbench, run};
use crate::{device::Device, efuse::Efuses, flash::Flash};
use dryburn::{
    Chip,
    efuse::{Efuse, read, security::crypt_count},
    flash_encryption::{CryptConfig, FlashKey},
};
use std::{fs, path::PathBuf};

fn vector(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/efuse").join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A folder with key files: k32 counts 00..1f, and so on.
fn board(efuses: Efuses) -> Device {
    Device::new(Flash::new(Flash::MIN_SIZE).unwrap(), efuses)
}

fn desk() -> (tempfile::TempDir, Workbench) {
    let dir = tempfile::tempdir().unwrap();
    for n in [16_u8, 24, 32, 64] {
        fs::write(dir.path().join(format!("k{n}.bin")), (0..n).collect::<Vec<u8>>()).unwrap();
    }
    let bench = Workbench::confined(dir.path(), 1);
    (dir, bench)
}

fn exec(bench: &mut Workbench, line: &str) -> Output {
    run(bench, &line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
}

#[track_caller]
fn ok(bench: &mut Workbench, line: &str) -> String {
    let out = exec(bench, line);
    assert_eq!(out.status, 0, "{line}\n{}", out.text);
    out.text
}

/// The commands that made the vectors with the vendor's tool give the same files, byte for byte.
#[test]
fn virt_files_equal_the_vendors() {
    let (dir, mut bench) = desk();
    fs::copy(
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/efuse/pubkey_digest_p256.bin"),
        dir.path().join("p256.bin"),
    )
    .unwrap();
    fs::copy(
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/keys/rsa3072_a.pem"),
        dir.path().join("a.pem"),
    )
    .unwrap();
    for (chip, name, commands) in [
        (
            "esp32",
            "esp32_fe_protected",
            &[
                "burn-key flash_encryption k32.bin --no-protect-key",
                "burn-efuse FLASH_CRYPT_CNT 1 FLASH_CRYPT_CONFIG 0xF",
                "read-protect-efuse BLOCK1",
                "write-protect-efuse BLOCK1",
            ][..],
        ),
        (
            "esp32",
            "esp32_sb2r3",
            &["burn-efuse CHIP_VER_REV1 1 CHIP_VER_REV2 1", "burn-key-digest a.pem", "burn-efuse ABS_DONE_1 1"],
        ),
        (
            "esp32s3",
            "esp32s3_fe",
            &[
                "burn-key BLOCK_KEY0 k64.bin XTS_AES_256_KEY --no-read-protect",
                "burn-key-digest BLOCK_KEY2 a.pem SECURE_BOOT_DIGEST0",
                "burn-efuse SPI_BOOT_CRYPT_CNT 7 SECURE_BOOT_EN 1 SECURE_VERSION 0x3",
                "burn-efuse SECURE_BOOT_KEY_REVOKE1 1",
            ],
        ),
        ("esp32", "esp32_blank", &["summary"][..]),
        (
            "esp32",
            "esp32_fe",
            &[
                "burn-key flash_encryption k32.bin --no-protect-key",
                "burn-efuse FLASH_CRYPT_CNT 1 FLASH_CRYPT_CONFIG 0xF",
            ],
        ),
        ("esp32", "esp32_sb1", &["burn-key secure_boot_v1 k32.bin --no-protect-key", "burn-efuse ABS_DONE_0 1"]),
        (
            "esp32",
            "esp32_34",
            &[
                "burn-efuse CODING_SCHEME 1",
                "burn-key flash_encryption k24.bin --no-protect-key",
                "burn-key flash_encryption k24.bin --no-protect-key",
            ],
        ),
        (
            "esp32c3",
            "esp32c3_fe",
            &["burn_key BLOCK_KEY0 k32.bin XTS_AES_128_KEY", "burn-key BLOCK_KEY1 k32.bin HMAC_UP"],
        ),
        (
            "esp32c2",
            "esp32c2_der",
            &[
                "burn-key BLOCK_KEY0 k16.bin XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS --no-read-protect --no-write-protect",
            ],
        ),
        (
            "esp32c2",
            "esp32c2_both",
            &[
                "burn-key BLOCK_KEY0 k16.bin XTS_AES_128_KEY_DERIVED_FROM_128_EFUSE_BITS BLOCK_KEY0 p256.bin SECURE_BOOT_DIGEST",
            ],
        ),
        ("esp32c2", "esp32c2_256", &["burn-key BLOCK_KEY0 k32.bin XTS_AES_128_KEY --no-read-protect"]),
    ] {
        for command in commands {
            ok(
                &mut bench,
                &format!("espefuse --do-not-confirm --virt --chip {chip} --path-efuse-file {name}.virt {command}"),
            );
        }
        let made = fs::read(dir.path().join(format!("{name}.virt"))).unwrap();
        assert!(made == vector(&format!("{name}.virt")), "{name}");
    }
}

#[test]
fn the_board_keeps_the_key_that_nobody_may_read() {
    let (_dir, mut bench) = desk();
    bench.device = Some(board(Efuses::new(Chip::Esp32)));
    let text = ok(&mut bench, "espefuse.py --port COM3 --do-not-confirm burn_key flash_encryption k32.bin");
    assert!(text.contains("Disabling read to key block...") && !text.contains("1f 1e"), "{text}");
    ok(&mut bench, "espefuse.py burn_efuse FLASH_CRYPT_CONFIG 0xf FLASH_CRYPT_CNT 1");
    let board = bench.efuses_mut().unwrap();
    assert_eq!((board.read_word(1, 0), crypt_count(board).enabled()), (0, true));
    let key = std::array::from_fn(|i| i as u8);
    assert!(board.flash_key() == FlashKey::Esp32 { key, config: CryptConfig::ALL });
    let again = exec(&mut bench, "espefuse burn-key flash_encryption k32.bin");
    assert_eq!(again.status, 2);
    assert!(again.text.contains("BLOCK1 is read-protected"), "{}", again.text);
}

#[test]
fn refusals_burn_nothing() {
    let (_dir, mut bench) = desk();
    bench.device = Some(board(Efuses::new(Chip::Esp32c3)));
    ok(&mut bench, "espefuse burn-efuse SECURE_VERSION 3");
    let before = bench.efuses_mut().cloned();
    for (line, message) in [
        ("burn-efuse SECURE_VERSION 1", "0x0003 -> 0x0001 Efuse SECURE_VERSION failed to burn. Protected?"),
        ("burn-efuse SECURE_VERSION 5", "cannot be cleared (value will be 0x0007)"),
        ("burn-efuse NOSUCH 1", "Invalid eFuse name 'NOSUCH'"),
        ("burn-efuse SECURE_BOOT_EN 0", "will always burn 0->1"),
        ("burn-efuse KEY_PURPOSE_0 16", "'16' can not be set (value out of range)"),
        ("burn-efuse RD_DIS 0x80", "128 is too large an unsigned integer for a bitstring of length 7"),
        ("burn-key BLOCK_KEY0 k24.bin USER", "Incorrect key file size 24"),
        ("burn-key BLOCK_KEY0 k32.bin XTS_AES_256_KEY", "is not one of"),
        ("burn-key BLOCK_KEY9 k32.bin USER", "'BLOCK_KEY9' is not one of"),
        ("burn-key BLOCK_KEY0 none.bin USER", "none.bin: no such file"),
        ("burn-key BLOCK_KEY0 k32.bin ECDSA_KEY", "is not one of"),
        ("burn-bit BLOCK3 256", "BLOCK3 has bit_number in [0..255]"),
        (
            "burn-block-data BLOCK3 k16.bin",
            "Data does not fit: the block3 size is 32 bytes, data file is 16 bytes, offset 0.",
        ),
        ("read-protect-efuse BLOCK_KEY1", "BLOCK_KEY1 must be readable, stop this operation!"),
        ("write-protect-efuse WR_DIS", "'WR_DIS' is not one of"),
        ("burn-key-digest BLOCK_KEY0 k32.bin SECURE_BOOT_DIGEST0", "no PEM text from -----BEGIN to -----END"),
        ("burn-custom-mac 03:00:00:00:00:01", "Custom MAC must be a unicast MAC!"),
        ("set-flash-voltage OFF", "No such command 'set-flash-voltage'"),
        ("burn-key BLOCK_KEY0 k32.bin HMAC_UP burn-efuse SECURE_VERSION 5", "cannot be cleared"),
        ("--chip esp32 summary", "board is an ESP32-C3, not an ESP32"),
        ("", "no command"),
    ] {
        let out = exec(&mut bench, &format!("espefuse {line}"));
        assert_eq!(out.status, 2, "{line}\n{}", out.text);
        assert!(out.text.contains(message), "{line}\n{}", out.text);
        assert!(bench.efuses_mut().cloned() == before, "{line}");
    }
}

#[test]
fn commands_in_a_row_are_burned_together() {
    let (_dir, mut bench) = desk();
    bench.device = Some(board(Efuses::new(Chip::Esp32s3)));
    let line = "espefuse burn-key BLOCK_KEY0 k64.bin XTS_AES_256_KEY burn-efuse SPI_BOOT_CRYPT_CNT 7 SECURE_VERSION 1";
    let text = ok(&mut bench, line);
    assert_eq!(text.matches("Batch mode is enabled").count(), 2);
    assert_eq!(text.matches("This is an irreversible operation!").count(), 1);
    let board = bench.efuses_mut().unwrap();
    assert_eq!(
        [read(board, "KEY_PURPOSE_0"), read(board, "KEY_PURPOSE_1"), read(board, "SPI_BOOT_CRYPT_CNT")],
        [2, 3, 7]
    );
    assert!(board.flash_key() == FlashKey::Xts256(std::array::from_fn(|i| i as u8)));
}

#[test]
fn what_is_shown_is_read_back() {
    let (dir, mut bench) = desk();
    bench.device = Some(board(Efuses::new(Chip::Esp32c3)));
    ok(&mut bench, "espefuse burn-key BLOCK_KEY1 k32.bin USER burn-efuse SPI_BOOT_CRYPT_CNT 1 SECURE_VERSION 7");
    let board = bench.efuses_mut().cloned().unwrap();
    ok(&mut bench, "espefuse summary --format json --file s.json");
    ok(&mut bench, "espefuse dump --format joint --file-name joint.bin");
    ok(&mut bench, "espefuse dump --format token --file-name token.txt");
    let dump = ok(&mut bench, "espefuse dump");
    fs::write(dir.path().join("dump.txt"), dump).unwrap();
    for name in ["s.json", "joint.bin", "token.txt", "dump.txt"] {
        let bytes = fs::read(dir.path().join(name)).unwrap();
        assert!(Efuses::parse(&bytes, Some(Chip::Esp32c3)).is_ok_and(|e| e == board), "{name}");
    }
    assert!(ok(&mut bench, "espefuse summary --format value_only SPI_BOOT_CRYPT_CNT").ends_with("\nEnable\n"));
    assert!(ok(&mut bench, "espefuse summary").contains("= Enable R/W (0b001)\n"));
}

/// What `summary --format json` says equals the vendor's vectors in everything but the descriptions, and in what a newer
/// version words otherwise.
#[test]
fn summaries_equal_the_vendors() {
    for (chip, name) in [("esp32", "esp32_fe_protected"), ("esp32c3", "esp32c3_fe"), ("esp32s3", "esp32s3_fe")] {
        let (dir, mut bench) = desk();
        fs::write(dir.path().join("f.virt"), vector(&format!("{name}.virt"))).unwrap();
        ok(
            &mut bench,
            &format!("espefuse --virt --chip {chip} --path-efuse-file f.virt summary --format json --file s.json"),
        );
        let read = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        let mine = read(&fs::read(dir.path().join("s.json")).unwrap());
        let theirs = read(&vector(&format!("{name}.summary.json")));
        let (mine, theirs) = (mine.as_object().unwrap(), theirs.as_object().unwrap());
        for (field, want) in theirs {
            // 5.3.1, which made the vectors, took every ESP32 for v3 and has JTAG_SEL_ENABLE on the C3
            if ["WAFER_VERSION_MAJOR", "JTAG_SEL_ENABLE"].contains(&field.as_str()) {
                continue;
            }
            let mut want = want.clone();
            want["description"] = "".into();
            if field == "BLOCK_USR_DATA" {
                continue; // 24 bytes there
            }
            assert_eq!(mine.get(field), Some(&want), "{name}: {field}");
        }
    }
}

/// espefuse 5.6 was seen to do so: it takes a lone name before another command letter by letter.
#[test]
fn rows_of_commands_that_the_vendors_tool_cannot_take_are_refused() {
    let (_dir, mut bench) = desk();
    bench.device = Some(board(Efuses::new(Chip::Esp32)));
    let before = bench.efuses_mut().cloned();
    for (line, status, message) in [
        ("read-protect-efuse BLOCK1 burn-bit BLOCK3 3", 1, "letter by letter"),
        ("write-protect-efuse SPI_PAD_CONFIG_D dump", 2, "Found repeated"),
        ("burn-efuse ABS_DONE_0 dump", 2, "write the value"),
        ("burn-bit --force-write-always BLOCK3 12 burn-bit BLOCK3 14", 2, "only after the other words"),
        ("burn-efuse ABS_DONE_0 1 ABS_DONE_1", 2, "does not have a valid pair"),
        ("read-protect-efuse BLOCK2 BLOCK2", 2, "Found repeated ['BLOCK2']"),
    ] {
        let out = exec(&mut bench, &format!("espefuse {line}"));
        assert_eq!(out.status, status, "{line}\n{}", out.text);
        assert!(out.text.contains(message), "{line}\n{}", out.text);
        assert!(bench.efuses_mut().cloned() == before, "{line}");
    }
    ok(&mut bench, "espefuse burn-bit BLOCK3 12 read-protect-efuse BLOCK1");
    assert_eq!(bench.efuses_mut().unwrap().read_word(0, 0), 1 << 16);
}

#[test]
fn key_files_of_any_content_are_read_or_refused() {
    let digest = |bytes: &[u8]| super::key_digest::digest("key.pem", bytes).map_err(|e| e.text);
    let pem = fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/keys/p256.pem")).unwrap();
    assert!(digest(&pem).is_ok_and(|d| d.to_vec() == vector("pubkey_digest_p256.bin")));
    for i in 0..pem.len() {
        let mut damaged = pem.clone();
        damaged[i] ^= 1;
        assert!(
            digest(&damaged).map_or_else(|text| text.starts_with("key.pem: "), |_| true),
            "the error names the file"
        );
        let _ = (digest(&damaged), super::key_digest::private_number("key.pem", &damaged), digest(&pem[..i]));
    }
}

/// The token that the vendor's tool 5.6 prints for the same burns.
#[test]
fn the_token_equals_the_vendors() {
    let (_dir, mut bench) = desk();
    bench.device = Some(board(Efuses::new(Chip::Esp32c3)));
    ok(&mut bench, "espefuse burn-efuse SECURE_VERSION 3 burn-efuse WR_DIS 3");
    let text = ok(&mut bench, "espefuse dump --format token");
    assert!(text.contains("EFSR:esp32c3:000:AwAAAAAAAAAAAAAAAAAAAADAAAAAAAAA::::::::::::x-VuRA\n"), "{text}");
}

/// As observed of espefuse 5.6: of several commands with --force-write-always the last one's word counts for all.
#[test]
fn force_write_always_is_what_the_last_command_says() {
    let (_dir, mut bench) = desk();
    for (line, status) in [
        ("burn-bit BLOCK3 2", 2),
        ("burn-bit BLOCK3 2 --force-write-always", 0),
        ("burn-bit BLOCK3 2 --force-write-always burn-bit BLOCK0 50", 2),
        ("burn-bit BLOCK3 2 burn-bit BLOCK0 50 --force-write-always", 0),
        // these have no such option
        ("burn-bit BLOCK3 2 --force-write-always burn-efuse SECURE_VERSION 1", 0),
        ("burn-bit BLOCK3 2 --force-write-always write-protect-efuse SECURE_VERSION", 0),
    ] {
        bench.device = Some(board(Efuses::new(Chip::Esp32c3)));
        ok(&mut bench, "espefuse burn-bit BLOCK3 1");
        let out = exec(&mut bench, &format!("espefuse {line}"));
        assert_eq!(out.status, status, "{line}\n{}", out.text);
    }
}

/// As observed of espefuse 5.6, each found by the random comparison.
#[test]
fn burn_efuse_in_its_corners() {
    let (_dir, mut bench) = desk();
    bench.device = Some(board(Efuses::new(Chip::Esp32c2)));
    ok(&mut bench, "espefuse burn-efuse CUSTOM_MAC aa:cd:ef:01:02:03");
    assert_eq!(read(bench.efuses_mut().unwrap(), "CUSTOM_MAC_USED"), 0);
    ok(&mut bench, "espefuse burn-custom-mac aa:cd:ef:01:02:03");
    assert_eq!(read(bench.efuses_mut().unwrap(), "CUSTOM_MAC_USED"), 1);

    // only the value that counts has to fit
    bench.device = Some(board(Efuses::new(Chip::Esp32)));
    let out = exec(&mut bench, "espefuse burn-efuse SECURE_VERSION 0x100000000");
    assert!(out.status == 2 && out.text.contains("4294967296 is too large"), "{}", out.text);
    ok(&mut bench, "espefuse burn-efuse SECURE_VERSION 0x100000000 SECURE_VERSION 1");

    bench.device = Some(board(Efuses::new(Chip::Esp32s3)));
    let out = exec(&mut bench, "espefuse burn-efuse KEY_PURPOSE_5 4");
    assert!(out.status == 2 && out.text.contains("can not have XTS_AES_128_KEY key"), "{}", out.text);

    bench.device = Some(board(Efuses::new(Chip::Esp32c5)));
    ok(&mut bench, "espefuse burn-efuse BOOTLOADER_ANTI_ROLLBACK_SECURE_VERSION_LO");
    ok(&mut bench, "espefuse burn-efuse BOOTLOADER_ANTI_ROLLBACK_SECURE_VERSION_LO");
    assert_eq!(read(bench.efuses_mut().unwrap(), "BOOTLOADER_ANTI_ROLLBACK_SECURE_VERSION_LO"), 3);
}

/// What espefuse 5.6 prints of a `--virt` file with the same error registers.
#[test]
fn coding_errors_are_named_as_the_vendor_names_them() {
    let (dir, mut bench) = desk();
    let mut image = vec![0; 0x200];
    image[0x1C0..0x1C4].copy_from_slice(&0x0008_7050_u32.to_le_bytes());
    image[0x2C..0x30].copy_from_slice(&(1_u32 << 23).to_le_bytes());
    image.reverse();
    fs::write(dir.path().join("e.virt"), &image).unwrap();
    let out = exec(&mut bench, "espefuse --chip esp32c3 --virt --path-efuse-file e.virt check-error");
    let found = "Error(s) in BLOCK2 [ERRORS:5 FAIL:False].
Error(s) in BLOCK4 [ERRORS:7 FAIL:True].

BLOCK0          (                ) [0 ] err__regs: 00000000 00000000 00000000 00000000 00000000 00000000
EFUSE_RD_RS_ERR0_REG        0x00087050
EFUSE_RD_RS_ERR1_REG        0x00000000
";
    let zeros = "0".repeat(64);
    let want = format!(
        "espefuse v5.6.0
{found}
=== Run \"check-error\" command ===
{found}BLOCK2 : BLOCK_SYS_DATA [ERRORS:5 FAIL:0]         = 0x{zeros} (writable)
BLOCK4 : BLOCK_KEY0 [ERRORS:7 FAIL:1]             = 0x{zeros} (not writable)
Not all errors can be fixed because some fields are write-protected!

A fatal error occurred: Error(s) were detected in eFuses.
"
    );
    assert_eq!((out.text, out.status), (want, 2));
}

/// As above; of block 0 the fields are named.
#[test]
fn errors_of_block_0_are_named_by_field() {
    let (dir, mut bench) = desk();
    let mut image = vec![0; 0x200];
    for (offset, value) in [(0x17C, 0x101_u32), (0x180, 1 << 24), (0x2C, 0x104), (0x30, 0x105), (0x34, 0x010C_0000)] {
        image[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }
    image.reverse();
    fs::write(dir.path().join("e.virt"), &image).unwrap();
    let out = exec(&mut bench, "espefuse --chip esp32c3 --virt --path-efuse-file e.virt check-error");
    let want = "=== Run \"check-error\" command ===
Error(s) in BLOCK0 [ERRORS:3 FAIL:True].

BLOCK0          (                ) [0 ] err__regs: 00000000 00000101 01000000 00000000 00000000 00000000
EFUSE_RD_RS_ERR0_REG        0x00000000
EFUSE_RD_RS_ERR1_REG        0x00000000
BLOCK0 : RD_DIS                                   = 5        (writable)
BLOCK0 : DIS_ICACHE                               = 1        (not writable)
BLOCK0 : KEY_PURPOSE_0                            = RESERVED (not writable)
Not all errors can be fixed because some fields are write-protected!

A fatal error occurred: Error(s) were detected in eFuses.
";
    assert_eq!(out.status, 2);
    assert!(out.text.ends_with(want), "{}", out.text);
}

/// The tool burns a block that has coding errors up to three times more; its emulator never gets rid of them, a board whose
/// first burn was cut off does with the first.
#[test]
fn a_block_with_errors_is_burned_again() {
    let (dir, mut bench) = desk();
    let mut image = vec![0; 0x200];
    image[0x1C0..0x1C4].copy_from_slice(&0x0008_7000_u32.to_le_bytes());
    image.reverse();
    fs::write(dir.path().join("e.virt"), &image).unwrap();
    fs::write(dir.path().join("key"), [0x5A; 32]).unwrap();
    let command = "espefuse --chip esp32c3 --virt --path-efuse-file e.virt burn-key BLOCK_KEY0 key USER";
    let text = ok(&mut bench, command);
    let again = |n: u8| format!("Error in BLOCK4, re-burn it again (#{n}) to fix. fail_bit=True, num_errors=7\n");
    let want = format!("{}{}{}BURN BLOCK4  - OK (write block == read block)\n", again(0), again(1), again(2));
    assert!(text.contains(&want) && !text.contains(&again(3)), "{text}");

    let mut efuses = Efuses::new(Chip::Esp32c3);
    let cells = efuses.cells_to_burn(4, &[0x5A5A_5A5A; 8]);
    efuses.burn_cells(4, &cells[..cells.len() / 2]);
    bench.device = Some(board(efuses));
    let text = ok(&mut bench, "espefuse burn-key BLOCK_KEY0 key USER --force-write-always");
    assert!(!text.contains("re-burn") && text.contains("BURN BLOCK4  - OK"), "{text}");
    assert!(ok(&mut bench, "espefuse check-error").contains("No errors detected."));
}

/// Of set-flash-voltage only the ESP32's takes it (comparison with the tool, seed 2000014 of the S3).
#[test]
fn the_token_of_a_voltage_is_shown_on_the_esp32_only() {
    let (_dir, mut bench) = desk();
    let line = |chip: &str| format!("espefuse --chip {chip} --virt set-flash-voltage OFF --show-token");
    assert!(ok(&mut bench, &line("esp32")).contains("EFSW:"));
    for chip in ["esp32s2", "esp32s3"] {
        assert_eq!(exec(&mut bench, &line(chip)).status, 2, "{chip}");
        ok(&mut bench, &format!("espefuse --chip {chip} --virt set-flash-voltage OFF"));
    }
}
