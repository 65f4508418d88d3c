//! Resource limits, which every program that is run inherits.

use rustix::process::{Resource, getrlimit};

/// What this process may use at most, see getrlimit(2); nothing where there is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HardLimits {
    /// Open files of a process.
    pub open_files: Option<u64>,
    /// Processes of the user.
    pub processes: Option<u64>,
}

impl HardLimits {
    /// Those of this process.
    pub fn own() -> Self {
        Self { open_files: getrlimit(Resource::Nofile).maximum, processes: getrlimit(Resource::Nproc).maximum }
    }
}
