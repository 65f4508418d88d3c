//! What must be there for a host to start: boot loader, init, target, name.

use super::Image;
use super::code::Code;
use super::contents::files_in;
use super::findings::Findings;
use super::pe::suffix_of;
use crate::oci::tree::Kind;

/// What marks an image as bootable.
const LABEL: &str = "containers.bootc";

/// Where systemd looks for units that an image has, first wins.
const UNIT_FOLDERS: [&str; 3] = ["etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system"];

/// Where the kernel looks for the first process, with systemd's own place first.
const INITS: [&str; 4] = ["usr/lib/systemd/systemd", "sbin/init", "etc/init", "bin/init"];

const SYSTEMD_BOOT: &str = "usr/lib/systemd/boot/efi";

/// Folders with shim, GRUB or others, at any depth; bootupd's new and old place, and what packages put on the ESP.
const LOADER_FOLDERS: [&str; 3] = ["usr/lib/efi", "usr/lib/bootupd/updates", "boot/efi"];

pub(super) fn check(image: &Image<'_>, findings: &mut Findings) {
    check_label(image, findings);
    check_boot_loader(image, findings);
    check_init(image, findings);
    check_default_target(image, findings);
    check_os_release(image, findings);
    check_configuration(image, findings);
}

fn check_label(image: &Image<'_>, findings: &mut Findings) {
    match image.facts.labels.get(LABEL).map(String::as_str) {
        Some("1") => {}
        Some(value) => findings.add(Code::NotLabelled, LABEL, format!("is the label `{value}`, not `1`")),
        None => findings.add(Code::NotLabelled, LABEL, "is no label of the image"),
    }
}

fn check_boot_loader(image: &Image<'_>, findings: &mut Findings) {
    let architecture = &image.facts.architecture;
    // Without UEFI the boot loader is written into the disk by its own program.
    let Some(suffix) = suffix_of(architecture) else { return };
    let systemd_boot = ["", ".signed"].map(|end| format!("{SYSTEMD_BOOT}/systemd-boot{suffix}.efi{end}"));
    let by_bootupd = image.has_file("usr/lib/bootupd/updates/EFI.json");
    if by_bootupd || systemd_boot.iter().any(|path| image.has_file(path)) || has_loader(image, suffix) {
        return;
    }
    let others = files_in(image.tree, SYSTEMD_BOOT, ".efi").len() + files_in(image.tree, SYSTEMD_BOOT, ".signed").len();
    let message = match others {
        0 => format!("has no boot loader, nor has any of /{}", LOADER_FOLDERS.join(", /")),
        _ => format!("has boot loaders, none for {architecture}"),
    };
    findings.path(Code::BootLoaderMissing, SYSTEMD_BOOT, message);
}

fn has_loader(image: &Image<'_>, suffix: &str) -> bool {
    let names = ["shim", "grub", "boot", "systemd-boot"].map(|name| format!("{name}{suffix}.efi"));
    let is_loader = |path: &[u8]| {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        names.iter().any(|loader| name.eq_ignore_ascii_case(loader.as_bytes()))
    };
    LOADER_FOLDERS.iter().any(|folder| {
        let mut files = image.tree.walk_from(folder).filter(|entry| entry.node.content().is_some());
        files.any(|entry| is_loader(&entry.path))
    })
}

fn check_init(image: &Image<'_>, findings: &mut Findings) {
    let runnable = |path: &str| {
        let node = image.tree.resolve(path).map(|id| image.tree.node(id));
        node.is_some_and(|node| node.content().is_some() && node.metadata().mode & 0o111 != 0)
    };
    if !INITS.iter().any(|path| runnable(path)) {
        findings.path(Code::InitMissing, "sbin/init", "does not lead to a program, and there is no systemd");
    }
}

fn check_default_target(image: &Image<'_>, findings: &mut Findings) {
    if !image.has_file("usr/lib/systemd/systemd") {
        return;
    }
    let found = UNIT_FOLDERS.iter().find_map(|folder| {
        let path = format!("{folder}/default.target");
        Some((image.tree.lookup(&path)?, path))
    });
    let Some((id, path)) = found else {
        return findings.path(Code::DefaultTarget, "usr/lib/systemd/system/default.target", "is not there");
    };
    if image.has_file(&path) {
        return;
    }
    // A link stands for the unit of its target's name, wherever that is.
    let Kind::Symlink(target) = image.tree.node(id).kind() else {
        return findings.path(Code::DefaultTarget, path, "is neither a file nor a link");
    };
    let unit = target.rsplit(|byte| *byte == b'/').next().unwrap_or(target);
    if !UNIT_FOLDERS.iter().any(|folder| image.has_file([folder.as_bytes(), unit].join(&b'/'))) {
        let message = format!("leads to `{}`, which is no unit of the image", String::from_utf8_lossy(target));
        findings.path(Code::DefaultTarget, path, message);
    }
}

fn check_os_release(image: &Image<'_>, findings: &mut Findings) {
    let found = ["etc/os-release", "usr/lib/os-release"].into_iter().find_map(|path| Some((path, image.read(path)?)));
    let problem = match found.map(|(path, bytes)| (path, std::str::from_utf8(bytes))) {
        None => ("usr/lib/os-release", "is not there, and neither is /etc/os-release"),
        Some((path, Err(_))) => (path, "is not UTF-8 text"),
        Some((path, Ok(text))) if !has_id(text) => (path, "has no `ID`"),
        Some(_) => return,
    };
    findings.path(Code::OsReleaseMissing, problem.0, problem.1);
}

fn has_id(text: &str) -> bool {
    let id = text.lines().filter_map(|line| line.strip_prefix("ID=")).next_back().unwrap_or_default();
    !id.trim().trim_matches(['"', '\'']).is_empty()
}

/// Settings that somebody may rely on, and that nothing reads on a host.
fn check_configuration(image: &Image<'_>, findings: &mut Findings) {
    let mut ignored = |subject: &str, value: &str| {
        findings.add(Code::ConfigurationIgnored, subject, format!("is `{value}` for containers only"));
    };
    let facts = image.facts;
    if let Some(program) = facts.entrypoint.first() {
        let name = program.rsplit('/').next().unwrap_or(program);
        if !matches!(name, "init" | "systemd") {
            ignored("entrypoint", &facts.entrypoint.join(" "));
        }
    }
    if let Some(user) = facts.user.as_deref().filter(|user| !matches!(*user, "" | "0" | "root" | "0:0" | "root:root")) {
        ignored("user", user);
    }
    for variable in &facts.environment {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        // Set by container tools in every image.
        if !matches!(name, "PATH" | "container") {
            ignored(&format!("environment variable {name}"), value);
        }
    }
}
