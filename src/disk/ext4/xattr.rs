//! Extended attributes: first in the inode, then in one block, values too large for it in inodes of their own
//! (attributes.rst, eainode.rst).

use crate::oci::layer::Xattrs;

use super::checksum::Seed;
use super::field::{halves, low16, put16, put32};
use super::inode::XATTR_ROOM;
use super::{BLOCK, acl};

/// Starts the attributes in an inode, and with more fields the ones in a block.
const MAGIC: u32 = 0xea02_0000;
const INODE_HEADER: usize = 4;
const BLOCK_HEADER: usize = 32;
/// Bytes of an entry before its name, and of the zeros behind the last one.
const ENTRY: usize = 16;
const END: usize = 4;
/// The longest value the kernel hands out (`XATTR_SIZE_MAX`).
const LONGEST: usize = 65_536;
/// Inodes that may share a block (`EXT4_XATTR_REFCOUNT_MAX`).
pub(super) const MOST_SHARED: u32 = 1024;

/// Prefixes of names, and the numbers that stand for them; whole names come first.
const NAMESPACES: [(&[u8], u8); 6] = [
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"user.", 1),
    (b"trusted.", 4),
    (b"security.", 6),
    (b"system.", 7),
];
const ACCESS_LIST: u8 = 2;
const DEFAULT_LIST: u8 = 3;

/// An attribute as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    /// In the order the format asks for: namespace, length of the name, name.
    namespace: u8,
    length: u8,
    name: Box<[u8]>,
    value: Box<[u8]>,
    /// Whether the value has its own inode.
    external: bool,
}

/// Where each attribute of one set goes.
#[derive(Debug, Default)]
pub(super) struct Arrangement {
    inode: Vec<Slot>,
    block: Vec<Slot>,
}

/// What is wrong with a set; names the attribute.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Namespace(Box<[u8]>),
    Size(Box<[u8]>, usize),
    Acl(Box<[u8]>),
    Count,
}

impl Slot {
    fn new(full_name: &[u8], value: &[u8]) -> Result<Self, Problem> {
        let known = NAMESPACES.iter().find_map(|(prefix, number)| {
            let name = full_name.strip_prefix(*prefix)?;
            let whole = !prefix.ends_with(b".");
            (whole == name.is_empty()).then_some((name, *number))
        });
        let (name, namespace) = known.ok_or_else(|| Problem::Namespace(full_name.into()))?;
        let length = u8::try_from(name.len()).map_err(|_| Problem::Namespace(full_name.into()))?;
        if value.len() > LONGEST {
            return Err(Problem::Size(full_name.into(), value.len()));
        }
        let value = match namespace {
            ACCESS_LIST | DEFAULT_LIST => acl::to_disk(value).ok_or_else(|| Problem::Acl(full_name.into()))?.into(),
            _ => value.into(),
        };
        Ok(Self { namespace, length, name: name.into(), value, external: false })
    }

    /// Bytes it takes with its value.
    fn bytes(&self) -> usize {
        ENTRY + self.name.len().next_multiple_of(4) + self.value_bytes()
    }

    fn value_bytes(&self) -> usize {
        if self.external { 0 } else { self.value.len().next_multiple_of(4) }
    }
}

impl Arrangement {
    /// Puts attributes into the inode while they fit, then into the block; when that is not enough, the largest
    /// values move out.
    pub(super) fn of(xattrs: &Xattrs) -> Result<Self, Problem> {
        let mut slots = xattrs.iter().map(|(name, value)| Slot::new(name, value)).collect::<Result<Vec<_>, _>>()?;
        slots.sort_unstable();
        loop {
            if let Some(arrangement) = Self::fit(&slots) {
                return Ok(arrangement);
            }
            let largest = slots.iter_mut().rev().max_by_key(|slot| slot.value_bytes());
            largest.filter(|slot| slot.value_bytes() > 0).ok_or(Problem::Count)?.external = true;
        }
    }

    fn fit(slots: &[Slot]) -> Option<Self> {
        let mut room = XATTR_ROOM - INODE_HEADER - END;
        let mut block_room = BLOCK - BLOCK_HEADER - END;
        let mut arrangement = Self::default();
        for slot in slots {
            if slot.bytes() <= room {
                room -= slot.bytes();
                arrangement.inode.push(slot.clone());
            } else {
                block_room = block_room.checked_sub(slot.bytes())?;
                arrangement.block.push(slot.clone());
            }
        }
        Some(arrangement)
    }

    /// Whether some go into a block.
    pub(super) fn has_block(&self) -> bool {
        !self.block.is_empty()
    }

    /// The same, with nothing in the inode.
    pub(super) fn in_block(&self) -> Self {
        Self { inode: Vec::new(), block: self.inode.clone() }
    }

    /// Values that need an inode, in the order their numbers are to be given.
    pub(super) fn external_values(&self) -> impl Iterator<Item = &[u8]> {
        self.inode.iter().chain(&self.block).filter(|slot| slot.external).map(|slot| &*slot.value)
    }

