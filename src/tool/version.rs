//! Versions as programs print them about themselves.

use std::fmt;

/// The dotted number of a program, for comparison with a minimum.
///
/// Suffixes such as `-dev` or `~rc1` are ignored: a pre-release counts as its release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ToolVersion([u32; 3]);

/// Output that holds no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{output}` does not tell a version")]
pub struct VersionError {
    output: String,
}

/// A program older than the least that works, and why that much is needed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{program} {found} is too old: at least {minimum} is needed, {reason}")]
#[expect(missing_docs, reason = "the message names the fields")]
pub struct TooOld {
    pub program: &'static str,
    pub found: ToolVersion,
    pub minimum: ToolVersion,
    pub reason: &'static str,
}

impl ToolVersion {
    /// A version known when this was written.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self([major, minor, patch])
    }

    /// Finds the first word of `output` that begins with a digit and holds a dot: `buildah version 1.28.2 (…)`.
    ///
    /// # Errors
    /// When there is none, or a part of it does not fit a number.
    pub fn find(output: &str) -> Result<Self, VersionError> {
        let error = || VersionError { output: output.lines().next().unwrap_or_default().to_owned() };
        output
            .split_whitespace()
            .map(|word| word.trim_start_matches('v'))
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))
            .and_then(parse)
            .ok_or_else(error)
    }

    /// Refuses a version below `minimum`, for `reason`.
    ///
    /// # Errors
    /// [`TooOld`] when it is.
    pub fn at_least(self, program: &'static str, minimum: Self, reason: &'static str) -> Result<Self, TooOld> {
        if self < minimum { Err(TooOld { program, found: self, minimum, reason }) } else { Ok(self) }
    }
}

fn parse(word: &str) -> Option<ToolVersion> {
    let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    let mut numbers = [0; 3];
    for (number, part) in numbers.iter_mut().zip(word[..end].trim_end_matches('.').split('.')) {
        *number = part.parse().ok()?;
    }
    Some(ToolVersion(numbers))
}

impl fmt::Display for ToolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_versions_in_real_output() {
        for (output, expected) in [
            ("buildah version 1.28.2 (image-spec 1.1.0-rc2, runtime-spec 1.0.2-dev)", Some((1, 28, 2))),
            ("buildah version 1.39.3 (image-spec 1.1.1, runtime-spec 1.2.1)", Some((1, 39, 3))),
            ("mmdebstrap 1.3.5", Some((1, 3, 5))),
            ("apt 2.6.1 (amd64)", Some((2, 6, 1))),
            ("unshare from util-linux 2.38.1", Some((2, 38, 1))),
            ("buildah version 1.41.0-dev (…)", Some((1, 41, 0))),
            ("git version 2.39", Some((2, 39, 0))),
            ("no number here", None),
            ("99999999999.1", None),
        ] {
            let expected = expected.map(|(major, minor, patch)| ToolVersion::new(major, minor, patch));
            assert_eq!(ToolVersion::find(output).ok(), expected, "{output}");
        }
    }

    #[test]
    fn compares_by_number_not_by_text() {
        let minimum = ToolVersion::new(1, 9, 0);
        assert!(ToolVersion::new(1, 28, 0).at_least("x", minimum, "").is_ok());
        let error = ToolVersion::new(1, 8, 9).at_least("x", minimum, "because").unwrap_err();
        assert_eq!(error.to_string(), "x 1.8.9 is too old: at least 1.9.0 is needed, because");
    }
}
