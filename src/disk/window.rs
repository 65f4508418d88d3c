//! A part of a stream as a stream of its own.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Bytes `start..start + length` of `inner`, addressed from 0.
///
/// Its length is what was said, not what `inner` has at the moment: a new file
/// may still be shorter. Nothing is written beyond the end.
pub struct Window<S> {
    inner: S,
    start: u64,
    length: u64,
    position: u64,
}

impl<S> fmt::Debug for Window<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").field("start", &self.start).field("length", &self.length).finish_non_exhaustive()
    }
}

impl<S> Window<S> {
    /// The bytes from `start` on, `length` of them. The sum must fit 63 bits.
    pub fn new(inner: S, start: u64, length: u64) -> Self {
        Self { inner, start, length, position: 0 }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn room(&self, wanted: usize) -> usize {
        let left = self.length.saturating_sub(self.position);
        usize::try_from(left).map_or(wanted, |left| wanted.min(left))
    }
}

impl<S: Seek> Window<S> {
    fn arrive(&mut self) -> io::Result<()> {
        self.inner.seek(SeekFrom::Start(self.start + self.position)).map(drop)
    }
}

impl<S: Read + Seek> Read for Window<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let room = self.room(buf.len());
        if room == 0 {
            return Ok(0);
        }
        self.arrive()?;
        let read = self.inner.read(&mut buf[..room])?;
        self.position += read as u64;
        Ok(read)
    }
}

impl<S: Write + Seek> Write for Window<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let room = self.room(buf.len());
        if room == 0 {
            return Ok(0);
        }
        self.arrive()?;
        let written = self.inner.write(&buf[..room])?;
        self.position += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<S> Seek for Window<S> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
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

    #[test]
    fn nothing_outside_is_read_or_written() {
        let mut bytes = Cursor::new(b"abcdefgh".to_vec());
        let mut window = Window::new(&mut bytes, 2, 3);
        let mut text = String::new();
        window.read_to_string(&mut text).unwrap();
        assert_eq!(text, "cde");
        assert_eq!(window.seek(SeekFrom::End(-1)).unwrap(), 2);
        assert!(window.write_all(b"XY").is_err());
        assert!(window.seek(SeekFrom::Current(-9)).is_err());
        assert_eq!(window.seek(SeekFrom::Start(9)).unwrap(), 9);
        assert_eq!(window.read(&mut [0; 4]).unwrap(), 0);
        assert_eq!(bytes.into_inner(), b"abcdXfgh");
    }

    #[test]
    fn the_stream_may_still_be_shorter() {
        let mut bytes = Cursor::new(Vec::new());
        let mut window = Window::new(&mut bytes, 1, 4);
        assert_eq!(window.seek(SeekFrom::End(0)).unwrap(), 4);
        window.seek(SeekFrom::Start(3)).unwrap();
        window.write_all(b"z").unwrap();
        assert_eq!(bytes.into_inner(), b"\0\0\0\0z");
    }
}
