//! Writing the content of one file.

use std::io::{self, Read, Seek, Write};

use super::alloc::Mark;
use super::content::Content;
use super::error::Error;
use super::extent::Extents;
use super::field::{halves, put32};
use super::target::Target;
use super::{BLOCK, BLOCK_SIZE, FILE_LIMIT};
use crate::disk::verity::{DESCRIPTOR, Seal, tree_offset, tree_size};

/// Zeros of this length, so aligned, become a hole.
const HOLE: usize = 16 * BLOCK;
/// Bytes read at once.
const READ: usize = 4 * HOLE;

/// Takes the content of one file; dropping it without [`FileWriter::finish`] gives its blocks back.
#[derive(Debug)]
pub struct FileWriter<'a, W> {
    target: &'a mut Target<W>,
    /// What the owner rewinds to before the next file.
    committed: &'a mut Mark,
    /// Fewer than [`HOLE`] bytes that wait for more.
    pending: &'a mut Vec<u8>,
    verity: bool,
    size: u64,
    /// Bytes taken, pending ones included.
    taken: u64,
    /// Blocks of the file so far, holes included.
    blocks: u64,
    extents: Extents,
}

/// A file of which a part is written; see [`FileWriter::pause`]. Dropping it gives its blocks back.
#[derive(Debug)]
pub struct PausedFile {
    size: u64,
    taken: u64,
    blocks: u64,
    extents: Extents,
}

/// The last block of a sealed file's metadata.
fn descriptor_block(descriptor: &[u8; DESCRIPTOR]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..DESCRIPTOR].copy_from_slice(descriptor);
    put32(&mut block, BLOCK - 4, halves(DESCRIPTOR as u64).0);
    block
}

impl<'a, W: Write + Seek> FileWriter<'a, W> {
    pub(super) fn resume(
        target: &'a mut Target<W>,
        committed: &'a mut Mark,
        pending: &'a mut Vec<u8>,
        verity: bool,
        paused: PausedFile,
    ) -> Self {
        let PausedFile { size, taken, blocks, extents } = paused;
        Self { target, committed, pending, verity, size, taken, blocks, extents }
    }

    pub(super) fn new(
        target: &'a mut Target<W>,
        committed: &'a mut Mark,
        pending: &'a mut Vec<u8>,
        verity: bool,
        size: u64,
    ) -> Result<Self, Error> {
        if size > FILE_LIMIT {
            return Err(Error::FileSize { size, most: FILE_LIMIT });
        }
        target.blocks.rewind(*committed);
        pending.clear();
        Ok(Self { target, committed, pending, verity, size, taken: 0, blocks: 0, extents: Extents::default() })
    }

    /// Takes everything from `source`, which must end where the file does, through a buffer kept by the caller.
    pub(super) fn copy(&mut self, source: &mut impl Read, buffer: &mut Vec<u8>) -> Result<(), Error> {
        buffer.resize(READ, 0);
        loop {
            let count = fill(source, buffer).map_err(Error::Read)?;
            let found = self.taken + count as u64;
            if found > self.size {
                return Err(Error::Length { expected: self.size, found });
            }
            self.write_all(&buffer[..count])?;
            if count < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Ends a file that has all its content.
    pub fn finish(self) -> Result<Content, Error> {
        self.end(None)
    }

    /// Ends a file that fs-verity shall protect, and writes its hash tree and descriptor behind the content
    /// (verity.rst): the tree from the first multiple of 64 KiB on, then a block with the descriptor, whose
    /// length is in the block's last four bytes.
    pub fn seal(self, seal: &Seal) -> Result<Content, Error> {
        if !self.verity {
            return Err(Error::Unsealable);
        }
        if seal.size() != self.size {
            return Err(Error::Sealed { metadata: seal.size(), content: self.size });
        }
        if seal.tree.len() as u64 != tree_size(self.size) {
            return Err(Error::NoTree { size: self.size });
        }
        self.end(Some(seal))
    }

    /// Sets the file aside, so that whoever writes it need not hold on to its [`super::Writer`]; nothing else may be
    /// written until [`super::Writer::resume`].
    pub fn pause(self) -> PausedFile {
        PausedFile { size: self.size, taken: self.taken, blocks: self.blocks, extents: self.extents }
    }

    fn end(mut self, metadata: Option<&Seal>) -> Result<Content, Error> {
        if self.taken != self.size {
            return Err(Error::Length { expected: self.size, found: self.taken });
        }
        let last = std::mem::take(self.pending);
        self.place(&last)?;
        *self.pending = last;
        if let Some(seal) = metadata {
            if tree_offset(self.size) + tree_size(self.size) + BLOCK_SIZE > FILE_LIMIT {
                return Err(Error::FileSize { size: self.size, most: FILE_LIMIT });
            }
            self.blocks = tree_offset(self.size) / BLOCK_SIZE;
            self.place(&seal.tree)?;
            self.place(&descriptor_block(&seal.descriptor))?;
        }
        self.extents.shrink();
        *self.committed = self.target.blocks.mark();
        Ok(Content { size: self.size, extents: self.extents, sealed: metadata.is_some() })
    }

    /// Writes the file's next blocks.
    fn place(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (extents, blocks) = (&mut self.extents, &mut self.blocks);
        self.target.append(bytes, |run| {
            extents.push(*blocks, run);
            *blocks += run.blocks;
        })
    }

    /// Writes what starts at a multiple of [`HOLE`], leaving out what is zero.
    fn place_around_holes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let zeros = leading(rest, is_zero);
            self.blocks += (zeros / BLOCK) as u64;
            let data = leading(&rest[zeros..], |chunk| !is_zero(chunk));
            self.place(&rest[zeros..zeros + data])?;
            rest = &rest[zeros + data..];
        }
        Ok(())
    }
}

impl<W: Write + Seek> Write for FileWriter<'_, W> {
    /// Takes all of `bytes`, or fails when they are more than the file has.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.taken += bytes.len() as u64;
        if self.taken > self.size {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "more content than the size that was given"));
        }
        let mut rest = bytes;
        if !self.pending.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(HOLE - self.pending.len()));
            self.pending.extend_from_slice(now);
            rest = later;
            if self.pending.len() == HOLE {
                let full = std::mem::take(self.pending);
                self.place_around_holes(&full)?;
                *self.pending = full;
                self.pending.clear();
            }
        }
        let whole = rest.len() - rest.len() % HOLE;
        self.place_around_holes(&rest[..whole])?;
        rest = &rest[whole..];
        if self.taken == self.size && self.pending.is_empty() {
            self.place(rest)?;
        } else {
            self.pending.extend_from_slice(rest);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes at the start of whole [`HOLE`]s that all are as `like` says; a last, shorter piece counts as data.
fn leading(bytes: &[u8], like: impl Fn(&[u8]) -> bool) -> usize {
    let count = bytes.chunks(HOLE).take_while(|chunk| like(chunk)).map(<[u8]>::len).sum();
    debug_assert!(count <= bytes.len(), "chunks are parts");
    count
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.len() == HOLE && bytes.chunks_exact(64).all(|part| part == [0; 64])
}

/// Reads until `buffer` is full or the source ends.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match source.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}
