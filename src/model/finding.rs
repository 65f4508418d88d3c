//! What checks report: stable codes with a page each, and what was found where.

use std::fmt;

use serde::Serialize;

/// How much a finding weighs, gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The image does not load its modules, does not boot, or must not be published.
    Failure,
    /// It will hurt later, at an update or on some machines; an image may have its reason.
    Warning,
    /// Worth knowing; nothing is wrong.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Failure => "failure",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// The manual's page of one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Page {
    /// The code as reports print it; its meaning never changes.
    pub code: &'static str,
    /// What is found, in one line.
    pub title: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// What it means and how it comes about.
    pub paragraph: &'static str,
    /// What the operator does about it.
    pub fix: &'static str,
}

/// The codes of one kind of check.
pub trait FindingCode: Copy + Ord + fmt::Debug {
    /// Its page.
    fn page(self) -> Page;
}

/// One problem found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding<C> {
    /// What kind.
    pub code: C,
    /// The absolute path, module, package, account or label it is about.
    pub subject: String,
    /// What is wrong, as the rest of a sentence that begins with the subject.
    pub message: String,
}

impl<C: FindingCode> fmt::Display for Finding<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.code.page().code, self.subject, self.message)
    }
}
