//! Paths on the host that is being built.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// An absolute path inside an image, in its one spelling: no `.`, `..`, empty component or final `/`.
///
/// Two values are equal exactly when they name the same entry (links aside).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AbsolutePath(String);

/// Text that is not an absolute path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not an absolute path: begin with `/`; no `.`, `..`, `//` or control characters, no `/` at the end",
    .0.escape_debug()
)]
pub struct AbsolutePathError(String);

impl AbsolutePath {
    /// The path as text; begins with `/` and never ends with it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path below the image's root, without the leading `/`, as archives and `Dir`s take it.
    pub fn relative(&self) -> &str {
        &self.0[1..]
    }

    /// Whether this is `folder` or lies below it; `folder` is absolute and has no final `/`.
    pub fn is_under(&self, folder: &str) -> bool {
        self.0.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl FromStr for AbsolutePath {
    type Err = AbsolutePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let component =
            |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(char::is_control);
        match text.strip_prefix('/') {
            Some(rest) if rest.split('/').all(component) => Ok(Self(text.to_owned())),
            _ => Err(AbsolutePathError(text.to_owned())),
        }
    }
}

impl fmt::Display for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for AbsolutePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for AbsolutePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for AbsolutePath {
    fn schema_name() -> Cow<'static, str> {
        "AbsolutePath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(/[^/]+)+$",
            "description": "an absolute path without `.`, `..`, `//` or a final `/`",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_one_spelling() {
        for (text, ok) in [
            ("/etc/motd", true),
            ("/etc/..hidden", true),
            ("/", false),
            ("", false),
            ("etc/motd", false),
            ("/etc/", false),
            ("/etc//motd", false),
            ("/etc/./motd", false),
            ("/etc/../motd", false),
            ("/etc/a\nb", false),
        ] {
            assert_eq!(text.parse::<AbsolutePath>().is_ok(), ok, "{text:?}");
        }
    }

    #[test]
    fn lies_under_whole_components_only() {
        let path: AbsolutePath = "/var/lib/x".parse().unwrap();
        assert!(path.is_under("/var") && path.is_under("/var/lib/x"));
        assert!(!path.is_under("/va") && !path.is_under("/usr"));
    }
}
