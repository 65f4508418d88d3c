//! Kernel releases as `uname -r` prints them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// The full release string of one kernel, such as `6.12.48+deb13-cloud-amd64`
/// or `6.12.0-124.8.1.el10_1.x86_64`; also the name of its folder under `/usr/lib/modules`.
///
/// Two releases are the same kernel only when the whole strings are equal.
/// The type has no order on purpose: releases order by their package
/// manager's rules, which live in `kernel`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct KernelRelease(String);

/// A string that cannot be a kernel release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a kernel release: it begins with a digit and holds only letters, digits, `.`, `_`, `+`, `~` and `-`, at most 64 bytes"
)]
pub struct KernelReleaseError(String);

impl KernelRelease {
    /// The release as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KernelRelease {
    type Err = KernelReleaseError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        // 64 is the kernel's own limit (__NEW_UTS_LEN).
        let valid = value.len() <= 64
            && value.starts_with(|c: char| c.is_ascii_digit())
            && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '~' | '-'));
        if valid { Ok(Self(value.to_owned())) } else { Err(KernelReleaseError(value.to_owned())) }
    }
}

impl fmt::Display for KernelRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for KernelRelease {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for KernelRelease {
    fn schema_name() -> Cow<'static, str> {
        "KernelRelease".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9][A-Za-z0-9._+~-]{0,63}$",
            "description": "a kernel release as `uname -r` prints it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_real_releases_and_nothing_path_like() {
        for (text, ok) in [
            ("6.12.48+deb13-cloud-amd64", true),
            ("6.12.0-124.8.1.el10_1.x86_64", true),
            ("7.3~rc4-amd64", true),
            ("../6.12", false),
            ("6.12/..", false),
            ("", false),
            ("v6.12", false),
        ] {
            assert_eq!(text.parse::<KernelRelease>().is_ok(), ok, "{text:?}");
        }
    }
}
