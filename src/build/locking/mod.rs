//! Making the lock: every name of the definition resolved to exactly one thing, and kept.

mod apt;
mod bootstrap;
mod dnf;
mod mirror;
mod tier2;

use std::collections::BTreeSet;

use cap_std::fs_utf8::camino::Utf8Path;

use super::audit::{Event, Verb};
use super::kernels::KernelAsk;
use super::packages::PackageCache;
use super::preflight::{self, Needs};
use super::{BuildError, Project, Session};
use crate::config::{Bootstrap, Family, Lock, LockedPackage, LockedTier2, PackageSet, Tier1Source, Tier2};
use crate::model::{KernelRelease, KnownBad, SourceDateEpoch, TierName};
use crate::plan::drift::{Drift, DriftKind};
use crate::plan::{Selection, drift};
use crate::sys::{clock, env};

/// Which entries are resolved anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// Those that do not match the definition any more, over the whole definition.
    Stale,
    /// Those that do not match among the selected.
    StaleOf(Selection),
    /// The selected ones in any case, and all that do not match.
    Named(Selection),
}

/// Brings the lock of `project` up to date and writes it; returns what was resolved anew.
///
/// # Errors
/// When something cannot be resolved. The lock file then stays as it was, but for one case: where no kernel can be
/// chosen for a tier, the others are locked, and this one keeps the entry it had.
pub fn lock(
    session: &Session,
    project: &mut Project,
    update: &Update,
    ask: &KernelAsk,
) -> Result<Vec<String>, BuildError> {
    let wanted = work_list(project, update, ask);
    if !wanted.tier1.is_empty() || !wanted.tier2.is_empty() {
        preflight::require(session, &Needs::to_lock(&project.definition))?;
    }
    let made = make(session, project, update, ask).map_err(|error| session.store.explain_space(error))?;
    let refused = made.refused.into_iter().map(|(name, error)| (format!("tier2/{name}"), error)).collect();
    BuildError::all(refused, Vec::new()).map(|()| made.changes)
}

/// Decides on the kernel of one tier 2 anew, in the middle of a build; returns what came out.
///
/// # Errors
/// [`BuildError::Kernel`] when no kernel is left.
pub(super) fn decide_again(
    session: &Session,
    project: &mut Project,
    name: &TierName,
    ask: &KernelAsk,
) -> Result<KernelRelease, BuildError> {
    let mut lock = project.lock.clone().ok_or_else(|| BuildError::NotLocked { image: format!("tier2/{name}") })?;
    let entry = tier2::resolve(session, project, &lock, name, ask)?;
    let release = entry.kernel.release.clone();
    session.audit(Event::new(Verb::Resolve, format!("tier2/{name}: kernel {release}")))?;
    lock.tier2.insert(name.clone(), entry);
    // The time stays: tier 1 carries it already.
    project.save_lock(lock)?;
    Ok(release)
}

/// What came out of a lock run.
#[derive(Debug, Default)]
struct Made {
    changes: Vec<String>,
    /// Tiers for which there is no kernel.
    refused: Vec<(TierName, BuildError)>,
}

/// Adds a build that failed with a compile error to the lock, so that no decision takes that kernel for that source
/// again; `false` when the lock knew.
///
/// # Errors
/// When there is no lock or it cannot be written.
pub fn remember_known_bad(project: &mut Project, bad: KnownBad) -> Result<bool, BuildError> {
    let Some(mut lock) = project.lock.clone() else {
        return Err(BuildError::NotLocked { image: format!("module set {}", bad.set) });
    };
    let same = |known: &KnownBad| (&known.set, &known.version, &known.kernel) == (&bad.set, &bad.version, &bad.kernel);
    if lock.known_bad.iter().any(same) {
        return Ok(false);
    }
    lock.known_bad.push(bad);
    lock.known_bad.sort();
    project.save_lock(lock).map(|()| true)
}

