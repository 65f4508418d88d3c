//! apt: finds out which packages a set of names needs, and fetches exactly those.
//!
//! Everything runs over a private root ([`private_config`]): neither the machine's
//! sources nor its installed packages take part, and its package lists are
//! not touched.

mod config;
mod parse;
mod problem;

pub use config::{
    ConfigError, PRIVATE_FOLDERS, PRIVATE_SOURCES, PRIVATE_STATUS, STAGE_STATE, Source, private_config, sources,
    stage_config, stage_sources,
};
pub use parse::{
    Candidate, IndexFile, MachineArchives, ParseError, below, is_same_root, parse_candidates, parse_fetched,
    parse_indexes, parse_machine_archives, uri_of,
};
pub use problem::diagnose;

use crate::sys::Cmd;

use super::ToolVersion;

/// Debian package that has these programs.
const PACKAGE: &str = "apt";

/// The least version that works.
pub const MINIMUM: ToolVersion = ToolVersion::new(2, 6, 0);
/// Why that much is needed.
pub const MINIMUM_REASON: &str = "which is Debian 12's: older ones were never tried";

/// Every essential or required package, and apt itself: what a root file system cannot do without.
pub const BASE_SELECTION: [&str; 2] = ["?or(?essential,?priority(required))", "apt"];

/// Prints the version; read with [`ToolVersion::find`].
pub fn version() -> Cmd {
    Cmd::new("apt-get").package(PACKAGE).arg("--version")
}

/// Prints the machine's own archives; read with [`parse_machine_archives`].
///
/// Labels are known only where `apt-get update` has run; a machine without
/// package lists (a fresh container) answers nothing, and `guess` then prints
/// what the sources say, without labels.
pub fn machine_index_targets(guess: bool) -> Cmd {
    let cmd = Cmd::new("apt-get").package(PACKAGE).arg("indextargets");
    let cmd = if guess { cmd.arg("--no-release-info") } else { cmd };
    cmd.opt("--format", parse::INDEX_TARGET_FORMAT).arg("Created-By: Packages")
}

/// Prints the machine's own settings; read by [`private_config`].
pub fn machine_settings() -> Cmd {
    Cmd::new("apt-config").package(PACKAGE).arg("dump").opt("--format", "%F %v%n").arg("Acquire")
}

/// A file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download<'a> {
    /// Where it is, percent-encoded.
    pub uri: &'a str,
    /// Where to put it.
    pub target: &'a str,
    /// Its digest in lower-case hexadecimal.
    pub sha256: &'a str,
}

/// apt over one private root.
#[derive(Debug, Clone, Copy)]
pub struct Apt<'a> {
    /// Path of the configuration file written from [`private_config`].
    pub config: &'a str,
}

impl Apt<'_> {
    fn cmd(&self, program: &str) -> Cmd {
        Cmd::new(program).package(PACKAGE).env("APT_CONFIG", self.config)
    }

    /// Fetches and verifies the package lists. Any list that cannot be had is an error.
    pub fn update(&self) -> Cmd {
        self.cmd("apt-get").args(["update", "--quiet", "--error-on=any"])
    }

    /// Prints what installing `selection` would fetch; read with [`parse_candidates`].
    ///
    /// Items are names, `name=version`, or apt-patterns(7). `status` is a
    /// status file with the packages already there; without one there are none.
    pub fn resolve<S: Into<String>>(&self, status: Option<&str>, selection: impl IntoIterator<Item = S>) -> Cmd {
        let cmd = self
            .cmd("apt-get")
            .args(["install", "--print-uris", "-qq", "--yes", "--no-install-recommends"])
            // Without it apt prints the weakest digest of the index.
            .opt("--option", "Acquire::ForceHash=SHA256");
        let cmd = match status {
            Some(status) => cmd.opt("--option", format!("Dir::State::status={status}")),
            None => cmd,
        };
        cmd.arg("--").args(selection)
    }

    /// Prints which package indexes there are; read with [`parse_indexes`].
    pub fn indexes(&self) -> Cmd {
        self.cmd("apt-get").arg("indextargets").opt("--format", parse::INDEX_FORMAT).arg("Created-By: Packages")
    }

    /// Prints one of them, without its compression; what is wanted of it is read with
    /// [`pick`](crate::model::deb822::pick).
    pub fn index(&self, file: &str) -> Cmd {
        self.cmd("/usr/lib/apt/apt-helper").args(["cat-file", file])
    }

    /// Fetches files, several at once over each connection, and verifies each.
    ///
    /// A file whose digest differs is put beside its target as `….FAILED`;
    /// under the target's name there is only ever the right file. The others
    /// are fetched all the same. Lines are read with [`parse_fetched`].
    pub fn download<'d>(&self, files: impl IntoIterator<Item = Download<'d>>) -> Cmd {
        let files = files
            .into_iter()
            .flat_map(|file| [parse::to_copy(file.uri), file.target.to_owned(), format!("SHA256:{}", file.sha256)]);
        self.cmd("/usr/lib/apt/apt-helper").args(["--quiet", "download-file"]).args(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APT: Apt<'_> = Apt { config: "/w/apt.conf" };

    #[test]
    fn command_lines() {
        let file = Download { uri: "http://example.invalid/x%2b1.deb", target: "/w/x.deb", sha256: "00ff" };
        let lines = [
            version(),
            machine_index_targets(false),
            machine_index_targets(true),
            machine_settings(),
            APT.update(),
            APT.resolve(None, BASE_SELECTION),
            APT.resolve(Some("/w/status"), ["jool-dkms"]),
            APT.indexes(),
            APT.index("/w/lists/trixie_main_Packages"),
            APT.download([file.clone(), Download { uri: "file:///srv/site/./x.deb", ..file }]),
        ];
        insta::assert_snapshot!(lines.map(|cmd| cmd.to_string()).join("\n"));
    }
}
