//! `imgbuild doctor`.

use super::Context;
use super::error::CliError;
use super::exit;
use crate::build::preflight::{self, Needs};

/// List everything this machine lacks, each with the command that fixes it
///
/// In a project, checks what its definition needs; elsewhere, everything imgbuild can use.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let needs = match context.global.project.join("imgbuild.toml").exists() {
            true => Needs::of(&context.project()?.definition),
            false => Needs::everything(),
        };
        let session = context.reading_session()?;
        let report = preflight::examine(&session, &needs);
        context.print(&report, |out| write!(out, "{report}"))?;
        match report.is_fine() {
            true => Ok(()),
            false => Err(CliError::new(exit::MISSING, String::new())),
        }
    }
}
