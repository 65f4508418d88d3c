//! Looking into a disk.

use cap_std::fs_utf8::camino::Utf8Path;
use serde::Serialize;

use super::source::DiskSource;
use super::{BuildError, DiskError};
use crate::disk::boot::Check;
use crate::disk::inspect::{self, DiskContent};

/// What is on a disk.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DiskReport {
    /// The file.
    pub disk: String,
    /// Partitions, files of the EFI system partition, boot entries.
    #[serde(flatten)]
    pub content: DiskContent,
    /// What its entries boot.
    pub boots: Vec<FoundBoot>,
}

/// What one entry boots.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FoundBoot {
    /// Title in the boot menu.
    pub title: String,
    /// Name of the deployment, when it is composefs.
    pub composefs: Option<String>,
    /// Whether it boots only what fs-verity proves; else the disk is unlocked.
    pub sealed: bool,
    /// Whose certificate came with the signature of its unified kernel.
    pub signed_by: Option<String>,
    /// Why firmware would not start its unified kernel.
    pub problem: Option<String>,
    /// Files that it names and that are not there.
    pub missing: Vec<String>,
}

/// Reads partitions and boot files of a disk, raw or qcow2.
///
/// # Errors
/// When the file cannot be read or is no such disk.
pub fn inspect(path: &Utf8Path) -> Result<DiskReport, BuildError> {
    let mut file = DiskSource::open(path)?;
    let failed = |source| DiskError::Inspect { path: path.to_owned(), source };
    let content = inspect::inspect(&mut file).map_err(failed)?;
    let entries = content.esp.iter().flat_map(|esp| &esp.entries);
    let boots = entries.map(|found| FoundBoot {
        title: found.entry.get("title").unwrap_or(&found.path).to_owned(),
        composefs: found.composefs.as_ref().map(|argument| argument.id.to_string()),
        // A command line that nobody signed is anybody's to change.
        sealed: found.composefs.as_ref().is_some_and(|argument| argument.check == Check::Required)
            && found.unified.as_ref().is_some_and(|unified| unified.signed_by.is_some()),
        signed_by: found.unified.as_ref().and_then(|unified| unified.signed_by.clone()),
        problem: found.unified.as_ref().and_then(|unified| unified.problem.clone()),
        missing: found.missing.clone(),
    });
    Ok(DiskReport { disk: path.to_string(), boots: boots.collect(), content })
}
