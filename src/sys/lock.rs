//! Advisory locks between processes.

use std::fs::File;
use std::io;

use cap_std::fs_utf8::{Dir, OpenOptions};
use rustix::fs::{FlockOperation, flock};

/// How a lock is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// Any number of holders, none of them exclusive.
    Shared,
    /// One holder.
    Exclusive,
}

/// A lock that could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum LockError {
    /// Opening or creating the lock file failed.
    #[error("opening lock file `{name}`")]
    Open { name: String, source: io::Error },
    /// The lock call itself failed.
    #[error("locking `{name}`")]
    Flock { name: String, source: io::Error },
}

/// A held `flock(2)`; released when dropped, and by the kernel when the process dies.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock named `name` in `dir`, waiting for other holders.
    ///
    /// # Errors
    /// When the file cannot be opened or the file system has no locks.
    pub fn acquire(dir: &Dir, name: &str, kind: LockKind) -> Result<Self, LockError> {
        let operation = match kind {
            LockKind::Shared => FlockOperation::LockShared,
            LockKind::Exclusive => FlockOperation::LockExclusive,
        };
        let file = open(dir, name)?;
        flock(&file, operation).map_err(|error| LockError::Flock { name: name.to_owned(), source: error.into() })?;
        Ok(Self { _file: file })
    }

    /// Takes the lock if nobody holds it in a conflicting way; `None` when somebody does.
    ///
    /// # Errors
    /// When the file cannot be opened or the file system has no locks.
    pub fn try_acquire(dir: &Dir, name: &str, kind: LockKind) -> Result<Option<Self>, LockError> {
        let operation = match kind {
            LockKind::Shared => FlockOperation::NonBlockingLockShared,
            LockKind::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        let file = open(dir, name)?;
        match flock(&file, operation) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(LockError::Flock { name: name.to_owned(), source: error.into() }),
        }
    }
}

fn open(dir: &Dir, name: &str) -> Result<File, LockError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    dir.open_with(name, &options)
        .map(cap_std::fs_utf8::File::into_std)
        .map_err(|source| LockError::Open { name: name.to_owned(), source })
}
