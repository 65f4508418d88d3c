//! Kernels and headers of Debian: from dpkg's status file and the archives' indexes.
//!
//! Debian puts the release into the name of every package that belongs to one kernel, so that several fit beside
//! each other. A kernel is its image and what that needs under such names; since 7.x these are several packages.

use std::collections::{BTreeMap, BTreeSet};

use super::Found;
use crate::build::BuildError;
use crate::kernel::{Headers, Kernel, KernelSet, PackageEntry, PackageVersion, Part, Provenance, Universe};
use crate::model::KernelRelease;
use crate::model::deb822::{self, Stanza};

/// Part of an archive's index: the descriptions that begin with `linux-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::build) struct Index {
    /// The name operators know the archive under.
    pub(in crate::build) archive: String,
    /// Its descriptions.
    pub(in crate::build) text: String,
}

/// What the base (`status`, as dpkg writes it) and the archives have; of what is there twice the first counts.
///
/// # Errors
/// When a text is damaged or a version is none.
pub(in crate::build) fn find(status: &str, indexes: &[Index], architecture: &str) -> Result<Found, BuildError> {
    let mut found = Found::default();
    installed(status, &mut found)?;
    offered(indexes, architecture, &mut found)?;
    Ok(found)
}

fn installed(status: &str, found: &mut Found) -> Result<(), BuildError> {
    let stanzas = deb822::parse_stanzas(status).map_err(BuildError::Status)?;
    let installed: Vec<_> = stanzas.iter().filter(|stanza| stanza.is_installed()).collect();
    let mut universe = Universe::default();
    universe.add_debs(installed.iter().filter_map(|stanza| entry(stanza)), &Provenance::Base)?;
    let is_of_kernel = |name: &str| universe.kernels.iter().any(|kernel| is_named_after(name, &kernel.release));
    let mut going: BTreeSet<&str> = installed.iter().filter_map(|stanza| stanza.get("Package")).collect();
    going.retain(|name| is_of_kernel(name));
    found.moving = parts(&installed, &going)?;
    found.pointing = parts(&installed, &pointing(&installed, &going))?;
    found.base = universe.kernels;
    Ok(())
}

/// Installed packages that need one of those going and nothing that stays would do, one leading to the next.
fn pointing<'s>(installed: &[&Stanza<'s>], going: &BTreeSet<&'s str>) -> BTreeSet<&'s str> {
    let mut gone = going.clone();
    loop {
        let stays: BTreeSet<&str> =
            installed.iter().filter(|stanza| !is_in(&gone, stanza)).flat_map(|stanza| provided(stanza)).collect();
        let broken = |stanza: &&&Stanza<'s>| {
            dependencies(stanza).any(|group| {
                let mut names = group.iter().map(|(name, _)| *name);
                names.clone().any(|name| gone.contains(name)) && !names.any(|name| stays.contains(name))
            })
        };
        let more: Vec<_> = installed.iter().filter(|stanza| !is_in(&gone, stanza)).filter(broken).collect();
        if more.is_empty() {
            return gone.difference(going).copied().collect();
        }
        gone.extend(more.into_iter().filter_map(|stanza| stanza.get("Package")));
    }
}

fn is_in(names: &BTreeSet<&str>, stanza: &Stanza<'_>) -> bool {
    stanza.get("Package").is_some_and(|name| names.contains(name))
}

/// Its own name and those it stands in for.
fn provided<'s>(stanza: &Stanza<'s>) -> Vec<&'s str> {
    let provides = stanza.get("Provides").unwrap_or_default();
    let names = provides.split(',').filter_map(|item| item.split_whitespace().next());
    stanza.get("Package").into_iter().chain(names).collect()
}

