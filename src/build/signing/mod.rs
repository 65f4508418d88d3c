//! Keys, signatures and attestations of images in layouts, and what hosts make of them.

mod error;
pub mod keys;
pub mod policy;
mod provenance;
mod verify;

use cap_std::fs_utf8::camino::Utf8Path;
use oci_spec::image::Descriptor;
use serde::Serialize;

pub use error::SigningError;
pub use provenance::BuilderId;
pub use verify::{IdentityRule, Report, VerifySettings, verify};

use super::audit::{Event, Verb};
use super::error::io;
use super::{BuildError, Project, Session, chain};
use crate::model::{ImageLocator, Reference};
use crate::oci::layout::{LayoutError, attached_to};
use crate::oci::{Image, Layout};
use crate::sign::{self, PROVENANCE, Predicate, SignError, Signed, SigningKey};
pub use crate::sign::{Consumer, SubjectRule, WantedIdentity};
use crate::sys::dirs;

/// What was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SignedImage {
    /// As it was asked for.
    pub image: String,
    /// Digest of its manifest.
    pub digest: String,
    /// The repository it was signed for.
    pub repository: String,
    /// Fingerprint of the key.
    pub key: String,
    /// Digests of the two signatures.
    #[serde(flatten)]
    pub signed: Signed,
}

/// What was attested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AttestedImage {
    /// As it was asked for.
    pub image: String,
    /// Digest of its manifest.
    pub digest: String,
    /// The repository it was attested for.
    pub repository: String,
    /// Type of what was said.
    pub predicate_type: String,
    /// Digest of the artifact.
    pub attestation: String,
}

/// Signs an image in the store or in a layout, where it lies.
///
/// # Errors
/// When it is not there, it is not known for which repository it is, or writing fails.
pub fn sign(
    session: &Session,
    project: Option<&Project>,
    locator: &ImageLocator,
    repository: Option<&str>,
    key: &SigningKey,
) -> Result<SignedImage, BuildError> {
    let step = session.step(format!("sign {locator}"))?;
    let (layout, image) = open(session, locator)?;
    let repository = repository_of(project, locator, repository)?.ok_or_else(|| no_repository(locator))?;
    let signed = {
        let _lock = session.store.lock_index()?;
        sign::sign(&layout, &image, &repository, key).map_err(failed(locator))?
    };
    let fingerprint = key.public().fingerprint();
    let event = Event::new(Verb::Sign, locator.to_string()).digest(image.digest());
    session.audit(event.detail(format!("for {repository} by key {fingerprint}")))?;
    step.finish(repository.clone());
    let digest = image.digest().to_string();
    Ok(SignedImage { image: locator.to_string(), digest, repository, key: fingerprint, signed })
}

/// What is attested about an image.
#[derive(Debug)]
pub enum Attestation<'a> {
    /// This.
    Predicate(Predicate),
    /// How this project built it.
    Provenance(&'a Project, BuilderId),
}

/// A predicate from a file's bytes; `type_` is `cyclonedx`, `slsaprovenance1` or a URI.
///
/// # Errors
/// When it is not JSON, or plainly not of that type.
pub fn predicate(type_: &str, bytes: &[u8]) -> Result<Predicate, SignError> {
    Predicate::parse(type_, bytes)
}

/// Whether a name stands for provenance, which is made here when it is not given.
pub fn is_provenance(type_: &str) -> bool {
    sign::predicate_type(type_) == PROVENANCE
}

/// Attests something about an image in the store or in a layout.
///
/// # Errors
/// As for [`sign`]; also when provenance is asked for of an image that the project does not build.
pub fn attest(
    session: &Session,
    project: Option<&Project>,
    locator: &ImageLocator,
    repository: Option<&str>,
    attestation: Attestation<'_>,
    key: &SigningKey,
) -> Result<AttestedImage, BuildError> {
    let step = session.step(format!("attest {locator}"))?;
    let (layout, image) = open(session, locator)?;
    let repository = repository_of(project, locator, repository)?.ok_or_else(|| no_repository(locator))?;
    let predicate = match attestation {
        Attestation::Predicate(predicate) => predicate,
        Attestation::Provenance(project, builder) => provenance::of(project, locator, &image, &builder)?,
    };
    let written: Descriptor = {
        let _lock = session.store.lock_index()?;
        sign::attest(&layout, &image, &repository, &predicate, key).map_err(failed(locator))?
    };
    let event = Event::new(Verb::Attest, locator.to_string()).digest(image.digest());
    session.audit(event.detail(format!("{} by key {}", predicate.type_(), key.public().fingerprint())))?;
    step.finish(predicate.type_().to_owned());
    Ok(AttestedImage {
        image: locator.to_string(),
        digest: image.digest().to_string(),
        repository,
        predicate_type: predicate.type_().to_owned(),
        attestation: written.digest().to_string(),
    })
}

