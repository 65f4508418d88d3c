//! Failures of dnf, recognised.

use crate::tool::Problem;

/// Recognises a failure of dnf from the last lines of a program that ran it.
pub fn diagnose(tail: &[String]) -> Option<Problem> {
    if let Some(explanation) = unsatisfiable(tail) {
        return Some(Problem::Unsatisfiable { explanation });
    }
    tail.iter().find_map(|line| cause(line.trim_end()))
}

fn cause(line: &str) -> Option<Problem> {
    if let Some(package) = line.strip_prefix("Error: Unable to find a match: ") {
        return Some(Problem::UnknownPackage { package: package.to_owned() });
    }
    if let Some(rest) = line.strip_prefix("Error: Failed to download metadata for repo '") {
        let (repository, reason) = rest.split_once("': ").unwrap_or((rest, ""));
        return Some(Problem::Unreachable { uri: repository.to_owned(), reason: reason.to_owned() });
    }
    if let Some(package) = line.strip_prefix("Error in POSTIN scriptlet in rpm package ") {
        return Some(Problem::PackageScript { package: package.to_owned() });
    }
    if line.contains("No space left on device") || line.contains("on the filesystem needed") {
        return Some(Problem::NoSpace);
    }
    untrusted(line).or_else(|| corrupt(line))
}

/// What dnf says of a package whose signature does not hold.
fn untrusted(line: &str) -> Option<Problem> {
    let rest = line.strip_prefix("Package ").or_else(|| line.strip_prefix("Public key for "))?;
    let (package, reason) = rest.split_once(" is not ")?;
    let signature = reason == "signed" || reason == "installed" || reason.starts_with("installed.");
    signature.then(|| Problem::Untrusted { repository: package.to_owned(), reason: line.to_owned() })
}

fn corrupt(line: &str) -> Option<Problem> {
    let (file, reason) = line.split_once(": ")?;
    let broken = reason.contains("Checksum doesn't match") || reason.contains("checksum doesn't match");
    broken.then(|| Problem::Corrupt { file: file.trim_start_matches("[MIRROR] ").to_owned() })
}

/// The explanation that follows a bare `Error:`, one problem per paragraph.
fn unsatisfiable(tail: &[String]) -> Option<String> {
    let start = tail.iter().position(|line| line.trim_end() == "Error:")?;
    let lines: Vec<_> = tail[start + 1..]
        .iter()
        .map(|line| line.trim().trim_start_matches("- "))
        .take_while(|line| !line.is_empty() && !line.starts_with("(try to add"))
        // Says nothing that the other lines do not.
        .filter(|line| *line != "conflicting requests")
        .collect();
    lines.first().filter(|line| line.starts_with("Problem")).map(|_| lines.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each block is what dnf 4.14 or 4.23 printed.
    #[test]
    fn failures_are_recognised() {
        for (text, expected) in [
            ("Error: Unable to find a match: nonsense", Some("no repository offers the package `nonsense`")),
            (
                "No match for argument: kernel-devel-uname-r = 6.12.0-9.rv10.x86_64\nError: Unable to find a match: kernel-devel-uname-r = 6.12.0-9.rv10.x86_64",
                Some("no repository offers the package `kernel-devel-uname-r = 6.12.0-9.rv10.x86_64`"),
            ),
            (
                "Error: \n Problem: package hello-dkms-1.0-1.rv10.noarch requires dkms, but none of the providers can be installed\n  - package dkms-3.2.2-1.rv10.x86_64 requires gcc, but none of the providers can be installed\n  - conflicting requests\n  - package gcc-14.2.0-1.rv10.x86_64 is filtered out by exclude filtering",
                Some(
                    "the packages cannot be installed together: Problem: package hello-dkms-1.0-1.rv10.noarch requires dkms, but none of the providers can be installed; package dkms-3.2.2-1.rv10.x86_64 requires gcc, but none of the providers can be installed; package gcc-14.2.0-1.rv10.x86_64 is filtered out by exclude filtering",
                ),
            ),
            (
                "Error: Failed to download metadata for repo 'bad': Cannot download repomd.xml: Cannot download repodata/repomd.xml: All mirrors were tried",
                Some(
                    "cannot reach `bad`: Cannot download repomd.xml: Cannot download repodata/repomd.xml: All mirrors were tried",
                ),
            ),
            (
                "warning: %post(hello-dkms-1.0-1.rv10.noarch) scriptlet failed, exit status 126\nError in POSTIN scriptlet in rpm package hello-dkms",
                Some("the package `hello-dkms` could not be configured"),
            ),
            (
                "Package hello-dkms-1.0-1.rv10.noarch.rpm is not signed\nError: GPG check FAILED",
                Some(
                    "the repository `hello-dkms-1.0-1.rv10.noarch.rpm` cannot be trusted: Package hello-dkms-1.0-1.rv10.noarch.rpm is not signed",
                ),
            ),
            ("Error: Transaction test error:\n  installing package gcc needs 9MB more space on the / filesystem", None),
            ("Dependencies resolved.", None),
        ] {
            let tail: Vec<_> = text.lines().map(str::to_owned).collect();
            assert_eq!(diagnose(&tail).map(|problem| problem.to_string()).as_deref(), expected, "{text}");
        }
    }
}
