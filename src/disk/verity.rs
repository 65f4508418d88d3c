//! fs-verity in user space: digests and, for sealing a file without the kernel, Merkle tree and descriptor.
//!
//! Follows the kernel's `Documentation/filesystems/fsverity.rst`, with the one set of parameters that
//! composefs repositories of bootc have: SHA-512, blocks of 4096 bytes, no salt.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha512};

use crate::model::hex;

/// Bytes in a block of the data and of the tree.
pub const BLOCK: usize = 4096;
/// Bytes in a digest.
pub const DIGEST: usize = 64;
/// Bytes in a descriptor (`struct fsverity_descriptor`, without signature).
pub const DESCRIPTOR: usize = 256;
/// A file system that keeps the tree behind a file's data, as ext4 does, begins it at a multiple of this.
pub const TREE_ALIGNMENT: u64 = 64 << 10;

/// Number of SHA-512 in `struct fsverity_descriptor`.
const SHA512: u8 = 2;
/// Logarithm of [`BLOCK`].
const LOG_BLOCK: u8 = 12;

/// What the kernel's `FS_IOC_MEASURE_VERITY` says of a file: in a composefs repository, an object's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerityDigest([u8; DIGEST]);

impl VerityDigest {
    /// From its bytes.
    pub const fn new(bytes: [u8; DIGEST]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; DIGEST] {
        &self.0
    }

    /// The digest of a file with this content.
    pub fn of(content: &[u8]) -> Self {
        let mut hasher = VerityHasher::new(Trees::Drop);
        hasher.update(content);
        hasher.finish().digest
    }
}

impl fmt::Display for VerityDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for VerityDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is not 128 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an fs-verity digest of 128 lower-case hexadecimal digits")]
pub struct VerityDigestError(String);

impl FromStr for VerityDigest {
    type Err = VerityDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        });
        let bytes: Option<Vec<u8>> = pairs.collect();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| VerityDigestError(text.to_owned()))
    }
}

/// A finished file's digest and what sealing it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// The file's digest: SHA-512 of `descriptor`.
    pub digest: VerityDigest,
    /// The Merkle tree, the level nearest to the root first, each level padded to whole blocks. Empty for files of
    /// at most one block, and when it was not asked for.
    pub tree: Vec<u8>,
    /// `struct fsverity_descriptor`.
    pub descriptor: [u8; DESCRIPTOR],
}

impl Seal {
    /// Bytes of the file it is for (`data_size` of the descriptor).
    pub fn size(&self) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.descriptor[8..16]);
        u64::from_le_bytes(bytes)
    }
}

/// Bytes in the Merkle tree of a file of `size` bytes: known before its content is.
pub const fn tree_size(size: u64) -> u64 {
    let block = BLOCK as u64;
    let mut blocks = size.div_ceil(block);
    let mut total = 0;
    while blocks > 1 {
        blocks = blocks.div_ceil(block / DIGEST as u64);
        total += blocks * block;
    }
    total
}

/// Where ext4 puts the tree of a file of `size` bytes; the descriptor is in the next block behind the tree.
pub const fn tree_offset(size: u64) -> u64 {
    size.next_multiple_of(TREE_ALIGNMENT)
}

/// Whether a [`VerityHasher`] keeps the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trees {
    /// For [`Seal::tree`]; takes a 64th of the file's size in memory.
    Keep,
    /// Only the digest is wanted; takes a few blocks whatever the size.
    Drop,
}

/// Hashes of the blocks of the level below.
#[derive(Debug, Default)]
struct Level {
    /// Whole blocks, when they are kept.
    kept: Vec<u8>,
    /// The block being filled.
    block: Vec<u8>,
    hashes: u64,
}

/// Computes the digest of a file that arrives in pieces of any size.
#[derive(Debug)]
pub struct VerityHasher {
    trees: Trees,
    size: u64,
    /// Data of a block that is not whole yet.
    partial: Vec<u8>,
    levels: Vec<Level>,
}

