//! Reading qcow2 disks, versions 2 and 3 (QEMU, `docs/interop/qcow2.rst`).
//!
//! Bounded for hostile files: tables are read as they are needed, and what they say is checked against the file.
//! Compressed clusters are read, by deflate and zstd. Not supported, and refused: backing files, encryption, a data file
//! of its own, extended entries, and disks that were not closed. Snapshots and reference counts are of no interest here.

use std::io::{self, Read, Seek, SeekFrom};

const MAGIC: [u8; 4] = *b"QFI\xfb";
/// Sizes of clusters that QEMU makes: 512 bytes to 2 MiB.
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
/// Most bytes of the first table: a disk of 2 EiB in the largest clusters, of 16 TiB in the usual ones.
const MOST_TABLE: u64 = 32 << 20;
/// Second tables that are kept.
const KEPT: usize = 32;

/// Bits of entries: where a cluster is; that it is compressed; that it reads as zeros.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;
const ZERO: u64 = 1;

/// `incompatible_features`: it was not closed; the kind of compression is told. Others are refused.
const DIRTY: u64 = 1;
const COMPRESSION: u64 = 1 << 3;

/// A disk that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum Qcow2Error {
    /// Something that is not read here.
    #[error("it has {feature}; `qemu-img convert -O raw` makes a disk that can be read")]
    Unsupported { feature: &'static str },
    /// Its header contradicts itself or the file.
    #[error("its header is damaged: {problem}")]
    Header { problem: &'static str },
    /// The file.
    #[error("reading it")]
    Read(#[from] io::Error),
}

/// How clusters are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Deflate,
    Zstd,
}

/// An open disk, as long as what it stands for.
#[derive(Debug)]
pub struct Qcow2<F> {
    file: F,
    /// Bytes of the file.
    length: u64,
    size: u64,
    cluster_bits: u32,
    compression: Compression,
    first: Vec<u64>,
    /// Second tables by their offset, the last used one last.
    second: Vec<(u64, Vec<u64>)>,
    /// The compressed cluster that was read last: what it is of, and its content.
    unpacked: Option<(u64, Vec<u8>)>,
    position: u64,
}

/// Where the bytes of a cluster are.
enum Place {
    Zeros,
    At(u64),
    Compressed { at: u64, length: u64, entry: u64 },
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) << 32 | u64::from(word(bytes, at + 4))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

impl<F: Read + Seek> Qcow2<F> {
    /// Reads the header and the first table.
    ///
    /// # Errors
    /// When it is no qcow2, or one that is not read here.
    pub fn open(mut file: F) -> Result<Self, Qcow2Error> {
        let damaged = |problem| Qcow2Error::Header { problem };
        let length = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        let mut header = Vec::new();
        (&mut file).take(112).read_to_end(&mut header)?;
        if header.len() < 72 || header[..4] != MAGIC {
            return Err(damaged("it does not begin as one"));
        }
        header.resize(112, 0);
        let version = word(&header, 4);
        let compression = check_features(&header, version)?;
        let (cluster_bits, size) = (word(&header, 20), number(&header, 24));
        if !CLUSTER_BITS.contains(&cluster_bits) || size > i64::MAX.unsigned_abs() {
            return Err(damaged("its size, or that of its clusters, is impossible"));
        }
        // A second table fills a cluster and has an entry of 8 bytes for each of its own.
        let entries = size.div_ceil(1 << (2 * cluster_bits - 3));
        let (given, offset) = (u64::from(word(&header, 36)), number(&header, 40));
        let bytes = entries * 8;
        if entries > given || bytes > MOST_TABLE || offset > length || bytes > length - offset {
            return Err(damaged("its table is too small, too large, or outside of the file"));
        }
        let first = table(&mut file, offset, bytes)?;
        let (second, unpacked) = (Vec::new(), None);
        Ok(Self { file, length, size, cluster_bits, compression, first, second, unpacked, position: 0 })
    }

    /// Where the cluster with the byte at `position` is.
    fn place(&mut self, position: u64) -> io::Result<Place> {
        let (bits, table_bits) = (self.cluster_bits, self.cluster_bits - 3);
        let index = usize::try_from(position >> (bits + table_bits)).unwrap_or(usize::MAX);
        let at = self.first.get(index).ok_or_else(damaged)? & OFFSET;
        if at == 0 {
            return Ok(Place::Zeros);
        }
        let index = usize::try_from(position >> bits & ((1 << table_bits) - 1)).unwrap_or(usize::MAX);
        let entry = *self.table(at)?.get(index).ok_or_else(damaged)?;
        if entry & COMPRESSED == 0 {
            let zeros = entry & ZERO != 0 || entry & OFFSET == 0;
            return Ok(if zeros { Place::Zeros } else { Place::At(entry & OFFSET) });
        }
        // The lower bits are where it begins, the upper ones how many sectors of 512 bytes follow the first.
        let split = 62 - (bits - 8);
        let at = entry & ((1 << split) - 1);
        let sectors = (entry & (COMPRESSED - 1)) >> split;
        Ok(Place::Compressed { at, length: (sectors + 1) * 512 - at % 512, entry })
    }

    fn table(&mut self, at: u64) -> io::Result<&[u64]> {
        if let Some(found) = self.second.iter().position(|(offset, _)| *offset == at) {
            let used = self.second.remove(found);
            self.second.push(used);
        } else {
            let bytes = 1 << self.cluster_bits;
            if at.checked_add(bytes).is_none_or(|end| end > self.length) {
                return Err(damaged());
            }
            let read = table(&mut self.file, at, bytes)?;
            if self.second.len() == KEPT {
                self.second.remove(0);
            }
            self.second.push((at, read));
        }
        Ok(self.second.last().map_or(&[], |(_, table)| table))
    }

    fn unpack(&mut self, at: u64, length: u64, entry: u64) -> io::Result<&[u8]> {
        if self.unpacked.as_ref().is_none_or(|(of, _)| *of != entry) {
            self.file.seek(SeekFrom::Start(at))?;
            let mut packed = Vec::new();
            (&mut self.file).take(length).read_to_end(&mut packed)?;
            let cluster = 1_u64 << self.cluster_bits;
            let mut bytes = Vec::new();
            let read = match self.compression {
                Compression::Deflate => {
                    flate2::read::DeflateDecoder::new(&packed[..]).take(cluster).read_to_end(&mut bytes)
                }
                // What is behind the frame is padding.
                Compression::Zstd => {
                    zstd::Decoder::with_buffer(&packed[..])?.single_frame().take(cluster).read_to_end(&mut bytes)
                }
            };
            read.map_err(|_| damaged())?;
            if bytes.len() as u64 != cluster {
                return Err(damaged());
            }
            self.unpacked = Some((entry, bytes));
        }
        Ok(self.unpacked.as_ref().map_or(&[], |(_, bytes)| bytes))
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the qcow2 file is damaged")
}

fn check_features(header: &[u8], version: u32) -> Result<Compression, Qcow2Error> {
    let unsupported = |feature| Err(Qcow2Error::Unsupported { feature });
    let (features, compression) = if version == 3 { (number(header, 72), header[104]) } else { (0, 0) };
    match () {
        () if !matches!(version, 2 | 3) => unsupported("another version than 2 or 3"),
        () if number(header, 8) != 0 => unsupported("a backing file"),
        () if word(header, 32) != 0 => unsupported("encryption"),
        () if features & DIRTY != 0 => unsupported("changes that were not completed: it was not closed"),
        () if features & !COMPRESSION != 0 => unsupported("features such as an external data file"),
        () if features & COMPRESSION == 0 => Ok(Compression::Deflate),
        () if compression == 1 => Ok(Compression::Zstd),
        () if compression == 0 => Ok(Compression::Deflate),
        () => unsupported("an unknown kind of compression"),
    }
}

/// `bytes` is bounded by the caller.
fn table<F: Read + Seek>(file: &mut F, offset: u64, bytes: u64) -> io::Result<Vec<u64>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut content = Vec::new();
    file.take(bytes).read_to_end(&mut content)?;
    if content.len() as u64 != bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(content.chunks_exact(8).map(|entry| number(entry, 0)).collect())
}

impl<F: Read + Seek> Read for Qcow2<F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let cluster = 1_u64 << self.cluster_bits;
        let within = self.position % cluster;
        let left = (cluster - within).min(self.size.saturating_sub(self.position));
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        if count == 0 {
            return Ok(0);
        }
        let buf = &mut buf[..count];
        let count = match self.place(self.position)? {
            Place::Zeros => {
                buf.fill(0);
                count
            }
            Place::At(at) => {
                self.file.seek(SeekFrom::Start(at + within))?;
                match self.file.read(buf)? {
                    // The last cluster may be written in part.
                    0 => {
                        buf.fill(0);
                        count
                    }
                    read => read,
                }
            }
            Place::Compressed { at, length, entry } => {
                let start = usize::try_from(within).unwrap_or(usize::MAX);
                let bytes = self.unpack(at, length, entry)?;
                buf.copy_from_slice(bytes.get(start..).and_then(|rest| rest.get(..count)).ok_or_else(damaged)?);
                count
            }
        };
        self.position += count as u64;
        Ok(count)
    }
}

