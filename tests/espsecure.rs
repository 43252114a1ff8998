//! The espsecure command: files as the vendor's tool writes them, its texts and statuses, and nothing written on error.

use dryburn_sim::tools::{self, Output, Workbench};
use std::{fs, path::PathBuf};
use tempfile::TempDir;

struct Desk {
    folder: TempDir,
    bench: Workbench,
}

impl Desk {
    /// A folder with the vector files `vectors` in it, each under its own name.
    fn with(vectors: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in vectors {
            let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
            fs::copy(&from, folder.path().join(from.file_name().unwrap())).unwrap();
        }
        let bench = Workbench::confined(folder.path(), 7);
        Self { folder, bench }
    }

    fn run(&mut self, line: &str) -> Output {
        tools::run(&mut self.bench, &line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn ok(&mut self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status, 0, "{line}: {}", output.text);
        output.text
    }

    /// Runs a line that must fail with status 2 and write nothing; returns its text.
    fn fails(&mut self, line: &str) -> String {
        let before = self.files();
        let output = self.run(line);
        assert_eq!(output.status, 2, "{line}: {}", output.text);
        assert_eq!(self.files(), before, "{line} wrote a file");
        output.text
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.path().join(name)).unwrap()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(self.folder.path()).unwrap().map(|e| e.unwrap());
        let mut files: Vec<_> =
            entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect();
        files.sort();
        files
    }
}

#[test]
fn esp32_file_is_the_vendors_in_both_spellings() {
    let mut desk = Desk::with(&["keys/k32_00_1f.bin", "fe_esp32/pt64.bin", "fe_esp32/ct64_k32_a0xABCDE0_c0x4.bin"]);
    let expected = desk.read("ct64_k32_a0xABCDE0_c0x4.bin");
    for line in [
        "espsecure encrypt-flash-data -k k32_00_1f.bin -a 0xABCDE0 --flash-crypt-conf 4 -o out.bin pt64.bin",
        "espsecure.py encrypt_flash_data --keyfile k32_00_1f.bin --address 11259360 --flash_crypt_conf 0x4 --output out.bin pt64.bin",
    ] {
        assert_eq!(desk.ok(line), "Using 256-bit key.\n");
        assert_eq!(desk.read("out.bin"), expected, "{line}");
    }
    desk.ok("espsecure decrypt-flash-data -k k32_00_1f.bin -a 0xABCDE0 --flash-crypt-conf 4 -o plain.bin out.bin");
    assert_eq!(desk.read("plain.bin"), desk.read("pt64.bin"));
}

#[test]
fn configuration_defaults_to_0xf_and_zero_is_warned_of() {
    let mut desk = Desk::with(&[
        "keys/k32_00_1f.bin",
        "fe_esp32/pt64.bin",
        "fe_esp32/ct64_k32_a0xABCDE0_c0x0.bin",
        "fe_esp32/ct64_k32_a0xABCDE0_c0xF.bin",
    ]);
    let encrypt = "espsecure encrypt-flash-data -k k32_00_1f.bin -a 0xABCDE0 -o out.bin pt64.bin";
    assert_eq!(desk.ok(encrypt), "Using 256-bit key.\n");
    assert_eq!(desk.read("out.bin"), desk.read("ct64_k32_a0xABCDE0_c0xF.bin"));
    assert_eq!(
        desk.ok(&format!("{encrypt} --flash-crypt-conf 0")),
        "Using 256-bit key.\nWARNING: Setting FLASH_CRYPT_CONF to zero is not recommended.\n"
    );
    assert_eq!(desk.read("out.bin"), desk.read("ct64_k32_a0xABCDE0_c0x0.bin"));
    // Only the low four bits count, and only a plain zero is warned of.
    assert_eq!(desk.ok(&format!("{encrypt} --flash-crypt-conf 0x10")), "Using 256-bit key.\n");
    assert_eq!(desk.read("out.bin"), desk.read("ct64_k32_a0xABCDE0_c0x0.bin"));
}

