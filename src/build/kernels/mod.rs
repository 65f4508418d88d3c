//! The kernel decision: what there is, what the definition and the command line want, and the solver's answer.
//!
//! What there is comes from package databases and repository metadata ([`debs`], [`rpms`]); everything the answer
//! depends on is in [`Inputs`], which the lock keeps.

pub(super) mod debs;
mod explain;
pub(super) mod rpms;
pub(super) mod sets;
pub(super) mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use super::{BuildError, Project};
use crate::config::{KernelLock, KernelPolicy, KernelSwap, Lock, PackageSet, SwapPolicy};
use crate::kernel::{
    Decision, Headers, Inputs, Kernel, KernelFacts, KernelSet, ModuleSet, Part, Pin, PinnedBy, Policy, Swap, solve,
};
use crate::model::{KernelRelease, KernelReleaseError, SourceDateEpoch, TierName};
use crate::plan::decision;

pub use explain::{Explanation, Offers, explain, list};

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// What `--kernel-pin` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelPin {
    /// Decide anew.
    Auto,
    /// Take the lock's.
    Locked,
    /// Exactly this one.
    Exact(KernelRelease),
}

impl FromStr for KernelPin {
    type Err = KernelReleaseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "locked" => Ok(Self::Locked),
            release => release.parse().map(Self::Exact),
        }
    }
}

/// What the command line asks of the kernel decision; it goes before the definition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KernelAsk {
    /// Which kernel.
    pub pin: Option<KernelPin>,
    /// Whether the base's may be replaced.
    pub swap: Option<SwapPolicy>,
    /// How many other kernels are tried when a module's source does not compile.
    pub probes: u32,
}

impl KernelAsk {
    /// Whether kernels are decided anew, whatever the lock says.
    pub fn decides_anew(&self) -> bool {
        matches!(self.pin, Some(KernelPin::Auto | KernelPin::Exact(_))) || self.swap.is_some()
    }
}

/// Kernels and headers there are, in the base and on offer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Found {
    pub(super) base: Vec<Kernel>,
    pub(super) moving: Vec<Part>,
    pub(super) pointing: Vec<Part>,
    pub(super) headers: Vec<Headers>,
    pub(super) swaps: Vec<KernelSet>,
    pub(super) facts: BTreeMap<KernelRelease, KernelFacts>,
}

impl Found {
    /// Notes the configuration of a kernel, as far as a module set asks for symbols of it.
    pub(super) fn note_config(&mut self, release: &KernelRelease, config: &str, wanted: &BTreeSet<String>) {
        let set = config.lines().filter_map(|line| line.split_once('='));
        let set = set.filter(|(_, value)| matches!(*value, "y" | "m")).map(|(symbol, _)| symbol.to_owned());
        let config = set.filter(|symbol| wanted.contains(symbol)).collect();
        self.facts.entry(release.clone()).or_default().config = Some(config);
    }
}

/// Puts together everything the decision for one tier depends on.
pub(super) fn inputs(
    project: &Project,
    lock: &Lock,
    tier: &TierName,
    found: Found,
    sets: Vec<ModuleSet>,
    ask: &KernelAsk,
) -> Inputs {
    let policy = policy(&project.definition.tier2[tier].kernel, ask);
    let Found { base, moving, pointing, headers, swaps, facts } = found;
    Inputs {
        machine: machine(project.architecture()).to_owned(),
        base,
        moving,
        pointing,
        headers,
        swaps,
        facts,
        sets,
        known_bad: lock.known_bad.clone(),
        // Only an age needs a day, and a lock without one is the same tomorrow.
        today: policy.max_age.map(|_| day(lock.source_date_epoch)),
        policy,
    }
}

/// Decides.
///
/// # Errors
/// [`BuildError::Kernel`], with every kernel and the first reason against it.
pub(super) fn decide(tier: &TierName, inputs: &Inputs) -> Result<Decision, BuildError> {
    solve(inputs).map_err(|source| BuildError::Kernel { tier: tier.clone(), source: Box::new(source) })
}

