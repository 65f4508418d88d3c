//! The tiers, module sets and examples of this repository, compiled in.

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
