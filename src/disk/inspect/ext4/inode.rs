//! Inodes (inodes.rst).

use std::io::{Read, Seek};

use super::checksum::Seed;
use super::error::{Ext4Error, Structure};
use super::field::{half, split, split_half, word};
use super::{BLOCK, Ext4, read_at};

const SIZE: u64 = 256;
/// Where the fields behind the first 128 bytes end is told by a field; attributes begin there.
const OLD: usize = 128;

/// `i_flags`.
const EXTENTS: u32 = 0x8_0000;
const VERITY: u32 = 0x10_0000;
const EA_INODE: u32 = 0x20_0000;
const INDEX: u32 = 0x1000;
/// Compressed, encrypted, inline data.
const UNREADABLE: u32 = 0x4 | 0x800 | 0x1000_0000;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum FileKind {
    Regular,
    Directory,
    Symlink,
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Fifo,
    Socket,
}

/// An inode.
#[derive(Debug, Clone)]
pub struct Inode {
    /// Its number.
    pub number: u32,
    /// What it is.
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// Names.
    pub links: u16,
    flags: u32,
    generation: u32,
    /// `i_block`: the root of the extents, the target of a short link, or a device number.
    pub(super) root: [u8; 60],
    pub(super) xattr_block: u64,
    /// The bytes that may hold attributes.
    pub(super) xattrs: Vec<u8>,
    /// `i_atime`: the checksum of the value that the inode is.
    pub(super) value_sum: u32,
}

impl Inode {
    /// Whether fs-verity protects it.
    pub fn is_sealed(&self) -> bool {
        self.flags & VERITY != 0
    }

    pub(super) fn is_value(&self) -> bool {
        self.flags & EA_INODE != 0
    }

    pub(super) fn has_index(&self) -> bool {
        self.flags & INDEX != 0
    }

    pub(super) fn has_extents(&self) -> bool {
        self.flags & EXTENTS != 0
    }

    /// A target of up to 59 bytes stands in the inode.
    pub(super) fn inline_target(&self) -> Option<&[u8]> {
        let length = usize::try_from(self.size).ok().filter(|length| *length < self.root.len())?;
        (self.kind == FileKind::Symlink && !self.has_extents()).then(|| &self.root[..length])
    }

    /// The seed of everything that belongs to it.
    pub(super) fn seed(&self, seed: Seed) -> Seed {
        seed.with(&self.number.to_le_bytes()).with(&self.generation.to_le_bytes())
    }
}

impl<S: Read + Seek> Ext4<S> {
    /// The inode with a number.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn inode(&mut self, number: u32) -> Result<Inode, Ext4Error> {
        let place = Structure::Inode(number);
        if number == 0 || number > self.superblock.inodes {
            return Err(place.damaged("there is no such number"));
        }
        let (group, index) =
            ((number - 1) / self.superblock.inodes_per_group, (number - 1) % self.superblock.inodes_per_group);
        let group = self.groups.get(group as usize).ok_or_else(|| place.damaged("there is no such number"))?;
        let bytes = read_at(&mut self.partition, group.table * BLOCK + u64::from(index) * SIZE, SIZE)?;
        parse(number, &bytes, self.seed)
    }
}

fn parse(number: u32, bytes: &[u8], seed: Seed) -> Result<Inode, Ext4Error> {
    let place = Structure::Inode(number);
    let (extra, generation) = (usize::from(half(bytes, 0x80)), word(bytes, 0x64));
    let mut summed = bytes.to_vec();
    summed[0x7c..0x7e].fill(0);
    summed[0x82..0x84].fill(0);
    let sum = seed.with(&number.to_le_bytes()).with(&generation.to_le_bytes()).sum(&summed);
    if sum != split_half(bytes, 0x7c, 0x82) {
        return Err(place.damaged("it does not match its checksum"));
    }
    let (mode, flags) = (half(bytes, 0x00), word(bytes, 0x20));
    if flags & UNREADABLE != 0 {
        return Err(place.damaged("its content is compressed, encrypted or inline"));
    }
    let mut root = [0; 60];
    root.copy_from_slice(&bytes[0x28..0x64]);
    let kind = kind(mode, &root).ok_or_else(|| place.damaged("it is not in use, or of no known type"))?;
    Ok(Inode {
        number,
        kind,
        mode: mode & 0o7777,
        uid: split_half(bytes, 0x02, 0x78),
        gid: split_half(bytes, 0x18, 0x7a),
        size: split(bytes, 0x04, 0x6c),
        links: half(bytes, 0x1a),
        flags,
        generation,
        root,
        xattr_block: u64::from(word(bytes, 0x68)) | u64::from(half(bytes, 0x76)) << 32,
        xattrs: bytes.get(OLD + extra..).unwrap_or_default().to_vec(),
        value_sum: word(bytes, 0x08),
    })
}

fn kind(mode: u16, root: &[u8; 60]) -> Option<FileKind> {
    let (old, new) = (word(root, 0), word(root, 4));
    let (major, minor) =
        if old != 0 { (old >> 8 & 0xff, old & 0xff) } else { (new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xf_ff00) };
    Some(match mode & 0xf000 {
        0x8000 => FileKind::Regular,
        0x4000 => FileKind::Directory,
        0xa000 => FileKind::Symlink,
        0x2000 => FileKind::CharDevice { major, minor },
        0x6000 => FileKind::BlockDevice { major, minor },
        0x1000 => FileKind::Fifo,
        0xc000 => FileKind::Socket,
        _ => return None,
    })
}
