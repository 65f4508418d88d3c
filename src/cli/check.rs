//! `imgbuild check`.

use std::io::Write;

use cap_std::fs_utf8::camino::Utf8PathBuf;

use super::error::{CliError, chain};
use super::junit::{self, Case, Suite};
use super::kmods::show_findings;
use super::{Context, exit};
use crate::build::check::{self, Area, CheckReport, CheckSettings};
use crate::build::{Project, codes};
use crate::model::ImageLocator;
use crate::sys::dirs;

/// Check a finished image: modules, leftovers, keys, whether it boots
///
/// Works on any image. Of an image that imgbuild built, what is above its tier 1 is judged, and with the project at
/// hand also whether it holds the modules, signatures and leftovers its definition promises. The exit code tells the
/// most severe kind of failure: private keys, modules, leftovers, booting.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A name in the store, oci:PATH[:REF], oci-archive:PATH[:REF], containers-storage:NAME or docker://REFERENCE
    image: String,
    /// Judge only what the image adds to this one, which it must be built on
    #[arg(long, value_name = "IMAGE")]
    against: Option<ImageLocator>,
    /// A file of accepted leftovers: TOML with tables [[allow]] of `pattern` and `reason`
    #[arg(long, value_name = "FILE")]
    allow_file: Option<Utf8PathBuf>,
    /// Also write the result as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<Utf8PathBuf>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let locator: ImageLocator = self.image.parse().map_err(|error| CliError::new(exit::USAGE, chain(&error)))?;
        let project = project_of(context, &locator)?;
        let settings = CheckSettings { against: self.against, allow_file: self.allow_file };
        let report = check::image(&context.reading_session()?, project.as_ref(), &locator, &settings)?;
        if let Some(path) = &self.junit {
            junit::write(path, &suites(&report))?;
        }
        context.print(&report, |out| show(out, &report))?;
        match exit::of_area(report.worst()) {
            exit::SUCCESS => Ok(()),
            // What failed has been printed.
            code => Err(CliError::new(code, "")),
        }
    }
}

/// The project whose store the image is in, when there is one: images from elsewhere are checked without any.
pub(super) fn project_of(context: &Context, locator: &ImageLocator) -> Result<Option<Project>, CliError> {
    let is_there = dirs::exists(&context.global.project.join("imgbuild.toml"));
    match locator {
        ImageLocator::Store(_) if is_there => context.project().map(Some),
        _ => Ok(None),
    }
}

fn show(out: &mut dyn Write, report: &CheckReport) -> std::io::Result<()> {
    writeln!(out, "{}  {}", report.image, report.digest)?;
    match &report.against {
        Some(base) => writeln!(out, "{} layers, judged is what is above {base}", report.layers)?,
        None => writeln!(out, "{} layers, all of them judged", report.layers)?,
    }
    report.kernels.iter().try_for_each(|kernel| writeln!(out, "{}", kernel.summary()))?;
    for (area, findings) in report.findings.iter().filter(|(_, findings)| !findings.is_empty()) {
        writeln!(out, "\n{}", area.title())?;
        show_findings(out, findings)?;
    }
    writeln!(out, "\n{}", report.summary())
}

/// A suite per kind and in it a case per code, so that what passed is seen as well.
fn suites(report: &CheckReport) -> Vec<Suite> {
    let suite = |(area, findings): (&Area, &Vec<_>)| {
        let pages = codes::pages().into_iter().filter(|page| Area::of(page.code) == *area);
        let case = |page: codes::Page| {
            let same = findings.iter().filter(move |finding: &&check::Reported| finding.code == page.code);
            Case::of(area.title(), &format!("{} {}", page.code, page.title), same)
        };
        Suite { name: format!("{} {}", report.image, area.title()), cases: pages.map(case).collect() }
    };
    report.findings.iter().map(suite).filter(|suite| !suite.cases.is_empty()).collect()
}
