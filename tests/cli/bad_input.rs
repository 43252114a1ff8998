//! (A test of the `dryburn-sim` package, declared in its `Cargo.toml`: only there cargo says where the binary lies.)
//!
//! Bad input to every command, as a shell user gives it: a clear error that names the file, exit status 2, nothing written,
//! no waiting.

use dryburn::{
    Chip,
    envelope::{ContentKey, EciesKey, Recipient, cbc, seal},
    image::Builder,
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Longest that bad input may take. A debug binary on a busy machine starts in a fraction of it.
const PATIENCE: Duration = Duration::from_secs(2);

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

/// Everything that the cases below name, in a new folder.
fn desk(folder: &Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).expect(name);
    write("empty", b"");
    fs::create_dir(folder.join("folder")).expect("a folder");
    // 1 GB that takes no room on disk
    let sparse = fs::File::create(folder.join("sparse")).expect("a file");
    sparse.set_len(1 << 30).expect("a sparse file");
    let sparse = fs::File::create(folder.join("sparse.md")).expect("a file");
    sparse.set_len(1 << 30).expect("a sparse file");
    write("flash.bin", &vec![0xFF; 0x10_0000]);
    let app = Builder::app(Chip::Esp32).size(8192).build();
    write("app.bin", &app);
    write("half.bin", &app[..5000]);
    write("ten.bin", &app[..10]);
    write("odd.bin", &[0xA5; 1000]);
    write("key.bin", &[0x5A; 32]);
    let envelope = seal(&app, &Recipient::ecies(&EciesKey::from_hmac_key(&[0x5A; 32]).expect("a key")), &mut rng());
    write("app.enc", &envelope.expect("sealed"));
    write("cbc.enc", &cbc::seal(&app, &ContentKey::new([0x5A; 32]), [7; 16]).expect("sealed"));
    write("binary.sdkconfig", b"CONFIG_A=y\n\xFF\xFE\n");
    write("prose.sdkconfig", b"CONFIG_A=y\nthis is prose\n");
    write("bad.csv", b"nvs, data, nvs, 0x9000, 0x4000\nno comma here\n");
    write("overlap.csv", b"a, app, factory, 0x10000, 1M\nb, app, ota_0, 0x20000, 1M\n");
    write("latin.csv", b"n\xE9, data, nvs, 0x9000, 0x4000\n");
    write("key.md", b"# t\n\n```device\nchip = \"esp32\"\nbogus = 1\n```\n\n```console\n$ dryburn chips\n...\n```\n");
    write("chip.md", b"# t\n\n```device\nchip = \"esp99\"\n```\n\n```console\n$ dryburn chips\n...\n```\n");
    write("open.md", b"# t\n\n```device\nchip = \"esp32\"\n```\n\n```console\n$ dryburn chips\n");
    write("latin.md", b"# caf\xE9\n");
    fs::create_dir(folder.join("none")).expect("a folder");
}

/// Names, kinds, sizes and contents of all files; of the sparse ones only the size.
fn listing(folder: &Path) -> BTreeMap<String, (u64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder") {
        let entry = entry.expect("an entry");
        let (name, meta) = (entry.file_name().to_string_lossy().into_owned(), entry.metadata().expect("metadata"));
        if meta.is_dir() {
            let inside = listing(&entry.path()).into_keys().map(|inner| (format!("{name}/{inner}"), (0, Vec::new())));
            found.extend(inside);
        }
        let read = meta.is_file() && meta.len() < 1 << 24;
        let content = if read { fs::read(entry.path()).expect("a file") } else { Vec::new() };
        found.insert(name, (meta.len(), content));
    }
    found
}

