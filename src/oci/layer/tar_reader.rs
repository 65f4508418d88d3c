//! The tar stream of a layer, entry by entry.
//!
//! A parser of our own, because one stream must be understood in one way only
//! and no published parser refuses what readers disagree about. As read in
//! their sources: `tar` 0.4.46 reads extended headers into memory whatever their
//! size, skips records it cannot parse, takes the first of two equal keys (Go
//! takes the last) and drops the upper bytes of base-256 numbers; `tar-core` 0.1.0 ends
//! quietly at an extended header record without a length, lets base-256
//! numbers overflow, and has neither negative nor fractional times. The tests compare this
//! reader with `tar` on everything both accept.
//!
//! Not supported, and refused: sparse files, volume headers, `star` archives.

use std::io::{self, Read};

use super::entry::{EntryKind, LayerEntry, Metadata, Mtime};
use super::error::{LayerError, NameProblem, TarProblem};
use super::header::{BLOCK, Format, Header};
use super::limits::UnpackLimits;
use super::path::{Lossy, Meaning, meaning, normalise};
use super::pax::{self, Pax};

/// Reads entries from an uncompressed tar stream.
#[derive(Debug)]
pub struct TarReader<R> {
    inner: R,
    limits: UnpackLimits,
    /// Bytes taken from `inner`.
    position: u64,
    entries: u64,
    metadata_bytes: u64,
    /// Content of the current entry that nobody has read yet, and the zeros after it.
    remaining: u64,
    padding: u64,
    done: bool,
}

/// Extended headers waiting for their entry.
#[derive(Debug, Default)]
struct Extensions {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    bytes: u64,
}

impl Extensions {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_name.is_none() && self.long_link.is_none()
    }
}

enum Block {
    Header(Box<[u8; BLOCK]>),
    Zero,
    End,
}

impl<R: Read> TarReader<R> {
    /// Starts at the beginning of a tar stream.
    pub fn new(inner: R, limits: UnpackLimits) -> Self {
        Self { inner, limits, position: 0, entries: 0, metadata_bytes: 0, remaining: 0, padding: 0, done: false }
    }

    /// The stream, wherever reading has come to.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// Bytes of the uncompressed stream taken so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next entry, or `None` at the end of the archive, after which the whole stream has been read.
    ///
    /// Content of the entry before it that was not read is skipped. An archive
    /// may end without its two zero blocks; anything but zeros after them is an error.
    ///
    /// # Errors
    /// Any [`LayerError`] about reading.
    pub fn next_entry(&mut self) -> Result<Option<LayerEntry>, LayerError> {
        if self.done {
            return Ok(None);
        }
        self.skip_content()?;
        let mut extensions = Extensions::default();
        loop {
            let offset = self.position;
            let block = match self.read_block()? {
                Block::Header(block) => block,
                Block::Zero | Block::End if !extensions.is_empty() => {
                    return Err(header_error(offset, TarProblem::DanglingExtension));
                }
                Block::Zero => return self.finish(offset),
                Block::End => {
                    self.done = true;
                    return Ok(None);
                }
            };
            let header = Header::parse(&block).map_err(|problem| header_error(offset, problem))?;
            if !self.read_extension(&header, offset, &mut extensions)? {
                return self.entry(&header, offset, extensions).map(Some);
            }
        }
    }

