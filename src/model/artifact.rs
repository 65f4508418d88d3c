//! What a file is that a kernel module set brings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an artifact is; decides its default mode and where it may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactKind {
    /// A kernel module; goes below `/usr/lib/modules/KVER`.
    Kmod,
    /// A firmware blob.
    Firmware,
    /// A shared library.
    Lib,
    /// A program.
    Bin,
    /// A systemd unit.
    Unit,
    /// A udev rule or hwdb.
    Udev,
    /// A modprobe.d file.
    Modprobe,
    /// A modules-load.d file.
    ModulesLoad,
    /// A bootc kargs.d file.
    Kargs,
    /// An SELinux policy module.
    Selinux,
    /// A certificate.
    Cert,
    /// A licence or other documentation.
    Doc,
}

impl ArtifactKind {
    /// The mode of a file of this kind where its manifest gives none.
    pub const fn default_mode(self) -> u32 {
        match self {
            Self::Bin => 0o755,
            _ => 0o644,
        }
    }
}
