//! The kernels and headers there are, read from what package managers say about their packages.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::version::{DebVersion, DebVersionError, PackageVersion, RpmVersion, RpmVersionError};
use crate::model::KernelRelease;

/// Where something was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Provenance {
    /// Installed in the base image.
    Base,
    /// On offer in a package archive or repository, by the name operators know it under.
    Archive(String),
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str("the base"),
            Self::Archive(name) => f.write_str(name),
        }
    }
}

/// A kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Kernel {
    /// What `uname -r` prints when it runs.
    pub release: KernelRelease,
    /// The package that holds its image.
    pub package: String,
    /// Version of that package; decides what is newer.
    pub version: PackageVersion,
    /// Where it was seen.
    pub provenance: Provenance,
}

/// What modules for one kernel are built with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Headers {
    /// The kernel they are for.
    pub release: KernelRelease,
    /// The package to install in a builder.
    pub package: String,
    /// Version of that package.
    pub version: PackageVersion,
    /// Where it was seen.
    pub provenance: Provenance,
}

/// One package, as a repository index or a package database describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackageEntry<'a> {
    /// Name.
    pub name: &'a str,
    /// Full version: `[epoch:]upstream[-revision]` or `[epoch:]version-release`.
    pub version: &'a str,
    /// Architecture in the package manager's spelling.
    pub architecture: &'a str,
    /// RPM only: what it provides, each as `name` or `name = version`; empty when unknown.
    pub provides: &'a [&'a str],
}

/// A kernel package whose version cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum UniverseError {
    /// Of a Debian package.
    #[error("package `{package}` has no usable version")]
    Deb { package: String, source: DebVersionError },
    /// Of an RPM package.
    #[error("package `{package}` has no usable version")]
    Rpm { package: String, source: RpmVersionError },
}

/// All kernels and headers of one package manager family.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Universe {
    /// Kernels, in the order they were added.
    pub kernels: Vec<Kernel>,
    /// Headers, in the order they were added.
    pub headers: Vec<Headers>,
}

impl Universe {
    /// Adds the kernels and headers among Debian packages; everything else is passed over.
    ///
    /// Not kernels: meta packages (`linux-image-amd64`), debug symbols, and, where they are on offer
    /// rather than installed, unsigned images. Not headers of one kernel: the parts shared by flavours.
    ///
    /// # Errors
    /// When a kernel or headers package has a version that dpkg would refuse.
    pub fn add_debs<'a>(
        &mut self,
        entries: impl IntoIterator<Item = PackageEntry<'a>>,
        provenance: &Provenance,
    ) -> Result<(), UniverseError> {
        for entry in entries {
            let version = || deb_version(&entry);
            if let Some(release) = deb_image(entry.name, provenance) {
                self.push_kernel(release, &entry, version()?, provenance);
            } else if let Some(release) = deb_headers(entry.name) {
                self.push_headers(release, &entry, version()?, provenance);
            }
        }
        Ok(())
    }

    /// Adds the kernels (`kernel-core` and its variants) and headers (`kernel-devel` and its variants)
    /// among RPM packages; everything else is passed over.
    ///
    /// The release comes from `kernel-uname-r` and `kernel-devel-uname-r` where the package provides
    /// them, else from version, release and architecture.
    ///
    /// # Errors
    /// When a kernel or headers package has a version that rpm would refuse.
    pub fn add_rpms<'a>(
        &mut self,
        entries: impl IntoIterator<Item = PackageEntry<'a>>,
        provenance: &Provenance,
    ) -> Result<(), UniverseError> {
        for entry in entries {
            if let Some(release) = rpm_release(&entry, "-core", "kernel-uname-r") {
                self.push_kernel(release, &entry, rpm_version(&entry)?, provenance);
            } else if let Some(release) = rpm_release(&entry, "-devel", "kernel-devel-uname-r") {
                self.push_headers(release, &entry, rpm_version(&entry)?, provenance);
            }
        }
        Ok(())
    }

    fn push_kernel(
        &mut self,
        release: KernelRelease,
        entry: &PackageEntry<'_>,
        version: PackageVersion,
        provenance: &Provenance,
    ) {
        let (package, provenance) = (entry.name.to_owned(), provenance.clone());
        self.kernels.push(Kernel { release, package, version, provenance });
    }

    fn push_headers(
        &mut self,
        release: KernelRelease,
        entry: &PackageEntry<'_>,
        version: PackageVersion,
        provenance: &Provenance,
    ) {
        let (package, provenance) = (entry.name.to_owned(), provenance.clone());
        self.headers.push(Headers { release, package, version, provenance });
    }
}

