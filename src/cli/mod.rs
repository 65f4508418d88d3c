//! The command line: clap types, one file per subcommand, hints, exit codes, drawing progress.
//!
//! May not be seen by any other room, and sees only `build`, `plan`, `config`, `model` and `sys`.

mod ui;

use std::process::ExitCode;

/// Runs the program.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
