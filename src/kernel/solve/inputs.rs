//! What the decision depends on: plain data, so that a lock can keep it and replay it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::universe::{Headers, Kernel, Provenance};
use super::super::version::PackageVersion;
use super::range::ModuleSet;
use crate::model::{KernelNumber, KernelRelease, KnownBad};

/// Everything that is known. The order of no list matters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Inputs {
    /// The machine as `uname -m` names it.
    pub machine: String,
    /// The kernels in the base.
    pub base: Vec<Kernel>,
    /// Installed packages that follow the base's kernel version by version and have to move with it, such as
    /// `kernel-tools`; what holds the kernel itself included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moving: Vec<Part>,
    /// Installed packages that cannot stay without the base's kernel and have no counterpart for another one, such
    /// as Debian's `linux-image-amd64`, which only points to the newest: they go with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pointing: Vec<Part>,
    /// Headers on offer.
    pub headers: Vec<Headers>,
    /// Kernels on offer, each with all its packages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub swaps: Vec<KernelSet>,
    /// What else is known about kernels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<KernelRelease, KernelFacts>,
    /// The module sets to build.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<ModuleSet>,
    /// Builds that failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known_bad: Vec<KnownBad>,
    /// What the operator wants.
    pub policy: Policy,
    /// Days since 1970-01-01, for the maximum age. The solver has no clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub today: Option<i64>,
}

/// One package by name and version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Part {
    /// Name.
    pub name: String,
    /// Full version.
    pub version: PackageVersion,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// A kernel on offer with everything that has to be installed for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KernelSet {
    /// The kernel.
    pub release: KernelRelease,
    /// Version of the package that holds its image.
    pub version: PackageVersion,
    /// Where it was seen.
    pub provenance: Provenance,
    /// The packages: image, modules and what is locked to their version.
    pub packages: Vec<Part>,
    /// Names of packages that it needs and that are not on offer.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub missing: BTreeSet<String>,
}

/// What is known about one kernel beside its packages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct KernelFacts {
    /// Symbols set to `y` or `m`, where its configuration was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<BTreeSet<String>>,
    /// Days from 1970-01-01 to its build, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub built: Option<i64>,
}

/// What the operator wants.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Policy {
    /// Exactly this kernel; without it the solver chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// No kernel newer than this; 6.12 admits all of 6.12.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<KernelNumber>,
    /// No kernel older than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<KernelNumber>,
    /// None of these.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub deny: BTreeSet<KernelRelease>,
    /// Whether another kernel than the base's may be put in.
    pub swap: Swap,
    /// Who decided that.
    #[serde(skip_serializing_if = "PinnedBy::is_definition")]
    pub swap_by: PinnedBy,
    /// No kernel built longer ago than this, in days. Kernels whose build day is unknown pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u32>,
}

/// A pinned kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pin {
    /// The kernel.
    pub release: KernelRelease,
    /// Who pinned it.
    pub by: PinnedBy,
}

/// Who asked for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinnedBy {
    /// The definition.
    #[default]
    Definition,
    /// The command line.
    CommandLine,
}

impl PinnedBy {
    const fn is_definition(&self) -> bool {
        matches!(self, Self::Definition)
    }
}

impl fmt::Display for PinnedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Definition => "the definition",
            Self::CommandLine => "the command line",
        })
    }
}

/// Whether the base's kernel may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Swap {
    /// Keep the base's kernel or fail.
    #[default]
    Never,
    /// Replace it when modules cannot be built for it.
    Allow,
    /// Take the newest kernel the modules can be built for.
    PreferNewest,
}

impl Swap {
    /// The value as the definition spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Allow => "allow",
            Self::PreferNewest => "prefer-newest",
        }
    }
}
