//! Rules of `imgbuild.toml`.

use crate::config::document::Node;
use crate::config::error::Finding;
use crate::config::shape::nearest_or_all;

use super::{bad_value, relative};

/// Architectures imgbuild knows the boot files of, as the image specification (and Go) spells them.
const ARCHITECTURES: [&str; 5] = ["amd64", "arm64", "ppc64le", "riscv64", "s390x"];

/// Spellings of the kernel and of rpm.
const OTHER_SPELLINGS: [(&str, &str); 3] = [("x86_64", "amd64"), ("x86-64", "amd64"), ("aarch64", "arm64")];

pub(in crate::config) fn project(root: Node<'_>, findings: &mut Vec<Finding>) {
    if let Some((text, node)) = root.text_of("architecture") {
        architecture(text, node, findings);
    }
    for key in ["tiers", "kmods", "hosts"] {
        if let Some((text, node)) = root.text_of(key) {
            relative(text, node, findings);
        }
    }
}

fn architecture(text: &str, node: Node<'_>, findings: &mut Vec<Finding>) {
    if ARCHITECTURES.contains(&text) {
        return;
    }
    let help = match OTHER_SPELLINGS.iter().find(|(other, _)| *other == text) {
        Some((_, ours)) => format!("images call it `{ours}`"),
        None => nearest_or_all(text, ARCHITECTURES.into_iter(), "known are"),
    };
    findings.push(bad_value(node, format!("`{text}` is not an architecture")).help(help));
}
