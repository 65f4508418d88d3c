//! The plan: what is built, in which order, from what.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Selection;
use crate::config::{Definition, Lock, LockedTier1, LockedTier2, PackageSet, Seal, Tier1Source};
use crate::model::{ByteSize, HostName, Tier, TierName};

/// What would be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// Name of the project.
    pub project: String,
    /// Architecture of all images.
    pub architecture: String,
    /// Steps in the order they are done: an image comes after the one it stands on.
    pub steps: Vec<Step>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    /// What is made.
    pub target: Target,
    /// Its name in the store.
    pub image: String,
    /// Name of the image it stands on.
    pub from: Option<String>,
    /// How it is made.
    pub action: Action,
}

/// What a step makes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A tier-1 image.
    Tier1(TierName),
    /// A tier-2 image.
    Tier2(TierName),
    /// A host's image.
    Host(HostName),
    /// One of these, sealed.
    Sealed(Box<Target>),
}

/// How the name of a sealed image begins; the rest is the name of the image that was sealed.
pub const SEALED: &str = "sealed/";

impl Target {
    /// The image's name in the store.
    pub fn image(&self) -> String {
        match self {
            Self::Tier1(name) => Tier::Base.image_name(name.as_str()),
            Self::Tier2(name) => Tier::Modules.image_name(name.as_str()),
            Self::Host(name) => Tier::Host.image_name(name.as_str()),
            Self::Sealed(target) => format!("{SEALED}{}", target.image()),
        }
    }
}

/// How an image is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the variants name their fields")]
pub enum Action {
    /// Copied from upstream, digest by digest.
    Mirror { requested: String, resolved: String, kernel: String },
    /// Made from packages.
    Bootstrap { suite: String, packages: Packages, kernel: String },
    /// Kernel modules built and packages added.
    Modules { kernel: String, reason: String, sets: Vec<ModuleSet>, packages: Packages },
    /// Files of one host.
    Host { users: usize, files: usize, containerfile: Option<String> },
    /// Boots from one signed file from now on.
    Seal { certificate: String, kargs: Vec<String> },
    /// Not in the lock yet: locking comes first.
    Unlocked,
}

/// Packages in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields explain themselves")]
pub struct Packages {
    pub count: usize,
    pub bytes: ByteSize,
}

/// One module set in a word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields explain themselves")]
pub struct ModuleSet {
    pub name: String,
    pub version: String,
    pub packages: Packages,
}

impl From<&PackageSet> for Packages {
    fn from(set: &PackageSet) -> Self {
        let bytes = set.packages.iter().map(|package| ByteSize(package.size)).sum();
        Self { count: set.packages.len(), bytes }
    }
}

/// Puts the selected images and everything below them in order.
pub fn resolve(definition: &Definition, architecture: &str, lock: Option<&Lock>, selection: Selection) -> Plan {
    let selection = selection.with_bases(definition);
    let tier1 =
        selection.tier1.iter().map(|name| step(Target::Tier1(name.clone()), None, tier1(definition, lock, name)));
    let tier2 = selection.tier2.iter().map(|name| {
        let base = &definition.tier2[name].base;
        step(Target::Tier2(name.clone()), Some(Target::Tier1(base.clone())), tier2(lock, name))
    });
    let hosts = selection
        .hosts
        .iter()
        .map(|name| step(Target::Host(name.clone()), base_of(definition, name), host(definition, name)));
    let sealed = sealed(definition, &selection).into_iter().map(|(target, seal)| {
        let kargs = seal.kargs.iter().map(ToString::to_string).collect();
        let action = Action::Seal { certificate: seal.certificate.clone(), kargs };
        step(Target::Sealed(Box::new(target.clone())), Some(target), action)
    });
    Plan {
        project: definition.project.name.to_string(),
        architecture: architecture.to_owned(),
        steps: tier1.chain(tier2).chain(hosts).chain(sealed).collect(),
    }
}

