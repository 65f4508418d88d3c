//! Small images that pass every lint.

use std::collections::BTreeMap;

use oci_spec::image::Arch;

use super::super::LintFacts;
use super::super::pe::fake::pe;
use super::fake::{Cpio, gzip};
use crate::oci::ImageTree;
use crate::oci::layer::Metadata;

pub(super) const KVER: &str = "6.12.1";
const CONFIG: &[u8] = b"[etc]\nmount = \"bind\"\n";
const OSTREE_CONFIG: &[u8] = b"[composefs]\nenabled = yes\n";
const AMD64: u16 = 0x8664;

pub(super) fn metadata(mode: u16) -> Metadata {
    Metadata::with_mode(mode)
}

/// An image, and what it was built on.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) tree: ImageTree,
    pub(super) facts: LintFacts,
    pub(super) base: Option<ImageTree>,
}

impl Sample {
    /// One with composefs storage, systemd-boot and an initramfs of dracut.
    pub(super) fn clean() -> Self {
        let facts = LintFacts {
            architecture: Arch::Amd64,
            labels: BTreeMap::from([("containers.bootc".to_owned(), "1".to_owned())]),
            entrypoint: Vec::new(),
            user: None,
            environment: vec!["PATH=/usr/bin".to_owned(), "container=oci".to_owned()],
        };
        let mut sample = Self { tree: ImageTree::new(), facts, base: None };
        sample.folders();
        sample.system();
        sample.boot();
        sample.base = Some(sample.tree.clone());
        sample
    }

    fn folders(&mut self) {
        for folder in ["boot/EFI/Linux", "dev", "etc/ssh", "proc", "run", "sys", "sysroot", "var/lib", "var/log"] {
            self.tree.insert_dir(folder, metadata(0o755)).unwrap();
        }
        for folder in ["tmp", "var/tmp"] {
            self.tree.insert_dir(folder, metadata(0o1777)).unwrap();
        }
        self.link("ostree", "sysroot/ostree");
        self.link("var/run", "../run");
        // What container tools leave and bootc forgives.
        self.tree.insert_dir("run/systemd/resolve", metadata(0o755)).unwrap();
    }

