//! What a layer says about one path.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A time of last modification; nanoseconds count upwards also before 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Mtime {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds on top, below 1,000,000,000.
    pub nanos: u32,
}

impl Mtime {
    /// A whole second.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }
}

type XattrMap = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// Extended attributes in byte order of their names, shared between copies: most files of an image have the same few sets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Xattrs(Option<Arc<XattrMap>>);

impl Xattrs {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().flat_map(|map| map.iter()).map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// The value of one attribute, with its full name such as `security.selinux`.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.as_ref()?.get(name).map(AsRef::as_ref)
    }

    /// Sets one attribute.
    pub fn insert(&mut self, name: &[u8], value: &[u8]) {
        Arc::make_mut(self.0.get_or_insert_default()).insert(name.into(), value.into());
    }

    /// Removes one attribute.
    pub fn remove(&mut self, name: &[u8]) {
        if let Some(map) = &mut self.0 {
            Arc::make_mut(map).remove(name);
            if map.is_empty() {
                self.0 = None;
            }
        }
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Xattrs {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(iter: I) -> Self {
        let mut xattrs = Self::default();
        for (name, value) in iter {
            xattrs.insert(name.as_ref(), value.as_ref());
        }
        xattrs
    }
}

/// Owner, permissions, time and attributes of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky: at most 0o7777.
    pub mode: u16,
    /// Owning user.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// Time of last modification.
    pub mtime: Mtime,
    /// Extended attributes, all namespaces.
    pub xattrs: Xattrs,
}

impl Metadata {
    /// Owned by root, with this mode, at time zero.
    pub fn with_mode(mode: u16) -> Self {
        Self { mode, ..Self::default() }
    }
}

/// What kind of thing an entry is.
///
/// Paths of links' targets: a symbolic link's target is kept as it stands; a
/// hard link's is normalised like an entry's own name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants name their fields")]
pub enum EntryKind {
    /// A regular file with `size` bytes of content.
    File { size: u64 },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink { target: Vec<u8> },
    /// Another name of a file.
    Hardlink { target: Vec<u8> },
    /// A character device.
    CharDevice { major: u32, minor: u32 },
    /// A block device.
    BlockDevice { major: u32, minor: u32 },
    /// A named pipe.
    Fifo,
    /// The entry's path is removed from the lower layers.
    Whiteout,
    /// Everything below the entry's path is removed from the lower layers.
    Opaque,
    /// Bookkeeping of AUFS, no part of the image.
    AufsLeftover,
}

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerEntry {
    /// Path below the root: no leading `/`, no `.`, `..` or empty component; the root itself is empty.
    /// For a whiteout the path it removes, for an opaque whiteout the directory it clears.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Owner, mode, time, attributes.
    pub metadata: Metadata,
    /// Where its content begins in the uncompressed layer, in bytes.
    pub offset: u64,
    /// Extended header keys whose meaning is not carried over, such as ACLs in star's text form.
    pub dropped: Vec<Box<str>>,
}
