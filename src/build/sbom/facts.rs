//! What the manifest, the configuration and the lock say about an image.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use cap_std::fs_utf8::Dir;

use super::super::error::io;
use super::super::{BuildError, Project, Session, chain, images, locking};
use crate::config::{LockedPackage, LockedTier2};
use crate::model::{KernelRelease, SourceDateEpoch, Tier};
use crate::oci::{BASE_DIGEST, BASE_NAME, Image, Layout};
use crate::sbom::{ArchiveFacts, ArchiveKey, BelowFacts, Catalogue, ImageFacts, LayerFacts, ModuleSetFacts};
use crate::sys::{dirs, map_all};
use crate::tool::rpm;

/// More images than this never stand on each other.
const MAX_CHAIN: usize = 8;

/// What the lock of a project knows about packages.
#[derive(Debug)]
pub(super) struct Locked<'p> {
    project: &'p Project,
    packages: BTreeMap<ArchiveKey, &'p LockedPackage>,
    /// SHA-512 of package files by their SHA-256: read once per run.
    archives: Mutex<BTreeMap<String, Option<String>>>,
}

/// Everything that is known about an image beside its content.
pub(super) fn of_image(
    session: &Session,
    locked: Option<&Locked<'_>>,
    layout: &Layout,
    image: &Image,
    name: &str,
    catalogue: &Catalogue,
) -> Result<ImageFacts, BuildError> {
    let config = image.config();
    let created = config.created().as_deref().and_then(SourceDateEpoch::parse_rfc3339);
    let labels = config.config().as_ref().and_then(|config| config.labels().clone()).unwrap_or_default();
    let history = images::history(image);
    let (below, base_layers) = below(layout, image)?;
    // A host adds files and no modules: hundreds of hosts need not repeat thousands of them.
    let linked_layers = if name.starts_with("tier3/") { base_layers } else { 0 };
    let mut facts = ImageFacts {
        name: name.to_owned(),
        digest: image.digest().clone(),
        manifest: super::digests(image.manifest_bytes()),
        created: created.unwrap_or_else(|| SourceDateEpoch::from_secs(0)),
        architecture: config.architecture().to_string(),
        labels: labels.into_iter().collect(),
        layers: layers(image, &history),
        module_sets: history.iter().filter_map(|line| module_set(line)).collect(),
        below,
        linked_layers,
        archives: BTreeMap::new(),
        scanner: None,
    };
    if let Some(locked) = locked {
        locked.add_to(session, catalogue, &mut facts)?;
    }
    Ok(facts)
}

/// The images an image stands on, as far as it and they say, nearest first; and how many layers the nearest has, when
/// the layout has it.
fn below(layout: &Layout, image: &Image) -> Result<(Vec<BelowFacts>, usize), BuildError> {
    let (mut below, mut base_layers) = (Vec::new(), 0);
    let mut current = image.clone();
    while below.len() < MAX_CHAIN {
        let annotations = current.manifest().annotations().clone().unwrap_or_default();
        let Some(digest) = annotations.get(BASE_DIGEST).and_then(|text| text.parse().ok()) else { break };
        let name = annotations.get(BASE_NAME).cloned().unwrap_or_else(|| "base".to_owned());
        let next = chain::find_digest(layout, &digest)?;
        below.push(BelowFacts { name, digest });
        let Some(next) = next else { break };
        if below.len() == 1 {
            base_layers = next.layers().len();
        }
        current = next;
    }
    Ok((below, base_layers))
}

/// The layers; those below the first of ours are tier 1's when any is ours.
fn layers(image: &Image, history: &[String]) -> Vec<LayerFacts> {
    let tiers: Vec<Option<Tier>> = history.iter().map(|line| tier(line)).collect();
    let is_ours = tiers.iter().any(Option::is_some);
    let facts = |(number, layer): (usize, &crate::oci::Layer)| LayerFacts {
        digest: layer.descriptor.digest().clone(),
        tier: tiers.get(number).copied().flatten().or(is_ours.then_some(Tier::Base)),
        module_set: history.get(number).and_then(|line| module_set(line)).map(|set| set.name),
    };
    image.layers().iter().enumerate().map(facts).collect()
}

/// The tier that a line of the history says to be of.
fn tier(created_by: &str) -> Option<Tier> {
    let rest = created_by.strip_prefix("imgbuild tier")?;
    match rest.chars().next()? {
        '1' => Some(Tier::Base),
        '2' => Some(Tier::Modules),
        '3' => Some(Tier::Host),
        _ => None,
    }
}

/// The set of modules that a line of the history says to be of: `imgbuild tier2: NAME VERSION for KERNEL`.
fn module_set(created_by: &str) -> Option<ModuleSetFacts> {
    let words: Vec<&str> = created_by.strip_prefix("imgbuild tier2: ")?.split(' ').collect();
    let [name, version, "for", kernel] = words.as_slice() else { return None };
    let kernel: KernelRelease = kernel.parse().ok()?;
    Some(ModuleSetFacts { name: (*name).to_owned(), version: (*version).to_owned(), kernel, packages: Vec::new() })
}

