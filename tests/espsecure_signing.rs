//! espsecure's signing commands: files as the vendor's tool writes them, its texts and statuses, nothing written on error.
//! The texts were seen by running espsecure 5.6.

use dryburn_sim::tools::{self, Output, Workbench};
use std::{collections::BTreeMap, fs, path::PathBuf};
use tempfile::TempDir;

struct Desk {
    folder: TempDir,
    bench: Workbench,
}

impl Desk {
    /// A folder with all keys and signed files of the vectors.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for from in ["keys", "sbv1", "sbv2", "image"] {
            let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(from);
            for entry in fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
            }
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
        assert!(self.files() == before, "{line} wrote a file");
        output.text
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.path().join(name)).unwrap()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    /// The file `from` with one byte changed, as `to`.
    fn damaged(&self, from: &str, offset: usize, to: &str) {
        let mut bytes = self.read(from);
        bytes[offset] ^= 1;
        self.write(to, &bytes);
    }

    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.folder.path()).unwrap().map(|e| e.unwrap());
        entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
    }
}

const RSA_A: &str = "7e 88 29 aa 21 f1 88 8c 4d 6b e3 f8 ea 8d 98 54 68 74 9e 9f ba b6 b4 42 6c 8b 68 b7 31 4c 44 44";
const RSA_B: &str = "6b 32 91 b6 d5 df 5b 3c cc 98 9f 7c a2 81 9d 1b 9e 22 ad 7e 9e 41 ed 09 67 b1 9b 81 41 83 92 c6";

#[test]
fn v1_files_are_the_vendors() {
    let mut desk = Desk::new();
    for line in [
        "espsecure sign-data --version 1 -k p256.pem -o out.bin payload100.bin",
        "espsecure.py sign_data --version 1 --keyfile p256.pem --output out.bin payload100.bin",
    ] {
        assert_eq!(desk.ok(line), "Signed 100 bytes of data from \"payload100.bin\".\n");
        assert_eq!(desk.read("out.bin"), desk.read("payload100_signed_v1.bin"));
    }
    desk.ok("espsecure sign-data -k p256.pem --version 1 payload100.bin");
    assert_eq!(desk.read("payload100.bin"), desk.read("payload100_signed_v1.bin"), "signed in place");

    let text = desk.ok("espsecure extract-public-key --keyfile p256.pem raw.bin");
    assert_eq!(text, "\"p256.pem\" public key extracted to \"raw.bin\".\n");
    assert_eq!(desk.read("raw.bin"), desk.read("p256_pub_raw64.bin"));
    let text = desk.ok("espsecure digest-private-key --keyfile p256.pem d256.bin");
    assert_eq!(text, "SHA-256 digest of private key \"p256.pem\" written to \"d256.bin\".\n");
    assert_eq!(desk.read("d256.bin"), desk.read("p256_privkey_digest256.bin"));
    let text = desk.ok("espsecure digest-private-key --keyfile p256.pem --keylen 192 d192.bin");
    assert_eq!(text, "SHA-256 digest of private key \"p256.pem\" (truncated to 192 bits) written to \"d192.bin\".\n");
    assert_eq!(desk.read("d192.bin"), desk.read("p256_privkey_digest192.bin"));

    let valid = "Verifying 100 bytes of data...\nSignature is valid.\n";
    for key in ["p256.pem", "pub_p256.pem", "p256_pub_raw64.bin"] {
        assert_eq!(desk.ok(&format!("espsecure verify-signature --version 1 -k {key} out.bin")), valid);
    }
}

