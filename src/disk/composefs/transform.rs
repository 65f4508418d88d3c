//! From a merged image to what is mounted: the two transformations that come before the digest.
//!
//! The same, step for step, as `transform_for_oci` and `transform_for_boot` of composefs-rs 0.9 with its default of
//! keeping only listed attributes; a tool that computes an id from the same layers has to find the same one.

use std::collections::BTreeMap;

use super::error::ComposefsError;
use super::selinux::{FileContexts, FileKind, SELINUX_XATTR};
use crate::oci::ImageTree;
use crate::oci::layer::{Metadata, Xattrs};
use crate::oci::tree::{Kind, NewNode, Node, NodeId};

/// Attributes that belong to an image. All others come from wherever it was built.
const KEPT_XATTRS: &[&[u8]] = &[b"security.capability"];

/// Directories every image has to have, whose content is not part of the mounted system: the signed
/// kernel image in `/boot` names the id and cannot be part of it.
const EMPTIED: [&str; 2] = ["boot", "sysroot"];

/// The root directory's metadata becomes that of `/usr`, because layers may or may not have an entry for the root;
/// `/run` is emptied; of the attributes only capabilities stay.
///
/// # Errors
/// When `/usr` is not a directory, or `/run` is there and not one.
pub(super) fn for_oci(tree: &mut ImageTree) -> Result<(), ComposefsError> {
    let usr = tree.node(directory(tree, "usr")?).metadata().clone();
    *tree.node_metadata_mut(NodeId::ROOT) = usr;
    if tree.lookup("run").is_some() {
        empty(tree, "run")?;
    }
    filter_xattrs(tree);
    Ok(())
}

/// `/boot` and `/sysroot` are emptied; everything is labelled by the image's policy, or by none.
///
/// # Errors
/// When `/usr`, `/boot` or `/sysroot` is not a directory.
pub(super) fn for_boot(tree: &mut ImageTree, policy: Option<&mut FileContexts>) -> Result<(), ComposefsError> {
    for name in EMPTIED {
        empty(tree, name)?;
    }
    // Labels that were in the layers went with the other attributes.
    match policy {
        Some(policy) => Labels { policy, linked: BTreeMap::new(), plain: BTreeMap::new() }.apply(tree),
        None => Ok(()),
    }
}

/// A tree of nothing but what is at `path`; a file with several names there becomes several files.
///
/// # Errors
/// None but for paths a tree does not have.
pub(super) fn subtree(tree: &ImageTree, path: &str) -> Result<ImageTree, ComposefsError> {
    let mut part = ImageTree::new();
    for entry in tree.walk_from(path) {
        part.insert(&entry.path, copy_of(entry.node), entry.node.metadata().clone())?;
    }
    Ok(part)
}

fn directory(tree: &ImageTree, name: &'static str) -> Result<NodeId, ComposefsError> {
    let found = tree.lookup(name).filter(|id| tree.node(*id).children().is_some());
    found.ok_or(ComposefsError::NoDirectory { name })
}

/// Takes everything out of a directory, whose time becomes that of `/usr`.
fn empty(tree: &mut ImageTree, name: &'static str) -> Result<(), ComposefsError> {
    let usr = directory(tree, "usr")?;
    let mtime = tree.node(usr).metadata().mtime;
    let id = directory(tree, name)?;
    let paths: Vec<Vec<u8>> = tree.children(id).map(|child| [name.as_bytes(), b"/", child.name].concat()).collect();
    for path in paths {
        tree.remove(path)?;
    }
    tree.node_metadata_mut(id).mtime = mtime;
    Ok(())
}

fn filter_xattrs(tree: &mut ImageTree) {
    let is_kept = |name: &[u8]| KEPT_XATTRS.contains(&name);
    let has_others = |node: &Node| node.metadata().xattrs.iter().any(|(name, _)| !is_kept(name));
    let ids: Vec<NodeId> = tree.walk().filter(|entry| has_others(entry.node)).map(|entry| entry.id).collect();
    for id in ids {
        let xattrs = &mut tree.node_metadata_mut(id).xattrs;
        *xattrs = xattrs.iter().filter(|(name, _)| is_kept(name)).collect();
    }
}

/// Labelling in progress.
struct Labels<'p> {
    policy: &'p mut FileContexts,
    /// The label the first name of a hard-linked file gave it.
    linked: BTreeMap<NodeId, Option<Box<str>>>,
    /// Attribute sets of nothing but a label, shared.
    plain: BTreeMap<Box<str>, Xattrs>,
}

