//! The scenario runner on a board that is none: what is compared, what is reported, what is rewritten.

use dryburn_sim::{
    report::{console, json, junit},
    scenario::{
        Options, Status, Summary,
        cli::{self, RunArgs},
        fake::FakeMaker,
        harness, parse, run_paths,
    },
};
use std::{fs, path::PathBuf};
use tempfile::TempDir;

mod blessing;
mod documents;

/// A folder of documents.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new(documents: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in documents {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self { folder }
    }

    /// The path of a document, or with an empty name of the folder.
    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.folder.path().into() } else { self.folder.path().join(name) }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn run(&self, options: &Options) -> Summary {
        run_paths(&[self.path("")], options, &FakeMaker, &())
    }

    /// A text without the folder's path.
    fn strip(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }

    /// The console report without the folder's path and the time.
    fn report(&self, summary: &Summary) -> String {
        self.strip(&console::render(summary, false, true))
    }
}

const DEVICE: &str = "# Title\n\n```device\nchip = \"esp32c3\"\n```\n\n";

/// A document with one case that holds `console`.
fn case(console: &str) -> String {
    format!("{DEVICE}## Case\n\n```console\n{console}```\n")
}

fn status_of(console: &str) -> (usize, usize) {
    let desk = Desk::new(&[("a.md", &case(console))]);
    let summary = desk.run(&Options::default());
    assert_ne!(summary.exit_code(), 2, "{}", desk.report(&summary));
    (summary.count(Status::Passed), summary.count(Status::Failed))
}

#[test]
fn what_is_compared_and_what_not() {
    for (console, passes) in [
        ("$ echo a\na\n", true),
        ("$ echo a\nb\n", false),
        ("$ echo a\n", false),
        ("$ echo\n", true),
        ("$ echo\na\n", false),
        ("$ echo a b\na…\n", true),
        ("$ echo 'a\\nb\\nc'\na\n...\nc\n", true),
        ("$ echo 'a\\nb\\nc'\na\n...\nd\n", false),
        ("$ echo 'I (123) boot: x'\nI (29) boot: x\n", true),
        ("$ echo 'I (123) boot: x'\nI (…) boot: y\n", false),
        ("$ echo '\u{1b}[0;32mI (5) a: b\u{1b}[0m  '\nI (6) a: b\n", true),
        ("$ echo a\na\n\n\n$ echo b\nb\n", true),
        ("$ fail 2\n...\n? 2\n", true),
        ("$ fail 2\n...\n", false),
        ("$ fail 2\n...\n? 3\n", false),
        ("$ echo a\na\n? 0\n", true),
        ("$ echo a \\\n> 'b c'  # two words\na b c\n", true),
    ] {
        assert_eq!(status_of(console), if passes { (1, 0) } else { (0, 1) }, "{console}");
    }
}

#[test]
fn each_case_starts_from_a_copy_of_the_set_up() {
    let text = format!(
        "{DEVICE}```console\n$ write f one\n$ count\n1\n```\n\n## A\n\n```console\n$ count\n2\n$ write f two\n$ write g x\n```\n\
         \n## Prose\n\nNo commands here.\n\n## B\n\n```console\n$ count\n2\n$ cat f\none\n$ cat g\n…no such file\n? 2\n```\n"
    );
    let desk = Desk::new(&[("a.md", &text)]);
    let summary = desk.run(&Options::default());
    assert_eq!((summary.totals().as_str(), summary.exit_code()), ("2 passed, 0 failed, 0 skipped", 0));
}

#[test]
fn a_failed_set_up_fails_its_cases() {
    let text = format!(
        "{DEVICE}```console\n$ count\n2\n```\n## A\n```console\n$ echo a\na\n```\n## B\n```console\n$ echo\n```\n"
    );
    let desk = Desk::new(&[("a.md", &text)]);
    let summary = desk.run(&Options::default());
    assert_eq!((summary.totals().as_str(), summary.exit_code()), ("0 passed, 2 failed, 0 skipped", 1));
    insta::assert_snapshot!(desk.report(&summary));
}

#[test]
fn a_difference_is_shown_at_its_line() {
    let console = "$ echo 'a\\nb\\nc\\nd\\ne\\nf\\ng'\na\nb\nc\nd\nE\nf\ng\n\n$ fail 3\n...\nwrong\n\n$ echo 'x\\ny'\nx\n\n$ crash\n";
    let desk = Desk::new(&[("a.md", &case(console))]);
    let summary = desk.run(&Options::default());
    let lines: Vec<usize> = summary.documents[0].cases[0].mismatches.iter().map(|m| m.line).collect();
    let text = desk.read("a.md");
    let line_of = |needle: &str| text.lines().position(|line| line == needle).unwrap() + 1;
    assert_eq!(lines, [line_of("E"), line_of("wrong"), line_of("x"), line_of("$ crash")]);
    insta::assert_snapshot!(desk.report(&summary));
}

