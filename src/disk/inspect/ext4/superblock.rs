//! Superblock and group descriptors (super.rst, group_descr.rst).

use std::io::{Read, Seek};

use super::checksum::Seed;
use super::error::{Ext4Error, Structure};
use super::field::{half, split, split_half, word};
use super::{BLOCK, GROUP_BLOCKS, read_at};

const SIZE: u64 = 1024;
const DESCRIPTOR: usize = 64;

/// `s_feature_compat`.
const HAS_JOURNAL: u32 = 0x4;
const RESIZE_INODE: u32 = 0x10;
/// `s_feature_incompat` that change nothing for a reader, or are read here: filetype, extents, 64bit, flex_bg, ea_inode,
/// metadata_csum_seed, large_dir.
const KNOWN: u32 = 0x2 | EXTENTS | BIT64 | 0x200 | 0x400 | CSUM_SEED | 0x4000;
const EXTENTS: u32 = 0x40;
const BIT64: u32 = 0x80;
const CSUM_SEED: u32 = 0x2000;
const RECOVER: u32 = 0x4;
const META_BG: u32 = 0x10;
/// `s_feature_ro_compat`.
const BIGALLOC: u32 = 0x200;
const METADATA_CSUM: u32 = 0x400;

/// Flags of a group: its bitmap of inodes, of blocks, is not in use.
const INODE_UNINIT: u16 = 1;
const BLOCK_UNINIT: u16 = 2;

#[derive(Debug, Clone)]
pub(super) struct Superblock {
    pub(super) blocks: u64,
    pub(super) free_blocks: u64,
    pub(super) inodes: u32,
    pub(super) inodes_per_group: u32,
    pub(super) uuid: [u8; 16],
    /// Blocks behind the descriptors that more of them can go to; nothing without the inode that keeps them.
    pub(super) reserved: Option<u64>,
    /// The inode of the journal, when there is one.
    pub(super) journal: Option<u32>,
    given_seed: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) block_bitmap: u64,
    pub(super) inode_bitmap: u64,
    pub(super) table: u64,
    pub(super) block_bitmap_sum: Option<u32>,
    pub(super) inode_bitmap_sum: Option<u32>,
}

impl Superblock {
    pub(super) fn seed(&self) -> Seed {
        self.given_seed.map_or_else(|| Seed::START.with(&self.uuid), Seed)
    }

    pub(super) fn groups(&self) -> u64 {
        self.blocks.div_ceil(GROUP_BLOCKS)
    }
}

/// Whether a group has a copy of the superblock: 0, 1 and powers of 3, 5 and 7 (blockgroup.rst, sparse_super).
pub(super) fn has_copy(group: u64) -> bool {
    let power_of = |base: u64| {
        let mut rest = group;
        while rest > 1 && rest.is_multiple_of(base) {
            rest /= base;
        }
        rest == 1
    };
    group <= 1 || [3, 5, 7].into_iter().any(power_of)
}

/// The superblock, or its copy in a later group, which is at the very start of it.
pub(super) fn read<S: Read + Seek>(stream: &mut S, group: u64) -> Result<Superblock, Ext4Error> {
    let (place, offset) = match group {
        0 => (Structure::Superblock, SIZE),
        _ => (Structure::Copy(group), group * GROUP_BLOCKS * BLOCK),
    };
    let bytes = read_at(stream, offset, SIZE)?;
    if half(&bytes, 0x38) != 0xef53 {
        return Err(if group == 0 { Ext4Error::NotExt4 } else { place.damaged("it is not there") });
    }
    let (incompat, ro_compat) = (word(&bytes, 0x60), word(&bytes, 0x64));
    check_features(incompat, ro_compat)?;
    if Seed::START.sum(&bytes[..0x3fc]) != word(&bytes, 0x3fc) {
        return Err(place.damaged("it does not match its checksum"));
    }
    // Growing writes the copies while the file system is mounted, and nothing clears the flag in them.
    if incompat & RECOVER != 0 && group == 0 {
        return Err(Ext4Error::NeedsRecovery);
    }
    if word(&bytes, 0x18) != 2 || half(&bytes, 0x58) != 256 || usize::from(half(&bytes, 0xfe)) != DESCRIPTOR {
        return Err(Ext4Error::Unsupported { feature: "other sizes of blocks, inodes or descriptors" });
    }
    let found = parse(&bytes, incompat);
    let inodes_fit = u64::from(found.inodes) <= found.groups() * u64::from(found.inodes_per_group);
    let whole = found.inodes_per_group.is_multiple_of(16) && (1..=32_768).contains(&found.inodes_per_group);
    if u64::from(word(&bytes, 0x20)) != GROUP_BLOCKS || word(&bytes, 0x14) != 0 || !whole || !inodes_fit {
        return Err(place.damaged("its numbers contradict each other"));
    }
    Ok(found)
}

