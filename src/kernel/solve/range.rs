//! What a module set says about the kernels it supports.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{KernelNumber, KernelPattern, KernelRelease, KmodSetName, Reach};

/// One module set and the kernels it says it supports; what is left out supports everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ModuleSet {
    /// Its name in the definition.
    pub name: KmodSetName,
    /// Version of the module's source.
    pub version: String,
    /// Oldest kernel: `Linux-Minimum`, `BUILD_EXCLUSIVE_KERNEL_MIN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<KernelNumber>,
    /// Newest kernel: `Linux-Maximum`, `BUILD_EXCLUSIVE_KERNEL_MAX`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<KernelNumber>,
    /// How `min` and `max` are meant.
    #[serde(default, skip_serializing_if = "is_series")]
    pub reach: Reach,
    /// What the release must match: `BUILD_EXCLUSIVE_KERNEL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelPattern>,
    /// What the machine's name must match: `BUILD_EXCLUSIVE_ARCH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<KernelPattern>,
    /// Symbols of the kernel's configuration: `CONFIG_X` must be set, `!CONFIG_X` must not. `BUILD_EXCLUSIVE_CONFIG`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub config: BTreeSet<String>,
}

fn is_series(reach: &Reach) -> bool {
    *reach == Reach::Series
}

/// Why a module set cannot be built for a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "the sentences name the fields")]
pub enum Objection {
    /// Not for this machine.
    Arch { machine: String, pattern: String },
    /// The kernel is older than the set supports.
    TooOld { min: KernelNumber },
    /// The kernel is newer than the set supports.
    TooNew { max: KernelNumber },
    /// The release does not match.
    Pattern { pattern: String },
    /// The kernel lacks a symbol.
    ConfigMissing { symbol: String },
    /// The kernel has a symbol it must not have.
    ConfigPresent { symbol: String },
    /// A build for it failed before.
    KnownBad { error: String },
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arch { machine, pattern } => write!(f, "is not for {machine}, only for {pattern}"),
            Self::TooOld { min } => write!(f, "supports kernels from {min}"),
            Self::TooNew { max } => write!(f, "supports kernels up to {max}"),
            Self::Pattern { pattern } => write!(f, "supports only kernels like {pattern}"),
            Self::ConfigMissing { symbol } => write!(f, "needs {symbol}, which this kernel lacks"),
            Self::ConfigPresent { symbol } => write!(f, "cannot be built with {symbol}, which this kernel has"),
            Self::KnownBad { error } => write!(f, "did not build before: {error}"),
        }
    }
}

impl ModuleSet {
    /// A set that supports every kernel.
    pub fn any(name: KmodSetName, version: &str) -> Self {
        let (version, config) = (version.to_owned(), BTreeSet::new());
        Self { name, version, min: None, max: None, reach: Reach::default(), kernel: None, arch: None, config }
    }

    /// The first thing the set itself says against a kernel.
    ///
    /// `config` are the symbols set to `y` or `m`; where it is unknown nothing is said about it.
    pub(super) fn objection(
        &self,
        machine: &str,
        release: &KernelRelease,
        config: Option<&BTreeSet<String>>,
    ) -> Option<Objection> {
        self.arch_objection(machine)
            .or_else(|| self.range_objection(release))
            .or_else(|| config.and_then(|config| self.config_objection(config)))
    }

    fn arch_objection(&self, machine: &str) -> Option<Objection> {
        let pattern = self.arch.as_ref().filter(|pattern| !pattern.matches(machine))?;
        Some(Objection::Arch { machine: machine.to_owned(), pattern: pattern.to_string() })
    }

    fn range_objection(&self, release: &KernelRelease) -> Option<Objection> {
        let number = KernelNumber::of(release);
        if let Some(min) = self.min.as_ref().filter(|min| number.against(min, self.reach).is_lt()) {
            return Some(Objection::TooOld { min: min.clone() });
        }
        if let Some(max) = self.max.as_ref().filter(|max| number.against(max, self.reach).is_gt()) {
            return Some(Objection::TooNew { max: max.clone() });
        }
        let pattern = self.kernel.as_ref().filter(|pattern| !pattern.matches(release.as_str()))?;
        Some(Objection::Pattern { pattern: pattern.to_string() })
    }

    fn config_objection(&self, config: &BTreeSet<String>) -> Option<Objection> {
        self.config.iter().find_map(|wanted| match wanted.strip_prefix('!') {
            Some(symbol) if config.contains(symbol) => Some(Objection::ConfigPresent { symbol: symbol.to_owned() }),
            None if !config.contains(wanted) => Some(Objection::ConfigMissing { symbol: wanted.clone() }),
            _ => None,
        })
    }
}
