//! Rules of `hosts/<host>.toml`.

use crate::config::document::Node;
use crate::config::error::{ConfigErrorKind, Finding};
use crate::config::secrets::{self, Secret};
use crate::model::UserName;

use super::{Seen, bad_value, exactly_one, relative, unique, word};

pub(in crate::config) fn host(root: Node<'_>, findings: &mut Vec<Finding>) {
    system(root, findings);
    paths(root, findings);
    accounts(root, findings);
    units(root, findings);
    for (_, _, node) in root.entries_of("network") {
        network(node, findings);
    }
    contents(root, findings);
}

fn system(root: Node<'_>, findings: &mut Vec<Finding>) {
    unique(root, "kargs", "kernel argument", findings);
    for key in ["timezone", "locale"] {
        if let Some((text, node)) = root.text_of(key) {
            word(text, node, findings);
        }
    }
    if let Some((text, node)) =
        root.text_of("timezone").filter(|(text, _)| text.starts_with('/') || text.contains(".."))
    {
        findings.push(bad_value(node, format!("`{text}` is not a time zone: use a name such as `Europe/Berlin`")));
    }
}

/// A path is written once, as one kind of thing.
fn paths(root: Node<'_>, findings: &mut Vec<Finding>) {
    let mut seen = Seen::new("path");
    for key in ["file", "directory", "link"] {
        for node in root.items_of(key) {
            if let Some((path, value)) = node.text_of("path") {
                seen.note(path, value.span(), findings);
            }
        }
    }
    for key in ["file", "directory"] {
        for node in root.items_of(key) {
            owner(root, node, "owner", "users", "uid", findings);
            owner(root, node, "group", "groups", "gid", findings);
        }
    }
}

/// An owner is a number, or a name that some file fixes to a number: here only this host's own names can be judged.
fn owner(root: Node<'_>, entry: Node<'_>, key: &str, accounts: &str, id: &str, findings: &mut Vec<Finding>) {
    let Some((text, node)) = entry.text_of(key) else { return };
    if text.parse::<u32>().is_ok() {
        return;
    }
    if let Err(error) = text.parse::<UserName>() {
        findings.push(bad_value(node, format!("{error}; or give the number")));
    } else if let Some((_, span, _)) =
        root.entries_of(accounts).find(|(name, _, account)| *name == text && !account.has(id))
    {
        findings.push(
            bad_value(node, format!("`{text}` has no fixed `{id}`, and a layer stores numbers"))
                .also(span, format!("add `{id}` here"))
                .help(format!("give `{text}` a `{id}`, or write the number")),
        );
    }
}

fn accounts(root: Node<'_>, findings: &mut Vec<Finding>) {
    for (table, id) in [("users", "uid"), ("groups", "gid")] {
        let mut seen = Seen::new(id);
        for (_, _, account) in root.entries_of(table) {
            if let Some(number) = account.get(id).filter(|node| node.integer().is_some()) {
                seen.note(number.raw(), number.span(), findings);
            }
        }
    }
    for (_, _, user) in root.entries_of("users") {
        unique(user, "groups", "group", findings);
        for (text, node) in user.texts_of("ssh-keys") {
            findings.extend(inline_secret(text, node).or_else(|| {
                let reason = "not a line of authorized_keys: use a public key such as `ssh-ed25519 AAAA… name`";
                (!is_public_key(text)).then(|| bad_value(node, reason))
            }));
        }
    }
}

/// Whether the text is one line of an `authorized_keys` file.
pub(in crate::config) fn is_public_key(line: &str) -> bool {
    // Options may stand in front (sshd(8), AUTHORIZED_KEYS FILE FORMAT); the key itself begins with its type's length.
    let mut words = line.split_ascii_whitespace().skip_while(|word| !is_key_type(word));
    words.next().is_some() && words.next().is_some_and(|key| key.starts_with("AAAA")) && !line.contains('\n')
}

fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|prefix| word.starts_with(prefix))
}

