//! The verified copy of one image from a source into a store.
//!
//! Every digest and size along the way is checked while the bytes stream:
//! index, manifest, configuration, layers, and the diff ID of each layer
//! against the configuration. Nothing is converted, so the digest stays the
//! upstream's. The manifest lands last; a copy that fails leaves at most whole,
//! verified blobs behind, which the next one finds.

mod blob;
mod error;
mod layout;
mod sink;
mod transfer;
mod upstream;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, Platform};

pub use error::{BoxError, CopyError};
pub use sink::{BlobSink, BlobWriter};
pub use upstream::{AcceptUnverified, Upstream, UpstreamVerifier, Verification};

use self::blob::Halt;
use self::transfer::{Transfer, has, sink_error, source_error};
use super::digest::{is_sha256, sha256};
use super::document::{self, Content, Document, DocumentKind};
use super::image::pair_layers;
use super::platform;
use super::source::{ImageSource, RawManifest};
use crate::model::{ByteSize, DiffId, Digest, ImageLocator, PinnedReference};
use crate::sys::{Interrupt, NoProgress, Progress};

/// Copies images; built once, used for any number of them.
pub struct Copier<'a> {
    platform: Platform,
    verifier: &'a dyn UpstreamVerifier,
    interrupt: Interrupt,
    progress: Arc<dyn Progress>,
    jobs: NonZeroUsize,
    check_diff_ids: bool,
    inflated_limit: ByteSize,
    any_single: bool,
}

/// An image found, its origin judged, none of its content fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// As asked for.
    pub requested: ImageLocator,
    /// Digest of the index the name led to, if it did.
    pub index: Option<Digest>,
    /// The image manifest for the platform: media type, digest and size.
    pub descriptor: Descriptor,
    /// What is known about its origin.
    pub verification: Verification,
    manifest: ImageManifest,
    bytes: Vec<u8>,
}

/// What a copy did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// As asked for.
    pub requested: ImageLocator,
    /// Digest of the index the name led to, if it did.
    pub index: Option<Digest>,
    /// Digest of the image manifest, which is the upstream's.
    pub resolved: Digest,
    /// The image manifest as it is in the store now.
    pub manifest: Descriptor,
    /// The configuration's blob.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<CopiedLayer>,
    /// Bytes fetched from the source: blobs that were not here yet.
    pub bytes: ByteSize,
    /// What is known about the origin.
    pub verification: Verification,
}

/// One layer of a copied image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedLayer {
    /// The blob.
    pub descriptor: Descriptor,
    /// Digest of its uncompressed content, as the configuration lists it.
    pub diff_id: DiffId,
    /// Whether it was fetched now, or here before.
    pub fetched: bool,
}

impl Copied {
    /// The pair that a lock keeps.
    pub fn pinned(&self) -> PinnedReference {
        PinnedReference { requested: self.requested.clone(), resolved: self.resolved.clone() }
    }
}

impl<'a> Copier<'a> {
    /// A copier for one platform. Without [`Copier::verifier`] the result says that nothing vouches for the origin.
    pub fn new(platform: Platform) -> Self {
        Self {
            platform,
            verifier: &AcceptUnverified,
            interrupt: Interrupt::default(),
            progress: Arc::new(NoProgress),
            jobs: NonZeroUsize::new(3).expect("3 is not 0"),
            check_diff_ids: true,
            inflated_limit: ByteSize(64 << 30),
            any_single: false,
        }
    }

    /// Whether the platform only chooses from an index: an image that is the only one may be for any other; off unless
    /// set.
    #[must_use]
    pub fn any_single(self, any_single: bool) -> Self {
        Self { any_single, ..self }
    }

    /// Asks this before any content is fetched.
    #[must_use]
    pub fn verifier(self, verifier: &'a dyn UpstreamVerifier) -> Self {
        Self { verifier, ..self }
    }

    /// Stops between two reads once this is set.
    #[must_use]
    pub fn interrupt(self, interrupt: Interrupt) -> Self {
        Self { interrupt, ..self }
    }