impl<F> Seek for Qcow2<F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Clusters of 64 KiB: header, first table, second table, and one cluster of data at 192 KiB.
    fn image() -> Vec<u8> {
        let mut bytes = vec![0; 4 << 16];
        bytes[..4].copy_from_slice(&MAGIC);
        let mut word = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        word(4, 3);
        word(20, 16);
        word(28, 2 << 16);
        word(36, 1);
        word(44, 1 << 16);
        word(100, 104);
        word((1 << 16) + 4, 2 << 16);
        word((2 << 16) + 4, 3 << 16);
        bytes[3 << 16..].fill(7);
        bytes
    }

    fn read(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        let mut disk = Qcow2::open(Cursor::new(bytes)).map_err(|error| error.to_string())?;
        let mut content = Vec::new();
        disk.read_to_end(&mut content).map_err(|error| error.to_string())?;
        Ok(content)
    }

    #[test]
    fn clusters_are_found_and_others_are_zeros() {
        let expected = [vec![7; 1 << 16], vec![0; 1 << 16]].concat();
        assert!(read(image()) == Ok(expected.clone()));
        // A cluster that says it reads as zeros.
        let mut bytes = image();
        bytes[(2 << 16) + 7] |= 1;
        assert!(read(bytes) == Ok(vec![0; 2 << 16]));
        let mut disk = Qcow2::open(Cursor::new(image())).unwrap();
        assert_eq!(disk.seek(SeekFrom::End(0)).unwrap(), 2 << 16);
        disk.seek(SeekFrom::Start(0xfffe)).unwrap();
        let mut around = [9; 4];
        disk.read_exact(&mut around).unwrap();
        assert_eq!(around, [7, 7, 0, 0]);
    }

    #[test]
    fn what_is_not_read_is_refused_by_name() {
        for (at, value, said) in [
            (7, 4, "another version"),
            (15, 1, "a backing file"),
            (35, 1, "encryption"),
            (79, 1, "not closed"),
            (79, 4, "external data"),
            (23, 8, "impossible"),
            (24, 0xff, "impossible"),
            (39, 0, "too small"),
            (41, 1, "outside of the file"),
            (0, 0, "does not begin as one"),
        ] {
            let mut bytes = image();
            bytes[at] = value;
            let error = read(bytes).unwrap_err();
            assert!(error.contains(said), "{at}: {error}");
        }
    }

    #[test]
    fn tables_that_lead_outside_are_damage() {
        for (at, value) in [((1 << 16) + 3, 0xff), ((2 << 16), 0x40)] {
            let mut bytes = image();
            bytes[at] = value;
            assert!(read(bytes).unwrap_err().contains("damaged"), "{at}");
        }
    }
}
