//! The tree of names to be written: flat tables, some hundred bytes per file.

use std::collections::BTreeMap;

use crate::oci::layer::{Lossy, Metadata, Mtime, Xattrs};

use super::content::Content;
use super::error::{Error, NameProblem};

/// Names of one file, at most (`EXT4_LINK_MAX`; directory.rst).
pub(super) const MOST_LINKS: u32 = 65_000;
/// The directory `e2fsck` puts finds into; every file system has it.
pub(super) const LOST_FOUND: &[u8] = b"lost+found";
/// Device numbers have 12 and 20 bits (`new_encode_dev`).
const MOST_MAJOR: u32 = 0xfff;
const MOST_MINOR: u32 = 0xf_ffff;

/// A file of any kind in a [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    /// The root directory.
    pub const ROOT: Self = Self(0);

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }

    pub(super) const fn from_number(number: u32) -> Self {
        Self(number)
    }

    pub(super) const fn number(self) -> u32 {
        self.0
    }
}

/// What kind of file is added.
#[derive(Debug)]
#[expect(missing_docs, reason = "the variants name their fields")]
pub enum Node {
    /// An empty directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link and the bytes it holds.
    Symlink(Vec<u8>),
    /// A character device.
    CharDevice { major: u32, minor: u32 },
    /// A block device.
    BlockDevice { major: u32, minor: u32 },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// A [`Node`] with all that belongs to its inode.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Mtime,
    /// Which of the tree's sets of attributes.
    pub(super) xattrs: u32,
    /// Names; of a directory, subdirectories.
    pub(super) links: u32,
}

#[derive(Debug)]
pub(super) enum Kind {
    Directory(Box<Directory>),
    File(Content),
    Symlink(Box<[u8]>),
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Fifo,
    Socket,
}

impl Kind {
    /// The type bits of the mode (inodes.rst, `i_mode`), and the type in a directory (directory.rst).
    pub(super) const fn types(&self) -> (u16, u8) {
        match self {
            Self::File(_) => (0x8000, 1),
            Self::Directory(_) => (0x4000, 2),
            Self::CharDevice { .. } => (0x2000, 3),
            Self::BlockDevice { .. } => (0x6000, 4),
            Self::Fifo => (0x1000, 5),
            Self::Socket => (0xc000, 6),
            Self::Symlink(_) => (0xa000, 7),
        }
    }
}

#[derive(Debug)]
pub(super) struct Directory {
    pub(super) parent: NodeId,
    pub(super) entries: Vec<Entry>,
}

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Where the name is in [`Tree::names`].
    start: usize,
    length: u8,
    pub(super) node: NodeId,
}

/// Directories and all they hold, growing from the root.
#[derive(Debug)]
pub struct Tree {
    items: Vec<Item>,
    /// All names, one behind the other.
    names: Vec<u8>,
    xattrs: Vec<Xattrs>,
    known_xattrs: BTreeMap<Xattrs, u32>,
}

impl Tree {
    /// A tree with nothing but its root.
    pub fn new(root: &Metadata) -> Self {
        let mut tree = Self { items: Vec::new(), names: Vec::new(), xattrs: Vec::new(), known_xattrs: BTreeMap::new() };
        let item = tree.item(directory(NodeId::ROOT), root);
        tree.items.push(item);
        tree
    }

    /// Adds a file to the directory `parent`. That a name exists already is found only when the tree is written.
    pub fn add(&mut self, parent: NodeId, name: &[u8], metadata: &Metadata, node: Node) -> Result<NodeId, Error> {
        let id = NodeId(u32::try_from(self.items.len()).map_err(|_| Error::Inodes { found: self.items.len() as u64 })?);
        let kind = kind(parent, name, node)?;
        let is_directory = matches!(kind, Kind::Directory(_));
        self.enter(parent, name, id)?;
        self.items[parent.index()].links += u32::from(is_directory);
        let item = self.item(kind, metadata);
        self.items.push(item);
        Ok(id)
    }

