//! How large a file system must be, before anything is written.

use crate::disk::verity::tree_size;
use crate::model::ByteSize;
use crate::oci::layer::Xattrs;

use super::alloc::Allocator;
use super::directory::{self, record_length};
use super::error::Error;
use super::geometry::Layout;
use super::parameters::Parameters;
use super::xattr::Arrangement;
use super::{BLOCK_SIZE, blocks_of, finish};

/// Sums over a tree; never less than what writing it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    inodes: u64,
    blocks: u64,
}

impl Stats {
    /// Counts a regular file, and its hash tree and descriptor when it will be sealed.
    pub fn file(&mut self, size: u64, sealed: bool) {
        self.inodes += 1;
        self.blocks += blocks_of(size) + if sealed { blocks_of(tree_size(size)) + 1 } else { 0 };
        self.blocks += most_tree_blocks(size);
    }

    /// Counts a directory with so many names that have so many bytes together.
    pub fn directory(&mut self, names: u64, name_bytes: u64) {
        self.inodes += 1;
        self.blocks += directory::most_blocks(names, name_bytes);
    }

    /// Counts a symbolic link.
    pub fn symlink(&mut self, length: u64) {
        self.inodes += 1;
        self.blocks += u64::from(length >= finish::SLOW_SYMLINK as u64);
    }

    /// Counts a device, pipe or socket.
    pub fn special(&mut self) {
        self.inodes += 1;
    }

    /// Counts the attributes of one file, as if no other had the same.
    pub fn xattrs(&mut self, xattrs: &Xattrs) {
        let arrangement = Arrangement::of(xattrs).unwrap_or_default();
        self.blocks += u64::from(arrangement.has_block());
        for value in arrangement.external_values() {
            self.inodes += 1;
            self.blocks += blocks_of(value.len() as u64);
        }
    }
}

/// Blocks of extents of a file without holes; each hole saves more than its extents take. A file ends an extent where
/// a group has a head and after 128 MiB, and small ones meet one head at most, so their extents fit into the inode.
fn most_tree_blocks(size: u64) -> u64 {
    match size.div_ceil(1 << 27) {
        _ if size < 32 << 20 => 0,
        groups => (2 * groups + 4).div_ceil(340) + 1,
    }
}

/// The smallest size, in whole MiB, that holds the tree with `free` bytes to spare.
pub fn minimum_size(stats: &Stats, free: ByteSize, parameters: &Parameters) -> Result<ByteSize, Error> {
    let mut content = Allocator::new(parameters.head());
    content.take_all(stats.blocks + directory::most_blocks(1, record_length(10) as u64) + 4);
    let inodes = stats.inodes + finish::RESERVED_INODES + 2;
    let layout = Layout::fit_growing(&content, inodes, parameters, free.0.div_ceil(BLOCK_SIZE))?;
    Ok(ByteSize(layout.geometry.blocks * BLOCK_SIZE))
}
