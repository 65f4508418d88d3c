//! The nodes of the tree on the device: blocks of directories, links, extents and attributes.

use std::io::{Seek, Write};

use crate::oci::layer::Mtime;

use super::blocks_of;
use super::directory::Context;
use super::error::Error;
use super::extent::{self, Extents, Map, Root, sectors};
use super::finish::{RESERVED_INODES, SLOW_SYMLINK};
use super::inode::{self, Inode, XATTR_ROOM, flag};
use super::target::Target;
use super::tree::{Item, Kind, MOST_LINKS, NodeId};
use super::xattr::{self, Arrangement, MOST_SHARED, Problem};

/// What writing a node has brought.
#[derive(Debug, Default)]
struct Placed {
    /// The root of its extents, where it is more than the content says.
    root: Option<Box<Root>>,
    /// Blocks it owns, those of its attributes included.
    blocks: u64,
    xattr_block: u64,
    /// Attributes in the inode that no other node has.
    xattrs: Option<Box<[u8; XATTR_ROOM]>>,
    /// Blocks of a directory.
    length: u32,
    indexed: bool,
}

/// A value of an attribute in its own inode.
#[derive(Debug)]
struct Value {
    owner: NodeId,
    hash: u32,
    size: u64,
    blocks: u64,
    root: Box<Root>,
}

/// A set of attributes, as it is shared by the nodes that have it.
#[derive(Debug)]
struct Set {
    arrangement: Arrangement,
    /// Whether each node needs its own copy, because values have inodes.
    own: bool,
    inline: [u8; XATTR_ROOM],
    /// Nodes that are still to come.
    users: u32,
    /// The block for the next `room` of them.
    block: u64,
    room: u32,
}

/// All nodes, written but for their inodes.
#[derive(Debug)]
pub(super) struct Nodes {
    placed: Vec<Placed>,
    sets: Vec<Set>,
    values: Vec<Value>,
}

impl Nodes {
    /// Writes directories first, so that they lie together, then the rest.
    pub(super) fn place<W: Write + Seek>(context: &Context<'_>, target: &mut Target<W>) -> Result<Self, Error> {
        let items = context.tree.items();
        let mut nodes = Self { placed: Vec::with_capacity(items.len()), sets: sets(context)?, values: Vec::new() };
        for (id, item) in ids(items) {
            nodes.placed.push(match item.kind {
                Kind::Directory(_) => place_directory(context, id, target)?,
                _ => Placed::default(),
            });
        }
        for (id, item) in ids(items) {
            if !matches!(item.kind, Kind::Directory(_)) {
                nodes.placed[id.index()] = place_leaf(context, id, item, target)?;
            }
            nodes.place_xattrs(context, id, item, target)?;
        }
        Ok(nodes)
    }

    /// Inodes of all nodes and values.
    pub(super) fn count(&self) -> u64 {
        (self.placed.len() + self.values.len()) as u64 - 1
    }

    /// Whether some value has its own inode.
    pub(super) fn has_values(&self) -> bool {
        !self.values.is_empty()
    }

    /// The inode with this number, which is not a reserved one.
    pub(super) fn inode<'a>(&'a self, context: &Context<'a>, number: u32, time: Mtime) -> Inode<'a> {
        match context.node(number) {
            Some(id) => self.node(context, id, time),
            None => self.value(context, number, time),
        }
    }

    fn node<'a>(&'a self, context: &Context<'a>, id: NodeId, time: Mtime) -> Inode<'a> {
        let (item, placed) = (&context.tree.items()[id.index()], &self.placed[id.index()]);
        let set = &self.sets[item.xattrs as usize];
        let (size, flags, root) = shape(item, placed);
        Inode {
            mode: item.kind.types().0 | item.mode,
            uid: item.uid,
            gid: item.gid,
            size,
            links: links(item),
            flags,
            sectors: sectors(placed.blocks),
            root,
            xattr_block: placed.xattr_block,
            xattrs: placed.xattrs.as_deref().unwrap_or(&set.inline),
            accessed: item.mtime,
            modified: item.mtime,
            changed: time,
            created: time,
            version: 0,
        }
    }

