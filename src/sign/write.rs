//! Signing an image and saying things about it, in every form that somebody reads.

use oci_spec::image::Descriptor;
use serde::Serialize;
use serde_json::{Value, json};

use super::bundle::{self, SIGNATURE};
use super::error::SignError;
use super::key::SigningKey;
use super::simple;
use super::statement::Statement;
use crate::oci::{Attach, Image, Layout};

/// What was written; equal for the same image, repository and key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Signed {
    /// Digest of the manifest with the older signatures.
    pub signatures: String,
    /// Digest of the artifact with the bundle.
    pub bundle: String,
}

/// Signs an image for `repository`, in both forms: each alone would be invisible to some reader, and cosign 3 ignores
/// the older form as soon as there is any bundle.
///
/// Between processes the caller holds the lock under which the layout's index changes.
///
/// # Errors
/// When the layout cannot be read or written.
pub fn sign(layout: &Layout, image: &Image, repository: &str, key: &SigningKey) -> Result<Signed, SignError> {
    let bundle = say(layout, image, repository, SIGNATURE, json!({}), key)?;
    let signatures = simple::add(layout, image.digest(), repository, key)?;
    Ok(Signed { signatures: signatures.digest().to_string(), bundle: bundle.digest().to_string() })
}

/// Attests something about an image.
///
/// # Errors
/// As for [`sign`].
pub fn attest(
    layout: &Layout,
    image: &Image,
    repository: &str,
    predicate: &Predicate,
    key: &SigningKey,
) -> Result<Descriptor, SignError> {
    say(layout, image, repository, &predicate.type_, predicate.content.clone(), key)
}

fn say(
    layout: &Layout,
    image: &Image,
    repository: &str,
    predicate_type: &str,
    predicate: Value,
    key: &SigningKey,
) -> Result<Descriptor, SignError> {
    let statement = Statement::about_image(repository, image.digest(), predicate_type, predicate);
    let sealed = bundle::seal(&statement, key);
    let created = image.config().created().as_deref();
    let artifact = bundle::artifact(&sealed, predicate_type, created);
    Ok(layout.attach(image.descriptor(), &artifact, Attach::Beside)?)
}

/// Something to be attested.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicate {
    type_: String,
    content: Value,
}

/// Predicate type of CycloneDX documents.
pub const CYCLONEDX: &str = "https://cyclonedx.org/bom";
/// Predicate type of SLSA provenance, version 1.
pub const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// The predicate type that a short name stands for; anything else stands for itself.
pub fn predicate_type(name: &str) -> &str {
    match name {
        "cyclonedx" => CYCLONEDX,
        "slsaprovenance1" => PROVENANCE,
        other => other,
    }
}

impl Predicate {
    /// A predicate from a file's bytes. `name` is a type's URI, `cyclonedx` or `slsaprovenance1`.
    ///
    /// # Errors
    /// When it is not JSON, or plainly not of a type that is known here.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, SignError> {
        let content: Value = serde_json::from_slice(bytes).map_err(SignError::Predicate)?;
        Self::new(predicate_type(name), content)
    }

    /// Its type.
    pub fn type_(&self) -> &str {
        &self.type_
    }

    /// A predicate of this type.
    ///
    /// # Errors
    /// When it plainly is of another type.
    pub fn new(type_: &str, content: Value) -> Result<Self, SignError> {
        let reason = match type_ {
            CYCLONEDX if content["bomFormat"] != "CycloneDX" => Some("it has no `bomFormat` of `CycloneDX`"),
            PROVENANCE if !content["buildDefinition"].is_object() => Some("it has no `buildDefinition`"),
            _ if !content.is_object() => Some("it is not an object"),
            _ => None,
        };
        match reason {
            Some(reason) => Err(SignError::PredicateForm { expected: type_.to_owned(), reason }),
            None => Ok(Self { type_: type_.to_owned(), content }),
        }
    }
}
