//! What can be wrong with a definition, with its place.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::Family;
use super::secrets::{self, SecretKind};
use crate::model::{KmodSetName, TierName};

/// What is wrong, without the place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum ConfigErrorKind {
    #[error("not valid TOML: {reason}")]
    Syntax { reason: String },
    #[error("version {found} of the file format is not supported")]
    Version { found: i64 },
    #[error("unknown key `{key}`")]
    UnknownKey { key: String },
    #[error("missing key `{key}`")]
    MissingKey { key: String },
    #[error("expected {expected}, found {found}")]
    WrongType { expected: String, found: String },
    #[error("{reason}")]
    BadValue { reason: String },
    #[error("`{first}` and `{second}` exclude each other")]
    Exclusive { first: &'static str, second: &'static str },
    #[error("neither `{first}` nor `{second}` is given")]
    NeitherOf { first: &'static str, second: &'static str },
    #[error("there is no {kind} `{name}`")]
    UnknownName { kind: NameKind, name: String },
    #[error("{what} `{name}` is given twice")]
    Duplicate { what: &'static str, name: String },
    #[error("`min` is {min}, more than `max`, which is {max}")]
    MinAboveMax { min: i64, max: i64 },
    #[error("destination `{to}` is not under /usr or /etc")]
    Destination { to: String },
    #[error("module set `{name}` lies in the folder `{folder}`")]
    FolderName { name: String, folder: String },
    #[error("tier {found} has no file of its own here")]
    TierNumber { found: i64 },
    #[error("`{name}` is a tier-2 image, and a tier-2 image stands on a tier-1 image")]
    BaseTier { name: TierName },
    #[error("nothing says what {hosts} stands on")]
    NoBase { hosts: String },
    #[error("module set `{set}` cannot be built with {family} packages, and `{base}` is made of them")]
    Family { set: KmodSetName, family: Family, base: TierName },
    #[error("{kind} would become part of an image layer")]
    Secret { kind: SecretKind },
    #[error("`{path}` does not exist")]
    MissingFile { path: String },
    #[error("`{path}` cannot be read")]
    Unreadable { path: String, source: io::Error },
    #[error("{reason}")]
    FileName { reason: String },
}

impl ConfigErrorKind {
    /// Stable name of the kind, for machines and for searching the manual.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "config::syntax",
            Self::Version { .. } => "config::unsupported-version",
            Self::UnknownKey { .. } => "config::unknown-key",
            Self::MissingKey { .. } => "config::missing-key",
            Self::WrongType { .. } => "config::wrong-type",
            Self::BadValue { .. } => "config::bad-value",
            Self::Exclusive { .. } => "config::exclusive-keys",
            Self::NeitherOf { .. } => "config::neither-key",
            Self::UnknownName { .. } => "config::unknown-name",
            Self::Duplicate { .. } => "config::duplicate",
            Self::MinAboveMax { .. } => "config::min-above-max",
            Self::Destination { .. } => "config::destination",
            Self::FolderName { .. } => "config::folder-name",
            Self::TierNumber { .. } => "config::tier-number",
            Self::BaseTier { .. } => "config::base-tier",
            Self::NoBase { .. } => "config::no-base",
            Self::Family { .. } => "config::family",
            Self::Secret { .. } => "config::secret",
            Self::MissingFile { .. } => "config::missing-file",
            Self::Unreadable { .. } => "config::unreadable",
            Self::FileName { .. } => "config::file-name",
        }
    }
}

/// What a name that leads nowhere was meant to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A tier-1 or tier-2 image.
    Tier,
    /// A kernel module set.
    KmodSet,
    /// A module of the set at hand.
    Module,
    /// A placeholder in a pattern.
    Placeholder,
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tier => "tier",
            Self::KmodSet => "module set",
            Self::Module => "entry in `verify.modules`",
            Self::Placeholder => "placeholder",
        })
    }
}

/// One thing that is wrong within a file whose name and text are known elsewhere.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) kind: ConfigErrorKind,
    pub(super) span: Option<Range<usize>>,
    label: Option<String>,
    pub(super) help: Option<String>,
    also: Vec<(Range<usize>, String)>,
    hidden: Option<Range<usize>>,
}

impl Finding {
    /// At a place of the file.
    pub(super) fn at(span: Range<usize>, kind: ConfigErrorKind) -> Self {
        Self { kind, span: Some(span), label: None, help: None, also: Vec::new(), hidden: None }
    }

    /// About the file as a whole.
    pub(super) fn whole(kind: ConfigErrorKind) -> Self {
        Self { kind, span: None, label: None, help: None, also: Vec::new(), hidden: None }
    }

