//! Applying layers.
//!
//! Follows `layer.md` of the image specification, "Applying Changesets". Whiteouts
//! take away only what lower layers put there, wherever they stand in the
//! tar: every name remembers the layer it came from.

use std::collections::BTreeSet;
use std::io::{self, Read};

use super::super::layer::path::{join, split_last};
use super::super::layer::{EntryKind, LayerEntry, LayerError, Lossy, Metadata, TarReader, UnpackLimits, Xattrs};
use super::content::LayerSource;
use super::error::{PathProblem, TreeError};
use super::node::{Children, Content, Dentry, Kind, NodeId};
use super::note::NoteKind;
use super::resolve::{AtRoot, Cursor, Step};
use super::{ImageTree, MAX_LAYERS};

/// What happens to a path that one layer has twice, which the specification forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Duplicates {
    /// The last one counts, with a note.
    #[default]
    LastWins,
    /// The layer is refused.
    Refuse,
}

/// How layers are merged.
#[derive(Debug, Clone, Copy, Default)]
pub struct MergePolicy {
    /// Caps on every layer.
    pub limits: UnpackLimits,
    /// Duplicate paths.
    pub duplicates: Duplicates,
}

/// Sees every file's content while layers are read for the first time, also of files that a later entry or layer replaces
/// and of whiteouts that have any.
///
/// The entry's layer and [`LayerEntry::offset`] are what [`Content::Stream`] has for the files that remain.
pub type OnContent<'a> = &'a mut dyn FnMut(usize, &LayerEntry, &mut dyn Read) -> io::Result<()>;

impl ImageTree {
    /// Reads and merges all layers of a source, verifying them on the way.
    ///
    /// # Errors
    /// Any [`TreeError`]; there is no partial tree.
    pub fn from_layers(layers: &dyn LayerSource, policy: &MergePolicy) -> Result<Self, TreeError> {
        Self::from_layers_with(layers, policy, &mut |_, _, _| Ok(()))
    }

    /// As [`ImageTree::from_layers`], and shows every file's content to `on_content` in the same pass.
    ///
    /// # Errors
    /// Any [`TreeError`]; there is no partial tree.
    pub fn from_layers_with(
        layers: &dyn LayerSource,
        policy: &MergePolicy,
        on_content: OnContent<'_>,
    ) -> Result<Self, TreeError> {
        let mut tree = Self::new();
        for layer in 0..layers.count() {
            let stream = layers.open(layer).map_err(|source| TreeError::Layer { layer, source })?;
            let mut stream = io::BufReader::with_capacity(128 << 10, stream);
            tree.apply_layer(&mut stream, policy, on_content)?;
        }
        Ok(tree)
    }

    /// Applies one more layer, an uncompressed tar stream, which is read to its end.
    ///
    /// # Errors
    /// Any [`TreeError`]; the tree is in between then, and of no use.
    pub fn apply_layer(
        &mut self,
        stream: &mut dyn Read,
        policy: &MergePolicy,
        on_content: OnContent<'_>,
    ) -> Result<(), TreeError> {
        let layer = usize::from(self.layers);
        if layer >= MAX_LAYERS {
            return Err(TreeError::TooManyLayers(layer + 1));
        }
        let read_error = |source| TreeError::Layer { layer, source };
        let mut tar = TarReader::new(stream, policy.limits);
        let mut merge = Merge::new(self, *policy);
        while let Some(entry) = tar.next_entry().map_err(read_error)? {
            if tar.content().remaining() > 0 {
                on_content(layer, &entry, &mut tar.content()).map_err(|source| sink_error(&entry, layer, source))?;
            }
            merge.apply(entry)?;
        }
        drain(tar, read_error)?;
        merge.finish()?;
        self.layers += 1;
        Ok(())
    }
}

/// The end of the archive is not yet the end of the stream, where the digests are compared.
fn drain<R: Read>(tar: TarReader<R>, read_error: impl Fn(LayerError) -> TreeError) -> Result<(), TreeError> {
    let mut stream = tar.into_inner();
    match io::copy(&mut stream, &mut io::sink()) {
        Ok(_) => Ok(()),
        Err(error) => Err(read_error(LayerError::from_read(error))),
    }
}

/// A failure to read is the layer's, anything else the receiver's.
fn sink_error(entry: &LayerEntry, layer: usize, source: io::Error) -> TreeError {
    match LayerError::from_read(source) {
        LayerError::Read(source) => TreeError::Sink { path: Lossy::from(&*entry.path), source },
        source => TreeError::Layer { layer, source },
    }
}

