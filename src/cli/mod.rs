//! The command line: clap types, one file per subcommand, hints, exit codes, drawing progress.
//!
//! May not be seen by any other room, and sees only `build`, `plan`, `config`, `model` and `sys`.

mod args;
mod audit;
mod boot;
mod build;
mod check;
mod disk;
mod disk_verify;
mod docs;
mod doctor;
mod error;
mod exit;
mod explain;
mod gc;
mod images;
mod init;
mod inspect;
mod junit;
mod kernel;
mod keys;
mod kmods;
mod lock;
mod plan;
mod policy;
mod render;
mod sbom;
mod seal;
mod sign;
mod tiers;
mod ui;
mod validate;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use cap_std::fs_utf8::camino::Utf8PathBuf;
use clap::Parser as _;
use serde::Serialize;

use args::{BuildArgs, Cli, Command, Global};
use error::CliError;

use crate::build::{BuildError, Project, Session, Settings, Store};
use crate::sys::{Interrupt, env, umask};

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(error.report()),
    }
}

fn start_logging() {
    let filter = env::IMGBUILD_LOG.get().unwrap_or_else(|| "off".to_owned());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

fn run(cli: Cli) -> Result<(), CliError> {
    let context = Context { global: cli.global };
    match cli.command {
        Command::Init(args) => args.run(&context),
        Command::Validate(args) => args.run(&context),
        Command::Doctor(args) => args.run(&context),
        Command::Lock(args) => args.run(&context),
        Command::Plan(args) => args.run(&context),
        Command::Kernel(command) => command.run(&context),
        Command::Render(command) => command.run(&context),
        Command::Build(args) => args.run(&context),
        Command::Tier1(args) => args.run(&context),
        Command::Tier2(args) => args.run(&context),
        Command::Tier3(args) => args.run(&context),
        Command::Images(args) => args.run(&context),
        Command::Inspect(args) => args.run(&context),
        Command::Check(args) => args.run(&context),
        Command::Sbom(args) => args.run(&context),
        Command::Kmods(command) => command.run(&context),
        Command::Explain(args) => args.run(&context),
        Command::Seal(args) => args.run(&context),
        Command::Disk(args) => args.run(&context),
        Command::Boot(args) => args.run(&context),
        Command::Keys(command) => command.run(&context),
        Command::Sign(args) => args.run(&context),
        Command::Attest(args) => args.run(&context),
        Command::Verify(args) => args.run(&context),
        Command::Policy(command) => command.run(&context),
        Command::Gc(args) => args.run(&context),
        Command::Audit(command) => command.run(&context),
        Command::Completions(args) => args.run(),
        Command::Man(args) => args.run(),
        Command::Schema(args) => args.run(),
    }
}

/// What every subcommand gets.
#[derive(Debug)]
struct Context {
    global: Global,
}

impl Context {
    /// Path of the store.
    fn store_path(&self) -> Utf8PathBuf {
        let from_environment = || env::IMGBUILD_STORE.get().map(Utf8PathBuf::from);
        self.global.store.clone().or_else(from_environment).unwrap_or_else(|| self.global.project.join(".imgbuild"))
    }

    /// Loads the project.
    fn project(&self) -> Result<Project, CliError> {
        Ok(Project::load(&self.global.project)?)
    }

    /// Opens the store and begins a run.
    fn session(&self, args: Option<&BuildArgs>) -> Result<Session, CliError> {
        self.session_in(args, || Store::open(&self.store_path()))
    }

    /// Begins a run that only reads: outside a project it leaves no store behind.
    fn reading_session(&self) -> Result<Session, CliError> {
        let path = self.store_path();
        let wanted = self.global.store.is_some() || env::IMGBUILD_STORE.get().is_some();
        let kept = wanted || path.exists() || self.global.project.join("imgbuild.toml").exists();
        self.session_in(None, || if kept { Store::open(&path) } else { Store::open_temporary() })
    }

    fn session_in(
        &self,
        args: Option<&BuildArgs>,
        store: impl FnOnce() -> Result<Store, BuildError>,
    ) -> Result<Session, CliError> {
        // Folders on their way into an image are made by many programs, and `/usr` is one of them.
        umask::set_common();
        // First of all: from the moment the store knows of this run, a signal must end it tidily.
        let interrupt = Interrupt::listen()?;
        let store = store()?;
        let settings = args.map_or_else(Settings::default, |args| Settings {
            locked: args.locked,
            reuse: args.reuse,
            storage_driver: args.storage_driver.clone(),
            setup_root: args.setup_root.clone(),
        });
        let progress = ui::progress(self.global.progress);
        Ok(Session::new(store, progress, interrupt, settings))
    }

    /// Prints a result: as JSON when asked, else in words.
    fn print(
        &self,
        value: &impl Serialize,
        words: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), CliError> {
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        if self.global.json {
            serde_json::to_writer_pretty(&mut out, value).map_err(std::io::Error::from)?;
            writeln!(out)?;
        } else {
            words(&mut out)?;
        }
        Ok(out.flush()?)
    }
}
