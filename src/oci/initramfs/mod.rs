//! Reading an initramfs: cpio archives one after the other, each plain or compressed.
//!
//! After the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`, and as strict: zeros may stand
//! between archives and nothing else. Formats `newc` and `crc` (whose checksums the kernel's default configuration
//! does not look at either). Compression by gzip, xz and zstd; lz4, lzo, lzma and bzip2 are named and not read.
//! Content is streamed: memory does not grow with the archive.

mod contents;

pub use contents::Initramfs;

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;
use zstd::stream::read::Decoder as ZstdDecoder;

/// Length of an entry's header: the magic and 13 fields of 8 hexadecimal digits.
const HEADER: usize = 110;
/// Name of the entry that ends an archive.
const TRAILER: &[u8] = b"TRAILER!!!";
/// Longest name, with its terminator: the kernel's `PATH_MAX`.
const MAX_NAME: u32 = 4096;
/// Most bytes of all archives together, uncompressed. The largest of a distribution, without `hostonly`, has 300 MB.
const MAX_BYTES: u64 = 4 << 30;
/// Most entries of all archives together. A generic one of a distribution has 3,000.
const MAX_ENTRIES: u64 = 500_000;
/// Largest xz dictionary and working memory.
const XZ_MEMORY_KIB: u32 = 96 << 10;
/// Largest zstd window, as power of two.
const ZSTD_WINDOW_LOG: u32 = 27;

/// An initramfs that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum InitramfsError {
    /// Compressed by something that is not read here.
    #[error("compressed by {0}, which is not read here")]
    Compression(&'static str),
    /// Neither an archive nor compressed.
    #[error("neither a cpio archive nor compressed at byte {offset}")]
    Unknown { offset: u64 },
    /// An entry is not one.
    #[error("damaged cpio archive: {0}")]
    Archive(&'static str),
    /// More than any initramfs holds.
    #[error("more than {limit} {what}")]
    TooLarge { limit: u64, what: &'static str },
    /// Cut short or damaged.
    #[error("cut short, or its compressed data is damaged")]
    Read(#[source] io::Error),
}

/// A file in an initramfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitramfsEntry {
    /// Path without leading slash or dot.
    pub path: Vec<u8>,
    /// Type and permission bits, as in `st_mode`.
    pub mode: u32,
    /// Bytes of content; of hard links only the last one has any.
    pub size: u64,
}

impl InitramfsEntry {
    /// Whether it is a regular file.
    pub const fn is_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }
}

/// Shows every entry and its content to `sink`, in the order of the archives. A content that ends early is an error
/// after `sink` has seen it.
///
/// # Errors
/// When it is damaged, larger than 4 GiB or compressed in a way that is not read here, or when `sink` fails.
pub fn read_initramfs(
    file: &[u8],
    sink: &mut dyn FnMut(&InitramfsEntry, &mut dyn Read) -> io::Result<()>,
) -> Result<(), InitramfsError> {
    let mut rest = file;
    let mut left = Allowance { bytes: MAX_BYTES, entries: MAX_ENTRIES };
    loop {
        let zeros = rest.iter().take_while(|&&byte| byte == 0).count();
        rest = &rest[zeros..];
        if rest.is_empty() {
            return Ok(());
        }
        rest = match magic(rest) {
            Some(Format::Cpio) => {
                let mut archive = rest;
                read_archive(&mut archive, &mut left, sink)?;
                archive
            }
            Some(Format::Gzip) => {
                let mut stream = BufReader::new(GzDecoder::new(rest));
                read_archives(&mut stream, &mut left, sink)?;
                stream.into_inner().into_inner()
            }
            Some(Format::Xz) => {
                let mut stream = BufReader::new(XzReader::new_mem_limit(rest, false, XZ_MEMORY_KIB));
                read_archives(&mut stream, &mut left, sink)?;
                stream.into_inner().into_inner()
            }
            Some(Format::Zstd) => read_zstd(rest, &mut left, sink)?,
            Some(Format::Other(name)) => return Err(InitramfsError::Compression(name)),
            None => return Err(InitramfsError::Unknown { offset: (file.len() - rest.len()) as u64 }),
        };
    }
}

fn read_zstd<'a>(
    file: &'a [u8],
    left: &mut Allowance,
    sink: &mut dyn FnMut(&InitramfsEntry, &mut dyn Read) -> io::Result<()>,
) -> Result<&'a [u8], InitramfsError> {
    let mut decoder = ZstdDecoder::with_buffer(file).map_err(InitramfsError::Read)?.single_frame();
    decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(InitramfsError::Read)?;
    let mut stream = BufReader::new(decoder);
    read_archives(&mut stream, left, sink)?;
    Ok(stream.into_inner().finish())
}