#[test]
fn bootloader_digests_are_the_vendors() {
    let mut desk = Desk::new();
    let note = "WARNING: --iv argument is for TESTING PURPOSES ONLY\n";
    for (key, bits, image, expected) in [
        ("k32_00_1f.bin", "256-bit key", "esp32_boot.bin", "boot_digest_k32.bin"),
        ("k24_00_17.bin", "192-bit key (extended)", "esp32_boot.bin", "boot_digest_k24.bin"),
        ("k32_00_1f.bin", "256-bit key", "esp32_boot_nodigest.bin", "boot_digest_k32_nodigest.bin"),
    ] {
        let line = format!("espsecure digest-secure-bootloader -k {key} --iv iv128_80_ff.bin -o out.bin {image}");
        assert_eq!(desk.ok(&line), format!("{note}Using {bits}.\nDigest + image written to \"out.bin\"\n"));
        assert_eq!(desk.read("out.bin"), desk.read(expected), "{line}");
    }
    let text = desk.ok("espsecure.py digest_secure_bootloader --keyfile k32_00_1f.bin esp32_boot.bin");
    assert_eq!(text, "Using 256-bit key.\nDigest + image written to \"esp32_boot-digest-0x0000.bin\"\n");
    let random = desk.read("esp32_boot-digest-0x0000.bin");
    assert_eq!(random[0x1000..], desk.read("boot_digest_k32.bin")[0x1000..]);
    assert_ne!(random[..128], [0; 128]);
    for (arguments, expected) in [
        ("-k iv128_80_ff.bin -o o esp32_boot.bin", "wrong length (128 bytes), 16, 24, 32 or 64 expected."),
        ("-k k64_00_3f.bin -o o esp32_boot.bin", "32-byte keys"),
        ("-k k32_00_1f.bin -o o payload4k.bin", "A fatal error occurred: Invalid firmware image magic=0x9\n"),
        ("-k k32_00_1f.bin -o o --iv k32_00_1f.bin esp32_boot.bin", "an IV has 128 bytes, not 32"),
        ("-k k32_00_1f.bin -o o k16_00_0f.bin", "k16_00_0f.bin: 16 bytes are no image"),
        ("-k k32_00_1f.bin -o esp32_boot.bin esp32_boot.bin", "should not be the same!"),
        ("-k k32_00_1f.bin -o ./k32_00_1f.bin esp32_boot.bin", "should not be the same!"),
        ("-k k32_00_1f.bin -o o nothing.bin", "nothing.bin: no such file"),
    ] {
        let text = desk.fails(&format!("espsecure digest-secure-bootloader {arguments}"));
        assert!(text.contains(expected), "{arguments}: {text}");
    }
}

#[test]
fn v2_public_keys_and_digests_are_the_vendors() {
    let mut desk = Desk::new();
    for key in ["rsa3072_a", "rsa3072_b", "p192", "p256", "p384"] {
        desk.ok(&format!("espsecure extract-public-key --version 2 -k {key}.pem out.pem"));
        assert_eq!(desk.read("out.pem"), desk.read(&format!("pub_{key}.pem")), "{key}");
        for file in [format!("{key}.pem"), format!("pub_{key}.pem")] {
            let text = desk.ok(&format!("espsecure digest-sbv2-public-key -k {file} -o out.bin"));
            assert_eq!(text, format!("Writing the public key digest of \"{file}\" to \"out.bin\".\n"));
            assert_eq!(desk.read("out.bin"), desk.read(&format!("pubkey_digest_{key}.bin")), "{key}");
        }
    }
    let text = desk.ok("espsecure.py digest_rsa_public_key --keyfile pub_rsa3072_a.pem --output out.bin");
    assert!(
        text.starts_with("DeprecationWarning: The command 'digest-rsa-public-key' is deprecated.\nWriting"),
        "{text}"
    );
}

#[test]
fn the_vendors_v2_files_verify_and_are_shown() {
    let mut desk = Desk::new();
    for (key, kind) in [("rsa3072_a", "RSA"), ("p192", "ECDSA"), ("p256", "ECDSA"), ("p384", "ECDSA")] {
        for file in [format!("{key}.pem"), format!("pub_{key}.pem")] {
            let line = format!("espsecure verify-signature --version 2 -k {file} payload100_signed_{key}.bin");
            let expected = format!(
                "Signature block 0 is valid ({kind}).\n\
                 Signature block 0 verification successful using the supplied key ({kind}).\n\
                 Signature block 1 invalid. Skipping.\nSignature block 2 invalid. Skipping.\n"
            );
            assert_eq!(desk.ok(&line), expected);
        }
    }
    let text = desk.ok("espsecure signature_info_v2 payload4k_signed_ab.bin");
    let expected = format!(
        "Signature block 0 is valid (RSA).\nPublic key digest for block 0: {RSA_A}\n\
         Signature block 1 is valid (RSA).\nPublic key digest for block 1: {RSA_B}\n\
         Signature block 2 absent/invalid. Skipping checking next blocks...\n"
    );
    assert_eq!(text, expected);
    let text = desk.ok("espsecure verify-signature --version 2 -k rsa3072_b.pem payload4k_signed_ab.bin");
    assert!(
        text.contains("Signature block 0 is not signed by the supplied key. Checking the next block...\n"),
        "{text}"
    );
    assert!(text.contains("Signature block 1 verification successful using the supplied key (RSA).\n"), "{text}");
}

