//! Changing a tree by hand.

use std::sync::Arc;

use super::super::layer::path::{components, normalise, split_last};
use super::super::layer::{Lossy, Metadata, UnpackLimits};
use super::ImageTree;
use super::error::{PathProblem, TreeError};
use super::node::{Children, Content, Dentry, Kind, NodeId};
use super::resolve::{AtRoot, Cursor, Step};

/// What to put into a tree.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the variants name their fields")]
pub enum NewNode {
    /// A regular file.
    File(Content),
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink(Vec<u8>),
    /// A character device.
    CharDevice { major: u32, minor: u32 },
    /// A block device.
    BlockDevice { major: u32, minor: u32 },
    /// A named pipe.
    Fifo,
}

/// A caller's path in the tree's own form.
pub(super) fn clean(path: &[u8]) -> Result<Vec<u8>, TreeError> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    normalise(path, &UnpackLimits::default()).map_err(|problem| path_error(path, PathProblem::Name(problem)))
}

fn path_error(path: &[u8], problem: PathProblem) -> TreeError {
    TreeError::Path { path: Lossy::from(path), problem }
}

impl ImageTree {
    /// Puts a regular file at `path`; see [`ImageTree::insert`].
    ///
    /// # Errors
    /// As [`ImageTree::insert`].
    pub fn insert_file(
        &mut self,
        path: impl AsRef<[u8]>,
        content: impl Into<Arc<[u8]>>,
        metadata: Metadata,
    ) -> Result<NodeId, TreeError> {
        self.insert(path, NewNode::File(Content::from_bytes(content)), metadata)
    }

    /// Makes a directory at `path`, or gives the one there new metadata; see [`ImageTree::insert`].
    ///
    /// # Errors
    /// As [`ImageTree::insert`].
    pub fn insert_dir(&mut self, path: impl AsRef<[u8]>, metadata: Metadata) -> Result<NodeId, TreeError> {
        self.insert(path, NewNode::Directory, metadata)
    }

    /// Puts a symbolic link at `path`; see [`ImageTree::insert`].
    ///
    /// # Errors
    /// As [`ImageTree::insert`].
    pub fn insert_symlink(
        &mut self,
        path: impl AsRef<[u8]>,
        target: impl Into<Vec<u8>>,
        metadata: Metadata,
    ) -> Result<NodeId, TreeError> {
        self.insert(path, NewNode::Symlink(target.into()), metadata)
    }

    /// Puts a new file at `path`.
    ///
    /// Links on the way are followed within the image; missing parents are made
    /// with mode 0755, owned by root, with the new file's time. What is at `path` itself is
    /// replaced without following it; other names of a replaced file keep the
    /// old one. A directory over a directory only changes its metadata.
    ///
    /// # Errors
    /// When the path is no valid name, a parent is not a directory, or a directory and something else would replace each other.
    pub fn insert(&mut self, path: impl AsRef<[u8]>, new: NewNode, metadata: Metadata) -> Result<NodeId, TreeError> {
        let path = clean(path.as_ref())?;
        let Some((parent, name)) = split_last(&path) else {
            return match new {
                NewNode::Directory => {
                    self.table.get_mut(NodeId::ROOT).metadata = metadata;
                    Ok(NodeId::ROOT)
                }
                _ => Err(path_error(&path, PathProblem::Root)),
            };
        };
        let directory = self.make_parents(&path, parent, &metadata)?;
        let existing = self.dentry(directory, name);
        let is_directory = existing.map(|dentry| self.children_of(dentry.node).is_some());
        let kind = match (new, is_directory) {
            (NewNode::Directory, Some(true)) => {
                let id = existing.expect("matched just above").node;
                self.table.get_mut(id).metadata = metadata;
                return Ok(id);
            }
            (NewNode::Directory, Some(false)) => return Err(path_error(&path, PathProblem::Exists)),
            (_, Some(true)) => return Err(path_error(&path, PathProblem::IsADirectory)),
            (NewNode::Directory, None) => Kind::Directory(Children::default()),
            (NewNode::File(content), _) => Kind::File(content),
            (NewNode::Symlink(target), _) => Kind::Symlink(target.into()),
            (NewNode::CharDevice { major, minor }, _) => Kind::CharDevice { major, minor },
            (NewNode::BlockDevice { major, minor }, _) => Kind::BlockDevice { major, minor },
            (NewNode::Fifo, _) => Kind::Fifo,
        };
        let node = self.table.add(kind, metadata);
        self.set_own_dentry(directory, name, node);
        Ok(node)
    }

    /// Gives an existing file, which is not a directory, another name.
    ///
    /// # Errors
    /// When there is no such file, or the new name cannot be made as with [`ImageTree::insert`].
    pub fn link(&mut self, existing: impl AsRef<[u8]>, new: impl AsRef<[u8]>) -> Result<(), TreeError> {
        let existing = existing.as_ref();
        let id = self.lookup(existing).ok_or_else(|| path_error(existing, PathProblem::NotFound))?;
        if self.children_of(id).is_some() {
            return Err(path_error(existing, PathProblem::LinkToDirectory));
        }
        let path = clean(new.as_ref())?;
        let (parent, name) = split_last(&path).ok_or_else(|| path_error(&path, PathProblem::Root))?;
        let directory = self.make_parents(&path, parent, &self.node(id).metadata.clone())?;
        if self.dentry(directory, name).is_some_and(|dentry| self.children_of(dentry.node).is_some()) {
            return Err(path_error(&path, PathProblem::IsADirectory));
        }
        self.set_own_dentry(directory, name, id);
        Ok(())
    }

