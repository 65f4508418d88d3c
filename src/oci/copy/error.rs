//! Why an image was not copied.

use std::error::Error;
use std::io;

use super::super::document::DocumentError;
use super::super::image::PairError;
use super::super::layer::LayerError;
use crate::model::{ByteSize, DiffId, Digest, ImageLocator};

/// An error of a source, sink or verifier, whose type this room does not know.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why an image was not copied. Whatever it is, no manifest has reached the sink.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum CopyError {
    /// The source failed before any content came.
    #[error("reading {what}")]
    Source { what: String, source: BoxError },
    /// The source failed in the middle.
    #[error("reading blob {digest} after {offset} bytes")]
    Read { digest: Box<Digest>, offset: u64, source: io::Error },
    /// The sink failed.
    #[error("storing {what}")]
    Sink { what: String, source: BoxError },
    /// Writing a blob failed, for instance for want of space.
    #[error("writing blob {digest}")]
    Write { digest: Box<Digest>, source: io::Error },
    /// The manifest is not the one an index or reference names.
    #[error("manifest {expected} has digest {found} instead")]
    ManifestDigest { expected: Box<Digest>, found: Box<Digest> },
    /// The manifest is not as long as the index says.
    #[error("manifest {digest} has {found} bytes, its index says {expected}")]
    ManifestSize { digest: Box<Digest>, expected: u64, found: u64 },
    /// The manifest cannot be understood.
    #[error("manifest {digest}")]
    Manifest { digest: Box<Digest>, source: Box<DocumentError> },
    /// The index leads to another index.
    #[error("index {digest} leads to another index")]
    NestedIndex { digest: Box<Digest> },
    /// The index has nothing for the platform.
    #[error("{requested} has no image for {wanted}; it has {}", list(.available))]
    NoPlatform { requested: Box<ImageLocator>, wanted: String, available: Vec<String> },
    /// The image is for another platform, whatever its index says.
    #[error("image {digest} is for {found}, expected {wanted}")]
    Platform { digest: Box<Digest>, wanted: String, found: String },
    /// An artifact such as a signature or a chart.
    #[error("{digest} is not an image: its configuration has media type `{media_type}`")]
    NotAnImage { digest: Box<Digest>, media_type: String },
    /// Only SHA-256 can be stored.
    #[error("digest {digest} is not SHA-256")]
    Algorithm { digest: Box<Digest> },
    /// The upstream's signature was refused, or could not be checked.
    #[error("{requested} is not trusted")]
    Untrusted { requested: Box<ImageLocator>, source: BoxError },
    /// A configuration larger than any real one.
    #[error("configuration {digest} has {size}, more than {limit}")]
    ConfigSize { digest: Box<Digest>, size: ByteSize, limit: ByteSize },
    /// A configuration that does not parse.
    #[error("configuration {digest}")]
    Config { digest: Box<Digest>, source: Box<DocumentError> },
    /// Manifest and configuration disagree on the layers.
    #[error("configuration {digest}")]
    Layers { digest: Box<Digest>, source: Box<PairError> },
    /// A layer of a kind that cannot be read.
    #[error("layer {digest} has the unknown media type `{media_type}`")]
    LayerMediaType { digest: Box<Digest>, media_type: String },
    /// Other bytes than the descriptor promises.
    #[error("blob {expected} has digest {found} instead")]
    BlobDigest { expected: Box<Digest>, found: Box<Digest> },
    /// More or fewer bytes than the descriptor promises.
    #[error("blob {digest} has {} bytes, its descriptor says {expected}", excess(*.found, *.expected))]
    BlobSize { digest: Box<Digest>, expected: u64, found: u64 },
    /// A layer that does not decompress.
    #[error("decompressing layer {digest} of media type `{media_type}`")]
    Inflate { digest: Box<Digest>, media_type: String, source: Box<LayerError> },
    /// A layer that decompresses to more than is allowed.
    #[error("layer {digest} decompresses to more than {limit}")]
    InflatedSize { digest: Box<Digest>, limit: ByteSize },
    /// The uncompressed layer is not the one the configuration lists.
    #[error("layer {digest} decompresses to {found}, the configuration says {expected}")]
    DiffId { digest: Box<Digest>, expected: Box<DiffId>, found: Box<DiffId> },
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

fn list(available: &[String]) -> String {
    if available.is_empty() { "none at all".to_owned() } else { available.join(", ") }
}

/// Reading stops at the first byte too many.
fn excess(found: u64, expected: u64) -> String {
    if found > expected { "more".to_owned() } else { found.to_string() }
}
