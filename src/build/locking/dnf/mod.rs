//! Resolving a tier 2 with dnf, on a mirrored image.
//!
//! dnf itself fetches, now and again later: it knows how to follow the image's
//! own repositories (mirror lists, variables, keys) and checks the packages'
//! signatures. Which file is which is then told by its SHA-256 alone.

mod root;

use std::collections::{BTreeMap, BTreeSet};

use cap_std::fs_utf8::camino::Utf8Path;

use super::super::kernels::{self, KernelAsk, rpms, sets, sources};
use super::super::packages::PackageCache;
use super::super::{BuildError, Project, Session};
use crate::config::{DnfBuild, Family, KmodSet, Lock, LockedPackage, LockedTier2, ModuleLock, PackageSet, Tier2};
use crate::kernel::{Inputs, ModuleSet, PackageVersion, Transaction};
use crate::model::{KernelRelease, KmodSetName, TierName};
use crate::sys::dirs;
use crate::tool::repodata::RpmPackage;
use crate::tool::rpm::upstream_version;
use root::{DnfRoot, Fetched, Offer};

/// How often a decision is taken again because of what a fetched source says about kernels.
const ATTEMPTS: usize = 4;

/// Resolves one tier and keeps its packages.
///
/// What a source says about kernels is known when its package is here, and dnf fetches it only together with the
/// headers of a kernel. So the decision comes first, and again with what was read, until both agree.
pub(super) fn resolve(
    session: &Session,
    project: &Project,
    lock: &Lock,
    name: &TierName,
    ask: &KernelAsk,
) -> Result<LockedTier2, BuildError> {
    let mut known = Vec::new();
    for _ in 0..ATTEMPTS {
        match attempt(session, project, lock, name, ask, &known)? {
            Attempt::Resolved(entry) => return Ok(*entry),
            Attempt::Read(sets) => known = sets,
        }
    }
    Err(BuildError::SourcesMoved { tier: name.clone() })
}

/// How an attempt ends.
enum Attempt {
    Resolved(Box<LockedTier2>),
    /// With the sets as their sources describe them another kernel has to be chosen.
    Read(Vec<ModuleSet>),
}

/// `known` are sets whose sources were read before.
fn attempt(
    session: &Session,
    project: &Project,
    lock: &Lock,
    name: &TierName,
    ask: &KernelAsk,
    known: &[ModuleSet],
) -> Result<Attempt, BuildError> {
    let tier = &project.definition.tier2[name];
    let base = &lock.tier1[&tier.base];
    let builds = builds(project, name, tier)?;
    let with_config = tier.modules.iter().any(|set| !project.definition.kmods[set].supports.config.is_empty());
    let root = DnfRoot::create(session, project, tier, base, with_config)?;
    root.update()?;
    let resolver = DnfResolver { session, project, name, root, cache: PackageCache::open(session)? };
    let step = session.step(format!("choose the kernel of tier2/{name}"))?;
    let mut inputs = resolver.inputs(lock, tier, &builds, ask)?;
    for set in &mut inputs.sets {
        if let Some(read) = known.iter().find(|read| read.name == set.name) {
            *set = read.clone();
        }
    }
    let mut decision = kernels::decide(name, &inputs)?;
    step.finish(format!("{}: {}", decision.release(), decision.reason));
    let swapped = decision.swap.as_ref().map(|transaction| resolver.new_kernel(transaction)).transpose()?;
    let mut modules = BTreeMap::new();
    for (set, build) in &builds {
        modules.insert((*set).clone(), resolver.module(set, build, decision.release())?);
    }
    if resolver.correct(&mut inputs, &builds, &modules)? {
        let again = kernels::decide(name, &inputs)?;
        if again.release() != decision.release() {
            return Ok(Attempt::Read(inputs.sets));
        }
        decision = again;
    }
    let install = builds.values().flat_map(|build| &build.install).chain(&tier.packages);
    let packages = resolver.packages("image", "the image", &install.map(ToString::to_string).collect::<Vec<_>>())?;
    super::tier2::refuse_build_tools(name, tier, &packages)?;
    Ok(Attempt::Resolved(Box::new(LockedTier2 {
        definition: project.definition.tier2_digest(name).expect("the tier is in the definition"),
        base: base.digest(),
        kernel: kernels::kernel_lock(&inputs, &decision, swapped),
        modules,
        packages,
    })))
}

fn builds<'a>(
    project: &'a Project,
    name: &TierName,
    tier: &'a Tier2,
) -> Result<BTreeMap<&'a KmodSetName, &'a DnfBuild>, BuildError> {
    let build = |set: &'a KmodSetName| {
        let build = project.definition.kmods[set].build.dnf.as_ref();
        let missing = || BuildError::FamilyNotSupported { tier: name.clone(), set: set.clone(), family: Family::Dnf };
        Ok((set, build.ok_or_else(missing)?))
    };
    tier.modules.iter().map(build).collect()
}

