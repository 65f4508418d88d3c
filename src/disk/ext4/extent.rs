//! Extents: which blocks of the device are which blocks of a file (ifork.rst, "Extent Tree").

use std::io;

use super::alloc::Run;
use super::checksum::Seed;
use super::field::{halves, low16, put16, put32};
use super::{BLOCK, BLOCK_SIZE, GROUP_BLOCKS};

/// The bytes of an inode that hold the root of the tree, or something else of a file without content.
pub(super) type Root = [u8; 60];

/// Starts every node of the tree.
const MAGIC: u16 = 0xf30a;
/// Bytes of a node's header, and of each entry.
const ENTRY: usize = 12;
/// Entries in the root, and in a block, which keeps four bytes for its checksum.
const ROOT_ENTRIES: usize = 4;
const BLOCK_ENTRIES: usize = (BLOCK - ENTRY - 4) / ENTRY;
/// Blocks of one extent: longer means "not initialised".
const LONGEST: u64 = GROUP_BLOCKS;

/// Consecutive blocks of a file that are consecutive on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Extent {
    /// The first block's number within the file.
    pub(super) logical: u32,
    pub(super) blocks: u32,
    /// The first block's number on the device.
    pub(super) start: u64,
}

/// The extents of a file, ascending; most files have one, so it takes no allocation.
#[derive(Debug, Default)]
pub(super) struct Extents {
    first: Extent,
    rest: Vec<Extent>,
}

impl Extents {
    /// Adds blocks behind the others.
    pub(super) fn push(&mut self, logical: u64, run: Run) {
        let blocks = halves(run.blocks).0;
        let added = Extent { logical: halves(logical).0, blocks, start: run.start };
        let last = self.rest.last_mut().unwrap_or(&mut self.first);
        if last.blocks == 0 {
            *last = added;
        } else if last.logical + last.blocks == added.logical && last.start + u64::from(last.blocks) == added.start {
            last.blocks += blocks;
        } else {
            self.rest.push(added);
        }
    }

    /// All extents.
    pub(super) fn iter(&self) -> impl Iterator<Item = Extent> + '_ {
        std::iter::once(self.first).chain(self.rest.iter().copied()).filter(|extent| extent.blocks > 0)
    }

    /// Blocks on the device.
    pub(super) fn blocks(&self) -> u64 {
        self.iter().map(|extent| u64::from(extent.blocks)).sum()
    }

    /// The device's block numbers in the file's order.
    pub(super) fn device_blocks(&self) -> impl Iterator<Item = u64> + '_ {
        self.iter().flat_map(|extent| extent.start..extent.start + u64::from(extent.blocks))
    }

    /// Gives back the memory kept for more.
    pub(super) fn shrink(&mut self) {
        self.rest.shrink_to_fit();
    }
}

impl FromIterator<Run> for Extents {
    fn from_iter<I: IntoIterator<Item = Run>>(runs: I) -> Self {
        let mut extents = Self::default();
        let mut logical = 0;
        for run in runs {
            extents.push(logical, run);
            logical += run.blocks;
        }
        extents
    }
}

/// A finished tree.
#[derive(Debug, Clone)]
pub(super) struct Map {
    pub(super) root: Root,
    /// Blocks of the tree itself.
    pub(super) tree_blocks: u64,
}

/// One entry of a node: in a leaf an extent, above it a block of the level below.
type Entry = (u32, [u8; ENTRY]);

/// Builds the tree from the leaves up; small files need nothing but the root. `place` writes a block somewhere.
pub(super) fn build(
    extents: &Extents,
    seed: Seed,
    mut place: impl FnMut(&[u8; BLOCK]) -> io::Result<u64>,
) -> io::Result<Map> {
    let mut level: Vec<Entry> = extents.iter().flat_map(parts).map(leaf_entry).collect();
    let mut tree_blocks = 0;
    let mut depth = 0;
    while level.len() > ROOT_ENTRIES {
        let mut above = Vec::with_capacity(level.len().div_ceil(BLOCK_ENTRIES));
        for entries in level.chunks(BLOCK_ENTRIES) {
            let block = place(&node(entries, depth, seed))?;
            above.push((entries[0].0, index_entry(entries[0].0, block)));
        }
        tree_blocks += above.len() as u64;
        level = above;
        depth += 1;
    }
    let mut root = [0; 60];
    fill(&mut root, &level, ROOT_ENTRIES, depth);
    Ok(Map { root, tree_blocks })
}

/// How many blocks [`build`] will ask for.
pub(super) fn tree_blocks(extents: &Extents) -> u64 {
    let mut blocks = 0;
    let mut level = extents.iter().flat_map(parts).count() as u64;
    while level > ROOT_ENTRIES as u64 {
        level = level.div_ceil(BLOCK_ENTRIES as u64);
        blocks += level;
    }
    blocks
}

/// The root of a tree of up to four extents.
pub(super) fn small_root(extents: &Extents) -> Option<Root> {
    let mut entries = [(0, [0; ENTRY]); ROOT_ENTRIES];
    let mut count = 0;
    for extent in extents.iter().flat_map(parts) {
        *entries.get_mut(count)? = leaf_entry(extent);
        count += 1;
    }
    let mut root = [0; 60];
    fill(&mut root, &entries[..count], ROOT_ENTRIES, 0);
    Some(root)
}

