//! Known ways in which external programs fail.

/// A failure that a program's output told apart from others.
///
/// The build room turns it into a hint; the output itself stays in the error
/// of the command. Each binding has a `diagnose` that finds one in the last
/// lines of its program, and answers `None` when it is not sure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum Problem {
    /// No repository has a package of this name.
    #[error("no repository offers the package `{package}`")]
    UnknownPackage { package: String },
    /// The package is there, but not in this version.
    #[error("no repository offers version `{version}` of `{package}`")]
    UnknownVersion { package: String, version: String },
    /// The packages asked for cannot be installed together.
    #[error("the packages cannot be installed together: {explanation}")]
    Unsatisfiable { explanation: String },
    /// A package's own script failed.
    #[error("the package `{package}` could not be configured")]
    PackageScript { package: String },
    /// A server did not answer.
    #[error("cannot reach `{uri}`: {reason}")]
    Unreachable { uri: String, reason: String },
    /// The server answered that the file is not there (any more).
    #[error("`{uri}` is not there")]
    NotFound { uri: String },
    /// A file is not the one that was expected.
    #[error("`{file}` does not have the expected content")]
    Corrupt { file: String },
    /// A repository's signature is missing, wrong or expired.
    #[error("the repository `{repository}` cannot be trusted: {reason}")]
    Untrusted { repository: String, reason: String },
    /// The file system is full.
    #[error("no space left on the file system")]
    NoSpace,
    /// The program may not do what it needs to do.
    #[error("not permitted: {what}")]
    NotPermitted { what: String },
    /// The container storage was made for another storage driver, or the driver does not work here.
    #[error("the storage driver does not work here: {reason}")]
    StorageDriver { reason: String },
    /// A COPY in a Containerfile matched nothing.
    #[error("COPY finds nothing at `{pattern}`")]
    NothingToCopy { pattern: String },
    /// The image a Containerfile begins with is not in the container storage.
    #[error("the image `{image}` is not in the container storage")]
    UnknownImage { image: String },
    /// One of imgbuild's own scripts said why it stopped.
    #[error("{message}")]
    Script { message: String },
    /// A command of a Containerfile failed.
    #[error("the step `{step}` failed with exit code {code}")]
    Step { step: String, code: i32 },
}

/// How the scripts in `templates/` begin the line that says why they stop.
const SCRIPT_ERROR: &str = "E: imgbuild: ";

/// What one of imgbuild's own scripts said last, where other programs ran it.
pub(super) fn script(tail: &[String]) -> Option<Problem> {
    let message = tail.iter().rev().find_map(|line| line.strip_prefix(SCRIPT_ERROR))?;
    Some(Problem::Script { message: message.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_scripts_say_what_is_wrong() {
        let tail = ["E: Unable to locate package x", "E: imgbuild: dracut failed", "Error: exit status 1"];
        let tail = tail.map(str::to_owned);
        assert_eq!(script(&tail), Some(Problem::Script { message: "dracut failed".to_owned() }));
        assert_eq!(script(&tail[..1]), None);
    }

    #[test]
    fn every_script_that_stops_says_so_in_this_way() {
        let scripts = [
            include_str!("../../templates/bootstrap/finish.sh"),
            include_str!("../../templates/tier2/apt/enter.sh"),
            include_str!("../../templates/tier2/collect.sh"),
            include_str!("../../templates/tier2/dnf/enter.sh"),
            include_str!("../../templates/tier2/dnf/owned.sh"),
            include_str!("../../templates/tier2/dkms.sh"),
            include_str!("../../templates/tier2/finish.sh"),
            include_str!("../../templates/tier2/modules.sh"),
        ];
        for script in scripts {
            let errors: Vec<_> = script.lines().filter(|line| line.trim().starts_with("echo \"E: ")).collect();
            assert!(!errors.is_empty(), "{script}");
            assert!(errors.iter().all(|line| line.contains(SCRIPT_ERROR)), "{errors:?}");
        }
    }
}
