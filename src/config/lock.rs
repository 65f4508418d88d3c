//! `imgbuild.lock`: everything the definition names, resolved to exactly one thing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{Family, definition_digest};
use crate::model::{KernelRelease, KmodSetName, KnownBad, PinnedReference, Sha256Hex, SourceDateEpoch, TierName};

/// The lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lock {
    /// Version of the lock format; this imgbuild reads and writes version 1.
    pub version: u32,
    /// Time of the newest input: the time written into every image built from this lock.
    pub source_date_epoch: SourceDateEpoch,
    /// Builds that failed with a compile error; kept when tiers are locked anew.
    #[serde(default)]
    pub known_bad: Vec<KnownBad>,
    /// Tier-1 images.
    #[serde(default)]
    pub tier1: BTreeMap<TierName, LockedTier1>,
    /// Tier-2 images.
    #[serde(default)]
    pub tier2: BTreeMap<TierName, LockedTier2>,
}

/// A tier-1 image, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedTier1 {
    /// SHA-256 of the definition this entry was resolved from, in canonical JSON: differs when the definition drifted.
    pub definition: Sha256Hex,
    /// The kernel inside.
    pub kernel: KernelRelease,
    /// Where the image comes from.
    pub source: Tier1Source,
}

impl LockedTier1 {
    /// What tier-2 entries resolved against this one record as their `base`.
    pub fn digest(&self) -> Sha256Hex {
        definition_digest(self)
    }
}

/// Where a tier-1 image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Tier1Source {
    /// An upstream image.
    Mirror {
        /// Requested and resolved reference.
        image: PinnedReference,
        /// Its package manager.
        family: Family,
    },
    /// A distribution's packages.
    Bootstrap {
        /// The packages.
        packages: PackageSet,
        /// The program in the initramfs that mounts the root.
        setup_root: SetupRootLock,
    },
}

/// The `composefs-setup-root` program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SetupRootLock {
    /// SHA-256 of the program.
    pub sha256: Sha256Hex,
}

/// A tier-2 image, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedTier2 {
    /// SHA-256 of the definition this entry was resolved from, in canonical JSON.
    pub definition: Sha256Hex,
    /// SHA-256 over the lock entry of the tier-1 image it was resolved against.
    pub base: Sha256Hex,
    /// The kernel decision.
    pub kernel: KernelLock,
    /// Builder stages by module set.
    #[serde(default)]
    pub modules: BTreeMap<KmodSetName, ModuleLock>,
    /// Packages of the final stage beyond those of tier 1.
    pub packages: PackageSet,
}

/// Which kernel, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KernelLock {
    /// The chosen kernel.
    pub release: KernelRelease,
    /// One sentence on why.
    pub reason: String,
    /// What replaces the base's kernel, where it is another one.
    #[serde(default)]
    pub swap: Option<KernelSwap>,
    /// Everything the decision was made from.
    pub inputs: KernelInputs,
}

/// The replacement of the base's kernel: one transaction of the package manager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KernelSwap {
    /// The kernel that goes.
    pub from: KernelRelease,
    /// Names of the packages that go without another version of them coming.
    pub remove: Vec<String>,
    /// The packages that come.
    pub packages: PackageSet,
}

/// Inputs of the kernel decision, as `imgbuild kernel explain` reads them.
///
/// Kept as they are: what they mean is the solver's business. Known-bad builds are not among them, but in the lock
/// itself, where every tier sees them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KernelInputs(pub toml::Table);

// Of all that TOML can hold only not-a-number differs from itself, and no input is a fraction.
impl Eq for KernelInputs {}

impl JsonSchema for KernelInputs {
    fn schema_name() -> Cow<'static, str> {
        "KernelInputs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": true,
            "description": "inputs of the kernel decision, as `imgbuild kernel explain` reads them",
        })
    }
}

/// One builder stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ModuleLock {
    /// Upstream version of the module, as its package has it.
    pub version: String,
    /// Packages of the builder stage beyond those of tier 1.
    pub packages: PackageSet,
}

/// Packages, each by exact version and checksum.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PackageSet {
    /// Sorted by name, then architecture.
    #[serde(default, rename = "package")]
    pub packages: Vec<LockedPackage>,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedPackage {
    /// Name.
    pub name: String,
    /// Full version: `[epoch:]upstream[-revision]` or `[epoch:]version-release`.
    pub version: String,
    /// Architecture in the package manager's spelling.
    pub architecture: String,
    /// SHA-256 of the package file.
    pub sha256: Sha256Hex,
    /// Size of the package file in bytes.
    pub size: u64,
    /// The archive it came from.
    pub archive: Archive,
    /// Path below the archive's root.
    pub path: String,
}

/// Where a package file can be fetched again; never the address of a mirror of this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Archive {
    /// The distribution's main archive, at this machine's configured mirror.
    Machine,
    /// The distribution's security archive, at this machine's configured mirror.
    MachineSecurity,
    /// The definition's own mirror or repository.
    Url(String),
}
