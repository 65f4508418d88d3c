//! How long steps tell what they are doing; only `cli` draws it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What happened to one step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the variants name their fields")]
pub enum StepEvent {
    /// The step began; `total` bytes are expected where that is known.
    Started { label: String, total: Option<u64> },
    /// So many bytes are done.
    Advanced { done: u64 },
    /// One line of news, such as a line printed by a program.
    Note { text: String },
    /// The step ended well; the text says what came out, when there is something to say.
    Finished { outcome: Option<String> },
    /// The step was abandoned.
    Failed,
}

/// Receives events of steps; several steps may run at once.
pub trait Progress: Send + Sync + fmt::Debug {
    /// One event of the step numbered `id`, unique within the process.
    fn event(&self, id: u64, event: &StepEvent);
}

/// Says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn event(&self, _id: u64, _event: &StepEvent) {}
}

/// A running step; reported as failed when dropped without [`Step::finish`].
#[derive(Debug)]
pub struct Step {
    progress: Arc<dyn Progress>,
    id: u64,
    done: AtomicU64,
    finished: bool,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Step {
    /// Begins a step of unknown length.
    pub fn start(progress: &Arc<dyn Progress>, label: impl Into<String>) -> Self {
        Self::begin(progress, label.into(), None)
    }

    /// Begins a step that will handle `total` bytes.
    pub fn start_bytes(progress: &Arc<dyn Progress>, label: impl Into<String>, total: u64) -> Self {
        Self::begin(progress, label.into(), Some(total))
    }

    fn begin(progress: &Arc<dyn Progress>, label: String, total: Option<u64>) -> Self {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        progress.event(id, &StepEvent::Started { label, total });
        Self { progress: Arc::clone(progress), id, done: AtomicU64::new(0), finished: false }
    }

    /// Adds `bytes` to what is done.
    pub fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.progress.event(self.id, &StepEvent::Advanced { done });
    }

    /// Passes on one line of news.
    pub fn note(&self, text: impl Into<String>) {
        self.progress.event(self.id, &StepEvent::Note { text: text.into() });
    }

    /// Ends the step well.
    pub fn finish(mut self, outcome: impl Into<String>) {
        let outcome = Some(outcome.into()).filter(|text| !text.is_empty());
        self.finished = true;
        self.progress.event(self.id, &StepEvent::Finished { outcome });
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.finished {
            self.progress.event(self.id, &StepEvent::Failed);
        }
    }
}
