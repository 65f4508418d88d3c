//! The whole definition of a project, read and checked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Bootstrap, Host, KmodSet, Policy, Publish, Tier1, Tier2, definition_digest};
use crate::model::{HostName, KmodSetName, ProjectName, Sha256Hex, TierName};

/// `imgbuild.toml`: the root of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Project {
    /// Version of the definition format; this imgbuild reads version 1.
    pub version: u32,
    /// Name of the project, used in image annotations.
    pub name: ProjectName,
    /// Architecture of all images, in the image specification's spelling; the builder's own by default.
    #[serde(default)]
    pub architecture: Option<String>,
    /// Tier that hosts stand on unless they name another.
    #[serde(default)]
    pub base: Option<TierName>,
    /// Folder of the tiers (`<name>/tier.toml`).
    #[serde(default = "Project::tiers_folder")]
    pub tiers: String,
    /// Folder of the kernel module sets (`<name>/kmod.toml`).
    #[serde(default = "Project::kmods_folder")]
    pub kmods: String,
    /// Folder of the hosts (`<host>.toml`).
    #[serde(default = "Project::hosts_folder")]
    pub hosts: String,
    /// Labels put on every image.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Where images are published.
    #[serde(default)]
    pub publish: Option<Publish>,
    /// From whom hosts take images.
    #[serde(default)]
    pub policy: Option<Policy>,
}

impl Project {
    fn tiers_folder() -> String {
        "tiers".to_owned()
    }

    fn kmods_folder() -> String {
        "kmods".to_owned()
    }

    fn hosts_folder() -> String {
        "hosts".to_owned()
    }
}

/// A project's definition: every file read, every name resolved.
///
/// Invariant: every `base` names a tier that exists and stands below its user,
/// every module set named by a tier exists, and no two hosts share a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// `imgbuild.toml`.
    pub project: Project,
    /// Tier-1 images by name: the project's own and the built-in ones it uses.
    pub tier1: BTreeMap<TierName, Tier1>,
    /// Tier-2 images by name.
    pub tier2: BTreeMap<TierName, Tier2>,
    /// Module sets by name.
    pub kmods: BTreeMap<KmodSetName, KmodSet>,
    /// Hosts by name.
    pub hosts: BTreeMap<HostName, Host>,
}

impl Definition {
    /// The tier a host stands on: its own choice or the project's.
    ///
    /// `None` only for a host that is not of this definition.
    pub fn base_of(&self, host: &HostName) -> Option<&TierName> {
        self.hosts.get(host)?.base.as_ref().or(self.project.base.as_ref())
    }

    /// What a lock records to notice that a tier-1 image has to be resolved anew.
    ///
    /// Only what decides the resolution counts: a changed description, label or kernel argument makes another
    /// image, but of the same packages.
    pub fn tier1_digest(&self, name: &TierName) -> Option<Sha256Hex> {
        let Tier1 { mirror, bootstrap, .. } = self.tier1.get(name)?;
        let resolving = |bootstrap: &Bootstrap| Bootstrap {
            exclude: Vec::new(),
            include: Vec::new(),
            kargs: Vec::new(),
            initramfs_drivers: Vec::new(),
            ..bootstrap.clone()
        };
        let architecture = &self.project.architecture;
        Some(definition_digest(&(architecture, mirror, bootstrap.as_ref().map(resolving))))
    }

    /// The same for a tier-2 image, with the builds of the module sets it names.
    pub fn tier2_digest(&self, name: &TierName) -> Option<Sha256Hex> {
        let Tier2 { base, modules, packages, repositories, kernel, .. } = self.tier2.get(name)?;
        let build = |name| (name, self.kmods.get(name).map(|set| (&set.build, &set.supports)));
        let builds: Vec<_> = modules.iter().map(build).collect();
        Some(definition_digest(&(base, builds, packages, repositories, kernel)))
    }
}