    fn system(&mut self) {
        self.program("usr/lib/systemd/systemd", 0o755, b"\x7fELF");
        self.link("sbin", "usr/sbin");
        self.link("usr/sbin/init", "../lib/systemd/systemd");
        self.file("usr/lib/systemd/system/multi-user.target", "[Unit]\n");
        self.link("usr/lib/systemd/system/default.target", "multi-user.target");
        self.file("usr/lib/os-release", "NAME=\"Test OS\"\nID=test\n");
        self.link("etc/os-release", "../usr/lib/os-release");
        self.file(
            "usr/lib/tmpfiles.d/var.conf",
            "q /var/tmp 1777\nd /var/lib\nd /var/log\nL /var/run - - - - ../run\n",
        );
        self.file("usr/lib/sysusers.d/basic.conf", "u root 0 \"Super User\" /root\ng adm 4\n");
        self.file("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n");
        self.file("etc/group", "root:x:0:\nadm:x:4:\n");
        self.program("etc/shadow", 0o640, b"root:*:19000:0:99999:7:::\n");
        self.program("etc/sudoers", 0o440, b"root ALL=(ALL) ALL\n");
        self.file("etc/machine-id", "uninitialized\n");
        self.file("etc/fstab", "");
        self.file("etc/ssh/ssh_host_rsa_key", "");
        self.link("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
        self.program("usr/bin/su", 0o4755, b"\x7fELF");
    }

    fn boot(&mut self) {
        self.set("usr/lib/modules/6.12.1/vmlinuz", &pe(AMD64, &[]));
        self.set("usr/lib/modules/6.12.1/modules.builtin", b"kernel/fs/ext4/ext4.ko\n");
        self.set("usr/lib/composefs/setup-root-conf.toml", CONFIG);
        self.file("usr/lib/bootc/kargs.d/10.toml", "kargs = [\"quiet\"]\nmatch-architectures = [\"x86_64\"]\n");
        self.file("usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed", "MZ");
        self.initramfs(&composefs_initramfs());
    }

    /// One as Fedora builds them: ostree storage, bootupd, no composefs configuration of its own.
    pub(super) fn ostree() -> Self {
        let mut sample = Self::clean();
        sample.tree.remove("usr/lib/composefs").unwrap();
        sample.tree.remove("usr/lib/systemd/boot").unwrap();
        sample.set("usr/lib/ostree/prepare-root.conf", OSTREE_CONFIG);
        sample.file("usr/lib/bootupd/updates/EFI.json", "{}");
        sample.initramfs(
            &systemd()
                .file("usr/lib/ostree/ostree-prepare-root", b"\x7fELF")
                .file("usr/lib/ostree/prepare-root.conf", OSTREE_CONFIG)
                .link("etc/systemd/system/initrd-root-fs.target.wants/ostree-prepare-root.service", "/usr/lib/…")
                .end(),
        );
        sample
    }

    /// One with kernel and initramfs in one EFI program.
    pub(super) fn unified() -> Self {
        let mut sample = Self::clean();
        sample.tree.remove("usr/lib/modules/6.12.1/vmlinuz").unwrap();
        sample.tree.remove("usr/lib/modules/6.12.1/initramfs.img").unwrap();
        let initramfs = gzip(&composefs_initramfs());
        let sections = [(".uname", KVER.as_bytes()), (".initrd", &initramfs)];
        sample.set("boot/EFI/Linux/linux.efi", &pe(AMD64, &sections));
        sample
    }

    pub(super) fn file(&mut self, path: &str, content: &str) {
        self.set(path, content.as_bytes());
    }

    pub(super) fn set(&mut self, path: impl AsRef<[u8]>, content: &[u8]) {
        self.tree.insert_file(path, content, metadata(0o644)).unwrap();
    }

    pub(super) fn program(&mut self, path: &str, mode: u16, content: &[u8]) {
        self.tree.insert_file(path, content, metadata(mode)).unwrap();
    }

    pub(super) fn link(&mut self, path: &str, target: &str) {
        self.tree.insert_symlink(path, target, metadata(0o777)).unwrap();
    }

    pub(super) fn remove(&mut self, path: &str) {
        assert!(self.tree.lookup(path).is_some(), "{path}");
        self.tree.remove(path).unwrap();
    }

    /// Gives the kernel another initramfs, compressed.
    pub(super) fn initramfs(&mut self, archive: &[u8]) {
        self.set("usr/lib/modules/6.12.1/initramfs.img", &gzip(archive));
    }
}

/// The beginning of an initramfs of dracut, with drivers.
pub(super) fn systemd() -> Cpio {
    drivers(KVER, &["fs/overlayfs/overlay.ko.xz", "fs/erofs/erofs.ko.xz"]).file("usr/lib/systemd/systemd", b"\x7fELF")
}

/// An archive with these modules of a kernel.
pub(super) fn drivers(release: &str, modules: &[&str]) -> Cpio {
    let folder = format!("usr/lib/modules/{release}");
    modules.iter().fold(Cpio::new().dir("usr").dir(&folder), |archive, module| {
        archive.file(&format!("{folder}/kernel/{module}"), b"")
    })
}

/// The program of composefs-rs with its settings, started by a unit or not.
pub(super) fn composefs(archive: Cpio, started: bool) -> Cpio {
    let archive = archive
        .file("usr/lib/composefs/composefs-setup-root", b"\x7fELF")
        .file("usr/lib/composefs/setup-root-conf.toml", CONFIG);
    let link = "usr/lib/systemd/system/initrd-root-fs.target.requires/composefs-setup-root.service";
    if started { archive.link(link, "../composefs-setup-root.service") } else { archive }
}

fn composefs_initramfs() -> Vec<u8> {
    composefs(systemd(), true).end()
}