fn failed(locator: &ImageLocator) -> impl FnOnce(sign::SignError) -> SigningError {
    move |source| SigningError::Sign { image: locator.to_string(), source }
}

fn no_repository(locator: &ImageLocator) -> SigningError {
    SigningError::NoRepository { image: locator.to_string() }
}

/// Opens an image where it lies: a copy would leave behind what refers to it.
fn open(session: &Session, locator: &ImageLocator) -> Result<(Layout, Image), BuildError> {
    match locator {
        ImageLocator::Store(name) => {
            let layout = chain::open_layout(session)?;
            let image = chain::find(&layout, name)?.ok_or_else(|| BuildError::NoSuchImage { image: name.clone() })?;
            Ok((layout, image))
        }
        ImageLocator::OciLayout { path, reference } => {
            let path = Utf8Path::new(path);
            let dir = dirs::open(path).map_err(io("opening the layout", path))?;
            let failed = |source| BuildError::Layout { image: locator.to_string(), what: "opening its layout", source };
            let layout = Layout::open(dir).map_err(failed)?;
            let image = match reference {
                Some(name) => Image::by_name(&layout, name, None)?,
                None => only_image(&layout, locator)?,
            };
            Ok((layout, image))
        }
        _ => Err(SigningError::NotInALayout { image: locator.to_string() }.into()),
    }
}

/// The only image there is besides what refers to it.
fn only_image(layout: &Layout, locator: &ImageLocator) -> Result<Image, BuildError> {
    let failed = |source: LayoutError| BuildError::Layout { image: locator.to_string(), what: "reading", source };
    let mut found: Vec<(String, Image)> = Vec::new();
    for entry in layout.index().map_err(failed)?.manifests() {
        let annotations = entry.annotations().as_ref();
        let name = annotations.and_then(|all| all.get(crate::oci::layout::REF_NAME)).cloned().unwrap_or_default();
        if attached_to(&name).is_some() || entry.artifact_type().is_some() {
            continue;
        }
        match Image::load(layout, entry, None) {
            Ok(image) if image.manifest().subject().is_none() => found.push((name, image)),
            // Referrers, and indexes of them.
            _ => {}
        }
    }
    found.dedup_by(|left, right| left.1.digest() == right.1.digest());
    match <[_; 1]>::try_from(found) {
        Ok([(_, image)]) => Ok(image),
        Err(several) => {
            let names = several.into_iter().map(|(name, _)| name).collect();
            Err(SigningError::NotOneImage { image: locator.to_string(), names }.into())
        }
    }
}

/// The repository an image is published in: as given, else by the definition.
fn repository_of(
    project: Option<&Project>,
    locator: &ImageLocator,
    given: Option<&str>,
) -> Result<Option<String>, SigningError> {
    let publish = project.and_then(|project| project.definition.project.publish.as_ref());
    match (given, publish, locator) {
        (Some(text), _, _) => checked_repository(text).map(Some),
        (None, Some(publish), ImageLocator::Store(name)) => Ok(Some(format!("{}/{name}", publish.to))),
        _ => Ok(None),
    }
}

fn checked_repository(text: &str) -> Result<String, SigningError> {
    let wrong = || SigningError::Repository { text: text.to_owned() };
    let reference: Reference = text.parse().map_err(|_| wrong())?;
    // What is signed must be what registries are asked for; a short name would be completed by each reader its own way.
    let whole = format!("{}/{}", reference.registry(), reference.repository());
    if whole == text { Ok(whole) } else { Err(wrong()) }
}
