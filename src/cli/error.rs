//! Errors as the user sees them: what, why, and what to do.

use std::fmt::Write as _;
use std::io::IsTerminal;

use miette::{GraphicalReportHandler, GraphicalTheme};

use super::exit;
use super::ui;
use crate::build::BuildError;
use crate::build::check::Area;
use crate::config::ConfigErrors;
use crate::sys::env;

/// A command that did not succeed, ready to be shown.
#[derive(Debug)]
pub(super) struct CliError {
    code: u8,
    text: String,
}

impl CliError {
    /// A failure with its own words.
    pub(super) fn new(code: u8, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// Shows the error and returns the exit code.
    pub(super) fn report(&self) -> u8 {
        if !self.text.is_empty() {
            ui::line(&self.text);
        }
        self.code
    }
}

/// Whether standard error takes colour.
pub(super) fn colour() -> bool {
    env::NO_COLOR.get_os().is_none() && std::io::stderr().is_terminal()
}

/// An error and everything behind it, one cause a line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mark = if colour() { "\x1b[1;31merror\x1b[0m" } else { "error" };
    let mut text = format!("{mark}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, "\n  because: {}", cause.to_string().replace('\n', "\n    "))
            .expect("writing to a string cannot fail");
        source = cause.source();
    }
    text
}

/// Every error of a definition, its place quoted and underlined.
fn quoted(errors: &ConfigErrors) -> String {
    let theme = if colour() { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(100);
    let mut text = chain(errors);
    for error in errors {
        text.push('\n');
        handler.render_report(&mut text, error).expect("writing to a string cannot fail");
    }
    text.truncate(text.trim_end().len());
    text
}

/// The exit code of an error.
fn code_of(error: &BuildError) -> u8 {
    match error {
        BuildError::Partly { failed, .. } => {
            let mut codes = failed.iter().map(|(_, error)| code_of(error));
            let first = codes.next().unwrap_or(exit::FAILURE);
            if codes.all(|code| code == first) { first } else { exit::FAILURE }
        }
        error if error.is_interruption() => exit::INTERRUPTED,
        BuildError::Boot(_) => exit::CHECK,
        BuildError::Disk(error) if error.is_unbootable() => exit::BOOTABILITY,
        BuildError::Seal(error) if error.is_unbootable() => exit::BOOTABILITY,
        BuildError::Missing(_) => exit::MISSING,
        BuildError::Drift(_) => exit::DRIFT,
        BuildError::Kernel { .. } | BuildError::BaseKernels { .. } | BuildError::KernelCount { .. } => exit::NO_KERNEL,
        BuildError::Definition(_) | BuildError::Host(_) => exit::DEFINITION,
        BuildError::Modules { .. } => exit::MODULES,
        BuildError::Leftovers { .. } => exit::LEFTOVERS,
        BuildError::Refused { findings, .. } => exit::of_area(Area::worst(findings)),
        _ => exit::FAILURE,
    }
}

impl From<BuildError> for CliError {
    fn from(error: BuildError) -> Self {
        let fix = error.fix().map(|fix| format!("\n  fix: {fix}")).unwrap_or_default();
        let text = match &error {
            BuildError::Definition(errors) => quoted(errors),
            error => chain(error) + &fix,
        };
        Self { code: code_of(&error), text }
    }
}

impl From<crate::build::audit::AuditError> for CliError {
    fn from(error: crate::build::audit::AuditError) -> Self {
        use crate::build::audit::AuditError;
        let code = match &error {
            AuditError::Broken { .. } | AuditError::Malformed { .. } => exit::CHECK,
            _ => exit::FAILURE,
        };
        Self { code, text: chain(&error) }
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        Self { code: exit::FAILURE, text: chain(&error) }
    }
}
