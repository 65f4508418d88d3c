//! The simplest store there can be: a folder with one file per digest.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use imgbuild::oci::copy::{BlobSink, BlobWriter};
use oci_spec::image::Descriptor;
use sha2::{Digest as _, Sha256};

#[derive(Debug)]
pub(crate) struct DirSink {
    dir: tempfile::TempDir,
    /// Writing fails after so many bytes of one blob, as on a full disk.
    pub(crate) full_after: u64,
}

impl DirSink {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), full_after: u64::MAX }
    }

    pub(crate) fn path(&self, digest: &impl ToString) -> PathBuf {
        self.dir.path().join(digest.to_string())
    }

    /// Names of all files, temporary ones included.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn read(&self, digest: &impl ToString) -> Vec<u8> {
        fs::read(self.path(digest)).unwrap()
    }
}

impl BlobSink for DirSink {
    type Error = io::Error;
    type Writer<'a> = DirWriter<'a>;

    fn has(&self, descriptor: &Descriptor) -> io::Result<bool> {
        self.path(descriptor.digest()).try_exists()
    }

    fn open(&self, descriptor: &Descriptor) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(File::open(self.path(descriptor.digest()))?))
    }

    fn writer(&self, descriptor: &Descriptor) -> io::Result<DirWriter<'_>> {
        let temporary = tempfile::NamedTempFile::new_in(self.dir.path())?;
        Ok(DirWriter { sink: self, descriptor: descriptor.clone(), temporary, hasher: Sha256::new(), size: 0 })
    }

    #[expect(clippy::disallowed_methods, reason = "a test store")]
    fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> io::Result<()> {
        fs::write(self.path(descriptor.digest()), bytes)
    }
}

#[derive(Debug)]
pub(crate) struct DirWriter<'a> {
    sink: &'a DirSink,
    descriptor: Descriptor,
    temporary: tempfile::NamedTempFile,
    hasher: Sha256,
    size: u64,
}

impl Write for DirWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.size += bytes.len() as u64;
        if self.size > self.sink.full_after {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.hasher.update(bytes);
        self.temporary.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.flush()
    }
}

impl BlobWriter for DirWriter<'_> {
    type Error = io::Error;

    fn commit(self) -> io::Result<()> {
        let hex: String = self.hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let right = self.descriptor.digest().digest() == hex && self.descriptor.size() == self.size;
        if !right {
            return Err(io::Error::other("the copier committed something else"));
        }
        let path: &Path = &self.sink.path(self.descriptor.digest());
        self.temporary.persist(path).map(drop).map_err(|error| error.error)
    }
}
