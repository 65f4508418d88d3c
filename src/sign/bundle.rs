//! Bundles: a signed statement in sigstore's form, version 0.3.
//!
//! Kept as an artifact whose subject is the image (cosign, `specs/BUNDLE_SPEC.md`). A bundle made by key holds no
//! certificate, log entry or timestamp, only a hint at the key.

use sigstore_bundle::{BundleV03, VerificationMaterialV03};
use sigstore_types::Bundle;
use sigstore_types::bundle::{SignatureContent, VerificationMaterialContent};

use super::dsse::seal_statement;
use super::key::SigningKey;
use super::statement::Statement;
use crate::oci::Artifact;

/// Media type of bundles of version 0.3, also as an artifact type.
pub const BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// How the media type of every bundle begins.
pub(super) const BUNDLE_PREFIX: &str = "application/vnd.dev.sigstore.bundle";

/// Predicate type of a statement that says no more than that somebody signs the image.
pub const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";

/// What a bundle was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    /// A key that the reader must have.
    Key,
    /// A certificate that tells an identity.
    Certificate,
}

/// Signs a statement by key.
pub(super) fn seal(statement: &Statement, key: &SigningKey) -> Bundle {
    let envelope = seal_statement(&statement.to_bytes(), key);
    let material = VerificationMaterialV03::PublicKey { hint: key.public().hint() };
    BundleV03::new(material, SignatureContent::DsseEnvelope(envelope)).into_bundle()
}

pub(super) fn maker(bundle: &Bundle) -> Maker {
    match bundle.verification_material.content {
        VerificationMaterialContent::PublicKey(_) => Maker::Key,
        _ => Maker::Certificate,
    }
}

/// The artifact that a bundle is kept in. `created` is a time in RFC 3339 form.
pub(super) fn artifact(bundle: &Bundle, predicate_type: &str, created: Option<&str>) -> Artifact {
    let json = bundle.to_json().expect("a bundle has a JSON form");
    let artifact = Artifact::new(BUNDLE_TYPE)
        .blob(BUNDLE_TYPE, json)
        .annotation("dev.sigstore.bundle.content", "dsse-envelope")
        .annotation("dev.sigstore.bundle.predicateType", predicate_type);
    match created {
        Some(created) => artifact.annotation("org.opencontainers.image.created", created),
        None => artifact,
    }
}
