//! A disk whose root file system is the image's own tree, for images that cannot be mounted by composefs.
//!
//! It boots like any installed system: `/` is ext4 and writable. Nothing on it can be updated as an image, and nothing
//! is named by a digest. The layers are read twice: once for the tree, which says which contents are wanted.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, Write};

use super::files::LIMIT;
use super::{AssembleError, AssembleRequest, Assembled, Disk, ROOT_NAME, StateKind, grows};
use crate::disk::boot::{BootPlan, Bootable, Check, Kind as BootKind, Layout, Request, Root, Source, Survey};
use crate::disk::composefs::{ComposefsError, FileContexts, FileKind, SELINUX_XATTR, policy_of};
use crate::disk::ext4::{self, Content, Node, Tree};
use crate::disk::ids::DiskIds;
use crate::model::ByteSize;
use crate::oci::ImageTree;
use crate::oci::layer::{Lossy, Metadata};
use crate::oci::tree::{Kind, MergePolicy, NewNode, NodeId};

/// Writes the disk, as [`super::assemble`] does.
///
/// # Errors
/// Any [`AssembleError`]; what was written until then is no disk.
pub fn assemble_plain<S>(target: &mut S, request: &AssembleRequest<'_>) -> Result<Assembled, AssembleError>
where
    S: Read + Write + Seek + Send,
{
    let disk = Disk { request, ids: DiskIds::new(request.image.digest(), request.host.as_ref()) };
    let mut tree = ImageTree::from_layers(request.layers, &MergePolicy::default())?;
    disk.add_state_to(&mut tree)?;
    let plan = disk.plan_plain(&tree)?;
    let sources = plan.files.iter().filter_map(|file| match &file.source {
        Source::Image(path) => Some(path.as_slice()),
        Source::Bytes(_) => None,
    });
    let files = tree.read_files(request.layers, &sources.collect::<Vec<_>>(), LIMIT)?;
    let root = disk.write_tree(&mut *target, &tree)?;
    let layout = disk.layout(root.size.0)?;
    disk.write_esp_files(&mut *target, &layout, &plan, &|source| match source {
        Source::Bytes(bytes) => Ok(bytes.as_slice()),
        Source::Image(path) => files.get(path).map(Vec::as_slice).ok_or_else(|| no_content(path)),
    })?;
    layout.write(&mut *target)?;
    let command_line = plan.options.unwrap_or_default();
    Ok(Assembled {
        layout,
        id: None,
        objects: 0,
        root,
        command_line,
        signer: None,
        check: Check::Optional,
        grows: grows(&tree),
    })
}

fn no_content(path: &[u8]) -> AssembleError {
    ComposefsError::NoContent { path: Lossy::from(path) }.into()
}

impl Disk<'_> {
    fn plan_plain(&self, tree: &ImageTree) -> Result<BootPlan, AssembleError> {
        let survey = Survey::of(tree, self.request.machine);
        let texts = tree.read_files(self.request.layers, &survey.texts(), LIMIT)?;
        let bootable = Bootable::new(&survey, &texts, None, BootKind::Plain, None)?;
        let plan = bootable.plan(&Request {
            root: Root::Uuid(self.ids.file_system(ROOT_NAME)),
            layout: Layout::Plain,
            kargs: self.request.kargs.clone(),
            enrol: false,
        })?;
        let size =
            |path: &[u8]| tree.resolve(path).and_then(|id| tree.node(id).content()).map_or(0, |content| content.size());
        let needed = ByteSize(plan.esp_size(size));
        if needed > self.request.esp {
            return Err(AssembleError::EspTooSmall { needed, given: self.request.esp });
        }
        if plan.files.iter().any(|file| matches!(file.place, crate::disk::boot::Place::Root { .. })) {
            return Err(AssembleError::PlainGrub);
        }
        Ok(plan)
    }

    /// Puts a host's files into the tree itself.
    fn add_state_to(&self, tree: &mut ImageTree) -> Result<(), AssembleError> {
        for (path, file) in self.request.state {
            let place = path.trim_start_matches('/');
            let metadata =
                Metadata { uid: file.uid, gid: file.gid, mtime: self.mtime(), ..Metadata::with_mode(file.mode) };
            for (slash, _) in place.match_indices('/') {
                if tree.resolve(&place[..slash]).is_none() {
                    tree.insert_dir(&place[..slash], Metadata { mtime: self.mtime(), ..Metadata::with_mode(0o755) })?;
                }
            }
            match &file.kind {
                StateKind::Removed => {
                    tree.remove(place)?;
                }
                StateKind::Directory if tree.resolve(place).is_some() => tree.set_metadata(place, metadata)?,
                StateKind::Directory => {
                    tree.insert_dir(place, metadata)?;
                }
                StateKind::File(bytes) => {
                    tree.insert_file(place, bytes.clone(), metadata)?;
                }
                StateKind::Symlink(target) => {
                    let metadata = Metadata { mode: 0o777, ..metadata };
                    tree.insert(place, NewNode::Symlink(target.clone()), metadata)?;
                }
            }
        }
        Ok(())
    }

    fn write_tree<S: Write + Seek>(&self, target: S, tree: &ImageTree) -> Result<ext4::Summary, AssembleError> {
        let mut writer = self.root_writer(target)?;
        let mut contents = BTreeMap::new();
        let mut failed = None;
        let read = tree.visit_contents(
            self.request.layers,
            |_, _| true,
            |visit| {
                let size = visit.node.content().map_or(0, |content| content.size());
                match writer.content(size, &mut &mut *visit.content) {
                    Ok(content) => drop(contents.insert(visit.id, content)),
                    Err(error) => {
                        failed = Some(error);
                        return Err(io::ErrorKind::Other.into());
                    }
                }
                Ok(())
            },
        );
        if let Some(error) = failed {
            return Err(self.sized(error));
        }
        read?;
        let policy = policy_of(tree, self.request.layers)?;
        let mut filler = Filler { tree, contents, policy, linked: BTreeMap::new() };
        let filled = filler.fill()?;
        let (_, summary) = writer.finish(filled).map_err(|error| self.sized(error))?;
        Ok(summary)
    }
}

