//! SHA-256 over streams: hashing while writing, verifying while reading.
//!
//! Every digest imgbuild makes or relies on is SHA-256. A [`Digest`] of another
//! algorithm may be carried around in somebody else's index, but nothing is
//! opened, written or trusted by it.

use std::io::{self, Read, Write};

use oci_spec::image::{Descriptor, Digest, DigestAlgorithm};
use sha2::{Digest as _, Sha256};

/// Content that is not what its descriptor says.
///
/// Travels inside an [`io::Error`] where the content is a stream; see [`verify_error`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum VerifyError {
    /// The bytes hash to something else.
    #[error("expected digest {expected}, found {found}")]
    Digest { expected: Digest, found: Digest },
    /// There are more or fewer bytes than stated; when there are more, reading stopped there.
    #[error("expected {expected} bytes for {digest}, found {found}{}", if found > expected { " or more" } else { "" })]
    Size { digest: Digest, expected: u64, found: u64 },
    /// Only SHA-256 is read or written.
    #[error("digest `{0}` is not SHA-256")]
    Algorithm(Digest),
}

/// The [`VerifyError`] inside an I/O error, when that is what it is about.
pub fn verify_error(error: &io::Error) -> Option<&VerifyError> {
    error.get_ref()?.downcast_ref()
}

/// The digest of `bytes`.
pub fn sha256(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    hasher.finish()
}

/// The 64 hexadecimal digits of a SHA-256 digest: what a blob's file is called.
///
/// `Digest` has checked length and alphabet when it was made, so the result is safe as a file name.
///
/// # Errors
/// When the digest is of another algorithm.
pub(super) fn sha256_hex(digest: &Digest) -> Result<&str, VerifyError> {
    if is_sha256(digest) { Ok(digest.digest()) } else { Err(VerifyError::Algorithm(digest.clone())) }
}

/// Whether a digest is one that can be verified.
pub(super) fn is_sha256(digest: &Digest) -> bool {
    *digest.algorithm() == DigestAlgorithm::Sha256
}

/// A running SHA-256.
#[derive(Debug, Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The raw 32 bytes.
    pub fn finish_raw(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    /// The digest of everything added.
    pub fn finish(self) -> Digest {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(71);
        text.push_str("sha256:");
        for byte in self.finish_raw() {
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
        Digest::try_from(text).expect("64 lower-case hexadecimal digits")
    }
}

/// Hashes and counts what passes through to `inner`.
#[derive(Debug)]
pub struct HashingWriter<W> {
    inner: W,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> HashingWriter<W> {
    /// Starts with nothing written.
    pub fn new(inner: W) -> Self {
        Self { inner, hasher: Hasher::default(), size: 0 }
    }

    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The inner writer, the digest and the size of what was written to it.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, self.hasher.finish(), self.size)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buf)?;
        self.hasher.update(&buf[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Passes bytes through and fails at the end when they were not the expected ones.
///
/// A reader that stops before the end has verified nothing.
#[derive(Debug)]
pub struct VerifiedReader<R> {
    inner: R,
    digest: Digest,
    /// `None` for content whose length nobody stated, such as an uncompressed layer.
    size: Option<u64>,
    /// `None` once the end was reached and found good.
    hasher: Option<Hasher>,
    read: u64,
}

impl<R: Read> VerifiedReader<R> {
    /// Expects exactly what the descriptor describes.
    ///
    /// # Errors
    /// When the descriptor's digest is not SHA-256.
    pub fn new(inner: R, descriptor: &Descriptor) -> Result<Self, VerifyError> {
        Self::with(inner, descriptor.digest().clone(), Some(descriptor.size()))
    }

    /// Expects content with this digest, of any length.
    ///
    /// # Errors
    /// When the digest is not SHA-256.
    pub fn of_digest(inner: R, digest: Digest) -> Result<Self, VerifyError> {
        Self::with(inner, digest, None)
    }

    fn with(inner: R, digest: Digest, size: Option<u64>) -> Result<Self, VerifyError> {
        sha256_hex(&digest)?;
        Ok(Self { inner, digest, size, hasher: Some(Hasher::default()), read: 0 })
    }

    /// Bytes passed through so far.
    pub fn bytes_read(&self) -> u64 {
        self.read
    }

    fn check_size(&self, at_end: bool) -> Result<(), VerifyError> {
        match self.size {
            Some(expected) if self.read > expected || (at_end && self.read < expected) => {
                Err(VerifyError::Size { digest: self.digest.clone(), expected, found: self.read })
            }
            _ => Ok(()),
        }
    }

    fn check_end(&mut self) -> Result<(), VerifyError> {
        self.check_size(true)?;
        let Some(hasher) = self.hasher.take() else { return Ok(()) };
        let found = hasher.finish();
        if found == self.digest { Ok(()) } else { Err(VerifyError::Digest { expected: self.digest.clone(), found }) }
    }
}

pub(super) fn invalid_data<E: std::error::Error + Send + Sync + 'static>(error: E) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<R: Read> Read for VerifiedReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buf)?;
        if count == 0 {
            self.check_end().map_err(invalid_data)?;
            return Ok(0);
        }
        self.read += count as u64;
        self.check_size(false).map_err(invalid_data)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buf[..count]);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::image::MediaType;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn hashes_like_the_standard() {
        assert_eq!(sha256(b"").to_string(), EMPTY);
        assert_eq!(
            sha256(b"abc").to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_digest_that_could_be_a_path_is_no_digest() {
        let hex = "a".repeat(64);
        for text in [
            "sha256:../..".to_owned(),
            format!("sha256:{}", "a".repeat(63)),
            format!("sha256:{}", "a".repeat(65)),
            format!("sha256:{}", hex.to_uppercase()),
            format!("sha256:{}/", "a".repeat(63)),
            hex.clone(),
        ] {
            assert!(Digest::try_from(text.clone()).is_err(), "{text}");
        }
        let other = Digest::try_from(format!("blake3:{hex}")).unwrap();
        assert_eq!(sha256_hex(&other), Err(VerifyError::Algorithm(other.clone())));
        let sha512 = Digest::try_from(format!("sha512:{}", "a".repeat(128))).unwrap();
        assert!(sha256_hex(&sha512).is_err());
    }

    #[test]
    fn reading_verifies_size_and_digest_at_the_end() {
        let descriptor = |size: u64, content: &[u8]| Descriptor::new(MediaType::ImageLayer, size, sha256(content));
        let read = |content: &[u8], descriptor: &Descriptor| {
            let mut out = Vec::new();
            VerifiedReader::new(content, descriptor).unwrap().read_to_end(&mut out).map(|_| out)
        };
        assert_eq!(read(b"abc", &descriptor(3, b"abc")).unwrap(), b"abc");
        for (content, size, hashed, what) in
            [(&b"abc"[..], 3, &b"abd"[..], "digest"), (b"abc", 2, b"abc", "too long"), (b"abc", 4, b"abc", "too short")]
        {
            let error = read(content, &descriptor(size, hashed)).unwrap_err();
            assert!(verify_error(&error).is_some(), "{what}: {error}");
        }
    }
}
