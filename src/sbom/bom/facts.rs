//! What the document says beyond what is in the layers, handed in by those who know.

use std::collections::BTreeMap;

use oci_spec::image::Digest;

use super::super::catalogue::Digests;
use super::super::package::Package;
use crate::model::{KernelRelease, SourceDateEpoch, Tier};

/// An image as its manifest, its configuration and the lock it was built from describe it.
#[derive(Debug, Clone)]
pub struct ImageFacts {
    /// What it is called, such as `tier2/edge` or `example.com/os`.
    pub name: String,
    /// Digest of the manifest: what the serial number is made of.
    pub digest: Digest,
    /// Digests of the manifest's bytes.
    pub manifest: Digests,
    /// When it says it was made.
    pub created: SourceDateEpoch,
    /// Architecture, in the image specification's spelling.
    pub architecture: String,
    /// Labels of the configuration.
    pub labels: BTreeMap<String, String>,
    /// Its layers, lowest first.
    pub layers: Vec<LayerFacts>,
    /// The images it stands on, nearest first.
    pub below: Vec<BelowFacts>,
    /// Modules of so many layers, from the lowest, are listed in the SBOM of the image below, and not again.
    pub linked_layers: usize,
    /// Package files as they were fetched.
    pub archives: BTreeMap<ArchiveKey, ArchiveFacts>,
    /// Sets of modules that were compiled for it.
    pub module_sets: Vec<ModuleSetFacts>,
    /// The program that listed the packages, when it was not imgbuild itself.
    pub scanner: Option<Scanner>,
}

/// One layer.
#[derive(Debug, Clone)]
pub struct LayerFacts {
    /// Digest of the blob.
    pub digest: Digest,
    /// The tier that has it first, where imgbuild built it.
    pub tier: Option<Tier>,
    /// The set whose modules it holds, where imgbuild built it.
    pub module_set: Option<String>,
}

/// An image below.
#[derive(Debug, Clone)]
pub struct BelowFacts {
    /// What it is called.
    pub name: String,
    /// Digest of its manifest.
    pub digest: Digest,
}

/// A package by name, full version and architecture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArchiveKey {
    /// Name.
    pub name: String,
    /// Version with epoch.
    pub version: String,
    /// Architecture in the package manager's spelling.
    pub architecture: String,
}

impl ArchiveKey {
    /// The key of an installed package.
    pub fn of(package: &Package) -> Self {
        Self { name: package.name.clone(), version: package.full_version(), architecture: package.architecture.clone() }
    }
}

/// A package file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveFacts {
    /// Its name, without folders.
    pub file_name: String,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
    /// SHA-512, where the file is at hand.
    pub sha512: Option<String>,
}

/// A set of modules compiled for an image.
#[derive(Debug, Clone)]
pub struct ModuleSetFacts {
    /// Its name.
    pub name: String,
    /// Version of its source.
    pub version: String,
    /// The kernel it was compiled for.
    pub kernel: KernelRelease,
    /// Everything that was installed to compile it.
    pub packages: Vec<(ArchiveKey, ArchiveFacts)>,
}

/// A program that lists packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanner {
    /// Its name.
    pub name: String,
    /// Who makes it.
    pub vendor: String,
    /// Its version.
    pub version: String,
}
