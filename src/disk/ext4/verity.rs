//! fs-verity: the hash tree and the descriptor ext4 keeps behind a file's content.
//!
//! The tree is over 4-KiB blocks without salt: hashes of blocks, packed into
//! blocks, whose hashes are packed in turn, until one block is left. ext4 stores
//! it from the first multiple of 64 KiB behind the content, root level first,
//! and behind it a block with the descriptor, whose length is in the block's
//! last four bytes (verity.rst; `Documentation/filesystems/fsverity.rst`,
//! "Merkle tree" and "fs-verity descriptor").

use sha2::{Digest as _, Sha256, Sha512};

use super::field::{halves, put_split, put32};
use super::{BLOCK, BLOCK_SIZE, blocks_of};

/// Where the metadata begins: at a multiple of this many bytes.
const ALIGNMENT: u64 = 65_536;
/// Bytes of `struct fsverity_descriptor` without a signature.
const DESCRIPTOR: usize = 256;
const VERSION: u8 = 1;
const LOG_BLOCK: u8 = 12;

/// A hash function fs-verity knows; the values are the format's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Algorithm {
    /// SHA-256.
    Sha256 = 1,
    /// SHA-512, which composefs repositories of bootc use.
    Sha512 = 2,
}

impl Algorithm {
    /// Bytes of a hash.
    pub const fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    /// Appends the hash of `bytes`.
    fn hash_onto(self, bytes: &[u8], hashes: &mut Vec<u8>) {
        match self {
            Self::Sha256 => hashes.extend_from_slice(&Sha256::digest(bytes)),
            Self::Sha512 => hashes.extend_from_slice(&Sha512::digest(bytes)),
        }
    }
}

/// Takes a file's content and makes its hash tree; keeps one hash per block, 1.6 % of the content with SHA-512.
#[derive(Debug, Clone)]
pub struct Measure {
    algorithm: Algorithm,
    /// Less than a block.
    pending: Vec<u8>,
    size: u64,
    /// Hashes of all blocks so far.
    hashes: Vec<u8>,
}

impl Measure {
    /// Of content that is yet to come.
    pub fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, pending: Vec::with_capacity(BLOCK), size: 0, hashes: Vec::new() }
    }

    /// Takes the content's next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        let mut rest = bytes;
        if !self.pending.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BLOCK - self.pending.len()));
            self.pending.extend_from_slice(now);
            rest = later;
            if self.pending.len() < BLOCK {
                return;
            }
            self.algorithm.hash_onto(&self.pending, &mut self.hashes);
            self.pending.clear();
        }
        let blocks = rest.chunks_exact(BLOCK);
        self.pending.extend_from_slice(blocks.remainder());
        for block in blocks {
            self.algorithm.hash_onto(block, &mut self.hashes);
        }
    }

    /// The metadata of all that was taken.
    pub fn finish(mut self) -> Metadata {
        if !self.pending.is_empty() {
            self.pending.resize(BLOCK, 0);
            self.algorithm.hash_onto(&self.pending, &mut self.hashes);
        }
        let (tree, root) = build_tree(self.algorithm, self.hashes);
        Metadata {
            descriptor: descriptor(self.algorithm, self.size, &root),
            algorithm: self.algorithm,
            size: self.size,
            tree,
        }
    }
}

/// All levels above the blocks, root first, and the hash of the uppermost block.
fn build_tree(algorithm: Algorithm, hashes: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let mut levels = Vec::new();
    let mut hashes = hashes;
    while hashes.len() > algorithm.length() {
        hashes.resize(hashes.len().next_multiple_of(BLOCK), 0);
        let mut above = Vec::new();
        hashes.chunks_exact(BLOCK).for_each(|block| algorithm.hash_onto(block, &mut above));
        levels.push(std::mem::replace(&mut hashes, above));
    }
    levels.reverse();
    (levels.concat(), hashes)
}

/// `struct fsverity_descriptor`; an empty file's root hash is zero.
fn descriptor(algorithm: Algorithm, size: u64, root: &[u8]) -> [u8; DESCRIPTOR] {
    let mut bytes = [0; DESCRIPTOR];
    bytes[0] = VERSION;
    bytes[1] = algorithm.number();
    bytes[2] = LOG_BLOCK;
    put_split(&mut bytes, 8, 12, size);
    bytes[16..16 + root.len()].copy_from_slice(root);
    bytes
}

/// What seals one file's content.
#[derive(Debug, Clone)]
pub struct Metadata {
    algorithm: Algorithm,
    size: u64,
    tree: Vec<u8>,
    descriptor: [u8; DESCRIPTOR],
}

impl Metadata {
    /// The file's fs-verity digest, as `fsverity measure` prints it: the hash of the descriptor.
    pub fn digest(&self) -> Vec<u8> {
        let mut digest = Vec::with_capacity(self.algorithm.length());
        self.algorithm.hash_onto(&self.descriptor, &mut digest);
        digest
    }

    /// Bytes of the content it is for.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The hash tree, whole blocks.
    pub(super) fn tree(&self) -> &[u8] {
        &self.tree
    }

    /// Blocks it takes on the device.
    pub(super) fn blocks(&self) -> u64 {
        self.tree.len() as u64 / BLOCK_SIZE + 1
    }

    /// The last block: the descriptor, and at the end its length.
    pub(super) fn descriptor_block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        block[..DESCRIPTOR].copy_from_slice(&self.descriptor);
        put32(&mut block, BLOCK - 4, halves(DESCRIPTOR as u64).0);
        block
    }
}

/// The number within the file of the first block of metadata.
pub(super) const fn first_block(size: u64) -> u64 {
    size.next_multiple_of(ALIGNMENT) / BLOCK_SIZE
}

/// Blocks the metadata of a file of `size` bytes takes.
pub(super) fn metadata_blocks(algorithm: Algorithm, size: u64) -> u64 {
    let hashes = BLOCK_SIZE / algorithm.length() as u64;
    let mut level = blocks_of(size);
    let mut blocks = 1;
    while level > 1 {
        level = level.div_ceil(hashes);
        blocks += level;
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(algorithm: Algorithm, bytes: &[u8]) -> Metadata {
        let mut measure = Measure::new(algorithm);
        bytes.chunks(1000).for_each(|chunk| measure.update(chunk));
        measure.finish()
    }

    #[test]
    fn trees_have_the_levels_of_their_size() {
        for (blocks, tree) in [(0, 0), (1, 0), (2, 1), (64, 1), (65, 3), (4096, 65), (4097, 68)] {
            let metadata = measured(Algorithm::Sha512, &vec![7; blocks * BLOCK]);
            assert_eq!(metadata.tree.len(), tree * BLOCK, "{blocks} blocks");
            assert_eq!(metadata_blocks(Algorithm::Sha512, metadata.size), tree as u64 + 1, "{blocks} blocks");
        }
    }

    #[test]
    fn metadata_begins_at_64_kib() {
        for (size, block) in [(0, 0), (1, 16), (65_536, 16), (65_537, 32)] {
            assert_eq!(first_block(size), block);
        }
    }
}
