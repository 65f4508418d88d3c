//! What kind of document a manifest is, decided once and strictly.
//!
//! The same bytes must never be an image to one reader and an index to another
//! (CVE-2021-41190), so the stated media type, the document's own and its
//! shape have to agree.

use oci_spec::image::{ImageIndex, ImageManifest, MediaType};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Docker's image manifest, version 2 schema 2; same shape as the OCI one.
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's manifest list; same shape as the OCI index.
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A parsed manifest with the media type it is to be stored under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) media_type: MediaType,
    pub(super) content: Content,
}

/// Image or index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Image(Box<ImageManifest>),
    Index(Box<ImageIndex>),
}

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum ManifestError {
    /// Not JSON of the right shape: missing or malformed digests, negative sizes.
    #[error("not a manifest")]
    Json(#[from] serde_json::Error),
    /// Another schema than 2, which all of today's formats have.
    #[error("schema version {0} is not supported")]
    Schema(u32),
    /// A media type that is neither image nor index.
    #[error("`{0}` is not a media type of images or indexes")]
    MediaType(MediaType),
    /// The source says one thing, the document another.
    #[error("the source calls it `{stated}`, the document itself `{own}`")]
    Disagreement { stated: MediaType, own: MediaType },
    /// The media type says one thing, the fields another.
    #[error("media type `{media_type}`, but it has the fields of {shape}")]
    Shape { media_type: MediaType, shape: &'static str },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    Index,
}

/// Just enough to tell what a document is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    schema_version: u32,
    media_type: Option<String>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
}

/// Parses a manifest or index that its source calls `stated`.
pub(super) fn parse_document(bytes: &[u8], stated: &MediaType) -> Result<Document, ManifestError> {
    let outline: Outline = serde_json::from_slice(bytes)?;
    if outline.schema_version != 2 {
        return Err(ManifestError::Schema(outline.schema_version));
    }
    let media_type = outline.media_type(stated)?;
    let content = match outline.kind(&media_type)? {
        Kind::Image => Content::Image(Box::new(serde_json::from_slice(bytes)?)),
        Kind::Index => Content::Index(Box::new(serde_json::from_slice(bytes)?)),
    };
    Ok(Document { media_type, content })
}

impl Outline {
    fn media_type(&self, stated: &MediaType) -> Result<MediaType, ManifestError> {
        let own = self.media_type.as_deref().map(MediaType::from);
        match own {
            Some(own) if is_generic(stated) || own == *stated => Ok(own),
            Some(own) => Err(ManifestError::Disagreement { stated: stated.clone(), own }),
            None if !is_generic(stated) => Ok(stated.clone()),
            // OCI documents may leave the field out; docker's may not.
            None if self.manifests.is_some() => Ok(MediaType::ImageIndex),
            None => Ok(MediaType::ImageManifest),
        }
    }

    fn kind(&self, media_type: &MediaType) -> Result<Kind, ManifestError> {
        let kind = kind_of(media_type).ok_or_else(|| ManifestError::MediaType(media_type.clone()))?;
        let shape = self.shape();
        let agrees = match kind {
            Kind::Image => shape == "an image",
            Kind::Index => shape == "an index",
        };
        if agrees { Ok(kind) } else { Err(ManifestError::Shape { media_type: media_type.clone(), shape }) }
    }

    fn shape(&self) -> &'static str {
        let image = self.config.is_some() || self.layers.is_some();
        match (image, self.manifests.is_some(), self.fs_layers.is_some()) {
            (true, false, false) => "an image",
            (false, true, false) => "an index",
            (false, false, true) => "docker's first schema",
            (false, false, false) => "neither image nor index",
            _ => "several kinds",
        }
    }
}

fn kind_of(media_type: &MediaType) -> Option<Kind> {
    match media_type {
        MediaType::ImageManifest => Some(Kind::Image),
        MediaType::ImageIndex => Some(Kind::Index),
        MediaType::Other(other) if other == DOCKER_MANIFEST => Some(Kind::Image),
        MediaType::Other(other) if other == DOCKER_LIST => Some(Kind::Index),
        _ => None,
    }
}

/// What servers say that know nothing of images.
fn is_generic(media_type: &MediaType) -> bool {
    let generic = ["application/octet-stream", "application/json", "text/plain"];
    matches!(media_type, MediaType::Other(other) if generic.contains(&other.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ManifestError::Json(json) => json.to_string(),
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
        }
    }

    #[test]
    fn confusion_is_refused() {
        let both = image(OCI).replacen('{', r#"{"manifests": [],"#, 1);
        let first = r#"{"schemaVersion": 1, "fsLayers": []}"#;
        for (text, stated, message) in [
            (image(OCI), INDEX, "the source calls it"),
            (image(OCI), DOCKER_MANIFEST, "the source calls it"),
            (image(""), INDEX, "fields of an image"),
            (image(INDEX), INDEX, "fields of an image"),
            (both, OCI, "several kinds"),
            (r#"{"schemaVersion": 2, "fsLayers": []}"#.to_owned(), OCI, "docker's first schema"),
            (first.to_owned(), OCI, "schema version 1"),
            (r#"{"schemaVersion": 2}"#.to_owned(), GENERIC, "neither image nor index"),
            (image("application/vnd.example"), GENERIC, "not a media type of images"),
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
}
