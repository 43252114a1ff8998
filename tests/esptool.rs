//! The esptool command line: held against the output of the real tool (esptool 5.6.0; `tests/vectors/esptool`).

use dryburn::Chip;
use dryburn_sim::device::Device;
use dryburn_sim::efuse::Efuses;
use dryburn_sim::flash::Flash;
use dryburn_sim::tools::{self, Output, Workbench};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

const MB: u32 = 1024 * 1024;

fn vectors(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(folder)
}

/// A desk with the images of the vectors in its folder and an erased 4 MB chip on it.
struct Desk {
    folder: tempfile::TempDir,
    bench: Workbench,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut bench = Workbench::confined(folder.path(), 1);
        bench.device = Some(Device::new(Flash::new(4 * MB).expect("a size"), Efuses::new(Chip::Esp32)));
        let desk = Self { folder, bench };
        for name in ["esp32_app", "esp32_boot", "esp32_boot_nodigest", "esp32_boot_pad4k", "esp32c3_app", "esp32c6_app"]
        {
            let name = format!("{name}.bin");
            desk.put(&name, &fs::read(vectors("image").join(&name)).expect("a vector"));
        }
        desk
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.folder.path().join(name), bytes).expect("a writable folder");
    }

    fn get(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.path().join(name)).expect("a file")
    }

    fn run(&mut self, line: &str) -> Output {
        let words: Vec<String> = line.split_whitespace().map(String::from).collect();
        tools::run(&mut self.bench, &words)
    }

    /// Runs a command that must succeed and gives its text.
    fn ok(&mut self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status, 0, "{line}: {}", output.text);
        output.text
    }

    /// Runs a command that must be refused: status 2, chip and files as before.
    fn refused(&mut self, line: &str) -> String {
        let flash = self.flash().clone();
        let files = self.files();
        let output = self.run(line);
        assert_eq!(output.status, 2, "{line}: {}", output.text);
        assert!(*self.flash() == flash, "{line}: the chip changed");
        assert_eq!(self.flash().counters(), flash.counters(), "{line}: the chip was touched");
        assert_eq!(self.files(), files, "{line}: files changed");
        output.text
    }

    fn flash(&self) -> &Flash {
        &self.bench.device.as_ref().expect("a chip on the desk").flash
    }

    fn chip_bytes(&self, address: u32, length: usize) -> Vec<u8> {
        let mut buf = vec![0; length];
        self.flash().read(address, &mut buf).expect("inside the chip");
        buf
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(self.folder.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .map(|path| (path.display().to_string(), fs::read(&path).expect("a file")))
            .collect();
        files.sort();
        files
    }
}

#[test]
fn image_info_prints_what_the_tool_prints() {
    let mut desk = Desk::new();
    let mut count = 0;
    for entry in fs::read_dir(vectors("esptool")).expect("the vectors") {
        let path = entry.expect("an entry").path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".txt")) else {
            continue;
        };
        let expected = fs::read_to_string(&path).expect("a vector");
        let (image, option) = match name.strip_suffix("_as_c3") {
            Some(image) => (image, "--chip esp32c3 "),
            None => (name, ""),
        };
        let bytes = fs::read(path.with_file_name(format!("{image}.bin")));
        if let Ok(bytes) = bytes {
            desk.put(&format!("{image}.bin"), &bytes);
        }
        let output = desk.run(&format!("esptool {option}image-info {image}.bin"));
        match expected.contains("ERROR:") {
            false => assert_eq!((output.text.as_str(), output.status), (expected.as_str(), 0), "{name}"),
            true => {
                // Ours adds a hint that names the file.
                let hint = output.text.strip_prefix(expected.trim_start());
                assert!(hint.is_some_and(|h| h.contains(&format!("'{image}.bin'"))), "{name}: {}", output.text);
                assert_eq!(output.status, 2, "{name}");
            }
        }
        count += 1;
    }
    assert_eq!(count, 41, "vectors went missing");
}

