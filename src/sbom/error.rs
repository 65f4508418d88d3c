//! Why no SBOM could be made.

use crate::model::deb822::StanzaError;
use crate::oci::tree::TreeError;

/// A failure to read an image's inventory or to write it down.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum SbomError {
    /// A layer cannot be read or merged.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A package database cannot be read: an inventory with holes would be worse than none.
    #[error("package database /{path}")]
    Database { path: String, source: DatabaseError },
    /// A file is larger than anything of its kind.
    #[error("/{path} has {size} bytes; at most {limit} are read")]
    TooLarge { path: String, size: u64, limit: u64 },
    /// No thread could be started.
    #[error("starting a thread to read kernel modules")]
    Thread(#[source] std::io::Error),
    /// The document does not obey its own specification: our mistake.
    #[error("the SBOM made is not valid CycloneDX 1.5: {problem}")]
    Invalid { problem: String },
    /// The document cannot be written down: our mistake.
    #[error("writing the SBOM")]
    Json(#[from] serde_json::Error),
    /// The model refused it: our mistake.
    #[error("writing the SBOM as CycloneDX 1.5: {problem}")]
    Model { problem: String },
}

/// What is wrong with a package database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum DatabaseError {
    /// Text with a line that is no field.
    #[error("line {line} is not a field: `{text}`")]
    NotAField { line: usize, text: String },
    /// A text of dpkg's that is none.
    #[error(transparent)]
    Stanza(#[from] StanzaError),
    /// A package without what every package has.
    #[error("package `{package}` has no {field}")]
    Missing { package: String, field: &'static str },
    /// The file does not begin as one of its kind does.
    #[error("it is not {0}")]
    NotOne(&'static str),
    /// Something in the file lies outside of it.
    #[error("{what} lies outside the file")]
    Outside { what: &'static str },
    /// Pages or blobs that lead to each other in circles.
    #[error("page {page} is used twice")]
    Loop { page: u64 },
    /// A value that cannot be.
    #[error("{what} is {value}")]
    Value { what: &'static str, value: u64 },
    /// The table of packages is not there.
    #[error("it has no table of packages")]
    NoTable,
    /// A package's header is damaged.
    #[error("package {number}: {problem}")]
    Header { number: usize, problem: &'static str },
}
