//! Blocks to bytes: gathers what is consecutive, skips what stays zero.

use std::io::{self, Seek, SeekFrom, Write};

use super::{BLOCK, BLOCK_SIZE};

/// Bytes gathered before they are written.
const GATHERED: usize = 1 << 20;
/// Larger writes go past the buffer.
const LARGE: usize = 1 << 18;

/// The stream, addressed by block.
#[derive(Debug)]
pub(super) struct Output<W> {
    stream: W,
    /// The stream's position of block 0.
    base: u64,
    /// Blocks from here on are not written: the device ends.
    limit: u64,
    buffer: Vec<u8>,
    /// Where the buffer goes, in bytes from block 0.
    start: u64,
    /// Where the stream is, in bytes from block 0.
    position: u64,
    /// The block behind the last one ever written.
    high: u64,
}

impl<W: Write + Seek> Output<W> {
    /// Starts at the stream's position and ends `limit` blocks behind it.
    pub(super) fn new(mut stream: W, limit: u64) -> io::Result<Self> {
        let base = stream.stream_position()?;
        Ok(Self { stream, base, limit, buffer: Vec::with_capacity(GATHERED), start: 0, position: 0, high: 0 })
    }

    /// Writes whole blocks, the last one filled up with zeros.
    pub(super) fn write(&mut self, block: u64, bytes: &[u8]) -> io::Result<()> {
        let end = block + super::blocks_of(bytes.len() as u64);
        if end > self.limit {
            return Ok(());
        }
        self.high = self.high.max(end);
        let offset = block * BLOCK_SIZE;
        if offset != self.start + self.buffer.len() as u64 || self.buffer.len() + bytes.len() > GATHERED {
            self.flush()?;
            self.start = offset;
        }
        if bytes.len() >= LARGE && bytes.len().is_multiple_of(BLOCK) {
            self.flush()?;
            self.write_at(offset, bytes)?;
            self.start = end * BLOCK_SIZE;
            return Ok(());
        }
        self.buffer.extend_from_slice(bytes);
        self.buffer.resize(self.buffer.len().next_multiple_of(BLOCK), 0);
        Ok(())
    }

    /// Makes blocks read as zeros; those never written do already.
    pub(super) fn clear(&mut self, block: u64, blocks: u64) -> io::Result<()> {
        let stale = self.high.min(block + blocks);
        for block in block..stale {
            self.write(block, &[0; BLOCK])?;
        }
        Ok(())
    }

    /// Makes the stream at least `blocks` long.
    pub(super) fn extend_to(&mut self, blocks: u64) -> io::Result<()> {
        if self.high < blocks { self.write(blocks - 1, &[0; BLOCK]) } else { Ok(()) }
    }

    /// The block behind the last one ever written.
    pub(super) const fn high(&self) -> u64 {
        self.high
    }

    /// Hands what was gathered to the stream.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let written = if buffer.is_empty() { Ok(()) } else { self.write_at(self.start, &buffer) };
        self.start += buffer.len() as u64;
        self.buffer = buffer;
        self.buffer.clear();
        written
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.position != offset || offset == 0 {
            self.stream.seek(SeekFrom::Start(self.base + offset))?;
        }
        self.stream.write_all(bytes)?;
        self.position = offset + bytes.len() as u64;
        Ok(())
    }

    /// Writes the rest and returns the stream.
    pub(super) fn into_inner(mut self) -> io::Result<W> {
        self.flush()?;
        self.stream.flush()?;
        Ok(self.stream)
    }
}
