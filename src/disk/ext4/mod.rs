//! An ext4 file system, written in one pass over `Write + Seek`.
//!
//! Content comes first: every file's bytes are written once, in the order they
//! arrive, to the next free blocks ([`Writer::begin`], [`Writer::content`]).
//! The [`Tree`] that says which names they have may be completed later, for
//! example when a digest is known. [`Writer::finish`] then writes directories,
//! attributes, the journal, bitmaps, inode tables and superblocks behind the
//! content, and goes back only for the head of the file system. `flex_bg`
//! allows metadata to lie anywhere, so nothing has to be known in advance but
//! how far the file system may grow.
//!
//! The same calls with the same parameters write the same bytes. No clock, no
//! random number and no property of this machine enters.
//!
//! # The target
//! The stream must read as zeros wherever nothing is written (a new file, a
//! discarded device): the journal, empty bitmaps and unused inode tables are
//! skipped, so the output stays sparse. The file system starts at the stream's
//! position at the time of [`Writer::new`].
//!
//! # Format
//! 4-KiB blocks, 256-byte inodes, extents, 64bit, flex_bg, metadata_csum,
//! htree directories (half MD4), large attributes (ea_inode), sparse_super,
//! dir_nlink, fs-verity, an internal journal and a resize inode. Constants name
//! the page of the kernel's documentation they come from
//! (`Documentation/filesystems/ext4/*.rst`, [`ext4 data structures`]).
//!
//! [`ext4 data structures`]: https://docs.kernel.org/filesystems/ext4/index.html
//!
//! # Growing
//! A root file system grows on its first boot through `EXT4_IOC_RESIZE_FS`.
//! The kernel can do that without reserved descriptor blocks by converting to
//! `meta_bg`, but that road had bugs until Linux 6.6 and takes the backups of
//! the descriptors away; so blocks are reserved as mke2fs does, for growth up to
//! [`Parameters::grows_to`], and only beyond that size does the kernel convert.
//!
//! # Not supported
//! inline_data, encryption, casefold, bigalloc, quota and project quota, mmp,
//! meta_bg, sparse_super2, large_dir, orphan_file, fast_commit, stable_inodes,
//! metadata_csum_seed, external journals, other block or inode sizes, bad
//! blocks, sharing of large attribute values, and changing a file system that
//! exists. Lists of inode flags such as `immutable` cannot be set.

mod acl;
mod alloc;
mod bitmap;
mod checksum;
mod content;
mod directory;
mod error;
mod extent;
mod field;
mod file;
mod finish;
mod geometry;
mod group;
mod hash;
mod htree;
mod inode;
mod journal;
mod nodes;
mod output;
mod parameters;
mod resize;
mod stats;
mod superblock;
mod target;
mod tree;
mod writer;
mod xattr;

pub use content::Content;
pub use error::{Error, NameProblem};
pub use file::{FileWriter, PausedFile};
pub use parameters::{Parameters, Size};
pub use stats::{Stats, minimum_size};
pub use tree::{Node, NodeId, Tree};
pub use writer::{Summary, Writer};

/// Bytes of a block: the only size written here, and the one every 4-KiB-page kernel can mount.
pub const BLOCK_SIZE: u64 = 4096;
/// [`BLOCK_SIZE`] as the length of a buffer.
const BLOCK: usize = 4096;
/// Blocks of a group: as many as one bitmap block has bits (blockgroup.rst).
const GROUP_BLOCKS: u64 = 8 * BLOCK_SIZE;
/// The first 64-bit size a file cannot have: block numbers within a file have 32 bits, the last being reserved.
const FILE_LIMIT: u64 = (u32::MAX as u64) * BLOCK_SIZE;

/// Blocks that hold `bytes`.
const fn blocks_of(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_SIZE)
}
