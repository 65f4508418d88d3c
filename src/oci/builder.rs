//! New images: a base's own layers, byte for byte, and new ones on top.

use std::collections::BTreeMap;

use oci_spec::image::{Descriptor, Digest, MediaType, Platform};
use serde_json::{Map, Value, json};

use super::document::DocumentError;
use super::image::Image;
use super::layer::WrittenLayer;
use super::layout::{Layout, LayoutError};
use crate::model::SourceDateEpoch;

/// Annotation with the digest of the image this one was built on.
pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// Annotation with the reference of the image this one was built on.
pub const BASE_NAME: &str = "org.opencontainers.image.base.name";

/// Collects what a new image consists of and writes its configuration and manifest.
///
/// Documents are edited as JSON and not through typed structures, so that what a base's configuration
/// says beyond the specification (Docker's `Healthcheck`, `Shell`) survives.
#[derive(Debug, Clone)]
#[must_use]
pub struct ImageBuilder {
    config: Map<String, Value>,
    layers: Vec<Value>,
    annotations: BTreeMap<String, String>,
    created: SourceDateEpoch,
    platform: Platform,
}

impl ImageBuilder {
    /// An image without layers. `created` dates it and its history.
    pub fn scratch(platform: Platform, created: SourceDateEpoch) -> Self {
        let mut config = Map::new();
        config.insert("architecture".to_owned(), json!(platform.architecture()));
        config.insert("os".to_owned(), json!(platform.os()));
        if let Some(variant) = platform.variant() {
            config.insert("variant".to_owned(), json!(variant));
        }
        config.insert("rootfs".to_owned(), json!({"type": "layers", "diff_ids": []}));
        config.insert("history".to_owned(), json!([]));
        Self { config, layers: Vec::new(), annotations: BTreeMap::new(), created, platform }
    }

    /// An image that begins with exactly `base`: its layer descriptors, diff_ids, history and settings.
    ///
    /// The base's manifest annotations are its own and are not taken over; its digest is annotated.
    pub fn on(base: &Image, created: SourceDateEpoch) -> Self {
        // Both parsed before as their types, so they are objects with these members.
        let manifest: Value = serde_json::from_slice(base.manifest_bytes()).expect("was parsed before");
        let config: Map<String, Value> = serde_json::from_slice(base.config_bytes()).expect("was parsed before");
        let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
        let annotations = BTreeMap::from([(BASE_DIGEST.to_owned(), base.digest().to_string())]);
        Self { config, layers, annotations, created, platform: base.platform() }
    }

    /// Notes the name under which the base was found.
    pub fn base_name(self, name: impl Into<String>) -> Self {
        self.annotation(BASE_NAME, name)
    }

    /// Puts a layer on top; `created_by` is its line in the history.
    pub fn layer(mut self, layer: &WrittenLayer, created_by: &str) -> Self {
        self.layers.push(json!(layer.descriptor));
        self.member("rootfs", "diff_ids").push(json!(layer.diff_id));
        // A history has an entry for every layer or does not exist: a base that came without one stays so.
        if let Some(history) = self.config.get_mut("history").and_then(Value::as_array_mut) {
            history.push(json!({"created": self.created.to_rfc3339(), "created_by": created_by}));
        }
        self
    }

    /// Sets a label of the configuration.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let labels = self.run_config().entry("Labels").or_insert(Value::Null);
        object(labels).insert(name.into(), Value::String(value.into()));
        self
    }

    /// Sets a field of the configuration's `config` object, such as `Cmd`; `Value::Null` removes it.
    pub fn run_setting(mut self, field: &str, value: Value) -> Self {
        if value.is_null() {
            self.run_config().remove(field);
        } else {
            self.run_config().insert(field.to_owned(), value);
        }
        self
    }

    /// Sets an annotation of the manifest.
    pub fn annotation(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(name.into(), value.into());
        self
    }

    /// Writes configuration and manifest into the layout, which must hold the layers already. Names nothing.
    ///
    /// # Errors
    /// When a layer is not in the layout, or writing fails.
    pub fn write(mut self, layout: &Layout) -> Result<Descriptor, LayoutError> {
        for layer in &self.layers {
            check_present(layout, layer)?;
        }
        self.config.insert("created".to_owned(), json!(self.created.to_rfc3339()));
        let config = layout.write_json(&self.config, MediaType::ImageConfig)?;
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::ImageManifest,
            "config": config,
            "layers": self.layers,
        });
        if !self.annotations.is_empty() {
            manifest["annotations"] = json!(self.annotations);
        }
        let mut descriptor = layout.write_json(&manifest, MediaType::ImageManifest)?;
        descriptor.set_platform(Some(self.platform));
        Ok(descriptor)
    }

    fn run_config(&mut self) -> &mut Map<String, Value> {
        object(self.config.entry("config").or_insert(Value::Null))
    }

    fn member(&mut self, outer: &str, inner: &str) -> &mut Vec<Value> {
        array(object(self.config.entry(outer).or_insert(Value::Null)).entry(inner).or_insert(Value::Null))
    }
}

