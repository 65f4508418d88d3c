//! Package versions in the exact order of the package manager that made them.
//!
//! Kernels are never compared by splitting `uname -r` at dots: the order that
//! decides what is newer is the one of dpkg or rpm over the whole package version.

mod deb;
mod rpm;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use deb::{DebVersion, DebVersionError};
pub use rpm::{RpmVersion, RpmVersionError};

/// The version of a kernel or headers package.
///
/// One universe holds one family; the order between families is arbitrary but total.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageVersion {
    /// Of a Debian package.
    Deb(DebVersion),
    /// Of an RPM package.
    Rpm(RpmVersion),
}

impl fmt::Display for PackageVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deb(version) => version.fmt(f),
            Self::Rpm(version) => version.fmt(f),
        }
    }
}

/// Splits off the leading bytes for which `keep` holds.
fn take_while(text: &[u8], keep: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|&byte| !keep(byte)).unwrap_or(text.len()))
}

/// Digits without leading zeros, so that longer means larger.
fn significant(digits: &[u8]) -> &[u8] {
    take_while(digits, |byte| byte == b'0').1
}
