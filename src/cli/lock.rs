//! `imgbuild lock`.

use cap_std::fs_utf8::camino::Utf8PathBuf;

use super::Context;
use super::args::{BuildArgs, KernelArgs};
use super::error::CliError;
use super::exit;
use crate::build::locking::{self, Update};
use crate::plan::Selection;

/// Resolve everything the definition names to exactly one thing, and keep the packages
///
/// Entries that still match the definition are kept; `--update` resolves them anew.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Resolve these tiers anew even though they match [without names: all]
    #[arg(long, value_name = "NAME", num_args = 0..)]
    update: Option<Vec<String>>,
    /// Also copy every package file to this folder
    #[arg(long, value_name = "DIR")]
    vendor: Option<Utf8PathBuf>,
    /// First forget which builds of modules failed for which kernels
    #[arg(long)]
    forget_known_bad: bool,
    #[command(flatten)]
    kernel: KernelArgs,
    #[command(flatten)]
    build: BuildArgs,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let mut project = context.project()?;
        let update = match &self.update {
            None => Update::Stale,
            Some(names) => {
                let selection = Selection::named(&project.definition, names);
                Update::Named(selection.map_err(|error| CliError::new(exit::USAGE, format!("error: {error}")))?)
            }
        };
        let session = context.session(Some(&self.build))?;
        if self.forget_known_bad {
            locking::forget_known_bad(&mut project)?;
        }
        let changes = locking::lock(&session, &mut project, &update, &self.kernel.ask())?;
        if let Some(dir) = &self.vendor {
            locking::vendor(&session, &project, dir)?;
        }
        context.print(&changes, |out| match changes.is_empty() {
            true => writeln!(out, "imgbuild.lock is up to date"),
            false => changes.iter().try_for_each(|change| writeln!(out, "{change}")),
        })
    }
}
