//! `imgbuild verify`.

use std::io::Write;

use cap_std::fs_utf8::camino::Utf8PathBuf;
use clap::ValueEnum;

use super::error::{CliError, chain};
use super::sign::{locator, project};
use super::{Context, exit};
use crate::build::signing::{self, Consumer, IdentityRule, Report, SubjectRule, VerifySettings, WantedIdentity, keys};

/// Verify the signatures of an image offline, as every reader would
///
/// Reads the older signatures (tag sha256-….sig), attestations (….att) and bundles. The table tells what imgbuild,
/// cosign 2.5, cosign 3 and podman (also skopeo, buildah, bootc) would say, each with its reason; those named by --as
/// must accept the image, or the command ends with 14.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A name in the store, or oci:PATH[:REF]
    image: String,
    /// A public key that must have signed; of several any one
    #[arg(long, value_name = "FILE", required_unless_present_any = ["policy", "trusted_root"])]
    key: Vec<Utf8PathBuf>,
    #[command(flatten)]
    identity: Identity,
    /// A host's policy.json: decides what podman says, and by whose keys where --key is not given
    #[arg(long, value_name = "FILE", requires = "reference")]
    policy: Option<Utf8PathBuf>,
    /// Where the paths of keys in the policy begin: the root of a host's files
    #[arg(long, value_name = "DIR", default_value = "/", requires = "policy")]
    root: Utf8PathBuf,
    /// The name it is taken by, REGISTRY/REPOSITORY[:TAG] [default: `to` of [publish] and the image's name]
    #[arg(long, value_name = "REFERENCE")]
    reference: Option<String>,
    /// Who must accept it
    #[arg(long = "as", value_name = "READER", value_delimiter = ',', default_value = "imgbuild")]
    readers: Vec<Reader>,
    /// An attestation of this type must be there: cyclonedx, slsaprovenance1 or a URI
    #[arg(long, value_name = "TYPE")]
    attestation: Vec<String>,
    /// Use no network; it never is
    #[arg(long)]
    offline: bool,
}

/// An identity that may have signed instead of a key.
#[derive(Debug, clap::Args)]
struct Identity {
    /// The authorities and logs that may vouch for an identity: a trusted_root.json that came by another way than the image
    #[arg(long, value_name = "FILE", requires = "certificate_oidc_issuer", requires = "subject")]
    trusted_root: Option<Utf8PathBuf>,
    /// The subject that must have signed: for GitLab https://gitlab.com/PROJECT//.gitlab-ci.yml@refs/heads/BRANCH
    #[arg(long, value_name = "SUBJECT", group = "subject", requires = "trusted_root")]
    certificate_identity: Option<String>,
    /// A pattern that must match the whole subject
    #[arg(long, value_name = "REGEXP", group = "subject", requires = "trusted_root")]
    certificate_identity_regexp: Option<String>,
    /// Who vouched for the subject
    #[arg(long, value_name = "URL", requires = "trusted_root")]
    certificate_oidc_issuer: Option<String>,
    /// The number of the CI project: names can be taken over, numbers cannot
    #[arg(long, value_name = "NUMBER", requires = "trusted_root")]
    certificate_project_id: Option<String>,
}

impl Identity {
    fn wanted(self) -> Result<Option<IdentityRule>, CliError> {
        let Self { trusted_root: Some(trusted_root), certificate_oidc_issuer: Some(issuer), .. } = self else {
            return Ok(None);
        };
        let subject = match (self.certificate_identity, self.certificate_identity_regexp) {
            (Some(subject), _) => SubjectRule::Exact(subject),
            (None, pattern) => SubjectRule::pattern(&pattern.unwrap_or_default())
                .map_err(|error| CliError::new(exit::USAGE, chain(&error)))?,
        };
        let wanted = WantedIdentity { subject, issuer, project_id: self.certificate_project_id };
        Ok(Some(IdentityRule { trusted_root, wanted }))
    }
}

/// A reader of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Reader {
    /// This program
    Imgbuild,
    /// cosign up to 2.5
    Cosign2,
    /// cosign 3
    Cosign3,
    /// podman, skopeo, buildah and bootc
    Podman,
}

impl From<Reader> for Consumer {
    fn from(reader: Reader) -> Self {
        match reader {
            Reader::Imgbuild => Self::Imgbuild,
            Reader::Cosign2 => Self::Cosign2,
            Reader::Cosign3 => Self::Cosign3,
            Reader::Podman => Self::Podman,
        }
    }
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let image = locator(&self.image)?;
        let settings = VerifySettings {
            keys: keys::load_public(&self.key)?,
            identity: self.identity.wanted()?,
            policy: self.policy,
            root: self.root,
            reference: self.reference,
            consumers: self.readers.into_iter().map(Consumer::from).collect(),
            attestations: self.attestation,
        };
        let session = context.reading_session()?;
        let report = signing::verify(&session, project(context)?.as_ref(), &image, &settings)?;
        context.print(&report, |out| show(out, &report))?;
        // What is wrong has been printed.
        if report.is_accepted() { Ok(()) } else { Err(CliError::new(exit::SIGNATURE, "")) }
    }
}

fn show(out: &mut dyn Write, report: &Report) -> std::io::Result<()> {
    writeln!(out, "{}  {}", report.image, report.digest)?;
    report.repository.iter().try_for_each(|repository| writeln!(out, "taken from {repository}"))?;
    for record in &report.records {
        let said = record.predicate_type.as_deref().unwrap_or("unreadable");
        let verdict = match (&record.signer, &record.refused) {
            (_, Some(refused)) => refused.to_string(),
            (Some(signer), None) => format!("by {signer} for {}", record.names.join(", ")),
            (None, None) => String::new(),
        };
        let mark = if record.is_verified() { "ok     " } else { "refused" };
        writeln!(out, "  {mark}  {:<8}  {said}  {verdict}", record.form.name())?;
    }
    for opinion in &report.opinions {
        let wanted = if report.required.contains(&opinion.consumer) { "must accept" } else { "" };
        let said = if opinion.accepts { "accepts" } else { "rejects" };
        writeln!(out, "{:<9} {said}  {:<11}  {}", opinion.consumer.name(), wanted, opinion.because)?;
    }
    for (type_, there) in &report.attestations {
        writeln!(out, "{}  {type_}", if *there { "attested " } else { "not attested" })?;
    }
    Ok(())
}