#[test]
fn image_info_knows_the_old_spelling() {
    let mut desk = Desk::new();
    let new = desk.ok("esptool image-info esp32_app.bin");
    assert_eq!(desk.ok("esptool.py --chip auto image_info --version 2 esp32_app.bin"), new);
}

/// Arguments, the text, SHA-256 of the file, all as the tool has them.
const MERGES: &[(&str, &str, &str)] = &[
    (
        "--chip esp32 merge-bin -o o.bin 0x1000 esp32_boot.bin 0x10000 esp32_app.bin",
        "Wrote 0x20170 bytes to file 'o.bin', ready to flash to offset 0x0.\n",
        "d7ca2627819196587b35f9b3a8e8cbc4341da542a710e9fcb99531eb327a37a1",
    ),
    (
        "--chip esp32 merge_bin -o o.bin -t 0x1000 --flash_size 2MB --flash_mode qio --flash_freq 80m 0x10000 esp32_app.bin 0x1000 esp32_boot.bin",
        "Flash parameters set to 0x001f.\nSHA digest in image updated.\nWrote 0x1f170 bytes to file 'o.bin', ready to flash to offset 0x1000.\n",
        "198a94cf222db3f7d315eb8648a1a609273a9ce8746ea350af727ae5ee9628bb",
    ),
    (
        "--chip esp32 merge-bin -o o.bin -t 0x1000 --pad-to-size 1MB -fs 16MB 0x1000 esp32_boot_pad4k.bin",
        "Flash parameters set to 0x0240.\nSHA digest in image updated.\nWrote 0xff000 bytes to file 'o.bin', ready to flash to offset 0x1000.\n",
        "cd249e77a35c470598f7a779d3f03ee9417182505269b74196ae3523e54b52c3",
    ),
    (
        "--chip esp32 merge-bin -o o.bin -ff 80m 0x1000 esp32_boot_nodigest.bin",
        "Flash parameters set to 0x022f.\nWrote 0x1130 bytes to file 'o.bin', ready to flash to offset 0x0.\n",
        "abdd6a44d06bd163c7ec7a446d355adf78f295c551a2b0e9d31e8c5e05e5c87d",
    ),
    (
        "--chip esp32c3 merge-bin -o o.bin -fm qout -ff 20m -fs 8MB 0x0 esp32c3_app.bin",
        "Flash parameters set to 0x0132.\nSHA digest in image updated.\nWrote 0x100e0 bytes to file 'o.bin', ready to flash to offset 0x0.\n",
        "a067e5457c0fe0f150b7b1a476259bbbccf2b56b445b14c2320b03da98a8c961",
    ),
    (
        "--chip esp32c6 merge-bin -o o.bin -fm dout -ff 80m 0x0 esp32c6_app.bin",
        "Flash parameters set to 0x0320.\nSHA digest in image updated.\nWrote 0x20e0 bytes to file 'o.bin', ready to flash to offset 0x0.\n",
        "9c0c2609687c2e2821894687f30039dd766d4999b486bfff8f8938d214743352",
    ),
    (
        "--chip esp32 merge-bin -o o.bin -ff 26m 0x1000 zeros.bin",
        "WARNING: Image file at 0x1000 doesn't look like an image file, so not changing any flash settings.\nWrote 0x1064 bytes to file 'o.bin', ready to flash to offset 0x0.\n",
        "f51a04c85982d521ffaf35fea69890d5fb0b9220f084ba9b27f42fc8299d824c",
    ),
    (
        "--chip esp32 merge-bin -o o.bin -ff 26m 0x1000 trunc.bin",
        "WARNING: Image file at 0x1000 is not a valid ESP32 image, so not changing any flash settings.\nWrote 0x112c bytes to file 'o.bin', ready to flash to offset 0x0.\n",
        "ada649a42685428e7e5a1b4ed7264f7e80ddd08a9de3c57f1346aa741cb25ec4",
    ),
    (
        "--chip esp32 merge-bin -o o.bin -ff 80m -fm dio 0x1000 cuthash.bin",
        "Flash parameters set to 0x022f.\nSHA digest in image updated.\nWrote 0x1150 bytes to file 'o.bin', ready to flash to offset 0x0.\n",
        "d8766549b89251faddcd367aadaacff003255dd2c6db5132901732d66a3ea450",
    ),
    (
        "--chip esp32 merge-bin -o o.bin -ff 80m -fm dio 0x1000 badck.bin",
        "Flash parameters set to 0x022f.\nSHA digest in image updated.\nWrote 0x1150 bytes to file 'o.bin', ready to flash to offset 0x0.\n",
        "8bf3e0609e5557f7207afa726c229a90544510eacf914c3d43cfda7915154e03",
    ),
];

