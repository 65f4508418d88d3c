//! Running external programs: one place that spawns.
//!
//! A [`Cmd`] is plain data, so that argument lists can be compared in tests. A
//! [`Runner`] runs it with a fixed locale, no standard input and a log file
//! that holds the exact line and everything the program printed.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::Interrupt;
use super::clock::Stopwatch;
use super::env;

/// How many lines of a failed program's output go into the error; the log file has all of them.
const TAIL_LINES: usize = 20;

/// How long a program may take to end after SIGTERM before it is killed.
const TERM_GRACE: Duration = Duration::from_secs(10);

/// A command line as data.
///
/// `Display` prints it quoted for a POSIX shell, with the environment changes
/// in front, ready to be pasted and run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cmd {
    program: String,
    package: Option<&'static str>,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    cwd: Option<PathBuf>,
    redact: Vec<String>,
    stdin: Option<String>,
}

/// How a program ended when it did not end with 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitKind {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl fmt::Display for ExitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => match signal_hook::low_level::signal_name(signal) {
                Some(name) => write!(f, "signal {signal} ({name})"),
                None => write!(f, "signal {signal}"),
            },
        }
    }
}

/// A command that did not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum CmdError {
    /// The program is not installed.
    #[error("`{program}` is not installed{}", package.map(|p| format!(" (Debian package `{p}`)")).unwrap_or_default())]
    Missing { program: String, package: Option<&'static str> },
    /// The folder to run in is not there.
    #[error("cannot run `{program}` in `{}`: no such folder", cwd.display())]
    WorkingDirectory { program: String, cwd: PathBuf },
    /// It could not be started for another reason.
    #[error("cannot run `{line}`")]
    Spawn { line: String, source: io::Error },
    /// It ran and failed.
    #[error("{exit} from: {line}{}{}", cwd_note(cwd.as_ref()), tail_note(tail, log.as_deref()))]
    Failed { line: String, cwd: Option<PathBuf>, exit: ExitKind, tail: Vec<String>, log: Option<PathBuf> },
    /// Reading its output or writing its log failed.
    #[error("reading the output of `{line}`")]
    Output { line: String, source: io::Error },
    /// The user interrupted imgbuild, and the program was stopped.
    #[error("interrupted while running: {line}")]
    Interrupted { line: String },
}

fn cwd_note(cwd: Option<&PathBuf>) -> String {
    cwd.map(|cwd| format!("\nin folder: {}", cwd.display())).unwrap_or_default()
}

fn tail_note(tail: &[String], log: Option<&Path>) -> String {
    let mut text = String::new();
    for line in tail {
        text.push_str("\n  | ");
        text.push_str(line);
    }
    if let Some(log) = log {
        text.push_str("\nfull log: ");
        text.push_str(&log.display().to_string());
    }
    text
}

impl Cmd {
    /// A command without arguments.
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            package: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            redact: Vec::new(),
            stdin: None,
        }
    }

    /// Names the Debian package that has the program, for the error when it is missing.
    #[must_use]
    pub fn package(mut self, package: &'static str) -> Self {
        self.package = Some(package);
        self
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds an option and its value.
    #[must_use]
    pub fn opt(self, option: &str, value: impl Into<String>) -> Self {
        self.arg(option).arg(value)
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: Into<String>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Runs in this folder.
    #[must_use]
    pub fn current_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    /// Never prints `secret`: not in messages, not in logs.
    #[must_use]
    pub fn redact(mut self, secret: impl Into<String>) -> Self {
        self.redact.push(secret.into());
        self
    }

    /// Makes another program run this command: its name and arguments go in front.
    ///
    /// Environment, folder and secrets stay; the package named is then the outer program's.
    #[must_use]
    pub fn wrapped_in<S: Into<String>>(mut self, program: &str, args: impl IntoIterator<Item = S>) -> Self {
        let inner = std::mem::replace(&mut self.program, program.to_owned());
        let own = std::mem::take(&mut self.args);
        self.args = args.into_iter().map(Into::into).chain([inner]).chain(own).collect();
        self
    }

    /// Gives the program this on its standard input, which is otherwise empty. Never printed or logged.
    #[must_use]
    pub fn stdin(mut self, text: impl Into<String>) -> Self {
        self.stdin = Some(text.into());
        self
    }

    /// The program's name.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The arguments, without the program.
    pub fn arguments(&self) -> &[String] {
        &self.args
    }

    fn hide(&self, text: &str) -> String {
        self.redact
            .iter()
            .filter(|secret| !secret.is_empty())
            .fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }

    fn to_command(&self) -> Command {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
        let mut command = Command::new(&self.program);
        command.args(&self.args).env("LC_ALL", "C.UTF-8").envs(&self.env).stdin(Stdio::null());
        // A group of its own: a signal reaches the program and its children through imgbuild, once.
        command.process_group(0);
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        command
    }
}

impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = |text: &str| {
            shlex::try_quote(&self.hide(text)).map_or_else(|_| "'?'".to_owned(), std::borrow::Cow::into_owned)
        };
        for (name, value) in &self.env {
            write!(f, "{name}={} ", quote(value))?;
        }
        f.write_str(&quote(&self.program))?;
        for arg in &self.args {
            write!(f, " {}", quote(arg))?;
        }
        Ok(())
    }
}

/// Runs commands for one imgbuild run: numbers and keeps their logs, stops them on interruption.
#[derive(Debug)]
pub struct Runner {
    logs: Option<PathBuf>,
    run_id: String,
    interrupt: Interrupt,
    next_log: AtomicU64,
}

