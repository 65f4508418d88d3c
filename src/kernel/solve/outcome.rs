//! What the solver answers: plain data that renders itself.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::universe::{Headers, Kernel, flavour};
use super::super::version::PackageVersion;
use super::inputs::{KernelSet, Part};
use super::range::Objection;
use super::table::Table;
use crate::model::{KernelNumber, KernelRelease, KmodSetName};

/// The chosen kernel with everything that led to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Decision {
    /// The kernel of the final image.
    pub kernel: Kernel,
    /// What builders install for it.
    pub headers: Headers,
    /// How it replaces the base's kernel; `None` where it is the base's kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<Transaction>,
    /// One sentence on why.
    pub reason: String,
    /// What could not be checked, each as a sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caveats: Vec<String>,
    /// Every kernel that was looked at, newest first; the chosen one is the only one without a rejection.
    pub candidates: Vec<Candidate>,
}

impl Decision {
    /// The chosen release.
    pub fn release(&self) -> &KernelRelease {
        &self.kernel.release
    }

    /// Kernels found in the base, newest first.
    pub fn base(&self) -> Vec<KernelRelease> {
        releases(&self.candidates, |candidate| candidate.kernel.is_some())
    }

    /// Kernels with headers on offer, newest first.
    pub fn on_offer(&self) -> Vec<KernelRelease> {
        releases(&self.candidates, |candidate| candidate.headers.is_some())
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.release(), self.reason)?;
        if let Some(swap) = &self.swap {
            write!(f, "{swap}")?;
        }
        for caveat in &self.caveats {
            writeln!(f, "not checked: {caveat}")?;
        }
        write!(f, "{}", Table { candidates: &self.candidates, about: self.release() })
    }
}

fn releases(candidates: &[Candidate], keep: impl Fn(&Candidate) -> bool) -> Vec<KernelRelease> {
    candidates.iter().filter(|candidate| keep(candidate)).map(|candidate| candidate.release.clone()).collect()
}

/// The replacement of the base's kernel: one transaction of the package manager, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Transaction {
    /// Which way it goes.
    pub direction: Direction,
    /// What goes.
    pub remove: Vec<Part>,
    /// What comes.
    pub install: Vec<Part>,
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} in one transaction:", self.direction)?;
        self.remove.iter().try_for_each(|part| writeln!(f, "  - {part}"))?;
        self.install.iter().try_for_each(|part| writeln!(f, "  + {part}"))
    }
}

/// Which way a replacement goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To a newer kernel.
    Upgrade,
    /// To an older kernel.
    Downgrade,
    /// To another kernel of the same package version, such as another flavour.
    Sidegrade,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upgrade => "upgrade",
            Self::Downgrade => "downgrade",
            Self::Sidegrade => "change of flavour",
        })
    }
}

/// One release of the universe and the first reason against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Candidate {
    /// The release.
    pub release: KernelRelease,
    /// The kernel, where the base has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Kernel>,
    /// The headers, where they are on offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Headers>,
    /// What a swap would install, where the kernel is on offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages: Option<KernelSet>,
    /// What module sets say against it, each its first word.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub objections: BTreeMap<KmodSetName, Objection>,
    /// Why it was not taken; `None` for the chosen one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<Rejection>,
}

impl Candidate {
    /// The version that orders it among the others: of the image in the base, else on offer, else of the headers.
    pub fn version(&self) -> Option<&PackageVersion> {
        let kernel = self.kernel.as_ref().map(|kernel| &kernel.version);
        let packages = self.packages.as_ref().map(|packages| &packages.version);
        kernel.or(packages).or(self.headers.as_ref().map(|headers| &headers.version))
    }
}

