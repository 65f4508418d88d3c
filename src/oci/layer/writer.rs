//! The one layer writer: a deterministic tar, compressed, with all its digests, in one pass.
//!
//! ustar headers, with a PAX extended header in front only where ustar cannot
//! hold a value: names that do not fit name and prefix, extended attributes,
//! ids of 2^21 and more, sizes of 8 GiB and more, times before 1970 or with a
//! fraction. User and group names stay empty, because the image that is read
//! decides what a number is called.
//!
//! The bytes depend on the entries, their order, the compression and the version
//! of the compressor; on nothing else.

use std::io::{self, Read, Write};

use oci_spec::image::Descriptor;

use super::super::digest::HashingWriter;
use super::compression::{Compression, Encoder};
use super::entry::{EntryKind, LayerEntry, Metadata, Mtime};
use super::error::LayerError;
use super::header::{BLOCK, checksum};
use super::path::{Lossy, OPAQUE, WHITEOUT, join, split_last};
use crate::model::{DiffId, SourceDateEpoch};

/// The largest value of an octal field of 8 bytes (`uid`, `gid`, device numbers): seven digits.
const MAX_OCTAL_7: u64 = (1 << 21) - 1;
/// The largest value of an octal field of 12 bytes (`size`, `mtime`): eleven digits.
const MAX_OCTAL_11: u64 = (1 << 33) - 1;

/// A finished layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenLayer {
    /// Media type, digest and size of the compressed blob.
    pub descriptor: Descriptor,
    /// Digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// Bytes of the uncompressed tar.
    pub uncompressed_size: u64,
}

/// Writes entries in the order given.
#[derive(Debug)]
pub struct LayerWriter<W: Write> {
    out: HashingWriter<Encoder<HashingWriter<W>>>,
    compression: Compression,
    epoch: SourceDateEpoch,
}

impl<W: Write> LayerWriter<W> {
    /// Starts a layer on `out`; times later than `epoch` are written as `epoch`.
    ///
    /// # Errors
    /// When the compressor cannot be set up.
    pub fn new(out: W, compression: Compression, epoch: SourceDateEpoch) -> Result<Self, LayerError> {
        let encoder = Encoder::new(HashingWriter::new(out), compression).map_err(LayerError::Write)?;
        Ok(Self { out: HashingWriter::new(encoder), compression, epoch })
    }

    /// Appends an entry; as many bytes as a file's size are taken from `content`, and none for other kinds.
    ///
    /// # Errors
    /// When writing fails, the content is shorter than stated, or tar cannot hold the entry.
    pub fn append(&mut self, entry: &LayerEntry, content: &mut dyn Read) -> Result<(), LayerError> {
        let record = Record::new(entry, self.epoch)?;
        self.out.write_all(&record.to_blocks()).map_err(LayerError::Write)?;
        match entry.kind {
            EntryKind::File { size } if size > 0 => self.copy(&entry.path, size, content),
            _ => Ok(()),
        }
    }

    fn copy(&mut self, path: &[u8], size: u64, content: &mut dyn Read) -> Result<(), LayerError> {
        let failed = |source| LayerError::Content { path: Lossy::from(path), source };
        let mut buffer = vec![0; 64 << 10];
        let mut left = size;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let count = match content.read(&mut buffer[..want]) {
                Ok(0) => return Err(failed(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            self.out.write_all(&buffer[..count]).map_err(LayerError::Write)?;
            left -= count as u64;
        }
        self.pad(size).map_err(LayerError::Write)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        let padding = usize::try_from(padding).expect("less than a block");
        self.out.write_all(&[0; BLOCK][..padding])
    }

    /// Ends the archive and returns the layer and the writer it went to.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(mut self) -> Result<(WrittenLayer, W), LayerError> {
        self.out.write_all(&[0; 2 * BLOCK]).map_err(LayerError::Write)?;
        let (encoder, diff_id, uncompressed_size) = self.out.finish();
        let mut compressed = encoder.finish().map_err(LayerError::Write)?;
        compressed.flush().map_err(LayerError::Write)?;
        let (out, digest, size) = compressed.finish();
        let descriptor = Descriptor::new(self.compression.media_type(), size, digest);
        Ok((WrittenLayer { descriptor, diff_id: DiffId(diff_id), uncompressed_size }, out))
    }
}

/// An entry in tar's terms.
struct Record<'a> {
    name: Vec<u8>,
    link: &'a [u8],
    type_flag: u8,
    size: u64,
    device: Option<(u32, u32)>,
    mode: u16,
    uid: u32,
    gid: u32,
    mtime: Mtime,
    xattrs: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Record<'a> {
    fn new(entry: &'a LayerEntry, epoch: SourceDateEpoch) -> Result<Self, LayerError> {
        let refuse = |problem| LayerError::Unrepresentable { path: Lossy::from(&*entry.path), problem };
        let Metadata { mode, uid, gid, mtime, .. } = entry.metadata;
        let mut record = Record {
            name: tar_name(entry).map_err(refuse)?,
            link: b"",
            type_flag: b'0',
            size: 0,
            device: None,
            mode: mode & 0o7777,
            uid,
            gid,
            mtime: clamp(mtime, epoch),
            xattrs: entry.metadata.xattrs.iter().collect(),
        };
        match &entry.kind {
            EntryKind::File { size } => record.size = *size,
            EntryKind::Directory => record.type_flag = b'5',
            EntryKind::Symlink { target } => (record.type_flag, record.link) = (b'2', target),
            EntryKind::Hardlink { target } => {
                (record.type_flag, record.link) = (b'1', target);
                // They belong to the file, which the first name has written already.
                record.xattrs.clear();
            }
            EntryKind::CharDevice { major, minor } => {
                (record.type_flag, record.device) = (b'3', Some((*major, *minor)));
            }
            EntryKind::BlockDevice { major, minor } => {
                (record.type_flag, record.device) = (b'4', Some((*major, *minor)));
            }
            EntryKind::Fifo => record.type_flag = b'6',
            EntryKind::Whiteout | EntryKind::Opaque => {
                record.mode = 0;
                record.xattrs.clear();
            }
            EntryKind::AufsLeftover => return Err(refuse("it is no part of an image")),
        }
        record.check().map_err(refuse)?;
        Ok(record)
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.name.contains(&0) || self.link.contains(&0) {
            return Err("its name or target holds a NUL byte");
        }
        if matches!(self.type_flag, b'1' | b'2') && self.link.is_empty() {
            return Err("its target is empty");
        }
        if self.xattrs.iter().any(|(name, _)| name.is_empty() || name.contains(&0) || name.contains(&b'=')) {
            return Err("an extended attribute's name is empty or holds `=` or NUL");
        }
        match self.device {
            Some((major, minor)) if u64::from(major.max(minor)) > MAX_OCTAL_7 => Err("its device number is too large"),
            _ => Ok(()),
        }
    }

