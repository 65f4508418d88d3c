//! Reading an ext4 file system back, written by imgbuild or changed by a kernel since.
//!
//! Shares no code with the writer in `disk::ext4`, so that each proves the other. Made for hostile input: every number is
//! bounded before it is used, every structure that has a checksum must match it, trees are followed to a fixed depth,
//! and [`Ext4::walk`] takes no block twice, so that its work is bounded by the size of the disk.
//!
//! # Supported
//! 4-KiB blocks, 256-byte inodes, 64bit, extents, metadata_csum, flex_bg, ea_inode, metadata_csum_seed, large_dir: what
//! imgbuild writes and what growing on the first boot makes of it. Not: a journal that has to be replayed, meta_bg,
//! bigalloc, inline_data, encryption, block maps. Constants name the page of the kernel's documentation
//! (`Documentation/filesystems/ext4/*.rst`).
//!
//! The crate `ext4-view`, which the writer's tests use, does not do for this: it reads no attributes, inode flags or
//! fs-verity metadata, and `read` allocates what a file claims to have.

mod checksum;
mod directory;
mod error;
mod extent;
mod field;
mod inode;
mod superblock;
mod walk;
mod xattr;

use std::io::{self, Read, Seek, SeekFrom, Write};

pub use directory::DirEntry;
pub use error::{Ext4Error, Structure};
pub use extent::Extent;
pub use inode::{FileKind, Inode};
pub use walk::{Visit, Visitor};

use super::super::Window;
use checksum::Seed;
use superblock::{Group, Superblock};

/// Bytes of a block: the only size that is read.
pub const BLOCK: u64 = 4096;
const BLOCK_LEN: usize = 4096;
/// Blocks in a group: as many as one bitmap block has bits (blockgroup.rst).
const GROUP_BLOCKS: u64 = 8 * BLOCK;
/// The root directory (special_inodes.rst).
pub const ROOT: u32 = 2;

/// Bytes read at once.
const PIECE: u64 = 256 << 10;

/// An open file system.
#[derive(Debug)]
pub struct Ext4<S> {
    partition: Window<S>,
    superblock: Superblock,
    groups: Vec<Group>,
    seed: Seed,
}

impl<S: Read + Seek> Ext4<S> {
    /// Checks superblock and group descriptors.
    ///
    /// # Errors
    /// When it is no ext4, one with features that are not read, larger than its partition, or damaged.
    pub fn open(mut partition: Window<S>) -> Result<Self, Ext4Error> {
        let superblock = superblock::read(&mut partition, 0)?;
        if superblock.blocks > partition.len() / BLOCK {
            return Err(Structure::Superblock.damaged("the file system is larger than its partition"));
        }
        let seed = superblock.seed();
        let groups = superblock::read_groups(&mut partition, &superblock, seed, 0)?;
        Ok(Self { partition, superblock, groups, seed })
    }

    /// UUID.
    pub fn uuid(&self) -> [u8; 16] {
        self.superblock.uuid
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.superblock.blocks * BLOCK
    }

    /// Bytes not in use.
    pub fn free(&self) -> u64 {
        self.superblock.free_blocks.min(self.superblock.blocks) * BLOCK
    }

    /// Checks what only a repair would read: copies of superblock and descriptors, and the checksums of all bitmaps.
    ///
    /// # Errors
    /// The first that is damaged.
    pub fn check_spare(&mut self) -> Result<(), Ext4Error> {
        for group in (1..self.groups.len() as u64).filter(|group| superblock::has_copy(*group)) {
            let copy = superblock::read(&mut self.partition, group)?;
            if copy.uuid != self.superblock.uuid {
                return Err(Structure::Copy(group).damaged("it is of another file system"));
            }
            superblock::read_groups(&mut self.partition, &copy, copy.seed(), group)?;
        }
        for number in 0..self.groups.len() {
            self.check_bitmaps(number)?;
        }
        Ok(())
    }

