//! Splitstreams: how a composefs repository keeps layers, configurations and manifests.
//!
//! A file in which stretches that are objects of the repository are replaced by their digest; the rest is compressed.
//! Follows the format as composefs-rs 0.9 documents it (`splitstream_format`) and, byte for byte, writes it; tests
//! compare with that crate. What is stated there as free is chosen as it chooses: sections in the order
//! stream references, object references, named references, stream; zstd at its default level.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use crate::disk::verity::{DIGEST, VerityDigest};

/// What a splitstream holds; eight letters in the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// A layer's uncompressed tar stream.
    Layer,
    /// An image configuration.
    Config,
    /// An image manifest.
    Manifest,
}

impl StreamKind {
    const fn content_type(self) -> &'static [u8; 8] {
        match self {
            Self::Layer => b"ocilayer",
            Self::Config => b"ociconfg",
            Self::Manifest => b"ocimanif",
        }
    }
}

const MAGIC: &[u8; 11] = b"SplitStream";
const VERSION: u8 = 0;
/// The kernel's number for SHA-512.
const ALGORITHM: u8 = 2;
const LOG_BLOCK: u8 = 12;
const HEADER: u64 = 32;
const INFO: u64 = 80;

/// Digests in the order they were first named.
#[derive(Debug, Default)]
struct References {
    bytes: Vec<u8>,
    index: HashMap<VerityDigest, usize>,
}

impl References {
    fn add(&mut self, digest: &VerityDigest) -> usize {
        let next = self.index.len();
        let index = *self.index.entry(*digest).or_insert(next);
        if index == next {
            self.bytes.extend_from_slice(digest.as_bytes());
        }
        index
    }
}

/// Writes one splitstream.
pub struct SplitStream {
    kind: StreamKind,
    streams: References,
    objects: References,
    /// Names of other splitstreams, with their index in `streams`.
    named: BTreeMap<String, usize>,
    /// What came since the last object.
    inline: Inline,
    /// Bytes of the whole that this stands for.
    size: u64,
    encoder: zstd::Encoder<'static, Vec<u8>>,
}

impl std::fmt::Debug for SplitStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SplitStream").field("kind", &self.kind).field("size", &self.size).finish_non_exhaustive()
    }
}

impl SplitStream {
    /// Begins a splitstream.
    ///
    /// # Errors
    /// When the compressor has no memory.
    pub fn new(kind: StreamKind) -> io::Result<Self> {
        Ok(Self {
            kind,
            streams: References::default(),
            objects: References::default(),
            named: BTreeMap::new(),
            inline: Inline::default(),
            size: 0,
            encoder: zstd::Encoder::new(Vec::new(), 0)?,
        })
    }

    /// Names another splitstream, which stays as long as this one does.
    pub fn reference(&mut self, name: impl Into<String>, stream: &VerityDigest) {
        let index = self.streams.add(stream);
        self.named.insert(name.into(), index);
    }

    /// Adds bytes that stand in the stream itself.
    ///
    /// # Errors
    /// When compressing fails.
    pub fn inline(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.size += bytes.len() as u64;
        self.inline.push(bytes)
    }

    /// Adds an object of `size` bytes.
    ///
    /// # Errors
    /// When compressing fails.
    pub fn object(&mut self, object: &VerityDigest, size: u64) -> io::Result<()> {
        std::mem::take(&mut self.inline).write_to(&mut self.encoder)?;
        self.size += size;
        let index = self.objects.add(object) as u64;
        self.encoder.write_all(&index.to_le_bytes())
    }

    /// The file.
    ///
    /// # Errors
    /// When compressing fails.
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        self.inline.write_to(&mut self.encoder)?;
        let stream = self.encoder.finish()?;
        let named = named_section(&self.named)?;
        let sections = [&self.streams.bytes, &self.objects.bytes, &named, &stream];
        let mut ranges = [[0; 2]; 4];
        let mut position = HEADER + INFO;
        for (range, section) in ranges.iter_mut().zip(sections) {
            *range = [position, position + section.len() as u64];
            position = range[1];
        }
        let [streams, objects, names, content] = ranges;
        let mut file = Vec::with_capacity(usize::try_from(position).unwrap_or(0));
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&[VERSION, 0, 0, ALGORITHM, LOG_BLOCK]);
        let info = [HEADER, HEADER + INFO];
        for number in [info, streams, objects, content, names].iter().flatten() {
            file.extend_from_slice(&number.to_le_bytes());
        }
        file.extend_from_slice(self.kind.content_type());
        file.extend_from_slice(&self.size.to_le_bytes());
        for section in sections {
            file.extend_from_slice(section);
        }
        Ok(file)
    }
}

/// How much of an inline stretch is kept as it is.
const PLAIN: usize = 4 << 20;

/// A stretch of inline bytes: its length stands before it, so it waits until the whole of it is there.
///
/// A layer of a million small files is one such stretch of a gigabyte, most of it zeros: it waits compressed.
#[derive(Default)]
struct Inline {
    length: u64,
    packed: Option<zstd::Encoder<'static, Vec<u8>>>,
    /// What comes after `packed`.
    plain: Vec<u8>,
}

impl Inline {
    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        self.plain.extend_from_slice(bytes);
        if self.plain.len() >= PLAIN {
            let packed = match &mut self.packed {
                Some(packed) => packed,
                none => none.insert(zstd::Encoder::new(Vec::new(), 1)?),
            };
            packed.write_all(&self.plain)?;
            self.plain.clear();
        }
        Ok(())
    }

    /// Writes the chunk; its length is negative, to tell it from an object's index.
    fn write_to(self, out: &mut impl Write) -> io::Result<()> {
        if self.length == 0 {
            return Ok(());
        }
        out.write_all(&self.length.wrapping_neg().to_le_bytes())?;
        if let Some(packed) = self.packed {
            zstd::stream::copy_decode(&packed.finish()?[..], &mut *out)?;
        }
        out.write_all(&self.plain)
    }
}

/// `INDEX:NAME` records, each ended by a NUL, sorted by name, compressed.
fn named_section(named: &BTreeMap<String, usize>) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 0)?;
    for (name, index) in named {
        write!(encoder, "{index}:{name}\0")?;
    }
    encoder.finish()
}

const _: () = assert!(HEADER == (MAGIC.len() + 5 + 16) as u64 && INFO == 4 * 16 + 16 && DIGEST == 64);