impl VerityHasher {
    /// Begins a file.
    pub fn new(trees: Trees) -> Self {
        Self { trees, size: 0, partial: Vec::new(), levels: Vec::new() }
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, mut data: &[u8]) {
        self.size += data.len() as u64;
        if !self.partial.is_empty() {
            let (head, rest) = data.split_at(data.len().min(BLOCK - self.partial.len()));
            self.partial.extend_from_slice(head);
            data = rest;
            if self.partial.len() == BLOCK {
                let hash = Sha512::digest(&self.partial);
                self.add(0, &hash);
                self.partial.clear();
            }
        }
        let mut blocks = data.chunks_exact(BLOCK);
        for block in blocks.by_ref() {
            self.add(0, &Sha512::digest(block));
        }
        self.partial.extend_from_slice(blocks.remainder());
    }

    /// Adds a hash to a level; a block that is whole then becomes a hash of the level above.
    fn add(&mut self, index: usize, hash: &[u8]) {
        if self.levels.len() == index {
            self.levels.push(Level::default());
        }
        let level = &mut self.levels[index];
        level.hashes += 1;
        level.block.extend_from_slice(hash);
        if level.block.len() == BLOCK {
            self.close_block(index);
        }
    }

    fn close_block(&mut self, index: usize) {
        let level = &mut self.levels[index];
        level.block.resize(BLOCK, 0);
        let hash = Sha512::digest(&level.block);
        if self.trees == Trees::Keep {
            level.kept.extend_from_slice(&level.block);
        }
        level.block.clear();
        self.add(index + 1, &hash);
    }

    /// Ends the file.
    pub fn finish(mut self) -> Seal {
        if !self.partial.is_empty() {
            self.partial.resize(BLOCK, 0);
            let hash = Sha512::digest(&self.partial);
            self.add(0, &hash);
        }
        let root = self.root();
        let descriptor = descriptor(self.size, &root);
        let levels: Vec<&[u8]> = self.levels.iter().rev().map(|level| &*level.kept).collect();
        let tree = levels.concat();
        Seal { digest: VerityDigest(Sha512::digest(descriptor).into()), tree, descriptor }
    }

    /// Closes one level after the other up to the first that is a single hash. An empty file's is all zeros.
    fn root(&mut self) -> [u8; DIGEST] {
        let mut root = [0; DIGEST];
        let mut index = 0;
        while let Some(level) = self.levels.get(index) {
            if level.hashes == 1 {
                root.copy_from_slice(&level.block);
                break;
            }
            if !level.block.is_empty() {
                self.close_block(index);
            }
            index += 1;
        }
        root
    }
}

/// `struct fsverity_descriptor`: version, algorithm, block size, salt size, signature size, data size, root hash, salt, reserved.
fn descriptor(size: u64, root: &[u8; DIGEST]) -> [u8; DESCRIPTOR] {
    let mut bytes = [0; DESCRIPTOR];
    bytes[..3].copy_from_slice(&[1, SHA512, LOG_BLOCK]);
    bytes[8..16].copy_from_slice(&size.to_le_bytes());
    bytes[16..16 + DIGEST].copy_from_slice(root);
    bytes
}

#[cfg(test)]
mod tests {
    use composefs::fsverity::{FsVerityHasher, Sha512HashValue};
    use proptest::prelude::*;

    use super::*;

