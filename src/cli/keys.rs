//! `imgbuild keys`.

use cap_std::fs_utf8::camino::Utf8PathBuf;

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
}

impl Command {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let Self::Generate { name, no_passphrase } = self;
        let pair = keys::generate(&name, no_passphrase, &terminal::read_secret)?;
        context.print(&pair, |out| {
            writeln!(out, "private key  {}", pair.private_key)?;
            writeln!(out, "public key   {}", pair.public_key)?;
            writeln!(out, "fingerprint  {}", pair.fingerprint)
        })
    }
}
