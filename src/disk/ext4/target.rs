//! The device: where blocks are taken and written.

use std::io::{self, Seek, Write};

use super::alloc::{Allocator, Run};
use super::output::Output;
use super::{BLOCK, blocks_of};

/// A stream with the account of its blocks.
#[derive(Debug)]
pub(super) struct Target<W> {
    pub(super) output: Output<W>,
    pub(super) blocks: Allocator,
}

impl<W: Write + Seek> Target<W> {
    /// Writes one new block and says where it is.
    pub(super) fn append_block(&mut self, bytes: &[u8; BLOCK]) -> io::Result<u64> {
        let block = self.blocks.take(1).start;
        self.output.write(block, bytes)?;
        Ok(block)
    }

    /// Writes `bytes` to new blocks, calling `placed` with each run.
    pub(super) fn append(&mut self, bytes: &[u8], mut placed: impl FnMut(Run)) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let run = self.blocks.take(blocks_of(rest.len() as u64));
            let fits = usize::try_from(run.blocks).map_or(usize::MAX, |blocks| blocks.saturating_mul(BLOCK));
            let (now, later) = rest.split_at(fits.min(rest.len()));
            self.output.write(run.start, now)?;
            placed(run);
            rest = later;
        }
        Ok(())
    }
}
