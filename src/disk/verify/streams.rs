//! Splitstreams read back: what they refer to, and that they stand for what their name says.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};

use sha2::{Digest as _, Sha256};

use crate::disk::verity::{DIGEST, VerityDigest};

/// Version 0, no flags, SHA-512, blocks of 4096 bytes (composefs-rs, `splitstream_format`).
const HEADER: &[u8; 16] = b"SplitStream\0\0\0\x02\x0c";
/// Bytes of the description: four ranges, what kind of content it is, and its size.
const INFO: usize = 4 * 16 + 8 + 8;
/// Largest content that is believed.
const LARGEST: u64 = 1 << 40;
/// Most bytes of the table of names.
const MOST_NAMES: u64 = 16 << 20;

/// A splitstream, taken apart.
#[derive(Debug)]
pub(super) struct SplitStream<'s> {
    /// `ocilayer` and such.
    pub(super) kind: [u8; 8],
    /// Bytes of what it stands for.
    size: u64,
    pub(super) streams: Vec<VerityDigest>,
    pub(super) objects: Vec<VerityDigest>,
    /// Names of other streams, and their index in `streams`.
    pub(super) named: BTreeMap<String, usize>,
    content: &'s [u8],
}

impl<'s> SplitStream<'s> {
    pub(super) fn parse(bytes: &'s [u8]) -> Result<Self, &'static str> {
        let range = |bytes: &[u8], at: usize| Some((number(bytes, at)?, number(bytes, at + 8)?));
        let section = |range: Option<(usize, usize)>| {
            let (start, end) = range.ok_or("it is cut off")?;
            bytes.get(start..end).ok_or("a section is outside of it")
        };
        if !bytes.starts_with(HEADER) {
            return Err("it does not begin as one");
        }
        let info = section(range(bytes, HEADER.len()))?;
        let info = info.get(..INFO).ok_or("its description is too short")?;
        let [streams, objects, content, named] = [0, 16, 32, 48].map(|at| section(range(info, at)));
        let (streams, objects, content, named) = (streams?, objects?, content?, named?);
        let (mut kind, mut size) = ([0; 8], [0; 8]);
        kind.copy_from_slice(&info[64..72]);
        size.copy_from_slice(&info[72..80]);
        if u64::from_le_bytes(size) > LARGEST {
            return Err("it stands for more than a tebibyte");
        }
        Ok(Self {
            kind,
            size: u64::from_le_bytes(size),
            streams: digests(streams)?,
            objects: digests(objects)?,
            named: names(named)?,
            content,
        })
    }

    /// The SHA-256 of what it stands for, in hexadecimal; `object` writes an object's content and says how long it is.
    pub(super) fn sha256<E: From<io::Error>>(
        &self,
        object: &mut dyn FnMut(&VerityDigest, &mut dyn Write) -> Result<u64, E>,
    ) -> Result<Result<String, &'static str>, E> {
        let mut hash = Hash { sha256: Sha256::new(), left: self.size };
        let Ok(decoder) = zstd::Decoder::with_buffer(self.content) else {
            return Ok(Err("it is not compressed by zstd"));
        };
        let mut stream = BufReader::new(decoder);
        loop {
            let mut number = [0; 8];
            match read_number(&mut stream, &mut number) {
                Some(true) => {}
                Some(false) => break,
                None => return Ok(Err("it is cut off or damaged")),
            }
            let number = i64::from_le_bytes(number);
            if number < 0 {
                let length = number.unsigned_abs();
                match io::copy(&mut (&mut stream).take(length), &mut hash) {
                    Ok(copied) if copied == length => {}
                    _ => return Ok(Err("it is cut off, damaged, or longer than it says")),
                }
            } else {
                let index = usize::try_from(number).unwrap_or(usize::MAX);
                let Some(digest) = self.objects.get(index) else {
                    return Ok(Err("it names an object it does not list"));
                };
                object(digest, &mut hash)?;
            }
        }
        Ok(if hash.left == 0 {
            Ok(crate::model::hex(&hash.sha256.finalize()))
        } else {
            Err("it is shorter than it says")
        })
    }
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes: [u8; 8] = bytes.get(at..at + 8)?.try_into().ok()?;
    usize::try_from(u64::from_le_bytes(bytes)).ok()
}

