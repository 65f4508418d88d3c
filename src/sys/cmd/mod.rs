//! Running external programs: one place that spawns.
//!
//! A [`Cmd`] is plain data, so that argument lists can be compared in tests. A
//! [`Runner`] runs it with a fixed locale, no standard input and a log file
//! that holds the exact line and everything the program printed.

mod log;
mod runner;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub use runner::{Runner, Watched};

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

/// Where each line that a program prints goes, besides the log.
type LineSink<'a> = &'a (dyn Fn(&str) + Sync);
