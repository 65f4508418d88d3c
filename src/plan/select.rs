//! Which images a command line asks for, and what they stand on.

use std::collections::BTreeSet;

use crate::config::Definition;
use crate::model::{HostName, TierName};

/// What to build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Tier-1 images.
    pub tier1: BTreeSet<TierName>,
    /// Tier-2 images.
    pub tier2: BTreeSet<TierName>,
    /// Hosts.
    pub hosts: BTreeSet<HostName>,
}

/// A name that is not in the definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no {what} is called `{name}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
pub struct UnknownTarget {
    /// What was looked for: a host, a tier.
    pub what: &'static str,
    /// The name.
    pub name: String,
    /// The most similar name that exists.
    pub nearest: Option<String>,
}

impl Selection {
    /// Every host, tier-2 and tier-1 image of the definition.
    pub fn all(definition: &Definition) -> Self {
        Self {
            tier1: definition.tier1.keys().cloned().collect(),
            tier2: definition.tier2.keys().cloned().collect(),
            hosts: definition.hosts.keys().cloned().collect(),
        }
    }

    /// The named hosts and tiers; everything when nothing is named. A name may be given as `tier2/edge`.
    ///
    /// # Errors
    /// When a name is neither a host nor a tier.
    pub fn named(definition: &Definition, names: &[String]) -> Result<Self, UnknownTarget> {
        if names.is_empty() {
            return Ok(Self::all(definition));
        }
        let mut selection = Self::default();
        for name in names {
            selection.add(definition, name)?;
        }
        Ok(selection)
    }

    /// The named hosts.
    ///
    /// # Errors
    /// When one does not exist.
    pub fn of_hosts(definition: &Definition, names: &[String]) -> Result<Self, UnknownTarget> {
        let mut selection = Self::default();
        for name in names {
            let host = find(&definition.hosts, name).ok_or_else(|| unknown("host", name, definition.hosts.keys()))?;
            selection.hosts.insert(host);
        }
        Ok(selection)
    }

    /// One tier-1 image, or all when `name` is absent.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn of_tier1(definition: &Definition, name: Option<&str>) -> Result<Self, UnknownTarget> {
        let Some(name) = name else { return Ok(Self { tier1: Self::all(definition).tier1, ..Self::default() }) };
        let tier = find(&definition.tier1, name).ok_or_else(|| unknown("tier 1", name, definition.tier1.keys()))?;
        Ok(Self { tier1: BTreeSet::from([tier]), ..Self::default() })
    }

    /// One tier-2 image, or all when `name` is absent.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn of_tier2(definition: &Definition, name: Option<&str>) -> Result<Self, UnknownTarget> {
        let Some(name) = name else { return Ok(Self { tier2: Self::all(definition).tier2, ..Self::default() }) };
        let tier = find(&definition.tier2, name).ok_or_else(|| unknown("tier 2", name, definition.tier2.keys()))?;
        Ok(Self { tier2: BTreeSet::from([tier]), ..Self::default() })
    }

    fn add(&mut self, definition: &Definition, name: &str) -> Result<(), UnknownTarget> {
        let (prefix, bare) = name.split_once('/').map_or((None, name), |(prefix, bare)| (Some(prefix), bare));
        let wants = |kind| prefix.is_none_or(|prefix| prefix == kind);
        if let Some(host) = wants("tier3").then(|| find(&definition.hosts, bare)).flatten() {
            self.hosts.insert(host);
        } else if let Some(tier) = wants("tier2").then(|| find(&definition.tier2, bare)).flatten() {
            self.tier2.insert(tier);
        } else if let Some(tier) = wants("tier1").then(|| find(&definition.tier1, bare)).flatten() {
            self.tier1.insert(tier);
        } else {
            let hosts = definition.hosts.keys().map(ToString::to_string);
            let tiers = definition.tier2.keys().chain(definition.tier1.keys()).map(ToString::to_string);
            return Err(unknown("host or tier", bare, hosts.chain(tiers)));
        }
        Ok(())
    }

    /// The selection with everything it stands on.
    #[must_use]
    pub fn with_bases(mut self, definition: &Definition) -> Self {
        for host in &self.hosts {
            match definition.base_of(host) {
                Some(base) if definition.tier2.contains_key(base) => drop(self.tier2.insert(base.clone())),
                Some(base) => drop(self.tier1.insert(base.clone())),
                None => {}
            }
        }
        for tier in &self.tier2 {
            self.tier1.insert(definition.tier2[tier].base.clone());
        }
        self
    }
}

fn find<K: Ord + Clone + std::str::FromStr, V>(map: &std::collections::BTreeMap<K, V>, name: &str) -> Option<K> {
    name.parse().ok().filter(|key| map.contains_key(key))
}

fn unknown(what: &'static str, name: &str, known: impl Iterator<Item = impl ToString>) -> UnknownTarget {
    let nearest = known
        .map(|known| known.to_string())
        .map(|known| (strsim::damerau_levenshtein(&known, name), known))
        .min()
        .filter(|(distance, _)| *distance <= 2.max(name.len() / 3))
        .map(|(_, known)| known);
    UnknownTarget { what, name: name.to_owned(), nearest }
}
