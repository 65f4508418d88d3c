//! One blob on its way: hashed, counted, decompressed for its diff ID and written, in one pass.

use std::io::{self, BufReader, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::bufread::MultiGzDecoder;
use oci_spec::image::{Descriptor, MediaType};
use sha2::{Digest as _, Sha256};

use super::error::CopyError;
use crate::model::{ByteSize, DiffId, Digest};
use crate::oci::hash;
use crate::sys::{Interrupt, Step};

/// Large enough that decompression never waits for small reads.
const BUFFER: usize = 256 * 1024;

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// The compression a layer's media type states; `None` for a type that is not a layer's.
pub(super) fn compression(media_type: &MediaType) -> Option<Compression> {
    const DOCKER: &str = "application/vnd.docker.image.rootfs.";
    match media_type {
        MediaType::ImageLayer | MediaType::ImageLayerNonDistributable => Some(Compression::None),
        MediaType::ImageLayerGzip | MediaType::ImageLayerNonDistributableGzip => Some(Compression::Gzip),
        MediaType::ImageLayerZstd | MediaType::ImageLayerNonDistributableZstd => Some(Compression::Zstd),
        MediaType::Other(other) => match other.strip_prefix(DOCKER)? {
            "diff.tar" | "foreign.diff.tar" => Some(Compression::None),
            "diff.tar.gzip" | "foreign.diff.tar.gzip" => Some(Compression::Gzip),
            "diff.tar.zstd" => Some(Compression::Zstd),
            _ => None,
        },
        _ => None,
    }
}

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
    hasher: Sha256,
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
        Self { blob, input, output, halt, step, hasher: Sha256::new(), seen: 0, failure: None }
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
        let mut sink = DiffHasher { hasher: Sha256::new(), left: limit.0.saturating_add(1) };
        let inflated = inflate(&mut self, compression, &mut sink);
        // What a decompressor leaves unread is still part of the blob.
        let drained = self.drain();
        self.settle(drained)?;
        match inflated {
            Ok(()) => Ok(DiffId(hash::finish(sink.hasher))),
            Err(_) if sink.left == 0 => Err(CopyError::InflatedSize { digest: self.digest(), limit }),
            Err(source) => {
                let media_type = self.blob.media_type().to_string();
                Err(CopyError::Inflate { digest: self.digest(), media_type, source })
            }
        }
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
        let found = hash::finish(std::mem::take(&mut self.hasher));
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

/// Hashes what comes out of a decompressor, up to a limit.
struct DiffHasher {
    hasher: Sha256,
    /// Bytes still allowed; 0 once the limit was passed, as it is one more than allowed to begin with.
    left: u64,
}

impl Write for DiffHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.saturating_sub(bytes.len() as u64);
        if self.left == 0 {
            return Err(io::Error::other("too large"));
        }
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn inflate(input: impl Read, compression: Compression, output: &mut impl Write) -> io::Result<()> {
    let mut input = BufReader::with_capacity(BUFFER, input);
    match compression {
        Compression::None => pump(&mut input, output),
        Compression::Gzip => pump(&mut MultiGzDecoder::new(input), output),
        Compression::Zstd => pump(&mut zstd::stream::read::Decoder::with_buffer(input)?, output),
    }
}

/// As `io::copy`, whose buffer is too small for this.
fn pump(input: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match input.read(&mut buffer)? {
            0 => return Ok(()),
            length => output.write_all(&buffer[..length])?,
        }
    }
}
