//! The store: everything built, in one folder that can be deleted at the cost of time only.
//!
//! ```text
//! oci/            OCI image layout, readable by any tool as it stands
//! packages/       package files by SHA-256
//! logs/<run>/     one file per external command
//! tmp/<run>/      work of a running build; swept by the next run when its owner is gone
//! audit.jsonl     the audit trail
//! ```
//!
//! Locks: a run holds `.lock` shared, `gc` holds it exclusively; `.index.lock`
//! is held for the moment a name changes; `tmp/<run>/.lock` tells the living
//! from the dead.

use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};
use cap_std::fs_utf8::{Dir, MetadataExt as _};

use super::audit::Audit;
use super::error::{BuildError, io};
use crate::model::ByteSize;
use crate::sys::dirs::{self, TemporaryFolder};
use crate::sys::{FileLock, LockKind, clock, mounts, orphans};

/// How many runs keep their logs.
const KEPT_LOGS: usize = 20;

/// An open store and this run's place in it.
#[derive(Debug)]
pub struct Store {
    path: Utf8PathBuf,
    dir: Dir,
    run_id: String,
    audit: Audit,
    _shared: FileLock,
    work: WorkDir,
    /// Dropped last, and the whole store with it.
    temporary: Option<TemporaryFolder>,
}

/// The folder of this run's work; removed when dropped.
#[derive(Debug)]
struct WorkDir {
    tmp: Dir,
    name: String,
    _lock: FileLock,
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // Whatever cannot be removed now is swept by the next run.
        if let Err(error) = self.tmp.remove_dir_all(&self.name) {
            tracing::debug!(%error, run = %self.name, "leaving the work folder to the next run");
        }
    }
}

impl Store {
    /// Opens the store at `path`, making it when it is not there, and sweeps up after runs that were killed.
    ///
    /// # Errors
    /// When it belongs to another user, cannot be written, or its locks do not work.
    pub fn open(path: &Utf8Path) -> Result<Self, BuildError> {
        let path = dirs::absolute(path).map_err(io("finding", path))?;
        let dir = dirs::open_or_create(&path).map_err(io("opening the store", &path))?;
        check_owner(&path, &dir)?;
        for folder in ["packages", "logs", "tmp"] {
            dir.create_dir_all(folder).map_err(io("creating", path.join(folder)))?;
        }
        let shared = FileLock::acquire(&dir, ".lock", LockKind::Shared)?;
        let (run_id, work) = {
            // Between making its folder and locking it, a run would look dead to a sweeper.
            let _alone = FileLock::acquire(&dir, ".sweep.lock", LockKind::Exclusive)?;
            sweep_dead_runs(&path, &dir)?;
            let run_id = unused_run_id(&dir);
            let work = WorkDir::create(&path, &dir, &run_id)?;
            (run_id, work)
        };
        dir.create_dir(format!("logs/{run_id}")).map_err(io("creating", path.join("logs").join(&run_id)))?;
        prune_logs(&path, &dir)?;
        let audit = Audit::new(dir.try_clone().map_err(io("opening", &path))?, &run_id);
        Ok(Self { path, dir, run_id, audit, _shared: shared, work, temporary: None })
    }

    /// A store that is gone when it is dropped, for commands that only read and have no project.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub fn open_temporary() -> Result<Self, BuildError> {
        let folder = TemporaryFolder::create("imgbuild.").map_err(io("creating", "a temporary store"))?;
        let store = Self::open(folder.path())?;
        Ok(Self { temporary: Some(folder), ..store })
    }

    /// Whether it is gone when it is dropped.
    pub fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// Absolute path of the store.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The store's folder.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Name of this run, unique in the store.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// The audit trail.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Absolute path of the logs of this run.
    pub fn logs_path(&self) -> Utf8PathBuf {
        self.path.join("logs").join(&self.run_id)
    }

    /// Absolute path of the folder for this run's temporary files.
    pub fn work_path(&self) -> Utf8PathBuf {
        self.path.join("tmp").join(&self.run_id)
    }

    /// Makes a folder for temporary files of this run and returns its absolute path.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn work_folder(&self, name: &str) -> Result<Utf8PathBuf, BuildError> {
        let path = self.work_path().join(name);
        let relative = format!("{}/{name}", self.work.name);
        self.work.tmp.create_dir_all(relative).map_err(io("creating", &path))?;
        Ok(path)
    }

    /// Holds the lock under which names in the layout change.
    ///
    /// # Errors
    /// When locking does not work in this file system.
    pub fn lock_index(&self) -> Result<FileLock, BuildError> {
        Ok(FileLock::acquire(&self.dir, ".index.lock", LockKind::Exclusive)?)
    }

    /// Puts [`BuildError::NoSpace`] in front of an error that a full file system caused.
    pub(super) fn explain_space(&self, error: BuildError) -> BuildError {
        match dirs::free_bytes(&self.dir).map(ByteSize) {
            Ok(free) if error.is_full_disk() => {
                BuildError::NoSpace { path: self.path.clone(), free, source: Box::new(error) }
            }
            _ => error,
        }
    }
}

