//! Whether the lock still says what the definition asks.
//!
//! Each lock entry carries a digest of the part of the definition it was
//! resolved from. Only what influences the resolution takes part: a changed
//! description or label is no drift.

use super::Selection;
use crate::config::{Definition, Lock, LockedTier1};

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

/// Every selected image whose lock entry is missing or stale.
pub fn drift(definition: &Definition, lock: Option<&Lock>, selection: &Selection) -> Vec<Drift> {
    let mut found = Vec::new();
    let mut add = |image: String, kind| found.push(Drift { image, kind });
    for name in &selection.tier1 {
        let image = format!("tier1/{name}");
        match lock.and_then(|lock| lock.tier1.get(name)) {
            None => add(image, DriftKind::Missing),
            Some(entry) if Some(&entry.definition) != definition.tier1_digest(name).as_ref() => {
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
        let base = lock.and_then(|lock| lock.tier1.get(&tier.base)).map(LockedTier1::digest);
        if Some(&entry.definition) != definition.tier2_digest(name).as_ref() {
            add(image, DriftKind::Definition);
        } else if base.as_ref() != Some(&entry.base) {
            add(image, DriftKind::Base);
        }
    }
    found
}
