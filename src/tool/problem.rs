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
    /// The source of a DKMS module does not compile for a kernel, or says itself that it is not made for it.
    #[error("the module `{module}` cannot be built for kernel {kernel}: {reason}")]
    DoesNotBuild { module: String, kernel: String, reason: String },
    /// One of imgbuild's own scripts said why it stopped.
    #[error("{message}")]
    Script { message: String },
    /// A command of a Containerfile failed.
    #[error("the step `{step}` failed with exit code {code}")]
    Step { step: String, code: i32 },
}

/// How the scripts in `templates/` begin the line that says why they stop.
const SCRIPT_ERROR: &str = "E: imgbuild: ";

/// What compilers say when the machine and not the source is in the way.
const MACHINE_TROUBLE: &[&str] = &[
    "Killed",
    "No space left on device",
    "Cannot allocate memory",
    "cannot allocate memory",
    "virtual memory exhausted",
    "out of memory",
    "internal compiler error",
    "Input/output error",
    "Terminated",
];

/// What one of imgbuild's own scripts said last, where other programs ran it.
pub(super) fn script(tail: &[String]) -> Option<Problem> {
    let message = tail.iter().rev().find_map(|line| line.strip_prefix(SCRIPT_ERROR))?;
    Some(does_not_build(message).unwrap_or_else(|| Problem::Script { message: message.to_owned() }))
}

/// What `templates/tier2/dkms.sh` says when dkms fails at the source and not at anything around it.
///
/// A compiler that the machine stopped says nothing about the source.
fn does_not_build(message: &str) -> Option<Problem> {
    if MACHINE_TROUBLE.iter().any(|trouble| message.contains(trouble)) {
        return None;
    }
    let said = [" does not compile for kernel ", " is not made for kernel "];
    let (module, rest) = said.iter().find_map(|said| message.split_once(said))?;
    let (kernel, reason) = rest.split_once(": ")?;
    Some(Problem::DoesNotBuild { module: module.to_owned(), kernel: kernel.to_owned(), reason: reason.to_owned() })
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
    fn a_source_that_does_not_fit_the_kernel_is_told_from_everything_else() {
        let script = include_str!("../../templates/tier2/dkms.sh");
        for (words, message, reason) in [
            (
                "does not compile for kernel $kver: ",
                "nvidia/550 does not compile for kernel 6.12.107+deb13-amd64: nv-pci.c:7:2: error: too few arguments",
                "nv-pci.c:7:2: error: too few arguments",
            ),
            (
                "is not made for kernel $kver: ",
                "zfs/2.3.9 is not made for kernel 6.12.107+deb13-amd64: see BUILD_EXCLUSIVE in its dkms.conf",
                "see BUILD_EXCLUSIVE in its dkms.conf",
            ),
        ] {
            assert!(script.contains(words), "{words}");
            let Some(Problem::DoesNotBuild { module, kernel, reason: found }) =
                super::script(&[format!("E: imgbuild: {message}")])
            else {
                panic!("{message}");
            };
            assert!(message.starts_with(&module));
            assert_eq!((kernel.as_str(), found.as_str()), ("6.12.107+deb13-amd64", reason));
        }
        let killed =
            "E: imgbuild: a/1 does not compile for kernel 6.1: fatal error: Killed signal terminated program cc1";
        assert!(matches!(super::script(&[killed.to_owned()]), Some(Problem::Script { .. })));
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
