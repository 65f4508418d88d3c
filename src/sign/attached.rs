//! Everything kept beside an image that claims to be signed, read without judging it.

use std::io::Read as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use oci_spec::image::{Descriptor, Digest, ImageManifest};
use sigstore_types::{Bundle, DsseEnvelope};

use super::bundle::BUNDLE_PREFIX;
use super::error::SignError;
use super::simple::{CERTIFICATE_ANNOTATION, ENVELOPE_TYPE, PAYLOAD_TYPE, SIGNATURE_ANNOTATION, tag_of};
use crate::oci::{Layout, LayoutError};

/// No more signatures of one image are read.
const LIMIT: usize = 1000;

/// No signature or attestation is larger; an SBOM in an attestation may well be tens of megabytes.
const SIZE_LIMIT: u64 = 128 << 20;

/// What is kept beside an image.
#[derive(Debug, Default)]
pub(super) struct Attached {
    pub(super) simple: Vec<SimpleSignature>,
    pub(super) bundles: Vec<(Digest, Result<Bundle, String>)>,
    pub(super) envelopes: Vec<(Digest, Result<DsseEnvelope, String>)>,
}

/// One layer under the tag `….sig`.
#[derive(Debug)]
pub(super) struct SimpleSignature {
    pub(super) digest: Digest,
    /// What was signed; an error where it cannot be read.
    pub(super) payload: Result<Vec<u8>, String>,
    /// `None` where there is none, or no base64.
    pub(super) signature: Option<Vec<u8>>,
    pub(super) has_certificate: bool,
}

impl Attached {
    pub(super) fn read(layout: &Layout, image: &Digest) -> Result<Self, SignError> {
        let mut attached = Self::default();
        if let Some(manifest) = tagged(layout, image, "sig")? {
            attached.simple = layers_of(&manifest, PAYLOAD_TYPE).map(|layer| simple(layout, layer)).collect();
        }
        if let Some(manifest) = tagged(layout, image, "att")? {
            let envelopes = layers_of(&manifest, ENVELOPE_TYPE);
            attached.envelopes = envelopes.map(|layer| (layer.digest().clone(), json_of(layout, layer))).collect();
        }
        for referrer in layout.referrers(image)? {
            // By the layer, because not every writer names the artifact type (cosign with some registries).
            if let Some(blob) = referrer.only_blob().filter(|blob| is_bundle(blob)) {
                attached.bundles.push((referrer.descriptor.digest().clone(), json_of(layout, blob)));
            }
        }
        let found = attached.simple.len() + attached.envelopes.len() + attached.bundles.len();
        if found > LIMIT { Err(SignError::TooMany { found, limit: LIMIT }) } else { Ok(attached) }
    }
}

fn is_bundle(blob: &Descriptor) -> bool {
    blob.media_type().to_string().starts_with(BUNDLE_PREFIX)
}

fn tagged(layout: &Layout, image: &Digest, suffix: &str) -> Result<Option<ImageManifest>, LayoutError> {
    layout.resolve(&tag_of(image, suffix))?.map(|descriptor| layout.read_manifest(&descriptor)).transpose()
}

fn layers_of<'m>(manifest: &'m ImageManifest, media_type: &'static str) -> impl Iterator<Item = &'m Descriptor> {
    manifest.layers().iter().filter(move |layer| layer.media_type().to_string() == media_type)
}

fn simple(layout: &Layout, layer: &Descriptor) -> SimpleSignature {
    let annotation = |name: &str| layer.annotations().as_ref().and_then(|annotations| annotations.get(name));
    let signature = annotation(SIGNATURE_ANNOTATION).and_then(|text| BASE64_STANDARD.decode(text.trim()).ok());
    SimpleSignature {
        digest: layer.digest().clone(),
        payload: read(layout, layer),
        signature: signature.filter(|bytes| !bytes.is_empty()),
        has_certificate: annotation(CERTIFICATE_ANNOTATION).is_some_and(|text| !text.is_empty()),
    }
}

fn json_of<T: serde::de::DeserializeOwned>(layout: &Layout, blob: &Descriptor) -> Result<T, String> {
    serde_json::from_slice(&read(layout, blob)?).map_err(|error| error.to_string())
}

/// One signature that cannot be read does not hide the others.
fn read(layout: &Layout, blob: &Descriptor) -> Result<Vec<u8>, String> {
    if blob.size() > SIZE_LIMIT {
        return Err(format!("larger than {SIZE_LIMIT} bytes"));
    }
    let mut bytes = Vec::new();
    let mut reader = layout.open_blob(blob).map_err(|error| error.to_string())?;
    reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}
