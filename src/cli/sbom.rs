//! `imgbuild sbom`.

use std::io::Write;

use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};
use cap_std_ext::dirext::CapStdExtDirExtUtf8 as _;

use super::error::{CliError, chain};
use super::{Context, check, exit};
use crate::build::sbom::{self, SbomFormat, SbomSettings, Scan};
use crate::model::ImageLocator;
use crate::sys::dirs;

/// List what is in an image: its bill of materials (SBOM) as CycloneDX
///
/// Packages, kernels and kernel modules with their licences, suppliers, digests and what needs what. Of an image in a
/// project's store the document also says how each package was fetched, which tier and layer brought it, and what
/// modules were compiled with. The same image gives the same bytes. Every build keeps the document beside the image.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A name in the store, oci:PATH[:REF], oci-archive:PATH[:REF], containers-storage:NAME or docker://REFERENCE
    image: String,
    /// Format and its version: cyclonedx-json@1.5 or cyclonedx-json@1.6
    #[arg(long, value_name = "FORMAT", default_value_t, value_parser = clap::value_parser!(SbomFormat))]
    format: SbomFormat,
    /// Write it to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<Utf8PathBuf>,
    /// Who lists the packages
    #[arg(long, value_enum, default_value_t, value_name = "WHO")]
    scanner: Scanner,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Scanner {
    /// What a build kept; else imgbuild; where that finds no package database and syft is installed, syft
    #[default]
    Auto,
    /// The program syft
    Syft,
    /// imgbuild, which starts no program
    Native,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let locator: ImageLocator = self.image.parse().map_err(|error| CliError::new(exit::USAGE, chain(&error)))?;
        let project = check::project_of(context, &locator)?;
        let scan = match self.scanner {
            Scanner::Auto => Scan::Auto,
            Scanner::Syft => Scan::Syft,
            Scanner::Native => Scan::Native,
        };
        let settings = SbomSettings { format: self.format, scan };
        let bytes = sbom::make(&context.reading_session()?, project.as_ref(), &locator, &settings)?;
        match &self.output {
            Some(path) => Ok(write(path, &bytes)?),
            None => {
                let mut out = std::io::stdout().lock();
                out.write_all(&bytes)?;
                Ok(writeln!(out)?)
            }
        }
    }
}

/// Writes the file, whole or not at all.
fn write(path: &Utf8Path, bytes: &[u8]) -> std::io::Result<()> {
    let path = dirs::absolute(path)?;
    let (folder, name) = (path.parent().unwrap_or(Utf8Path::new("/")), path.file_name().unwrap_or_default());
    dirs::open_or_create(folder)?.atomic_write(name, bytes)
}