/// Takes all failed builds out of the lock; returns them.
///
/// # Errors
/// When the lock cannot be written.
pub fn forget_known_bad(project: &mut Project) -> Result<Vec<KnownBad>, BuildError> {
    let Some(mut lock) = project.lock.clone() else { return Ok(Vec::new()) };
    let forgotten = std::mem::take(&mut lock.known_bad);
    if !forgotten.is_empty() {
        project.save_lock(lock)?;
    }
    Ok(forgotten)
}

fn make(session: &Session, project: &mut Project, update: &Update, ask: &KernelAsk) -> Result<Made, BuildError> {
    let wanted = work_list(project, update, ask);
    if wanted.tier1.is_empty() && wanted.tier2.is_empty() {
        return Ok(Made::default());
    }
    let mut lock = project.lock.clone().unwrap_or_else(|| Lock {
        version: 1,
        source_date_epoch: SourceDateEpoch::from_secs(0),
        known_bad: Vec::new(),
        tier1: std::collections::BTreeMap::new(),
        tier2: std::collections::BTreeMap::new(),
    });
    forget_removed(project, &mut lock);
    // Before anything is decided: the day is one of the inputs.
    lock.source_date_epoch = now();
    let Made { mut changes, mut refused } = Made::default();
    for name in &wanted.tier1 {
        let entry = tier1(session, project, name)?;
        changes.push(format!("tier1/{name}: kernel {}", entry.kernel));
        lock.tier1.insert(name.clone(), entry);
    }
    for name in &wanted.tier2 {
        let entry = match tier2::resolve(session, project, &lock, name, ask) {
            Err(error @ BuildError::Kernel { .. }) => {
                refused.push((name.clone(), error));
                continue;
            }
            resolved => resolved?,
        };
        changes.push(format!("tier2/{name}: kernel {}", entry.kernel.release));
        lock.tier2.insert(name.clone(), entry);
    }
    for change in &changes {
        session.audit(Event::new(Verb::Resolve, change))?;
    }
    if !changes.is_empty() {
        project.save_lock(lock)?;
    }
    Ok(Made { changes, refused })
}

fn tier1(session: &Session, project: &Project, name: &TierName) -> Result<crate::config::LockedTier1, BuildError> {
    let tier = &project.definition.tier1[name];
    match (&tier.bootstrap, &tier.mirror) {
        (Some(bootstrap), _) => bootstrap::resolve(session, project, name, bootstrap),
        (None, Some(mirror)) => mirror::resolve(session, project, name, mirror),
        (None, None) => unreachable!("the definition has exactly one of mirror and bootstrap"),
    }
}

/// What has to be resolved: a new tier 1 takes every tier 2 on it along.
fn work_list(project: &Project, update: &Update, ask: &KernelAsk) -> Selection {
    let definition = &project.definition;
    let everything = Selection::all(definition);
    let (scope, forced) = match update {
        Update::Stale => (everything, Selection::default()),
        Update::StaleOf(selection) => (selection.clone().with_bases(definition), Selection::default()),
        Update::Named(selection) => (everything, selection.clone()),
    };
    let mut wanted = Selection { hosts: BTreeSet::new(), ..forced };
    for Drift { image, kind } in drift::drift(definition, project.lock.as_ref(), &scope) {
        let name = image.split_once('/').map_or("", |(_, name)| name);
        let name: TierName = name.parse().expect("a tier's own name");
        match image.starts_with("tier1/") {
            true => drop(wanted.tier1.insert(name)),
            false => drop(wanted.tier2.insert(name)),
        }
        tracing::debug!(%image, ?kind, "resolving anew");
    }
    if ask.decides_anew() {
        wanted.tier2.extend(scope.tier2.iter().cloned());
    }
    let on_new_base = scope.tier2.iter().filter(|name| wanted.tier1.contains(&definition.tier2[*name].base)).cloned();
    wanted.tier2.extend(on_new_base.collect::<Vec<_>>());
    wanted
}

fn forget_removed(project: &Project, lock: &mut Lock) {
    lock.tier1.retain(|name, _| project.definition.tier1.contains_key(name));
    lock.tier2.retain(|name, _| project.definition.tier2.contains_key(name));
}

