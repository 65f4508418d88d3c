//! The road: from a settled lock to the images of the chain.

use super::chain::{self, Built};
use super::kernels::KernelAsk;
use super::preflight::{self, Needs};
use super::{BuildError, Project, Session, locking, probe, sbom, seal, tier1, tier2, tier3};
use crate::model::{HostName, TierName};
use crate::oci::Layout;
use crate::plan::Selection;
use crate::plan::drift::drift;

/// Builds the selected images and every image below them that the store does not hold.
///
/// # Errors
/// The first thing that goes wrong; where that is one tier's modules or their kernel, what does not stand on it is
/// built nevertheless. Images finished keep their names; nothing half-made has one.
pub fn run(
    session: &Session,
    project: &mut Project,
    selection: &Selection,
    ask: &KernelAsk,
) -> Result<Vec<Built>, BuildError> {
    build(session, project, selection, ask).map_err(|error| session.store.explain_space(error))
}

fn build(
    session: &Session,
    project: &mut Project,
    selection: &Selection,
    ask: &KernelAsk,
) -> Result<Vec<Built>, BuildError> {
    let layout = chain::open_layout(session)?;
    preflight::require(session, &needs(project, &layout, selection, ask)?)?;
    seal::check_keys(project, selection)?;
    // One tier's trouble with its modules is not that of tiers without them.
    let mut failed = locking::settle(session, project, selection, ask)?;
    let selection = with_stale_bases(project, &layout, &without(project, selection, &failed).0)?;
    let mut built = Vec::new();
    for name in &selection.tier1 {
        built.push(tier1::build(session, project, &layout, name)?);
    }
    let mut known = sbom::Inventory::default();
    for name in &selection.tier2 {
        match probe::build(session, project, &layout, name, ask, &mut known) {
            Ok(image) => built.push(image),
            Err(error) if error.is_about_modules() => failed.push((name.clone(), error)),
            Err(error) => return Err(error),
        }
    }
    let (selection, skipped) = without(project, &selection, &failed);
    built.extend(tier3::build(session, project, &layout, &selection.hosts)?);
    built.extend(seal::seal_selected(session, project, &selection)?);
    sbom::attach(session, project, &layout, &built, known)?;
    let failed = failed.into_iter().map(|(name, error)| (format!("tier2/{name}"), error)).collect();
    BuildError::all(failed, skipped).map(|()| built)
}

/// What is left of a selection without the tiers that failed, and the hosts that would stand on them.
fn without(project: &Project, selection: &Selection, failed: &[(TierName, BuildError)]) -> (Selection, Vec<HostName>) {
    let is_failed = |name: &TierName| failed.iter().any(|(failed, _)| failed == name);
    let mut left = selection.clone();
    left.tier2.retain(|name| !is_failed(name));
    left.hosts.retain(|host| !project.definition.base_of(host).is_some_and(is_failed));
    let skipped = selection.hosts.difference(&left.hosts).cloned().collect();
    (left, skipped)
}

/// What this run will use: a host alone needs no container tool, and a lock that stands needs no resolver.
fn needs(project: &Project, layout: &Layout, selection: &Selection, ask: &KernelAsk) -> Result<Needs, BuildError> {
    let definition = &project.definition;
    let with_bases = selection.clone().with_bases(definition);
    if ask.decides_anew() || !drift(definition, project.lock.as_ref(), &with_bases).is_empty() {
        return Ok(Needs::of_selection(definition, &with_bases));
    }
    Ok(Needs::of_selection(definition, &with_stale_bases(project, layout, selection)?))
}

/// A full rebuild of what was asked for; what it stands on is built only where it is missing or out of date.
fn with_stale_bases(project: &Project, layout: &Layout, selection: &Selection) -> Result<Selection, BuildError> {
    let wanted = selection.clone().with_bases(&project.definition);
    let mut result = selection.clone();
    for name in wanted.tier1.difference(&selection.tier1) {
        if !tier1::is_current(project, layout, name)? {
            result.tier1.insert(name.clone());
        }
    }
    for name in wanted.tier2.difference(&selection.tier2) {
        let base = &project.definition.tier2[name].base;
        if result.tier1.contains(base) || !tier2::is_current(project, layout, name)? {
            result.tier2.insert(name.clone());
        }
    }
    Ok(result)
}