#[test]
fn merge_bin_writes_what_the_tool_writes() {
    let mut desk = Desk::new();
    for name in ["zeros.bin", "trunc.bin", "cuthash.bin", "badck.bin"] {
        desk.put(name, &fs::read(vectors("esptool").join(name)).expect("a vector"));
    }
    for (args, text, sha) in MERGES {
        assert_eq!(desk.ok(&format!("esptool {args}")), *text, "{args}");
        assert_eq!(hex::encode(Sha256::digest(desk.get("o.bin"))), *sha, "{args}");
    }
}

#[test]
fn merge_bin_refuses_in_the_words_of_the_tool() {
    let mut desk = Desk::new();
    let run = "esptool --chip esp32 merge-bin -o o.bin";
    for (args, words) in [
        (
            "0x1000 esp32_boot_pad4k.bin 0x1800 esp32_boot.bin",
            "Detected overlap at address: 0x1800 for file: esp32_boot.bin.",
        ),
        (
            "0x1200 esp32_boot.bin 0x1000 esp32_boot.bin",
            "Detected overlap at address: 0x1200 for file: esp32_boot.bin.",
        ),
        ("0x1000", "Must be pairs of an address and the binary filename to write there."),
        ("zz esp32_boot.bin", "Address \"zz\" must be a number."),
        (
            "-t 0x2000 0x1000 esp32_boot.bin",
            "A fatal error occurred: Output data target offset is 0x2000. Input data offset 0x1000 is before this.",
        ),
        (
            "-fs 256KB 0x1000 esp32_boot.bin",
            "Flash size '256KB' is not supported by this chip type. Supported sizes: 1MB, 2MB, 4MB, 8MB, 16MB, 32MB, 64MB, 128MB",
        ),
        (
            "-ff 48m 0x1000 esp32_boot.bin",
            "Flash frequency '48m' is not supported by this chip type. Supported frequencies: 80m, 40m, 26m, 20m",
        ),
        ("0xFFFFFFFF esp32_boot.bin", "largest chip"),
        ("--pad-to-size 1TB 0 esp32_boot.bin", "--pad-to-size"),
        ("--pad-to-size 1000000M 0 esp32_boot.bin", "largest chip"),
        ("-f uf2 0 esp32_boot.bin", "only raw"),
        ("-fs detect 0x1000 esp32_boot.bin", "--flash-size detect"),
        ("0x100000000 esp32_boot.bin", "beyond 32 bits"),
    ] {
        let text = desk.refused(&format!("{run} {args}"));
        assert!(text.contains(words), "{args}: {text}");
    }
    let text = desk.refused("esptool merge-bin -o o.bin 0x1000 esp32_boot.bin");
    assert!(text.contains("Specify the --chip argument (choose from esp32,"), "{text}");
}

