//! From a project's folder to its [`Definition`].

use std::collections::BTreeMap;
use std::io;
use std::str::FromStr;

use cap_std::fs_utf8::Dir;

use super::builtin::Builtin;
use super::error::{ConfigError, ConfigErrorKind, ConfigErrors, Finding};
use super::file::{AnyTier, Loaded, PROJECT_FILE, judge_host, judge_kmod, judge_project, judge_tier};
use super::folder::{Entry, entries, read_all};
use super::{Definition, Host, KmodSet, Project, names, sources};

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
    /// What is wrong with files besides these: those that are not read, and those hosts take their content from.
    pub(super) others: Vec<ConfigError>,
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
        sources::check(&mut files, project);
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
        Ok(Self {
            project,
            tiers: read_all(dir, tiers, |_, path, text| judge_tier(path, text)),
            kmods: read_all(dir, kmods, |name, path, text| judge_kmod(path, name, text)),
            hosts: read_all(dir, hosts, |_, path, text| judge_host(path, text)),
            tiers_folder: folders.tiers.name,
            kmods_folder: folders.kmods.name,
            others: stray,
        })
    }

    fn into_definition(self) -> Result<Definition, ConfigErrors> {
        let mut errors = Vec::new();
        let project = self.project.into_errors(&mut errors);
        let tiers = values(self.tiers, &mut errors);
        let kmods = values(self.kmods, &mut errors);
        let hosts = values(self.hosts, &mut errors);
        errors.extend(self.others);
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
fn values<K: FromStr + Ord, T>(files: BTreeMap<String, Loaded<T>>, errors: &mut Vec<ConfigError>) -> BTreeMap<K, T> {
    let value = |(name, loaded): (String, Loaded<T>)| {
        // A file with a bad name has an error and no value.
        let value = loaded.into_errors(errors)?;
        Some((name.parse().ok()?, value))
    };
    files.into_iter().filter_map(value).collect()
}