    /// The content of the entry that [`TarReader::next_entry`] returned last; empty for anything but files.
    pub fn content(&mut self) -> Content<'_, R> {
        Content { tar: self }
    }

    fn read_block(&mut self) -> Result<Block, LayerError> {
        let mut block = Box::new([0; BLOCK]);
        match self.fill(block.as_mut_slice())? {
            0 => Ok(Block::End),
            BLOCK if block.iter().all(|&byte| byte == 0) => Ok(Block::Zero),
            BLOCK => Ok(Block::Header(block)),
            _ => Err(LayerError::Truncated { offset: self.position }),
        }
    }

    /// Reads until `buf` is full or the stream ends.
    fn fill(&mut self, buf: &mut [u8]) -> Result<usize, LayerError> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.inner.read(&mut buf[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LayerError::from_read(error)),
            }
        }
        self.advance(filled as u64)?;
        Ok(filled)
    }

    fn advance(&mut self, bytes: u64) -> Result<(), LayerError> {
        self.position += bytes;
        self.limit("the size of the layer", self.position, self.limits.layer_bytes)
    }

    fn limit(&self, what: &'static str, value: u64, limit: u64) -> Result<(), LayerError> {
        if value > limit { Err(LayerError::Limit { what, limit, offset: self.position }) } else { Ok(()) }
    }

    /// One zero block was read: only zeros may follow, at least one block of them or nothing.
    fn finish(&mut self, offset: u64) -> Result<Option<LayerEntry>, LayerError> {
        if let Block::Header(_) = self.read_block()? {
            return Err(header_error(offset, TarProblem::LoneZeroBlock));
        }
        let mut buffer = vec![0; 64 << 10];
        loop {
            let at = self.position;
            let count = self.fill(&mut buffer)?;
            if count == 0 {
                self.done = true;
                return Ok(None);
            }
            if buffer[..count].iter().any(|&byte| byte != 0) {
                return Err(header_error(at, TarProblem::TrailingData));
            }
        }
    }

    fn skip_content(&mut self) -> Result<(), LayerError> {
        let mut left = self.remaining + self.padding;
        (self.remaining, self.padding) = (0, 0);
        if left == 0 {
            // Most entries of a tree have no content, and the buffer is not for nothing.
            return Ok(());
        }
        let mut buffer = [0; 32 << 10];
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            if self.fill(&mut buffer[..want])? < want {
                return Err(LayerError::Truncated { offset: self.position });
            }
            left -= want as u64;
        }
        Ok(())
    }

    /// Takes in an extended header; `false` when the header is an entry's own.
    fn read_extension(
        &mut self,
        header: &Header<'_>,
        offset: u64,
        extensions: &mut Extensions,
    ) -> Result<bool, LayerError> {
        let at = |problem| header_error(offset, problem);
        let flag = header.type_flag();
        if !matches!(flag, b'x' | b'g' | b'L' | b'K') {
            return Ok(false);
        }
        let fits = match flag {
            b'x' | b'g' => header.format != Format::V7,
            _ => header.format == Format::Gnu,
        };
        if !fits {
            return Err(at(TarProblem::Type(char::from(flag))));
        }
        let data = self.read_extension_data(header.size().map_err(at)?, extensions)?;
        match flag {
            b'g' => pax::check_global(&data).map_err(at)?,
            b'x' => set_once(&mut extensions.pax, pax::parse_local(&data).map_err(at)?).map_err(at)?,
            b'L' => set_once(&mut extensions.long_name, gnu_name(data)).map_err(at)?,
            _ => set_once(&mut extensions.long_link, gnu_name(data)).map_err(at)?,
        }
        let gnu = extensions.long_name.is_some() || extensions.long_link.is_some();
        if gnu && extensions.pax.is_some() {
            return Err(at(TarProblem::MixedExtensions));
        }
        Ok(true)
    }

    fn read_extension_data(&mut self, size: u64, extensions: &mut Extensions) -> Result<Vec<u8>, LayerError> {
        // Each header costs at least its block, so that a run of empty ones ends too.
        extensions.bytes = extensions.bytes.saturating_add(size).saturating_add(BLOCK as u64);
        self.limit("an extended header", extensions.bytes, self.limits.pax_bytes.saturating_add(4 * BLOCK as u64))?;
        let padded = usize::try_from(size.next_multiple_of(BLOCK as u64)).expect("capped just above");
        let mut data = vec![0; padded];
        if self.fill(&mut data)? < padded {
            return Err(LayerError::Truncated { offset: self.position });
        }
        data.truncate(usize::try_from(size).expect("not larger than its padding"));
        Ok(data)
    }

    fn entry(&mut self, header: &Header<'_>, offset: u64, extensions: Extensions) -> Result<LayerEntry, LayerError> {
        self.entries += 1;
        self.limit("the number of entries", self.entries, self.limits.entries)?;
        let at = |problem| header_error(offset, problem);
        let pax = extensions.pax.unwrap_or_default();
        self.limit("extended attributes", pax.xattr_bytes as u64, self.limits.xattr_bytes as u64)?;
        let raw_name = pax.path.or(extensions.long_name).unwrap_or_else(|| header.name());
        let raw_link = pax.link_path.or(extensions.long_link).unwrap_or_else(|| header.link_name().to_vec());
        let size = entry_size(header, pax.size).map_err(at)?;
        self.limit("the size of a file", size, self.limits.entry_bytes)?;
        self.metadata_bytes += (raw_name.len() + raw_link.len() + pax.xattr_bytes) as u64;
        self.limit("the layer's names and attributes", self.metadata_bytes, self.limits.metadata_bytes)?;

        let name_error = |problem| LayerError::Name { path: Lossy::from(&*raw_name), offset, problem };
        let path = normalise(&raw_name, &self.limits).map_err(name_error)?;
        let kind = entry_kind(header, size, &raw_name, raw_link).map_err(at)?;
        let kind = self.check_links(kind).map_err(name_error)?;
        let (path, kind) = apply_meaning(path, kind).map_err(name_error)?;

        self.remaining = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        let metadata = Metadata {
            mode: header.mode().map_err(at)?,
            uid: id(pax.uid, header.uid(), "uid").map_err(at)?,
            gid: id(pax.gid, header.gid(), "gid").map_err(at)?,
            mtime: match pax.mtime {
                Some(mtime) => mtime,
                None => Mtime::from_seconds(header.mtime().map_err(at)?),
            },
            xattrs: pax.xattrs,
        };
        Ok(LayerEntry { path, kind, metadata, offset: self.position, dropped: pax.dropped })
    }

    /// Normalises a hard link's target and checks the length of a symbolic link's.
    fn check_links(&self, kind: EntryKind) -> Result<EntryKind, NameProblem> {
        match kind {
            EntryKind::Hardlink { target } => {
                let target = normalise(&target, &self.limits)?;
                match meaning(&target)? {
                    Meaning::Plain if !target.is_empty() => Ok(EntryKind::Hardlink { target }),
                    _ => Err(NameProblem::LinkTarget),
                }
            }
            EntryKind::Symlink { target } if target.len() > self.limits.path_bytes => Err(NameProblem::TooLong),
            kind => Ok(kind),
        }
    }
}