#[test]
fn colour_is_asked_for_and_output_cannot_steer_the_terminal() {
    let desk = Desk::new(&[("a.md", &case("$ echo 'a\u{8}b\u{1b}[2J'\nx\n"))]);
    let summary = desk.run(&Options::default());
    assert!(!console::render(&summary, false, false).contains('\u{1b}'));
    let coloured = console::render(&summary, true, false);
    assert!(coloured.contains("\u{1b}[1;31m") && coloured.contains("a\\u{8}b") && !coloured.contains("\u{1b}[2J"));
}

const MATRIX: &str = r#"# On {chip}

```device
idf = "5.4"
config = { NAME = "{chip}-{size}" }
skip = [{ chip = "esp32", size = "2K", because = "too small for {chip}" }]
[matrix]
chip = ["esp32", "esp32c3"]
size = ["1K", "2K"]
```

```console
$ write f {chip}
```

## With {size}

```console
$ echo {size} '{other}' {chip}
{size} {other} {chip}
$ cat f
{chip}
```
"#;

#[test]
fn the_matrix_multiplies_and_skips_are_counted() {
    let desk = Desk::new(&[("a.md", MATRIX)]);
    let summary = desk.run(&Options::default());
    assert_eq!(summary.totals(), "3 passed, 0 failed, 1 skipped");
    let names: Vec<String> = summary.documents[0].cases.iter().map(console::full_title).collect();
    let expected: Vec<_> = ["esp32", "esp32c3"]
        .iter()
        .flat_map(|c| ["1K", "2K"].map(|s| format!("With {s} (chip={c}, size={s})")))
        .collect();
    assert_eq!(names, expected);
    assert_eq!(summary.documents[0].cases[1].because.as_deref(), Some("too small for esp32"));
    let document = parse("a.md", MATRIX).unwrap();
    let config = &document.cells[3].spec.config;
    assert_eq!(config["NAME"].to_string(), "esp32c3-2K");
    assert_eq!(document.cells[3].spec.chip, dryburn::Chip::Esp32c3);
    assert_eq!(document.cells[0].spec.flash_size, 4 << 20);
}

#[test]
fn the_filter_takes_part_of_a_name_or_a_regular_expression() {
    let desk = Desk::new(&[("a.md", MATRIX), ("b.md", &case("$ echo a\na\n"))]);
    for (filter, totals, code) in [
        ("With 2K (chip=esp32c3, size=2K)", "1 passed, 0 failed, 0 skipped", 0),
        ("b\\.md: C.se$", "1 passed, 0 failed, 0 skipped", 0),
        ("size=1K", "2 passed, 0 failed, 0 skipped", 0),
        ("((", "0 passed, 0 failed, 0 skipped", 2),
    ] {
        let summary = desk.run(&Options { filter: Some(filter.into()), ..Options::default() });
        assert_eq!((summary.totals().as_str(), summary.exit_code()), (totals, code), "{filter}");
    }
}

#[test]
fn what_cannot_be_read_ends_with_status_2() {
    let desk = Desk::new(&[
        ("big.md", &"x".repeat(1024 * 1024 + 1)),
        ("broken.md", &case("$ echo a\na\n").replace("```device\n", "```device\nstrap = \"broken\"\n")),
        ("good.md", &case("$ echo a\na\n")),
    ]);
    fs::write(desk.path("latin1.md"), b"# T\xe9\n").unwrap();
    let summary = desk.run(&Options::default());
    assert_eq!((summary.exit_code(), summary.totals().as_str()), (2, "1 passed, 0 failed, 0 skipped"));
    insta::assert_snapshot!(desk.report(&summary));
}

