//! mmdebstrap: a Debian root file system from a flat folder of packages.

use crate::model::SourceDateEpoch;
use crate::sys::Cmd;

use super::{Problem, ToolVersion, percent, problem};

/// Debian package that has the program.
const PACKAGE: &str = "mmdebstrap";

/// The least version that works.
pub const MINIMUM: ToolVersion = ToolVersion::new(1, 3, 5);
/// Why that much is needed.
pub const MINIMUM_REASON: &str = "which is Debian 12's: older ones were never tried";

/// Prints the version; read with [`ToolVersion::find`].
pub fn version() -> Cmd {
    Cmd::new("mmdebstrap").package(PACKAGE).arg("--version")
}

/// What to make a root file system from.
#[derive(Debug, Clone)]
pub struct Bootstrap<'a> {
    /// Absolute path of a folder with package files and their index `Packages`.
    pub repository: &'a str,
    /// Every package, as `name=version`. Essential packages come without being named.
    pub packages: &'a [String],
    /// Where to write the root file system, as a tar archive: `/…/root.tar`.
    pub target: &'a str,
    /// Folder for the root file system while it is made; needs room for all of it.
    pub temporary: &'a str,
    /// Absolute path of the folder with `finish.sh` and what it installs.
    pub files: &'a str,
    /// Path patterns that dpkg leaves out.
    pub exclude: &'a [String],
    /// Path patterns that win over `exclude`.
    pub include: &'a [String],
    /// Time of the newest file.
    pub epoch: SourceDateEpoch,
}

/// Run before any package is unpacked: the kernel's scripts must neither link into `/` nor into `/boot`.
const KERNEL_IMG_CONF: &str =
    r#"mkdir -p "$1/etc" && printf "do_symlinks = no\nlink_in_boot = no\n" > "$1/etc/kernel-img.conf""#;

impl Bootstrap<'_> {
    /// Makes the root file system. Needs root and no network.
    ///
    /// After a failure an empty file may stand at `target`.
    pub fn run(&self) -> Cmd {
        let mut cmd = Cmd::new("mmdebstrap").package(PACKAGE).env("TMPDIR", self.temporary);
        for (name, value) in environment(self.epoch) {
            cmd = cmd.env(name, value);
        }
        cmd.args(["--mode=root", "--variant=apt", "--format=tar"])
            .args(APT_OPTIONS.iter().map(|option| format!("--aptopt={option}")))
            .args(self.dpkg_options())
            .arg(format!("--include={}", self.packages.join(",")))
            .arg(format!("--setup-hook={KERNEL_IMG_CONF}"))
            .arg(format!("--customize-hook={}", self.finish()))
            .arg("--")
            // A flat repository has no suite.
            .arg("")
            .arg(self.target)
            .arg(format!("deb [trusted=yes] copy:{} ./", percent::encode_path(self.repository)))
    }

    fn dpkg_options(&self) -> Vec<String> {
        // The result is kept only when all of it was made: syncing every file buys nothing and costs 45 s.
        let mut options = vec!["--dpkgopt=force-unsafe-io".to_owned()];
        options.extend(self.exclude.iter().map(|pattern| format!("--dpkgopt=path-exclude={pattern}")));
        options.extend(self.include.iter().map(|pattern| format!("--dpkgopt=path-include={pattern}")));
        options
    }

    fn finish(&self) -> String {
        let quoted = shlex::try_quote(self.files).unwrap_or_default();
        format!(r#"sh {quoted}/finish.sh "$1" {quoted}"#)
    }
}

/// Besides the packages asked for nothing may come in, from nowhere.
const APT_OPTIONS: [&str; 3] = [
    r#"Acquire::Languages "none""#,
    r#"APT::Install-Recommends "false""#,
    // A port where nobody listens: a second wall behind the missing network.
    r#"Acquire::http::Proxy "http://127.0.0.1:9""#,
];

/// What maintainer scripts and `finish.sh` see.
fn environment(epoch: SourceDateEpoch) -> [(&'static str, String); 5] {
    [
        ("DEBIAN_FRONTEND", "noninteractive".to_owned()),
        // The initramfs is made once, last, by finish.sh.
        ("INITRD", "No".to_owned()),
        ("KERNEL_INSTALL_BYPASS", "1".to_owned()),
        ("SOURCE_DATE_EPOCH", epoch.as_secs().to_string()),
        ("TZ", "UTC".to_owned()),
    ]
}

/// Recognises what is mmdebstrap's own in the last lines of a failed run.
///
/// Its exit code is 25 whatever happened. It runs apt and dpkg and hands their
/// lines through, so their `diagnose` should be asked first.
pub fn diagnose(tail: &[String]) -> Option<Problem> {
    let full = tail.iter().any(|line| line.contains("No space left on device"));
    full.then_some(Problem::NoSpace).or_else(|| problem::script(tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line() {
        let cmd = Bootstrap {
            repository: "/w/repo",
            packages: &["bash=5.2.37-2+b10".to_owned(), "libc6=2.41-12+deb13u4".to_owned()],
            target: "/w/root.tar",
            temporary: "/w/tmp",
            files: "/w/my files",
            exclude: &["/usr/share/man/*".to_owned()],
            include: &["/usr/share/doc/*/copyright".to_owned()],
            epoch: SourceDateEpoch::from_secs(1_760_000_000),
        }
        .run();
        insta::assert_snapshot!(cmd.arguments().join("\n"));
    }

    #[test]
    fn failures_are_recognised() {
        let tail = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let full = "E: failed to write (No space left on device)\nE: setup failed: E: …\nE: mmdebstrap failed to run";
        assert_eq!(diagnose(&tail(full)), Some(Problem::NoSpace));
        let other = "E: Unable to locate package x\nI: main() received signal PIPE: waiting for setup...\nE: mmdebstrap failed to run";
        assert_eq!(diagnose(&tail(other)), None);
    }
}