/// Cuts an extent into pieces the format can express.
fn parts(extent: Extent) -> impl Iterator<Item = Extent> {
    (0..u64::from(extent.blocks).div_ceil(LONGEST)).map(move |part| {
        let skipped = part * LONGEST;
        let blocks = (u64::from(extent.blocks) - skipped).min(LONGEST);
        Extent { logical: extent.logical + halves(skipped).0, blocks: halves(blocks).0, start: extent.start + skipped }
    })
}

/// `struct ext4_extent`.
fn leaf_entry(extent: Extent) -> Entry {
    let mut entry = [0; ENTRY];
    let (low, high) = halves(extent.start);
    put32(&mut entry, 0, extent.logical);
    put16(&mut entry, 4, low16(extent.blocks.into()));
    put16(&mut entry, 6, low16(high.into()));
    put32(&mut entry, 8, low);
    (extent.logical, entry)
}

/// `struct ext4_extent_idx`.
fn index_entry(logical: u32, block: u64) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    let (low, high) = halves(block);
    put32(&mut entry, 0, logical);
    put32(&mut entry, 4, low);
    put16(&mut entry, 8, low16(high.into()));
    entry
}

/// A block of the tree: header, entries, and a checksum behind the last possible one.
fn node(entries: &[Entry], depth: u16, seed: Seed) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    fill(&mut block, entries, BLOCK_ENTRIES, depth);
    let tail = ENTRY * (1 + BLOCK_ENTRIES);
    let sum = seed.sum(&block[..tail]);
    put32(&mut block, tail, sum);
    block
}

/// `struct ext4_extent_header` and the entries.
fn fill(node: &mut [u8], entries: &[Entry], most: usize, depth: u16) {
    put16(node, 0, MAGIC);
    put16(node, 2, low16(entries.len() as u64));
    put16(node, 4, low16(most as u64));
    put16(node, 6, depth);
    for ((_, entry), place) in entries.iter().zip(node[ENTRY..].chunks_exact_mut(ENTRY)) {
        place.copy_from_slice(entry);
    }
}

/// Sectors of 512 bytes in so many blocks, the unit of `i_blocks`.
pub(super) const fn sectors(blocks: u64) -> u64 {
    blocks * (BLOCK_SIZE / 512)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::alloc::Allocator;
    use super::super::output::Output;
    use super::super::target::Target;
    use super::*;

    fn target() -> Target<Cursor<Vec<u8>>> {
        Target { output: Output::new(Cursor::new(Vec::new()), u64::MAX).unwrap(), blocks: Allocator::new(2) }
    }

    /// Extents of one block with a hole behind each.
    fn scattered(count: u64) -> Extents {
        let mut extents = Extents::default();
        (0..count).for_each(|i| extents.push(2 * i, Run { start: 1_000_000 + 3 * i, blocks: 1 }));
        extents
    }

    /// Reads a tree back, checking magic, depth, order and checksums.
    fn read(node: &[u8], device: &[u8], seed: Seed, found: &mut Vec<(u32, u16, u64)>) {
        let u16_at = |at: usize| u16::from_le_bytes([node[at], node[at + 1]]);
        let u32_at = |at: usize| u32::from_le_bytes(node[at..at + 4].try_into().unwrap());
        assert_eq!(u16_at(0), MAGIC);
        let depth = u16_at(6);
        for entry in (1..=usize::from(u16_at(2))).map(|i| i * ENTRY) {
            if depth == 0 {
                let start = u64::from(u32_at(entry + 8)) | u64::from(u16_at(entry + 6)) << 32;
                found.push((u32_at(entry), u16_at(entry + 4), start));
            } else {
                let block = u64::from(u32_at(entry + 4)) | u64::from(u16_at(entry + 8)) << 32;
                let start = usize::try_from(block).unwrap() * BLOCK;
                let child = &device[start..start + BLOCK];
                assert_eq!(seed.sum(&child[..BLOCK - 4]).to_le_bytes(), child[BLOCK - 4..]);
                assert_eq!(u16::from_le_bytes([child[6], child[7]]), depth - 1);
                read(child, device, seed, found);
            }
        }
    }

    #[test]
    fn trees_of_any_depth_hold_every_extent() {
        let seed = Seed::of_uuid(&[7; 16]).inode(12);
        for (count, depth) in
            [(0, 0), (1, 0), (4, 0), (5, 1), (340, 1), (1360, 1), (1361, 2), (200_000, 2), (462_401, 3)]
        {
            let mut target = target();
            let map = build(&scattered(count), seed, |block| target.append_block(block)).unwrap();
            let device = target.output.into_inner().unwrap().into_inner();
            let mut found = Vec::new();
            read(&map.root, &device, seed, &mut found);
            let expected: Vec<_> = scattered(count).iter().map(|e| (e.logical, 1, e.start)).collect();
            assert!(found == expected, "{count} extents");
            assert_eq!((map.root[6], map.tree_blocks), (depth, tree_blocks(&scattered(count))), "{count} extents");
        }
    }

    #[test]
    fn long_extents_are_cut_and_adjacent_ones_joined() {
        let mut extents = Extents::default();
        extents.push(0, Run { start: 100, blocks: 40_000 });
        extents.push(40_000, Run { start: 40_100, blocks: 30_000 });
        assert_eq!(extents.iter().count(), 1);
        let cut: Vec<_> = extents.iter().flat_map(parts).map(|e| (e.logical, e.blocks, e.start)).collect();
        assert_eq!(cut, [(0, 32_768, 100), (32_768, 32_768, 32_868), (65_536, 4_464, 65_636)]);
        assert!(small_root(&extents).is_some());
        assert!(small_root(&scattered(5)).is_none());
    }
}
