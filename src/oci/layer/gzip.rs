//! gzip (RFC 1952) over the one DEFLATE implementation that the bytes of our layers depend on.
//!
//! On `zlib-rs` directly. `flate2` takes whichever implementation any crate of
//! the build asks for, a C one before any other: one dependency more, or
//! building the tests, would then change every digest we write and halve the
//! speed at which layers are read.

use std::io::{self, BufRead, BufReader, Read, Write};

use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

use super::compression::drain_zeros;

/// How much is read from the compressed side at once: small reads cost decompressors a third of their speed.
const READ_BUFFER: usize = 256 << 10;
/// How much is handed to the compressor at once, whatever comes in: where zlib-rs is interrupted shows in its
/// output, and the bytes of a layer must not depend on how its files were read.
const BLOCK: usize = 128 << 10;
/// How much is taken from it at once.
const WRITE_BUFFER: usize = 64 << 10;
/// The window every reader has to support (RFC 1951): 32 KiB.
const WINDOW_BITS: u8 = 15;
/// Added to the window, asks zlib for gzip's header and trailer, both of which it verifies.
const GZIP_BITS: u8 = 16;
/// First byte of a member.
const MAGIC: u8 = 0x1f;

/// Decompresses all members of a gzip stream and insists on reading its source to the end.
pub(super) struct GzipReader<R> {
    source: BufReader<R>,
    state: State,
}

enum State {
    Member(Box<Inflate>),
    /// A member has ended; what comes next has not been looked at.
    Between,
    Done,
}

impl<R: Read> GzipReader<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source: BufReader::with_capacity(READ_BUFFER, source), state: State::Member(member()) }
    }

    /// Goes on to the next member, iteratively: a layer may be a million empty ones.
    fn next_member(&mut self) -> io::Result<State> {
        // Some writers pad with zeros after the last member.
        if self.source.fill_buf()?.first() == Some(&MAGIC) {
            return Ok(State::Member(member()));
        }
        drain_zeros(&mut self.source)?;
        Ok(State::Done)
    }
}

fn member() -> Box<Inflate> {
    Box::new(Inflate::new(true, WINDOW_BITS + GZIP_BITS))
}

impl<R: Read> Read for GzipReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            let inflate = match &mut self.state {
                State::Member(inflate) => inflate,
                State::Between => {
                    self.state = self.next_member()?;
                    continue;
                }
                State::Done => return Ok(0),
            };
            let input = self.source.fill_buf()?;
            let (total_in, total_out) = (inflate.total_in(), inflate.total_out());
            let status = inflate.decompress(input, buf, InflateFlush::NoFlush).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, inflate.error_message().unwrap_or(error.as_str()))
            })?;
            let consumed = small(inflate.total_in() - total_in);
            let made = small(inflate.total_out() - total_out);
            self.source.consume(consumed);
            match status {
                Status::StreamEnd => self.state = State::Between,
                // There is always room in `buf`, so nothing but more input is missing.
                _ if consumed == 0 && made == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
            if made > 0 {
                return Ok(made);
            }
        }
    }
}

fn small(count: u64) -> usize {
    usize::try_from(count).expect("not more than a buffer holds")
}

/// Compresses into one gzip member: no name, no time, nothing about the system it was made on.
pub(super) struct GzipWriter<W> {
    out: W,
    deflate: Deflate,
    /// Less than [`BLOCK`] bytes that wait for more.
    waiting: Vec<u8>,
    buffer: Vec<u8>,
    crc: u32,
    /// Uncompressed size modulo 2^32, as the trailer has it.
    size: u32,
}

impl<W: Write> GzipWriter<W> {
    /// Starts with the header. `level` is 0 to 9.
    pub(super) fn new(mut out: W, level: u32) -> io::Result<Self> {
        let level = level.min(9);
        let effort = match level {
            9 => 2,
            0 | 1 => 4,
            _ => 0,
        };
        // Magic, method DEFLATE, no flags, time 0, effort, and 255 for a system nobody states.
        out.write_all(&[MAGIC, 0x8b, 8, 0, 0, 0, 0, 0, effort, 255])?;
        let level = i32::try_from(level).expect("at most 9");
        let deflate = Deflate::new(level, false, WINDOW_BITS);
        let waiting = Vec::with_capacity(BLOCK);
        Ok(Self { out, deflate, waiting, buffer: vec![0; WRITE_BUFFER], crc: 0, size: 0 })
    }

