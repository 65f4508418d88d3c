//! `/etc` and `/var` beside what the image has in them.

use std::io::{Read, Seek};

use super::Verification;
use super::erofs::{Content, ImageFile};
use super::finding::{Area, Problem};
use super::objects::Hashing;
use super::repository::Tree;
use super::root::{Root, shown};
use crate::disk::inspect::ext4::{Ext4Error, FileKind, Inode};
use crate::disk::verity::{Trees, VerityHasher};

/// Removed from the state by whoever writes a disk, so that systemd makes users on the first boot.
const UPDATED: &[u8] = b"etc/.updated";

impl<S: Read + Seek> Root<S> {
    /// Compares a folder of the state with the image's; what differs is damage only on a fresh disk.
    pub(super) fn compare_state(
        &mut self,
        tree: &Tree,
        name: &str,
        folder: &str,
        fresh: bool,
        report: &mut Verification,
    ) -> Result<(), Ext4Error> {
        let mut differing = Vec::new();
        let prefix = format!("{name}/").into_bytes();
        let in_image = |path: &&Vec<u8>| path.starts_with(&prefix) || **path == name.as_bytes();
        for path in tree.keys().filter(in_image).filter(|path| *path != UPDATED) {
            let place = [folder.as_bytes(), &path[name.len()..]].concat();
            match self.inode(&place)? {
                None => differing.push((place, "it was removed")),
                Some(inode) => match self.difference(&inode, &tree[path])? {
                    Some(what) => differing.push((place, what)),
                    None => report.unchanged += 1,
                },
            }
        }
        for place in self.below(folder) {
            let path = [name.as_bytes(), &place[folder.len()..]].concat();
            if !tree.contains_key(&path) {
                differing.push((place, "it was added"));
            }
        }
        for (path, what) in differing {
            report.changed.push(shown(&path));
            if fresh {
                report.find(Area::State, shown(&path), Problem::Changed { what });
            }
        }
        Ok(())
    }

    fn difference(&mut self, inode: &Inode, wanted: &ImageFile) -> Result<Option<&'static str>, Ext4Error> {
        let kind: u16 = match inode.kind {
            FileKind::Regular => 0x8000,
            FileKind::Directory => 0x4000,
            FileKind::Symlink => 0xa000,
            FileKind::CharDevice { .. } => 0x2000,
            FileKind::BlockDevice { .. } => 0x6000,
            FileKind::Fifo => 0x1000,
            FileKind::Socket => 0xc000,
        };
        if kind != wanted.mode & 0xf000 {
            return Ok(Some("its type"));
        }
        if inode.mode != wanted.mode & 0o7777 || (inode.uid, inode.gid) != (wanted.uid, wanted.gid) {
            return Ok(Some("its owner or mode"));
        }
        match self.ext4.xattrs(inode) {
            Ok(xattrs) if xattrs == wanted.xattrs => {}
            Ok(_) => return Ok(Some("its attributes")),
            Err(error) if error.is_io() => return Err(error),
            Err(_) => return Ok(Some("its attributes")),
        }
        match self.same_content(inode, wanted) {
            Ok(true) => Ok(None),
            Err(error) if error.is_io() => Err(error),
            Ok(false) | Err(_) => Ok(Some("its content")),
        }
    }

    fn same_content(&mut self, inode: &Inode, wanted: &ImageFile) -> Result<bool, Ext4Error> {
        Ok(match (&wanted.content, inode.kind) {
            (Content::None, _) => true,
            (Content::Inline(target), FileKind::Symlink) => self.ext4.link_target(inode)? == *target,
            (
                Content::Device(number),
                FileKind::CharDevice { major, minor } | FileKind::BlockDevice { major, minor },
            ) => {
                // As the kernel encodes them (`new_encode_dev`).
                *number == minor & 0xff | major << 8 | (minor & !0xff) << 12
            }
            _ if inode.size != wanted.size => false,
            (Content::Inline(bytes), _) => self.ext4.read(inode, bytes.len() as u64)? == *bytes,
            (Content::Object(digest), _) => {
                let mut hashing = Hashing(VerityHasher::new(Trees::Drop));
                self.ext4.copy(inode, 0, inode.size, &mut hashing)?;
                hashing.0.finish().digest == *digest
            }
            (Content::Device(_), _) => false,
        })
    }
}
