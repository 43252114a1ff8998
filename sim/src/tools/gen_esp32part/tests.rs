//! Whole commands against the real tool's console log.

use crate::tools::{Output, Workbench, run};
use std::fs;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/ptable");

fn desk() -> (tempfile::TempDir, Workbench) {
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(VECTORS).unwrap() {
        let file = file.unwrap();
        if file.file_name().to_string_lossy().ends_with(".csv") || file.file_name() == "two_ota.bin" {
            fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
    }
    let bench = Workbench::confined(folder.path(), 0);
    (folder, bench)
}

fn command(bench: &mut Workbench, line: &str) -> Output {
    run(bench, &line.split(' ').map(String::from).collect::<Vec<_>>())
}

#[test]
fn says_and_writes_what_the_real_tool_does() {
    let log = fs::read_to_string(format!("{VECTORS}/ptable.log")).unwrap();
    let mut commands = 0;
    for case in log.split("$ python ").skip(1) {
        let (line, rest) = case.split_once('\n').unwrap();
        let (said, status) = rest.rsplit_once("rc=").unwrap();
        let (folder, mut bench) = desk();
        let output = command(&mut bench, line);
        // Below the tool's words, the place in the CSV.
        assert!(output.text.starts_with(said), "{line}\n{}", output.text);
        assert_eq!(output.status.to_string(), status.trim(), "{line}");
        let written = line.rsplit(' ').next().unwrap();
        if output.status == 0 {
            assert_eq!(output.text, said, "{line}");
            if written != "x.bin" {
                let expected = fs::read(format!("{VECTORS}/{written}")).unwrap();
                assert_eq!(fs::read(folder.path().join(written)).unwrap(), expected, "{line}");
            }
        } else {
            assert!(!folder.path().join(written).exists(), "{line}");
        }
        commands += 1;
    }
    assert_eq!(commands, 15);
}

#[test]
fn points_at_line_and_column() {
    let (_folder, mut bench) = desk();
    let output = command(&mut bench, "gen_esp32part err_overlap.csv x.bin");
    assert_eq!(
        output.text,
        "\
Parsing CSV input...
CSV Error at line 2: Partitions overlap. Partition sets offset 0xc000. Previous partition ends 0xf000
 --> err_overlap.csv:2:26
  |
2 | factory,  app,  factory, 0xC000,  1M,
  |                          ^^^^^^ 0xf000 or higher, or leave the offset empty
"
    );
}

#[test]
fn output_on_the_terminal() {
    let (_folder, mut bench) = desk();
    let csv = fs::read_to_string(format!("{VECTORS}/two_ota_back.csv")).unwrap();
    let output = command(&mut bench, "gen_esp32part -q two_ota.bin");
    assert_eq!(output, Output { text: csv, status: 0 });
    let output = command(&mut bench, "gen_esp32part -q two_ota.csv");
    assert_eq!(output.status, 2);
    assert!(output.text.starts_with("a binary table is not text"), "{}", output.text);
}

#[test]
fn options_of_the_real_tool() {
    let (folder, mut bench) = desk();
    let extra =
        |text: &str| ["gen_esp32part", "--extra-partition-subtypes", text, "--", "mine.csv", "x_y"].map(String::from);
    fs::write(folder.path().join("mine.csv"), "a, data, mine, , 4K\n").unwrap();
    let ok = run(&mut bench, &extra("data, mine, 0x40"));
    assert_eq!((ok.status, fs::read(folder.path().join("x_y")).unwrap()[3]), (0, 0x40), "{}", ok.text);
    for bad in ["data, mine, 0x02", "foo, mine, 0x40", "data, mine, 0x100", "data"] {
        let output = run(&mut bench, &extra(bad));
        assert_eq!(output.status, 2, "{bad}");
        assert!(output.text.starts_with("Error parsing custom subtypes: "), "{}", output.text);
    }
    for (line, status, said) in [
        ("gen_esp32part --secure err_sec1.csv x", 2, "invalid value 'err_sec1.csv'"),
        ("gen_esp32part err_sec1.csv x --secure", 2, "Size 0x11000 is not aligned to 0x10000"),
        ("gen_esp32part err_sec1.csv x --secure V2 -v", 0, "Verifying table..."),
        ("gen_esp32part --no-verify err_align.csv sub/x", 0, "Parsing CSV input..."),
        ("gen_esp32part --flash-size 3MB two_ota.csv x", 2, "invalid value '3MB'"),
        ("gen_esp32part --offset=-5 two_ota.csv x", 2, "'-5' is not a number"),
        (
            "gen_esp32part --primary-bootloader-offset 0x8000 boot.csv x",
            2,
            "Primary bootloader must be below partition table",
        ),
        ("gen_esp32part nosuch.csv x", 2, "nosuch.csv: no such file"),
        ("gen_esp32part two_ota.csv ../x", 2, "../x: a scenario's files stay in its folder"),
        ("gen_esp32part", 2, "required arguments"),
        ("gen_esp32part --help", 0, "Usage: gen_esp32part"),
    ] {
        let output = command(&mut bench, line);
        assert_eq!(output.status, status, "{line}\n{}", output.text);
        assert!(output.text.contains(said), "{line}\n{}", output.text);
    }
}

#[test]
fn bad_files_are_errors() {
    let (folder, mut bench) = desk();
    for (name, bytes) in
        [("utf8", &b"a\xFF"[..]), ("short", b"\xAA\x50"), ("label", &[b"\xAA\x50".as_slice(), &[0xFF; 30]].concat())]
    {
        fs::write(folder.path().join(name), bytes).unwrap();
        let output = command(&mut bench, &format!("gen_esp32part {name} x"));
        assert_eq!(output.status, 2, "{name}");
        assert!(output.text.contains(name), "{}", output.text);
        assert!(!folder.path().join("x").exists());
    }
}

/// Python's `splitlines`, which counts the lines of the tool's complaint, ends a line at a vertical tab too.
#[test]
fn shows_the_line_that_it_counts() {
    let (_folder, mut bench) = desk();
    bench.write("tab.csv", b"# a\x0bno comma here\nnvs, data, nvs, 0x9000, 0x4000\n").unwrap();
    let output = command(&mut bench, "gen_esp32part tab.csv x.bin");
    assert!(output.text.contains("line 2") && output.text.contains("2 | no comma here"), "{}", output.text);
}