/// A directory to label. Its path for the policy may be another one than its own, by substitution.
struct Place {
    id: NodeId,
    path: Vec<u8>,
    policy_path: Vec<u8>,
}

impl Labels<'_> {
    fn apply(mut self, tree: &mut ImageTree) -> Result<(), ComposefsError> {
        let label = self.policy.lookup(b"/", FileKind::Directory).map(Box::from);
        self.set(tree.node_metadata_mut(NodeId::ROOT), label.as_deref());
        self.directory(tree, &Place { id: NodeId::ROOT, path: Vec::new(), policy_path: b"/".to_vec() })
    }

    fn set(&mut self, metadata: &mut Metadata, label: Option<&str>) {
        match label {
            None => metadata.xattrs.remove(SELINUX_XATTR),
            Some(label) if metadata.xattrs.is_empty() => {
                let shared = self.plain.entry(label.into()).or_default();
                if shared.is_empty() {
                    shared.insert(SELINUX_XATTR, label.as_bytes());
                }
                metadata.xattrs = shared.clone();
            }
            Some(label) => metadata.xattrs.insert(SELINUX_XATTR, label.as_bytes()),
        }
    }

    /// Labels what is in a directory, in byte order: the first name of a hard-linked file counts.
    fn directory(&mut self, tree: &mut ImageTree, place: &Place) -> Result<(), ComposefsError> {
        let children: Vec<(Box<[u8]>, NodeId)> =
            tree.children(place.id).map(|child| (child.name.into(), child.id)).collect();
        for (name, id) in children {
            let policy_path = self.policy.substitute(below(&place.policy_path, &name));
            let child = Place { id, path: below(&place.path, &name), policy_path };
            let kind = FileKind::of(tree.node(id).kind());
            let label: Option<Box<str>> = self.policy.lookup(&child.policy_path, kind).map(Box::from);
            if kind == FileKind::Directory {
                self.set(tree.node_metadata_mut(id), label.as_deref());
                self.directory(tree, &child)?;
            } else {
                self.leaf(tree, &child, label.as_deref())?;
            }
        }
        Ok(())
    }

    /// A hard-linked file whose names want different labels becomes two files.
    fn leaf(&mut self, tree: &mut ImageTree, place: &Place, label: Option<&str>) -> Result<(), ComposefsError> {
        let mut id = place.id;
        if tree.node(id).links() > 1 {
            match self.linked.get(&id) {
                None => {
                    self.linked.insert(id, label.map(Box::from));
                }
                Some(first) if first.as_deref() == label => return Ok(()),
                Some(_) => {
                    let node = tree.node(id);
                    let (copy, metadata) = (copy_of(node), node.metadata().clone());
                    id = tree.insert(&place.path, copy, metadata)?;
                }
            }
        }
        self.set(tree.node_metadata_mut(id), label);
        Ok(())
    }
}

fn below(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if directory.is_empty() || directory.ends_with(b"/") { b"" } else { b"/" };
    [directory, slash, name].concat()
}

fn copy_of(node: &Node) -> NewNode {
    match node.kind() {
        Kind::Directory(_) => NewNode::Directory,
        Kind::File(content) => NewNode::File(content.clone()),
        Kind::Symlink(target) => NewNode::Symlink(target.to_vec()),
        Kind::CharDevice { major, minor } => NewNode::CharDevice { major: *major, minor: *minor },
        Kind::BlockDevice { major, minor } => NewNode::BlockDevice { major: *major, minor: *minor },
        Kind::Fifo => NewNode::Fifo,
    }
}

#[cfg(test)]
mod tests {
    use super::super::selinux::PolicyError;
    use super::*;
    use crate::oci::layer::Mtime;
    use crate::oci::tree::Content;

    const USR_TIME: Mtime = Mtime { seconds: 1_600_000_000, nanos: 123_456_789 };

    fn image() -> ImageTree {
        let mut tree = ImageTree::new();
        let plain = |mode| Metadata::with_mode(mode);
        let usr = Metadata { mtime: USR_TIME, gid: 7, ..plain(0o751) };
        tree.insert_dir("usr", usr).unwrap();
        for name in ["boot/efi", "sysroot/ostree", "run/lock", "etc"] {
            tree.insert_dir(name, plain(0o700)).unwrap();
        }
        for name in ["usr/a", "boot/efi/kernel", "run/x"] {
            tree.insert_file(name, *b"x", plain(0o644)).unwrap();
        }
        tree.link("usr/a", "usr/b").unwrap();
        tree.link("usr/a", "etc/c").unwrap();
        tree.link("usr/a", "etc/d").unwrap();
        let xattrs = &mut tree.metadata_mut("usr/a").unwrap().xattrs;
        for name in ["security.capability", "security.selinux", "user.x", "trusted.overlay.opaque"] {
            xattrs.insert(name.as_bytes(), b"value");
        }
        tree
    }

