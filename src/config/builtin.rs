//! The tiers, module sets and examples of this repository, compiled in.

use super::shape::listed;

/// One file: its path below its folder at the repository's top level, and its text.
type File = (&'static str, &'static str);

/// The files of a folder of this repository.
macro_rules! files {
    ($folder:literal: $($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../", $folder, "/", $path)))),*]
    };
}

const TIERS: &[File] = files!("tiers": "centos/tier.toml", "debian/tier.toml");

const KMODS: &[File] = files!("kmods":
    "jool/kmod.toml",
    "nvidia-open/kmod.toml",
    "v4l2loopback/kmod.toml",
    "zfs/kmod.toml",
);

/// Complete projects to start from. A sample lock is no part of them: a lock is made where it is used.
const EXAMPLES: &[(&str, &[File])] = &[
    (
        "centos-homelab",
        files!("examples/centos-homelab":
            "README.md",
            "hosts/backup-01.toml",
            "hosts/dns-01.toml",
            "hosts/gpu-01.toml",
            "hosts/nas-01.toml",
            "imgbuild.toml",
            "keys/epel-10.asc",
            "keys/openzfs.asc",
            "tiers/base-zfs-nvidia/tier.toml",
            "tiers/base-zfs/tier.toml",
        ),
    ),
    (
        "debian-edge",
        files!("examples/debian-edge":
            "README.md",
            "hosts/edge-01.toml",
            "hosts/edge-02.toml",
            "hosts/files/grace.pub",
            "hosts/files/jool.conf",
            "imgbuild.toml",
            "tiers/edge/tier.toml",
        ),
    ),
    (
        "debian-gpu",
        files!("examples/debian-gpu":
            "README.md",
            "hosts/gpu-01.toml",
            "imgbuild.toml",
            "tiers/debian-generic/tier.toml",
            "tiers/gpu/tier.toml",
        ),
    ),
    (
        "debian-zfs",
        files!("examples/debian-zfs":
            "README.md",
            "hosts/storage-01.toml",
            "imgbuild.toml",
            "tiers/storage/tier.toml",
        ),
    ),
];

/// The example a project is started from unless it names another.
pub const DEFAULT_EXAMPLE: &str = "debian-edge";

/// There is no example of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no example `{name}`; examples are {}", listed(examples()))]
#[expect(missing_docs, reason = "the message names the fields")]
pub struct UnknownExample {
    pub name: String,
}

/// Names of the examples, sorted.
pub fn examples() -> impl Iterator<Item = &'static str> + Clone {
    EXAMPLES.iter().map(|(name, _)| *name)
}

/// The files of a new project: path and content, sorted by path.
///
/// # Errors
/// When there is no example of that name.
pub fn scaffold(from: Option<&str>) -> Result<Vec<(&'static str, &'static [u8])>, UnknownExample> {
    let name = from.unwrap_or(DEFAULT_EXAMPLE);
    let example = EXAMPLES.iter().find(|(known, _)| *known == name);
    let (_, files) = example.ok_or_else(|| UnknownExample { name: name.to_owned() })?;
    Ok(files.iter().map(|(path, text)| (*path, text.as_bytes())).collect())
}

/// Definitions a project can use by name without having them; its own of the same name win.
#[derive(Debug, Clone, Copy, Default)]
pub struct Builtin {
    tiers: &'static [File],
    kmods: &'static [File],
}

impl Builtin {
    /// Those of this imgbuild.
    pub const fn compiled() -> Self {
        Self { tiers: TIERS, kmods: KMODS }
    }

    /// None at all.
    pub const fn none() -> Self {
        Self { tiers: &[], kmods: &[] }
    }

    /// Names of the tiers, sorted.
    pub fn tiers(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        names(self.tiers)
    }

    /// Names of the module sets, sorted.
    pub fn kmods(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        names(self.kmods)
    }

    pub(super) fn tier(&self, name: &str) -> Option<&'static str> {
        text(self.tiers, name)
    }

    pub(super) fn kmod(&self, name: &str) -> Option<&'static str> {
        text(self.kmods, name)
    }
}

fn folder_of(path: &'static str) -> &'static str {
    path.split_once('/').map_or(path, |(folder, _)| folder)
}

fn names(files: &'static [File]) -> impl Iterator<Item = &'static str> + Clone + use<> {
    files.iter().map(|(path, _)| folder_of(path))
}

fn text(files: &'static [File], name: &str) -> Option<&'static str> {
    files.iter().find(|(path, _)| folder_of(path) == name).map(|&(_, text)| text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::{EXAMPLES, File, KMODS, TIERS, scaffold};

    /// Files that lie beside an example and are no part of it.
    const NOT_SCAFFOLDED: [&str; 2] = ["imgbuild.lock", "record-lock.rs"];

    fn on_disk(folder: &Path, below: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                on_disk(&path, below, found);
            } else {
                found.insert(path.strip_prefix(below).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    fn assert_same(folder: &str, files: &[File]) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut found = BTreeSet::new();
        on_disk(&root, &root, &mut found);
        found.retain(|path| !NOT_SCAFFOLDED.contains(&path.as_str()));
        let compiled: BTreeSet<String> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(compiled, found, "{folder}: the table in this file and the folder differ");
    }

    #[test]
    fn everything_in_the_repository_is_compiled_in() {
        assert_same("tiers", TIERS);
        assert_same("kmods", KMODS);
        for (name, files) in EXAMPLES {
            assert_same(&format!("examples/{name}"), files);
        }
    }

    #[test]
    fn an_unknown_example_names_the_known_ones() {
        let error = scaffold(Some("debian")).unwrap_err().to_string();
        assert!(error.contains("`debian-edge`"), "{error}");
        assert_eq!(scaffold(None), scaffold(Some("debian-edge")));
    }
}
