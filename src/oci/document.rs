//! Manifests, indexes and configurations: what a document is, decided once and strictly.
//!
//! The same bytes must never be an image to one reader and an index to another
//! (CVE-2021-41190), so the media type that led to a document, the document's
//! own and its fields have to agree. Parsed as its type directly, never through
//! a map, because a map hides that a key came twice.

use std::fmt;

use canon_json::CanonicalFormatter;
use oci_spec::image::{ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};

/// The largest manifest, index or configuration read: 4 MiB, the least every registry must accept
/// for manifests (distribution specification, "Pushing Manifests") and more than any known one needs.
pub const MANIFEST_LIMIT: u64 = 4 << 20;

/// Docker's manifest, version 2 schema 2, which has the fields of an OCI manifest.
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's manifest list, which has the fields of an OCI index.
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's image configuration, which has the fields of an OCI one.
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// One image for one platform, or an artifact.
    Manifest,
    /// A list of manifests.
    Index,
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
            Self::Manifest => "image manifest",
            Self::Index => "image index",
        })
    }
}

/// Whether a configuration of this type is an image's, and not an artifact's.
pub fn is_image_config(media_type: &MediaType) -> bool {
    match media_type {
        MediaType::ImageConfig => true,
        MediaType::Other(text) => text == DOCKER_CONFIG,
        _ => false,
    }
}

/// A document that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum DocumentError {
    /// Not JSON of the right shape: missing or malformed digests, negative sizes, keys given twice.
    #[error("not a manifest or index")]
    Json(#[from] serde_json::Error),
    /// Not JSON of the right shape.
    #[error("not an image configuration")]
    Config(#[source] serde_json::Error),
    /// Another schema than 2, which all of today's formats have.
    #[error("schema version {0} is not supported")]
    Schema(u32),
    /// A media type that is neither a manifest's nor an index's.
    #[error("`{0}` is not a media type of images or indexes")]
    MediaType(MediaType),
    /// One kind was asked for, and the media type is the other's.
    #[error("expected an {expected}, found media type `{found}`")]
    Unexpected { expected: DocumentKind, found: MediaType },
    /// What led to the document says one thing, the document another.
    #[error("the source calls it `{stated}`, the document itself `{own}`")]
    Disagreement { stated: MediaType, own: MediaType },
    /// The media type says one thing, the fields another.
    #[error("media type `{media_type}`, but it has the fields of {shape}")]
    Shape { media_type: MediaType, shape: &'static str },
}

/// A parsed document with the media type it is to be stored under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) media_type: MediaType,
    pub(super) content: Content,
}

/// Manifest or index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Manifest(Box<ImageManifest>),
    Index(Box<ImageIndex>),
}

/// Just enough to tell what a document is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    schema_version: u32,
    #[serde(default, deserialize_with = "text")]
    media_type: Option<String>,
    #[serde(default, deserialize_with = "present")]
    config: bool,
    #[serde(default, deserialize_with = "present")]
    layers: bool,
    #[serde(default, deserialize_with = "present")]
    manifests: bool,
    #[serde(default, deserialize_with = "present")]
    fs_layers: bool,
}

/// A field that is there counts whatever its value: to other readers `null` may be an empty list.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

fn text<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    String::deserialize(value).map(Some)
}

impl Outline {
    fn media_type(&self, stated: &MediaType) -> Result<MediaType, DocumentError> {
        match self.media_type.as_deref().map(MediaType::from) {
            Some(own) if is_generic(stated) || own == *stated => Ok(own),
            Some(own) => Err(DocumentError::Disagreement { stated: stated.clone(), own }),
            None if is_generic(stated) => Ok(self.implied_media_type()),
            None => Ok(stated.clone()),
        }
    }

    /// OCI documents may leave the field out; docker's may not.
    fn implied_media_type(&self) -> MediaType {
        if self.manifests { MediaType::ImageIndex } else { MediaType::ImageManifest }
    }

    /// The media type and kind, once everything that tells them agrees.
    fn judge(&self, stated: &MediaType) -> Result<(MediaType, DocumentKind), DocumentError> {
        if self.schema_version != 2 {
            return Err(DocumentError::Schema(self.schema_version));
        }
        let media_type = self.media_type(stated)?;
        let kind =
            DocumentKind::of_media_type(&media_type).ok_or_else(|| DocumentError::MediaType(media_type.clone()))?;
        let shape = self.shape();
        let agrees = match kind {
            DocumentKind::Manifest => shape == "an image",
            DocumentKind::Index => shape == "an index",
        };
        if agrees { Ok((media_type, kind)) } else { Err(DocumentError::Shape { media_type, shape }) }
    }

