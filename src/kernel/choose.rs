//! The decision: which kernel modules are built for, and why no other.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use super::universe::{Headers, Kernel, flavour};
use super::version::PackageVersion;
use crate::model::KernelRelease;

/// What the definition says about the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KernelPolicy {
    /// Exactly this kernel.
    pub pin: Option<KernelRelease>,
    /// Whether another kernel than the base's may be put in.
    pub swap: Swap,
}

/// Whether the base's kernel may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Swap {
    /// Keep the base's kernel or fail.
    #[default]
    Never,
    /// Replace it when modules cannot be built for it.
    Allow,
    /// Take the newest kernel the modules can be built for.
    PreferNewest,
}

impl Swap {
    /// The value as the definition spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Allow => "allow",
            Self::PreferNewest => "prefer-newest",
        }
    }
}

/// What this run asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PinRequest {
    /// Decide by the policy.
    #[default]
    Auto,
    /// Exactly this kernel, whatever the policy pins.
    Exact(KernelRelease),
}

/// The chosen kernel with everything that led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The kernel of the final image.
    pub kernel: Kernel,
    /// What builders install for it.
    pub headers: Headers,
    /// One sentence on why.
    pub reason: String,
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

fn releases(candidates: &[Candidate], keep: impl Fn(&Candidate) -> bool) -> Vec<KernelRelease> {
    candidates.iter().filter(|candidate| keep(candidate)).map(|candidate| candidate.release.clone()).collect()
}

/// One release of the universe and the first reason against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The release.
    pub release: KernelRelease,
    /// The kernel, where the base has it.
    pub kernel: Option<Kernel>,
    /// The headers, where they are on offer.
    pub headers: Option<Headers>,
    /// Why it was not taken; `None` for the chosen one.
    pub rejection: Option<Rejection>,
}

impl Candidate {
    fn version(&self) -> Option<&PackageVersion> {
        let kernel = self.kernel.as_ref().map(|kernel| &kernel.version);
        kernel.or(self.headers.as_ref().map(|headers| &headers.version))
    }
}

/// Why a kernel was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// Something else is pinned.
    NotThePin,
    /// The base has another one, and it may not be replaced.
    NotInBase,
    /// No modules can be built for it.
    NoHeaders,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotThePin => "another kernel is pinned",
            Self::NotInBase => "not in the base, and swap is never",
            Self::NoHeaders => "no headers on offer",
        })
    }
}

/// No kernel can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    #[error("no headers are on offer for the base's kernel {release}\n{}", Table { candidates, about: release })]
    NoHeaders { release: KernelRelease, candidates: Vec<Candidate> },
    /// The pinned kernel is not the base's.
    #[error("the kernel is pinned to {pin}, and the base has {base}\n{}", Table { candidates, about: pin })]
    PinNotInBase { pin: KernelRelease, base: KernelRelease, candidates: Vec<Candidate> },
    /// A policy that this version cannot carry out.
    #[error("`kernel.swap = \"{}\"` cannot be carried out yet: only `never` can", swap.as_str())]
    SwapNotYet { swap: Swap },
}

impl NoKernel {
    /// The nearest way out, as an advice to the operator.
    pub fn fix(&self) -> Option<String> {
        match self {
            Self::NoHeaders { release, candidates } => Some(nearest_fix(release, candidates)),
            Self::PinNotInBase { base, .. } => {
                Some(format!("pin {base}, leave the pin out, or take a base with the pinned kernel"))
            }
            Self::SwapNotYet { .. } => Some("leave `kernel.swap` out, or set it to \"never\"".to_owned()),
            _ => None,
        }
    }
}

fn nearest_fix(release: &KernelRelease, candidates: &[Candidate]) -> String {
    let wanted = flavour(release);
    let buildable = |candidate: &&Candidate| candidate.headers.is_some() && flavour(&candidate.release) == wanted;
    // Newest first: the base's own row separates the newer ones from the older ones.
    let at = candidates.iter().position(|candidate| candidate.release == *release).unwrap_or(candidates.len());
    let newer = candidates[..at].iter().rev().find(buildable);
    let older = candidates[at..].iter().find(buildable);
    match (newer, older) {
        (Some(newer), Some(older)) => format!(
            "take a base with another kernel (nearest with headers: {} and {}), or add a repository that has headers for {release}",
            newer.release, older.release
        ),
        (Some(newer), None) => format!(
            "the base is older than all headers: take one with {} or newer, or add an archive repository with headers for {release}",
            newer.release
        ),
        (None, Some(older)) => {
            format!("the base is newer than all headers: wait for them, or take a base with {} or older", older.release)
        }
        (None, None) => format!("enable a repository that has headers for {release}"),
    }
}

