//! Failures of apt, recognised.

use crate::tool::Problem;

/// Recognises a failure of apt from the last lines of a program that ran it.
///
/// The first line that tells a cause counts: what follows it is consequence.
pub fn diagnose(tail: &[String]) -> Option<Problem> {
    if let Some(explanation) = unsatisfiable(tail) {
        return Some(Problem::Unsatisfiable { explanation });
    }
    tail.iter().find_map(|line| line.strip_prefix("E: ").or_else(|| line.strip_prefix("W: ")).and_then(cause))
}

fn cause(text: &str) -> Option<Problem> {
    let quoted = || text.split('\'').skip(1).step_by(2).map(str::to_owned);
    if let Some(package) = text.strip_prefix("Unable to locate package ") {
        return Some(Problem::UnknownPackage { package: package.trim().to_owned() });
    }
    if text.starts_with("Package '") && text.ends_with("has no installation candidate") {
        return quoted().next().map(|package| Problem::UnknownPackage { package });
    }
    if text.starts_with("Version '") && text.ends_with("was not found") {
        let [version, package] = <[String; 2]>::try_from(quoted().collect::<Vec<_>>()).ok()?;
        return Some(Problem::UnknownVersion { package, version });
    }
    if text.contains("No space left on device") || text.starts_with("You don't have enough free space") {
        return Some(Problem::NoSpace);
    }
    if let Some(rest) = text.strip_prefix("Failed to fetch ") {
        return Some(fetch(rest));
    }
    if text.starts_with("The repository '") || text.starts_with("Release file for ") {
        return untrusted(text);
    }
    text.contains("GPG error: ").then(|| untrusted(text)).flatten()
}

/// `URI  REASON`, divided by two spaces.
fn fetch(rest: &str) -> Problem {
    let (uri, reason) = rest.split_once("  ").unwrap_or((rest, ""));
    let (uri, reason) = (uri.to_owned(), reason.trim());
    let broken = ["Hash Sum mismatch", "File has unexpected size", "Clearsigned file isn't valid"];
    if broken.iter().any(|text| reason.contains(text)) {
        Problem::Corrupt { file: uri }
    } else if reason.starts_with("404") || reason.contains("stat (2: No such file") {
        Problem::NotFound { uri }
    } else if reason.contains("No space left on device") {
        Problem::NoSpace
    } else {
        Problem::Unreachable { uri, reason: reason.to_owned() }
    }
}

fn untrusted(text: &str) -> Option<Problem> {
    let repository = text.split_whitespace().map(|word| word.trim_matches('\'')).find(|word| word.contains("://"))?;
    Some(Problem::Untrusted { repository: repository.to_owned(), reason: text.to_owned() })
}

/// What apt says between "unmet dependencies" and its verdict.
fn unsatisfiable(tail: &[String]) -> Option<String> {
    let start = tail.iter().position(|line| line.starts_with("The following packages have unmet dependencies"))?;
    let lines: Vec<_> =
        tail[start + 1..].iter().take_while(|line| line.starts_with(' ')).map(|line| line.trim()).collect();
    Some(lines.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each block is what apt 2.6 or 3.0 printed, host names replaced.
    #[test]
    fn failures_are_recognised() {
        for (text, expected) in [
            ("E: Unable to locate package nosuchpkg", Some("no repository offers the package `nosuchpkg`")),
            ("E: Version '99' for 'gcc' was not found", Some("no repository offers version `99` of `gcc`")),
            ("E: Package 'awk' has no installation candidate", Some("no repository offers the package `awk`")),
            (
                "E: Failed to fetch http://deb.example.invalid/a.deb  Could not connect to 127.0.0.1:9 (127.0.0.1). - connect (111: Connection refused)\nE: Download Failed",
                Some(
                    "cannot reach `http://deb.example.invalid/a.deb`: Could not connect to 127.0.0.1:9 (127.0.0.1). - connect (111: Connection refused)",
                ),
            ),
            (
                "E: Failed to fetch http://deb.example.invalid/a.deb  404  Not Found [IP: 203.0.113.80 80]",
                Some("`http://deb.example.invalid/a.deb` is not there"),
            ),
            (
                "E: Failed to fetch copy:/w/repo/./Packages  Failed to stat - stat (2: No such file or directory)\nE: Some index files failed to download. They have been ignored, or old ones used instead.",
                Some("`copy:/w/repo/./Packages` is not there"),
            ),
            (
                "E: Failed to fetch copy:/w/repo/./x_1.deb  Hash Sum mismatch\n   Hashes of expected file:\nE: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?",
                Some("`copy:/w/repo/./x_1.deb` does not have the expected content"),
            ),
            (
                "Some packages could not be installed. This may mean that you have\nThe following packages have unmet dependencies:\n jool-dkms : Depends: dkms (>= 3.0.3-4~) but it is not installable\nE: Unable to correct problems, you have held broken packages.",
                Some(
                    "the packages cannot be installed together: jool-dkms : Depends: dkms (>= 3.0.3-4~) but it is not installable",
                ),
            ),
            (
                "E: The repository 'http://deb.example.invalid/debian trixie Release' does not have a Release file.",
                Some(
                    "the repository `http://deb.example.invalid/debian` cannot be trusted: The repository 'http://deb.example.invalid/debian trixie Release' does not have a Release file.",
                ),
            ),
            ("E: Write error - write (28: No space left on device)", Some("no space left on the file system")),
            ("E: Sub-process /usr/bin/dpkg returned an error code (1)", None),
            ("Reading package lists...", None),
        ] {
            let tail: Vec<_> = text.lines().map(str::to_owned).collect();
            assert_eq!(diagnose(&tail).map(|problem| problem.to_string()).as_deref(), expected, "{text}");
        }
    }
}
