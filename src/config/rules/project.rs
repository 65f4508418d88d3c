//! Rules of `imgbuild.toml`.

use crate::config::document::Node;
use crate::config::error::{ConfigErrorKind, Finding};
use crate::config::shape::nearest_or_all;

use super::{Seen, bad_value, not_both, relative};
use crate::model::Reference;

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
    let own = root.get("publish").and_then(|publish| publish.text_of("to"));
    if let Some((text, node)) = own {
        repository(text, node, findings);
    }
    if let Some(policy) = root.get("policy") {
        if !root.has("publish") {
            let kind = ConfigErrorKind::MissingKey { key: "publish".to_owned() };
            findings.push(Finding::at(policy.head(), kind).help("a policy says who signs what is published there"));
        }
        trust(policy, own, findings);
    }
}

fn trust<'a>(policy: Node<'a>, own: Option<(&'a str, Node<'a>)>, findings: &mut Vec<Finding>) {
    if let Some(keys) = policy.get("keys").filter(|_| policy.texts_of("keys").next().is_none()) {
        findings.push(bad_value(keys, "no key: hosts could not verify any image, their own next one neither"));
    }
    policy.texts_of("keys").for_each(|(text, node)| relative(text, node, findings));
    let mut seen = Seen::new("repository");
    // One's own is in the policy already, by `keys`.
    if let Some((text, node)) = own {
        seen.note(text, node.span(), findings);
    }
    for entry in policy.items_of("allow") {
        entry.texts_of("keys").for_each(|(text, node)| relative(text, node, findings));
        for key in ["repository", "mirrors"] {
            if let Some((text, node)) = entry.text_of(key) {
                repository(text, node, findings);
            }
        }
        if let Some((text, node)) = entry.text_of("repository") {
            seen.note(text, node.span(), findings);
        }
        let unsigned = entry.get("unsigned").and_then(|unsigned| unsigned.boolean()).unwrap_or_default();
        match (entry.texts_of("keys").next().is_some(), unsigned) {
            (true, true) => not_both(entry, "keys", "unsigned", findings),
            (false, false) => {
                let kind = ConfigErrorKind::NeitherOf { first: "keys", second: "unsigned" };
                findings.push(Finding::at(entry.head(), kind).help("give `keys`, or `unsigned = true` and a `reason`"));
            }
            (false, true) if entry.text_of("reason").is_none_or(|(text, _)| text.trim().is_empty()) => {
                let kind = ConfigErrorKind::MissingKey { key: "reason".to_owned() };
                findings.push(Finding::at(entry.head(), kind).help("say why unsigned images are acceptable here"));
            }
            _ => {}
        }
    }
}

/// A repository with its registry, without tag or digest. A whole registry is nobody's: anyone may push to it.
fn repository(text: &str, node: Node<'_>, findings: &mut Vec<Finding>) {
    let bare = !text.contains('@') && !text.rsplit('/').next().unwrap_or_default().contains(':');
    let host = text.split_once('/').map(|(host, _)| host);
    let has_host = host.is_some_and(|host| host.contains(['.', ':']) || host == "localhost");
    if !bare || !has_host || text.parse::<Reference>().is_err() {
        let reason =
            format!("`{text}` is no repository with its registry, without a tag: `registry.example.com/fleet`");
        findings.push(bad_value(node, reason));
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
