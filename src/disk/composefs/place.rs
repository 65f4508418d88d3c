//! Objects on their way to whoever stores them: hashed, and each stored once.

use std::collections::BTreeMap;
use std::io;

use crate::disk::verity::{Seal, Trees, VerityDigest, VerityHasher};

/// Objects up to this size are held in memory until their digest says whether they are new: all but a few of an image.
const HELD: u64 = 4 << 20;

/// Stores objects, such as a file system being written front to back.
///
/// For each object one `begin`, any number of `data`, and one `end` or `discard`. The size is known at
/// the beginning, the name (the digest) only at the end. No object comes twice: the digest of small ones is
/// known before they begin, and a large one that turns out to be there already is taken back by `discard`.
pub trait ObjectSink {
    /// An object of `size` bytes, never 0, begins.
    ///
    /// # Errors
    /// When it cannot be stored.
    fn begin(&mut self, size: u64) -> io::Result<()>;

    /// Its next bytes.
    ///
    /// # Errors
    /// When they cannot be stored.
    fn data(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// It is complete; `object` has its name and, when the repository is to be sealed, its Merkle tree.
    ///
    /// # Errors
    /// When it cannot be stored.
    fn end(&mut self, object: &Seal) -> io::Result<()>;

    /// An equal object was stored before: everything since `begin` is to be as if it had not been.
    ///
    /// # Errors
    /// When it cannot be taken back.
    fn discard(&mut self) -> io::Result<()>;
}

/// For when only the digests are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSink;

impl ObjectSink for NoSink {
    fn begin(&mut self, _size: u64) -> io::Result<()> {
        Ok(())
    }

    fn data(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self, _object: &Seal) -> io::Result<()> {
        Ok(())
    }

    fn discard(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An object between `begin` and `end`.
#[derive(Debug)]
enum Current {
    None,
    /// In memory until its digest is known.
    Held(Vec<u8>),
    /// Handed on while it is hashed.
    Passing(VerityHasher, u64),
}

/// Hashes objects and hands each to a sink once.
pub(super) struct Placer<'s> {
    sink: &'s mut (dyn ObjectSink + Send),
    trees: Trees,
    current: Current,
    stored: BTreeMap<VerityDigest, u64>,
}

impl<'s> Placer<'s> {
    pub(super) fn new(sink: &'s mut (dyn ObjectSink + Send), trees: Trees) -> Self {
        Self { sink, trees, current: Current::None, stored: BTreeMap::new() }
    }

    /// Every object stored, with its size.
    pub(super) fn into_stored(self) -> BTreeMap<VerityDigest, u64> {
        self.stored
    }

    pub(super) fn begin(&mut self, size: u64) -> io::Result<()> {
        self.current = if size <= HELD {
            Current::Held(Vec::new())
        } else {
            self.sink.begin(size)?;
            Current::Passing(VerityHasher::new(self.trees), 0)
        };
        Ok(())
    }

    pub(super) fn data(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        match &mut self.current {
            Current::None => {}
            // Most objects are a single piece.
            Current::Held(held) if held.is_empty() => *held = bytes,
            Current::Held(held) => held.extend_from_slice(&bytes),
            Current::Passing(hasher, size) => {
                *size += bytes.len() as u64;
                hasher.update(&bytes);
                self.sink.data(&bytes)?;
            }
        }
        Ok(())
    }

    pub(super) fn end(&mut self) -> io::Result<VerityDigest> {
        match std::mem::replace(&mut self.current, Current::None) {
            Current::None => self.store(&[]),
            Current::Held(bytes) => self.store(&bytes),
            Current::Passing(hasher, size) => {
                let seal = hasher.finish();
                if self.stored.insert(seal.digest, size).is_some() {
                    self.sink.discard()?;
                } else {
                    self.sink.end(&seal)?;
                }
                Ok(seal.digest)
            }
        }
    }

    /// Stores an object that is in memory.
    pub(super) fn store(&mut self, bytes: &[u8]) -> io::Result<VerityDigest> {
        let mut hasher = VerityHasher::new(self.trees);
        hasher.update(bytes);
        let seal = hasher.finish();
        let size = bytes.len() as u64;
        if self.stored.insert(seal.digest, size).is_none() {
            self.sink.begin(size)?;
            self.sink.data(bytes)?;
            self.sink.end(&seal)?;
        }
        Ok(seal.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::MemorySink;
    use super::*;

    fn pass(placer: &mut Placer<'_>, content: &[u8]) -> VerityDigest {
        placer.begin(content.len() as u64).unwrap();
        for piece in content.chunks(100_000) {
            placer.data(piece.to_vec()).unwrap();
        }
        placer.end().unwrap()
    }

    #[test]
    fn equal_objects_are_stored_once_whatever_their_size() {
        let small = vec![1; 100];
        let large = vec![2; usize::try_from(HELD).unwrap() + 1];
        let mut sink = MemorySink::default();
        let mut placer = Placer::new(&mut sink, Trees::Drop);
        for content in [&small, &large, &small, &large] {
            assert_eq!(pass(&mut placer, content), VerityDigest::of(content));
        }
        let sizes: Vec<u64> = placer.into_stored().into_values().collect();
        assert_eq!(sizes.iter().sum::<u64>(), 100 + HELD + 1);
        assert_eq!(sink.discarded, 1, "only the large one had begun");
        assert_eq!(sink.objects.len(), 2);
        assert_eq!(sink.objects[&VerityDigest::of(&large)], large);
    }

    #[test]
    fn a_sealed_object_comes_with_its_tree() {
        let mut sink = MemorySink::default();
        let mut placer = Placer::new(&mut sink, Trees::Keep);
        let content = vec![3; 10_000];
        let digest = pass(&mut placer, &content);
        assert_eq!(sink.trees[&digest].len(), 4096);
    }
}
