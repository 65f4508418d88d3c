//! Module manifests, checks of built `.ko` files, and what must not be left behind.
//!
//! May not run processes.

mod manifest;

pub use manifest::{
    Artifact, CopyItem, Kind, ManifestError, ManifestProblem, Source, Stage, StageFile, Variables, select,
};
