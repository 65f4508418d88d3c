//! Everything that is not content: directories, attributes, inodes, and the file system around them.

use std::io::{self, Seek, Write};

use crate::model::ByteSize;
use crate::oci::layer::Mtime;

use super::alloc::has_superblock;
use super::bitmap::{block_bitmaps, inode_bitmap};
use super::checksum::Seed;
use super::directory::Context;
use super::error::Error;
use super::extent::{self, Root, sectors};
use super::geometry::Layout;
use super::group::{self, Descriptor};
use super::hash::seed_words;
use super::inode::{self, Inode, flag};
use super::nodes::Nodes;
use super::parameters::Parameters;
use super::superblock::{OFFSET, SIZE as SUPERBLOCK, Superblock};
use super::target::Target;
use super::tree::{Kind, NodeId, Tree};
use super::writer::Summary;
use super::{BLOCK, BLOCK_SIZE, GROUP_BLOCKS, journal, resize};

/// Inodes before the first one for files.
pub(super) const RESERVED_INODES: u64 = inode::FIRST as u64 - 1;
/// Bytes of a symbolic link that has its own block; shorter ones are in the inode (ifork.rst, "Symbolic Links").
pub(super) const SLOW_SYMLINK: usize = 60;
/// Bytes of inodes encoded before they are written.
const TABLE_CHUNK: u64 = 1 << 17;

/// Writes all that follows the content.
pub(super) fn write<W: Write + Seek>(
    target: &mut Target<W>,
    mut tree: Tree,
    parameters: &Parameters,
) -> Result<Summary, Error> {
    // Content that was given up: everything behind the rest must read as zeros.
    let stale = target.blocks.next();
    target.output.clear(stale, target.output.high().saturating_sub(stale))?;
    let lost_found = tree.ensure_lost_found()?;
    let seed = Seed::of_uuid(&parameters.uuid);
    let context = Context { tree: &tree, lost_found, seed, hash_seed: seed_words(&parameters.hash_seed) };
    let nodes = Nodes::place(&context, target)?;
    let inodes = RESERVED_INODES + nodes.count();
    let layout = Layout::plan(&target.blocks, inodes, parameters)?;
    let seconds = i64::try_from(parameters.time.as_secs()).expect("before the year 10000");
    Finisher { context, nodes, layout, parameters, inodes, time: Mtime::from_seconds(seconds) }.write(target)
}

/// What is left to write when every block has its place.
struct Finisher<'a> {
    context: Context<'a>,
    nodes: Nodes,
    layout: Layout,
    parameters: &'a Parameters,
    /// Inodes in use; they are the first ones.
    inodes: u64,
    time: Mtime,
}

