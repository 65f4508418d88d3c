//! The images of the chain: opened, written over the one below, named.

use std::time::Duration;

use oci_spec::image::{Arch, Descriptor, Digest, Os, Platform};
use serde::Serialize;

use super::audit::{Event, Verb};
use super::error::BuildError;
use super::{Project, Session};
use crate::config::definition_digest;
use crate::model::{ByteSize, SourceDateEpoch};
use crate::oci::layer::{Compression, LayerWriter, UnpackLimits, WrittenLayer};
use crate::oci::tree::{Changes, MergePolicy, Selection};
use crate::oci::{Image, ImageBuilder, ImageTree, LayerSource, Layout};
use crate::sys::dirs;

/// Annotation with the digest of everything that decided what is in the image.
const INPUTS: &str = "dev.imgbuild.inputs";

/// One image that a run made or kept.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Built {
    /// Its name in the store.
    pub image: String,
    /// Digest of its manifest.
    pub digest: String,
    /// Bytes of its blobs, those of the images below included.
    pub size: ByteSize,
    /// Time it took.
    pub seconds: f64,
    /// Whether it was kept because nothing that decides its content changed.
    pub reused: bool,
}

impl Built {
    /// The summary of an image.
    pub(super) fn of(name: &str, image: &Image, elapsed: Duration, reused: bool) -> Self {
        Self {
            image: name.to_owned(),
            digest: image.digest().to_string(),
            size: size(image),
            seconds: elapsed.as_secs_f64(),
            reused,
        }
    }
}

/// Bytes of an image's manifest, configuration and layers.
pub(super) fn size(image: &Image) -> ByteSize {
    let layers = image.layers().iter().map(|layer| layer.descriptor.size());
    ByteSize(layers.sum::<u64>() + image.manifest().config().size() + image.descriptor().size())
}

/// Opens the store's layout, making it when there is none.
pub(super) fn open_layout(session: &Session) -> Result<Layout, BuildError> {
    let path = session.store.path().join("oci");
    let dir = dirs::open_or_create(&path).map_err(super::error::io("opening", &path))?;
    let _lock = session.store.lock_index()?;
    Layout::create_or_open(dir).map_err(|source| BuildError::Layout {
        image: path.into_string(),
        what: "opening the store",
        source,
    })
}

/// The project's platform.
pub(super) fn platform(project: &Project) -> Platform {
    let mut platform = Platform::default();
    platform.set_os(Os::Linux);
    platform.set_architecture(Arch::from(project.architecture()));
    platform
}

/// The platform of this machine, for images that nobody pinned to one.
pub(super) fn machine_platform() -> Platform {
    let mut platform = Platform::default();
    platform.set_os(Os::Linux);
    platform.set_architecture(Arch::from(
        std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64").as_str(),
    ));
    platform
}

/// The image whose manifest has this digest, if the layout has all of it.
pub(super) fn find_digest(layout: &Layout, digest: &Digest) -> Result<Option<Image>, BuildError> {
    let failed = |source| BuildError::Layout { image: digest.to_string(), what: "looking it up", source };
    let named = layout.names().map_err(failed)?;
    match named.into_values().find(|descriptor| descriptor.digest() == digest) {
        Some(descriptor) => Ok(Some(Image::load(layout, &descriptor, None)?)),
        None => Ok(None),
    }
}

/// The merged tree of an image, every layer verified.
pub(super) fn tree_of(layers: &dyn LayerSource) -> Result<ImageTree, BuildError> {
    Ok(ImageTree::from_layers(layers, &MergePolicy::default())?)
}

/// Limits for layers of our own store.
pub(super) fn limits() -> UnpackLimits {
    UnpackLimits::default()
}

