//! Compressed layers: by media type, with caps, verified at both ends.

use std::io::{self, BufRead, BufReader, Read, Write};

use oci_spec::image::{Descriptor, MediaType};

use super::super::digest::{VerifiedReader, invalid_data};
use super::error::LayerError;
use super::gzip::{GzipReader, GzipWriter};
use super::limits::UnpackLimits;
use super::read_ahead::ReadAhead;
use crate::model::DiffId;

/// How much is read from the compressed side at once: small reads cost decompressors a third of their speed.
const BUFFER: usize = 256 << 10;

/// The largest zstd window accepted, as a power of two: 128 MiB, what `zstd -d` accepts without options.
const ZSTD_WINDOW_LOG: u32 = 27;

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952 with this level, 0 to 9.
    Gzip(u32),
    /// RFC 8878 with this level, 1 to 22.
    Zstd(i32),
}

impl Default for Compression {
    /// gzip at level 6: every registry and runtime reads it.
    fn default() -> Self {
        Self::Gzip(6)
    }
}

impl Compression {
    /// The compression a layer's media type states; Docker's own types are known too.
    ///
    /// # Errors
    /// When it is not the media type of a layer.
    pub fn of_media_type(media_type: &MediaType) -> Result<Self, LayerError> {
        match media_type {
            MediaType::ImageLayer | MediaType::ImageLayerNonDistributable => Ok(Self::None),
            MediaType::ImageLayerGzip | MediaType::ImageLayerNonDistributableGzip => Ok(Self::Gzip(6)),
            MediaType::ImageLayerZstd | MediaType::ImageLayerNonDistributableZstd => Ok(Self::Zstd(3)),
            MediaType::Other(text) => match text.as_str() {
                "application/vnd.docker.image.rootfs.diff.tar" => Ok(Self::None),
                "application/vnd.docker.image.rootfs.diff.tar.gzip"
                | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Ok(Self::Gzip(6)),
                "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(Self::Zstd(3)),
                _ => Err(LayerError::MediaType { media_type: text.clone() }),
            },
            other => Err(LayerError::MediaType { media_type: other.to_string() }),
        }
    }

    /// The media type of a layer compressed this way.
    pub fn media_type(self) -> MediaType {
        match self {
            Self::None => MediaType::ImageLayer,
            Self::Gzip(_) => MediaType::ImageLayerGzip,
            Self::Zstd(_) => MediaType::ImageLayerZstd,
        }
    }
}

/// The uncompressed bytes of a layer.
///
/// The blob is read, hashed and decompressed on a thread of its own; the uncompressed bytes are
/// hashed where they are read.
///
/// At the end both the blob's digest and size and the layer's `diff_id` have
/// been compared; a mismatch is an error of the last read, with a
/// [`VerifyError`](crate::oci::VerifyError) inside.
pub type LayerStream = VerifiedReader<ReadAhead>;

/// Opens a layer's blob for reading as an uncompressed tar stream.
///
/// # Errors
/// When the descriptor is not that of a layer or names a digest other than SHA-256, or no thread can be started.
pub fn open_layer(
    blob: impl Read + Send + 'static,
    descriptor: &Descriptor,
    diff_id: &DiffId,
    limits: &UnpackLimits,
) -> Result<LayerStream, LayerError> {
    let compression = Compression::of_media_type(descriptor.media_type())?;
    let verified = VerifiedReader::new(blob, descriptor)?;
    let inflated = inflate(verified, compression, descriptor.size(), limits).map_err(LayerError::from_read)?;
    let ahead = ReadAhead::new(inflated).map_err(LayerError::Read)?;
    Ok(VerifiedReader::of_digest(ahead, diff_id.0.clone())?)
}

/// Decompresses a layer's blob of `compressed` bytes, which is read to its end, within the limits.
///
/// A [`LayerError`] of its own is inside the I/O error. The one decompressor of the program, so that what was
/// accepted when it was fetched can be read afterwards.
pub(in super::super) fn inflate<R: Read>(
    blob: R,
    compression: Compression,
    compressed: u64,
    limits: &UnpackLimits,
) -> io::Result<impl Read + use<R>> {
    Ok(Capped { inner: Decoder::new(blob, compression)?, read: 0, compressed, limits: *limits })
}

