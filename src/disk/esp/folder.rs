//! Folders while they are filled, and as bytes.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::{ATTRIBUTE_FILE, ATTRIBUTE_FOLDER, ATTRIBUTE_LABEL, LABEL_NAME, Short, entries_for, long_name};
use super::short_name::{self, ShortName};
use super::time::FatTime;

/// A run of clusters; none for an empty file.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Run {
    pub(super) first: u32,
    pub(super) count: u32,
}

/// What a name leads to.
#[derive(Debug)]
pub(super) enum Kind {
    File { run: Run, size: u32 },
    Folder(Folder),
}

/// A name as it was given, and what it leads to.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// First cluster of a folder, once it has one.
    pub(super) cluster: u32,
}

/// A folder: its names by their folded form, which is how FAT compares them.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) names: BTreeMap<String, Named>,
}

/// Where a folder is: its own first cluster and its parent's, 0 for the root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) own: u32,
    pub(super) parent: u32,
}

impl Folder {
    /// The folder that `names` lead to, made where missing; `None` when a file is in the way.
    pub(super) fn enter<'f>(&'f mut self, names: &[&str]) -> Option<&'f mut Self> {
        let [name, rest @ ..] = names else { return Some(self) };
        let new = || Named { name: (*name).to_owned(), kind: Kind::Folder(Self::default()), cluster: 0 };
        match &mut self.names.entry(name.to_ascii_uppercase()).or_insert_with(new).kind {
            Kind::Folder(folder) => folder.enter(rest),
            Kind::File { .. } => None,
        }
    }

    /// Most entries it takes, with `.` and `..` or the label.
    pub(super) fn entries(&self) -> u64 {
        2 + self.names.keys().map(|name| entries_for(name)).sum::<u64>()
    }

    /// Its entries; `place` is `None` for the root.
    pub(super) fn bytes(&self, place: Option<Place>, time: FatTime) -> Vec<u8> {
        let mut bytes = match place {
            None => label().bytes(time).to_vec(),
            Some(place) => dots(place).iter().flat_map(|dot| dot.bytes(time)).collect(),
        };
        for (named, short) in self.names.values().zip(self.short_names()) {
            let (attribute, cluster, size) = match named.kind {
                Kind::File { run, size } => (ATTRIBUTE_FILE, run.first, size),
                Kind::Folder(_) => (ATTRIBUTE_FOLDER, named.cluster, 0),
            };
            if short_name::exact(&named.name) != Some(short) {
                bytes.extend(long_name(&named.name, &short));
            }
            bytes.extend(Short { name: short, attribute, cluster, size }.bytes(time));
        }
        bytes
    }

    /// In the order of the names.
    fn short_names(&self) -> Vec<ShortName> {
        let mut taken: BTreeSet<String> = self.names.keys().cloned().collect();
        let short =
            |folded: &String| short_name::exact(folded).unwrap_or_else(|| short_name::numbered(folded, &mut taken));
        self.names.keys().map(short).collect()
    }
}

fn label() -> Short {
    Short { name: *LABEL_NAME, attribute: ATTRIBUTE_LABEL, cluster: 0, size: 0 }
}

fn dots(place: Place) -> [Short; 2] {
    let dot = |name: &[u8; 11], cluster| Short { name: *name, attribute: ATTRIBUTE_FOLDER, cluster, size: 0 };
    [dot(b".          ", place.own), dot(b"..         ", place.parent)]
}
