//! Definition, lock and facts to a plan: pure, printable.

mod bootstrap;
mod containerfile;
mod wanted;

pub use bootstrap::{BootstrapFile, FINISH, SETUP_ROOT, bootstrap_files};
pub use containerfile::{APT, CERTIFICATE, InputScript, KEY_ID, RenderError, SetStage, StageKit, Tier2Stages, render};
pub use wanted::wanted;
