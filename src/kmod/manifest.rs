//! From a module set's artifact entries and the files of its builder stage to exactly what is copied.
//!
//! The final image takes nothing that is not selected here. A pattern that matches
//! nothing, too little or too much is an error, because each of these has shipped
//! broken images elsewhere without anybody noticing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use globset::{GlobBuilder, GlobMatcher};

use crate::model::ArtifactKind as Kind;
use crate::model::KernelRelease;

/// How many near misses an error lists.
const NEAR_MISSES: usize = 5;

/// Where an artifact's files come from in the builder stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Absolute glob; `*` and `?` do not match `/`, `**` does. `${kver}`, `${version}` and `${dkms}` are replaced.
    Glob(String),
    /// Every file of this package.
    Package(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glob(pattern) => write!(f, "`{pattern}`"),
            Self::Package(package) => write!(f, "package `{package}`"),
        }
    }
}

/// One artifact entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// What it is.
    pub kind: Kind,
    /// Where its files come from.
    pub source: Source,
    /// Absolute destination, with the same variables: a folder when it ends in `/`, else the file itself.
    /// Files of a package keep their paths without it.
    pub to: Option<String>,
    /// Mode; by kind when left out, and as in the stage for files of a package.
    pub mode: Option<u32>,
    /// Fewest files that must match; 1 unless `optional`.
    pub min: Option<u32>,
    /// Most files that may match.
    pub max: Option<u32>,
    /// Whether matching nothing is fine.
    pub optional: bool,
}

/// A file or symbolic link in the builder stage; folders are not listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageFile {
    /// Absolute path with every folder resolved (`/usr/lib/...`, never `/lib/...`).
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Where it points, when it is a symbolic link.
    pub link: Option<String>,
}

/// A finished builder stage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stage {
    /// Its files.
    pub files: Vec<StageFile>,
    /// Paths owned by each package that an artifact names; folders may be among them.
    pub owned: BTreeMap<String, Vec<String>>,
}

/// What `${...}` in patterns and destinations stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variables {
    /// `${kver}`: the pinned kernel.
    pub kver: KernelRelease,
    /// `${version}`: upstream version of the module set.
    pub version: String,
    /// `${dkms}`: the folder where DKMS put the built modules.
    pub dkms: String,
}

/// One file to take.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CopyItem {
    /// Absolute path in the final image.
    pub to: String,
    /// Absolute path in the builder stage.
    pub from: String,
    /// Permission bits in the final image.
    pub mode: u32,
    /// What it is.
    pub kind: Kind,
    /// Where it points, when it is a symbolic link: then the link itself is taken.
    pub link: Option<String>,
}

/// What is wrong with one artifact entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum ManifestProblem {
    /// `${...}` with a name that does not exist.
    #[error("`{text}`: there is no variable `${{{name}}}`, only ${{kver}}, ${{version}} and ${{dkms}}")]
    UnknownVariable { text: String, name: String },
    /// A pattern that is no glob.
    #[error("`{pattern}` is not a pattern: {}", source.kind())]
    Glob { pattern: String, source: globset::Error },
    /// A pattern that does not begin at the root.
    #[error("`{pattern}` is not absolute")]
    RelativePattern { pattern: String },
    /// Nothing matched.
    #[error("{source_of} matches nothing in the builder stage{}", near_lines(near))]
    NoMatch { source_of: String, near: Vec<String> },
    /// Less matched than must.
    #[error("{source_of} matches {} of at least {min} files:{}", matched.len(), lines(matched))]
    TooFew { source_of: String, min: u32, matched: Vec<String> },
    /// More matched than may.
    #[error("{source_of} matches {} files, at most {max} may:{}", matched.len(), lines(matched))]
    TooMany { source_of: String, max: u32, matched: Vec<String> },
    /// The package is not installed in the builder stage.
    #[error("package `{package}` is not installed in the builder stage")]
    NoPackage { package: String },
    /// A pattern without a destination.
    #[error("{source_of} has no destination `to`")]
    NoDestination { source_of: String },
    /// Several files for one file's place.
    #[error("{source_of} matches {} files, but `{to}` is one file; end it in `/` to make it a folder:{}", matched.len(), lines(matched))]
    SeveralToOne { source_of: String, to: String, matched: Vec<String> },
    /// A destination where an image may hold nothing.
    #[error("{source_of}: destination `{to}` {rule}")]
    Destination { source_of: String, to: String, rule: &'static str },
    /// Two files for one place.
    #[error("`{to}` would be written twice, from `{first}` and from `{second}`")]
    Twice { to: String, first: String, second: String },
}