    fn to_blocks(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BLOCK);
        let pax = self.pax_records();
        if !pax.is_empty() {
            out.extend_from_slice(&pax_header(&self.name, pax.len()));
            out.extend_from_slice(&pax);
            out.resize(out.len().next_multiple_of(BLOCK), 0);
        }
        out.extend_from_slice(&self.header());
        out
    }

    /// The values that do not fit the header, in byte order of their keys.
    fn pax_records(&self) -> Vec<u8> {
        let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut add = |key: &[u8], value: &[u8]| records.push((key.to_vec(), value.to_vec()));
        if split_name(&self.name).is_none() {
            add(b"path", &self.name);
        }
        if self.link.len() > 100 {
            add(b"linkpath", self.link);
        }
        for (key, value, limit) in [
            ("gid", u64::from(self.gid), MAX_OCTAL_7),
            ("size", self.size, MAX_OCTAL_11),
            ("uid", u64::from(self.uid), MAX_OCTAL_7),
        ] {
            if value > limit {
                add(key.as_bytes(), value.to_string().as_bytes());
            }
        }
        if octal_time(self.mtime).is_none() {
            add(b"mtime", pax_time(self.mtime).as_bytes());
        }
        // POSIX has path and linkpath in UTF-8 unless this says otherwise.
        if records.iter().any(|(key, value)| key.ends_with(b"path") && std::str::from_utf8(value).is_err()) {
            records.push((b"hdrcharset".to_vec(), b"BINARY".to_vec()));
        }
        for (name, value) in &self.xattrs {
            records.push(([b"SCHILY.xattr.", *name].concat(), value.to_vec()));
        }
        records.sort();
        records.iter().flat_map(|(key, value)| pax_record(key, value)).collect()
    }

    fn header(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let (prefix, name) = split_name(&self.name).unwrap_or_else(|| (&[], &self.name[..self.name.len().min(100)]));
        put(&mut block[..100], name);
        put(&mut block[345..500], prefix);
        put(&mut block[157..257], &self.link[..self.link.len().min(100)]);
        put_octal(&mut block[100..108], u64::from(self.mode));
        put_octal(&mut block[108..116], fitting(u64::from(self.uid), MAX_OCTAL_7));
        put_octal(&mut block[116..124], fitting(u64::from(self.gid), MAX_OCTAL_7));
        put_octal(&mut block[124..136], fitting(self.size, MAX_OCTAL_11));
        put_octal(&mut block[136..148], octal_time(self.mtime).unwrap_or(0));
        block[156] = self.type_flag;
        let (major, minor) = self.device.unwrap_or((0, 0));
        put_octal(&mut block[329..337], u64::from(major));
        put_octal(&mut block[337..345], u64::from(minor));
        seal(&mut block);
        block
    }
}