    /// The part in the inode.
    pub(super) fn encode_inode(&self, numbers: &mut impl Iterator<Item = u32>, seed: Seed) -> [u8; XATTR_ROOM] {
        let mut bytes = [0; XATTR_ROOM];
        if !self.inode.is_empty() {
            put32(&mut bytes, 0, MAGIC);
            encode(&self.inode, &mut bytes[INODE_HEADER..], 0, false, numbers, seed);
        }
        bytes
    }

    /// The block, to lie at `place`, shared by `users` inodes.
    pub(super) fn encode_block(
        &self,
        place: u64,
        users: u32,
        numbers: &mut impl Iterator<Item = u32>,
        seed: Seed,
    ) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        put32(&mut block, 0, MAGIC);
        put32(&mut block, 4, users);
        put32(&mut block, 8, 1);
        let hash = encode(&self.block, &mut block[BLOCK_HEADER..], BLOCK_HEADER, true, numbers, seed);
        put32(&mut block, 12, hash);
        let sum = seed.block(place).sum(&block);
        put32(&mut block, 16, sum);
        block
    }
}

/// Entries from the start, values from the end. Offsets count from `base` bytes before `area`. Returns the hash over all entries.
fn encode(
    slots: &[Slot],
    area: &mut [u8],
    base: usize,
    hashed: bool,
    numbers: &mut impl Iterator<Item = u32>,
    seed: Seed,
) -> u32 {
    let (mut entry, mut value) = (0, area.len());
    let mut sum = 0_u32;
    for slot in slots {
        let bytes = &mut area[entry..];
        bytes[0] = slot.length;
        bytes[1] = slot.namespace;
        put32(bytes, 8, halves(slot.value.len() as u64).0);
        bytes[ENTRY..ENTRY + slot.name.len()].copy_from_slice(&slot.name);
        let hash = if slot.external {
            put32(bytes, 4, numbers.next().expect("one number for each external value"));
            entry_hash(&slot.name, &value_hash(&slot.value, seed).to_le_bytes())
        } else {
            value -= slot.value_bytes();
            // An empty value lies nowhere; everything else is found by its offset.
            if !slot.value.is_empty() {
                put16(bytes, 2, low16((base + value) as u64));
            }
            if hashed { entry_hash(&slot.name, &slot.value) } else { 0 }
        };
        put32(&mut area[entry..], 12, hash);
        if !slot.external {
            area[value..value + slot.value.len()].copy_from_slice(&slot.value);
        }
        sum = sum.rotate_left(16) ^ hash;
        entry += ENTRY + slot.name.len().next_multiple_of(4);
    }
    sum
}

/// The hash of a value in its own inode: its checksum.
pub(super) fn value_hash(value: &[u8], seed: Seed) -> u32 {
    seed.sum(value)
}

/// `ext4_xattr_hash_entry`: the name's bytes by rotations of 5, the value's words by rotations of 16.
fn entry_hash(name: &[u8], value: &[u8]) -> u32 {
    let hash = name.iter().fold(0_u32, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte));
    value.chunks(4).fold(hash, |hash, bytes| {
        let mut word = [0; 4];
        word[..bytes.len()].copy_from_slice(bytes);
        hash.rotate_left(16) ^ u32::from_le_bytes(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(xattrs: &[(&str, usize)]) -> Result<(usize, usize, usize), Problem> {
        let xattrs: Xattrs = xattrs.iter().map(|(name, length)| (*name, vec![b'x'; *length])).collect();
        let arrangement = Arrangement::of(&xattrs)?;
        Ok((arrangement.inode.len(), arrangement.block.len(), arrangement.external_values().count()))
    }

    #[test]
    fn attributes_go_where_there_is_room() {
        for (xattrs, expected) in [
            (&[][..], (0, 0, 0)),
            (&[("security.selinux", 36)], (1, 0, 0)),
            (&[("security.selinux", 64)], (1, 0, 0)),
            (&[("security.selinux", 68)], (0, 1, 0)),
            (&[("security.selinux", 36), ("security.capability", 20)], (1, 1, 0)),
            (&[("user.a", 4040)], (0, 1, 0)),
            (&[("user.a", 4045)], (1, 0, 1)),
            (&[("user.a", 65_536), ("user.b", 4000)], (1, 1, 1)),
            (&[("user.a", 0)], (1, 0, 0)),
        ] {
            assert_eq!(arranged(xattrs), Ok(expected), "{xattrs:?}");
        }
    }

    #[test]
    fn what_cannot_be_kept_is_named() {
        let name = |name: &str| name.as_bytes().into();
        for (xattr, expected) in [
            (("gnu.translator", 1), Problem::Namespace(name("gnu.translator"))),
            (("user.", 1), Problem::Namespace(name("user."))),
            (("user.a", 65_537), Problem::Size(name("user.a"), 65_537)),
            (("system.posix_acl_access", 5), Problem::Acl(name("system.posix_acl_access"))),
        ] {
            assert_eq!(arranged(&[xattr]), Err(expected));
        }
        let many: Xattrs = (0..300).map(|i| (format!("user.{i:08}"), "v")).collect();
        assert_eq!(Arrangement::of(&many).err(), Some(Problem::Count));
    }
}
