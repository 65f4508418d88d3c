//! What to do with each thing a package put into `/var`.
//!
//! `/var` belongs to the host: it is filled once, at installation, and never
//! updated. So nothing that must change together with `/usr` may live there,
//! and everything that must exist there is declared for systemd-tmpfiles.

use std::collections::BTreeSet;

/// Where state of the package manager lives instead; it describes `/usr` and changes with it.
pub(crate) const SYSIMAGE: &str = "usr/lib/sysimage";

/// State of package scripts that the next package run needs, kept under [`SYSIMAGE`]`/var`.
const PACKAGE_STATE: [&str; 8] = [
    "var/lib/apt/extended_states",
    "var/lib/pam",
    "var/lib/shells.state",
    "var/lib/systemd/deb-systemd-helper-enabled",
    "var/lib/systemd/deb-systemd-helper-masked",
    "var/lib/systemd/deb-systemd-user-helper-enabled",
    "var/lib/ucf",
    "var/cache/debconf",
];

/// Caches, logs and leftovers: made again by whoever needs them.
const DROPPED: [&str; 10] = [
    "var/cache/apt",
    "var/cache/dnf",
    "var/cache/ldconfig",
    "var/cache/libdnf5",
    "var/lib/apt",
    "var/lib/dkms",
    "var/lib/initramfs-tools",
    "var/lib/systemd/catalog",
    "var/lib/systemd/random-seed",
    "var/tmp",
];

/// Folders outside `/var` that belong to the machine: the image has links there, into `/var`.
pub(crate) const MACHINE_FOLDERS: [&str; 6] = ["home", "mnt", "opt", "root", "srv", "usr/local"];

/// What becomes of a path below `/var`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Moves below `/usr/lib/sysimage`.
    PackageState,
    /// Goes away.
    Dropped,
    /// Becomes a line for systemd-tmpfiles.
    Declared,
}

/// Decides about `path`, relative to the root.
pub(crate) fn fate(path: &str) -> Fate {
    let below = |folder: &&str| path.strip_prefix(*folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if PACKAGE_STATE.iter().any(below) {
        // Backups that the tools make of their own files differ from run to run.
        return if is_backup(path) { Fate::Dropped } else { Fate::PackageState };
    }
    if DROPPED.iter().any(below) {
        return Fate::Dropped;
    }
    Fate::Declared
}

/// Whether a path is a backup or lock of a package tool.
pub(crate) fn is_backup(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let numbered =
        name.rsplit_once('.').is_some_and(|(_, suffix)| suffix.len() == 1 && suffix.as_bytes()[0].is_ascii_digit());
    name.ends_with("-old") || (path.starts_with("var/lib/ucf/") && numbered) || matches!(name, "lock" | "lock-frontend")
}

/// Whether a regular file below `/var` is a log, whose content must not travel.
pub(crate) fn is_log(path: &str) -> bool {
    path.starts_with("var/log/")
}

/// Paths that tmpfiles.d(5) files create, with `%` specifiers left as they are.
pub(crate) fn created_by<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    const CREATING: [&str; 9] = ["d", "D", "v", "q", "Q", "f", "F", "L", "C"];
    let mut paths = BTreeSet::new();
    for line in texts.flat_map(str::lines).map(str::trim).filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let (Some(kind), Some(path)) = (words.next(), words.next()) else { continue };
        let kind = kind.trim_end_matches(['+', '!', '-', '=', '~', '^', '$', '?']);
        if CREATING.contains(&kind) {
            paths.insert(path.trim_end_matches('/').to_owned());
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_in_var_has_one_fate() {
        for (path, expected) in [
            ("var/lib/ucf/hashfile", Fate::PackageState),
            ("var/lib/ucf/hashfile.1", Fate::Dropped),
            ("var/cache/debconf/config.dat", Fate::PackageState),
            ("var/cache/debconf/config.dat-old", Fate::Dropped),
            ("var/lib/apt/extended_states", Fate::PackageState),
            ("var/lib/apt/lists/lock", Fate::Dropped),
            ("var/lib/apt", Fate::Dropped),
            ("var/lib/dkms/mok.key", Fate::Dropped),
            ("var/lib/private", Fate::Declared),
            ("var/log/journal", Fate::Declared),
            ("var/tmpfiles-not-tmp", Fate::Declared),
        ] {
            assert_eq!(fate(path), expected, "{path}");
        }
    }

    #[test]
    fn knows_what_packages_declare_themselves() {
        let text = "# comment\nd /var/log/journal 2755 root systemd-journal - -\nz /var/log/other\nL+ /var/lock - - - - ../run/lock\nq /var 0755\n";
        let created = created_by([text].into_iter());
        assert_eq!(created.into_iter().collect::<Vec<_>>(), ["/var", "/var/lock", "/var/log/journal"]);
    }
}
