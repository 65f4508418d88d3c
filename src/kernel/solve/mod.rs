//! The solver: which kernel modules are built for, and why no other.
//!
//! The base's kernel where it is acceptable; else, where a swap is allowed, the newest acceptable one
//! with all its packages; else nothing, with the first reason against each. Everything it looks at is
//! in [`Inputs`] and everything it found in the answer, so both can be kept and the decision replayed.

mod fix;
mod inputs;
mod outcome;
mod range;
mod table;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

pub use inputs::{Inputs, KernelFacts, KernelSet, Part, Pin, PinnedBy, Policy, Swap};
pub use outcome::{Blame, Candidate, Decision, Direction, NoKernel, Rejection, Transaction};
pub use range::{ModuleSet, Objection};

use super::universe::{Headers, Kernel, flavour};
use crate::model::{KernelNumber, KernelRelease, KmodSetName};

/// Chooses the kernel.
///
/// # Errors
/// [`NoKernel`], with every candidate, the first reason against it, and the nearest way out.
pub fn solve(inputs: &Inputs) -> Result<Decision, NoKernel> {
    let base = only_kernel(&inputs.base)?;
    let mut candidates = gather(inputs);
    let assessor = Assessor::new(inputs, base);
    for candidate in &mut candidates {
        assessor.assess(candidate);
    }
    match choice(inputs, &candidates) {
        Some(index) => Ok(decide(inputs, base, candidates, index)),
        None => Err(fail(inputs, base, candidates)),
    }
}

fn only_kernel(base: &[Kernel]) -> Result<&Kernel, NoKernel> {
    match base {
        [] => Err(NoKernel::BaseIsEmpty),
        [kernel] => Ok(kernel),
        several => {
            let mut kernels = several.to_vec();
            kernels.sort_by(|left, right| (&right.version, &right.release).cmp(&(&left.version, &left.release)));
            Err(NoKernel::SeveralInBase { kernels })
        }
    }
}

/// What there is of one release.
#[derive(Default)]
struct Found<'a> {
    kernel: Option<&'a Kernel>,
    headers: Option<&'a Headers>,
    packages: Option<&'a KernelSet>,
}

/// Every release of the universe, newest first, without a verdict yet.
fn gather(inputs: &Inputs) -> Vec<Candidate> {
    let mut releases: BTreeMap<&KernelRelease, Found<'_>> = BTreeMap::new();
    for kernel in &inputs.base {
        releases.entry(&kernel.release).or_default().kernel = Some(kernel);
    }
    for set in &inputs.swaps {
        let best = &mut releases.entry(&set.release).or_default().packages;
        if best.is_none_or(|best| completeness(inputs, set) > completeness(inputs, best)) {
            *best = Some(set);
        }
    }
    for offer in &inputs.headers {
        let found = releases.entry(&offer.release).or_default();
        let version = found.kernel.map(|kernel| &kernel.version).or(found.packages.map(|set| &set.version));
        let fit = |headers: &'_ Headers| version.is_some_and(|version| *version == headers.version);
        if found.headers.is_none_or(|best| (fit(offer), newness(offer)) > (fit(best), newness(best))) {
            found.headers = Some(offer);
        }
    }
    let mut candidates: Vec<_> = releases.into_iter().map(|(release, found)| candidate(release, &found)).collect();
    candidates.sort_by(|left, right| (right.version(), &right.release).cmp(&(left.version(), &left.release)));
    candidates
}

/// Headers of the very same package version come first, then the newest. Among equals the name of the
/// archive decides, so that the order of the input does not.
fn newness(offer: &Headers) -> impl Ord + '_ {
    (&offer.version, Reverse((&offer.provenance, &offer.package)))
}

/// Of one release offered twice the complete one comes first, then the newest build.
fn completeness<'a>(inputs: &Inputs, set: &'a KernelSet) -> impl Ord + use<'a> {
    (inputs.lacks(set).is_empty(), &set.version, Reverse((&set.provenance, &set.packages, &set.missing)))
}

