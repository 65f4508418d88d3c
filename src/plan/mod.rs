//! Definition, lock and facts to a plan: pure, printable.
//!
//! Owns the decision of what is built from what and why, the text of generated
//! files (Containerfile, host files), and nothing that runs.
//!
//! May not touch file systems, processes, the environment or the clock.

mod bootstrap;
mod containerfile;
pub mod decision;
pub mod drift;
pub mod host;
mod select;
mod steps;
mod wanted;

use crate::model::Karg;

pub use bootstrap::{BootstrapFile, FINISH, SETUP_ROOT, bootstrap_files};
pub use containerfile::{
    APT, CERTIFICATE, DNF, IMAGE_REPOSITORY, IMAGE_TARGET, INPUTS, InputScript, KERNEL_REPOSITORY, KEY_ID, RenderError,
    SetStage, StageKit, Tier2Stages, files_target, render, set_repository, wanted_path,
};
pub use select::{Selection, UnknownTarget};
pub use steps::{Action, ModuleSet, Packages, Plan, SEALED, Step, Target, base_of, resolve, sealed};
pub use wanted::wanted;

/// A bootc kernel-argument file (`/usr/lib/bootc/kargs.d/*.toml`).
pub fn kargs_toml(kargs: &[Karg]) -> String {
    let list = kargs.iter().map(|karg| toml::Value::from(karg.as_str()).to_string()).collect::<Vec<_>>();
    format!("kargs = [{}]\n", list.join(", "))
}
