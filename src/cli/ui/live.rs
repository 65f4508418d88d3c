//! One live line per running step, with elapsed time, bytes where known and the newest news.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::human;
use crate::sys::{Progress, StepEvent};

/// Live lines.
#[derive(Debug, Default)]
pub(super) struct LiveLines {
    lines: MultiProgress,
    running: Mutex<BTreeMap<u64, (String, ProgressBar)>>,
}

impl LiveLines {
    fn start(&self, id: u64, label: &str, total: Option<u64>) {
        let template = match total {
            Some(_) => "  {spinner} {prefix} {elapsed} {binary_bytes}/{binary_total_bytes} {wide_msg}",
            None => "  {spinner} {prefix} {elapsed} {wide_msg}",
        };
        let style = ProgressStyle::with_template(template).expect("a template of ours");
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let bar = self.lines.add(bar.with_style(style).with_prefix(label.to_owned()));
        bar.enable_steady_tick(Duration::from_millis(120));
        self.running.lock().expect("not poisoned").insert(id, (label.to_owned(), bar));
    }

    fn end(&self, id: u64, text: impl Fn(&str, Duration) -> String) {
        if let Some((label, bar)) = self.running.lock().expect("not poisoned").remove(&id) {
            let text = text(&label, bar.elapsed());
            bar.finish_and_clear();
            // Only fails when the terminal went away.
            drop(self.lines.println(text));
        }
    }

    fn with(&self, id: u64, act: impl Fn(&ProgressBar)) {
        if let Some((_, bar)) = self.running.lock().expect("not poisoned").get(&id) {
            act(bar);
        }
    }
}

impl Progress for LiveLines {
    fn event(&self, id: u64, event: &StepEvent) {
        match event {
            StepEvent::Started { label, total } => self.start(id, label, *total),
            StepEvent::Advanced { done } => self.with(id, |bar| bar.set_position(*done)),
            StepEvent::Note { text } => self.with(id, |bar| bar.set_message(text.clone())),
            StepEvent::Finished { outcome } => self.end(id, |label, elapsed| {
                let outcome = outcome.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
                format!("  {label}{outcome} ({})", human(elapsed))
            }),
            StepEvent::Failed => self.end(id, |label, elapsed| format!("  {label}: failed ({})", human(elapsed))),
        }
    }
}
