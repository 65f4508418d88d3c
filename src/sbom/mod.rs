//! What is in an image, and its bill of materials as CycloneDX.
//!
//! Owns the readers of package databases, the translation of licences to SPDX and the document. What other rooms know
//! about an image (its modules, its lock, its place in the chain) is handed in as facts. May not run processes.

mod apk;
mod bom;
mod catalogue;
mod database;
mod dpkg;
mod error;
mod kernel;
mod licence;
mod os_release;
mod package;
mod purl;
mod rpm;

pub use bom::{
    ArchiveFacts, ArchiveKey, BelowFacts, ImageFacts, LayerFacts, MEDIA_TYPE, ModuleSetFacts, Sbom, SbomFormat,
    Scanner, serial_of,
};
pub use catalogue::{Catalogue, Cataloguer, Digests, FileFacts, Installed};
pub use error::{DatabaseError, SbomError};
pub use kernel::{Kernel, KernelModule, ModuleFacts, ModuleSignatureFacts, ReadModule};
pub use os_release::OsRelease;
pub use package::{Package, PackageKind};
pub use purl::PackageUrl;