/// Whether there is another number; nothing when the stream ends within one or fails.
fn read_number(stream: &mut impl Read, number: &mut [u8; 8]) -> Option<bool> {
    let mut bytes = Vec::new();
    stream.take(8).read_to_end(&mut bytes).ok()?;
    match bytes.len() {
        0 => Some(false),
        8 => {
            number.copy_from_slice(&bytes);
            Some(true)
        }
        _ => None,
    }
}

/// Takes no more than was said, so that a few bytes of zstd cannot become a day of hashing.
struct Hash {
    sha256: Sha256,
    left: u64,
}

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(io::ErrorKind::InvalidData)?;
        self.sha256.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn digests(section: &[u8]) -> Result<Vec<VerityDigest>, &'static str> {
    let chunks = section.chunks_exact(DIGEST);
    if !chunks.remainder().is_empty() {
        return Err("its list of digests is cut off");
    }
    let digest = |bytes: &[u8]| {
        let mut digest = [0; DIGEST];
        digest.copy_from_slice(bytes);
        VerityDigest::new(digest)
    };
    Ok(chunks.map(digest).collect())
}

/// `INDEX:NAME`, each ended by NUL, compressed.
fn names(section: &[u8]) -> Result<BTreeMap<String, usize>, &'static str> {
    let mut text = Vec::new();
    let decoder = zstd::Decoder::with_buffer(section).map_err(|_| "its names are not compressed by zstd")?;
    decoder.take(MOST_NAMES).read_to_end(&mut text).map_err(|_| "its names are damaged")?;
    let text = String::from_utf8(text).map_err(|_| "its names are no text")?;
    let entry = |entry: &str| {
        let (index, name) = entry.split_once(':')?;
        Some((name.to_owned(), index.parse().ok()?))
    };
    text.split_terminator('\0').map(|text| entry(text).ok_or("one of its names is none")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::composefs;

    fn stream() -> (Vec<u8>, Vec<u8>) {
        let object = vec![7; 1000];
        let mut stream = composefs::SplitStream::new(composefs::StreamKind::Layer).unwrap();
        stream.inline(&[1; 700]).unwrap();
        stream.object(&VerityDigest::of(&object), 1000).unwrap();
        stream.inline(&[2; 20]).unwrap();
        stream.reference("other", &VerityDigest::of(b"x"));
        (stream.finish().unwrap(), object)
    }

    fn read(bytes: &[u8], object: &[u8]) -> Result<String, &'static str> {
        let stream = SplitStream::parse(bytes)?;
        let read = stream.sha256::<io::Error>(&mut |_, out| out.write_all(object).map(|()| object.len() as u64));
        read.unwrap_or(Err("an object is longer than it says"))
    }

    #[test]
    fn what_it_stands_for_is_hashed() {
        let (bytes, object) = stream();
        let whole = [&[1; 700][..], &object, &[2; 20]].concat();
        assert_eq!(read(&bytes, &object), Ok(crate::model::hex(&Sha256::digest(whole))));
        let parsed = SplitStream::parse(&bytes).unwrap();
        assert_eq!((&parsed.kind, parsed.objects.len(), parsed.streams.len()), (b"ocilayer", 1, 1));
        assert_eq!(parsed.named, BTreeMap::from([("other".to_owned(), 0)]));
        assert!(read(&bytes, &[7; 2000]).is_err() && read(&bytes, &[7; 10]).is_err());
    }

    #[test]
    fn damaged_ones_are_told_and_never_worse() {
        let (bytes, object) = stream();
        let good = read(&bytes, &object);
        for length in 0..bytes.len() {
            assert_ne!(read(&bytes[..length], &object), good, "{length}");
        }
        for at in 0..bytes.len() {
            for bit in [0x01, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] ^= bit;
                drop(read(&bytes, &object));
            }
        }
    }
}