#[test]
fn new_keys_sign_what_they_then_verify() {
    let mut desk = Desk::new();
    for (version, scheme, name) in [
        ("1", "ecdsa256", "ECDSA NIST256p"),
        ("2", "rsa3072", "RSA 3072"),
        ("2", "ecdsa192", "ECDSA NIST192p"),
        ("2", "ecdsa256", "ECDSA NIST256p"),
        ("2", "ecdsa384", "ECDSA NIST384p"),
    ] {
        let key = format!("new{version}{scheme}.pem");
        let text = desk.ok(&format!("espsecure generate-signing-key --version {version} --scheme {scheme} {key}"));
        assert_eq!(text, format!("{name} private key in PEM format written to \"{key}\".\n"));
        desk.ok(&format!("espsecure sign-data --version {version} --keyfile {key} --output out.bin payload100.bin"));
        desk.ok(&format!("espsecure extract-public-key --version {version} --keyfile {key} public"));
        desk.ok(&format!("espsecure verify-signature --version {version} --keyfile public out.bin"));
        desk.damaged("out.bin", 50, "damaged.bin");
        desk.fails(&format!("espsecure verify-signature --version {version} --keyfile public damaged.bin"));
        let text = desk.fails(&format!("espsecure generate-signing-key {key}"));
        assert_eq!(text, format!("A fatal error occurred: ERROR: Key file {key} already exists.\n"));
    }
    let text = desk.fails("espsecure generate-signing-key --version 1 --scheme rsa3072 x.pem");
    assert_eq!(text, "A fatal error occurred: ERROR: V1 only supports ECDSA256.\n");
    desk.fails("espsecure generate-signing-key --version 2 --scheme foo x.pem");
    desk.fails("espsecure generate-signing-key ../x.pem");
}

#[test]
fn several_keys_and_appended_signatures() {
    let mut desk = Desk::new();
    let text = desk.ok("espsecure sign-data --version 2 -k rsa3072_a.pem rsa3072_b.pem -o ab.bin payload4k.bin");
    assert_eq!(
        text,
        "2 signing key(s) found.\n\
         Signed 4096 bytes of data from \"payload4k.bin\". Signature sector now has 2 signature blocks.\n"
    );
    let text = desk.ok("espsecure sign-data --version 2 -k p256.pem --append-signatures -o abc.bin ab.bin");
    assert_eq!(
        text,
        "Signature block 0 is valid (RSA).\nSignature block 1 is valid (RSA).\n\
         2 valid signature block(s) already present in the signature sector.\n1 signing key(s) found.\n\
         Signed 4096 bytes of data from \"ab.bin\". Signature sector now has 3 signature blocks.\n"
    );
    assert_eq!(desk.read("abc.bin")[..4096 + 2432], desk.read("ab.bin")[..4096 + 2432]);
    for key in ["rsa3072_a", "rsa3072_b", "p256"] {
        desk.ok(&format!("espsecure verify-signature --version 2 -k pub_{key}.pem abc.bin"));
    }
    let text = desk.fails("espsecure sign-data --version 2 -k p256.pem --append-signatures -o o abc.bin");
    assert!(
        text.ends_with(
            "Up to 3 signature blocks are supported (For ESP32-ECO3 only 1 signature block is supported).\n"
        )
    );
    let text = desk.fails("espsecure sign-data --version 2 -k p256.pem p192.pem -a -o o ab.bin");
    assert!(text.ends_with("Number of keys (2) more than the empty signature blocks (1).\n"), "{text}");
    // Without a valid block the last sector is content.
    let text = desk.ok("espsecure sign-data --version 2 -k p256.pem --append_signatures -o fresh.bin payload4k.bin");
    assert!(text.starts_with("No valid signature blocks found. Discarding --append-signature and"), "{text}");
    assert_eq!(desk.read("fresh.bin").len(), 8192);
}

