//! What became of each file's content.

use std::collections::BTreeMap;

use crate::disk::verity::VerityDigest;
use crate::oci::tree::Content;

/// Files up to this size stand in the EROFS image itself; changing it would be another format.
pub const INLINE_LIMIT: u64 = 64;

/// Where a regular file's content is in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants name their fields")]
pub enum Stored<'c> {
    /// In the EROFS image: at most [`INLINE_LIMIT`] bytes.
    Inline(&'c [u8]),
    /// An object of its own.
    Object { digest: VerityDigest, size: u64 },
}

/// The contents of all files of all layers, by layer and offset.
#[derive(Debug, Default)]
pub struct Contents {
    /// Small files: layer, offset and where they begin in `bytes`. In the order of the layers, so sorted.
    inline: Vec<(u16, u64, usize)>,
    bytes: Vec<u8>,
    /// The others, sorted too.
    pub(super) objects: Vec<(u16, u64, VerityDigest)>,
    /// Contents of objects that were asked for, by layer and offset.
    pub(super) kept: BTreeMap<(u16, u64), Vec<u8>>,
}

impl Contents {
    /// Adds a small file behind all others.
    pub(super) fn add_inline(&mut self, layer: u16, offset: u64, bytes: &[u8]) {
        self.inline.push((layer, offset, self.bytes.len()));
        self.bytes.extend_from_slice(bytes);
    }

    /// Where a file's content is; `None` when it is none of a layer that was read.
    pub fn stored<'c>(&'c self, content: &'c Content) -> Option<Stored<'c>> {
        match content {
            Content::Empty => Some(Stored::Inline(&[])),
            Content::Bytes(bytes) if bytes.len() as u64 <= INLINE_LIMIT => Some(Stored::Inline(bytes)),
            Content::Bytes(_) => None,
            Content::Stream { layer, offset, size } if *size <= INLINE_LIMIT => {
                let key = (*layer, *offset);
                let at = self.inline.binary_search_by_key(&key, |(layer, offset, _)| (*layer, *offset)).ok()?;
                let bytes = &self.bytes[self.inline[at].2..];
                Some(Stored::Inline(&bytes[..usize::try_from(*size).ok()?]))
            }
            Content::Stream { layer, offset, size } => {
                let key = (*layer, *offset);
                let at = self.objects.binary_search_by_key(&key, |(layer, offset, _)| (*layer, *offset)).ok()?;
                Some(Stored::Object { digest: self.objects[at].2, size: *size })
            }
        }
    }

    /// The bytes, when the file is small or was to be kept.
    pub fn bytes<'c>(&'c self, content: &'c Content) -> Option<&'c [u8]> {
        match (self.stored(content), content) {
            (Some(Stored::Inline(bytes)), _) => Some(bytes),
            (_, Content::Stream { layer, offset, .. }) => self.kept.get(&(*layer, *offset)).map(Vec::as_slice),
            _ => None,
        }
    }
}
