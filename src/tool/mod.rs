//! External programs, one file each: a binding builds a `Cmd`, a pure parser reads its output.
//!
//! Bindings may not see each other, and nothing here prints. What they share
//! is vocabulary: [`Problem`], a known way to fail, [`ToolVersion`], and the
//! format [`repodata`].

pub mod apt;
pub mod buildah;
pub mod dkms;
pub mod dnf;
pub mod dpkg;
pub mod mmdebstrap;
mod percent;
mod problem;
pub mod qemu;
pub mod qemu_img;
pub mod repodata;
pub mod rpm;
pub mod setpriv;
pub mod syft;
pub mod unshare;
mod version;

pub use problem::Problem;
pub use version::{TooOld, ToolVersion, VersionError};
