//! Rules of `kmod.toml`.

use globset::GlobBuilder;

use crate::config::document::Node;
use crate::config::error::{ConfigErrorKind, Finding, NameKind};
use crate::config::shape::nearest_or_all;
use crate::model::{AbsolutePath, KernelNumber};

use super::{bad_value, exactly_one, unique};

/// What may stand in `${…}`.
const PLACEHOLDERS: [&str; 3] = ["dkms", "kver", "version"];

pub(in crate::config) fn kmod(root: Node<'_>, folder: &str, findings: &mut Vec<Finding>) {
    if let Some((name, node)) = root.text_of("name").filter(|(name, _)| *name != folder) {
        let kind = ConfigErrorKind::FolderName { name: name.to_owned(), folder: folder.to_owned() };
        findings.push(Finding::at(node.span(), kind).help(format!("write `name = \"{folder}\"` or rename the folder")));
    }
    if let Some(build) = root.get("build") {
        if !build.has("apt") && !build.has("dnf") {
            let kind = ConfigErrorKind::NeitherOf { first: "apt", second: "dnf" };
            findings.push(Finding::at(build.head(), kind).help("give one of them, or both"));
        }
        for family in ["apt", "dnf"].into_iter().filter_map(|key| build.get(key)) {
            unique(family, "packages", "package", findings);
            unique(family, "install", "package", findings);
            renamed(root, family, findings);
        }
    }
    if let Some(node) = root.get("supports") {
        supports(node, findings);
    }
    root.items_of("artifact").for_each(|node| artifact(node, findings));
    if let Some(node) = root.get("verify") {
        verify(node, findings);
    }
}

fn supports(node: Node<'_>, findings: &mut Vec<Finding>) {
    unique(node, "config", "symbol", findings);
    for (text, item) in node.texts_of("config") {
        let symbol = text.strip_prefix('!').unwrap_or(text).strip_prefix("CONFIG_").unwrap_or_default();
        if symbol.is_empty() || !symbol.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            findings.push(bad_value(item, format!("`{text}` is not a symbol: write `CONFIG_X` or `!CONFIG_X`")));
        }
    }
    if let Some((_, version)) = node.text_of("version").filter(|(text, _)| text.is_empty()) {
        findings.push(bad_value(version, "an empty version is no version"));
    }
    let number = |key| node.text_of(key).and_then(|(text, value)| Some((text.parse::<KernelNumber>().ok()?, value)));
    if let (Some((min, lower)), Some((max, upper))) = (number("min"), number("max"))
        && min.is_above(&max)
    {
        let reason = format!("no kernel is from {min} and up to {max}");
        findings.push(bad_value(lower, reason).also(upper.span(), "the newest"));
    }
}

fn artifact(node: Node<'_>, findings: &mut Vec<Finding>) {
    exactly_one(node, "from", "package", findings);
    if let Some((text, value)) = node.text_of("from") {
        pattern(text, value, findings);
        if !node.has("to") {
            let kind = ConfigErrorKind::MissingKey { key: "to".to_owned() };
            findings.push(Finding::at(node.head(), kind).help("say where the files of `from` go"));
        }
    }
    if let Some((text, value)) = node.text_of("to") {
        destination(text, value, findings);
    }
    range(node, findings);
}

fn pattern(text: &str, node: Node<'_>, findings: &mut Vec<Finding>) {
    if !text.starts_with('/') && !text.starts_with("${dkms}/") {
        findings.push(bad_value(node, format!("`{text}` is not absolute: begin with `/` or `${{dkms}}/`")));
    } else if let Err(error) = GlobBuilder::new(&without_placeholders(text)).literal_separator(true).build() {
        findings.push(bad_value(node, format!("`{text}` is not a pattern: {}", error.kind())));
    }
    for name in placeholders(text).filter(|name| !PLACEHOLDERS.contains(name)) {
        let kind = ConfigErrorKind::UnknownName { kind: NameKind::Placeholder, name: name.to_owned() };
        let help = nearest_or_all(name, PLACEHOLDERS.into_iter(), "placeholders");
        findings.push(Finding::at(node.span(), kind).help(help));
    }
}

/// The names in `${…}`.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}

