//! What is on the root file system, by path.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

use super::Verification;
use super::finding::{Area, Problem};
use super::objects::Object;
use crate::disk::inspect::ext4::{Ext4, Ext4Error, FileKind, Inode, Visit};
use crate::disk::verity::VerityDigest;
use crate::oci::layer::Lossy;

/// Where objects are.
const OBJECTS: &[u8] = b"composefs/objects";
/// Largest file of text that is read.
pub(super) const TEXT: u64 = 1 << 20;

/// An open root file system and where everything of interest is in it.
pub(super) struct Root<S> {
    pub(super) ext4: Ext4<S>,
    pub(super) objects: BTreeMap<VerityDigest, Object>,
    /// All else by path: number of the inode.
    pub(super) files: BTreeMap<Vec<u8>, u32>,
    /// Objects that something refers to.
    pub(super) referenced: BTreeSet<VerityDigest>,
}

/// A path for people.
pub(super) fn shown(path: &[u8]) -> String {
    Lossy::from(path).to_string()
}

/// The digest that an object's path below `objects` stands for.
fn digest_of(path: &[u8]) -> Option<VerityDigest> {
    let (folder, name) = std::str::from_utf8(path).ok()?.split_once('/').filter(|(folder, _)| folder.len() == 2)?;
    format!("{folder}{name}").parse().ok()
}

/// `objects` itself and the folders in it.
fn is_folder_of_objects(path: &[u8]) -> bool {
    matches!(path, [] | [_, _]) && path.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl<S: Read + Seek> Root<S> {
    /// Walks through the whole file system once.
    pub(super) fn collect(mut ext4: Ext4<S>, report: &mut Verification) -> Result<Self, Ext4Error> {
        let (mut objects, mut files) = (BTreeMap::new(), BTreeMap::new());
        ext4.walk::<Ext4Error>(&mut |_, path, visit| {
            let inode = match visit {
                Visit::Damaged(error) => {
                    report.find(Area::FileSystem, shown(path), error);
                    return Ok(());
                }
                Visit::File(inode) => inode,
            };
            let Some(below) = path.strip_prefix(OBJECTS).map(|path| path.strip_prefix(b"/").unwrap_or(path)) else {
                files.insert(path.to_vec(), inode.number);
                return Ok(());
            };
            match (digest_of(below), inode.kind) {
                (Some(digest), FileKind::Regular) => {
                    objects.insert(digest, Object::new(inode));
                }
                (_, FileKind::Directory) if is_folder_of_objects(below) => {}
                _ => report.find(Area::Objects, shown(path), Problem::NoObject),
            }
            Ok(())
        })?;
        Ok(Self { ext4, objects, files, referenced: BTreeSet::new() })
    }

    pub(super) fn has_repository(&self) -> bool {
        !self.objects.is_empty() || self.files.contains_key(&b"composefs"[..])
    }

    /// The inode at a path; what cannot be read was found by the walk.
    pub(super) fn inode(&mut self, path: &[u8]) -> Result<Option<Inode>, Ext4Error> {
        let Some(number) = self.files.get(path) else { return Ok(None) };
        readable(self.ext4.inode(*number))
    }

    /// The target of a symbolic link; nothing when there is none.
    pub(super) fn target(&mut self, path: &[u8]) -> Result<Option<String>, Ext4Error> {
        match self.inode(path)? {
            Some(inode) if inode.kind == FileKind::Symlink => {
                Ok(readable(self.ext4.link_target(&inode))?.map(|target| shown(&target)))
            }
            _ => Ok(None),
        }
    }

    /// A small file; nothing when there is none.
    pub(super) fn text(&mut self, path: &[u8]) -> Result<Option<Vec<u8>>, Ext4Error> {
        match self.inode(path)? {
            Some(inode) if inode.kind == FileKind::Regular => readable(self.ext4.read(&inode, TEXT)),
            _ => Ok(None),
        }
    }

    /// Paths below a folder, without it.
    pub(super) fn below(&self, folder: &str) -> Vec<Vec<u8>> {
        let prefix = format!("{folder}/").into_bytes();
        let paths = self.files.range(prefix.clone()..).map(|(path, _)| path);
        paths.take_while(|path| path.starts_with(&prefix)).cloned().collect()
    }

    pub(super) fn count_unreferenced(&self, report: &mut Verification) {
        let unreferenced = self.objects.keys().filter(|digest| !self.referenced.contains(*digest));
        report.unreferenced_objects = unreferenced.count() as u64;
    }
}

/// Only a failing stream is an error.
pub(super) fn readable<T>(result: Result<T, Ext4Error>) -> Result<Option<T>, Ext4Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_io() => Err(error),
        Err(_) => Ok(None),
    }
}