/// Fails when a layer inflates to more than its [`UnpackLimits`] allow.
struct Capped<R> {
    inner: R,
    read: u64,
    compressed: u64,
    limits: UnpackLimits,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.read += count as u64;
        let by_ratio = self.compressed.saturating_mul(self.limits.inflate_ratio).max(self.limits.ratio_grace);
        for (what, limit) in [
            ("the size of the layer", self.limits.layer_bytes),
            ("the inflated size of the layer, by its compressed size,", by_ratio),
        ] {
            if self.read > limit {
                return Err(invalid_data(LayerError::Limit { what, limit, offset: self.read }));
            }
        }
        Ok(count)
    }
}

/// A decompressor that insists on reading its source to the end.
enum Decoder<R: Read> {
    Plain(R),
    Gzip(GzipReader<R>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<R>>>),
}

impl<R: Read> Decoder<R> {
    fn new(source: R, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain(source),
            Compression::Gzip(_) => Self::Gzip(GzipReader::new(source)),
            Compression::Zstd(_) => {
                let buffered = BufReader::with_capacity(BUFFER, source);
                let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Self::Zstd(Box::new(decoder))
            }
        })
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(source) => source.read(buf),
            Self::Gzip(decoder) => decoder.read(buf),
            Self::Zstd(_) if buf.is_empty() => Ok(0),
            Self::Zstd(decoder) => match decoder.read(buf)? {
                0 => drain_zeros(decoder.get_mut()).map(|()| 0),
                count => Ok(count),
            },
        }
    }
}

/// Reads to the end, so that the blob's digest is checked; only zeros may be there.
pub(super) fn drain_zeros(source: &mut impl BufRead) -> io::Result<()> {
    loop {
        let rest = source.fill_buf()?;
        if rest.is_empty() {
            return Ok(());
        }
        if rest.iter().any(|&byte| byte != 0) {
            return Err(invalid_data(LayerError::TrailingCompressed));
        }
        let count = rest.len();
        source.consume(count);
    }
}

/// Compresses into `W`, deterministically: no time, no name, one thread.
pub(super) enum Encoder<W: Write> {
    Plain(W),
    Gzip(Box<GzipWriter<W>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, W>>),
}

impl<W: Write> Encoder<W> {
    pub(super) fn new(out: W, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain(out),
            Compression::Gzip(level) => Self::Gzip(Box::new(GzipWriter::new(out, level)?)),
            Compression::Zstd(level) => Self::Zstd(Box::new(zstd::stream::write::Encoder::new(out, level)?)),
        })
    }

    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(buf),
            Self::Gzip(encoder) => encoder.write(buf),
            Self::Zstd(encoder) => encoder.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