fn check_features(incompat: u32, ro_compat: u32) -> Result<(), Ext4Error> {
    let unsupported = |feature| Err(Ext4Error::Unsupported { feature });
    match () {
        () if incompat & META_BG != 0 => unsupported("meta_bg"),
        () if incompat & !(KNOWN | RECOVER) != 0 => unsupported("features that change how files are kept"),
        () if incompat & (EXTENTS | BIT64) != EXTENTS | BIT64 => unsupported("neither extents nor 64bit"),
        () if ro_compat & METADATA_CSUM == 0 => unsupported("no checksums of its metadata"),
        () if ro_compat & BIGALLOC != 0 => unsupported("bigalloc"),
        () => Ok(()),
    }
}

fn parse(bytes: &[u8], incompat: u32) -> Superblock {
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&bytes[0x68..0x78]);
    Superblock {
        blocks: split(bytes, 0x04, 0x150),
        free_blocks: split(bytes, 0x0c, 0x158),
        inodes: word(bytes, 0x00),
        inodes_per_group: word(bytes, 0x28),
        uuid,
        reserved: (word(bytes, 0x5c) & RESIZE_INODE != 0).then(|| half(bytes, 0xce).into()),
        journal: (word(bytes, 0x5c) & HAS_JOURNAL != 0).then(|| word(bytes, 0xe0)),
        given_seed: (incompat & CSUM_SEED != 0).then(|| word(bytes, 0x270)),
    }
}

/// All descriptors, as they lie behind the superblock of `group`. Their number is bounded by the partition's size, or by
/// that of the file system when it is a copy's.
pub(super) fn read_groups<S: Read + Seek>(
    stream: &mut S,
    superblock: &Superblock,
    seed: Seed,
    group: u64,
) -> Result<Vec<Group>, Ext4Error> {
    let offset = (group * GROUP_BLOCKS + 1) * BLOCK;
    let bytes = read_at(stream, offset, superblock.groups() * DESCRIPTOR as u64)?;
    let tables = u64::from(superblock.inodes_per_group).div_ceil(16);
    let mut groups = Vec::new();
    for (number, descriptor) in (0_u32..).zip(bytes.chunks_exact(DESCRIPTOR)) {
        let place = if group == 0 { Structure::Group(number.into()) } else { Structure::Copy(group) };
        let mut summed = descriptor.to_vec();
        summed[0x1e..0x20].fill(0);
        if seed.with(&number.to_le_bytes()).sum(&summed).to_le_bytes()[..2] != descriptor[0x1e..0x20] {
            return Err(place.damaged("it does not match its checksum"));
        }
        let found = descriptor_of(descriptor);
        let inside =
            |block: u64, count: u64| block != 0 && block < superblock.blocks && superblock.blocks - block >= count;
        if !inside(found.block_bitmap, 1) || !inside(found.inode_bitmap, 1) || !inside(found.table, tables) {
            return Err(place.damaged("its tables are outside of the file system"));
        }
        groups.push(found);
    }
    Ok(groups)
}

fn descriptor_of(bytes: &[u8]) -> Group {
    let flags = half(bytes, 0x12);
    Group {
        block_bitmap: split(bytes, 0x00, 0x20),
        inode_bitmap: split(bytes, 0x04, 0x24),
        table: split(bytes, 0x08, 0x28),
        block_bitmap_sum: (flags & BLOCK_UNINIT == 0).then(|| split_half(bytes, 0x18, 0x38)),
        inode_bitmap_sum: (flags & INODE_UNINIT == 0).then(|| split_half(bytes, 0x1a, 0x3a)),
    }
}
