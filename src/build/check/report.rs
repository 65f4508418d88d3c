//! What a check says.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::verify::report::counted;
use super::super::verify::{KernelReport, Reported};
use super::Examined;
use crate::oci::Image;

/// The kind of a finding, the most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// Private keys.
    Keys,
    /// Kernel modules.
    Modules,
    /// What only builds need.
    Leftovers,
    /// Whether the image boots.
    Boot,
}

impl Area {
    /// Every area.
    pub const ALL: [Self; 4] = [Self::Keys, Self::Modules, Self::Leftovers, Self::Boot];

    /// The area of a code.
    pub fn of(code: &str) -> Self {
        match code {
            "LEFT006" => Self::Keys,
            _ if code.starts_with("KMOD") => Self::Modules,
            _ if code.starts_with("LEFT") => Self::Leftovers,
            _ => Self::Boot,
        }
    }

    /// The most severe area that something fails in.
    pub fn worst<'a>(findings: impl IntoIterator<Item = &'a Reported>) -> Option<Self> {
        findings.into_iter().filter(|finding| finding.fails()).map(|finding| Self::of(finding.code)).min()
    }

    /// As a heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Keys => "private keys",
            Self::Modules => "kernel modules",
            Self::Leftovers => "leftovers of a build",
            Self::Boot => "booting",
        }
    }
}

/// The result of checking an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckReport {
    /// As it was asked for.
    pub image: String,
    /// Digest of its manifest.
    pub digest: String,
    /// What it was compared with; nothing when everything in it counts.
    pub against: Option<String>,
    /// Number of layers.
    pub layers: usize,
    /// Whether nothing but notes and what is allowed was found.
    pub passed: bool,
    /// What was proven of the modules of each kernel.
    pub kernels: Vec<KernelReport>,
    /// What was found, by kind.
    pub findings: BTreeMap<Area, Vec<Reported>>,
}

impl CheckReport {
    pub(super) fn new(name: &str, image: &Image, against: Option<String>, examined: Examined) -> Self {
        let mut findings: BTreeMap<Area, Vec<Reported>> = Area::ALL.map(|area| (area, Vec::new())).into();
        let passed = examined.failures().is_empty();
        for finding in examined.findings {
            findings.entry(Area::of(finding.code)).or_default().push(finding);
        }
        Self {
            image: name.to_owned(),
            digest: image.digest().to_string(),
            against,
            layers: image.layers().len(),
            passed,
            kernels: examined.kernels,
            findings,
        }
    }

    /// The most severe area something fails in.
    pub fn worst(&self) -> Option<Area> {
        Area::worst(self.findings.values().flatten())
    }

    /// In one line.
    pub fn summary(&self) -> String {
        let failures = self.findings.values().flatten().filter(|finding| finding.fails()).count();
        let notes = self.findings.values().flatten().filter(|finding| !finding.fails()).count();
        match failures {
            0 => format!("passed, {}", counted(notes, "note")),
            _ => format!("{}, {}", counted(failures, "failure"), counted(notes, "note")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::{Code, Finding};

    fn reported(code: Code, allowed: Option<&str>) -> Reported {
        let finding = Finding { code, subject: "x".to_owned(), message: "y".to_owned() };
        Reported { allowed: allowed.map(str::to_owned), ..Reported::from(&finding) }
    }

    #[test]
    fn the_most_severe_kind_decides_and_notes_and_what_is_allowed_do_not() {
        let key = reported(Code::PrivateKey, None);
        let module = reported(Code::SymbolVersion, None);
        let left = reported(Code::BuildProgram, None);
        let note = reported(Code::SymbolUnproven, None);
        let fine = reported(Code::PrivateKey, Some("a key for tests"));
        for (findings, worst) in [
            (vec![&left, &module, &key], Some(Area::Keys)),
            (vec![&left, &module, &fine], Some(Area::Modules)),
            (vec![&left, &note], Some(Area::Leftovers)),
            (vec![&note, &fine], None),
            (vec![], None),
        ] {
            assert_eq!(Area::worst(findings.iter().copied()), worst, "{findings:?}");
        }
    }

    #[test]
    fn every_code_has_its_area() {
        let of = |area: Area| Code::ALL.iter().filter(|code| Area::of(code.as_str()) == area).count();
        assert_eq!(of(Area::Keys), 1);
        assert!(Area::ALL.map(of).iter().sum::<usize>() == Code::ALL.len() && of(Area::Modules) > 30);
    }
}
