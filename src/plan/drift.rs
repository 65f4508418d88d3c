//! Whether the lock still says what the definition asks.
//!
//! Each lock entry carries a digest of the part of the definition it was
//! resolved from. Only what influences the resolution takes part: a changed
//! description or label is no drift.

use super::{Selection, decision};
use crate::config::{Definition, KernelLock, Lock, LockedTier1};
use crate::model::KernelRelease;

/// One entry of the lock that does not match the definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The image, such as `tier2/edge`.
    pub image: String,
    /// What is wrong.
    pub kind: DriftKind,
}

/// How an entry drifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriftKind {
    /// The lock has no entry.
    Missing,
    /// The definition changed since the entry was made.
    Definition,
    /// The entry of the image below changed since.
    Base,
    /// Decided again from the lock's own inputs, another kernel comes out; `None` where it is none at all.
    Decision {
        /// The kernel in the lock.
        locked: KernelRelease,
        /// The kernel that comes out.
        decided: Option<KernelRelease>,
    },
    /// The lock's inputs of the kernel decision are not such that this imgbuild could decide again.
    Inputs,
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let image = &self.image;
        match &self.kind {
            DriftKind::Missing => write!(f, "`{image}` is not in the lock"),
            DriftKind::Definition => write!(f, "the definition of `{image}` changed after it was locked"),
            DriftKind::Base => write!(f, "the image below `{image}` was locked anew after it"),
            DriftKind::Decision { locked, decided: Some(decided) } => {
                write!(f, "`{image}` is locked with kernel {locked}, and the lock's own inputs decide for {decided}")
            }
            DriftKind::Decision { locked, decided: None } => {
                write!(
                    f,
                    "`{image}` is locked with kernel {locked}, and by the lock's own inputs no kernel is acceptable"
                )
            }
            DriftKind::Inputs => write!(f, "the lock's inputs of the kernel decision for `{image}` cannot be read"),
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
        let replayed = lock.and_then(|lock| replayed(lock, &entry.kernel));
        if Some(&entry.definition) != definition.tier2_digest(name).as_ref() {
            add(image, DriftKind::Definition);
        } else if base.as_ref() != Some(&entry.base) {
            add(image, DriftKind::Base);
        } else if let Some(kind) = replayed {
            add(image, kind);
        }
    }
    found
}

/// What is wrong with a locked decision, seen by itself.
fn replayed(lock: &Lock, kernel: &KernelLock) -> Option<DriftKind> {
    let Ok(answer) = decision::replay(lock, kernel) else { return Some(DriftKind::Inputs) };
    let decided = answer.ok().map(|decision| decision.release().clone());
    let locked = kernel.release.clone();
    (decided.as_ref() != Some(&locked)).then_some(DriftKind::Decision { locked, decided })
}
