//! Many blobs written at once and synced once.
//!
//! A blob that lands on its own costs two waits for the disk. In a batch, blobs
//! wait in a folder of their own, complete and under their digests, until the
//! index is about to name something: then the file system is synced once, all
//! of them move to where blobs are, and that folder is synced. So here too
//! nothing is under its final name before its bytes are on the disk, and nothing
//! is in the index before its blobs' names are.

use std::fs::File;
use std::io;

use cap_std::fs::MetadataExt;
use cap_std::fs_utf8::Dir;
use rustix::fs::FlockOperation;

use super::error::LayoutError;
use super::index::sync_dir;

/// What the folders of batches are called, with a number behind it.
const PREFIX: &str = ".batch-";

/// The folder of one batch; locked while it is used, removed with this value.
#[derive(Debug)]
pub(super) struct Staging {
    parent: Dir,
    name: String,
    pub(super) dir: Dir,
    /// Holds the lock, and is open since before the first write, so that syncing reports every failure to write
    /// back (`syncfs(2)`, from Linux 5.8 on).
    handle: File,
}

impl Staging {
    /// Makes a folder in `parent`, and removes those whose process has died.
    pub(super) fn new(parent: &Dir) -> Result<Self, LayoutError> {
        let failed = |source| LayoutError::Io { what: "beginning a batch in", name: ".".to_owned(), source };
        remove_abandoned(parent).map_err(failed)?;
        for number in 0u64.. {
            if let Some(staging) = Self::create(parent, format!("{PREFIX}{number}")).map_err(failed)? {
                return Ok(staging);
            }
        }
        unreachable!("a folder holds fewer than 2^64 names")
    }

    /// `None` when another process has taken the name, or the folder before it was locked.
    fn create(parent: &Dir, name: String) -> io::Result<Option<Self>> {
        match parent.create_dir(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            result => result?,
        }
        let Some((dir, handle)) = lock(parent, &name)? else { return Ok(None) };
        let is_ours = match parent.metadata(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            found => MetadataExt::ino(&found?) == std::os::unix::fs::MetadataExt::ino(&handle.metadata()?),
        };
        Ok(is_ours.then_some(Self { parent: parent.try_clone()?, name, dir, handle }))
    }

    /// Makes all that was written durable and moves it to `blobs`.
    pub(super) fn land(&self, blobs: &Dir) -> io::Result<()> {
        let mut names = Vec::new();
        for entry in self.dir.entries()? {
            names.push(entry?.file_name()?);
        }
        if names.is_empty() {
            return Ok(());
        }
        rustix::fs::syncfs(&self.handle)?;
        for name in names {
            match self.dir.rename(&name, blobs, &name) {
                // Another thread has landed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result?,
            }
        }
        sync_dir(blobs)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is taken for abandoned by the next batch.
        if let Err(error) = self.parent.remove_dir_all(&self.name) {
            tracing::debug!(folder = self.name, %error, "a batch's folder stays behind");
        }
    }
}

/// Opens and locks a batch's folder; `None` when it is in use or gone.
fn lock(parent: &Dir, name: &str) -> io::Result<Option<(Dir, File)>> {
    let open = || {
        let dir = parent.open_dir(name)?;
        let handle = dir.open(".")?.into_std();
        Ok((dir, handle))
    };
    let (dir, handle) = match open() {
        Err(error) if io::Error::kind(&error) == io::ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    match rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some((dir, handle))),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn remove_abandoned(parent: &Dir) -> io::Result<()> {
    for entry in parent.entries()? {
        let name = entry?.file_name()?;
        if name.starts_with(PREFIX)
            && let Some((_dir, _lock)) = lock(parent, &name)?
        {
            parent.remove_dir_all(&name)?;
        }
    }
    Ok(())
}
