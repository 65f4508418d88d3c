//! Directories, read block by block: an index only leads to blocks that are read anyway (directory.rst).

use std::io::{Read, Seek};

use super::checksum::Seed;
use super::error::{Ext4Error, Structure};
use super::field::{half, word};
use super::inode::{FileKind, Inode};
use super::{BLOCK, BLOCK_LEN, Ext4};

/// Most bytes of a directory: several million names.
const MOST: u64 = 512 << 20;
/// Bytes of a record before its name, and of the one that holds a block's checksum.
const HEADER: usize = 8;
const TAIL: usize = 12;
const TAIL_TYPE: u8 = 0xde;
/// Where the numbers of an index begin in its root and in its other nodes.
const INDEX_ROOT: usize = 0x20;
const INDEX_NODE: usize = 0x08;

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name: 1 to 255 bytes without slash or NUL, never `.` or `..`.
    pub name: Vec<u8>,
    /// The inode.
    pub inode: u32,
}

impl<S: Read + Seek> Ext4<S> {
    /// The names in a directory, in their order on disk.
    ///
    /// # Errors
    /// When it is none, or damaged.
    pub fn read_dir(&mut self, inode: &Inode) -> Result<Vec<DirEntry>, Ext4Error> {
        let damaged = |problem| Structure::Directory(inode.number).damaged(problem);
        if inode.kind != FileKind::Directory || !inode.size.is_multiple_of(BLOCK) || inode.size > MOST {
            return Err(damaged("it is no directory, or of an impossible size"));
        }
        let extents = self.extents(inode)?;
        let mapped: u64 = extents.iter().map(|extent| extent.blocks).sum();
        if mapped != inode.size / BLOCK || extents.iter().any(|extent| extent.unwritten) {
            return Err(damaged("it has holes"));
        }
        let seed = inode.seed(self.seed);
        let mut entries = Vec::new();
        let blocks = extents.iter().flat_map(|extent| extent.start..extent.start + extent.blocks);
        for (number, at) in blocks.enumerate() {
            let block = self.block(at)?;
            check_block(&block, number == 0 && inode.has_index(), seed).map_err(damaged)?;
            records(&block, &mut entries).map_err(damaged)?;
        }
        Ok(entries)
    }
}

/// Compares a block with its checksum, which lies elsewhere in nodes of an index.
fn check_block(block: &[u8], is_index_root: bool, seed: Seed) -> Result<(), &'static str> {
    let is_node = word(block, 0) == 0 && usize::from(half(block, 4)) == BLOCK_LEN;
    let sound = if is_index_root || is_node {
        let start = if is_index_root { INDEX_ROOT } else { INDEX_NODE };
        let (room, count) = (usize::from(half(block, start)), usize::from(half(block, start + 2)));
        let tail = start + room * 8;
        if count > room || tail + 8 > BLOCK_LEN {
            return Err("its index is damaged");
        }
        seed.with(&block[..start + count * 8]).with(&block[tail..tail + 4]).sum(&[0; 4]) == word(block, tail + 4)
    } else {
        let tail = BLOCK_LEN - TAIL;
        let is_tail = word(block, tail) == 0 && block[tail + 4..HEADER + tail] == [12, 0, 0, TAIL_TYPE];
        is_tail && seed.sum(&block[..tail]) == word(block, tail + 8)
    };
    if sound { Ok(()) } else { Err("a block does not match its checksum") }
}

fn records(block: &[u8], entries: &mut Vec<DirEntry>) -> Result<(), &'static str> {
    let mut at = 0;
    while at + HEADER <= BLOCK_LEN {
        let (inode, length, name) = (word(block, at), usize::from(half(block, at + 4)), usize::from(block[at + 6]));
        if length < HEADER || !length.is_multiple_of(4) || at + length > BLOCK_LEN || HEADER + name > length {
            return Err("a record has an impossible length");
        }
        let name = &block[at + HEADER..at + HEADER + name];
        at += length;
        if inode == 0 || name == b"." || name == b".." {
            continue;
        }
        if name.is_empty() || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
            return Err("a name is none");
        }
        entries.push(DirEntry { name: name.to_vec(), inode });
    }
    Ok(())
}
