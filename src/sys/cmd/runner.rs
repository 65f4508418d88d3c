//! Starting programs, waiting for them, stopping them.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::log::Log;
use super::{Cmd, CmdError, ExitKind, LineSink};
use crate::sys::{Interrupt, env};

/// How long a program may take to end after SIGTERM before it is killed.
const TERM_GRACE: Duration = Duration::from_secs(10);

/// Why a program that was watched is not running any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// Enough was seen of its output, and it was stopped.
    Enough,
    /// Time was up, and it was stopped.
    TimedOut,
    /// It ended by itself, with 0.
    Ended,
}

/// Why a running program is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Interrupted,
    Enough,
    TimedOut,
}

/// Runs commands for one imgbuild run: numbers and keeps their logs, stops them on interruption.
#[derive(Debug)]
pub struct Runner {
    logs: Option<PathBuf>,
    run_id: String,
    interrupt: Interrupt,
    next_log: AtomicU64,
}

impl Runner {
    /// A runner that keeps one log file per command in `logs`.
    pub fn new(logs: Option<PathBuf>, run_id: impl Into<String>, interrupt: Interrupt) -> Self {
        Self { logs, run_id: run_id.into(), interrupt, next_log: AtomicU64::new(1) }
    }

    /// Runs to the end; both output streams go to the log. Fails unless it returns 0.
    ///
    /// # Errors
    /// Any [`CmdError`].
    pub fn run(&self, cmd: &Cmd) -> Result<(), CmdError> {
        self.run_with(cmd, &|_| {})
    }

    /// As [`Runner::run`], and hands every printed line to `on_line`.
    ///
    /// # Errors
    /// Any [`CmdError`].
    pub fn run_with(&self, cmd: &Cmd, on_line: LineSink<'_>) -> Result<(), CmdError> {
        let mut child = self.spawn(cmd)?;
        let stdout = child.stdout.take().expect("piped");
        let log = self.open_log(cmd)?;
        let status = std::thread::scope(|scope| {
            let lines = scope.spawn(|| log.copy_lines(stdout, cmd, on_line));
            let status = self.finish(cmd, child, &log, on_line);
            lines.join().expect("does not panic").map_err(|source| output_error(cmd, source))?;
            status
        })?;
        log.verdict(cmd, status)
    }

    /// Runs to the end and returns its standard output; standard error goes to the log. Fails unless it returns 0.
    ///
    /// # Errors
    /// Any [`CmdError`], also when the output is not UTF-8.
    pub fn read(&self, cmd: &Cmd) -> Result<String, CmdError> {
        let mut bytes = Vec::new();
        self.stream(cmd, &mut |stdout| stdout.read_to_end(&mut bytes).map(drop))?;
        String::from_utf8(bytes).map_err(|error| output_error(cmd, io::Error::new(io::ErrorKind::InvalidData, error)))
    }

    /// Runs while `consume` reads its standard output; standard error goes to the log. Fails unless it returns 0.
    ///
    /// # Errors
    /// Any [`CmdError`]; an error of `consume` comes back as [`CmdError::Output`], unless the program failed itself.
    pub fn stream(&self, cmd: &Cmd, consume: &mut dyn FnMut(&mut dyn Read) -> io::Result<()>) -> Result<(), CmdError> {
        let mut child = self.spawn(cmd)?;
        let mut stdout = child.stdout.take().expect("piped");
        let log = self.open_log(cmd)?;
        let (consumed, status) = std::thread::scope(|scope| {
            let status = scope.spawn(|| self.finish(cmd, child, &log, &|_| {}));
            let consumed = consume(&mut stdout);
            // A consumer that stopped early must not leave the program blocked on a full pipe.
            drop(stdout);
            (consumed, status.join().expect("does not panic"))
        });
        let verdict = log.verdict(cmd, status?);
        match consumed {
            Err(source) if verdict.is_ok() || is_broken_pipe(&verdict) => Err(output_error(cmd, source)),
            _ => verdict,
        }
    }