impl Finisher<'_> {
    fn write<W: Write + Seek>(&self, target: &mut Target<W>) -> Result<Summary, Error> {
        let journal = self.write_journal(target)?;
        self.write_resize_blocks(target)?;
        self.write_tables(target, journal.as_ref())?;
        let descriptors = self.write_bitmaps(target)?;
        let free_blocks = descriptors.iter().map(|each| each.free_blocks).sum();
        let free_inodes = descriptors.iter().map(|each| each.free_inodes).sum();
        let superblock = Superblock {
            parameters: self.parameters,
            geometry: self.layout.geometry,
            free_blocks,
            free_inodes,
            reserved_blocks: self.layout.reserved(self.parameters),
            journal: journal.map(|root| (root, self.journal_bytes())),
            external_values: self.nodes.has_values(),
        };
        let table = group::table(&descriptors, self.context.seed);
        self.write_heads(target, &superblock, &table)?;
        Ok(Summary {
            size: ByteSize(self.layout.geometry.blocks * BLOCK_SIZE),
            free: ByteSize(free_blocks * BLOCK_SIZE),
            inodes: self.inodes,
            free_inodes,
        })
    }

    /// The journal's first block, and the tree of its extents.
    fn write_journal<W: Write + Seek>(&self, target: &mut Target<W>) -> io::Result<Option<Root>> {
        let Some(first) = self.layout.journal.device_blocks().next() else { return Ok(None) };
        let blocks = self.layout.journal.blocks();
        target.output.write(first, &journal::superblock(blocks, &self.parameters.uuid))?;
        let mut places = self.layout.journal_tree.iter();
        let map = extent::build(&self.layout.journal, self.context.seed.inode(inode::JOURNAL), |block| {
            let place = *places.next().expect("as many as the tree was planned to have");
            target.output.write(place, block).map(|()| place)
        })?;
        Ok(Some(map.root))
    }

    fn journal_bytes(&self) -> u64 {
        self.layout.journal.blocks() * BLOCK_SIZE
    }

    fn write_resize_blocks<W: Write + Seek>(&self, target: &mut Target<W>) -> io::Result<()> {
        let Some(block) = self.layout.resize else { return Ok(()) };
        let geometry = &self.layout.geometry;
        target.output.write(block, &resize::double_indirect(geometry))?;
        resize::reserved(geometry).try_for_each(|block| target.output.write(block, &resize::copies(geometry, block)))
    }

    /// The inode tables, as far as they are in use.
    fn write_tables<W: Write + Seek>(&self, target: &mut Target<W>, journal: Option<&Root>) -> io::Result<()> {
        let per_group = self.layout.geometry.inodes_per_group;
        for (group, place) in (0..).zip(&self.layout.groups) {
            let first = group * per_group + 1;
            let end = (first + per_group).min(self.inodes + 1);
            let mut block = place.table;
            let mut chunk = Vec::new();
            for number in first..end {
                let number = u32::try_from(number).expect("the plan has checked the count");
                chunk.extend_from_slice(&self.encode_inode(number, journal));
                if chunk.len() as u64 == TABLE_CHUNK {
                    target.output.write(block, &chunk)?;
                    block += TABLE_CHUNK / BLOCK_SIZE;
                    chunk.clear();
                }
            }
            target.output.write(block, &chunk)?;
        }
        Ok(())
    }

    fn encode_inode(&self, number: u32, journal: Option<&Root>) -> [u8; inode::SIZE] {
        let seed = self.context.seed;
        let hidden = Inode::hidden(self.time);
        match (number, journal, self.layout.resize) {
            (inode::JOURNAL, Some(root), _) => {
                let owned = self.layout.journal.blocks() + self.layout.journal_tree.len() as u64;
                let size = self.journal_bytes();
                Inode { size, flags: flag::EXTENTS, sectors: sectors(owned), root: *root, ..hidden }
                    .encode(number, seed)
            }
            (inode::RESIZE, _, Some(block)) => {
                let owned = resize::owned(&self.layout.geometry);
                let (size, root) = (resize::SIZE, resize::root(block));
                Inode { size, sectors: sectors(owned), root, ..hidden }.encode(number, seed)
            }
            (inode::ROOT, _, _) | (inode::FIRST.., _, _) => {
                self.nodes.inode(&self.context, number, self.time).encode(number, seed)
            }
            _ => [0; inode::SIZE],
        }
    }

    /// The bitmaps, where they say something, and what descriptors say about each group.
    fn write_bitmaps<W: Write + Seek>(&self, target: &mut Target<W>) -> io::Result<Vec<Descriptor>> {
        let geometry = &self.layout.geometry;
        let seed = self.context.seed;
        let directories = self.directories();
        let mut descriptors = Vec::with_capacity(self.layout.groups.len());
        for (group, blocks) in (0..).zip(block_bitmaps(geometry, self.layout.blocks.used())) {
            let index = descriptors.len();
            let place = self.layout.groups[index];
            // The last group's bitmap is always written: the bits behind its end are set.
            let block_bitmap_sum = if blocks.untouched && group + 1 < geometry.groups {
                None
            } else {
                target.output.write(place.block_bitmap, &blocks.bitmap)?;
                Some(seed.sum(&blocks.bitmap))
            };
            let used = self.inodes.saturating_sub(group * geometry.inodes_per_group).min(geometry.inodes_per_group);
            let inode_bitmap_sum = if used == 0 {
                None
            } else {
                let bitmap = inode_bitmap(geometry, used);
                target.output.write(place.inode_bitmap, &bitmap)?;
                let bytes = usize::try_from(geometry.inodes_per_group / 8).expect("at most a block");
                Some(seed.sum(&bitmap[..bytes]))
            };
            let unused_inodes = geometry.inodes_per_group - used;
            descriptors.push(Descriptor {
                place,
                free_blocks: blocks.free,
                free_inodes: unused_inodes,
                directories: directories[index],
                unused_inodes,
                block_bitmap_sum,
                inode_bitmap_sum,
            });
        }
        Ok(descriptors)
    }

    /// Directories in each group.
    fn directories(&self) -> Vec<u64> {
        let mut counts = vec![0; self.layout.groups.len()];
        for (number, item) in (0..).zip(self.context.tree.items()) {
            if matches!(item.kind, Kind::Directory(_)) {
                let inode = u64::from(self.context.inode(NodeId::from_number(number)));
                let group = usize::try_from((inode - 1) / self.layout.geometry.inodes_per_group);
                counts[group.expect("a group in memory")] += 1;
            }
        }
        counts
    }

    /// The superblock and the descriptors, in every group that has them; the first group's come last.
    fn write_heads<W: Write + Seek>(
        &self,
        target: &mut Target<W>,
        superblock: &Superblock<'_>,
        table: &[u8],
    ) -> io::Result<()> {
        target.output.extend_to(self.layout.geometry.blocks)?;
        for group in (0..self.layout.geometry.groups).rev().filter(|group| has_superblock(*group)) {
            let start = group * GROUP_BLOCKS;
            let offset = if group == 0 { OFFSET } else { 0 };
            let mut block = [0; BLOCK];
            block[offset..offset + SUPERBLOCK].copy_from_slice(&superblock.encode(group));
            target.output.write(start + 1, table)?;
            target.output.write(start, &block)?;
        }
        Ok(())
    }
}
