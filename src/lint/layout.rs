//! The folders of the root: which must be there, and which must be empty.

use super::Image;
use super::code::Code;
use super::findings::Findings;
use crate::oci::tree::{Content, Kind};

/// systemd's API file systems (systemd.io/API_FILE_SYSTEMS), with `/var`, which bootc adds.
const API_FOLDERS: [&str; 6] = ["dev", "proc", "run", "sys", "tmp", "var"];

/// Files that container tools mount over while they build.
const INJECTED: [&str; 2] = ["etc/hostname", "etc/resolv.conf"];

/// Left in `/run` by podman and buildah, which bootc forgives too (containers/buildah#6233).
const FORGIVEN: &str = "run/systemd/resolve/stub-resolv.conf";

pub(super) fn check(image: &Image<'_>, findings: &mut Findings) {
    check_duplicates(image, findings);
    check_api_folders(image, findings);
    check_sysroot(image, findings);
    check_composefs(image, findings);
    check_injected(image, findings);
    check_boot(image, findings);
    for folder in ["run", "tmp"] {
        check_runtime_folder(image, folder, findings);
    }
}

fn check_duplicates(image: &Image<'_>, findings: &mut Findings) {
    if !matches!(image.kind("var/run"), None | Some(Kind::Symlink(_))) {
        findings.path(Code::VarRunFolder, "var/run", "is not a link to `/run`");
    }
    if image.kind("etc").is_some() && image.kind("usr/etc").is_some() {
        findings.path(Code::UsrEtc, "usr/etc", "is there besides `/etc`");
    }
}

fn check_api_folders(image: &Image<'_>, findings: &mut Findings) {
    for folder in API_FOLDERS {
        match image.kind(folder) {
            Some(Kind::Directory(_)) => {}
            Some(_) => findings.path(Code::ApiFolderMissing, folder, "is not a folder"),
            None => findings.path(Code::ApiFolderMissing, folder, "is not there"),
        }
    }
}

fn check_sysroot(image: &Image<'_>, findings: &mut Findings) {
    match image.kind("sysroot") {
        Some(Kind::Directory(_)) => {}
        Some(_) => findings.path(Code::SysrootMissing, "sysroot", "is not a folder"),
        None => findings.path(Code::SysrootMissing, "sysroot", "is not there"),
    }
    match image.kind("ostree") {
        Some(Kind::Symlink(target)) if &**target == b"sysroot/ostree" => {}
        Some(_) => findings.path(Code::SysrootMissing, "ostree", "is not a link to `sysroot/ostree`"),
        None => findings.path(Code::SysrootMissing, "ostree", "is not there"),
    }
}

fn check_composefs(image: &Image<'_>, findings: &mut Findings) {
    if !image.has_file("usr/lib/composefs/setup-root-conf.toml") && !ostree_enables_composefs(image) {
        findings.path(Code::ComposefsOff, "usr/lib/ostree/prepare-root.conf", "does not enable composefs");
    }
}

/// Whether ostree-prepare-root.conf(5) enables composefs; the file in `/etc` wins.
pub(super) fn ostree_enables_composefs(image: &Image<'_>) -> bool {
    let paths = ["etc/ostree/prepare-root.conf", "usr/lib/ostree/prepare-root.conf"];
    let text = paths.iter().find_map(|path| image.read(path)).unwrap_or_default();
    enables_composefs(&String::from_utf8_lossy(text))
}

fn enables_composefs(text: &str) -> bool {
    const ENABLED: [&str; 6] = ["yes", "true", "1", "maybe", "signed", "verity"];
    let mut group = "";
    let mut enabled = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            group = name;
        } else if let Some((key, value)) = line.split_once('=')
            && (group, key.trim()) == ("composefs", "enabled")
        {
            enabled = ENABLED.contains(&value.trim());
        }
    }
    enabled
}

fn check_injected(image: &Image<'_>, findings: &mut Findings) {
    for path in INJECTED {
        if matches!(image.kind(path), Some(Kind::File(Content::Empty))) {
            findings.path(Code::RuntimeFileLeft, path, "is empty, as container tools leave it");
        }
    }
}

fn check_boot(image: &Image<'_>, findings: &mut Findings) {
    let Some(boot) = image.tree.lookup("boot").filter(|id| image.tree.node(*id).children().is_some()) else {
        return findings.path(Code::BootNotEmpty, "boot", "is not a folder");
    };
    for child in image.tree.children(boot).filter(|child| child.name != b"EFI") {
        let path = [b"boot/", child.name].concat();
        findings.path(Code::BootNotEmpty, path, "is hidden by the boot partition");
    }
}

/// Each entry of the folder with the number of files below it.
fn check_runtime_folder(image: &Image<'_>, folder: &str, findings: &mut Findings) {
    let Some(id) = image.tree.lookup(folder) else { return };
    for child in image.tree.children(id) {
        let path = [folder.as_bytes(), b"/", child.name].concat();
        let below = image.tree.walk_from(&path).skip(1).filter(|entry| !is_forgiven(&entry.path)).count();
        if below == 0 && is_forgiven(&path) {
            continue;
        }
        let message = match below {
            0 => "is hidden at run time".to_owned(),
            _ => format!("is hidden at run time, with {below} more below it"),
        };
        findings.path(Code::RuntimeFolderNotEmpty, path, message);
    }
}

/// The forgiven file and the folders that lead to it, as far as nothing else is in them.
fn is_forgiven(path: &[u8]) -> bool {
    FORGIVEN.as_bytes().strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::enables_composefs;

    #[test]
    fn composefs_is_enabled_by_its_own_group() {
        for (text, enabled) in [
            ("[composefs]\nenabled = true\n", true),
            ("[composefs]\nenabled=verity\n[root]\ntransient=no", true),
            ("[composefs]\nenabled = no\n", false),
            ("[root]\nenabled = true\n", false),
            ("[composefs]\n# enabled = true\n", false),
            ("enabled = true", false),
            ("", false),
        ] {
            assert_eq!(enables_composefs(text), enabled, "{text:?}");
        }
    }
}
