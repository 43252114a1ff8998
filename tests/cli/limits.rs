//! (A test of the `dryburn-sim` package, declared in its `Cargo.toml`: only there cargo says where the binary lies.)
//!
//! Every hostile file to every command that reads one: whatever comes of it, the command ends with its own exit status in less
//! than 10 seconds and in 256 MiB beside the program itself.

#![cfg(unix)]

use dryburn::{
    Chip,
    envelope::{self, cbc},
    image::Builder,
};
use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Longest that a command may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Address space in KiB that a command may take: 256 MiB, and 64 MiB for the program, its libraries and stacks.
const MEMORY: u32 = (256 + 64) * 1024;

/// Every command that reads a file; `FILE` is the hostile one, all others are good.
const COMMANDS: &[&str] = &[
    "boot --chip esp32 --flash FILE",
    "boot --chip esp32 --flash flash.bin --efuses FILE",
    "boot --chip esp32 --flash flash.bin --sdkconfig FILE",
    "boot --chip esp32 --flash flash.bin --config SECURE_BOOT_VERIFICATION_KEY=FILE",
    "image info FILE --chip esp32",
    "otadata show FILE",
    "run FILE",
    "esptool --flash FILE flash-id",
    "esptool --chip esp32c3 --flash flash.bin --efuses FILE flash-id",
    "esptool image-info FILE",
    "esptool --flash copy.bin write-flash 0 FILE",
    "esptool --chip esp32 merge-bin -o out.bin 0 FILE",
    "espsecure encrypt-flash-data --keyfile FILE --address 0 --output out.bin app.bin",
    "espsecure encrypt-flash-data --keyfile key.bin --address 0 --output out.bin FILE",
    "espsecure decrypt-flash-data --aes-xts --keyfile key.bin --address 0 --output out.bin FILE",
    "espsecure sign-data --version 2 --keyfile FILE --output out.bin app.bin",
    "espsecure sign-data --version 1 --keyfile FILE --output out.bin app.bin",
    "espsecure verify-signature --version 2 --keyfile FILE app.bin",
    "espsecure signature-info-v2 FILE",
    "espsecure digest-sbv2-public-key --keyfile FILE --output out.bin",
    "espsecure digest-secure-bootloader --keyfile key.bin --output out.bin FILE",
    "espefuse --chip esp32 --virt --path-efuse-file FILE summary",
    "espefuse --chip esp32c3 --virt --path-efuse-file virt.bin burn-key BLOCK_KEY0 FILE USER",
    "espefuse --chip esp32c3 --virt --path-efuse-file virt.bin burn-key-digest BLOCK_KEY1 FILE SECURE_BOOT_DIGEST0",
    "gen_esp32part FILE out.csv",
    "envelope inspect FILE",
    "envelope open --hmac-key key.bin FILE out.bin",
    "envelope open --key FILE app.bin out.bin",
    "envelope open --cbc-key key.bin --unproven FILE out.bin",
    "envelope seal --cbc-key key.bin FILE out.bin",
];

/// What is good, for the other side of each command.
fn desk(folder: &Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).expect(name);
    write("flash.bin", &vec![0xFF; 0x10_0000]);
    write("app.bin", &Builder::app(Chip::Esp32).size(8192).build());
    write("key.bin", &[0x5A; 32]);
}

/// Files that are no files, or never end.
fn special(folder: &Path) -> Vec<&'static str> {
    let path = |name: &str| folder.join(name);
    fs::create_dir(path("folder.md")).expect("a folder");
    symlink("/dev/zero", path("zero")).expect("a link");
    symlink("/dev/random", path("random.md")).expect("a link");
    symlink("loop", path("loop")).expect("a link");
    symlink("around", path("folder.md/around")).expect("a link");
    let made = Command::new("mkfifo").arg(path("fifo")).status().expect("mkfifo");
    assert!(made.success());
    let sparse = fs::File::create(path("sparse")).expect("a file");
    sparse.set_len(1 << 40).expect("a sparse file");
    vec!["folder.md", "zero", "random.md", "loop", "folder.md/around", "fifo", "sparse"]
}

