//! What spoils an image, and what is found then.

use oci_spec::image::Arch;

use super::super::Code;
use super::super::pe::fake::pe;
use super::sample::{KVER, Sample, composefs, drivers, metadata, systemd};
use crate::oci::tree::NewNode;

/// The lint, the subjects it names, why, and how the clean image is spoilt.
type Case = (Code, &'static [&'static str], &'static str, fn(&mut Sample));

const INITRAMFS: &[&str] = &["/usr/lib/modules/6.12.1/initramfs.img"];
const VMLINUZ: &[&str] = &["/usr/lib/modules/6.12.1/vmlinuz"];

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    (Code::KernelMissing, &["/usr/lib/modules"], "kernel gone", |image| image.remove("usr/lib/modules/6.12.1/vmlinuz")),
    (Code::KernelMissing, &["/usr/lib/modules"], "no modules either", |image| image.remove("usr/lib/modules")),
    (Code::SeveralKernels, &["/usr/lib/modules"], "the next kernel beside", |image| image.file("usr/lib/modules/6.12.2/vmlinuz", "MZ")),
    (Code::SeveralKernels, &[], "modules without kernel", |image| image.file("usr/lib/modules/6.12.2/extra/zfs.ko", "")),
    (Code::SeveralKernels, &[], "a link to the folder", |image| image.link("usr/lib/modules/current", "6.12.1")),
    (Code::SeveralKernels, &["/usr/lib/modules"], "two unified images", |image| {
        image.remove("usr/lib/modules/6.12.1/vmlinuz");
        image.file("boot/EFI/Linux/6.12.1.efi", "MZ");
        image.file("boot/EFI/Linux/6.12.2.efi", "MZ");
    }),
    (Code::VarRunFolder, &["/var/run"], "a folder", |image| {
        image.remove("var/run");
        image.file("var/run/sshd.pid", "1\n");
    }),
    (Code::UsrEtc, &["/usr/etc"], "both", |image| image.file("usr/etc/motd", "")),
    (Code::KargsInvalid, &["/usr/lib/bootc/kargs.d/20.toml"], "no list", |image| image.file("usr/lib/bootc/kargs.d/20.toml", "kargs = \"quiet\"")),
    (Code::KargsInvalid, &["/usr/lib/bootc/kargs.d/20.toml"], "a folder", |image| image.file("usr/lib/bootc/kargs.d/20.toml/x", "")),
    (Code::KargsInvalid, &[], "another ending", |image| image.file("usr/lib/bootc/kargs.d/README", "text")),
    (Code::KargsInvalid, &["/usr/lib/bootc/kargs.d"], "not a folder", |image| {
        image.remove("usr/lib/bootc/kargs.d");
        image.file("usr/lib/bootc/kargs.d", "");
    }),
    (Code::NameNotUtf8, &[r"/usr/share/caf\xe9"], "Latin-1", |image| image.set(b"usr/share/caf\xe9", b"")),
    (Code::NameNotUtf8, &["/usr/share/link"], "as target", |image| {
        image.tree.insert_symlink("usr/share/link", *b"caf\xe9", metadata(0o777)).unwrap();
    }),
    (Code::ApiFolderMissing, &["/dev", "/proc"], "lost empty folders", |image| {
        image.remove("dev");
        image.remove("proc");
    }),
    (Code::ApiFolderMissing, &["/tmp"], "a link", |image| {
        image.remove("tmp");
        image.link("tmp", "var/tmp");
    }),
    (Code::SysrootMissing, &["/ostree", "/sysroot"], "neither", |image| {
        image.remove("ostree");
        image.remove("sysroot");
    }),
    (Code::SysrootMissing, &["/ostree"], "an absolute link", |image| image.link("ostree", "/sysroot/ostree")),
    (Code::ComposefsOff, &["/usr/lib/ostree/prepare-root.conf"], "no settings", |image| image.remove("usr/lib/composefs")),
    (Code::ComposefsOff, &["/usr/lib/ostree/prepare-root.conf"], "switched off in /etc", |image| {
        image.remove("usr/lib/composefs");
        image.file("usr/lib/ostree/prepare-root.conf", "[composefs]\nenabled = yes\n");
        image.file("etc/ostree/prepare-root.conf", "[composefs]\nenabled = no\n");
    }),
    (Code::RuntimeFileLeft, &["/etc/hostname", "/etc/resolv.conf"], "mount points", |image| {
        image.file("etc/hostname", "");
        image.file("etc/resolv.conf", "");
    }),
    (Code::RuntimeFileLeft, &[], "a name somebody chose", |image| image.file("etc/hostname", "edge-01\n")),
    (Code::LogLeft, &["/var/log/apt/term.log"], "log of the build", |image| {
        image.file("usr/lib/tmpfiles.d/apt.conf", "d /var/log/apt\n");
        image.file("var/log/apt/term.log", "Setting up\n");
    }),
    (Code::VarUndeclared, &["/var/lib/dkms", "/var/www"], "of packages", |image| {
        image.file("var/lib/dkms/zfs/build/zfs.o", "");
        image.link("var/www", "lib/www");
    }),
    (Code::VarUndeclared, &[], "declared in /etc", |image| {
        image.file("etc/tmpfiles.d/www.conf", "d /var/www 0755\nf /var/www/index.html\n");
        image.file("var/www/index.html", "<p>");
    }),
    (Code::VarUndeclared, &["/var/lib", "/var/log", "/var/run", "/var/tmp"], "masked in /etc", |image| {
        image.file("etc/tmpfiles.d/var.conf", "");
    }),
    (Code::AccountUndeclared, &["ada", "docker"], "made by useradd", |image| {
        image.file("etc/passwd", "root:x:0:0:root:/root:/bin/bash\nada:x:1000:0::/home/ada:/bin/sh\n");
        image.file("etc/group", "root:x:0:\nadm:x:4:ada\ndocker:x:990:ada\n");
    }),
    (Code::BootNotEmpty, &["/boot/grub", "/boot/vmlinuz-6.12.1"], "of packages", |image| {
        image.file("boot/vmlinuz-6.12.1", "MZ");
        image.file("boot/grub/grub.cfg", "");
    }),
    (Code::BootNotEmpty, &["/boot"], "gone", |image| image.remove("boot")),
    (Code::RuntimeFolderNotEmpty, &["/run/lock", "/tmp/build.sh"], "of the build", |image| {
        image.file("run/lock/subsys", "");
        image.file("tmp/build.sh", "");
    }),
    (Code::RuntimeFolderNotEmpty, &["/run/systemd"], "beside what is forgiven", |image| image.file("run/systemd/container", "oci")),
    (Code::NotLabelled, &["containers.bootc"], "no label", |image| image.facts.labels.clear()),
    (Code::NotLabelled, &["containers.bootc"], "another value", |image| {
        image.facts.labels.insert("containers.bootc".to_owned(), "0".to_owned());
    }),
    (Code::InitramfsMissing, INITRAMFS, "in /boot only", |image| image.remove("usr/lib/modules/6.12.1/initramfs.img")),
    (Code::InitramfsMissing, INITRAMFS, "disk was full", |image| image.file("usr/lib/modules/6.12.1/initramfs.img", "")),
    (Code::InitramfsMissing, &["/boot/EFI/Linux/linux.efi"], "not in the unified image", |image| {
        *image = Sample::unified();
        image.set("boot/EFI/Linux/linux.efi", &pe(0x8664, &[(".linux", b"x")]));
    }),
    (Code::InitramfsDamaged, INITRAMFS, "no archive", |image| image.file("usr/lib/modules/6.12.1/initramfs.img", "initramfs")),
    (Code::InitramfsDamaged, INITRAMFS, "cut off", |image| {
        let archive = composefs(systemd(), true).end();
        image.set("usr/lib/modules/6.12.1/initramfs.img", &archive[..archive.len() - 130]);
    }),
    (Code::InitramfsUnread, INITRAMFS, "lz4", |image| image.set("usr/lib/modules/6.12.1/initramfs.img", b"\x02\x21\x4c\x18\0\0")),
    (Code::InitramfsForAnotherKernel, INITRAMFS, "the builder's", |image| {
        let archive = drivers("6.1.9", &["overlay.ko", "erofs.ko"]).file("usr/lib/systemd/systemd", b"");
        image.initramfs(&composefs(archive, true).end());
    }),
    (Code::RootNotMounted, INITRAMFS, "made for an installed host", |image| image.initramfs(&systemd().end())),
    (Code::RootNotMounted, INITRAMFS, "not started", |image| image.initramfs(&composefs(systemd(), false).end())),
    (Code::RootNotMounted, INITRAMFS, "started from a folder nobody looks in", |image| {
        let link = "initrd-root-fs.target.requires/composefs-setup-root.service";
        image.initramfs(&composefs(systemd(), false).link(link, "/usr/lib").end());
    }),
    (Code::RootNotMounted, &[], "a script starts it", |image| {
        let archive = drivers(KVER, &["fs/overlayfs/overlay.ko.xz", "fs/erofs/erofs.ko.xz"]);
        image.initramfs(&composefs(archive, false).file("scripts/init-bottom/composefs", b"").end());
    }),
    (Code::RootDriverMissing, INITRAMFS, "no EROFS", |image| {
        let archive = drivers(KVER, &["fs/overlayfs/overlay.ko"]).file("usr/lib/systemd/systemd", b"");
        image.initramfs(&composefs(archive, true).end());
    }),
    (Code::RootDriverMissing, INITRAMFS, "no file system for the disk", |image| {
        image.set("usr/lib/modules/6.12.1/modules.builtin", b"kernel/fs/ext2/ext2.ko\n");
    }),
    (Code::RootDriverMissing, &[], "ostree without composefs needs no EROFS", |image| {
        *image = Sample::ostree();
        image.file("usr/lib/composefs/setup-root-conf.toml", "");
        image.remove("usr/lib/ostree/prepare-root.conf");
        let archive = drivers(KVER, &["fs/overlayfs/overlay.ko"]).file("usr/lib/systemd/systemd", b"");
        let archive = archive.file("usr/lib/ostree/ostree-prepare-root", b"");
        image.initramfs(&archive.link("etc/systemd/system/initrd.target.wants/ostree-prepare-root.service", "..").end());
    }),
    (Code::RootDriverMissing, &[], "all built in", |image| {
        image.set("usr/lib/modules/6.12.1/modules.builtin", b"fs/xfs/xfs.ko\nfs/overlay.ko\nfs/erofs.ko\n");
        image.initramfs(&composefs(drivers(KVER, &[]).file("usr/lib/systemd/systemd", b""), true).end());
    }),
    (Code::RootConfigStale, &["/usr/lib/composefs/setup-root-conf.toml"], "changed later", |image| {
        image.file("usr/lib/composefs/setup-root-conf.toml", "[etc]\nmount = \"overlay\"\n");
    }),
    (Code::RootConfigStale, &["/usr/lib/ostree/prepare-root.conf"], "added later", |image| {
        *image = Sample::ostree();
        let archive = systemd().file("usr/lib/ostree/ostree-prepare-root", b"");
        image.initramfs(&archive.link("etc/systemd/system/initrd.target.wants/ostree-prepare-root.service", "..").end());
    }),
    (Code::BootLoaderMissing, &["/usr/lib/systemd/boot/efi"], "none", |image| image.remove("usr/lib/systemd/boot")),
    (Code::BootLoaderMissing, &["/usr/lib/systemd/boot/efi"], "for another machine", |image| {
        image.remove("usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed");
        image.file("usr/lib/systemd/boot/efi/systemd-bootaa64.efi", "MZ");
    }),
    (Code::BootLoaderMissing, &[], "shim and GRUB", |image| {
        image.remove("usr/lib/systemd/boot");
        image.file("usr/lib/efi/shim/15.8-1/EFI/BOOT/BOOTX64.EFI", "MZ");
    }),
    (Code::KernelForAnotherMachine, VMLINUZ, "built by emulation", |image| {
        image.set("usr/lib/modules/6.12.1/vmlinuz", &pe(0xaa64, &[]));
    }),
    (Code::KernelForAnotherMachine, &[], "UEFI has no such machine", |image| image.facts.architecture = Arch::s390x),
    (Code::KernelWithoutEfiStub, VMLINUZ, "compressed as a whole", |image| image.set("usr/lib/modules/6.12.1/vmlinuz", b"\x1f\x8b")),
    (Code::InitMissing, &["/sbin/init"], "a container's image", |image| image.remove("usr/lib/systemd/systemd")),
    (Code::DefaultTarget, &["/etc/systemd/system/default.target"], "no such unit", |image| {
        image.link("etc/systemd/system/default.target", "/usr/lib/systemd/system/graphical.target");
    }),
    (Code::DefaultTarget, &["/usr/lib/systemd/system/default.target"], "none", |image| image.remove("usr/lib/systemd/system/default.target")),
    (Code::DefaultTarget, &[], "by name only", |image| image.link("etc/systemd/system/default.target", "/lib/systemd/system/multi-user.target")),
    (Code::OsReleaseMissing, &["/usr/lib/os-release"], "link to nowhere", |image| image.remove("usr/lib/os-release")),
    (Code::OsReleaseMissing, &["/etc/os-release"], "without ID", |image| image.file("usr/lib/os-release", "NAME=x\nID=\"\"\n")),
    (Code::KargsNeverApply, &["/usr/lib/bootc/kargs.d/20.toml"], "a name of OCI", |image| {
        image.file("usr/lib/bootc/kargs.d/20.toml", "kargs = []\nmatch-architectures = [\"amd64\"]\n");
    }),
    (Code::FstabDevice, &["/etc/fstab", "/etc/fstab"], "of the builder", |image| {
        image.file("etc/fstab", "# fstab\nUUID=1-2 / ext4\n/dev/sda2 none swap\nLABEL=data /data xfs\n");
    }),
    (Code::MachineId, &["/etc/machine-id"], "of the builder", |image| image.file("etc/machine-id", "0123456789abcdef0123456789abcdef\n")),
    (Code::MachineId, &[], "empty", |image| image.file("etc/machine-id", "")),
    (Code::HostKey, &["/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key.pub"], "made by the package", |image| {
        image.file("etc/ssh/ssh_host_ed25519_key", "key");
        image.file("etc/ssh/ssh_host_ed25519_key.pub", "key");
    }),
    (Code::MachineSecret, &["/var/lib/systemd/credential.secret", "/var/lib/systemd/random-seed"], "of systemd", |image| {
        image.file("usr/lib/tmpfiles.d/x.conf", "d /var/lib/systemd\nf /var/lib/systemd/random-seed\nf /var/lib/systemd/credential.secret\n");
        image.file("var/lib/systemd/random-seed", "seed");
        image.file("var/lib/systemd/credential.secret", "key");
    }),
    (Code::BuilderLink, &["/usr/bin/tool"], "to a build folder", |image| image.link("usr/bin/tool", "/builds/group/project/tool")),
    (Code::BuilderLink, &[], "to /tmp itself", |image| image.link("usr/tmp", "/tmp")),
    (Code::WorldWritable, &["/etc/app.conf", "/opt/app", "/usr/lib/fifo"], "chmod -R 777", |image| {
        image.program("etc/app.conf", 0o666, b"");
        image.tree.insert_dir("opt/app", metadata(0o777)).unwrap();
        image.tree.insert("usr/lib/fifo", NewNode::Fifo, metadata(0o622)).unwrap();
    }),
    (Code::WorldWritable, &[], "devices and shared folders", |image| {
        image.tree.insert("dev/null", NewNode::CharDevice { major: 1, minor: 3 }, metadata(0o666)).unwrap();
        image.tree.insert_dir("opt/shared", metadata(0o1777)).unwrap();
    }),
    (Code::FolderClosed, &["/", "/usr"], "from a temporary folder", |image| {
        image.tree.insert_dir("", metadata(0o700)).unwrap();
        image.tree.insert_dir("usr", metadata(0o750)).unwrap();
    }),
    (Code::ShadowReadable, &["/etc/shadow", "/etc/shadow-"], "copied", |image| {
        image.program("etc/shadow", 0o644, b"");
        image.program("etc/shadow-", 0o644, b"");
    }),
    (Code::SudoersOpen, &["/etc/sudoers.d/admins", "/etc/sudoers.d/ops"], "from git", |image| {
        image.program("etc/sudoers.d/admins", 0o664, b"");
        let mut owned = metadata(0o440);
        owned.uid = 1;
        image.file("usr/lib/sysusers.d/daemon.conf", "u daemon 1\n");
        image.tree.insert_file("etc/sudoers.d/ops", *b"", owned).unwrap();
    }),
    (Code::SetuidScript, &["/usr/bin/su"], "a script in its place", |image| image.program("usr/bin/su", 0o4755, b"#!/bin/sh\n")),
    (Code::PrivilegeAdded, &["/usr/bin/mount", "/usr/bin/ping", "/usr/bin/su"], "by a package", |image| {
        image.program("usr/bin/mount", 0o2755, b"\x7fELF");
        image.program("usr/bin/su", 0o6755, b"\x7fELF");
        let mut capable = metadata(0o755);
        capable.xattrs.insert(b"security.capability", &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0]);
        image.tree.insert_file("usr/bin/ping", *b"\x7fELF", capable).unwrap();
    }),
    (Code::PrivilegeAdded, &[], "bits that give nothing", |image| {
        image.program("usr/bin/locked", 0o2644, b"");
        image.tree.insert_dir("opt/group", metadata(0o2775)).unwrap();
    }),
    (Code::PrivilegePresent, &["/usr/bin/su"], "nothing to compare with", |image| image.base = None),
    (Code::ConfigurationIgnored, &["entrypoint", "environment variable HTTP_PROXY", "user"], "of a container", |image| {
        image.facts.entrypoint = vec!["/entry.sh".to_owned()];
        image.facts.environment.push("HTTP_PROXY=proxy:3128".to_owned());
        image.facts.user = Some("app".to_owned());
    }),
    (Code::ConfigurationIgnored, &[], "init itself", |image| {
        image.facts.entrypoint = vec!["/sbin/init".to_owned()];
        image.facts.user = Some("root".to_owned());
    }),
    (Code::OwnerUnknown, &["group 1000", "user 1000"], "the builder's", |image| {
        let mut owned = metadata(0o644);
        (owned.uid, owned.gid) = (1000, 1000);
        image.tree.insert_file("usr/share/app/a", *b"", owned.clone()).unwrap();
        image.tree.insert_file("usr/share/app/b", *b"", owned).unwrap();
    }),
    (Code::OwnerUnknown, &[], "declared somewhere", |image| {
        image.file("usr/lib/group", "kvm:x:36:\n");
        image.file("usr/lib/sysusers.d/x.conf", "u tss 59:60 -\nu! dnsmasq 993\ng late 61\n");
        for (name, uid, gid) in [("a", 59, 60), ("b", 993, 993), ("c", 0, 36), ("d", 0, 61)] {
            let mut owned = metadata(0o644);
            (owned.uid, owned.gid) = (uid, gid);
            image.tree.insert_file(format!("usr/share/{name}"), *b"", owned).unwrap();
        }
    }),
];