fn candidate(release: &KernelRelease, found: &Found<'_>) -> Candidate {
    Candidate {
        release: release.clone(),
        kernel: found.kernel.cloned(),
        headers: found.headers.cloned(),
        packages: found.packages.cloned(),
        objections: BTreeMap::new(),
        rejection: None,
    }
}

impl Inputs {
    /// What a swap to this kernel lacks: its own packages, and those that have to move along.
    fn lacks(&self, set: &KernelSet) -> Vec<String> {
        let moving = self.moving.iter().map(|part| &part.name).filter(|name| !self.is_base_kernel(name));
        let behind = moving.filter(|name| !set.packages.iter().any(|part| part.name == **name));
        let mut lacks: BTreeSet<&String> = set.missing.iter().chain(behind).collect();
        let image = "the kernel's image".to_owned();
        if set.packages.is_empty() {
            lacks.insert(&image);
        }
        lacks.into_iter().cloned().collect()
    }

    /// Debian's kernel packages have the release in their name and so no counterpart of the same name.
    fn is_base_kernel(&self, name: &str) -> bool {
        self.base.iter().any(|kernel| kernel.package == name || name.contains(kernel.release.as_str()))
    }

    fn age(&self, release: &KernelRelease) -> Option<i64> {
        Some(self.today? - self.facts.get(release)?.built?)
    }
}

/// Says what speaks against one candidate, seen by itself.
struct Assessor<'a> {
    inputs: &'a Inputs,
    flavour: String,
    sets: BTreeMap<&'a KmodSetName, &'a ModuleSet>,
    bad: BTreeMap<(&'a KernelRelease, &'a KmodSetName, &'a str), &'a str>,
}

impl<'a> Assessor<'a> {
    fn new(inputs: &'a Inputs, base: &Kernel) -> Self {
        let mut known: Vec<_> = inputs.known_bad.iter().collect();
        // Of several failures of one build the first by text is told, whatever order they were learnt in.
        known.sort_by(|left, right| right.cmp(left));
        let bad = known.into_iter().map(|bad| ((&bad.kernel, &bad.set, bad.version.as_str()), bad.error.as_str()));
        let sets = inputs.sets.iter().map(|set| (&set.name, set)).collect();
        Self { inputs, flavour: flavour(&base.release), sets, bad: bad.collect() }
    }

    fn assess(&self, candidate: &mut Candidate) {
        let objections = self.sets.values().filter_map(|set| {
            let objection = self.objection(set, &candidate.release)?;
            Some((set.name.clone(), objection))
        });
        candidate.objections = objections.collect();
        candidate.rejection = self
            .by_policy(&candidate.release)
            .or_else(|| candidate.headers.is_none().then_some(Rejection::NoHeaders))
            .or_else(|| self.by_modules(candidate))
            .or_else(|| self.by_swap(candidate));
    }

    fn objection(&self, set: &ModuleSet, release: &KernelRelease) -> Option<Objection> {
        let config = self.inputs.facts.get(release).and_then(|facts| facts.config.as_ref());
        set.objection(&self.inputs.machine, release, config).or_else(|| {
            let error = self.bad.get(&(release, &set.name, set.version.as_str()))?;
            Some(Objection::KnownBad { error: (*error).to_owned() })
        })
    }

    fn by_policy(&self, release: &KernelRelease) -> Option<Rejection> {
        let policy = &self.inputs.policy;
        match &policy.pin {
            Some(pin) if pin.release != *release => return Some(Rejection::NotThePin),
            None if flavour(release) != self.flavour => return Some(Rejection::OtherFlavour),
            _ => {}
        }
        if policy.deny.contains(release) {
            return Some(Rejection::Denied);
        }
        let number = KernelNumber::of(release);
        let ceiling = policy.ceiling.clone().filter(|ceiling| number.is_above(ceiling));
        let floor = policy.floor.clone().filter(|floor| number.is_below(floor));
        let bound = ceiling.map(Rejection::AboveCeiling).or(floor.map(Rejection::BelowFloor));
        bound.or_else(|| {
            let (age, limit) = (self.inputs.age(release)?, policy.max_age?);
            (age > i64::from(limit)).then_some(Rejection::TooOld(age, limit))
        })
    }

