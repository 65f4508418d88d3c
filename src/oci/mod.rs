//! Images: the layout on disk, layers read and written, the merged tree, the registry client.
//!
//! Owns the one layer reader and the one merged tree of the program. May not run processes.

pub mod copy;
mod hash;
pub mod registry;
mod source;

pub use source::{ImageSource, MANIFEST_LIMIT, RawManifest};
