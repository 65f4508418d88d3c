//! Resolving a tier 2: the kernel, what each builder stage installs, what the final image gets.

use std::collections::BTreeMap;

use super::super::check;
use super::super::kernels::{self, KernelPin};
use super::super::packages::{PackageCache, only_stanza};
use super::super::{BuildError, Project, Session};
use super::apt::{AptRoot, AptSources, machine_archives};
use crate::config::{
    AptBuild, Family, KernelLock, KmodSet, Lock, LockedTier1, LockedTier2, ModuleLock, PackageSet, Tier1Source, Tier2,
};
use crate::kernel::{Decision, PackageEntry, Provenance, Universe};
use crate::kmod::{Allowances, leftover_package};
use crate::model::{KmodSetName, TierName};
use crate::tool::{deb822, dpkg};

/// Resolves one tier and keeps its packages.
pub(super) fn resolve(
    session: &Session,
    project: &Project,
    lock: &Lock,
    name: &TierName,
    pin: Option<&KernelPin>,
) -> Result<LockedTier2, BuildError> {
    let tier = &project.definition.tier2[name];
    let base = &lock.tier1[&tier.base];
    match project.definition.tier1[&tier.base].family() {
        Family::Apt => AptResolver::new(session, project, name, tier, base)?.resolve(pin),
        Family::Dnf => super::dnf::resolve(session, project, name, tier, base, pin),
    }
}

/// Resolves with apt against the packages of tier 1.
struct AptResolver<'a> {
    session: &'a Session,
    project: &'a Project,
    name: &'a TierName,
    tier: &'a Tier2,
    base: &'a LockedTier1,
    sets: BTreeMap<&'a KmodSetName, (&'a KmodSet, &'a AptBuild)>,
    apt: AptRoot<'a>,
    cache: PackageCache<'a>,
    status: String,
}

impl<'a> AptResolver<'a> {
    fn new(
        session: &'a Session,
        project: &'a Project,
        name: &'a TierName,
        tier: &'a Tier2,
        base: &'a LockedTier1,
    ) -> Result<Self, BuildError> {
        let sets = apt_sets(project, name, tier)?;
        let sources = apt_sources(session, project, tier)?;
        let apt = AptRoot::create(session, &format!("apt-tier2-{name}"), project.debian_architecture(), &sources)?;
        apt.update()?;
        let cache = PackageCache::open(session)?;
        let status = base_status(session, project, base, &cache, &apt)?;
        Ok(Self { session, project, name, tier, base, sets, apt, cache, status })
    }

    fn resolve(self, pin: Option<&KernelPin>) -> Result<LockedTier2, BuildError> {
        let step = self.session.step(format!("resolve tier2/{}", self.name))?;
        let decision = self.decide(pin)?;
        let mut modules = BTreeMap::new();
        for (set, (_, build)) in &self.sets {
            modules.insert((*set).clone(), self.module(build, &decision)?);
        }
        let install = self.sets.values().flat_map(|(_, build)| &build.install).chain(&self.tier.packages);
        let selection: Vec<_> = install.map(ToString::to_string).collect();
        let packages = match selection.is_empty() {
            true => PackageSet::default(),
            false => self.apt.resolve(Some(&self.status), &selection)?,
        };
        refuse_build_tools(self.name, self.tier, &packages)?;
        step.finish(format!("kernel {}: {}", decision.release(), decision.reason));
        let sets = modules.values().map(|module| &module.packages).chain([&packages]);
        let all: Vec<_> = sets.flat_map(|set| &set.packages).collect();
        self.cache.ensure(&all, self.apt.archives(), self.apt.config())?;
        Ok(LockedTier2 {
            definition: self.project.definition.tier2_digest(self.name).expect("the tier is in the definition"),
            base: self.base.digest(),
            kernel: kernel_lock(&decision),
            modules,
            packages,
        })
    }

    fn decide(&self, pin: Option<&KernelPin>) -> Result<Decision, BuildError> {
        let stanzas = deb822::parse_stanzas(&self.status).map_err(BuildError::Status)?;
        let mut base = Universe::default();
        base.add_debs(stanzas.iter().filter_map(entry), &Provenance::Base)?;
        let offered = self.apt.headers()?;
        let mut universe = Universe::default();
        let entries = offered.iter().map(|package| PackageEntry {
            name: &package.package,
            version: &package.version,
            architecture: self.project.debian_architecture(),
            provides: &[],
        });
        universe.add_debs(entries, &Provenance::Archive("apt".to_owned()))?;
        kernels::decide(self.name, &base.kernels, &universe.headers, &self.tier.kernel, pin)
    }

