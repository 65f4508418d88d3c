//! Finding what matters for booting in an image's tree.

use super::efi_suffix;
use crate::model::Machine;
use crate::oci::ImageTree;

pub(super) const MODULES: &str = "usr/lib/modules";
pub(super) const UKI_FOLDER: &str = "boot/EFI/Linux";
const KARGS_FOLDER: &str = "usr/lib/bootc/kargs.d";
pub(super) const SYSTEMD_BOOT_FOLDER: &str = "usr/lib/systemd/boot/efi";
pub(super) const SECURE_BOOT_FOLDER: &str = "usr/lib/bootc/install/secureboot-keys";
/// The first that exists counts, as for everything that reads it.
const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];
pub(super) const BOOTUPD: &str = "usr/lib/bootupd/updates";
pub(super) const GRUB_STATIC: &str = "usr/lib/bootupd/grub2-static";
/// Since bootupd 0.2.28 packages put their programs here, in folders of their name and version.
pub(super) const EFI_PACKAGES: &str = "usr/lib/efi";

/// A kernel's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KernelFolder {
    /// The folder's name: the kernel's release.
    pub(super) release: Vec<u8>,
    pub(super) vmlinuz: Vec<u8>,
    pub(super) initramfs: Option<Vec<u8>>,
}

/// What an image has that matters for booting, as paths without leading slash.
#[derive(Debug, Clone)]
pub struct Survey {
    pub(super) machine: Machine,
    pub(super) kernels: Vec<KernelFolder>,
    pub(super) ukis: Vec<Vec<u8>>,
    pub(super) os_release: Option<Vec<u8>>,
    pub(super) kargs: Vec<Vec<u8>>,
    /// The signed one where there is one.
    pub(super) systemd_boot: Option<Vec<u8>>,
    /// systemd's stub, of which unified kernels are made.
    pub(super) stub: Option<Vec<u8>>,
    /// The boot loader as it was built, where both are there.
    pub(super) unsigned_systemd_boot: Option<Vec<u8>>,
    /// Number of systemd's release, where it can be told.
    pub(super) systemd: Option<u32>,
    /// Whether bootupd is there, which then owns the boot loader.
    pub(super) bootupd: bool,
    /// Files that belong below `EFI` on the ESP: source, and path below `EFI`.
    pub(super) efi_files: Vec<(Vec<u8>, Vec<u8>)>,
    /// bootupd's parts of grub's configuration.
    pub(super) grub_parts: Vec<Vec<u8>>,
    /// Files to enrol keys with: source, and path below `loader/keys`.
    pub(super) secure_boot: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Survey {
    /// Looks through the tree; nothing is read.
    pub fn of(tree: &ImageTree, machine: Machine) -> Self {
        Self {
            machine,
            kernels: kernels(tree),
            ukis: files_in(tree, UKI_FOLDER, b".efi"),
            os_release: OS_RELEASE
                .iter()
                .find(|path| is_file(tree, path.as_bytes()))
                .map(|path| path.as_bytes().to_vec()),
            kargs: files_in(tree, KARGS_FOLDER, b".toml"),
            systemd_boot: systemd_boot(tree, machine),
            stub: systemd_file(tree, machine, |suffix| format!("linux{suffix}.efi.stub")),
            unsigned_systemd_boot: systemd_file(tree, machine, |suffix| format!("systemd-boot{suffix}.efi")),
            systemd: systemd_release(tree),
            bootupd: tree.resolve(BOOTUPD).is_some(),
            efi_files: efi_files(tree),
            grub_parts: grub_parts(tree),
            secure_boot: below(tree, SECURE_BOOT_FOLDER, b".auth"),
        }
    }

    /// With what is below the `/boot` of `tree`, for where a tree is mounted without it.
    #[must_use]
    pub fn with_boot(self, tree: &ImageTree) -> Self {
        Self { ukis: files_in(tree, UKI_FOLDER, b".efi"), ..self }
    }

    /// The texts that [`super::Bootable::new`] needs, all of them small.
    pub fn texts(&self) -> Vec<&[u8]> {
        let lists = self.kargs.iter().chain(&self.grub_parts).chain(&self.os_release);
        lists.map(Vec::as_slice).collect()
    }

    /// The initramfs that decides whether composefs works, when there is exactly one kernel.
    pub fn initramfs(&self) -> Option<&[u8]> {
        match self.kernels.as_slice() {
            [only] => only.initramfs.as_deref(),
            _ => None,
        }
    }

    /// The unified kernel, when that is what boots.
    pub fn uki(&self) -> Option<&[u8]> {
        match (self.kernels.as_slice(), self.ukis.as_slice()) {
            ([], [only]) => Some(only),
            _ => None,
        }
    }
}

fn is_file(tree: &ImageTree, path: &[u8]) -> bool {
    tree.resolve(path).is_some_and(|id| tree.node(id).content().is_some())
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    [folder, name].join(&b'/')
}

/// Regular files of a folder that end in `suffix`, in byte order.
fn files_in(tree: &ImageTree, folder: &str, suffix: &[u8]) -> Vec<Vec<u8>> {
    let Some(id) = tree.resolve(folder) else { return Vec::new() };
    let names = tree.children(id).filter(|child| child.name.ends_with(suffix));
    names.map(|child| join(folder.as_bytes(), child.name)).filter(|path| is_file(tree, path)).collect()
}

/// Regular files anywhere below a folder that end in `suffix`, with their paths below it.
fn below(tree: &ImageTree, folder: &str, suffix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let files = tree.walk_from(folder).filter(|entry| entry.node.content().is_some() && entry.path.ends_with(suffix));
    files.map(|entry| (entry.path.clone(), entry.path[folder.len() + 1..].to_vec())).collect()
}

/// Folders with a kernel in them; links are left out, as bootc does.
fn kernels(tree: &ImageTree) -> Vec<KernelFolder> {
    let Some(id) = tree.resolve(MODULES) else { return Vec::new() };
    let folders = tree.children(id).filter(|child| child.node.children().is_some());
    let kernel = |release: &[u8]| {
        let folder = join(MODULES.as_bytes(), release);
        let file = |name: &[u8]| Some(join(&folder, name)).filter(|path| is_file(tree, path));
        Some(KernelFolder { release: release.to_vec(), vmlinuz: file(b"vmlinuz")?, initramfs: file(b"initramfs.img") })
    };
    folders.filter_map(|child| kernel(child.name)).collect()
}

fn systemd_boot(tree: &ImageTree, machine: Machine) -> Option<Vec<u8>> {
    let program = format!("{SYSTEMD_BOOT_FOLDER}/systemd-boot{}.efi", efi_suffix(machine)?);
    [format!("{program}.signed"), program].into_iter().map(String::into_bytes).find(|path| is_file(tree, path))
}

/// A file beside systemd-boot.
fn systemd_file(tree: &ImageTree, machine: Machine, name: impl Fn(&str) -> String) -> Option<Vec<u8>> {
    let path = format!("{SYSTEMD_BOOT_FOLDER}/{}", name(efi_suffix(machine)?)).into_bytes();
    is_file(tree, &path).then_some(path)
}

/// Where [`systemd_boot`] looks, for messages.
pub(super) fn systemd_boot_places(machine: Machine) -> Vec<String> {
    let suffix = efi_suffix(machine).unwrap_or_default();
    vec![
        format!("/{SYSTEMD_BOOT_FOLDER}/systemd-boot{suffix}.efi"),
        format!("/{EFI_PACKAGES}"),
        format!("/{BOOTUPD}/EFI"),
    ]
}

/// systemd's own library carries the release in its name.
fn systemd_release(tree: &ImageTree) -> Option<u32> {
    const LIBRARY: &[u8] = b"libsystemd-shared-";
    let folders = ["usr/lib/systemd", "usr/lib64/systemd"].map(str::to_owned).into_iter();
    // Debian's are in a folder per architecture, such as `x86_64-linux-gnu`.
    let own = tree.resolve("usr/lib").into_iter().flat_map(|lib| tree.children(lib));
    let own = own.filter_map(|child| Some(format!("usr/lib/{}/systemd", std::str::from_utf8(child.name).ok()?)));
    folders.chain(own).find_map(|folder| {
        let id = tree.resolve(&folder)?;
        let digits = tree.children(id).find_map(|child| child.name.strip_prefix(LIBRARY))?;
        let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
        std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
    })
}

/// From bootupd's folder, else from the packages' own.
fn efi_files(tree: &ImageTree) -> Vec<(Vec<u8>, Vec<u8>)> {
    let old = below(tree, &format!("{BOOTUPD}/EFI"), b"");
    if !old.is_empty() {
        return old;
    }
    let inside = |(source, path): (Vec<u8>, Vec<u8>)| {
        // NAME/VERSION/EFI/…
        let mut parts = path.splitn(4, |byte| *byte == b'/').skip(2);
        (parts.next() == Some(b"EFI")).then_some(())?;
        Some((source, parts.next()?.to_vec()))
    };
    below(tree, EFI_PACKAGES, b"").into_iter().filter_map(inside).collect()
}

fn grub_parts(tree: &ImageTree) -> Vec<Vec<u8>> {
    let fixed = ["grub-static-pre.cfg", "grub-static-efi.cfg"];
    let fixed = fixed.map(|name| format!("{GRUB_STATIC}/{name}").into_bytes()).into_iter();
    let mut parts: Vec<_> = fixed.filter(|path| is_file(tree, path)).collect();
    parts.extend(files_in(tree, &format!("{GRUB_STATIC}/configs.d"), b".cfg"));
    parts
}
