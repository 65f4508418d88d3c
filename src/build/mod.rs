//! Runs a plan: preflight, then the road from definition to signed images.
//!
//! May not see clap, print or exit.

pub mod audit;
pub mod boot;
mod chain;
pub mod check;
pub mod codes;
mod containers;
mod conventions;
pub mod disk;
mod error;
pub mod gc;
mod host_build;
pub mod images;
pub mod kernels;
pub mod locking;
mod logins;
mod mirror;
mod packages;
pub mod preflight;
mod probe;
mod project;
mod rpm_database;
mod run;
pub mod sbom;
pub mod seal;
mod session;
mod setup_root;
pub mod signing;
mod store;
mod tier1;
mod tier2;
mod tier3;
pub mod verify;

pub use chain::Built;
pub use error::BuildError;
pub use kernels::{KernelAsk, KernelPin};
pub use project::Project;
pub use run::run;
pub use session::{Session, Settings};
pub use store::Store;
pub use tier2::render as render_tier2;
