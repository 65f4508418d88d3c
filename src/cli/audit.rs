//! `imgbuild audit`.

use super::Context;
use super::error::CliError;
use super::exit;
use crate::build::audit;
use crate::sys::dirs;

/// Show or check the audit trail.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print every event, the oldest first
    Show,
    /// Check that no line was changed, removed or inserted
    ///
    /// Prints the number of lines and the digest of the last one. Lines cut off at the end
    /// leave an intact chain: keep the digest elsewhere and compare.
    Verify,
}

impl Command {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let path = context.store_path();
        let dir = dirs::open(&path).map_err(|error| {
            CliError::new(exit::FAILURE, format!("error: opening the store `{path}`\n  because: {error}"))
        })?;
        match self {
            Self::Show => show(context, &audit::read(&dir)?),
            Self::Verify => {
                let verified = audit::verify(&dir)?;
                context.print(&verified, |out| writeln!(out, "{} lines, head {}", verified.lines, verified.head))
            }
        }
    }
}

fn show(context: &Context, lines: &[audit::Line]) -> Result<(), CliError> {
    context.print(&lines, |out| {
        for line in lines {
            let event = &line.event;
            let verb = serde_json::to_value(event.verb).map_err(std::io::Error::other)?;
            write!(out, "{}  {:<11} {}", line.time, verb.as_str().unwrap_or_default(), event.subject)?;
            event.digest.iter().try_for_each(|digest| write!(out, "  {digest}"))?;
            event.detail.iter().try_for_each(|detail| write!(out, "  ({detail})"))?;
            writeln!(out)?;
        }
        Ok(())
    })
}
