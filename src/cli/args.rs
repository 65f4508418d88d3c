//! The command line as clap types; their comments are the help.

use cap_std::fs_utf8::camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand};

use super::ui::ProgressStyle;
use super::{audit, boot, build, docs, doctor, gc, images, init, inspect, lock, plan, render, tiers, validate};

/// Build immutable Linux hosts: from a definition in git to images, in three tiers.
///
/// Results go to standard output, everything else to standard error.
#[derive(Debug, Parser)]
#[command(name = "imgbuild", version, max_term_width = 100, arg_required_else_help = true, help_expected = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// Folder of the project (where imgbuild.toml lies)
    #[arg(long, short = 'C', global = true, value_name = "DIR", default_value = ".", help_heading = "Global options")]
    pub(super) project: Utf8PathBuf,
    /// Folder of the store [default: .imgbuild in the project]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(super) store: Option<Utf8PathBuf>,
    /// Print results as JSON
    #[arg(long, global = true, help_heading = "Global options")]
    pub(super) json: bool,
    /// How progress is shown
    #[arg(long, global = true, value_enum, default_value_t, value_name = "STYLE", help_heading = "Global options")]
    pub(super) progress: ProgressStyle,
}

/// Options of every command that builds or locks.
#[derive(Debug, Clone, Args)]
pub(super) struct BuildArgs {
    /// Build from exactly what imgbuild.lock says; refuse when it does not match the definition
    #[arg(long)]
    pub(super) locked: bool,
    /// Keep images whose inputs are all unchanged instead of building them again
    #[arg(long)]
    pub(super) reuse: bool,
    /// Storage driver of buildah [default: overlay where it works, else vfs]
    #[arg(long, value_name = "DRIVER", value_parser = ["overlay", "vfs"])]
    pub(super) storage_driver: Option<String>,
    /// The composefs-setup-root program for the initramfs of bootstrapped images
    #[arg(long, value_name = "FILE")]
    pub(super) setup_root: Option<Utf8PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Scaffold a project
    Init(init::Args),
    /// Check the definition
    Validate(validate::Args),
    /// List everything this machine lacks, each with the command that fixes it
    Doctor(doctor::Args),
    /// Resolve everything the definition names to exactly one thing, and keep the packages
    Lock(lock::Args),
    /// Show what would be built, from what and why
    Plan(plan::Args),
    /// Print a generated file exactly as it is used
    #[command(subcommand)]
    Render(render::Command),
    /// Build the whole chain
    Build(build::Args),
    /// Build tier-1 images: the distribution
    Tier1(tiers::Tier1Args),
    /// Build tier-2 images: kernel modules and further packages
    Tier2(tiers::Tier2Args),
    /// Build tier-3 images: one per host
    Tier3(tiers::Tier3Args),
    /// List the images in the store
    Images(images::Args),
    /// Show an image: configuration, layers, kernel, packages
    Inspect(inspect::Args),
    /// Boot a disk in QEMU and wait for its login prompt
    Boot(boot::Args),
    /// Remove from the store what no image and no lock needs
    Gc(gc::Args),
    /// Show or check the audit trail
    #[command(subcommand)]
    Audit(audit::Command),
    /// Print a shell completion script
    Completions(docs::CompletionsArgs),
    /// Write the manual pages
    Man(docs::ManArgs),
    /// Print the JSON schema of a definition file
    Schema(docs::SchemaArgs),
}
