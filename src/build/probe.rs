//! A tier 2 whose modules may not compile for the chosen kernel: what was learnt is kept, the next kernel is tried.

use super::audit::{Event, Verb};
use super::chain::Built;
use super::kernels::KernelAsk;
use super::sbom::Inventory;
use super::{BuildError, Project, Session, locking, tier2};
use crate::model::{KmodSetName, KnownBad, TierName};
use crate::oci::Layout;

/// Builds a tier 2, deciding on the kernel anew after each build that failed at a module's source, at most
/// `ask.probes` times.
///
/// `known` gets what is in the image below.
/// Every such failure is remembered in the lock, the last one too; under `--locked` none is, and none is followed.
///
/// # Errors
/// What the last build failed with; [`BuildError::Kernel`] when no kernel is left.
pub(super) fn build(
    session: &Session,
    project: &mut Project,
    layout: &Layout,
    name: &TierName,
    ask: &KernelAsk,
    known: &mut Inventory,
) -> Result<Built, BuildError> {
    let mut left = ask.probes;
    let mut suspect = None;
    loop {
        let error = match tier2::build(session, project, layout, name, suspect.as_ref(), known) {
            Err(error @ BuildError::DoesNotBuild { .. }) if !session.settings.locked => error,
            other => return other,
        };
        let set = remember(session, project, &error)?;
        if left == 0 {
            return Err(error);
        }
        left -= 1;
        let step = session.step(format!("{error}").lines().next().unwrap_or_default())?;
        let release = locking::decide_again(session, project, name, ask)?;
        step.finish(format!("trying {release}, {left} more after it"));
        // What failed is compiled first now: whatever else compiles would be thrown away with it.
        suspect = Some(set);
    }
}

fn remember(session: &Session, project: &mut Project, error: &BuildError) -> Result<KmodSetName, BuildError> {
    let BuildError::DoesNotBuild { set, version, kernel, reason, .. } = error else {
        unreachable!("the caller asks for no other");
    };
    let bad = KnownBad { set: set.clone(), version: version.clone(), kernel: kernel.clone(), error: reason.clone() };
    if locking::remember_known_bad(project, bad)? {
        let learnt = Event::new(Verb::Resolve, format!("{set} {version}"));
        session.audit(learnt.detail(format!("does not build for {kernel}: {reason}")))?;
    }
    Ok(set.clone())
}
