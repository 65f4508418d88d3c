//! The blobs of rpm's own database format, `Packages.db`.
//!
//! After `lib/backend/ndb/rpmpkg.c` of rpm: a header, pages of slots, and blobs in blocks of 16 bytes; all numbers
//! are little-endian.

use std::collections::BTreeSet;

use super::super::error::DatabaseError;

const MAGIC: u32 = u32::from_le_bytes(*b"RpmP");
const SLOT: u32 = u32::from_le_bytes(*b"Slot");
const BLOB: u32 = u32::from_le_bytes(*b"BlbS");
/// Bytes of a slot; the file's header takes two of them.
const SLOT_SIZE: usize = 16;
const HEADER_SLOTS: usize = 2;
/// Bytes of a page of slots.
const PAGE: usize = 4096;
/// Bytes of a block.
const BLOCK: usize = 16;
/// Bytes in front of a blob's content.
const BLOB_HEAD: usize = 16;

/// The content of every blob, in the order of the packages' numbers.
pub(super) fn packages(file: &[u8]) -> Result<Vec<Vec<u8>>, DatabaseError> {
    if le32(file, 0)? != MAGIC {
        return Err(DatabaseError::NotOne("a database of rpm's format ndb"));
    }
    let version = le32(file, 4)?;
    if version != 0 {
        return Err(DatabaseError::Value { what: "the version of the format", value: version.into() });
    }
    let pages = usize::try_from(le32(file, 12)?).map_err(|_| outside("the slots"))?;
    let end = pages.checked_mul(PAGE).filter(|end| *end <= file.len()).ok_or_else(|| outside("the slots"))?;
    let mut blobs = Vec::new();
    let mut used = BTreeSet::new();
    for slot in (HEADER_SLOTS * SLOT_SIZE..end).step_by(SLOT_SIZE) {
        let (magic, number, block) = (le32(file, slot)?, le32(file, slot + 4)?, le32(file, slot + 8)?);
        if magic != SLOT {
            return Err(DatabaseError::Value { what: "the mark of a slot", value: magic.into() });
        }
        // An empty slot.
        if block == 0 {
            continue;
        }
        if !used.insert(block) {
            return Err(DatabaseError::Loop { page: block.into() });
        }
        blobs.push((number, blob(file, number, block)?));
    }
    blobs.sort_by_key(|(number, _)| *number);
    Ok(blobs.into_iter().map(|(_, blob)| blob.to_vec()).collect())
}

fn blob(file: &[u8], number: u32, block: u32) -> Result<&[u8], DatabaseError> {
    let start = usize::try_from(block).ok().and_then(|block| block.checked_mul(BLOCK));
    let start = start.ok_or_else(|| outside("a blob"))?;
    if le32(file, start)? != BLOB || le32(file, start + 4)? != number {
        return Err(DatabaseError::Value { what: "the mark of a blob", value: number.into() });
    }
    let size = usize::try_from(le32(file, start + 12)?).map_err(|_| outside("a blob"))?;
    let content = start + BLOB_HEAD;
    content.checked_add(size).and_then(|end| file.get(content..end)).ok_or_else(|| outside("a blob"))
}

fn outside(what: &'static str) -> DatabaseError {
    DatabaseError::Outside { what }
}

fn le32(file: &[u8], at: usize) -> Result<u32, DatabaseError> {
    let bytes = at.checked_add(4).and_then(|end| file.get(at..end)).ok_or_else(|| outside("a number"))?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}
