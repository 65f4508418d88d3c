//! Files that have their name only when they are complete.

use std::fs::File;
use std::io;

use cap_std::fs::MetadataExt as _;
use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};
use cap_std::fs_utf8::{Dir, OpenOptions};

use super::super::error::io;
use super::{BuildError, DiskError};
use crate::sys::dirs;

/// How a file is called while it is written.
const UNFINISHED: &str = ".imgbuild-unfinished";

/// Where a result goes.
#[derive(Debug)]
pub(super) struct Destination {
    dir: Dir,
    folder: Utf8PathBuf,
    name: String,
    overwrite: bool,
}

impl Destination {
    /// A place for a file, when there is none or it may be overwritten.
    pub(super) fn new(path: &Utf8Path, overwrite: bool) -> Result<Self, BuildError> {
        let path = dirs::absolute(path).map_err(io("finding", path))?;
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(DiskError::NotAFile { path }.into());
        };
        let dir = dirs::open(folder).map_err(io("opening", folder))?;
        let destination = Self { dir, folder: folder.to_owned(), name: name.to_owned(), overwrite };
        destination.check()?;
        Ok(destination)
    }

    fn check(&self) -> Result<(), BuildError> {
        let path = || self.folder.join(&self.name);
        match self.dir.symlink_metadata(&self.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io("looking at", path())(error)),
            // A device, for example: a disk that somebody uses.
            Ok(found) if !found.is_file() => Err(DiskError::NotAFile { path: path() }.into()),
            Ok(_) if !self.overwrite => Err(DiskError::Exists { path: path() }.into()),
            Ok(_) => Ok(()),
        }
    }

    /// An empty file beside the destination; `kind` tells several of one destination apart.
    ///
    /// What a killed run left under this name is emptied and used.
    pub(super) fn unfinished(&self, kind: &str) -> Result<Unfinished<'_>, BuildError> {
        let name = format!(".{}{kind}{UNFINISHED}", self.name);
        let path = self.folder.join(&name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        loop {
            let file = self.dir.open_with(&name, &options).map_err(io("creating", &path))?.into_std();
            match file.try_lock() {
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) => {
                    return Err(DiskError::Busy { path: self.folder.join(&self.name) }.into());
                }
                Err(std::fs::TryLockError::Error(error)) => return Err(io("locking", &path)(error)),
            }
            // Another run may have given the file its final name, or removed it, before we had the lock.
            if is_at(&file, &self.dir, &name).map_err(io("looking at", &path))? {
                file.set_len(0).map_err(io("emptying", &path))?;
                return Ok(Unfinished { destination: self, name, file, published: false });
            }
        }
    }
}

/// Whether the name still leads to the open file.
fn is_at(file: &File, dir: &Dir, name: &str) -> io::Result<bool> {
    let open = cap_std::fs::Metadata::from_file(file)?;
    match dir.symlink_metadata(name) {
        Ok(found) => Ok((found.dev(), found.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A file that is gone when dropped, unless it was published.
#[derive(Debug)]
pub(super) struct Unfinished<'d> {
    destination: &'d Destination,
    name: String,
    /// Holds the lock.
    file: File,
    published: bool,
}

impl Unfinished<'_> {
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn path(&self) -> Utf8PathBuf {
        self.destination.folder.join(&self.name)
    }

    /// Makes sure that the content is on the device, and gives it the destination's name.
    pub(super) fn publish(mut self) -> Result<(), BuildError> {
        let Destination { dir, folder, name, .. } = self.destination;
        self.file.sync_all().map_err(io("writing", self.path()))?;
        self.destination.check()?;
        let renamed = dir.rename(&self.name, dir, name).and_then(|()| dirs::sync(dir));
        renamed.map_err(io("naming", folder.join(name)))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = self.destination.dir.remove_file(&self.name)
        {
            tracing::debug!(%error, path = %self.path(), "removing an unfinished file");
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make files")]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn names(folder: &Utf8Path) -> Vec<String> {
        let mut names: Vec<_> = folder.read_dir_utf8().unwrap().map(|e| e.unwrap().file_name().to_owned()).collect();
        names.sort();
        names
    }

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(temp.path().to_owned()).unwrap();
        (temp, path)
    }

    #[test]
    fn the_name_appears_when_all_is_written() {
        let (_temp, folder) = folder();
        let destination = Destination::new(&folder.join("disk"), false).unwrap();
        std::fs::write(folder.join(format!(".disk{UNFINISHED}")), "of a killed run").unwrap();
        let unfinished = destination.unfinished("").unwrap();
        unfinished.file().write_all(b"new").unwrap();
        assert!(
            matches!(destination.unfinished(""), Err(BuildError::Disk(error)) if matches!(*error, DiskError::Busy { .. }))
        );
        unfinished.publish().unwrap();
        assert_eq!(
            (names(&folder), std::fs::read(folder.join("disk")).unwrap()),
            (vec!["disk".to_owned()], b"new".to_vec())
        );
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let (_temp, folder) = folder();
        let destination = Destination::new(&folder.join("disk"), false).unwrap();
        drop((destination.unfinished("").unwrap(), destination.unfinished(".raw").unwrap()));
        assert_eq!(names(&folder), [] as [&str; 0]);
    }

    #[test]
    fn only_files_are_overwritten_and_only_on_request() {
        let (_temp, folder) = folder();
        std::fs::write(folder.join("disk"), "").unwrap();
        std::fs::create_dir(folder.join("folder")).unwrap();
        let refused =
            |name: &str, overwrite| Destination::new(&folder.join(name), overwrite).err().map(|e| e.to_string());
        assert!(refused("disk", false).unwrap().contains("is there already"));
        assert_eq!(refused("disk", true), None);
        assert!(refused("folder", true).unwrap().contains("is no file"));
        // Made by somebody else meanwhile.
        let destination = Destination::new(&folder.join("new"), false).unwrap();
        let unfinished = destination.unfinished("").unwrap();
        std::fs::write(folder.join("new"), "theirs").unwrap();
        assert!(unfinished.publish().is_err());
        assert_eq!(std::fs::read(folder.join("new")).unwrap(), b"theirs");
    }
}