#[test]
fn every_key_length_gives_the_vendors_file() {
    for (key, text, option, plain, expected) in [
        (
            "keys/k24_00_17.bin",
            "Using 192-bit key (extended).\n",
            "",
            "fe_esp32/pt64.bin",
            "fe_esp32/ct64_k24_a0x10000_c0xF.bin",
        ),
        (
            "keys/k16_00_0f.bin",
            "Using 128-bit key (extended).\n",
            "-x",
            "fe_xts/pt256.bin",
            "fe_xts/ct256_xtsderived_a0x10000.bin",
        ),
        ("keys/k32_00_1f.bin", "Using 256-bit key.\n", "-x", "fe_xts/pt256.bin", "fe_xts/ct256_xts128_a0x10000.bin"),
        (
            "keys/k64_00_3f.bin",
            "Using 512-bit key.\n",
            "--aes_xts",
            "fe_xts/pt256.bin",
            "fe_xts/ct256_xts256_a0x10000.bin",
        ),
    ] {
        let mut desk = Desk::with(&[key, plain, expected]);
        let name = |path: &str| path.split_once('/').unwrap().1.to_owned();
        let [key, plain, expected] = [key, plain, expected].map(name);
        assert_eq!(
            desk.ok(&format!("espsecure encrypt-flash-data {option} -k {key} -a 0x10000 -o out.bin {plain}")),
            text
        );
        assert_eq!(desk.read("out.bin"), desk.read(&expected), "{expected}");
        assert_eq!(
            desk.ok(&format!("espsecure decrypt-flash-data {option} -k {key} -a 0x10000 -o back.bin out.bin")),
            text
        );
        assert_eq!(desk.read("back.bin"), desk.read(&plain), "{expected}");
    }
}

#[test]
fn esp32_data_is_padded_with_random_bytes() {
    let mut desk = Desk::with(&["keys/k32_00_1f.bin"]);
    desk.write("odd.bin", &[0x11; 20]);
    let encrypt = "espsecure encrypt-flash-data -k k32_00_1f.bin -a 0x10000 -o out.bin odd.bin";
    let note = "Note: Padding with 12 bytes of random data (encrypted data must be multiple of 16 bytes long).\n";
    let mut padded = vec![];
    for _ in 0..2 {
        assert_eq!(desk.ok(encrypt), format!("Using 256-bit key.\n{note}"));
        desk.ok("espsecure decrypt-flash-data -k k32_00_1f.bin -a 0x10000 -o back.bin out.bin");
        padded.push(desk.read("back.bin"));
        assert_eq!((padded.last().unwrap().len(), &padded.last().unwrap()[..20]), (32, &[0x11; 20][..]));
    }
    assert_ne!(padded[0][20..], padded[1][20..], "padding is random");
    // An empty ESP32 file stays empty, as with the tool.
    desk.write("odd.bin", &[]);
    assert_eq!(desk.ok(encrypt), "Using 256-bit key.\n");
    assert_eq!(desk.read("out.bin"), Vec::<u8>::new());
}

#[test]
fn what_the_vendor_refuses_is_refused_in_its_words() {
    let mut desk = Desk::with(&[
        "keys/k16_00_0f.bin",
        "keys/k24_00_17.bin",
        "keys/k32_00_1f.bin",
        "keys/k64_00_3f.bin",
        "fe_esp32/pt64.bin",
    ]);
    desk.write("p20.bin", &[1; 20]);
    desk.write("none.bin", &[]);
    let fatal = "A fatal error occurred: ";
    for (line, text) in [
        (
            "encrypt-flash-data -k k32_00_1f.bin -a 0x10008 -o o pt64.bin",
            format!("Using 256-bit key.\n{fatal}Starting flash address 0x10008 must be a multiple of 16.\n"),
        ),
        (
            "decrypt-flash-data -x -k k32_00_1f.bin -a 0x8 -o o p20.bin",
            format!("Using 256-bit key.\n{fatal}Starting flash address 0x8 must be a multiple of 16.\n"),
        ),
        (
            "encrypt-flash-data -k k64_00_3f.bin -a 0x10000 -o o pt64.bin",
            format!(
                "{fatal}ESP32 supports only 192 and 256-bit keys. Provided key is 512 bits. Use --aes_xts for other chips.\n"
            ),
        ),
        (
            "encrypt-flash-data -x -k p20.bin -a 0x10000 -o o pt64.bin",
            format!("{fatal}Key file contains wrong length (20 bytes), 16, 24, 32 or 64 expected.\n"),
        ),
        (
            "encrypt-flash-data -k k16_00_0f.bin -a 0x10000 -o o pt64.bin",
            format!(
                "{fatal}ESP32 supports only 192 and 256-bit keys. Provided key is 128 bits. Use --aes_xts for other chips.\n"
            ),
        ),
        (
            "encrypt-flash-data -x -k k24_00_17.bin -a 0x8 -o o pt64.bin",
            format!("{fatal}AES_XTS supports only 128, 256, and 512-bit keys. Provided key is 192 bits.\n"),
        ),
        (
            "encrypt-flash-data -x -k k64_00_3f.bin -a 0 -o o p20.bin",
            format!("Using 512-bit key.\n{fatal}Input data length (20) must be a multiple of 16.\n"),
        ),
        (
            "decrypt-flash-data -x -k k64_00_3f.bin -a 0 -o o none.bin",
            format!("Using 512-bit key.\n{fatal}Input data must be longer than 0.\n"),
        ),
        (
            "decrypt-flash-data -k k32_00_1f.bin -a 0 --flash-crypt-conf 0 -o o p20.bin",
            format!(
                "Using 256-bit key.\nWARNING: Setting FLASH_CRYPT_CONF to zero is not recommended.\n{fatal}Data length is not a multiple of 16 bytes.\n"
            ),
        ),
        (
            "encrypt-flash-data -k k32_00_1f.bin -a 0 -o pt64.bin pt64.bin",
            format!("{fatal}The input \"pt64.bin\" and output \"pt64.bin\" should not be the same!\n"),
        ),
    ] {
        assert_eq!(desk.fails(&format!("espsecure {line}")), text, "{line}");
    }
}

