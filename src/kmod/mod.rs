//! Module manifests, checks of built `.ko` files, and what must not be left behind.
//!
//! May not run processes.

mod check;
mod finding;
mod inspect;
mod leftovers;
mod manifest;

pub use check::{BuiltModule, check_modules, is_module_path};
pub use finding::{Code, Finding};
pub use inspect::{
    Compression, ElfError, InspectError, ModuleInfo, SignatureTail, Vermagic, XzCheck, decompress, inspect,
};
pub use leftovers::{AddedFile, Allowed, AllowedError, leftovers};
pub use manifest::{Artifact, CopyItem, ManifestError, ManifestProblem, Source, Stage, StageFile, Variables, select};
