//! Resolving a tier 1 that is made from packages.

use super::super::packages::PackageCache;
use super::super::{BuildError, Project, Session, setup_root};
use super::apt::{AptRoot, AptSources, machine_archives};
use crate::config::{Bootstrap, LockedTier1, PackageSet, SetupRootLock, Tier1Source};
use crate::kernel::{PackageEntry, Provenance, Universe};
use crate::model::{KernelRelease, TierName};
use crate::tool::apt::BASE_SELECTION;

/// Resolves one tier and keeps its packages.
pub(super) fn resolve(
    session: &Session,
    project: &Project,
    name: &TierName,
    bootstrap: &Bootstrap,
) -> Result<LockedTier1, BuildError> {
    let setup_root = setup_root::find(&session.settings)?;
    let machine = machine_archives(session)?;
    let sources = AptSources::of_bootstrap(bootstrap, &[], &machine, project)?;
    let apt = AptRoot::create(session, &format!("apt-tier1-{name}"), project.debian_architecture(), &sources)?;
    apt.update()?;
    let step = session.step(format!("resolve tier1/{name}"))?;
    let packages = apt.resolve(None, &selection(bootstrap))?;
    let kernel = only_kernel(name, bootstrap, &packages)?;
    step.finish(format!("{} packages, kernel {kernel}", packages.packages.len()));
    let all: Vec<_> = packages.packages.iter().collect();
    PackageCache::open(session)?.ensure(&all, apt.archives(), apt.config())?;
    Ok(LockedTier1 {
        definition: project.definition.tier1_digest(name).expect("the tier is in the definition"),
        kernel,
        source: Tier1Source::Bootstrap { packages, setup_root: SetupRootLock { sha256: setup_root.sha256 } },
    })
}

fn selection(bootstrap: &Bootstrap) -> Vec<String> {
    let base = BASE_SELECTION.iter().map(|item| (*item).to_owned());
    let kernel = std::iter::once(bootstrap.kernel.to_string());
    base.chain(kernel).chain(bootstrap.packages.iter().map(ToString::to_string)).collect()
}

/// The one kernel among the packages.
fn only_kernel(name: &TierName, bootstrap: &Bootstrap, packages: &PackageSet) -> Result<KernelRelease, BuildError> {
    let mut universe = Universe::default();
    let entries = packages.packages.iter().map(|package| PackageEntry {
        name: &package.name,
        version: &package.version,
        architecture: &package.architecture,
        provides: &[],
    });
    universe.add_debs(entries, &Provenance::Base)?;
    match universe.kernels.as_slice() {
        [kernel] => Ok(kernel.release.clone()),
        kernels => Err(BuildError::KernelsInDefinition {
            tier: name.clone(),
            package: bootstrap.kernel.to_string(),
            found: kernels.iter().map(|kernel| kernel.release.to_string()).collect(),
        }),
    }
}