    fn content(size: usize) -> Vec<u8> {
        (0u32..).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).take(size).collect()
    }

    fn oracle(content: &[u8]) -> String {
        use composefs::fsverity::FsVerityHashValue as _;
        FsVerityHasher::<Sha512HashValue>::hash(content).to_hex()
    }

    fn sealed(content: &[u8]) -> Seal {
        let mut hasher = VerityHasher::new(Trees::Keep);
        hasher.update(content);
        hasher.finish()
    }

    #[test]
    fn known_digests() {
        // An empty file has a root hash of zeros.
        for (content, digest) in [
            (
                &b"hello world"[..],
                "18430270729d162d4e469daca123ae61893db4b0583d8f7081e3bf4f92b88ba514e7982f10733fb6aa895195c5ae8fd2eb2c47a8be05513ce5a0c51a6f570409",
            ),
            (
                b"",
                "ccf9e5aea1c2a64efa2f2354a6024b90dffde6bbc017825045dce374474e13d10adb9dadcc6ca8e17a3c075fbd31336e8f266ae6fa93a6c3bed66f9e784e5abf",
            ),
        ] {
            assert_eq!(VerityDigest::of(content).to_string(), digest);
        }
    }

    #[test]
    fn agrees_with_the_composefs_crate_at_every_edge_of_a_level() {
        let block = BLOCK;
        for blocks in [0, 1, 2, 63, 64, 65, 128, 129, 64 * 64 - 1, 64 * 64, 64 * 64 + 1] {
            for extra in [0, 1, block - 1] {
                let content = content(blocks * block + extra);
                let seal = sealed(&content);
                assert_eq!(seal.digest.to_string(), oracle(&content), "{blocks} blocks and {extra}");
                assert_eq!(seal.tree.len() as u64, tree_size(content.len() as u64), "{blocks} blocks and {extra}");
            }
        }
    }

    /// Verifies as the kernel does: from the root hash down through the stored tree to each block of data.
    #[test]
    fn the_tree_proves_every_block() {
        for size in [4097, 64 * BLOCK, 64 * BLOCK + 1, 65 * 64 * BLOCK + 5] {
            let content = content(size);
            let seal = sealed(&content);
            let mut expected: Vec<Vec<u8>> = vec![seal.descriptor[16..16 + DIGEST].to_vec()];
            let mut tree = seal.tree.chunks(BLOCK);
            let data_blocks = size.div_ceil(BLOCK);
            while expected.len() < data_blocks {
                let mut next = Vec::new();
                for hash in &expected {
                    let block = tree.next().unwrap();
                    assert_eq!(Sha512::digest(block).as_slice(), hash, "size {size}");
                    next.extend(block.chunks(DIGEST).filter(|hash| hash.iter().any(|&b| b != 0)).map(<[u8]>::to_vec));
                }
                expected = next;
            }
            assert!(tree.next().is_none());
            assert_eq!(expected.len(), data_blocks);
            for (block, hash) in content.chunks(BLOCK).zip(&expected) {
                let mut padded = block.to_vec();
                padded.resize(BLOCK, 0);
                assert_eq!(Sha512::digest(&padded).as_slice(), hash);
            }
        }
    }

    #[test]
    fn the_descriptor_lies_as_the_kernel_lays_it() {
        let seal = sealed(&content(5000));
        let d = &seal.descriptor;
        assert_eq!(d[..8], [1, 2, 12, 0, 0, 0, 0, 0]);
        assert_eq!(d[8..16], 5000u64.to_le_bytes());
        assert_eq!(d[16..80], Sha512::digest(&seal.tree)[..]);
        assert!(d[80..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn ext4_places_the_tree_at_64_kib() {
        for (size, offset) in [(1, 65536), (65536, 65536), (65537, 131_072)] {
            assert_eq!(tree_offset(size), offset, "{size}");
        }
    }

    #[test]
    fn digests_are_read_strictly() {
        let digest = VerityDigest::of(b"x");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for wrong in ["", "00", &digest.to_string().to_uppercase(), &format!("{digest}0"), &"g".repeat(128)] {
            assert!(wrong.parse::<VerityDigest>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn pieces_do_not_matter(
            size in 0usize..600_000,
            pieces in proptest::collection::vec(1usize..20_000, 1..40),
        ) {
            let content = content(size);
            let mut hasher = VerityHasher::new(Trees::Keep);
            let mut rest = &content[..];
            let mut sizes = pieces.iter().cycle();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
                hasher.update(piece);
                rest = after;
            }
            let seal = hasher.finish();
            prop_assert_eq!(seal.digest.to_string(), oracle(&content));
            prop_assert_eq!(seal, sealed(&content));
        }
    }
}