/// The value as an object, made one when it is anything else: Go writes `null` for what is empty.
fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("made an object just above")
}

fn array(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = json!([]);
    }
    value.as_array_mut().expect("made an array just above")
}

fn check_present(layout: &Layout, layer: &Value) -> Result<(), LayoutError> {
    let digest: Digest = serde_json::from_value(layer["digest"].clone()).map_err(DocumentError::Json)?;
    if layout.has_blob(&digest)? { Ok(()) } else { Err(LayoutError::MissingBlob { digest }) }
}

#[cfg(test)]
mod tests {
    use super::super::layer::{Compression, EntryKind, LayerEntry, LayerWriter, Metadata, UnpackLimits};
    use super::super::testing::layout;
    use super::super::tree::{ImageTree, MergePolicy};
    use super::*;

    fn layer(layout: &Layout, path: &str, content: &str) -> WrittenLayer {
        let blob = layout.create_blob().unwrap();
        let mut writer = LayerWriter::new(blob, Compression::default(), SourceDateEpoch::from_secs(1)).unwrap();
        let entry = LayerEntry {
            path: path.into(),
            kind: EntryKind::File { size: content.len() as u64 },
            metadata: Metadata::with_mode(0o644),
            offset: 0,
            dropped: Vec::new(),
        };
        writer.append(&entry, &mut content.as_bytes()).unwrap();
        let (layer, blob) = writer.finish().unwrap();
        blob.complete_verified_as(&layer.descriptor).unwrap();
        layer
    }

    fn platform() -> Platform {
        serde_json::from_value(json!({"os": "linux", "architecture": "arm64"})).unwrap()
    }

