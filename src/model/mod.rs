//! The field's words as types.
//!
//! Owns the vocabulary every other room speaks: references, digests, tiers,
//! kernel releases, sizes, times. A value of one of these types has been
//! checked once, when it was made, and never again.
//!
//! May not touch file systems, processes, the environment, the clock or logging.

mod artifact;
pub mod deb822;
mod finding;
mod ident;
mod image_ref;
mod kargs_file;
mod kernel;
mod kernel_range;
mod known_bad;
mod machine;
mod mode;
mod net;
mod path;
mod size;
mod time;

pub use artifact::ArtifactKind;
pub use finding::{Finding, FindingCode, Page, Severity};
pub use ident::{
    ConnectionName, GroupName, HostName, Hostname, IdentError, InterfacePattern, Karg, KmodSetName, ModuleName,
    PackageName, ProjectName, RepositoryName, Sha256Hex, TierName, UnitName, UserName,
};
pub use image_ref::{ImageLocator, LocatorError, PinnedReference};
pub use kargs_file::{KargsFile, KargsFileError};
pub use kernel::{KernelRelease, KernelReleaseError};
pub use kernel_range::{KernelNumber, KernelNumberError, KernelPattern, KernelPatternError, Reach};
pub use known_bad::KnownBad;
pub use machine::{Machine, UnknownMachine};
pub use mode::{FileMode, FileModeError};
pub use net::{IpPrefix, IpPrefixError, MacAddress, MacAddressError};
pub use oci_spec::distribution::Reference;
pub use oci_spec::image::Digest;
pub use path::{AbsolutePath, AbsolutePathError};
pub use size::{ByteSize, ByteSizeError};
pub use time::SourceDateEpoch;

use serde::{Deserialize, Serialize};

/// Which of the three tiers an image belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// The distribution: mirrored from upstream or bootstrapped from packages.
    Base,
    /// The distribution with out-of-tree kernel modules and their user space.
    Modules,
    /// One host.
    Host,
}

impl Tier {
    /// The number operators call it by.
    pub const fn number(self) -> u8 {
        match self {
            Self::Base => 1,
            Self::Modules => 2,
            Self::Host => 3,
        }
    }

    /// The name an image of this tier has in the store's layout, such as `tier1/debian`.
    pub fn image_name(self, name: &str) -> String {
        format!("tier{}/{name}", self.number())
    }
}

/// Digest of the *uncompressed* layer, as listed in an image configuration's `rootfs.diff_ids`.
///
/// A type of its own because mixing it up with the digest of the compressed
/// blob type-checks everywhere and verifies nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(pub Digest);

impl std::fmt::Display for DiffId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}
