//! `imgbuild seal`.

use std::io::Write;

use cap_std::fs_utf8::camino::Utf8PathBuf;

use super::Context;
use super::error::{CliError, chain};
use super::exit;
use crate::build::seal::{self, SealRequest, SealWith, Sealed};
use crate::model::{ImageLocator, Karg};

/// Seal an image: it boots from one signed file
///
/// Kernel and initramfs leave /usr/lib/modules for a unified kernel in /boot/EFI/Linux, whose command line names the
/// image and cannot be changed. It and the boot loader are signed for Secure Boot. The same image, key and arguments
/// give the same sealed image. `imgbuild disk` makes sealed disks of it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A name in the store
    image: String,
    /// The private key: RSA of 2048 bits or more, in PEM (PKCS#8 or PKCS#1), not encrypted
    #[arg(long, value_name = "FILE")]
    key: Utf8PathBuf,
    /// Its certificate, in PEM
    #[arg(long, value_name = "FILE")]
    cert: Utf8PathBuf,
    /// Further kernel argument; may be given several times
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    karg: Vec<Karg>,
    /// Name of the sealed image [default: sealed/IMAGE]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let image: ImageLocator = self.image.parse().map_err(|error| CliError::new(exit::USAGE, chain(&error)))?;
        let with = SealWith { key: self.key, certificate: self.cert, kargs: self.karg };
        let sealed = seal::seal(&context.session(None)?, &SealRequest { image, with, name: self.name })?;
        context.print(&sealed, |out| show(out, &sealed))
    }
}

fn show(out: &mut dyn Write, sealed: &Sealed) -> std::io::Result<()> {
    writeln!(out, "image         {}  {}", sealed.built.image, sealed.built.digest)?;
    writeln!(out, "composefs     {}", sealed.composefs)?;
    writeln!(out, "command line  {}", sealed.command_line)?;
    writeln!(out, "signed by     {}", sealed.signer)
}