/// A name no other run of this store has: time and process number, and a count where even that is taken
/// (containers that share a store number their processes alike).
fn unused_run_id(dir: &Dir) -> String {
    let time: String = clock::now_rfc3339().chars().filter(char::is_ascii_digit).take(17).collect();
    let base = format!("{time}-{}", std::process::id());
    let taken = |name: &String| dir.exists(format!("tmp/{name}")) || dir.exists(format!("logs/{name}"));
    std::iter::once(base.clone())
        .chain((2_u64..).map(|count| format!("{base}-{count}")))
        .find(|name| !taken(name))
        .expect("the counter does not run out")
}

fn check_owner(path: &Utf8Path, dir: &Dir) -> Result<(), BuildError> {
    let owner = dir.dir_metadata().map_err(io("reading", path))?.uid();
    let user = dirs::effective_uid();
    if owner == user { Ok(()) } else { Err(BuildError::ForeignStore { path: path.to_owned(), owner, user }) }
}

impl WorkDir {
    fn create(path: &Utf8Path, dir: &Dir, name: &str) -> Result<Self, BuildError> {
        let tmp = dir.open_dir("tmp").map_err(io("opening", path.join("tmp")))?;
        tmp.create_dir(name).map_err(io("creating", path.join("tmp").join(name)))?;
        let work = tmp.open_dir(name).map_err(io("opening", path.join("tmp").join(name)))?;
        let lock = FileLock::acquire(&work, ".lock", LockKind::Exclusive)?;
        Ok(Self { tmp, name: name.to_owned(), _lock: lock })
    }
}

/// Ends processes and removes files of runs whose imgbuild is gone.
fn sweep_dead_runs(path: &Utf8Path, dir: &Dir) -> Result<(), BuildError> {
    let tmp_path = path.join("tmp");
    let tmp = dir.open_dir("tmp").map_err(io("opening", &tmp_path))?;
    for entry in tmp.entries().map_err(io("listing", &tmp_path))? {
        let name = entry.and_then(|entry| entry.file_name()).map_err(io("listing", &tmp_path))?;
        let Ok(work) = tmp.open_dir(&name) else { continue };
        // Held: its owner lives.
        let Some(_lock) = FileLock::try_acquire(&work, ".lock", LockKind::Exclusive)? else { continue };
        tracing::info!(run = %name, "sweeping up after a run that was killed");
        orphans::kill(&name).map_err(io("ending the processes of", tmp_path.join(&name)))?;
        mounts::unmount_below(tmp_path.join(&name).as_std_path())
            .map_err(io("unmounting below", tmp_path.join(&name)))?;
        tmp.remove_dir_all(&name).map_err(io("removing", tmp_path.join(&name)))?;
    }
    Ok(())
}

fn prune_logs(path: &Utf8Path, dir: &Dir) -> Result<(), BuildError> {
    let logs_path = path.join("logs");
    let logs = dir.open_dir("logs").map_err(io("opening", &logs_path))?;
    let mut names = Vec::new();
    for entry in logs.entries().map_err(io("listing", &logs_path))? {
        names.push(entry.and_then(|entry| entry.file_name()).map_err(io("listing", &logs_path))?);
    }
    // Names begin with the time, so the oldest come first.
    names.sort();
    for name in names.iter().rev().skip(KEPT_LOGS) {
        logs.remove_dir_all(name).map_err(io("removing", logs_path.join(name)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(temp.path().join("store")).unwrap();
        (temp, path)
    }

    #[test]
    fn two_runs_share_a_store_and_leave_nothing_behind() {
        let (_temp, path) = folder();
        let first = Store::open(&path).unwrap();
        first.work_folder("x").unwrap();
        let second = Store::open(&path).unwrap();
        assert!(first.work_path().join("x").is_dir(), "a living run is not swept");
        assert_ne!(first.run_id(), second.run_id());
        drop((first, second));
        assert_eq!(path.join("tmp").read_dir_utf8().unwrap().count(), 0);
    }

    #[test]
    fn the_work_of_a_killed_run_is_swept() {
        let (_temp, path) = folder();
        drop(Store::open(&path).unwrap());
        let dead = path.join("tmp/20200101000000000-1");
        std::fs::create_dir_all(dead.join("half/written")).unwrap();
        drop(Store::open(&path).unwrap());
        assert!(!dead.exists());
    }

    #[test]
    fn a_store_of_somebody_else_is_refused_by_name() {
        let (_temp, path) = folder();
        drop(Store::open(&path).unwrap());
        if std::os::unix::fs::chown(&path, Some(12345), None).is_err() {
            return; // Only root can give a folder away; CI runs as root.
        }
        let error = Store::open(&path).unwrap_err();
        assert!(matches!(&error, BuildError::ForeignStore { owner: 12345, .. }), "{error}");
        assert!(error.to_string().contains(path.as_str()));
    }

    #[test]
    fn only_the_newest_logs_are_kept() {
        let (_temp, path) = folder();
        for _ in 0..KEPT_LOGS + 3 {
            drop(Store::open(&path).unwrap());
        }
        assert_eq!(path.join("logs").read_dir_utf8().unwrap().count(), KEPT_LOGS);
    }
}
