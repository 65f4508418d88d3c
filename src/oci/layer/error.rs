//! What can be wrong with a layer.

use std::io;

use super::super::digest::{VerifyError, verify_error};
use super::path::Lossy;

/// A layer that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum LayerError {
    /// The source of the bytes failed, or they are not what their descriptor says.
    #[error("reading the layer")]
    Read(#[source] io::Error),
    /// The destination failed.
    #[error("writing the layer")]
    Write(#[source] io::Error),
    /// The file that should go into the layer could not be read.
    #[error("reading the content of `{path}`")]
    Content { path: Lossy, source: io::Error },
    /// The descriptor or its content is not right.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A media type that is no layer we can read.
    #[error("media type `{media_type}` is not a layer in tar, tar+gzip or tar+zstd form")]
    MediaType { media_type: String },
    /// The compressed stream goes on after its last member with something that is not one.
    #[error("bytes after the end of the compressed stream")]
    TrailingCompressed,
    /// The tar stream ends in the middle of an entry.
    #[error("layer ends at byte {offset}, in the middle of an entry")]
    Truncated { offset: u64 },
    /// One of [`super::UnpackLimits`] was met.
    #[error("{what} is over the limit of {limit} (at byte {offset})")]
    Limit { what: &'static str, limit: u64, offset: u64 },
    /// A header that two tar readers could understand differently, or that none understands.
    #[error("tar header at byte {offset}: {problem}")]
    Header { offset: u64, problem: TarProblem },
    /// An entry whose name may not appear in a layer.
    #[error("entry `{path}` at byte {offset}: {problem}")]
    Name { path: Lossy, offset: u64, problem: NameProblem },
    /// An entry that the tar format cannot hold.
    #[error("`{path}` cannot be written to a layer: {problem}")]
    Unrepresentable { path: Lossy, problem: &'static str },
}

impl LayerError {
    /// An error of a reader below; when it carries one of ours, that one.
    pub(crate) fn from_read(error: io::Error) -> Self {
        if let Some(verify) = verify_error(&error) {
            return Self::Verify(verify.clone());
        }
        match error.downcast::<Self>() {
            Ok(layer) => layer,
            Err(error) => Self::Read(error),
        }
    }
}

/// What is wrong with a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum TarProblem {
    #[error("checksum does not match")]
    Checksum,
    #[error("unknown format `{0}`")]
    Format(String),
    #[error("field `{0}` is not a number")]
    Number(&'static str),
    #[error("field `{0}` is out of range")]
    Range(&'static str),
    #[error("type `{0}` is not one a layer may hold")]
    Type(char),
    #[error("sparse files are not allowed in layers")]
    Sparse,
    #[error("a {0} with content")]
    UnexpectedContent(&'static str),
    #[error("size {header} in the header but {pax} in the extended header")]
    SizeDisagreement { header: u64, pax: u64 },
    #[error("malformed extended header record")]
    PaxRecord,
    #[error("extended header value of `{0}` is not valid")]
    PaxValue(String),
    #[error("extended header gives `{0}` twice")]
    PaxDuplicate(String),
    #[error("global extended header sets `{0}`")]
    PaxGlobal(String),
    #[error("extended headers of two kinds, or two of one kind, for one entry")]
    MixedExtensions,
    #[error("extended header without an entry")]
    DanglingExtension,
    #[error("a single zero block between entries")]
    LoneZeroBlock,
    #[error("data after the end of the archive")]
    TrailingData,
    #[error("link without a target")]
    NoTarget,
    #[error("device without numbers")]
    NoDevice,
}

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message says it")]
pub enum NameProblem {
    #[error("the name is empty")]
    Empty,
    #[error("the name holds a NUL byte")]
    Nul,
    #[error("`..` in a name could leave the image")]
    DotDot,
    #[error("longer than a path may be")]
    TooLong,
    #[error("a component is longer than a file name may be")]
    ComponentTooLong,
    #[error("deeper than a path may be")]
    TooDeep,
    #[error("the root of the image must be a directory")]
    Root,
    #[error("a whiteout of nothing")]
    BareWhiteout,
    #[error("a whiteout of `.` or `..`")]
    DotWhiteout,
    #[error("a whiteout must be a regular file")]
    WhiteoutType,
    #[error("a whiteout cannot have anything below it")]
    BelowWhiteout,
    #[error("a hard link to a whiteout or to the root")]
    LinkTarget,
}
