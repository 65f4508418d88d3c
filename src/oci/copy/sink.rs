//! Where copied images go.

use std::error::Error;
use std::io::{Read, Write};

use oci_spec::image::Descriptor;

/// A store of blobs filed under their digests. Several blobs are written at once.
pub trait BlobSink: Sync {
    /// What goes wrong in this store.
    type Error: Error + Send + Sync + 'static;
    /// A blob on its way in.
    type Writer<'a>: BlobWriter<Error = Self::Error>
    where
        Self: 'a;

    /// Whether the blob or manifest is here already.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn has(&self, descriptor: &Descriptor) -> Result<bool, Self::Error>;

    /// Opens a blob that is here.
    ///
    /// # Errors
    /// When it is not, or cannot be read.
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, Self::Error>;

    /// Begins a blob.
    ///
    /// # Errors
    /// When there is no place for it.
    fn writer(&self, descriptor: &Descriptor) -> Result<Self::Writer<'_>, Self::Error>;

    /// Stores a manifest; called once, after everything it refers to is here. `bytes` have the digest and size described.
    ///
    /// # Errors
    /// When it cannot be stored.
    fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// A blob on its way in. Dropped without [`BlobWriter::commit`], it leaves nothing behind.
pub trait BlobWriter: Write {
    /// What goes wrong in this store.
    type Error: Error + Send + Sync + 'static;

    /// Lands the blob under its digest, after verifying that digest and size are the ones described.
    ///
    /// # Errors
    /// When they are not, or it cannot be written out.
    fn commit(self) -> Result<(), Self::Error>;
}