/// What comes next.
enum Format {
    Cpio,
    Gzip,
    Xz,
    Zstd,
    Other(&'static str),
}

fn magic(bytes: &[u8]) -> Option<Format> {
    let formats: [(&[u8], Format); 10] = [
        (b"070701", Format::Cpio),
        (b"070702", Format::Cpio),
        (b"\x1f\x8b", Format::Gzip),
        (b"\xfd7zXZ\0", Format::Xz),
        (b"\x28\xb5\x2f\xfd", Format::Zstd),
        (b"\x02\x21\x4c\x18", Format::Other("lz4")),
        (b"\x04\x22\x4d\x18", Format::Other("lz4")),
        (b"\x89LZO", Format::Other("lzo")),
        (b"BZh", Format::Other("bzip2")),
        (b"\x5d\0\0", Format::Other("lzma")),
    ];
    formats.into_iter().find(|(start, _)| bytes.starts_with(start)).map(|(_, format)| format)
}

/// All archives of one compressed stream, to its end, where its checksum is compared.
fn read_archives(
    stream: &mut dyn BufRead,
    left: &mut Allowance,
    sink: &mut dyn FnMut(&InitramfsEntry, &mut dyn Read) -> io::Result<()>,
) -> Result<(), InitramfsError> {
    loop {
        let buffer = stream.fill_buf().map_err(InitramfsError::Read)?;
        match buffer.first() {
            None => return Ok(()),
            Some(0) => {
                let zeros = buffer.iter().take_while(|&&byte| byte == 0).count();
                left.take(zeros as u64)?;
                stream.consume(zeros);
            }
            Some(_) => read_archive(stream, left, sink)?,
        }
    }
}

/// One archive, up to and with its trailer.
fn read_archive(
    stream: &mut dyn BufRead,
    left: &mut Allowance,
    sink: &mut dyn FnMut(&InitramfsEntry, &mut dyn Read) -> io::Result<()>,
) -> Result<(), InitramfsError> {
    loop {
        let mut header = [0; HEADER];
        stream.read_exact(&mut header).map_err(InitramfsError::Read)?;
        if !matches!(&header[..6], b"070701" | b"070702") {
            return Err(InitramfsError::Archive("an entry does not begin with its magic number"));
        }
        let field = |number: usize| hexadecimal(&header[6 + 8 * number..14 + 8 * number]);
        let (mode, size, length) = (field(1)?, u64::from(field(6)?), field(11)?);
        if length == 0 || length > MAX_NAME {
            return Err(InitramfsError::Archive("a name is empty or too long"));
        }
        let padding = (HEADER as u64 + u64::from(length)).next_multiple_of(4) - HEADER as u64 - u64::from(length);
        left.take(HEADER as u64 + u64::from(length) + padding + size.next_multiple_of(4))?;
        left.entry()?;
        let mut name = Vec::new();
        read_into(stream, u64::from(length), &mut name)?;
        skip(stream, padding)?;
        if name.pop() != Some(0) || name.contains(&0) {
            return Err(InitramfsError::Archive("a name does not end where it should"));
        }
        if name == TRAILER {
            return skip(stream, size.next_multiple_of(4));
        }
        let entry = InitramfsEntry { path: normalise(&name), mode, size };
        let mut content = Read::take(&mut *stream, size);
        sink(&entry, &mut content).map_err(InitramfsError::Read)?;
        let unread = content.limit();
        skip(stream, unread + (size.next_multiple_of(4) - size))?;
    }
}

/// How much more is read.
struct Allowance {
    bytes: u64,
    entries: u64,
}

impl Allowance {
    fn take(&mut self, bytes: u64) -> Result<(), InitramfsError> {
        let too_large = InitramfsError::TooLarge { limit: MAX_BYTES, what: "bytes when decompressed" };
        self.bytes = self.bytes.checked_sub(bytes).ok_or(too_large)?;
        Ok(())
    }

