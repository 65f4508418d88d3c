//! What is in an initramfs: a row of cpio archives, each compressed or not, with zero bytes between them.
//!
//! Follows the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`. Strict: the kernel gives up
//! at the first thing it does not know, so this does too. Bounded: names and the few files asked for are kept,
//! content is skipped while it is decompressed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;
use zstd::stream::read::Decoder as ZstdDecoder;

/// Most entries of all archives together. A generic one of a distribution has 3,000.
const MAX_ENTRIES: usize = 200_000;

/// Most bytes of all archives together, decompressed.
const MAX_UNPACKED: u64 = 2 << 30;

/// Longest path, with its final zero byte: the kernel's PATH_MAX.
const MAX_NAME: usize = 4096;

/// Largest file that is kept.
const MAX_KEPT: u64 = 64 << 10;

/// Largest xz dictionary and working memory in KiB; the kernel's own decoder stops at 64 MiB.
const XZ_MEMORY_KIB: u32 = 96 << 10;

/// Largest zstd window as power of two: 128 MiB, the kernel's own limit.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Size of a header in the `newc` format: the magic bytes and 13 numbers of 8 hexadecimal digits.
const HEADER: usize = 110;

/// The entry that ends an archive.
const TRAILER: &[u8] = b"TRAILER!!!";

/// Why an initramfs could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum InitramfsError {
    /// Neither an archive nor compressed data.
    #[error("archive {archive} begins with {}, neither cpio nor compressed data", show(found))]
    Magic { archive: usize, found: Vec<u8> },
    /// A compression that the kernel may know and this reader does not.
    #[error("it is compressed with {name}")]
    Compression { name: &'static str },
    /// A number of a header has other characters than hexadecimal digits.
    #[error("archive {archive}: the header after `{}` is damaged", String::from_utf8_lossy(after))]
    Header { archive: usize, after: Vec<u8> },
    /// A name is empty, or longer than a path can be.
    #[error("archive {archive}: a name of {length} bytes after `{}`", String::from_utf8_lossy(after))]
    Name { archive: usize, after: Vec<u8>, length: usize },
    /// The data ends within an archive, or does not decompress.
    #[error("archive {archive}: {source} after `{}`", String::from_utf8_lossy(after))]
    Read { archive: usize, after: Vec<u8>, source: io::Error },
    /// More than any initramfs has.
    #[error("it has more than {limit} {what}")]
    TooLarge { what: &'static str, limit: u64 },
}

fn show(bytes: &[u8]) -> String {
    format!("{:?}", bytes.escape_ascii().to_string())
}

/// The content of an initramfs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Initramfs {
    /// Paths of everything in it, without leading `/` or `./`.
    pub names: BTreeSet<Vec<u8>>,
    /// Contents of the small files that were asked for; the last one counts, as when unpacking.
    pub kept: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Reads the archives of `file` and keeps the contents of the regular files at the paths `keep`.
///
/// # Errors
/// Any [`InitramfsError`].
pub fn parse_initramfs(file: &[u8], keep: &[&str]) -> Result<Initramfs, InitramfsError> {
    let mut unpacking = Unpacking { found: Initramfs::default(), keep, archive: 0, entries: 0, unpacked: 0 };
    let mut rest = file;
    unpacking.archives(&mut rest, true)?;
    Ok(unpacking.found)
}

/// How an archive is packed, told by its first bytes.
enum Format {
    Cpio,
    Gzip,
    Xz,
    Zstd,
}

fn format_of(magic: &[u8], archive: usize) -> Result<Format, InitramfsError> {
    const KNOWN_TO_KERNELS: [(&[u8], &str); 5] = [
        (b"BZh", "bzip2"),
        (b"\x5d\x00\x00", "lzma"),
        (b"\x89LZO", "lzo"),
        (b"\x02\x21\x4c\x18", "lz4"),
        (b"\x04\x22\x4d\x18", "lz4"),
    ];
    match magic {
        // With and without checksum; the kernel compares neither.
        b"070701" | b"070702" => Ok(Format::Cpio),
        [0x1f, 0x8b, ..] => Ok(Format::Gzip),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Ok(Format::Xz),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Format::Zstd),
        _ => Err(match KNOWN_TO_KERNELS.iter().find(|(known, _)| magic.starts_with(known)) {
            Some((_, name)) => InitramfsError::Compression { name },
            None => InitramfsError::Magic { archive, found: magic.to_vec() },
        }),
    }
}

struct Unpacking<'a> {
    found: Initramfs,
    keep: &'a [&'a str],
    /// The archive being read, counted from 1.
    archive: usize,
    entries: usize,
    unpacked: u64,
}

/// A cpio header, as far as it matters.
struct Header {
    mode: u32,
    size: u64,
    name_length: usize,
}

