//! Blobs on their way into a layout.

use std::io::{self, Write};

use cap_std::fs::PermissionsExt;
use cap_std::fs_utf8::Dir;
use cap_std_ext::cap_tempfile::TempFile;
use oci_spec::image::{Descriptor, Digest};

use super::super::digest::{HashingWriter, VerifyError, sha256_hex};
use super::error::LayoutError;

const BUFFER: usize = 128 << 10;

/// When a landed blob is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// Before it has its name.
    OnLanding,
    /// When somebody syncs the folder it is in and moves it on.
    WithTheBatch,
}

/// Hashes what is written and lands under its digest only when completed.
///
/// Until then the data is in a file without a name, in the same file system;
/// dropping the writer, or the process, leaves nothing behind.
pub struct BlobWriter<'a> {
    dir: &'a Dir,
    durability: Durability,
    out: HashingWriter<io::BufWriter<TempFile<'a>>>,
}

impl std::fmt::Debug for BlobWriter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobWriter").field("size", &self.out.size()).finish_non_exhaustive()
    }
}

impl<'a> BlobWriter<'a> {
    pub(super) fn new(blobs: &'a Dir, durability: Durability) -> Result<Self, LayoutError> {
        let temp = TempFile::new(blobs.as_cap_std()).map_err(LayoutError::WriteBlob)?;
        Ok(Self { dir: blobs, durability, out: HashingWriter::new(io::BufWriter::with_capacity(BUFFER, temp)) })
    }

    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.out.size()
    }

    /// Lands the blob under whatever digest it has.
    ///
    /// # Errors
    /// When writing fails; nothing has landed then.
    pub fn complete(self) -> Result<(Digest, u64), LayoutError> {
        let (out, digest, size) = self.out.finish();
        land(self.dir, self.durability, out, &digest).map_err(LayoutError::WriteBlob)?;
        Ok((digest, size))
    }

    /// Lands the blob if it is the one described.
    ///
    /// # Errors
    /// When digest or size differ or writing fails; nothing has landed then.
    pub fn complete_verified_as(self, descriptor: &Descriptor) -> Result<(), LayoutError> {
        sha256_hex(descriptor.digest())?;
        let (out, found, size) = self.out.finish();
        let expected = descriptor.digest().clone();
        if size != descriptor.size() {
            return Err(VerifyError::Size { digest: expected, expected: descriptor.size(), found: size }.into());
        }
        if found != expected {
            return Err(VerifyError::Digest { expected, found }.into());
        }
        land(self.dir, self.durability, out, &found).map_err(LayoutError::WriteBlob)
    }
}

/// Flushes, syncs, renames and syncs the folder; in a batch without the syncing.
fn land(dir: &Dir, durability: Durability, out: io::BufWriter<TempFile<'_>>, digest: &Digest) -> io::Result<()> {
    let mut temp = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    let file = temp.as_file_mut();
    // Readable by every tool that shares the store, whatever the umask.
    file.set_permissions(cap_std::fs::Permissions::from_mode(0o644))?;
    if durability == Durability::WithTheBatch {
        return temp.replace(digest.digest());
    }
    file.sync_all()?;
    temp.replace(digest.digest())?;
    super::index::sync_dir(dir)
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.out.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
