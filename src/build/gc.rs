//! Giving back what nothing needs.

use std::collections::BTreeSet;

use cap_std::fs_utf8::camino::Utf8Path;
use serde::Serialize;

use super::BuildError;
use super::audit::{Audit, Event, Verb};
use super::error::io;
use super::locking;
use super::packages::PackageCache;
use crate::config::Lock;
use crate::model::ByteSize;
use crate::oci::Layout;
use crate::oci::layout::SweepMode;
use crate::sys::{FileLock, LockKind, dirs};

/// What was, or would be, removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each file.
    pub removed: Vec<Removed>,
    /// All of them together.
    pub bytes: ByteSize,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Its name in the store.
    pub name: String,
    /// Its size.
    pub size: ByteSize,
}

/// Removes blobs that no name leads to and packages that `lock` does not name. Waits for running builds to end.
///
/// Without a lock packages are left alone: another project's lock may need them.
///
/// # Errors
/// When there is no store, or anything in it cannot be read: then nothing is removed.
pub fn collect(path: &Utf8Path, lock: Option<&Lock>, dry_run: bool) -> Result<Report, BuildError> {
    let dir = dirs::open(path).map_err(io("opening the store", path))?;
    let _alone = FileLock::acquire(&dir, ".lock", LockKind::Exclusive)?;
    let mut removed = blobs(path, dry_run)?;
    if let Some(lock) = lock {
        removed.extend(packages(path, lock, dry_run)?);
    }
    if !dry_run {
        let audit = Audit::new(dir.try_clone().map_err(io("opening", path))?, "gc");
        audit.record_all(removed.iter().map(|item| Event::new(Verb::Delete, &item.name)))?;
    }
    let bytes = removed.iter().map(|item| item.size).sum();
    Ok(Report { removed, bytes })
}

fn blobs(path: &Utf8Path, dry_run: bool) -> Result<Vec<Removed>, BuildError> {
    let path = path.join("oci");
    if !dirs::exists(&path) {
        return Ok(Vec::new());
    }
    let failed = |source| BuildError::Layout { image: path.to_string(), what: "sweeping", source };
    let layout = Layout::open(dirs::open(&path).map_err(io("opening", &path))?).map_err(failed)?;
    let mode = if dry_run { SweepMode::Report } else { SweepMode::Delete };
    let garbage = layout.sweep(&BTreeSet::new(), mode).map_err(failed)?;
    let all = garbage.blobs.into_iter().chain(garbage.leftovers);
    Ok(all.map(|(name, size)| Removed { name: format!("oci/{name}"), size }).collect())
}

fn packages(path: &Utf8Path, lock: &Lock, dry_run: bool) -> Result<Vec<Removed>, BuildError> {
    let path = path.join("packages");
    let dir = dirs::open(&path).map_err(io("opening", &path))?;
    let locked = locking::packages(lock);
    let keep: BTreeSet<&str> = locked.iter().map(|package| package.sha256.as_str()).collect();
    let unused = PackageCache::unused(&dir, &keep).map_err(io("listing", &path))?;
    for (name, _) in unused.iter().filter(|_| !dry_run) {
        dir.remove_file(name).map_err(io("removing", path.join(name)))?;
    }
    Ok(unused.into_iter().map(|(name, size)| Removed { name: format!("packages/{name}"), size }).collect())
}
