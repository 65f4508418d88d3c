//! The one pass over an image's layers.
//!
//! Three things happen at once, each on a thread of its own: the layer is decompressed and verified (by the
//! layer reader), its tar stream is read and merged into the tree (here, on the caller's thread), and contents are
//! hashed, handed to the sink and noted in the layer's splitstream. What is not content of an object,
//! tar headers and small files, goes to the splitstream as it came.
//!
//! Memory: pieces under way, 8 MiB; one held object of at most 4 MiB; the tar headers of one
//! layer, compressed; and with Merkle trees kept, a 64th of the largest file.

use std::cell::RefCell;
use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::contents::{Contents, INLINE_LIMIT};
use super::error::ComposefsError;
use super::place::Placer;
use super::split_stream::{SplitStream, StreamKind};
use crate::disk::verity::VerityDigest;
use crate::oci::layer::{EntryKind, LayerEntry};
use crate::oci::tree::{MergePolicy, TreeError};
use crate::oci::{ImageTree, LayerSource};

/// Bytes handed over at once.
const PIECE: usize = 256 << 10;
/// Pieces that may wait.
const WAITING: usize = 32;
/// No file larger than this is kept in memory, whoever asks for it.
const KEEP_LIMIT: u64 = 64 << 20;

/// What the pass gives.
pub(super) struct Ingested {
    pub(super) tree: ImageTree,
    pub(super) contents: Contents,
    /// Splitstreams of the layers, lowest first.
    pub(super) layers: Vec<VerityDigest>,
}

/// Reads all layers.
pub(super) fn ingest(
    layers: &dyn LayerSource,
    keep: &dyn Fn(&[u8]) -> bool,
    placer: &mut Placer<'_>,
) -> Result<Ingested, ComposefsError> {
    let (sender, receiver) = sync_channel(WAITING);
    let (read, hashed) = std::thread::scope(|scope| {
        let hashing = std::thread::Builder::new()
            .name("objects".to_owned())
            .spawn_scoped(scope, move || Hashing::new(placer)?.run(&receiver))
            .map_err(ComposefsError::Pipeline)?;
        let read = read_layers(layers, keep, sender);
        let hashed = hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok::<_, ComposefsError>((read, hashed))
    })?;
    // When the hashing thread fails, reading fails too for want of somebody who takes the pieces.
    let hashed = hashed?;
    let (tree, mut contents) = read?;
    contents.objects = hashed.objects;
    Ok(Ingested { tree, contents, layers: hashed.layers })
}

/// What the reading thread tells the hashing one, in the order of the stream.
enum Piece {
    /// Bytes of the tar stream that are no object's.
    Inline(Vec<u8>),
    /// An object of this size begins, at this place.
    Begin { layer: u16, offset: u64, size: u64 },
    /// Bytes of it.
    Data(Vec<u8>),
    /// It has ended.
    End,
    /// The layer has ended.
    LayerEnd,
}

fn read_layers(
    layers: &dyn LayerSource,
    keep: &dyn Fn(&[u8]) -> bool,
    sender: SyncSender<Piece>,
) -> Result<(ImageTree, Contents), TreeError> {
    let mut tree = ImageTree::new();
    let splitter = RefCell::new(Splitter { sender, inline: Vec::new(), in_object: false });
    let mut contents = Contents::default();
    let policy = MergePolicy::default();
    for layer in 0..layers.count() {
        let stream = layers.open(layer).map_err(|source| TreeError::Layer { layer, source })?;
        let mut recorder = Recorder { inner: BufReader::with_capacity(PIECE, stream), splitter: &splitter };
        tree.apply_layer(&mut recorder, &policy, &mut |_, entry, content| {
            take_content(&splitter, &mut contents, keep, layer, entry, content)
        })?;
        let end = splitter.borrow_mut().end_layer();
        end.map_err(|source| TreeError::Layer { layer, source: crate::oci::LayerError::Read(source) })?;
    }
    Ok((tree, contents))
}

fn take_content(
    splitter: &RefCell<Splitter>,
    contents: &mut Contents,
    keep: &dyn Fn(&[u8]) -> bool,
    layer: usize,
    entry: &LayerEntry,
    content: &mut dyn Read,
) -> io::Result<()> {
    let layer = u16::try_from(layer).expect("a tree takes no more layers than that");
    let EntryKind::File { size } = entry.kind else {
        return take_marker(splitter, layer, entry.offset, content);
    };
    if size <= INLINE_LIMIT {
        let mut bytes = Vec::with_capacity(usize::try_from(INLINE_LIMIT).unwrap_or(0));
        content.read_to_end(&mut bytes)?;
        contents.add_inline(layer, entry.offset, &bytes);
        return Ok(());
    }
    let mut kept = (size <= KEEP_LIMIT && keep(&entry.path)).then(Vec::new);
    splitter.borrow_mut().begin(layer, entry.offset, size)?;
    let mut left = size;
    while left > 0 {
        let piece = read_piece(content, left)?;
        left -= piece.len() as u64;
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(&piece);
        }
        splitter.borrow_mut().send(Piece::Data(piece))?;
    }
    if let Some(kept) = kept {
        contents.kept.insert((layer, entry.offset), kept);
    }
    splitter.borrow_mut().end()
}

