//! Small images made in memory, true or with chosen lies.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

pub(crate) fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Bytes that do not compress, the same on every run.
pub(crate) fn noise(length: usize, seed: u32) -> Vec<u8> {
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    std::iter::successors(Some(seed), next).skip(1).take(length).map(|state| state.to_be_bytes()[0]).collect()
}

pub(crate) fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, name, content).unwrap();
    builder.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Everything a registry repository or a layout holds: blobs by digest, manifests by digest or tag.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contents {
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    pub(crate) manifests: BTreeMap<String, (String, Vec<u8>)>,
}

/// One image whose parts may be changed before [`Contents::add`] ties them together.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) config: Value,
    pub(crate) layers: Vec<(String, Vec<u8>)>,
    pub(crate) media_type: String,
    pub(crate) config_media_type: String,
}

impl Image {
    /// Three layers, one of each compression; the first is larger than any buffer on its way.
    pub(crate) fn new(architecture: &str) -> Self {
        let tars = [tar("large", &noise(700_000, 7)), tar("arch", architecture.as_bytes()), tar("z", &[b'z'; 5000])];
        let diff_ids = tars.iter().map(|tar| digest(tar)).collect::<Vec<_>>();
        let [first, second, third] = tars;
        Self {
            config: json!({
                "architecture": architecture, "os": "linux", "config": {},
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
            }),
            layers: vec![
                (format!("{LAYER}+gzip"), gzip(&first)),
                (LAYER.to_owned(), second),
                (format!("{LAYER}+zstd"), zstd::encode_all(third.as_slice(), 0).unwrap()),
            ],
            media_type: MANIFEST.to_owned(),
            config_media_type: CONFIG.to_owned(),
        }
    }

    /// The same as docker writes it: its own media types, gzip only.
    pub(crate) fn docker(architecture: &str) -> Self {
        let mut image = Self::new(architecture);
        image.layers.truncate(1);
        image.config["rootfs"]["diff_ids"].as_array_mut().unwrap().truncate(1);
        image.layers[0].0 = "application/vnd.docker.image.rootfs.diff.tar.gzip".to_owned();
        image.config_media_type = "application/vnd.docker.container.image.v1+json".to_owned();
        image.media_type = "application/vnd.docker.distribution.manifest.v2+json".to_owned();
        image
    }

    /// A BuildKit attestation, which is in an index without being an image.
    pub(crate) fn attestation() -> Self {
        let mut image = Self::new("unknown");
        image.config =
            json!({"architecture": "unknown", "os": "unknown", "rootfs": {"type": "layers", "diff_ids": []}});
        image.layers = vec![("application/vnd.in-toto+json".to_owned(), b"{}".to_vec())];
        image
    }

    pub(crate) fn config_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.config).unwrap()
    }

    pub(crate) fn layer_digest(&self, index: usize) -> String {
        digest(&self.layers[index].1)
    }

    pub(crate) fn manifest(&self) -> Value {
        let layers = self.layers.iter().map(|(media_type, bytes)| descriptor(media_type, bytes));
        json!({
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "config": descriptor(&self.config_media_type, &self.config_bytes()),
            "layers": layers.collect::<Vec<_>>(),
        })
    }
}

pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

impl Contents {
    /// Adds an image and returns the descriptor of its manifest.
    pub(crate) fn add(&mut self, image: &Image, tag: Option<&str>) -> Value {
        self.add_with(image, &image.manifest(), tag)
    }

    /// The same with a manifest of the caller's.
    pub(crate) fn add_with(&mut self, image: &Image, manifest: &Value, tag: Option<&str>) -> Value {
        for bytes in image.layers.iter().map(|layer| layer.1.clone()).chain([image.config_bytes()]) {
            self.blobs.insert(digest(&bytes), bytes);
        }
        self.add_manifest(&image.media_type, &serde_json::to_vec(manifest).unwrap(), tag)
    }

    pub(crate) fn add_manifest(&mut self, media_type: &str, bytes: &[u8], tag: Option<&str>) -> Value {
        for name in [Some(digest(bytes).as_str()), tag].into_iter().flatten() {
            self.manifests.insert(name.to_owned(), (media_type.to_owned(), bytes.to_vec()));
        }
        descriptor(media_type, bytes)
    }

    /// An index of images for two platforms and an attestation between them.
    pub(crate) fn add_index(&mut self, tag: &str) -> Value {
        let entry = |mut descriptor: Value, os: &str, architecture: &str| {
            descriptor["platform"] = json!({"os": os, "architecture": architecture});
            descriptor
        };
        let entries = [
            entry(self.add(&Image::new("arm64"), None), "linux", "arm64"),
            entry(self.add(&Image::attestation(), None), "unknown", "unknown"),
            entry(self.add(&Image::new("amd64"), None), "linux", "amd64"),
        ];
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
        self.add_manifest(INDEX, &serde_json::to_vec(&index).unwrap(), Some(tag))
    }

    /// Writes everything out as an OCI image layout, the tagged manifests named in its index.
    #[expect(clippy::disallowed_methods, reason = "a fixture is written for another program to read")]
    pub(crate) fn write_layout(&self, path: &Path) {
        let blobs = path.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).unwrap();
        let manifests = self.manifests.values().map(|(_, bytes)| bytes);
        for bytes in self.blobs.values().chain(manifests) {
            std::fs::write(blobs.join(&digest(bytes)[7..]), bytes).unwrap();
        }
        let tagged = self.manifests.iter().filter(|(name, _)| !name.contains(':'));
        let entries = tagged.map(|(tag, (media_type, bytes))| {
            let mut entry = descriptor(media_type, bytes);
            entry["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
            entry
        });
        let index = json!({"schemaVersion": 2, "manifests": entries.collect::<Vec<_>>()});
        std::fs::write(path.join("index.json"), index.to_string()).unwrap();
        std::fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
    }
}
