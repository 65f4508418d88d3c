//! `imgbuild tier1`, `tier2` and `tier3`, and what `build` shares with them.

use clap::ArgGroup;

use super::Context;
use super::args::{BuildArgs, KernelArgs, ProbeArgs};
use super::error::CliError;
use super::exit;
use crate::build::{self, Built, KernelAsk};
use crate::config::Definition;
use crate::plan::{Selection, UnknownTarget};

/// Build tier-1 images: the distribution
#[derive(Debug, clap::Args)]
pub(super) struct Tier1Args {
    /// Image [default: all]
    name: Option<String>,
    #[command(flatten)]
    build: BuildArgs,
}

/// Build tier-2 images: kernel modules and further packages
///
/// The tier-1 image below is built first when the store does not hold it.
#[derive(Debug, clap::Args)]
pub(super) struct Tier2Args {
    /// Image [default: all]
    name: Option<String>,
    #[command(flatten)]
    kernel: KernelArgs,
    #[command(flatten)]
    probe: ProbeArgs,
    #[command(flatten)]
    build: BuildArgs,
}

/// Build tier-3 images: one per host
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("which").required(true).args(["hosts", "all"]))]
pub(super) struct Tier3Args {
    /// Hosts
    hosts: Vec<String>,
    /// All hosts
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    build: BuildArgs,
}

impl Tier1Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        build(context, &self.build, &KernelAsk::default(), |definition| {
            Selection::of_tier1(definition, self.name.as_deref())
        })
    }
}

impl Tier2Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let select = |definition: &Definition| Selection::of_tier2(definition, self.name.as_deref());
        build(context, &self.build, &KernelAsk { probes: self.probe.probe, ..self.kernel.ask() }, select)
    }
}

impl Tier3Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        build(context, &self.build, &KernelAsk::default(), |definition| match self.all {
            true => Ok(Selection { hosts: Selection::all(definition).hosts, ..Selection::default() }),
            false => Selection::of_hosts(definition, &self.hosts),
        })
    }
}

/// Builds what `select` picks and prints what came out.
pub(super) fn build(
    context: &Context,
    args: &BuildArgs,
    ask: &KernelAsk,
    select: impl FnOnce(&Definition) -> Result<Selection, UnknownTarget>,
) -> Result<(), CliError> {
    let mut project = context.project()?;
    let selection =
        select(&project.definition).map_err(|error| CliError::new(exit::USAGE, format!("error: {error}")))?;
    let session = context.session(Some(args))?;
    let built = build::run(&session, &mut project, &selection, ask)?;
    context.print(&built, |out| built.iter().try_for_each(|built| summary(out, built)))
}

fn summary(out: &mut dyn std::io::Write, built: &Built) -> std::io::Result<()> {
    let kept = if built.reused { "  (kept)" } else { "" };
    writeln!(out, "{}  {}  {}  {:.1}s{kept}", built.image, built.digest, built.size, built.seconds)
}
