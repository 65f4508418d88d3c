//! Directories: records of names in blocks (directory.rst, "Linear (Classic) Directories").

use std::io::{self, Seek, Write};

use super::BLOCK;
use super::checksum::Seed;
use super::error::Error;
use super::extent::Extents;
use super::field::{low16, put16, put32};
use super::hash::{NameHash, half_md4};
use super::htree::{self, Leaf};
use super::target::Target;
use super::tree::{Entry, NodeId, Tree};

/// Bytes of a record before its name.
const HEADER: usize = 8;
/// The record at the end of a block that holds its checksum looks like an unused one with this type.
const TAIL: usize = 12;
const TAIL_TYPE: u8 = 0xde;
const DIRECTORY_TYPE: u8 = 2;
/// Bytes for records in a block.
const ROOM: usize = BLOCK - TAIL;
/// Bytes of the records `.` and `..`.
pub(super) const DOTS: usize = 24;
/// Blocks of `lost+found`, so that there is room when there is no other, as mke2fs does.
const LOST_FOUND_BLOCKS: u64 = 4;

/// Bytes a record takes.
pub(super) const fn record_length(name: usize) -> usize {
    (HEADER + name).next_multiple_of(4)
}

/// No directory with so many names takes more blocks, `lost+found` included.
pub(super) fn most_blocks(names: u64, name_bytes: u64) -> u64 {
    let records = name_bytes + names * (HEADER as u64 + 3) + DOTS as u64;
    if records <= ROOM as u64 {
        return 1;
    }
    // A leaf ends when the next record does not fit, and no record is longer than this.
    let leaves = records.div_ceil((ROOM - record_length(255)) as u64) + 1;
    htree::blocks(usize::try_from(leaves).unwrap_or(usize::MAX))
}

/// A directory that was written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) extents: Extents,
    /// Whether it has an index.
    pub(super) indexed: bool,
}

/// What all directories of a file system need.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) tree: &'a Tree,
    pub(super) lost_found: NodeId,
    pub(super) seed: Seed,
    /// Words of the hash seed.
    pub(super) hash_seed: [u32; 4],
}

impl Context<'_> {
    /// The inode of a node: the root has 2, `lost+found` 11, the others follow in the order of the tree.
    pub(super) fn inode(&self, node: NodeId) -> u32 {
        match node {
            NodeId::ROOT => super::inode::ROOT,
            _ if node == self.lost_found => super::inode::FIRST,
            _ => super::inode::FIRST + node.number() - u32::from(node > self.lost_found),
        }
    }

    /// The node with an inode number that is not reserved, or nothing behind the last one.
    pub(super) fn node(&self, inode: u32) -> Option<NodeId> {
        let number = match inode {
            super::inode::ROOT => NodeId::ROOT.number(),
            super::inode::FIRST => self.lost_found.number(),
            _ => {
                let number = inode - super::inode::FIRST;
                number + u32::from(number >= self.lost_found.number())
            }
        };
        let id = NodeId::from_number(number);
        (id.index() < self.tree.items().len()).then_some(id)
    }

    /// Writes a directory, indexed when it takes more than a block.
    pub(super) fn write<W: Write + Seek>(&self, id: NodeId, target: &mut Target<W>) -> Result<Written, Error> {
        let directory = self.tree.directory(id).expect("called for directories only");
        let length: usize = directory.entries.iter().map(|entry| record_length(self.tree.name(entry).len())).sum();
        if DOTS + length <= ROOM {
            return self.write_linear(id, directory.parent, &directory.entries, target);
        }
        let mut hashed: Vec<_> =
            directory.entries.iter().map(|entry| (half_md4(self.tree.name(entry), self.hash_seed), *entry)).collect();
        hashed.sort_unstable_by(|a, b| (a.0, self.tree.name(&a.1)).cmp(&(b.0, self.tree.name(&b.1))));
        self.check_unique(id, hashed.iter().map(|(_, entry)| entry))?;
        self.write_indexed(id, directory.parent, &hashed, target)
    }

    fn write_linear<W: Write + Seek>(
        &self,
        id: NodeId,
        parent: NodeId,
        entries: &[Entry],
        target: &mut Target<W>,
    ) -> Result<Written, Error> {
        let mut entries = entries.to_vec();
        entries.sort_unstable_by(|a, b| self.tree.name(a).cmp(self.tree.name(b)));
        self.check_unique(id, entries.iter())?;
        let seed = self.seed.inode(self.inode(id));
        let mut block = Records::new();
        block.push(self.inode(id), DIRECTORY_TYPE, b".");
        block.push(self.inode(parent), DIRECTORY_TYPE, b"..");
        entries.iter().for_each(|entry| self.push(&mut block, entry));
        let blocks = if id == self.lost_found { LOST_FOUND_BLOCKS } else { 1 };
        let extents: Extents = target.blocks.take_all(blocks).into_iter().collect();
        let mut block = Some(block);
        for place in extents.device_blocks() {
            target.output.write(place, &block.take().unwrap_or_else(Records::new).finish(seed))?;
        }
        Ok(Written { extents, indexed: false })
    }

    fn write_indexed<W: Write + Seek>(
        &self,
        id: NodeId,
        parent: NodeId,
        entries: &[(NameHash, Entry)],
        target: &mut Target<W>,
    ) -> Result<Written, Error> {
        let leaves = self.split(entries);
        let blocks = htree::blocks(leaves.len());
        if leaves.len() > htree::MOST_LEAVES {
            let path = self.tree.path_of(id);
            return Err(Error::DirectoryFull { path, blocks, most: htree::MOST_LEAVES as u64 });
        }
        let seed = self.seed.inode(self.inode(id));
        let extents: Extents = target.blocks.take_all(blocks).into_iter().collect();
        let mut places = extents.device_blocks();
        let mut write = |bytes: &[u8; BLOCK]| -> io::Result<()> {
            target.output.write(places.next().expect("as many blocks as were taken"), bytes)
        };
        htree::index(&leaves, self.inode(id), self.inode(parent), seed).iter().try_for_each(&mut write)?;
        for leaf in &leaves {
            let mut block = Records::new();
            entries[leaf.entries.clone()].iter().for_each(|(_, entry)| self.push(&mut block, entry));
            write(&block.finish(seed))?;
        }
        drop(places);
        Ok(Written { extents, indexed: true })
    }

    /// Fills leaf after leaf.
    fn split(&self, entries: &[(NameHash, Entry)]) -> Vec<Leaf> {
        let sized: Vec<_> =
            entries.iter().map(|(hash, entry)| (hash.major, record_length(self.tree.name(entry).len()))).collect();
        split(&sized)
    }

    fn check_unique<'e>(&self, id: NodeId, entries: impl Iterator<Item = &'e Entry>) -> Result<(), Error> {
        let mut before: Option<&[u8]> = None;
        for name in entries.map(|entry| self.tree.name(entry)) {
            if before.replace(name) == Some(name) {
                return Err(Error::Duplicate { path: self.tree.joined(id, name) });
            }
        }
        Ok(())
    }

    fn push(&self, block: &mut Records, entry: &Entry) {
        let (_, kind) = self.tree.items()[entry.node.index()].kind.types();
        block.push(self.inode(entry.node), kind, self.tree.name(entry));
    }
}

