//! Collapsible sections of GitLab job logs.
//!
//! Format: <https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections>.
//! Sections cannot overlap, so each finished step is written as one closed
//! section holding its news; steps in between would otherwise nest wrongly.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::line;
use super::plain::PlainLines;
use crate::sys::{Progress, StepEvent, clock};

/// GitLab sections.
#[derive(Debug, Default)]
pub(super) struct Sections {
    lines: PlainLines,
    news: Mutex<BTreeMap<u64, (u64, Vec<String>)>>,
}

impl Progress for Sections {
    fn event(&self, id: u64, event: &StepEvent) {
        let mut news = self.news.lock().expect("not poisoned");
        match event {
            StepEvent::Started { .. } => drop(news.insert(id, (clock::now_secs(), Vec::new()))),
            StepEvent::Note { text } => {
                if let Some((_, lines)) = news.get_mut(&id) {
                    lines.push(text.clone());
                }
            }
            _ => {}
        }
        let Some(headline) = self.lines.describe(id, event) else { return };
        match event {
            StepEvent::Finished { .. } | StepEvent::Failed => {
                let (started, lines) = news.remove(&id).unwrap_or_default();
                line(&section(id, started, clock::now_secs(), &headline, &lines));
            }
            _ => line(&headline),
        }
    }
}

fn section(id: u64, started: u64, ended: u64, headline: &str, news: &[String]) -> String {
    if news.is_empty() {
        return headline.to_owned();
    }
    let name = format!("imgbuild_step_{id}");
    format!(
        "\x1b[0Ksection_start:{started}:{name}[collapsed=true]\r\x1b[0K{headline}\n{}\n\x1b[0Ksection_end:{ended}:{name}\r\x1b[0K",
        news.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_opens_and_closes_under_one_name() {
        let text = section(7, 10, 12, "build", &["gcc".to_owned()]);
        assert!(text.starts_with("\x1b[0Ksection_start:10:imgbuild_step_7[collapsed=true]\r\x1b[0Kbuild\ngcc\n"));
        assert!(text.ends_with("section_end:12:imgbuild_step_7\r\x1b[0K"));
        assert_eq!(section(7, 10, 12, "build", &[]), "build");
    }
}
