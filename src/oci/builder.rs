//! New images: a base's own layers, byte for byte, and new ones on top.

use std::collections::BTreeMap;

use oci_spec::image::{Descriptor, Digest, MediaType, Platform};
use serde_json::{Map, Value, json};

use super::image::Image;
use super::layer::WrittenLayer;
use super::layout::{DocumentKind, Layout, LayoutError};
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
        let created = self.created.to_rfc3339();
        self.history().push(json!({"created": created, "created_by": created_by}));
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

    fn history(&mut self) -> &mut Vec<Value> {
        array(self.config.entry("history").or_insert(Value::Null))
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
    let invalid = |source| LayoutError::Json { kind: DocumentKind::Manifest, source };
    let digest: Digest = serde_json::from_value(layer["digest"].clone()).map_err(invalid)?;
    if layout.has_blob(&digest)? { Ok(()) } else { Err(LayoutError::MissingBlob { digest }) }
}