/// Writes one layer into the layout.
pub(super) fn write_layer(
    layout: &Layout,
    tree: &ImageTree,
    selection: Selection<'_>,
    layers: &dyn LayerSource,
    epoch: SourceDateEpoch,
) -> Result<WrittenLayer, BuildError> {
    let failed = |source| BuildError::Layout { image: "a new layer".to_owned(), what: "writing", source };
    let blob = layout.create_blob().map_err(failed)?;
    let mut writer = LayerWriter::new(blob, Compression::default(), epoch)?;
    tree.write_layer(selection, layers, &mut writer)?;
    let (written, blob) = writer.finish()?;
    blob.complete_verified_as(&written.descriptor).map_err(failed)?;
    Ok(written)
}

/// A layer of `changes`, when there are any.
pub(super) fn write_changes(
    layout: &Layout,
    tree: &ImageTree,
    changes: &Changes,
    layers: &dyn LayerSource,
    epoch: SourceDateEpoch,
) -> Result<Option<WrittenLayer>, BuildError> {
    if changes.is_empty() {
        return Ok(None);
    }
    write_layer(layout, tree, Selection::Changes(changes), layers, epoch).map(Some)
}

/// Digest of everything that decides an image: with the same one, a rebuild gives the same image.
pub(super) fn inputs_key(value: &impl Serialize) -> String {
    definition_digest(&(env!("CARGO_PKG_VERSION"), value)).to_string()
}

/// The image called `name`, when its inputs are exactly these and the user wants to keep such images.
pub(super) fn reusable(session: &Session, layout: &Layout, name: &str, key: &str) -> Result<Option<Image>, BuildError> {
    if !session.settings.reuse {
        return Ok(None);
    }
    let current = find_current(layout, name, key)?;
    if let Some(image) = &current {
        session.audit(Event::new(Verb::CacheHit, name).digest(image.digest()))?;
    }
    Ok(current)
}

/// The image called `name`, when its inputs were exactly these.
pub(super) fn find_current(layout: &Layout, name: &str, key: &str) -> Result<Option<Image>, BuildError> {
    let has_key = |image: &Image| {
        let annotations = image.manifest().annotations().as_ref();
        annotations.and_then(|all| all.get(INPUTS)).is_some_and(|found| found == key)
    };
    Ok(find(layout, name)?.filter(has_key))
}

/// The image called `name`, if the store has it.
pub(super) fn find(layout: &Layout, name: &str) -> Result<Option<Image>, BuildError> {
    let failed = |source| BuildError::Layout { image: name.to_owned(), what: "looking it up", source };
    match layout.resolve(name).map_err(failed)? {
        Some(descriptor) => Ok(Some(Image::load(layout, &descriptor, None)?)),
        None => Ok(None),
    }
}

/// Writes configuration and manifest and gives the image its name.
pub(super) fn finish(
    session: &Session,
    layout: &Layout,
    name: &str,
    builder: ImageBuilder,
    key: &str,
) -> Result<Image, BuildError> {
    let descriptor = write(layout, name, builder, key)?;
    name_all(session, layout, &[(name.to_owned(), descriptor.clone())])?;
    Ok(Image::load(layout, &descriptor, None)?)
}

/// Writes configuration and manifest.
pub(super) fn write(layout: &Layout, name: &str, builder: ImageBuilder, key: &str) -> Result<Descriptor, BuildError> {
    let builder = builder.annotation(INPUTS, key).annotation("org.opencontainers.image.ref.name", name);
    builder.write(layout).map_err(|source| BuildError::Layout { image: name.to_owned(), what: "writing", source })
}

/// Gives images their names, all at once.
pub(super) fn name_all(session: &Session, layout: &Layout, named: &[(String, Descriptor)]) -> Result<(), BuildError> {
    let lock = session.store.lock_index()?;
    layout
        .tag_all(named.iter().map(|(name, descriptor)| (name.as_str(), descriptor.clone())))
        .map_err(|source| BuildError::Layout { image: "index.json".to_owned(), what: "naming images", source })?;
    drop(lock);
    let events = named.iter().map(|(name, descriptor)| Event::new(Verb::Build, name).digest(descriptor.digest()));
    Ok(session.store.audit().record_all(events)?)
}
