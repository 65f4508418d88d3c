//! The kernel decision: from a universe of kernels and headers to a choice with its explanation.
//!
//! Owns version ordering by the rules of rpm and dpkg. Pure: may not touch
//! file systems or processes.

mod version;

pub use version::{DebVersion, DebVersionError, PackageVersion, RpmVersion, RpmVersionError};
