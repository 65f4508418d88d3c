//! The physical root of a disk: the repository, the deployment's state and nothing else.
//!
//! What bootc 1.16 finds at `/sysroot`. `/etc` and `/var` are copies of the mounted image's, so with its labels;
//! what is beside them is labelled by the policy as bootc's installer does it, the repository as if it were `/usr`.

use std::collections::BTreeMap;

use super::contents::Stored;
use super::error::ComposefsError;
use super::repository::{Repository, object_path};
use super::selinux::{FileContexts, FileKind, SELINUX_XATTR};
use crate::disk::verity::VerityDigest;
use crate::model::{Digest, Sha256Hex};
use crate::oci::layer::{Lossy, Metadata, Mtime};
use crate::oci::tree::{Kind, NodeId, WalkEntry};

/// Where the repository is.
const REPOSITORY: &str = "composefs";
/// The `/var` that deployments share.
const SHARED_VAR: &str = "state/os/default/var";

/// How a deployment boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootType {
    /// A kernel, an initramfs and an entry with a command line.
    Bls,
    /// A unified kernel image.
    Uki,
}

/// What the state of a deployment says about it.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The EROFS image that is mounted.
    pub id: VerityDigest,
    /// Where updates come from, with transport, such as `docker://example.com/os:stable`.
    pub source: String,
    /// How it boots.
    pub boot_type: BootType,
    /// SHA-256 over the kernel followed by the initramfs: deployments that have both in common share them.
    pub boot_digest: Sha256Hex,
    /// The image's manifest.
    pub manifest: Digest,
}

impl Deployment {
    /// Text of the file `.origin`.
    pub fn origin(&self) -> String {
        let boot_type = match self.boot_type {
            BootType::Bls => "bls",
            BootType::Uki => "uki",
        };
        format!(
            "[origin]\ncontainer-image-reference = ostree-unverified-image:{}\n\n\
             [boot]\nboot_type = {boot_type}\ndigest = {}\n\n\
             [image]\nmanifest_digest = {}\n",
            self.source, self.boot_digest, self.manifest,
        )
    }
}

/// The name bootc holds a deployed image by, so that its garbage collection leaves it alone.
pub fn deployed_tag(manifest: &Digest) -> String {
    format!("localhost/bootc-{manifest}")
}

/// One name on the physical root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhysicalEntry {
    /// Path without leading slash.
    pub path: Vec<u8>,
    /// Owner, mode, time and attributes; of no meaning for a hard link.
    pub metadata: Metadata,
    /// What it is.
    pub kind: PhysicalKind,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants name their fields")]
pub enum PhysicalKind {
    /// A directory.
    Directory,
    /// An object, whose content the sink has had.
    Object { digest: VerityDigest, size: u64 },
    /// A file with the content of an object, but not the object.
    Copy { digest: VerityDigest, size: u64 },
    /// A file with this content.
    Bytes(Vec<u8>),
    /// A symbolic link.
    Symlink(Vec<u8>),
    /// Another name of the file at this path, which came before.
    HardLink(Vec<u8>),
    /// A character device.
    CharDevice { major: u32, minor: u32 },
    /// A block device.
    BlockDevice { major: u32, minor: u32 },
    /// A named pipe.
    Fifo,
}

/// Everything on the physical root but the root itself and what file systems make of their own (`lost+found`); directories come
/// before what is in them. What is not copied from the image has `mtime`.
///
/// # Errors
/// When the image has no `/etc` or no `/var`, or a content is missing.
pub fn physical_root(
    repository: &mut Repository,
    deployment: &Deployment,
    mtime: Mtime,
) -> Result<Vec<PhysicalEntry>, ComposefsError> {
    let mut policy = repository.policy.take();
    let mut root = Physical { repository, policy: policy.as_mut(), mtime, entries: Vec::new() };
    let made = root.add_repository().and_then(|()| root.add_state(deployment));
    let entries = root.entries;
    repository.policy = policy;
    made.map(|()| entries)
}

struct Physical<'r> {
    repository: &'r Repository,
    policy: Option<&'r mut FileContexts>,
    mtime: Mtime,
    entries: Vec<PhysicalEntry>,
}

