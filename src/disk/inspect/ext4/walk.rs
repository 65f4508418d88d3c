//! Every file of a file system, once by each of its names.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

use super::error::{Ext4Error, Structure};
use super::field::word;
use super::inode::{FileKind, Inode};
use super::superblock::has_copy;
use super::{Ext4, GROUP_BLOCKS, ROOT};

/// The inode that keeps room for descriptors (special_inodes.rst), and which of its block numbers is in use.
const RESIZE: u32 = 7;
const DOUBLE_INDIRECT: usize = 13;
/// Block numbers in a block.
const POINTERS: u64 = 1024;
/// Deepest path; no kernel follows longer ones.
const DEEPEST: usize = 2048;

/// What the walk comes by.
#[derive(Debug)]
pub enum Visit<'v> {
    /// A file of any kind, the root included, under one of its names.
    File(&'v Inode),
    /// Something there cannot be read, or contradicts something else.
    Damaged(Ext4Error),
}

/// Takes the file system, a path without leading slash, and what is there.
pub type Visitor<'v, S, E> = dyn FnMut(&mut Ext4<S>, &[u8], Visit<'_>) -> Result<(), E> + 'v;

/// Blocks that belong to something, a bit each.
struct Claims(Vec<u64>);

impl Claims {
    fn new(blocks: u64) -> Self {
        Self(vec![0; usize::try_from(blocks.div_ceil(64)).unwrap_or(usize::MAX)])
    }

    /// Whether the block was free until now.
    fn take(&mut self, block: u64) -> bool {
        let (word, bit) = (usize::try_from(block / 64).unwrap_or(usize::MAX), 1_u64 << (block % 64));
        let Some(word) = self.0.get_mut(word) else { return false };
        let free = *word & bit == 0;
        *word |= bit;
        free
    }

    fn has(&self, block: u64) -> bool {
        let word = usize::try_from(block / 64).unwrap_or(usize::MAX);
        self.0.get(word).is_some_and(|word| word >> (block % 64) & 1 == 1)
    }
}

/// A file with several names.
struct Linked {
    path: Vec<u8>,
    links: u16,
    found: u32,
}

struct Walk {
    claims: Claims,
    directories: BTreeSet<u32>,
    linked: BTreeMap<u32, Linked>,
    /// Blocks of attributes may be shared.
    shared: BTreeSet<u64>,
    values: BTreeSet<u32>,
}

impl<S: Read + Seek> Ext4<S> {
    /// Calls `visit` with the path, without leading slash, of every file, directories before what is in them. Damage is
    /// visited too, and the walk goes on behind it.
    ///
    /// Memory: a bit for each block, and a few bytes for each directory and each file with several names.
    ///
    /// # Errors
    /// Only when the stream fails, or `visit` does.
    pub fn walk<E: From<Ext4Error>>(&mut self, visit: &mut Visitor<'_, S, E>) -> Result<(), E> {
        let mut walk = Walk {
            claims: Claims::new(self.superblock.blocks),
            directories: BTreeSet::new(),
            linked: BTreeMap::new(),
            shared: BTreeSet::new(),
            values: BTreeSet::new(),
        };
        self.claim_tables(&mut walk);
        if let Some(journal) = self.superblock.journal {
            self.guarded(b"", visit, |this| {
                let journal = this.inode(journal)?;
                this.claim(&mut walk, &journal)
            })?;
        }
        self.guarded(b"", visit, |this| this.claim_reserved(&mut walk))?;
        let mut folders = vec![(Vec::new(), ROOT)];
        while let Some((path, number)) = folders.pop() {
            let Some(inode) = self.guarded(&path, visit, |this| this.inode(number))? else { continue };
            self.guarded(&path, visit, |this| this.take(&mut walk, &inode, &path))?;
            visit(self, &path, Visit::File(&inode))?;
            if inode.kind != FileKind::Directory || !walk.directories.insert(number) {
                continue;
            }
            let Some(mut entries) = self.guarded(&path, visit, |this| this.read_dir(&inode))? else { continue };
            entries.sort_unstable_by(|left, right| right.name.cmp(&left.name));
            if path.len() > DEEPEST * 2 {
                visit(self, &path, Visit::Damaged(Structure::Directory(number).damaged("it is too deep")))?;
                continue;
            }
            for entry in entries {
                let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
                folders.push(([&path, separator, &entry.name].concat(), entry.inode));
            }
        }
        self.finish_walk(&walk, visit)
    }

