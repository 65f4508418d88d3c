//! A kernel module build that failed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{KernelRelease, KmodSetName};

/// A module set that did not compile for a kernel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KnownBad {
    /// The module set.
    pub set: KmodSetName,
    /// Version of the module's source, as the lock has it; another version is another story.
    pub version: String,
    /// The kernel.
    pub kernel: KernelRelease,
    /// First line of the error.
    pub error: String,
}
