//! Text to `Definition`, and the lock file beside it.
//!
//! Owns the schema of `imgbuild.toml`, `tiers/*/tier.toml`, `kmods/*/kmod.toml`,
//! `hosts/*.toml` and `imgbuild.lock`: strict, with errors that show the place.
//!
//! May not run processes or use the network.

mod builtin;
mod definition;
mod digest;
mod document;
mod error;
mod file;
mod folder;
mod host;
mod kmod;
mod load;
mod lock;
mod lock_inputs;
mod lock_text;
mod names;
mod policy;
mod rules;
pub mod schema;
pub mod secrets;
mod shape;
mod sources;
mod tier;

pub use builtin::{Builtin, DEFAULT_EXAMPLE, UnknownExample, examples, scaffold};
pub use definition::{Definition, Project};
pub use digest::definition_digest;
pub use error::{ConfigError, ConfigErrorKind, ConfigErrors, NameKind, Position};
pub use host::{Directory, FileEntry, Group, Host, Link, Network, Units, User};
pub use kmod::{AptBuild, Artifact, DnfBuild, KmodBuild, KmodSet, Supports, Verify};
pub use lock::{
    Archive, KernelInputs, KernelLock, KernelSwap, Lock, LockedPackage, LockedTier1, LockedTier2, ModuleLock,
    PackageSet, SetupRootLock, Tier1Source,
};
pub use lock_text::LOCK_FILE;
pub use policy::{OpenTransport, Policy, PolicyAllow, Publish};
pub use tier::{
    Allow, AllowFile, AllowFileError, Bootstrap, Family, KernelPolicy, Mirror, Repository, Seal, Signing, SwapPolicy,
    Tier1, Tier2,
};
