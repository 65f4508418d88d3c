//! Definition, lock and facts to a plan: pure, printable.

mod bootstrap;
mod containerfile;
mod wanted;

pub use bootstrap::{BootstrapFile, FINISH, SETUP_ROOT, bootstrap_files};
pub use containerfile::{
    APT, CERTIFICATE, IMAGE_REPOSITORY, IMAGE_TARGET, INPUTS, InputScript, KEY_ID, RenderError, SetStage, StageKit,
    Tier2Stages, files_target, render, set_repository, wanted_path,
};
pub use wanted::wanted;
