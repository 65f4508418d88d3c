//! What nothing in a layout refers to any more.

use std::collections::BTreeSet;

use oci_spec::image::{Descriptor, ImageManifest};

use super::super::document::{Content, DocumentKind, parse_document};
use super::Layout;
use super::error::LayoutError;
use super::index;
use crate::model::ByteSize;

/// Whether [`Layout::sweep`] deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepMode {
    /// Only say what would be deleted.
    Report,
    /// Delete it.
    Delete,
}

/// What was, or would be, deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Digests of blobs with their sizes, sorted by digest.
    pub blobs: Vec<(String, ByteSize)>,
    /// Unnamed index entries whose subject is gone: signatures and SBOMs of images that were removed.
    pub referrers: Vec<Descriptor>,
    /// Files that a killed writer left behind, as paths in the layout with their sizes, sorted.
    pub leftovers: Vec<(String, ByteSize)>,
}

impl Garbage {
    /// Bytes that the files take.
    pub fn size(&self) -> ByteSize {
        self.blobs.iter().chain(&self.leftovers).map(|(_, size)| *size).sum()
    }
}

/// Digests in use, as text because `Digest` has no order, and the index entries that keep them.
#[derive(Debug, Default)]
struct Reachable {
    digests: BTreeSet<String>,
    dangling: Vec<Descriptor>,
}

impl Layout {
    /// Digests of all blobs that a name, or an unnamed entry of the index, leads to.
    ///
    /// An unnamed entry with a subject counts only while its subject is reachable.
    ///
    /// # Errors
    /// When any manifest on the way is missing, malformed or of the wrong digest: nothing may be deleted then.
    pub fn reachable_blobs(&self) -> Result<BTreeSet<String>, LayoutError> {
        Ok(self.reach()?.digests)
    }

    /// Deletes, or reports, what is neither reachable nor in `keep` (digests as text).
    ///
    /// Must run under an exclusive lock: a blob that another process has written
    /// and not yet named looks like garbage.
    ///
    /// # Errors
    /// As [`Layout::reachable_blobs`], and when deleting fails.
    pub fn sweep(&self, keep: &BTreeSet<String>, mode: SweepMode) -> Result<Garbage, LayoutError> {
        let reachable = self.reach()?;
        let blobs = self.unreferenced(&reachable.digests, keep)?;
        let garbage = Garbage { blobs, referrers: reachable.dangling, leftovers: self.leftovers()? };
        if mode == SweepMode::Report {
            return Ok(garbage);
        }
        // The index first: it must never name a blob that is gone.
        if !garbage.referrers.is_empty() {
            self.edit_index(|manifests| manifests.retain(|entry| !garbage.referrers.contains(entry)))?;
        }
        let blobs =
            garbage.blobs.iter().map(|(digest, _)| digest.replacen("sha256:", &format!("{}/", super::BLOBS), 1));
        for path in blobs.chain(garbage.leftovers.iter().map(|(path, _)| path.clone())) {
            self.dir.remove_file(&path).map_err(|source| LayoutError::Io { what: "deleting", name: path, source })?;
        }
        Ok(garbage)
    }

    fn unreferenced(
        &self,
        reachable: &BTreeSet<String>,
        keep: &BTreeSet<String>,
    ) -> Result<Vec<(String, ByteSize)>, LayoutError> {
        let failed = |source| LayoutError::Io { what: "listing blobs", name: super::BLOBS.to_owned(), source };
        let mut blobs = Vec::new();
        for entry in self.blobs.entries().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let digest = format!("sha256:{}", entry.file_name().map_err(failed)?);
            // Anything that is not called like a blob is not ours to delete.
            let is_blob = oci_spec::image::Digest::try_from(digest.as_str()).is_ok();
            if is_blob && !reachable.contains(&digest) && !keep.contains(&digest) {
                blobs.push((digest, ByteSize(entry.metadata().map_err(failed)?.len())));
            }
        }
        blobs.sort();
        Ok(blobs)
    }

    /// What a process that was killed between naming its temporary file and renaming it left behind.
    fn leftovers(&self) -> Result<Vec<(String, ByteSize)>, LayoutError> {
        let mut found = Vec::new();
        for (dir, prefix) in [(&self.dir, String::new()), (&self.blobs, format!("{}/", super::BLOBS))] {
            let failed = |source| LayoutError::Io { what: "listing", name: prefix.clone(), source };
            for entry in dir.entries().map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let name = entry.file_name().map_err(failed)?;
                if is_temporary(&name) {
                    found.push((format!("{prefix}{name}"), ByteSize(entry.metadata().map_err(failed)?.len())));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    fn reach(&self) -> Result<Reachable, LayoutError> {
        let mut reachable = Reachable::default();
        let mut referrers = Vec::new();
        for entry in self.index()?.manifests() {
            match self.subject(entry)? {
                Some(subject) if index::ref_name(entry).is_none() => referrers.push((subject, entry.clone())),
                _ if let Some(image) = index::ref_name(entry).and_then(super::attached_to) => {
                    referrers.push((image.to_string(), entry.clone()));
                }
                _ => self.mark(entry, &mut reachable.digests)?,
            }
        }
        // A referrer may itself be referred to: go on until nothing is added.
        loop {
            let (live, waiting): (Vec<_>, Vec<_>) =
                referrers.into_iter().partition(|(subject, _)| reachable.digests.contains(subject));
            referrers = waiting;
            if live.is_empty() {
                break;
            }
            for (_, entry) in live {
                self.mark(&entry, &mut reachable.digests)?;
            }
        }
        reachable.dangling = referrers.into_iter().map(|(_, entry)| entry).collect();
        Ok(reachable)
    }

    /// The digest a manifest or index names as its subject.
    fn subject(&self, entry: &Descriptor) -> Result<Option<String>, LayoutError> {
        if DocumentKind::of_media_type(entry.media_type()).is_none() {
            return Ok(None);
        }
        let document = parse_document(&self.read_document(entry)?, entry.media_type())?;
        let subject = match &document.content {
            Content::Manifest(manifest) => manifest.subject(),
            Content::Index(index) => index.subject(),
        };
        Ok(subject.as_ref().map(|subject| subject.digest().to_string()))
    }

    fn mark(&self, entry: &Descriptor, digests: &mut BTreeSet<String>) -> Result<(), LayoutError> {
        let mut pending = vec![entry.clone()];
        while let Some(entry) = pending.pop() {
            if !digests.insert(entry.digest().to_string()) {
                continue;
            }
            match DocumentKind::of_media_type(entry.media_type()) {
                Some(DocumentKind::Index) => self.mark_children(&entry, &mut pending)?,
                Some(_) => mark_manifest(&self.read_manifest(&entry)?, digests),
                None => {}
            }
        }
        Ok(())
    }

    /// Platforms that were not copied are allowed to be missing from an index.
    fn mark_children(&self, entry: &Descriptor, pending: &mut Vec<Descriptor>) -> Result<(), LayoutError> {
        for child in self.read_index(entry)?.manifests() {
            if self.has_blob(child.digest())? {
                pending.push(child.clone());
            }
        }
        Ok(())
    }
}

fn mark_manifest(manifest: &ImageManifest, digests: &mut BTreeSet<String>) {
    digests.insert(manifest.config().digest().to_string());
    digests.extend(manifest.layers().iter().map(|layer| layer.digest().to_string()));
}

/// Whether cap-tempfile made this name: a UUID in its text form (RFC 9562, section 4).
fn is_temporary(name: &str) -> bool {
    let groups: Vec<&str> = name.split('-').collect();
    let hex = |group: &&str| group.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'));
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(hex)
}
