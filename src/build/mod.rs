//! Runs a plan: preflight, then the road from definition to signed images.
//!
//! May not see clap, print or exit.
pub mod audit;
mod error;
mod store;

pub use error::BuildError;
pub use store::Store;
