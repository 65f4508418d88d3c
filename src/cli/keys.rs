//! `imgbuild keys`.

use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};

use super::Context;
use super::error::CliError;
use crate::build::signing::keys;
use crate::sys::terminal;

/// Make keys to sign with
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a pair: NAME.key, which signs and stays secret, and NAME.pub, which verifies
    ///
    /// The key is ECDSA on P-256, in the form cosign keeps it, encrypted with a passphrase: the one in
    /// IMGBUILD_KEY_PASSPHRASE or COSIGN_PASSWORD, else it is asked for. Existing files are never overwritten.
    Generate {
        /// Path of both files without what follows the dot
        #[arg(default_value = "imgbuild")]
        name: Utf8PathBuf,
        /// Leave the key unencrypted, in PKCS#8: for machines that protect it otherwise
        #[arg(long)]
        no_passphrase: bool,
    },
    /// Tell who this GitLab job would sign as without a key, or why no certificate would be issued for it
    ///
    /// Looks at the token in SIGSTORE_ID_TOKEN and asks nobody. What it prints is what verifiers have to ask for.
    Identity,
}

impl Command {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Generate { name, no_passphrase } => generate(context, &name, no_passphrase),
            Self::Identity => identity(context),
        }
    }
}

fn generate(context: &Context, name: &Utf8Path, no_passphrase: bool) -> Result<(), CliError> {
    let pair = keys::generate(name, no_passphrase, &terminal::read_secret)?;
    context.print(&pair, |out| {
        writeln!(out, "private key  {}", pair.private_key)?;
        writeln!(out, "public key   {}", pair.public_key)?;
        writeln!(out, "fingerprint  {}", pair.fingerprint)
    })
}

fn identity(context: &Context) -> Result<(), CliError> {
    let job = keys::identity()?;
    context.print(&job, |out| {
        writeln!(out, "--certificate-identity {}", job.subject)?;
        writeln!(out, "--certificate-oidc-issuer {}", job.issuer)?;
        job.project_id.iter().try_for_each(|id| writeln!(out, "--certificate-project-id {id}"))?;
        if !job.is_public {
            writeln!(out, "the public-good Fulcio does not know this issuer: a private one is needed")?;
        }
        if job.is_public && job.visibility.as_deref() != Some("public") {
            writeln!(out, "the public log would show this project's name, ref and job to everybody")?;
        }
        writeln!(out, "expires in {} s", job.remaining)
    })
}