/// A whiteout or bookkeeping of AUFS that has content, for no reason: to a splitstream it is a file like any other.
fn take_marker(splitter: &RefCell<Splitter>, layer: u16, offset: u64, content: &mut dyn Read) -> io::Result<()> {
    let mut bytes = Vec::new();
    splitter.borrow_mut().in_object = true;
    content.take(KEEP_LIMIT + 1).read_to_end(&mut bytes)?;
    let mut splitter = splitter.borrow_mut();
    splitter.in_object = false;
    let size = bytes.len() as u64;
    if size <= INLINE_LIMIT {
        return splitter.record(&bytes);
    }
    if size > KEEP_LIMIT {
        return Err(io::Error::other("a whiteout with more than 64 MiB of content"));
    }
    splitter.begin(layer, offset, size)?;
    splitter.send(Piece::Data(bytes))?;
    splitter.end()
}

/// The next piece of a file that has `left` more bytes.
fn read_piece(content: &mut dyn Read, left: u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
    let mut piece = Vec::with_capacity(size);
    content.take(size as u64).read_to_end(&mut piece)?;
    if piece.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(piece) }
}

/// Divides a tar stream into objects and the rest.
struct Splitter {
    sender: SyncSender<Piece>,
    inline: Vec<u8>,
    in_object: bool,
}

impl Splitter {
    fn send(&mut self, piece: Piece) -> io::Result<()> {
        // Whoever hashes has failed, and says why.
        self.sender.send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn record(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.in_object {
            return Ok(());
        }
        self.inline.extend_from_slice(bytes);
        if self.inline.len() < PIECE { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.inline.is_empty() {
            return Ok(());
        }
        let inline = std::mem::take(&mut self.inline);
        self.send(Piece::Inline(inline))
    }

    fn begin(&mut self, layer: u16, offset: u64, size: u64) -> io::Result<()> {
        self.flush()?;
        self.in_object = true;
        self.send(Piece::Begin { layer, offset, size })
    }

    fn end(&mut self) -> io::Result<()> {
        self.in_object = false;
        self.send(Piece::End)
    }

    fn end_layer(&mut self) -> io::Result<()> {
        self.flush()?;
        self.send(Piece::LayerEnd)
    }
}

/// Shows what is read from a layer to the splitter.
struct Recorder<'s, R> {
    inner: R,
    splitter: &'s RefCell<Splitter>,
}

impl<R: Read> Read for Recorder<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.splitter.borrow_mut().record(&buf[..count])?;
        Ok(count)
    }
}

/// The hashing thread.
struct Hashing<'p, 's> {
    placer: &'p mut Placer<'s>,
    stream: SplitStream,
    /// Place and size of the object under way.
    current: (u16, u64, u64),
    done: Hashed,
}

#[derive(Default)]
struct Hashed {
    objects: Vec<(u16, u64, VerityDigest)>,
    layers: Vec<VerityDigest>,
}

impl<'p, 's> Hashing<'p, 's> {
    fn new(placer: &'p mut Placer<'s>) -> Result<Self, ComposefsError> {
        let stream = SplitStream::new(StreamKind::Layer).map_err(ComposefsError::Pipeline)?;
        Ok(Self { placer, stream, current: (0, 0, 0), done: Hashed::default() })
    }

    fn run(mut self, pieces: &Receiver<Piece>) -> Result<Hashed, ComposefsError> {
        // It ends when the reading thread does, for better or worse.
        for piece in pieces {
            self.take(piece)?;
        }
        Ok(self.done)
    }

    fn take(&mut self, piece: Piece) -> Result<(), ComposefsError> {
        match piece {
            Piece::Inline(bytes) => self.stream.inline(&bytes).map_err(ComposefsError::Pipeline)?,
            Piece::Begin { layer, offset, size } => {
                self.current = (layer, offset, size);
                self.placer.begin(size).map_err(ComposefsError::Sink)?;
            }
            Piece::Data(bytes) => self.placer.data(bytes).map_err(ComposefsError::Sink)?,
            Piece::End => {
                let digest = self.placer.end().map_err(ComposefsError::Sink)?;
                let (layer, offset, size) = self.current;
                self.stream.object(&digest, size).map_err(ComposefsError::Pipeline)?;
                self.done.objects.push((layer, offset, digest));
            }
            Piece::LayerEnd => {
                let next = SplitStream::new(StreamKind::Layer).map_err(ComposefsError::Pipeline)?;
                let stream = std::mem::replace(&mut self.stream, next);
                let bytes = stream.finish().map_err(ComposefsError::Pipeline)?;
                self.done.layers.push(self.placer.store(&bytes).map_err(ComposefsError::Sink)?);
            }
        }
        Ok(())
    }
}