    /// Reports each blob as a step.
    #[must_use]
    pub fn progress(self, progress: Arc<dyn Progress>) -> Self {
        Self { progress, ..self }
    }

    /// How many layers are under way at once; 3 unless set.
    #[must_use]
    pub fn jobs(self, jobs: NonZeroUsize) -> Self {
        Self { jobs, ..self }
    }

    /// Whether layers are decompressed to compare their diff IDs with the configuration; on unless set.
    #[must_use]
    pub fn check_diff_ids(self, check: bool) -> Self {
        Self { check_diff_ids: check, ..self }
    }

    /// The most bytes one layer may decompress to; 64 GiB unless set.
    #[must_use]
    pub fn inflated_limit(self, limit: ByteSize) -> Self {
        Self { inflated_limit: limit, ..self }
    }

    /// Finds the image for the platform and judges its origin: manifests only.
    ///
    /// # Errors
    /// When there is no such image, a manifest is not what its name or index says, or the origin is not trusted.
    pub fn resolve<S: ImageSource>(&self, source: &S, requested: &ImageLocator) -> Result<Resolved, CopyError> {
        self.find(source, requested).map_err(|error| self.or_interrupted(error))
    }

    fn find<S: ImageSource>(&self, source: &S, requested: &ImageLocator) -> Result<Resolved, CopyError> {
        let top = fetch_manifest(source, requested, None)?;
        let document = parse(&top)?;
        let (index, raw, document) = match document.content {
            Content::Manifest(_) => (None, top, document),
            Content::Index(ref index) => {
                let raw = fetch_manifest(source, requested, Some(self.choose(requested, index)?))?;
                let document = parse(&raw)?;
                (Some(top), raw, document)
            }
        };
        let Document { media_type, content: Content::Manifest(manifest) } = document else {
            return Err(CopyError::NestedIndex { digest: raw.digest.into() });
        };
        check_is_image(&raw.digest, &manifest)?;
        let verification = self.verify(requested, index.as_ref(), &raw)?;
        Ok(Resolved {
            requested: requested.clone(),
            index: index.map(|index| index.digest),
            descriptor: Descriptor::new(media_type, raw.bytes.len() as u64, raw.digest),
            verification,
            manifest: *manifest,
            bytes: raw.bytes,
        })
    }

