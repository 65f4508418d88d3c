//! Disks: partitions, file systems and boot files, written as bytes over streams.
//!
//! Owns every on-disk format the program writes itself. Works over `Read`,
//! `Write` and `Seek` only: no process is run and no path is opened here.

pub mod ext4;
