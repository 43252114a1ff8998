//! The enc-img command: texts, statuses and files of the vendor's `esp_enc_img_gen.py`, and nothing written on error.
//!
//! The expected texts were recorded from the tool (esp_encrypted_img 2.7.1).

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

    /// Runs a line that must fail with `status` and write nothing; returns its text.
    fn fails(&mut self, line: &str, status: u8) -> String {
        let before = self.files();
        let output = self.run(line);
        assert_eq!(output.status, status, "{line}: {}", output.text);
        assert_eq!(self.files(), before, "{line} wrote a file");
        output.text
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.path().join(name)).unwrap()
    }

    /// A copy of a file with one byte changed.
    fn changed(&self, from: &str, to: &str, offset: usize) {
        let mut bytes = self.read(from);
        bytes[offset] ^= 1;
        fs::write(self.folder.path().join(to), bytes).unwrap();
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(self.folder.path()).unwrap().map(|e| e.unwrap());
        let mut files: Vec<_> =
            entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect();
        files.sort();
        files
    }
}

const VECTORS: &[&str] = &[
    "encimg/plain_1000.bin",
    "encimg/enc_rsa.bin",
    "encimg/enc_ecc.bin",
    "encimg/device_pub_key.pem",
    "encimg/device_priv_key.pem",
    "encimg/device_hmac_key.bin",
    "keys/rsa3072_a.pem",
    "keys/rsa3072_b.pem",
    "keys/p256.pem",
    "sbv2/pub_rsa3072_a.pem",
    "sbv2/pub_p384.pem",
];

#[test]
fn the_vendors_files_are_decrypted_with_its_texts_in_every_spelling() {
    let mut desk = Desk::with(VECTORS);
    let plain = desk.read("plain_1000.bin");
    for tool in ["esp_enc_img_gen.py", "esp_enc_img_gen", "enc-img", "enc_img"] {
        assert_eq!(
            desk.ok(&format!("{tool} decrypt enc_rsa.bin rsa3072_a.pem out.bin")),
            "Decrypting image ...\nMagic verified successfully\nBinary size: 1000\nDone\n"
        );
        assert_eq!(desk.read("out.bin"), plain);
    }
    assert_eq!(
        desk.ok("enc-img decrypt enc_ecc.bin device_priv_key.pem out2.bin"),
        "Decrypting image ...\nECDH key exchange completed successfully\nMagic verified successfully\nBinary size: 1000\nDone\n"
    );
    assert_eq!(desk.read("out2.bin"), plain);
}

#[test]
fn what_it_encrypts_it_decrypts_and_its_texts_are_the_vendors() {
    let mut desk = Desk::with(VECTORS);
    let plain = desk.read("plain_1000.bin");
    for (key, back, text) in [
        ("pub_rsa3072_a.pem", "rsa3072_a.pem", ""),
        ("rsa3072_a.pem", "rsa3072_a.pem", ""),
        (
            "device_pub_key.pem",
            "device_priv_key.pem",
            "Server ECC-256 keypair generated successfully\nECDH key exchange completed successfully\n",
        ),
    ] {
        let said = desk.ok(&format!("enc-img encrypt plain_1000.bin {key} out.enc"));
        assert_eq!(said, format!("Encrypting image ...\n{text}Done\n"));
        assert_eq!(desk.read("out.enc").len(), 1512);
        desk.ok(&format!("enc-img decrypt out.enc {back} out.bin"));
        assert_eq!(desk.read("out.bin"), plain);
    }
}

#[test]
fn new_keys_have_the_vendors_names_and_kinds_and_replace_none() {
    let mut desk = Desk::with(&["encimg/plain_1000.bin"]);
    let done = "Key generation completed successfully\n";
    assert_eq!(
        desk.ok("esp_enc_img_gen.py --generate_ecc_key"),
        format!("ECC-256 key generated successfully\nServer ECC-256 keypair generated successfully\n{done}")
    );
    assert_eq!(desk.read("device_hmac_key.bin").len(), 32);
    assert!(desk.read("device_pub_key.pem").starts_with(b"-----BEGIN PUBLIC KEY-----\n"));
    assert_eq!(
        desk.ok("enc-img --generate-rsa-key"),
        format!("Server RSA-3072 keypair generated successfully\n{done}")
    );
    assert!(desk.read("rsa_priv_key.pem").starts_with(b"-----BEGIN RSA PRIVATE KEY-----\n"));
    assert!(desk.read("rsa_pub_key.pem").starts_with(b"-----BEGIN PUBLIC KEY-----\n"));
    desk.ok("enc-img encrypt plain_1000.bin rsa_pub_key.pem out.enc");
    desk.ok("enc-img decrypt out.enc rsa_priv_key.pem out.bin");
    assert_eq!(desk.read("out.bin"), desk.read("plain_1000.bin"));
    for option in ["--generate_ecc_key", "--generate_rsa_key"] {
        let text = desk.fails(&format!("enc-img {option}"), 1);
        assert!(text.contains("exists; it may be the only copy of a key"), "{text}");
    }
}

