//! The root file system around its objects.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek, Write};

use super::boot::Boot;
use super::objects::Objects;
use super::{AssembleError, Disk};
use crate::disk::boot::Place;
use crate::disk::composefs::{
    ComposefsError, FileKind, PhysicalEntry, PhysicalKind, Repository, SELINUX_XATTR, physical_root,
};
use crate::disk::ext4::{self, Content, Node, NodeId, Summary, Tree};
use crate::disk::verity::VerityDigest;
use crate::model::ByteSize;
use crate::oci::layer::{Lossy, Metadata, Mtime};

/// With this file protected by fs-verity, the program that mounts the image requires it of every object.
const METADATA: &[u8] = b"composefs/meta.json";

impl Disk<'_> {
    pub(super) fn write_root<W: Write + Seek>(
        &self,
        mut objects: Objects<W>,
        repository: &mut Repository,
        boot: &Boot,
    ) -> Result<Summary, AssembleError> {
        let deployment = self.deployment(repository, boot);
        let mut entries = physical_root(repository, &deployment, self.mtime())?;
        let folder = format!("state/deploy/{}", deployment.id);
        self.add_state(repository, &folder, &mut entries, self.mtime())?;
        entries.extend(self.boot_entries(repository, boot)?);
        let root = self.metadata(repository, "", FileKind::Directory, 0o755);
        let copies = objects.copy_state(repository, self.request.layers, &entries)?;
        let linked = entries.iter().filter_map(|entry| match &entry.kind {
            PhysicalKind::HardLink(first) => Some(first.clone()),
            _ => None,
        });
        let linked = linked.collect();
        let places = BTreeMap::from([(Vec::new(), NodeId::ROOT)]);
        let mut filler = Filler { tree: Tree::new(&root), objects, copies, linked, places };
        entries.into_iter().try_for_each(|entry| filler.add(entry))?;
        let Filler { tree, objects, .. } = filler;
        let (_, summary) = objects.writer.finish(tree).map_err(|error| self.sized(error))?;
        Ok(summary)
    }

    pub(super) fn mtime(&self) -> Mtime {
        Mtime::from_seconds(i64::try_from(self.request.time.as_secs()).expect("before the year 10000"))
    }

    /// Of what is not the image's own.
    fn metadata(&self, repository: &mut Repository, path: &str, kind: FileKind, mode: u16) -> Metadata {
        let mut metadata = Metadata { mtime: self.mtime(), ..Metadata::with_mode(mode) };
        let label = repository.policy.as_mut().and_then(|policy| policy.lookup(format!("/{path}").as_bytes(), kind));
        if let Some(label) = label {
            metadata.xattrs.insert(SELINUX_XATTR, label.as_bytes());
        }
        metadata
    }

    /// Boot files on the root file system, and the folders to them.
    fn boot_entries(&self, repository: &mut Repository, boot: &Boot) -> Result<Vec<PhysicalEntry>, AssembleError> {
        let mut entries = Vec::new();
        let mut folders = BTreeSet::new();
        for file in &boot.plan.files {
            let Place::Root { path, mode } = &file.place else { continue };
            for (slash, _) in path.match_indices('/') {
                let folder = &path[..slash];
                if folders.insert(folder) {
                    let metadata = self.metadata(repository, folder, FileKind::Directory, 0o755);
                    entries.push(PhysicalEntry { path: folder.into(), metadata, kind: PhysicalKind::Directory });
                }
            }
            let bytes = boot.files.source(repository, &file.source)?.to_vec();
            let mode = u16::try_from(*mode).expect("permission bits");
            let metadata = self.metadata(repository, path, FileKind::Regular, mode);
            entries.push(PhysicalEntry { path: path.clone().into(), metadata, kind: PhysicalKind::Bytes(bytes) });
        }
        Ok(entries)
    }

    /// Says of a file system that is too small how large the disk must be.
    pub(super) fn sized(&self, error: ext4::Error) -> AssembleError {
        match (error, self.request.size) {
            (ext4::Error::TooSmall { needed, .. }, Some(given)) => match self.layout_of(needed.0, None) {
                Ok(layout) => AssembleError::TooSmall { needed: ByteSize(layout.size()), given },
                Err(error) => error,
            },
            (error, _) => error.into(),
        }
    }
}

/// A tree being filled.
struct Filler<W> {
    tree: Tree,
    objects: Objects<W>,
    copies: BTreeMap<VerityDigest, Vec<Content>>,
    /// Paths that have further names.
    linked: BTreeSet<Vec<u8>>,
    /// Directories, and what is linked.
    places: BTreeMap<Vec<u8>, NodeId>,
}

impl<W: Write + Seek> Filler<W> {
    fn add(&mut self, entry: PhysicalEntry) -> Result<(), AssembleError> {
        let PhysicalEntry { path, metadata, kind } = entry;
        let slash = path.iter().rposition(|byte| *byte == b'/');
        let (folder, name) = slash.map_or((&b""[..], &path[..]), |slash| (&path[..slash], &path[slash + 1..]));
        let parent = self.places[folder];
        let is_directory = kind == PhysicalKind::Directory;
        let node = match kind {
            PhysicalKind::HardLink(first) => return Ok(self.tree.link(parent, name, self.places[&first])?),
            PhysicalKind::Directory => Node::Directory,
            PhysicalKind::Object { digest, .. } => Node::File(written(self.objects.stored.remove(&digest), &path)?),
            PhysicalKind::Copy { digest, .. } => {
                let copy = self.copies.get_mut(&digest).and_then(Vec::pop);
                Node::File(written(copy, &path)?)
            }
            PhysicalKind::Bytes(bytes) if path == METADATA => Node::File(self.objects.beside(&bytes)?),
            PhysicalKind::Bytes(bytes) => {
                Node::File(self.objects.writer.content(bytes.len() as u64, &mut bytes.as_slice())?)
            }
            PhysicalKind::Symlink(target) => Node::Symlink(target),
            PhysicalKind::CharDevice { major, minor } => Node::CharDevice { major, minor },
            PhysicalKind::BlockDevice { major, minor } => Node::BlockDevice { major, minor },
            PhysicalKind::Fifo => Node::Fifo,
        };
        let id = self.tree.add(parent, name, &metadata, node)?;
        if is_directory || self.linked.contains(&path) {
            self.places.insert(path, id);
        }
        Ok(())
    }
}

fn written(content: Option<Content>, path: &[u8]) -> Result<Content, AssembleError> {
    content.ok_or_else(|| ComposefsError::NoContent { path: Lossy::from(path) }.into())
}
