//! The command line as clap types; their comments are the help.

use cap_std::fs_utf8::camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::ui::ProgressStyle;
use super::{
    audit, boot, build, check, disk, docs, doctor, explain, gc, images, init, inspect, kernel, kmods, lock, plan,
    render, tiers, validate,
};
use crate::build::{KernelAsk, KernelPin};
use crate::config::SwapPolicy;

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

/// Options of every command that may decide on a kernel.
#[derive(Debug, Clone, Args)]
pub(super) struct KernelArgs {
    /// Kernel to build modules for: `auto` decides anew, `locked` takes the lock's, or a release as `uname -r` prints it
    ///
    /// Without this option the lock decides; where there is none, `auto`. A release goes before `kernel.pin` of the
    /// definition, and the lock remembers who asked.
    #[arg(long, value_name = "auto|locked|KVER", num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    kernel_pin: Option<KernelPin>,
    /// Whether the base's kernel may be replaced; decides anew and goes before `kernel.swap` of the definition
    #[arg(long, value_enum, value_name = "WHEN")]
    swap: Option<Swap>,
}

impl KernelArgs {
    pub(super) fn ask(&self) -> KernelAsk {
        let swap = self.swap.map(|swap| match swap {
            Swap::Never => SwapPolicy::Never,
            Swap::Allow => SwapPolicy::Allow,
            Swap::PreferNewest => SwapPolicy::PreferNewest,
        });
        KernelAsk { pin: self.kernel_pin.clone(), swap, probes: 0 }
    }
}

/// The option of commands that compile modules.
#[derive(Debug, Clone, Args)]
pub(super) struct ProbeArgs {
    /// Where a module's source does not compile, decide again and try up to N other kernels
    ///
    /// Each failure is remembered in the lock, with its first error line; `kernel explain` shows it.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, conflicts_with = "locked")]
    pub(super) probe: u32,
}

/// When the base's kernel is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Swap {
    /// Keep the base's kernel or fail
    Never,
    /// Replace it when modules cannot be built for it
    Allow,
    /// Take the newest kernel the modules can be built for
    PreferNewest,
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
    /// Show the kernels there are, and why the locked one was chosen
    #[command(subcommand)]
    Kernel(kernel::Command),
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
    /// Check a finished image: modules, leftovers of a build, keys
    Check(check::Args),
    /// Kernel modules
    #[command(subcommand)]
    Kmods(kmods::Command),
    /// Explain a code of a check, or list all codes
    Explain(explain::Args),
    // A comment here would hide the long help of the arguments.
    Disk(Box<disk::Args>),
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
