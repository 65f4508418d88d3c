//! The road through a file system: content, then everything else.

use std::io::{Read, Seek, Write};

use crate::model::ByteSize;

use super::alloc::{Allocator, Mark};
use super::content::Content;
use super::error::Error;
use super::file::{FileWriter, PausedFile};
use super::finish;
use super::output::Output;
use super::parameters::Parameters;
use super::target::Target;
use super::tree::Tree;

/// Writes one file system.
#[derive(Debug)]
pub struct Writer<W> {
    parameters: Parameters,
    target: Target<W>,
    /// The blocks of all finished content.
    committed: Mark,
    /// Bytes of the present file that wait for more.
    pending: Vec<u8>,
    /// What [`Writer::content`] reads into.
    buffer: Vec<u8>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The size of the file system.
    pub size: ByteSize,
    /// Bytes not in use, those reserved for root included.
    pub free: ByteSize,
    /// Inodes in use, the reserved ones included.
    pub inodes: u64,
    /// Inodes not in use.
    pub free_inodes: u64,
}

impl<W: Write + Seek> Writer<W> {
    /// Starts a file system at the stream's position. Nothing is written yet.
    pub fn new(stream: W, parameters: Parameters) -> Result<Self, Error> {
        parameters.check()?;
        // Content beyond the end of the device is counted and not written: the error then says how much is needed.
        let output = Output::new(stream, parameters.exact_blocks().unwrap_or(u64::MAX))?;
        let blocks = Allocator::new(parameters.head());
        let (pending, buffer) = (Vec::new(), Vec::new());
        Ok(Self { committed: blocks.mark(), target: Target { output, blocks }, pending, buffer, parameters })
    }

    /// Starts the content of a file of `size` bytes.
    pub fn begin(&mut self, size: u64) -> Result<FileWriter<'_, W>, Error> {
        FileWriter::new(&mut self.target, &mut self.committed, &mut self.pending, self.parameters.verity, size)
    }

    /// Goes on with a file that was set aside, the last one that was begun.
    pub fn resume(&mut self, paused: PausedFile) -> FileWriter<'_, W> {
        let verity = self.parameters.verity;
        FileWriter::resume(&mut self.target, &mut self.committed, &mut self.pending, verity, paused)
    }

    /// Writes the content of a file of `size` bytes.
    pub fn content(&mut self, size: u64, source: &mut impl Read) -> Result<Content, Error> {
        let Self { target, committed, pending, buffer, parameters } = self;
        let mut file = FileWriter::new(target, committed, pending, parameters.verity, size)?;
        file.copy(source, buffer)?;
        file.finish()
    }

    /// Writes everything but the content, and returns the stream. It may be longer than the file system, with zeros,
    /// when content was given up at its end.
    pub fn finish(mut self, tree: Tree) -> Result<(W, Summary), Error> {
        self.target.blocks.rewind(self.committed);
        let summary = finish::write(&mut self.target, tree, &self.parameters)?;
        Ok((self.target.output.into_inner()?, summary))
    }
}
