//! README.md keeps its word: every `console` block of it runs as a scenario of its own and prints what the page says.

use dryburn_sim::{
    board::BoardMaker,
    report::console,
    scenario::{Options, Status, run_paths},
};
use std::{fs, path::Path};

/// The board that the blocks of the page are run on.
const BOARD: &str = r#"```device
chip = "esp32"
```

```partitions
nvs,      data, nvs,   0x9000,  0x4000
otadata,  data, ota,   0xd000,  0x2000
phy_init, data, phy,   0xf000,  0x1000
ota_0,    app,  ota_0, 0x10000, 1M
ota_1,    app,  ota_1, ,        1M
```
"#;

/// The `console` blocks of a page: the line that each begins at, and its lines without those commands that are not for
/// the board's desk (with what they print).
fn blocks(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    let mut elsewhere = false;
    for (number, line) in page.lines().enumerate() {
        match &mut open {
            None if line.trim_end() == "```console" => open = Some((number + 1, String::new())),
            None => {}
            Some(_) if line.trim_end() == "```" => {
                found.extend(open.take());
                elsewhere = false;
            }
            Some((_, text)) => {
                if line.starts_with("$ ") {
                    elsewhere = ["$ cargo ", "$ git ", "$ cd "].iter().any(|start| line.starts_with(start));
                }
                if !elsewhere {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
    }
    assert!(open.is_none(), "README.md: a console block never ends");
    found.retain(|(_, text)| text.lines().any(|line| line.starts_with("$ ")));
    found
}

/// Runs the blocks as documents; gives how many cases passed, or the report of what was not as expected.
fn run(blocks: &[(usize, String)]) -> Result<usize, String> {
    let folder = tempfile::tempdir().expect("a folder");
    for (line, text) in blocks {
        let document = format!("# README.md, line {line}\n\n{BOARD}\n## Line {line}\n\n```console\n{text}```\n");
        fs::write(folder.path().join(format!("line-{line:04}.md")), document).expect("a file");
    }
    let summary = run_paths(&[folder.path().into()], &Options::default(), &BoardMaker, &());
    let passed = summary.count(Status::Passed);
    if summary.exit_code() == 0 { Ok(passed) } else { Err(console::render(&summary, false, true)) }
}

#[test]
fn the_console_blocks_of_the_readme_run() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let page = fs::read_to_string(path).expect("README.md");
    let blocks = blocks(&page);
    assert!(!blocks.is_empty(), "README.md has no console block that can be run");
    match run(&blocks) {
        Ok(passed) => assert_eq!(passed, blocks.len()),
        Err(report) => panic!("README.md does not keep its word:\n{report}"),
    }
}

#[test]
fn a_page_that_does_not_keep_its_word_fails() {
    let page =
        "```console\n$ cargo build\nok\n$ dryburn image info missing.bin\n? 2\n```\n\n```sh\n$ dryburn bogus\n```\n";
    let blocks = blocks(page);
    assert_eq!(blocks, [(1, "$ dryburn image info missing.bin\n? 2\n".to_string())]);
    let report = run(&blocks).expect_err("the command prints something");
    assert!(report.contains("missing.bin: no such file"), "{report}");
    assert!(run(&[(1, "$ dryburn image new a.bin\n".into())]).is_ok());
}
