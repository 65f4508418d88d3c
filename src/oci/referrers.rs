//! Artifacts that refer to an image: signatures, attestations, SBOMs, kept beside it in the same layout.
//!
//! The form is the image specification's ("Guidelines for Artifact Usage" and `subject` in `manifest.md`): a manifest
//! with an `artifactType`, the empty configuration, blobs as layers, and the image as its `subject`. In a layout it is
//! listed in `index.json` without a name; [`Layout::sweep`] keeps it while its subject is kept.
//!
//! What an index says about a referrer is for other readers: cosign up to 3.1.2 writes the configuration's media type
//! where the artifact type belongs, so here only the manifest itself is believed.

use std::collections::{BTreeMap, HashMap};

use oci_spec::image::{Descriptor, Digest, ImageManifest, MediaType};
use serde_json::json;

use super::document::{Content, DocumentKind, parse_document};
use super::layout::{Layout, LayoutError};

/// The content of the empty configuration.
const EMPTY: &[u8] = b"{}";

/// An artifact to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Artifact {
    artifact_type: MediaType,
    blobs: Vec<Blob>,
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Blob {
    media_type: MediaType,
    bytes: Vec<u8>,
    annotations: BTreeMap<String, String>,
}

/// What becomes of older referrers of the same subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attach {
    /// They stay: anyone may sign.
    Beside,
    /// Those of the same artifact type are no longer listed: there is one of this kind.
    InPlaceOfItsType,
}

/// An artifact that refers to an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Referrer {
    /// Its manifest, as the index lists it.
    pub descriptor: Descriptor,
    /// Its manifest, verified.
    pub manifest: ImageManifest,
}

impl Artifact {
    /// An artifact without content.
    pub fn new(artifact_type: impl Into<MediaType>) -> Self {
        Self { artifact_type: artifact_type.into(), blobs: Vec::new(), annotations: BTreeMap::new() }
    }

    /// Adds content.
    pub fn blob(self, media_type: impl Into<MediaType>, bytes: impl Into<Vec<u8>>) -> Self {
        self.annotated_blob(media_type, bytes, BTreeMap::new())
    }

    /// Adds content whose descriptor has annotations.
    pub fn annotated_blob(
        mut self,
        media_type: impl Into<MediaType>,
        bytes: impl Into<Vec<u8>>,
        annotations: BTreeMap<String, String>,
    ) -> Self {
        self.blobs.push(Blob { media_type: media_type.into(), bytes: bytes.into(), annotations });
        self
    }

    /// Sets an annotation of the manifest.
    pub fn annotation(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(name.into(), value.into());
        self
    }
}

impl Referrer {
    /// What it is: the manifest's artifact type, else its configuration's media type (image specification,
    /// `descriptor.md` on `artifactType`).
    pub fn artifact_type(&self) -> &MediaType {
        self.manifest.artifact_type().as_ref().unwrap_or_else(|| self.manifest.config().media_type())
    }

    /// Its only blob; `None` when there is another number of them.
    pub fn only_blob(&self) -> Option<&Descriptor> {
        match self.manifest.layers().as_slice() {
            [blob] => Some(blob),
            _ => None,
        }
    }
}

impl Layout {
    /// Writes an artifact whose subject is `subject` and lists it without a name.
    ///
    /// The same artifact written again is the same manifest and changes nothing. Between processes the caller holds
    /// the lock under which the index changes.
    ///
    /// # Errors
    /// When the subject is not in the layout, or reading or writing fails; then nothing is listed.
    pub fn attach(&self, subject: &Descriptor, artifact: &Artifact, mode: Attach) -> Result<Descriptor, LayoutError> {
        self.require_blob(subject)?;
        let replaced = match mode {
            Attach::Beside => Vec::new(),
            Attach::InPlaceOfItsType => self.referrers_of_type(subject.digest(), &artifact.artifact_type)?,
        };
        let descriptor = self.write_artifact(subject, artifact)?;
        self.relist(&replaced.into_iter().map(|old| old.descriptor).collect::<Vec<_>>(), descriptor.clone())?;
        Ok(descriptor)
    }

