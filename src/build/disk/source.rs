//! Disks to be read, in whatever format their file is.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use cap_std::fs_utf8::camino::Utf8Path;

use super::super::error::io;
use super::{BuildError, DiskError, DiskFormat};
use crate::disk::qcow2::Qcow2;
use crate::sys::{Interrupt, Step, dirs};

/// An open disk.
#[derive(Debug)]
pub(super) enum DiskSource {
    Raw(File),
    Qcow2(Box<Qcow2<File>>),
}

impl DiskSource {
    pub(super) fn open(path: &Utf8Path) -> Result<Self, BuildError> {
        let mut file = dirs::open_file(path).map_err(io("opening", path))?;
        let mut head = Vec::new();
        (&mut file).take(4).read_to_end(&mut head).map_err(io("reading", path))?;
        match DiskFormat::of_head(&head) {
            DiskFormat::Raw => Ok(Self::Raw(file)),
            DiskFormat::Qcow2 => match Qcow2::open(file) {
                Ok(disk) => Ok(Self::Qcow2(Box::new(disk))),
                Err(source) => Err(DiskError::Qcow2 { path: path.to_owned(), source }.into()),
            },
        }
    }

    pub(super) fn format(&self) -> DiskFormat {
        match self {
            Self::Raw(_) => DiskFormat::Raw,
            Self::Qcow2(_) => DiskFormat::Qcow2,
        }
    }
}

impl Read for DiskSource {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Raw(file) => file.read(buf),
            Self::Qcow2(disk) => disk.read(buf),
        }
    }
}

impl Seek for DiskSource {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Raw(file) => file.seek(to),
            Self::Qcow2(disk) => disk.seek(to),
        }
    }
}

/// A disk whose reading stops when the user wants to stop, and tells how much was read.
pub(super) struct Reading<'r> {
    pub(super) disk: DiskSource,
    pub(super) interrupt: &'r Interrupt,
    pub(super) step: &'r Step,
}

impl Read for Reading<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.interrupt.check().map_err(io::Error::other)?;
        let read = self.disk.read(buf)?;
        self.step.advance(read as u64);
        Ok(read)
    }
}

impl Seek for Reading<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.disk.seek(to)
    }
}