/// Resolves with dnf against the packages of tier 1.
struct DnfResolver<'a> {
    session: &'a Session,
    project: &'a Project,
    name: &'a TierName,
    root: DnfRoot<'a>,
    cache: PackageCache<'a>,
}

impl DnfResolver<'_> {
    /// Everything the decision depends on.
    fn inputs(
        &self,
        lock: &Lock,
        tier: &Tier2,
        builds: &BTreeMap<&KmodSetName, &DnfBuild>,
        ask: &KernelAsk,
    ) -> Result<Inputs, BuildError> {
        let mut found = rpms::in_base(&tier.base, &self.root.kernels, &self.root.installed)?;
        let names: BTreeSet<_> = found.moving.iter().map(|part| part.name.clone()).collect();
        let sources: BTreeSet<_> = builds.values().map(|build| source(build)).collect();
        let keep = |package: &RpmPackage| {
            package.name.starts_with("kernel") || names.contains(&package.name) || sources.contains(&package.name)
        };
        let offers = self.root.on_offer(keep)?;
        let offers: Vec<_> = offers.into_iter().map(|offer| (offer.repository, offer.package)).collect();
        let mut sets = Vec::with_capacity(builds.len());
        for (name, build) in builds {
            sets.push(module_set(&self.project.definition.kmods[*name], build, &offers));
        }
        rpms::add_offers(&mut found, &offers)?;
        let wanted = sets::symbols(&sets);
        for (release, config) in &self.root.configs {
            found.note_config(release, config, &wanted);
        }
        Ok(kernels::inputs(self.project, lock, self.name, found, sets, ask))
    }

    /// The inputs get what only the fetched packages tell: the version dnf took, as it knows reasons to take another
    /// than the newest, and what its source says about kernels. Returns whether that is something new.
    fn correct(
        &self,
        inputs: &mut Inputs,
        builds: &BTreeMap<&KmodSetName, &DnfBuild>,
        modules: &BTreeMap<KmodSetName, ModuleLock>,
    ) -> Result<bool, BuildError> {
        let mut corrected = false;
        for set in &mut inputs.sets {
            let Some((build, lock)) = builds.get(&set.name).zip(modules.get(&set.name)) else { continue };
            let mut read = sets::module_set(&self.project.definition.kmods[&set.name], &lock.version, &lock.version);
            let name = source(build);
            if let Some(package) = lock.packages.packages.iter().find(|package| package.name == name) {
                read = sources::narrow_by(read, self.cache.rpm_files(package, &sources::is_statement)?);
            }
            corrected |= *set != read;
            *set = read;
        }
        Ok(corrected)
    }

    /// Fetches what replaces the base's kernel, and from then on resolves as if it had.
    fn new_kernel(&self, transaction: &Transaction) -> Result<PackageSet, BuildError> {
        let exactly = |part: &crate::kernel::Part| format!("{}-{}", part.name, part.version);
        let selection: Vec<_> = transaction.install.iter().map(exactly).collect();
        let folder = self.session.store.work_folder(&format!("rpm-{}/kernel", self.name))?;
        let fetched = self.root.fetch_kernel(&selection, &folder)?;
        let packages = self.identify(&fetched)?;
        super::tier2::refuse_build_tools(
            self.name,
            &self.project.definition.tier2[self.name],
            &PackageSet { packages: packages.clone() },
        )?;
        self.root.replace(fetched.values().map(|file| folder.join(file).into_string()))?;
        keep(&self.cache, &packages.iter().collect::<Vec<_>>(), &fetched, &folder)?;
        Ok(PackageSet { packages })
    }

    fn module(&self, set: &KmodSetName, build: &DnfBuild, kernel: &KernelRelease) -> Result<ModuleLock, BuildError> {
        // By what the package provides: its name alone would lead to the newest headers there are.
        let fixed = ["dkms".to_owned(), format!("kernel-devel-uname-r = {kernel}")];
        let own = build.packages.iter().map(ToString::to_string);
        let packages =
            self.packages(&format!("set-{set}"), set.as_str(), &fixed.into_iter().chain(own).collect::<Vec<_>>())?;
        let version = packages.packages.iter().find(|package| package.name == source(build));
        let version = version.map(|package| upstream_version(&package.version).to_owned()).unwrap_or_default();
        Ok(ModuleLock { version, packages })
    }

    /// Everything that has to be added to the base so that `selection` is installed; kept in the store.
    fn packages(&self, folder: &str, what: &str, selection: &[String]) -> Result<PackageSet, BuildError> {
        if selection.is_empty() {
            return Ok(PackageSet::default());
        }
        let folder = self.session.store.work_folder(&format!("rpm-{}/{folder}", self.name))?;
        let fetched = self.root.fetch(what, selection, &folder)?;
        let packages = self.identify(&fetched)?;
        keep(&self.cache, &packages.iter().collect::<Vec<_>>(), &fetched, &folder)?;
        Ok(PackageSet { packages })
    }

    /// Finds each fetched file in the metadata it was resolved from.
    fn identify(&self, fetched: &Fetched) -> Result<Vec<LockedPackage>, BuildError> {
        let mut known = BTreeMap::new();
        for Offer { archive, package, .. } in self.root.on_offer(|package| fetched.contains_key(&package.sha256))? {
            known.entry(package.sha256.clone()).or_insert((archive, package));
        }
        let mut packages = Vec::with_capacity(fetched.len());
        for (sha256, file) in fetched {
            let (archive, package) =
                known.remove(sha256).ok_or_else(|| BuildError::UnknownPackageFile { file: file.clone() })?;
            packages.push(LockedPackage {
                name: package.name,
                version: package.version,
                architecture: package.architecture,
                sha256: sha256.parse().expect("a digest is 64 hexadecimal digits"),
                size: package.size,
                archive,
                path: package.location,
            });
        }
        packages.sort();
        Ok(packages)
    }
}