    fn choose<'i>(&self, requested: &ImageLocator, index: &'i ImageIndex) -> Result<&'i Descriptor, CopyError> {
        let mut candidates = platform::images(index);
        // An index below an index would be refused; an image beside it is better.
        candidates.retain(|entry| DocumentKind::of_media_type(entry.media_type()) == Some(DocumentKind::Manifest));
        platform::choose(&candidates, Some(&self.platform)).ok_or_else(|| CopyError::NoPlatform {
            requested: requested.clone().into(),
            wanted: platform::show(&self.platform),
            available: platform::list(&candidates),
        })
    }

    fn verify(
        &self,
        requested: &ImageLocator,
        index: Option<&RawManifest>,
        manifest: &RawManifest,
    ) -> Result<Verification, CopyError> {
        let upstream = Upstream { requested, index, manifest };
        let untrusted = |source| CopyError::Untrusted { requested: requested.clone().into(), source };
        self.verifier.verify(&upstream).map_err(untrusted)
    }

    /// Copies the image that `requested` leads to in `source`.
    ///
    /// Blobs the sink has are not fetched. Unless it has the manifest too, which means that they were
    /// checked together before, their diff IDs are.
    ///
    /// # Errors
    /// When anything is not what its digest, size or media type says, or source or sink fail.
    pub fn copy<S: ImageSource + Sync, K: BlobSink>(
        &self,
        source: &S,
        requested: &ImageLocator,
        sink: &K,
    ) -> Result<Copied, CopyError> {
        self.copy_resolved(source, self.resolve(source, requested)?, sink)
    }

    /// The same for an image that was resolved before.
    ///
    /// # Errors
    /// As [`Copier::copy`].
    pub fn copy_resolved<S: ImageSource + Sync, K: BlobSink>(
        &self,
        source: &S,
        resolved: Resolved,
        sink: &K,
    ) -> Result<Copied, CopyError> {
        self.fetch(source, resolved, sink).map_err(|error| self.or_interrupted(error))
    }

    /// Once the user has asked to stop, whatever broke off did so for that reason.
    fn or_interrupted(&self, error: CopyError) -> CopyError {
        if self.interrupt.is_set() { CopyError::Interrupted } else { error }
    }

    fn fetch<S: ImageSource + Sync, K: BlobSink>(
        &self,
        source: &S,
        resolved: Resolved,
        sink: &K,
    ) -> Result<Copied, CopyError> {
        let halt = Halt { interrupt: &self.interrupt, failed: AtomicBool::new(false) };
        let transfer = Transfer { copier: self, source, sink, halt: &halt, known: has(sink, &resolved.descriptor)? };
        let config = resolved.manifest.config();
        let (configuration, config_fetched) = transfer.config(&resolved)?;
        let layers = pair_layers(&resolved.manifest, &configuration)
            .map_err(|source| CopyError::Layers { digest: config.digest().clone().into(), source: source.into() })?;
        let layers = transfer.layers(layers)?;
        sink.put_manifest(&resolved.descriptor, &resolved.bytes)
            .map_err(|error| sink_error(format!("manifest {}", resolved.descriptor.digest()), error))?;
        let fetched = layers.iter().filter(|layer| layer.fetched).map(|layer| layer.descriptor.size());
        Ok(Copied {
            bytes: ByteSize(fetched.sum::<u64>() + if config_fetched { config.size() } else { 0 }),
            requested: resolved.requested,
            index: resolved.index,
            resolved: resolved.descriptor.digest().clone(),
            manifest: resolved.descriptor,
            config: config.clone(),
            layers,
            verification: resolved.verification,
        })
    }
}

impl fmt::Debug for Copier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copier").field("platform", &platform::show(&self.platform)).finish_non_exhaustive()
    }
}

/// Fetches a manifest and checks it against the entry that led to it; the source is not believed.
fn fetch_manifest<S: ImageSource>(
    source: &S,
    requested: &ImageLocator,
    entry: Option<&Descriptor>,
) -> Result<RawManifest, CopyError> {
    let digest = entry.map(Descriptor::digest);
    let what = || digest.map_or_else(|| requested.to_string(), |digest| format!("manifest {digest} of {requested}"));
    if let Some(digest) = digest.filter(|digest| !is_sha256(digest)) {
        return Err(CopyError::Algorithm { digest: digest.clone().into() });
    }
    let mut raw = source.manifest(digest).map_err(|error| source_error(what(), error))?;
    raw.digest = sha256(&raw.bytes);
    let pinned = match requested {
        ImageLocator::Registry(reference) if entry.is_none() => reference.digest(),
        _ => None,
    };
    let expected = digest.cloned().or_else(|| pinned.and_then(|text| text.parse().ok()));
    if let Some(expected) = expected.filter(|expected| *expected != raw.digest) {
        return Err(CopyError::ManifestDigest { expected: expected.into(), found: raw.digest.into() });
    }
    let found = raw.bytes.len() as u64;
    match entry.map(Descriptor::size) {
        Some(expected) if expected != found => {
            Err(CopyError::ManifestSize { digest: raw.digest.into(), expected, found })
        }
        _ => Ok(raw),
    }
}

fn parse(raw: &RawManifest) -> Result<Document, CopyError> {
    document::parse_document(&raw.bytes, &raw.media_type)
        .map_err(|source| CopyError::Manifest { digest: raw.digest.clone().into(), source: source.into() })
}

fn check_is_image(digest: &Digest, manifest: &ImageManifest) -> Result<(), CopyError> {
    let media_type = manifest.config().media_type();
    if document::is_image_config(media_type) {
        Ok(())
    } else {
        Err(CopyError::NotAnImage { digest: digest.clone().into(), media_type: media_type.to_string() })
    }
}
