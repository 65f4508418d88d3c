//! Resolving a tier 2 with dnf, on a mirrored image.
//!
//! dnf itself fetches, now and again later: it knows how to follow the image's
//! own repositories (mirror lists, variables, keys) and checks the packages'
//! signatures. Which file is which is then told by its SHA-256 alone.

mod root;

use std::collections::BTreeMap;

use cap_std::fs_utf8::camino::Utf8Path;

use super::super::kernels::{self, KernelPin};
use super::super::packages::PackageCache;
use super::super::{BuildError, Project, Session};
use super::tier2::kernel_lock;
use crate::config::{DnfBuild, Family, LockedPackage, LockedTier1, LockedTier2, ModuleLock, PackageSet, Tier2};
use crate::kernel::{Decision, PackageEntry, Provenance, Universe, kernels_in_base};
use crate::model::{KernelRelease, KmodSetName, TierName};
use crate::sys::dirs;
use crate::tool::rpm::upstream_version;
use root::{DnfRoot, Fetched};

/// Resolves one tier and keeps its packages.
pub(super) fn resolve(
    session: &Session,
    project: &Project,
    name: &TierName,
    tier: &Tier2,
    base: &LockedTier1,
    pin: Option<&KernelPin>,
) -> Result<LockedTier2, BuildError> {
    let builds = builds(project, name, tier)?;
    let root = DnfRoot::create(session, project, tier, base)?;
    root.update()?;
    let resolver = DnfResolver { session, name, root, cache: PackageCache::open(session)? };
    let step = session.step(format!("choose the kernel of tier2/{name}"))?;
    let decision = resolver.decide(tier, pin)?;
    step.finish(format!("{}: {}", decision.release(), decision.reason));
    let mut modules = BTreeMap::new();
    for (set, build) in &builds {
        modules.insert((*set).clone(), resolver.module(set, build, decision.release())?);
    }
    let install = builds.values().flat_map(|build| &build.install).chain(&tier.packages);
    let packages = resolver.packages("image", "the image", &install.map(ToString::to_string).collect::<Vec<_>>())?;
    super::tier2::refuse_build_tools(name, tier, &packages)?;
    Ok(LockedTier2 {
        definition: project.definition.tier2_digest(name).expect("the tier is in the definition"),
        base: base.digest(),
        kernel: kernel_lock(&decision),
        modules,
        packages,
    })
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
    name: &'a TierName,
    root: DnfRoot<'a>,
    cache: PackageCache<'a>,
}

impl DnfResolver<'_> {
    fn decide(&self, tier: &Tier2, pin: Option<&KernelPin>) -> Result<Decision, BuildError> {
        let mut base = Universe::default();
        for package in &self.root.installed {
            let provides: Vec<_> = package.provides.iter().map(String::as_str).collect();
            let (name, version, architecture) = (&*package.name, &*package.version, &*package.architecture);
            base.add_rpms([PackageEntry { name, version, architecture, provides: &provides }], &Provenance::Base)?;
        }
        let in_base = kernels_in_base(&self.root.kernels, base.kernels)
            .map_err(|source| BuildError::BaseKernels { tier: tier.base.clone(), source })?;
        let mut offered = Universe::default();
        for (_, package) in self.root.on_offer(|package| package.name.starts_with("kernel"))? {
            let provides: Vec<_> = package.provides.iter().map(String::as_str).collect();
            let (name, version, architecture) = (&*package.name, &*package.version, &*package.architecture);
            let entry = PackageEntry { name, version, architecture, provides: &provides };
            offered.add_rpms([entry], &Provenance::Archive("dnf".to_owned()))?;
        }
        kernels::decide(self.name, &in_base, &offered.headers, &tier.kernel, pin)
    }

    fn module(&self, set: &KmodSetName, build: &DnfBuild, kernel: &KernelRelease) -> Result<ModuleLock, BuildError> {
        // By what the package provides: its name alone would lead to the newest headers there are.
        let fixed = ["dkms".to_owned(), format!("kernel-devel-uname-r = {kernel}")];
        let own = build.packages.iter().map(ToString::to_string);
        let packages =
            self.packages(&format!("set-{set}"), set.as_str(), &fixed.into_iter().chain(own).collect::<Vec<_>>())?;
        let first = build.packages.first().map(ToString::to_string).unwrap_or_default();
        let version = packages.packages.iter().find(|package| package.name == first);
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
        for (archive, package) in self.root.on_offer(|package| fetched.contains_key(&package.sha256))? {
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
    let sets: Vec<_> = entry.modules.values().map(|module| &module.packages).chain([&entry.packages]).collect();
    let all: Vec<_> = sets.iter().flat_map(|set| &set.packages).collect();
    if cache.missing(&all)?.is_empty() {
        return Ok(());
    }
    let lock = project.lock.as_ref().expect("a locked tier comes from a lock");
    let root = DnfRoot::create(session, project, tier, &lock.tier1[&tier.base])?;
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
    let fetched = root.fetch("the lock", &all.iter().map(exactly).collect::<Vec<_>>(), &folder)?;
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