    /// Its checksum is kept as its time of access, the count of its users as version (eainode.rst).
    fn value<'a>(&'a self, context: &Context<'a>, number: u32, time: Mtime) -> Inode<'a> {
        let index = number - first_value(context);
        let value = &self.values[index as usize];
        let owner = &context.tree.items()[value.owner.index()];
        Inode {
            uid: owner.uid,
            gid: owner.gid,
            size: value.size,
            flags: flag::EXTENTS | flag::EA_INODE,
            sectors: sectors(value.blocks),
            root: *value.root,
            accessed: Mtime::from_seconds(value.hash.into()),
            changed: Mtime::default(),
            version: 1,
            ..Inode::hidden(time)
        }
    }

    fn place_xattrs<W: Write + Seek>(
        &mut self,
        context: &Context<'_>,
        id: NodeId,
        item: &Item,
        target: &mut Target<W>,
    ) -> Result<(), Error> {
        let set = &mut self.sets[item.xattrs as usize];
        let placed = &mut self.placed[id.index()];
        if set.own {
            // Blocks of values count as the link's own. Without a block of attributes, e2fsck would take them for
            // blocks with the link's target and look for their numbers in its text.
            let link = matches!(item.kind, Kind::Symlink(_)) && !set.arrangement.has_block();
            let moved = link.then(|| set.arrangement.in_block());
            let arrangement = moved.as_ref().unwrap_or(&set.arrangement);
            let first = first_value(context) + count32(self.values.len());
            for content in arrangement.external_values() {
                let number = first_value(context) + count32(self.values.len());
                let value = place_value(context, id, number, content, target)?;
                placed.blocks += value.blocks;
                self.values.push(value);
            }
            let mut numbers = first..;
            placed.xattrs = Some(Box::new(arrangement.encode_inode(&mut numbers, context.seed)));
            if arrangement.has_block() {
                placed.xattr_block = target.blocks.take(1).start;
                placed.blocks += 1;
                let block = arrangement.encode_block(placed.xattr_block, 1, &mut numbers, context.seed);
                target.output.write(placed.xattr_block, &block)?;
            }
        } else if set.arrangement.has_block() && set.room == 0 {
            set.room = set.users.min(MOST_SHARED);
            set.block = target.blocks.take(1).start;
            let block = set.arrangement.encode_block(set.block, set.room, &mut std::iter::empty(), context.seed);
            target.output.write(set.block, &block)?;
        }
        if set.arrangement.has_block() && !set.own {
            set.room -= 1;
            placed.xattr_block = set.block;
            placed.blocks += 1;
        }
        set.users -= 1;
        Ok(())
    }
}

/// Numbers of values follow those of all nodes.
fn first_value(context: &Context<'_>) -> u32 {
    inode::FIRST + count32(context.tree.items().len()) - 1
}

fn count32(count: usize) -> u32 {
    u32::try_from(count).expect("nodes and values are counted in 32 bits")
}

fn ids(items: &[Item]) -> impl Iterator<Item = (NodeId, &Item)> {
    (0..).map(NodeId::from_number).zip(items)
}

/// Arranges every set, and counts its users.
fn sets(context: &Context<'_>) -> Result<Vec<Set>, Error> {
    let tree = context.tree;
    let mut sets = Vec::with_capacity(tree.xattrs().len());
    for (number, xattrs) in (0..).zip(tree.xattrs()) {
        let arrangement = Arrangement::of(xattrs).map_err(|problem| xattr_error(context, number, problem))?;
        let own = arrangement.external_values().next().is_some();
        let inline =
            if own { [0; XATTR_ROOM] } else { arrangement.encode_inode(&mut std::iter::empty(), context.seed) };
        sets.push(Set { arrangement, own, inline, users: 0, block: 0, room: 0 });
    }
    for item in tree.items() {
        sets[item.xattrs as usize].users += 1;
    }
    Ok(sets)
}

/// Names the first file that has the set.
fn xattr_error(context: &Context<'_>, set: u32, problem: Problem) -> Error {
    let user = ids(context.tree.items()).find(|(_, item)| item.xattrs == set).map_or(NodeId::ROOT, |(id, _)| id);
    let path = context.tree.path_of(user);
    match problem {
        Problem::Namespace(name) => Error::XattrNamespace { path, name: (*name).into() },
        Problem::Size(name, length) => Error::XattrSize { path, name: (*name).into(), length },
        Problem::Acl(name) => Error::Acl { path, name: (*name).into() },
        Problem::Count => Error::XattrCount { path },
    }
}

