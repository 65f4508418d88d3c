//! Permission bits of files.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Permission bits with set-uid, set-gid and sticky bit: 12 bits, written in octal.
///
/// Text, not a number, in definitions: in TOML `0644` is no number and `644` is the wrong one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileMode(u16);

/// Text that is not a mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a mode: use 3 or 4 octal digits, such as `0644`")]
pub struct FileModeError(String);

impl FileMode {
    /// From the bits, for literals; bits above the twelfth are dropped.
    pub const fn new(bits: u16) -> Self {
        Self(bits & 0o7777)
    }

    /// The bits, as `st_mode` has them.
    pub const fn bits(self) -> u32 {
        self.0 as u32
    }
}

impl FromStr for FileMode {
    type Err = FileModeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        match u16::from_str_radix(text, 8) {
            Ok(bits) if octal => Ok(Self(bits)),
            _ => Err(FileModeError(text.to_owned())),
        }
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Serialize for FileMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for FileMode {
    fn schema_name() -> Cow<'static, str> {
        "FileMode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-7]{3,4}$", "description": "a mode in octal, such as `0644`" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_octal_text_only() {
        for (text, bits) in [
            ("0644", Some(0o644)),
            ("755", Some(0o755)),
            ("4755", Some(0o4755)),
            ("", None),
            ("8", None),
            ("0888", None),
            ("rw-r--r--", None),
            ("+644", None),
            ("00644", None),
        ] {
            assert_eq!(text.parse().ok().map(FileMode::bits), bits, "{text:?}");
        }
        assert_eq!(FileMode::new(0o755).to_string(), "0755");
    }
}
