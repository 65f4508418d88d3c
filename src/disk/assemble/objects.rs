//! Objects on their way into the root file system.

use std::collections::BTreeMap;
use std::io::{self, Seek, Write};

use super::AssembleError;
use crate::disk::composefs::{ObjectSink, PhysicalEntry, PhysicalKind, Repository, Stored};
use crate::disk::ext4::{self, Content, PausedFile, Writer};
use crate::disk::verity::{Seal, Trees, VerityDigest, VerityHasher};
use crate::oci::LayerSource;

/// What of a deployment's state is copied from the image.
const COPIED: [&str; 2] = ["etc", "var"];

/// A file system that takes objects, and remembers where they are.
pub(super) struct Objects<W> {
    pub(super) writer: Writer<W>,
    current: Option<PausedFile>,
    /// Whether fs-verity protects them.
    sealed: bool,
    pub(super) stored: BTreeMap<VerityDigest, Content>,
}

impl<W: Write + Seek> Objects<W> {
    pub(super) fn new(writer: Writer<W>, sealed: bool) -> Self {
        Self { writer, current: None, sealed, stored: BTreeMap::new() }
    }

    /// A file of the repository that is no object, such as the one whose protection tells the mounting program that all
    /// of them are protected.
    pub(super) fn beside(&mut self, bytes: &[u8]) -> Result<Content, ext4::Error> {
        if !self.sealed {
            return self.writer.content(bytes.len() as u64, &mut &*bytes);
        }
        let mut hasher = VerityHasher::new(Trees::Keep);
        hasher.update(bytes);
        let mut file = self.writer.begin(bytes.len() as u64)?;
        file.write_all(bytes).map_err(ext4::Error::Write)?;
        file.seal(&hasher.finish())
    }

    fn take(&mut self) -> PausedFile {
        self.current.take().expect("a sink is told that an object begins before anything else about it")
    }

    /// Writes the content of each file of the state that is larger than what an EROFS image holds, from memory where it
    /// was kept, else from its layer.
    pub(super) fn copy_state(
        &mut self,
        repository: &Repository,
        layers: &dyn LayerSource,
        entries: &[PhysicalEntry],
    ) -> Result<BTreeMap<VerityDigest, Vec<Content>>, AssembleError> {
        let mut missing: BTreeMap<VerityDigest, usize> = BTreeMap::new();
        for entry in entries {
            if let PhysicalKind::Copy { digest, .. } = entry.kind {
                *missing.entry(digest).or_default() += 1;
            }
        }
        let mut copies: BTreeMap<VerityDigest, Vec<Content>> = BTreeMap::new();
        let mut unread = BTreeMap::new();
        for entry in COPIED.iter().flat_map(|folder| repository.root.walk_from(folder)) {
            let Some(content) = entry.node.content() else { continue };
            let Some(Stored::Object { digest, size }) = repository.contents.stored(content) else { continue };
            let Some(count) = missing.get_mut(&digest).filter(|count| **count > 0) else { continue };
            if let Some(bytes) = repository.contents.bytes(content) {
                while *count > 0 {
                    let mut rest = bytes;
                    copies.entry(digest).or_default().push(self.writer.content(size, &mut rest)?);
                    *count -= 1;
                }
            } else if unread.insert(entry.id, (digest, size)).is_none() {
                *count -= 1;
            }
        }
        if unread.is_empty() {
            return Ok(copies);
        }
        repository.root.visit_contents(
            layers,
            |id, _| unread.contains_key(&id),
            |visit| {
                let (digest, size) = unread[&visit.id];
                let content = self.writer.content(size, &mut &mut *visit.content).map_err(io_error)?;
                copies.entry(digest).or_default().push(content);
                Ok(())
            },
        )?;
        Ok(copies)
    }
}

impl<W: Write + Seek> ObjectSink for Objects<W> {
    fn begin(&mut self, size: u64) -> io::Result<()> {
        self.current = Some(self.writer.begin(size).map_err(io_error)?.pause());
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        let paused = self.take();
        let mut file = self.writer.resume(paused);
        file.write_all(bytes)?;
        self.current = Some(file.pause());
        Ok(())
    }

    fn end(&mut self, object: &Seal) -> io::Result<()> {
        let paused = self.take();
        let file = self.writer.resume(paused);
        let content = if self.sealed { file.seal(object) } else { file.finish() };
        let content = content.map_err(io_error)?;
        self.stored.insert(object.digest, content);
        Ok(())
    }

    fn discard(&mut self) -> io::Result<()> {
        // Its blocks go to the next one.
        self.current = None;
        Ok(())
    }
}

/// What a stream's failure is about stays visible, such as a full disk.
fn io_error(error: ext4::Error) -> io::Error {
    match error {
        ext4::Error::Write(source) | ext4::Error::Read(source) => source,
        other => io::Error::other(other),
    }
}
