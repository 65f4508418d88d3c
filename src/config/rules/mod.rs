//! What must be true within one file besides its shape.
//!
//! Rules read the parsed text, not the typed value, so that a file with a
//! mistyped key still gets all its other mistakes reported.

mod host;
mod kmod;
mod project;
mod tier;

use std::collections::BTreeMap;
use std::ops::Range;

pub(super) use host::{SECRET_HELP, host, is_public_key, secret_in};
pub(super) use kmod::kmod;
pub(super) use project::project;
pub(super) use tier::{tier1, tier2};

use super::document::Node;
use super::error::{ConfigErrorKind, Finding};

/// Format version this program reads, the same for every file.
const VERSION: i64 = 1;

/// The version, where it is one whose files cannot be judged at all.
pub(super) fn unsupported_version(root: Node<'_>) -> Option<Finding> {
    let node = root.get("version")?;
    let found = node.integer().filter(|found| *found != VERSION)?;
    let newer = if found > VERSION { "; the file was written for a newer one" } else { "" };
    let help = format!("this imgbuild reads version {VERSION}{newer}");
    Some(Finding::at(node.span(), ConfigErrorKind::Version { found }).help(help))
}

fn bad_value(node: Node<'_>, reason: impl Into<String>) -> Finding {
    Finding::at(node.span(), ConfigErrorKind::BadValue { reason: reason.into() })
}

/// Both of two keys are too many.
fn not_both(node: Node<'_>, first: &'static str, second: &'static str, findings: &mut Vec<Finding>) {
    if let (Some(one), Some(other)) = (node.key_span(first), node.key_span(second)) {
        let (early, late) = if one.start < other.start { (one, other) } else { (other, one) };
        findings.push(
            Finding::at(late, ConfigErrorKind::Exclusive { first, second })
                .also(early, "the other one")
                .help("remove one of them"),
        );
    }
}

/// One of two keys, not none and not both.
fn exactly_one(node: Node<'_>, first: &'static str, second: &'static str, findings: &mut Vec<Finding>) {
    not_both(node, first, second, findings);
    if !node.has(first) && !node.has(second) {
        findings.push(Finding::at(node.head(), ConfigErrorKind::NeitherOf { first, second }).help("give one of them"));
    }
}

/// Reports the second and later uses of a name.
#[derive(Debug)]
struct Seen<'a> {
    what: &'static str,
    first: BTreeMap<&'a str, Range<usize>>,
}

impl<'a> Seen<'a> {
    const fn new(what: &'static str) -> Self {
        Self { what, first: BTreeMap::new() }
    }

    fn note(&mut self, name: &'a str, span: Range<usize>, findings: &mut Vec<Finding>) {
        if let Some(first) = self.first.get(name) {
            let kind = ConfigErrorKind::Duplicate { what: self.what, name: name.to_owned() };
            findings.push(
                Finding::at(span, kind).label("again").also(first.clone(), "first here").help("remove one of them"),
            );
        } else {
            self.first.insert(name, span);
        }
    }
}

/// Every text of the array below a key is there once.
fn unique(node: Node<'_>, key: &str, what: &'static str, findings: &mut Vec<Finding>) {
    let mut seen = Seen::new(what);
    for (text, item) in node.texts_of(key) {
        seen.note(text, item.span(), findings);
    }
}

/// A single word, as in a line of sources.list.
fn word(text: &str, node: Node<'_>, findings: &mut Vec<Finding>) {
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
        findings.push(bad_value(node, format!("{text:?} is not one word: no spaces or control characters")));
    }
}

/// An address of an archive or repository.
fn url(text: &str, node: Node<'_>, findings: &mut Vec<Finding>) {
    const SCHEMES: [&str; 3] = ["https://", "http://", "file:///"];
    if !SCHEMES.iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme)) {
        findings.push(bad_value(
            node,
            format!("`{text}` is not an address: begin with `https://`, `http://` or `file:///`"),
        ));
    } else if !text.chars().all(|c| c.is_ascii_graphic()) {
        findings.push(bad_value(node, format!("{text:?} is not an address: no spaces or control characters")));
    }
}

/// Whether a path stays inside the folder it is relative to.
pub(super) fn is_inside(path: &str) -> bool {
    path.trim_end_matches('/').split('/').all(|part| !part.is_empty() && part != "..")
}

/// A file or folder of the project.
fn relative(text: &str, node: Node<'_>, findings: &mut Vec<Finding>) {
    if !is_inside(text) {
        let reason = format!("`{text}` is not a path inside the project: no leading `/`, no `..`");
        findings.push(bad_value(node, reason));
    }
}