fn deb_version(entry: &PackageEntry<'_>) -> Result<PackageVersion, UniverseError> {
    let version = entry.version.parse::<DebVersion>();
    version.map(PackageVersion::Deb).map_err(|source| UniverseError::Deb { package: entry.name.to_owned(), source })
}

fn rpm_version(entry: &PackageEntry<'_>) -> Result<PackageVersion, UniverseError> {
    let version = entry.version.parse::<RpmVersion>();
    version.map(PackageVersion::Rpm).map_err(|source| UniverseError::Rpm { package: entry.name.to_owned(), source })
}

/// The kernel in a `linux-image-KVER` package.
fn deb_image(name: &str, provenance: &Provenance) -> Option<KernelRelease> {
    let rest = name.strip_prefix("linux-image-")?;
    // What is installed decides, signed or not; what is on offer unsigned does not boot under Secure Boot.
    let rest = match (rest.strip_suffix("-unsigned"), provenance) {
        (Some(release), Provenance::Base) => release,
        (Some(_), _) => return None,
        (None, _) => rest,
    };
    let debug = rest.ends_with("-dbg") || rest.ends_with("-dbgsym");
    // A meta package goes on with a flavour instead of a number, which no release does.
    if debug { None } else { rest.parse().ok() }
}

/// The kernel that a `linux-headers-KVER` package is for.
fn deb_headers(name: &str) -> Option<KernelRelease> {
    let release: KernelRelease = name.strip_prefix("linux-headers-")?.parse().ok()?;
    let flavour = flavour(&release);
    let shared = flavour.is_empty() || ["common", "all"].iter().any(|word| flavour.split('-').next() == Some(word));
    (!shared).then_some(release)
}

/// The release of a `kernel[-VARIANT]SUFFIX` package.
fn rpm_release(entry: &PackageEntry<'_>, suffix: &str, capability: &str) -> Option<KernelRelease> {
    let variant = entry.name.strip_prefix("kernel")?.strip_suffix(suffix)?;
    let provided = entry.provides.iter().find_map(|provide| {
        let (name, version) = provide.split_once('=')?;
        if name.trim() == capability { version.trim().parse().ok() } else { None }
    });
    // The name of a variant does not tell how its release ends, so it needs the capability.
    provided.or_else(|| if variant.is_empty() { nevra_release(entry) } else { None })
}

fn nevra_release(entry: &PackageEntry<'_>) -> Option<KernelRelease> {
    let version = entry.version.split_once(':').map_or(entry.version, |(_, rest)| rest);
    format!("{version}.{}", entry.architecture).parse().ok()
}

/// The flavour in a release: `cloud-amd64` of `6.12.48+deb13-cloud-amd64`, `rt` of `6.12.0-1.el10.x86_64+rt`.
///
/// Empty for the main kernel of an RPM distribution.
pub(super) fn flavour(release: &KernelRelease) -> String {
    let text = release.as_str();
    if let Some((_, arch)) = text.rsplit_once('.')
        && ["x86_64", "aarch64", "ppc64le", "s390x", "riscv64"].iter().any(|known| arch.starts_with(known))
    {
        return arch.split_once('+').map_or(String::new(), |(_, flavour)| flavour.to_owned());
    }
    // Debian 12 and earlier put an ABI number between version and flavour: 6.1.0-40-amd64.
    let numbered = |part: &&str| part.starts_with(|c: char| c.is_ascii_digit());
    text.split('-').skip_while(numbered).collect::<Vec<_>>().join("-")
}

/// Folders and package database of the base disagree about its kernels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("files and package database of the base disagree about its kernels{}", mismatch_lines(ownerless, missing))]
pub struct BaseMismatch {
    /// Kernels under `/usr/lib/modules` that no installed package owns.
    pub ownerless: Vec<KernelRelease>,
    /// Installed kernel packages without a kernel under `/usr/lib/modules`.
    pub missing: Vec<Kernel>,
}

