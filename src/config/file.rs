//! One file of a definition: read, held against its shape, judged by its rules.

use std::sync::LazyLock;

use serde::de::DeserializeOwned;

use super::document::{Document, Node};
use super::error::{ConfigError, ConfigErrorKind, ConfigErrors, Finding, Position};
use super::folder::Folders;
use super::names::{NameRef, RefKind};
use super::rules;
use super::shape::{Shape, ShapeError};
use super::{Host, KmodSet, Project, Tier1, Tier2};

/// Name of a project's root file.
pub(super) const PROJECT_FILE: &str = "imgbuild.toml";

/// A file as read and judged by itself.
#[derive(Debug)]
pub(super) struct Loaded<T> {
    pub(super) path: String,
    text: Option<String>,
    /// Absent when something is wrong with the file.
    pub(super) value: Option<T>,
    pub(super) findings: Vec<Finding>,
    /// Names of other files it uses.
    pub(super) refs: Vec<NameRef>,
}

impl<T> Loaded<T> {
    pub(super) fn failed(path: String, finding: Finding) -> Self {
        let findings = vec![finding];
        Self { path, text: None, value: None, findings, refs: Vec::new() }
    }

    pub(super) fn into_errors(self, errors: &mut Vec<ConfigError>) -> Option<T> {
        if !self.findings.is_empty() {
            errors.extend(ConfigErrors::of_file(&self.path, self.text.as_deref(), self.findings));
        }
        self.value
    }

    /// The lines that name `name` as `kind`, each with the file's own name in front.
    pub(super) fn places_of(&self, kind: RefKind, name: &str) -> impl Iterator<Item = String> {
        let text = self.text.as_deref().unwrap_or_default();
        let named = self.refs_of(kind).filter(move |named| named.name == name);
        named.map(move |named| format!("{}:{}", self.path, Position::of(text, named.span.start).line))
    }

    /// Place of the name this file uses as `kind`, in the file's order.
    pub(super) fn refs_of(&self, kind: RefKind) -> impl Iterator<Item = &NameRef> {
        self.refs.iter().filter(move |name| name.kind == kind)
    }
}

/// A tier file of either kind.
#[derive(Debug)]
pub(super) enum AnyTier {
    First(Box<Tier1>),
    Second(Box<Tier2>),
}

/// What one file's judge finds out besides its shape.
#[derive(Debug, Default)]
struct Judged {
    findings: Vec<Finding>,
    refs: Vec<NameRef>,
}

