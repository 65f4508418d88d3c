//! The content of a regular file, already on the device.

use super::extent::Extents;

/// Bytes that were written to a file system and await a name.
///
/// It is of use only in a [`super::Tree`] given to the [`super::Writer`] it came from. It cannot be copied: two
/// files sharing blocks would be a broken file system, and two names of one file are a [`super::Tree::link`].
#[derive(Debug)]
pub struct Content {
    pub(super) size: u64,
    pub(super) extents: Extents,
    /// Whether fs-verity metadata lies behind the content.
    pub(super) sealed: bool,
}

impl Content {
    /// The content of an empty file.
    pub fn empty() -> Self {
        Self { size: 0, extents: Extents::default(), sealed: false }
    }

    /// Its length in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }
}
