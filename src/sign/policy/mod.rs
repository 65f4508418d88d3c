//! containers-policy.json(5): which images a host runs. Written from a trust policy, read as strictly as the host reads
//! it, and simulated: which rule decides about an image, and what it asks for.
//!
//! podman, skopeo, buildah and bootc share one reader (containers/image); one field that it does not know makes every
//! pull fail, so what is generated is read back by the parser here before it gets into an image.

mod document;
mod parse;
mod render;
mod scope;
mod simulate;

#[cfg(test)]
mod tests;

pub use document::{Identity, Policy, Requirement, Requirements, SigstoreSigned};
pub use parse::{PolicyError, parse_policy};
pub use render::{HostFile, KEY_FOLDER, Mirrored, POLICY_PATH, REGISTRIES_PATH, Trust, TrustPolicy, TrustScope};
pub(super) use scope::repository;
pub use scope::{Target, TargetError, Transport};
pub use simulate::{Decision, Outcome, decide};
