//! What every file is looked at for: its name, its mode, where it leads.

use super::Image;
use super::code::Code;
use super::findings::Findings;
use super::privilege::Privilege;
use crate::oci::layer::Lossy;
use crate::oci::tree::{Kind, Node, WalkEntry};

/// Folders of builders: a link to something below them is a mistake. `/run` itself is a host's too.
const BUILDER_FOLDERS: [&str; 9] =
    ["/build/", "/builddir/", "/builds/", "/home/", "/root/", "/run/imgbuild/", "/tmp/", "/var/tmp/", "/workspace/"];

/// Folders that every service passes through.
const OPEN_FOLDERS: [&str; 6] = ["", "etc", "usr", "usr/bin", "usr/lib", "var"];

/// Files with hashes of passwords, and the backups that tools make of them.
const SHADOW: [&str; 4] = ["etc/gshadow", "etc/gshadow-", "etc/shadow", "etc/shadow-"];

/// Whether a file's content tells if it is a set-user-ID script.
pub(super) fn is_setuid(node: &Node) -> bool {
    node.content().is_some() && node.metadata().mode & 0o4000 != 0
}

pub(super) fn check(image: &Image<'_>, findings: &mut Findings) {
    for entry in image.tree.walk() {
        check_name(&entry, findings);
        check_link(&entry, findings);
        check_mode(&entry, findings);
        check_privilege(image, &entry, findings);
    }
}

fn check_name(entry: &WalkEntry<'_>, findings: &mut Findings) {
    let name = entry.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if std::str::from_utf8(name).is_err() {
        findings.path(Code::NameNotUtf8, &entry.path, "has a name that is not UTF-8");
    }
    if entry.node.symlink_target().is_some_and(|target| std::str::from_utf8(target).is_err()) {
        findings.path(Code::NameNotUtf8, &entry.path, "is a link whose target is not UTF-8");
    }
}

fn check_link(entry: &WalkEntry<'_>, findings: &mut Findings) {
    let Some(target) = entry.node.symlink_target() else { return };
    if BUILDER_FOLDERS.iter().any(|folder| target.starts_with(folder.as_bytes())) {
        findings.path(Code::BuilderLink, &entry.path, format!("is a link to `{}`", Lossy::from(target)));
    }
}

fn check_mode(entry: &WalkEntry<'_>, findings: &mut Findings) {
    let WalkEntry { path, node, .. } = entry;
    let mode = node.metadata().mode;
    let folder = match node.kind() {
        Kind::Directory(_) => true,
        Kind::File(_) | Kind::Fifo => false,
        // A link has no mode of its own, a device is there to be opened.
        Kind::Symlink(_) | Kind::CharDevice { .. } | Kind::BlockDevice { .. } => return,
    };
    let is = |known: &str| known.as_bytes() == path.as_slice();
    if mode & 0o002 != 0 && !(folder && mode & 0o1000 != 0) {
        findings.path(Code::WorldWritable, path, format!("has mode {mode:04o}"));
    }
    if folder && mode & 0o005 != 0o005 && OPEN_FOLDERS.iter().any(|known| is(known)) {
        findings.path(Code::FolderClosed, path, format!("has mode {mode:04o}"));
    }
    if mode & 0o007 != 0 && SHADOW.iter().any(|known| is(known)) {
        findings.path(Code::ShadowReadable, path, format!("has mode {mode:04o}"));
    }
    check_sudoers(entry, findings);
}

fn check_sudoers(entry: &WalkEntry<'_>, findings: &mut Findings) {
    let rest = entry.path.strip_prefix(b"etc/sudoers");
    if !rest.is_some_and(|rest| rest.is_empty() || rest == b".d" || rest.starts_with(b".d/")) {
        return;
    }
    let metadata = entry.node.metadata();
    if metadata.uid != 0 {
        findings.path(Code::SudoersOpen, &entry.path, format!("belongs to user {}", metadata.uid));
    } else if metadata.mode & 0o022 != 0 {
        findings.path(Code::SudoersOpen, &entry.path, format!("has mode {:04o}", metadata.mode));
    }
}

fn check_privilege(image: &Image<'_>, entry: &WalkEntry<'_>, findings: &mut Findings) {
    if is_setuid(entry.node) && image.contents.get(entry.id).is_some_and(|head| head.starts_with(b"#!")) {
        findings.path(Code::SetuidScript, &entry.path, "is a set-user-ID script");
    }
    let Some(privilege) = Privilege::of(entry.node) else { return };
    match image.base {
        None => findings.path(Code::PrivilegePresent, &entry.path, format!("is {privilege}")),
        Some(base) => {
            let before = base.lookup(&entry.path).and_then(|id| Privilege::of(base.node(id)));
            let message = match before {
                Some(before) if before == privilege => return,
                Some(before) => format!("is {privilege}; in the base it is {before}"),
                None => format!("is {privilege}; in the base it is not"),
            };
            findings.path(Code::PrivilegeAdded, &entry.path, message);
        }
    }
}
