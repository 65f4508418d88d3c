//! The resize inode: it owns the blocks group descriptors may grow into (special_inodes.rst, inode 7).
//!
//! Its double indirect block names the reserved blocks behind the first group's
//! descriptors; each of these names the blocks with its copies in other groups.

use super::alloc::has_superblock;
use super::extent::Root;
use super::field::{halves, put32};
use super::geometry::Geometry;
use super::{BLOCK, BLOCK_SIZE, GROUP_BLOCKS};

/// Block numbers in a block.
const POINTERS: u64 = BLOCK_SIZE / 4;
/// The block numbers in the inode before the indirect ones, and which of all is the double indirect one.
const DIRECT: u64 = 12;
const DOUBLE_INDIRECT: usize = 13;

/// The size of a file that uses all of its double indirect block.
pub(super) const SIZE: u64 = (POINTERS * POINTERS + POINTERS + DIRECT) * BLOCK_SIZE;

/// The inode's block numbers.
pub(super) fn root(double_indirect: u64) -> Root {
    let mut root = [0; 60];
    put32(&mut root, 4 * DOUBLE_INDIRECT, halves(double_indirect).0);
    root
}

/// The blocks in the first group that are reserved.
pub(super) fn reserved(geometry: &Geometry) -> std::ops::Range<u64> {
    1 + geometry.descriptors..geometry.head
}

/// The double indirect block: each reserved block at the place its descriptors will have.
pub(super) fn double_indirect(geometry: &Geometry) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    for number in reserved(geometry) {
        put_pointer(&mut block, (number - 1) % POINTERS, number);
    }
    block
}

/// A reserved block: where its copies are.
pub(super) fn copies(geometry: &Geometry, number: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    for (index, group) in (0..).zip(copy_groups(geometry)) {
        put_pointer(&mut block, index, group * GROUP_BLOCKS + number);
    }
    block
}

/// All blocks the inode owns.
pub(super) fn owned(geometry: &Geometry) -> u64 {
    1 + geometry.reserved_descriptors() * (1 + copy_groups(geometry).count() as u64)
}

/// Groups with copies. Their block numbers have 32 bits; beyond 16 TiB nothing is reserved by number.
fn copy_groups(geometry: &Geometry) -> impl Iterator<Item = u64> + use<> {
    (1..geometry.groups).filter(|group| has_superblock(*group))
}

fn put_pointer(block: &mut [u8; BLOCK], index: u64, number: u64) {
    let index = usize::try_from(index).expect("below the pointers of a block");
    put32(block, 4 * index, halves(number).0);
}
