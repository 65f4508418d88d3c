//! The kernel decision: from a universe of kernels and headers to a choice with its explanation.
//!
//! Owns version ordering by the rules of rpm and dpkg. Pure: may not touch
//! file systems or processes.

mod solve;
mod universe;
mod version;

pub use solve::{
    Blame, Candidate, Decision, Direction, Inputs, KernelFacts, KernelSet, ModuleSet, NoKernel, Objection, Part, Pin,
    PinnedBy, Policy, Rejection, Swap, Transaction, solve,
};
pub use universe::{BaseMismatch, Headers, Kernel, PackageEntry, Provenance, Universe, UniverseError, kernels_in_base};
pub use version::{DebVersion, DebVersionError, PackageVersion, RpmVersion, RpmVersionError};
