//! Extended attributes (attributes.rst): in the inode, in a block of their own, large values in inodes of their own.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use super::error::{Ext4Error, Structure};
use super::field::{half, word};
use super::inode::Inode;
use super::{BLOCK_LEN, Ext4};

const MAGIC: u32 = 0xea02_0000;
const ENTRY: usize = 16;
const BLOCK_HEADER: usize = 32;
/// The longest value there can be.
const LONGEST: u64 = 65_536;
/// What an access list in the kernel's form begins with.
const ACL_VERSION: [u8; 4] = [2, 0, 0, 0];

/// An entry and where its value is.
struct Entry {
    name: Vec<u8>,
    index: u8,
    value: Value,
}

enum Value {
    Here(Vec<u8>),
    Inode(u32),
}

impl<S: Read + Seek> Ext4<S> {
    /// The attributes of an inode by their full names, values as the kernel hands them out.
    ///
    /// # Errors
    /// When they are damaged.
    pub fn xattrs(&mut self, inode: &Inode) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Ext4Error> {
        let damaged = |problem| Structure::Attributes(inode.number).damaged(problem);
        let mut all = BTreeMap::new();
        for entry in self.entries(inode)? {
            let value = match entry.value {
                Value::Here(value) => value,
                Value::Inode(number) => self.value(number)?,
            };
            let (name, value) =
                named(entry.index, &entry.name, value).ok_or_else(|| damaged("a name or an access list is none"))?;
            all.insert(name, value);
        }
        Ok(all)
    }

    fn value(&mut self, number: u32) -> Result<Vec<u8>, Ext4Error> {
        let damaged = |problem| Structure::Attributes(number).damaged(problem);
        let inode = self.inode(number)?;
        if !inode.is_value() {
            return Err(damaged("it is no value"));
        }
        let value = self.read(&inode, LONGEST)?;
        if self.seed.sum(&value) == inode.value_sum {
            Ok(value)
        } else {
            Err(damaged("the value does not match its checksum"))
        }
    }

    /// Inodes that hold values of an inode's attributes.
    pub(super) fn value_inodes(&mut self, inode: &Inode) -> Result<Vec<u32>, Ext4Error> {
        let inodes = self.entries(inode)?.into_iter().filter_map(|entry| match entry.value {
            Value::Inode(number) => Some(number),
            Value::Here(_) => None,
        });
        Ok(inodes.collect())
    }

    fn entries(&mut self, inode: &Inode) -> Result<Vec<Entry>, Ext4Error> {
        let damaged = |problem| Structure::Attributes(inode.number).damaged(problem);
        let mut entries = Vec::new();
        if inode.xattrs.len() > 4 && word(&inode.xattrs, 0) == MAGIC {
            parse(&inode.xattrs[4..], 0, &inode.xattrs[4..], &mut entries).map_err(damaged)?;
        }
        if inode.xattr_block != 0 {
            let block = self.block(inode.xattr_block)?;
            let mut summed = block.clone();
            summed[16..20].fill(0);
            let sum = self.seed.with(&inode.xattr_block.to_le_bytes()).sum(&summed);
            if word(&block, 0) != MAGIC || sum != word(&block, 16) {
                return Err(damaged("their block does not match its checksum"));
            }
            parse(&block[BLOCK_HEADER..], BLOCK_HEADER, &block, &mut entries).map_err(damaged)?;
        }
        Ok(entries)
    }
}

/// Reads entries from the start of `area`; offsets of values count from the start of `values`, of which the first
/// `reserved` bytes hold none.
fn parse(area: &[u8], reserved: usize, values: &[u8], entries: &mut Vec<Entry>) -> Result<(), &'static str> {
    let mut at = 0;
    while at + 4 <= area.len() && word(area, at) != 0 {
        if at + ENTRY > area.len() {
            return Err("an entry reaches beyond their room");
        }
        let name =
            area.get(at + ENTRY..at + ENTRY + usize::from(area[at])).ok_or("a name reaches beyond their room")?;
        let (offset, inode, size) = (usize::from(half(area, at + 2)), word(area, at + 4), word(area, at + 8) as usize);
        let value = match (inode, size) {
            (0, 0) => Value::Here(Vec::new()),
            (0, size) if size <= BLOCK_LEN && offset >= reserved => {
                let value = values.get(offset..offset + size).ok_or("a value is outside of their room")?;
                Value::Here(value.to_vec())
            }
            (0, _) => return Err("a value is outside of their room"),
            (inode, _) => Value::Inode(inode),
        };
        entries.push(Entry { name: name.to_vec(), index: area[at + 1], value });
        at += ENTRY + usize::from(area[at]).next_multiple_of(4);
    }
    Ok(())
}

fn named(index: u8, name: &[u8], value: Vec<u8>) -> Option<(Vec<u8>, Vec<u8>)> {
    let prefix: &[u8] = match index {
        1 => b"user.",
        2 => return Some((b"system.posix_acl_access".to_vec(), acl(&value)?)),
        3 => return Some((b"system.posix_acl_default".to_vec(), acl(&value)?)),
        4 => b"trusted.",
        6 => b"security.",
        7 => b"system.",
        _ => return None,
    };
    Some(([prefix, name].concat(), value))
}

/// On disk, entries for the owner, the group, the mask and others have no number; the kernel's have all ones.
fn acl(disk: &[u8]) -> Option<Vec<u8>> {
    let mut rest = disk.strip_prefix(&[1, 0, 0, 0])?;
    let mut list = ACL_VERSION.to_vec();
    while let [tag, high, permissions, more, after @ ..] = rest {
        list.extend_from_slice(&[*tag, *high, *permissions, *more]);
        rest = after;
        match *tag {
            2 | 8 => {
                let (number, after) = rest.split_at_checked(4)?;
                list.extend_from_slice(number);
                rest = after;
            }
            _ => list.extend_from_slice(&[0xff; 4]),
        }
    }
    rest.is_empty().then_some(list)
}