#[test]
fn what_it_refuses_beyond_the_vendor() {
    let mut desk = Desk::with(&["keys/k32_00_1f.bin", "fe_esp32/pt64.bin"]);
    for (line, part) in [
        (
            "encrypt-flash-data -k k32_00_1f.bin -a 0xFFFFD0 -o o pt64.bin",
            "pt64.bin: 64 bytes at 0xffffd0 reach beyond 0x1000000",
        ),
        (
            "encrypt-flash-data -x -k k32_00_1f.bin -a 0xFFFFFFD0 -o o pt64.bin",
            "64 bytes at 0xffffffd0 reach beyond 0x100000000",
        ),
        ("encrypt-flash-data -x -k k32_00_1f.bin -a 0xFFFFFFFFFFFFFFF0 -o o pt64.bin", "reach beyond 0x100000000"),
        ("encrypt-flash-data -k nokey.bin -a 0 -o o pt64.bin", "nokey.bin: no such file"),
        ("encrypt-flash-data -k k32_00_1f.bin -a 0 -o o ../pt64.bin", "../pt64.bin"),
        ("encrypt-flash-data -k k32_00_1f.bin -a zz -o o pt64.bin", "'zz' is not a number"),
        ("encrypt-flash-data -k k32_00_1f.bin -a 0 pt64.bin", "--output"),
        ("encrypt-flash-data -k k32_00_1f.bin --keyfile2 x -a 0 -o o pt64.bin", "--keyfile2 is not modelled"),
        ("generate-flash-encryption-key -l 100 new.bin", "100 bits"),
        ("generate-flash-encryption-key k32_00_1f.bin", "k32_00_1f.bin exists"),
        ("digest_sdc_public_key -k k.pem x", "espsecure digest-sdc-public-key: not modelled yet"),
        ("nosuch", "no such command 'nosuch'"),
        ("", "Usage"),
    ] {
        let text = desk.fails(&format!("espsecure {line}"));
        assert!(text.contains(part), "{line}: {text}");
    }
    // The last whole pieces of each space are fine.
    desk.ok("espsecure encrypt-flash-data -k k32_00_1f.bin -a 0xFFFFC0 -o o pt64.bin");
    desk.ok("espsecure encrypt-flash-data -x -k k32_00_1f.bin -a 0xFFFFFFC0 -o o pt64.bin");
}

#[test]
fn keys_come_from_the_seed_and_are_all_different() {
    let mut desk = Desk::with(&[]);
    for (option, bits) in [("", 256), ("-l 128", 128), ("-l 192", 192), ("--keylen 256", 256), ("--keylen=512", 512)] {
        let file = format!("key{}.bin", desk.files().len());
        let text = desk.ok(&format!("espsecure.py generate_flash_encryption_key {option} {file}"));
        assert_eq!(text, format!("Writing {bits} random bits to key file \"{file}\".\n"));
        assert_eq!(desk.read(&file).len(), bits / 8);
        let key = hex::encode(desk.read(&file));
        assert!(desk.files().iter().filter(|(_, bytes)| hex::encode(&bytes[..16]) == key[..32]).count() == 1);
    }
    let mut again = Desk::with(&[]);
    again.ok("espsecure generate-flash-encryption-key flash_key");
    assert_eq!(again.read("flash_key"), desk.read("key0.bin"), "same seed, same key");
    // A file name with underscores only is a name, not a command.
    again.write("data_1", &[0; 16]);
    again.ok("espsecure encrypt-flash-data -k flash_key -a 0 -o out_1 data_1");
}
