//! One image in a layout, for one platform: manifest, configuration and layers that belong together.

use std::io::Read;

use oci_spec::image::{Descriptor, Digest, ImageConfiguration, ImageIndex, ImageManifest, MediaType, Platform};

use super::digest::is_sha256;
use super::document::{DocumentKind, is_image_config, parse_config, parse_manifest};
use super::layer::{LayerError, UnpackLimits, open_layer};
use super::layout::{Layout, LayoutError};
use super::platform;
use super::tree::LayerSource;
use crate::model::DiffId;

/// How deep indexes may be nested.
const INDEX_DEPTH: usize = 4;

/// An image that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum ImageError {
    /// Reading it from the layout failed.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// There is no image of this name.
    #[error("no image `{name}` in the layout; it has {}", list(names))]
    NoSuchName { name: String, names: Vec<String> },
    /// The descriptor names something that is neither image nor index.
    #[error("{digest} is of type `{media_type}`, not an image")]
    NotAnImage { digest: Digest, media_type: String },
    /// The index has nothing for the platform.
    #[error("no image for {wanted}; there are {}", list(available))]
    NoSuchPlatform { wanted: String, available: Vec<String> },
    /// The only image there is is for another platform.
    #[error("image {digest} is for {found}, not {wanted}")]
    WrongPlatform { digest: Digest, wanted: String, found: String },
    /// Indexes within indexes within indexes.
    #[error("image indexes are nested more than {INDEX_DEPTH} deep")]
    NestedTooDeep,
    /// Manifest and configuration disagree about the layers.
    #[error("image {digest}")]
    Layers { digest: Digest, source: PairError },
}

/// Why the layers of a manifest and those of its configuration do not belong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum PairError {
    /// One lists more than the other.
    #[error("the manifest has {layers} layers, its configuration lists {diff_ids}")]
    Count { layers: usize, diff_ids: usize },
    /// A diff_id is no digest.
    #[error("the diff ID `{diff_id}` is not a SHA-256 digest")]
    DiffId { diff_id: String },
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Where the compressed blob is.
    pub descriptor: Descriptor,
    /// What it is when uncompressed.
    pub diff_id: DiffId,
}

/// An image, verified down to its configuration; the layers are verified when they are read.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    descriptor: Descriptor,
    manifest: ImageManifest,
    config: ImageConfiguration,
    layers: Vec<Layer>,
    manifest_bytes: Vec<u8>,
    config_bytes: Vec<u8>,
}

impl Image {
    /// Loads the image that `name` stands for, for `platform`; without one, the only one there is.
    ///
    /// # Errors
    /// Any [`ImageError`].
    pub fn by_name(layout: &Layout, name: &str, platform: Option<&Platform>) -> Result<Self, ImageError> {
        let mut names = layout.names()?;
        match names.remove(name) {
            Some(descriptor) => Self::load(layout, &descriptor, platform),
            None => Err(ImageError::NoSuchName { name: name.to_owned(), names: names.into_keys().collect() }),
        }
    }

    /// Loads the image a descriptor leads to, through indexes, for `platform`; without one, the only one there is.
    ///
    /// # Errors
    /// Any [`ImageError`].
    pub fn load(layout: &Layout, descriptor: &Descriptor, platform: Option<&Platform>) -> Result<Self, ImageError> {
        let mut descriptor = descriptor.clone();
        for _ in 0..=INDEX_DEPTH {
            match DocumentKind::of_media_type(descriptor.media_type()) {
                Some(DocumentKind::Index) => {
                    descriptor = select_platform(&layout.read_index(&descriptor)?, platform)?.clone();
                }
                Some(_) => return Self::load_manifest(layout, descriptor, platform),
                None => return Err(not_an_image(&descriptor, descriptor.media_type())),
            }
        }
        Err(ImageError::NestedTooDeep)
    }