    fn shape(&self) -> &'static str {
        match (self.config || self.layers, self.manifests, self.fs_layers) {
            (true, false, false) => "an image",
            (false, true, false) => "an index",
            (false, false, true) => "docker's first schema",
            (false, false, false) => "neither image nor index",
            _ => "several kinds",
        }
    }
}

/// What servers say that know nothing of images.
fn is_generic(media_type: &MediaType) -> bool {
    let generic = ["application/octet-stream", "application/json", "text/plain"];
    matches!(media_type, MediaType::Other(other) if generic.contains(&other.as_str()))
}

/// Parses a manifest or index that its source calls `stated`.
pub(super) fn parse_document(bytes: &[u8], stated: &MediaType) -> Result<Document, DocumentError> {
    let outline: Outline = serde_json::from_slice(bytes)?;
    let (media_type, kind) = outline.judge(stated)?;
    let content = match kind {
        DocumentKind::Manifest => Content::Manifest(Box::new(serde_json::from_slice(bytes)?)),
        DocumentKind::Index => Content::Index(Box::new(serde_json::from_slice(bytes)?)),
    };
    Ok(Document { media_type, content })
}

/// Parses a manifest that its descriptor calls `media_type`.
///
/// # Errors
/// When it is not a manifest, or could be taken for an index as well.
pub fn parse_manifest(bytes: &[u8], media_type: &MediaType) -> Result<ImageManifest, DocumentError> {
    parse_as(bytes, media_type, DocumentKind::Manifest)
}

/// Parses an index that its descriptor calls `media_type`.
///
/// # Errors
/// When it is not an index, or could be taken for a manifest as well.
pub fn parse_index(bytes: &[u8], media_type: &MediaType) -> Result<ImageIndex, DocumentError> {
    parse_as(bytes, media_type, DocumentKind::Index)
}

fn parse_as<T: DeserializeOwned>(
    bytes: &[u8],
    media_type: &MediaType,
    expected: DocumentKind,
) -> Result<T, DocumentError> {
    if DocumentKind::of_media_type(media_type) != Some(expected) {
        return Err(DocumentError::Unexpected { expected, found: media_type.clone() });
    }
    let outline: Outline = serde_json::from_slice(bytes)?;
    outline.judge(media_type)?;
    Ok(serde_json::from_slice(bytes)?)
}

/// What a manifest or index of which only the digest is known is called, by itself or else by its fields.
pub(super) fn own_media_type(bytes: &[u8]) -> Result<MediaType, DocumentError> {
    let outline: Outline = serde_json::from_slice(bytes)?;
    Ok(outline.media_type.as_deref().map_or_else(|| outline.implied_media_type(), MediaType::from))
}

/// Parses an image configuration.
///
/// # Errors
/// When it is not one.
pub fn parse_config(bytes: &[u8]) -> Result<ImageConfiguration, DocumentError> {
    serde_json::from_slice(bytes).map_err(DocumentError::Config)
}