    /// Gives a file that exists one more name.
    pub fn link(&mut self, parent: NodeId, name: &[u8], file: NodeId) -> Result<(), Error> {
        let item = &self.items[file.index()];
        if matches!(item.kind, Kind::Directory(_)) {
            return Err(Error::DirectoryLink { name: name.into() });
        }
        if item.links >= MOST_LINKS {
            return Err(Error::Links { path: self.joined(parent, name), links: item.links + 1 });
        }
        self.enter(parent, name, file)?;
        self.items[file.index()].links += 1;
        Ok(())
    }

    /// Replaces owner, mode, time and attributes.
    pub fn set_metadata(&mut self, node: NodeId, metadata: &Metadata) {
        let xattrs = self.intern(&metadata.xattrs);
        let item = &mut self.items[node.index()];
        (item.mode, item.uid, item.gid) = (metadata.mode & 0o7777, metadata.uid, metadata.gid);
        (item.mtime, item.xattrs) = (metadata.mtime, xattrs);
    }

    /// Makes sure of `lost+found` and returns it.
    pub(super) fn ensure_lost_found(&mut self) -> Result<NodeId, Error> {
        let Kind::Directory(root) = &self.items[0].kind else { unreachable!("the root is made as a directory") };
        match root.entries.iter().find(|entry| self.name(entry) == LOST_FOUND).map(|entry| entry.node) {
            Some(found) if matches!(self.items[found.index()].kind, Kind::Directory(_)) => Ok(found),
            Some(_) => Err(Error::LostFound),
            None => {
                let root = &self.items[0];
                let metadata = Metadata { mtime: root.mtime, ..Metadata::with_mode(0o700) };
                self.add(NodeId::ROOT, LOST_FOUND, &metadata, Node::Directory)
            }
        }
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// The sets of attributes that items refer to.
    pub(super) fn xattrs(&self) -> &[Xattrs] {
        &self.xattrs
    }

    pub(super) fn name(&self, entry: &Entry) -> &[u8] {
        &self.names[entry.start..entry.start + usize::from(entry.length)]
    }

    /// A directory's content.
    pub(super) fn directory(&self, id: NodeId) -> Option<&Directory> {
        match &self.items[id.index()].kind {
            Kind::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    /// A path for messages; looks through the whole tree.
    pub(super) fn path_of(&self, node: NodeId) -> Lossy {
        if node == NodeId::ROOT {
            return Lossy((*b"/").into());
        }
        let named = self.items.iter().enumerate().find_map(|(parent, item)| match &item.kind {
            Kind::Directory(directory) => directory.entries.iter().find(|e| e.node == node).map(|e| (parent, e)),
            _ => None,
        });
        let (parent, entry) = named.expect("every node but the root is entered when it is added");
        self.joined(NodeId(u32::try_from(parent).expect("nodes are counted in 32 bits")), self.name(entry))
    }

    /// The path of a name in a directory.
    pub(super) fn joined(&self, parent: NodeId, name: &[u8]) -> Lossy {
        let mut path = if parent == NodeId::ROOT { Vec::new() } else { self.path_of(parent).0.into_vec() };
        path.push(b'/');
        path.extend_from_slice(name);
        Lossy(path.into())
    }

    fn item(&mut self, kind: Kind, metadata: &Metadata) -> Item {
        let links = u32::from(!matches!(kind, Kind::Directory(_)));
        let Metadata { mode, uid, gid, mtime, ref xattrs } = *metadata;
        Item { kind, mode: mode & 0o7777, uid, gid, mtime, xattrs: self.intern(xattrs), links }
    }

    fn intern(&mut self, xattrs: &Xattrs) -> u32 {
        if let Some(known) = self.known_xattrs.get(xattrs) {
            return *known;
        }
        let id = u32::try_from(self.xattrs.len()).expect("there are no more sets than nodes");
        self.xattrs.push(xattrs.clone());
        self.known_xattrs.insert(xattrs.clone(), id);
        id
    }

    fn enter(&mut self, parent: NodeId, name: &[u8], node: NodeId) -> Result<(), Error> {
        let length = check_name(name).map_err(|problem| Error::Name { name: name.into(), problem })?;
        let Kind::Directory(directory) = &mut self.items[parent.index()].kind else {
            return Err(Error::NotDirectory { name: name.into() });
        };
        directory.entries.push(Entry { start: self.names.len(), length, node });
        self.names.extend_from_slice(name);
        Ok(())
    }
}

fn directory(parent: NodeId) -> Kind {
    Kind::Directory(Box::new(Directory { parent, entries: Vec::new() }))
}

/// Checks what the format cannot hold.
fn kind(parent: NodeId, name: &[u8], node: Node) -> Result<Kind, Error> {
    let device = |major, minor| {
        let fits = major <= MOST_MAJOR && minor <= MOST_MINOR;
        if fits { Ok(()) } else { Err(Error::Device { name: name.into(), major, minor }) }
    };
    Ok(match node {
        Node::Directory => directory(parent),
        Node::File(content) => Kind::File(content),
        Node::Symlink(target) if (1..super::BLOCK).contains(&target.len()) => Kind::Symlink(target.into()),
        Node::Symlink(target) => return Err(Error::Symlink { name: name.into(), length: target.len() }),
        Node::CharDevice { major, minor } => device(major, minor).map(|()| Kind::CharDevice { major, minor })?,
        Node::BlockDevice { major, minor } => device(major, minor).map(|()| Kind::BlockDevice { major, minor })?,
        Node::Fifo => Kind::Fifo,
        Node::Socket => Kind::Socket,
    })
}

/// The length of a name that may stand in a directory.
fn check_name(name: &[u8]) -> Result<u8, NameProblem> {
    match name {
        b"" => Err(NameProblem::Empty),
        b"." | b".." => Err(NameProblem::Dots),
        _ if name.contains(&b'/') || name.contains(&0) => Err(NameProblem::Separator),
        _ => u8::try_from(name.len()).map_err(|_| NameProblem::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_format_cannot_hold_is_refused_with_its_reason() {
        let metadata = Metadata::with_mode(0o644);
        let mut tree = Tree::new(&metadata);
        let file = tree.add(NodeId::ROOT, b"file", &metadata, Node::Fifo).unwrap();
        let long = [b'a'; 256];
        for (parent, name, node, expected) in [
            (NodeId::ROOT, &b""[..], Node::Fifo, "it is empty"),
            (NodeId::ROOT, b"..", Node::Fifo, "its parent"),
            (NodeId::ROOT, b"a/b", Node::Fifo, "a slash"),
            (NodeId::ROOT, b"a\0b", Node::Fifo, "zero byte"),
            (NodeId::ROOT, &long, Node::Fifo, "longer than 255"),
            (NodeId::ROOT, b"s", Node::Symlink(Vec::new()), "0 bytes"),
            (NodeId::ROOT, b"s", Node::Symlink(vec![b'a'; 4096]), "4096 bytes"),
            (NodeId::ROOT, b"d", Node::CharDevice { major: 4096, minor: 0 }, "4096:0"),
            (NodeId::ROOT, b"d", Node::BlockDevice { major: 0, minor: 1 << 20 }, "0:1048576"),
            (file, b"x", Node::Fifo, "no directory"),
        ] {
            let message = tree.add(parent, name, &metadata, node).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        assert!(tree.link(NodeId::ROOT, b"root", NodeId::ROOT).is_err());
    }

    #[test]
    fn the_65001st_name_is_refused() {
        let metadata = Metadata::with_mode(0o644);
        let mut tree = Tree::new(&metadata);
        let folder = tree.add(NodeId::ROOT, b"d", &metadata, Node::Directory).unwrap();
        let file = tree.add(NodeId::ROOT, b"f", &metadata, Node::Fifo).unwrap();
        for link in 1..MOST_LINKS {
            tree.link(folder, format!("{link}").as_bytes(), file).unwrap();
        }
        let error = tree.link(folder, b"x", file).unwrap_err();
        assert_eq!(error.to_string(), "`/d/x` would be name 65001 of one file; the most is 65000");
    }

    #[test]
    fn files_cost_little_memory() {
        assert!(size_of::<Item>() <= 128, "{}", size_of::<Item>());
        assert!(size_of::<Entry>() <= 16, "{}", size_of::<Entry>());
    }
}
