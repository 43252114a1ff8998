//! Documents: what cannot be read is said with its place, what can be is emitted and read back.

use dryburn_sim::{
    scenario::{Document, parse},
    strategy::scenario as strategy,
};
use proptest::prelude::*;

/// Documents that cannot be run, with line and column of the first complaint.
const MALFORMED: &[(&str, &str, (usize, usize))] = &[
    ("unknown_key", "# T\n```device\nchip = \"esp32\"\nrevison = \"v3.0\"\n```\n```console\n$ a\n```\n", (4, 1)),
    ("unknown_chip", "# T\n```device\nchip = \"esp8266\"\n```\n```console\n$ a\n```\n", (3, 8)),
    (
        "unknown_chip_in_matrix",
        "# T\n```device\n[matrix]\nchip = [\"esp32\", \"x\"]\n```\n```console\n$ a\n```\n",
        (4, 18),
    ),
    ("bad_toml", "# T\n```device\nchip = \"esp32\nseed = 1\n```\n```console\n$ a\n```\n", (3, 14)),
    ("wrong_type", "# T\n```device\nchip = \"esp32\"\nidf = 5.4\n```\n```console\n$ a\n```\n", (4, 7)),
    ("odd_flash", "# T\n```device\nchip = \"esp32\"\nflash = 1000\n```\n```console\n$ a\n```\n", (4, 9)),
    (
        "config_prefix",
        "# T\n```device\nchip = \"esp32\"\n[config]\nCONFIG_X = true\n```\n```console\n$ a\n```\n",
        (5, 1),
    ),
    (
        "skip_without_reason",
        "# T\n```device\nskip = [{ chip = \"esp32\" }]\n[matrix]\nchip = [\"esp32\"]\n```\n```console\n$ a\n```\n",
        (3, 9),
    ),
    (
        "skip_of_nothing",
        "# T\n```device\nskip = [{ chip = \"esp32s3\", because = \"x\" }]\n[matrix]\nchip = [\"esp32\"]\n```\n```console\n$ a\n```\n",
        (3, 18),
    ),
    ("no_chip", "# T\n```device\nseed = 1\n```\n```console\n$ a\n```\n", (2, 1)),
    ("no_device", "# T\n\n```console\n$ a\n```\n", (1, 1)),
    (
        "two_devices",
        "# T\n```device\nchip = \"esp32\"\n```\n```device\nchip = \"esp32\"\n```\n```console\n$ a\n```\n",
        (5, 1),
    ),
    ("device_in_case", "# T\n## A\n```device\nchip = \"esp32\"\n```\n```console\n$ a\n```\n", (3, 1)),
    ("unterminated_fence", "# T\n```device\nchip = \"esp32\"\n```\n\n~~~console\n$ a\n```\n", (6, 1)),
    ("no_command", "# T\n```device\nchip = \"esp32\"\n```\n```console\nI (29) boot: x\n```\n", (6, 1)),
    ("empty_console", "# T\n```device\nchip = \"esp32\"\n```\n```console\n```\n", (5, 1)),
    ("bad_status", "# T\n```device\nchip = \"esp32\"\n```\n  ```console\n  $ a\n  ? x\n  ```\n", (7, 5)),
    ("status_above_255", "# T\n```device\nchip = \"esp32\"\n```\n```console\n$ a\n? 256\n```\n", (7, 3)),
    ("status_not_last", "# T\n```device\nchip = \"esp32\"\n```\n```console\n$ a\n? 2\nb\n```\n", (7, 1)),
    ("pipe", "# T\r\n```device\r\nchip = \"esp32\"\r\n```\r\n```console\r\n$ é | b\r\n```\r\n", (6, 5)),
    ("variable", "# T\n```device\nchip = \"esp32\"\n```\n```console\n$ a \\\n> \"$HOME\"\n```\n", (7, 4)),
    ("open_quote", "# T\n```device\nchip = \"esp32\"\n```\n```console\n$ a 'b\n```\n", (6, 5)),
    ("broken_continuation", "# T\n```device\nchip = \"esp32\"\n```\n```console\n$ a \\\nb\n```\n", (6, 5)),
    (
        "duplicate_case",
        "# T\n```device\nchip = \"esp32\"\n```\n## A\n```console\n$ a\n```\n## A\n```console\n$ a\n```\n",
        (9, 1),
    ),
    ("nothing_to_run", "# T\n```device\nchip = \"esp32\"\n```\n", (1, 1)),
    ("empty_partitions", "# T\n```device\nchip = \"esp32\"\n```\n```partitions\n```\n```console\n$ a\n```\n", (5, 1)),
];

