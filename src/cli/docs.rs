//! `imgbuild completions`, `man` and `schema`: generated from the code, so that they cannot go stale.

use std::io::Write as _;

use cap_std::fs_utf8::camino::Utf8PathBuf;
use clap::{CommandFactory as _, ValueEnum};

use super::args::Cli;
use super::error::CliError;
use super::exit;
use crate::config::schema;
use crate::sys::{dirs, env};

/// Print a shell completion script.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Write the manual pages.
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Folder to write one page per command to
    #[arg(value_name = "DIR")]
    dir: Utf8PathBuf,
}

/// Print the JSON schema of a definition file.
#[derive(Debug, clap::Args)]
pub(super) struct SchemaArgs {
    /// Which file
    #[arg(value_enum)]
    file: SchemaFile,
}

/// The files of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SchemaFile {
    /// imgbuild.toml
    Project,
    /// tiers/NAME/tier.toml
    Tier,
    /// kmods/NAME/kmod.toml
    Kmod,
    /// hosts/NAME.toml
    Host,
    /// imgbuild.lock
    Lock,
}

impl CompletionsArgs {
    pub(super) fn run(self) -> Result<(), CliError> {
        clap_complete::generate(self.shell, &mut Cli::command(), "imgbuild", &mut std::io::stdout());
        Ok(())
    }
}

impl ManArgs {
    pub(super) fn run(self) -> Result<(), CliError> {
        let dir = dirs::open_or_create(&self.dir)?;
        let mut root = Cli::command().after_long_help(closing_sections());
        root.build();
        for (name, page) in pages(&root, "imgbuild") {
            dir.write(format!("{name}.1"), page)?;
        }
        Ok(())
    }
}

/// What clap does not know: exit codes and the environment.
fn closing_sections() -> String {
    let codes = exit::ALL.iter().map(|(code, meaning)| format!("{code}: {meaning}"));
    let variables = env::ALL.iter().map(|variable| format!("{}: {}", variable.name, variable.help));
    let list = |title: &str, lines: &mut dyn Iterator<Item = String>| {
        lines.fold(format!("{title}:"), |text, line| format!("{text}\n\n{line}"))
    };
    format!("{}\n\n{}", list("Exit codes", &mut codes.into_iter()), list("Environment", &mut variables.into_iter()))
}

fn pages(command: &clap::Command, name: &str) -> Vec<(String, Vec<u8>)> {
    let mut page = Vec::new();
    let titled = command.clone().name(name.to_owned()).bin_name(name.replace('-', " "));
    clap_mangen::Man::new(titled).render(&mut page).expect("writing to memory cannot fail");
    let mut all = vec![(name.to_owned(), page)];
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        all.extend(pages(sub, &format!("{name}-{}", sub.get_name())));
    }
    all
}

impl SchemaArgs {
    pub(super) fn run(self) -> Result<(), CliError> {
        let schema = match self.file {
            SchemaFile::Project => schema::project(),
            SchemaFile::Tier => schema::tier(),
            SchemaFile::Kmod => schema::kmod(),
            SchemaFile::Host => schema::host(),
            SchemaFile::Lock => schema::lock(),
        };
        let text = serde_json::to_string_pretty(&schema).expect("a schema serialises");
        writeln!(std::io::stdout(), "{text}")?;
        Ok(())
    }
}
