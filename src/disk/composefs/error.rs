//! Why an image has no composefs repository.

use std::io;

use super::selinux::PolicyError;
use crate::oci::layer::Lossy;
use crate::oci::tree::TreeError;

/// A repository that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum ComposefsError {
    /// The layers cannot be read or merged.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A directory every bootable image has is not there, or is something else.
    #[error("the image has no directory `/{name}`")]
    NoDirectory { name: &'static str },
    /// The image's SELinux policy cannot be used.
    #[error("the image's SELinux policy")]
    Policy(#[from] PolicyError),
    /// A file's content was not among what the layers had.
    #[error("the content of `{path}` is in no layer")]
    NoContent { path: Lossy },
    /// The tree has something an EROFS image cannot hold.
    #[error("the tree cannot be an EROFS image: {reason}")]
    Erofs { reason: String },
    /// Whoever takes the objects failed.
    #[error("storing an object")]
    Sink(#[source] io::Error),
    /// Compressing a splitstream failed, or its thread could not be started.
    #[error("reading the layers beside hashing them")]
    Pipeline(#[source] io::Error),
}
