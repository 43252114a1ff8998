//! Scenario documents: whole ones, and text that looks like one.

use crate::scenario::{Document, Scalar, parse};
use proptest::{collection, option, prelude::*};

/// A line of output that is no command, status, or blank end; with wildcards, log lines and backticks among them.
fn output_line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z#~`{}…|>][ -~…]{0,30}",
        1 => Just("...".to_string()),
        1 => Just("I (123) boot: Loaded app from partition at offset 0x20000".to_string()),
        1 => Just("```".to_string()),
    ]
    .prop_map(|line| line.trim_end().to_string())
}

/// A command and its expectation, as text.
fn step() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        3 => "[a-z][a-z0-9_.=-]{0,8}",
        1 => "'[ -&(-~…]{0,8}'",
        1 => "\"[ !#%-\\[\\]-_a-~…]{0,8}\"",
        1 => "--[a-z]{1,6} 0x[0-9a-f]{1,5}",
    ];
    let words = collection::vec(word, 1..4);
    (words, collection::vec(output_line(), 0..5), option::of(0..=255_u8)).prop_map(|(words, output, status)| {
        let status = status.map(|status| format!("? {status}\n")).unwrap_or_default();
        let output: String = output.iter().map(|line| format!("{line}\n")).collect();
        format!("$ {}\n{output}{status}", words.join(" "))
    })
}

fn console(steps: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    collection::vec(step(), steps).prop_map(|steps| {
        if steps.is_empty() { String::new() } else { format!("~~~~console\n{}~~~~\n", steps.concat()) }
    })
}

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        "[ -~…]{0,12}".prop_map(Scalar::Text),
        any::<i64>().prop_map(|int| Scalar::Int(int.into())),
        any::<bool>().prop_map(Scalar::Bool),
    ]
}

fn toml(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Text(text) => format!("'''{}'''", text.replace('\'', "")),
        other => other.to_string(),
    }
}

fn device() -> impl Strategy<Value = String> {
    let chip = proptest::sample::select(dryburn::Chip::ALL.map(dryburn::Chip::name).to_vec());
    let config = collection::btree_map("[A-Z][A-Z_]{0,8}", scalar(), 0..3);
    let axes = collection::btree_map("x[a-z]{0,4}", collection::btree_set("[a-z0-9 ]{0,6}", 1..3), 0..3);
    (chip, any::<u32>(), config, axes, option::of("[ -&(-~]{1,20}x")).prop_map(|(chip, seed, config, axes, because)| {
        let config: String = config.iter().map(|(k, v)| format!("{k} = {}\n", toml(v))).collect();
        let skip = axes.first_key_value().zip(because).map(|((key, values), because)| {
            let value = values.first().map(String::as_str).unwrap_or_default();
            format!("skip = [{{ {key} = '{value}', because = '{because}' }}]\n")
        });
        let axes: String = axes.iter().map(|(k, v)| format!("{k} = {v:?}\n").replace(['{', '}'], "|")).collect();
        let axes = axes.replace("|\"", "[\"").replace("\"|", "\"]");
        let skip = skip.unwrap_or_default();
        format!("chip = \"{chip}\"\nseed = {seed}\nflash = \"2MB\"\n{skip}[config]\n{config}[matrix]\n{axes}")
    })
}

/// The text of a well-formed document, with prose between its blocks.
pub fn document_text() -> impl Strategy<Value = String> {
    let partitions = option::of(Just("~~~partitions\nnvs, data, nvs, 0x9000, 0x4000\n~~~\n".to_string()));
    let cases = collection::vec((console(1..4), "[a-z][a-z {}]{0,8}"), 0..4);
    ("[a-zA-Z][a-z {}]{0,12}", device(), partitions, console(1..3), cases).prop_map(
        |(title, device, partitions, setup, cases)| {
            let cases: String = cases
                .iter()
                .enumerate()
                .map(|(n, (console, title))| format!("## {n} {title}\n\nWhy it is so.\n\n{console}"))
                .collect();
            let partitions = partitions.unwrap_or_default();
            format!("# {title}\n\nAs reported.\n\n```device\n{device}```\n{partitions}\n{setup}\n{cases}")
        },
    )
}

/// A well-formed document.
pub fn document() -> impl Strategy<Value = Document> {
    document_text().prop_filter_map("well-formed", |text| parse("scenario.md", &text).ok())
}

/// Text made of the pieces that documents are made of, in no order: mostly malformed.
pub fn scraps() -> impl Strategy<Value = String> {
    let pieces = [
        "```device\n",
        "```console\n",
        "~~~~partitions\n",
        "```\n",
        "~~~~\n",
        "# title\n",
        "## case\n",
        "$ echo a\n",
        "$ ",
        "$\n",
        "> more\n",
        "a \\\n",
        "...\n",
        "…",
        "? 2\n",
        "? x\n",
        "chip = \"esp32\"\n",
        "chip = 3\n",
        "[matrix]\n",
        "a = [1, 2]\n",
        "skip = [{ a = 1, because = \"x\" }]\n",
        "\r\n",
        "\n",
        "   ",
        "\t",
        "'",
        "\"",
        "{a}",
        "| tee\n",
        "\u{feff}",
        "é",
        "\u{1b}[0m",
    ];
    let piece = prop_oneof![8 => proptest::sample::select(pieces.to_vec()).prop_map(String::from), 1 => ".{0,6}"];
    collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}
