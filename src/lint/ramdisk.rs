//! Whether the initramfs can mount the image as root.

use std::collections::BTreeSet;

use super::Image;
use super::code::Code;
use super::findings::Findings;
use super::kernel::Kernel;
use super::layout::ostree_enables_composefs;
use crate::oci::layer::Lossy;
use crate::oci::{Initramfs, InitramfsError};

/// Where dracut lists the modules it put in.
const DRACUT_MODULES: &str = "usr/lib/dracut/modules.txt";

const COMPOSEFS_CONFIG: &str = "usr/lib/composefs/setup-root-conf.toml";
const OSTREE_CONFIG: &str = "usr/lib/ostree/prepare-root.conf";

/// A program that mounts the image as root.
struct Mounter {
    /// Its file name.
    program: &'static str,
    /// The unit that starts it where the initramfs has systemd.
    unit: &'static str,
    /// What it reads in the initramfs.
    config: &'static str,
}

const MOUNTERS: [Mounter; 3] = [
    // bootc's own, for its composefs storage.
    Mounter { program: "initramfs-setup", unit: "bootc-root-setup.service", config: COMPOSEFS_CONFIG },
    // The one of composefs-rs.
    Mounter { program: "composefs-setup-root", unit: "composefs-setup-root.service", config: COMPOSEFS_CONFIG },
    Mounter { program: "ostree-prepare-root", unit: "ostree-prepare-root.service", config: OSTREE_CONFIG },
];

/// File systems of which the disk has one.
const DISK_FILE_SYSTEMS: [&str; 3] = ["ext4", "xfs", "btrfs"];

pub(super) fn check(image: &Image<'_>, kernel: &Kernel<'_>, content: &[u8], findings: &mut Findings) {
    let ramdisk = match Initramfs::read(content, &[DRACUT_MODULES, COMPOSEFS_CONFIG, OSTREE_CONFIG]) {
        Ok(ramdisk) => ramdisk,
        Err(error) => {
            let code = match error {
                InitramfsError::Compression(_) | InitramfsError::TooLarge { .. } => Code::InitramfsUnread,
                _ => Code::InitramfsDamaged,
            };
            return findings.add(code, &kernel.initramfs_path, format!("cannot be read: {error}"));
        }
    };
    check_release(kernel, &ramdisk, findings);
    let present: Vec<&Mounter> = MOUNTERS.iter().filter(|mounter| has_program(&ramdisk, mounter.program)).collect();
    // An image may have several: each acts on an argument of its own on the kernel command line.
    let started: Vec<&Mounter> = present.iter().copied().filter(|mounter| is_started(&ramdisk, mounter.unit)).collect();
    if started.is_empty() {
        return findings.add(Code::RootNotMounted, &kernel.initramfs_path, not_mounted(&ramdisk, &present));
    }
    let configs: BTreeSet<&str> = started.iter().map(|mounter| mounter.config).collect();
    let composefs = !configs.contains(OSTREE_CONFIG) || ostree_enables_composefs(image);
    check_drivers(image, kernel, &ramdisk, composefs, findings);
    for config in configs {
        check_config(image, &ramdisk, config, findings);
    }
}

fn not_mounted(ramdisk: &Initramfs, present: &[&Mounter]) -> String {
    if let Some(mounter) = present.first() {
        return format!("has `{}`, and no target wants or requires `{}`", mounter.program, mounter.unit);
    }
    let list: Vec<_> = MOUNTERS.iter().map(|mounter| format!("`{}`", mounter.program)).collect();
    let mut message = format!("has none of {}", list.join(", "));
    if let Some(modules) = ramdisk.kept.get(DRACUT_MODULES.as_bytes()) {
        let modules = String::from_utf8_lossy(modules);
        message.push_str(&format!("; dracut put in: {}", modules.split_whitespace().collect::<Vec<_>>().join(", ")));
    }
    message
}

fn has_program(ramdisk: &Initramfs, program: &str) -> bool {
    ramdisk.names.iter().any(|path| file_name(path) == program.as_bytes())
}