/// From the image's tree to that of the file system.
struct Filler<'t> {
    tree: &'t ImageTree,
    contents: BTreeMap<NodeId, Content>,
    policy: Option<FileContexts>,
    /// Files with several names.
    linked: BTreeMap<NodeId, ext4::NodeId>,
}

impl Filler<'_> {
    fn fill(&mut self) -> Result<Tree, AssembleError> {
        let root = self.metadata(b"/", FileKind::Directory, self.tree.root().metadata());
        let mut filled = Tree::new(&root);
        let mut folders = vec![(NodeId::ROOT, ext4::NodeId::ROOT, Vec::new())];
        while let Some((id, place, path)) = folders.pop() {
            for child in self.tree.children(id) {
                let below = [&path, &b"/"[..], child.name].concat();
                if let Some(first) = self.linked.get(&child.id) {
                    filled.link(place, child.name, *first)?;
                    continue;
                }
                let (node, kind) = self.node(child.id, &below)?;
                let metadata = self.metadata(&below, kind, child.node.metadata());
                let added = filled.add(place, child.name, &metadata, node)?;
                if kind == FileKind::Directory {
                    folders.push((child.id, added, below));
                } else if child.node.links() > 1 {
                    self.linked.insert(child.id, added);
                }
            }
        }
        Ok(filled)
    }

    fn node(&mut self, id: NodeId, path: &[u8]) -> Result<(Node, FileKind), AssembleError> {
        Ok(match self.tree.node(id).kind() {
            Kind::Directory(_) => (Node::Directory, FileKind::Directory),
            Kind::File(_) => {
                let content = self.contents.remove(&id).ok_or_else(|| no_content(path))?;
                (Node::File(content), FileKind::Regular)
            }
            Kind::Symlink(target) => (Node::Symlink(target.to_vec()), FileKind::Symlink),
            Kind::CharDevice { major, minor } => {
                (Node::CharDevice { major: *major, minor: *minor }, FileKind::CharDevice)
            }
            Kind::BlockDevice { major, minor } => {
                (Node::BlockDevice { major: *major, minor: *minor }, FileKind::BlockDevice)
            }
            Kind::Fifo => (Node::Fifo, FileKind::Fifo),
        })
    }

    /// With the label of the image's policy.
    fn metadata(&mut self, path: &[u8], kind: FileKind, own: &Metadata) -> Metadata {
        let mut metadata = own.clone();
        if let Some(label) = self.policy.as_mut().and_then(|policy| policy.lookup(path, kind)) {
            metadata.xattrs.insert(SELINUX_XATTR, label.as_bytes());
        }
        metadata
    }
}
