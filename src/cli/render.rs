//! `imgbuild render`.

use super::Context;
use super::error::CliError;
use super::exit;
use crate::build;
use crate::plan::Selection;

/// Print a generated file exactly as it is used
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// The Containerfile of a tier-2 image
    Tier2 {
        /// Image
        name: String,
    },
}

impl Command {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let Self::Tier2 { name } = self;
        let project = context.project()?;
        let selection = Selection::of_tier2(&project.definition, Some(name))
            .map_err(|error| CliError::new(exit::USAGE, format!("error: {error}")))?;
        let tier = selection.tier2.iter().next().expect("one was selected");
        let text = build::render_tier2(&project, tier)?;
        context.print(&text, |out| out.write_all(text.as_bytes()))
    }
}
