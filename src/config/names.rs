//! Names that lead from one file to another.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Family;
use super::builtin::Builtin;
use super::document::Node;
use super::error::{ConfigErrorKind, Finding, NameKind};
use super::file::{AnyTier, Loaded, builtin_kmod, builtin_tier};
use super::load::Files;
use super::rules;
use super::shape::{listed, nearest};

/// A name used in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameRef {
    pub(super) kind: RefKind,
    pub(super) name: String,
    pub(super) span: Range<usize>,
}

/// What the name is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RefKind {
    /// The tier a host stands on.
    Base,
    /// The tier-1 image a tier-2 image stands on.
    TierBase,
    /// A module set of a tier-2 image.
    Module,
    /// The host's own name: leads nowhere, but no two hosts may have the same.
    Hostname,
    /// A file of the project that becomes part of the image.
    Source,
    /// Such a file that holds public keys.
    PublicKeys,
}

impl NameRef {
    /// The name below a key.
    pub(super) fn from_key(root: Node<'_>, key: &str, kind: RefKind) -> Option<Self> {
        root.text_of(key).map(|(name, node)| Self { kind, name: name.to_owned(), span: node.span() })
    }

    /// Whether the name is a path that stays inside its folder; an absolute path or an address does not.
    pub(super) fn is_inside(&self) -> bool {
        rules::is_inside(&self.name)
    }

    /// The names in the array below a key.
    pub(super) fn from_items(root: Node<'_>, key: &str, kind: RefKind) -> impl Iterator<Item = Self> {
        root.texts_of(key).map(move |(name, node)| Self { kind, name: name.to_owned(), span: node.span() })
    }
}

/// Adds the built-in tiers and module sets that are used and not overridden.
pub(super) fn add_builtin(files: &mut Files, builtin: &Builtin) {
    let hosts = files.hosts.values().flat_map(|host| host.refs_of(RefKind::Base));
    let tiers = files.tiers.values().flat_map(|tier| tier.refs_of(RefKind::TierBase));
    let wanted = files.project.refs_of(RefKind::Base).chain(hosts).chain(tiers).map(|name| name.name.clone());
    let mut wanted: Vec<String> = wanted.collect();
    while let Some(name) = wanted.pop() {
        if files.tiers.contains_key(&name) {
            continue;
        }
        if let Some(text) = builtin.tier(&name) {
            let tier = builtin_tier(&name, text);
            wanted.extend(tier.refs_of(RefKind::TierBase).map(|base| base.name.clone()));
            files.tiers.insert(name, tier);
        }
    }
    let modules = files.tiers.values().flat_map(|tier| tier.refs_of(RefKind::Module));
    let wanted: Vec<String> = modules.map(|name| name.name.clone()).collect();
    for name in wanted {
        if let Some(text) = builtin.kmod(&name).filter(|_| !files.kmods.contains_key(&name)) {
            let kmod = builtin_kmod(&name, text);
            files.kmods.insert(name, kmod);
        }
    }
}

/// Follows every name and reports those that lead nowhere or to the wrong place.
pub(super) fn check(files: &mut Files, builtin: &Builtin) {
    let known = Known::of(files, builtin);
    let project: Vec<Finding> = files.project.refs.iter().filter_map(|name| known.judge(name)).collect();
    files.project.findings.extend(project);
    for host in files.hosts.values_mut() {
        let findings: Vec<Finding> = host.refs.iter().filter_map(|name| known.judge(name)).collect();
        host.findings.extend(findings);
    }
    for tier in files.tiers.values_mut() {
        let base = tier.refs_of(RefKind::TierBase).next().cloned();
        let findings: Vec<Finding> = tier
            .refs
            .iter()
            .filter_map(|name| known.judge(name).or_else(|| known.judge_family(name, base.as_ref())))
            .collect();
        tier.findings.extend(findings);
    }
    check_bases(files);
    check_hostnames(files);
}

/// What names can lead to.
#[derive(Debug)]
struct Known {
    /// Tier number and package family; both unknown where the file is wrong.
    tiers: BTreeMap<String, (Option<u8>, Option<Family>)>,
    /// Whether it supports apt and dnf; unknown where the file is wrong.
    kmods: BTreeMap<String, Option<[bool; 2]>>,
    tier_help: String,
    kmod_help: String,
}