/// The time of new entries: the user's, else now.
fn now() -> SourceDateEpoch {
    let given = env::SOURCE_DATE_EPOCH.get().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| SourceDateEpoch::from_secs(clock::now_secs()))
}

/// Makes the lock usable for `selection`, or refuses when the user wants it as it is; returns the tiers for which
/// there is no kernel.
pub(super) fn settle(
    session: &Session,
    project: &mut Project,
    selection: &Selection,
    ask: &KernelAsk,
) -> Result<Vec<(TierName, BuildError)>, BuildError> {
    if session.settings.locked {
        project.check_drift(selection)?;
        return match ask.decides_anew() {
            true => Err(BuildError::Drift(super::project::DriftError {
                drifts: vec![Drift {
                    image: "the kernel asked for by --kernel-pin or --swap".to_owned(),
                    kind: DriftKind::Missing,
                }],
            })),
            false => Ok(Vec::new()),
        };
    }
    make(session, project, &Update::StaleOf(selection.clone()), ask).map(|made| made.refused)
}

/// Makes sure that the packages of a bootstrapped tier 1 are in the store.
pub(super) fn ensure_tier1(
    session: &Session,
    project: &Project,
    bootstrap: &Bootstrap,
    packages: &PackageSet,
) -> Result<(), BuildError> {
    let machine = apt::machine_archives(session)?;
    let sources = apt::AptSources::of_bootstrap(bootstrap, &[], &machine, project)?;
    ensure(session, project, &sources, &packages.packages.iter().collect::<Vec<_>>())
}

/// Makes sure that the packages of a tier 2 are in the store.
pub(super) fn ensure_tier2(
    session: &Session,
    project: &Project,
    tier: &Tier2,
    entry: &LockedTier2,
) -> Result<(), BuildError> {
    let packages: Vec<_> = package_sets(entry).flat_map(|set| &set.packages).collect();
    match project.definition.tier1[&tier.base].family() {
        Family::Apt => ensure(session, project, &tier2::apt_sources(session, project, tier)?, &packages),
        Family::Dnf => dnf::ensure(session, project, tier, entry),
    }
}

/// The private apt is only used where something is missing.
fn ensure(
    session: &Session,
    project: &Project,
    sources: &apt::AptSources,
    packages: &[&LockedPackage],
) -> Result<(), BuildError> {
    let root = apt::AptRoot::create(session, "apt-fetch", project.debian_architecture(), sources)?;
    PackageCache::open(session)?.ensure(packages, root.archives(), root.config())
}

/// Copies every package file that the lock names to `target`.
///
/// # Errors
/// When there is no lock, or a package is not in the store.
pub fn vendor(session: &Session, project: &Project, target: &Utf8Path) -> Result<(), BuildError> {
    let Some(lock) = &project.lock else { return Ok(()) };
    let cache = PackageCache::open(session)?;
    let step = session.step(format!("copy packages to {target}"))?;
    let packages = packages(lock);
    cache.export(&packages, target)?;
    step.finish(format!("{} packages", packages.len()));
    Ok(())
}

/// What every stage of a tier 2 installs.
fn package_sets(tier: &LockedTier2) -> impl Iterator<Item = &PackageSet> {
    let kernel = tier.kernel.swap.iter().map(|swap| &swap.packages);
    let modules = tier.modules.values().map(|module| &module.packages);
    kernel.chain(modules).chain(std::iter::once(&tier.packages))
}

/// Every package the lock names, once.
pub(super) fn packages(lock: &Lock) -> Vec<&LockedPackage> {
    let tier1 = lock.tier1.values().filter_map(|tier| match &tier.source {
        Tier1Source::Bootstrap { packages, .. } => Some(packages),
        Tier1Source::Mirror { .. } => None,
    });
    let tier2 = lock.tier2.values().flat_map(package_sets);
    let all: BTreeSet<_> = tier1.chain(tier2).flat_map(|set| &set.packages).collect();
    all.into_iter().collect()
}
