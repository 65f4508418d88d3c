//! The EFI system partition: a FAT32 file system, written from readers.
//!
//! Follows Microsoft's "FAT: General Overview of On-Disk Format" (`fatgen103`),
//! and the UEFI specification, 13.3, which wants FAT32 on fixed disks: FAT12 and
//! FAT16 are for removable media only, and no firmware is bound to boot from
//! them elsewhere. FAT32 is told from FAT16 by having at least 65,525 clusters,
//! so with the 4-KiB clusters used here the smallest partition has 257 MiB, at
//! either sector size. What is not used stays unwritten.
//!
//! A writer of our own, because the `fatfs` crate (0.3.6) puts long names in
//! front of `.` and `..`, which `fsck.vfat` finds damaged, reads back what it
//! writes, looks up the table for every cluster, and takes its time from a
//! static. Here every file is one run of clusters, and the table and the
//! folders are written once, at the end, over `Write + Seek`.
//!
//! The same calls write the same bytes: the serial number and the one time that
//! every file gets are the caller's.
//!
//! Not supported: names that are not ASCII (firmware folds their case in its
//! own ways), files of 4 GiB and more, changing a file system that exists.

mod entry;
mod folder;
mod geometry;
mod path;
mod short_name;
mod size;
#[cfg(test)]
mod tests;
mod time;
mod writer;

pub use path::{EspPath, EspPathError};
pub use size::{MINIMUM, size_for};
pub use writer::EspWriter;

use std::io;

use super::SectorSize;
use crate::model::SourceDateEpoch;

/// Name of the partition and label of its file system, as bootc has them.
pub const LABEL: &str = "EFI-SYSTEM";

/// Bytes of a cluster: a whole sector at either sector size, and a page.
const CLUSTER: u64 = 4096;

/// What a file system is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// Sector size of the disk.
    pub sector: SectorSize,
    /// First byte of the partition on the disk.
    pub start: u64,
    /// Size of the partition in bytes; at least [`MINIMUM`].
    pub size: u64,
    /// Serial number.
    pub serial: u32,
    /// Time of every file. FAT has none before 1980 and after 2107; those become the nearest it has.
    pub time: SourceDateEpoch,
}

/// A file system that could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum EspError {
    /// Too small for FAT32.
    #[error("an EFI system partition of {size} bytes is too small for FAT32, which UEFI wants: {minimum} are needed")]
    TooSmall { size: u64, minimum: u64 },
    /// FAT32 counts sectors in 32 bits and clusters in 28.
    #[error("an EFI system partition of {size} bytes is too large: FAT32 ends before {limit}")]
    TooLarge { size: u64, limit: u64 },
    /// FAT compares names without case, so this would be the same file, or a folder.
    #[error("`{path}` is on the EFI system partition already, perhaps with other case")]
    Exists { path: EspPath },
    /// A file is where a folder is wanted.
    #[error("`{path}` needs a folder where the EFI system partition has a file")]
    NotAFolder { path: EspPath },
    /// FAT has 32 bits for the size of a file.
    #[error("`{path}` has {size} bytes, and FAT takes files below 4 GiB")]
    FileTooLarge { path: EspPath, size: u64 },
    /// The content was not as long as was said.
    #[error("`{path}`: expected {expected} bytes, found {found}{}", if found > expected { " or more" } else { "" })]
    Length { path: EspPath, expected: u64, found: u64 },
    /// No clusters are left.
    #[error("`{path}` does not fit the EFI system partition, which has {size} bytes")]
    Full { path: String, size: u64 },
    /// A folder of FAT has at most 65,536 entries of 32 bytes.
    #[error("the folder `{path}` of the EFI system partition has too many names")]
    FolderFull { path: String },
    /// The content could not be read.
    #[error("reading the content of `{path}`")]
    Read { path: EspPath, source: io::Error },
    /// The partition could not be written.
    #[error("writing the EFI system partition")]
    Write(#[source] io::Error),
}
