//! What can go wrong while building.

use std::io;

use cap_std::fs_utf8::camino::Utf8PathBuf;

use super::audit::AuditError;
use crate::sys::{CmdError, Interrupted, LockError};

/// A build that did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum BuildError {
    #[error("{action} `{path}`")]
    Io { action: &'static str, path: Utf8PathBuf, source: io::Error },
    #[error(
        "the store `{path}` belongs to user {owner}, and you are user {user}; use another one with --store, or become its owner"
    )]
    ForeignStore { path: Utf8PathBuf, owner: u32, user: u32 },
    #[error(
        "no space left in `{path}`: {free} free; free some space (`imgbuild gc` lists what the store could give back) or put the store elsewhere with --store"
    )]
    NoSpace { path: Utf8PathBuf, free: crate::model::ByteSize },
    #[error("{step}")]
    Command { step: String, source: CmdError },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// Adds the path and what was being done to an I/O error.
pub(super) fn io(action: &'static str, path: impl Into<Utf8PathBuf>) -> impl FnOnce(io::Error) -> BuildError {
    let path = path.into();
    move |source| BuildError::Io { action, path, source }
}

/// Adds the step to a failed command.
pub(super) fn command(step: impl Into<String>) -> impl FnOnce(CmdError) -> BuildError {
    let step = step.into();
    move |source| BuildError::Command { step, source }
}
