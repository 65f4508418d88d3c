//! What is on one disk and not in its image: a host's own `/etc` and `/var`, and credentials.

use std::collections::BTreeMap;
use std::fmt;

use super::{AssembleError, Disk};
use crate::disk::composefs::{FileKind, PhysicalEntry, PhysicalKind, Repository, SELINUX_XATTR};
use crate::oci::layer::{Metadata, Mtime};

/// A file of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFile {
    /// What it is.
    pub kind: StateKind,
    /// Permission bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What is at a path of the state.
#[derive(Clone, PartialEq, Eq)]
pub enum StateKind {
    /// A regular file.
    File(Vec<u8>),
    /// A folder; one that the image has keeps what is in it.
    Directory,
    /// A symbolic link.
    Symlink(Vec<u8>),
    /// Not what the image has there.
    Removed,
}

/// Content may be a secret.
impl fmt::Debug for StateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(bytes) => write!(f, "File({} bytes)", bytes.len()),
            Self::Directory => f.write_str("Directory"),
            Self::Symlink(target) => write!(f, "Symlink({})", String::from_utf8_lossy(target)),
            Self::Removed => f.write_str("Removed"),
        }
    }
}

/// Files of the state by absolute path, in `/etc` or `/var`.
pub type State = BTreeMap<String, StateFile>;

impl Disk<'_> {
    /// Puts the state over what was copied from the image.
    pub(super) fn add_state(
        &self,
        repository: &mut Repository,
        deployment: &str,
        entries: &mut Vec<PhysicalEntry>,
        mtime: Mtime,
    ) -> Result<(), AssembleError> {
        let mut added = BTreeMap::new();
        for (path, file) in self.request.state {
            let below = path.strip_prefix("/etc/").map(|below| format!("{deployment}/etc/{below}"));
            let below =
                below.or_else(|| path.strip_prefix("/var/").map(|below| format!("state/os/default/var/{below}")));
            let place = below.ok_or_else(|| AssembleError::NotState { path: path.clone() })?;
            let (kind, mode) = match &file.kind {
                StateKind::Removed => {
                    remove(entries, place.as_bytes());
                    continue;
                }
                StateKind::File(bytes) => (PhysicalKind::Bytes(bytes.clone()), file.mode),
                StateKind::Directory => (PhysicalKind::Directory, file.mode),
                StateKind::Symlink(target) => (PhysicalKind::Symlink(target.clone()), 0o777),
            };
            let metadata = Metadata { uid: file.uid, gid: file.gid, mtime, ..Metadata::with_mode(mode) };
            let there = entries.iter_mut().find(|entry| entry.path == place.as_bytes());
            match there {
                Some(there) if kind == PhysicalKind::Directory && there.kind == PhysicalKind::Directory => {
                    there.metadata = labelled(repository, path, metadata, FileKind::Directory);
                }
                _ => {
                    remove(entries, place.as_bytes());
                    added.insert(place, (path, metadata, kind));
                }
            }
        }
        for (place, (path, metadata, kind)) in added {
            add_parents(repository, &place, path, entries, mtime);
            let file_kind = match kind {
                PhysicalKind::Directory => FileKind::Directory,
                PhysicalKind::Symlink(_) => FileKind::Symlink,
                _ => FileKind::Regular,
            };
            let metadata = labelled(repository, path, metadata, file_kind);
            entries.push(PhysicalEntry { path: place.into_bytes(), metadata, kind });
        }
        Ok(())
    }
}

/// With the label that the policy has for the path in the running system.
fn labelled(repository: &mut Repository, path: &str, mut metadata: Metadata, kind: FileKind) -> Metadata {
    let label = repository.policy.as_mut().and_then(|policy| policy.lookup(path.as_bytes(), kind));
    if let Some(label) = label {
        metadata.xattrs.insert(SELINUX_XATTR, label.as_bytes());
    }
    metadata
}

/// Folders on the way that are not there; `path` ends as `place` does.
fn add_parents(repository: &mut Repository, place: &str, path: &str, entries: &mut Vec<PhysicalEntry>, mtime: Mtime) {
    let prefix = place.len() - path.len();
    for (slash, _) in path.match_indices('/').skip(1) {
        let (folder, seen) = (&place[..prefix + slash], &path[..slash]);
        if !entries.iter().any(|entry| entry.path == folder.as_bytes()) {
            let metadata = Metadata { mtime, ..Metadata::with_mode(0o755) };
            let metadata = labelled(repository, seen, metadata, FileKind::Directory);
            entries.push(PhysicalEntry { path: folder.into(), metadata, kind: PhysicalKind::Directory });
        }
    }
}

/// Takes away what is at a path, and all below it. Another name of a file that goes becomes the file.
fn remove(entries: &mut Vec<PhysicalEntry>, path: &[u8]) {
    let is_gone = |other: &[u8]| other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
    let gone: Vec<PhysicalEntry> = entries.extract_if(.., |entry| is_gone(&entry.path)).collect();
    for removed in gone {
        let mut heir: Option<Vec<u8>> = None;
        for entry in entries.iter_mut() {
            if entry.kind != PhysicalKind::HardLink(removed.path.clone()) {
                continue;
            }
            match &heir {
                Some(heir) => entry.kind = PhysicalKind::HardLink(heir.clone()),
                None => {
                    (entry.kind, entry.metadata) = (removed.kind.clone(), removed.metadata.clone());
                    heir = Some(entry.path.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_name_of_a_removed_file_keeps_its_content() {
        let entry = |path: &str, kind| PhysicalEntry { path: path.into(), metadata: Metadata::with_mode(0o600), kind };
        let link = |to: &str| PhysicalKind::HardLink(to.into());
        let mut entries = vec![
            entry("etc", PhysicalKind::Directory),
            entry("etc/a", PhysicalKind::Bytes(b"x".to_vec())),
            entry("etc/ab", PhysicalKind::Fifo),
            entry("etc/b", link("etc/a")),
            entry("etc/c", link("etc/a")),
        ];
        remove(&mut entries, b"etc/a");
        let kinds: Vec<_> = entries.into_iter().map(|entry| entry.kind).collect();
        let bytes = PhysicalKind::Bytes(b"x".to_vec());
        assert_eq!(kinds, [PhysicalKind::Directory, PhysicalKind::Fifo, bytes, link("etc/b")]);
    }

    #[test]
    fn contents_are_not_shown() {
        assert_eq!(format!("{:?}", StateKind::File(b"secret".to_vec())), "File(6 bytes)");
    }
}
