//! dnf: finds out which packages a set of names needs against a base image's packages, and fetches exactly those.
//!
//! Resolving runs over a private root that holds nothing but a copy of the base's package database
//! ([`private_root`]): neither the machine's repositories nor its packages take part. Works with dnf 4;
//! dnf 5 has other options and is refused by [`BELOW`].

mod config;
mod problem;

pub use config::{ConfigError, PrivateConfig, Repository, keys_below, private_config, rpm_macros};
pub use problem::diagnose;

use crate::sys::Cmd;

use super::ToolVersion;

/// Debian package that has the program.
const PACKAGE: &str = "dnf";

/// The least version that works.
pub const MINIMUM: ToolVersion = ToolVersion::new(4, 14, 0);
/// Why that much is needed.
pub const MINIMUM_REASON: &str = "which is Debian 12's: older ones were never tried";
/// The first version that no longer works: dnf 5 is another program under the same name.
pub const BELOW: ToolVersion = ToolVersion::new(5, 0, 0);

/// Files of a private root.
pub mod private_root {
    /// Home folder of dnf: rpm reads its `.rpmmacros`, the only way to tell dnf where the package database is.
    pub const HOME: &str = "home";
    /// The macros file in it; text from [`super::rpm_macros`].
    pub const MACROS: &str = "home/.rpmmacros";
    /// dnf's configuration; text from [`super::private_config`].
    pub const CONFIG: &str = "dnf.conf";
    /// The root that packages are resolved against. The base's package database is copied to the path below it
    /// that it has in the base.
    pub const ROOT: &str = "root";
    /// Where dnf keeps repository metadata: below [`ROOT`], where dnf puts every path of its configuration.
    pub const CACHE: &str = "root/cache";
    /// Copies of the base's own `.repo` files; texts from [`super::keys_below`].
    pub const REPOSITORIES: &str = "repositories";
    /// Copies of what the variables in them stand for.
    pub const VARIABLES: &str = "variables";
    /// Copies of the base's keys, each below its path in the base.
    pub const KEYS: &str = "keys";
}

/// Prints the version; read with [`ToolVersion::find`].
pub fn version() -> Cmd {
    Cmd::new("dnf").package(PACKAGE).arg("--version")
}

/// dnf over one private root.
#[derive(Debug, Clone, Copy)]
pub struct Dnf<'a> {
    /// Absolute path of the folder with the files of [`private_root`].
    pub folder: &'a str,
    /// `$releasever` in repository addresses, such as `10`.
    pub release: &'a str,
    /// Architecture of the packages, such as `x86_64`.
    pub architecture: &'a str,
}

impl Dnf<'_> {
    fn cmd(&self) -> Cmd {
        let path = |name: &str| format!("{}/{name}", self.folder);
        Cmd::new("dnf")
            .package(PACKAGE)
            .env("HOME", path(private_root::HOME))
            // Newer versions of rpm read macros from here too.
            .env("XDG_CONFIG_HOME", path(private_root::HOME))
            .arg(format!("--config={}", path(private_root::CONFIG)))
            .arg(format!("--installroot={}", path(private_root::ROOT)))
            .arg(format!("--releasever={}", self.release))
            .arg(format!("--forcearch={}", self.architecture))
            .args(["--assumeyes", "--quiet"])
    }

    /// Fetches the metadata of every repository; a repository that cannot be had is an error.
    ///
    /// What [`Dnf::fetch`] resolves later is resolved from exactly this metadata. It lies in folders below
    /// [`private_root::CACHE`] that [`is_cache_of`] tells apart; read it with [`repodata`](super::repodata).
    pub fn make_cache(&self) -> Cmd {
        self.cmd().arg("makecache")
    }

    /// Resolves `packages` against the base's packages and fetches what is missing into `into`, one file each.
    ///
    /// Items are names, `name-version-release.arch`, or capabilities (`kernel-devel-uname-r = KVER`).
    /// `without` are packages that may not be installed: whatever needs one of them is an error.
    /// Signatures are checked as the repositories say; nothing is installed.
    pub fn fetch<S: Into<String>>(&self, packages: impl IntoIterator<Item = S>, without: &[&str], into: &str) -> Cmd {
        let cmd = self.cmd().args(["install", "--downloadonly"]).arg(format!("--downloaddir={into}"));
        let cmd = without.iter().fold(cmd, |cmd, package| cmd.arg(format!("--exclude={package}")));
        cmd.arg("--").args(packages)
    }
}

/// The id of the repository whose metadata is in the folder of this name below [`private_root::CACHE`]:
/// dnf appends 16 hexadecimal digits to it. `None` for whatever else is there.
pub fn cached_repository(folder: &str) -> Option<&str> {
    let (id, digits) = folder.rsplit_once('-')?;
    let is_digest = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_digest && !id.is_empty()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let dnf = Dnf { folder: "/w/lock", release: "10", architecture: "x86_64" };
        let lines = [
            version(),
            dnf.make_cache(),
            dnf.fetch(
                ["hello-dkms", "kernel-devel-uname-r = 6.12.0-124.8.1.rv10.x86_64"],
                &["kernel", "kernel-core"],
                "/w/packages",
            ),
        ];
        insta::assert_snapshot!(lines.map(|line| line.to_string()).join("\n"), @r"
        dnf --version
        HOME=/w/lock/home XDG_CONFIG_HOME=/w/lock/home dnf '--config=/w/lock/dnf.conf' '--installroot=/w/lock/root' '--releasever=10' '--forcearch=x86_64' --assumeyes --quiet makecache
        HOME=/w/lock/home XDG_CONFIG_HOME=/w/lock/home dnf '--config=/w/lock/dnf.conf' '--installroot=/w/lock/root' '--releasever=10' '--forcearch=x86_64' --assumeyes --quiet install --downloadonly '--downloaddir=/w/packages' '--exclude=kernel' '--exclude=kernel-core' -- hello-dkms 'kernel-devel-uname-r = 6.12.0-124.8.1.rv10.x86_64'
        ");
    }

    #[test]
    fn metadata_is_found_by_repository() {
        for (folder, expected) in [
            ("full-bf6c5462aa228762", Some("full")),
            ("full-extra-bf6c5462aa228762", Some("full-extra")),
            ("full.solv", None),
            ("full", None),
            ("-bf6c5462aa228762", None),
        ] {
            assert_eq!(cached_repository(folder), expected, "{folder}");
        }
    }
}
