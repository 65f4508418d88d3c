//! Finding paths, as a kernel would that had the image as its root.

use super::super::layer::path::{components, split_last};
use super::ImageTree;
use super::error::PathProblem;
use super::node::{Children, Dentry, Kind, NodeId};

/// As many symbolic links as Linux follows (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// What happens to a `..` at the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtRoot {
    /// It stays at the root, as in a chroot: nothing is ever read from outside.
    Stay,
    /// It is refused: whoever writes through such a link meant another place.
    Refuse,
}

/// A position in the tree: the directories from the root to here, and the names still to go.
pub(super) struct Cursor {
    stack: Vec<NodeId>,
    /// Reversed.
    pending: Vec<Box<[u8]>>,
    links: usize,
    at_root: AtRoot,
}

/// Where one step led.
pub(super) enum Step {
    /// All names are used up.
    Arrived,
    /// Into a directory, up, or to a link's target.
    Moved,
    /// The directory has no such name.
    Missing(Box<[u8]>),
    /// To something that is not a directory, with no names left.
    Leaf(NodeId),
}

impl Cursor {
    pub(super) fn new(path: &[u8], at_root: AtRoot) -> Self {
        let mut cursor = Self { stack: vec![NodeId::ROOT], pending: Vec::new(), links: 0, at_root };
        cursor.push(path);
        cursor
    }

    fn push(&mut self, path: &[u8]) {
        self.pending.extend(components(path).rev().map(Box::from));
    }

    /// The directory reached.
    pub(super) fn directory(&self) -> NodeId {
        self.stack.last().copied().unwrap_or(NodeId::ROOT)
    }

    /// Directories between the root and here.
    pub(super) fn depth(&self) -> usize {
        self.stack.len() - 1
    }

    pub(super) fn enter(&mut self, directory: NodeId) {
        self.stack.push(directory);
    }

    pub(super) fn step(&mut self, tree: &ImageTree) -> Result<Step, PathProblem> {
        let Some(name) = self.pending.pop() else { return Ok(Step::Arrived) };
        if &*name == b".." {
            if self.depth() > 0 {
                self.stack.pop();
            } else if self.at_root == AtRoot::Refuse {
                return Err(PathProblem::Escape);
            }
            return Ok(Step::Moved);
        }
        let Some(dentry) = tree.dentry(self.directory(), &name) else { return Ok(Step::Missing(name)) };
        match &tree.node(dentry.node).kind {
            Kind::Directory(_) => self.enter(dentry.node),
            Kind::Symlink(target) => self.follow(target)?,
            _ if self.pending.is_empty() => return Ok(Step::Leaf(dentry.node)),
            _ => return Err(PathProblem::NotADirectory),
        }
        Ok(Step::Moved)
    }

    fn follow(&mut self, target: &[u8]) -> Result<(), PathProblem> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(PathProblem::Loop);
        }
        if target.starts_with(b"/") {
            self.stack.truncate(1);
        }
        self.push(target);
        Ok(())
    }
}

impl ImageTree {
    /// Where a file put at `path` would really be: links among its parents followed, its own name kept.
    ///
    /// Parents that do not exist are taken as they are written. Without leading slash.
    /// `None` when links lead in circles or a parent is not a directory.
    pub fn canonical(&self, path: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        let path = super::edit::clean(path.as_ref()).ok()?;
        let Some((parent, name)) = split_last(&path) else { return Some(Vec::new()) };
        let mut pending: Vec<Box<[u8]>> = components(parent).rev().map(Box::from).collect();
        let mut real: Vec<(Box<[u8]>, Option<NodeId>)> = Vec::new();
        let mut links = 0;
        while let Some(next) = pending.pop() {
            if &*next == b".." {
                real.pop();
                continue;
            }
            let here = real.last().map_or(Some(NodeId::ROOT), |(_, node)| *node);
            let found = here.and_then(|directory| self.dentry(directory, &next)).map(|dentry| dentry.node);
            match found.map(|node| &self.node(node).kind) {
                None | Some(Kind::Directory(_)) => real.push((next, found)),
                Some(Kind::Symlink(_)) if links == MAX_LINKS => return None,
                Some(Kind::Symlink(target)) => {
                    links += 1;
                    if target.starts_with(b"/") {
                        real.clear();
                    }
                    pending.extend(components(target).rev().map(Box::from));
                }
                Some(_) => return None,
            }
        }
        let names: Vec<&[u8]> = real.iter().map(|(name, _)| &**name).chain([name]).collect();
        Some(names.join(&b'/'))
    }

    pub(super) fn children_of(&self, directory: NodeId) -> Option<&Children> {
        self.node(directory).children()
    }

    pub(super) fn dentry(&self, directory: NodeId, name: &[u8]) -> Option<Dentry> {
        self.children_of(directory)?.0.get(name).copied()
    }

    /// Follows every link; `None` when something on the way is missing.
    pub(super) fn follow_path(&self, path: &[u8], at_root: AtRoot) -> Result<Option<NodeId>, PathProblem> {
        if let Some(directory) = self.plain_directory(path) {
            return Ok(Some(directory));
        }
        let mut cursor = Cursor::new(path, at_root);
        loop {
            match cursor.step(self)? {
                Step::Moved => {}
                Step::Arrived => return Ok(Some(cursor.directory())),
                Step::Leaf(node) => return Ok(Some(node)),
                Step::Missing(_) => return Ok(None),
            }
        }
    }

    /// What is at `path` when no link is on the way.
    pub(super) fn exact(&self, path: &[u8]) -> Option<NodeId> {
        match split_last(path) {
            None => Some(NodeId::ROOT),
            Some((parent, name)) => Some(self.dentry(self.plain_directory(parent)?, name)?.node),
        }
    }

    /// The directory at `path` when everything on the way is one: the common case, without allocation.
    pub(super) fn plain_directory(&self, path: &[u8]) -> Option<NodeId> {
        components(path).try_fold(NodeId::ROOT, |directory, name| {
            let child = self.dentry(directory, name)?.node;
            (name != b".." && self.children_of(child).is_some()).then_some(child)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::layer::Metadata;
    use super::ImageTree;

    #[test]
    fn a_path_is_where_its_parents_links_lead() {
        let mut tree = ImageTree::new();
        let directory = || Metadata::with_mode(0o755);
        tree.insert_dir("var/home", directory()).unwrap();
        tree.insert_dir("usr", directory()).unwrap();
        tree.insert_symlink("home", "var/home", directory()).unwrap();
        tree.insert_symlink("usr/local", "../var/usrlocal", directory()).unwrap();
        tree.insert_symlink("abs", "/home/../home", directory()).unwrap();
        tree.insert_symlink("loop", "loop", directory()).unwrap();
        tree.insert_file("file", *b"x", directory()).unwrap();
        for (path, real) in [
            ("/home/ada/note", Some("var/home/ada/note")),
            ("/usr/local/bin/x", Some("var/usrlocal/bin/x")),
            ("/abs/x", Some("var/home/x")),
            ("/home", Some("home")),
            ("/new/folder/x", Some("new/folder/x")),
            ("/loop/x", None),
            ("/file/x", None),
        ] {
            assert_eq!(tree.canonical(path), real.map(|real| real.as_bytes().to_vec()), "{path}");
        }
    }
}
