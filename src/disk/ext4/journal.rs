//! The journal: an empty one is a superblock and blocks nobody reads (journal.rst).

use super::BLOCK;
use super::field::halves;

/// Starts every block of the journal that is not data.
const MAGIC: u32 = 0xc03b_3998;
/// The second form of the superblock.
const SUPERBLOCK_V2: u32 = 4;

/// Sizes of the journal for file systems of up to so many blocks: mke2fs's table, in blocks.
const SIZES: [(u64, u64); 8] = [
    (2_048, 0),
    (32_768, 1_024),
    (262_144, 4_096),
    (524_288, 8_192),
    (4_194_304, 16_384),
    (8_388_608, 32_768),
    (16_777_216, 65_536),
    (33_554_432, 131_072),
];
const LARGEST: u64 = 262_144;

/// Blocks of the journal of a file system of `blocks`; none when it would be most of it.
pub(super) fn blocks(blocks: u64) -> u64 {
    SIZES.iter().find(|(below, _)| blocks < *below).map_or(LARGEST, |(_, size)| *size)
}

/// The first block of a journal of so many blocks; its fields are big-endian.
pub(super) fn superblock(blocks: u64, uuid: &[u8; 16]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |offset: usize, value: u32| block[offset..offset + 4].copy_from_slice(&value.to_be_bytes());
    put(0x00, MAGIC);
    put(0x04, SUPERBLOCK_V2);
    put(0x0c, halves(BLOCK as u64).0);
    put(0x10, halves(blocks).0);
    // The first block of the log, the first transaction expected, and one user.
    put(0x14, 1);
    put(0x18, 1);
    put(0x40, 1);
    block[0x30..0x40].copy_from_slice(uuid);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_mke2fs() {
        for (size, journal) in [(2047, 0), (2048, 1024), (262_143, 4096), (262_144, 8192), (1 << 28, 262_144)] {
            assert_eq!(blocks(size), journal);
        }
    }
}
