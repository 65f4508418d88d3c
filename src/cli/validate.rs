//! `imgbuild validate`.

use serde::Serialize;

use super::Context;
use super::error::CliError;
use crate::build::{BuildError, Project};
use crate::config::ConfigError;

/// Check the definition
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// What a valid definition holds.
#[derive(Debug, Serialize)]
struct Summary {
    tier1: Vec<String>,
    tier2: Vec<String>,
    kmods: Vec<String>,
    hosts: usize,
}

/// What is wrong with a definition, for machines; people read it on standard error.
#[derive(Debug, Serialize)]
struct Invalid<'e> {
    errors: Vec<&'e ConfigError>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let definition = match Project::load(&context.global.project) {
            Ok(project) => project.definition,
            Err(error) => {
                if let BuildError::Definition(errors) = &error {
                    context.print(&Invalid { errors: errors.iter().collect() }, |_| Ok(()))?;
                }
                return Err(error.into());
            }
        };
        let summary = Summary {
            tier1: definition.tier1.keys().map(ToString::to_string).collect(),
            tier2: definition.tier2.keys().map(ToString::to_string).collect(),
            kmods: definition.kmods.keys().map(ToString::to_string).collect(),
            hosts: definition.hosts.len(),
        };
        context.print(&summary, |out| {
            let Summary { tier1, tier2, kmods, hosts } = &summary;
            writeln!(out, "tier 1: {}", tier1.join(", "))?;
            writeln!(out, "tier 2: {}", tier2.join(", "))?;
            writeln!(out, "modules: {}", kmods.join(", "))?;
            writeln!(out, "hosts: {hosts}")
        })
    }
}