#[test]
fn signatures_made_elsewhere() {
    let mut desk = Desk::new();
    let signed = desk.read("payload4k_signed_a.bin");
    let signature: Vec<u8> = signed[4096 + 812..4096 + 1196].iter().rev().copied().collect();
    desk.write("a.sig", &signature);
    let sign = "espsecure sign-data --version 2 --output out.bin --signature a.sig --pub-key";
    let text = desk.ok(&format!("{sign} pub_rsa3072_a.pem -- payload4k.bin"));
    assert!(text.starts_with("Pre-calculated signatures found...\n1 signing key(s) found.\nSigned 4096"), "{text}");
    assert_eq!(desk.read("out.bin"), signed, "byte for byte what espsecure made with the key");
    let text = desk.fails(&format!("{sign} pub_rsa3072_b.pem -- payload4k.bin"));
    assert!(text.contains("Signature verification failed: Invalid Signature\nThe pre-calculated signature has not"));
    let text = desk.fails(&format!("{sign} pub_rsa3072_a.pem pub_rsa3072_b.pem -- payload4k.bin"));
    assert!(text.ends_with("Number of public keys (2) not equal to the number of signatures (1).\n"), "{text}");
    let text = desk.fails(&format!("{sign} pub_rsa3072_a.pem -- payload100.bin"));
    assert!(text.contains("but the datafile supplied is not sector aligned."), "{text}");
    desk.fails("espsecure sign-data --version 2 --pub-key pub_rsa3072_a.pem --signature a.sig -o a.sig payload4k.bin");

    desk.write("v1.sig", &desk.read("payload100_signed_v1.bin")[104..]);
    desk.ok("espsecure sign-data --version 1 --pub-key pub_p256.pem --signature v1.sig -o out.bin payload100.bin");
    assert_eq!(desk.read("out.bin"), desk.read("payload100_signed_v1.bin"));
    desk.fails("espsecure sign-data --version 1 --pub-key pub_p256.pem --signature v1.sig -o o payload4k.bin");
}

