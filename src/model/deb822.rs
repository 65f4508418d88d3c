//! The text format of package descriptions ("stanzas"), deb822(5) and deb-control(5).
//!
//! Fields, one per line, continued on lines that begin with a space or tab,
//! and blank lines between descriptions. dpkg's status file, archive indexes,
//! `dpkg-deb --field`, `apt-cache show` and Debian's copyright files are all written in it.

use std::io::{self, BufRead};
use std::ops::Range;

/// The description of one package; borrows from the text it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza<'a> {
    /// Names and raw values: a value keeps its line breaks and the white space of continued lines.
    fields: Vec<(&'a str, &'a str)>,
}

/// Text that is not a list of package descriptions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum StanzaError {
    /// A line that is neither a field, nor the continuation of one, nor blank.
    #[error("line {line} is not a field of a package description: `{text}`")]
    NotAField { line: usize, text: String },
    /// A description lacks what every package has.
    #[error("the description of `{package}` has no `{field}`")]
    Missing { package: String, field: &'static str },
}

impl<'a> Stanza<'a> {
    /// The raw value of a field; names differ in case only for people.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// First line of a field's value; nothing when it is absent or empty.
    pub fn first_line(&self, name: &str) -> Option<&'a str> {
        self.get(name)?.lines().next().map(str::trim).filter(|line| !line.is_empty())
    }

    /// A field's value in one line; nothing when it is absent or empty.
    pub fn joined(&self, name: &str) -> Option<String> {
        let lines: Vec<&str> = self.get(name)?.lines().map(str::trim).collect();
        Some(lines.join(" ").trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The value of a field that every package has.
    ///
    /// # Errors
    /// When this one has not.
    pub fn require(&self, name: &'static str) -> Result<&'a str, StanzaError> {
        self.get(name).ok_or_else(|| StanzaError::Missing {
            package: self.get("Package").unwrap_or_default().to_owned(),
            field: name,
        })
    }

    /// Name of the package.
    ///
    /// # Errors
    /// When there is none.
    pub fn package(&self) -> Result<&'a str, StanzaError> {
        self.require("Package")
    }

    /// All fields in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.fields.iter().copied()
    }

    /// Whether dpkg's status file has this package unpacked and configured.
    pub fn is_installed(&self) -> bool {
        self.get("Status").is_some_and(|status| status.ends_with(" installed"))
    }
}

/// Reads package descriptions, in their order; comments and blank lines are passed over.
///
/// # Errors
/// At the first line that is no field.
pub fn parse_stanzas(text: &str) -> Result<Vec<Stanza<'_>>, StanzaError> {
    let mut stanzas = Vec::new();
    let mut open: Vec<(&str, Range<usize>)> = Vec::new();
    let mut offset = 0;
    for (number, raw) in text.split_inclusive('\n').enumerate() {
        let start = offset;
        offset += raw.len();
        let line = raw.trim_end();
        if line.is_empty() {
            stanzas.extend(close(text, &mut open));
        } else if let (true, Some((_, value))) = (line.starts_with([' ', '\t']), open.last_mut()) {
            value.end = start + line.len();
        } else if !line.starts_with('#') {
            let (name, value) = field(line).ok_or_else(|| not_a_field(number, line))?;
            open.push((name, start + value.start..start + value.end));
        }
    }
    stanzas.extend(close(text, &mut open));
    Ok(stanzas)
}

/// Copies from an index the descriptions of those packages for whose name `keep` holds.
///
/// An index has tens of megabytes; it is read as a stream. Descriptions begin with the name there.
///
/// # Errors
/// When it cannot be read or is no text.
pub fn pick(mut index: impl BufRead, keep: impl Fn(&str) -> bool) -> io::Result<String> {
    let mut picked = String::new();
    let mut line = String::new();
    let mut keeping = false;
    while index.read_line(&mut line)? > 0 {
        if let Some(name) = line.strip_prefix("Package:") {
            keeping = keep(name.trim());
        }
        if keeping {
            picked.push_str(&line);
        }
        line.clear();
    }
    Ok(picked)
}

