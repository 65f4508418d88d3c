//! Runs a plan: preflight, then the road from definition to signed images.
//!
//! May not see clap, print or exit.

pub mod audit;
mod error;
mod project;
mod session;
mod store;

pub use error::BuildError;
pub use project::Project;
pub use session::{Session, Settings};
pub use store::Store;
