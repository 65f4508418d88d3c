//! `imgbuild build`.

use super::Context;
use super::args::{BuildArgs, KernelArgs, ProbeArgs};
use super::error::CliError;
use super::tiers::build;
use crate::build::KernelAsk;
use crate::plan::Selection;

/// Build the whole chain
///
/// Builds the hosts named, the tier-2 images they stand on and the tier-1 images those stand on;
/// without names, everything in the definition.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Hosts [default: everything]
    hosts: Vec<String>,
    #[command(flatten)]
    kernel: KernelArgs,
    #[command(flatten)]
    probe: ProbeArgs,
    #[command(flatten)]
    build: BuildArgs,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        build(context, &self.build, &KernelAsk { probes: self.probe.probe, ..self.kernel.ask() }, |definition| {
            match self.hosts.is_empty() {
                true => Ok(Selection::all(definition)),
                false => Ok(Selection::of_hosts(definition, &self.hosts)?.with_bases(definition)),
            }
        })
    }
}