    /// What fails is visited as damage, unless it is the stream.
    fn guarded<T, E: From<Ext4Error>>(
        &mut self,
        path: &[u8],
        visit: &mut Visitor<'_, S, E>,
        attempt: impl FnOnce(&mut Self) -> Result<T, Ext4Error>,
    ) -> Result<Option<T>, E> {
        match attempt(self) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_io() => Err(error.into()),
            Err(error) => visit(self, path, Visit::Damaged(error)).map(|()| None),
        }
    }

    /// Superblocks, descriptors, bitmaps and tables of inodes.
    fn claim_tables(&self, walk: &mut Walk) {
        let tables = u64::from(self.superblock.inodes_per_group).div_ceil(16);
        let head = 1 + self.superblock.groups().div_ceil(64);
        for group in (0..self.superblock.groups()).filter(|group| has_copy(*group)) {
            let start = group * GROUP_BLOCKS;
            for block in start..start + head {
                walk.claims.take(block);
            }
        }
        for group in &self.groups {
            walk.claims.take(group.block_bitmap);
            walk.claims.take(group.inode_bitmap);
            for block in group.table..group.table + tables {
                walk.claims.take(block);
            }
        }
    }

    /// The blocks that descriptors can grow into. The inode's double indirect block names those behind the first
    /// group's descriptors, each of which names its copies in other groups (`fs/ext4/resize.c`, `reserve_backup_gdb`).
    fn claim_reserved(&mut self, walk: &mut Walk) -> Result<(), Ext4Error> {
        let Some(reserved) = self.superblock.reserved.filter(|count| *count > 0) else { return Ok(()) };
        let damaged = || Structure::Inode(RESIZE).damaged("it does not name the blocks that descriptors grow into");
        let inode = self.inode(RESIZE)?;
        let double = u64::from(word(&inode.root, 4 * DOUBLE_INDIRECT));
        let (groups, head) = (self.superblock.groups(), 1 + self.superblock.groups().div_ceil(64));
        let numbers = self.block(double)?;
        let named = |block: &[u8], index: u64| {
            let at = usize::try_from(index % POINTERS).unwrap_or(0) * 4;
            u64::from(word(block, at))
        };
        if reserved > POINTERS
            || !walk.claims.take(double)
            || (0..POINTERS).filter(|index| named(&numbers, *index) != 0).count() as u64 != reserved
        {
            return Err(damaged());
        }
        for number in head..head + reserved {
            let block = self.block(number)?;
            let copies = (1..groups).filter(|group| has_copy(*group)).map(|group| group * GROUP_BLOCKS + number);
            let copies: Vec<u64> = copies.collect();
            let rest = (copies.len() as u64..POINTERS).all(|index| named(&block, index) == 0);
            let same = copies.iter().zip(0..).all(|(copy, index)| named(&block, index) == *copy);
            if named(&numbers, number - 1) != number || !rest || !same {
                return Err(damaged());
            }
            if !copies.into_iter().chain([number]).all(|block| walk.claims.take(block)) {
                return Err(damaged());
            }
        }
        Ok(())
    }

    /// Notes an inode under one of its names, the blocks of which are taken at the first.
    fn take(&mut self, walk: &mut Walk, inode: &Inode, path: &[u8]) -> Result<(), Ext4Error> {
        if inode.kind == FileKind::Directory {
            if walk.directories.contains(&inode.number) {
                return Err(Structure::Directory(inode.number).damaged("it is reached twice"));
            }
        } else if inode.links > 1 {
            let linked = walk.linked.entry(inode.number);
            let linked = linked.or_insert_with(|| Linked { path: path.to_vec(), links: inode.links, found: 0 });
            linked.found += 1;
            if linked.found > 1 {
                return Ok(());
            }
        } else if inode.links == 0 {
            return Err(Structure::Inode(inode.number).damaged("it has a name, and says that it has none"));
        }
        self.claim(walk, inode)?;
        if inode.xattr_block != 0 && walk.shared.insert(inode.xattr_block) && !walk.claims.take(inode.xattr_block) {
            return Err(Structure::Attributes(inode.number).damaged("their block belongs to something else too"));
        }
        self.xattrs(inode)?;
        for value in self.value_inodes(inode)? {
            if walk.values.insert(value) {
                let value = self.inode(value)?;
                self.claim(walk, &value)?;
            }
        }
        Ok(())
    }

    fn claim(&mut self, walk: &mut Walk, inode: &Inode) -> Result<(), Ext4Error> {
        let map = self.map(inode)?;
        let runs = map.extents.iter().flat_map(|extent| extent.start..extent.start + extent.blocks);
        for block in runs.chain(map.nodes) {
            if !walk.claims.take(block) {
                return Err(Structure::Extents(inode.number).damaged("a block belongs to something else too"));
            }
        }
        Ok(())
    }

    /// Names were counted, and every block that belongs to something must be marked as in use.
    fn finish_walk<E: From<Ext4Error>>(&mut self, walk: &Walk, visit: &mut Visitor<'_, S, E>) -> Result<(), E> {
        for (number, linked) in walk.linked.iter().filter(|(_, linked)| linked.found != u32::from(linked.links)) {
            let damage = Structure::Inode(*number).damaged("it has another number of names than it says");
            visit(self, &linked.path, Visit::Damaged(damage))?;
        }
        for number in 0..self.groups.len() {
            self.guarded(b"", visit, |this| this.check_marks(number, &walk.claims))?;
        }
        Ok(())
    }

    fn check_marks(&mut self, number: usize, claims: &Claims) -> Result<(), Ext4Error> {
        let (first, group) = (number as u64 * GROUP_BLOCKS, self.groups[number]);
        let end = (first + GROUP_BLOCKS).min(self.superblock.blocks);
        if group.block_bitmap_sum.is_none() {
            return Ok(());
        }
        let bitmap = self.block(group.block_bitmap)?;
        match (first..end).any(|block| claims.has(block) && !self.is_marked(&bitmap, block)) {
            true => Err(Structure::Bitmaps(number as u64).damaged("a block is in use and marked as free")),
            false => Ok(()),
        }
    }
}
