//! Collecting findings, so that each check is a list of what it looks for.

use super::code::{Code, Finding};
use crate::oci::layer::Lossy;

/// Findings of one code that are told one by one; a hostile image could make one per file.
const PER_CODE: usize = 100;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Something that is not a file.
    pub(super) fn add(&mut self, code: Code, subject: impl Into<String>, message: impl Into<String>) {
        self.0.push(Finding { code, subject: subject.into(), message: message.into() });
    }

    /// A file, by its path without leading slash.
    pub(super) fn path(&mut self, code: Code, path: impl AsRef<[u8]>, message: impl Into<String>) {
        self.add(code, absolute(path), message);
    }

    /// By code, then subject.
    pub(super) fn sorted(mut self) -> Vec<Finding> {
        self.0.sort();
        self.0.chunk_by(|a, b| a.code == b.code).flat_map(first).collect()
    }
}

/// A path for people.
pub(super) fn absolute(path: impl AsRef<[u8]>) -> String {
    format!("/{}", Lossy::from(path.as_ref()))
}

/// The findings of one code, the last of too many being the number of the others.
fn first(findings: &[Finding]) -> Vec<Finding> {
    if findings.len() <= PER_CODE {
        return findings.to_vec();
    }
    let (shown, rest) = findings.split_at(PER_CODE - 1);
    let more = Finding {
        code: findings[0].code,
        subject: format!("{} more", rest.len()),
        message: "of the same kind are not listed".to_owned(),
    };
    shown.iter().cloned().chain([more]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_a_number() {
        let mut findings = Findings::default();
        (0..250).for_each(|index| findings.path(Code::WorldWritable, format!("etc/{index:03}"), "is open"));
        findings.path(Code::HostKey, b"etc/ssh/\xff", "is there");
        let sorted = findings.sorted();
        assert_eq!(sorted.len(), 101);
        assert_eq!(sorted[0].to_string(), r"BOOT033 /etc/ssh/\xff: is there");
        assert_eq!(sorted[99].subject, "/etc/098");
        assert_eq!(sorted[100].to_string(), "BOOT036 151 more: of the same kind are not listed");
    }
}
