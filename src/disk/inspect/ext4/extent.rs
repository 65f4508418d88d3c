//! Which blocks a file has (ifork.rst, "Extent Tree").

use std::io::{Read, Seek};

use super::error::{Ext4Error, Structure};
use super::field::{half, word};
use super::inode::Inode;
use super::{BLOCK_LEN, Ext4};

const MAGIC: u16 = 0xf30a;
const ENTRY: usize = 12;
/// A tree of five levels maps every file there can be.
const DEEPEST: u16 = 5;
/// Most extents of a file: enough for 128 GiB in pieces of 128 KiB.
const MOST: usize = 1 << 20;
/// A length beyond this is that of blocks that were never written.
const INITIALIZED: u16 = 32_768;

/// A run of a file's blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The first block within the file.
    pub logical: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// The first block within the file system.
    pub start: u64,
    /// Whether the blocks were allocated and never written: they read as zeros.
    pub unwritten: bool,
}

/// What a file's tree consists of.
#[derive(Debug, Default)]
pub(super) struct Map {
    pub(super) extents: Vec<Extent>,
    /// Blocks of the tree itself.
    pub(super) nodes: Vec<u64>,
}

impl<S: Read + Seek> Ext4<S> {
    /// The runs of a file's blocks, in their order within the file.
    ///
    /// # Errors
    /// When the tree is damaged.
    pub fn extents(&mut self, inode: &Inode) -> Result<Vec<Extent>, Ext4Error> {
        Ok(self.map(inode)?.extents)
    }

    pub(super) fn map(&mut self, inode: &Inode) -> Result<Map, Ext4Error> {
        let mut map = Map::default();
        if inode.has_extents() {
            let depth = half(&inode.root, 6);
            if depth > DEEPEST {
                return Err(Structure::Extents(inode.number).damaged("the tree is deeper than it can be"));
            }
            self.node(inode, &inode.root.clone(), depth, &mut map)?;
        } else if inode.size > 0 && inode.inline_target().is_none() {
            return Err(Structure::Extents(inode.number).damaged("it has none"));
        }
        Ok(map)
    }

    fn node(&mut self, inode: &Inode, bytes: &[u8], depth: u16, map: &mut Map) -> Result<(), Ext4Error> {
        let damaged = |problem| Structure::Extents(inode.number).damaged(problem);
        let (count, room) = (usize::from(half(bytes, 2)), usize::from(half(bytes, 4)));
        if half(bytes, 0) != MAGIC || half(bytes, 6) != depth || count > room || (room + 1) * ENTRY > bytes.len() {
            return Err(damaged("a node is none"));
        }
        for entry in bytes[ENTRY..].chunks_exact(ENTRY).take(count) {
            if depth == 0 {
                self.leaf(inode, entry, map)?;
                continue;
            }
            let child = u64::from(word(entry, 4)) | u64::from(half(entry, 8)) << 32;
            if map.nodes.len() >= MOST {
                return Err(damaged("there are more nodes than can be"));
            }
            map.nodes.push(child);
            let block = self.block(child)?;
            self.check_node(inode, &block)?;
            self.node(inode, &block, depth - 1, map)?;
        }
        Ok(())
    }

    /// The checksum stands behind the last entry that there is room for.
    fn check_node(&self, inode: &Inode, block: &[u8]) -> Result<(), Ext4Error> {
        let tail = (usize::from(half(block, 4)) + 1) * ENTRY;
        let sound = tail + 4 <= BLOCK_LEN && inode.seed(self.seed).sum(&block[..tail]) == word(block, tail);
        if sound { Ok(()) } else { Err(Structure::Extents(inode.number).damaged("a node does not match its checksum")) }
    }

    fn leaf(&self, inode: &Inode, entry: &[u8], map: &mut Map) -> Result<(), Ext4Error> {
        let damaged = |problem| Structure::Extents(inode.number).damaged(problem);
        let length = half(entry, 4);
        let unwritten = length > INITIALIZED;
        let extent = Extent {
            logical: word(entry, 0).into(),
            blocks: if unwritten { length - INITIALIZED } else { length }.into(),
            start: u64::from(word(entry, 8)) | u64::from(half(entry, 6)) << 32,
            unwritten,
        };
        let inside = extent.start > 0 && extent.start.saturating_add(extent.blocks) <= self.superblock.blocks;
        if extent.blocks == 0 || !inside {
            return Err(damaged("a run of blocks is outside of the file system"));
        }
        if map.extents.last().is_some_and(|last| last.logical + last.blocks > extent.logical) {
            return Err(damaged("its runs are out of order"));
        }
        if map.extents.len() >= MOST {
            return Err(damaged("there are more runs than can be"));
        }
        map.extents.push(extent);
        Ok(())
    }
}
