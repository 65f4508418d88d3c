//! Checks of an image against the image specification 1.1, as data.
//!
//! For reports and for images from elsewhere: reading an image through [`Image`] enforces
//! already what we rely on. Whoever only wants to use an image need not call this.

use std::collections::BTreeMap;
use std::fmt;

use oci_spec::image::Digest;
use serde_json::Value;

use super::image::Image;
use super::layer::Compression;
use oci_spec::image::MediaType;

/// One thing that does not follow the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A stable name for machines.
    pub code: ProblemCode,
    /// Where and what, for people.
    pub sentence: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.sentence)
    }
}

/// What kind of problem it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ProblemCode {
    /// `manifest.md`: `schemaVersion` MUST be 2.
    SchemaVersion,
    /// `manifest.md`: `mediaType` MUST be the manifest's, and SHOULD be there.
    ManifestMediaType,
    /// `descriptor.md`: media type, digest and size are REQUIRED and well-formed; a size MUST NOT be negative.
    Descriptor,
    /// `manifest.md`: a configuration that is an image's.
    ConfigMediaType,
    /// `manifest.md`, `layer.md`: layers of a known type.
    LayerMediaType,
    /// `config.md`: `rootfs.type` MUST be `layers`.
    RootfsType,
    /// `config.md`: one `diff_id` per layer, each a digest.
    DiffIds,
    /// `config.md`: history entries that are not empty layers match the layers in number.
    History,
    /// `config.md`: `architecture` and `os` are REQUIRED.
    Platform,
    /// `config.md`: `created` is RFC 3339.
    Created,
    /// `annotations.md`: annotations are a map from text to text, without empty keys.
    Annotations,
}

impl ProblemCode {
    /// The code as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SchemaVersion => "schema-version",
            Self::ManifestMediaType => "manifest-media-type",
            Self::Descriptor => "descriptor",
            Self::ConfigMediaType => "config-media-type",
            Self::LayerMediaType => "layer-media-type",
            Self::RootfsType => "rootfs-type",
            Self::DiffIds => "diff-ids",
            Self::History => "history",
            Self::Platform => "platform",
            Self::Created => "created",
            Self::Annotations => "annotations",
        }
    }
}

/// Checks a loaded image's documents.
pub fn check_image(image: &Image) -> Vec<Problem> {
    let parse = |bytes: &[u8]| serde_json::from_slice(bytes).expect("was parsed before");
    check_documents(&parse(image.manifest_bytes()), &parse(image.config_bytes()))
}

/// Checks a manifest and the configuration it names. Empty when there is nothing to say.
pub fn check_documents(manifest: &Value, config: &Value) -> Vec<Problem> {
    let mut report = Report::default();
    report.manifest(manifest);
    let layers = manifest["layers"].as_array().map_or(0, Vec::len);
    report.config(config, layers);
    report.0
}

#[derive(Default)]
struct Report(Vec<Problem>);

impl Report {
    fn add(&mut self, code: ProblemCode, sentence: impl Into<String>) {
        self.0.push(Problem { code, sentence: sentence.into() });
    }

    fn manifest(&mut self, manifest: &Value) {
        if manifest["schemaVersion"] != 2 {
            self.add(ProblemCode::SchemaVersion, format!("schemaVersion is {}, not 2", manifest["schemaVersion"]));
        }
        match manifest["mediaType"].as_str() {
            Some(text) if MediaType::from(text) == MediaType::ImageManifest => {}
            Some(text) => self.add(ProblemCode::ManifestMediaType, format!("the manifest calls itself `{text}`")),
            None => self.add(ProblemCode::ManifestMediaType, "the manifest does not say what it is"),
        }
        self.descriptor("the configuration", &manifest["config"]);
        if let Some(text) = manifest["config"]["mediaType"].as_str()
            && MediaType::from(text) != MediaType::ImageConfig
        {
            self.add(ProblemCode::ConfigMediaType, format!("the configuration is of type `{text}`"));
        }
        match manifest["layers"].as_array() {
            None => self.add(ProblemCode::Descriptor, "the manifest has no list of layers"),
            Some(layers) => {
                for (i, layer) in layers.iter().enumerate() {
                    self.layer(i + 1, layer);
                }
            }
        }
        self.annotations("the manifest", &manifest["annotations"]);
    }

    fn layer(&mut self, number: usize, layer: &Value) {
        let what = format!("layer {number}");
        self.descriptor(&what, layer);
        if let Some(text) = layer["mediaType"].as_str()
            && (Compression::of_media_type(&MediaType::from(text)).is_err() || text.contains("docker"))
        {
            self.add(ProblemCode::LayerMediaType, format!("{what} is of type `{text}`"));
        }
        self.annotations(&what, &layer["annotations"]);
    }

