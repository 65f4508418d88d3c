//! Known ways in which external programs fail.

/// A failure that a program's output told apart from others.
///
/// The build room turns it into a hint; the output itself stays in the error
/// of the command. Each binding has a `diagnose` that finds one in the last
/// lines of its program, and answers `None` when it is not sure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum Problem {
    /// No repository has a package of this name.
    #[error("no repository offers the package `{package}`")]
    UnknownPackage { package: String },
    /// The package is there, but not in this version.
    #[error("no repository offers version `{version}` of `{package}`")]
    UnknownVersion { package: String, version: String },
    /// The packages asked for cannot be installed together.
    #[error("the packages cannot be installed together: {explanation}")]
    Unsatisfiable { explanation: String },
    /// A package's own script failed.
    #[error("the package `{package}` could not be configured")]
    PackageScript { package: String },
    /// A server did not answer.
    #[error("cannot reach `{uri}`: {reason}")]
    Unreachable { uri: String, reason: String },
    /// The server answered that the file is not there (any more).
    #[error("`{uri}` is not there")]
    NotFound { uri: String },
    /// A file is not the one that was expected.
    #[error("`{file}` does not have the expected content")]
    Corrupt { file: String },
    /// A repository's signature is missing, wrong or expired.
    #[error("the repository `{repository}` cannot be trusted: {reason}")]
    Untrusted { repository: String, reason: String },
    /// The file system is full.
    #[error("no space left on the file system")]
    NoSpace,
    /// The program may not do what it needs to do.
    #[error("not permitted: {what}")]
    NotPermitted { what: String },
    /// The container storage was made for another storage driver, or the driver does not work here.
    #[error("the storage driver does not work here: {reason}")]
    StorageDriver { reason: String },
    /// A COPY in a Containerfile matched nothing.
    #[error("COPY finds nothing at `{pattern}`")]
    NothingToCopy { pattern: String },
    /// The image a Containerfile begins with is not in the container storage.
    #[error("the image `{image}` is not in the container storage")]
    UnknownImage { image: String },
    /// A command of a Containerfile failed.
    #[error("the step `{step}` failed with exit code {code}")]
    Step { step: String, code: i32 },
}
