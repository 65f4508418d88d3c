//! Kernels and headers of RPM distributions: from the base's package database and the repositories' metadata.
//!
//! One source package makes the kernel, its modules and its tools, all of one version and release: what has the
//! version of the base's kernel moves with it, and a kernel on offer is complete when all of that is on offer too.

use std::collections::{BTreeMap, BTreeSet};

use super::Found;
use crate::build::BuildError;
use crate::kernel::{
    Headers, Kernel, KernelSet, PackageEntry, PackageVersion, Part, Provenance, Universe, UniverseError,
    kernels_in_base,
};
use crate::model::{KernelRelease, TierName};
use crate::tool::repodata::RpmPackage;
use crate::tool::rpm::Installed;

/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;

/// What the base has: folders of kernels, and its package database.
///
/// # Errors
/// When the two disagree, or a version is none.
pub(in crate::build) fn in_base(
    tier: &TierName,
    folders: &BTreeSet<KernelRelease>,
    installed: &[Installed],
) -> Result<Found, BuildError> {
    let mut universe = Universe::default();
    for Installed { name, version, architecture, provides } in installed {
        let provides: Vec<_> = provides.iter().map(String::as_str).collect();
        universe.add_rpms([PackageEntry { name, version, architecture, provides: &provides }], &Provenance::Base)?;
    }
    let base = kernels_in_base(folders, universe.kernels)
        .map_err(|source| BuildError::BaseKernels { tier: tier.clone(), source })?;
    let moving = moving(installed, &base)?;
    Ok(Found { base, moving, ..Found::default() })
}

/// Everything installed that was made with the base's kernel.
fn moving(installed: &[Installed], base: &[Kernel]) -> Result<Vec<Part>, BuildError> {
    let mut parts = Vec::new();
    // Keys are kept among the packages, and their versions are no versions.
    for package in installed.iter().filter(|package| package.architecture != "(none)") {
        let version = version(&package.name, &package.version)?;
        if base.iter().any(|kernel| kernel.version == version) {
            parts.push(Part { name: package.name.clone(), version });
        }
    }
    Ok(parts)
}

fn version(package: &str, version: &str) -> Result<PackageVersion, UniverseError> {
    let parsed = version.parse().map_err(|source| UniverseError::Rpm { package: package.to_owned(), source });
    parsed.map(PackageVersion::Rpm)
}

/// Adds what the repositories have, each package with the id of its repository; of what is there twice the first
/// counts.
///
/// # Errors
/// When a version is none.
pub(in crate::build) fn add_offers(found: &mut Found, offers: &[(String, RpmPackage)]) -> Result<(), BuildError> {
    let moving: BTreeSet<String> = found.moving.iter().map(|part| part.name.clone()).collect();
    let mut universe = Universe::default();
    let mut offered: BTreeMap<PackageVersion, BTreeSet<&str>> = BTreeMap::new();
    for (repository, package) in offers {
        let RpmPackage { name, version: text, architecture, .. } = package;
        let provides: Vec<_> = package.provides.iter().map(String::as_str).collect();
        let entry = PackageEntry { name, version: text, architecture, provides: &provides };
        let before = universe.kernels.len();
        universe.add_rpms([entry], &Provenance::Archive(repository.clone()))?;
        let kernel = universe.kernels.get(before);
        if let Some((kernel, seconds)) = kernel.zip(package.built) {
            found.facts.entry(kernel.release.clone()).or_default().built = Some(seconds.div_euclid(DAY));
        }
        if kernel.is_some() || moving.contains(name) {
            offered.entry(version(name, text)?).or_default().insert(name);
        }
    }
    let mut seen = BTreeSet::new();
    for kernel in &universe.kernels {
        if seen.insert((&kernel.release, &kernel.version)) {
            found.swaps.push(kernel_set(kernel, &moving, &offered));
        }
    }
    let mut seen = BTreeSet::new();
    let first = |headers: &Headers| seen.insert((headers.release.clone(), headers.version.clone()));
    found.headers.extend(universe.headers.into_iter().filter(first));
    Ok(())
}

