//! `imgbuild init`.

use super::Context;
use super::error::{CliError, chain};
use super::exit;
use crate::config;
use crate::sys::dirs;

/// Scaffold a project
///
/// Writes the files of an example into the project's folder. Existing files are never overwritten:
/// when one is in the way, nothing is written.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Example to start from
    #[arg(long, value_name = "EXAMPLE", value_parser = clap::builder::PossibleValuesParser::new(config::examples()))]
    from: Option<String>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let dir = dirs::open_or_create(&context.global.project)?;
        let files =
            config::scaffold(self.from.as_deref()).map_err(|error| CliError::new(exit::USAGE, chain(&error)))?;
        let taken: Vec<&str> = files.iter().map(|(path, _)| *path).filter(|path| dir.exists(path)).collect();
        if !taken.is_empty() {
            let text =
                format!("error: not overwriting {}\n  fix: choose an empty folder with --project", taken.join(", "));
            return Err(CliError::new(exit::FAILURE, text));
        }
        for (path, text) in &files {
            if let Some((folder, _)) = path.rsplit_once('/') {
                dir.create_dir_all(folder)?;
            }
            dir.write(path, text)?;
        }
        let paths: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        context.print(&paths, |out| paths.iter().try_for_each(|path| writeln!(out, "{path}")))
    }
}
