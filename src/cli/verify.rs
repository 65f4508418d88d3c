//! `imgbuild verify`.

use std::io::Write;

use cap_std::fs_utf8::camino::Utf8PathBuf;
use clap::ValueEnum;

use super::error::CliError;
use super::sign::{locator, project};
use super::{Context, exit};
use crate::build::signing::{self, Consumer, Report, VerifySettings, keys};

/// Verify the signatures of an image, without any network, and show what every reader would say
///
/// Reads the older signatures (tag sha256-….sig), attestations (….att) and bundles. The table tells what imgbuild,
/// cosign 2.5, cosign 3 and podman (also skopeo, buildah, bootc) would say, each with its reason; those named by --as
/// must accept the image, or the command ends with 14.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A name in the store, or oci:PATH[:REF]
    image: String,
    /// A public key that must have signed; of several any one
    #[arg(long, value_name = "FILE", required_unless_present = "policy")]
    key: Vec<Utf8PathBuf>,
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
        let verdict = match (&record.key, &record.refused) {
            (_, Some(refused)) => refused.to_string(),
            (Some(key), None) => format!("by key {key} for {}", record.names.join(", ")),
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
