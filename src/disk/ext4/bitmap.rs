//! Bitmaps of blocks and inodes (bitmaps.rst): one block for each group, the bits beyond its end set.

use super::alloc::Run;
use super::field::halves;
use super::geometry::Geometry;
use super::{BLOCK, GROUP_BLOCKS};

/// A block of bits.
pub(super) type Bitmap = [u8; BLOCK];

/// Sets bits `from` to before `to`.
pub(super) fn set(bitmap: &mut Bitmap, from: u64, to: u64) {
    let (from, to) = (halves(from).0 as usize, halves(to).0 as usize);
    let (first, last) = (from.next_multiple_of(8).min(to), (to & !7).max(from));
    if first < last {
        bitmap[first / 8..last / 8].fill(0xff);
    }
    for bit in (from..first).chain(last.max(first)..to) {
        bitmap[bit / 8] |= 1 << (bit % 8);
    }
}

/// Which blocks of a group are used, and how many are free.
#[derive(Debug)]
pub(super) struct GroupBlocks {
    pub(super) bitmap: Bitmap,
    pub(super) free: u64,
    /// Whether nothing is used but the head, which every reader can tell by itself.
    pub(super) untouched: bool,
}

/// Group after group; `used` must ascend as the allocator's runs do.
pub(super) fn block_bitmaps(geometry: &Geometry, used: &[Run]) -> impl Iterator<Item = GroupBlocks> {
    let mut rest = used;
    (0..geometry.groups).map(move |group| {
        let (start, blocks) = (group * GROUP_BLOCKS, geometry.group_blocks(group));
        let mut bitmap = [0; BLOCK];
        let mut free = blocks - geometry.group_head(group);
        set(&mut bitmap, 0, geometry.group_head(group));
        set(&mut bitmap, blocks, GROUP_BLOCKS);
        rest = &rest[rest.partition_point(|run| run.end() <= start)..];
        let here = rest.iter().take_while(|run| run.start < start + blocks);
        let mut untouched = true;
        for run in here {
            let (from, to) = (run.start.max(start), run.end().min(start + blocks));
            set(&mut bitmap, from - start, to - start);
            free -= to - from;
            untouched = false;
        }
        GroupBlocks { bitmap, free, untouched }
    })
}

/// The inode bitmap of a group whose first `used` inodes are in use.
pub(super) fn inode_bitmap(geometry: &Geometry, used: u64) -> Bitmap {
    let mut bitmap = [0; BLOCK];
    set(&mut bitmap, 0, used);
    set(&mut bitmap, geometry.inodes_per_group, GROUP_BLOCKS);
    bitmap
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_bits_are_set_exactly() {
        for (from, to) in [(0, 0), (0, 1), (3, 5), (3, 8), (8, 16), (7, 9), (5, 30), (32_760, 32_768), (1, 32_768)] {
            let mut bitmap = [0; BLOCK];
            set(&mut bitmap, from, to);
            for bit in 0..GROUP_BLOCKS {
                let index = usize::try_from(bit / 8).unwrap();
                assert_eq!(bitmap[index] >> (bit % 8) & 1 == 1, (from..to).contains(&bit), "{from}..{to}: {bit}");
            }
        }
    }
}