    /// Writes the artifact's blobs and manifest; lists nothing.
    fn write_artifact(&self, subject: &Descriptor, artifact: &Artifact) -> Result<Descriptor, LayoutError> {
        let config = self.write_blob(EMPTY, MediaType::EmptyJSON)?;
        let mut layers = Vec::with_capacity(artifact.blobs.len());
        for blob in &artifact.blobs {
            let mut layer = self.write_blob(&blob.bytes, blob.media_type.clone())?;
            layer.set_annotations(annotations(&blob.annotations));
            layers.push(layer);
        }
        if layers.is_empty() {
            // A list of layers should not be empty; the empty blob stands in (`manifest.md`).
            layers.push(config.clone());
        }
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::ImageManifest,
            "artifactType": artifact.artifact_type,
            "config": config,
            "layers": layers,
            // Only what identifies it: how an index lists the subject is not the artifact's business.
            "subject": Descriptor::new(subject.media_type().clone(), subject.size(), subject.digest().clone()),
        });
        if !artifact.annotations.is_empty() {
            manifest["annotations"] = json!(artifact.annotations);
        }
        let mut descriptor = self.write_json(&manifest, MediaType::ImageManifest)?;
        descriptor.set_artifact_type(Some(artifact.artifact_type.clone()));
        descriptor.set_annotations(annotations(&artifact.annotations));
        Ok(descriptor)
    }

    /// Everything in the index, named or not, whose subject is `subject`; in the order of the index.
    ///
    /// # Errors
    /// When the index, or a manifest that it lists without a name, cannot be read or is not what its descriptor says.
    pub fn referrers(&self, subject: &Digest) -> Result<Vec<Referrer>, LayoutError> {
        let mut found = Vec::new();
        for entry in self.index()?.manifests() {
            if DocumentKind::of_media_type(entry.media_type()).is_none() {
                continue;
            }
            let document = parse_document(&self.read_document(entry)?, entry.media_type())?;
            if let Content::Manifest(manifest) = document.content
                && manifest.subject().as_ref().is_some_and(|found| found.digest() == subject)
            {
                found.push(Referrer { descriptor: entry.clone(), manifest: *manifest });
            }
        }
        Ok(found)
    }

    /// Those of [`Layout::referrers`] that are of one type, by their own manifest.
    ///
    /// # Errors
    /// As for [`Layout::referrers`].
    pub fn referrers_of_type(&self, subject: &Digest, artifact_type: &MediaType) -> Result<Vec<Referrer>, LayoutError> {
        let mut found = self.referrers(subject)?;
        found.retain(|referrer| referrer.artifact_type() == artifact_type);
        Ok(found)
    }
}

