//! What makes one tree out of another.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::super::digest::Hasher;
use super::super::layer::path::join;
use super::ImageTree;
use super::content::LayerSource;
use super::error::TreeError;
use super::node::{Content, Dentry, Node, NodeId};

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// Its kind, content, link target, device numbers or the set of names it shares its file with are others.
    Replaced,
    /// Only owner, mode, time or attributes are others.
    Metadata,
    /// It is gone, and everything below it with it.
    Removed,
}

/// Changed paths in byte order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes(BTreeMap<Vec<u8>, Change>);

impl Changes {
    /// What happened to `path`; `None` when nothing did, or when it went with a removed directory.
    pub fn get(&self, path: &[u8]) -> Option<Change> {
        self.0.get(path).copied()
    }

    /// All changes.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Change)> {
        self.0.iter().map(|(path, change)| (path.as_slice(), change))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Leaves out changes, for example of files that no layer should carry.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], Change) -> bool) {
        self.0.retain(|path, change| keep(path, *change));
    }
}

/// A file of each tree at one path, of the same size, whose content must be compared.
struct Candidate {
    path: Vec<u8>,
    new: NodeId,
    base: NodeId,
    /// What to note when the contents are equal.
    otherwise: Option<Change>,
}

impl ImageTree {
    /// What makes this tree out of `base`.
    ///
    /// Contents are equal when they are the same bytes of the same layer; where
    /// that cannot be seen and sizes are equal, they are hashed, each layer being read once at most.
    ///
    /// # Errors
    /// When a layer cannot be read.
    pub fn diff(
        &self,
        layers: &dyn LayerSource,
        base: &Self,
        base_layers: &dyn LayerSource,
    ) -> Result<Changes, TreeError> {
        let mut diff =
            Diff { new: self, base, layers, base_layers, changes: Changes::default(), candidates: Vec::new() };
        diff.compare_trees();
        diff.compare_contents()?;
        diff.compare_links();
        Ok(diff.changes)
    }
}

struct Diff<'a> {
    new: &'a ImageTree,
    base: &'a ImageTree,
    layers: &'a dyn LayerSource,
    base_layers: &'a dyn LayerSource,
    changes: Changes,
    candidates: Vec<Candidate>,
}