/// Chooses the kernel of a tier-2 image.
///
/// `base` are the kernels in the base image, `headers` all headers on offer; the order of neither matters.
///
/// # Errors
/// [`NoKernel`], with every candidate and the reason against it.
pub fn choose(
    base: &[Kernel],
    headers: &[Headers],
    policy: &KernelPolicy,
    request: &PinRequest,
) -> Result<Decision, NoKernel> {
    if policy.swap != Swap::Never {
        return Err(NoKernel::SwapNotYet { swap: policy.swap });
    }
    let kernel = only_kernel(base)?;
    let pin = match request {
        PinRequest::Exact(release) => Some(release),
        PinRequest::Auto => policy.pin.as_ref(),
    };
    let candidates = assess(base, headers, pin);
    let chosen = candidates.iter().find(|candidate| candidate.rejection.is_none());
    match chosen.and_then(|candidate| Some((candidate.kernel.clone()?, candidate.headers.clone()?))) {
        Some((kernel, headers)) => {
            let reason = reason(&kernel, &headers, request, pin.is_some());
            Ok(Decision { kernel, headers, reason, candidates })
        }
        None => Err(match pin.filter(|pin| **pin != kernel.release) {
            Some(pin) => NoKernel::PinNotInBase { pin: pin.clone(), base: kernel.release.clone(), candidates },
            None => NoKernel::NoHeaders { release: kernel.release.clone(), candidates },
        }),
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

/// Every release of the universe, newest first, each with the first reason against it.
fn assess(base: &[Kernel], headers: &[Headers], pin: Option<&KernelRelease>) -> Vec<Candidate> {
    let mut by_release: BTreeMap<&KernelRelease, (Option<&Kernel>, Option<&Headers>)> = BTreeMap::new();
    for kernel in base {
        by_release.entry(&kernel.release).or_default().0 = Some(kernel);
    }
    for offer in headers {
        let (kernel, best) = by_release.entry(&offer.release).or_default();
        if best.is_none_or(|best| fit(offer, *kernel) > fit(best, *kernel)) {
            *best = Some(offer);
        }
    }
    let mut candidates: Vec<_> = by_release
        .into_iter()
        .map(|(release, (kernel, headers))| Candidate {
            release: release.clone(),
            kernel: kernel.cloned(),
            headers: headers.cloned(),
            rejection: first_rejection(release, kernel, headers, pin),
        })
        .collect();
    candidates.sort_by(|left, right| (right.version(), &right.release).cmp(&(left.version(), &left.release)));
    candidates
}

/// How well headers go with a kernel of their release: those of the very same package version, then the newest.
/// Among equals the name of the archive decides, so that the order of the input does not.
fn fit<'a>(offer: &'a Headers, kernel: Option<&Kernel>) -> impl Ord + use<'a> {
    let same = kernel.is_some_and(|kernel| kernel.version == offer.version);
    (same, &offer.version, Reverse((&offer.provenance, &offer.package)))
}

fn first_rejection(
    release: &KernelRelease,
    kernel: Option<&Kernel>,
    headers: Option<&Headers>,
    pin: Option<&KernelRelease>,
) -> Option<Rejection> {
    if pin.is_some_and(|pin| pin != release) {
        Some(Rejection::NotThePin)
    } else if kernel.is_none() {
        Some(Rejection::NotInBase)
    } else if headers.is_none() {
        Some(Rejection::NoHeaders)
    } else {
        None
    }
}

fn reason(kernel: &Kernel, headers: &Headers, request: &PinRequest, pinned: bool) -> String {
    let why = match (request, pinned) {
        (PinRequest::Exact(_), _) => "asked for on the command line, and the base's kernel",
        (PinRequest::Auto, true) => "pinned by the definition, and the base's kernel",
        (PinRequest::Auto, false) => "the base's kernel",
    };
    let Headers { package, version, .. } = headers;
    let differs = if *version == kernel.version {
        String::new()
    } else {
        format!(", which differ in package version from the kernel's {}", kernel.version)
    };
    format!("{why}, with headers on offer ({package} {version}{differs})")
}

fn kernel_lines(kernels: &[Kernel]) -> String {
    kernels.iter().map(|kernel| format!("\n  {} ({} {})", kernel.release, kernel.package, kernel.version)).collect()
}

/// The candidates as aligned text, newest first. Other flavours than that of `about` are only counted.
struct Table<'a> {
    candidates: &'a [Candidate],
    about: &'a KernelRelease,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = flavour(self.about);
        let mut rows = vec![["kernel", "version", "in base", "headers", "against it"].map(str::to_owned)];
        let mut others: BTreeMap<String, usize> = BTreeMap::new();
        for candidate in self.candidates {
            let flavour = flavour(&candidate.release);
            // The base's kernel is always shown, also when another flavour is pinned.
            if flavour == wanted || candidate.kernel.is_some() {
                rows.push(row(candidate));
            } else {
                *others.entry(flavour).or_default() += 1;
            }
        }
        write_aligned(f, &rows)?;
        let others: Vec<_> = others.iter().map(|(flavour, count)| format!("{count} {}", or_main(flavour))).collect();
        if others.is_empty() { Ok(()) } else { write!(f, "\n  not shown, other flavours: {}", others.join(", ")) }
    }
}

fn or_main(flavour: &str) -> &str {
    if flavour.is_empty() { "main" } else { flavour }
}

fn row(candidate: &Candidate) -> [String; 5] {
    let yes = |present: bool| if present { "yes" } else { "-" }.to_owned();
    [
        candidate.release.to_string(),
        candidate.version().map(ToString::to_string).unwrap_or_default(),
        yes(candidate.kernel.is_some()),
        yes(candidate.headers.is_some()),
        candidate.rejection.map(|rejection| rejection.to_string()).unwrap_or_default(),
    ]
}

fn write_aligned(f: &mut fmt::Formatter<'_>, rows: &[[String; 5]]) -> fmt::Result {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    for (index, row) in rows.iter().enumerate() {
        let mut line = String::from("  ");
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        line.push_str(&row[4]);
        write!(f, "{}{}", if index == 0 { "" } else { "\n" }, line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
