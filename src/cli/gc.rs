//! `imgbuild gc`.

use super::Context;
use super::error::CliError;
use crate::build::gc;

/// Remove from the store what no image and no lock needs
///
/// Waits for running builds. Packages named by the project's lock are kept.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only say what would be removed
    #[arg(long, short = 'n')]
    dry_run: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let lock = match context.global.project.join("imgbuild.toml").exists() {
            true => context.project()?.lock,
            false => None,
        };
        let report = gc::collect(&context.store_path(), lock.as_ref(), self.dry_run)?;
        context.print(&report, |out| {
            let verb = if self.dry_run { "would free" } else { "freed" };
            report.removed.iter().try_for_each(|item| writeln!(out, "{}  {}", item.size, item.name))?;
            writeln!(out, "{verb} {} in {} files", report.bytes, report.removed.len())
        })
    }
}
