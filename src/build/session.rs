//! One run: the store, the programs, progress and interruption, and what the user set.

use std::sync::Arc;

use cap_std::fs_utf8::camino::Utf8PathBuf;

use super::audit::Event;
use super::error::BuildError;
use super::store::Store;
use crate::sys::{Interrupt, Progress, Runner, Step};

/// What the command line may set about a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Refuse to build when the lock does not match the definition.
    pub locked: bool,
    /// Keep images whose inputs are unchanged.
    pub reuse: bool,
    /// buildah's storage driver; chosen by preflight when absent.
    pub storage_driver: Option<String>,
    /// The composefs-setup-root program; looked for in the usual places when absent.
    pub setup_root: Option<Utf8PathBuf>,
}

/// A run.
#[derive(Debug)]
pub struct Session {
    /// The store.
    pub store: Store,
    /// Runs programs and keeps their logs.
    pub runner: Runner,
    /// Told about every step.
    pub progress: Arc<dyn Progress>,
    /// Set when the user wants to stop.
    pub interrupt: Interrupt,
    /// What the user set.
    pub settings: Settings,
}

impl Session {
    /// A run in `store`.
    pub fn new(store: Store, progress: Arc<dyn Progress>, interrupt: Interrupt, settings: Settings) -> Self {
        let logs = store.logs_path().into_std_path_buf();
        let runner = Runner::new(Some(logs), store.run_id(), interrupt.clone());
        Self { store, runner, progress, interrupt, settings }
    }

    /// Begins a step, unless the user wants to stop.
    ///
    /// # Errors
    /// [`BuildError::Interrupted`] after a signal.
    pub fn step(&self, label: impl Into<String>) -> Result<Step, BuildError> {
        self.interrupt.check()?;
        Ok(Step::start(&self.progress, label))
    }

    /// Writes one event to the audit trail.
    ///
    /// # Errors
    /// When the trail cannot be written.
    pub fn audit(&self, event: Event) -> Result<(), BuildError> {
        Ok(self.store.audit().record(event)?)
    }
}
