//! The EROFS image of a tree: all of its metadata, with objects for its files' content.
//!
//! The bytes are made by the `composefs` crate, whose exact version is part of an image's id; nothing outside this
//! file knows that.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use composefs::erofs::format::FormatVersion;
use composefs::erofs::writer::{ValidatedFileSystem, mkfs_erofs_versioned};
use composefs::fsverity::Sha512HashValue;
use composefs::generic_tree::{Inode, LeafContent, LeafId, Stat};
use composefs::tree::{Directory, FileSystem, RegularFile};

use super::contents::{Contents, Stored};
use super::error::ComposefsError;
use crate::oci::ImageTree;
use crate::oci::layer::{Lossy, Metadata};
use crate::oci::tree::{Kind, NodeId};

/// Layouts of composefs' EROFS images. Each gives another digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErofsVersion {
    /// Compact inodes, as C's `mkcomposefs --min-version=1` writes them: what kernels of RHEL 9 read, and bootc's default.
    V1,
    /// Extended inodes: what bootc up to 1.15 had.
    V2,
}

impl ErofsVersion {
    pub(super) const fn format(self) -> FormatVersion {
        match self {
            Self::V1 => FormatVersion::V1,
            Self::V2 => FormatVersion::V2,
        }
    }
}

/// Makes EROFS images of trees.
pub trait ErofsWriter {
    /// The image's bytes.
    ///
    /// # Errors
    /// When the tree has something the format cannot express, or a file's content is in none of the `contents`.
    fn image(&self, tree: &ImageTree, contents: &Contents, version: ErofsVersion) -> Result<Box<[u8]>, ComposefsError>;
}

/// The writer of the `composefs` crate.
#[derive(Debug, Clone, Copy, Default)]
pub struct CrateWriter;

impl ErofsWriter for CrateWriter {
    fn image(&self, tree: &ImageTree, contents: &Contents, version: ErofsVersion) -> Result<Box<[u8]>, ComposefsError> {
        let file_system = Conversion::run(tree, contents)?;
        let valid = ValidatedFileSystem::new(file_system)
            .map_err(|error| ComposefsError::Erofs { reason: format!("{error:#}") })?;
        Ok(mkfs_erofs_versioned(&valid, version.format()))
    }
}

type Hash = Sha512HashValue;

/// From our tree to the crate's.
struct Conversion<'t> {
    tree: &'t ImageTree,
    contents: &'t Contents,
    file_system: FileSystem<Hash>,
    /// Leaves of files with several names.
    linked: BTreeMap<NodeId, LeafId>,
}

impl<'t> Conversion<'t> {
    fn run(tree: &'t ImageTree, contents: &'t Contents) -> Result<FileSystem<Hash>, ComposefsError> {
        let file_system = FileSystem::new(stat(tree.root().metadata()));
        let mut conversion = Self { tree, contents, file_system, linked: BTreeMap::new() };
        let mut path = Vec::new();
        conversion.file_system.root = conversion.directory(NodeId::ROOT, &mut path)?;
        Ok(conversion.file_system)
    }

    fn directory(&mut self, id: NodeId, path: &mut Vec<u8>) -> Result<Directory<Hash>, ComposefsError> {
        let mut directory = Directory::new(stat(self.tree.node(id).metadata()));
        let length = path.len();
        for child in self.tree.children(id) {
            path.push(b'/');
            path.extend_from_slice(child.name);
            let inode = match child.node.kind() {
                Kind::Directory(_) => Inode::Directory(Box::new(self.directory(child.id, path)?)),
                kind => Inode::leaf(self.leaf(child.id, kind, path)?),
            };
            directory.insert(OsStr::from_bytes(child.name), inode);
            path.truncate(length);
        }
        Ok(directory)
    }

    fn leaf(&mut self, id: NodeId, kind: &Kind, path: &[u8]) -> Result<LeafId, ComposefsError> {
        if let Some(leaf) = self.linked.get(&id) {
            return Ok(*leaf);
        }
        let node = self.tree.node(id);
        let content = self.content(kind, path)?;
        let leaf = self.file_system.push_leaf(stat(node.metadata()), content);
        if node.links() > 1 {
            self.linked.insert(id, leaf);
        }
        Ok(leaf)
    }

    fn content(&self, kind: &Kind, path: &[u8]) -> Result<LeafContent<RegularFile<Hash>>, ComposefsError> {
        Ok(match kind {
            Kind::File(content) => LeafContent::Regular(match self.contents.stored(content) {
                Some(Stored::Inline(bytes)) => RegularFile::Inline(bytes.into()),
                Some(Stored::Object { digest, size }) => RegularFile::External(Hash::from(*digest.as_bytes()), size),
                None => return Err(ComposefsError::NoContent { path: Lossy::from(path) }),
            }),
            Kind::Symlink(target) => LeafContent::Symlink(OsStr::from_bytes(target).into()),
            Kind::CharDevice { major, minor } => LeafContent::CharacterDevice(rustix::fs::makedev(*major, *minor)),
            Kind::BlockDevice { major, minor } => LeafContent::BlockDevice(rustix::fs::makedev(*major, *minor)),
            Kind::Fifo => LeafContent::Fifo,
            Kind::Directory(_) => unreachable!("directories are no leaves"),
        })
    }
}

fn stat(metadata: &Metadata) -> Stat {
    Stat {
        st_mode: u32::from(metadata.mode),
        st_uid: metadata.uid,
        st_gid: metadata.gid,
        st_mtim_sec: metadata.mtime.seconds,
        st_mtim_nsec: metadata.mtime.nanos,
        xattrs: metadata.xattrs.iter().map(|(name, value)| (OsStr::from_bytes(name).into(), value.into())).collect(),
    }
}
