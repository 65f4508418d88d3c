//! The files that must be read, collected first so that each layer is read once.

use std::collections::BTreeMap;
use std::io::Read as _;

use super::kernel::candidates;
use super::{LintError, files};
use crate::oci::layer::Lossy;
use crate::oci::tree::{Content, NodeId, TreeError};
use crate::oci::{ImageTree, LayerSource};

/// No configuration file is larger.
const TEXT: u64 = 4 << 20;

/// No kernel and no initramfs is larger: half of what the usual EFI partition holds.
const PROGRAM: u64 = 512 << 20;

/// Most bytes of all files together: a kernel, an initramfs and plenty of text.
const TOTAL: u64 = 2 * PROGRAM;

/// Enough of a program to tell a script.
const HEAD: u64 = 2;

/// Configuration files by path.
const FILES: &[&str] = &[
    "etc/fstab",
    "etc/group",
    "etc/machine-id",
    "etc/os-release",
    "etc/ostree/prepare-root.conf",
    "etc/passwd",
    "usr/lib/composefs/setup-root-conf.toml",
    "usr/lib/group",
    "usr/lib/os-release",
    "usr/lib/ostree/prepare-root.conf",
    "usr/lib/passwd",
    "var/lib/dbus/machine-id",
];

/// Folders whose files of this ending are read.
const FOLDERS: &[(&str, &str)] = &[
    ("etc/tmpfiles.d", ".conf"),
    ("usr/lib/bootc/kargs.d", ".toml"),
    ("usr/lib/sysusers.d", ".conf"),
    ("usr/lib/tmpfiles.d", ".conf"),
];

/// How much of a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// All of it, and it must not be larger than this.
    Whole(u64),
    /// Its beginning.
    Head,
}

/// Contents by file.
#[derive(Debug)]
pub(super) struct Contents(BTreeMap<NodeId, Vec<u8>>);

impl Contents {
    /// Reads what the checks look into.
    ///
    /// # Errors
    /// When a layer cannot be read, or files are larger than their kind ever is.
    pub(super) fn read(tree: &ImageTree, layers: &dyn LayerSource) -> Result<Self, LintError> {
        let wanted = wanted(tree)?;
        let mut found = BTreeMap::new();
        tree.visit_contents(
            layers,
            |id, _| wanted.contains_key(&id),
            |visit| {
                let limit = match wanted[&visit.id] {
                    Wanted::Whole(limit) => limit,
                    Wanted::Head => HEAD,
                };
                let mut bytes = Vec::new();
                visit.content.take(limit).read_to_end(&mut bytes)?;
                found.insert(visit.id, bytes);
                Ok(())
            },
        )?;
        Ok(Self(found))
    }

    pub(super) fn get(&self, file: NodeId) -> Option<&[u8]> {
        self.0.get(&file).map(Vec::as_slice)
    }
}

fn wanted(tree: &ImageTree) -> Result<BTreeMap<NodeId, Wanted>, LintError> {
    let mut wanted: BTreeMap<NodeId, Wanted> =
        tree.walk().filter(|entry| files::is_setuid(entry.node)).map(|entry| (entry.id, Wanted::Head)).collect();
    let fixed = FILES.iter().map(|path| (path.as_bytes().to_vec(), TEXT));
    let listed = FOLDERS.iter().flat_map(|(folder, suffix)| files_in(tree, folder, suffix)).map(|path| (path, TEXT));
    let mut total = 0;
    for (path, limit) in fixed.chain(listed).chain(of_kernel(tree)) {
        let Some(id) = tree.resolve(&path) else { continue };
        let Some(size) = tree.node(id).content().map(Content::size) else { continue };
        if size > limit {
            return Err(TreeError::TooLarge { path: Lossy::from(&*path), size, limit }.into());
        }
        total += size;
        wanted.insert(id, Wanted::Whole(limit));
    }
    if total > TOTAL { Err(LintError::TooMuch { bytes: total, limit: TOTAL }) } else { Ok(wanted) }
}

/// Files of the kernel, where there is exactly one: of several none is looked into.
fn of_kernel(tree: &ImageTree) -> Vec<(Vec<u8>, u64)> {
    let mut files: Vec<_> = match candidates(tree).as_slice() {
        [only] => [&only.program, &only.initramfs].map(|path| (path.clone(), PROGRAM)).to_vec(),
        _ => return Vec::new(),
    };
    let lists = kernel_folders(tree).into_iter().map(|folder| [&folder, b"modules.builtin".as_slice()].join(&b'/'));
    files.extend(lists.map(|path| (path, TEXT)));
    files
}

/// Paths of the entries of `folder` that end in `suffix`, in byte order; of whatever kind they are.
pub(super) fn files_in(tree: &ImageTree, folder: &str, suffix: &str) -> Vec<Vec<u8>> {
    let Some(id) = tree.resolve(folder) else { return Vec::new() };
    let names = tree.children(id).map(|child| child.name).filter(|name| name.ends_with(suffix.as_bytes()));
    names.map(|name| [folder.as_bytes(), name].join(&b'/')).collect()
}

/// Folders below `/usr/lib/modules`, links left out as bootc does.
pub(super) fn kernel_folders(tree: &ImageTree) -> Vec<Vec<u8>> {
    const MODULES: &str = "usr/lib/modules";
    let Some(id) = tree.resolve(MODULES) else { return Vec::new() };
    let folders = tree.children(id).filter(|child| child.node.children().is_some());
    folders.map(|child| [MODULES.as_bytes(), child.name].join(&b'/')).collect()
}