/// Maps extents, and counts their blocks and those of the tree.
fn map<W: Write + Seek>(
    context: &Context<'_>,
    number: u32,
    extents: &Extents,
    target: &mut Target<W>,
) -> Result<Placed, Error> {
    let blocks = extents.blocks();
    if extent::small_root(extents).is_some() {
        return Ok(Placed { blocks, ..Placed::default() });
    }
    let Map { root, tree_blocks } =
        extent::build(extents, context.seed.inode(number), |block| target.append_block(block))?;
    Ok(Placed { root: Some(Box::new(root)), blocks: blocks + tree_blocks, ..Placed::default() })
}

/// Like [`map`], for extents nobody keeps.
fn map_and_keep<W: Write + Seek>(
    context: &Context<'_>,
    number: u32,
    extents: &Extents,
    target: &mut Target<W>,
) -> Result<Placed, Error> {
    let placed = map(context, number, extents, target)?;
    let root = placed.root.or_else(|| extent::small_root(extents).map(Box::new));
    Ok(Placed { root, ..placed })
}

fn place_directory<W: Write + Seek>(
    context: &Context<'_>,
    id: NodeId,
    target: &mut Target<W>,
) -> Result<Placed, Error> {
    let written = context.write(id, target)?;
    let placed = map_and_keep(context, context.inode(id), &written.extents, target)?;
    let length = u32::try_from(written.extents.blocks()).expect("an index reaches far less");
    Ok(Placed { length, indexed: written.indexed, ..placed })
}

fn place_leaf<W: Write + Seek>(
    context: &Context<'_>,
    id: NodeId,
    item: &Item,
    target: &mut Target<W>,
) -> Result<Placed, Error> {
    match &item.kind {
        Kind::File(content) => map(context, context.inode(id), &content.extents, target),
        Kind::Symlink(link) if link.len() >= SLOW_SYMLINK => {
            let mut extents = Extents::default();
            target.append(link, |run| extents.push(0, run))?;
            map_and_keep(context, context.inode(id), &extents, target)
        }
        _ => Ok(Placed::default()),
    }
}

fn place_value<W: Write + Seek>(
    context: &Context<'_>,
    owner: NodeId,
    number: u32,
    content: &[u8],
    target: &mut Target<W>,
) -> Result<Value, Error> {
    let mut extents = Extents::default();
    let mut logical = 0;
    target.append(content, |run| {
        extents.push(logical, run);
        logical += run.blocks;
    })?;
    let placed = map_and_keep(context, number, &extents, target)?;
    debug_assert_eq!(extents.blocks(), blocks_of(content.len() as u64), "values have no holes");
    let root = placed.root.expect("kept by `map_and_keep`");
    let hash = xattr::value_hash(content, context.seed);
    Ok(Value { owner, hash, size: content.len() as u64, blocks: placed.blocks, root })
}

/// Size, flags and block numbers of a node.
fn shape(item: &Item, placed: &Placed) -> (u64, u32, Root) {
    let kept = placed.root.as_deref().copied();
    match &item.kind {
        Kind::Directory(_) => {
            let index = if placed.indexed { flag::INDEX } else { 0 };
            (u64::from(placed.length) * super::BLOCK_SIZE, flag::EXTENTS | index, kept.unwrap_or([0; 60]))
        }
        Kind::File(content) => {
            let verity = if content.sealed { flag::VERITY } else { 0 };
            let root = kept.or_else(|| extent::small_root(&content.extents)).expect("a larger tree was built");
            (content.size, flag::EXTENTS | verity, root)
        }
        Kind::Symlink(link) if link.len() >= SLOW_SYMLINK => {
            (link.len() as u64, flag::EXTENTS, kept.unwrap_or([0; 60]))
        }
        Kind::Symlink(link) => {
            let mut root = [0; 60];
            root[..link.len()].copy_from_slice(link);
            (link.len() as u64, 0, root)
        }
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
            (0, 0, inode::device_root(*major, *minor))
        }
        Kind::Fifo | Kind::Socket => (0, 0, [0; 60]),
    }
}

/// Names of a file; a directory has its own, `.` and one in each subdirectory, or 1 for "too many to count"
/// (super.rst, dir_nlink).
fn links(item: &Item) -> u16 {
    let links = match item.kind {
        Kind::Directory(_) if item.links + 2 > MOST_LINKS => 1,
        Kind::Directory(_) => item.links + 2,
        _ => item.links,
    };
    u16::try_from(links).expect("65000 at most, checked by the tree")
}

/// The count of reserved inodes is one below the first for files.
const _: () = assert!(RESERVED_INODES == 10);