/// A kernel with what has to move along, as far as that is on offer in its version.
fn kernel_set(
    kernel: &Kernel,
    moving: &BTreeSet<String>,
    offered: &BTreeMap<PackageVersion, BTreeSet<&str>>,
) -> KernelSet {
    let Kernel { release, package, version, provenance } = kernel.clone();
    let names: BTreeSet<&str> = moving.iter().map(String::as_str).chain([package.as_str()]).collect();
    let is_offered = |name: &&str| offered.get(&version).is_some_and(|names| names.contains(name));
    let (there, missing): (Vec<&str>, Vec<&str>) = names.into_iter().partition(is_offered);
    let part = |name: &str| Part { name: name.to_owned(), version: version.clone() };
    let packages = there.into_iter().map(part).collect();
    let missing = missing.into_iter().map(str::to_owned).collect();
    KernelSet { release, version: version.clone(), provenance, packages, missing }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(name: &str, version: &str) -> Installed {
        let provides = Vec::new();
        Installed { name: name.into(), version: version.into(), architecture: "x86_64".into(), provides }
    }

    fn offer(repository: &str, name: &str, version: &str) -> (String, RpmPackage) {
        let (name, version, built) = (name.to_owned(), version.to_owned(), Some(20_000 * DAY + 7));
        let package = RpmPackage { name, version, architecture: "x86_64".into(), built, ..RpmPackage::default() };
        (repository.to_owned(), package)
    }

    fn base() -> Found {
        let kernel = "6.12.0-124.el10";
        let mut packages: Vec<_> =
            ["kernel", "kernel-core", "kernel-modules", "perf"].map(|name| installed(name, kernel)).into();
        packages.push(installed("bash", "5.2-1.el10"));
        packages.push(Installed { architecture: "(none)".into(), ..installed("gpg-pubkey", "0-1_~") });
        let folders = BTreeSet::from([format!("{kernel}.x86_64").parse().unwrap()]);
        in_base(&"centos".parse().unwrap(), &folders, &packages).unwrap()
    }

    fn names(parts: &[Part]) -> Vec<&str> {
        parts.iter().map(|part| part.name.as_str()).collect()
    }

    #[test]
    fn what_was_made_with_the_kernel_moves_with_it() {
        let found = base();
        assert_eq!(found.base.len(), 1);
        assert_eq!(names(&found.moving), ["kernel", "kernel-core", "kernel-modules", "perf"]);
        assert!(found.pointing.is_empty());
    }

    #[test]
    fn a_kernel_on_offer_is_complete_with_all_of_that() {
        let mut found = base();
        let new = "6.12.0-130.el10";
        let mut offers: Vec<_> = ["kernel", "kernel-core", "kernel-modules", "perf", "kernel-devel", "kernel-doc"]
            .map(|name| offer("baseos", name, new))
            .into();
        offers.extend(["kernel-core", "kernel-modules"].map(|name| offer("archive", name, "6.12.0-120.el10")));
        offers.push(offer("mirror", "kernel-core", new));
        add_offers(&mut found, &offers).unwrap();
        let [newer, older] = &found.swaps[..] else { panic!("{:?}", found.swaps) };
        assert_eq!(names(&newer.packages), ["kernel", "kernel-core", "kernel-modules", "perf"]);
        assert_eq!((&newer.provenance, newer.missing.len()), (&Provenance::Archive("baseos".into()), 0));
        assert_eq!(names(&older.packages), ["kernel-core", "kernel-modules"]);
        assert_eq!(older.missing, ["kernel", "perf"].map(str::to_owned).into());
        assert_eq!(found.headers.len(), 1);
        assert_eq!(found.facts[&newer.release].built, Some(20_000));
    }

    #[test]
    fn a_folder_that_no_package_owns_is_an_error() {
        let folders = BTreeSet::from(["6.12.0-1.el10.x86_64".parse().unwrap()]);
        let error = in_base(&"centos".parse().unwrap(), &folders, &[]).unwrap_err();
        assert!(matches!(error, BuildError::BaseKernels { .. }), "{error}");
    }
}
