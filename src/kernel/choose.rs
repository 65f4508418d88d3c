//! The decision as a build asks for it that can only keep the base's kernel.

use super::solve::{Decision, Inputs, NoKernel, Pin, PinnedBy, Policy, Swap, solve};
use super::universe::{Headers, Kernel};
use crate::model::KernelRelease;

/// What the definition says about the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KernelPolicy {
    /// Exactly this kernel.
    pub pin: Option<KernelRelease>,
    /// Whether another kernel than the base's may be put in.
    pub swap: Swap,
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
    let pin = match request {
        PinRequest::Exact(release) => Some(Pin { release: release.clone(), by: PinnedBy::CommandLine }),
        PinRequest::Auto => policy.pin.clone().map(|release| Pin { release, by: PinnedBy::Definition }),
    };
    let policy = Policy { pin, ..Policy::default() };
    solve(&Inputs { base: base.to_vec(), headers: headers.to_vec(), policy, ..Inputs::default() })
}

#[cfg(test)]
mod tests;