impl Known {
    fn of(files: &Files, builtin: &Builtin) -> Self {
        let tier = |tier: &Option<AnyTier>| match tier {
            Some(AnyTier::First(tier)) => (Some(1), Some(tier.family())),
            Some(AnyTier::Second(_)) => (Some(2), None),
            None => (None, None),
        };
        let tiers = files.tiers.iter().map(|(name, loaded)| (name.clone(), tier(&loaded.value)));
        let kmods = files.kmods.iter().map(|(name, loaded)| {
            let supports = |set: &super::KmodSet| [Family::Apt, Family::Dnf].map(|family| set.supports(family));
            (name.clone(), loaded.value.as_ref().map(supports))
        });
        let unused_tiers = builtin.tiers().map(|name| (name.to_owned(), (None, None)));
        let unused_kmods = builtin.kmods().map(|name| (name.to_owned(), None));
        Self {
            tiers: unused_tiers.chain(tiers).collect(),
            kmods: unused_kmods.chain(kmods).collect(),
            tier_help: origin("tiers", &format!("{}/<name>/tier.toml", files.tiers_folder), builtin.tiers()),
            kmod_help: origin("module sets", &format!("{}/<name>/kmod.toml", files.kmods_folder), builtin.kmods()),
        }
    }

    fn judge(&self, used: &NameRef) -> Option<Finding> {
        let name = used.name.clone();
        match (used.kind, self.tiers.get(&used.name)) {
            (RefKind::Hostname | RefKind::Source | RefKind::PublicKeys, _) => None,
            (RefKind::Module, _) if self.kmods.contains_key(&used.name) => None,
            (RefKind::Module, _) => Some(dangling(used, NameKind::KmodSet, self.kmods.keys(), &self.kmod_help)),
            (_, None) => Some(dangling(used, NameKind::Tier, self.tiers.keys(), &self.tier_help)),
            (RefKind::TierBase, Some((Some(2), _))) => {
                let ones = self.tiers.iter().filter(|(_, tier)| tier.0 == Some(1)).map(|(name, _)| name.as_str());
                let kind = ConfigErrorKind::BaseTier { name: name.parse().ok()? };
                Some(Finding::at(used.span.clone(), kind).help(format!("tier-1 images: {}", listed(ones))))
            }
            (RefKind::Base | RefKind::TierBase, Some(_)) => None,
        }
    }

    /// A module set can only be built with the packages its base is made of.
    fn judge_family(&self, used: &NameRef, base: Option<&NameRef>) -> Option<Finding> {
        let base = base.filter(|_| used.kind == RefKind::Module)?;
        let family = self.tiers.get(&base.name)?.1?;
        let [apt, dnf] = (*self.kmods.get(&used.name)?)?;
        let supported = if family == Family::Apt { apt } else { dnf };
        if supported {
            return None;
        }
        let (set, base) = (used.name.parse().ok()?, base.name.parse().ok()?);
        let kind = ConfigErrorKind::Family { set, family, base };
        let help = format!("add `[build.{family}]` to the module set, or override it with one of your own");
        Some(Finding::at(used.span.clone(), kind).help(help))
    }
}

fn origin<'a>(what: &str, folder: &str, builtin: impl Iterator<Item = &'a str> + Clone) -> String {
    match builtin.clone().next() {
        Some(_) => format!("{what} are the project's `{folder}` and imgbuild's own {}", listed(builtin)),
        None => format!("{what} are the project's `{folder}`"),
    }
}

fn dangling<'a>(used: &NameRef, kind: NameKind, known: impl Iterator<Item = &'a String>, origin: &str) -> Finding {
    let help = match nearest(&used.name, known.map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`? {origin}"),
        None => origin.to_owned(),
    };
    Finding::at(used.span.clone(), ConfigErrorKind::UnknownName { kind, name: used.name.clone() }).help(help)
}

/// Every host stands on something.
fn check_bases(files: &mut Files) {
    // A base that is there but wrong has been reported.
    let project_is_read = files.project.value.is_some();
    if !project_is_read || files.project.refs_of(RefKind::Base).next().is_some() {
        return;
    }
    let without = |(name, host): (&String, &Loaded<super::Host>)| {
        (host.value.is_some() && host.refs_of(RefKind::Base).next().is_none()).then(|| name.clone())
    };
    let hosts: Vec<String> = files.hosts.iter().filter_map(without).collect();
    if !hosts.is_empty() {
        let kind = ConfigErrorKind::NoBase { hosts: few(&hosts) };
        let help = "add `base = \"…\"` to imgbuild.toml for all hosts, or to each host";
        files.project.findings.push(Finding::whole(kind).help(help));
    }
}

/// The first few names and how many more there are.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = listed(names.iter().take(SHOWN).map(String::as_str));
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// No two hosts answer to the same name.
fn check_hostnames(files: &mut Files) {
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for (name, host) in &mut files.hosts {
        let Some(own) = &host.value else { continue };
        let answers_to = own.hostname.as_ref().map_or_else(|| name.clone(), ToString::to_string);
        if let Some(other) = first.get(&answers_to) {
            let kind = ConfigErrorKind::Duplicate { what: "host name", name: answers_to };
            let finding = match host.refs_of(RefKind::Hostname).next() {
                Some(place) => Finding::at(place.span.clone(), kind),
                None => Finding::whole(kind),
            };
            host.findings.push(finding.help(format!("`{other}` has it too")));
        } else {
            first.insert(answers_to, host.path.clone());
        }
    }
}