#[test]
fn what_cannot_be_run_is_said_with_line_and_column() {
    let mut all = String::new();
    for (name, text, place) in MALFORMED {
        let diagnostics = parse(&format!("{name}.md"), text).expect_err(name);
        for diagnostic in &diagnostics {
            all.push_str(&format!("{}\n\n", diagnostic.render(false)));
        }
        assert_eq!((diagnostics[0].line, diagnostics[0].column), *place, "{name}: {diagnostics:#?}");
    }
    insta::assert_snapshot!(all);
}

#[test]
fn several_complaints_come_at_once_in_the_order_of_the_lines() {
    let text = "# T\n```device\nchp = \"esp32\"\nfoo = 1\n```\n```console\n$ a | b\n```\n";
    let lines: Vec<usize> = parse("a.md", text).unwrap_err().iter().map(|d| d.line).collect();
    assert_eq!(lines, [3, 4, 7]);
}

#[test]
fn a_document_as_large_as_allowed_is_refused_or_read_in_time() {
    let fill = |head: &str, unit: &str, tail: &str| {
        let room = (1 << 20) - head.len() - tail.len();
        format!("{head}{}{tail}", unit.repeat(room / unit.len()))
    };
    let start = std::time::Instant::now();
    for text in [
        fill("", "```console\n$ a |\n```\n", ""),
        fill("```device\n", "a = 1\n", "```\n"),
        fill("```device\nchip = ", "[", "\n```\n"),
        fill("```device\nchip = \"esp32\"\n[matrix]\na = [\"", "x", "\"]\n```\n```console\n$ a\n```\n"),
        fill("```device\nchip = \"esp32\"\n[matrix]\n", "a", "= [1]\n```\n```console\n$ a\n```\n"),
        fill("```device\nchip = \"esp32\"\n```\n```console\n$ '", "x", "\n```\n"),
        fill("", "`", ""),
    ] {
        for diagnostic in parse("a.md", &text).unwrap_err() {
            diagnostic.render(true);
        }
    }
    assert!(parse("a.md", &fill("```device\nchip = \"esp32\"\n```\n```console\n$ a\n", "…\n", "```\n")).is_ok());
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}

fn positionless(mut document: Document) -> Document {
    document.forget_positions();
    document
}

proptest! {
    #[test]
    fn well_formed_text_is_read(text in strategy::document_text()) {
        prop_assert!(parse("scenario.md", &text).is_ok(), "{:?}", parse("scenario.md", &text));
    }

    #[test]
    fn what_is_emitted_reads_back(document in strategy::document()) {
        let text = document.emit();
        let again = parse("scenario.md", &text);
        prop_assert!(again.is_ok(), "{text}\n{again:?}");
        prop_assert_eq!(positionless(again.unwrap()), positionless(document), "{}", text);
    }

    #[test]
    fn no_text_is_too_odd(text in prop_oneof![".*", strategy::scraps()]) {
        if let Err(diagnostics) = parse("scenario.md", &text) {
            prop_assert!(!diagnostics.is_empty());
            for diagnostic in diagnostics {
                prop_assert!(diagnostic.line >= 1 && diagnostic.line <= text.matches('\n').count() + 1);
                prop_assert!(diagnostic.column >= 1);
                prop_assert!(diagnostic.render(false).starts_with("error: "));
            }
        }
    }
}