impl Physical<'_> {
    fn add_repository(&mut self) -> Result<(), ComposefsError> {
        let repository = self.repository;
        self.add(REPOSITORY, 0o700, PhysicalKind::Directory);
        self.add(format!("{REPOSITORY}/meta.json"), 0o644, PhysicalKind::Bytes(repository.metadata.clone()));
        self.add(format!("{REPOSITORY}/objects"), 0o755, PhysicalKind::Directory);
        let mut folder = None;
        for (&digest, &size) in &repository.objects {
            let first = digest.as_bytes()[0];
            if folder.replace(first) != Some(first) {
                self.add(format!("{REPOSITORY}/objects/{first:02x}"), 0o755, PhysicalKind::Directory);
            }
            let path = format!("{REPOSITORY}/{}", object_path(&digest));
            self.add(path, 0o644, PhysicalKind::Object { digest, size });
        }
        let mut made = Vec::new();
        for link in &repository.links {
            self.add_parents(&link.path, &mut made);
            let target = link.target.clone().into_bytes();
            self.add(format!("{REPOSITORY}/{}", link.path), 0o777, PhysicalKind::Symlink(target));
        }
        Ok(())
    }

    /// Directories on the way to a link, each once; links are sorted.
    fn add_parents(&mut self, path: &str, made: &mut Vec<String>) {
        for (slash, _) in path.match_indices('/') {
            let parent = format!("{REPOSITORY}/{}", &path[..slash]);
            if !made.contains(&parent) {
                self.add(parent.clone(), 0o755, PhysicalKind::Directory);
                made.push(parent);
            }
        }
    }

    fn add_state(&mut self, deployment: &Deployment) -> Result<(), ComposefsError> {
        let deploy = format!("state/deploy/{}", deployment.id);
        for directory in ["ostree", "state", "state/deploy", &deploy] {
            self.add(directory, 0o755, PhysicalKind::Directory);
        }
        self.add("ostree/bootc", 0o777, PhysicalKind::Symlink(b"../composefs/bootc".to_vec()));
        self.copy("etc", &format!("{deploy}/etc"))?;
        self.add(format!("{deploy}/var"), 0o777, PhysicalKind::Symlink(b"../../os/default/var".to_vec()));
        let origin = PhysicalKind::Bytes(deployment.origin().into_bytes());
        self.add(format!("{deploy}/{}.origin", deployment.id), 0o644, origin);
        for directory in ["state/os", "state/os/default"] {
            self.add(directory, 0o755, PhysicalKind::Directory);
        }
        self.copy("var", SHARED_VAR)
    }

    /// Adds something that is not copied from the image.
    fn add(&mut self, path: impl Into<String>, mode: u16, kind: PhysicalKind) {
        let path = path.into();
        let mut metadata = Metadata { mtime: self.mtime, ..Metadata::with_mode(mode) };
        if let Some(policy) = &mut self.policy {
            let policy_path = match path.strip_prefix(REPOSITORY) {
                Some(below) => format!("/usr{below}"),
                None => format!("/{path}"),
            };
            if let Some(label) = policy.lookup(policy_path.as_bytes(), kind.file_kind()) {
                metadata.xattrs.insert(SELINUX_XATTR, label.as_bytes());
            }
        }
        self.entries.push(PhysicalEntry { path: path.into_bytes(), metadata, kind });
    }

    /// Adds a copy of one of the image's directories.
    fn copy(&mut self, from: &'static str, to: &str) -> Result<(), ComposefsError> {
        let tree = &self.repository.root;
        let is_directory = tree.lookup(from).is_some_and(|id| tree.node(id).children().is_some());
        if !is_directory {
            return Err(ComposefsError::NoDirectory { name: from });
        }
        let mut first_names: BTreeMap<NodeId, Vec<u8>> = BTreeMap::new();
        for entry in tree.walk_from(from) {
            if is_left_out(&entry) {
                continue;
            }
            let path = [to.as_bytes(), &entry.path[from.len()..]].concat();
            let kind = match first_names.get(&entry.id) {
                Some(first) => PhysicalKind::HardLink(first.clone()),
                None => self.kind(&entry)?,
            };
            if entry.node.links() > 1 {
                first_names.entry(entry.id).or_insert_with(|| path.clone());
            }
            self.entries.push(PhysicalEntry { path, metadata: entry.node.metadata().clone(), kind });
        }
        Ok(())
    }

    fn kind(&self, entry: &WalkEntry<'_>) -> Result<PhysicalKind, ComposefsError> {
        Ok(match entry.node.kind() {
            Kind::Directory(_) => PhysicalKind::Directory,
            Kind::File(content) => match self.repository.contents.stored(content) {
                Some(Stored::Inline(bytes)) => PhysicalKind::Bytes(bytes.to_vec()),
                Some(Stored::Object { digest, size }) => PhysicalKind::Copy { digest, size },
                None => return Err(ComposefsError::NoContent { path: Lossy::from(&*entry.path) }),
            },
            Kind::Symlink(target) => PhysicalKind::Symlink(target.to_vec()),
            Kind::CharDevice { major, minor } => PhysicalKind::CharDevice { major: *major, minor: *minor },
            Kind::BlockDevice { major, minor } => PhysicalKind::BlockDevice { major: *major, minor: *minor },
            Kind::Fifo => PhysicalKind::Fifo,
        })
    }
}

/// With `/etc/.updated` there, systemd takes `/etc` for up to date and makes no users on the first boot.
fn is_left_out(entry: &WalkEntry<'_>) -> bool {
    entry.path == b"etc/.updated" && entry.node.children().is_none()
}

impl PhysicalKind {
    fn file_kind(&self) -> FileKind {
        match self {
            Self::Directory => FileKind::Directory,
            Self::Object { .. } | Self::Copy { .. } | Self::Bytes(_) | Self::HardLink(_) => FileKind::Regular,
            Self::Symlink(_) => FileKind::Symlink,
            Self::CharDevice { .. } => FileKind::CharDevice,
            Self::BlockDevice { .. } => FileKind::BlockDevice,
            Self::Fifo => FileKind::Fifo,
        }
    }
}
