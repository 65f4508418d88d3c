//! What is kept of a command's output.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Mutex;

use super::runner::output_error;
use super::{Cmd, CmdError, ExitKind, LineSink};
use crate::sys::clock::Stopwatch;

/// How many lines of a failed program's output go into the error; the log file has all of them.
const TAIL_LINES: usize = 20;

/// The log of one command: the file, when there is one, and the last lines.
#[derive(Debug)]
pub(super) struct Log {
    path: Option<PathBuf>,
    watch: Stopwatch,
    state: Mutex<LogState>,
}

#[derive(Debug, Default)]
struct LogState {
    file: Option<File>,
    tail: VecDeque<String>,
}

impl Log {
    /// Keeps only the last lines.
    pub(super) fn nowhere() -> Self {
        Self { path: None, watch: Stopwatch::start(), state: Mutex::default() }
    }

    pub(super) fn create(path: PathBuf, cmd: &Cmd) -> io::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "logs are named by path in error messages")]
        let mut file = File::create(&path)?;
        writeln!(file, "$ {cmd}")?;
        if let Some(cwd) = &cmd.cwd {
            writeln!(file, "# in {}", cwd.display())?;
        }
        let state = Mutex::new(LogState { file: Some(file), ..LogState::default() });
        Ok(Self { path: Some(path), watch: Stopwatch::start(), state })
    }

    pub(super) fn copy_lines(&self, from: impl Read, cmd: &Cmd, on_line: LineSink<'_>) -> io::Result<()> {
        for line in BufReader::new(from).split(b'\n') {
            let line = line?;
            let line = cmd.hide(String::from_utf8_lossy(&line).trim_end_matches('\r'));
            on_line(&line);
            let mut state = self.state.lock().expect("not poisoned");
            if let Some(file) = &mut state.file {
                writeln!(file, "{line}")?;
            }
            if state.tail.len() == TAIL_LINES {
                state.tail.pop_front();
            }
            state.tail.push_back(line);
        }
        Ok(())
    }

    /// Closes the log with how it ended and how long it took, and turns anything but exit code 0 into an error.
    pub(super) fn verdict(self, cmd: &Cmd, status: ExitStatus) -> Result<(), CmdError> {
        let mut state = self.state.into_inner().expect("not poisoned");
        if let Some(file) = &mut state.file {
            let seconds = self.watch.elapsed().as_secs_f64();
            writeln!(file, "# {status} after {seconds:.3} s").map_err(|source| output_error(cmd, source))?;
        }
        if status.success() {
            return Ok(());
        }
        let exit = match (status.code(), status.signal()) {
            (Some(code), _) => ExitKind::Code(code),
            (None, signal) => ExitKind::Signal(signal.unwrap_or(0)),
        };
        Err(CmdError::Failed {
            line: cmd.to_string(),
            cwd: cmd.cwd.clone(),
            exit,
            tail: state.tail.into(),
            log: self.path,
        })
    }
}