pub(in crate::config) const SECRET_HELP: &str =
    "everyone who can pull the image could read it; hand secrets to the host when its disk is written";

/// A unit has one state.
fn units(root: Node<'_>, findings: &mut Vec<Finding>) {
    let Some(units) = root.get("units") else { return };
    let mut seen = Seen::new("unit");
    for key in ["enable", "disable", "mask"] {
        for (name, node) in units.texts_of(key) {
            seen.note(name, node.span(), findings);
        }
    }
}

fn network(node: Node<'_>, findings: &mut Vec<Finding>) {
    exactly_one(node, "interface", "mac", findings);
    unique(node, "address", "address", findings);
    unique(node, "gateway", "gateway", findings);
    if let Some(mtu) = node.get("mtu").filter(|mtu| mtu.integer().is_some_and(|value| !(68..=65535).contains(&value))) {
        // RFC 791 asks for 68 bytes at least; an IP packet has 65535 at most.
        findings.push(bad_value(mtu, "an mtu is between 68 and 65535"));
    }
    let dhcp = node.get("dhcp").and_then(|dhcp| dhcp.boolean()).unwrap_or_default();
    if node.has("gateway") && !node.has("address") && !dhcp {
        let kind = ConfigErrorKind::MissingKey { key: "address".to_owned() };
        findings.push(Finding::at(node.head(), kind).help("a gateway is reached from an address, static or by `dhcp`"));
    }
}

/// Content comes from one place and holds no secret; files of the project are read later, each once.
fn contents(root: Node<'_>, findings: &mut Vec<Finding>) {
    for node in root.items_of("file") {
        exactly_one(node, "content", "source", findings);
        if let Some((text, content)) = node.text_of("content") {
            findings.extend(inline_secret(text, content));
        }
        source_path(node, "source", findings);
    }
    for (_, _, user) in root.entries_of("users") {
        source_path(user, "ssh-keys-file", findings);
    }
    source_path(root, "containerfile", findings);
}

fn source_path(node: Node<'_>, key: &str, findings: &mut Vec<Finding>) {
    if let Some((path, value)) = node.text_of(key) {
        relative(path, value, findings);
    }
}

/// A secret in the text of a definition, shown at its own line where the text is written as it is.
fn inline_secret(text: &str, node: Node<'_>) -> Option<Finding> {
    let decoded = secrets::find(text.as_bytes())?;
    let start = node.span().start;
    let finding = secrets::find(node.raw().as_bytes()).map(|raw| secret_at(start, &raw));
    Some(finding.unwrap_or_else(|| {
        let kind = ConfigErrorKind::Secret { kind: decoded.kind };
        Finding::at(node.span(), kind).help(SECRET_HELP).hide(node.span())
    }))
}

/// The first secret of a text.
pub(in crate::config) fn secret_in(text: &str) -> Option<Finding> {
    secrets::find(text.as_bytes()).map(|secret| secret_at(0, &secret))
}

/// Underlines the marker of a secret that was found in what begins at `offset`.
fn secret_at(offset: usize, secret: &Secret) -> Finding {
    let start = offset + secret.span.start;
    Finding::at(start..start + secret.marker, ConfigErrorKind::Secret { kind: secret.kind }).help(SECRET_HELP)
}

#[cfg(test)]
mod tests {
    use super::is_public_key;

    #[test]
    fn keys_are_public_ones() {
        for (line, ok) in [
            ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ me@example", true),
            ("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY= x", true),
            ("restrict,command=\"/usr/bin/true\" ssh-rsa AAAAB3NzaC1yc2E= x", true),
            ("sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5 x", true),
            ("", false),
            ("# comment", false),
            ("ssh-ed25519", false),
            ("me@example", false),
            ("ssh-ed25519 AAAAC3\nssh-rsa AAAAB3", false),
        ] {
            assert_eq!(is_public_key(line), ok, "{line:?}");
        }
    }
}
