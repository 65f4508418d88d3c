//! The compressions a kernel module may be in.
//!
//! xz comes from `lzma-rust2`: safe Rust without its optional features, where
//! liblzma would be one more C library to link in, and with a limit on memory,
//! which the older pure crates do not have.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use zstd::stream::read::Decoder as ZstdDecoder;

use super::InspectError;

/// Largest module accepted, decompressed. The largest known, NVIDIA's with debug information, has about 100 MB.
const MAX_MODULE: u64 = 256 << 20;

/// Largest xz dictionary and working memory. `xz -9` uses 64 MiB; the kernel's own decoder stops at less.
const XZ_MEMORY_KIB: u32 = 96 << 10;

/// Largest zstd window, as power of two: 128 MiB, what `zstd` itself accepts without asking.
const ZSTD_WINDOW_LOG: u32 = 27;

const GZIP_MAGIC: &[u8] = b"\x1f\x8b";
const XZ_MAGIC: &[u8] = b"\xfd7zXZ\0";
const ZSTD_MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";

/// How a file is compressed, told by its first bytes and not by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// xz, with this check.
    Xz(XzCheck),
    /// Zstandard.
    Zstd,
}

/// Integrity check of an xz stream.
///
/// The decoder in the kernel knows only the first two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XzCheck {
    /// No check.
    None,
    /// CRC32.
    Crc32,
    /// CRC64, the default of `xz`.
    Crc64,
    /// SHA-256.
    Sha256,
    /// Another one, by its number in the xz format.
    Other(u8),
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip",
            Self::Xz(_) => "xz",
            Self::Zstd => "zstd",
        })
    }
}

impl Compression {
    /// Tells the compression of a file.
    pub fn of(file: &[u8]) -> Self {
        if file.starts_with(GZIP_MAGIC) {
            Self::Gzip
        } else if file.starts_with(XZ_MAGIC) {
            // The second byte of the stream flags, which follow the magic bytes.
            Self::Xz(XzCheck::from_id(file.get(7).copied().unwrap_or(0)))
        } else if file.starts_with(ZSTD_MAGIC) {
            Self::Zstd
        } else {
            Self::None
        }
    }
}

impl XzCheck {
    const fn from_id(id: u8) -> Self {
        match id & 0x0f {
            0x00 => Self::None,
            0x01 => Self::Crc32,
            0x04 => Self::Crc64,
            0x0a => Self::Sha256,
            other => Self::Other(other),
        }
    }
}

/// The file's content without compression.
///
/// # Errors
/// When the compressed data is damaged, or decompresses to more than 256 MiB.
pub fn decompress(file: &[u8]) -> Result<(Compression, Cow<'_, [u8]>), InspectError> {
    decompress_up_to(file, MAX_MODULE)
}

pub(in crate::kmod) fn decompress_up_to(file: &[u8], limit: u64) -> Result<(Compression, Cow<'_, [u8]>), InspectError> {
    let compression = Compression::of(file);
    let decoded = match compression {
        Compression::None if file.len() as u64 <= limit => return Ok((compression, Cow::Borrowed(file))),
        Compression::None => return Err(InspectError::TooLarge { limit }),
        Compression::Gzip => read_up_to(MultiGzDecoder::new(file), limit),
        Compression::Xz(_) => read_up_to(XzReader::new_mem_limit(file, true, XZ_MEMORY_KIB), limit),
        Compression::Zstd => zstd_decoder(file).and_then(|decoder| read_up_to(decoder, limit)),
    };
    match decoded {
        Ok(Some(module)) => Ok((compression, Cow::Owned(module))),
        Ok(None) => Err(InspectError::TooLarge { limit }),
        Err(source) => Err(InspectError::Decompress { compression, source }),
    }
}

fn zstd_decoder(file: &[u8]) -> io::Result<ZstdDecoder<'_, &[u8]>> {
    let mut decoder = ZstdDecoder::with_buffer(file)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

/// Everything, or `None` when there is more than `limit`.
fn read_up_to(source: impl Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    source.take(limit + 1).read_to_end(&mut content)?;
    Ok((content.len() as u64 <= limit).then_some(content))
}
