//! Boot entries of type 1.
//!
//! <https://uapi-group.org/specifications/specs/boot_loader_specification/>

use std::fmt;

use serde::Serialize;

/// An entry: keys and values, line by line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct BootEntry(Vec<(String, String)>);

impl BootEntry {
    /// Adds a line. Line breaks and other control characters of the value become spaces.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl AsRef<str>) -> Self {
        let value: String = value.as_ref().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.0.push((key.to_owned(), value.trim().to_owned()));
        self
    }

    /// Reads an entry; comments and lines without value are left out, as boot loaders do.
    pub fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let (key, value) = line.trim().split_once([' ', '\t'])?;
            (!key.starts_with('#')).then(|| (key.to_owned(), value.trim().to_owned()))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// The first value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The whole command line: `options` may be given several times.
    pub fn options(&self) -> String {
        let options = self.0.iter().filter(|(key, _)| key == "options").map(|(_, value)| value.as_str());
        options.collect::<Vec<_>>().join(" ")
    }

    /// Paths of the files it needs, as it has them.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        const KEYS: [&str; 5] = ["linux", "initrd", "efi", "uki", "devicetree"];
        self.0.iter().filter(|(key, _)| KEYS.contains(&key.as_str())).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for BootEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(key, value)| writeln!(f, "{key} {value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_written_and_read() {
        let entry = BootEntry::default().with("title", "Debian\nmenu").with("linux", "/v").with("options", "rw quiet");
        let text = "title Debian menu\nlinux /v\noptions rw quiet\n";
        assert_eq!(entry.to_string(), text);
        assert_eq!(BootEntry::parse(text), entry);
        let entry = BootEntry::parse("# title x\ntitle\tA  \n\nbroken\ninitrd /i\noptions a\noptions b\n");
        assert_eq!((entry.get("title"), entry.options()), (Some("A"), "a b".to_owned()));
        assert_eq!(entry.files().collect::<Vec<_>>(), ["/i"]);
    }
}
