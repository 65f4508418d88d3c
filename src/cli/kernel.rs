//! `imgbuild kernel`.

use super::Context;
use super::error::CliError;
use super::exit;
use crate::build::kernels::{self, Explanation};
use crate::build::{BuildError, Project};
use crate::model::TierName;
use crate::plan::Selection;

/// Show the kernels there are, and why the locked one was chosen
///
/// Both read the lock alone: no image, no package list and no network.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List every kernel that was looked at: in the base, with headers, with packages to replace the base's
    List {
        /// Tier-2 image [default: all]
        name: Option<String>,
    },
    /// Decide again from the lock and show every kernel with the first reason against it
    ///
    /// Ends with 6 when no kernel is acceptable any more, for example because a build failed since, and with 5 when
    /// another one than the locked comes out.
    Explain {
        /// Tier-2 image [default: all]
        name: Option<String>,
    },
}

impl Command {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let project = context.project()?;
        match self {
            Self::List { name } => {
                let offers = of_tiers(&project, name.as_deref(), kernels::list)?;
                context.print(&offers, |out| offers.iter().try_for_each(|offers| write!(out, "{offers}")))
            }
            Self::Explain { name } => {
                let explained = of_tiers(&project, name.as_deref(), kernels::explain)?;
                context.print(&explained, |out| explained.iter().try_for_each(|one| write!(out, "{one}")))?;
                verdict(&explained)
            }
        }
    }
}

fn of_tiers<T>(
    project: &Project,
    name: Option<&str>,
    read: impl Fn(&Project, &TierName) -> Result<T, BuildError>,
) -> Result<Vec<T>, CliError> {
    let selection = Selection::of_tier2(&project.definition, name)
        .map_err(|error| CliError::new(exit::USAGE, format!("error: {error}")))?;
    selection.tier2.iter().map(|tier| Ok(read(project, tier)?)).collect()
}

/// Nothing more to say: the explanation said it.
fn verdict(explained: &[Explanation]) -> Result<(), CliError> {
    if explained.iter().any(|one| !one.is_decided()) {
        return Err(CliError::new(exit::NO_KERNEL, String::new()));
    }
    match explained.iter().all(Explanation::is_as_locked) {
        true => Ok(()),
        false => Err(CliError::new(exit::DRIFT, String::new())),
    }
}