    fn by_modules(&self, candidate: &Candidate) -> Option<Rejection> {
        let (set, objection) = candidate.objections.first_key_value()?;
        let version = self.sets.get(set)?.version.clone();
        Some(Rejection::Modules { set: set.clone(), version, objection: objection.clone() })
    }

    fn by_swap(&self, candidate: &Candidate) -> Option<Rejection> {
        if candidate.kernel.is_some() {
            return None;
        }
        if self.inputs.policy.swap == Swap::Never {
            return Some(Rejection::NotInBase);
        }
        let Some(packages) = &candidate.packages else { return Some(Rejection::NoPackages) };
        let lacks = self.inputs.lacks(packages);
        (!lacks.is_empty()).then_some(Rejection::Incomplete(lacks))
    }
}

/// The place of the kernel to take: the base's or the newest, among those nothing speaks against.
fn choice(inputs: &Inputs, candidates: &[Candidate]) -> Option<usize> {
    let acceptable = |candidate: &Candidate| candidate.rejection.is_none();
    let base = candidates.iter().position(|candidate| acceptable(candidate) && candidate.kernel.is_some());
    let newest = candidates.iter().position(acceptable);
    if inputs.policy.swap == Swap::PreferNewest { newest } else { base.or(newest) }
}

fn decide(inputs: &Inputs, base: &Kernel, mut candidates: Vec<Candidate>, index: usize) -> Decision {
    let chosen = candidates[index].clone();
    for candidate in candidates.iter_mut().filter(|candidate| candidate.rejection.is_none()) {
        if candidate.release != chosen.release {
            candidate.rejection = Some(match inputs.policy.swap {
                Swap::PreferNewest => Rejection::NewerDoes(chosen.release.clone()),
                _ if chosen.kernel.is_some() => Rejection::BaseDoes,
                _ => Rejection::NewerDoes(chosen.release.clone()),
            });
        }
    }
    let headers = chosen.headers.clone().expect("a candidate without headers has a rejection");
    let swap = chosen.packages.as_ref().filter(|_| chosen.kernel.is_none()).map(|set| transaction(inputs, base, set));
    let kernel = chosen.kernel.clone().or_else(|| chosen.packages.as_ref().map(offered_kernel));
    let kernel = kernel.expect("a candidate neither in the base nor on offer has a rejection");
    let reason = reason(inputs, base, &kernel, &headers, swap.as_ref(), &candidates);
    let caveats = caveats(inputs, &kernel.release);
    Decision { kernel, headers, swap, reason, caveats, candidates }
}

/// The kernel of a set, named after the package that holds its image.
fn offered_kernel(set: &KernelSet) -> Kernel {
    let named = |part: &&Part| part.version == set.version && is_image(&part.name);
    let image = set.packages.iter().filter(named).min().or(set.packages.iter().min());
    Kernel {
        release: set.release.clone(),
        package: image.map(|part| part.name.clone()).unwrap_or_default(),
        version: set.version.clone(),
        provenance: set.provenance.clone(),
    }
}

fn is_image(name: &str) -> bool {
    name.starts_with("linux-image-")
        || (name.starts_with("kernel") && name.ends_with("-core") && !name.contains("modules"))
}

fn transaction(inputs: &Inputs, base: &Kernel, set: &KernelSet) -> Transaction {
    let direction = match set.version.cmp(&base.version) {
        std::cmp::Ordering::Less => Direction::Downgrade,
        std::cmp::Ordering::Equal => Direction::Sidegrade,
        std::cmp::Ordering::Greater => Direction::Upgrade,
    };
    let own = Part { name: base.package.clone(), version: base.version.clone() };
    let remove: BTreeSet<_> = inputs.moving.iter().chain(&inputs.pointing).cloned().chain([own]).collect();
    let install: BTreeSet<_> = set.packages.iter().cloned().collect();
    Transaction { direction, remove: remove.into_iter().collect(), install: install.into_iter().collect() }
}

