//! The folders of a definition: what lies in them, and reading all of it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::str::FromStr;

use cap_std::fs_utf8::{Dir, DirEntry};

use super::document::Node;
use super::error::{ConfigError, ConfigErrorKind, ConfigErrors, Finding};
use super::file::{AnyTier, Loaded};
use super::{Host, KmodSet, Project};
use crate::model::{HostName, KmodSetName, TierName};
use crate::sys::map_all;

/// A folder of the definition and, where the project names it, the place that does.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) name: String,
    named_at: Option<Range<usize>>,
}

#[derive(Debug, Clone)]
pub(super) struct Folders {
    pub(super) tiers: Folder,
    pub(super) kmods: Folder,
    pub(super) hosts: Folder,
}

impl Default for Folders {
    fn default() -> Self {
        let folder = |name: &str| Folder { name: name.to_owned(), named_at: None };
        Self { tiers: folder("tiers"), kmods: folder("kmods"), hosts: folder("hosts") }
    }
}

impl Folders {
    /// As far as they can be told, also from a file that is otherwise wrong.
    pub(super) fn of(root: Node<'_>) -> Self {
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

/// How the files of a folder are laid out.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entry {
    /// `<name>/<this file>`.
    Folder(&'static str),
    /// `<name>.toml`.
    File,
}

/// Names and paths of a folder's files, sorted; what lies there and is not read is an error.
pub(super) fn entries(
    dir: &Dir,
    folder: &Folder,
    layout: Entry,
    project: &mut Loaded<Project>,
    stray: &mut Vec<ConfigError>,
) -> Vec<(String, String)> {
    let listing = dir
        .read_dir(&folder.name)
        .and_then(|entries| entries.map(|entry| list_entry(dir, &folder.name, &entry?)).collect());
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

/// The name, and whether it is a folder or a link to one.
fn list_entry(dir: &Dir, folder: &str, entry: &DirEntry) -> io::Result<(String, bool)> {
    let (name, kind) = (entry.file_name()?, entry.file_type()?);
    let is_folder = if kind.is_symlink() { dir.is_dir(format!("{folder}/{name}")) } else { kind.is_dir() };
    Ok((name, is_folder))
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

/// Does something with every file.
pub(super) fn map_files<T: Send, U: Send>(files: Vec<T>, work: impl Fn(T) -> U + Sync) -> Vec<U> {
    map_all(files, FILES_PER_THREAD, work)
}

/// Reads and judges the files of a folder.
pub(super) fn read_all<T: Named + Send>(
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
    map_files(files, read).into_iter().collect()
}

fn unreadable(path: String, source: io::Error) -> Finding {
    match source.kind() {
        io::ErrorKind::NotFound => Finding::whole(ConfigErrorKind::MissingFile { path })
            .help("a folder here is read by the file of that name in it; folders beginning with `.` are skipped"),
        _ => Finding::whole(ConfigErrorKind::Unreadable { path, source }),
    }
}

/// Files that are named by where they lie.
pub(super) trait Named {
    /// What is wrong with the name, in the words of its type.
    fn check_name(name: &str) -> Result<(), String>;
}

fn check_name<N: FromStr<Err: fmt::Display>>(name: &str) -> Result<(), String> {
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
