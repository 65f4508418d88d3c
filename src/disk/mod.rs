//! Disks: partitions, file systems, the composefs repository of an image and boot files, as bytes over streams.
//!
//! Owns every on-disk format the program writes itself. Works over `Read`,
//! `Write` and `Seek` only: no process is run and no path is opened here.

pub mod assemble;
pub mod boot;
pub mod composefs;
pub mod esp;
pub mod ext4;
pub mod gpt;
pub mod ids;
pub mod inspect;
pub mod qcow2;
mod sector;
pub mod uki;
pub mod verify;
pub mod verity;
mod window;

pub use sector::SectorSize;
pub use window::Window;

/// Partitions begin at multiples of this: a multiple of every sector, page and RAID stripe size in use.
pub const ALIGNMENT: u64 = 1 << 20;
