//! A project in a temporary folder, and the program run in it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The folders that hold the programs of every Debian machine.
const SYSTEM_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A temporary folder: `project/`, `bin/` with fake programs, `home/`.
pub(crate) struct Project {
    folder: tempfile::TempDir,
    path: String,
}

/// What a finished run left: exit code and both streams.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Project {
    /// A project of these files; the system's programs are there.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["project", "bin", "home"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let project = Self { folder, path: SYSTEM_PATH.to_owned() };
        files.iter().for_each(|(path, text)| project.write(path, text));
        project
    }

    /// The example of this name, as `init` writes it.
    pub(crate) fn example(name: &str) -> Self {
        let project = Self::new(&[]);
        project.run(&["init", "--from", name]).success();
        project
    }

    /// The same with only the fake programs on PATH.
    pub(crate) fn with_fakes(mut self, programs: &[(&str, &str)]) -> Self {
        self.path = self.place("bin").to_str().unwrap().to_owned();
        for (name, script) in programs {
            let file = self.place("bin").join(name);
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        self
    }

    /// A path beside the project's folder.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path in the project.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.place("project").join(path)
    }

    /// Writes a file of the project, its folders included.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let file = self.file(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// Replaces `from`, which must be there, in a file of the project.
    pub(crate) fn replace(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} has no `{from}`");
        self.write(path, &text.replace(from, to));
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.file(path)).unwrap()
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.file(".imgbuild")
    }

    /// The program with nothing of this machine's environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_imgbuild"), arguments)
    }

    /// Another program that will run the program.
    pub(crate) fn command_of(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.place("project")).stdin(Stdio::null());
        command.env_clear().env("PATH", &self.path).env("HOME", self.place("home"));
        command
    }

    /// Runs the program to its end.
    #[must_use]
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        Finished::of(&self.command(arguments).output().unwrap())
    }

    /// Starts the program and does not wait.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Names of the images in the store with their digests, as `images --json` lists them.
    pub(crate) fn images(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let listed = self.run(&["images", "--json"]).success().json();
        listed.as_array().unwrap().iter().map(|image| (text(&image["name"]), text(&image["digest"]))).collect()
    }

    /// What is in the folder of the store; nothing where there is none.
    pub(crate) fn stored(&self, folder: &str) -> Vec<String> {
        names_in(&self.store().join(folder))
    }
}

/// Sorted names in a folder; none when there is no such folder.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Whether the tests run as root; says what is left out when they do not.
pub(crate) fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("left out, needs root: {test}");
    }
    root
}

impl Finished {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// It ended with this code.
    #[track_caller]
    pub(crate) fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, Some(expected), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// It ended well.
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        self.code(0)
    }

    /// It ended with this code, printed no result, and said all of these.
    #[track_caller]
    pub(crate) fn failure(self, code: i32, said: &[&str]) -> Self {
        let finished = self.code(code);
        assert_eq!(finished.stdout, "", "a failure has no result");
        finished.says(said)
    }

    /// Standard error has all of these, in any order.
    #[track_caller]
    pub(crate) fn says(self, said: &[&str]) -> Self {
        for expected in said {
            assert!(self.stderr.contains(expected), "`{expected}` is not in:\n{}", self.stderr);
        }
        self
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}