#[test]
fn what_the_vendor_refuses_is_refused_in_its_words() {
    let mut desk = Desk::new();
    desk.write("junk.pem", b"hello\n");
    desk.write("empty.bin", b"");
    desk.damaged("payload100_signed_p256.bin", 10, "content.bin");
    desk.damaged("payload100_signed_p256.bin", 4096 + 900, "crc.bin");
    desk.damaged("payload100_signed_v1.bin", 100, "version.bin");
    desk.damaged("payload100_signed_v1.bin", 120, "signature.bin");
    let curve =
        "uses incorrect curve. ESP32 Secure Boot only supports NIST256p (openssl calls this curve 'prime256v1').";
    for (line, expected) in [
        ("sign-data --version 1 -k p384.pem -o o payload100.bin", format!("Signing key {curve}")),
        ("sign-data --version 1 -k p256.pem p192.pem -o o payload100.bin", "Secure Boot V1 only supports one signing key.".into()),
        ("sign-data --version 1 -k junk.pem -o o payload100.bin", "Incorrect ECDSA private key specified. Please check algorithm and/or format.".into()),
        ("sign-data --version 1 -k rsa3072_a.pem -o o payload100.bin", "Incorrect ECDSA private key specified.".into()),
        ("sign-data --version 1 -o o payload100.bin", "Nothing to sign with; give --keyfile.".into()),
        ("sign-data --version 2 -o o payload4k.bin", "0 signing key(s) found.\nA fatal error occurred: Signature Block generation failed.".into()),
        ("sign-data --version 2 -k junk.pem -o o payload4k.bin", "Error loading private key: Unable to load PEM file.".into()),
        ("sign-data --version 2 -k pub_p256.pem -o o payload4k.bin", "Error loading private key: Valid PEM but no BEGIN/END delimiters for a private key found. Are you sure this is a private key?".into()),
        ("sign-data --version 2 -k p256.pem -o payload4k.bin payload4k.bin", "The input \"payload4k.bin\" and output \"payload4k.bin\" should not be the same!".into()),
        ("sign-data --version 2 -k p256.pem payload4k.bin", "DATAFILE".into()),
        ("sign-data --version 3 -k p256.pem -o o payload4k.bin", "invalid value '3'".into()),
        ("sign-data --version 2 --hsm -o o payload4k.bin", "option --hsm is not modelled".into()),
        ("verify-signature --version 2 -k junk.pem payload100_signed_p256.bin", "Verification key does not appear to be an RSA Private or Public key in PEM format. Unsupported.".into()),
        ("verify-signature --version 2 -k p256.pem payload100.bin", "Invalid datafile. Data size should be non-zero & a multiple of 4096.".into()),
        ("verify-signature --version 2 -k p256.pem empty.bin", "Invalid datafile. Data size should be non-zero & a multiple of 4096.".into()),
        ("verify-signature --version 2 --skip-padding -k p256.pem payload100.bin", "Invalid datafile. File too small (must be at least 4096 bytes).".into()),
        ("verify-signature --version 2 payload100_signed_p256.bin", "No key to verify with; give one with --keyfile.".into()),
        ("verify-signature --version 2 -k p256.pem content.bin", r#"Signature block image digest does not match the actual image digest b'SZ\xd0"0A\xa8\x1c\xd2\x98\xbf\x1a\x04p\x92j\x16\x91\xb4k\x03W\xe1f\x90\xcav\x9f\x92 C\xec'. Expected b'\x0fg\xb6sk\x7fxp\xa4\tZ\x8b\x9e\xc9\xf3\x7f_\xe2z\x08T\x93"\xe0\xdb\x8f\x01Mk\x8e\x03K'."#.into()),
        ("verify-signature --version 2 -k p256.pem crc.bin", "Signature block 0 invalid. Skipping.".into()),
        ("verify-signature --version 2 -k p384.pem payload100_signed_p256.bin", "Checked all blocks. Signature could not be verified with the provided key.".into()),
        ("signature-info-v2 content.bin", "Digest in signature block 0 doesn't match the image digest.".into()),
        ("verify-signature --version 1 -k p384.pem payload100_signed_v1.bin", format!("Public key {curve}")),
        ("verify-signature --version 1 -k k32_00_1f.bin payload100_signed_v1.bin", "Verification key does not appear to be an EC key in PEM format or binary EC public key data. Unsupported.".into()),
        ("verify-signature --version 1 -k k64_00_3f.bin payload100_signed_v1.bin", "Point is not on the curve specified.".into()),
        ("verify-signature --version 1 -k p256.pem version.bin", "Signature block has version 1. This version of espsecure only supports version 0.".into()),
        ("verify-signature --version 1 -k p256.pem signature.bin", "Verifying 100 bytes of data...\nA fatal error occurred: Signature is not valid.".into()),
        ("verify-signature --version 1 -k p256.pem junk.pem", "The file has 6 bytes".into()),
        ("extract-public-key --version 1 -k p384.pem o", format!("Signing key {curve}")),
        ("extract-public-key --version 2 -k p256.pem p256.pem", "should not be the same!".into()),
        ("digest-private-key -k p256.pem -l 128 o", "no secure boot key of 128 bits".into()),
        ("digest-private-key -k p192.pem o", format!("Signing key {curve}")),
    ] {
        let text = desk.fails(&format!("espsecure {line}"));
        assert!(text.contains(&expected), "{line}: {text}");
    }
}

#[test]
fn no_message_holds_key_bytes() {
    let mut desk = Desk::new();
    let mut pem = String::from_utf8(desk.read("p256.pem")).unwrap();
    pem = pem.replace("MHcC", "MHcD");
    desk.write("bad.pem", pem.as_bytes());
    for line in [
        "sign-data --version 1 -k bad.pem -o o payload100.bin",
        "sign-data --version 2 -k bad.pem -o o payload100.bin",
        "verify-signature --version 2 -k bad.pem payload100_signed_p256.bin",
        "digest-private-key -k bad.pem o",
    ] {
        let text = desk.fails(&format!("espsecure {line}"));
        assert!(!pem.lines().filter(|l| !l.starts_with('-')).any(|l| text.contains(&l[..12])), "{line}: {text}");
    }
}

#[test]
fn openssl_makes_keys_and_nothing_else() {
    let mut desk = Desk::new();
    for (curve, scheme) in [("prime256v1", "1"), ("prime192v1", "2"), ("secp384r1", "2")] {
        assert_eq!(desk.ok(&format!("openssl ecparam -name {curve} -genkey -noout -out {curve}.pem")), "");
        desk.ok(&format!("espsecure sign-data --version {scheme} -k {curve}.pem -o out.bin payload100.bin"));
        let text = desk.fails(&format!("openssl ecparam -name {curve} -genkey -noout -out {curve}.pem"));
        assert!(text.contains("exists"), "{text}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = desk.folder.path().join(format!("{curve}.pem")).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{curve}: only the owner reads a private key");
        }
    }
    for line in [
        "openssl",
        "openssl genrsa -out k.pem 3072",
        "openssl ecparam -name prime256v1 -genkey -out k.pem",
        "openssl ecparam -name prime256v1 -noout -out k.pem",
        "openssl ecparam -name secp256k1 -genkey -noout -out k.pem",
        "openssl ecparam -name prime256v1 -genkey -noout",
        "openssl ecparam -name prime256v1 -genkey -noout -out k.pem -text",
    ] {
        let text = desk.fails(line);
        assert!(text.contains("are modelled"), "{line}: {text}");
    }
    let text = desk.fails("openssl ecparam -name prime256v1 -genkey -noout -out ../k.pem");
    assert!(text.contains("stay in its folder"), "{text}");
}