#[test]
fn write_flash_erases_its_sectors_and_programs() {
    let mut desk = Desk::new();
    desk.put("old.bin", &[0; 0x4000]);
    desk.ok("esptool write-flash 0xF000 old.bin");
    let text = desk.ok("esptool.py --chip esp32 --port COM3 -b 921600 --before default_reset --after hard_reset write_flash -z 0x1000 esp32_boot.bin 0x10010 esp32_boot_pad4k.bin");
    let expected = "Wrote 336 bytes at 0x00001000.\nHash of data verified.\nWrote 4096 bytes at 0x00010010.\nHash of data verified.\n";
    assert_eq!(text, expected);
    assert_eq!(desk.chip_bytes(0x1000, 336), desk.get("esp32_boot.bin"));
    assert_eq!(desk.chip_bytes(0x1150, 16), [0xFF; 16]);
    assert_eq!(desk.chip_bytes(0xFFF0, 0x10), [0; 0x10], "the sector before is left alone");
    assert_eq!(desk.chip_bytes(0x10000, 0x10), [0xFF; 0x10], "the start of the first sector is erased");
    assert_eq!(desk.chip_bytes(0x10010, 4096), desk.get("esp32_boot_pad4k.bin"));
    assert_eq!(desk.chip_bytes(0x11010, 0xFF0), [0xFF; 0xFF0], "and the rest of the last");
    assert_eq!(desk.chip_bytes(0x12000, 0x1000), [0; 0x1000], "but no further sector");
}

#[test]
fn write_flash_patches_the_bootloader_only_when_asked() {
    let mut desk = Desk::new();
    let text = desk
        .ok("esptool --chip esp32 write-flash -fm qio -ff 80m -fs detect 0x1000 esp32_boot.bin 0x10000 esp32_app.bin");
    let patched = "Flash parameters set to 0x002f.\nSHA digest in image updated.\nWrote 336";
    let note = "NOTE: 'esp32_app.bin' requires chip revision in range v1.0 - v3.99 (this chip is revision v0.0)\n";
    assert!(text.starts_with(&format!("{note}{patched}")), "{text}");
    let merged = "esptool --chip esp32 merge-bin -t 0x1000 -o m.bin -fm qio -ff 80m -fs 4MB 0x1000 esp32_boot.bin";
    desk.ok(merged);
    assert_eq!(desk.chip_bytes(0x1000, 336), desk.get("m.bin"));
    assert_eq!(desk.chip_bytes(0x10000, 65904), desk.get("esp32_app.bin"), "an app is not patched");
    desk.ok("esptool --chip esp32 write-flash -fm keep 0x1000 esp32_boot.bin");
    assert_eq!(desk.chip_bytes(0x1000, 336), desk.get("esp32_boot.bin"));
    // a board tells which chip it is, a file that stands for one does not
    let text = desk.ok("esptool write-flash -fm qio 0x1000 esp32_boot.bin");
    assert!(text.starts_with("Flash parameters set to"), "{text}");
    desk.ok("esptool --flash chip.bin --flash-chip-size 4MB write-flash 0x1000 esp32_boot.bin");
    let text = desk.refused("esptool --flash chip.bin write-flash -fm qio 0x1000 esp32_boot.bin");
    assert!(text.contains("Specify the --chip argument"), "{text}");
}

#[test]
fn write_flash_refuses_before_it_writes() {
    let mut desk = Desk::new();
    desk.put("empty.bin", &[]);
    desk.put("huge.bin", &vec![0; 4 * MB as usize + 1]);
    desk.put("block.bin", &[0; 64]);
    for (args, words) in [
        ("0x8000 block.bin 0x9000 missing.bin", "missing.bin: no such file"),
        ("0x8000 block.bin 0x9000 empty.bin", "empty.bin: the file is empty"),
        ("0x8000 block.bin 0x0 huge.bin", "Detected overlap"),
        ("0x0 huge.bin", "will not fit in 4194304 bytes of flash"),
        ("0x8000 block.bin 0x3fffff block.bin", "'block.bin' (length 64) at offset 0x3fffff"),
        ("0x8000 block.bin 0xFFFFFFFF block.bin", "will not fit"),
        ("0x8000 block.bin 0x8800 block.bin", "Detected overlap at address: 0x8800 for file: block.bin."),
        ("0x8000 block.bin --encrypt-files 0x8040 block.bin", "Detected overlap"),
        (
            "--encrypt 0x8010 block.bin",
            "WARNING: 'block.bin' (address 0x8010) is not 32 byte aligned, can't flash encrypted.\nERROR: A fatal",
        ),
        ("0x8000 block.bin --encrypt-files 0x9001 block.bin", "(address 0x9001) is not 32 byte aligned"),
        ("--encrypt 0x8000 block.bin", "Flash encryption key is not programmed.\n"),
        ("--encrypt 0x8000 block.bin --encrypt-files 0x9000 block.bin", "must not be specified at the same time"),
        (
            "0x1000 esp32c3_app.bin",
            "A fatal error occurred: 'esp32c3_app.bin' is not an ESP32 image. Use --force to flash anyway.",
        ),
        ("-z -u 0x8000 block.bin", "cannot be used with"),
        ("0x8000", "Must be pairs"),
        ("", "required"),
        ("../block.bin ../block.bin", "must be a number"),
        ("0 ../block.bin", "stay in its folder"),
        ("-fm octo 0x8000 block.bin", "octo"),
        ("0x8000 block.bin -ff", "--flash-freq"),
    ] {
        let text = desk.refused(&format!("esptool --chip esp32 write-flash {args}"));
        assert!(text.contains(words), "{args}: {text}");
    }
    let text = desk.refused("esptool --chip esp32c3 write-flash --encrypt 0x8008 block.bin");
    assert!(text.contains("not 16 byte aligned"), "{text}");
    desk.ok("esptool --chip esp32 write-flash --force 0x1000 esp32c3_app.bin");
}

