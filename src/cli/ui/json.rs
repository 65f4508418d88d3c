//! One JSON object a line, for programs.

use serde_json::json;

use super::line;
use crate::sys::{Progress, StepEvent, clock};

/// JSON lines.
#[derive(Debug, Default)]
pub(super) struct JsonLines;

impl Progress for JsonLines {
    fn event(&self, id: u64, event: &StepEvent) {
        let time = clock::now_rfc3339();
        let object = match event {
            StepEvent::Started { label, total } => {
                json!({"time": time, "step": id, "event": "started", "label": label, "total-bytes": total})
            }
            StepEvent::Advanced { done } => json!({"time": time, "step": id, "event": "advanced", "bytes": done}),
            StepEvent::Note { text } => json!({"time": time, "step": id, "event": "note", "text": text}),
            StepEvent::Finished { outcome } => {
                json!({"time": time, "step": id, "event": "finished", "outcome": outcome})
            }
            StepEvent::Failed => json!({"time": time, "step": id, "event": "failed"}),
        };
        line(&object.to_string());
    }
}
