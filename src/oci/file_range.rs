//! Reading parts of one open file from several places at once.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// A stretch of a file, read by position, so that the file's own offset does not matter.
#[derive(Debug)]
pub(super) struct FileRange<'a> {
    file: &'a File,
    position: u64,
    end: u64,
}

impl<'a> FileRange<'a> {
    pub(super) fn new(file: &'a File, start: u64, end: u64) -> Self {
        Self { file, position: start, end }
    }

    pub(super) fn to_end(file: &'a File, start: u64) -> Self {
        Self::new(file, start, u64::MAX)
    }
}

impl Read for FileRange<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let want = buf.len().min(left);
        let count = self.file.read_at(&mut buf[..want], self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}