#[test]
fn read_flash_gives_raw_bytes() {
    let mut desk = Desk::new();
    desk.ok("esptool write-flash 0x10000 esp32_app.bin");
    let text = desk.ok("esptool read-flash 0x10000 65904 back.bin");
    assert_eq!(text, "Read 65904 bytes from 0x00010000 to 'back.bin'.\n");
    assert_eq!(desk.get("back.bin"), desk.get("esp32_app.bin"));
    desk.ok("esptool.py read_flash 0 ALL all.bin");
    assert_eq!(desk.get("all.bin"), desk.flash().to_bytes());
    desk.ok("esptool read-flash 0x3f0000 ALL tail.bin");
    assert_eq!(desk.get("tail.bin").len(), 0x10000);
    for args in [
        "0x400000 1 x.bin",
        "0x3fffff 2 x.bin",
        "0 0x100000000 x.bin",
        "0xFFFFFFFFFFFFFFFF 1 x.bin",
        "0 many x.bin",
        "zz 1 x.bin",
        "0 1",
    ] {
        desk.refused(&format!("esptool read-flash {args}"));
    }
}

#[test]
fn erases() {
    let mut desk = Desk::new();
    desk.put("zero.bin", &[0; 0x4000]);
    desk.ok("esptool write-flash 0x8000 zero.bin");
    desk.ok("esptool.py erase_region 0x9000 0x2000");
    let blank = [0x8FFF, 0x9000, 0xAFFF, 0xB000].map(|a| desk.chip_bytes(a, 1)[0]);
    assert_eq!(blank, [0, 0xFF, 0xFF, 0]);
    for (args, words) in [
        ("0x9001 0x1000", "multiple of 4096"),
        ("0x9000 0x1001", "multiple of 4096"),
        ("0x3ff000 0x2000", "leave the flash, which ends at 0x400000"),
        ("0x400000 0x1000", "leave the flash"),
        ("0x1000", "required"),
    ] {
        let text = desk.refused(&format!("esptool erase-region {args}"));
        assert!(text.contains(words), "{args}: {text}");
    }
    assert_eq!(desk.ok("esptool erase-flash"), "Flash memory erased successfully.\n");
    assert!(*desk.flash() == Flash::new(4 * MB).expect("a size"));
    desk.ok("esptool write-flash 0x8000 zero.bin");
    desk.ok("esptool write-flash --erase-all 0x20000 zero.bin");
    assert_eq!(desk.chip_bytes(0x8000, 4), [0xFF; 4]);
}

#[test]
fn flash_id_and_version() {
    let mut desk = Desk::new();
    let text = desk.ok("esptool flash-id");
    assert!(text.contains("Manufacturer: ef\nDevice: 4016\nDetected flash size: 4MB\n"), "{text}");
    assert_eq!(desk.ok("esptool version"), "5.6.0\n");
}