#[test]
fn no_documents_is_an_error() {
    let desk =
        Desk::new(&[("README.md", "# The format\n\n````markdown\n```console\n$ a\n```\n````\n"), ("empty/x.txt", "")]);
    for path in [desk.path(""), desk.path("empty"), desk.path("missing.md")] {
        let summary = run_paths(&[path], &Options::default(), &FakeMaker, &());
        assert_eq!((summary.exit_code(), summary.errors.len()), (2, 1));
    }
    assert_eq!(run_paths(&[], &Options::default(), &FakeMaker, &()).exit_code(), 2);
    let trials = harness::trials(&desk.path("empty"), &FakeMaker);
    assert!(trials.into_iter().map(|trial| (trial.run)()).eq([Err(format!(
        "{}: no scenarios in this folder: expected files that end in .md",
        desk.path("empty").display()
    ))]));
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_not_followed() {
    let outside = Desk::new(&[("b.md", &case("$ echo b\nb\n"))]);
    let desk = Desk::new(&[("a.md", &case("$ echo a\na\n"))]);
    std::os::unix::fs::symlink(outside.path(""), desk.path("folder")).unwrap();
    std::os::unix::fs::symlink(outside.path("b.md"), desk.path("b.md")).unwrap();
    std::os::unix::fs::symlink(desk.path("a.md"), desk.path("c.md")).unwrap();
    let summary = desk.run(&Options::default());
    let paths: Vec<String> = summary.documents.iter().map(|d| desk.strip(&d.path)).collect();
    assert_eq!(paths, ["a.md", "c.md"]);
}

/// A folder whose documents pass, fail, are skipped and cannot be read.
fn mixed() -> Desk {
    let documents: Vec<(String, String)> = (0..12)
        .map(|n| {
            (
                format!("{}/{n:02}.md", n % 3),
                case(&format!("$ echo {n}\n{}\n", n / 2 * 2)).replace("Case", "a < b & \u{1}"),
            )
        })
        .chain([("m.md".to_string(), MATRIX.to_string()), ("n.md".to_string(), "# no device".to_string())])
        .collect();
    Desk::new(&documents.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>())
}

#[test]
fn the_order_does_not_depend_on_the_threads() {
    let desk = mixed();
    let reports: Vec<String> = [1, 2, 7, 7]
        .into_iter()
        .map(|threads| {
            let pool = rayon_pool(threads);
            let summary = pool.install(|| desk.run(&Options::default()));
            format!("{}{}", json::render(&summary), console::render(&summary, false, true))
        })
        .collect();
    assert!(reports.iter().all(|report| *report == reports[0]));
    assert!(reports[0].ends_with("\n9 passed, 6 failed, 1 skipped\n"), "{}", reports[0]);
}

fn rayon_pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

#[test]
fn json_says_it_all() {
    let desk = Desk::new(&[("a.md", &case("$ fail 1\nx\n")), ("m.md", MATRIX), ("n.md", "# no device")]);
    let text = desk.strip(&json::render(&desk.run(&Options::default())));
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["schema_version"], 1);
    insta::assert_snapshot!(text);
}

#[test]
fn junit_is_well_formed() {
    let desk = mixed();
    let summary = desk.run(&Options::default());
    let xml = junit::render(&summary).unwrap();
    let report = quick_junit::Report::deserialize_from_str(&xml).unwrap();
    assert_eq!((report.tests, report.failures, report.errors, report.skipped), (17, 6, 1, 1));
    assert!(!xml.contains('\u{1}'));
    assert!(xml.contains("a &lt; b &amp;"));
}

#[test]
fn the_command_line_writes_junit_and_gives_the_status() {
    let desk = mixed();
    let out = Desk::new(&[]);
    let args =
        |path, junit| RunArgs { paths: vec![desk.path(path)], junit: Some(junit), quiet: true, ..RunArgs::default() };
    assert_eq!(cli::main(args("m.md", out.path("j.xml")), &FakeMaker), 0);
    assert!(out.read("j.xml").contains("<testsuite "));
    assert_eq!(cli::main(args("1/01.md", out.path("j.xml")), &FakeMaker), 1);
    assert_eq!(cli::main(args("n.md", out.path("j.xml")), &FakeMaker), 2);
    assert_eq!(cli::main(args("m.md", out.path("no/such/j.xml")), &FakeMaker), 2);
}

#[test]
fn a_harness_runs_each_document_as_a_test() {
    let skipped = MATRIX.replace("chip = \"esp32\", size = \"2K\", ", "");
    let desk = Desk::new(&[("a/a.md", &case("$ echo a\na\n")), ("b.md", &case("$ echo a\nb\n")), ("s.md", &skipped)]);
    let trials = harness::trials(&desk.path(""), &FakeMaker);
    let shown: Vec<_> = trials.into_iter().map(|t| (t.name.clone(), t.ignored, (t.run)().is_ok())).collect();
    let row = |name: &str, ignored, ok| (name.to_string(), ignored, ok);
    assert_eq!(shown, [row("a/a.md", false, true), row("b.md", false, false), row("s.md", true, true)]);
}
