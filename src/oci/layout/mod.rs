//! An OCI image layout on disk, as `image-layout.md` of the image specification describes it.
//!
//! Written with `cap_std` alone: the `ocidir` crate (0.8.0, read in its source) renames blobs without syncing
//! them, panics when the disk is full while a blob is completed, reads an index of any size, and brings OpenSSL
//! and the C zlib into the binary. It is the oracle of the tests instead (`tests/oci_interop/ocidir.rs`): it has
//! to read and check what we write, and we what it writes.
//!
//! Between processes the caller locks (see `sys::FileLock`); within the layout
//! every file appears complete or not at all.

mod batch;
mod blob;
mod error;
mod gc;
mod index;
mod marker;

use std::collections::BTreeMap;
use std::io::Read;

use cap_std::fs_utf8::Dir;
use oci_spec::image::{Descriptor, Digest, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use serde::Serialize;

use batch::Staging;
pub use blob::BlobWriter;
use blob::Durability;
pub use error::LayoutError;
pub use gc::{Garbage, SweepMode};
pub(super) use index::read_document;
pub(super) use marker::check_marker;

use super::digest::{VerifiedReader, VerifyError, sha256_hex};
use super::document::{MANIFEST_LIMIT, canonical_json, parse_config, parse_index, parse_manifest};

/// The annotation that names an image in a layout's index.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The image that a name of the form `sha256-<hex>.sig` or `.att` belongs to: how cosign keeps signatures and
/// attestations of images where nothing can refer to them.
pub fn attached_to(name: &str) -> Option<Digest> {
    let stem = [".sig", ".att"].iter().find_map(|suffix| name.strip_suffix(suffix))?;
    stem.strip_prefix("sha256-").and_then(|hex| Digest::try_from(format!("sha256:{hex}").as_str()).ok())
}

const MARKER: &str = "oci-layout";
const INDEX: &str = "index.json";
const BLOBS: &str = "blobs/sha256";

/// An image layout in a folder.
#[derive(Debug)]
pub struct Layout {
    dir: Dir,
    blobs: Dir,
    /// Where blobs wait in a batch.
    staging: Option<Staging>,
}

impl Layout {
    /// Opens an existing layout.
    ///
    /// # Errors
    /// When the folder is not a layout of version 1.
    pub fn open(dir: Dir) -> Result<Self, LayoutError> {
        let marker = index::read_capped(&dir, MARKER)?.ok_or(LayoutError::NotALayout)?;
        marker::check_marker(&marker)?;
        let blobs =
            dir.open_dir(BLOBS).map_err(|source| LayoutError::Io { what: "opening", name: BLOBS.into(), source })?;
        Ok(Self { dir, blobs, staging: None })
    }

    /// Opens a layout, or makes an empty one in an empty folder.
    ///
    /// # Errors
    /// When the folder holds something else, or cannot be written to.
    pub fn create_or_open(dir: Dir) -> Result<Self, LayoutError> {
        if !dir.try_exists(MARKER).map_err(|source| LayoutError::Io { what: "opening", name: MARKER.into(), source })? {
            Self::create(&dir)?;
        }
        Self::open(dir)
    }

    fn create(dir: &Dir) -> Result<(), LayoutError> {
        let io = |name: &str| {
            let name = name.to_owned();
            move |source| LayoutError::Io { what: "creating", name, source }
        };
        for entry in dir.entries().map_err(io("."))? {
            let name = entry.and_then(|entry| entry.file_name()).map_err(io("."))?;
            // What an interrupted creation leaves behind; the marker comes last.
            if name != "blobs" && name != INDEX {
                return Err(LayoutError::NotEmpty { name });
            }
        }
        dir.create_dir_all(BLOBS).map_err(io(BLOBS))?;
        if !dir.try_exists(INDEX).map_err(io(INDEX))? {
            index::write(dir, &index::empty())?;
        }
        index::replace(dir, MARKER, marker::CONTENT)
    }

    /// The same layout for writing many blobs, which are synced once instead of one by one.
    ///
    /// What is written through the result can be read through it at once, from any thread; others see it when the
    /// result next changes the index ([`Layout::tag_all`], [`Layout::list`]), which makes all of it durable
    /// first. What nothing in the index was asked to follow is gone when the result is dropped.
    ///
    /// # Errors
    /// When no folder can be made for it.
    pub fn batch(&self) -> Result<Self, LayoutError> {
        let clone = |dir: &Dir| {
            dir.try_clone().map_err(|source| LayoutError::Io { what: "opening", name: ".".to_owned(), source })
        };
        let staging = Some(Staging::new(&self.dir)?);
        Ok(Self { dir: clone(&self.dir)?, blobs: clone(&self.blobs)?, staging })
    }

    /// The folder of the layout.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Everything `index.json` lists.
    ///
    /// # Errors
    /// When it is missing, too large or not an index.
    pub fn index(&self) -> Result<ImageIndex, LayoutError> {
        index::read(&self.dir)
    }

    /// The names in the index and what they stand for, sorted by name.
    ///
    /// # Errors
    /// As [`Layout::index`]; also when one name is given twice, because readers differ in which one they take.
    pub fn names(&self) -> Result<BTreeMap<String, Descriptor>, LayoutError> {
        let mut names = BTreeMap::new();
        for descriptor in self.index()?.manifests() {
            let Some(name) = index::ref_name(descriptor) else { continue };
            if names.insert(name.to_owned(), descriptor.clone()).is_some() {
                return Err(LayoutError::AmbiguousName { name: name.to_owned() });
            }
        }
        Ok(names)
    }

    /// What `name` stands for.
    ///
    /// # Errors
    /// As [`Layout::names`].
    pub fn resolve(&self, name: &str) -> Result<Option<Descriptor>, LayoutError> {
        Ok(self.names()?.remove(name))
    }

    /// Makes `name` stand for `descriptor`; other names, and what `name` stood for before, stay.
    ///
    /// # Errors
    /// When the name is not a valid reference name, the manifest is not in the layout, or writing fails.
    pub fn tag(&self, name: &str, descriptor: Descriptor) -> Result<(), LayoutError> {
        self.tag_all([(name, descriptor)])
    }

    /// As [`Layout::tag`] for several names: all of them change, or none.
    ///
    /// # Errors
    /// As [`Layout::tag`].
    pub fn tag_all<'n>(&self, named: impl IntoIterator<Item = (&'n str, Descriptor)>) -> Result<(), LayoutError> {
        let named: Vec<_> = named.into_iter().collect();
        for (name, descriptor) in &named {
            index::check_name(name)?;
            self.require_blob(descriptor)?;
        }
        self.edit_index(|manifests| {
            for (name, descriptor) in named {
                index::put_named(manifests, name, descriptor);
            }
        })
    }

    /// Lists `descriptor` without a name, unless it is listed so already: how referrers are found.
    ///
    /// # Errors
    /// When the manifest is not in the layout, or writing fails.
    pub fn list(&self, descriptor: Descriptor) -> Result<(), LayoutError> {
        self.require_blob(&descriptor)?;
        self.edit_index(|manifests| index::put_unnamed(manifests, descriptor))
    }

    /// Lists `added` without names and no longer `replaced`, in one change of the index.
    pub(super) fn relist(&self, replaced: &[Descriptor], added: &[Descriptor]) -> Result<(), LayoutError> {
        self.edit_index(|manifests| {
            manifests.retain(|entry| !replaced.contains(entry));
            added.iter().for_each(|descriptor| index::put_unnamed(manifests, descriptor.clone()));
        })
    }

    /// Removes a name; `false` when there was none. Blobs stay until [`Layout::sweep`].
    ///
    /// # Errors
    /// When the index cannot be read or written.
    pub fn remove_name(&self, name: &str) -> Result<bool, LayoutError> {
        if self.resolve(name)?.is_none() {
            return Ok(false);
        }
        self.edit_index(|manifests| manifests.retain(|descriptor| index::ref_name(descriptor) != Some(name)))?;
        Ok(true)
    }

    /// The one place that changes the index: nothing is listed before it is durable.
    fn edit_index(&self, edit: impl FnOnce(&mut Vec<Descriptor>)) -> Result<(), LayoutError> {
        if let Some(staging) = &self.staging {
            staging.land(&self.blobs).map_err(LayoutError::WriteBlob)?;
        }
        let mut index = self.index()?;
        let mut manifests = index.manifests().clone();
        edit(&mut manifests);
        index::sort(&mut manifests);
        index.set_manifests(manifests);
        index::write(&self.dir, &index)
    }

    pub(super) fn require_blob(&self, descriptor: &Descriptor) -> Result<(), LayoutError> {
        self.blob_file(descriptor).map(drop)
    }

    /// Whether a blob with this digest is here. Says nothing about its content.
    ///
    /// # Errors
    /// When the digest is not SHA-256 or the folder cannot be read.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool, LayoutError> {
        let name = sha256_hex(digest)?;
        let mut places = self.staging.iter().map(|staging| &staging.dir).chain([&self.blobs]);
        let here = places.try_fold(false, |found, dir| Ok(found || dir.try_exists(name)?));
        here.map_err(|source| LayoutError::Blob { digest: digest.clone(), source })
    }

    /// The file of a blob, whose size has been compared and whose digest has not.
    pub(super) fn blob_file(&self, descriptor: &Descriptor) -> Result<std::fs::File, LayoutError> {
        let digest = descriptor.digest();
        let file = self.blob_reader(digest)?;
        let found = file.metadata().map_err(|source| LayoutError::Blob { digest: digest.clone(), source })?.len();
        let expected = descriptor.size();
        if found == expected {
            Ok(file)
        } else {
            Err(VerifyError::Size { digest: digest.clone(), expected, found }.into())
        }
    }

    /// The file of a blob of which only the digest is known; nothing has been compared.
    pub(super) fn blob_reader(&self, digest: &Digest) -> Result<std::fs::File, LayoutError> {
        let name = sha256_hex(digest)?;
        // In this order, because a blob moves in this direction.
        for dir in self.staging.iter().map(|staging| &staging.dir).chain([&self.blobs]) {
            match index::open_regular(dir, name) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                result => return result.map_err(|source| LayoutError::Blob { digest: digest.clone(), source }),
            }
        }
        Err(LayoutError::MissingBlob { digest: digest.clone() })
    }

    /// Opens a blob; reading it to its end verifies digest and size.
    ///
    /// # Errors
    /// When it is missing, of another size, or its digest is not SHA-256.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<VerifiedReader<std::fs::File>, LayoutError> {
        Ok(VerifiedReader::new(self.blob_file(descriptor)?, descriptor)?)
    }

    /// A manifest's, index's or configuration's bytes, verified.
    ///
    /// # Errors
    /// When it is larger than [`MANIFEST_LIMIT`], missing, or not what the descriptor says.
    pub fn read_document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, LayoutError> {
        let size = descriptor.size();
        if size > MANIFEST_LIMIT {
            return Err(LayoutError::TooLarge { name: descriptor.digest().to_string(), size, limit: MANIFEST_LIMIT });
        }
        let mut bytes = Vec::new();
        self.open_blob(descriptor)?
            .read_to_end(&mut bytes)
            .map_err(|error| LayoutError::from_blob_read(descriptor.digest(), error))?;
        Ok(bytes)
    }

    /// An image manifest, verified.
    ///
    /// # Errors
    /// As [`Layout::read_document`], and when it is not an image manifest.
    pub fn read_manifest(&self, descriptor: &Descriptor) -> Result<ImageManifest, LayoutError> {
        Ok(parse_manifest(&self.read_document(descriptor)?, descriptor.media_type())?)
    }

    /// An image index, verified.
    ///
    /// # Errors
    /// As [`Layout::read_document`], and when it is not an image index.
    pub fn read_index(&self, descriptor: &Descriptor) -> Result<ImageIndex, LayoutError> {
        Ok(parse_index(&self.read_document(descriptor)?, descriptor.media_type())?)
    }

    /// An image configuration, verified.
    ///
    /// # Errors
    /// As [`Layout::read_document`], and when it is not an image configuration.
    pub fn read_config(&self, descriptor: &Descriptor) -> Result<ImageConfiguration, LayoutError> {
        Ok(parse_config(&self.read_document(descriptor)?)?)
    }

    /// Begins a blob.
    ///
    /// # Errors
    /// When no file can be made.
    pub fn create_blob(&self) -> Result<BlobWriter<'_>, LayoutError> {
        match &self.staging {
            Some(staging) => BlobWriter::new(&staging.dir, Durability::WithTheBatch),
            None => BlobWriter::new(&self.blobs, Durability::OnLanding),
        }
    }

    /// Stores `bytes` as a blob.
    ///
    /// # Errors
    /// When writing fails.
    pub fn write_blob(&self, bytes: &[u8], media_type: MediaType) -> Result<Descriptor, LayoutError> {
        let mut blob = self.create_blob()?;
        std::io::Write::write_all(&mut blob, bytes).map_err(LayoutError::WriteBlob)?;
        let (digest, size) = blob.complete()?;
        Ok(Descriptor::new(media_type, size, digest))
    }

    /// Stores a document as canonical JSON.
    ///
    /// # Errors
    /// When it has no JSON form or writing fails.
    pub fn write_json<T: Serialize>(&self, value: &T, media_type: MediaType) -> Result<Descriptor, LayoutError> {
        self.write_blob(&canonical_json(value).map_err(LayoutError::Serialize)?, media_type)
    }
}

#[cfg(test)]
mod tests;