/// Everything that is wrong with a module set's artifact entries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the artifacts do not fit what was built:{}", lines(problems))]
pub struct ManifestError {
    /// At least one.
    pub problems: Vec<ManifestProblem>,
}

fn lines(items: &[impl fmt::Display]) -> String {
    items.iter().map(|item| format!("\n  {}", item.to_string().replace('\n', "\n  "))).collect()
}

fn near_lines(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; near misses:{}", lines(near)) }
}

/// Selects what the final image takes, sorted by destination.
///
/// # Errors
/// Every entry that does not fit, and every destination that two files would share.
pub fn select(artifacts: &[Artifact], stage: &Stage, variables: &Variables) -> Result<Vec<CopyItem>, ManifestError> {
    let mut problems = Vec::new();
    let mut items = Vec::new();
    for artifact in artifacts {
        match select_one(artifact, stage, variables) {
            Ok(selected) => items.extend(selected),
            Err(mut found) => problems.append(&mut found),
        }
    }
    items.sort();
    problems.extend(items.windows(2).filter(|pair| pair[0].to == pair[1].to).map(|pair| ManifestProblem::Twice {
        to: pair[0].to.clone(),
        first: pair[0].from.clone(),
        second: pair[1].from.clone(),
    }));
    if problems.is_empty() { Ok(items) } else { Err(ManifestError { problems }) }
}

fn select_one(
    artifact: &Artifact,
    stage: &Stage,
    variables: &Variables,
) -> Result<Vec<CopyItem>, Vec<ManifestProblem>> {
    let matched = match &artifact.source {
        Source::Glob(pattern) => match_glob(pattern, stage, variables),
        Source::Package(package) => match_package(package, stage),
    };
    let matched = matched.map_err(|problem| vec![problem])?;
    check_count(artifact, stage, variables, &matched).map_err(|problem| vec![problem])?;
    let to = artifact.to.as_deref().map(|to| expand(to, variables, str::to_owned)).transpose();
    let to = to.map_err(|problem| vec![problem])?;
    place(artifact, &matched, to.as_deref(), variables)
}

fn match_glob<'a>(
    pattern: &str,
    stage: &'a Stage,
    variables: &Variables,
) -> Result<Vec<&'a StageFile>, ManifestProblem> {
    let matcher = compile(&expand_pattern(pattern, variables)?)?;
    Ok(stage.files.iter().filter(|file| matcher.is_match(&file.path)).collect())
}

fn match_package<'a>(package: &str, stage: &'a Stage) -> Result<Vec<&'a StageFile>, ManifestProblem> {
    let Some(paths) = stage.owned.get(package) else {
        return Err(ManifestProblem::NoPackage { package: package.to_owned() });
    };
    let owned: BTreeSet<String> = paths.iter().map(|path| usr_merged(path)).collect();
    Ok(stage.files.iter().filter(|file| owned.contains(&file.path)).collect())
}

/// The pattern with its variables replaced; their values are taken literally.
fn expand_pattern(pattern: &str, variables: &Variables) -> Result<String, ManifestProblem> {
    let expanded = expand(pattern, variables, globset::escape)?;
    if !expanded.starts_with('/') {
        return Err(ManifestProblem::RelativePattern { pattern: pattern.to_owned() });
    }
    Ok(usr_merged(&expanded))
}

fn compile(pattern: &str) -> Result<GlobMatcher, ManifestProblem> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build();
    glob.map(|glob| glob.compile_matcher())
        .map_err(|source| ManifestProblem::Glob { pattern: pattern.to_owned(), source })
}

fn expand(text: &str, variables: &Variables, quote: impl Fn(&str) -> String) -> Result<String, ManifestProblem> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        let value = match name {
            "kver" => variables.kver.as_str(),
            "version" => &variables.version,
            "dkms" => &variables.dkms,
            _ => return Err(ManifestProblem::UnknownVariable { text: text.to_owned(), name: name.to_owned() }),
        };
        expanded.push_str(before);
        expanded.push_str(&quote(value));
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// The path as it is on a system where `/bin`, `/lib` and the like are links into `/usr`:
/// packages may still own their files under the old names.
fn usr_merged(path: &str) -> String {
    let old = ["/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/"];
    if old.iter().any(|folder| path.starts_with(folder)) { format!("/usr{path}") } else { path.to_owned() }
}