/// The name as it stands in the archive: directories end with a slash, whiteouts get their prefix back.
fn tar_name(entry: &LayerEntry) -> Result<Vec<u8>, &'static str> {
    match entry.kind {
        EntryKind::Directory if entry.path.is_empty() => Ok(b"./".to_vec()),
        EntryKind::Directory => Ok([&*entry.path, b"/"].concat()),
        EntryKind::Opaque => Ok(join(&entry.path, OPAQUE)),
        EntryKind::Whiteout => {
            let (parent, name) = split_last(&entry.path).ok_or("the root cannot be removed")?;
            Ok(join(parent, &[WHITEOUT, name].concat()))
        }
        _ => match split_last(&entry.path) {
            None => Err("the root must be a directory"),
            Some((_, name)) if name.starts_with(WHITEOUT) => Err("a file name beginning with `.wh.` means a whiteout"),
            Some(_) => Ok(entry.path.clone()),
        },
    }
}

fn clamp(mtime: Mtime, epoch: SourceDateEpoch) -> Mtime {
    let epoch = Mtime::from_seconds(i64::try_from(epoch.as_secs()).unwrap_or(i64::MAX));
    mtime.min(epoch)
}

/// A time that fits the header: whole seconds since 1970.
fn octal_time(mtime: Mtime) -> Option<u64> {
    let seconds = u64::try_from(mtime.seconds).ok()?;
    (mtime.nanos == 0 && seconds <= MAX_OCTAL_11).then_some(seconds)
}

fn pax_time(Mtime { seconds, nanos }: Mtime) -> String {
    let text = match (seconds, nanos) {
        (seconds, 0) => return seconds.to_string(),
        (seconds, nanos) if seconds < 0 => format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanos),
        (seconds, nanos) => format!("{seconds}.{nanos:09}"),
    };
    text.trim_end_matches('0').to_owned()
}

/// Splits a name into ustar's prefix (155 bytes) and name (100 bytes), when it can be.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= 100 {
        return Some((&[], name));
    }
    // The slash between the two is not stored; a directory's last slash cannot be it.
    let earliest = name.len() - 101;
    let slash = earliest + name[earliest..name.len() - 1].iter().position(|&byte| byte == b'/')?;
    (slash > 0 && slash <= 155).then(|| (&name[..slash], &name[slash + 1..]))
}

fn fitting(value: u64, limit: u64) -> u64 {
    if value > limit { 0 } else { value }
}

fn put(field: &mut [u8], bytes: &[u8]) {
    field[..bytes.len()].copy_from_slice(bytes);
}

/// Octal digits with leading zeros, ended by a NUL; `value` fits.
fn put_octal(field: &mut [u8], value: u64) {
    let width = field.len() - 1;
    put(field, format!("{value:0width$o}").as_bytes());
}

/// Writes magic, version and checksum.
fn seal(block: &mut [u8; BLOCK]) {
    put(&mut block[257..265], b"ustar\x0000");
    let sum = checksum(block);
    put(&mut block[148..156], format!("{sum:06o}\0 ").as_bytes());
}

fn pax_header(name: &[u8], size: usize) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let base = name.strip_suffix(b"/").unwrap_or(name).rsplit(|&byte| byte == b'/').next().unwrap_or(b"");
    put(&mut block[..100], b"PaxHeaders.0/");
    put(&mut block[13..100], &base[..base.len().min(87)]);
    put_octal(&mut block[100..108], 0o644);
    put_octal(&mut block[108..116], 0);
    put_octal(&mut block[116..124], 0);
    put_octal(&mut block[124..136], size as u64);
    put_octal(&mut block[136..148], 0);
    block[156] = b'x';
    put_octal(&mut block[329..337], 0);
    put_octal(&mut block[337..345], 0);
    seal(&mut block);
    block
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
pub(super) fn pax_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() > length {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        assert_eq!(pax_record(b"a", b"b"), b"6 a=b\n");
        for length in 1..1200 {
            let record = pax_record(b"k", &vec![b'v'; length]);
            let stated: usize = String::from_utf8_lossy(&record).split(' ').next().unwrap().parse().unwrap();
            assert_eq!(stated, record.len());
        }
    }

    #[test]
    fn names_use_the_prefix_where_they_can() {
        let long = |a: usize, b: usize| [vec![b'a'; a], b"/".to_vec(), vec![b'b'; b]].concat();
        for (name, fits) in [
            (long(155, 100), true),
            (long(156, 100), false),
            (long(155, 101), false),
            (vec![b'x'; 100], true),
            (vec![b'x'; 101], false),
            ([vec![b'x'; 120], b"/".to_vec()].concat(), false),
        ] {
            let split = split_name(&name);
            assert_eq!(split.is_some(), fits, "{}", name.len());
            if let Some((prefix, rest)) = split.filter(|(prefix, _)| !prefix.is_empty()) {
                assert_eq!([prefix, b"/", rest].concat(), name);
            }
        }
    }

    #[test]
    fn times_are_written_as_they_are_read() {
        for (seconds, nanos, text) in
            [(5, 500_000_000, "5.5"), (-2, 750_000_000, "-1.25"), (-1, 0, "-1"), (0, 1, "0.000000001")]
        {
            assert_eq!(pax_time(Mtime { seconds, nanos }), text);
        }
    }
}
