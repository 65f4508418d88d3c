//! Disks: the composefs repository of an image and, around it, what boots.
//!
//! Owns the formats on a disk, written over `Read + Write + Seek` or handed to whoever
//! writes them. May not run processes, and resolves no path of the host.

pub mod composefs;
pub mod verity;