/// Reads one file's text: shape, rules, then the typed value if nothing is wrong.
fn judge<T: DeserializeOwned>(
    path: String,
    text: String,
    shape: &Shape,
    rules: impl FnOnce(Node<'_>, &mut Judged),
) -> Loaded<T> {
    let mut judged = Judged::default();
    let value = match Document::parse(&text) {
        Ok(document) => judge_document(document, shape, rules, &mut judged),
        Err(findings) => {
            judged.findings = findings;
            None
        }
    };
    let Judged { findings, refs } = judged;
    Loaded { path, text: Some(text), value, findings, refs }
}

fn judge_document<T: DeserializeOwned>(
    document: Document<'_>,
    shape: &Shape,
    rules: impl FnOnce(Node<'_>, &mut Judged),
    judged: &mut Judged,
) -> Option<T> {
    let root = document.root(Some(shape));
    match rules::unsupported_version(root) {
        Some(finding) => judged.findings.push(finding),
        None => {
            shape.check(root, &mut judged.findings);
            rules(root, judged);
        }
    }
    if judged.findings.is_empty() { document.into_typed(&mut judged.findings) } else { None }
}

impl<T> Loaded<T> {
    fn map<U>(self, wrap: impl FnOnce(T) -> U) -> Loaded<U> {
        let Self { path, text, value, findings, refs } = self;
        Loaded { path, text, value: value.map(wrap), findings, refs }
    }
}

/// The shape of every file, made once.
#[derive(Debug)]
struct Shapes {
    project: Shape,
    tier1: Shape,
    tier2: Shape,
    kmod: Shape,
    host: Shape,
}

static SHAPES: LazyLock<Shapes> =
    LazyLock::new(|| Shapes::new().expect("the types of this program have shapes; a test makes them"));

impl Shapes {
    fn new() -> Result<Self, ShapeError> {
        Ok(Self {
            project: Shape::of::<Project>()?,
            tier1: Shape::of::<Tier1>()?,
            tier2: Shape::of::<Tier2>()?,
            kmod: Shape::of::<KmodSet>()?,
            host: Shape::of::<Host>()?,
        })
    }
}

pub(super) fn judge_project(text: String) -> (Loaded<Project>, Folders) {
    let mut folders = Folders::default();
    let loaded = judge(PROJECT_FILE.to_owned(), text, &SHAPES.project, |root, judged| {
        rules::project(root, &mut judged.findings);
        judged.refs.extend(NameRef::from_key(root, "base", RefKind::Base));
        folders = Folders::of(root);
    });
    (loaded, folders)
}

pub(super) fn judge_kmod(path: String, folder: &str, text: String) -> Loaded<KmodSet> {
    judge(path, text, &SHAPES.kmod, |root, judged| rules::kmod(root, folder, &mut judged.findings))
}

pub(super) fn judge_host(path: String, text: String) -> Loaded<Host> {
    judge(path, text, &SHAPES.host, |root, judged| {
        rules::host(root, &mut judged.findings);
        judged.refs.extend(NameRef::from_key(root, "base", RefKind::Base));
        judged.refs.extend(NameRef::from_key(root, "hostname", RefKind::Hostname));
        let files = root.items_of("file").filter_map(|file| NameRef::from_key(file, "source", RefKind::Source));
        let users = root.entries_of("users");
        let keys = users.filter_map(|(_, _, user)| NameRef::from_key(user, "ssh-keys-file", RefKind::PublicKeys));
        let containerfile = NameRef::from_key(root, "containerfile", RefKind::Source);
        judged.refs.extend(containerfile.into_iter().chain(files).chain(keys).filter(NameRef::is_inside));
    })
}

pub(super) fn judge_tier(path: String, text: String) -> Loaded<AnyTier> {
    match tier_number(&text) {
        Ok(1) => {
            let loaded = judge(path, text, &SHAPES.tier1, |root, judged| {
                rules::tier1(root, &mut judged.findings);
                let keyring =
                    root.get("bootstrap").and_then(|node| NameRef::from_key(node, "keyring", RefKind::Source));
                judged.refs.extend(keyring.filter(NameRef::is_inside));
                explain_other_tier(&mut judged.findings, &SHAPES.tier2, 2);
            });
            loaded.map(|tier| AnyTier::First(Box::new(tier)))
        }
        Ok(_) => {
            let loaded = judge(path, text, &SHAPES.tier2, |root, judged| {
                rules::tier2(root, &mut judged.findings);
                explain_other_tier(&mut judged.findings, &SHAPES.tier1, 1);
                judged.refs.extend(NameRef::from_key(root, "base", RefKind::TierBase));
                judged.refs.extend(NameRef::from_items(root, "modules", RefKind::Module));
                let keys = root
                    .entries_of("repositories")
                    .filter_map(|(_, _, node)| NameRef::from_key(node, "key", RefKind::Source));
                judged.refs.extend(keys.filter(NameRef::is_inside));
            });
            loaded.map(|tier| AnyTier::Second(Box::new(tier)))
        }
        Err(findings) => Loaded { path, text: Some(text), value: None, findings, refs: Vec::new() },
    }
}

/// Which kind of tier file this is; until that is known, nothing else can be said about it.
fn tier_number(text: &str) -> Result<i64, Vec<Finding>> {
    let document = Document::parse(text)?;
    let root = document.root(None);
    if let Some(finding) = rules::unsupported_version(root) {
        return Err(vec![finding]);
    }
    let help = "`tier = 1` is a distribution, `tier = 2` a distribution with modules; hosts lie in the hosts folder";
    match root.get("tier").map(|node| (node, node.integer())) {
        Some((_, Some(number @ (1 | 2)))) => Ok(number),
        Some((node, Some(found))) => {
            Err(vec![Finding::at(node.span(), ConfigErrorKind::TierNumber { found }).help(help)])
        }
        Some((node, None)) => {
            let (expected, found) = ("`1` or `2`".to_owned(), node.type_name().to_owned());
            Err(vec![Finding::at(node.span(), ConfigErrorKind::WrongType { expected, found }).help(help)])
        }
        None => {
            let kind = ConfigErrorKind::MissingKey { key: "tier".to_owned() };
            Err(vec![Finding::at(root.head(), kind).help(help)])
        }
    }
}

/// A key that is unknown here because it belongs to the other kind of tier says so.
fn explain_other_tier(findings: &mut Vec<Finding>, other: &Shape, number: u8) {
    for finding in findings {
        if let ConfigErrorKind::UnknownKey { key } = &finding.kind
            && other.keys().any(|known| known == key)
        {
            finding.help =
                Some(format!("`{key}` is a key of tier-{number} files; this one says `tier = {}`", 3 - number));
        }
    }
}

/// A built-in tier, which is judged as a project's own would be.
pub(super) fn builtin_tier(name: &str, text: &str) -> Loaded<AnyTier> {
    judge_tier(format!("built-in:tiers/{name}/tier.toml"), text.to_owned())
}

/// A built-in module set.
pub(super) fn builtin_kmod(name: &str, text: &str) -> Loaded<KmodSet> {
    judge_kmod(format!("built-in:kmods/{name}/kmod.toml"), name, text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, proptest};
    use proptest::sample::Index;

    use super::super::error::ConfigErrors;
    use super::{Loaded, judge_host, judge_kmod, judge_project, judge_tier};

    const FULL: [&str; 5] = [
        include_str!("../../tests/data/full/host.toml"),
        include_str!("../../tests/data/full/kmod.toml"),
        include_str!("../../tests/data/full/project.toml"),
        include_str!("../../tests/data/full/tier1.toml"),
        include_str!("../../tests/data/full/tier2.toml"),
    ];

    /// A value without a finding or a finding without a value, and places that exist.
    fn assert_sound<T>(loaded: Loaded<T>) {
        assert_eq!(loaded.value.is_some(), loaded.findings.is_empty());
        let mut errors = Vec::new();
        loaded.into_errors(&mut errors);
        let Err(errors) = ConfigErrors::check(errors) else { return };
        let mut text = String::new();
        let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor());
        handler.render_report(&mut text, &errors).unwrap();
        assert!(!text.contains("Failed to read contents"), "{text}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

        /// A full file with a few characters replaced somewhere, judged as every kind of file.
        #[test]
        fn no_text_breaks_the_judge(
            file in 0..5_usize,
            from: Index,
            length in 0..12_usize,
            put in "[\\[\\]{}=\"'#a-z0-9.ü\n$/ -]{0,6}",
            alone: bool,
        ) {
            let mut text: Vec<char> = FULL[file].chars().collect();
            let start = from.index(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, put.chars());
            let text: String = if alone { put } else { text.into_iter().collect() };
            assert_sound(judge_host("hosts/x.toml".to_owned(), text.clone()));
            assert_sound(judge_kmod("kmods/hello/kmod.toml".to_owned(), "hello", text.clone()));
            assert_sound(judge_project(text.clone()).0);
            assert_sound(judge_tier("tiers/x/tier.toml".to_owned(), text));
        }
    }
}
