//! What is in a merged tree, and what is in a folder, in the same words.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use imgbuild::oci::layer::UnpackLimits;
use imgbuild::oci::tree::{Kind, MergePolicy};
use imgbuild::oci::{Image, ImageTree, Layout};

/// Every path with kind, mode, owner, time and content; hard links by a number shared between their paths.
pub(crate) type Listing = BTreeMap<Vec<u8>, String>;

pub(crate) fn list_tree(image: &Image, layout: &Layout) -> Listing {
    let source = image.layer_source(layout, UnpackLimits::default());
    let tree = ImageTree::from_layers(&source, &MergePolicy::default()).unwrap();
    let mut contents = BTreeMap::new();
    tree.visit_contents(
        &source,
        |_, _| true,
        |visit| {
            let mut text = String::new();
            visit.content.read_to_string(&mut text)?;
            contents.insert(visit.id, text);
            Ok(())
        },
    )
    .unwrap();
    let mut first = BTreeMap::new();
    let mut listing = Listing::new();
    for entry in tree.walk().skip(1) {
        let metadata = entry.node.metadata();
        let what = match entry.node.kind() {
            Kind::Directory(_) => "dir".to_owned(),
            Kind::File(_) => format!("file {}", contents[&entry.id]),
            Kind::Symlink(target) => format!("link {}", String::from_utf8_lossy(target)),
            Kind::CharDevice { major, minor } => format!("char {major}:{minor}"),
            Kind::BlockDevice { major, minor } => format!("block {major}:{minor}"),
            Kind::Fifo => "fifo".to_owned(),
        };
        let shared = first.entry(entry.id).or_insert_with(|| entry.path.clone()).clone();
        let line =
            format!("{what} {} same as {:?}", owner(metadata.mode.into(), metadata.uid, metadata.gid, &what), shared);
        listing.insert(entry.path, line);
    }
    listing
}

/// Links have no mode of their own on Linux.
fn owner(mode: u32, uid: u32, gid: u32, what: &str) -> String {
    let mode = if what.starts_with("link") { 0 } else { mode };
    format!("{mode:o} {uid}:{gid}")
}

pub(crate) fn list_folder(root: &Path) -> Listing {
    let mut listing = Listing::new();
    let mut first = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    let mut paths = Vec::new();
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.symlink_metadata().unwrap().is_dir() {
                pending.push(path.clone());
            }
            paths.push(path);
        }
    }
    // As the tree walks: by components.
    paths.sort();
    for path in paths {
        let metadata = path.symlink_metadata().unwrap();
        let kind = metadata.file_type();
        let device = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
        let what = if kind.is_dir() {
            "dir".to_owned()
        } else if kind.is_file() {
            format!("file {}", std::fs::read_to_string(&path).unwrap())
        } else if kind.is_symlink() {
            format!("link {}", std::fs::read_link(&path).unwrap().display())
        } else if kind.is_char_device() {
            format!("char {}:{}", device.0, device.1)
        } else if kind.is_block_device() {
            format!("block {}:{}", device.0, device.1)
        } else {
            "fifo".to_owned()
        };
        let mode = metadata.permissions().mode() & 0o7777;
        let relative = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        let shared = first.entry(metadata.ino()).or_insert_with(|| relative.clone()).clone();
        let line = format!("{what} {} same as {:?}", owner(mode, metadata.uid(), metadata.gid(), &what), shared);
        listing.insert(relative, line);
    }
    listing
}
