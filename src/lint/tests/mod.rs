//! Each lint on one image that fails it, and a clean image that passes all.

mod cases;
pub(super) mod fake;
mod sample;

use std::collections::BTreeSet;

use super::{Code, LintError, lint};
use crate::model::Severity;
use crate::oci::tree::{Content, NewNode, NoLayers, TreeError};
use cases::CASES;
use sample::Sample;

/// `CODE subject` of everything found.
fn found(sample: &Sample) -> Vec<String> {
    let findings = lint(&sample.tree, &NoLayers, &sample.facts, sample.base.as_ref()).unwrap();
    findings.iter().map(|finding| format!("{} {}", finding.code, finding.subject)).collect()
}

#[test]
fn clean_images_pass_everything() {
    for (name, sample) in
        [("composefs", Sample::clean()), ("ostree", Sample::ostree()), ("unified kernel image", Sample::unified())]
    {
        assert_eq!(found(&sample), [""; 0], "{name}");
    }
}

#[test]
fn each_lint_finds_what_it_is_for_and_nothing_else() {
    for (code, subjects, why, spoil) in CASES {
        let mut sample = Sample::clean();
        spoil(&mut sample);
        let expected: Vec<_> = subjects.iter().map(|subject| format!("{code} {subject}")).collect();
        assert_eq!(found(&sample), expected, "{why}");
    }
}

#[test]
fn no_lint_is_without_a_case() {
    let covered: BTreeSet<Code> = CASES.iter().filter(|case| !case.1.is_empty()).map(|case| case.0).collect();
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !covered.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn messages_read_on_from_their_subject() {
    let mut sample = Sample::clean();
    sample.tree.remove("usr/lib/modules/6.12.1/initramfs.img").unwrap();
    sample.file("usr/lib/bootc/kargs.d/20.toml", "karg = []");
    sample.file("var/lib/dkms/zfs/2.3", "");
    sample.program("usr/bin/ping", 0o4755, b"\x7fELF");
    let findings = lint(&sample.tree, &NoLayers, &sample.facts, sample.base.as_ref()).unwrap();
    let text: Vec<_> = findings.iter().map(|finding| format!("{:?} {finding}", finding.code.severity())).collect();
    assert_eq!(
        text,
        [
            "Failure BOOT005 /usr/lib/bootc/kargs.d/20.toml: unknown field `karg`, expected `kargs` or `match-architectures`",
            "Warning BOOT012 /var/lib/dkms: is in no tmpfiles.d file, as are 2 more below it",
            "Failure BOOT017 /usr/lib/modules/6.12.1/initramfs.img: is not there",
            "Warning BOOT041 /usr/bin/ping: is set-user-ID for user 0; in the base it is not",
        ]
    );
    assert!(Severity::Failure < Severity::Warning && Severity::Warning < Severity::Note);
}

/// A file in a layer that nobody has: reading it would fail.
fn huge(sample: &mut Sample, path: &str, size: u64) {
    let content = NewNode::File(Content::Stream { layer: 0, offset: 0, size });
    sample.tree.insert(path, content, sample::metadata(0o644)).unwrap();
}

#[test]
fn memory_is_bounded_whatever_the_image_has() {
    let mut sample = Sample::clean();
    huge(&mut sample, "etc/passwd", (4 << 20) + 1);
    let error = lint(&sample.tree, &NoLayers, &sample.facts, None).unwrap_err();
    assert!(matches!(error, LintError::Tree(TreeError::TooLarge { limit, .. }) if limit == 4 << 20), "{error:?}");

    let mut sample = Sample::clean();
    huge(&mut sample, "usr/lib/modules/6.12.1/vmlinuz", 512 << 20);
    huge(&mut sample, "usr/lib/modules/6.12.1/initramfs.img", 512 << 20);
    let error = lint(&sample.tree, &NoLayers, &sample.facts, None).unwrap_err();
    assert!(matches!(error, LintError::TooMuch { limit, .. } if limit == 1 << 30), "{error:?}");
}

#[test]
fn of_several_kernels_none_is_read() {
    let mut sample = Sample::clean();
    for release in ["6.12.1", "6.12.2"] {
        huge(&mut sample, &format!("usr/lib/modules/{release}/vmlinuz"), 8 << 30);
    }
    assert_eq!(found(&sample), ["BOOT002 /usr/lib/modules"]);
}
