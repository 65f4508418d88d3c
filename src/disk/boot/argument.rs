//! The kernel argument that names the image.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// Name of an image: the fs-verity SHA-512 digest of its EROFS file, in 128 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ComposefsId(String);

/// Text that is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no composefs id: 128 lower-case hexadecimal digits")]
pub struct ComposefsIdError(String);

impl ComposefsId {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ComposefsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ComposefsId {
    type Err = ComposefsIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let valid = text.len() == 128 && text.bytes().all(digits);
        if valid { Ok(Self(text.to_owned())) } else { Err(ComposefsIdError(text.to_owned())) }
    }
}

/// Whether what is mounted must prove itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Every object must have fs-verity on: a sealed disk.
    Required,
    /// It is used where it is there.
    Optional,
}

/// How the argument is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spelling {
    /// `composefs=`, which bootc 1.16 reads.
    Composefs,
    /// `composefs.digest=`, which composefs-rs 0.9 reads besides.
    Digest,
}

const PREFIX: &str = "composefs=";
const DIGEST_PREFIX: &str = "composefs.digest=";
const DIGEST_ALGORITHM: &str = "v1-sha512-12:";

/// The argument as a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ComposefsArgument {
    /// The image.
    pub id: ComposefsId,
    /// Whether it must prove itself.
    pub check: Check,
    /// How it is written.
    pub spelling: Spelling,
}

impl ComposefsArgument {
    /// The first such argument of a command line.
    pub fn find(command_line: &str) -> Option<Self> {
        command_line.split_ascii_whitespace().find_map(Self::of)
    }

    fn of(argument: &str) -> Option<Self> {
        let (spelling, value) = match argument.strip_prefix(DIGEST_PREFIX) {
            Some(value) => (Spelling::Digest, value),
            None => (Spelling::Composefs, argument.strip_prefix(PREFIX)?),
        };
        let (check, value) = match value.strip_prefix('?') {
            Some(value) => (Check::Optional, value),
            None => (Check::Required, value),
        };
        let id = if spelling == Spelling::Digest { value.strip_prefix(DIGEST_ALGORITHM)? } else { value };
        Some(Self { id: id.parse().ok()?, check, spelling })
    }
}

impl fmt::Display for ComposefsArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.check == Check::Optional { "?" } else { "" };
        match self.spelling {
            Spelling::Composefs => write!(f, "{PREFIX}{mark}{}", self.id),
            Spelling::Digest => write!(f, "{DIGEST_PREFIX}{mark}{DIGEST_ALGORITHM}{}", self.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_written_and_found() {
        let digits = "0f".repeat(64);
        let id: ComposefsId = digits.parse().unwrap();
        for (spelling, check, text) in [
            (Spelling::Composefs, Check::Required, format!("composefs={digits}")),
            (Spelling::Composefs, Check::Optional, format!("composefs=?{digits}")),
            (Spelling::Digest, Check::Required, format!("composefs.digest=v1-sha512-12:{digits}")),
            (Spelling::Digest, Check::Optional, format!("composefs.digest=?v1-sha512-12:{digits}")),
        ] {
            let argument = ComposefsArgument { id: id.clone(), check, spelling };
            assert_eq!(argument.to_string(), text);
            assert_eq!(ComposefsArgument::find(&format!("rw {text} quiet")), Some(argument));
        }
        for other in ["composefs=", "composefs=00", &format!("composefs.digest={digits}"), "xcomposefs=1"] {
            assert_eq!(ComposefsArgument::find(other), None, "{other}");
        }
        assert!("0F".repeat(64).parse::<ComposefsId>().is_err());
    }
}