impl Unpacking<'_> {
    /// Reads archives to the end. Compressed ones hold plain archives only, as for the kernel.
    fn archives(&mut self, input: &mut dyn BufRead, may_decompress: bool) -> Result<(), InitramfsError> {
        loop {
            self.archive += usize::from(may_decompress);
            if !self.skip_zeros(input)? {
                return Ok(());
            }
            let mut magic = [0; 6];
            let length = read_up_to(input, &mut magic).map_err(|source| self.read_error(b"", source))?;
            let magic = &magic[..length];
            let mut rest = Cursor::new(magic.to_vec()).chain(&mut *input);
            match format_of(magic, self.archive)? {
                Format::Cpio => self.cpio(&mut rest)?,
                _ if !may_decompress => {
                    return Err(InitramfsError::Magic { archive: self.archive, found: magic.to_vec() });
                }
                Format::Gzip => self.compressed(GzDecoder::new(rest))?,
                Format::Xz => self.compressed(XzReader::new_mem_limit(rest, false, XZ_MEMORY_KIB))?,
                Format::Zstd => {
                    let decoder = zstd_decoder(rest).map_err(|source| self.read_error(b"", source))?;
                    self.compressed(decoder)?;
                }
            }
        }
    }

    /// To the first byte that is not zero; whether there is one.
    fn skip_zeros(&mut self, input: &mut dyn BufRead) -> Result<bool, InitramfsError> {
        loop {
            let available = input.fill_buf().map_err(|source| self.read_error(b"", source))?;
            let length = available.len();
            if length == 0 {
                return Ok(false);
            }
            let zeros = available.iter().take_while(|byte| **byte == 0).count();
            input.consume(zeros);
            self.account(zeros as u64)?;
            if zeros < length {
                return Ok(true);
            }
        }
    }

    fn compressed(&mut self, decoder: impl Read) -> Result<(), InitramfsError> {
        // Reads to the end of the compressed data, and so compares its checksum.
        self.archives(&mut BufReader::with_capacity(64 << 10, decoder), false)
    }

    /// One archive, up to its trailer.
    fn cpio(&mut self, input: &mut dyn BufRead) -> Result<(), InitramfsError> {
        let mut name = Vec::new();
        loop {
            let header = self.header(input, &name)?;
            name = self.name(input, &header, &name)?;
            if name == TRAILER {
                return Ok(());
            }
            self.content(input, &header, &name)?;
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(InitramfsError::TooLarge { what: "entries", limit: MAX_ENTRIES as u64 });
            }
            self.found.names.insert(name.clone());
        }
    }

    fn header(&mut self, input: &mut dyn BufRead, after: &[u8]) -> Result<Header, InitramfsError> {
        let mut block = [0; HEADER];
        input.read_exact(&mut block).map_err(|source| self.read_error(after, source))?;
        let damaged = || InitramfsError::Header { archive: self.archive, after: after.to_vec() };
        if !matches!(&block[..6], b"070701" | b"070702") {
            return Err(damaged());
        }
        let number = |index: usize| hex(&block[6 + 8 * index..][..8]).ok_or_else(damaged);
        let (mode, size, length) = (number(1)?, number(6)?, number(11)?);
        let name_length = usize::try_from(length).unwrap_or(usize::MAX);
        if !(2..=MAX_NAME).contains(&name_length) {
            return Err(InitramfsError::Name { archive: self.archive, after: after.to_vec(), length: name_length });
        }
        Ok(Header { mode, size: size.into(), name_length })
    }

    /// The name, without its final zero byte and the padding that takes the content to a multiple of four.
    fn name(&mut self, input: &mut dyn BufRead, header: &Header, after: &[u8]) -> Result<Vec<u8>, InitramfsError> {
        let length = header.name_length;
        let mut name = vec![0; (HEADER + length).next_multiple_of(4) - HEADER];
        input.read_exact(&mut name).map_err(|source| self.read_error(after, source))?;
        self.account((HEADER + name.len()) as u64)?;
        if name[length - 1] != 0 || name[..length - 1].contains(&0) {
            return Err(InitramfsError::Name { archive: self.archive, after: after.to_vec(), length });
        }
        name.truncate(length - 1);
        let leading = name.iter().position(|byte| !matches!(byte, b'/' | b'.')).unwrap_or(0);
        // `.hidden` keeps its dot; `./`, `/` and `.//` go.
        let kept = name[..leading].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        Ok(name.split_off(kept))
    }

    fn content(&mut self, input: &mut dyn BufRead, header: &Header, name: &[u8]) -> Result<(), InitramfsError> {
        let padded = header.size.next_multiple_of(4);
        self.account(padded)?;
        let regular = header.mode & 0o170_000 == 0o100_000;
        let wanted = regular && header.size <= MAX_KEPT && self.keep.iter().any(|path| path.as_bytes() == name);
        let mut taken = input.take(padded);
        let length = if wanted {
            let mut content = Vec::new();
            let length = taken.read_to_end(&mut content);
            content.truncate(usize::try_from(header.size).unwrap_or(usize::MAX));
            // Another name of a hard link has no content of its own.
            if !content.is_empty() || !self.found.kept.contains_key(name) {
                self.found.kept.insert(name.to_vec(), content);
            }
            length.map(|length| length as u64)
        } else {
            io::copy(&mut taken, &mut io::sink())
        };
        match length {
            Ok(length) if length == padded => Ok(()),
            Ok(_) => Err(self.read_error(name, io::ErrorKind::UnexpectedEof.into())),
            Err(source) => Err(self.read_error(name, source)),
        }
    }

    fn account(&mut self, bytes: u64) -> Result<(), InitramfsError> {
        self.unpacked += bytes;
        if self.unpacked > MAX_UNPACKED {
            return Err(InitramfsError::TooLarge { what: "bytes", limit: MAX_UNPACKED });
        }
        Ok(())
    }

    fn read_error(&self, after: &[u8], source: io::Error) -> InitramfsError {
        InitramfsError::Read { archive: self.archive, after: after.to_vec(), source }
    }
}

fn zstd_decoder<'a, R: BufRead>(input: R) -> io::Result<ZstdDecoder<'a, R>> {
    let mut decoder = ZstdDecoder::with_buffer(input)?.single_frame();
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

/// As much as there is, up to the buffer's length.
fn read_up_to(input: &mut dyn BufRead, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn hex(digits: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok()?;
    // `from_str_radix` would also take a sign.
    text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
pub(super) mod fake;
#[cfg(test)]
mod tests;
