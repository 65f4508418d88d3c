//! The kernel: that there is one, for the right machine, and its initramfs.

use super::code::Code;
use super::contents::{files_in, kernel_folders};
use super::findings::{Findings, absolute};
use super::pe::{Pe, machine_of};
use super::{Image, ramdisk};
use crate::oci::layer::Lossy;

/// Where unified kernel images are.
const UKI_FOLDER: &str = "boot/EFI/Linux";

/// A kernel that the image could boot.
#[derive(Debug)]
pub(super) struct Kernel<'a> {
    /// Its file, absolute.
    pub(super) path: String,
    /// As `uname -r` prints it.
    pub(super) release: Vec<u8>,
    /// Absolute path of its initramfs; for a unified kernel image the image's own.
    pub(super) initramfs_path: String,
    /// The content of the initramfs.
    pub(super) initramfs: Option<&'a [u8]>,
    program: &'a [u8],
    unified: bool,
}

pub(super) fn check(image: &Image<'_>, findings: &mut Findings) {
    let kernels = kernels(image);
    match kernels.as_slice() {
        [] => findings.path(Code::KernelMissing, "usr/lib/modules", "has no folder with a `vmlinuz` in it"),
        [kernel] => {
            check_program(image, kernel, findings);
            check_initramfs(image, kernel, findings);
        }
        several => {
            let list: Vec<_> = several.iter().map(|kernel| Lossy::from(&*kernel.release).to_string()).collect();
            findings.path(Code::SeveralKernels, "usr/lib/modules", format!("has {}", list.join(" and ")));
        }
    }
}

/// Kernels below `/usr/lib/modules`; where there are none, unified images.
fn kernels<'a>(image: &'a Image<'_>) -> Vec<Kernel<'a>> {
    let plain: Vec<_> = kernel_folders(image.tree).into_iter().filter_map(|folder| plain(image, &folder)).collect();
    if plain.is_empty() {
        return files_in(image.tree, UKI_FOLDER, ".efi").into_iter().filter_map(|path| unified(image, &path)).collect();
    }
    plain
}

fn plain<'a>(image: &'a Image<'_>, folder: &[u8]) -> Option<Kernel<'a>> {
    let path = [folder, b"vmlinuz"].join(&b'/');
    let initramfs = [folder, b"initramfs.img"].join(&b'/');
    Some(Kernel {
        program: image.read(&path)?,
        path: absolute(path),
        release: folder.rsplit(|byte| *byte == b'/').next()?.to_vec(),
        initramfs: image.read(&initramfs),
        initramfs_path: absolute(initramfs),
        unified: false,
    })
}

fn unified<'a>(image: &'a Image<'_>, path: &[u8]) -> Option<Kernel<'a>> {
    let program = image.read(path)?;
    let section = |name| Pe::parse(program).and_then(|program| program.section(name));
    let name = path.rsplit(|byte| *byte == b'/').next()?;
    let release = section(".uname").or(name.strip_suffix(b".efi"))?;
    Some(Kernel {
        path: absolute(path),
        release: release.trim_ascii().to_vec(),
        initramfs_path: absolute(path),
        initramfs: section(".initrd"),
        program,
        unified: true,
    })
}

fn check_program(image: &Image<'_>, kernel: &Kernel<'_>, findings: &mut Findings) {
    let architecture = &image.facts.architecture;
    // UEFI knows no other machines; their kernels are not EFI programs.
    let Some(expected) = machine_of(architecture) else { return };
    let Some(program) = Pe::parse(kernel.program) else {
        return findings.add(Code::KernelWithoutEfiStub, &kernel.path, "has no EFI header");
    };
    let found = program.machine();
    if found != expected {
        let message = format!(
            "is for EFI machine type {found:#06x}; the image says it is for {architecture}, which is {expected:#06x}"
        );
        findings.add(Code::KernelForAnotherMachine, &kernel.path, message);
    }
}

fn check_initramfs(image: &Image<'_>, kernel: &Kernel<'_>, findings: &mut Findings) {
    let missing = match kernel.initramfs {
        Some([]) => "is empty",
        Some(content) => return ramdisk::check(image, kernel, content, findings),
        None if kernel.unified => "has no section `.initrd`",
        None => "is not there",
    };
    findings.add(Code::InitramfsMissing, &kernel.initramfs_path, missing);
}