/// JSON with sorted keys and no white space (the OLPC canonical form), so that equal documents have equal digests.
///
/// # Errors
/// When the value has no JSON form.
pub fn canonical_json<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, CanonicalFormatter::new()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::digest::sha256;
    use super::*;
    use serde_json::{Value, json};

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn image(media_type: &str) -> String {
        let own = if media_type.is_empty() { String::new() } else { format!(r#""mediaType": "{media_type}","#) };
        format!(
            r#"{{"schemaVersion": 2, {own} "layers": [],
                "config": {{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "{DIGEST}", "size": 0}}}}"#
        )
    }

    fn parse(text: &str, stated: &str) -> Result<Document, String> {
        parse_document(text.as_bytes(), &MediaType::from(stated)).map_err(|error| match error {
            DocumentError::Json(json) => json.to_string(),
            error => error.to_string(),
        })
    }

    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    const GENERIC: &str = "application/json";

    #[test]
    fn media_type_and_content_agree() {
        let index = r#"{"schemaVersion": 2, "manifests": []}"#;
        let list = format!(r#"{{"schemaVersion": 2, "mediaType": "{DOCKER_LIST}", "manifests": []}}"#);
        for (text, stated, media_type) in [
            (image(OCI), OCI, OCI),
            (image(""), OCI, OCI),
            (image(""), GENERIC, OCI),
            (image(DOCKER_MANIFEST), DOCKER_MANIFEST, DOCKER_MANIFEST),
            (image(DOCKER_MANIFEST), GENERIC, DOCKER_MANIFEST),
            (index.to_owned(), INDEX, INDEX),
            (index.to_owned(), GENERIC, INDEX),
            (list, DOCKER_LIST, DOCKER_LIST),
        ] {
            assert_eq!(parse(&text, stated).unwrap().media_type.to_string(), media_type, "{text} as {stated}");
            assert_eq!(own_media_type(text.as_bytes()).unwrap().to_string(), media_type, "{text}");
        }
    }

    #[test]
    fn confusion_is_refused() {
        let with = |field: &str| image(OCI).replacen('{', &format!("{{{field},"), 1);
        let first = r#"{"schemaVersion": 1, "fsLayers": []}"#;
        for (text, stated, message) in [
            (image(OCI), INDEX, "the source calls it"),
            (image(OCI), DOCKER_MANIFEST, "the source calls it"),
            (image(""), INDEX, "fields of an image"),
            (image(INDEX), INDEX, "fields of an image"),
            (with(r#""manifests": []"#), OCI, "several kinds"),
            (with(r#""manifests": null"#), OCI, "several kinds"),
            (with(r#""fsLayers": []"#), OCI, "several kinds"),
            (r#"{"schemaVersion": 2, "fsLayers": []}"#.to_owned(), OCI, "docker's first schema"),
            (first.to_owned(), OCI, "schema version 1"),
            (r#"{"schemaVersion": 2}"#.to_owned(), GENERIC, "neither image nor index"),
            (image("application/vnd.example"), GENERIC, "not a media type of images"),
            (image("").replacen('{', r#"{"mediaType": null,"#, 1), OCI, "invalid type: null"),
            (image(OCI).replace("\"size\": 0", "\"size\": -1"), OCI, "invalid value: integer `-1`"),
            (image(OCI).replace("sha256:e3", "sha256:../"), OCI, "nvalid encoded value"),
            (image(OCI).replace("sha256:e3", "sha256:E3"), OCI, "nvalid"),
            (image(OCI).replace("\"layers\": [],", ""), OCI, "missing field `layers`"),
            (image(OCI).replace("\"layers\": [],", "\"layers\": [], \"layers\": [],"), OCI, "duplicate field"),
            ("[]".to_owned(), OCI, "expected"),
        ] {
            let error = parse(&text, stated).unwrap_err();
            assert!(error.contains(message), "{text} as {stated}: {error}");
        }
    }

    #[test]
    fn a_document_is_one_thing_only() {
        let descriptor = json!({"mediaType": MediaType::ImageConfig, "digest": sha256(b""), "size": 0});
        let manifest = || json!({"schemaVersion": 2, "config": descriptor, "layers": []});
        let with = |field: &str, value: Value| {
            let mut manifest = manifest();
            manifest[field] = value;
            manifest
        };
        let negative = {
            let mut manifest = manifest();
            manifest["config"]["size"] = json!(-1);
            manifest
        };
        let path_as_digest = {
            let mut manifest = manifest();
            manifest["config"]["digest"] = json!("sha256:../../../../etc/passwd");
            manifest
        };
        for (what, document, ok) in [
            ("manifest", manifest(), true),
            ("stated type", with("mediaType", json!(MediaType::ImageManifest)), true),
            ("also an index", with("manifests", json!([])), false),
            ("stated as index", with("mediaType", json!(MediaType::ImageIndex)), false),
            ("type that is no text", with("mediaType", json!(1)), false),
            ("schema version 1", with("schemaVersion", json!(1)), false),
            ("negative size", negative, false),
            ("path as digest", path_as_digest, false),
            ("not an object", json!([]), false),
        ] {
            let bytes = document.to_string();
            assert_eq!(parse_manifest(bytes.as_bytes(), &MediaType::ImageManifest).is_ok(), ok, "{what}");
            assert!(parse_index(bytes.as_bytes(), &MediaType::ImageIndex).is_err(), "{what} as an index");
            assert!(parse_manifest(bytes.as_bytes(), &MediaType::ImageIndex).is_err(), "{what} called an index");
        }
        let index = json!({"schemaVersion": 2, "manifests": [], "layers": []}).to_string();
        assert!(matches!(
            parse_index(index.as_bytes(), &MediaType::ImageIndex),
            Err(DocumentError::Shape { shape: "several kinds", .. })
        ));
    }
}