/// A layer being applied.
struct Merge<'t> {
    tree: &'t mut ImageTree,
    policy: MergePolicy,
    layer: u16,
    /// Hard links whose target has not come yet.
    forward: Vec<LayerEntry>,
    /// Attribute sets seen in this layer, so that equal ones share memory.
    xattrs: BTreeSet<Xattrs>,
    /// Directories in which nothing of lower layers is left, so that a layer of nothing but markers costs nothing.
    cleared: BTreeSet<NodeId>,
}

/// How often the hard links that came too early are gone through; links to links to links need it.
const FORWARD_PASSES: usize = 40;

impl<'t> Merge<'t> {
    fn new(tree: &'t mut ImageTree, policy: MergePolicy) -> Self {
        let layer = tree.layers;
        Self { tree, policy, layer, forward: Vec::new(), xattrs: BTreeSet::new(), cleared: BTreeSet::new() }
    }

    fn note(&mut self, path: &[u8], kind: NoteKind) {
        self.tree.notes.add(usize::from(self.layer), path, kind);
    }

    fn error(&self, path: &[u8], problem: PathProblem) -> TreeError {
        TreeError::Entry { layer: usize::from(self.layer), path: Lossy::from(path), problem }
    }

    fn apply(&mut self, entry: LayerEntry) -> Result<(), TreeError> {
        for key in &entry.dropped {
            self.note(&entry.path, NoteKind::DroppedRecord(key.clone()));
        }
        match &entry.kind {
            EntryKind::AufsLeftover => self.note(&entry.path, NoteKind::AufsLeftover),
            EntryKind::Whiteout => self.whiteout(&entry.path)?,
            EntryKind::Opaque => self.opaque(&entry.path)?,
            EntryKind::Hardlink { .. } => {
                if !self.hard_link(&entry)? {
                    self.forward.push(entry);
                }
            }
            _ => self.file(entry)?,
        }
        Ok(())
    }

    /// Resolves the hard links that came before their targets, which may be such links themselves.
    fn finish(mut self) -> Result<(), TreeError> {
        for _ in 0..FORWARD_PASSES {
            let waiting = std::mem::take(&mut self.forward);
            let before = waiting.len();
            // From the other end each time: a chain of links is then done in two passes, whichever way it runs.
            for entry in waiting.into_iter().rev() {
                if self.hard_link(&entry)? {
                    self.note(&entry.path, NoteKind::ForwardLink);
                } else {
                    self.forward.push(entry);
                }
            }
            if self.forward.is_empty() || self.forward.len() == before {
                break;
            }
        }
        match self.forward.first() {
            None => Ok(()),
            Some(entry) => Err(self.error(&entry.path, PathProblem::LinkTargetMissing)),
        }
    }

    fn file(&mut self, entry: LayerEntry) -> Result<(), TreeError> {
        self.note_overlay(&entry);
        let LayerEntry { path, kind, mut metadata, offset, .. } = entry;
        metadata.xattrs = self.intern(metadata.xattrs);
        let kind = match kind {
            EntryKind::Directory => Kind::Directory(Children::default()),
            EntryKind::File { size: 0 } => Kind::File(Content::Empty),
            EntryKind::File { size } => Kind::File(Content::Stream { layer: self.layer, offset, size }),
            EntryKind::Symlink { target } => Kind::Symlink(target.into()),
            EntryKind::CharDevice { major, minor } => Kind::CharDevice { major, minor },
            EntryKind::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
            EntryKind::Fifo => Kind::Fifo,
            EntryKind::Hardlink { .. } | EntryKind::Whiteout | EntryKind::Opaque | EntryKind::AufsLeftover => {
                unreachable!("handled by `apply`")
            }
        };
        let Some((parent, name)) = split_last(&path) else {
            // The reader lets nothing but a directory be the root.
            self.tree.table.get_mut(NodeId::ROOT).metadata = metadata;
            return Ok(());
        };
        let directory = self.parent(&path, parent)?;
        self.place(directory, name, &path, kind, metadata)
    }

