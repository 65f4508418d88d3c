//! Folders that stay as the image below has them.

use crate::oci::ImageTree;
use crate::oci::tree::{Kind, NewNode, Node, TreeError};

/// Makes `folder` of `tree` what it is in `base`, all but `except` and what is below it.
///
/// What an image that was taken from elsewhere has in `/var` or `/dev` is its own affair: an image on top
/// of it neither keeps what building left there nor takes anything away.
pub(super) fn restore(tree: &mut ImageTree, base: &ImageTree, folder: &str, except: &[&str]) -> Result<(), TreeError> {
    let excepted =
        |path: &[u8]| except.iter().any(|root| path.strip_prefix(root.as_bytes()).is_some_and(begins_component));
    let leads_there = |path: &[u8]| {
        except.iter().any(|root| root.as_bytes().strip_prefix(path).is_some_and(|rest| rest.starts_with(b"/")))
    };
    let present: Vec<_> = tree.walk_from(folder).map(|entry| entry.path).collect();
    for path in present.iter().filter(|path| !excepted(path) && base.lookup(path).is_none()) {
        let needed = leads_there(path) && except.iter().any(|root| tree.lookup(root).is_some());
        if !needed {
            tree.remove(path)?;
        }
    }
    for entry in base.walk_from(folder).filter(|entry| !excepted(&entry.path)) {
        let found = tree.lookup(&entry.path).map(|id| tree.node(id));
        if found.is_some_and(|node| is_same(node, entry.node)) {
            continue;
        }
        if found.is_some_and(|node| node.children().is_some() != entry.node.children().is_some()) {
            tree.remove(&entry.path)?;
        }
        tree.insert(&entry.path, copy(entry.node), entry.node.metadata().clone())?;
    }
    Ok(())
}

fn begins_component(rest: &[u8]) -> bool {
    rest.is_empty() || rest.starts_with(b"/")
}

/// Whether nothing touched a file, or the metadata of a folder. What was written anew counts as another file,
/// even when the bytes are equal.
pub(super) fn is_same(node: &Node, base: &Node) -> bool {
    let same_kind = match (node.kind(), base.kind()) {
        (Kind::Directory(_), Kind::Directory(_)) | (Kind::Fifo, Kind::Fifo) => true,
        (Kind::File(one), Kind::File(other)) => one == other,
        (Kind::Symlink(one), Kind::Symlink(other)) => one == other,
        (Kind::CharDevice { major, minor }, Kind::CharDevice { major: a, minor: b })
        | (Kind::BlockDevice { major, minor }, Kind::BlockDevice { major: a, minor: b }) => (major, minor) == (a, b),
        _ => false,
    };
    same_kind && node.metadata() == base.metadata()
}

fn copy(node: &Node) -> NewNode {
    match node.kind() {
        Kind::Directory(_) => NewNode::Directory,
        Kind::File(content) => NewNode::File(content.clone()),
        Kind::Symlink(target) => NewNode::Symlink(target.to_vec()),
        &Kind::CharDevice { major, minor } => NewNode::CharDevice { major, minor },
        &Kind::BlockDevice { major, minor } => NewNode::BlockDevice { major, minor },
        Kind::Fifo => NewNode::Fifo,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::layer::Metadata;

    fn tree(files: &[(&str, &str)]) -> ImageTree {
        let mut tree = ImageTree::new();
        for (path, text) in files {
            tree.insert_file(path, text.as_bytes().to_vec(), Metadata::with_mode(0o644)).unwrap();
        }
        tree
    }

    fn paths(tree: &ImageTree) -> Vec<String> {
        tree.walk().map(|entry| String::from_utf8(entry.path).unwrap()).skip(1).collect()
    }

    #[test]
    fn what_was_added_goes_and_what_was_changed_or_taken_comes_back() {
        let base = tree(&[("var/lib/a", "1"), ("var/lib/b/c", "2"), ("var/lib/d", "3"), ("usr/x", "4")]);
        let mut changed = base.clone();
        changed.remove("var/lib/a").unwrap();
        changed.remove("var/lib/b").unwrap();
        changed.insert_file("var/lib/b", b"now a file".to_vec(), Metadata::with_mode(0o644)).unwrap();
        changed.insert_file("var/lib/d", b"changed".to_vec(), Metadata::with_mode(0o600)).unwrap();
        changed.insert_file("var/log/new", b"".to_vec(), Metadata::with_mode(0o644)).unwrap();
        changed.insert_file("usr/new", b"".to_vec(), Metadata::with_mode(0o644)).unwrap();
        restore(&mut changed, &base, "var", &[]).unwrap();
        let mut expected = base.clone();
        expected.insert_file("usr/new", b"".to_vec(), Metadata::with_mode(0o644)).unwrap();
        assert_eq!(paths(&changed), paths(&expected));
        for entry in base.walk() {
            assert!(is_same(changed.node(changed.lookup(&entry.path).unwrap()), entry.node), "{:?}", entry.path);
        }
    }

    #[test]
    fn exceptions_stay_as_they_are_with_the_folders_that_lead_to_them() {
        let base = tree(&[("var/lib/rpm/db", "old")]);
        let mut changed =
            tree(&[("var/lib/dpkg/status", "new"), ("var/lib/dpkg-x", "left"), ("var/lib/other/x", "left")]);
        restore(&mut changed, &base, "var", &["var/lib/dpkg", "var/lib/rpm"]).unwrap();
        assert_eq!(paths(&changed), ["var", "var/lib", "var/lib/dpkg", "var/lib/dpkg/status"]);
        let mut without = tree(&[("var/lib/other/x", "left")]);
        restore(&mut without, &ImageTree::new(), "var", &["var/lib/dpkg"]).unwrap();
        assert_eq!(paths(&without), Vec::<String>::new());
    }
}