    fn descriptor(&mut self, what: &str, descriptor: &Value) {
        if descriptor["mediaType"].as_str().is_none_or(str::is_empty) {
            self.add(ProblemCode::Descriptor, format!("{what} has no media type"));
        }
        match descriptor["digest"].as_str().map(Digest::try_from) {
            Some(Ok(_)) => {}
            Some(Err(_)) => {
                self.add(ProblemCode::Descriptor, format!("{what} has the digest {}", descriptor["digest"]))
            }
            None => self.add(ProblemCode::Descriptor, format!("{what} has no digest")),
        }
        // More than an int64 cannot be held by the specification's own type.
        if descriptor["size"].as_i64().is_none_or(|size| size < 0) {
            self.add(ProblemCode::Descriptor, format!("{what} has the size {}", descriptor["size"]));
        }
    }

    fn annotations(&mut self, what: &str, annotations: &Value) {
        let valid = annotations.is_null()
            || serde_json::from_value::<BTreeMap<String, String>>(annotations.clone())
                .is_ok_and(|map| !map.contains_key(""));
        if !valid {
            self.add(ProblemCode::Annotations, format!("the annotations of {what} are not a map from text to text"));
        }
    }

    fn config(&mut self, config: &Value, layers: usize) {
        for field in ["architecture", "os"] {
            if config[field].as_str().is_none_or(str::is_empty) {
                self.add(ProblemCode::Platform, format!("the configuration has no `{field}`"));
            }
        }
        let created = &config["created"];
        let is_time = created.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok());
        if !created.is_null() && !is_time {
            self.add(ProblemCode::Created, format!("`created` is {created}, not a time"));
        }
        if config["rootfs"]["type"] != "layers" {
            self.add(ProblemCode::RootfsType, format!("rootfs.type is {}, not \"layers\"", config["rootfs"]["type"]));
        }
        self.diff_ids(&config["rootfs"]["diff_ids"], layers);
        self.history(&config["history"], layers);
    }

    fn diff_ids(&mut self, diff_ids: &Value, layers: usize) {
        let Some(diff_ids) = diff_ids.as_array() else {
            return self.add(ProblemCode::DiffIds, "the configuration has no list of diff_ids");
        };
        if diff_ids.len() != layers {
            self.add(ProblemCode::DiffIds, format!("{} diff_ids for {layers} layers", diff_ids.len()));
        }
        for diff_id in diff_ids {
            if diff_id.as_str().is_none_or(|text| Digest::try_from(text).is_err()) {
                self.add(ProblemCode::DiffIds, format!("{diff_id} is no digest"));
            }
        }
    }

    fn history(&mut self, history: &Value, layers: usize) {
        let Some(history) = history.as_array() else { return };
        let entries = history.iter().filter(|entry| entry["empty_layer"] != true).count();
        if entries != layers {
            self.add(
                ProblemCode::History,
                format!("{entries} entries of the history made a layer, but there are {layers} layers"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn manifest() -> Value {
        json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": DIGEST, "size": 1},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": DIGEST, "size": 1}],
        })
    }

    fn config() -> Value {
        json!({
            "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
            "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
            "history": [{"created_by": "x"}, {"created_by": "y", "empty_layer": true}],
        })
    }

    #[test]
    fn a_good_image_gives_no_problem() {
        assert_eq!(check_documents(&manifest(), &config()), []);
    }

    #[test]
    fn every_problem_is_found_alone() {
        use ProblemCode as Code;
        let rows = [
            (true, "/schemaVersion", json!(1), Code::SchemaVersion),
            (true, "/mediaType", json!("application/vnd.oci.image.index.v1+json"), Code::ManifestMediaType),
            (true, "/mediaType", Value::Null, Code::ManifestMediaType),
            (true, "/config/mediaType", json!("application/vnd.oci.empty.v1+json"), Code::ConfigMediaType),
            (true, "/config/size", json!(-1), Code::Descriptor),
            (true, "/config/digest", json!("sha256:../.."), Code::Descriptor),
            (true, "/layers/0/size", json!("1"), Code::Descriptor),
            (true, "/layers/0/mediaType", json!("text/plain"), Code::LayerMediaType),
            (
                true,
                "/layers/0/mediaType",
                json!("application/vnd.docker.image.rootfs.diff.tar.gzip"),
                Code::LayerMediaType,
            ),
            (false, "/rootfs/type", json!("flat"), Code::RootfsType),
            (false, "/rootfs/diff_ids", json!([]), Code::DiffIds),
            (false, "/rootfs/diff_ids/0", json!("x"), Code::DiffIds),
            (false, "/history", json!([]), Code::History),
            (false, "/architecture", json!(""), Code::Platform),
            (false, "/os", Value::Null, Code::Platform),
            (false, "/created", json!("yesterday"), Code::Created),
        ];
        for (in_manifest, pointer, value, code) in rows {
            let (mut manifest, mut config) = (manifest(), config());
            let document = if in_manifest { &mut manifest } else { &mut config };
            *document.pointer_mut(pointer).unwrap() = value;
            let codes: Vec<_> = check_documents(&manifest, &config).into_iter().map(|problem| problem.code).collect();
            assert_eq!(codes, [code], "{pointer}");
        }
        let mut annotated = manifest();
        annotated["annotations"] = json!({"a": 1});
        assert_eq!(check_documents(&annotated, &config())[0].code, Code::Annotations);
    }
}
