//! What belongs to the host and is not updated with the image: `/var` and accounts.

use std::collections::{BTreeMap, BTreeSet};

use super::Image;
use super::code::Code;
use super::contents::files_in;
use super::findings::Findings;
use crate::oci::tree::{Content, Kind};

/// tmpfiles.d(5) types that make what they name.
const MAKING: [&str; 13] = ["f", "F", "w", "d", "D", "v", "q", "Q", "p", "L", "c", "b", "C"];

pub(super) fn check(image: &Image<'_>, findings: &mut Findings) {
    check_logs(image, findings);
    check_var(image, findings);
    check_accounts(image, findings);
}

fn check_logs(image: &Image<'_>, findings: &mut Findings) {
    for entry in image.tree.walk_from("var/log") {
        if let Some(size @ 1..) = entry.node.content().map(Content::size) {
            findings.path(Code::LogLeft, entry.path, format!("is a log of {size} bytes"));
        }
    }
}

/// Each topmost undeclared path with the number of further ones below it.
fn check_var(image: &Image<'_>, findings: &mut Findings) {
    let declared = declared_paths(image);
    // As a folder it has its own finding.
    let run_is_folder = image.tree.lookup("var/run").is_some_and(|id| image.tree.node(id).children().is_some());
    let mut undeclared: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for entry in image.tree.walk_from("var").skip(1) {
        let reported = (run_is_folder && is_below(&entry.path, b"var/run")) || is_log(&entry.path, entry.node.kind());
        if reported || declared.contains(&entry.path) {
            continue;
        }
        match undeclared.last_entry().filter(|top| is_below(&entry.path, top.key())) {
            Some(mut top) => *top.get_mut() += 1,
            None => drop(undeclared.insert(entry.path, 0)),
        }
    }
    for (path, below) in undeclared {
        let message = match below {
            0 => "is in no tmpfiles.d file".to_owned(),
            _ => format!("is in no tmpfiles.d file, as are {below} more below it"),
        };
        findings.path(Code::VarUndeclared, path, message);
    }
}

/// A log with content has its own finding.
fn is_log(path: &[u8], kind: &Kind) -> bool {
    path.starts_with(b"var/log/") && matches!(kind, Kind::File(content) if content.size() > 0)
}

fn is_below(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Paths that tmpfiles.d(5) makes, where they really are. A file in `/etc` replaces the one of its name in `/usr`.
fn declared_paths(image: &Image<'_>) -> BTreeSet<Vec<u8>> {
    let mut files: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for folder in ["usr/lib/tmpfiles.d", "etc/tmpfiles.d"] {
        let paths = files_in(image.tree, folder, ".conf").into_iter();
        files.extend(paths.filter_map(|path| Some((path.rsplit(|byte| *byte == b'/').next()?.to_vec(), path))));
    }
    let texts = files.values().filter_map(|path| image.read(path)).map(String::from_utf8_lossy);
    let lines: Vec<String> = texts.flat_map(|text| text.lines().filter_map(made_by).collect::<Vec<_>>()).collect();
    lines.iter().filter_map(|path| image.tree.canonical(path)).collect()
}

/// The path that a line of tmpfiles.d(5) makes; `None` for other types and for paths with specifiers.
fn made_by(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let (kind, path) = (words.next()?, words.next()?);
    let kind = kind.trim_end_matches(['+', '!', '-', '=', '~', '^', '$', '?']);
    let path = path.trim_matches('"').replace("\\x20", " ").replace("%%", "\0");
    let plain = MAKING.contains(&kind) && !path.contains('%');
    plain.then(|| path.replace('\0', "%"))
}

fn check_accounts(image: &Image<'_>, findings: &mut Findings) {
    let paths = files_in(image.tree, "usr/lib/sysusers.d", ".conf");
    let texts: Vec<_> = paths.iter().filter_map(|path| image.read(path)).map(String::from_utf8_lossy).collect();
    let declared = declared_accounts(texts.iter().map(AsRef::as_ref));
    for (path, what) in [("etc/passwd", Account::User), ("etc/group", Account::Group)] {
        let text = String::from_utf8_lossy(image.read(path).unwrap_or_default());
        for name in text.lines().filter_map(account_name).filter(|name| !declared.contains(&(what, *name))) {
            let message = format!("is a {} that no sysusers.d file declares", what.word());
            findings.add(Code::AccountUndeclared, name, message);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Account {
    User,
    Group,
}

impl Account {
    const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
        }
    }
}

/// Name in a line of passwd(5) or group(5). Lines of `+` and `-` belong to NIS.
fn account_name(line: &str) -> Option<&str> {
    let (name, _) = line.split_once(':')?;
    (!name.is_empty() && !name.starts_with(['+', '-', '#'])).then_some(name)
}

/// What sysusers.d(5) files declare; a user line declares the group of that name too.
fn declared_accounts<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeSet<(Account, &'a str)> {
    let mut declared = BTreeSet::new();
    for line in texts.flat_map(str::lines) {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("u" | "u!"), Some(name)) => declared.extend([(Account::User, name), (Account::Group, name)]),
            (Some("g"), Some(name)) => drop(declared.insert((Account::Group, name))),
            _ => {}
        }
    }
    declared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tmpfiles_make_paths() {
        for (line, path) in [
            ("d /var/log/journal 2755 root systemd-journal - -", Some("/var/log/journal")),
            ("L+! /var/lock - - - - ../run/lock", Some("/var/lock")),
            (r"f /var/a\x20b", Some("/var/a b")),
            ("f /var/100%%", Some("/var/100%")),
            ("d /var/%m", None),
            ("z /var/log", None),
            ("# d /var/log", None),
            ("", None),
        ] {
            assert_eq!(made_by(line).as_deref(), path, "{line}");
        }
    }

    #[test]
    fn a_user_line_declares_its_group_too() {
        let text = "# u no -\nu! coredump - \"Core Dumper\"\ng adm 4\nm ada adm\n";
        let declared = declared_accounts([text].into_iter());
        let expected = [(Account::User, "coredump"), (Account::Group, "adm"), (Account::Group, "coredump")];
        assert_eq!(declared.into_iter().collect::<Vec<_>>(), expected);
        assert_eq!(account_name("ada:x:1000:"), Some("ada"));
        assert_eq!((account_name("+::::::"), account_name("broken")), (None, None));
    }
}
