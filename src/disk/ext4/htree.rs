//! The index of large directories (directory.rst, "Hash Tree Directories").
//!
//! Block 0 of the directory is the root, its nodes follow, then the leaves,
//! which are ordinary blocks of records. Old readers see `.` and `..` in the
//! root and unused records in the nodes.

use std::ops::Range;

use super::BLOCK;
use super::checksum::Seed;
use super::directory::{DOTS, put_record};
use super::field::{halves, low16, put16, put32};

/// `struct dx_root_info` behind the dots: version 1 is half MD4, eight bytes long.
const INFO: usize = 8;
const HALF_MD4: u8 = 1;
/// Bytes of an entry, and of the tail with the checksum.
const ENTRY: usize = 8;
/// Where entries start.
const ROOT_START: usize = DOTS + INFO;
const NODE_START: usize = 8;
/// Entries of the root and of a node.
const ROOT_ENTRIES: usize = (BLOCK - ROOT_START - ENTRY) / ENTRY;
const NODE_ENTRIES: usize = (BLOCK - NODE_START - ENTRY) / ENTRY;
/// Leaves a root and one level of nodes reach; more needs the feature large_dir.
pub(super) const MOST_LEAVES: usize = ROOT_ENTRIES * NODE_ENTRIES;
const DIRECTORY_TYPE: u8 = 2;

/// A block of records.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    /// Which of the sorted entries.
    pub(super) entries: Range<usize>,
    /// The hash of the first; the lowest bit says that the leaf before ends with the same.
    pub(super) hash: u32,
}

/// Nodes between root and leaves.
const fn nodes(leaves: usize) -> usize {
    if leaves <= ROOT_ENTRIES { 0 } else { leaves.div_ceil(NODE_ENTRIES) }
}

/// Blocks of an indexed directory.
pub(super) const fn blocks(leaves: usize) -> u64 {
    (1 + nodes(leaves) + leaves) as u64
}

/// The blocks before the leaves.
pub(super) fn index(leaves: &[Leaf], inode: u32, parent: u32, seed: Seed) -> Vec<[u8; BLOCK]> {
    let nodes = nodes(leaves.len());
    let leaf_entries: Vec<_> = (1 + nodes..).zip(leaves).map(|(block, leaf)| (leaf.hash, block)).collect();
    if nodes == 0 {
        return vec![root(&leaf_entries, 0, inode, parent, seed)];
    }
    let chunks = leaf_entries.chunks(NODE_ENTRIES);
    let node_entries: Vec<_> = (1..).zip(chunks.clone()).map(|(block, chunk)| (chunk[0].0, block)).collect();
    let root = root(&node_entries, 1, inode, parent, seed);
    std::iter::once(root).chain(chunks.map(|chunk| node(chunk, seed))).collect()
}

/// `struct dx_root`.
fn root(entries: &[(u32, usize)], levels: u8, inode: u32, parent: u32, seed: Seed) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    put_record(&mut block, inode, DOTS / 2, DIRECTORY_TYPE, b".");
    put_record(&mut block[DOTS / 2..], parent, BLOCK - DOTS / 2, DIRECTORY_TYPE, b"..");
    block[DOTS + 4] = HALF_MD4;
    block[DOTS + 5] = INFO.to_le_bytes()[0];
    block[DOTS + 6] = levels;
    put_entries(&mut block, ROOT_START, ROOT_ENTRIES, entries, seed);
    block
}

/// `struct dx_node`.
fn node(entries: &[(u32, usize)], seed: Seed) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    put_record(&mut block, 0, BLOCK, 0, b"");
    put_entries(&mut block, NODE_START, NODE_ENTRIES, entries, seed);
    block
}

/// Limit, count, entries (the first one's hash has given its place to the two numbers), and the checksum of all
/// that is used, followed by the empty rest of the tail.
fn put_entries(block: &mut [u8; BLOCK], start: usize, limit: usize, entries: &[(u32, usize)], seed: Seed) {
    for (index, (hash, target)) in entries.iter().enumerate() {
        put32(block, start + ENTRY * index, *hash);
        put32(block, start + ENTRY * index + 4, halves(*target as u64).0);
    }
    put16(block, start, low16(limit as u64));
    put16(block, start + 2, low16(entries.len() as u64));
    let mut covered = block[..start + ENTRY * entries.len()].to_vec();
    covered.extend_from_slice(&[0; ENTRY]);
    put32(block, start + ENTRY * limit + 4, seed.sum(&covered));
}
