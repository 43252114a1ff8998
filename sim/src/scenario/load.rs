//! Which files are meant, and their text.

use super::{Diagnostic, MAX_DOCUMENT, parse};
use std::{
    collections::BTreeMap,
    fs, io,
    io::Read,
    path::{Path, PathBuf},
};

/// A document's file.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub label: String,
    pub path: PathBuf,
}

/// The documents that `paths` mean, in the order of their labels, and what is wrong with the request.
pub(super) fn find(paths: &[PathBuf]) -> (Vec<Source>, Vec<String>) {
    let mut found = BTreeMap::new();
    let mut errors = Vec::new();
    if paths.is_empty() {
        errors.push("no scenarios given: name a Markdown file or a folder of them".into());
    }
    for path in paths {
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                let before = found.len();
                let root = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
                let mut seen = 0_usize;
                walk(
                    path,
                    &root,
                    &mut |file| {
                        seen = seen.saturating_add(1);
                        insert(&mut found, file);
                    },
                    &mut errors,
                );
                if found.len() == before && seen == 0 {
                    errors
                        .push(format!("{}: no scenarios in this folder: expected files that end in .md", label(path)));
                }
            }
            Ok(_) => insert(&mut found, path.clone()),
            Err(e) => errors.push(format!("{}: {}", label(path), reason(&e))),
        }
    }
    (found.into_iter().map(|(label, path)| Source { label, path }).collect(), errors)
}

fn insert(found: &mut BTreeMap<String, PathBuf>, path: PathBuf) {
    found.insert(label(&path), path);
}

/// The path as shown: `/` between its parts, no `./` before them.
fn label(path: &Path) -> String {
    let text = path.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
    let short = text.strip_prefix("./").filter(|rest| !rest.is_empty());
    short.unwrap_or(&text).into()
}

/// Calls `visit` with every document below `folder`. Links to folders are not followed, and links to files only inside
/// of `root`.
fn walk(folder: &Path, root: &Path, visit: &mut dyn FnMut(PathBuf), errors: &mut Vec<String>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) => return errors.push(format!("{}: {}", label(folder), reason(&e))),
    };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        let is_document = path.extension().is_some_and(|e| e == "md");
        let inside = || fs::canonicalize(&path).is_ok_and(|real| real.is_file() && real.starts_with(root));
        if kind.is_dir() {
            walk(&path, root, visit, errors);
        } else if is_document && (kind.is_file() || inside()) && !is_plain_readme(&path) {
            visit(path);
        }
    }
}

/// A README without commands is not a scenario.
fn is_plain_readme(path: &Path) -> bool {
    let named = path.file_name().is_some_and(|name| name.eq_ignore_ascii_case("README.md"));
    named && read(path, "").is_ok_and(|text| !parse::has_console(&text))
}

/// Reads a document's text.
pub(super) fn read(path: &Path, label: &str) -> Result<String, Diagnostic> {
    let fail = |title: String, help: Option<&str>| Diagnostic::whole(label, title, help.map(String::from));
    let meta = fs::metadata(path).map_err(|e| fail(reason(&e), None))?;
    if !meta.is_file() {
        return Err(fail("not a regular file".into(), None));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|e| fail(reason(&e), None))?;
    file.take(MAX_DOCUMENT.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| fail(reason(&e), None))?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        let size = meta.len().max(bytes.len() as u64);
        let title = format!("the document has {size} bytes, expected at most {MAX_DOCUMENT}");
        return Err(fail(title, Some("split it into several documents")));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let byte = e.as_bytes().get(at).copied().unwrap_or_default();
        fail(format!("not UTF-8 text: byte {byte:#04x} at offset {at:#x}"), Some("save the document as UTF-8"))
    })
}

/// An operating system error in words that do not depend on the platform's numbers.
pub(super) fn reason(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::NotFound => "no such file or folder".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::IsADirectory => "is a folder".into(),
        _ => e.to_string(),
    }
}

/// Gives the folder `to` what is in the folder `from`: files and folders, no symbolic links. The files are shared (hard
/// links, where the file system knows them), as a case changes few of them: whoever writes replaces a file.
pub(super) fn share_folder(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            fs::create_dir(&target)?;
            share_folder(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::hard_link(entry.path(), &target).or_else(|_| fs::copy(entry.path(), &target).map(|_| ()))?;
        }
    }
    Ok(())
}
