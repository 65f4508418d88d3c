//! The superblock and its copies (super.rst).

use super::checksum;
use super::extent::Root;
use super::field::{halves, halves32, low16, put_split, put16, put32};
use super::geometry::{Geometry, LOG_FLEX};
use super::inode::{EXTRA, FIRST, JOURNAL, SIZE as INODE_SIZE};
use super::parameters::Parameters;
use super::{GROUP_BLOCKS, group};

/// Bytes of the superblock, and where it is in the first block of the device; copies are at the start of theirs.
pub(super) const SIZE: usize = 1024;
pub(super) const OFFSET: usize = 1024;
const MAGIC: u16 = 0xef53;
/// 4096 is 1024 << 2.
const LOG_BLOCK: u32 = 2;
/// Clean; on errors continue; revision with features; no check after so many mounts.
const CLEAN: u16 = 1;
const CONTINUE: u16 = 1;
const DYNAMIC: u32 = 1;
const NEVER: u16 = 0xffff;
const HALF_MD4: u8 = 1;
/// The journal's extents are kept in the superblock too.
const JOURNAL_BACKUP: u8 = 1;
/// Mount options `user_xattr` and `acl`.
const MOUNT_OPTIONS: u32 = 0x0c;
/// Names are hashed as signed bytes.
const SIGNED_HASH: u32 = 1;
const CRC32C: u8 = 1;

/// `s_feature_compat`.
mod compat {
    pub(super) const HAS_JOURNAL: u32 = 0x4;
    pub(super) const EXT_ATTR: u32 = 0x8;
    pub(super) const RESIZE_INODE: u32 = 0x10;
    pub(super) const DIR_INDEX: u32 = 0x20;
}

/// `s_feature_incompat`.
mod incompat {
    pub(super) const FILETYPE: u32 = 0x2;
    pub(super) const EXTENTS: u32 = 0x40;
    pub(super) const BIT64: u32 = 0x80;
    pub(super) const FLEX_BG: u32 = 0x200;
    pub(super) const EA_INODE: u32 = 0x400;
}

/// `s_feature_ro_compat`.
mod ro_compat {
    pub(super) const SPARSE_SUPER: u32 = 0x1;
    pub(super) const LARGE_FILE: u32 = 0x2;
    pub(super) const HUGE_FILE: u32 = 0x8;
    pub(super) const DIR_NLINK: u32 = 0x20;
    pub(super) const EXTRA_ISIZE: u32 = 0x40;
    pub(super) const METADATA_CSUM: u32 = 0x400;
    pub(super) const VERITY: u32 = 0x8000;
}

/// What the superblock says beside the parameters and the geometry.
#[derive(Debug)]
pub(super) struct Superblock<'a> {
    pub(super) parameters: &'a Parameters,
    pub(super) geometry: Geometry,
    pub(super) free_blocks: u64,
    pub(super) free_inodes: u64,
    pub(super) reserved_blocks: u64,
    /// The journal's extents and size in bytes, if there is one.
    pub(super) journal: Option<(Root, u64)>,
    /// Whether a value has its own inode.
    pub(super) external_values: bool,
}

impl Superblock<'_> {
    /// Its bytes in group `group`.
    pub(super) fn encode(&self, group: u64) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        self.put_numbers(&mut bytes);
        self.put_identity(&mut bytes);
        self.put_features(&mut bytes);
        if let Some((root, size)) = &self.journal {
            put32(&mut bytes, 0xe0, JOURNAL);
            bytes[0xfd] = JOURNAL_BACKUP;
            bytes[0x10c..0x10c + root.len()].copy_from_slice(root);
            put_split(&mut bytes, 0x14c, 0x148, *size);
        }
        put16(&mut bytes, 0x5a, low16(group));
        let sum = checksum::of(&bytes[..SIZE - 4]);
        put32(&mut bytes, SIZE - 4, sum);
        bytes
    }

    fn put_numbers(&self, bytes: &mut [u8; SIZE]) {
        let geometry = &self.geometry;
        put32(bytes, 0x00, halves(geometry.inodes_per_group * geometry.groups).0);
        put_split(bytes, 0x04, 0x150, geometry.blocks);
        put_split(bytes, 0x08, 0x154, self.reserved_blocks);
        put_split(bytes, 0x0c, 0x158, self.free_blocks);
        put32(bytes, 0x10, halves(self.free_inodes).0);
        put32(bytes, 0x18, LOG_BLOCK);
        put32(bytes, 0x1c, LOG_BLOCK);
        put32(bytes, 0x20, halves(GROUP_BLOCKS).0);
        put32(bytes, 0x24, halves(GROUP_BLOCKS).0);
        put32(bytes, 0x28, halves(geometry.inodes_per_group).0);
        put32(bytes, 0x54, FIRST);
        put16(bytes, 0x58, low16(INODE_SIZE as u64));
        put16(bytes, 0xce, low16(geometry.reserved_descriptors()));
        put16(bytes, 0xfe, low16(group::SIZE as u64));
        put16(bytes, 0x15c, EXTRA);
        put16(bytes, 0x15e, EXTRA);
        bytes[0x174] = LOG_FLEX;
        put32(bytes, 0x248, halves(geometry.overhead()).0);
    }

    fn put_identity(&self, bytes: &mut [u8; SIZE]) {
        let Parameters { uuid, hash_seed, label, time, .. } = self.parameters;
        let (low, high) = halves(time.as_secs());
        // Made, last written, last checked; their bits above 32 lie elsewhere.
        for (at, above) in [(0x108, 0x276), (0x30, 0x274), (0x40, 0x277)] {
            put32(bytes, at, low);
            bytes[above] = halves32(high).0.to_le_bytes()[0];
        }
        bytes[0x68..0x78].copy_from_slice(uuid);
        bytes[0x78..0x78 + label.len()].copy_from_slice(label);
        bytes[0xec..0xfc].copy_from_slice(hash_seed);
        put16(bytes, 0x36, NEVER);
        put16(bytes, 0x38, MAGIC);
        put16(bytes, 0x3a, CLEAN);
        put16(bytes, 0x3c, CONTINUE);
        put32(bytes, 0x4c, DYNAMIC);
        bytes[0xfc] = HALF_MD4;
        put32(bytes, 0x100, MOUNT_OPTIONS);
        put32(bytes, 0x160, SIGNED_HASH);
        bytes[0x175] = CRC32C;
    }

    fn put_features(&self, bytes: &mut [u8; SIZE]) {
        let when = |condition: bool, feature: u32| if condition { feature } else { 0 };
        let resizes = self.geometry.reserved_descriptors() > 0;
        let compat = compat::EXT_ATTR
            | compat::DIR_INDEX
            | when(self.journal.is_some(), compat::HAS_JOURNAL)
            | when(resizes, compat::RESIZE_INODE);
        let incompat = incompat::FILETYPE
            | incompat::EXTENTS
            | incompat::BIT64
            | incompat::FLEX_BG
            | when(self.external_values, incompat::EA_INODE);
        let ro_compat = ro_compat::SPARSE_SUPER
            | ro_compat::LARGE_FILE
            | ro_compat::HUGE_FILE
            | ro_compat::DIR_NLINK
            | ro_compat::EXTRA_ISIZE
            | ro_compat::METADATA_CSUM
            | when(self.parameters.verity, ro_compat::VERITY);
        put32(bytes, 0x5c, compat);
        put32(bytes, 0x60, incompat);
        put32(bytes, 0x64, ro_compat);
    }
}
