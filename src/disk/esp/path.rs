//! Paths on the EFI system partition.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A path that every FAT driver takes: ASCII names, `/` between them, none in front.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct EspPath(String);

/// A path that cannot be on a FAT file system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` cannot be a path on the EFI system partition: {problem}")]
#[expect(missing_docs, reason = "the message names the fields")]
pub struct EspPathError {
    pub path: String,
    pub problem: &'static str,
}

/// Longest name (`fatgen103`, "Long Directory Entries").
const MAX_NAME: usize = 255;

/// Longest path: what UEFI's own FAT driver takes (EDK II, `MAX_PATH` of `FatPkg`), less the final zero.
const MAX_PATH: usize = 1023;

impl EspPath {
    /// The path as text, with `/` between names.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names from the root on.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The path as boot entries have it: with `/` in front.
    pub fn absolute(&self) -> String {
        format!("/{}", self.0)
    }

    /// The path as FAT compares it.
    pub(super) fn folded(&self) -> String {
        self.0.to_ascii_uppercase()
    }
}

impl fmt::Display for EspPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for EspPath {
    type Err = EspPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = if text.len() > MAX_PATH {
            Some("it is longer than 1023 bytes")
        } else {
            text.split('/').find_map(problem_of)
        };
        match problem {
            Some(problem) => Err(EspPathError { path: text.to_owned(), problem }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

fn problem_of(name: &str) -> Option<&'static str> {
    const FORBIDDEN: &[char] = &['"', '*', ':', '<', '>', '?', '\\', '|'];
    match name {
        "" => Some("a name is empty"),
        "." | ".." => Some("`.` and `..` are no names"),
        name if name.len() > MAX_NAME => Some("a name is longer than 255 bytes"),
        name if name.contains(FORBIDDEN) => Some("FAT allows none of \" * : < > ? \\ |"),
        name if !name.bytes().all(|byte| (0x20..0x7f).contains(&byte)) => Some("a character is not printable ASCII"),
        // Windows and some firmware drop them.
        name if name.ends_with(['.', ' ']) || name.starts_with(' ') => {
            Some("a name begins with a space, or ends with one or a dot")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_every_driver_takes() {
        let long = "x".repeat(255);
        let composefs = format!("EFI/Linux/bootc_composefs-{}/vmlinuz", "a".repeat(128));
        for good in ["loader/loader.conf", "EFI/BOOT/BOOTX64.EFI", "a+b~c (1).efi", &long, &composefs] {
            assert_eq!(good.parse::<EspPath>().unwrap().as_str(), good);
        }
        let longer = "x".repeat(256);
        let deep = ["x"; 513].join("/");
        for bad in ["", "/a", "a/", "a//b", "a/../b", "a:b", "a\\b", "ä", "a\n", "a.", "a ", " a", &longer, &deep] {
            assert!(bad.parse::<EspPath>().is_err(), "{bad:?}");
        }
    }
}