#[test]
fn bad_usage_is_refused() {
    let mut desk = Desk::new();
    for (line, words) in [
        ("esptool --chip esp99 erase-flash", "--chip esp99: unknown chip: choose one of esp32,"),
        ("esptool frobnicate", "frobnicate"),
        ("esptool", "Usage"),
        ("esptool erase-flash --now", "--now"),
        ("esptool image-info nothing.bin", "nothing.bin: no such file"),
    ] {
        let text = desk.refused(line);
        assert!(text.contains(words), "{line}: {text}");
    }
    assert_eq!(desk.run("esptool write-flash --help").status, 0);
}

#[test]
fn a_file_can_stand_for_the_chip() {
    let mut desk = Desk::new();
    desk.bench.device = None;
    let no_board = desk.run("esptool erase-flash");
    assert!(no_board.status == 2 && no_board.text.contains("esptool --flash chip.bin"), "{}", no_board.text);
    let absent = desk.run("esptool --flash chip.bin erase-flash");
    assert!(absent.status == 2 && absent.text.contains("--flash-chip-size"), "{}", absent.text);

    let failed = desk.run("esptool --flash chip.bin --flash-chip-size 1MB write-flash 0 missing.bin");
    assert_eq!(failed.status, 2);
    assert!(!desk.bench.exists("chip.bin"), "a command that fails makes no chip");

    desk.ok("esptool --flash chip.bin --flash-chip-size 1MB write-flash 0x1000 esp32_boot.bin");
    let chip = desk.get("chip.bin");
    assert_eq!(chip.len(), MB as usize);
    assert_eq!(chip[0x1000..0x1150], desk.get("esp32_boot.bin")[..]);
    fs::copy(desk.folder.path().join("chip.bin"), desk.folder.path().join("my_chip")).expect("a copy");
    desk.ok("esptool.py --flash my_chip read_flash 0x1000 336 back.bin");
    assert_eq!(desk.get("back.bin"), desk.get("esp32_boot.bin"));
    for args in [
        "--flash chip.bin --flash-chip-size 4MB erase-flash",
        "--flash chip.bin read-flash 0 1 chip.bin",
        "--flash esp32_boot.bin erase-flash",
        "--flash new.bin --flash-chip-size 3MB erase-flash",
        "--flash new.bin --flash-chip-size 8000MB erase-flash",
        "--flash ../new.bin --flash-chip-size 1MB erase-flash",
    ] {
        assert_eq!(desk.run(&format!("esptool {args}")).status, 2, "{args}");
    }
    assert_eq!(desk.get("chip.bin"), chip);
    assert!(!desk.bench.exists("new.bin"));
}

#[test]
fn an_unchanged_chip_file_is_not_written_again() {
    let mut desk = Desk::new();
    desk.ok("esptool --flash chip.bin --flash-chip-size 256KB erase-flash");
    let path = desk.folder.path().join("chip.bin");
    let before = fs::metadata(&path).expect("a file").modified().expect("a time");
    std::thread::sleep(std::time::Duration::from_millis(20));
    desk.ok("esptool --flash chip.bin erase-flash");
    assert_eq!(fs::metadata(&path).expect("a file").modified().expect("a time"), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Damaged images are shown or refused; nothing panics.
    #[test]
    fn image_info_survives_any_damage(cut in 0_usize..=336, changes in proptest::collection::vec((0_usize..336, any::<u8>()), 0..12)) {
        let mut desk = Desk::new();
        let mut image = desk.get("esp32_boot.bin");
        changes.iter().for_each(|(at, value)| image[*at] = *value);
        image.truncate(cut);
        desk.put("x.bin", &image);
        let output = desk.run("esptool image-info x.bin");
        prop_assert!(output.status == 0 || output.status == 2);
        if !image.is_empty() {
            desk.run("esptool --chip esp32 merge-bin -o y.bin -fm qio -fs 16MB 0x1000 x.bin");
        }
    }
}
