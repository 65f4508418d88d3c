//! The composefs repository of an image, computed from its layers in one pass.
//!
//! What bootc's composefs backend keeps in `/composefs` of a disk: objects named by their fs-verity digest, the EROFS
//! images that refer to them, and splitstreams from which the image's layers, configuration and manifest can be had
//! again bit for bit. Nothing is kept on disk meanwhile and nothing is unpacked: objects go to an [`ObjectSink`] as they
//! come by, the rest is small and returned.
//!
//! Exactly what composefs-oci 0.9.4 makes of the same image by `pull` with `bootable`; tests compare every file with it.
//! Two things are chosen that the crate leaves to chance (the order of a hash table): references in a
//! manifest's splitstream are in the order of the layers, and those of several boot images sorted by name.
//!
//! Memory: reading a layer of a million files takes 240 MB, the merged tree included. The crate's EROFS writer needs
//! another 800 bytes per file while it runs.
//!
//! The bytes of splitstreams also depend on the version of zstd; the id of a deployment does not.

mod contents;
mod erofs;
mod error;
mod ingest;
mod physical;
mod place;
mod repository;
mod selinux;
mod split_stream;
mod transform;

#[cfg(test)]
mod testing;

pub use contents::{Contents, INLINE_LIMIT, Stored};
pub use erofs::{CrateWriter, ErofsVersion, ErofsWriter};
pub use error::ComposefsError;
pub use physical::{BootType, Deployment, PhysicalEntry, PhysicalKind, deployed_tag, physical_root};
pub use place::{NoSink, ObjectSink};
pub use repository::{
    Formats, Link, Repository, RepositoryOptions, known_metadata, object_path, policy_of, write_repository,
};
pub use selinux::{FileContexts, FileKind, LineProblem, PolicyError, SELINUX_XATTR};
pub use split_stream::{SplitStream, StreamKind};
