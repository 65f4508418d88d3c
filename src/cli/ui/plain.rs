//! One line when a step begins and one when it ends, for logs.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::{human, line};
use crate::sys::clock::Stopwatch;
use crate::sys::{Progress, StepEvent};

/// Plain lines.
#[derive(Debug, Default)]
pub(super) struct PlainLines {
    running: Mutex<BTreeMap<u64, (String, Stopwatch)>>,
}

impl PlainLines {
    /// The text for an event, if it is worth a line; also keeps the books on running steps.
    pub(super) fn describe(&self, id: u64, event: &StepEvent) -> Option<String> {
        let mut running = self.running.lock().expect("not poisoned");
        match event {
            StepEvent::Started { label, .. } => {
                running.insert(id, (label.clone(), Stopwatch::start()));
                Some(format!("  {label} ..."))
            }
            StepEvent::Finished { outcome } => {
                let (label, watch) = running.remove(&id)?;
                let outcome = outcome.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
                Some(format!("  {label}{outcome} ({})", human(watch.elapsed())))
            }
            StepEvent::Failed => {
                let (label, watch) = running.remove(&id)?;
                Some(format!("  {label}: failed ({})", human(watch.elapsed())))
            }
            StepEvent::Advanced { .. } | StepEvent::Note { .. } => None,
        }
    }
}

impl Progress for PlainLines {
    fn event(&self, id: u64, event: &StepEvent) {
        if let Some(text) = self.describe(id, event) {
            line(&text);
        }
    }
}
