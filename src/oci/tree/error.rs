//! Why layers do not merge into a tree, or a tree cannot be used as asked.

use std::io;

use super::super::layer::{LayerError, Lossy, NameProblem};

/// A tree that cannot be built, changed or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum TreeError {
    /// A layer cannot be read. Layers are counted from 1, the lowest.
    #[error("layer {}", layer + 1)]
    Layer { layer: usize, source: LayerError },
    /// An entry of a layer cannot be applied.
    #[error("layer {}: `{path}`: {problem}", layer + 1)]
    Entry { layer: usize, path: Lossy, problem: PathProblem },
    /// A path cannot be used as asked.
    #[error("`{path}`: {problem}")]
    Path { path: Lossy, problem: PathProblem },
    /// There are more layers than any runtime accepts.
    #[error("{0} layers; at most {limit} are merged", limit = super::MAX_LAYERS)]
    TooManyLayers(usize),
    /// A file is larger than was asked for.
    #[error("`{path}` has {size} bytes; at most {limit} are read")]
    TooLarge { path: Lossy, size: u64, limit: u64 },
    /// Whoever received a file's content failed.
    #[error("handling the content of `{path}`")]
    Sink { path: Lossy, source: io::Error },
    /// Writing a tree as a layer failed.
    #[error(transparent)]
    Write(LayerError),
}

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message says it")]
pub enum PathProblem {
    #[error("no such file")]
    NotFound,
    #[error("a parent is not a directory")]
    NotADirectory,
    #[error("it is a directory")]
    IsADirectory,
    #[error("it is not a regular file")]
    NotAFile,
    #[error("it is there already as something else")]
    Exists,
    #[error("too many symbolic links")]
    Loop,
    #[error("a symbolic link on the way climbs out of the image")]
    Escape,
    #[error("deeper than a path may be")]
    TooDeep,
    #[error("the hard link's target is not in the image")]
    LinkTargetMissing,
    #[error("a hard link to a directory")]
    LinkToDirectory,
    #[error("a hard link to itself")]
    LinkToItself,
    #[error("the layer has it twice")]
    Duplicate,
    #[error("cannot be moved into itself")]
    IntoItself,
    #[error("the root cannot be removed, replaced or moved")]
    Root,
    #[error("not a valid path: {0}")]
    Name(NameProblem),
}