/// The package that holds the source of a set.
fn source(build: &DnfBuild) -> String {
    build.packages.first().map(ToString::to_string).unwrap_or_default()
}

/// A set with the newest version of its source on offer, which is what dnf will take.
fn module_set(set: &KmodSet, build: &DnfBuild, offers: &[(String, RpmPackage)]) -> ModuleSet {
    let name = source(build);
    let offered = offers.iter().filter(|(_, package)| package.name == name);
    let versions = offered.filter_map(|(_, package)| package.version.parse().ok().map(PackageVersion::Rpm));
    let newest = versions.max().map(|version| version.to_string()).unwrap_or_default();
    let upstream = upstream_version(&newest);
    sets::module_set(set, upstream, upstream)
}

/// Moves those of `packages` that were fetched into the store.
fn keep(
    cache: &PackageCache<'_>,
    packages: &[&LockedPackage],
    fetched: &Fetched,
    folder: &Utf8Path,
) -> Result<(), BuildError> {
    let dir = dirs::open(folder).map_err(crate::build::error::io("opening", folder))?;
    let files = packages.iter().filter_map(|package| Some((*package, fetched.get(package.sha256.as_str())?.as_str())));
    cache.keep_all(files, &dir)
}

/// Makes sure that the packages of a locked tier are in the store.
pub(super) fn ensure(
    session: &Session,
    project: &Project,
    tier: &Tier2,
    entry: &LockedTier2,
) -> Result<(), BuildError> {
    let cache = PackageCache::open(session)?;
    let sets: Vec<_> = super::package_sets(entry).collect();
    let all: Vec<_> = sets.iter().flat_map(|set| &set.packages).collect();
    if cache.missing(&all)?.is_empty() {
        return Ok(());
    }
    let lock = project.lock.as_ref().expect("a locked tier comes from a lock");
    let root = DnfRoot::create(session, project, tier, &lock.tier1[&tier.base], false)?;
    root.update()?;
    for (number, set) in sets.into_iter().enumerate() {
        fetch_again(session, &cache, &root, &format!("rpm-again/{number}"), set)?;
    }
    Ok(())
}

/// Fetches one set anew, as a whole: resolved from less, dnf would add other packages than the locked ones.
fn fetch_again(
    session: &Session,
    cache: &PackageCache<'_>,
    root: &DnfRoot<'_>,
    folder: &str,
    set: &PackageSet,
) -> Result<(), BuildError> {
    let all: Vec<_> = set.packages.iter().collect();
    let missing = cache.missing(&all)?;
    if missing.is_empty() {
        return Ok(());
    }
    let exactly = |package: &&LockedPackage| format!("{}-{}.{}", package.name, package.version, package.architecture);
    let folder = session.store.work_folder(folder)?;
    let fetched = root.fetch_again(&all.iter().map(exactly).collect::<Vec<_>>(), &folder)?;
    keep(cache, &missing, &fetched, &folder)?;
    // Another file under the same name and version, if any is still not there.
    match cache.missing(&missing)?.first() {
        None => Ok(()),
        Some(package) => Err(BuildError::PackageGone {
            package: format!("{} {} {}", package.name, package.version, package.architecture),
            sha256: package.sha256.to_string(),
        }),
    }
}