fn mismatch_lines(ownerless: &[KernelRelease], missing: &[Kernel]) -> String {
    let ownerless = ownerless.iter().map(|release| format!("\n  /usr/lib/modules/{release} belongs to no package"));
    let missing = missing.iter().map(|kernel| {
        let Kernel { package, version, release, .. } = kernel;
        format!("\n  {package} {version} is installed, /usr/lib/modules/{release}/vmlinuz is not there")
    });
    ownerless.chain(missing).collect()
}

/// The kernels in the base: those both under `/usr/lib/modules` (`folders`: each with a `vmlinuz`) and in its
/// package database (`installed`).
///
/// # Errors
/// When one side has a kernel that the other does not: whatever is chosen then is a guess.
pub fn kernels_in_base(folders: &BTreeSet<KernelRelease>, installed: Vec<Kernel>) -> Result<Vec<Kernel>, BaseMismatch> {
    let owned: BTreeSet<_> = installed.iter().map(|kernel| &kernel.release).collect();
    let ownerless: Vec<_> = folders.iter().filter(|folder| !owned.contains(folder)).cloned().collect();
    let (present, missing): (Vec<_>, Vec<_>) =
        installed.into_iter().partition(|kernel| folders.contains(&kernel.release));
    if ownerless.is_empty() && missing.is_empty() { Ok(present) } else { Err(BaseMismatch { ownerless, missing }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deb<'a>(name: &'a str) -> PackageEntry<'a> {
        PackageEntry { name, version: "6.12.48-1", architecture: "amd64", provides: &[] }
    }

    #[test]
    fn tells_debian_kernels_and_headers_from_their_neighbours() {
        for (name, kernel, headers) in [
            ("linux-image-6.12.48+deb13-amd64", Some("6.12.48+deb13-amd64"), None),
            ("linux-image-6.12.48+deb13-cloud-amd64", Some("6.12.48+deb13-cloud-amd64"), None),
            ("linux-image-6.12.48+deb13-rt-amd64", Some("6.12.48+deb13-rt-amd64"), None),
            ("linux-image-6.1.0-40-amd64", Some("6.1.0-40-amd64"), None),
            ("linux-image-7.3~rc4-amd64", Some("7.3~rc4-amd64"), None),
            ("linux-headers-6.12.48+deb13-amd64", None, Some("6.12.48+deb13-amd64")),
            ("linux-headers-6.1.0-40-cloud-amd64", None, Some("6.1.0-40-cloud-amd64")),
            ("linux-image-amd64", None, None),
            ("linux-image-cloud-amd64", None, None),
            ("linux-image-amd64-signed-template", None, None),
            ("linux-image-6.12.48+deb13-amd64-dbg", None, None),
            ("linux-image-6.12.48+deb13-amd64-dbgsym", None, None),
            ("linux-image-6.12.48+deb13-amd64-unsigned", None, None),
            ("linux-headers-amd64", None, None),
            ("linux-headers-6.12.48+deb13-common", None, None),
            ("linux-headers-6.12.48+deb13-common-rt", None, None),
            ("linux-headers-6.1.0-40-common", None, None),
            ("linux-headers-6.1.0-40-all-amd64", None, None),
            ("linux-headers-6.8.0-40", None, None),
            ("linux-kbuild-6.12.48+deb13", None, None),
            ("linux-modules-7.3.4+deb13-amd64", None, None),
            ("linux-binary-7.3.4+deb13-amd64", None, None),
        ] {
            let mut universe = Universe::default();
            universe.add_debs([deb(name)], &Provenance::Archive("main".into())).unwrap();
            assert_eq!(universe.kernels.first().map(|k| k.release.as_str()), kernel, "{name}");
            assert_eq!(universe.headers.first().map(|h| h.release.as_str()), headers, "{name}");
        }
    }

    #[test]
    fn an_unsigned_image_counts_when_it_is_installed() {
        let mut universe = Universe::default();
        universe.add_debs([deb("linux-image-6.12.48+deb13-amd64-unsigned")], &Provenance::Base).unwrap();
        assert_eq!(universe.kernels[0].release.as_str(), "6.12.48+deb13-amd64");
    }

    #[test]
    fn tells_rpm_kernels_and_headers_from_their_neighbours() {
        let plain = "6.12.0-124.8.1.el10_1.x86_64";
        let rt = "6.12.0-124.8.1.el10_1.x86_64+rt";
        for (name, provides, kernel, headers) in [
            ("kernel-core", &["kernel-uname-r = 6.12.0-124.8.1.el10_1.x86_64"][..], Some(plain), None),
            ("kernel-core", &[][..], Some(plain), None),
            ("kernel-rt-core", &["kernel-uname-r = 6.12.0-124.8.1.el10_1.x86_64+rt"], Some(rt), None),
            ("kernel-rt-core", &[], None, None),
            ("kernel-devel", &["kernel-devel-uname-r = 6.12.0-124.8.1.el10_1.x86_64"], None, Some(plain)),
            ("kernel-devel", &[], None, Some(plain)),
            ("kernel-rt-devel", &["kernel-devel-uname-r = 6.12.0-124.8.1.el10_1.x86_64+rt"], None, Some(rt)),
            ("kernel", &["kernel = 6.12.0-124.8.1.el10_1"], None, None),
            ("kernel-devel-matched", &["kernel-devel-matched = 6.12.0-124.8.1.el10_1"], None, None),
            ("kernel-modules-core", &["kernel-modules-core-uname-r = 6.12.0-124.8.1.el10_1.x86_64"], None, None),
            ("kernel-headers", &[], None, None),
            ("kernel-tools-libs-devel", &[], None, None),
            ("kernelshark-devel", &[], None, None),
        ] {
            let entry = PackageEntry { name, version: "0:6.12.0-124.8.1.el10_1", architecture: "x86_64", provides };
            let mut universe = Universe::default();
            universe.add_rpms([entry], &Provenance::Archive("baseos".into())).unwrap();
            assert_eq!(universe.kernels.first().map(|k| k.release.as_str()), kernel, "{name}");
            assert_eq!(universe.headers.first().map(|h| h.release.as_str()), headers, "{name}");
        }
    }

    #[test]
    fn a_version_no_package_manager_would_accept_is_named() {
        let entry = PackageEntry { version: "x", ..deb("linux-image-6.12.48+deb13-amd64") };
        let error = Universe::default().add_debs([entry], &Provenance::Base).unwrap_err();
        assert!(error.to_string().contains("linux-image-6.12.48+deb13-amd64"), "{error}");
    }

    #[test]
    fn flavours() {
        for (release, expected) in [
            ("6.12.48+deb13-cloud-amd64", "cloud-amd64"),
            ("6.1.0-40-amd64", "amd64"),
            ("7.3~rc4-amd64", "amd64"),
            ("6.8.0-40-generic", "generic"),
            ("6.12.0-124.8.1.el10_1.x86_64", ""),
            ("6.12.0-124.8.1.el10_1.x86_64+rt", "rt"),
            ("6.12.1", ""),
        ] {
            assert_eq!(flavour(&release.parse().unwrap()), expected, "{release}");
        }
    }

    #[test]
    fn files_and_database_must_agree() {
        let mut universe = Universe::default();
        universe
            .add_debs([deb("linux-image-6.12.48+deb13-amd64"), deb("linux-image-6.1.0-1-amd64")], &Provenance::Base)
            .unwrap();
        let folder = |release: &str| release.parse::<KernelRelease>().unwrap();
        let both = BTreeSet::from([folder("6.12.48+deb13-amd64"), folder("6.1.0-1-amd64")]);
        assert_eq!(kernels_in_base(&both, universe.kernels.clone()).unwrap().len(), 2);
        let other = BTreeSet::from([folder("6.12.48+deb13-amd64"), folder("7.0.0-amd64")]);
        let error = kernels_in_base(&other, universe.kernels).unwrap_err();
        assert_eq!(
            error.to_string(),
            "files and package database of the base disagree about its kernels\
             \n  /usr/lib/modules/7.0.0-amd64 belongs to no package\
             \n  linux-image-6.1.0-1-amd64 6.12.48-1 is installed, /usr/lib/modules/6.1.0-1-amd64/vmlinuz is not there"
        );
    }
}
