//! `imgbuild plan`.

use super::Context;
use super::error::CliError;
use super::exit;
use crate::plan::{self, Selection};

/// Show what would be built, from what and why
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Hosts and tiers, such as `edge-01` or `tier2/edge` [default: everything]
    targets: Vec<String>,
    /// Fail when the lock does not match the definition
    #[arg(long)]
    locked: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let project = context.project()?;
        let selection = Selection::named(&project.definition, &self.targets)
            .map_err(|error| CliError::new(exit::USAGE, format!("error: {error}")))?;
        if self.locked {
            project.check_drift(&selection)?;
        }
        let plan = plan::resolve(&project.definition, project.architecture(), project.lock.as_ref(), selection);
        context.print(&plan, |out| write!(out, "{plan}"))
    }
}