#[test]
fn refusals_that_the_tool_has_texts_for_have_its_texts() {
    let mut desk = Desk::with(VECTORS);
    for (line, text) in [
        ("decrypt plain_1000.bin rsa3072_a.pem o", "Decrypting image ...\nError: Magic Verification Failed\n"),
        ("decrypt plain_1000.bin device_priv_key.pem o", "Decrypting image ...\nError: Magic Verification Failed\n"),
        (
            "decrypt enc_rsa.bin device_priv_key.pem o",
            "Decrypting image ...\nError: Invalid server public key format\n",
        ),
        ("encrypt plain_1000.bin device_hmac_key.bin o", "Error: Invalid key file format\n"),
        ("encrypt plain_1000.bin plain_1000.bin o", "Error: Invalid key file format\n"),
        ("decrypt enc_ecc.bin device_hmac_key.bin o", "Error: Invalid key file format\n"),
    ] {
        assert_eq!(desk.fails(&format!("enc-img {line}"), 1), text, "{line}");
    }
    assert!(desk.fails("enc-img", 1).contains("encrypt"));
    for line in ["bogus", "--bogus", "encrypt a b"] {
        desk.fails(&format!("enc-img {line}"), 2);
    }
}

#[test]
fn what_the_tool_lets_pass_or_crashes_on_is_refused() {
    let mut desk = Desk::with(VECTORS);
    desk.changed("enc_rsa.bin", "body.bin", 600);
    desk.changed("enc_rsa.bin", "zeros.bin", 430);
    desk.changed("enc_rsa.bin", "size.bin", 404);
    fs::write(desk.folder.path().join("longer.bin"), [desk.read("enc_rsa.bin"), vec![0]].concat()).unwrap();
    fs::write(desk.folder.path().join("shorter.bin"), &desk.read("enc_rsa.bin")[..1400]).unwrap();
    fs::write(desk.folder.path().join("stub.bin"), &desk.read("enc_rsa.bin")[..300]).unwrap();
    for (line, says) in [
        ("decrypt enc_ecc.bin p256.pem o", "Error: enc_ecc.bin: the tag at offset 0x198 does not match"),
        ("decrypt enc_ecc.bin rsa3072_a.pem o", "do not decrypt to an AES key with this RSA key"),
        ("decrypt enc_rsa.bin rsa3072_b.pem o", "do not decrypt to an AES key with this RSA key"),
        ("decrypt body.bin rsa3072_a.pem o", "the tag at offset 0x198 does not match"),
        ("decrypt zeros.bin rsa3072_a.pem o", "offset 0x1ae holds 0x01, expected 0x00"),
        ("decrypt size.bin rsa3072_a.pem o", "the envelope ends at 1512 bytes, expected 1513"),
        ("decrypt longer.bin rsa3072_a.pem o", "the envelope goes on after 1512 bytes"),
        ("decrypt shorter.bin rsa3072_a.pem o", "the envelope ends at 1400 bytes, expected 1512"),
        ("decrypt stub.bin rsa3072_a.pem o", "the envelope ends at 300 bytes, expected 512"),
        ("decrypt enc_ecc.bin device_pub_key.pem o", "holds no private key"),
        ("encrypt plain_1000.bin p256.pem o", "p256.pem: the PEM text holds no public key"),
        ("encrypt plain_1000.bin pub_p384.pem o", "pub_p384.pem: a key of the scheme V2EcdsaP384 cannot be used here"),
        ("encrypt missing.bin rsa3072_a.pem o", "missing.bin: no such file"),
        ("encrypt plain_1000.bin missing.pem o", "missing.pem: no such file"),
        ("encrypt plain_1000.bin rsa3072_a.pem plain_1000.bin", "plain_1000.bin would be overwritten"),
        ("encrypt plain_1000.bin rsa3072_a.pem rsa3072_a.pem", "rsa3072_a.pem would be overwritten"),
    ] {
        let text = desk.fails(&format!("enc-img {line}"), 1);
        assert!(text.contains(says), "{line}: {text}");
    }
}
