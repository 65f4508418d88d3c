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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::disk::Window;
    use crate::disk::ext4::{Node, NodeId, Parameters, Size, Tree, Writer};
    use crate::disk::inspect::ext4::ROOT;
    use crate::disk::verity::{Trees, VerityHasher};
    use crate::model::{ByteSize, SourceDateEpoch};
    use crate::oci::layer::Metadata;

    fn seal_of(content: &[u8]) -> Seal {
        let mut hasher = VerityHasher::new(Trees::Keep);
        hasher.update(content);
        hasher.finish()
    }

    /// A file system with one sealed file.
    fn image(content: &[u8]) -> Vec<u8> {
        let size = Size::Fit { free: ByteSize(0) };
        let parameters =
            Parameters { verity: true, ..Parameters::new(size, [1; 16], [2; 16], SourceDateEpoch::from_secs(0)) };
        let mut writer = Writer::new(Cursor::new(Vec::new()), parameters).unwrap();
        let mut file = writer.begin(content.len() as u64).unwrap();
        io::Write::write_all(&mut file, content).unwrap();
        let content = file.seal(&seal_of(content)).unwrap();
        let mut tree = Tree::new(&Metadata::with_mode(0o755));
        tree.add(NodeId::ROOT, b"sealed", &Metadata::with_mode(0o644), Node::File(content)).unwrap();
        writer.finish(tree).unwrap().0.into_inner()
    }

    fn checked(image: &[u8], seal: &Seal) -> Option<Problem> {
        let mut ext4 = Ext4::open(Window::new(Cursor::new(image), 0, image.len() as u64)).unwrap();
        let root = ext4.inode(ROOT).unwrap();
        let entry = ext4.read_dir(&root).unwrap().into_iter().find(|entry| entry.name == b"sealed").unwrap();
        let inode = ext4.inode(entry.inode).unwrap();
        assert!(inode.is_sealed());
        check_seal(&mut ext4, &inode, seal).unwrap()
    }

    #[test]
    fn metadata_behind_the_content_is_compared_to_its_last_byte() {
        for size in [1_u32, 4096, 5000, 300_000] {
            let content: Vec<u8> = (0..size).map(|i| i.to_le_bytes()[0]).collect();
            let (mut image, seal) = (image(&content), seal_of(&content));
            assert!(checked(&image, &seal).is_none(), "{size}");
            let descriptor = image.windows(DESCRIPTOR).position(|window| window == seal.descriptor).unwrap();
            let mut places = vec![descriptor, descriptor + 255, descriptor + 4092];
            if !seal.tree.is_empty() {
                places.push(image.windows(64).position(|window| *window == seal.tree[..64]).unwrap());
            }
            for at in places {
                image[at] ^= 1;
                assert!(matches!(checked(&image, &seal), Some(Problem::Seal { .. })), "{size}: byte {at}");
                image[at] ^= 1;
            }
        }
    }
}
