//! Where images come from, whatever the transport.

use std::io::Read;

use oci_spec::image::{Descriptor, Digest, MediaType};

/// A manifest or index exactly as the source has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    /// The bytes; their SHA-256 is the digest.
    pub bytes: Vec<u8>,
    /// Media type the source states for them; `application/octet-stream` when it states none.
    pub media_type: MediaType,
    /// Digest of `bytes`, computed here and compared with whatever the source claimed.
    pub digest: Digest,
}

/// An image somewhere: a registry repository, a layout or an archive.
///
/// What an implementation returns is not trusted: callers verify digest and
/// size of every blob while they read it.
pub trait ImageSource {
    /// What went wrong in this transport.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The manifest or index the locator names, or the one with this digest.
    ///
    /// # Errors
    /// When it does not exist, cannot be read, is larger than a manifest may be, or its bytes do not have the digest asked for.
    fn manifest(&self, digest: Option<&Digest>) -> Result<RawManifest, Self::Error>;

    /// The blob's bytes, unverified.
    ///
    /// # Errors
    /// When it does not exist or cannot be opened.
    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, Self::Error>;
}
