//! Rules of `tier.toml`.

use globset::GlobBuilder;

use crate::config::document::Node;
use crate::config::error::{ConfigErrorKind, Finding};

use crate::model::KernelNumber;

use super::{bad_value, exactly_one, not_both, relative, unique, url, word};

pub(in crate::config) fn tier1(root: Node<'_>, findings: &mut Vec<Finding>) {
    exactly_one(root, "mirror", "bootstrap", findings);
    if let Some(node) = root.get("bootstrap") {
        bootstrap(node, findings);
    }
}

fn bootstrap(node: Node<'_>, findings: &mut Vec<Finding>) {
    if let Some((text, suite)) = node.text_of("suite") {
        word(text, suite, findings);
    }
    for (key, what) in [("updates", "suite"), ("components", "component")] {
        node.texts_of(key).for_each(|(text, item)| word(text, item, findings));
        unique(node, key, what, findings);
    }
    unique(node, "packages", "package", findings);
    unique(node, "initramfs-drivers", "driver", findings);
    for key in ["mirror", "security-mirror"] {
        if let Some((text, value)) = node.text_of(key) {
            url(text, value, findings);
        }
    }
    for key in ["exclude", "include"] {
        node.texts_of(key).for_each(|(text, item)| absolute_pattern(text, item, findings));
    }
    security_mirror(node, findings);
}

/// A `*-security` suite lives in an archive of its own, which the main one's address does not tell.
fn security_mirror(node: Node<'_>, findings: &mut Vec<Finding>) {
    let needed = node.texts_of("updates").find(|(suite, _)| suite.ends_with("-security"));
    match (node.has("mirror"), node.has("security-mirror"), needed) {
        (true, false, Some((suite, item))) => findings.push(
            Finding::at(item.span(), ConfigErrorKind::MissingKey { key: "security-mirror".to_owned() })
                .label(format!("`{suite}` is not in the archive `mirror` names"))
                .help("add `security-mirror` beside `mirror`"),
        ),
        (false, true, _) => findings.push(
            Finding::at(node.head(), ConfigErrorKind::MissingKey { key: "mirror".to_owned() })
                .help("`security-mirror` is used together with `mirror` only"),
        ),
        _ => {}
    }
}

fn absolute_pattern(text: &str, node: Node<'_>, findings: &mut Vec<Finding>) {
    if !text.starts_with('/') {
        findings.push(bad_value(node, format!("`{text}` is not an absolute pattern: begin with `/`")));
    }
}

pub(in crate::config) fn tier2(root: Node<'_>, findings: &mut Vec<Finding>) {
    unique(root, "modules", "module set", findings);
    unique(root, "packages", "package", findings);
    for (_, _, node) in root.entries_of("repositories") {
        repository(node, findings);
    }
    if let Some(kernel) = root.get("kernel") {
        policy(kernel, findings);
    }
    for node in root.items_of("allow") {
        allow(node, findings);
    }
    for table in ["signing", "seal"].into_iter().filter_map(|name| root.get(name)) {
        for key in ["key", "certificate"] {
            if let Some((text, node)) = table.text_of(key) {
                relative(text, node, findings);
            }
        }
    }
}

fn policy(kernel: Node<'_>, findings: &mut Vec<Finding>) {
    unique(kernel, "deny", "kernel", findings);
    if let Some((pin, node)) = kernel.text_of("pin")
        && let Some((_, denied)) = kernel.texts_of("deny").find(|(denied, _)| *denied == pin)
    {
        findings.push(bad_value(denied, format!("`{pin}` is denied and pinned")).also(node.span(), "pinned here"));
    }
    let number = |key| kernel.text_of(key).and_then(|(text, node)| Some((text.parse::<KernelNumber>().ok()?, node)));
    if let (Some((floor, lower)), Some((ceiling, upper))) = (number("floor"), number("ceiling"))
        && floor.is_above(&ceiling)
    {
        let reason = format!("no kernel is from {floor} and up to {ceiling}");
        findings.push(bad_value(lower, reason).also(upper.span(), "the ceiling"));
    }
}

fn allow(node: Node<'_>, findings: &mut Vec<Finding>) {
    if let Some((text, pattern)) = node.text_of("pattern") {
        match GlobBuilder::new(text).literal_separator(true).build() {
            _ if text.is_empty() => findings.push(bad_value(pattern, "an empty pattern matches nothing")),
            Err(error) => findings.push(bad_value(pattern, format!("`{text}` is not a pattern: {}", error.kind()))),
            Ok(_) => {}
        }
    }
    if let Some((_, reason)) = node.text_of("reason").filter(|(text, _)| text.trim().is_empty()) {
        findings.push(bad_value(reason, "say why it is allowed: whoever reads the report will ask"));
    }
}

fn repository(node: Node<'_>, findings: &mut Vec<Finding>) {
    let address = node.text_of("url");
    let machine = address.is_some_and(|(text, _)| text == "machine");
    if let Some((text, value)) = address.filter(|_| !machine) {
        url(text, value, findings);
    }
    if let Some((text, suite)) = node.text_of("suite") {
        word(text, suite, findings);
    }
    node.texts_of("components").for_each(|(text, item)| word(text, item, findings));
    if let Some((text, key)) = node.text_of("key").filter(|(text, _)| !text.starts_with("https://")) {
        relative(text, key, findings);
    }
    let unsigned = node.get("unsigned").and_then(|value| value.boolean()).unwrap_or_default();
    if unsigned {
        not_both(node, "key", "unsigned", findings);
    } else if !node.has("key") && !machine {
        let kind = ConfigErrorKind::NeitherOf { first: "key", second: "unsigned" };
        let help = "give the `key` its packages are signed with; `unsigned = true` accepts packages from anyone";
        findings.push(Finding::at(node.head(), kind).help(help));
    }
}
