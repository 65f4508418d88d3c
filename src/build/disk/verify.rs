//! Proving a disk, alone or beside the image it is of.

use cap_std::fs_utf8::camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::source::{DiskSource, Reading};
use super::{BuildError, DiskError};
use crate::build::{Session, chain, images};
use crate::disk::assemble::{AssembleError, FORMATS};
use crate::disk::composefs::{CrateWriter, NoSink, RepositoryOptions, deployed_tag, write_repository};
pub use crate::disk::verify::{Area, Finding, Verification};
use crate::disk::verify::{Expected, Wanted, verify as verify_disk};
use crate::disk::verity::Trees;
use crate::model::ImageLocator;
use crate::sys::clock::Stopwatch;

/// What is to be proven.
#[derive(Debug, Clone)]
pub struct VerifyRequest {
    /// The disk: raw or qcow2.
    pub disk: Utf8PathBuf,
    /// The image that must be on it, and nothing else.
    pub against: Option<ImageLocator>,
    /// Whether its state must be the image's.
    pub fresh: bool,
}

/// What was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct VerifyReport {
    /// The file.
    pub disk: String,
    /// Its format.
    pub format: &'static str,
    /// The image it was compared with.
    pub against: Option<String>,
    /// What was proven, and what is wrong.
    #[serde(flatten)]
    pub verification: Verification,
    /// Time it took.
    pub seconds: f64,
}

/// Reads all of a disk that anything refers to and proves it.
///
/// # Errors
/// When the disk or the image cannot be read. What is wrong with the disk is in the report.
pub fn verify(session: &Session, request: &VerifyRequest) -> Result<VerifyReport, BuildError> {
    let watch = Stopwatch::start();
    let image = request.against.as_ref().map(|image| expected(session, image)).transpose()?;
    let wanted = Wanted { image: image.as_ref(), fresh: request.fresh };
    let disk = DiskSource::open(&request.disk)?;
    let format = disk.format().name();
    let step = session.step(format!("verify {}", request.disk))?;
    let mut reading = Reading { disk, interrupt: &session.interrupt, step: &step };
    let verification = verify_disk(&mut reading, &wanted);
    session.interrupt.check()?;
    let verification = verification.map_err(|source| unreadable(&request.disk, source))?;
    step.finish(format!("{} objects", verification.objects));
    Ok(VerifyReport {
        disk: request.disk.to_string(),
        format,
        against: request.against.as_ref().map(ToString::to_string),
        verification,
        seconds: watch.elapsed().as_secs_f64(),
    })
}

fn unreadable(path: &Utf8Path, source: crate::disk::inspect::InspectError) -> DiskError {
    DiskError::Inspect { path: path.to_owned(), source }
}

/// Computes the repository of an image from its layers, and keeps none of it but the names.
fn expected(session: &Session, locator: &ImageLocator) -> Result<Expected, BuildError> {
    let step = session.step(format!("read {locator}"))?;
    let (layout, image) = images::open(session, locator)?;
    let layers = image.layer_source(&layout, chain::limits());
    let options = RepositoryOptions {
        formats: FORMATS,
        trees: Trees::Drop,
        keep: &|_| false,
        tags: vec![deployed_tag(image.digest())],
    };
    let repository = write_repository(&image, &layers, &CrateWriter, &options, &mut NoSink);
    let failed = |source| DiskError::Assemble { image: locator.to_string(), source: AssembleError::Composefs(source) };
    let expected = Expected::of(&repository.map_err(failed)?);
    step.finish("");
    Ok(expected)
}