/// Why a kernel was not taken. The first that holds, in this order, is the one that is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
#[non_exhaustive]
pub enum Rejection {
    /// Something else is pinned.
    NotThePin,
    /// Of another flavour than the base's kernel, and not pinned.
    OtherFlavour,
    /// On the deny list.
    Denied,
    /// Newer than the policy allows.
    AboveCeiling(KernelNumber),
    /// Older than the policy allows.
    BelowFloor(KernelNumber),
    /// Built too long ago: age and limit in days.
    TooOld(i64, u32),
    /// No modules can be built for it.
    NoHeaders,
    /// A module set cannot be built for it.
    Modules {
        /// The set, the first by name of those that object.
        set: KmodSetName,
        /// Version of its source.
        version: String,
        /// Why.
        objection: Objection,
    },
    /// The base has another one, and it may not be replaced.
    NotInBase,
    /// Its packages are not on offer.
    NoPackages,
    /// Some of its packages are not on offer.
    Incomplete(Vec<String>),
    /// It would do, and the base's own kernel does too.
    BaseDoes,
    /// It would do, and this newer one does too.
    NewerDoes(KernelRelease),
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThePin => f.write_str("another kernel is pinned"),
            Self::OtherFlavour => f.write_str("of another flavour than the base's kernel"),
            Self::Denied => f.write_str("on the deny list"),
            Self::AboveCeiling(ceiling) => write!(f, "above the ceiling {ceiling}"),
            Self::BelowFloor(floor) => write!(f, "below the floor {floor}"),
            Self::TooOld(age, limit) => write!(f, "{age} days old, and the limit is {limit}"),
            Self::NoHeaders => f.write_str("no headers on offer"),
            Self::Modules { set, version, objection } => write!(f, "{set} {version} {objection}"),
            Self::NotInBase => f.write_str("not in the base, and swap is never"),
            Self::NoPackages => f.write_str("its packages are not on offer"),
            Self::Incomplete(missing) => write!(f, "packages not on offer: {}", missing.join(", ")),
            Self::BaseDoes => f.write_str("would do, but the base's kernel does too"),
            Self::NewerDoes(newer) => write!(f, "would do, but {newer} is newer"),
        }
    }
}

/// One module set that alone stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Blame {
    /// The set.
    pub set: KmodSetName,
    /// The newest kernel that nothing but this set objects to.
    pub without: KernelRelease,
}

/// No kernel can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum NoKernel {
    /// The base holds no kernel.
    #[error("the base holds no kernel: nothing under /usr/lib/modules has a vmlinuz")]
    BaseIsEmpty,
    /// The base holds more than one; a bootc image has exactly one.
    #[error("the base holds {} kernels, and an image has exactly one:{}", kernels.len(), kernel_lines(kernels))]
    SeveralInBase { kernels: Vec<Kernel> },
    /// The base has this kernel, but nothing can be built for it.
    #[error(
        "no headers are on offer for the base's kernel {release}{}\n{}",
        blame_lines(blame),
        Table { candidates, about: release }
    )]
    NoHeaders { release: KernelRelease, candidates: Vec<Candidate>, blame: Vec<Blame>, fix: String },
    /// The pinned kernel is not the base's and cannot be put in its place.
    #[error(
        "the kernel is pinned to {pin}, and the base has {base}{}\n{}",
        blame_lines(blame),
        Table { candidates, about: pin }
    )]
    PinNotInBase { pin: KernelRelease, base: KernelRelease, candidates: Vec<Candidate>, blame: Vec<Blame>, fix: String },
    /// Headers there are, but something speaks against every kernel.
    #[error(
        "no kernel is acceptable; the base's {release}: {against}{}\n{}",
        blame_lines(blame),
        Table { candidates, about: release }
    )]
    Unacceptable { release: KernelRelease, against: String, candidates: Vec<Candidate>, blame: Vec<Blame>, fix: String },
}

impl NoKernel {
    /// The nearest way out, as an advice to the operator.
    pub fn fix(&self) -> Option<String> {
        match self {
            Self::NoHeaders { fix, .. } | Self::PinNotInBase { fix, .. } | Self::Unacceptable { fix, .. } => {
                Some(fix.clone())
            }
            Self::BaseIsEmpty | Self::SeveralInBase { .. } => None,
        }
    }

    /// Every kernel that was looked at, newest first, each with its rejection.
    pub fn candidates(&self) -> &[Candidate] {
        match self {
            Self::NoHeaders { candidates, .. }
            | Self::PinNotInBase { candidates, .. }
            | Self::Unacceptable { candidates, .. } => candidates,
            _ => &[],
        }
    }

    /// Module sets each of which alone stands in the way.
    pub fn blame(&self) -> &[Blame] {
        match self {
            Self::NoHeaders { blame, .. } | Self::PinNotInBase { blame, .. } | Self::Unacceptable { blame, .. } => {
                blame
            }
            _ => &[],
        }
    }
}

fn kernel_lines(kernels: &[Kernel]) -> String {
    kernels.iter().map(|kernel| format!("\n  {} ({} {})", kernel.release, kernel.package, kernel.version)).collect()
}

fn blame_lines(blame: &[Blame]) -> String {
    let line = |Blame { set, without }: &Blame| format!("\nwithout {set} it would be {without}");
    blame.iter().map(line).collect()
}

/// Flavours are compared as text; the main one of an RPM distribution is empty.
pub(super) fn same_flavour(left: &KernelRelease, right: &KernelRelease) -> bool {
    flavour(left) == flavour(right)
}