fn reason(
    inputs: &Inputs,
    base: &Kernel,
    kernel: &Kernel,
    headers: &Headers,
    swap: Option<&Transaction>,
    candidates: &[Candidate],
) -> String {
    let pinned = match inputs.policy.pin.as_ref().map(|pin| pin.by) {
        Some(PinnedBy::CommandLine) => "asked for on the command line, and ",
        Some(PinnedBy::Definition) => "pinned by the definition, and ",
        None => "",
    };
    let what = match swap {
        None => "the base's kernel".to_owned(),
        Some(swap) => {
            let against =
                candidates.iter().find(|row| row.release == base.release).and_then(|row| row.rejection.as_ref());
            let against = against.map(|against| format!(" ({against})")).unwrap_or_default();
            let newest = if pinned.is_empty() { "the newest acceptable kernel, " } else { "" };
            format!("{newest}{} {} from the base's {}{against}", article(swap.direction), swap.direction, base.release)
        }
    };
    let Headers { package, version, .. } = headers;
    let differs = if *version == kernel.version {
        String::new()
    } else {
        format!(", which differ in package version from the kernel's {}", kernel.version)
    };
    format!("{pinned}{what}, with headers on offer ({package} {version}{differs})")
}

fn article(direction: Direction) -> &'static str {
    if direction == Direction::Upgrade { "an" } else { "a" }
}

/// What the inputs were too thin to check for the chosen kernel.
fn caveats(inputs: &Inputs, release: &KernelRelease) -> Vec<String> {
    let facts = inputs.facts.get(release);
    let config = facts.is_some_and(|facts| facts.config.is_some());
    let wanting: BTreeSet<_> =
        inputs.sets.iter().filter(|set| !set.config.is_empty() && !config).map(|set| &set.name).collect();
    let config =
        wanting.into_iter().map(|set| format!("the symbols that {set} needs: no configuration of {release} was read"));
    let aged = inputs.policy.max_age.filter(|_| inputs.age(release).is_none());
    config.chain(aged.map(|_| format!("the age of {release}: its build day is not known"))).collect()
}

fn fail(inputs: &Inputs, base: &Kernel, candidates: Vec<Candidate>) -> NoKernel {
    let release = base.release.clone();
    let pin = inputs.policy.pin.as_ref().map(|pin| pin.release.clone()).filter(|pin| *pin != release);
    let fix = fix::nearest(inputs, &release, pin.as_ref().unwrap_or(&release), &candidates);
    let blame = blame(inputs, base, &candidates);
    if let Some(pin) = pin {
        return NoKernel::PinNotInBase { pin, base: release, candidates, blame, fix };
    }
    let against = candidates.iter().find(|row| row.release == release).and_then(|row| row.rejection.clone());
    match against {
        Some(against) if against != Rejection::NoHeaders => {
            NoKernel::Unacceptable { release, against: against.to_string(), candidates, blame, fix }
        }
        _ => NoKernel::NoHeaders { release, candidates, blame, fix },
    }
}

/// The sets without which there would be a kernel, and which.
fn blame(inputs: &Inputs, base: &Kernel, candidates: &[Candidate]) -> Vec<Blame> {
    let assessor = Assessor::new(inputs, base);
    let names: BTreeSet<_> = inputs.sets.iter().map(|set| &set.name).collect();
    let only = |row: &Candidate, name: &KmodSetName| {
        row.objections.len() == 1
            && row.objections.contains_key(name)
            && matches!(row.rejection, Some(Rejection::Modules { .. }))
            && assessor.by_swap(row).is_none()
    };
    let alone = |name: &&KmodSetName| {
        let mut rows: Vec<_> = candidates.iter().filter(|row| only(row, name)).collect();
        // Stable: among the rest the newest stays first.
        rows.sort_by_key(|row| inputs.policy.swap != Swap::PreferNewest && row.kernel.is_none());
        rows.first().map(|row| Blame { set: (*name).clone(), without: row.release.clone() })
    };
    names.iter().filter_map(alone).collect()
}

#[cfg(test)]
mod tests;