impl Diff<'_> {
    fn note(&mut self, path: Vec<u8>, change: Change) {
        self.changes.0.insert(path, change);
    }

    fn compare_trees(&mut self) {
        if self.new.root().metadata() != self.base.root().metadata() {
            self.note(Vec::new(), Change::Metadata);
        }
        let mut pending = vec![(Vec::new(), NodeId::ROOT, NodeId::ROOT)];
        while let Some((path, new, base)) = pending.pop() {
            self.compare_directories(&path, new, base, &mut pending);
        }
    }

    fn compare_directories(
        &mut self,
        path: &[u8],
        new: NodeId,
        base: NodeId,
        pending: &mut Vec<(Vec<u8>, NodeId, NodeId)>,
    ) {
        let (new_tree, base_tree) = (self.new, self.base);
        for child in base_tree.children(base) {
            if new_tree.dentry(new, child.name).is_none() {
                self.note(join(path, child.name), Change::Removed);
            }
        }
        for child in new_tree.children(new) {
            let child_path = join(path, child.name);
            match base_tree.dentry(base, child.name) {
                None => self.add_all(&child_path),
                Some(Dentry { node, .. }) => {
                    let old = base_tree.node(node);
                    if child.node.children().is_some() && old.children().is_some() {
                        if child.node.metadata() != old.metadata() {
                            self.note(child_path.clone(), Change::Metadata);
                        }
                        pending.push((child_path, child.id, node));
                    } else {
                        self.compare_files(child_path, (child.id, child.node), (node, old));
                    }
                }
            }
        }
    }

    fn add_all(&mut self, path: &[u8]) {
        for entry in self.new.walk_from(path) {
            self.note(entry.path, Change::Added);
        }
    }

    fn compare_files(&mut self, path: Vec<u8>, (new_id, new): (NodeId, &Node), (base_id, base): (NodeId, &Node)) {
        if !new.kind().same_shape(base.kind()) {
            self.add_all(&path);
            self.note(path, Change::Replaced);
            return;
        }
        let otherwise = (new.metadata() != base.metadata()).then_some(Change::Metadata);
        let (Some(a), Some(b)) = (new.content(), base.content()) else {
            if let Some(change) = otherwise {
                self.note(path, change);
            }
            return;
        };
        match self.contents_equal(a, b) {
            Some(false) => self.note(path, Change::Replaced),
            Some(true) => {
                if let Some(change) = otherwise {
                    self.note(path, change);
                }
            }
            None => self.candidates.push(Candidate { path, new: new_id, base: base_id, otherwise }),
        }
    }

    /// `None` when only reading them can tell.
    fn contents_equal(&self, new: &Content, base: &Content) -> Option<bool> {
        if new.size() != base.size() {
            return Some(false);
        }
        match (new, base) {
            (Content::Empty, Content::Empty) => Some(true),
            (Content::Bytes(a), Content::Bytes(b)) => Some(a == b),
            (Content::Stream { layer, offset, .. }, Content::Stream { layer: base_layer, offset: base_offset, .. }) => {
                let id = self.layers.diff_id(usize::from(*layer))?;
                let base_id = self.base_layers.diff_id(usize::from(*base_layer))?;
                (id == base_id && offset == base_offset).then_some(true)
            }
            _ => None,
        }
    }

    fn compare_contents(&mut self) -> Result<(), TreeError> {
        let candidates = std::mem::take(&mut self.candidates);
        if candidates.is_empty() {
            return Ok(());
        }
        let new = hash(self.new, self.layers, candidates.iter().map(|candidate| candidate.new))?;
        let base = hash(self.base, self.base_layers, candidates.iter().map(|candidate| candidate.base))?;
        for candidate in candidates {
            if new.get(&candidate.new) != base.get(&candidate.base) {
                self.note(candidate.path, Change::Replaced);
            } else if let Some(change) = candidate.otherwise {
                self.note(candidate.path, change);
            }
        }
        Ok(())
    }

    /// A layer cannot add a name to a file without carrying the file: where the set of names
    /// differs, or one of them must be written anyway, all of them are.
    fn compare_links(&mut self) {
        let base = names_by_node(self.base);
        let mut base_of = BTreeMap::new();
        for names in base.values() {
            base_of.extend(names.iter().map(|name| (name, names)));
        }
        for names in names_by_node(self.new).values() {
            let same = names.iter().all(|name| base_of.get(name).is_some_and(|base| *base == names));
            let written = names.iter().any(|name| self.changes.get(name).is_some());
            if same && !written {
                continue;
            }
            for name in names {
                let change = match self.changes.get(name) {
                    Some(Change::Added) => Change::Added,
                    Some(Change::Metadata) if same => Change::Metadata,
                    _ => Change::Replaced,
                };
                self.note(name.clone(), change);
            }
        }
        self.split_links(&base);
    }

    /// Names that shared a file in the base and do not any more.
    fn split_links(&mut self, base: &BTreeMap<NodeId, BTreeSet<Vec<u8>>>) {
        for names in base.values() {
            for name in names {
                let alone = self.new.exact(name).is_some_and(|id| self.new.node(id).links() == 1);
                // With all its other names gone a file may stay as it is.
                let others_stay = names.iter().any(|other| other != name && self.new.exact(other).is_some());
                if alone && others_stay && matches!(self.changes.get(name), None | Some(Change::Metadata)) {
                    self.note(name.clone(), Change::Replaced);
                }
            }
        }
    }
}

/// The names of every file that has more than one.
fn names_by_node(tree: &ImageTree) -> BTreeMap<NodeId, BTreeSet<Vec<u8>>> {
    let mut names: BTreeMap<NodeId, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for entry in tree.walk().filter(|entry| entry.node.links() > 1) {
        names.entry(entry.id).or_default().insert(entry.path);
    }
    names
}

fn hash(
    tree: &ImageTree,
    layers: &dyn LayerSource,
    wanted: impl Iterator<Item = NodeId>,
) -> Result<BTreeMap<NodeId, [u8; 32]>, TreeError> {
    let wanted: BTreeSet<_> = wanted.collect();
    let mut hashes = BTreeMap::new();
    tree.visit_contents(
        layers,
        |id, _| wanted.contains(&id),
        |visit| {
            let mut hasher = Hasher::default();
            io::copy(visit.content, &mut HashOnly(&mut hasher))?;
            hashes.insert(visit.id, hasher.finish_raw());
            Ok(())
        },
    )?;
    Ok(hashes)
}

struct HashOnly<'a>(&'a mut Hasher);

impl io::Write for HashOnly<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.update(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
