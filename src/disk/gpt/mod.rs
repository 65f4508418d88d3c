//! GUID partition tables: where partitions go, and writing the table.
//!
//! Follows the UEFI specification, chapter 5 ("GUID Partition Table Disk
//! Layout"), and the [Discoverable Partitions Specification] for types. The
//! table is encoded by the `gpt` crate; every GUID is the caller's, so that the
//! same layout is the same bytes.
//!
//! Not supported: more than 128 partitions, hybrid MBRs, changing a table.
//!
//! [Discoverable Partitions Specification]: https://uapi-group.org/specifications/specs/discoverable_partitions_specification/

mod layout;
mod types;
mod write;

pub use layout::{Layout, Partition, Request};
pub use types::PartitionType;

use std::io;

/// A partition table that cannot be made or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum GptError {
    /// The partitions do not fit the disk.
    #[error("the disk is too small: its partitions need {needed} bytes, and it has {size}")]
    TooSmall { needed: u64, size: u64 },
    /// The size is not a whole number of sectors.
    #[error("{size} bytes are not a whole number of sectors of {sector} bytes")]
    UnevenSize { size: u64, sector: u64 },
    /// Disks and partitions end before 2^63 bytes.
    #[error("the disk would be larger than 8 EiB")]
    TooLarge,
    /// A table has room for 128.
    #[error("{count} partitions are more than the 128 of a partition table")]
    TooMany { count: usize },
    /// Names have 36 UTF-16 units.
    #[error("the partition name `{name}` is longer than 36 UTF-16 units, or has a control character")]
    Name { name: String },
    /// A partition without bytes.
    #[error("the partition `{name}` would have no bytes")]
    Empty { name: String },
    /// The stream failed.
    #[error("writing the partition table")]
    Io(#[source] io::Error),
    /// The encoder refused; a layout that was checked gives it no reason to.
    #[error("encoding the partition table")]
    Table(#[source] gpt::GptError),
}