/// With systemd by a target that wants or requires the unit; without, a script does it, and none is read.
fn is_started(ramdisk: &Initramfs, unit: &str) -> bool {
    let has_systemd = ramdisk.names.iter().any(|path| path.ends_with(b"lib/systemd/systemd"));
    !has_systemd || ramdisk.names.iter().any(|path| pulls_in(path, unit))
}

/// Whether `path` is the link by which systemd starts the unit. Where dracut does not know systemd's folders the link
/// ends up in the root, where nobody looks.
fn pulls_in(path: &[u8], unit: &str) -> bool {
    let mut parts = path.rsplit(|byte| *byte == b'/');
    let (name, folder) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let by_target = folder.ends_with(b".target.wants") || folder.ends_with(b".target.requires");
    name == unit.as_bytes() && by_target && parts.next() == Some(b"system") && parts.next() == Some(b"systemd")
}

fn check_release(kernel: &Kernel<'_>, ramdisk: &Initramfs, findings: &mut Findings) {
    let releases: BTreeSet<&[u8]> = ramdisk.names.iter().filter_map(|path| module(path)).map(|(of, _)| of).collect();
    if releases.is_empty() || releases.contains(kernel.release) {
        return;
    }
    let list: Vec<_> = releases.into_iter().map(|release| Lossy::from(release).to_string()).collect();
    let message = format!("has modules of {} only; the kernel is {}", list.join(", "), Lossy::from(kernel.release));
    findings.add(Code::InitramfsForAnotherKernel, &kernel.initramfs_path, message);
}

/// Release and remaining path of a file below a folder of modules; `/lib` is a link or a folder.
fn module(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = path.strip_prefix(b"usr/").unwrap_or(path).strip_prefix(b"lib/modules/")?;
    let slash = rest.iter().position(|byte| *byte == b'/')?;
    Some((&rest[..slash], &rest[slash + 1..]))
}

fn check_drivers(
    image: &Image<'_>,
    kernel: &Kernel<'_>,
    ramdisk: &Initramfs,
    composefs: bool,
    findings: &mut Findings,
) {
    let list = [b"usr/lib/modules/".as_slice(), kernel.release, b"/modules.builtin"].concat();
    // Without the list of what is built in, nothing can be said to be missing.
    let Some(built_in) = image.read(list) else { return };
    let mut drivers: BTreeSet<Vec<u8>> = built_in.split(|byte| *byte == b'\n').filter_map(module_name).collect();
    drivers.extend(ramdisk.names.iter().filter_map(|path| module(path)).filter_map(|(_, file)| module_name(file)));
    let has = |name: &str| drivers.contains(name.as_bytes());
    let mut lacks = |name: &str| {
        let message = format!("has no module `{name}`, and it is not built into the kernel");
        findings.add(Code::RootDriverMissing, &kernel.initramfs_path, message);
    };
    let needed = ["overlay", "erofs"].into_iter().filter(|driver| composefs || *driver != "erofs");
    needed.filter(|driver| !has(driver)).for_each(&mut lacks);
    if !DISK_FILE_SYSTEMS.into_iter().any(has) {
        lacks(&DISK_FILE_SYSTEMS.join("`, `"));
    }
}

/// Name of the module in a file, as the kernel has it.
fn module_name(path: &[u8]) -> Option<Vec<u8>> {
    let name = file_name(path);
    let end = name.windows(3).position(|part| part == b".ko")?;
    Some(name[..end].iter().map(|byte| if *byte == b'-' { b'_' } else { *byte }).collect())
}

fn check_config(image: &Image<'_>, ramdisk: &Initramfs, config: &str, findings: &mut Findings) {
    let Some(expected) = image.read(config) else { return };
    match ramdisk.kept.get(config.as_bytes()) {
        None => findings.path(Code::RootConfigStale, config, "is not in the initramfs"),
        Some(found) if found != expected => {
            findings.path(Code::RootConfigStale, config, "is another one in the initramfs");
        }
        Some(_) => {}
    }
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}
