//! Images: the layout on disk, layers read and written, the merged tree, the registry client.
//!
//! Owns the one layer reader and the one merged tree of the program. May not run processes.

mod archive;
mod builder;
pub mod copy;
mod digest;
pub mod document;
mod file_range;
pub mod image;
mod initramfs;
pub mod layer;
pub mod layout;
pub mod platform;
mod referrers;
pub mod registry;
mod source;
pub mod spec;
#[cfg(test)]
mod testing;
pub mod tree;

pub use archive::{ArchiveSource, LayoutSource, SourceError};
pub use builder::{BASE_DIGEST, BASE_NAME, ImageBuilder};
pub use digest::{Hasher, HashingWriter, VerifiedReader, VerifyError, sha256, verify_error};
pub use document::{DocumentError, MANIFEST_LIMIT};
pub use image::{Image, ImageError, Layer};
pub use initramfs::{Initramfs, InitramfsEntry, InitramfsError, read_initramfs};
pub use layer::LayerError;
pub use layout::{Layout, LayoutError};
pub use referrers::{Artifact, Attach, Referrer};
pub use source::{ImageSource, RawManifest};
pub use tree::{ImageTree, LayerSource};
