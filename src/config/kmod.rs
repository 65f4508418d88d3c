//! `kmods/<name>/kmod.toml`: how a kernel module set is built and what is taken from the build.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Family;
use crate::model::{ArtifactKind, FileMode, KernelNumber, KernelPattern, KmodSetName, ModuleName, PackageName, Reach};

/// A set of out-of-tree kernel modules that is built and shipped together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KmodSet {
    /// Version of the file format; this imgbuild reads version 1.
    pub version: u32,
    /// Name of the set; equals its folder's name.
    pub name: KmodSetName,
    /// One line for people.
    #[serde(default)]
    pub description: Option<String>,
    /// SPDX expression of the modules' licence.
    pub license: String,
    /// Whether images holding the result may be passed on; stated in the image when not.
    #[serde(default = "KmodSet::redistributable")]
    pub redistributable: bool,
    /// How it is built, per package manager family.
    pub build: KmodBuild,
    /// Which kernels it can be built for; all when left out.
    #[serde(default)]
    pub supports: Supports,
    /// What the final image takes from the build.
    #[serde(default, rename = "artifact")]
    pub artifacts: Vec<Artifact>,
    /// What must be true of the result.
    pub verify: Verify,
}

impl KmodSet {
    fn redistributable() -> bool {
        true
    }

    /// Whether it can be built with the packages of `family`.
    pub fn supports(&self, family: Family) -> bool {
        match family {
            Family::Apt => self.build.apt.is_some(),
            Family::Dnf => self.build.dnf.is_some(),
        }
    }

    /// The name `module` has once built with the packages of `family`.
    pub fn built_name<'a>(&'a self, family: Family, module: &'a ModuleName) -> &'a ModuleName {
        let renamed = match family {
            Family::Apt => self.build.apt.as_ref().map(|build| &build.renamed),
            Family::Dnf => self.build.dnf.as_ref().map(|build| &build.renamed),
        };
        renamed.and_then(|renamed| renamed.get(module)).unwrap_or(module)
    }
}

/// The kernels a module set can be built for; what is left out holds for every kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Supports {
    /// Upstream version of the source that this was found out about, such as `2.3.9`, or `2.3` for all of its
    /// series. Nothing here holds for another version. Left out, it holds for all.
    #[serde(default)]
    pub version: Option<String>,
    /// Oldest kernel, such as `4.18`.
    #[serde(default)]
    pub min: Option<KernelNumber>,
    /// Newest kernel, such as `7.2`.
    #[serde(default)]
    pub max: Option<KernelNumber>,
    /// What `max = "7.2"` says about 7.2.12: in the `series` it is supported, in `full` 7.2.0 is the last.
    #[serde(default)]
    pub reach: Reach,
    /// What the kernel's release must match.
    #[serde(default)]
    pub kernel: Option<KernelPattern>,
    /// What the machine's name, as `uname -m` prints it, must match.
    #[serde(default)]
    pub arch: Option<KernelPattern>,
    /// Symbols of the kernel's configuration: `CONFIG_X` must be set, `!CONFIG_X` must not.
    #[serde(default)]
    pub config: Vec<String>,
}

impl Supports {
    /// Whether this was found out about a source of this upstream version.
    pub fn is_about(&self, version: &str) -> bool {
        self.version.as_ref().is_none_or(|known| {
            version.strip_prefix(known.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}

/// The builder stage for each family the set supports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KmodBuild {
    /// On Debian and its derivatives.
    #[serde(default)]
    pub apt: Option<AptBuild>,
    /// On Fedora, CentOS and their derivatives.
    #[serde(default)]
    pub dnf: Option<DnfBuild>,
}

/// Building from Debian packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AptBuild {
    /// Packages of the builder stage besides dkms, compiler and headers.
    pub packages: Vec<PackageName>,
    /// Archive components they come from, besides those of tier 1.
    #[serde(default)]
    pub components: Vec<String>,
    /// Name of the DKMS module (`PACKAGE_NAME` in its dkms.conf).
    pub dkms: String,
    /// Packages of the user space, installed in the final image.
    #[serde(default)]
    pub install: Vec<PackageName>,
    /// Modules this family installs under another name than `verify` gives them.
    #[serde(default)]
    pub renamed: BTreeMap<ModuleName, ModuleName>,
}

/// Building from RPM packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DnfBuild {
    /// Packages of the builder stage besides dkms, compiler and headers.
    pub packages: Vec<PackageName>,
    /// Name of the DKMS module.
    pub dkms: String,
    /// Packages of the user space, installed in the final image.
    #[serde(default)]
    pub install: Vec<PackageName>,
    /// Modules this family installs under another name than `verify` gives them.
    #[serde(default)]
    pub renamed: BTreeMap<ModuleName, ModuleName>,
}

/// Files taken from the builder stage into the final image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Artifact {
    /// What it is.
    pub kind: ArtifactKind,
    /// Absolute glob in the builder stage; `${kver}`, `${version}` and `${dkms}` (folder of the built modules)
    /// are replaced. Exactly one of `from` and `package` is given.
    #[serde(default)]
    pub from: Option<String>,
    /// Package of the builder stage all of whose files are taken.
    #[serde(default)]
    pub package: Option<PackageName>,
    /// Absolute destination: a folder when it ends in `/`, else the file itself. Under `/usr` or `/etc`.
    /// `${kver}`, `${version}` and `${dkms}` are replaced. Left out with `package`: files keep their paths.
    #[serde(default)]
    pub to: Option<String>,
    /// Mode in octal, such as `"0644"`; by kind when left out.
    #[serde(default)]
    pub mode: Option<FileMode>,
    /// Fewest files that must match; 1 unless `optional`.
    #[serde(default)]
    pub min: Option<u32>,
    /// Most files that may match.
    #[serde(default)]
    pub max: Option<u32>,
    /// Whether matching nothing is fine.
    #[serde(default)]
    pub optional: bool,
    /// Family it applies to; both when left out.
    #[serde(default)]
    pub family: Option<Family>,
}

/// What the built image must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Verify {
    /// Every module of the set, by name without suffix: all present, none besides.
    pub modules: Vec<ModuleName>,
    /// Modules loaded at boot (`modules-load.d`).
    #[serde(default)]
    pub load: Vec<ModuleName>,
    /// Options of modules (`modprobe.d`), by module name.
    #[serde(default)]
    pub options: BTreeMap<ModuleName, String>,
}

#[cfg(test)]
mod tests {
    use super::Supports;

    #[test]
    fn a_range_is_about_one_version_or_its_series() {
        for (known, version, expected) in [
            (None, "1", true),
            (Some("2.3.9"), "2.3.9", true),
            (Some("2.3"), "2.3.9", true),
            (Some("2.3.9"), "2.3.91", false),
            (Some("2.3.9"), "2.3", false),
            (Some("2.3.9"), "2.4.4", false),
        ] {
            let supports = Supports { version: known.map(str::to_owned), ..Supports::default() };
            assert_eq!(supports.is_about(version), expected, "{known:?} {version}");
        }
    }
}
