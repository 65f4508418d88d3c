//! Objects: each must have the digest that is its name.

use std::io::{self, Read, Seek, Write};

use super::Verification;
use super::finding::{Area, Problem};
use super::root::{Root, TEXT};
use super::seal::check_seal;
use crate::disk::composefs::object_path;
use crate::disk::inspect::ext4::{BLOCK, Ext4Error, Inode};
use crate::disk::verity::{Trees, VerityDigest, VerityHasher};

/// What tells that a repository is sealed, by being it.
const METADATA: &str = "composefs/meta.json";
/// More zeros that no block holds are not hashed: a sparse file of a few bytes could take days.
const HOLES: u64 = 64 << 30;

/// An object on the disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object {
    pub(super) inode: u32,
    pub(super) size: u64,
    pub(super) sealed: bool,
    /// Whether its content is what it should be.
    pub(super) proven: bool,
}

impl Object {
    pub(super) fn new(inode: &Inode) -> Self {
        Self { inode: inode.number, size: inode.size, sealed: inode.is_sealed(), proven: false }
    }
}

/// Hashes what is written to it.
pub(super) struct Hashing(pub(super) VerityHasher);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where an object is, for messages.
pub(super) fn path_of(digest: &VerityDigest) -> String {
    format!("composefs/{}", object_path(digest))
}

impl<S: Read + Seek> Root<S> {
    /// Hashes all objects.
    pub(super) fn hash_objects(&mut self, report: &mut Verification) -> Result<(), Ext4Error> {
        let mut holes = 0;
        let mut unsealed = None;
        // In the order in which they were written, which is that of their inodes for no one but us: near enough to be
        // read without moving back and forth.
        let mut all: Vec<(u32, VerityDigest)> =
            self.objects.iter().map(|(digest, object)| (object.inode, *digest)).collect();
        all.sort_unstable();
        for (_, digest) in all {
            match self.hash(&digest, &mut holes) {
                Ok(None) => {
                    let object = self.objects[&digest];
                    report.objects += 1;
                    report.object_bytes += object.size;
                    report.sealed_objects += u64::from(object.sealed);
                    if !object.sealed {
                        unsealed = unsealed.or(Some(digest));
                    }
                }
                Ok(Some(problem)) => report.find(Area::Objects, path_of(&digest), problem),
                Err(error) if error.is_io() => return Err(error),
                Err(error) => report.find(Area::Objects, path_of(&digest), error),
            }
        }
        if let Some(example) = unsealed.filter(|_| report.sealed_objects > 0) {
            let (objects, unsealed) = (report.objects, report.objects - report.sealed_objects);
            report.find(Area::Objects, "composefs/objects", Problem::HalfSealed { unsealed, objects, example });
        }
        Ok(())
    }

    fn hash(&mut self, digest: &VerityDigest, holes: &mut u64) -> Result<Option<Problem>, Ext4Error> {
        let object = self.objects[digest];
        let inode = self.ext4.inode(object.inode)?;
        let mapped: u64 = self.ext4.extents(&inode)?.iter().map(|extent| extent.blocks * BLOCK).sum();
        *holes = holes.saturating_add(inode.size.saturating_sub(mapped));
        if *holes > HOLES {
            return Ok(Some(Problem::Holes { holes: *holes }));
        }
        let trees = if object.sealed { Trees::Keep } else { Trees::Drop };
        let mut hashing = Hashing(VerityHasher::new(trees));
        self.ext4.copy(&inode, 0, inode.size, &mut hashing)?;
        let seal = hashing.0.finish();
        if seal.digest != *digest {
            return Ok(Some(Problem::OtherDigest { found: seal.digest }));
        }
        if object.sealed
            && let Some(problem) = check_seal(&mut self.ext4, &inode, &seal)?
        {
            return Ok(Some(problem));
        }
        self.objects.get_mut(digest).expect("it was there above").proven = true;
        Ok(None)
    }

    /// Whether everything that a strict boot asks for is sealed: all objects, and the record of the repository.
    pub(super) fn is_sealed(&mut self, report: &mut Verification) -> Result<bool, Ext4Error> {
        let Some(inode) = self.inode(METADATA.as_bytes())?.filter(Inode::is_sealed) else { return Ok(false) };
        let mut hashing = Hashing(VerityHasher::new(Trees::Keep));
        self.ext4.copy(&inode, 0, inode.size.min(TEXT), &mut hashing)?;
        if let Some(problem) = check_seal(&mut self.ext4, &inode, &hashing.0.finish())? {
            report.find(Area::Objects, METADATA, problem);
            return Ok(false);
        }
        Ok(self.objects.values().all(|object| object.sealed))
    }

    /// Notes that something refers to an object, which must be there, with this size when it is known.
    pub(super) fn refer(&mut self, digest: &VerityDigest, size: Option<u64>) -> Option<Problem> {
        self.referenced.insert(*digest);
        match (self.objects.get(digest), size) {
            (None, _) => Some(Problem::NoSuchObject(*digest)),
            (Some(object), Some(wanted)) if object.size != wanted => {
                Some(Problem::OtherSize { digest: *digest, wanted, found: object.size })
            }
            _ => None,
        }
    }

    /// The content of an object of at most `limit` bytes; nothing when it is not there or not whole, which is known then.
    pub(super) fn object(&mut self, digest: &VerityDigest, limit: u64) -> Result<Option<Vec<u8>>, Ext4Error> {
        let Some(object) = self.objects.get(digest).filter(|object| object.proven) else { return Ok(None) };
        let inode = self.ext4.inode(object.inode)?;
        self.ext4.read(&inode, limit).map(Some)
    }
}