/// Runs each command and holds it against the text that its error must have.
fn all_refused(cases: &[(&str, &str)]) {
    let folder = tempfile::tempdir().expect("a folder");
    desk(folder.path());
    let before = listing(folder.path());
    let mut wrong = Vec::new();
    for (command, says) in cases {
        let start = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_dryburn"))
            .args(command.split(' '))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs");
        let time = start.elapsed();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let mut fail = |what: String| wrong.push(format!("$ dryburn {command}\n{text}-- {what}\n"));
        if output.status.code() != Some(2) {
            fail(format!("exit status {:?}, expected 2", output.status.code()));
        }
        if !text.contains(says) {
            fail(format!("says nothing of '{says}'"));
        }
        if text.contains("panicked") {
            fail("panicked".into());
        }
        if time > PATIENCE {
            fail(format!("took {time:?}"));
        }
        let after = listing(folder.path());
        if after != before {
            let changed: Vec<_> = after.iter().filter(|(name, file)| before.get(*name) != Some(*file)).collect();
            let names: Vec<_> = changed.iter().map(|(name, _)| name.as_str()).collect();
            fail(format!("written or gone: {names:?}"));
            break;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn boot() {
    all_refused(&[
        ("boot", "--chip <CHIP>"),
        ("boot --bogus", "unexpected argument '--bogus'"),
        ("boot --chip esp32", "--flash <FILE>"),
        ("boot --chip esp99 --flash flash.bin", "'esp99' for '--chip <CHIP>': unknown chip: choose one of esp32, "),
        ("boot --chip esp32 --flash missing", "missing: no such file"),
        ("boot --chip esp32 --flash empty", "empty: no flash chip has 0 bytes"),
        (
            "boot --chip esp32 --flash half.bin",
            "half.bin: no flash chip has 5000 bytes (0x1388): sizes are powers of two",
        ),
        ("boot --chip esp32 --flash folder", "folder: not a regular file"),
        ("boot --chip esp32 --flash sparse", "sparse: 1073741824 bytes; files above 134217728 bytes are not read"),
        ("boot --chip esp32 --flash flash.bin --efuses missing", "missing: no such file"),
        ("boot --chip esp32 --flash flash.bin --efuses empty", "empty: the file is empty"),
        (
            "boot --chip esp32 --flash flash.bin --efuses odd.bin",
            "odd.bin: not an eFuse file: found 1000 bytes; known are 124",
        ),
        ("boot --chip esp32 --flash flash.bin --efuses folder", "folder: not a regular file"),
        ("boot --chip esp32 --flash flash.bin --efuses sparse", "sparse: 1073741824 bytes"),
        ("boot --chip esp32 --flash flash.bin --sdkconfig missing", "missing: no such file"),
        ("boot --chip esp32 --flash flash.bin --sdkconfig folder", "folder: not a regular file"),
        (
            "boot --chip esp32 --flash flash.bin --sdkconfig binary.sdkconfig",
            "binary.sdkconfig: not UTF-8 text (byte 255 at offset 0xb)",
        ),
        (
            "boot --chip esp32 --flash flash.bin --sdkconfig prose.sdkconfig",
            "prose.sdkconfig: line 2: 'this is prose' is not an option: write KEY=VALUE",
        ),
        ("boot --chip esp32 --flash flash.bin --config prose", "--config: 'prose' is not an option: write KEY=VALUE"),
        ("boot --chip esp32 --flash flash.bin --idf five", "not an ESP-IDF version: write it like 5.4"),
        ("boot --chip esp32 --flash flash.bin --strap up", "'up' is not a number: write 0x1000 or 4096"),
        ("boot --chip esp32 --flash flash.bin --strap 0x100000000", "does not fit 32 bits"),
        ("boot --chip esp32 --flash flash.bin --resets 0", "0 is not in 1..=1000"),
        ("boot --chip esp32 --flash flash.bin --revision v9.9", "esp32 has no eFuse pattern for revision v9.9"),
        ("boot --chip esp32 --flash flash.bin --flash-out folder", "folder: cannot be written: is a folder"),
        ("boot --chip esp32 --flash flash.bin --flash-out no/out.bin", "no/out.bin: cannot be written: no such folder"),
        (
            "boot --chip esp32 --flash flash.bin --flash-out out.bin --efuses-out folder",
            "folder: cannot be written: is a folder",
        ),
    ]);
}

#[test]
fn image() {
    all_refused(&[
        ("image", "Usage: dryburn image"),
        ("image bogus", "unrecognized subcommand 'bogus'"),
        ("image new out.bin", "--chip: say which chip"),
        ("image new out.bin --chip esp99", "unknown chip: choose one of"),
        ("image new out.bin --chip esp32 --size 10", "--size 10: choose 1024 bytes to 16MB"),
        ("image new out.bin --chip esp32 --size 1T", "'1T' is not a size: write 0x10000, 200K or 4MB"),
        ("image new out.bin --chip esp32 --size 99999999999999999999", "is not a size"),
        ("image new no/out.bin --chip esp32", "no/out.bin: cannot be written"),
        ("image new folder --chip esp32", "folder: cannot be written: is a folder"),
        ("image info missing", "missing: no such file"),
        ("image info empty", "empty: 0 bytes; an image has at least a header of 24 bytes"),
        ("image info ten.bin", "ten.bin: 10 bytes; an image has at least a header of 24 bytes"),
        ("image info odd.bin", "odd.bin: chip id 0xa5a5 at offset 0xc is no chip's; say --chip"),
        ("image info folder", "folder: not a regular file"),
        ("image info sparse", "sparse: 1073741824 bytes"),
        ("image info app.bin --address 0x100000000", "--address: flash addresses have 32 bits"),
        ("image damage missing magic", "missing: no such file"),
        ("image damage empty magic", "empty: 0 bytes; an image has at least a header of 24 bytes"),
        ("image damage ten.bin hash", "ten.bin: 10 bytes; an image has at least a header of 24 bytes"),
        ("image damage folder magic", "folder: not a regular file"),
        ("image damage sparse magic", "sparse: 1073741824 bytes"),
        ("image damage app.bin bogus", "invalid value 'bogus' for '<WHAT>'"),
        ("image damage app.bin chip-id", "chip-id: say which value shall stand there"),
        ("image damage app.bin chip-id 0x12345", "chip-id 0x12345 does not fit: at most 0xffff"),
        ("image damage app.bin chip-id 0", "app.bin: nothing changed"),
        ("image damage app.bin truncate 9999999", "does not fit: at most 0x2000"),
    ]);
}

#[test]
fn run() {
    all_refused(&[
        ("run", "<PATHS>..."),
        ("run --bogus key.md", "unexpected argument '--bogus'"),
        ("run missing.md", "missing.md: no such file or folder"),
        ("run empty", "no device block"),
        ("run none", "none: no scenarios in this folder: expected files that end in .md"),
        ("run sparse.md", "the document has 1073741824 bytes, expected at most 1048576"),
        ("run latin.md", "not UTF-8 text: byte 0xe9 at offset 0x5"),
        ("run key.md", "--> key.md:5:1"),
        ("run key.md", "unknown key `bogus` in the device block"),
        ("run chip.md", "--> chip.md:4:8"),
        ("run chip.md", "'esp99': unknown chip"),
        ("run open.md", "--> open.md:7:1"),
        ("run open.md", "this block never ends"),
        ("run --bless key.md", "--> key.md:5:1"),
    ]);
}

#[test]
fn esptool() {
    all_refused(&[
        ("esptool --bogus", "unexpected argument '--bogus'"),
        ("esptool bogus", "unrecognized subcommand 'bogus'"),
        ("esptool write-flash 0 app.bin", "no board: name the file that stands for the flash chip"),
        ("esptool --chip esp99 --flash flash.bin write-flash 0 app.bin", "--chip esp99: unknown chip"),
        ("esptool --flash missing write-flash 0 app.bin", "missing: no such file; add --flash-chip-size 4MB"),
        ("esptool --flash half.bin write-flash 0 app.bin", "half.bin: no flash chip has 5000 bytes"),
        ("esptool --flash folder write-flash 0 app.bin", "folder: not a regular file"),
        ("esptool --flash sparse write-flash 0 app.bin", "sparse: 1073741824 bytes"),
        ("esptool --flash flash.bin write-flash 0x10000 missing", "missing: no such file"),
        ("esptool --flash flash.bin write-flash 0x10000 empty", "empty: the file is empty"),
        ("esptool --flash flash.bin write-flash 0x10000 folder", "folder: not a regular file"),
        ("esptool --flash flash.bin write-flash 0x10000 sparse", "sparse: 1073741824 bytes"),
        (
            "esptool --flash flash.bin write-flash 0xFF000 app.bin",
            "'app.bin' (length 8192) at offset 0xff000 ends at 0x101000",
        ),
        ("esptool --flash flash.bin write-flash up app.bin", "Address \"up\" must be a number"),
        (
            "esptool --flash flash.bin write-flash 0x10000 app.bin 0x11000 app.bin",
            "overlap at address: 0x11000 for file: app.bin",
        ),
        (
            "esptool --chip esp32 --flash flash.bin write-flash --encrypt 0x10001 app.bin",
            "'app.bin' (address 0x10001) is not 32 byte aligned",
        ),
        (
            "esptool --chip esp32 --flash flash.bin --efuses odd.bin write-flash 0x10000 app.bin",
            "odd.bin: not an eFuse file",
        ),
        ("esptool --flash flash.bin erase-region 0x1001 0x1000", "multiple of 4096, but is 0x1001"),
        ("esptool --flash flash.bin erase-region 0x100000 0x1000", "leave the flash, which ends at 0x100000"),
        ("esptool --flash flash.bin read-flash 0xFF000 0x2000 out.bin", "leave the flash, which ends at 0x100000"),
        ("esptool --flash flash.bin read-flash 0 0x1000 flash.bin", "flash.bin: the chip itself"),
        ("esptool --flash flash.bin read-flash 0 0x1000 no/out.bin", "no/out.bin: cannot be written"),
        ("esptool image-info missing", "missing: no such file"),
        ("esptool image-info empty", "'empty'"),
        ("esptool image-info sparse", "sparse: 1073741824 bytes"),
        (
            "esptool --chip esp32 merge-bin -o out.bin 0 app.bin 0x1000 app.bin",
            "overlap at address: 0x1000 for file: app.bin",
        ),
        ("esptool --chip esp32 merge-bin -o out.bin 0 missing", "missing: no such file"),
    ]);
}

#[test]
fn espsecure() {
    let encrypt = "espsecure encrypt-flash-data --address 0x10000 --output out.bin";
    let cases: Vec<(String, &str)> = [
        ("--keyfile key.bin missing", "missing: no such file"),
        ("--keyfile key.bin folder", "folder: not a regular file"),
        ("--keyfile key.bin sparse", "sparse: 1073741824 bytes"),
        ("--keyfile missing app.bin", "missing: no such file"),
        ("--keyfile empty app.bin", "Key file contains wrong length (0 bytes), 16, 24, 32 or 64 expected"),
        ("--keyfile ten.bin app.bin", "Key file contains wrong length (10 bytes), 16, 24, 32 or 64 expected"),
        ("--keyfile sparse app.bin", "sparse: 1073741824 bytes"),
        ("--keyfile key.bin --bogus app.bin", "unexpected argument '--bogus'"),
    ]
    .map(|(words, says)| (format!("{encrypt} {words}"), says))
    .into();
    let cases: Vec<_> = cases.iter().map(|(command, says)| (command.as_str(), *says)).collect();
    all_refused(&cases);
    all_refused(&[
        ("espsecure bogus", "no such command 'bogus'"),
        ("espsecure generate-flash-encryption-key key.bin", "key.bin exists"),
        ("espsecure generate-flash-encryption-key -l 100 new.bin", "No chip has a flash encryption key of 100 bits"),
        (
            "espsecure encrypt-flash-data --keyfile key.bin --address 0x10001 --output out.bin app.bin",
            "0x10001 must be a multiple of 16",
        ),
        ("espsecure encrypt-flash-data --keyfile key.bin --address 0x1000000 --output out.bin app.bin", "0x1000000"),
        (
            "espsecure encrypt-flash-data --keyfile key.bin --address 0x10000 --output folder app.bin",
            "folder: cannot be written: is a folder",
        ),
        ("espsecure decrypt-flash-data --keyfile key.bin --address 0x10000 --output out.bin odd.bin", "multiple of 16"),
    ]);
}

#[test]
fn espefuse() {
    let virt = "espefuse --chip esp32 --virt --path-efuse-file";
    let cases: Vec<(String, &str)> = [
        ("odd.bin summary", "odd.bin: not an eFuse file: found 1000 bytes; known are 124"),
        ("folder summary", "folder: not a regular file"),
        ("sparse summary", "sparse: 1073741824 bytes"),
        ("no/virt.bin burn-efuse FLASH_CRYPT_CNT 1", "no/virt.bin: cannot be written"),
        ("virt.bin burn-efuse BOGUS 1", "Invalid eFuse name 'BOGUS'"),
        ("virt.bin burn-key flash_encryption missing", "missing: no such file"),
        ("virt.bin burn-key flash_encryption folder", "folder: not a regular file"),
        ("virt.bin burn-key flash_encryption sparse", "sparse: 1073741824 bytes"),
        ("virt.bin burn-key flash_encryption ten.bin", "A fatal error occurred: "),
        ("virt.bin bogus", "bogus"),
    ]
    .map(|(words, says)| (format!("{virt} {words}"), says))
    .into();
    let cases: Vec<_> = cases.iter().map(|(command, says)| (command.as_str(), *says)).collect();
    all_refused(&cases);
    all_refused(&[
        ("espefuse --bogus", "--bogus"),
        ("espefuse --chip esp32 summary", "there is no board; add --virt --path-efuse-file FILE"),
        ("espefuse --chip esp99 --virt --path-efuse-file virt.bin summary", "unknown chip: choose one of"),
    ]);
}

#[test]
fn gen_esp32part() {
    all_refused(&[
        ("gen_esp32part", "<INPUT>"),
        ("gen_esp32part --bogus bad.csv", "unexpected argument '--bogus'"),
        ("gen_esp32part missing out.bin", "missing: no such file"),
        ("gen_esp32part folder out.bin", "folder: not a regular file"),
        ("gen_esp32part sparse out.bin", "sparse: 1073741824 bytes"),
        ("gen_esp32part latin.csv out.bin", "latin.csv: not UTF-8 text: byte 0xe9 at offset 0x1"),
        ("gen_esp32part bad.csv out.bin", "--> bad.csv:2:1"),
        ("gen_esp32part overlap.csv out.bin", "--> overlap.csv:2:16"),
        (
            "gen_esp32part overlap.csv out.bin",
            "Partitions overlap. Partition sets offset 0x20000. Previous partition ends 0x110000",
        ),
        ("gen_esp32part --flash-size 3MB bad.csv out.bin", "3MB"),
    ]);
}

#[test]
fn envelope() {
    all_refused(&[
        ("envelope", "Usage: dryburn envelope"),
        ("envelope seal app.bin out.bin", "<--key <FILE>|--hmac-key <FILE>|--cbc-key <FILE>>"),
        ("envelope seal --key key.bin --cbc-key key.bin app.bin out.bin", "cannot be used with"),
        ("envelope seal --key missing app.bin out.bin", "missing: no such file"),
        ("envelope seal --key key.bin app.bin out.bin", "key.bin: no PEM text"),
        ("envelope seal --key empty app.bin out.bin", "empty: no PEM text"),
        ("envelope seal --hmac-key ten.bin app.bin out.bin", "ten.bin: found 10 bytes, expected a key of 32"),
        ("envelope seal --cbc-key empty app.bin out.bin", "empty: found 0 bytes, expected a key of 32"),
        ("envelope seal --cbc-key key.bin missing out.bin", "missing: no such file"),
        ("envelope seal --cbc-key key.bin sparse out.bin", "sparse: 1073741824 bytes"),
        ("envelope seal --cbc-key key.bin app.bin app.bin", "app.bin would be overwritten"),
        ("envelope seal --cbc-key key.bin app.bin key.bin", "key.bin would be overwritten"),
        ("envelope seal --cbc-key key.bin app.bin folder", "folder: cannot be written"),
        ("envelope seal --cbc-key key.bin app.enc out.bin", "app.enc: is an envelope already"),
        ("envelope seal --cbc-key key.bin cbc.enc out.bin", "cbc.enc: is an envelope already"),
        ("envelope open --hmac-key key.bin --unproven app.enc out.bin", "cannot be used with"),
        ("envelope open --hmac-key key.bin app.enc app.enc", "app.enc would be overwritten"),
        ("envelope open --hmac-key missing app.enc out.bin", "missing: no such file"),
        ("envelope open --key key.bin app.enc out.bin", "key.bin: no PEM text"),
        ("envelope inspect missing", "missing: no such file"),
        ("envelope inspect ten.bin", "ten.bin: 10 bytes; an envelope has at least a header of 512"),
        ("envelope inspect app.bin", "offset 0 holds e9 03 02 20, expected cf b6 88 07; it begins like a plain image"),
        ("envelope damage app.bin tag", "app.bin: 8192 bytes that do not begin like esp_encrypted_img"),
        ("envelope damage app.enc truncate", "say how many bytes"),
        ("envelope damage app.enc truncate 0", "0 does not fit: 1 to 8703 bytes"),
        ("envelope damage app.enc append 99999999", "99999999 does not fit"),
        ("enc-img bogus", "bogus"),
        ("enc-img --bogus", "--bogus"),
        ("enc-img encrypt app.bin", "<KEY_FILE>"),
    ]);
}

#[test]
fn the_command_itself() {
    all_refused(&[
        ("bogus", "unrecognized subcommand 'bogus'"),
        ("--bogus", "unexpected argument '--bogus'"),
        ("chips --bogus", "unexpected argument '--bogus'"),
    ]);
}

/// The net is not so wide that everything falls through: a good command succeeds, and is seen to write.
#[test]
fn good_input_is_not_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    desk(folder.path());
    let before = listing(folder.path());
    for command in [
        "chips",
        "image info app.bin",
        "image new out.bin --chip esp32c3 --size 4K",
        "envelope inspect app.enc",
        "envelope open --hmac-key key.bin app.enc opened.bin",
    ] {
        let words = command.split(' ');
        let output = Command::new(env!("CARGO_BIN_EXE_dryburn")).args(words).current_dir(folder.path()).output();
        let output = output.expect("the binary runs");
        assert_eq!(output.status.code(), Some(0), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let after = listing(folder.path());
    assert_eq!(after.len(), before.len() + 2);
    assert_eq!(after["out.bin"].0, 4096);
    assert_eq!(after["opened.bin"], before["app.bin"]);
}