fn close<'a>(text: &'a str, open: &mut Vec<(&'a str, Range<usize>)>) -> Option<Stanza<'a>> {
    let fields: Vec<_> = open.drain(..).map(|(name, value)| (name, &text[value])).collect();
    (!fields.is_empty()).then_some(Stanza { fields })
}

/// Name and the place of the value in a line without trailing white space.
fn field(line: &str) -> Option<(&str, Range<usize>)> {
    let (name, rest) = line.split_once(':')?;
    let valid = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control());
    valid.then(|| (name, line.len() - rest.trim_start().len()..line.len()))
}

fn not_a_field(number: usize, line: &str) -> StanzaError {
    StanzaError::NotAField { line: number + 1, text: line.chars().take(80).collect() }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// From an archive index, a status file and `dpkg-deb --field`, shortened.
    pub(crate) const TEXT: &str = "\
Package: jool-dkms
Source: jool
Version: 4.1.13-1.1
Architecture: all
Depends: dkms (>= 3.0.3-4~), build-essential
Conffiles:
 /etc/a 0123456789abcdef0123456789abcdef
 /etc/b 0123456789abcdef0123456789abcdef
Description: kernel-based SIIT and NAT64
 First line.
 .
 Last line.
Filename: pool/main/j/jool/jool-dkms_4.1.13-1.1_all.deb
Size: 189704
SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855


# a comment
Package: gcc
Status: install ok installed
Version: 4:14.2.0-1
Architecture: amd64
";

    #[test]
    fn reads_fields_with_their_continuations() {
        let stanzas = parse_stanzas(TEXT).unwrap();
        assert_eq!(stanzas.len(), 2);
        let [jool, gcc] = &stanzas[..] else { panic!() };
        assert_eq!(jool.package(), Ok("jool-dkms"));
        assert_eq!(jool.get("description").unwrap().lines().count(), 4);
        assert_eq!(jool.get("Conffiles").unwrap().lines().last(), Some(" /etc/b 0123456789abcdef0123456789abcdef"));
        assert_eq!(gcc.get("Version"), Some("4:14.2.0-1"));
        assert!(gcc.is_installed() && !jool.is_installed());
        assert_eq!(gcc.require("Size").unwrap_err().to_string(), "the description of `gcc` has no `Size`");
    }

    #[test]
    fn values_are_read_by_line_or_in_one() {
        let text = "Package: a\nDepends: b,\n c (>= 1)\n\n\n# comment\nPackage: d\nEmpty:\n";
        let stanzas = parse_stanzas(text).unwrap();
        assert_eq!(stanzas.len(), 2);
        assert_eq!(stanzas[0].first_line("package"), Some("a"));
        assert_eq!(stanzas[0].joined("Depends").as_deref(), Some("b, c (>= 1)"));
        assert_eq!((stanzas[1].first_line("Package"), stanzas[1].first_line("Empty")), (Some("d"), None));
        assert_eq!(stanzas[1].joined("Depends"), None);
        assert_eq!(stanzas[1].joined("Empty"), None);
    }

    #[test]
    fn of_an_index_only_what_is_wanted_is_kept() {
        let picked = pick(TEXT.as_bytes(), |name| name == "gcc").unwrap();
        let stanzas = parse_stanzas(&picked).unwrap();
        assert_eq!((stanzas.len(), stanzas[0].package()), (1, Ok("gcc")));
        assert_eq!(pick(TEXT.as_bytes(), |_| true).unwrap().len(), TEXT.len());
        assert_eq!(pick(TEXT.as_bytes(), |_| false).unwrap(), "");
    }

    #[test]
    fn names_the_line_that_is_no_field() {
        for (text, line) in [("Package: a\nnonsense\n", 2), (" continued\n", 1), (": value\n", 1), ("two words: x", 1)]
        {
            let error = parse_stanzas(text).unwrap_err();
            assert!(matches!(error, StanzaError::NotAField { line: found, .. } if found == line), "{text:?}: {error}");
        }
    }

    #[test]
    fn carriage_returns_and_a_missing_last_line_break_are_fine() {
        let stanzas = parse_stanzas("Package: a\r\nDepends: b,\r\n c\r\n\r\nPackage: d").unwrap();
        assert_eq!(stanzas[0].get("Depends"), Some("b,\r\n c"));
        assert_eq!(stanzas[1].package(), Ok("d"));
    }
}
