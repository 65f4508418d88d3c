//! The only door to the operating system.
//!
//! Owns running commands, the table of environment variables, the clock,
//! advisory locks, interruption and the progress interface. Directories are
//! capabilities (`cap_std::fs_utf8::Dir`) opened here and handed down.
//!
//! May not know any word of the domain: no image, tier or kernel appears here.

pub mod clock;
mod cmd;
pub mod dirs;
pub mod env;
mod interrupt;
mod limits;
mod lock;
pub mod mounts;
pub mod orphans;
mod parallel;
mod progress;
pub mod random;
pub mod terminal;
pub mod umask;

pub use cmd::{Cmd, CmdError, ExitKind, Runner, Watched};
pub use interrupt::{Interrupt, Interrupted};
pub use limits::HardLimits;
pub use lock::{FileLock, LockError, LockKind};
pub use parallel::{map_all, yield_to_others};
pub use progress::{NoProgress, Progress, Step, StepEvent};
