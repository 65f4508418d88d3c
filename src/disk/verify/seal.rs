//! fs-verity metadata behind a file's content, as ext4 keeps it (`fs/ext4/verity.c`).

use std::io::{self, Read, Seek, Write};

use super::finding::Problem;
use crate::disk::inspect::ext4::{BLOCK, Ext4, Ext4Error, Inode};
use crate::disk::verity::{DESCRIPTOR, Seal, tree_offset};

/// Compares what is written to it with what should be.
struct Comparing<'c> {
    rest: &'c [u8],
    equal: bool,
}

impl Write for Comparing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => self.rest = rest,
            None => self.equal = false,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Compares Merkle tree and descriptor with those of the content. The length of the descriptor stands in the last four
/// bytes of the last block of the file, and the descriptor at the start of that block.
pub(super) fn check_seal<S: Read + Seek>(
    ext4: &mut Ext4<S>,
    inode: &Inode,
    seal: &Seal,
) -> Result<Option<Problem>, Ext4Error> {
    let start = tree_offset(inode.size);
    let mut tree = Comparing { rest: &seal.tree, equal: true };
    ext4.copy(inode, start, seal.tree.len() as u64, &mut tree)?;
    if !tree.equal {
        return Ok(Some(Problem::Seal { what: "Merkle tree" }));
    }
    let end = ext4.extents(inode)?.last().map_or(0, |extent| (extent.logical + extent.blocks) * BLOCK);
    let place = start + seal.tree.len() as u64;
    let mut block = Vec::new();
    ext4.copy(inode, place, BLOCK, &mut block)?;
    let (last, length) = block.split_at(block.len() - 4);
    let zeros = last[DESCRIPTOR..].iter().all(|byte| *byte == 0);
    let right =
        end == place + BLOCK && last.starts_with(&seal.descriptor) && zeros && *length == (256_u32).to_le_bytes();
    Ok((!right).then_some(Problem::Seal { what: "descriptor" }))
}