    /// Whether it returns 0; any other code is `false`, a missing program is an error.
    ///
    /// # Errors
    /// Any [`CmdError`] but [`CmdError::Failed`] with an exit code.
    pub fn succeeds(&self, cmd: &Cmd) -> Result<bool, CmdError> {
        match self.run(cmd) {
            Ok(()) => Ok(true),
            Err(CmdError::Failed { exit: ExitKind::Code(_), .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Runs and shows its standard output to `see` as it comes, in whatever pieces it comes, until `see` breaks, the
    /// program ends, or `timeout` is over. It is stopped in any case; standard error goes to the log.
    ///
    /// # Errors
    /// Any [`CmdError`]; a program that ends by itself fails unless it returns 0.
    pub fn watch(
        &self,
        cmd: &Cmd,
        timeout: Duration,
        see: &mut (dyn FnMut(&[u8]) -> ControlFlow<()> + Send),
    ) -> Result<Watched, CmdError> {
        let mut child = self.spawn(cmd)?;
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let log = self.open_log(cmd)?;
        let (enough, started) = (AtomicBool::new(false), Instant::now());
        let (stop, status) = std::thread::scope(|scope| {
            let errors = scope.spawn(|| log.copy_lines(stderr, cmd, &|_| {}));
            let output = scope.spawn(|| show(stdout, see, &enough));
            let ended = wait_until(cmd, &mut child, &|| match () {
                () if self.interrupt.is_set() => Some(Stop::Interrupted),
                () if enough.load(Ordering::Relaxed) => Some(Stop::Enough),
                () => (started.elapsed() >= timeout).then_some(Stop::TimedOut),
            })?;
            for copied in [output.join(), errors.join()] {
                copied.expect("does not panic").map_err(|source| output_error(cmd, source))?;
            }
            Ok(ended)
        })?;
        let verdict = log.verdict(cmd, status);
        match stop {
            Some(Stop::Interrupted) => Err(CmdError::Interrupted { line: cmd.to_string() }),
            // What it printed last may only be seen after it has ended.
            _ if enough.load(Ordering::Relaxed) => Ok(Watched::Enough),
            Some(Stop::TimedOut) => Ok(Watched::TimedOut),
            Some(Stop::Enough) | None => verdict.map(|()| Watched::Ended),
        }
    }

    fn spawn(&self, cmd: &Cmd) -> Result<Child, CmdError> {
        tracing::debug!(command = %cmd, "running");
        let mut command = cmd.to_command();
        command.env(env::IMGBUILD_RUN.name, &self.run_id).stdout(Stdio::piped()).stderr(Stdio::piped());
        if cmd.stdin.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().map_err(|source| spawn_error(cmd, source))?;
        if let (Some(text), Some(mut stdin)) = (&cmd.stdin, child.stdin.take()) {
            // Small enough for the pipe. A program that does not read it says itself what is wrong.
            if let Err(error) = stdin.write_all(text.as_bytes()) {
                tracing::debug!(%error, command = %cmd, "writing to its standard input");
            }
        }
        Ok(child)
    }

    /// Waits for the end while copying standard error; stops the program when the user interrupts.
    fn finish(&self, cmd: &Cmd, mut child: Child, log: &Log, on_line: LineSink<'_>) -> Result<ExitStatus, CmdError> {
        let stderr = child.stderr.take().expect("piped");
        std::thread::scope(|scope| {
            let lines = scope.spawn(|| log.copy_lines(stderr, cmd, on_line));
            let status = self.wait(cmd, &mut child)?;
            lines.join().expect("does not panic").map_err(|source| output_error(cmd, source))?;
            Ok(status)
        })
    }

    fn wait(&self, cmd: &Cmd, child: &mut Child) -> Result<ExitStatus, CmdError> {
        match wait_until(cmd, child, &|| self.interrupt.is_set().then_some(Stop::Interrupted))? {
            (None, status) => Ok(status),
            (Some(_), _) => Err(CmdError::Interrupted { line: cmd.to_string() }),
        }
    }

    fn open_log(&self, cmd: &Cmd) -> Result<Log, CmdError> {
        let Some(folder) = &self.logs else { return Ok(Log::nowhere()) };
        let number = self.next_log.fetch_add(1, Ordering::Relaxed);
        let program = Path::new(&cmd.program).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = folder.join(format!("{number:03}-{program}.log"));
        Log::create(path, cmd).map_err(|source| output_error(cmd, source))
    }
}

/// Shows output until `see` has enough, then only keeps the program from blocking on a full pipe.
fn show(
    mut stdout: ChildStdout,
    see: &mut (dyn FnMut(&[u8]) -> ControlFlow<()> + Send),
    enough: &AtomicBool,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match stdout.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) if !enough.load(Ordering::Relaxed) => {
                if see(&buffer[..read]).is_break() {
                    enough.store(true, Ordering::Relaxed);
                }
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Waits for the end of a program, or for a reason to end it: first asked to, then killed. Tells the reason.
fn wait_until(
    cmd: &Cmd,
    child: &mut Child,
    reason: &dyn Fn() -> Option<Stop>,
) -> Result<(Option<Stop>, ExitStatus), CmdError> {
    let mut asked: Option<(Stop, Instant)> = None;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().map_err(|source| output_error(cmd, source))? {
            return Ok((asked.map(|(stop, _)| stop), status));
        }
        match asked {
            None => {
                if let Some(stop) = reason() {
                    signal_group(child, Signal::TERM);
                    asked = Some((stop, Instant::now()));
                }
            }
            Some((_, since)) if since.elapsed() > TERM_GRACE => signal_group(child, Signal::KILL),
            Some(_) => {}
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn signal_group(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
    // The group may be gone already; the caller's next look at the child tells.
    if let Err(error) = kill_process_group(pid, signal) {
        tracing::debug!(%error, "signalling a process group");
    }
}

fn spawn_error(cmd: &Cmd, source: io::Error) -> CmdError {
    if source.kind() != io::ErrorKind::NotFound {
        return CmdError::Spawn { line: cmd.to_string(), source };
    }
    match &cmd.cwd {
        Some(cwd) if !cwd.is_dir() => CmdError::WorkingDirectory { program: cmd.program.clone(), cwd: cwd.clone() },
        _ => CmdError::Missing { program: cmd.program.clone(), package: cmd.package },
    }
}

pub(super) fn output_error(cmd: &Cmd, source: io::Error) -> CmdError {
    CmdError::Output { line: cmd.to_string(), source }
}

/// Whether the program only failed because its reader went away.
fn is_broken_pipe(verdict: &Result<(), CmdError>) -> bool {
    const SIGPIPE: i32 = 13;
    matches!(verdict, Err(CmdError::Failed { exit: ExitKind::Signal(SIGPIPE), .. }))
}