/// Where each line that a program prints goes, besides the log.
type LineSink<'a> = &'a (dyn Fn(&str) + Sync);

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
        let mut asked: Option<Instant> = None;
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = child.try_wait().map_err(|source| output_error(cmd, source))? {
                return if asked.is_some() { Err(CmdError::Interrupted { line: cmd.to_string() }) } else { Ok(status) };
            }
            match asked {
                None if self.interrupt.is_set() => {
                    signal_group(child, Signal::TERM);
                    asked = Some(Instant::now());
                }
                Some(since) if since.elapsed() > TERM_GRACE => signal_group(child, Signal::KILL),
                _ => {}
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
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

fn output_error(cmd: &Cmd, source: io::Error) -> CmdError {
    CmdError::Output { line: cmd.to_string(), source }
}

/// Whether the program only failed because its reader went away.
fn is_broken_pipe(verdict: &Result<(), CmdError>) -> bool {
    const SIGPIPE: i32 = 13;
    matches!(verdict, Err(CmdError::Failed { exit: ExitKind::Signal(SIGPIPE), .. }))
}

/// The log of one command: the file, when there is one, and the last lines.
#[derive(Debug)]
struct Log {
    path: Option<PathBuf>,
    watch: Stopwatch,
    state: Mutex<LogState>,
}

#[derive(Debug, Default)]
struct LogState {
    file: Option<File>,
    tail: std::collections::VecDeque<String>,
}

impl Log {
    /// Keeps only the last lines.
    fn nowhere() -> Self {
        Self { path: None, watch: Stopwatch::start(), state: Mutex::default() }
    }

    fn create(path: PathBuf, cmd: &Cmd) -> io::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "logs are named by path in error messages")]
        let mut file = File::create(&path)?;
        writeln!(file, "$ {cmd}")?;
        if let Some(cwd) = &cmd.cwd {
            writeln!(file, "# in {}", cwd.display())?;
        }
        let state = Mutex::new(LogState { file: Some(file), ..LogState::default() });
        Ok(Self { path: Some(path), watch: Stopwatch::start(), state })
    }

    fn copy_lines(&self, from: impl Read, cmd: &Cmd, on_line: LineSink<'_>) -> io::Result<()> {
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
    fn verdict(self, cmd: &Cmd, status: ExitStatus) -> Result<(), CmdError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn runner() -> Runner {
        Runner::new(None, "test", Interrupt::default())
    }

    #[test]
    fn prints_a_line_that_can_be_pasted() {
        let cmd = Cmd::new("buildah").env("TMPDIR", "/a b").opt("--root", "it's").redact("s3cret").arg("x=s3cret");
        assert_eq!(cmd.to_string(), r#"TMPDIR='/a b' buildah --root "it's" 'x=***'"#);
    }

    #[test]
    fn a_wrapped_command_keeps_its_environment() {
        let cmd = Cmd::new("buildah").env("A", "1").arg("build").wrapped_in("unshare", ["--net", "--"]);
        assert_eq!(cmd.to_string(), "A=1 unshare --net -- buildah build");
    }

    #[test]
    fn a_failure_carries_code_tail_and_log() {
        let logs = tempfile::tempdir().unwrap();
        let runner = Runner::new(Some(logs.path().to_owned()), "test", Interrupt::default());
        let cmd = Cmd::new("sh").args(["-c", "echo one; echo secret-word >&2; exit 7"]).redact("secret-word");
        let error = runner.run(&cmd).unwrap_err();
        let CmdError::Failed { exit: ExitKind::Code(7), tail, log: Some(log), .. } = &error else { panic!("{error}") };
        assert_eq!(tail.len(), 2);
        let text = std::fs::read_to_string(log).unwrap();
        assert!(text.contains("one") && text.contains("***") && !text.contains("secret-word"), "{text}");
        assert!(!error.to_string().contains("secret-word"));
    }

    #[test]
    fn a_signal_is_named() {
        let error = runner().run(&Cmd::new("sh").args(["-c", "kill -9 $$"])).unwrap_err();
        assert!(error.to_string().contains("SIGKILL"), "{error}");
    }

    #[test]
    fn missing_program_and_missing_folder_are_told_apart() {
        let error = runner().run(&Cmd::new("no-such-program").package("nothing")).unwrap_err();
        assert!(matches!(error, CmdError::Missing { .. }), "{error}");
        let error = runner().run(&Cmd::new("true").current_dir("/no/such/folder")).unwrap_err();
        assert!(matches!(error, CmdError::WorkingDirectory { .. }), "{error}");
    }

    #[test]
    fn reads_output_and_streams_it() {
        assert_eq!(runner().read(&Cmd::new("echo").arg("hi")).unwrap(), "hi\n");
        let mut first = [0];
        // The consumer stops after one byte of an endless stream.
        let cmd = Cmd::new("yes");
        let result = runner().stream(&cmd, &mut |stdout| {
            stdout.read_exact(&mut first)?;
            Err(io::Error::other("enough"))
        });
        assert!(matches!(result, Err(CmdError::Output { .. })), "{result:?}");
    }

    #[test]
    fn an_interrupt_stops_the_program_and_its_children() {
        let interrupt = Interrupt::default();
        let runner = Runner::new(None, "test", interrupt.clone());
        interrupt.set();
        let error = runner.run(&Cmd::new("sh").args(["-c", "sleep 600 & wait"])).unwrap_err();
        assert!(matches!(error, CmdError::Interrupted { .. }), "{error}");
    }
}