/// Images of the selection that are sealed once they are built: tiers, or the hosts on them.
pub fn sealed<'d>(definition: &'d Definition, selection: &Selection) -> BTreeMap<Target, &'d Seal> {
    let of = |tier: &TierName| definition.tier2.get(tier).and_then(|tier| tier.seal.as_ref());
    let tiers = selection.tier2.iter().filter_map(|name| Some((Target::Tier2(name.clone()), of(name)?)));
    let hosts = selection
        .hosts
        .iter()
        .filter_map(|host| Some((Target::Host(host.clone()), definition.base_of(host).and_then(of)?)));
    tiers.filter(|(_, seal)| !seal.per_host).chain(hosts.filter(|(_, seal)| seal.per_host)).collect()
}

fn step(target: Target, from: Option<Target>, action: Action) -> Step {
    Step { image: target.image(), from: from.map(|from| from.image()), target, action }
}

/// The image a host stands on.
pub fn base_of(definition: &Definition, host: &HostName) -> Option<Target> {
    let base = definition.base_of(host)?;
    if definition.tier2.contains_key(base) {
        Some(Target::Tier2(base.clone()))
    } else {
        definition.tier1.contains_key(base).then(|| Target::Tier1(base.clone()))
    }
}

fn tier1(definition: &Definition, lock: Option<&Lock>, name: &TierName) -> Action {
    let Some(LockedTier1 { kernel, source, .. }) = lock.and_then(|lock| lock.tier1.get(name)) else {
        return Action::Unlocked;
    };
    let kernel = kernel.to_string();
    match source {
        Tier1Source::Mirror { image, .. } => {
            Action::Mirror { requested: image.requested.to_string(), resolved: image.resolved.to_string(), kernel }
        }
        Tier1Source::Bootstrap { packages, .. } => {
            let bootstrap = definition.tier1[name].bootstrap.as_ref();
            let suite = bootstrap.map(|bootstrap| bootstrap.suite.clone()).unwrap_or_default();
            Action::Bootstrap { suite, packages: packages.into(), kernel }
        }
    }
}

fn tier2(lock: Option<&Lock>, name: &TierName) -> Action {
    let Some(LockedTier2 { kernel, modules, packages, .. }) = lock.and_then(|lock| lock.tier2.get(name)) else {
        return Action::Unlocked;
    };
    let set = |(name, module): (&crate::model::KmodSetName, &crate::config::ModuleLock)| ModuleSet {
        name: name.to_string(),
        version: module.version.clone(),
        packages: (&module.packages).into(),
    };
    Action::Modules {
        kernel: kernel.release.to_string(),
        reason: kernel.reason.clone(),
        sets: modules.iter().map(set).collect(),
        packages: packages.into(),
    }
}

fn host(definition: &Definition, name: &HostName) -> Action {
    let host = &definition.hosts[name];
    Action::Host {
        users: host.users.len(),
        files: host.files.len() + host.directories.len() + host.links.len(),
        containerfile: host.containerfile.clone(),
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} ({})", self.project, self.architecture)?;
        for step in &self.steps {
            write!(f, "{}", step.image)?;
            if let Some(from) = &step.from {
                write!(f, "  from {from}")?;
            }
            writeln!(f, "\n  {}", step.action)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Packages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} packages, {}", self.count, self.bytes)
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mirror { requested, resolved, kernel } => {
                write!(f, "mirror {requested}\n  as {resolved}\n  kernel {kernel}")
            }
            Self::Bootstrap { suite, packages, kernel } => {
                write!(f, "bootstrap {suite}: {packages}\n  kernel {kernel}")
            }
            Self::Seal { certificate, kargs } => {
                write!(f, "seal with {certificate}")?;
                if kargs.is_empty() { Ok(()) } else { write!(f, ": {}", kargs.join(" ")) }
            }
            Self::Modules { kernel, reason, sets, packages } => {
                write!(f, "kernel {kernel}: {reason}")?;
                for set in sets {
                    write!(f, "\n  build {} {} with {}", set.name, set.version, set.packages)?;
                }
                write!(f, "\n  install {packages}")
            }
            Self::Host { users, files, containerfile } => {
                write!(f, "host files: {users} users, {files} files")?;
                containerfile.iter().try_for_each(|path| write!(f, "; then {path}"))
            }
            Self::Unlocked => f.write_str("not locked yet: `imgbuild lock` decides what goes in"),
        }
    }
}
