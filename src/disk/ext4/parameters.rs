//! What the caller decides about a file system.

use crate::model::{ByteSize, SourceDateEpoch};

use super::alloc::has_superblock;
use super::error::Error;
use super::{BLOCK_SIZE, GROUP_BLOCKS};

/// Descriptors in a block: 64 bytes each (group_descr.rst).
pub(super) const DESCRIPTORS: u64 = 64;
/// The most blocks descriptors can grow into: a block of block numbers in the resize inode.
const MOST_RESERVED: u64 = 1024;
/// As mke2fs: a device is not expected to grow to more than this many times its size.
const GROWTH: u64 = 1024;

/// How large the file system becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Exactly as large as the device, a whole number of blocks.
    Exact(ByteSize),
    /// As large as its content needs, and then so many bytes free.
    Fit {
        /// Bytes left free for files, beside the blocks reserved for root.
        free: ByteSize,
    },
}

/// Everything about a file system that is not its tree.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// The size.
    pub size: Size,
    /// How far it may grow with its descriptors in one place; see the module's header.
    pub grows_to: ByteSize,
    /// The file system's UUID; all checksums depend on it.
    pub uuid: [u8; 16],
    /// The seed of the hashes of names.
    pub hash_seed: [u8; 16],
    /// The label, at most 16 bytes.
    pub label: Vec<u8>,
    /// When the file system and all its files were made; content has its own time of modification.
    pub time: SourceDateEpoch,
    /// Percent of the blocks that only root may fill: 0 to 50.
    pub reserved_percent: u8,
    /// One spare inode for so many bytes that are free, at least 1024; files there are always get theirs.
    pub bytes_per_inode: u32,
    /// Whether files may be sealed by fs-verity.
    pub verity: bool,
}

impl Parameters {
    /// mke2fs's choices, with nothing reserved for root: a service cannot fill an immutable host's root anyway.
    pub fn new(size: Size, uuid: [u8; 16], hash_seed: [u8; 16], time: SourceDateEpoch) -> Self {
        Self {
            size,
            grows_to: ByteSize(1 << 40),
            uuid,
            hash_seed,
            label: Vec::new(),
            time,
            reserved_percent: 0,
            bytes_per_inode: 16_384,
            verity: false,
        }
    }

    /// Blocks of the device, if its size is given.
    pub(super) fn exact_blocks(&self) -> Option<u64> {
        match self.size {
            Size::Exact(size) => Some(size.0 / BLOCK_SIZE),
            Size::Fit { .. } => None,
        }
    }

    /// Checks what can be checked before anything is written.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.reserved_percent > 50 {
            return Err(Error::Reserved { given: self.reserved_percent });
        }
        if self.label.len() > 16 {
            return Err(Error::Label { label: self.label[..].into() });
        }
        match self.size {
            Size::Exact(size) if !size.0.is_multiple_of(BLOCK_SIZE) => Err(Error::Unaligned { given: size.0 }),
            Size::Exact(size) if descriptor_blocks(size.0 / BLOCK_SIZE) > GROUP_BLOCKS / 2 => Err(Error::TooLarge {
                wanted: size,
                most: ByteSize(GROUP_BLOCKS / 2 * DESCRIPTORS * GROUP_BLOCKS * BLOCK_SIZE),
            }),
            _ => Ok(()),
        }
    }

    /// Blocks at the head of each group with a superblock: itself, the descriptors, and what they may grow into.
    pub(super) fn head(&self) -> u64 {
        let wished = descriptor_blocks(self.grows_to.0.div_ceil(BLOCK_SIZE));
        let (now, most) = match self.exact_blocks() {
            Some(blocks) => (descriptor_blocks(blocks), descriptor_blocks(blocks.saturating_mul(GROWTH))),
            None => (1, u64::MAX),
        };
        1 + wished.min(most).clamp(now, now + MOST_RESERVED)
    }
}

/// Blocks of descriptors for a file system of so many blocks.
pub(super) fn descriptor_blocks(blocks: u64) -> u64 {
    blocks.div_ceil(GROUP_BLOCKS).div_ceil(DESCRIPTORS).max(1)
}

/// Heads in a file system of so many groups.
pub(super) fn heads(groups: u64) -> u64 {
    (0..groups).filter(|group| has_superblock(*group)).count() as u64
}
