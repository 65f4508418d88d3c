//! From a project's folder to its [`Definition`].

use std::collections::BTreeMap;
use std::io;
use std::sync::LazyLock;
use std::thread;

use cap_std::fs_utf8::Dir;
use serde::de::DeserializeOwned;

use super::builtin::Builtin;
use super::document::{Document, Node};
use super::error::{ConfigError, ConfigErrorKind, ConfigErrors, Finding};
use super::names::{self, NameRef, RefKind};
use super::rules;
use super::shape::{Shape, ShapeError};
use super::{Definition, Host, KmodSet, Project, Tier1, Tier2};
use crate::model::{HostName, KmodSetName, TierName};

/// Name of a project's root file.
const PROJECT_FILE: &str = "imgbuild.toml";

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

/// A file as read and judged by itself.
#[derive(Debug)]
pub(super) struct Loaded<T> {
    pub(super) path: String,
    text: Option<String>,
    /// Absent when something is wrong with the file.
    pub(super) value: Option<T>,
    pub(super) findings: Vec<Finding>,
    /// What is wrong with files this one takes content from.
    elsewhere: Vec<ConfigError>,
    /// Names of other files it uses.
    pub(super) refs: Vec<NameRef>,
}

impl<T> Loaded<T> {
    fn failed(path: String, finding: Finding) -> Self {
        let findings = vec![finding];
        Self { path, text: None, value: None, findings, elsewhere: Vec::new(), refs: Vec::new() }
    }

