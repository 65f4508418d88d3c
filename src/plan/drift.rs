//! Whether the lock still says what the definition asks.
//!
//! Each lock entry carries a digest of the part of the definition it was
//! resolved from. Only what influences the resolution takes part: a changed
//! description or label is no drift.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::Selection;
use crate::config::{
    Bootstrap, Definition, KernelPolicy, KmodBuild, Lock, LockedTier1, Mirror, Repository, Tier1, Tier2,
};
use crate::model::{KmodSetName, PackageName, RepositoryName, Sha256Hex, TierName, hex};

/// One entry of the lock that does not match the definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The image, such as `tier2/edge`.
    pub image: String,
    /// What is wrong.
    pub kind: DriftKind,
}

/// How an entry drifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriftKind {
    /// The lock has no entry.
    Missing,
    /// The definition changed since the entry was made.
    Definition,
    /// The entry of the image below changed since.
    Base,
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let image = &self.image;
        match self.kind {
            DriftKind::Missing => write!(f, "`{image}` is not in the lock"),
            DriftKind::Definition => write!(f, "the definition of `{image}` changed after it was locked"),
            DriftKind::Base => write!(f, "the image below `{image}` was locked anew after it"),
        }
    }
}

/// SHA-256 of a value's canonical JSON (sorted keys, no blanks).
pub fn digest(value: &impl Serialize) -> Sha256Hex {
    // serde_json's own map is sorted, so going through a value makes the text canonical.
    let value = serde_json::to_value(value).expect("definition and lock types serialise");
    hex(&Sha256::digest(value.to_string())).parse().expect("a digest is 64 hexadecimal digits")
}

/// Digest of what decides the resolution of a tier-1 image.
pub fn tier1_definition(tier: &Tier1, architecture: &str) -> Sha256Hex {
    #[derive(Serialize)]
    struct Inputs<'a> {
        architecture: &'a str,
        mirror: &'a Option<Mirror>,
        bootstrap: Option<Bootstrap>,
    }
    // Kernel arguments and file patterns shape the image, not the set of packages.
    let resolving = |bootstrap: &Bootstrap| Bootstrap {
        exclude: Vec::new(),
        include: Vec::new(),
        kargs: Vec::new(),
        initramfs_drivers: Vec::new(),
        ..bootstrap.clone()
    };
    digest(&Inputs { architecture, mirror: &tier.mirror, bootstrap: tier.bootstrap.as_ref().map(resolving) })
}

/// Digest of what decides the resolution of a tier-2 image, its module sets included.
pub fn tier2_definition(definition: &Definition, tier: &Tier2) -> Sha256Hex {
    #[derive(Serialize)]
    struct Inputs<'a> {
        base: &'a TierName,
        modules: BTreeMap<&'a KmodSetName, Option<&'a KmodBuild>>,
        packages: &'a [PackageName],
        repositories: &'a BTreeMap<RepositoryName, Repository>,
        kernel: &'a KernelPolicy,
    }
    let build = |name| definition.kmods.get(name).map(|set| &set.build);
    digest(&Inputs {
        base: &tier.base,
        modules: tier.modules.iter().map(|name| (name, build(name))).collect(),
        packages: &tier.packages,
        repositories: &tier.repositories,
        kernel: &tier.kernel,
    })
}

/// Digest of a tier-1 entry, kept by the tier-2 entries resolved against it.
pub fn tier1_lock(entry: &LockedTier1) -> Sha256Hex {
    digest(entry)
}

/// Every selected image whose lock entry is missing or stale.
pub fn drift(definition: &Definition, architecture: &str, lock: Option<&Lock>, selection: &Selection) -> Vec<Drift> {
    let mut found = Vec::new();
    let mut add = |image: String, kind| found.push(Drift { image, kind });
    for name in &selection.tier1 {
        let image = format!("tier1/{name}");
        match lock.and_then(|lock| lock.tier1.get(name)) {
            None => add(image, DriftKind::Missing),
            Some(entry) if entry.definition != tier1_definition(&definition.tier1[name], architecture) => {
                add(image, DriftKind::Definition);
            }
            Some(_) => {}
        }
    }
    for name in &selection.tier2 {
        let image = format!("tier2/{name}");
        let tier = &definition.tier2[name];
        let Some(entry) = lock.and_then(|lock| lock.tier2.get(name)) else {
            add(image, DriftKind::Missing);
            continue;
        };
        let base = lock.and_then(|lock| lock.tier1.get(&tier.base)).map(tier1_lock);
        if entry.definition != tier2_definition(definition, tier) {
            add(image, DriftKind::Definition);
        } else if base.as_ref() != Some(&entry.base) {
            add(image, DriftKind::Base);
        }
    }
    found
}