    fn entry(&mut self) -> Result<(), InitramfsError> {
        let too_many = InitramfsError::TooLarge { limit: MAX_ENTRIES, what: "entries" };
        self.entries = self.entries.checked_sub(1).ok_or(too_many)?;
        Ok(())
    }
}

fn hexadecimal(field: &[u8]) -> Result<u32, InitramfsError> {
    let text = std::str::from_utf8(field).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let value = text.and_then(|text| u32::from_str_radix(text, 16).ok());
    value.ok_or(InitramfsError::Archive("a field of an entry is not hexadecimal"))
}

fn read_into(stream: &mut dyn BufRead, bytes: u64, into: &mut Vec<u8>) -> Result<(), InitramfsError> {
    let count = stream.take(bytes).read_to_end(into).map_err(InitramfsError::Read)?;
    if (count as u64) < bytes { Err(cut_short()) } else { Ok(()) }
}

fn skip(stream: &mut dyn BufRead, bytes: u64) -> Result<(), InitramfsError> {
    let count = io::copy(&mut stream.take(bytes), &mut io::sink()).map_err(InitramfsError::Read)?;
    if count < bytes { Err(cut_short()) } else { Ok(()) }
}

fn cut_short() -> InitramfsError {
    InitramfsError::Read(io::ErrorKind::UnexpectedEof.into())
}

fn normalise(name: &[u8]) -> Vec<u8> {
    let parts = name.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.collect::<Vec<_>>().join(&b'/')
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    pub(super) fn entry(name: &str, mode: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = format!("070701{:08X}{mode:08X}", 7).into_bytes();
        for value in [0, 0, 1, 0, content.len(), 0, 0, 0, 0, name.len() + 1, 0] {
            bytes.extend(format!("{value:08X}").bytes());
        }
        bytes.extend(name.bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let entries = files.iter().flat_map(|(name, content)| entry(name, 0o100_644, content));
        entries.chain(entry("TRAILER!!!", 0, b"")).collect()
    }

    pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn read(file: &[u8]) -> Result<Vec<(String, Vec<u8>)>, InitramfsError> {
        let mut found = Vec::new();
        read_initramfs(file, &mut |entry, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            assert!(entry.is_file());
            found.push((String::from_utf8(entry.path.clone()).unwrap(), bytes));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn archives_follow_each_other_plain_and_compressed() {
        let early = archive(&[("kernel/x86/microcode/GenuineIntel.bin", b"ucode")]);
        let main = archive(&[("./usr/lib/a.ko", b"module"), ("/init", b"#!/bin/sh\n")]);
        let expected: Vec<(String, Vec<u8>)> = vec![
            ("kernel/x86/microcode/GenuineIntel.bin".into(), b"ucode".to_vec()),
            ("usr/lib/a.ko".into(), b"module".to_vec()),
            ("init".into(), b"#!/bin/sh\n".to_vec()),
        ];
        let padding = vec![0; 512];
        for second in [main.clone(), gzip(&main), xz(&main), zstd::encode_all(&main[..], 1).unwrap()] {
            let file = [&early[..], &padding, &second, &padding].concat();
            assert_eq!(read(&file).unwrap(), expected);
            // What follows a compressed archive is read as well.
            let twice = [&second[..], &second].concat();
            assert_eq!(read(&twice).unwrap().len(), 4);
        }
        assert_eq!(read(b"").unwrap(), []);
    }

    #[test]
    fn what_the_kernel_would_refuse_is_refused() {
        let main = archive(&[("init", b"12345678")]);
        let mut wrong_field = main.clone();
        wrong_field[16] = b'g';
        let mut huge = main.clone();
        huge[54..62].copy_from_slice(b"FFFFFFFF");
        let mut endless_name = main.clone();
        endless_name[94..102].copy_from_slice(b"FFFFFFFF");
        let packed = gzip(&main);
        for (file, expected) in [
            (b"\x02\x21\x4c\x18rest".to_vec(), "compressed by lz4, which is not read here"),
            (b"hello".to_vec(), "neither a cpio archive nor compressed at byte 0"),
            ([&main[..], b"tail"].concat(), "neither a cpio archive nor compressed at byte 248"),
            (main[..main.len() - 130].to_vec(), "cut short, or its compressed data is damaged"),
            (packed[..packed.len() - 9].to_vec(), "cut short, or its compressed data is damaged"),
            (wrong_field, "damaged cpio archive: a field of an entry is not hexadecimal"),
            (endless_name, "damaged cpio archive: a name is empty or too long"),
            (huge, "more than 4294967296 bytes when decompressed"),
            (gzip(b"no archive, but longer than the header of an entry, which has 110 bytes, so that the magic is what fails here, and nothing else"),
             "damaged cpio archive: an entry does not begin with its magic number"),
        ] {
            assert_eq!(read(&file).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_bomb_is_stopped() {
        let one = entry("x", 0o100_644, b"");
        let count = usize::try_from(MAX_ENTRIES).unwrap() + 1;
        assert_eq!(read(&gzip(&one.repeat(count))).unwrap_err().to_string(), "more than 500000 entries");
    }

    #[test]
    fn no_change_of_a_byte_and_no_cut_does_harm() {
        let main = archive(&[("usr/bin/init", b"12345"), ("init", b"usr/bin/init")]);
        for packed in [gzip(&main), xz(&main), zstd::encode_all(&main[..], 1).unwrap(), main] {
            for at in 0..packed.len() {
                let count = |file: &[u8]| {
                    let mut count = 0;
                    let mut see = |_: &InitramfsEntry, _: &mut dyn Read| {
                        count += 1;
                        Ok(())
                    };
                    read_initramfs(file, &mut see).map(|()| count)
                };
                assert!(count(&packed[..at]).is_err() || at == 0, "{at}");
                let mut changed = packed.clone();
                changed[at] ^= 0xff;
                // Whatever comes out, it is no more than went in.
                assert!(count(&changed).unwrap_or_default() <= 2, "{at}");
            }
        }
    }
}
