//! Files of a tree and the table they live in.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::layer::Metadata;

/// A file's number within its tree: hard links share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) u32);

impl NodeId {
    /// The root directory.
    pub const ROOT: Self = Self(0);

    /// The number, for tables beside the tree; below [`super::ImageTree::node_slots`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a file's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants name their fields")]
pub enum Content {
    /// Nowhere: it has none.
    Empty,
    /// In memory.
    Bytes(Arc<[u8]>),
    /// In a layer: `size` bytes, never 0, from `offset` in its uncompressed stream.
    Stream { layer: u16, offset: u64, size: u64 },
}

impl Content {
    /// Content from memory.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::Empty } else { Self::Bytes(bytes) }
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stream { size, .. } => *size,
        }
    }
}

/// A directory's entries in byte order of their names.
#[derive(Debug, Clone, Default)]
pub struct Children(pub(super) BTreeMap<Box<[u8]>, Dentry>);

impl Children {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A name in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dentry {
    pub(super) node: NodeId,
    /// The layer that put it here, or changed it last.
    pub(super) layer: u16,
    /// Whether that layer has an entry for it; a parent that was only implied has none.
    pub(super) stated: bool,
}

/// What kind of file a node is.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the variants name their fields")]
pub enum Kind {
    /// A directory.
    Directory(Children),
    /// A regular file.
    File(Content),
    /// A symbolic link and its target, as it stands.
    Symlink(Box<[u8]>),
    /// A character device.
    CharDevice { major: u32, minor: u32 },
    /// A block device.
    BlockDevice { major: u32, minor: u32 },
    /// A named pipe.
    Fifo,
}

impl Kind {
    /// Whether both are of the same kind and, but for directories' entries and files' content, equal.
    pub(super) fn same_shape(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Directory(_), Self::Directory(_)) | (Self::File(_), Self::File(_)) | (Self::Fifo, Self::Fifo) => {
                true
            }
            (Self::Symlink(a), Self::Symlink(b)) => a == b,
            (Self::CharDevice { major, minor }, Self::CharDevice { major: a, minor: b })
            | (Self::BlockDevice { major, minor }, Self::BlockDevice { major: a, minor: b }) => {
                (major, minor) == (a, b)
            }
            _ => false,
        }
    }
}

/// A file: what a file system calls an inode.
#[derive(Debug, Clone)]
pub struct Node {
    pub(super) metadata: Metadata,
    pub(super) kind: Kind,
    /// Names that lead here; 1 for a directory. 0 marks a free slot of the table.
    pub(super) links: u32,
}

impl Node {
    /// Owner, mode, time and attributes.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What it is.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// How many names it has in the tree; 1 for a directory.
    pub fn links(&self) -> u32 {
        self.links
    }

    /// Its entries, when it is a directory.
    pub fn children(&self) -> Option<&Children> {
        match &self.kind {
            Kind::Directory(children) => Some(children),
            _ => None,
        }
    }

    /// Its content, when it is a regular file.
    pub fn content(&self) -> Option<&Content> {
        match &self.kind {
            Kind::File(content) => Some(content),
            _ => None,
        }
    }

    /// Its target, when it is a symbolic link.
    pub fn symlink_target(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Symlink(target) => Some(target),
            _ => None,
        }
    }
}

/// Nodes by number; numbers of removed ones are used again.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
}

impl Table {
    pub(super) fn get(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }

    pub(super) fn slots(&self) -> usize {
        self.nodes.len()
    }

    /// Adds a node that no name leads to yet.
    pub(super) fn add(&mut self, kind: Kind, metadata: Metadata) -> NodeId {
        let node = Node { metadata, kind, links: 0 };
        if let Some(id) = self.free.pop() {
            self.nodes[id.index()] = node;
            return id;
        }
        // The reader's limits keep the number of entries far below this.
        let id = NodeId(u32::try_from(self.nodes.len()).expect("fewer than 2^32 files"));
        self.nodes.push(node);
        id
    }

    /// Takes one name away; what has none left is freed, with everything below it.
    pub(super) fn unlink(&mut self, id: NodeId) {
        let mut pending = vec![id];
        while let Some(id) = pending.pop() {
            let node = &mut self.nodes[id.index()];
            node.links -= 1;
            if node.links > 0 {
                continue;
            }
            let kind = std::mem::replace(&mut node.kind, Kind::Fifo);
            node.metadata = Metadata::default();
            if let Kind::Directory(children) = kind {
                pending.extend(children.0.into_values().map(|dentry| dentry.node));
            }
            self.free.push(id);
        }
    }
}