    fn transformed(policy: Option<&str>) -> ImageTree {
        let mut tree = image();
        for_oci(&mut tree).unwrap();
        let mut policy = policy.map(|text| {
            FileContexts::load(|name| Ok::<_, PolicyError>((name == "file_contexts").then(|| text.as_bytes().to_vec())))
                .unwrap()
        });
        for_boot(&mut tree, policy.as_mut()).unwrap();
        tree
    }

    fn label(tree: &ImageTree, path: &str) -> Option<String> {
        let node = tree.node(tree.lookup(path).unwrap());
        node.metadata().xattrs.get(SELINUX_XATTR).map(|label| String::from_utf8(label.to_vec()).unwrap())
    }

    #[test]
    fn what_is_not_mounted_is_emptied_and_the_root_is_as_usr() {
        let tree = transformed(None);
        let paths: Vec<String> = tree.walk().map(|entry| String::from_utf8(entry.path).unwrap()).collect();
        assert_eq!(paths, ["", "boot", "etc", "etc/c", "etc/d", "run", "sysroot", "usr", "usr/a", "usr/b"]);
        let root = tree.root().metadata();
        assert_eq!((root.mode, root.gid, root.mtime), (0o751, 7, USR_TIME));
        for name in ["boot", "run", "sysroot"] {
            let metadata = tree.node(tree.lookup(name).unwrap()).metadata();
            assert_eq!(metadata.mtime, USR_TIME, "{name}");
        }
    }

    #[test]
    fn boot_is_kept_by_itself() {
        let part = subtree(&image(), "boot").unwrap();
        let paths: Vec<String> = part.walk().map(|entry| String::from_utf8(entry.path).unwrap()).collect();
        assert_eq!(paths, ["", "boot", "boot/efi", "boot/efi/kernel"]);
        assert_eq!(part.node(part.lookup("boot/efi/kernel").unwrap()).content(), Some(&Content::from_bytes(*b"x")));
        assert_eq!(subtree(&image(), "none").unwrap().walk().count(), 1);
    }

    #[test]
    fn only_capabilities_are_kept() {
        let tree = transformed(None);
        let xattrs = &tree.node(tree.lookup("usr/a").unwrap()).metadata().xattrs;
        assert_eq!(xattrs.iter().collect::<Vec<_>>(), [(&b"security.capability"[..], &b"value"[..])]);
    }

    #[test]
    fn names_that_want_different_labels_become_files_of_their_own() {
        let tree = transformed(Some("/.* -- file\n/.* -d dir\n/etc/.* etc\n/usr -d <<none>>\n"));
        for (path, expected) in [
            ("", Some("dir")),
            ("usr", None),
            ("boot", Some("dir")),
            ("etc/c", Some("etc")),
            ("etc/d", Some("etc")),
            ("usr/a", Some("file")),
            ("usr/b", Some("file")),
        ] {
            assert_eq!(label(&tree, path).as_deref(), expected, "/{path}");
        }
        let id = |path| tree.lookup(path).unwrap();
        assert_eq!(id("etc/c"), id("etc/d"), "the first names agree");
        assert!(id("usr/a") != id("etc/c") && id("usr/b") != id("etc/c") && id("usr/a") != id("usr/b"));
        for path in ["etc/c", "usr/a", "usr/b"] {
            let node = tree.node(id(path));
            assert_eq!(node.content(), Some(&Content::from_bytes(*b"x")));
            assert!(node.metadata().xattrs.get(b"security.capability").is_some(), "{path}");
        }
    }

    #[test]
    fn an_image_without_the_directories_is_refused() {
        for (name, later) in [("usr", false), ("boot", true), ("sysroot", true)] {
            let mut tree = image();
            tree.remove(name).unwrap();
            tree.insert_symlink(name, "etc", Metadata::with_mode(0o777)).unwrap();
            let first = for_oci(&mut tree);
            let error = if later { for_boot(&mut tree, None).unwrap_err() } else { first.unwrap_err() };
            assert_eq!(error.to_string(), format!("the image has no directory `/{name}`"));
        }
    }
}
