//! `imgbuild disk verify`.

use std::io::Write;

use cap_std::fs_utf8::camino::Utf8PathBuf;

use super::error::CliError;
use super::{Context, exit};
use crate::build::disk::verify::{self, VerifyReport, VerifyRequest};
use crate::model::{ByteSize, ImageLocator};

/// So many paths of a list are shown; all of them are in the JSON.
const SHOWN: usize = 10;

/// Prove a disk: read everything that has a digest and compare it
///
/// Both partition tables, the boot files, the checksums of the root file system, every object of the repository, the
/// image that is booted with all objects it names, the layers put together again from their streams, the records of
/// each deployment, and on sealed disks the fs-verity metadata. Reads any disk, without running anything from it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The disk: raw or qcow2
    #[arg(value_name = "FILE")]
    disk: Utf8PathBuf,
    /// Compare with what this image's layers say must be there, and nothing else
    #[arg(long, value_name = "IMAGE")]
    against: Option<ImageLocator>,
    /// The disk was never booted and is of no host: /etc and /var must be as the image has them
    #[arg(long)]
    fresh: bool,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), CliError> {
        let request = VerifyRequest { disk: self.disk, against: self.against, fresh: self.fresh };
        let report = verify::verify(&context.reading_session()?, &request)?;
        context.print(&report, |out| show(out, &report))?;
        if report.verification.findings.is_empty() {
            return Ok(());
        }
        // What is wrong has been printed.
        Err(CliError::new(exit::DISK, ""))
    }
}

fn show(out: &mut dyn Write, report: &VerifyReport) -> std::io::Result<()> {
    let found = &report.verification;
    writeln!(out, "disk          {}  ({}, {:.1} s)", report.disk, report.format, report.seconds)?;
    let against = report.against.as_ref();
    against.into_iter().try_for_each(|image| writeln!(out, "against       {image}"))?;
    for finding in &found.findings {
        let path = if finding.path.is_empty() { String::new() } else { format!("{}: ", finding.path) };
        writeln!(out, "wrong         {}: {path}{}", finding.area, finding.problem)?;
    }
    let (objects, size) = (grouped(found.objects), ByteSize(found.object_bytes));
    writeln!(out, "partitions    {}", found.partitions)?;
    writeln!(out, "boot          {} and {} files proven", entries(found.entries), found.boot_files)?;
    list(out, "not provable", &found.unproven_boot_files)?;
    writeln!(out, "objects       {objects} proven ({size}), {} of them sealed", grouped(found.sealed_objects))?;
    writeln!(out, "images        {} with all objects of {} files", found.images, grouped(found.files))?;
    writeln!(out, "streams       {} put together again", found.streams)?;
    found.deployments.iter().try_for_each(|id| writeln!(out, "deployment    {id}"))?;
    writeln!(out, "state         {} files as the image has them", grouped(found.unchanged))?;
    list(out, "of the host", &found.changed)?;
    if found.unreferenced_objects > 0 {
        writeln!(out, "unreferenced  {} objects", grouped(found.unreferenced_objects))?;
    }
    match found.findings.len() {
        0 => writeln!(out, "\n{objects} objects, {} proven; nothing is wrong", entries(found.entries)),
        1 => writeln!(out, "\n1 thing is wrong"),
        count => writeln!(out, "\n{count} things are wrong"),
    }
}

fn list(out: &mut dyn Write, title: &str, paths: &[String]) -> std::io::Result<()> {
    paths.iter().take(SHOWN).try_for_each(|path| writeln!(out, "  {title:<12}  {path}"))?;
    match paths.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => writeln!(out, "  {title:<12}  and {} more", grouped(more as u64)),
    }
}

fn entries(count: usize) -> String {
    format!("{count} {}", if count == 1 { "entry" } else { "entries" })
}

/// With a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (7146, "7,146"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
