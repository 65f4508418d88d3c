//! What the decision depends on: plain data, so that a lock can keep it and replay it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::universe::{Headers, Kernel, Provenance};
use super::super::version::PackageVersion;
use super::range::{KernelNumber, ModuleSet};
use crate::model::{KernelRelease, KmodSetName};

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
    pub moving: Vec<Part>,
    /// Headers on offer.
    pub headers: Vec<Headers>,
    /// Kernels on offer, each with all its packages.
    pub swaps: Vec<KernelSet>,
    /// What else is known about kernels.
    pub facts: BTreeMap<KernelRelease, KernelFacts>,
    /// The module sets to build.
    pub sets: Vec<ModuleSet>,
    /// Builds that failed.
    pub known_bad: Vec<KnownBad>,
    /// What the operator wants.
    pub policy: Policy,
    /// Days since 1970-01-01, for the maximum age. The solver has no clock.
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

/// A build that failed with a compile error.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KnownBad {
    /// The module set.
    pub set: KmodSetName,
    /// Version of the module's source; another version is another story.
    pub version: String,
    /// The kernel.
    pub kernel: KernelRelease,
    /// First line of the error.
    pub error: String,
}

/// What the operator wants.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Policy {
    /// Exactly this kernel; without it the solver chooses.
    pub pin: Option<Pin>,
    /// No kernel newer than this; 6.12 admits all of 6.12.
    pub ceiling: Option<KernelNumber>,
    /// No kernel older than this.
    pub floor: Option<KernelNumber>,
    /// None of these.
    pub deny: BTreeSet<KernelRelease>,
    /// Whether another kernel than the base's may be put in.
    pub swap: Swap,
    /// No kernel built longer ago than this, in days. Kernels whose build day is unknown pass.
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

/// Who pinned a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinnedBy {
    /// The definition.
    Definition,
    /// The command line.
    CommandLine,
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