/// The decision as the lock keeps it; `packages` are those of the kernel that comes, where one does.
pub(super) fn kernel_lock(inputs: &Inputs, decision: &Decision, packages: Option<PackageSet>) -> KernelLock {
    let swap = decision.swap.as_ref().zip(packages).map(|(transaction, packages)| {
        let comes: BTreeSet<_> = transaction.install.iter().map(|part| &part.name).collect();
        let goes = transaction.remove.iter().filter(|part| !comes.contains(&part.name));
        let from = inputs.base.first().map_or_else(|| decision.release().clone(), |kernel| kernel.release.clone());
        KernelSwap { from, remove: goes.map(|part| part.name.clone()).collect(), packages }
    });
    KernelLock {
        release: decision.release().clone(),
        reason: decision.reason.clone(),
        swap,
        inputs: decision::keep(inputs),
    }
}

fn policy(definition: &KernelPolicy, ask: &KernelAsk) -> Policy {
    let pin = match &ask.pin {
        Some(KernelPin::Exact(release)) => Some(Pin { release: release.clone(), by: PinnedBy::CommandLine }),
        _ => definition.pin.clone().map(|release| Pin { release, by: PinnedBy::Definition }),
    };
    let (swap, swap_by) = match ask.swap {
        Some(swap) => (swap, PinnedBy::CommandLine),
        None => (definition.swap, PinnedBy::Definition),
    };
    Policy {
        pin,
        ceiling: definition.ceiling.clone(),
        floor: definition.floor.clone(),
        deny: definition.deny.iter().cloned().collect(),
        swap: match swap {
            SwapPolicy::Never => Swap::Never,
            SwapPolicy::Allow => Swap::Allow,
            SwapPolicy::PreferNewest => Swap::PreferNewest,
        },
        swap_by,
        max_age: definition.max_age,
    }
}

fn day(time: SourceDateEpoch) -> i64 {
    i64::try_from(time.as_secs() / DAY).unwrap_or(i64::MAX)
}

/// The image specification's architecture as `uname -m` and rpm spell it.
pub(super) fn machine(architecture: &str) -> &str {
    match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_goes_before_the_definition_and_is_remembered() {
        let pin: KernelRelease = "6.12.94+deb13-amd64".parse().unwrap();
        let definition = KernelPolicy {
            pin: Some("6.12.107+deb13-amd64".parse().unwrap()),
            swap: SwapPolicy::Never,
            ..KernelPolicy::default()
        };
        let asked = policy(
            &definition,
            &KernelAsk { pin: Some(KernelPin::Exact(pin.clone())), swap: Some(SwapPolicy::Allow), probes: 0 },
        );
        assert_eq!(asked.pin, Some(Pin { release: pin, by: PinnedBy::CommandLine }));
        assert_eq!((asked.swap, asked.swap_by), (Swap::Allow, PinnedBy::CommandLine));
        let plain = policy(&definition, &KernelAsk { pin: Some(KernelPin::Auto), ..KernelAsk::default() });
        assert_eq!(plain.pin.map(|pin| pin.by), Some(PinnedBy::Definition));
        assert_eq!((plain.swap, plain.swap_by), (Swap::Never, PinnedBy::Definition));
    }

    #[test]
    fn of_a_configuration_only_what_is_asked_for_is_noted() {
        let release: KernelRelease = "6.12.94+deb13-amd64".parse().unwrap();
        let wanted = ["CONFIG_A", "CONFIG_B", "CONFIG_C", "CONFIG_D"].map(str::to_owned).into();
        let mut found = Found::default();
        found.note_config(
            &release,
            "CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D=\"y\"\nCONFIG_E=y\n",
            &wanted,
        );
        let config = found.facts[&release].config.as_ref().unwrap();
        assert_eq!(*config, ["CONFIG_A", "CONFIG_B"].map(str::to_owned).into());
    }
}