fn parts(installed: &[&Stanza<'_>], names: &BTreeSet<&str>) -> Result<Vec<Part>, BuildError> {
    let wanted = installed.iter().filter(|stanza| is_in(names, stanza));
    wanted.map(|stanza| part(stanza)).collect()
}

fn part(stanza: &Stanza<'_>) -> Result<Part, BuildError> {
    let name = stanza.package().map_err(BuildError::Status)?;
    let version = stanza.require("Version").map_err(BuildError::Status)?;
    let parsed =
        version.parse().map_err(|source| crate::kernel::UniverseError::Deb { package: name.to_owned(), source });
    Ok(Part { name: name.to_owned(), version: PackageVersion::Deb(parsed?) })
}

fn offered(indexes: &[Index], architecture: &str, found: &mut Found) -> Result<(), BuildError> {
    let mut all = Vec::with_capacity(indexes.len());
    for Index { archive, text } in indexes {
        let mut stanzas =
            deb822::parse_stanzas(text).map_err(|source| BuildError::Index { archive: archive.clone(), source })?;
        stanzas.retain(|stanza| {
            matches!(stanza.get("Architecture"), Some("all")) || stanza.get("Architecture") == Some(architecture)
        });
        all.push((Provenance::Archive(archive.clone()), stanzas));
    }
    let mut universe = Universe::default();
    for (provenance, stanzas) in &all {
        universe.add_debs(stanzas.iter().filter_map(entry), provenance)?;
    }
    let packages = by_name(all.iter().flat_map(|(_, stanzas)| stanzas));
    let mut seen = BTreeSet::new();
    let first = |kernel: &&Kernel| seen.insert((kernel.release.clone(), kernel.version.clone()));
    for kernel in universe.kernels.iter().filter(first) {
        found.swaps.push(kernel_set(kernel, &packages)?);
    }
    let mut seen = BTreeSet::new();
    let first = |headers: &Headers| seen.insert((headers.release.clone(), headers.version.clone()));
    found.headers.extend(universe.headers.into_iter().filter(first));
    Ok(())
}

/// Descriptions by name and version.
type Packages<'a, 's> = BTreeMap<&'s str, BTreeMap<&'s str, &'a Stanza<'s>>>;

fn by_name<'a, 's: 'a>(stanzas: impl Iterator<Item = &'a Stanza<'s>>) -> Packages<'a, 's> {
    let mut packages = Packages::new();
    for stanza in stanzas {
        if let (Some(name), Some(version)) = (stanza.get("Package"), stanza.get("Version")) {
            packages.entry(name).or_default().entry(version).or_insert(stanza);
        }
    }
    packages
}

/// The image and everything under the release's name that it needs, one leading to the next.
fn kernel_set(kernel: &Kernel, packages: &Packages<'_, '_>) -> Result<KernelSet, BuildError> {
    let Kernel { release, package, version, provenance } = kernel.clone();
    let image = packages.get(package.as_str()).and_then(|versions| versions.get(version.to_string().as_str()));
    let mut pending: Vec<&Stanza<'_>> = image.into_iter().copied().collect();
    let (mut parts, mut missing) = (BTreeSet::new(), BTreeSet::new());
    while let Some(stanza) = pending.pop() {
        if !parts.insert(part(stanza)?) {
            continue;
        }
        for group in dependencies(stanza) {
            let named: Vec<_> = group.iter().filter(|(name, _)| is_named_after(name, &release)).collect();
            match named.iter().find_map(|(name, version)| on_offer(packages, name, *version)) {
                Some(stanza) => pending.push(stanza),
                None => missing.extend(named.first().map(|(name, _)| (*name).to_owned())),
            }
        }
    }
    Ok(KernelSet { release, version, provenance, packages: parts.into_iter().collect(), missing })
}

/// The description of a package in exactly this version, or in any where none is asked for.
fn on_offer<'a, 's>(packages: &Packages<'a, 's>, name: &str, version: Option<&str>) -> Option<&'a Stanza<'s>> {
    let versions = packages.get(name)?;
    match version {
        Some(version) => versions.get(version).copied(),
        None => versions.values().next_back().copied(),
    }
}

/// What a package needs: for each need its alternatives, each with the version it has to be, where it says so.
fn dependencies<'a, 's: 'a>(
    stanza: &'a Stanza<'s>,
) -> impl Iterator<Item = Vec<(&'s str, Option<&'s str>)>> + use<'a, 's> {
    let fields = ["Pre-Depends", "Depends"].into_iter().filter_map(|field| stanza.get(field));
    fields.flat_map(|field| field.split(',')).map(|group| group.split('|').filter_map(alternative).collect())
}

/// `name[:architecture] [(= version)]`.
fn alternative(text: &str) -> Option<(&str, Option<&str>)> {
    let (name, rest) = text.trim().split_once([' ', '(']).unwrap_or((text.trim(), ""));
    let exact = rest.trim_start_matches('(').trim_end_matches(')').trim().strip_prefix('=').map(str::trim);
    let name = name.split(':').next().filter(|name| !name.is_empty())?;
    Some((name, exact))
}

/// Whether a package belongs to exactly this kernel.
fn is_named_after(package: &str, release: &KernelRelease) -> bool {
    let rest = package.strip_suffix("-unsigned").unwrap_or(package);
    rest.strip_suffix(release.as_str()).is_some_and(|rest| rest.ends_with('-'))
}

fn entry<'s>(stanza: &Stanza<'s>) -> Option<PackageEntry<'s>> {
    Some(PackageEntry {
        name: stanza.get("Package")?,
        version: stanza.get("Version")?,
        architecture: stanza.get("Architecture")?,
        provides: &[],
    })
}

#[cfg(test)]
mod tests;