    fn into_errors(self, errors: &mut Vec<ConfigError>) -> Option<T> {
        if !self.findings.is_empty() {
            errors.extend(ConfigErrors::of_file(&self.path, self.text.as_deref(), self.findings));
        }
        errors.extend(self.elsewhere);
        self.value
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
    elsewhere: Vec<ConfigError>,
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
    let Judged { findings, elsewhere, refs } = judged;
    Loaded { path, text: Some(text), value, findings, elsewhere, refs }
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
    let clean = judged.findings.is_empty() && judged.elsewhere.is_empty();
    if clean { document.into_typed(&mut judged.findings) } else { None }
}

fn judge_project(text: String) -> (Loaded<Project>, Folders) {
    let mut folders = Folders::default();
    let loaded = judge(PROJECT_FILE.to_owned(), text, &SHAPES.project, |root, judged| {
        rules::project(root, &mut judged.findings);
        judged.refs.extend(NameRef::from_key(root, "base", RefKind::Base));
        folders = Folders::of(root);
    });
    (loaded, folders)
}

fn judge_kmod(path: String, folder: &str, text: String) -> Loaded<KmodSet> {
    judge(path, text, &SHAPES.kmod, |root, judged| rules::kmod(root, folder, &mut judged.findings))
}

fn judge_host(path: String, text: String, sources: rules::Sources<'_>) -> Loaded<Host> {
    judge(path, text, &SHAPES.host, |root, judged| {
        judged.elsewhere = rules::host(root, sources, &mut judged.findings);
        judged.refs.extend(NameRef::from_key(root, "base", RefKind::Base));
        judged.refs.extend(NameRef::from_key(root, "hostname", RefKind::Hostname));
    })
}

fn judge_tier(path: String, text: String) -> Loaded<AnyTier> {
    match tier_number(&text) {
        Ok(1) => {
            let loaded = judge(path, text, &SHAPES.tier1, |root, judged| {
                rules::tier1(root, &mut judged.findings);
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
            });
            loaded.map(|tier| AnyTier::Second(Box::new(tier)))
        }
        Err(findings) => {
            Loaded { path, text: Some(text), value: None, findings, elsewhere: Vec::new(), refs: Vec::new() }
        }
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

impl<T> Loaded<T> {
    fn map<U>(self, wrap: impl FnOnce(T) -> U) -> Loaded<U> {
        let Self { path, text, value, findings, elsewhere, refs } = self;
        Loaded { path, text, value: value.map(wrap), findings, elsewhere, refs }
    }
}

/// A folder of the definition and, where the project names it, the place that does.
#[derive(Debug, Clone)]
struct Folder {
    name: String,
    named_at: Option<std::ops::Range<usize>>,
}

#[derive(Debug, Clone)]
struct Folders {
    tiers: Folder,
    kmods: Folder,
    hosts: Folder,
}

impl Default for Folders {
    fn default() -> Self {
        let folder = |name: &str| Folder { name: name.to_owned(), named_at: None };
        Self { tiers: folder("tiers"), kmods: folder("kmods"), hosts: folder("hosts") }
    }
}

impl Folders {
    /// As far as they can be told, also from a file that is otherwise wrong.
    fn of(root: Node<'_>) -> Self {
        let mut folders = Self::default();
        for (key, folder) in
            [("tiers", &mut folders.tiers), ("kmods", &mut folders.kmods), ("hosts", &mut folders.hosts)]
        {
            if let Some((name, node)) = root.text_of(key) {
                *folder = Folder { name: name.trim_end_matches('/').to_owned(), named_at: Some(node.span()) };
            }
        }
        folders
    }
}

/// A project as read, before names are followed.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) project: Loaded<Project>,
    pub(super) tiers: BTreeMap<String, Loaded<AnyTier>>,
    pub(super) kmods: BTreeMap<String, Loaded<KmodSet>>,
    pub(super) hosts: BTreeMap<String, Loaded<Host>>,
    /// Folders as the project calls them, for messages.
    pub(super) tiers_folder: String,
    pub(super) kmods_folder: String,
    /// Files that lie where they are not read.
    stray: Vec<ConfigError>,
}

impl Definition {
    /// Reads a project: `imgbuild.toml`, the folders it names, and what it uses of `builtin`.
    ///
    /// # Errors
    /// Everything that is wrong with the project's files, not only the first thing.
    pub fn load(project: &Dir, builtin: &Builtin) -> Result<Self, ConfigErrors> {
        let mut files = Files::read(project)?;
        names::add_builtin(&mut files, builtin);
        names::check(&mut files, builtin);
        files.into_definition()
    }
}

impl Files {
    fn read(dir: &Dir) -> Result<Self, ConfigErrors> {
        let text = match dir.read_to_string(PROJECT_FILE) {
            Ok(text) => text,
            Err(error) => return Err(ConfigErrors::single(PROJECT_FILE, no_project(error))),
        };
        let (mut project, folders) = judge_project(text);
        let mut stray = Vec::new();
        let tiers = entries(dir, &folders.tiers, Entry::Folder("tier.toml"), &mut project, &mut stray);
        let kmods = entries(dir, &folders.kmods, Entry::Folder("kmod.toml"), &mut project, &mut stray);
        let hosts = entries(dir, &folders.hosts, Entry::File, &mut project, &mut stray);
        let sources = |path: &str| dir.read(path);
        Ok(Self {
            project,
            tiers: read_all(dir, tiers, |_, path, text| judge_tier(path, text)),
            kmods: read_all(dir, kmods, |name, path, text| judge_kmod(path, name, text)),
            hosts: read_all(dir, hosts, |_, path, text| judge_host(path, text, &sources)),
            tiers_folder: folders.tiers.name,
            kmods_folder: folders.kmods.name,
            stray,
        })
    }

    fn into_definition(self) -> Result<Definition, ConfigErrors> {
        let mut errors = Vec::new();
        let project = self.project.into_errors(&mut errors);
        errors.extend(self.stray);
        let tiers = values(self.tiers, &mut errors);
        let kmods = values(self.kmods, &mut errors);
        let hosts = values(self.hosts, &mut errors);
        ConfigErrors::check(errors)?;
        let (mut tier1, mut tier2) = (BTreeMap::new(), BTreeMap::new());
        for (name, tier) in tiers {
            match tier {
                AnyTier::First(tier) => drop(tier1.insert(name, *tier)),
                AnyTier::Second(tier) => drop(tier2.insert(name, *tier)),
            }
        }
        let project = project.expect("a file without a value has an error, and there are none");
        Ok(Definition { project, tier1, tier2, kmods, hosts })
    }
}

fn no_project(error: io::Error) -> Finding {
    if error.kind() == io::ErrorKind::NotFound {
        let kind = ConfigErrorKind::MissingFile { path: PROJECT_FILE.to_owned() };
        return Finding::whole(kind).help("run imgbuild in a project's folder, or start one with `imgbuild init`");
    }
    Finding::whole(ConfigErrorKind::Unreadable { path: PROJECT_FILE.to_owned(), source: error })
}

/// The values of files whose names have been checked, and the errors of the others.
fn values<K: std::str::FromStr + Ord, T>(
    files: BTreeMap<String, Loaded<T>>,
    errors: &mut Vec<ConfigError>,
) -> BTreeMap<K, T> {
    let value = |(name, loaded): (String, Loaded<T>)| {
        // A file with a bad name has an error and no value.
        let value = loaded.into_errors(errors)?;
        Some((name.parse().ok()?, value))
    };
    files.into_iter().filter_map(value).collect()
}

/// How the files of a folder are laid out.
#[derive(Debug, Clone, Copy)]
enum Entry {
    /// `<name>/<this file>`.
    Folder(&'static str),
    /// `<name>.toml`.
    File,
}

/// Names and paths of a folder's files, sorted; what lies there and is not read is an error.
fn entries(
    dir: &Dir,
    folder: &Folder,
    layout: Entry,
    project: &mut Loaded<Project>,
    stray: &mut Vec<ConfigError>,
) -> Vec<(String, String)> {
    let listing = dir.read_dir(&folder.name).and_then(|entries| {
        entries.map(|entry| entry.and_then(|entry| Ok((entry.file_name()?, entry.file_type()?.is_dir())))).collect()
    });
    let mut listing: Vec<(String, bool)> = match listing {
        Ok(listing) => listing,
        Err(error) => {
            project.findings.extend(unlisted(folder, error));
            return Vec::new();
        }
    };
    listing.sort();
    let mut found = Vec::new();
    for (name, is_folder) in listing.into_iter().filter(|(name, _)| !name.starts_with('.')) {
        let path = format!("{}/{name}", folder.name);
        match (layout, is_folder, name.strip_suffix(".toml")) {
            (Entry::Folder(file), true, _) => found.push((name.clone(), format!("{path}/{file}"))),
            (Entry::File, false, Some(stem)) => found.push((stem.to_owned(), path)),
            (Entry::Folder(file), false, Some(stem)) => {
                let kind = ConfigErrorKind::FileName { reason: "this file is not read".to_owned() };
                let finding = Finding::whole(kind).help(format!("move it to `{}/{stem}/{file}`", folder.name));
                stray.extend(ConfigErrors::of_file(&path, None, vec![finding]));
            }
            // Files a host takes its content from may lie beside it.
            _ => {}
        }
    }
    found
}

/// A folder that is not there is empty, unless the project names it.
fn unlisted(folder: &Folder, source: io::Error) -> Option<Finding> {
    let path = folder.name.clone();
    match (&folder.named_at, source.kind()) {
        (None, io::ErrorKind::NotFound) => None,
        (Some(span), io::ErrorKind::NotFound) => Some(Finding::at(span.clone(), ConfigErrorKind::MissingFile { path })),
        (Some(span), _) => Some(Finding::at(span.clone(), ConfigErrorKind::Unreadable { path, source })),
        (None, _) => Some(Finding::whole(ConfigErrorKind::Unreadable { path, source })),
    }
}

/// Below this many files a thread costs more than it saves.
const FILES_PER_THREAD: usize = 64;

/// Reads and judges files, several threads at a time where there are many.
fn read_all<T: Named + Send>(
    dir: &Dir,
    files: Vec<(String, String)>,
    judge: impl Fn(&str, String, String) -> Loaded<T> + Sync,
) -> BTreeMap<String, Loaded<T>> {
    let read = |(name, path): (String, String)| {
        let loaded = match (T::check_name(&name), dir.read_to_string(&path)) {
            (Err(reason), _) => Loaded::failed(path, Finding::whole(ConfigErrorKind::FileName { reason })),
            (Ok(()), Ok(text)) => judge(&name, path, text),
            (Ok(()), Err(error)) => Loaded::failed(path.clone(), unreadable(path, error)),
        };
        (name, loaded)
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(files.len().div_ceil(FILES_PER_THREAD));
    if threads <= 1 {
        return files.into_iter().map(read).collect();
    }
    let size = files.len().div_ceil(threads);
    let mut files = files.into_iter();
    let chunks: Vec<Vec<_>> = (0..threads).map(|_| files.by_ref().take(size).collect()).collect();
    thread::scope(|scope| {
        let spawn = |chunk: Vec<_>| scope.spawn(|| chunk.into_iter().map(read).collect::<Vec<_>>());
        let handles: Vec<_> = chunks.into_iter().map(spawn).collect();
        handles
            .into_iter()
            .flat_map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn unreadable(path: String, source: io::Error) -> Finding {
    match source.kind() {
        io::ErrorKind::NotFound => Finding::whole(ConfigErrorKind::MissingFile { path })
            .help("a folder here is read by the file of that name in it; folders beginning with `.` are skipped"),
        _ => Finding::whole(ConfigErrorKind::Unreadable { path, source }),
    }
}

/// Files that are named by where they lie.
trait Named {
    /// What is wrong with the name, in the words of its type.
    fn check_name(name: &str) -> Result<(), String>;
}

fn check_name<N: std::str::FromStr<Err: std::fmt::Display>>(name: &str) -> Result<(), String> {
    name.parse::<N>().map(drop).map_err(|error| error.to_string())
}

impl Named for AnyTier {
    fn check_name(name: &str) -> Result<(), String> {
        check_name::<TierName>(name)
    }
}

impl Named for KmodSet {
    fn check_name(name: &str) -> Result<(), String> {
        check_name::<KmodSetName>(name)
    }
}

impl Named for Host {
    fn check_name(name: &str) -> Result<(), String> {
        check_name::<HostName>(name)
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
