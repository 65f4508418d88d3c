//! Where everything lies that is no content: planned when the content is written.

use crate::model::ByteSize;

use super::alloc::{Allocator, has_superblock};
use super::error::Error;
use super::extent::{self, Extents};
use super::inode::{PER_BLOCK, SIZE};
use super::journal;
use super::parameters::{DESCRIPTORS, Parameters, Size, descriptor_blocks, heads};
use super::{BLOCK_SIZE, GROUP_BLOCKS};

/// Groups whose metadata lies together (blockgroup.rst, "Flexible Block Groups"), as a power of two, as mke2fs has it.
pub(super) const LOG_FLEX: u8 = 4;
const FLEX: u64 = 1 << LOG_FLEX;
/// Blocks a last group must have to be of use, beside its head; mke2fs asks for as many.
const SMALLEST_GROUP: u64 = 50;
/// Half of what an inode number can count: there is always a size with room for them.
const MOST_INODES: u64 = 1 << 31;
/// Sizes found by fitting are a multiple of 1 MiB.
const FIT_STEP: u64 = 256;

/// The numbers of a file system of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) blocks: u64,
    pub(super) groups: u64,
    pub(super) inodes_per_group: u64,
    /// Blocks of group descriptors.
    pub(super) descriptors: u64,
    /// Blocks at the head of a group with a superblock.
    pub(super) head: u64,
}

impl Geometry {
    /// Of so many blocks with room for `inodes`, of which the content takes `used` blocks; nothing when there are
    /// too few groups for the inodes.
    fn of(blocks: u64, used: u64, inodes: u64, parameters: &Parameters, head: u64) -> Option<Self> {
        let blocks = without_small_group(blocks, head);
        let groups = blocks.div_ceil(GROUP_BLOCKS).max(1);
        let spare = blocks.saturating_sub(used) * BLOCK_SIZE / u64::from(parameters.bytes_per_inode.max(1024));
        let most = GROUP_BLOCKS.min(u64::from(u32::MAX) / groups / PER_BLOCK * PER_BLOCK);
        let inodes_per_group = (inodes + spare).div_ceil(groups).next_multiple_of(PER_BLOCK).min(most);
        let enough = inodes_per_group * groups >= inodes;
        enough.then_some(Self { blocks, groups, inodes_per_group, descriptors: descriptor_blocks(blocks), head })
    }

    /// Blocks of a group's inode table.
    pub(super) const fn table_blocks(&self) -> u64 {
        self.inodes_per_group / PER_BLOCK
    }

    /// Blocks of one group: all have the same but the last.
    pub(super) fn group_blocks(&self, group: u64) -> u64 {
        GROUP_BLOCKS.min(self.blocks - group * GROUP_BLOCKS)
    }

    /// Blocks at the head of one group.
    pub(super) fn group_head(&self, group: u64) -> u64 {
        if has_superblock(group) { self.head } else { 0 }
    }

    /// Blocks the descriptors may still grow into.
    pub(super) const fn reserved_descriptors(&self) -> u64 {
        self.head.saturating_sub(1 + self.descriptors)
    }

    /// Blocks that hold no content in an empty file system, the journal included.
    pub(super) fn overhead(&self) -> u64 {
        heads(self.groups) * self.head + self.groups * (2 + self.table_blocks()) + journal::blocks(self.blocks)
    }
}

/// Leaves out a last group that would hold little more than its own head.
fn without_small_group(blocks: u64, head: u64) -> u64 {
    let (groups, rest) = (blocks / GROUP_BLOCKS, blocks % GROUP_BLOCKS);
    let least = SMALLEST_GROUP + if has_superblock(groups) { head } else { 0 };
    if groups > 0 && rest < least { blocks - rest } else { blocks }
}

/// Where a group's bitmaps and its inode table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct GroupPlace {
    pub(super) block_bitmap: u64,
    pub(super) inode_bitmap: u64,
    pub(super) table: u64,
}

/// A place for everything.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) geometry: Geometry,
    pub(super) groups: Vec<GroupPlace>,
    /// The journal, if the file system is large enough for one, and the blocks of its extent tree.
    pub(super) journal: Extents,
    pub(super) journal_tree: Vec<u64>,
    /// The block of the resize inode that names the reserved descriptor blocks.
    pub(super) resize: Option<u64>,
    /// All that is used.
    pub(super) blocks: Allocator,
}

impl Layout {
    /// Finds a place for everything behind the content, in the size that was asked for.
    pub(super) fn plan(content: &Allocator, inodes: u64, parameters: &Parameters) -> Result<Self, Error> {
        if inodes > MOST_INODES {
            return Err(Error::Inodes { found: inodes });
        }
        let blocks = match parameters.size {
            Size::Fit { free } => return Self::fit_growing(content, inodes, parameters, free.0.div_ceil(BLOCK_SIZE)),
            Size::Exact(size) => size.0 / BLOCK_SIZE,
        };
        let layout = Geometry::of(blocks, content.used_blocks(), inodes, parameters, content.head())
            .map(|geometry| Self::place(geometry, content.clone()))
            .filter(Self::fits);
        match layout {
            Some(layout) => Ok(layout),
            None => {
                let needed = Self::needed(content, inodes, parameters);
                Err(Error::TooSmall { needed: bytes(needed), given: bytes(blocks) })
            }
        }
    }

