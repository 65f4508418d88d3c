//! Manifests, indexes and configurations as JSON.

use std::fmt;

use canon_json::CanonicalFormatter;
use oci_spec::image::{ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::LayoutError;

/// Docker's manifest, schema 2, which has the fields of an OCI manifest.
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's manifest list, which has the fields of an OCI index.
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// `oci-layout`.
    LayoutMarker,
    /// One image for one platform, or an artifact.
    Manifest,
    /// A list of manifests.
    Index,
    /// How an image runs and what its layers are.
    Config,
}

impl DocumentKind {
    /// Whether `media_type` is a manifest's or an index's; `None` when it is neither.
    pub fn of_media_type(media_type: &MediaType) -> Option<Self> {
        match media_type {
            MediaType::ImageManifest => Some(Self::Manifest),
            MediaType::ImageIndex => Some(Self::Index),
            MediaType::Other(text) if text == DOCKER_MANIFEST => Some(Self::Manifest),
            MediaType::Other(text) if text == DOCKER_LIST => Some(Self::Index),
            _ => None,
        }
    }
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LayoutMarker => "layout marker",
            Self::Manifest => "image manifest",
            Self::Index => "image index",
            Self::Config => "image configuration",
        })
    }
}

/// JSON with sorted keys and no white space (the OLPC canonical form), so that equal documents have equal digests.
///
/// # Errors
/// When the value has no JSON form.
pub fn canonical_json<T: Serialize>(value: &T) -> Result<Vec<u8>, LayoutError> {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, CanonicalFormatter::new());
    value.serialize(&mut serializer).map_err(|source| LayoutError::Json { kind: DocumentKind::Manifest, source })?;
    Ok(bytes)
}

/// Parses a manifest that its descriptor calls `media_type`.
///
/// # Errors
/// When it is not a manifest, or could be taken for an index as well (CVE-2021-41190).
pub fn parse_manifest(bytes: &[u8], media_type: &MediaType) -> Result<ImageManifest, LayoutError> {
    parse(bytes, DocumentKind::Manifest, media_type, &["manifests"])
}

/// Parses an index that its descriptor calls `media_type`.
///
/// # Errors
/// When it is not an index, or could be taken for a manifest as well (CVE-2021-41190).
pub fn parse_index(bytes: &[u8], media_type: &MediaType) -> Result<ImageIndex, LayoutError> {
    parse(bytes, DocumentKind::Index, media_type, &["config", "layers"])
}

/// Parses an image configuration.
///
/// # Errors
/// When it is not one.
pub fn parse_config(bytes: &[u8]) -> Result<ImageConfiguration, LayoutError> {
    serde_json::from_slice(bytes).map_err(|source| LayoutError::Json { kind: DocumentKind::Config, source })
}

pub(in super::super) fn check_marker(bytes: &[u8]) -> Result<(), LayoutError> {
    let marker: Value = serde_json::from_slice(bytes)
        .map_err(|source| LayoutError::Json { kind: DocumentKind::LayoutMarker, source })?;
    match marker.get("imageLayoutVersion").and_then(Value::as_str) {
        Some("1.0.0") => Ok(()),
        other => Err(LayoutError::Version { found: other.unwrap_or("none").to_owned() }),
    }
}

fn parse<T: DeserializeOwned>(
    bytes: &[u8],
    kind: DocumentKind,
    media_type: &MediaType,
    foreign: &[&str],
) -> Result<T, LayoutError> {
    if DocumentKind::of_media_type(media_type) != Some(kind) {
        return Err(LayoutError::Confused { expected: kind, found: media_type.to_string() });
    }
    let invalid = |source| LayoutError::Json { kind, source };
    let value: Value = serde_json::from_slice(bytes).map_err(invalid)?;
    let confused = |found: String| Err(LayoutError::Confused { expected: kind, found });
    if let Some(field) = foreign.iter().find(|field| value.get(**field).is_some()) {
        return confused(format!("a document that also has `{field}`"));
    }
    match value.get("mediaType") {
        None => {}
        Some(Value::String(stated)) if *stated == media_type.to_string() => {}
        Some(other) => return confused(format!("one that calls itself {other}")),
    }
    if value.get("schemaVersion") != Some(&Value::from(2)) {
        return confused("one without schema version 2".to_owned());
    }
    serde_json::from_value(value).map_err(invalid)
}