    fn load_manifest(layout: &Layout, descriptor: Descriptor, wanted: Option<&Platform>) -> Result<Self, ImageError> {
        let manifest_bytes = layout.read_document(&descriptor)?;
        let manifest = parse_manifest(&manifest_bytes, descriptor.media_type()).map_err(LayoutError::from)?;
        let config_type = manifest.config().media_type();
        if !is_image_config(config_type) {
            return Err(not_an_image(&descriptor, config_type));
        }
        let config_bytes = layout.read_document(manifest.config())?;
        let config = parse_config(&config_bytes).map_err(LayoutError::from)?;
        check_platform(&descriptor, &config, wanted)?;
        let layers = pair_layers(&manifest, &config)
            .map_err(|source| ImageError::Layers { digest: descriptor.digest().clone(), source })?;
        Ok(Self { descriptor, manifest, config, layers, manifest_bytes, config_bytes })
    }

    /// The manifest's descriptor.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The manifest's digest: what the image is called everywhere.
    pub fn digest(&self) -> &Digest {
        self.descriptor.digest()
    }

    /// The manifest.
    pub fn manifest(&self) -> &ImageManifest {
        &self.manifest
    }

    /// The configuration.
    pub fn config(&self) -> &ImageConfiguration {
        &self.config
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The platform the configuration states.
    pub fn platform(&self) -> Platform {
        platform::of_config(&self.config)
    }

    /// The manifest byte for byte: also fields we do not know.
    pub fn manifest_bytes(&self) -> &[u8] {
        &self.manifest_bytes
    }

    /// The configuration byte for byte: also fields we do not know.
    pub fn config_bytes(&self) -> &[u8] {
        &self.config_bytes
    }

    /// Labels of the configuration.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.config.config().as_ref()?.labels().as_ref()?.get(name).map(String::as_str)
    }

    /// The layers as a source for an [`super::ImageTree`].
    pub fn layer_source<'a>(&'a self, layout: &'a Layout, limits: UnpackLimits) -> ImageLayers<'a> {
        self.layers_above(layout, 0, limits)
    }

    /// Its layers without the first `below`, which somebody has read already.
    pub fn layers_above<'a>(&'a self, layout: &'a Layout, below: usize, limits: UnpackLimits) -> ImageLayers<'a> {
        ImageLayers { layout, layers: self.layers.get(below..).unwrap_or_default(), limits }
    }
}

fn not_an_image(descriptor: &Descriptor, media_type: &MediaType) -> ImageError {
    ImageError::NotAnImage { digest: descriptor.digest().clone(), media_type: media_type.to_string() }
}

/// The layers of a manifest with the diff IDs its configuration lists for them.
pub(super) fn pair_layers(manifest: &ImageManifest, config: &ImageConfiguration) -> Result<Vec<Layer>, PairError> {
    let (layers, diff_ids) = (manifest.layers(), config.rootfs().diff_ids());
    if layers.len() != diff_ids.len() {
        return Err(PairError::Count { layers: layers.len(), diff_ids: diff_ids.len() });
    }
    let pair = |(layer, text): (&Descriptor, &String)| match Digest::try_from(text.as_str()) {
        Ok(diff_id) if is_sha256(&diff_id) => Ok(Layer { descriptor: layer.clone(), diff_id: DiffId(diff_id) }),
        _ => Err(PairError::DiffId { diff_id: text.clone() }),
    };
    layers.iter().zip(diff_ids).map(pair).collect()
}

fn check_platform(
    descriptor: &Descriptor,
    config: &ImageConfiguration,
    wanted: Option<&Platform>,
) -> Result<(), ImageError> {
    let found = platform::of_config(config);
    match wanted {
        Some(wanted) if !platform::serves(&found, wanted) => Err(ImageError::WrongPlatform {
            digest: descriptor.digest().clone(),
            wanted: platform::show(wanted),
            found: platform::show(&found),
        }),
        _ => Ok(()),
    }
}

