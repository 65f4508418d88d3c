//! Inodes (inodes.rst): 128 bytes of the old form, 32 of the new, 96 for attributes.

use crate::oci::layer::Mtime;

use super::checksum::Seed;
use super::extent::Root;
use super::field::{halves, low16, put_split, put_split32, put16, put32};

/// Bytes of an inode.
pub(super) const SIZE: usize = 256;
/// Inodes in a block of the table.
pub(super) const PER_BLOCK: u64 = (super::BLOCK / SIZE) as u64;
/// Inodes with a meaning of their own (special_inodes.rst).
pub(super) const ROOT: u32 = 2;
pub(super) const RESIZE: u32 = 7;
pub(super) const JOURNAL: u32 = 8;
/// The first inode for files: `lost+found`.
pub(super) const FIRST: u32 = 11;
/// Bytes of the fields behind the first 128.
pub(super) const EXTRA: u16 = 32;
/// Where attributes begin, and their bytes.
pub(super) const XATTRS: usize = 128 + EXTRA as usize;
pub(super) const XATTR_ROOM: usize = SIZE - XATTRS;

/// Inode flags (inodes.rst, `i_flags`).
pub(super) mod flag {
    /// The directory has an index.
    pub(in super::super) const INDEX: u32 = 0x1000;
    /// The content is mapped by extents.
    pub(in super::super) const EXTENTS: u32 = 0x8_0000;
    /// The content is protected by fs-verity.
    pub(in super::super) const VERITY: u32 = 0x10_0000;
    /// The content is the value of an attribute.
    pub(in super::super) const EA_INODE: u32 = 0x20_0000;
}

/// Seconds a 34-bit time can hold, counted from 1901.
const EARLIEST: i64 = -(1 << 31);
const LATEST: i64 = EARLIEST + (1 << 34) - 1;

/// What an inode says.
#[derive(Debug, Clone)]
pub(super) struct Inode<'a> {
    /// Type and permissions.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) links: u16,
    pub(super) flags: u32,
    /// Of 512 bytes.
    pub(super) sectors: u64,
    pub(super) root: Root,
    /// The block with more attributes, or 0.
    pub(super) xattr_block: u64,
    /// Bytes of the attributes in the inode, or nothing.
    pub(super) xattrs: &'a [u8],
    pub(super) accessed: Mtime,
    pub(super) modified: Mtime,
    pub(super) changed: Mtime,
    pub(super) created: Mtime,
    /// `i_version`; the reference count of an attribute's value.
    pub(super) version: u32,
}

impl Inode<'_> {
    /// A regular file of mode 0600, owned by root, with one name.
    pub(super) fn hidden(time: Mtime) -> Self {
        Self {
            mode: 0x8180,
            uid: 0,
            gid: 0,
            size: 0,
            links: 1,
            flags: 0,
            sectors: 0,
            root: [0; 60],
            xattr_block: 0,
            xattrs: &[],
            accessed: time,
            modified: time,
            changed: time,
            created: time,
            version: 0,
        }
    }

    /// Its bytes, as inode `number`.
    pub(super) fn encode(&self, number: u32, seed: Seed) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let (sectors_low, sectors_high) = halves(self.sectors);
        let (acl_low, acl_high) = halves(self.xattr_block);
        put16(&mut bytes, 0x00, self.mode);
        put_split32(&mut bytes, 0x02, 0x78, self.uid);
        put_split(&mut bytes, 0x04, 0x6c, self.size);
        put_split32(&mut bytes, 0x18, 0x7a, self.gid);
        put16(&mut bytes, 0x1a, self.links);
        put32(&mut bytes, 0x1c, sectors_low);
        put16(&mut bytes, 0x74, low16(sectors_high.into()));
        put32(&mut bytes, 0x20, self.flags);
        put32(&mut bytes, 0x24, self.version);
        bytes[0x28..0x28 + self.root.len()].copy_from_slice(&self.root);
        put32(&mut bytes, 0x68, acl_low);
        put16(&mut bytes, 0x76, low16(acl_high.into()));
        put16(&mut bytes, 0x80, EXTRA);
        put_time(&mut bytes, 0x08, 0x8c, self.accessed);
        put_time(&mut bytes, 0x0c, 0x84, self.changed);
        put_time(&mut bytes, 0x10, 0x88, self.modified);
        put_time(&mut bytes, 0x90, 0x94, self.created);
        bytes[XATTRS..XATTRS + self.xattrs.len()].copy_from_slice(self.xattrs);
        let sum = seed.inode(number).sum(&bytes);
        put_split32(&mut bytes, 0x7c, 0x82, sum);
        bytes
    }
}

/// 32 bits of seconds, and behind them two more and the nanoseconds (inodes.rst, "Inode Timestamps").
/// A time the format cannot hold becomes the nearest it can, as in the kernel.
fn put_time(bytes: &mut [u8], at: usize, extra: usize, time: Mtime) {
    let seconds = time.seconds.clamp(EARLIEST, LATEST);
    let (low, _) = halves(seconds.cast_unsigned());
    let (epoch, _) = halves((seconds - EARLIEST).cast_unsigned() >> 32);
    put32(bytes, at, low);
    put32(bytes, extra, epoch | time.nanos.min(999_999_999) << 2);
}

/// Device numbers: 8 bits each in the old form, 12 and 20 in the new one behind it (inodes.rst, `i_block`).
pub(super) fn device_root(major: u32, minor: u32) -> Root {
    let mut root = [0; 60];
    if major < 256 && minor < 256 {
        put32(&mut root, 0, major << 8 | minor);
    } else {
        put32(&mut root, 4, minor & 0xff | major << 8 | (minor & !0xff) << 12);
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_beyond_2038_have_their_epoch_and_others_are_clamped() {
        for (seconds, low, extra) in [
            (0, 0_u32, 0_u32),
            (-1, u32::MAX, 0),
            (1 << 31, 1 << 31, 1),
            ((1 << 32) - 1, u32::MAX, 1),
            (1 << 32, 0, 1),
            (LATEST, 0x7fff_ffff, 3),
            (i64::MAX, 0x7fff_ffff, 3),
            (i64::MIN, 1 << 31, 0),
        ] {
            let mut bytes = [0; 8];
            put_time(&mut bytes, 0, 4, Mtime { seconds, nanos: 5 });
            assert_eq!(bytes[..4], low.to_le_bytes(), "{seconds}");
            assert_eq!(bytes[4..], (extra | 20).to_le_bytes(), "{seconds}");
        }
    }

    #[test]
    fn device_numbers_take_the_old_form_while_they_fit() {
        assert_eq!(device_root(8, 1)[..8], [1, 8, 0, 0, 0, 0, 0, 0]);
        assert_eq!(device_root(259, 0x12345)[..8], [0, 0, 0, 0, 0x45, 0x03, 0x31, 0x12]);
    }
}
