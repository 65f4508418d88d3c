//! Drawing progress on standard error: live lines, plain lines, JSON lines or nothing.

mod gitlab;
mod json;
mod live;
mod plain;

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;

use crate::sys::{NoProgress, Progress, env};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ProgressStyle {
    /// Live lines on a terminal, log sections in GitLab jobs, plain lines elsewhere.
    #[default]
    Auto,
    /// One line when a step begins and one when it ends.
    Plain,
    /// One JSON object a line.
    Json,
    /// Nothing.
    None,
}

/// Makes what draws in the asked style.
pub(crate) fn progress(style: ProgressStyle) -> Arc<dyn Progress> {
    match style {
        ProgressStyle::None => Arc::new(NoProgress),
        ProgressStyle::Json => Arc::new(json::JsonLines),
        ProgressStyle::Plain => Arc::new(plain::PlainLines::default()),
        ProgressStyle::Auto if env::GITLAB_CI.get().is_some() => Arc::new(gitlab::Sections::default()),
        ProgressStyle::Auto if std::io::stderr().is_terminal() => Arc::new(live::LiveLines::default()),
        ProgressStyle::Auto => Arc::new(plain::PlainLines::default()),
    }
}

/// A duration for people: `0.4s`, `12s`, `3m05s`.
fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", duration.as_secs_f32()),
        10..60 => format!("{seconds}s"),
        _ => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

/// Writes one line to standard error; a closed standard error is not worth failing for.
pub(super) fn line(text: &str) {
    use std::io::Write as _;
    let mut stderr = std::io::stderr().lock();
    drop(stderr.write_all(text.as_bytes()).and_then(|()| stderr.write_all(b"\n")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (millis, text) in [(440, "0.4s"), (12_700, "12s"), (185_000, "3m05s")] {
            assert_eq!(human(Duration::from_millis(millis)), text);
        }
    }
}
