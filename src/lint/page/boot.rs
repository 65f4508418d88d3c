//! The road from the firmware to the first service.

use crate::model::Page;
use crate::model::Severity::{Failure, Warning};

pub(super) const PAGES: &[Page] = &[
    Page {
        code: "BOOT016",
        severity: Failure,
        title: "the image does not say that it is bootable",
        paragraph: "Installers and disk builders take the label `containers.bootc=1` as the sign that an image is meant \
                    to boot, and refuse others.",
        fix: "`LABEL containers.bootc=1` in the image's configuration",
    },
    Page {
        code: "BOOT017",
        severity: Failure,
        title: "the kernel has no initramfs",
        paragraph: "bootc takes kernel and initramfs from one folder, as `vmlinuz` and `initramfs.img`. One in `/boot` \
                    is not found, and an empty file ends in a kernel panic.",
        fix: "`dracut --no-hostonly --kver KVER /usr/lib/modules/KVER/initramfs.img`, last of all steps",
    },
    Page {
        code: "BOOT018",
        severity: Failure,
        title: "the initramfs cannot be unpacked",
        paragraph: "It is a row of cpio archives, compressed or not. The kernel stops at the first byte that is neither \
                    archive, compressed data nor padding, and what comes after it is not there.",
        fix: "make it anew and look at the build's log: a full disk is the usual reason",
    },
    Page {
        code: "BOOT019",
        severity: Warning,
        title: "the initramfs was not looked into",
        paragraph: "It is compressed in a way that is not read here (bzip2, lzma, lzo, lz4), or unpacks to more than is \
                    read. Whether it can mount the root is not known.",
        fix: "compress it with zstd, gzip or xz, which every current kernel reads",
    },
    Page {
        code: "BOOT020",
        severity: Failure,
        title: "the initramfs was made for another kernel",
        paragraph: "It has modules below `/usr/lib/modules` of another release and none for the kernel beside it. The \
                    kernel starts, and finds neither disk nor file system.",
        fix: "make the initramfs with `--kver` naming the kernel in the image: `uname -r` is the builder's",
    },
    Page {
        code: "BOOT021",
        severity: Failure,
        title: "nothing in the initramfs mounts the image as root",
        paragraph: "The disk holds a store of images and not a root file system. One of bootc's `initramfs-setup`, \
                    `composefs-setup-root` or `ostree-prepare-root` must be in the initramfs and must be started: by a \
                    unit wanted or required by a target, or by a script where there is no systemd. Otherwise the \
                    boot ends with no init found.",
        fix: "add dracut's module `bootc`, `composefs` or `ostree` in `/usr/lib/dracut/dracut.conf.d`: they are never \
              taken by themselves",
    },
    Page {
        code: "BOOT022",
        severity: Failure,
        title: "the initramfs lacks a driver for the root",
        paragraph: "The root is mounted by overlayfs, with composefs from an EROFS image, on a disk with ext4, xfs or \
                    btrfs. Each must be built into the kernel or be a module in the initramfs. A host-only initramfs \
                    has what the building machine used.",
        fix: "set `hostonly=no` for dracut and name the missing one with `add_drivers`",
    },
    Page {
        code: "BOOT023",
        severity: Warning,
        title: "the initramfs has other settings for the root than the image",
        paragraph: "How the root is mounted is read from the copy in the initramfs, not from the file in the image. \
                    They differ, so a change to the file has no effect.",
        fix: "make the initramfs again after the last change to the file",
    },
    Page {
        code: "BOOT024",
        severity: Failure,
        title: "there is no boot loader for the machine",
        paragraph: "The installer copies the boot loader out of the image: systemd-boot from `/usr/lib/systemd/boot/efi`, \
                    or shim and GRUB from `/usr/lib/efi` or bootupd's folder `/usr/lib/bootupd/updates`.",
        fix: "install systemd-boot (Debian: `systemd-boot-efi` or its signed package), or bootupd with shim and GRUB",
    },
    Page {
        code: "BOOT025",
        severity: Failure,
        title: "the kernel is for another architecture than the image",
        paragraph: "The machine type in the kernel's EFI header is not that of the image's configuration. It comes about \
                    when an image is built by emulation and files were copied from the builder, or when the \
                    configuration was not set.",
        fix: "build with the platform stated, and take the kernel from packages of that architecture",
    },
    Page {
        code: "BOOT026",
        severity: Warning,
        title: "the kernel cannot be started by UEFI",
        paragraph: "systemd-boot and unified kernel images start the kernel as an EFI program. This file has no EFI \
                    header: it is compressed as a whole, or was built without `CONFIG_EFI_STUB`.",
        fix: "take a kernel with EFI stub; on arm64 one that is uncompressed or built with `CONFIG_EFI_ZBOOT`",
    },
    Page {
        code: "BOOT027",
        severity: Failure,
        title: "there is no init",
        paragraph: "After the initramfs the first process is `/sbin/init`, or systemd itself. Images made for containers \
                    have neither.",
        fix: "install the package that has `/sbin/init`; on Debian `systemd-sysv`",
    },
    Page {
        code: "BOOT028",
        severity: Failure,
        title: "the default target leads nowhere",
        paragraph: "systemd starts `default.target`. It is missing, or is a link to a unit that no unit folder has, and \
                    the host ends in emergency mode.",
        fix: "`systemctl set-default multi-user.target` in the image",
    },
    Page {
        code: "BOOT029",
        severity: Failure,
        title: "the operating system does not name itself",
        paragraph: "Boot entries, bootc and systemd take name and version from `/usr/lib/os-release`, by way of \
                    `/etc/os-release`. It is missing, leads nowhere, is not text, or has no `ID`.",
        fix: "keep the distribution's file; derived systems change its values and leave `ID` in place",
    },
    Page {
        code: "BOOT030",
        severity: Warning,
        title: "kernel arguments for an architecture that does not exist",
        paragraph: "`match-architectures` takes the names `x86_64`, `aarch64`, `riscv64`, `powerpc64` and `s390x`. \
                    Others, such as `amd64`, never match, and the file has no effect without anybody saying so.",
        fix: "write `x86_64` for `amd64` and `aarch64` for `arm64`",
    },
];
