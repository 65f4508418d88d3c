//! The kernel: that there is one, for the right machine, and its initramfs.

use super::code::Code;
use super::contents::{files_in, kernel_folders};
use super::findings::{Findings, absolute};
use super::pe::{Pe, machine_of};
use super::{Image, ramdisk};
use crate::oci::ImageTree;
use crate::oci::layer::Lossy;

/// Where unified kernel images are.
const UKI_FOLDER: &str = "boot/EFI/Linux";

/// Where a kernel that the image could boot is; paths without leading slash.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) program: Vec<u8>,
    /// For a unified kernel image the image itself.
    pub(super) initramfs: Vec<u8>,
    /// Name of its folder, or of the unified image.
    name: Vec<u8>,
}

impl Candidate {
    fn is_unified(&self) -> bool {
        self.program == self.initramfs
    }
}

/// The one kernel of the image.
#[derive(Debug)]
pub(super) struct Kernel<'a> {
    /// As `uname -r` prints it.
    pub(super) release: &'a [u8],
    /// Absolute path of its initramfs.
    pub(super) initramfs_path: String,
}

pub(super) fn check(image: &Image<'_>, findings: &mut Findings) {
    match candidates(image.tree).as_slice() {
        [] => findings.path(Code::KernelMissing, "usr/lib/modules", "has no folder with a `vmlinuz` in it"),
        [only] => {
            check_program(image, only, findings);
            check_initramfs(image, only, findings);
        }
        several => {
            let list: Vec<_> = several.iter().map(|kernel| Lossy::from(&*kernel.name).to_string()).collect();
            findings.path(Code::SeveralKernels, "usr/lib/modules", format!("has {}", list.join(" and ")));
        }
    }
}

/// Kernels below `/usr/lib/modules`; where there are none, unified images.
pub(super) fn candidates(tree: &ImageTree) -> Vec<Candidate> {
    let is_file = |path: &[u8]| tree.resolve(path).is_some_and(|id| tree.node(id).content().is_some());
    let plain = kernel_folders(tree).into_iter().map(|folder| Candidate {
        program: [&folder, b"vmlinuz".as_slice()].join(&b'/'),
        initramfs: [&folder, b"initramfs.img".as_slice()].join(&b'/'),
        name: file_name(&folder).to_vec(),
    });
    let plain: Vec<_> = plain.filter(|kernel| is_file(&kernel.program)).collect();
    if !plain.is_empty() {
        return plain;
    }
    let unified = files_in(tree, UKI_FOLDER, ".efi").into_iter().filter(|path| is_file(path));
    let kernel = |path: Vec<u8>| Candidate { initramfs: path.clone(), name: file_name(&path).to_vec(), program: path };
    unified.map(kernel).collect()
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

fn check_program(image: &Image<'_>, kernel: &Candidate, findings: &mut Findings) {
    let architecture = &image.facts.architecture;
    // UEFI knows no other machines; their kernels are not EFI programs.
    let Some(expected) = machine_of(architecture) else { return };
    let Some(program) = image.read(&kernel.program).and_then(Pe::parse) else {
        return findings.path(Code::KernelWithoutEfiStub, &kernel.program, "has no EFI header");
    };
    let found = program.machine();
    if found != expected {
        let message = format!(
            "is for EFI machine type {found:#06x}; the image says it is for {architecture}, which is {expected:#06x}"
        );
        findings.path(Code::KernelForAnotherMachine, &kernel.program, message);
    }
}

fn check_initramfs(image: &Image<'_>, kernel: &Candidate, findings: &mut Findings) {
    let section = |name| image.read(&kernel.program).and_then(Pe::parse).and_then(|program| program.section(name));
    let (release, content) = if kernel.is_unified() {
        (section(".uname").map(<[u8]>::trim_ascii), section(".initrd"))
    } else {
        (None, image.read(&kernel.initramfs))
    };
    let missing = match content {
        Some([]) => "is empty",
        Some(content) => {
            let release = release.unwrap_or_else(|| kernel.name.strip_suffix(b".efi").unwrap_or(&kernel.name));
            let kernel = Kernel { release, initramfs_path: absolute(&kernel.initramfs) };
            return ramdisk::check(image, &kernel, content, findings);
        }
        None if kernel.is_unified() => "has no section `.initrd`",
        None => "is not there",
    };
    findings.path(Code::InitramfsMissing, &kernel.initramfs, missing);
}
