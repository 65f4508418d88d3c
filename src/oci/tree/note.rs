//! What was decided while merging, for the audit trail.

use std::fmt;

use super::super::layer::Lossy;

/// How many notes are kept; a hostile image could make one per entry.
const KEPT: usize = 10_000;

/// One decision that departs from plainly applying an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Index of the layer, the lowest being 0.
    pub layer: usize,
    /// Path of the entry.
    pub path: Lossy,
    /// What was decided.
    pub kind: NoteKind,
}

/// The decisions there are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoteKind {
    /// The layer has the path twice; the last one counts.
    Duplicate,
    /// A parent directory was in no layer and was made: mode 0755, owned by root, time 0.
    ImpliedParent,
    /// A hard link to a file of a lower layer.
    CrossLayerLink,
    /// A hard link that comes before its target in the layer.
    ForwardLink,
    /// AUFS bookkeeping was left out.
    AufsLeftover,
    /// A whiteout of something that is not there.
    IdleWhiteout,
    /// An extended header record, named here, was not carried over.
    DroppedRecord(Box<str>),
    /// An attribute, named here, that changes meaning when the tree becomes a layer of an overlay file system; kept.
    OverlayXattr(Lossy),
    /// A character device 0:0, which overlay file systems take for a whiteout; kept.
    OverlayWhiteout,
}

impl fmt::Display for NoteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate => f.write_str("twice in the layer, the last one counts"),
            Self::ImpliedParent => f.write_str("directory was in no layer, made with mode 0755"),
            Self::CrossLayerLink => f.write_str("hard link to a file of a lower layer"),
            Self::ForwardLink => f.write_str("hard link before its target"),
            Self::AufsLeftover => f.write_str("AUFS bookkeeping, left out"),
            Self::IdleWhiteout => f.write_str("whiteout of nothing"),
            Self::DroppedRecord(key) => write!(f, "extended header record `{key}` not carried over"),
            Self::OverlayXattr(name) => write!(f, "attribute `{name}` has a meaning to overlay file systems"),
            Self::OverlayWhiteout => f.write_str("device 0:0 is a whiteout to overlay file systems"),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "layer {}: {}: {}", self.layer + 1, self.path, self.kind)
    }
}

/// Notes in the order they were made; only the first ten thousand, and the number of the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    kept: Vec<Note>,
    more: u64,
}

impl Notes {
    pub(super) fn add(&mut self, layer: usize, path: &[u8], kind: NoteKind) {
        if self.kept.len() < KEPT {
            self.kept.push(Note { layer, path: Lossy::from(path), kind });
        } else {
            self.more += 1;
        }
    }

    /// The notes that were kept.
    pub fn iter(&self) -> impl Iterator<Item = &Note> {
        self.kept.iter()
    }

    /// How many more there were.
    pub fn more(&self) -> u64 {
        self.more
    }
}
