//! Layers: the one reader and the one writer of the program.
//!
//! Reading is strict: what two tar readers could understand differently is an
//! error, because the digest that was verified must mean one tree only. The
//! policy on names, links and whiteouts is in [`crate::oci::ImageTree`].

mod compression;
mod entry;
mod error;
mod gzip;
mod header;
mod limits;
pub(super) mod path;
mod pax;
mod read_ahead;
mod tar_reader;
mod writer;

pub(super) use compression::inflate;
pub use compression::{Compression, LayerStream, open_layer};
pub use entry::{EntryKind, LayerEntry, Metadata, Mtime, Xattrs};
pub use error::{LayerError, NameProblem, TarProblem};
pub use limits::UnpackLimits;
pub use path::Lossy;
pub use read_ahead::ReadAhead;
pub use tar_reader::{Content, TarReader};
pub use writer::{LayerWriter, WrittenLayer};

#[cfg(test)]
mod tests;