fn header_error(offset: u64, problem: TarProblem) -> LayerError {
    LayerError::Header { offset, problem }
}

fn set_once<T>(slot: &mut Option<T>, value: T) -> Result<(), TarProblem> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(TarProblem::MixedExtensions),
    }
}

/// GNU ends long names with a NUL; anything after it is refused later as a NUL inside a name.
fn gnu_name(mut data: Vec<u8>) -> Vec<u8> {
    if data.last() == Some(&0) {
        data.pop();
    }
    data
}

/// The size both header and extended header agree on.
///
/// The header's own field only matters when the size fits into it; a writer
/// that needs the extended field leaves it zero or saturated.
fn entry_size(header: &Header<'_>, pax: Option<u64>) -> Result<u64, TarProblem> {
    const LARGEST_OCTAL: u64 = (1 << 33) - 1;
    let header = header.size()?;
    match pax {
        Some(pax) if pax != header && header != 0 && pax <= LARGEST_OCTAL => {
            Err(TarProblem::SizeDisagreement { header, pax })
        }
        Some(pax) => Ok(pax),
        None => Ok(header),
    }
}

fn id(pax: Option<u64>, header: Result<u64, TarProblem>, name: &'static str) -> Result<u32, TarProblem> {
    let id = match pax {
        Some(id) => id,
        None => header?,
    };
    // The largest value means "leave as it is" to chown(2) and cannot own a file.
    u32::try_from(id).ok().filter(|&id| id != u32::MAX).ok_or(TarProblem::Range(name))
}

fn entry_kind(header: &Header<'_>, size: u64, name: &[u8], link: Vec<u8>) -> Result<EntryKind, TarProblem> {
    let empty = |kind: EntryKind, what| if size == 0 { Ok(kind) } else { Err(TarProblem::UnexpectedContent(what)) };
    let target = |link: Vec<u8>| {
        if link.is_empty() || link.contains(&0) { Err(TarProblem::NoTarget) } else { Ok(link) }
    };
    match header.type_flag() {
        // Before POSIX a directory was a file whose name ends with a slash.
        0 if name.ends_with(b"/") => empty(EntryKind::Directory, "directory"),
        0 | b'0' | b'7' => Ok(EntryKind::File { size }),
        b'1' => empty(EntryKind::Hardlink { target: target(link)? }, "hard link"),
        b'2' => empty(EntryKind::Symlink { target: target(link)? }, "symbolic link"),
        b'3' => {
            let (major, minor) = header.device()?;
            empty(EntryKind::CharDevice { major, minor }, "device")
        }
        b'4' => {
            let (major, minor) = header.device()?;
            empty(EntryKind::BlockDevice { major, minor }, "device")
        }
        b'5' => empty(EntryKind::Directory, "directory"),
        b'6' => empty(EntryKind::Fifo, "named pipe"),
        b'S' => Err(TarProblem::Sparse),
        flag => Err(TarProblem::Type(char::from(flag))),
    }
}

/// Turns special names into what they mean.
fn apply_meaning(path: Vec<u8>, kind: EntryKind) -> Result<(Vec<u8>, EntryKind), NameProblem> {
    if path.is_empty() && kind != EntryKind::Directory {
        return Err(NameProblem::Root);
    }
    let (special_path, special_kind) = match meaning(&path)? {
        Meaning::Plain => return Ok((path, kind)),
        Meaning::Aufs => return Ok((path, EntryKind::AufsLeftover)),
        Meaning::Whiteout(target) => (target, EntryKind::Whiteout),
        Meaning::Opaque(directory) => (directory.to_vec(), EntryKind::Opaque),
    };
    match kind {
        EntryKind::File { .. } => Ok((special_path, special_kind)),
        _ => Err(NameProblem::WhiteoutType),
    }
}

/// Reads the content of one entry; ends where the entry ends.
#[derive(Debug)]
pub struct Content<'a, R> {
    tar: &'a mut TarReader<R>,
}

impl<R> Content<'_, R> {
    /// Bytes not read yet.
    pub fn remaining(&self) -> u64 {
        self.tar.remaining
    }
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.tar.remaining).unwrap_or(usize::MAX).min(buf.len());
        if want == 0 {
            return Ok(0);
        }
        let count = self.tar.inner.read(&mut buf[..want])?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                LayerError::Truncated { offset: self.tar.position },
            ));
        }
        self.tar.remaining -= count as u64;
        self.tar.advance(count as u64).map_err(super::super::digest::invalid_data)?;
        Ok(count)
    }
}