fn annotations(map: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    (!map.is_empty()).then(|| map.clone().into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Read;

    use super::super::layout::SweepMode;
    use super::super::testing::layout;
    use super::*;

    const SBOM: &str = "application/vnd.cyclonedx+json";
    const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

    fn image(layout: &Layout, what: &str) -> Descriptor {
        let config = layout.write_json(&json!({"what": what}), MediaType::ImageConfig).unwrap();
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": []});
        layout.write_json(&manifest, MediaType::ImageManifest).unwrap()
    }

    fn sbom(text: &str) -> Artifact {
        Artifact::new(SBOM).blob(SBOM, text).annotation("org.example.made", "today")
    }

    fn texts(layout: &Layout, subject: &Descriptor, artifact_type: &str) -> Vec<String> {
        let found = layout.referrers_of_type(subject.digest(), &MediaType::from(artifact_type)).unwrap();
        let read = |referrer: &Referrer| {
            let mut text = String::new();
            layout.open_blob(referrer.only_blob().unwrap()).unwrap().read_to_string(&mut text).unwrap();
            text
        };
        let mut texts: Vec<_> = found.iter().map(read).collect();
        texts.sort();
        texts
    }

    #[test]
    fn an_artifact_is_what_the_specification_says() {
        let (_folder, layout) = layout();
        let mut subject = image(&layout, "a");
        subject.set_platform(Some(serde_json::from_value(json!({"os": "linux", "architecture": "amd64"})).unwrap()));
        layout.tag("tier1/a", subject.clone()).unwrap();
        let written = layout.attach(&subject, &sbom("{}"), Attach::Beside).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&layout.read_document(&written).unwrap()).unwrap();
        let empty = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(
            manifest,
            json!({
                "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": SBOM,
                "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2},
                "layers": [{"mediaType": SBOM, "digest": empty, "size": 2}],
                "subject": {"mediaType": "application/vnd.oci.image.manifest.v1+json",
                            "digest": subject.digest(), "size": subject.size()},
                "annotations": {"org.example.made": "today"},
            })
        );
        let index = layout.index().unwrap();
        let listed = index.manifests().iter().find(|entry| entry.digest() == written.digest()).unwrap();
        assert_eq!(
            serde_json::to_value(listed).unwrap(),
            json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": SBOM,
                "digest": written.digest(), "size": written.size(),
                "annotations": {"org.example.made": "today"},
            })
        );
        assert_eq!(layout.names().unwrap().len(), 1, "a referrer has no name");
    }

    #[test]
    fn referrers_are_told_apart_by_their_own_words() {
        let (_folder, layout) = layout();
        let (a, b) = (image(&layout, "a"), image(&layout, "b"));
        layout.tag_all([("a", a.clone()), ("b", b.clone())]).unwrap();
        let mut signature = layout.attach(&a, &Artifact::new(BUNDLE).blob(BUNDLE, "signed"), Attach::Beside).unwrap();
        // As cosign up to 3.1.2 lists it.
        signature.set_artifact_type(Some(MediaType::EmptyJSON));
        signature.set_annotations(None);
        layout.list(signature).unwrap();
        layout.attach(&a, &sbom("of a"), Attach::Beside).unwrap();
        layout.attach(&b, &sbom("of b"), Attach::Beside).unwrap();
        assert_eq!(texts(&layout, &a, BUNDLE), ["signed"]);
        assert_eq!(texts(&layout, &a, SBOM), ["of a"]);
        assert_eq!(texts(&layout, &b, SBOM), ["of b"]);
        assert_eq!(layout.referrers(a.digest()).unwrap().len(), 2);
    }

    #[test]
    fn the_same_again_changes_nothing_and_a_new_one_replaces_its_kind() {
        let (_folder, layout) = layout();
        let a = image(&layout, "a");
        layout.tag("a", a.clone()).unwrap();
        layout.attach(&a, &Artifact::new(BUNDLE).blob(BUNDLE, "signed"), Attach::Beside).unwrap();
        layout.attach(&a, &sbom("1"), Attach::InPlaceOfItsType).unwrap();
        let before = layout.index().unwrap();
        layout.attach(&a, &sbom("1"), Attach::InPlaceOfItsType).unwrap();
        layout.attach(&a, &sbom("1"), Attach::Beside).unwrap();
        assert_eq!(layout.index().unwrap(), before);
        layout.attach(&a, &sbom("2"), Attach::InPlaceOfItsType).unwrap();
        assert_eq!(texts(&layout, &a, SBOM), ["2"]);
        assert_eq!(texts(&layout, &a, BUNDLE), ["signed"], "other kinds stay");
        layout.attach(&a, &sbom("3"), Attach::Beside).unwrap();
        assert_eq!(texts(&layout, &a, SBOM), ["2", "3"]);
    }

    #[test]
    fn a_referrer_lives_as_long_as_its_subject() {
        let (_folder, layout) = layout();
        let (a, b) = (image(&layout, "a"), image(&layout, "b"));
        layout.tag_all([("a", a.clone()), ("b", b.clone())]).unwrap();
        let of_a = layout.attach(&a, &sbom("of a"), Attach::Beside).unwrap();
        // An attestation about the SBOM lives with it.
        layout.attach(&of_a, &Artifact::new(BUNDLE).blob(BUNDLE, "about it"), Attach::Beside).unwrap();
        layout.attach(&b, &sbom("of b"), Attach::Beside).unwrap();
        assert_eq!(layout.sweep(&BTreeSet::new(), SweepMode::Delete).unwrap().blobs, []);
        layout.remove_name("a").unwrap();
        let garbage = layout.sweep(&BTreeSet::new(), SweepMode::Delete).unwrap();
        assert_eq!(garbage.referrers.len(), 2);
        assert_eq!(texts(&layout, &b, SBOM), ["of b"]);
        assert_eq!(layout.referrers(a.digest()).unwrap(), []);
    }

    #[test]
    fn nothing_is_attached_to_what_is_not_there() {
        let (_folder, layout) = layout();
        let (_elsewhere, other) = super::super::testing::layout();
        let missing = image(&other, "a");
        assert!(matches!(layout.attach(&missing, &sbom("x"), Attach::Beside), Err(LayoutError::MissingBlob { .. })));
        assert_eq!(layout.index().unwrap().manifests(), &[]);
    }

    #[test]
    fn an_artifact_without_content_has_the_empty_layer() {
        let (_folder, layout) = layout();
        let a = image(&layout, "a");
        layout.tag("a", a.clone()).unwrap();
        layout.attach(&a, &Artifact::new(BUNDLE), Attach::Beside).unwrap();
        assert_eq!(texts(&layout, &a, BUNDLE), ["{}"]);
    }
}
