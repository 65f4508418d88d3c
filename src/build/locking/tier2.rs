//! Resolving a tier 2: the kernel, what each builder stage installs, what the final image gets.

use std::collections::{BTreeMap, BTreeSet};

use super::super::check;
use super::super::kernels::{self, Found, KernelAsk, debs, sets, sources};
use super::super::packages::{PackageCache, only_stanza};
use super::super::{BuildError, Project, Session};
use super::apt::{AptRoot, AptSources, machine_archives};
use crate::config::{
    AptBuild, Family, KmodSet, Lock, LockedPackage, LockedTier1, LockedTier2, ModuleLock, PackageSet, Tier1Source,
    Tier2,
};
use crate::kernel::{Decision, Inputs, ModuleSet, Transaction};
use crate::kmod::{Allowances, leftover_package};
use crate::model::deb822;
use crate::model::{KernelRelease, KmodSetName, TierName};
use crate::tool::dpkg;

/// So many kernels are fetched only to look at their configuration.
const LOOKS: usize = 3;

/// Resolves one tier and keeps its packages.
pub(super) fn resolve(
    session: &Session,
    project: &Project,
    lock: &Lock,
    name: &TierName,
    ask: &KernelAsk,
) -> Result<LockedTier2, BuildError> {
    let tier = &project.definition.tier2[name];
    let base = &lock.tier1[&tier.base];
    match project.definition.tier1[&tier.base].family() {
        Family::Apt => AptResolver::new(session, project, name, tier, base)?.resolve(lock, ask),
        Family::Dnf => super::dnf::resolve(session, project, lock, name, ask),
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
    /// What dpkg will say is installed in every stage before it installs anything.
    status: String,
}

/// A kernel that replaces the base's.
struct NewKernel {
    packages: PackageSet,
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

    fn resolve(mut self, lock: &Lock, ask: &KernelAsk) -> Result<LockedTier2, BuildError> {
        let step = self.session.step(format!("resolve tier2/{}", self.name))?;
        let inputs = self.inputs(lock, ask)?;
        let (inputs, decision, new_kernel) = self.decide(inputs)?;
        let swapped = new_kernel.map(|kernel| {
            self.status = kernel.status;
            kernel.packages
        });
        let kernel = kernels::kernel_lock(&inputs, &decision, swapped);
        let mut modules = BTreeMap::new();
        for (set, (_, build)) in &self.sets {
            modules.insert((*set).clone(), self.module(build, &decision)?);
        }
        check_versions(&inputs.sets, &modules)?;
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
            kernel,
            modules,
            packages,
        })
    }

    /// Everything the decision depends on.
    fn inputs(&self, lock: &Lock, ask: &KernelAsk) -> Result<Inputs, BuildError> {
        let sets = self.module_sets()?;
        let mut found = debs::find(&self.status, &self.apt.kernels()?, self.project.debian_architecture())?;
        let wanted = sets::symbols(&sets);
        if let (false, [kernel]) = (wanted.is_empty(), found.base.as_slice()) {
            let release = kernel.release.clone();
            if let Some(config) = self.base_config(&release)? {
                found.note_config(&release, &config, &wanted);
            }
        }
        Ok(kernels::inputs(self.project, lock, self.name, found, sets, ask))
    }

    /// The module sets with the versions that their packages have today.
    fn module_sets(&self) -> Result<Vec<ModuleSet>, BuildError> {
        let mut sets = Vec::with_capacity(self.sets.len());
        for (set, build) in self.sets.values() {
            let packages = self.apt.resolve(Some(&self.status), &builder_packages(build))?;
            let version = source_version(build, &packages);
            let stated = sets::module_set(set, &version, sets::deb_upstream(&version));
            sets.push(match source(build, &packages) {
                Some(source) => self.narrowed(stated, source)?,
                None => stated,
            });
        }
        Ok(sets)
    }

    /// The set with what the source in its package says about kernels.
    fn narrowed(&self, set: ModuleSet, source: &LockedPackage) -> Result<ModuleSet, BuildError> {
        self.cache.ensure(&[source], self.apt.archives(), self.apt.config())?;
        Ok(sources::narrow_by(set, self.cache.files(source, &sources::is_statement)?))
    }

    /// Decides. Of a kernel that would replace the base's, the configuration is known only when its packages are
    /// here; where a set asks for symbols it is looked at, and what it says is one more input.
    fn decide(&self, mut inputs: Inputs) -> Result<(Inputs, Decision, Option<NewKernel>), BuildError> {
        let wanted = sets::symbols(&inputs.sets);
        let mut looks = if wanted.is_empty() { 0 } else { LOOKS };
        loop {
            let decision = kernels::decide(self.name, &inputs)?;
            let Some(transaction) = &decision.swap else { return Ok((inputs, decision, None)) };
            let kernel = self.new_kernel(transaction)?;
            let release = decision.release().clone();
            let is_known = inputs.facts.get(&release).is_some_and(|facts| facts.config.is_some());
            let config = match is_known || looks == 0 {
                true => None,
                false => self.config(&release, kernel.packages.packages.iter())?,
            };
            let Some(config) = config else { return Ok((inputs, decision, Some(kernel))) };
            let mut found = Found { facts: inputs.facts, ..Found::default() };
            found.note_config(&release, &config, &wanted);
            inputs.facts = found.facts;
            looks -= 1;
        }
    }

    /// Resolves and fetches what replaces the base's kernel, against everything that stays.
    fn new_kernel(&self, transaction: &Transaction) -> Result<NewKernel, BuildError> {
        let stanzas = deb822::parse_stanzas(&self.status).map_err(BuildError::Status)?;
        let going: BTreeSet<_> = transaction.remove.iter().map(|part| part.name.as_str()).collect();
        let stays = |stanza: &&deb822::Stanza<'_>| {
            stanza.is_installed() && stanza.get("Package").is_some_and(|name| !going.contains(name))
        };
        let mut status = dpkg::status_of(stanzas.iter().filter(stays));
        let selection: Vec<_> =
            transaction.install.iter().map(|part| format!("{}={}", part.name, part.version)).collect();
        let packages = self.apt.resolve(Some(&status), &selection)?;
        refuse_build_tools(self.name, self.tier, &packages)?;
        let all: Vec<_> = packages.packages.iter().collect();
        self.cache.ensure(&all, self.apt.archives(), self.apt.config())?;
        status.push_str(&status_of(&self.cache, &packages)?);
        Ok(NewKernel { packages, status })
    }

    /// The configuration of the base's kernel, where it can be read before the base is built.
    fn base_config(&self, release: &KernelRelease) -> Result<Option<String>, BuildError> {
        match &self.base.source {
            Tier1Source::Bootstrap { packages, .. } => self.config(release, packages.packages.iter()),
            Tier1Source::Mirror { image, .. } => super::mirror::config(self.session, self.project, image, release),
        }
    }

    /// The configuration of a kernel in those of the packages that belong to it.
    fn config<'p>(
        &self,
        release: &KernelRelease,
        packages: impl Iterator<Item = &'p LockedPackage>,
    ) -> Result<Option<String>, BuildError> {
        let paths = config_paths(release);
        for package in packages.filter(|package| package.name.ends_with(release.as_str())) {
            let files = self.cache.files(package, &|path| paths.iter().any(|wanted| wanted == path))?;
            if let Some(bytes) = files.into_values().next() {
                return Ok(Some(String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
        Ok(None)
    }

    fn module(&self, build: &AptBuild, decision: &Decision) -> Result<ModuleLock, BuildError> {
        let selection: Vec<_> = builder_packages(build).into_iter().chain([decision.headers.package.clone()]).collect();
        let packages = self.apt.resolve(Some(&self.status), &selection)?;
        Ok(ModuleLock { version: source_version(build, &packages), packages })
    }
}

fn builder_packages(build: &AptBuild) -> Vec<String> {
    std::iter::once("dkms".to_owned()).chain(build.packages.iter().map(ToString::to_string)).collect()
}

/// The package that holds the source.
fn source<'p>(build: &AptBuild, packages: &'p PackageSet) -> Option<&'p LockedPackage> {
    let first = build.packages.first()?.to_string();
    packages.packages.iter().find(|package| package.name == first)
}

fn source_version(build: &AptBuild, packages: &PackageSet) -> String {
    source(build, packages).map(|package| package.version.clone()).unwrap_or_default()
}

/// What was decided holds for the sources it was decided with.
fn check_versions(decided: &[ModuleSet], modules: &BTreeMap<KmodSetName, ModuleLock>) -> Result<(), BuildError> {
    let found = |name: &KmodSetName| modules.get(name).map(|module| module.version.as_str());
    match decided.iter().find(|set| found(&set.name).is_some_and(|found| found != set.version)) {
        None => Ok(()),
        Some(set) => Err(BuildError::SourceMoved {
            set: set.name.clone(),
            decided: set.version.clone(),
            found: found(&set.name).unwrap_or_default().to_owned(),
        }),
    }
}

/// Where distributions put the configuration of a kernel, without leading slash.
pub(super) fn config_paths(release: &KernelRelease) -> [String; 3] {
    [
        format!("usr/lib/modules/{release}/config"),
        format!("lib/modules/{release}/config"),
        format!("boot/config-{release}"),
    ]
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
    status_of(cache, packages)
}

/// What dpkg will say when exactly these packages are installed.
fn status_of(cache: &PackageCache<'_>, packages: &PackageSet) -> Result<String, BuildError> {
    let controls = packages.packages.iter().map(|package| cache.control(package)).collect::<Result<Vec<_>, _>>()?;
    let pairs = packages.packages.iter().zip(&controls);
    let stanzas = pairs.map(|(package, control)| only_stanza(package, control)).collect::<Result<Vec<_>, _>>()?;
    Ok(dpkg::status_of(&stanzas))
}