    fn note_overlay(&mut self, entry: &LayerEntry) {
        if entry.kind == (EntryKind::CharDevice { major: 0, minor: 0 }) {
            self.note(&entry.path, NoteKind::OverlayWhiteout);
        }
        for (name, _) in entry.metadata.xattrs.iter() {
            if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
                self.note(&entry.path, NoteKind::OverlayXattr(Lossy::from(name)));
            }
        }
    }

    fn intern(&mut self, xattrs: Xattrs) -> Xattrs {
        if xattrs.is_empty() {
            return xattrs;
        }
        if let Some(known) = self.xattrs.get(&xattrs) {
            return known.clone();
        }
        self.xattrs.insert(xattrs.clone());
        xattrs
    }

    /// The directory an entry belongs in; missing ones are made, symbolic links are followed within the image.
    fn parent(&mut self, path: &[u8], parent: &[u8]) -> Result<NodeId, TreeError> {
        if let Some(directory) = self.tree.plain_directory(parent) {
            return Ok(directory);
        }
        let mut cursor = Cursor::new(parent, AtRoot::Refuse);
        loop {
            match cursor.step(self.tree).map_err(|problem| self.error(path, problem))? {
                Step::Moved => {}
                Step::Arrived => return Ok(cursor.directory()),
                Step::Leaf(_) => return Err(self.error(path, PathProblem::NotADirectory)),
                Step::Missing(name) => cursor.enter(self.imply(cursor.directory(), &name, path)),
            }
            // Links could lead below links without end, and some walks of the tree recurse.
            if cursor.depth() > self.policy.limits.path_depth {
                return Err(self.error(path, PathProblem::TooDeep));
            }
        }
    }

    fn imply(&mut self, directory: NodeId, name: &[u8], path: &[u8]) -> NodeId {
        self.note(path, NoteKind::ImpliedParent);
        let node = self.tree.table.add(Kind::Directory(Children::default()), Metadata::with_mode(0o755));
        self.tree.set_dentry(directory, name, Dentry { node, layer: self.layer, stated: false });
        node
    }

    fn check_duplicate(&mut self, existing: Option<Dentry>, path: &[u8]) -> Result<(), TreeError> {
        match existing {
            Some(dentry) if dentry.layer == self.layer && dentry.stated => match self.policy.duplicates {
                Duplicates::Refuse => Err(self.error(path, PathProblem::Duplicate)),
                Duplicates::LastWins => {
                    self.note(path, NoteKind::Duplicate);
                    Ok(())
                }
            },
            _ => Ok(()),
        }
    }

    /// Puts a file where it belongs. A directory over a directory keeps what is in it; everything else replaces.
    fn place(
        &mut self,
        directory: NodeId,
        name: &[u8],
        path: &[u8],
        kind: Kind,
        metadata: Metadata,
    ) -> Result<(), TreeError> {
        let existing = self.tree.dentry(directory, name);
        self.check_duplicate(existing, path)?;
        let stated = |node| Dentry { node, layer: self.layer, stated: true };
        let dentry = match (existing, &kind) {
            (Some(old), Kind::Directory(_)) if self.tree.children_of(old.node).is_some() => {
                self.tree.table.get_mut(old.node).metadata = metadata;
                stated(old.node)
            }
            _ => stated(self.tree.table.add(kind, metadata)),
        };
        self.tree.set_dentry(directory, name, dentry);
        Ok(())
    }

    /// `false` when the target is not there (yet).
    fn hard_link(&mut self, entry: &LayerEntry) -> Result<bool, TreeError> {
        let EntryKind::Hardlink { target } = &entry.kind else { unreachable!("only called for hard links") };
        let path = &*entry.path;
        let (Some((parent, name)), Some((target_parent, target_name))) = (split_last(path), split_last(target)) else {
            return Err(self.error(path, PathProblem::Root));
        };
        let found =
            self.tree.follow_path(target_parent, AtRoot::Refuse).map_err(|problem| self.error(path, problem))?;
        // The last component is not followed: a link to a symbolic link is another name of that link.
        let Some((target_directory, dentry)) =
            found.and_then(|directory| Some((directory, self.tree.dentry(directory, target_name)?)))
        else {
            return Ok(false);
        };
        if self.tree.children_of(dentry.node).is_some() {
            return Err(self.error(path, PathProblem::LinkToDirectory));
        }
        let directory = self.parent(path, parent)?;
        if (directory, name) == (target_directory, target_name) {
            return Err(self.error(path, PathProblem::LinkToItself));
        }
        if dentry.layer < self.layer {
            self.note(path, NoteKind::CrossLayerLink);
        }
        self.check_duplicate(self.tree.dentry(directory, name), path)?;
        self.tree.set_dentry(directory, name, Dentry { node: dentry.node, layer: self.layer, stated: true });
        Ok(true)
    }

    fn whiteout(&mut self, path: &[u8]) -> Result<(), TreeError> {
        // The reader lets no whiteout name the root.
        let Some((parent, name)) = split_last(path) else { return Ok(()) };
        let directory = self.tree.follow_path(parent, AtRoot::Refuse).map_err(|problem| self.error(path, problem))?;
        match directory.and_then(|directory| Some((directory, self.tree.dentry(directory, name)?))) {
            None => self.note(path, NoteKind::IdleWhiteout),
            Some((directory, dentry)) => {
                if self.hide(dentry) {
                    self.tree.remove_dentry(directory, name);
                } else if dentry.layer < self.layer {
                    self.reset(directory, name, dentry);
                }
            }
        }
        Ok(())
    }

    fn opaque(&mut self, path: &[u8]) -> Result<(), TreeError> {
        let Some((parent, name)) = split_last(path) else {
            self.hide_children(NodeId::ROOT);
            return Ok(());
        };
        let found = self.tree.follow_path(parent, AtRoot::Refuse).map_err(|problem| self.error(path, problem))?;
        let Some((directory, dentry)) =
            found.and_then(|directory| Some((directory, self.tree.dentry(directory, name)?)))
        else {
            self.note(path, NoteKind::IdleWhiteout);
            return Ok(());
        };
        if self.tree.children_of(dentry.node).is_some() {
            self.hide_children(dentry.node);
        } else if dentry.layer < self.layer {
            // The path is cleared, not what a link there leads to; that it has an opaque marker makes it a directory.
            self.tree.remove_dentry(directory, name);
            self.imply(directory, name, &join(parent, name));
        }
        Ok(())
    }

    /// Takes away what lower layers put below `directory`.
    fn hide_children(&mut self, directory: NodeId) {
        if !self.cleared.insert(directory) {
            return;
        }
        let Some(children) = self.tree.children_of(directory) else { return };
        let children: Vec<_> = children.0.iter().map(|(name, dentry)| (name.clone(), *dentry)).collect();
        for (name, dentry) in children {
            if self.hide(dentry) {
                self.tree.remove_dentry(directory, &name);
            } else if dentry.layer < self.layer {
                self.reset(directory, &name, dentry);
            }
        }
    }

    /// Whether nothing of this layer is at or below the name, after taking away what is of lower layers below it.
    ///
    /// Recursion is bounded by the depth limit of paths.
    fn hide(&mut self, dentry: Dentry) -> bool {
        self.hide_children(dentry.node);
        let empty = self.tree.children_of(dentry.node).is_none_or(Children::is_empty);
        dentry.layer < self.layer && empty
    }

    /// A lower layer's directory that is gone, but has something of this layer in it: only implied now.
    fn reset(&mut self, directory: NodeId, name: &[u8], dentry: Dentry) {
        self.tree.table.get_mut(dentry.node).metadata = Metadata::with_mode(0o755);
        if let Some(slot) = self.tree.dentry_mut(directory, name) {
            *slot = Dentry { layer: self.layer, stated: false, ..dentry };
        }
    }
}

impl ImageTree {
    fn dentry_mut(&mut self, directory: NodeId, name: &[u8]) -> Option<&mut Dentry> {
        match &mut self.table.get_mut(directory).kind {
            Kind::Directory(children) => children.0.get_mut(name),
            _ => None,
        }
    }

    /// Makes `name` lead to the dentry's node, and no longer to what it led to before.
    pub(super) fn set_dentry(&mut self, directory: NodeId, name: &[u8], dentry: Dentry) {
        // Counted up first: the node may lie below what is being replaced, or be the same.
        self.table.get_mut(dentry.node).links += 1;
        let Kind::Directory(children) = &mut self.table.get_mut(directory).kind else {
            unreachable!("names are only set in directories")
        };
        let old = match children.0.get_mut(name) {
            Some(slot) => Some(std::mem::replace(slot, dentry)),
            None => children.0.insert(name.into(), dentry),
        };
        if let Some(old) = old {
            self.table.unlink(old.node);
        }
    }

    pub(super) fn remove_dentry(&mut self, directory: NodeId, name: &[u8]) {
        if let Kind::Directory(children) = &mut self.table.get_mut(directory).kind
            && let Some(old) = children.0.remove(name)
        {
            self.table.unlink(old.node);
        }
    }
}
