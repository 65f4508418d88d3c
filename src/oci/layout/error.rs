//! What can be wrong with a layout.

use std::io;

use oci_spec::image::Digest;

use super::super::digest::{VerifyError, verify_error};
use super::super::document::DocumentError;

/// A layout that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum LayoutError {
    /// There is no `oci-layout` file.
    #[error("not an OCI image layout: it has no `oci-layout` file")]
    NotALayout,
    /// It is a layout of a version nobody knows.
    #[error("OCI image layout of version `{found}`; version 1.0.0 is supported")]
    Version { found: String },
    /// A layout is to be made where something else is.
    #[error("cannot make an OCI image layout in a folder that holds `{name}`")]
    NotEmpty { name: String },
    /// The operating system refused.
    #[error("{what} `{name}` of the layout")]
    Io { what: &'static str, name: String, source: io::Error },
    /// Reading a blob failed.
    #[error("reading blob {digest}")]
    Blob { digest: Digest, source: io::Error },
    /// Writing a blob failed; nothing has landed.
    #[error("writing a blob")]
    WriteBlob(#[source] io::Error),
    /// A blob is not here.
    #[error("blob {digest} is not in the layout")]
    MissingBlob { digest: Digest },
    /// A blob is not what its descriptor says.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A document is larger than documents may be.
    #[error("`{name}` has {size} bytes; at most {limit} are read")]
    TooLarge { name: String, size: u64, limit: u64 },
    /// A document is not of the expected shape, claims to be two things, or another thing than its descriptor says.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The `oci-layout` file is not JSON.
    #[error("not a valid layout marker")]
    Marker(#[source] serde_json::Error),
    /// A document to be written has no JSON form.
    #[error("making a document")]
    Serialize(#[source] serde_json::Error),
    /// The index has a name twice.
    #[error("the layout's index has `{name}` more than once")]
    AmbiguousName { name: String },
    /// A name cannot be one.
    #[error(
        "`{name}` is not a valid reference name: use letters, digits and `-._:@/+`, beginning and ending with a letter or digit"
    )]
    Name { name: String },
}

impl LayoutError {
    pub(super) fn from_blob_read(digest: &Digest, source: io::Error) -> Self {
        match verify_error(&source) {
            Some(error) => Self::Verify(error.clone()),
            None => Self::Blob { digest: digest.clone(), source },
        }
    }
}
