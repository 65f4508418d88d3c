//! What the lock knows about kernels, shown: everything there was, and the decision with its reasons.

use std::fmt;

use serde::Serialize;

use crate::build::{BuildError, Project};
use crate::config::{KernelLock, Lock};
use crate::kernel::{Candidate, Decision, KernelFacts, ModuleSet, NoKernel, Policy, solve};
use crate::model::{KernelRelease, KnownBad, SourceDateEpoch, TierName};
use crate::plan::decision::{KeptError, kept};

/// Every kernel that was looked at for one tier, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offers {
    /// The tier-2 image.
    pub tier: TierName,
    /// The kernels.
    pub kernels: Vec<Offer>,
}

/// One kernel, in the base or on offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Offer {
    /// What `uname -r` prints when it runs.
    pub release: KernelRelease,
    /// Version of its package; of its headers where nothing else is known.
    pub version: String,
    /// Whether it is in the base.
    pub base: bool,
    /// Where its headers are on offer.
    pub headers: Option<String>,
    /// Where its own packages are on offer, for a swap.
    pub packages: Option<String>,
    /// Packages that a swap needs and nobody offers.
    pub missing: Vec<String>,
    /// Day it was built, where known: year, month, day.
    pub built: Option<String>,
    /// Whether the lock's kernel is this one.
    pub locked: bool,
}

/// The decision for one tier, made again from the lock alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// The tier-2 image.
    pub tier: TierName,
    /// The kernel in the lock.
    pub locked: KernelRelease,
    /// What comes out today.
    pub answer: Answer,
    /// The nearest way out of a failure.
    pub fix: Option<String>,
    /// What was wanted.
    pub policy: Policy,
    /// The module sets with what they support.
    pub sets: Vec<ModuleSet>,
    /// Builds of these sets that failed.
    pub known_bad: Vec<KnownBad>,
}

/// What comes out of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// A kernel.
    Decision(Box<Decision>),
    /// None.
    Failure(Box<NoKernel>),
}

/// Lists every kernel that the lock knows for a tier.
///
/// # Errors
/// When the tier is not in the lock or its inputs cannot be read.
pub fn list(project: &Project, tier: &TierName) -> Result<Offers, BuildError> {
    let (lock, kernel) = locked(project, tier)?;
    let inputs = kept(lock, kernel).map_err(unreadable(tier))?;
    let answer = solve(&inputs);
    let candidates = match &answer {
        Ok(decision) => &decision.candidates,
        Err(failure) => failure.candidates(),
    };
    let offer = |row: &Candidate| offer(row, inputs.facts.get(&row.release), &kernel.release);
    Ok(Offers { tier: tier.clone(), kernels: candidates.iter().map(offer).collect() })
}

fn offer(row: &Candidate, facts: Option<&KernelFacts>, locked: &KernelRelease) -> Offer {
    let missing = row.packages.iter().flat_map(|set| &set.missing).cloned().collect();
    Offer {
        release: row.release.clone(),
        version: row.version().map(ToString::to_string).unwrap_or_default(),
        base: row.kernel.is_some(),
        headers: row.headers.as_ref().map(|headers| headers.provenance.to_string()),
        packages: row.packages.as_ref().map(|set| set.provenance.to_string()),
        missing,
        built: facts.and_then(|facts| facts.built).map(date),
        locked: row.release == *locked,
    }
}

fn date(day: i64) -> String {
    let seconds = u64::try_from(day).unwrap_or_default() * super::DAY;
    SourceDateEpoch::from_secs(seconds).to_rfc3339().chars().take(10).collect()
}

/// Decides again for a tier, from the lock alone.
///
/// # Errors
/// When the tier is not in the lock or its inputs cannot be read.
pub fn explain(project: &Project, tier: &TierName) -> Result<Explanation, BuildError> {
    let (lock, kernel) = locked(project, tier)?;
    let inputs = kept(lock, kernel).map_err(unreadable(tier))?;
    let answer = solve(&inputs);
    let fix = answer.as_ref().err().and_then(NoKernel::fix);
    let mut known_bad = inputs.known_bad;
    known_bad.retain(|bad| inputs.sets.iter().any(|set| set.name == bad.set && set.version == bad.version));
    Ok(Explanation {
        tier: tier.clone(),
        locked: kernel.release.clone(),
        answer: answer.map_or_else(|none| Answer::Failure(none.into()), |decision| Answer::Decision(decision.into())),
        fix,
        policy: inputs.policy,
        sets: inputs.sets,
        known_bad,
    })
}