    fn check_bitmaps(&mut self, number: usize) -> Result<(), Ext4Error> {
        let group = self.groups[number];
        let place = Structure::Bitmaps(number as u64);
        if let Some(sum) = group.block_bitmap_sum {
            let bitmap = self.block(group.block_bitmap)?;
            if self.seed.sum(&bitmap) != sum {
                return Err(place.damaged("the bitmap of blocks does not match its checksum"));
            }
        }
        if let Some(sum) = group.inode_bitmap_sum {
            let bitmap = self.block(group.inode_bitmap)?;
            let length = usize::try_from(self.superblock.inodes_per_group / 8).unwrap_or(BLOCK_LEN);
            let (bits, padding) = bitmap.split_at(length.min(BLOCK_LEN));
            if self.seed.sum(bits) != sum || padding.iter().any(|byte| *byte != 0xff) {
                return Err(place.damaged("the bitmap of inodes does not match its checksum"));
            }
        }
        Ok(())
    }

    /// Whether the bitmaps say that a block is in use.
    fn is_marked(&self, bitmap: &[u8], block: u64) -> bool {
        let bit = block % GROUP_BLOCKS;
        bitmap.get(usize::try_from(bit / 8).unwrap_or(usize::MAX)).is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
    }

    fn block(&mut self, number: u64) -> Result<Vec<u8>, Ext4Error> {
        if number >= self.superblock.blocks {
            return Err(Structure::Block(number).damaged("it is outside of the file system"));
        }
        read_at(&mut self.partition, number * BLOCK, BLOCK)
    }

    /// Copies `length` bytes of a file from `offset` on to `out`; holes are zeros. Bytes behind the file's end, which is
    /// where ext4 keeps fs-verity metadata, are read as well when blocks are there for them.
    ///
    /// # Errors
    /// When the file's mapping is damaged, or reading or writing fails.
    pub fn copy(&mut self, inode: &Inode, offset: u64, length: u64, out: &mut dyn Write) -> Result<(), Ext4Error> {
        let (mut position, end) = (offset, offset.saturating_add(length));
        for extent in self.extents(inode)? {
            let (first, last) = (extent.logical * BLOCK, (extent.logical + extent.blocks) * BLOCK);
            if last <= position || extent.unwritten {
                continue;
            }
            if first >= end {
                break;
            }
            zeros(first.saturating_sub(position), out)?;
            position = position.max(first);
            let piece = last.min(end) - position;
            self.partition.seek(SeekFrom::Start(extent.start * BLOCK + (position - first)))?;
            copy_exactly(&mut self.partition, piece, out)?;
            position += piece;
        }
        zeros(end - position, out)
    }

    /// The whole content of a file of at most `limit` bytes.
    ///
    /// # Errors
    /// When it is larger, or as for [`Self::copy`].
    pub fn read(&mut self, inode: &Inode, limit: u64) -> Result<Vec<u8>, Ext4Error> {
        if inode.size > limit {
            return Err(Ext4Error::TooLarge { size: inode.size, limit });
        }
        let mut bytes = Vec::new();
        self.copy(inode, 0, inode.size, &mut bytes)?;
        Ok(bytes)
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// When it is longer than a block, or reading fails.
    pub fn link_target(&mut self, inode: &Inode) -> Result<Vec<u8>, Ext4Error> {
        if let Some(target) = inode.inline_target() {
            return Ok(target.to_vec());
        }
        self.read(inode, BLOCK)
    }
}

fn zeros(mut count: u64, out: &mut dyn Write) -> Result<(), Ext4Error> {
    let zeros = [0; BLOCK_LEN];
    while count > 0 {
        let piece = usize::try_from(count).unwrap_or(BLOCK_LEN).min(BLOCK_LEN);
        out.write_all(&zeros[..piece])?;
        count -= piece as u64;
    }
    Ok(())
}

fn copy_exactly(from: &mut impl Read, length: u64, out: &mut dyn Write) -> Result<(), Ext4Error> {
    let mut buffer = vec![0; usize::try_from(length.min(PIECE)).unwrap_or(BLOCK_LEN)];
    let mut left = length;
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        from.read_exact(&mut buffer[..piece])?;
        out.write_all(&buffer[..piece])?;
        left -= piece as u64;
    }
    Ok(())
}

/// `length` is bounded by the caller.
fn read_at<S: Read + Seek>(stream: &mut S, offset: u64, length: u64) -> Result<Vec<u8>, Ext4Error> {
    stream.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    stream.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(bytes)
}