/// Which records, given by hash and length, go into which leaf. Names of one hash stay together where they can, so
/// that readers which do not look on in the next leaf find them too.
fn split(records: &[(u32, usize)]) -> Vec<Leaf> {
    let mut leaves: Vec<Leaf> = Vec::new();
    let (mut room, mut index) = (0, 0);
    for same in records.chunk_by(|a, b| a.0 == b.0) {
        if same.iter().map(|(_, length)| length).sum::<usize>() > room {
            room = 0;
        }
        for (position, (hash, length)) in same.iter().enumerate() {
            match leaves.last_mut().filter(|_| *length <= room) {
                Some(leaf) => leaf.entries.end = index + 1,
                None => {
                    leaves.push(Leaf { entries: index..index + 1, hash: hash | u32::from(position > 0) });
                    room = ROOM;
                }
            }
            room -= length;
            index += 1;
        }
    }
    leaves
}

/// A block of records in the making.
struct Records {
    block: [u8; BLOCK],
    /// Where the last record starts, and where the next one would.
    last: usize,
    end: usize,
}

impl Records {
    fn new() -> Self {
        Self { block: [0; BLOCK], last: 0, end: 0 }
    }

    fn push(&mut self, inode: u32, kind: u8, name: &[u8]) {
        let length = record_length(name.len());
        put_record(&mut self.block[self.end..], inode, length, kind, name);
        self.last = self.end;
        self.end += length;
    }

    /// Stretches the last record, or an unused one, to the tail, and adds the checksum.
    fn finish(mut self, seed: Seed) -> [u8; BLOCK] {
        put16(&mut self.block, self.last + 4, low16((ROOM - self.last) as u64));
        put_record(&mut self.block[ROOM..], 0, TAIL, 0, b"");
        self.block[ROOM + 7] = TAIL_TYPE;
        let sum = seed.sum(&self.block[..ROOM]);
        put32(&mut self.block, ROOM + HEADER, sum);
        self.block
    }
}

/// `struct ext4_dir_entry_2`.
pub(super) fn put_record(place: &mut [u8], inode: u32, length: usize, kind: u8, name: &[u8]) {
    put32(place, 0, inode);
    put16(place, 4, low16(length as u64));
    place[6] = u8::try_from(name.len()).expect("checked when the name was entered");
    place[7] = kind;
    place[HEADER..HEADER + name.len()].copy_from_slice(name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_are_cut_between_hashes_where_that_is_possible() {
        let leaf = |entries, hash| Leaf { entries, hash };
        let half = ROOM / 2;
        for (records, expected) in [
            (vec![(2, half), (4, half), (6, half)], vec![leaf(0..2, 2), leaf(2..3, 6)]),
            (vec![(2, half), (4, half), (4, half)], vec![leaf(0..1, 2), leaf(1..3, 4)]),
            (vec![(4, half); 5], vec![leaf(0..2, 4), leaf(2..4, 5), leaf(4..5, 5)]),
            (
                vec![(2, 12), (4, half), (4, half), (4, half), (6, half)],
                vec![leaf(0..1, 2), leaf(1..3, 4), leaf(3..5, 5)],
            ),
        ] {
            assert_eq!(split(&records), expected, "{records:?}");
        }
    }

    #[test]
    fn no_directory_takes_more_blocks_than_estimated() {
        for length in [1, 8, 20, 100, 254, 255] {
            for count in [1, 10, 100, 1000, 10_000] {
                let records: Vec<_> = (0..count).map(|hash| (hash, record_length(length))).collect();
                let linear = DOTS + count as usize * record_length(length) <= ROOM;
                let blocks = if linear { 1 } else { htree::blocks(split(&records).len()) };
                let estimated = most_blocks(count.into(), u64::from(count) * length as u64);
                assert!(
                    (blocks..=blocks + 3 + blocks / 3).contains(&estimated),
                    "{count} * {length}: {blocks} {estimated}"
                );
            }
        }
    }
}