/// The manifest of an index for a platform; without one, the only one there is.
///
/// # Errors
/// When there is none, or several and nothing to choose by; the error lists the platforms there are.
pub fn select_platform<'a>(index: &'a ImageIndex, wanted: Option<&Platform>) -> Result<&'a Descriptor, ImageError> {
    let candidates = platform::images(index);
    platform::choose(&candidates, wanted).ok_or_else(|| ImageError::NoSuchPlatform {
        wanted: wanted.map_or_else(|| "an unnamed platform".to_owned(), platform::show),
        available: platform::list(&candidates),
    })
}

/// An image's layers, read from its layout and verified while they are read.
#[derive(Debug, Clone, Copy)]
pub struct ImageLayers<'a> {
    layout: &'a Layout,
    layers: &'a [Layer],
    limits: UnpackLimits,
}

impl LayerSource for ImageLayers<'_> {
    fn count(&self) -> usize {
        self.layers.len()
    }

    fn diff_id(&self, layer: usize) -> Option<&DiffId> {
        self.layers.get(layer).map(|layer| &layer.diff_id)
    }

    fn open(&self, layer: usize) -> Result<Box<dyn Read + Send + '_>, LayerError> {
        let Layer { descriptor, diff_id } = &self.layers[layer];
        let blob = self.layout.blob_file(descriptor).map_err(|error| match error {
            LayoutError::Verify(error) => LayerError::Verify(error),
            error => LayerError::Read(std::io::Error::other(error)),
        })?;
        Ok(Box::new(open_layer(blob, descriptor, diff_id, &self.limits)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn index(platforms: &[Option<(&str, &str, Option<&str>)>]) -> ImageIndex {
        let manifests: Vec<_> = platforms
            .iter()
            .enumerate()
            .map(|(i, platform)| {
                let mut entry = json!({
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "digest": super::super::sha256(&[u8::try_from(i).unwrap()]),
                    "size": i,
                });
                if let Some((os, architecture, variant)) = platform {
                    entry["platform"] = json!({"os": os, "architecture": architecture});
                    if let Some(variant) = variant {
                        entry["platform"]["variant"] = json!(variant);
                    }
                }
                entry
            })
            .collect();
        serde_json::from_value(json!({"schemaVersion": 2, "manifests": manifests})).unwrap()
    }

    fn platform(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
        let mut value = json!({"os": os, "architecture": architecture});
        if let Some(variant) = variant {
            value["variant"] = json!(variant);
        }
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_platform_decides_which_manifest() {
        let amd = Some(("linux", "amd64", None));
        let arm = Some(("linux", "arm64", Some("v8")));
        let v6 = Some(("linux", "arm", Some("v6")));
        let v7 = Some(("linux", "arm", Some("v7")));
        let attestation = Some(("unknown", "unknown", None));
        for (entries, wanted, chosen) in [
            (vec![amd, arm, attestation], Some(platform("linux", "arm64", None)), Some(1)),
            (vec![attestation, amd], None, Some(1)),
            (vec![amd, arm], None, None),
            (vec![v6, v7], Some(platform("linux", "arm", Some("v7"))), Some(1)),
            (vec![v6, v7], Some(platform("linux", "arm", Some("v5"))), None),
            (vec![Some(("linux", "arm64", None))], Some(platform("linux", "arm64", Some("v8"))), Some(0)),
            (vec![amd], Some(platform("linux", "riscv64", None)), None),
            (vec![None], Some(platform("linux", "amd64", None)), Some(0)),
            (vec![attestation], None, None),
        ] {
            let index = index(&entries);
            let found = select_platform(&index, wanted.as_ref()).ok().map(|entry| entry.size());
            assert_eq!(found, chosen, "{entries:?} {wanted:?}");
        }
    }

    #[test]
    fn a_missing_platform_names_those_there_are() {
        let index = index(&[Some(("linux", "amd64", None)), Some(("linux", "arm", Some("v7")))]);
        let error = select_platform(&index, Some(&platform("linux", "s390x", None))).unwrap_err();
        assert_eq!(error.to_string(), "no image for linux/s390x; there are linux/amd64, linux/arm/v7");
    }
}