/// The text with each `${…}` replaced by a letter, so that its braces are no glob alternatives.
fn without_placeholders(text: &str) -> String {
    let mut parts = text.split("${");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "x" + part.split_once('}').map_or(part, |(_, rest)| rest))
}

fn destination(text: &str, node: Node<'_>, findings: &mut Vec<Finding>) {
    let concrete = without_placeholders(text);
    match concrete.strip_suffix('/').unwrap_or(&concrete).parse::<AbsolutePath>() {
        Err(_) if text.starts_with("${dkms}/") => {}
        Err(error) => findings.push(bad_value(node, error.to_string())),
        // Many images make it a link into /var (FHS 4.9: it is the administrator's).
        Ok(path) if path.is_under("/usr/local") => {
            findings.push(bad_value(node, "`/usr/local` belongs to the host's administrator, not to an image"));
        }
        Ok(path) if path.is_under("/usr") || path.is_under("/etc") => {}
        Ok(_) => {
            let kind = ConfigErrorKind::Destination { to: text.to_owned() };
            let help = "an update replaces /usr and merges /etc; files anywhere else would be frozen at installation";
            findings.push(Finding::at(node.span(), kind).help(help));
        }
    }
}

fn range(node: Node<'_>, findings: &mut Vec<Finding>) {
    let integer = |key| node.get(key).and_then(|node| node.integer());
    let (min, max) = (integer("min"), integer("max"));
    let place = |key| node.get(key).map_or_else(|| node.head(), |node| node.span());
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        let kind = ConfigErrorKind::MinAboveMax { min, max };
        findings.push(Finding::at(place("min"), kind).also(place("max"), "the most"));
    }
    if max == Some(0) {
        findings.push(Finding::at(
            place("max"),
            ConfigErrorKind::BadValue { reason: "`max` of 0 matches nothing".to_owned() },
        ));
    }
    let optional = node.get("optional").and_then(|node| node.boolean()).unwrap_or_default();
    if optional && min.is_some_and(|min| min > 0) {
        not_both_optional_and_min(node, findings);
    }
}

fn not_both_optional_and_min(node: Node<'_>, findings: &mut Vec<Finding>) {
    super::not_both(node, "optional", "min", findings);
}

fn verify(node: Node<'_>, findings: &mut Vec<Finding>) {
    unique(node, "modules", "module", findings);
    unique(node, "load", "module", findings);
    if let Some(modules) =
        node.get("modules").filter(|modules| modules.items().is_some_and(|mut items| items.next().is_none()))
    {
        findings.push(bad_value(modules, "a module set without modules"));
    }
    for (name, item) in node.texts_of("load") {
        known_module(node, name, &item.span(), findings);
    }
    for (name, span, _) in node.entries_of("options") {
        known_module(node, name, &span, findings);
    }
}

fn renamed(root: Node<'_>, family: Node<'_>, findings: &mut Vec<Finding>) {
    let Some(verify) = root.get("verify") else { return };
    for (name, span, _) in family.entries_of("renamed") {
        known_module(verify, name, &span, findings);
    }
}

fn known_module(verify: Node<'_>, name: &str, span: &std::ops::Range<usize>, findings: &mut Vec<Finding>) {
    if verify.texts_of("modules").any(|(known, _)| known == name) {
        return;
    }
    let modules: Vec<&str> = verify.texts_of("modules").map(|(known, _)| known).collect();
    let kind = ConfigErrorKind::UnknownName { kind: NameKind::Module, name: name.to_owned() };
    let help = nearest_or_all(name, modules.into_iter(), "modules of this set");
    findings.push(Finding::at(span.clone(), kind).help(help));
}

#[cfg(test)]
mod tests {
    use super::{placeholders, without_placeholders};

    #[test]
    fn placeholders_are_told_from_glob_alternatives() {
        let text = "/lib/modules/${kver}/{a,b}-${version}.ko*";
        assert_eq!(placeholders(text).collect::<Vec<_>>(), ["kver", "version"]);
        assert_eq!(without_placeholders(text), "/lib/modules/x/{a,b}-x.ko*");
        assert_eq!(placeholders("/plain").count(), 0);
    }
}
