//! Simple signing: the older form, the only one that podman, skopeo and bootc read.
//!
//! A manifest under the tag `sha256-<hex>.sig` beside the image, a layer for each signature; the layer is what was
//! signed, its annotations hold the signature (cosign, `specs/SIGNATURE_SPEC.md`; containers-signature(5)).

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use oci_spec::image::{Descriptor, Digest, ImageManifest, MediaType};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::SignError;
use super::key::SigningKey;
use crate::oci::{Layout, sha256};

/// Media type of what was signed.
pub(super) const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Media type of the envelope in an older attestation.
pub(super) const ENVELOPE_TYPE: &str = "application/vnd.dsse.envelope.v1+json";
/// Annotation with the signature in base64.
pub(super) const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// Annotation with the certificate, where the signature was made by an identity.
pub(super) const CERTIFICATE_ANNOTATION: &str = "dev.sigstore.cosign/certificate";

const TYPE: &str = "cosign container image signature";

/// The tag that cosign keeps signatures of an image under; `suffix` is `sig` or `att`.
pub fn tag_of(image: &Digest, suffix: &str) -> String {
    format!("{}-{}.{suffix}", image.algorithm(), image.digest())
}

/// What is signed: an image and the repository that its signer meant it for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Payload {
    critical: Critical,
    #[serde(default)]
    optional: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    identity: Identity,
    image: SignedImage,
    #[serde(rename = "type")]
    type_: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SignedImage {
    docker_manifest_digest: String,
}

impl Payload {
    pub(super) fn new(repository: &str, image: &Digest) -> Self {
        Self {
            critical: Critical {
                identity: Identity { docker_reference: repository.to_owned() },
                image: SignedImage { docker_manifest_digest: image.to_string() },
                type_: TYPE.to_owned(),
            },
            optional: None,
        }
    }

    /// Reads what was signed; `None` when it is something else.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let payload: Self = serde_json::from_slice(bytes).ok()?;
        // What podman writes is called otherwise (containers-signature(5)).
        matches!(payload.critical.type_.as_str(), TYPE | "atomic container signature").then_some(payload)
    }

    pub(super) fn reference(&self) -> &str {
        &self.critical.identity.docker_reference
    }

    pub(super) fn image(&self) -> &str {
        &self.critical.image.docker_manifest_digest
    }
}

/// Adds a signature of `image` to those that are there; the same again changes nothing.
pub(super) fn add(
    layout: &Layout,
    image: &Digest,
    repository: &str,
    key: &SigningKey,
) -> Result<Descriptor, SignError> {
    let name = tag_of(image, "sig");
    let mut manifest = match layout.resolve(&name)? {
        Some(descriptor) => layout.read_manifest(&descriptor)?,
        None => empty_manifest(),
    };
    let payload = serde_json::to_vec(&Payload::new(repository, image)).expect("text has a JSON form");
    let signature = BASE64_STANDARD.encode(key.sign(&payload));
    let mut layer = layout.write_blob(&payload, MediaType::from(PAYLOAD_TYPE))?;
    layer.set_annotations(Some(HashMap::from([(SIGNATURE_ANNOTATION.to_owned(), signature)])));
    let mut layers = manifest.layers().clone();
    if !layers.contains(&layer) {
        layers.push(layer);
    }
    manifest.set_config(layout.write_json(&config(&layers), MediaType::ImageConfig)?);
    manifest.set_layers(layers);
    let descriptor = layout.write_json(&manifest, MediaType::ImageManifest)?;
    layout.tag(&name, descriptor.clone())?;
    Ok(descriptor)
}

fn empty_manifest() -> ImageManifest {
    let config = json!({"mediaType": MediaType::ImageConfig, "digest": sha256(b""), "size": 0});
    let manifest = json!({"schemaVersion": 2, "mediaType": MediaType::ImageManifest, "config": config, "layers": []});
    serde_json::from_value(manifest).expect("all required fields are set")
}

/// The configuration that registries and readers of images expect: it lists what the layers hold.
fn config(layers: &[Descriptor]) -> Value {
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.digest().to_string()).collect();
    json!({"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}})
}