    /// Removes what is at `path`, without following it, and everything below; `false` when nothing is there.
    ///
    /// # Errors
    /// When the path is no valid name or the root.
    pub fn remove(&mut self, path: impl AsRef<[u8]>) -> Result<bool, TreeError> {
        let path = clean(path.as_ref())?;
        let (parent, name) = split_last(&path).ok_or_else(|| path_error(&path, PathProblem::Root))?;
        let directory = self.follow_path(parent, AtRoot::Stay).map_err(|problem| path_error(&path, problem))?;
        match directory {
            Some(directory) if self.dentry(directory, name).is_some() => {
                self.remove_dentry(directory, name);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Moves what is at `from`, with everything below, to `to`, where nothing may be.
    ///
    /// # Errors
    /// When nothing is at `from`, something is at `to`, or `to` is below `from`.
    pub fn rename(&mut self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<(), TreeError> {
        let (from, to) = (clean(from.as_ref())?, clean(to.as_ref())?);
        let (from_parent, from_name) = split_last(&from).ok_or_else(|| path_error(&from, PathProblem::Root))?;
        let (to_parent, to_name) = split_last(&to).ok_or_else(|| path_error(&to, PathProblem::Root))?;
        let missing = || path_error(&from, PathProblem::NotFound);
        let source = self
            .follow_path(from_parent, AtRoot::Stay)
            .map_err(|problem| path_error(&from, problem))?
            .ok_or_else(missing)?;
        let node = self.dentry(source, from_name).ok_or_else(missing)?.node;
        if self.lookup(&to).is_some() {
            return Err(path_error(&to, PathProblem::Exists));
        }
        if self.passes_through(to_parent, node) {
            return Err(path_error(&to, PathProblem::IntoItself));
        }
        let metadata = self.node(node).metadata.clone();
        let target = self.make_parents(&to, to_parent, &metadata)?;
        self.set_own_dentry(target, to_name, node);
        self.remove_dentry(source, from_name);
        Ok(())
    }

    /// Changes owner, mode, time and attributes of what is at `path`, without following it.
    ///
    /// # Errors
    /// When nothing is there.
    pub fn set_metadata(&mut self, path: impl AsRef<[u8]>, metadata: Metadata) -> Result<(), TreeError> {
        *self.metadata_mut(path)? = metadata;
        Ok(())
    }

    /// Owner, mode, time and attributes of what is at `path`, without following it, for changing.
    ///
    /// # Errors
    /// When nothing is there.
    pub fn metadata_mut(&mut self, path: impl AsRef<[u8]>) -> Result<&mut Metadata, TreeError> {
        let path = path.as_ref();
        let id = self.lookup(path).ok_or_else(|| path_error(path, PathProblem::NotFound))?;
        Ok(&mut self.table.get_mut(id).metadata)
    }

    /// Metadata of a file by number, for changing many at once.
    ///
    /// # Panics
    /// When the number is from another tree.
    pub fn node_metadata_mut(&mut self, id: NodeId) -> &mut Metadata {
        &mut self.table.get_mut(id).metadata
    }

    fn set_own_dentry(&mut self, directory: NodeId, name: &[u8], node: NodeId) {
        let layer = self.layers;
        self.set_dentry(directory, name, Dentry { node, layer, stated: true });
    }

    fn make_parents(&mut self, path: &[u8], parent: &[u8], like: &Metadata) -> Result<NodeId, TreeError> {
        let failed = |problem| path_error(path, problem);
        let mut cursor = Cursor::new(parent, AtRoot::Stay);
        loop {
            match cursor.step(self).map_err(failed)? {
                Step::Moved => {}
                Step::Arrived => return Ok(cursor.directory()),
                Step::Leaf(_) => return Err(failed(PathProblem::NotADirectory)),
                Step::Missing(name) => {
                    let metadata = Metadata { mtime: like.mtime, ..Metadata::with_mode(0o755) };
                    let node = self.table.add(Kind::Directory(Children::default()), metadata);
                    self.set_own_dentry(cursor.directory(), &name, node);
                    cursor.enter(node);
                }
            }
            if cursor.depth() > UnpackLimits::default().path_depth {
                return Err(failed(PathProblem::TooDeep));
            }
        }
    }

    /// Whether the way to `path`, as far as it exists, leads through `node`.
    fn passes_through(&self, path: &[u8], node: NodeId) -> bool {
        let mut prefix = Vec::new();
        components(path).any(|name| {
            prefix.extend_from_slice(b"/");
            prefix.extend_from_slice(name);
            self.resolve(&prefix) == Some(node)
        })
    }
}