/// The lock entry of the tier 2 that an image is, or stands on.
fn tier2_of<'p>(project: &'p Project, facts: &ImageFacts) -> Option<&'p LockedTier2> {
    let names = std::iter::once(&facts.name).chain(facts.below.iter().map(|below| &below.name));
    let tier = names.into_iter().find_map(|name| name.strip_prefix("tier2/"))?;
    project.lock.as_ref()?.tier2.iter().find(|(name, _)| name.as_str() == tier).map(|(_, entry)| entry)
}

/// The packages of the stage a set was compiled in, when the lock is about this version of it and this kernel.
fn compiled_with<'l>(tier: &'l LockedTier2, set: &ModuleSetFacts) -> Option<&'l [LockedPackage]> {
    let (_, entry) = tier.modules.iter().find(|(name, _)| name.as_str() == set.name)?;
    // The history has the source's version, the lock the package's.
    let same = rpm::upstream_version(&entry.version) == set.version && tier.kernel.release == set.kernel;
    same.then_some(entry.packages.packages.as_slice())
}

fn key(package: &LockedPackage) -> ArchiveKey {
    ArchiveKey {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
    }
}

impl<'p> Locked<'p> {
    /// The lock of a project, where it has one.
    pub(super) fn of(project: &'p Project) -> Option<Self> {
        let lock = project.lock.as_ref()?;
        let packages = locking::packages(lock).into_iter().map(|package| (key(package), package)).collect();
        Some(Self { project, packages, archives: Mutex::default() })
    }

    /// Adds what only the lock knows.
    fn add_to(&self, session: &Session, catalogue: &Catalogue, facts: &mut ImageFacts) -> Result<(), BuildError> {
        let installed = catalogue.packages.iter().map(|installed| ArchiveKey::of(&installed.package));
        let present: Vec<&LockedPackage> = installed.filter_map(|key| self.packages.get(&key).copied()).collect();
        let tier = tier2_of(self.project, facts);
        let with = |set| tier.and_then(|tier| compiled_with(tier, set)).unwrap_or_default();
        let built: Vec<&[LockedPackage]> = facts.module_sets.iter().map(with).collect();
        self.read(session, present.iter().copied().chain(built.iter().copied().flatten()))?;
        facts.archives = present.iter().map(|package| (key(package), self.facts(package))).collect();
        for (set, packages) in facts.module_sets.iter_mut().zip(built) {
            set.packages = packages.iter().map(|package| (key(package), self.facts(package))).collect();
        }
        Ok(())
    }

    /// Reads those files of the store that have not been read; a file that is not there has no SHA-512.
    fn read<'l>(&self, session: &Session, packages: impl Iterator<Item = &'l LockedPackage>) -> Result<(), BuildError> {
        let mut known = self.archives.lock().expect("not poisoned");
        let wanted: BTreeSet<String> = packages.map(|package| package.sha256.to_string()).collect();
        let wanted: Vec<String> = wanted.into_iter().filter(|sha256| !known.contains_key(sha256)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let path = session.store.path().join("packages");
        let dir = dirs::open(&path).map_err(io("opening", &path))?;
        let read = |sha256: String| {
            let digest = sha512(&dir, &sha256).map_err(io("reading", path.join(&sha256)))?;
            Ok::<_, BuildError>((sha256, digest))
        };
        for result in map_all(wanted, 8, read) {
            let (sha256, digest) = result?;
            known.insert(sha256, digest);
        }
        Ok(())
    }

    fn facts(&self, package: &LockedPackage) -> ArchiveFacts {
        let sha256 = package.sha256.to_string();
        let file_name = package.path.rsplit('/').next().unwrap_or_default().to_owned();
        let sha512 = self.archives.lock().expect("not poisoned").get(&sha256).cloned().flatten();
        ArchiveFacts { file_name, sha256, sha512 }
    }
}

/// SHA-512 of a file of the store that still is what its name says; `None` when it is not there.
fn sha512(dir: &Dir, name: &str) -> std::io::Result<Option<String>> {
    match dir.read(name) {
        Ok(bytes) => Ok(Some(super::digests(&bytes)).filter(|found| found.sha256 == name).map(|found| found.sha512)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_tells_tier_and_module_set() {
        for (line, tier_number, set) in [
            ("imgbuild tier1 debian: 148 packages", Some(1), None),
            ("imgbuild tier2: jool 4.1.13 for 6.12.117+deb13-cloud-amd64", Some(2), Some("jool")),
            ("imgbuild tier2: packages", Some(2), None),
            ("imgbuild tier2: module index and initramfs for 6.12.117+deb13-cloud-amd64", Some(2), None),
            ("imgbuild tier2: kernel 6.1 instead of 5.10", Some(2), None),
            ("imgbuild tier3 edge-01", Some(3), None),
            ("/bin/sh -c #(nop) ADD file", None, None),
        ] {
            assert_eq!(tier(line).map(Tier::number), tier_number, "{line}");
            assert_eq!(module_set(line).map(|set| set.name).as_deref(), set, "{line}");
        }
    }
}