/// Files that claim much, nest deeply or never come to an end of line.
fn content(folder: &Path) -> Vec<&'static str> {
    const MIB: usize = 1024 * 1024;
    let huge = |head: &[u8], offset: usize| {
        let mut bytes = vec![0; 4096];
        bytes[..head.len()].copy_from_slice(head);
        bytes[offset..offset + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        bytes
    };
    let mut segments = Builder::app(Chip::Esp32).size(8192).build();
    segments[1] = 16;
    segments[28..32].copy_from_slice(&0xFF_FFFC_u32.to_le_bytes());
    let mut empty_segments = vec![0; 8192];
    empty_segments[..24].copy_from_slice(&segments[..24]);
    let document = |device: &str| format!("# t\n\n```device\n{device}\n```\n\n```console\n$ dryburn chips\n...\n```\n");
    let axes: String = (0..40).map(|n| format!("a{n} = [1, 2, 3, 4, 5, 6, 7, 8]\n")).collect();
    let files = [
        ("empty", Vec::new()),
        ("line", vec![b'A'; MIB]),
        ("zeros", vec![0; 4 * MIB]),
        ("rows.csv", b"a,app,ota_0,,1M\n".repeat(2 * MIB)),
        ("small_rows.csv", b"a,1,2,,1\n".repeat(MIB / 10)),
        ("fields.csv", b",".repeat(MIB)),
        ("variables.csv", b"$HOME".repeat(MIB / 8)),
        ("records.bin", [&[0xAA, 0x50][..], &[1; 30]].concat().repeat(MIB / 32)),
        ("deep.json", [b"{\"A\":".repeat(100_000), b"[".repeat(100_000)].concat()),
        ("wide.json", [b"{".to_vec(), b"\"A\":{\"block\":1},".repeat(MIB / 16)].concat()),
        ("dump.txt", b"BLOCK1 () [1 ] dump: 00000000 ".repeat(MIB / 32)),
        ("token.txt", [b"EFSR:esp32:000:".to_vec(), b"A:".repeat(MIB / 2)].concat()),
        ("options", b"CONFIG_A=y\n".repeat(MIB)),
        (
            "key.pem",
            [
                b"-----BEGIN PRIVATE KEY-----\n".to_vec(),
                b"MIIB".repeat(MIB / 4),
                b"\n-----END PRIVATE KEY-----\n".to_vec(),
            ]
            .concat(),
        ),
        (
            "der.pem",
            [
                b"-----BEGIN EC PRIVATE KEY-----\n".to_vec(),
                b"MIAw".repeat(9000),
                b"\n-----END EC PRIVATE KEY-----\n".to_vec(),
            ]
            .concat(),
        ),
        ("latin.md", b"# caf\xE9\n".repeat(1000)),
        ("matrix.md", document(&format!("chip = \"esp32\"\n[matrix]\n{axes}")).into_bytes()),
        ("nested.md", document(&format!("chip = {}", "[".repeat(60_000))).into_bytes()),
        ("dotted.md", document(&format!("{}b = 1", "a.".repeat(30_000))).into_bytes()),
        ("fences.md", b"```console\n$ a\n```\n".repeat(50_000)),
        ("headings.md", b"## a\n".repeat(200_000)),
        ("segments.bin", segments),
        ("empty_segments.bin", empty_segments),
        ("huge.enc", huge(&envelope::MAGIC, 404)),
        ("huge.cbc", huge(&cbc::MAGIC, 4)),
    ];
    files
        .map(|(name, bytes)| {
            fs::write(folder.join(name), bytes).expect(name);
            name
        })
        .to_vec()
}

/// Runs a command within the limits; what is wrong with how it ended.
fn run(folder: &Path, command: &str, memory: u32) -> Result<(i32, String), String> {
    let start = Instant::now();
    let mut child = Command::new("sh")
        .args(["-c", &format!("ulimit -v {memory} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_dryburn")])
        .args(command.split(' '))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(fs::File::create(folder.join("stdout")).expect("a file"))
        .stderr(fs::File::create(folder.join("stderr")).expect("a file"))
        .spawn()
        .expect("the binary runs");
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("took more than {PATIENCE:?}"));
        }
        thread::sleep(Duration::from_millis(5));
    };
    let text = ["stdout", "stderr"].map(|name| fs::read(folder.join(name)).expect(name)).concat();
    let end = text.len().saturating_sub(2000);
    let text = String::from_utf8_lossy(&text[end..]).into_owned();
    match status.code() {
        Some(code @ 0..=2) if !text.contains("panicked") && !text.contains("this is a bug in dryburn") => {
            Ok((code, text))
        }
        code => Err(format!("ended with {code:?} ({status}): {text}")),
    }
}

/// Every file to every command; `check` looks at how each ended.
fn all(files: impl FnOnce(&Path) -> Vec<&'static str>, check: impl Fn(&str, i32, &str) -> Result<(), String>) {
    let folder = tempfile::tempdir().expect("a folder");
    desk(folder.path());
    let files = files(folder.path());
    let mut wrong = Vec::new();
    for file in &files {
        for command in COMMANDS {
            fs::copy(folder.path().join("flash.bin"), folder.path().join("copy.bin")).expect("a copy");
            let command = command.replace("FILE", file);
            let verdict = run(folder.path(), &command, MEMORY).and_then(|(code, text)| check(file, code, &text));
            if let Err(what) = verdict {
                wrong.push(format!("$ dryburn {command}\n-- {what}\n"));
            }
            for made in ["out.bin", "out.csv", "virt.bin"] {
                let _ = fs::remove_file(folder.path().join(made));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), files.len() * COMMANDS.len(), wrong.join("\n"));
}

#[test]
fn special_files_are_refused_by_name() {
    all(special, |file, code, text| match code {
        2 if text.contains(file) => Ok(()),
        code => Err(format!("exit status {code}, expected 2 and a word about {file}: {text}")),
    });
}

#[test]
fn no_content_takes_more_than_its_share() {
    all(content, |_, _, _| Ok(()));
}

/// The limits do bite: what needs more memory does not get it.
#[test]
fn the_memory_limit_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let large = fs::File::create(folder.path().join("flash.bin")).expect("a file");
    large.set_len(128 << 20).expect("a sparse file");
    let command = "boot --chip esp32 --flash flash.bin";
    assert_eq!(run(folder.path(), command, 2 * MEMORY).map(|(code, _)| code), Ok(1));
    // what the file alone takes is not to be had
    let ended = run(folder.path(), command, MEMORY / 3);
    assert!(ended.is_err(), "{ended:?}");
}