fn locked<'p>(project: &'p Project, tier: &TierName) -> Result<(&'p Lock, &'p KernelLock), BuildError> {
    let entry = project.lock.as_ref().and_then(|lock| Some((lock, &lock.tier2.get(tier)?.kernel)));
    entry.ok_or_else(|| BuildError::NotLocked { image: format!("tier2/{tier}") })
}

fn unreadable(tier: &TierName) -> impl FnOnce(KeptError) -> BuildError {
    let tier = tier.clone();
    move |source| BuildError::KernelInputs { tier, source }
}

impl Explanation {
    /// Whether there is a kernel.
    pub fn is_decided(&self) -> bool {
        matches!(self.answer, Answer::Decision(_))
    }

    /// Whether what comes out is what the lock has.
    pub fn is_as_locked(&self) -> bool {
        matches!(&self.answer, Answer::Decision(decision) if *decision.release() == self.locked)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "tier2/{}", self.tier)?;
        match &self.answer {
            Answer::Decision(decision) => writeln!(f, "{decision}")?,
            Answer::Failure(failure) => writeln!(f, "{failure}")?,
        }
        self.fix.iter().try_for_each(|fix| writeln!(f, "fix: {fix}"))?;
        if !self.is_as_locked() {
            writeln!(f, "not as locked: the lock has {}", self.locked)?;
        }
        writeln!(f, "policy: {}", Wanted(&self.policy))?;
        self.sets.iter().try_for_each(|set| writeln!(f, "modules: {} {}{}", set.name, set.version, Range(set)))?;
        self.known_bad
            .iter()
            .try_for_each(|bad| writeln!(f, "known bad: {} {} for {}: {}", bad.set, bad.version, bad.kernel, bad.error))
    }
}

/// A policy in a line.
struct Wanted<'a>(&'a Policy);

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Policy { pin, ceiling, floor, deny, swap, swap_by, max_age } = self.0;
        write!(f, "swap {} ({swap_by})", swap.as_str())?;
        pin.iter().try_for_each(|pin| write!(f, ", pin {} ({})", pin.release, pin.by))?;
        ceiling.iter().try_for_each(|ceiling| write!(f, ", up to {ceiling}"))?;
        floor.iter().try_for_each(|floor| write!(f, ", from {floor}"))?;
        deny.iter().try_for_each(|denied| write!(f, ", not {denied}"))?;
        max_age.iter().try_for_each(|days| write!(f, ", at most {days} days old"))
    }
}

/// What a module set supports, in brackets; nothing where it says nothing.
struct Range<'a>(&'a ModuleSet);

impl fmt::Display for Range<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ModuleSet { name: _, version: _, min, max, reach: _, kernel, arch, config } = self.0;
        let min = min.iter().map(|min| format!("kernels from {min}"));
        let max = max.iter().map(|max| format!("kernels up to {max}"));
        let kernel = kernel.iter().map(|pattern| format!("kernels like {pattern}"));
        let arch = arch.iter().map(|pattern| format!("machines like {pattern}"));
        let config = config.iter().map(|symbol| match symbol.strip_prefix('!') {
            Some(symbol) => format!("without {symbol}"),
            None => format!("with {symbol}"),
        });
        let all: Vec<_> = min.chain(max).chain(kernel).chain(arch).chain(config).collect();
        if all.is_empty() { Ok(()) } else { write!(f, " ({})", all.join(", ")) }
    }
}

impl fmt::Display for Offers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "tier2/{}", self.tier)?;
        let header = ["kernel", "version", "in base", "headers from", "packages from", "built", ""].map(str::to_owned);
        let rows: Vec<_> = std::iter::once(header).chain(self.kernels.iter().map(cells)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths: Vec<_> = (0..rows[0].len()).map(width).collect();
        rows.iter().try_for_each(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
            writeln!(f, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end())
        })
    }
}

fn cells(offer: &Offer) -> [String; 7] {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let packages = match offer.missing.as_slice() {
        [] => or_none(&offer.packages),
        missing => format!("{}, without {}", or_none(&offer.packages), missing.join(", ")),
    };
    [
        offer.release.to_string(),
        offer.version.clone(),
        if offer.base { "yes" } else { "-" }.to_owned(),
        or_none(&offer.headers),
        packages,
        or_none(&offer.built),
        if offer.locked { "locked" } else { "" }.to_owned(),
    ]
}
