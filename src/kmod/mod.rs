//! Module manifests, checks of built `.ko` files, and what must not be left behind.
//!
//! May not run processes.

mod check;
mod finding;
mod index;
mod inspect;
mod leftovers;
mod manifest;
mod prove;
mod symvers;

pub use check::{BuiltModule, check_modules, is_module_path};
pub use finding::{Code, Finding};
pub use index::{ModuleIndex, parse_builtin, parse_dracut_drivers, parse_modules_load};
pub use inspect::{
    Certificate, Compression, DigestAlgorithm, ElfError, Export, Import, InspectError, ModuleInfo, ModuleSignature,
    SignatureError, SignatureTail, SignerId, Vermagic, Versions, XzCheck, decompress, inspect,
};
pub use leftovers::{AddedFile, Allowances, Allowed, AllowedError, leftover_file, leftover_package};
pub use manifest::{Artifact, CopyItem, ManifestError, ManifestProblem, Source, Stage, StageFile, Variables, select};
pub use prove::{Facts, Proof, ProofInput, SignaturePolicy, SymbolSource, prove};
pub use symvers::{Exported, Symvers, SymversError};
