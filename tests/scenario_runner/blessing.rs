//! `--bless`: what is rewritten, and what is left alone.

use super::{DEVICE, Desk, MATRIX, case};
use dryburn_sim::{
    scenario::{Options, Status, Summary},
    strategy::scenario as strategy,
};
use proptest::prelude::*;

fn bless(text: &str) -> (String, Summary, Desk) {
    let desk = Desk::new(&[("a.md", text)]);
    let summary = desk.run(&Options { bless: true, ..Options::default() });
    (desk.read("a.md"), summary, desk)
}

#[test]
fn bless_keeps_prose_and_what_still_matches() {
    let before = format!(
        "{DEVICE}Prose,  with trailing spaces.  \n\n```console\n$ count\nold\n```\n\n## Case\n\n   ```console\n   $ echo 'one two\\nI (9) b: c\\nx\\ny\\nz\\nnew'\n   one …\n   I (…) b: c\n   ...\n   z\n   gone\n\n   $ fail 3  # fails\n   ...\n   $ echo '$ a\\n? 1\\n```'\n   $ echo a\n   a\n   ? 0\n   ```\n\nThe end"
    );
    let after = before
        .replace("old\n", "1\n")
        .replace("   gone\n", "   new\n")
        .replace("# fails\n   ...\n", "# fails\n   ...\n   ? 3\n")
        .replace("```'\n", "```'\n   … a\n   … 1\n   …``\n");
    let (text, summary, desk) = bless(&before);
    assert_eq!(text, after);
    assert_eq!((summary.exit_code(), summary.documents[0].blessed), (0, 4));
    let again = desk.run(&Options::default());
    assert_eq!(again.exit_code(), 0, "{}", desk.report(&again));
}

#[test]
fn bless_keeps_the_line_endings() {
    let before = case("$ echo 'a\\nb'\nx\n").replace('\n', "\r\n");
    let (text, ..) = bless(&before);
    assert_eq!(text, before.replace("x\r\n", "a\r\nb\r\n"));
}

#[test]
fn bless_leaves_documents_that_match_or_cannot_be_read_alone() {
    for text in [case("$ echo a\n…\n"), "```console\n$ a\n".into(), case("$ crash\nx\n")] {
        assert_eq!(bless(&text).0, text);
    }
}

#[test]
fn bless_refuses_only_where_the_cells_of_the_matrix_differ() {
    let before = MATRIX.replace("{size} {other} {chip}\n", "old\n").replace("$ cat f\n{chip}\n", "$ cat f\n");
    let (text, summary, _) = bless(&before);
    assert_eq!(text, before.replace("$ cat f\n", "$ cat f\n{chip}\n"), "sizes of two characters are not put back");
    assert_eq!((summary.exit_code(), summary.documents[0].blessed), (1, 1));
    let because = summary.documents[0].cases[0].because.as_deref();
    assert_eq!(because, Some("not blessed: the cells of the matrix differ"));
}

#[test]
fn bless_never_lets_three_dots_swallow_what_was_expected() {
    let (text, ..) = bless(&case("$ echo 'x\\nboot:0x1\\ny'\n...\nboot:0x2\n...\n"));
    assert_eq!(text, case("$ echo 'x\\nboot:0x1\\ny'\n...\nboot:0x1\n...\n"));
    for expected in ["...\nboot\n...\n", "...\nboot\n", "boot\n...\n", "...\nboot\nz\n"] {
        let before = case(&format!("$ echo 'x\\ny\\nz'\n{expected}"));
        let (text, summary, _) = bless(&before);
        assert_eq!(text, before);
        assert_eq!((summary.exit_code(), summary.documents[0].blessed), (1, 0), "{expected}");
        let because = summary.documents[0].cases[0].because.as_deref().unwrap();
        assert!(because.contains("is gone and the `...` beside it would hide that"), "{because}");
    }
}

proptest! {
    #[test]
    fn blessed_documents_pass(text in strategy::document_text()) {
        let desk = Desk::new(&[("a.md", &text)]);
        let first = desk.run(&Options { bless: true, ..Options::default() });
        let blessed = desk.read("a.md");
        let second = desk.run(&Options::default());
        // Only where cells differ may anything be left.
        let refused = first.count(Status::Failed);
        prop_assert_eq!(second.count(Status::Failed) > 0, refused > 0, "{}\n=>\n{}", text, blessed);
    }
}
