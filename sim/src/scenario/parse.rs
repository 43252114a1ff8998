//! Reading a document.

use super::{
    Diagnostic, MAX_DOCUMENT, console, device,
    diagnostic::Flaw,
    document::{Case, Document, Step},
    fences::{self, Block, Fence, Line},
};

/// More diagnostics than this are not reported for one document.
const MAX_DIAGNOSTICS: usize = 20;
/// A device or partitions block with more bytes than this is refused: each cell of the matrix has its own copy.
const MAX_BLOCK: usize = 64 * 1024;

/// Reads the document `text`; `path_label` is what diagnostics and reports call it.
///
/// # Errors
///
/// All that is wrong with it, at most 20 diagnostics, in the order of the lines.
pub fn parse(path_label: &str, text: &str) -> Result<Document, Vec<Diagnostic>> {
    if text.len() as u64 > MAX_DOCUMENT {
        let help = "split it into several documents".to_string();
        let title = format!("the document has {} bytes, expected at most {MAX_DOCUMENT}", text.len());
        return Err(vec![Diagnostic::whole(path_label, title, Some(help))]);
    }
    let mut flaws = Vec::new();
    let document = match fences::scan(text) {
        Ok(blocks) => Reader::new(path_label, text, &mut flaws).read(blocks),
        Err(flaw) => {
            flaws.push(flaw);
            None
        }
    };
    match document {
        Some(document) if flaws.is_empty() => Ok(document),
        _ => {
            flaws.sort_by_key(|flaw| flaw.span.start);
            flaws.truncate(MAX_DIAGNOSTICS);
            Err(flaws.into_iter().map(|flaw| Diagnostic::place(path_label, text, flaw)).collect())
        }
    }
}

/// Whether `text` has console blocks: a README without any is not a scenario.
pub(super) fn has_console(text: &str) -> bool {
    // A text whose blocks do not end is read as a scenario, so that it is complained about.
    fences::scan(text).map_or(true, |blocks| {
        blocks.iter().any(|block| matches!(block, Block::Fence(fence) if fence.language == "console"))
    })
}

struct Reader<'a, 'f> {
    path: &'a str,
    text: &'a str,
    flaws: &'f mut Vec<Flaw>,
    title: Option<&'a str>,
    device: Option<Fence<'a>>,
    partitions: Option<Fence<'a>>,
    setup: Vec<Step>,
    sections: Vec<Section<'a>>,
}

/// A `##` section; a case if it holds commands.
struct Section<'a> {
    title: &'a str,
    line: Line<'a>,
    steps: Option<Vec<Step>>,
}

impl<'a, 'f> Reader<'a, 'f> {
    fn new(path: &'a str, text: &'a str, flaws: &'f mut Vec<Flaw>) -> Self {
        let (setup, sections) = (Vec::new(), Vec::new());
        Self { path, text, flaws, title: None, device: None, partitions: None, setup, sections }
    }

    fn read(mut self, blocks: Vec<Block<'a>>) -> Option<Document> {
        for block in blocks {
            match block {
                Block::Heading { level: 1, title, .. } => self.title = self.title.or(Some(title)),
                Block::Heading { level: 2, title, line } => self.sections.push(Section { title, line, steps: None }),
                Block::Heading { .. } => {}
                Block::Fence(fence) => match fence.language {
                    "device" | "partitions" => self.once(fence),
                    "console" => self.console(&fence),
                    _ => {}
                },
            }
        }
        self.check_cases();
        self.document()
    }

    /// A block that stands once, before the first case.
    fn once(&mut self, fence: Fence<'a>) {
        let size: usize = fence.body.iter().map(|line| line.text.len()).sum();
        if size > MAX_BLOCK {
            let title = format!("the {} block has {size} bytes, expected at most {MAX_BLOCK}", fence.language);
            self.flaws.push(Flaw::new(fence.open.span(), title, ""));
            return;
        }
        let in_case = !self.sections.is_empty();
        let slot = if fence.language == "device" { &mut self.device } else { &mut self.partitions };
        let name = fence.language;
        if let Some(first) = slot {
            let label = format!("the first is on line {}", first.open.number);
            self.flaws.push(Flaw::new(fence.open.span(), format!("a second {name} block"), label));
        } else if in_case {
            let title = format!("the {name} block belongs before the first `##`");
            self.flaws.push(Flaw::new(fence.open.span(), title, "this one is in a case"));
            *slot = Some(fence);
        } else {
            *slot = Some(fence);
        }
    }

    fn console(&mut self, fence: &Fence<'_>) {
        let steps = console::steps(fence).unwrap_or_else(|flaw| {
            self.flaws.push(flaw);
            Vec::new()
        });
        match self.sections.last_mut() {
            None => self.setup.extend(steps),
            Some(section) => section.steps.get_or_insert_default().extend(steps),
        }
    }

    fn check_cases(&mut self) {
        let mut seen = std::collections::BTreeMap::new();
        for section in self.sections.iter().filter(|section| section.steps.is_some()) {
            let span = section.line.span();
            if section.title.is_empty() {
                self.flaws.push(Flaw::new(span, "a case without a title", "").help("write `## What happens`"));
            } else if let Some(first) = seen.insert(section.title, section.line.number) {
                let label = format!("the first is on line {first}");
                self.flaws.push(Flaw::new(span, "two cases have the same title", label));
            }
        }
    }

    fn document(self) -> Option<Document> {
        let first_line = 0..self.text.lines().next().map_or(0, str::len);
        let cases: Vec<Case> = self
            .sections
            .into_iter()
            .filter_map(|s| Some(Case { title: s.title.into(), line: s.line.number, steps: s.steps? }))
            .collect();
        let Some(fence) = self.device else {
            let example = "a scenario says which board it is about: a ```device block with `chip = \"esp32c3\"`";
            self.flaws.push(Flaw::new(first_line, "no device block", "").help(example));
            return None;
        };
        if cases.is_empty() && self.setup.is_empty() && self.flaws.is_empty() {
            self.flaws.push(
                Flaw::new(first_line, "nothing to run", "")
                    .help("write a ```console block with `$ command` and what it prints"),
            );
        }
        let body = fence.open.next..fence.body.last().map_or(fence.open.next, |line| line.next);
        let toml = self.text.get(body.clone()).unwrap_or_default();
        let partitions = self.partitions.as_ref().map(partition_text);
        if let Some(fence) = self.partitions.filter(|_| partitions.as_ref().is_some_and(|p| p.trim().is_empty())) {
            self.flaws.push(Flaw::new(fence.open.span(), "an empty partitions block", ""));
        }
        let (device, places) = match device::read(toml, body.start, fence.open.span()) {
            Ok(read) => read,
            Err(flaws) => {
                self.flaws.extend(flaws);
                return None;
            }
        };
        let cells = match device.cells(partitions.as_deref()) {
            Ok(cells) => cells,
            Err(bad) => {
                self.flaws.push(bad.flaw(&places));
                return None;
            }
        };
        let title = match self.title.filter(|title| !title.is_empty()) {
            Some(title) => title.to_string(),
            None => default_title(self.path),
        };
        let (path, device_line, setup) = (self.path.into(), fence.open.number, self.setup);
        Some(Document { path, title, device_line, device, partitions, cells, setup, cases })
    }
}

fn partition_text(fence: &Fence<'_>) -> String {
    fence.body.iter().map(|line| format!("{}\n", fences::unindent(line.text, fence.indent).0)).collect()
}

/// The file's name without its extension.
pub(super) fn default_title(path: &str) -> String {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    name.strip_suffix(".md").unwrap_or(name).into()
}