    /// A base with everything a registry may send: unknown fields, annotated layers, Docker's extras.
    fn foreign_base(layout: &Layout) -> Descriptor {
        let below = layer(layout, "below", "1");
        let config = json!({
            "architecture": "arm64", "os": "linux", "moby.buildkit.cache.v0": "x",
            "rootfs": {"type": "layers", "diff_ids": [below.diff_id]},
            "history": [{"created_by": "base", "x-unknown": 1}],
            "config": {"Labels": null, "Healthcheck": {"Test": ["NONE"]}, "Cmd": ["/sbin/init"]},
        });
        let config = layout.write_json(&config, MediaType::ImageConfig).unwrap();
        let mut descriptor = json!(below.descriptor);
        descriptor["annotations"] = json!({"z": "1", "a": "2"});
        descriptor["x-unknown"] = json!({"deep": [1, 2]});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MediaType::ImageManifest, "config": config, "layers": [descriptor],
            "annotations": {"only": "the base's"},
        });
        layout.write_json(&manifest, MediaType::ImageManifest).unwrap()
    }

    #[test]
    fn the_new_image_begins_with_exactly_the_base() {
        let (_folder, layout) = layout();
        let base = Image::load(&layout, &foreign_base(&layout), None).unwrap();
        let top = layer(&layout, "top", "2");
        let descriptor = ImageBuilder::on(&base, SourceDateEpoch::from_secs(86_400))
            .base_name("example.com/base:1")
            .layer(&top, "imgbuild tier 2")
            .label("containers.bootc", "1")
            .run_setting("Cmd", Value::Null)
            .write(&layout)
            .unwrap();
        let image = Image::load(&layout, &descriptor, Some(&platform())).unwrap();
        let layers = |image: &Image| {
            let text = String::from_utf8(image.manifest_bytes().to_vec()).unwrap();
            let (_, rest) = text.split_once("\"layers\":[").unwrap();
            rest.split_once("],\"mediaType\"").unwrap().0.to_owned()
        };
        assert!(layers(&base).contains("x-unknown"));
        let top_descriptor =
            String::from_utf8(super::super::document::canonical_json(&top.descriptor).unwrap()).unwrap();
        assert_eq!(layers(&image), format!("{},{top_descriptor}", layers(&base)), "byte for byte");
        assert_eq!(image.layers()[..1], *base.layers());
        assert_eq!(image.layers()[1].diff_id, top.diff_id);

        let config: Value = serde_json::from_slice(image.config_bytes()).unwrap();
        assert_eq!(config["created"], "1970-01-02T00:00:00Z");
        assert_eq!(config["config"], json!({"Labels": {"containers.bootc": "1"}, "Healthcheck": {"Test": ["NONE"]}}));
        assert_eq!(config["moby.buildkit.cache.v0"], "x");
        assert_eq!(
            config["history"],
            json!([{"created_by": "base", "x-unknown": 1}, {"created": "1970-01-02T00:00:00Z", "created_by": "imgbuild tier 2"}])
        );
        let manifest: Value = serde_json::from_slice(image.manifest_bytes()).unwrap();
        assert_eq!(
            manifest["annotations"],
            json!({BASE_DIGEST: base.digest(), BASE_NAME: "example.com/base:1"}),
            "the base's own annotations are not about this image"
        );
        assert_eq!(image.label("containers.bootc"), Some("1"));

        let source = image.layer_source(&layout, UnpackLimits::default());
        let tree = ImageTree::from_layers(&source, &MergePolicy::default()).unwrap();
        assert_eq!(tree.read_file(&source, "below", 9).unwrap(), b"1");
        assert_eq!(tree.read_file(&source, "top", 9).unwrap(), b"2");
    }

    #[test]
    fn an_image_from_scratch_is_the_same_twice() {
        let build = || {
            let (folder, layout) = layout();
            let descriptor = ImageBuilder::scratch(platform(), SourceDateEpoch::from_secs(5))
                .layer(&layer(&layout, "f", "x"), "first")
                .annotation("b", "2")
                .annotation("a", "1")
                .label("z", "1")
                .label("y", "2")
                .write(&layout)
                .unwrap();
            (folder, layout, descriptor)
        };
        let (_folder, layout, descriptor) = build();
        assert_eq!(descriptor, build().2);
        let image = Image::load(&layout, &descriptor, Some(&platform())).unwrap();
        assert_eq!(super::super::platform::show(&image.platform()), "linux/arm64");
        assert_eq!(image.config().history().as_ref().unwrap().len(), 1);
    }

    #[test]
    fn a_layer_must_be_there_before_an_image_has_it() {
        let (_folder, layout) = layout();
        let (_elsewhere, other) = super::super::testing::layout();
        let missing = layer(&other, "f", "x");
        let builder = ImageBuilder::scratch(platform(), SourceDateEpoch::from_secs(5)).layer(&missing, "first");
        assert!(matches!(builder.write(&layout), Err(LayoutError::MissingBlob { .. })));
    }

    #[test]
    fn a_base_without_history_stays_without() {
        let (_folder, layout) = layout();
        let below = layer(&layout, "below", "1");
        let config =
            json!({"architecture": "arm64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [below.diff_id]}});
        let config = layout.write_json(&config, MediaType::ImageConfig).unwrap();
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [below.descriptor]});
        let base = layout.write_json(&manifest, MediaType::ImageManifest).unwrap();
        let base = Image::load(&layout, &base, None).unwrap();
        let top = layer(&layout, "top", "2");
        let image = ImageBuilder::on(&base, SourceDateEpoch::from_secs(5)).layer(&top, "top").write(&layout).unwrap();
        let image = Image::load(&layout, &image, None).unwrap();
        assert_eq!(image.config().history(), &None, "a history must have an entry for every layer");
    }

    #[test]
    fn manifest_and_configuration_must_agree_on_the_layers() {
        let (_folder, layout) = layout();
        let below = layer(&layout, "below", "1");
        for (diff_ids, ok) in [(json!([below.diff_id]), true), (json!([]), false), (json!(["sha256:../.."]), false)] {
            let config =
                json!({"architecture": "arm64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
            let config = layout.write_json(&config, MediaType::ImageConfig).unwrap();
            let manifest = json!({"schemaVersion": 2, "config": config, "layers": [below.descriptor]});
            let manifest = layout.write_json(&manifest, MediaType::ImageManifest).unwrap();
            assert_eq!(Image::load(&layout, &manifest, None).is_ok(), ok, "{diff_ids}");
        }
    }
}