    /// Words under the underlined text.
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// What to do about it.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Another sentence of help.
    pub(super) fn more_help(mut self, help: &str) -> Self {
        self.help = Some(self.help.map_or_else(|| help.to_owned(), |first| format!("{first}; {help}")));
        self
    }

    /// A place whose text must not be quoted, besides the secrets that are recognised where they stand.
    pub(super) fn hide(mut self, span: Range<usize>) -> Self {
        self.hidden = Some(span);
        self
    }

    /// A second place of the same file.
    pub(super) fn also(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.also.push((span, label.into()));
        self
    }
}

/// One thing that is wrong with a definition: what, where, and how to mend it.
///
/// Secrets in the quoted text are masked.
#[derive(Debug)]
pub struct ConfigError {
    kind: ConfigErrorKind,
    file: String,
    source: Option<Arc<NamedSource<String>>>,
    position: Option<Position>,
    labels: Vec<LabeledSpan>,
    help: Option<String>,
}

/// A place in a text; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl Position {
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        Self { line, column: 1 + String::from_utf8_lossy(&before[start..]).chars().count() }
    }
}

impl ConfigError {
    /// What is wrong.
    pub fn kind(&self) -> &ConfigErrorKind {
        &self.kind
    }

    /// The file, relative to the project; built-in files begin with `built-in:`.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The place in the file, unless the whole file is meant.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    fn new(file: &str, source: Option<&Arc<NamedSource<String>>>, finding: Finding) -> Self {
        let Finding { kind, span, label, help, also, hidden: _ } = finding;
        let source = source.filter(|_| span.is_some()).cloned();
        let position = match (&source, &span) {
            (Some(source), Some(span)) => Some(Position::of(source.inner(), span.start)),
            _ => None,
        };
        let first = span.map(|span| LabeledSpan::new_primary_with_span(label, span));
        let others = also.into_iter().map(|(span, label)| LabeledSpan::new_with_span(Some(label), span));
        Self { kind, file: file.to_owned(), source, position, labels: first.into_iter().chain(others).collect(), help }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Where a source is quoted, it names the file; some messages do so themselves.
        let named = matches!(self.kind, ConfigErrorKind::MissingFile { .. } | ConfigErrorKind::Unreadable { .. });
        if self.source.is_some() || named { self.kind.fmt(f) } else { write!(f, "{}: {}", self.file, self.kind) }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.kind)
    }
}

impl Diagnostic for ConfigError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.kind.code()))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_deref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.source.as_ref()?;
        Some(Box::new(self.labels.iter().cloned()))
    }
}

/// For `--json`.
impl Serialize for ConfigError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("ConfigError", 6)?;
        object.serialize_field("code", self.kind.code())?;
        object.serialize_field("message", &self.kind.to_string())?;
        object.serialize_field("file", &self.file)?;
        object.serialize_field("line", &self.position.map(|position| position.line))?;
        object.serialize_field("column", &self.position.map(|position| position.column))?;
        object.serialize_field("help", &self.help)?;
        object.end()
    }
}

/// Everything that is wrong with a definition, in the order of files and places. Never empty.
#[derive(Debug)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// The errors of one file; `text` is absent where the file could not be read.
    pub(super) fn of_file(file: &str, text: Option<&str>, mut findings: Vec<Finding>) -> Vec<ConfigError> {
        findings.sort_by_key(|finding| finding.span.as_ref().map(|span| span.start));
        let hidden: Vec<_> = findings.iter().filter_map(|finding| finding.hidden.clone()).collect();
        let source = text.map(|text| Arc::new(NamedSource::new(file, secrets::masked(text, hidden))));
        findings.into_iter().map(|finding| ConfigError::new(file, source.as_ref(), finding)).collect()
    }

    /// What is wrong with one file whose text is known; never empty.
    pub(super) fn in_file(file: &str, text: &str, findings: Vec<Finding>) -> Self {
        Self(Self::of_file(file, Some(text), findings))
    }

    /// One thing that is wrong with a file as a whole.
    pub(super) fn single(file: &str, finding: Finding) -> Self {
        Self(Self::of_file(file, None, vec![finding]))
    }

    /// `Err` with the errors, if there are any.
    pub(super) fn check(errors: Vec<ConfigError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }

    /// One by one.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the definition has one error"),
            count => write!(f, "the definition has {count} errors"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

impl Diagnostic for ConfigErrors {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.0.iter().map(|error| error as &dyn Diagnostic)))
    }
}
