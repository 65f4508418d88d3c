//! Whether a seal holds: what the unified kernel of an image boots, and who says so.

use crate::build::{BuildError, seal};
use crate::disk::boot::{Check, ComposefsArgument, Survey};
use crate::disk::uki::{Pe, signer};
use crate::model::{Finding, FindingCode, Page, Severity};
use crate::oci::{ImageTree, LayerSource};

use super::super::verify::Reported;
use super::Subject;

/// No unified kernel is larger.
const MAX_UNIFIED: u64 = 1 << 30;

/// What is wrong with a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::build) enum Code {
    /// SEAL001
    AnotherImage,
    /// SEAL002
    Changed,
    /// SEAL003
    Unsigned,
    /// SEAL004
    NotRequired,
}

impl Code {
    /// Every code, in the order of the manual.
    pub(in crate::build) const ALL: [Self; 4] = [Self::AnotherImage, Self::Changed, Self::Unsigned, Self::NotRequired];
}

impl FindingCode for Code {
    fn page(self) -> Page {
        PAGES[self as usize]
    }
}

const PAGES: [Page; 4] = [
    Page {
        code: "SEAL001",
        severity: Severity::Failure,
        title: "the unified kernel boots another image",
        paragraph: "The command line inside of the unified kernel names an image by its composefs id, and this image \
                    has another one: something was changed after it was sealed, such as by one more layer. The host \
                    would not find what it is told to mount.",
        fix: "change what was sealed and seal that again; nothing is put on top of a sealed image",
    },
    Page {
        code: "SEAL002",
        severity: Severity::Failure,
        title: "the unified kernel is not what was signed",
        paragraph: "Its signature is damaged, or is one for other bytes. Firmware with Secure Boot on refuses it, \
                    whatever its keys are.",
        fix: "seal the image again, and find out who changed it",
    },
    Page {
        code: "SEAL003",
        severity: Severity::Warning,
        title: "the unified kernel is not signed",
        paragraph: "Its command line decides which image is mounted, and anybody can write another one. Firmware with \
                    Secure Boot on refuses it.",
        fix: "seal the image with `imgbuild seal`, or sign the unified kernel",
    },
    Page {
        code: "SEAL004",
        severity: Severity::Warning,
        title: "the unified kernel does not ask for proof",
        paragraph: "Its command line has `composefs=?`, which mounts the image also where fs-verity is not on. What is \
                    signed then is a kernel, and no content.",
        fix: "seal the image with `imgbuild seal`, which asks for proof",
    },
];

/// Judges the unified kernel of an image that has one and is mounted by composefs.
///
/// # Errors
/// When it cannot be read.
pub(super) fn judge(
    subject: &Subject<'_>,
    tree: &ImageTree,
    layers: &dyn LayerSource,
) -> Result<Vec<Reported>, BuildError> {
    // The lint tells of architectures nobody knows.
    let Ok(machine) = subject.image.config().architecture().to_string().parse() else { return Ok(Vec::new()) };
    let survey = Survey::of(tree, machine);
    let Some(path) = survey.uki() else { return Ok(Vec::new()) };
    let bytes = tree.read_file(layers, path, MAX_UNIFIED)?;
    let mut findings = Vec::new();
    let absolute = format!("/{}", String::from_utf8_lossy(path));
    let mut found = |code, message: String| findings.push(Finding { code, subject: absolute.clone(), message });
    match signer(&bytes) {
        Ok(Some(_)) => {}
        Ok(None) => found(Code::Unsigned, "is not signed".to_owned()),
        Err(error) => found(Code::Changed, format!("does not hold: {error}")),
    }
    let line = Pe::parse(&bytes).ok().and_then(|program| program.section(".cmdline"));
    if let Some(named) = ComposefsArgument::find(&String::from_utf8_lossy(line.unwrap_or_default())) {
        match seal::composefs_id(subject.image, layers) {
            Ok(id) if id == named.id => {}
            Ok(id) => found(Code::AnotherImage, format!("names the image {}, and this one is {id}", named.id)),
            Err(error) => found(Code::AnotherImage, format!("names an image, and this one has no id: {error}")),
        }
        if named.check == Check::Optional {
            found(Code::NotRequired, "mounts the image also without fs-verity".to_owned());
        }
    }
    Ok(findings.iter().map(Reported::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_page() {
        for (index, code) in Code::ALL.iter().enumerate() {
            let page = code.page();
            assert_eq!(page.code, format!("SEAL{:03}", index + 1));
            assert!(page.paragraph.ends_with('.') && !page.fix.ends_with('.'), "{}", page.code);
        }
    }
}
