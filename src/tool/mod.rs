//! External programs, one file each: a binding builds a `Cmd`, a pure parser reads its output.
//!
//! Bindings may not see each other, and nothing here prints. What they share
//! is vocabulary: [`Problem`], a known way to fail, [`ToolVersion`], and the
//! format [`repodata`].

pub mod dnf;
mod problem;
pub mod repodata;
pub mod rpm;
mod version;

pub use problem::Problem;
pub use version::{TooOld, ToolVersion, VersionError};