    /// The blocks of a device that would hold the content; its descriptors may need longer heads.
    fn needed(content: &Allocator, inodes: u64, parameters: &Parameters) -> u64 {
        let Geometry { blocks, groups, .. } = Self::fit(content, inodes, parameters, 0).geometry;
        let larger = Parameters { size: Size::Exact(bytes(blocks)), ..parameters.clone() };
        let longer = larger.head().saturating_sub(content.head()) * (heads(groups) + 1);
        (blocks + longer).next_multiple_of(FIT_STEP)
    }

    /// Like [`Self::fit`], but not beyond what the reserved descriptors reach.
    pub(super) fn fit_growing(
        content: &Allocator,
        inodes: u64,
        parameters: &Parameters,
        free: u64,
    ) -> Result<Self, Error> {
        let layout = Self::fit(content, inodes, parameters, free);
        let (wanted, most) = (layout.geometry.blocks, (content.head() - 1) * DESCRIPTORS * GROUP_BLOCKS);
        if wanted <= most { Ok(layout) } else { Err(Error::TooLarge { wanted: bytes(wanted), most: bytes(most) }) }
    }

    /// The smallest size, in steps, that leaves `free` blocks.
    fn fit(content: &Allocator, inodes: u64, parameters: &Parameters, free: u64) -> Self {
        let mut blocks = (content.next() + free).next_multiple_of(FIT_STEP);
        loop {
            let geometry = Geometry::of(blocks, content.used_blocks(), inodes, parameters, content.head());
            let Some(layout) = geometry.map(|geometry| Self::place(geometry, content.clone())) else {
                blocks += GROUP_BLOCKS;
                continue;
            };
            let wanted = layout.used() + layout.reserved(parameters) + free;
            if layout.fits() && wanted <= layout.geometry.blocks {
                return layout;
            }
            blocks = wanted.max(layout.blocks.next()).max(blocks + 1).next_multiple_of(FIT_STEP);
        }
    }

    /// Blocks only root may use.
    pub(super) fn reserved(&self, parameters: &Parameters) -> u64 {
        self.geometry.blocks * u64::from(parameters.reserved_percent) / 100
    }

    /// All blocks in use.
    pub(super) fn used(&self) -> u64 {
        self.blocks.used_blocks() + heads(self.geometry.groups) * self.geometry.head
    }

    fn fits(&self) -> bool {
        self.blocks.next() <= self.geometry.blocks && self.geometry.head + SMALLEST_GROUP <= self.geometry.blocks
    }

    /// The journal first, then the metadata of group after group.
    fn place(geometry: Geometry, content: Allocator) -> Self {
        let mut blocks = content;
        let journal: Extents = blocks.take_all(journal::blocks(geometry.blocks)).into_iter().collect();
        let journal_tree = (0..extent::tree_blocks(&journal)).map(|_| blocks.take(1).start).collect();
        let resize = (geometry.reserved_descriptors() > 0).then(|| blocks.take(1).start);
        let mut groups = vec![GroupPlace::default(); usize::try_from(geometry.groups).expect("far below 2^32")];
        for (first, flex) in (0..).step_by(1 << LOG_FLEX).zip(groups.chunks_mut(1 << LOG_FLEX)) {
            place_flex(&geometry, first, flex, &mut blocks);
        }
        Self { geometry, groups, journal, journal_tree, resize, blocks }
    }
}

/// Puts the metadata of up to 16 groups at the start of the first one, or behind the content when that reaches further.
fn place_flex(geometry: &Geometry, first: u64, flex: &mut [GroupPlace], blocks: &mut Allocator) {
    let start = first * GROUP_BLOCKS;
    let needed = FLEX * (2 + geometry.table_blocks()) + geometry.head;
    if start > blocks.next() && start + needed < geometry.blocks {
        blocks.skip_to(start);
    }
    let count = flex.len() as u64;
    let bitmaps = blocks.take_whole(count).start;
    let inode_bitmaps = blocks.take_whole(count).start;
    for (index, place) in (0..).zip(flex) {
        let table = blocks.take_whole(geometry.table_blocks()).start;
        *place = GroupPlace { block_bitmap: bitmaps + index, inode_bitmap: inode_bitmaps + index, table };
    }
}

/// The table of a group with so many inodes takes whole blocks.
const _: () = assert!(BLOCK_SIZE.is_multiple_of(SIZE as u64));

fn bytes(blocks: u64) -> ByteSize {
    ByteSize(blocks * BLOCK_SIZE)
}
