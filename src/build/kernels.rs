//! The kernel decision with what the definition and the command line say.

use std::str::FromStr;

use super::BuildError;
use crate::config::{KernelPolicy, SwapPolicy};
use crate::kernel::{self, Decision, Headers, Kernel, PinRequest, Swap};
use crate::model::{KernelRelease, KernelReleaseError, TierName};

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

/// Chooses among what the base has and what headers there are.
pub(super) fn decide(
    tier: &TierName,
    base: &[Kernel],
    headers: &[Headers],
    policy: &KernelPolicy,
    pin: Option<&KernelPin>,
) -> Result<Decision, BuildError> {
    let swap = match policy.swap {
        SwapPolicy::Never => Swap::Never,
        SwapPolicy::Allow => Swap::Allow,
        SwapPolicy::PreferNewest => Swap::PreferNewest,
    };
    let policy = kernel::KernelPolicy { pin: policy.pin.clone(), swap };
    let request = match pin {
        Some(KernelPin::Exact(release)) => PinRequest::Exact(release.clone()),
        _ => PinRequest::Auto,
    };
    kernel::choose(base, headers, &policy, &request)
        .map_err(|source| BuildError::Kernel { tier: tier.clone(), source: Box::new(source) })
}
