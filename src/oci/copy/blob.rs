//! One blob on its way: hashed, counted, decompressed for its diff ID and written, in one pass.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use oci_spec::image::Descriptor;

use super::super::digest::Hasher;
use super::super::layer::{Compression, LayerError, UnpackLimits, inflate};
use super::error::CopyError;
use crate::model::{ByteSize, DiffId, Digest};
use crate::sys::{Interrupt, Step};

/// Large enough that decompression never waits for small reads.
const BUFFER: usize = 256 * 1024;

/// Tells the transfers of one copy to end: the user asked, or a sibling failed.
#[derive(Debug)]
pub(super) struct Halt<'a> {
    pub(super) interrupt: &'a Interrupt,
    pub(super) failed: AtomicBool,
}

impl Halt<'_> {
    pub(super) fn check(&self) -> Result<(), CopyError> {
        let halted = self.failed.load(Ordering::Relaxed) || self.interrupt.is_set();
        if halted { Err(CopyError::Interrupted) } else { Ok(()) }
    }
}

/// Reads a blob while writing, hashing and counting it.
///
/// A failure of its own, as opposed to one of a decompressor above it, is kept in `failure`.
pub(super) struct Tee<'a> {
    blob: &'a Descriptor,
    input: Box<dyn Read + 'a>,
    output: Option<&'a mut dyn Write>,
    halt: &'a Halt<'a>,
    step: &'a Step,
    hasher: Hasher,
    seen: u64,
    failure: Option<CopyError>,
}

impl<'a> Tee<'a> {
    pub(super) fn new(
        blob: &'a Descriptor,
        input: Box<dyn Read + 'a>,
        output: Option<&'a mut dyn Write>,
        halt: &'a Halt<'a>,
        step: &'a Step,
    ) -> Self {
        Self { blob, input, output, halt, step, hasher: Hasher::default(), seen: 0, failure: None }
    }

    /// Takes the blob in and keeps it: for configurations, whose size has been judged.
    pub(super) fn read_whole(mut self) -> Result<Vec<u8>, CopyError> {
        let mut bytes = Vec::new();
        let read = self.read_to_end(&mut bytes).map(|_| ());
        self.settle(read).map(|()| bytes)
    }

    /// Takes the blob in without looking inside.
    pub(super) fn read_through(mut self) -> Result<(), CopyError> {
        let drained = self.drain();
        self.settle(drained)
    }

    /// Takes the blob in as a layer and returns its diff ID.
    pub(super) fn read_layer(mut self, compression: Compression, limit: ByteSize) -> Result<DiffId, CopyError> {
        let limits = UnpackLimits { layer_bytes: limit.0, ..UnpackLimits::default() };
        let size = self.blob.size();
        let inflated = inflate(&mut self, compression, size, &limits).and_then(hash_all);
        // What is wrong with the blob itself is the better reason, and needs all of it.
        let drained = self.drain();
        self.settle(drained)?;
        inflated.map(DiffId).map_err(|source| match LayerError::from_read(source) {
            LayerError::Limit { limit, .. } => {
                CopyError::InflatedSize { digest: self.digest(), limit: ByteSize(limit) }
            }
            source => {
                let media_type = self.blob.media_type().to_string();
                CopyError::Inflate { digest: self.digest(), media_type, source: source.into() }
            }
        })
    }

    /// Reads to the end, unless reading has failed already.
    fn drain(&mut self) -> io::Result<()> {
        match self.failure {
            Some(_) => Ok(()),
            None => io::copy(self, &mut io::sink()).map(|_| ()),
        }
    }

    /// Judges what was read: a failure on the way first, then size, then digest.
    fn settle(&mut self, read: io::Result<()>) -> Result<(), CopyError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        read.map_err(|source| CopyError::Read { digest: self.digest(), offset: self.seen, source })?;
        if self.seen != self.blob.size() {
            return Err(self.wrong_size());
        }
        let found = std::mem::take(&mut self.hasher).finish();
        if found != *self.blob.digest() {
            return Err(CopyError::BlobDigest { expected: self.digest(), found: found.into() });
        }
        Ok(())
    }

    fn take_chunk(&mut self, buffer: &mut [u8]) -> Result<usize, CopyError> {
        self.halt.check()?;
        let read = loop {
            match self.input.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        let length = read.map_err(|source| CopyError::Read { digest: self.digest(), offset: self.seen, source })?;
        let chunk = &buffer[..length];
        self.seen += length as u64;
        if self.seen > self.blob.size() {
            return Err(self.wrong_size());
        }
        self.hasher.update(chunk);
        if let Some(output) = &mut self.output {
            output
                .write_all(chunk)
                .map_err(|source| CopyError::Write { digest: self.blob.digest().clone().into(), source })?;
        }
        self.step.advance(length as u64);
        Ok(length)
    }

    fn wrong_size(&self) -> CopyError {
        CopyError::BlobSize { digest: self.digest(), expected: self.blob.size(), found: self.seen }
    }

    fn digest(&self) -> Box<Digest> {
        self.blob.digest().clone().into()
    }
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.take_chunk(buffer).map_err(|failure| {
            self.failure = Some(failure);
            io::Error::other("the transfer failed")
        })
    }
}

/// The digest of everything that is left.
fn hash_all(mut input: impl Read) -> io::Result<Digest> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(length) => hasher.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