impl<W: Write> std::fmt::Debug for Encoder<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::digest::{VerifyError, sha256, verify_error};
    use super::*;

    fn compress(content: &[u8], compression: Compression) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new(), compression).unwrap();
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn read(blob: &[u8], compression: Compression, diff_id: &[u8], limits: &UnpackLimits) -> io::Result<Vec<u8>> {
        let descriptor = Descriptor::new(compression.media_type(), blob.len() as u64, sha256(blob));
        let mut out = Vec::new();
        open_layer(io::Cursor::new(blob.to_vec()), &descriptor, &DiffId(sha256(diff_id)), limits)
            .unwrap()
            .read_to_end(&mut out)?;
        Ok(out)
    }

    const ALL: [Compression; 3] = [Compression::None, Compression::Gzip(6), Compression::Zstd(3)];

    #[test]
    fn every_compression_round_trips_and_has_no_date() {
        let content = b"content ".repeat(1000);
        for compression in ALL {
            let blob = compress(&content, compression);
            assert_eq!(read(&blob, compression, &content, &UnpackLimits::default()).unwrap(), content);
            assert_eq!(blob, compress(&content, compression), "{compression:?} twice");
        }
        assert_eq!(compress(b"", Compression::Gzip(6))[3..10], [0, 0, 0, 0, 0, 0, 255], "flags, time, system");
    }

    #[test]
    fn the_bytes_do_not_depend_on_how_they_are_written() {
        // Compresses, but not to nothing.
        let content: Vec<u8> = (0usize..400_000).map(|i| (i * i / 251 % 256).try_into().unwrap()).collect();
        for compression in
            [Compression::None, Compression::Gzip(1), Compression::Gzip(6), Compression::Gzip(9), Compression::Zstd(3)]
        {
            let whole = compress(&content, compression);
            for piece in [1, 511, 10_000, 65_536] {
                let mut encoder = Encoder::new(Vec::new(), compression).unwrap();
                for piece in content.chunks(piece) {
                    encoder.write_all(piece).unwrap();
                }
                assert!(encoder.finish().unwrap() == whole, "{compression:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn gzip_members_and_zeros_at_the_end_are_read_like_gzip_does() {
        let gzip = |content: &[u8]| compress(content, Compression::Gzip(6));
        let limits = UnpackLimits::default();
        let two = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
        assert_eq!(read(&two, Compression::Gzip(6), b"one two", &limits).unwrap(), b"one two");
        let padded = [gzip(b"one"), vec![0; 700_000]].concat();
        assert_eq!(read(&padded, Compression::Gzip(6), b"one", &limits).unwrap(), b"one");
        let garbage = [gzip(b"one"), b"x".to_vec()].concat();
        assert!(read(&garbage, Compression::Gzip(6), b"one", &limits).is_err());
    }

    #[test]
    fn a_hundred_thousand_empty_members_cost_no_stack() {
        let many = compress(b"", Compression::Gzip(6)).repeat(100_000);
        assert_eq!(read(&many, Compression::Gzip(6), b"", &UnpackLimits::default()).unwrap(), b"");
    }

    #[test]
    fn truncation_is_an_error_in_every_compression() {
        let content = b"content ".repeat(1000);
        for compression in ALL {
            let blob = compress(&content, compression);
            for cut in [blob.len() - 1, blob.len() / 2, 1] {
                assert!(
                    read(&blob[..cut], compression, &content, &UnpackLimits::default()).is_err(),
                    "{compression:?} cut to {cut}"
                );
            }
        }
    }

    #[test]
    fn both_digests_are_checked() {
        for compression in ALL {
            let blob = compress(b"content", compression);
            let error = read(&blob, compression, b"other", &UnpackLimits::default()).unwrap_err();
            assert!(matches!(verify_error(&error), Some(VerifyError::Digest { .. })), "{error}");

            let descriptor = Descriptor::new(compression.media_type(), blob.len() as u64, sha256(b"another blob"));
            let limits = UnpackLimits::default();
            let mut stream =
                open_layer(io::Cursor::new(blob), &descriptor, &DiffId(sha256(b"content")), &limits).unwrap();
            let error = io::copy(&mut stream, &mut io::sink()).unwrap_err();
            assert!(matches!(verify_error(&error), Some(VerifyError::Digest { .. })), "{error}");
        }
    }

    #[test]
    fn a_bomb_is_stopped_by_its_ratio_and_by_its_size() {
        let zeros = vec![0; 4 << 20];
        for compression in [Compression::Gzip(9), Compression::Zstd(3)] {
            let blob = compress(&zeros, compression);
            let ratio = UnpackLimits { inflate_ratio: 100, ratio_grace: 1 << 20, ..UnpackLimits::default() };
            let size = UnpackLimits { layer_bytes: 1 << 20, ..UnpackLimits::default() };
            for limits in [ratio, size] {
                let error = LayerError::from_read(read(&blob, compression, &zeros, &limits).unwrap_err());
                assert!(matches!(error, LayerError::Limit { .. }), "{error}");
            }
            assert!(read(&blob, compression, &zeros, &UnpackLimits::default()).is_ok(), "within the grace");
        }
    }

    #[test]
    fn media_types_are_told_apart() {
        for (text, ok) in [
            ("application/vnd.oci.image.layer.v1.tar+zstd", true),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", true),
            ("application/vnd.oci.image.manifest.v1+json", false),
            ("application/vnd.in-toto+json", false),
        ] {
            assert_eq!(Compression::of_media_type(&MediaType::from(text)).is_ok(), ok, "{text}");
        }
    }
}