fn check_count(
    artifact: &Artifact,
    stage: &Stage,
    variables: &Variables,
    matched: &[&StageFile],
) -> Result<(), ManifestProblem> {
    let count = u32::try_from(matched.len()).unwrap_or(u32::MAX);
    let source_of = || artifact.source.to_string();
    let paths = || matched.iter().map(|file| file.path.clone()).collect();
    let min = artifact.min.unwrap_or(1);
    match (count, artifact.max) {
        (0, _) if artifact.optional => Ok(()),
        (0, _) if min > 0 => {
            Err(ManifestProblem::NoMatch { source_of: source_of(), near: near_misses(artifact, stage, variables) })
        }
        (count, _) if count < min => Err(ManifestProblem::TooFew { source_of: source_of(), min, matched: paths() }),
        (count, Some(max)) if count > max => {
            Err(ManifestProblem::TooMany { source_of: source_of(), max, matched: paths() })
        }
        _ => Ok(()),
    }
}

/// Files of the expected folder, then those whose name matches elsewhere, then the same name with another ending.
fn near_misses(artifact: &Artifact, stage: &Stage, variables: &Variables) -> Vec<String> {
    let Source::Glob(pattern) = &artifact.source else { return Vec::new() };
    let Ok(pattern) = expand_pattern(pattern, variables) else { return Vec::new() };
    let (folder, name) = pattern.rsplit_once('/').unwrap_or(("", &pattern));
    let stem: String = name.chars().take_while(|&c| c.is_ascii_alphanumeric() || c == '_' || c == '-').collect();
    let globs = [format!("{folder}/*"), format!("/**/{name}"), format!("/**/{stem}*")];
    // A name without fixed letters is found everywhere and says nothing.
    let globs = if stem.is_empty() { &globs[..1] } else { &globs[..] };
    let mut near = Vec::new();
    for matcher in globs.iter().filter_map(|glob| compile(glob).ok()) {
        let found = stage.files.iter().map(|file| &file.path).filter(|path| matcher.is_match(path));
        near.extend(found.take(NEAR_MISSES).cloned());
    }
    let mut seen = BTreeSet::new();
    near.retain(|path| seen.insert(path.clone()));
    near.truncate(NEAR_MISSES);
    near
}

fn place(
    artifact: &Artifact,
    matched: &[&StageFile],
    to: Option<&str>,
    variables: &Variables,
) -> Result<Vec<CopyItem>, Vec<ManifestProblem>> {
    let source_of = || artifact.source.to_string();
    let from_package = matches!(artifact.source, Source::Package(_));
    if let Some(to) = to.filter(|to| !to.ends_with('/') && matched.len() > 1) {
        let matched = matched.iter().map(|file| file.path.clone()).collect();
        return Err(vec![ManifestProblem::SeveralToOne { source_of: source_of(), to: to.to_owned(), matched }]);
    }
    let mut items = Vec::new();
    let mut problems = Vec::new();
    for file in matched {
        let to = match to {
            Some(to) => destination(to, &file.path),
            None if from_package => file.path.clone(),
            None => return Err(vec![ManifestProblem::NoDestination { source_of: source_of() }]),
        };
        if let Some(rule) = broken_rule(artifact.kind, &to, &variables.kver) {
            problems.push(ManifestProblem::Destination { source_of: source_of(), to, rule });
            continue;
        }
        let mode = artifact.mode.unwrap_or(if from_package { file.mode } else { artifact.kind.default_mode() });
        items.push(CopyItem { to, from: file.path.clone(), mode, kind: artifact.kind, link: file.link.clone() });
    }
    if problems.is_empty() { Ok(items) } else { Err(problems) }
}

fn destination(to: &str, from: &str) -> String {
    match to.strip_suffix('/') {
        Some(folder) => format!("{folder}/{}", from.rsplit('/').next().unwrap_or(from)),
        None => to.to_owned(),
    }
}

/// The rule that a destination breaks: an image is `/usr` and `/etc`; everything else belongs to the running host.
fn broken_rule(kind: Kind, to: &str, kver: &KernelRelease) -> Option<&'static str> {
    let parts: Vec<&str> = to.split('/').skip(1).collect();
    if !to.starts_with('/') || parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
        return Some("is not an absolute path in its shortest form");
    }
    if parts.len() < 2 || !matches!(parts[0], "usr" | "etc") {
        return Some("is not below /usr or /etc");
    }
    let below_kernel = parts.len() > 4 && parts[..3] == ["usr", "lib", "modules"] && parts[3] == kver.as_str();
    if kind == Kind::Kmod && !below_kernel {
        return Some("is not below the pinned kernel's folder in /usr/lib/modules");
    }
    None
}

#[cfg(test)]
mod tests;
