//! The road: from a settled lock to the images of the chain.

use super::chain::{self, Built};
use super::kernels::KernelPin;
use super::preflight::{self, Needs};
use super::{BuildError, Project, Session, locking, tier1, tier2, tier3};
use crate::oci::Layout;
use crate::plan::Selection;

/// Builds the selected images and every image below them that the store does not hold.
///
/// # Errors
/// The first thing that goes wrong. Images finished before it keep their names; nothing half-made has one.
pub fn run(
    session: &Session,
    project: &mut Project,
    selection: &Selection,
    pin: Option<&KernelPin>,
) -> Result<Vec<Built>, BuildError> {
    preflight::require(session, &Needs::of_selection(&project.definition, selection))?;
    build(session, project, selection, pin).map_err(|error| session.store.explain_space(error))
}

fn build(
    session: &Session,
    project: &mut Project,
    selection: &Selection,
    pin: Option<&KernelPin>,
) -> Result<Vec<Built>, BuildError> {
    locking::settle(session, project, selection, pin)?;
    let layout = chain::open_layout(session)?;
    let selection = with_stale_bases(project, &layout, selection)?;
    let mut built = Vec::new();
    for name in &selection.tier1 {
        built.push(tier1::build(session, project, &layout, name)?);
    }
    for name in &selection.tier2 {
        built.push(tier2::build(session, project, &layout, name)?);
    }
    built.extend(tier3::build(session, project, &layout, &selection.hosts)?);
    Ok(built)
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
