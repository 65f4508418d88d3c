//! What is wrong with a file system.

use std::fmt;
use std::io;

/// A file system, or a part of it, that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum Ext4Error {
    /// Something else is in the partition.
    #[error("it is no ext4 file system")]
    NotExt4,
    /// An ext4 that imgbuild does not write and a growing one does not become.
    #[error("the file system has {feature}, which is not read here")]
    Unsupported { feature: &'static str },
    /// It was not unmounted.
    #[error("the file system was not unmounted cleanly: its journal has to be replayed, by booting it or by e2fsck")]
    NeedsRecovery,
    /// A structure contradicts its checksum, another one or itself.
    #[error("{structure}: {problem}")]
    Damaged { structure: Structure, problem: &'static str },
    /// More than is kept in memory.
    #[error("it has {size} bytes; at most {limit} are read")]
    TooLarge { size: u64, limit: u64 },
    /// The stream failed or ended.
    #[error("reading the file system")]
    Io(#[from] io::Error),
}

impl Ext4Error {
    /// Whether it is the machine that failed, and not the file system that is wrong: a disk that ends early, or whose
    /// content is refused by who takes it, is wrong.
    pub fn is_io(&self) -> bool {
        use io::ErrorKind::{InvalidData, UnexpectedEof};
        matches!(self, Self::Io(error) if !matches!(error.kind(), InvalidData | UnexpectedEof))
    }
}

/// A part of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Structure {
    /// The superblock.
    Superblock,
    /// The copy of superblock and descriptors in a group.
    Copy(u64),
    /// The descriptor of a group.
    Group(u64),
    /// The bitmaps of a group.
    Bitmaps(u64),
    /// An inode.
    Inode(u32),
    /// The map of an inode's blocks.
    Extents(u32),
    /// The entries of a directory.
    Directory(u32),
    /// The attributes of an inode.
    Attributes(u32),
    /// A block.
    Block(u64),
}

impl Structure {
    pub(super) const fn damaged(self, problem: &'static str) -> Ext4Error {
        Ext4Error::Damaged { structure: self, problem }
    }
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Superblock => f.write_str("superblock"),
            Self::Copy(group) => write!(f, "copy of the superblock in group {group}"),
            Self::Group(group) => write!(f, "descriptor of group {group}"),
            Self::Bitmaps(group) => write!(f, "bitmaps of group {group}"),
            Self::Inode(number) => write!(f, "inode {number}"),
            Self::Extents(number) => write!(f, "extents of inode {number}"),
            Self::Directory(number) => write!(f, "directory of inode {number}"),
            Self::Attributes(number) => write!(f, "attributes of inode {number}"),
            Self::Block(number) => write!(f, "block {number}"),
        }
    }
}