    /// Ends the member.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.compress_waiting()?;
        while self.step(&[], DeflateFlush::Finish)?.1 != Status::StreamEnd {}
        self.out.write_all(&self.crc.to_le_bytes())?;
        self.out.write_all(&self.size.to_le_bytes())?;
        Ok(self.out)
    }

    fn compress_waiting(&mut self) -> io::Result<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut taken = 0;
        while taken < waiting.len() {
            taken += self.step(&waiting[taken..], DeflateFlush::NoFlush)?.0;
        }
        self.crc = zlib_rs::crc32::crc32(self.crc, &waiting);
        self.size = self.size.wrapping_add(u32::try_from(waiting.len()).expect("not more than a block"));
        waiting.clear();
        self.waiting = waiting;
        Ok(())
    }

    /// Compresses some of `input` and writes out what there is; says how much was taken.
    fn step(&mut self, input: &[u8], flush: DeflateFlush) -> io::Result<(usize, Status)> {
        let (total_in, total_out) = (self.deflate.total_in(), self.deflate.total_out());
        let status =
            self.deflate.compress(input, &mut self.buffer, flush).map_err(|error| io::Error::other(error.as_str()))?;
        let made = small(self.deflate.total_out() - total_out);
        self.out.write_all(&self.buffer[..made])?;
        Ok((small(self.deflate.total_in() - total_in), status))
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let taken = buf.len().min(BLOCK - self.waiting.len());
        self.waiting.extend_from_slice(&buf[..taken]);
        if self.waiting.len() == BLOCK {
            self.compress_waiting()?;
        }
        Ok(taken)
    }

    /// Leaves the compressor alone, so that flushing does not show in the bytes.
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compress(content: &[u8], level: u32, piece: usize) -> Vec<u8> {
        let mut writer = GzipWriter::new(Vec::new(), level).unwrap();
        for piece in content.chunks(piece) {
            writer.write_all(piece).unwrap();
            writer.flush().unwrap();
        }
        writer.finish().unwrap()
    }

    fn content(length: usize) -> Vec<u8> {
        // Compresses, but not to nothing.
        (0..length).map(|i| (i * i / 251 % 256).try_into().unwrap()).collect()
    }

    #[test]
    fn another_reader_reads_what_is_written() {
        for length in [0, 1, 100_000, 1_000_000] {
            for level in 0..=9 {
                let content = content(length);
                let blob = compress(&content, level, 33_333);
                let mut read = Vec::new();
                flate2::bufread::MultiGzDecoder::new(&*blob).read_to_end(&mut read).unwrap();
                assert!(read == content, "{length} bytes at level {level}");
            }
        }
    }

    /// Reads through a source that gives `piece` bytes at a time, into a buffer of `buffer` bytes.
    fn read(blob: &[u8], piece: usize, buffer: usize) -> io::Result<Vec<u8>> {
        struct Pieces<'a>(&'a [u8], usize);
        impl Read for Pieces<'_> {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                let count = self.1.min(buf.len());
                self.0.read(&mut buf[..count])
            }
        }
        let mut reader = GzipReader::new(Pieces(blob, piece));
        let (mut out, mut buffer) = (Vec::new(), vec![0; buffer]);
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(out),
                count => out.extend_from_slice(&buffer[..count]),
            }
        }
    }

    #[test]
    fn every_split_of_the_stream_reads_the_same() {
        let content = content(50_000);
        let mut writer = flate2::GzBuilder::new()
            .filename("name")
            .comment("comment")
            .extra(vec![1, 2, 3])
            .mtime(5)
            .write(Vec::new(), flate2::Compression::best());
        writer.write_all(&content).unwrap();
        let blob = [writer.finish().unwrap(), compress(&content, 1, 999)].concat();
        for (piece, buffer) in [(1, 7), (1, 1 << 20), (13, 1), (1 << 20, 1), (1 << 20, 1 << 20)] {
            assert!(read(&blob, piece, buffer).unwrap() == content.repeat(2), "{piece} {buffer}");
        }
    }

    #[test]
    fn damage_is_found() {
        let blob = compress(&content(5000), 6, 5000);
        let end = blob.len();
        for (what, at) in [("magic", 0), ("method", 2), ("reserved flag", 3), ("sum", end - 8), ("size", end - 1)] {
            let mut damaged = blob.clone();
            damaged[at] ^= 0x40;
            assert!(read(&damaged, 4096, 4096).is_err(), "{what}");
        }
        for cut in 0..end {
            assert!(read(&blob[..cut], 4096, 4096).is_err(), "cut to {cut}");
        }
    }
}
