//! `imgbuild sign` and `imgbuild attest`.

use std::io::Read as _;

use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};

use super::error::{CliError, chain};
use super::{Context, exit};
use crate::build::Project;
use crate::build::signing::{self, Attestation, BuilderId, SigningError, keys};
use crate::model::ImageLocator;
use crate::sys::{dirs, terminal};

/// No predicate is larger.
const PREDICATE_LIMIT: u64 = 96 << 20;

/// Options of everything that signs.
#[derive(Debug, clap::Args)]
struct Signing {
    /// The private key: PKCS#8 or cosign's encrypted form, in PEM
    #[arg(long, value_name = "FILE")]
    key: Utf8PathBuf,
    /// Registry and path the image is meant for, without a tag [default: `to` of [publish] and the image's name]
    #[arg(long, value_name = "REPOSITORY")]
    repository: Option<String>,
}

/// Sign images with a key, so that every reader of signatures finds one it knows
///
/// Beside each image are put the older signature (simple signing, tag sha256-….sig) that podman, skopeo and bootc read,
/// and a bundle that refers to the image, which cosign 3 prefers. Signing again with the same key changes nothing. No
/// network is used and nothing is logged anywhere.
#[derive(Debug, clap::Args)]
pub(super) struct SignArgs {
    /// Names in the store, or oci:PATH[:REF]
    #[arg(required = true)]
    images: Vec<String>,
    #[command(flatten)]
    signing: Signing,
}

/// Attest something about an image, signed with a key
///
/// The statement is put beside the image as a bundle that refers to it. Without --predicate, for slsaprovenance1 only,
/// it tells how this project built the image: definition, lock, base, packages, kernel, commit and builder.
#[derive(Debug, clap::Args)]
pub(super) struct AttestArgs {
    /// A name in the store, or oci:PATH[:REF]
    image: String,
    /// What is said: a JSON file
    #[arg(long, value_name = "FILE")]
    predicate: Option<Utf8PathBuf>,
    /// What kind of thing: cyclonedx, slsaprovenance1 or the URI of a predicate type
    #[arg(long = "type", value_name = "TYPE")]
    type_: String,
    /// Who built, in provenance [default: the GitLab runner, else a local machine]
    #[arg(long, value_name = "URI", conflicts_with = "predicate")]
    builder_id: Option<String>,
    #[command(flatten)]
    signing: Signing,
}

pub(super) fn locator(text: &str) -> Result<ImageLocator, CliError> {
    text.parse().map_err(|error| CliError::new(exit::USAGE, chain(&error)))
}

/// The project, where there is one: images of other layouts are signed without.
pub(super) fn project(context: &Context) -> Result<Option<Project>, CliError> {
    let is_there = dirs::exists(&context.global.project.join("imgbuild.toml"));
    is_there.then(|| context.project()).transpose()
}

impl SignArgs {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let Signing { key, repository } = self.signing;
        if repository.is_some() && self.images.len() > 1 {
            return Err(CliError::new(exit::USAGE, "error: --repository is for one image; give `to` in [publish]"));
        }
        let locators = self.images.iter().map(|image| locator(image)).collect::<Result<Vec<_>, _>>()?;
        let key = keys::load(&key, &terminal::read_secret)?;
        let (session, project) = (context.reading_session()?, project(context)?);
        let mut signed = Vec::with_capacity(locators.len());
        for locator in &locators {
            signed.push(signing::sign(&session, project.as_ref(), locator, repository.as_deref(), &key)?);
        }
        context.print(&signed, |out| {
            signed.iter().try_for_each(|one| {
                writeln!(out, "{}  {}  for {} by key {}", one.image, one.digest, one.repository, one.key)
            })
        })
    }
}

impl AttestArgs {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let image = locator(&self.image)?;
        let project = project(context)?;
        let attestation = match (&self.predicate, &project) {
            (Some(path), _) => Attestation::Predicate(
                signing::predicate(&self.type_, &read(path)?)
                    .map_err(|source| SigningError::Sign { image: path.to_string(), source })
                    .map_err(crate::build::BuildError::from)?,
            ),
            (None, Some(project)) if signing::is_provenance(&self.type_) => {
                Attestation::Provenance(project, BuilderId::of(self.builder_id))
            }
            (None, None) if signing::is_provenance(&self.type_) => {
                return Err(CliError::new(
                    exit::USAGE,
                    "error: there is no imgbuild.toml here that tells how it was built",
                ));
            }
            (None, _) => {
                return Err(CliError::new(exit::USAGE, "error: only slsaprovenance1 is made here; give --predicate"));
            }
        };
        let key = keys::load(&self.signing.key, &terminal::read_secret)?;
        let session = context.reading_session()?;
        let repository = self.signing.repository.as_deref();
        let attested = signing::attest(&session, project.as_ref(), &image, repository, attestation, &key)?;
        context.print(&attested, |out| {
            writeln!(
                out,
                "{}  {}  {} for {}",
                attested.image, attested.digest, attested.predicate_type, attested.repository
            )
        })
    }
}

fn read(path: &Utf8Path) -> Result<Vec<u8>, CliError> {
    let failed = |error: &std::io::Error| CliError::new(exit::FAILURE, format!("error: reading `{path}`: {error}"));
    let mut bytes = Vec::new();
    let file = dirs::open_file(path).map_err(|error| failed(&error))?;
    file.take(PREDICATE_LIMIT).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    Ok(bytes)
}
