//! The one merged tree of the program: what an image looks like when its layers are applied.
//!
//! Layers are read once; no host path is ever resolved, so owners, setuid bits,
//! attributes and devices survive without privileges and symbolic links lead
//! nowhere but into the image. Content stays in the layers; a file knows where.
//!
//! Where the image specification is silent or engines disagree, the policy is the one that the tests of this module
//! list row by row: in-root resolution, whiteouts for lower layers only, nothing dropped without a [`Note`].
//!
//! Memory: about 130 bytes per file on top of its name.

mod content;
mod diff;
mod edit;
mod error;
mod merge;
mod node;
mod note;
mod resolve;
mod write;

use std::collections::btree_map;

pub use content::{LayerSource, NoLayers, SpooledLayers, TarFileLayers, Visit};
pub use diff::{Change, Changes};
pub use edit::NewNode;
pub use error::{PathProblem, TreeError};
pub use merge::{Duplicates, MergePolicy, OnContent};
pub use node::{Children, Content, Kind, Node, NodeId};
pub use note::{Note, NoteKind, Notes};
pub use write::Selection;

use super::layer::Metadata;
use super::layer::path::{join, split_last};
use node::{Dentry, Table};
use resolve::AtRoot;

/// As many layers as a tree takes; runtimes stop at a few hundred.
const MAX_LAYERS: usize = u16::MAX as usize;

/// An image's files.
///
/// Paths given to its methods are relative to the image's root; leading,
/// doubled and trailing slashes do not matter. `..` is refused.
#[derive(Debug, Clone)]
pub struct ImageTree {
    table: Table,
    /// Layers applied so far.
    layers: u16,
    notes: Notes,
}

impl Default for ImageTree {
    fn default() -> Self {
        Self::new()
    }
}

/// A name in a directory and what it leads to.
#[derive(Debug, Clone, Copy)]
pub struct Child<'t> {
    /// The name.
    pub name: &'t [u8],
    /// Number of the file.
    pub id: NodeId,
    /// The file.
    pub node: &'t Node,
}

/// A path and what it leads to.
#[derive(Debug, Clone)]
pub struct WalkEntry<'t> {
    /// Path without leading slash; empty for the root.
    pub path: Vec<u8>,
    /// Number of the file.
    pub id: NodeId,
    /// The file.
    pub node: &'t Node,
    /// Index of the layer that put the name there.
    pub layer: usize,
}

impl ImageTree {
    /// A tree with nothing but a root directory of mode 0755.
    pub fn new() -> Self {
        let mut table = Table::default();
        let root = table.add(Kind::Directory(Children::default()), Metadata::with_mode(0o755));
        table.get_mut(root).links = 1;
        Self { table, layers: 0, notes: Notes::default() }
    }

    /// What was decided while merging.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// The root directory.
    pub fn root(&self) -> &Node {
        self.node(NodeId::ROOT)
    }

    /// The file with this number.
    ///
    /// # Panics
    /// When the number is from another tree.
    pub fn node(&self, id: NodeId) -> &Node {
        self.table.get(id)
    }

    /// One more than the largest [`NodeId::index`].
    pub fn node_slots(&self) -> usize {
        self.table.slots()
    }

    /// What is at `path`, without following a symbolic link that is there; links on the way are followed within the image.
    pub fn lookup(&self, path: impl AsRef<[u8]>) -> Option<NodeId> {
        let path = edit::clean(path.as_ref()).ok()?;
        match split_last(&path) {
            None => Some(NodeId::ROOT),
            Some((parent, name)) => {
                let directory = self.follow_path(parent, AtRoot::Stay).ok()??;
                Some(self.dentry(directory, name)?.node)
            }
        }
    }

    /// What `path` leads to, with every symbolic link followed within the image.
    pub fn resolve(&self, path: impl AsRef<[u8]>) -> Option<NodeId> {
        let path = edit::clean(path.as_ref()).ok()?;
        self.follow_path(&path, AtRoot::Stay).ok()?
    }

    /// A directory's entries in byte order of their names; nothing for anything else.
    pub fn children(&self, directory: NodeId) -> impl Iterator<Item = Child<'_>> {
        self.children_of(directory).into_iter().flat_map(|children| children.0.iter()).map(|(name, dentry)| Child {
            name,
            id: dentry.node,
            node: self.node(dentry.node),
        })
    }

    /// All paths, the root first, every directory before what is in it, names in byte order.
    pub fn walk(&self) -> Walk<'_> {
        Walk { tree: self, start: Some(NodeId::ROOT), stack: Vec::new(), path: Vec::new() }
    }

    /// All paths from `path` on downwards, itself first; nothing when it is not there.
    pub fn walk_from(&self, path: impl AsRef<[u8]>) -> Walk<'_> {
        let path = edit::clean(path.as_ref()).unwrap_or_default();
        Walk { tree: self, start: self.lookup(&path), stack: Vec::new(), path }
    }
}

/// A directory's remaining names and the length of its own path.
type OpenDirectory<'t> = (btree_map::Iter<'t, Box<[u8]>, Dentry>, usize);

/// Iterator over a tree; see [`ImageTree::walk`].
#[derive(Debug)]
pub struct Walk<'t> {
    tree: &'t ImageTree,
    /// Where to begin, until the first step.
    start: Option<NodeId>,
    stack: Vec<OpenDirectory<'t>>,
    path: Vec<u8>,
}

impl<'t> Walk<'t> {
    fn visit(&mut self, id: NodeId, layer: usize) -> WalkEntry<'t> {
        let node = self.tree.node(id);
        if let Some(children) = node.children() {
            self.stack.push((children.0.iter(), self.path.len()));
        }
        WalkEntry { path: self.path.clone(), id, node, layer }
    }
}

impl<'t> Iterator for Walk<'t> {
    type Item = WalkEntry<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(start) = self.start.take() {
            let layer = split_last(&self.path).and_then(|(parent, name)| {
                let directory = self.tree.follow_path(parent, AtRoot::Stay).ok()??;
                Some(usize::from(self.tree.dentry(directory, name)?.layer))
            });
            return Some(self.visit(start, layer.unwrap_or(0)));
        }
        loop {
            let (children, length) = self.stack.last_mut()?;
            let length = *length;
            match children.next() {
                Some((name, dentry)) => {
                    self.path = join(&self.path[..length], name);
                    return Some(self.visit(dentry.node, usize::from(dentry.layer)));
                }
                None => {
                    self.stack.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
