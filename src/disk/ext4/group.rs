//! Group descriptors in their 64-byte form (group_descr.rst).

use super::BLOCK;
use super::checksum::Seed;
use super::field::{halves, low16, put_split, put_split32, put16};
use super::geometry::GroupPlace;

/// Bytes of a descriptor.
pub(super) const SIZE: usize = 64;
/// Nothing is in the inode bitmap and table; nothing is used beside the group's own metadata.
const INODE_UNINIT: u16 = 1;
const BLOCK_UNINIT: u16 = 2;

/// What a descriptor says.
#[derive(Debug)]
pub(super) struct Descriptor {
    pub(super) place: GroupPlace,
    pub(super) free_blocks: u64,
    pub(super) free_inodes: u64,
    pub(super) directories: u64,
    /// Inodes behind the last one in use.
    pub(super) unused_inodes: u64,
    /// Checksums of the bitmaps; nothing where they are not written.
    pub(super) block_bitmap_sum: Option<u32>,
    pub(super) inode_bitmap_sum: Option<u32>,
}

impl Descriptor {
    /// Its bytes. The inode table is never flagged as zeroed: an image may reach a disk without its holes, and the
    /// kernel clears what is unused in the background.
    fn encode(&self, group: u32, seed: Seed) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let inode_flag = if self.inode_bitmap_sum.is_none() { INODE_UNINIT } else { 0 };
        let block_flag = if self.block_bitmap_sum.is_none() { BLOCK_UNINIT } else { 0 };
        put_split(&mut bytes, 0x00, 0x20, self.place.block_bitmap);
        put_split(&mut bytes, 0x04, 0x24, self.place.inode_bitmap);
        put_split(&mut bytes, 0x08, 0x28, self.place.table);
        put_split32(&mut bytes, 0x0c, 0x2c, halves(self.free_blocks).0);
        put_split32(&mut bytes, 0x0e, 0x2e, halves(self.free_inodes).0);
        put_split32(&mut bytes, 0x10, 0x30, halves(self.directories).0);
        put16(&mut bytes, 0x12, inode_flag | block_flag);
        put_split32(&mut bytes, 0x18, 0x38, self.block_bitmap_sum.unwrap_or(0));
        put_split32(&mut bytes, 0x1a, 0x3a, self.inode_bitmap_sum.unwrap_or(0));
        put_split32(&mut bytes, 0x1c, 0x32, halves(self.unused_inodes).0);
        let sum = seed.group(group).sum(&bytes);
        put16(&mut bytes, 0x1e, low16(sum.into()));
        bytes
    }
}

/// The table of all descriptors, whole blocks.
pub(super) fn table(descriptors: &[Descriptor], seed: Seed) -> Vec<u8> {
    let mut table: Vec<u8> = (0..).zip(descriptors).flat_map(|(group, each)| each.encode(group, seed)).collect();
    table.resize(table.len().next_multiple_of(BLOCK), 0);
    table
}