    fn module(&self, build: &AptBuild, decision: &Decision) -> Result<ModuleLock, BuildError> {
        let fixed = ["dkms".to_owned(), decision.headers.package.clone()];
        let own = build.packages.iter().map(ToString::to_string);
        let packages = self.apt.resolve(Some(&self.status), &fixed.into_iter().chain(own).collect::<Vec<_>>())?;
        let first = build.packages.first().map(ToString::to_string).unwrap_or_default();
        let version = packages.packages.iter().find(|package| package.name == first);
        Ok(ModuleLock { version: version.map(|package| package.version.clone()).unwrap_or_default(), packages })
    }
}

/// The archives that a tier 2 and its module sets read.
pub(super) fn apt_sources(session: &Session, project: &Project, tier: &Tier2) -> Result<AptSources, BuildError> {
    let machine = machine_archives(session)?;
    let builds = tier.modules.iter().filter_map(|set| project.definition.kmods[set].build.apt.as_ref());
    let mut sources = match &project.definition.tier1[&tier.base].bootstrap {
        Some(bootstrap) => {
            let extra: Vec<_> = builds.flat_map(|build| build.components.clone()).collect();
            AptSources::of_bootstrap(bootstrap, &extra, &machine, project)?
        }
        None => AptSources::default(),
    };
    sources.add_repositories(&tier.repositories, &machine, project)?;
    Ok(sources)
}

/// Refuses a final image whose packages bring a compiler along: better here than after the modules have been built.
///
/// What the definition allows is left to the check of the image, which reports it.
pub(super) fn refuse_build_tools(name: &TierName, tier: &Tier2, packages: &PackageSet) -> Result<(), BuildError> {
    let mut allowances = Allowances::new(tier.allow.iter().map(check::allowed))?;
    let denied = packages.packages.iter().filter_map(|package| leftover_package(&package.name));
    let findings: Vec<_> = denied.filter(|finding| allowances.reason(&finding.subject).is_none()).collect();
    if findings.is_empty() { Ok(()) } else { Err(BuildError::Leftovers { image: format!("tier2/{name}"), findings }) }
}

fn apt_sets<'a>(
    project: &'a Project,
    name: &TierName,
    tier: &'a Tier2,
) -> Result<BTreeMap<&'a KmodSetName, (&'a KmodSet, &'a AptBuild)>, BuildError> {
    tier.modules
        .iter()
        .map(|set_name| {
            let set = &project.definition.kmods[set_name];
            let build = set.build.apt.as_ref().ok_or_else(|| BuildError::FamilyNotSupported {
                tier: name.clone(),
                set: set_name.clone(),
                family: Family::Apt,
            })?;
            Ok((set_name, (set, build)))
        })
        .collect()
}

/// What dpkg will say is installed in tier 1.
fn base_status(
    session: &Session,
    project: &Project,
    base: &LockedTier1,
    cache: &PackageCache<'_>,
    apt: &AptRoot<'_>,
) -> Result<String, BuildError> {
    let packages = match &base.source {
        Tier1Source::Bootstrap { packages, .. } => packages,
        Tier1Source::Mirror { image, .. } => return super::mirror::dpkg_status(session, project, image),
    };
    let all: Vec<_> = packages.packages.iter().collect();
    cache.ensure(&all, apt.archives(), apt.config())?;
    let controls = packages.packages.iter().map(|package| cache.control(package)).collect::<Result<Vec<_>, _>>()?;
    let pairs = packages.packages.iter().zip(&controls);
    let stanzas = pairs.map(|(package, control)| only_stanza(package, control)).collect::<Result<Vec<_>, _>>()?;
    Ok(dpkg::status_of(&stanzas))
}

fn entry<'s>(stanza: &'s deb822::Stanza<'s>) -> Option<PackageEntry<'s>> {
    Some(PackageEntry {
        name: stanza.get("Package")?,
        version: stanza.get("Version")?,
        architecture: stanza.get("Architecture")?,
        provides: &[],
    })
}

/// The decision as the lock keeps it.
pub(super) fn kernel_lock(decision: &Decision) -> KernelLock {
    KernelLock {
        release: decision.release().clone(),
        reason: decision.reason.clone(),
        base: decision.base(),
        headers: decision.on_offer(),
    }
}
