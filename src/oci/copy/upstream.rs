//! Whether an upstream is to be trusted, asked before any of its content is fetched.

use serde::{Deserialize, Serialize};

use super::error::BoxError;
use crate::model::ImageLocator;
use crate::oci::source::RawManifest;

/// What a verifier gets to see: manifests whose digests have been checked, and nothing else of the image.
#[derive(Debug, Clone, Copy)]
pub struct Upstream<'a> {
    /// As the user named it.
    pub requested: &'a ImageLocator,
    /// The index the name led to, if it did; signatures are often on this one only.
    pub index: Option<&'a RawManifest>,
    /// The manifest of the image for the platform.
    pub manifest: &'a RawManifest,
}

/// Decides whether an upstream is trusted.
pub trait UpstreamVerifier: Sync {
    /// Checks signatures on the upstream's manifests.
    ///
    /// # Errors
    /// When it is not trusted, or when that cannot be found out. Nothing is copied then.
    fn verify(&self, upstream: &Upstream<'_>) -> Result<Verification, BoxError>;
}

/// What was found out about the origin of an image; travels with the result, so that an absence is never silent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the variants name their fields")]
pub enum Verification {
    /// No signature was looked for. Digests guard the transfer, nothing vouches for the origin.
    Unverified,
    /// A signature by this key or identity holds.
    Verified { by: String },
}

/// Trusts whatever the reference leads to, and says so in the result.
#[derive(Debug, Clone, Copy, Default)]
pub struct AcceptUnverified;

impl UpstreamVerifier for AcceptUnverified {
    fn verify(&self, _upstream: &Upstream<'_>) -> Result<Verification, BoxError> {
        Ok(Verification::Unverified)
    }
}
