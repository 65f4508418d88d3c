//! What `bootc container lint` checks too. Each paragraph ends with bootc's own name for it.

use crate::model::Page;
use crate::model::Severity::{Failure, Warning};

pub(super) const PAGES: &[Page] = &[
    Page {
        code: "BOOT001",
        severity: Failure,
        title: "there is no kernel",
        paragraph: "A bootable image has one folder below `/usr/lib/modules` with a `vmlinuz` in it, or one unified \
                    kernel image in `/boot/EFI/Linux`. Without it there is nothing to boot; bootc notices only when it \
                    installs. bootc: `kernel`.",
        fix: "install the kernel package in tier 1, and see that its image ends as `/usr/lib/modules/KVER/vmlinuz`",
    },
    Page {
        code: "BOOT002",
        severity: Failure,
        title: "there is more than one kernel",
        paragraph: "Which of several kernels would be booted is not defined, so bootc refuses such images. It comes \
                    about when an upgrade installs the next kernel beside the one of the base. bootc: `kernel`.",
        fix: "remove all kernel packages but one, or pin the kernel that modules are built for",
    },
    Page {
        code: "BOOT003",
        severity: Failure,
        title: "/var/run is a folder of its own",
        paragraph: "`/var/run` is a link to `/run`. As a folder it keeps process files and sockets over reboots, where \
                    programs that look in `/run` do not find them. bootc: `var-run`.",
        fix: "remove `/var/run`: systemd-tmpfiles makes the link",
    },
    Page {
        code: "BOOT004",
        severity: Failure,
        title: "there are both /etc and /usr/etc",
        paragraph: "bootc's ostree storage moves the image's `/etc` to `/usr/etc` itself. An image that has both leaves \
                    open which one a host gets. bootc: `etc-usretc`.",
        fix: "move what is in `/usr/etc` to `/etc`",
    },
    Page {
        code: "BOOT005",
        severity: Failure,
        title: "a file of kernel arguments cannot be read",
        paragraph: "Files in `/usr/lib/bootc/kargs.d` are TOML with `kargs`, a list of strings, and optionally \
                    `match-architectures`. bootc stops at anything else, at installation and at every update. \
                    bootc: `bootc-kargs`.",
        fix: "write `kargs = [\"name=value\"]`, one string per argument, and no other key",
    },
    Page {
        code: "BOOT006",
        severity: Failure,
        title: "a name is not UTF-8",
        paragraph: "A file's name or a link's target has bytes that are no UTF-8 text. The ostree storage of bootc \
                    cannot hold it and fails at installation. bootc: `utf8`.",
        fix: "rename the file; test data of packages is the usual source and can be removed",
    },
    Page {
        code: "BOOT007",
        severity: Failure,
        title: "a mount point of the system is missing",
        paragraph: "`/dev`, `/proc`, `/sys`, `/run`, `/tmp` and `/var` are mounted over at boot. The root is read-only, \
                    so a folder that is missing, or is a link, cannot be made then. bootc: `api-base-directories`.",
        fix: "make it a folder in the image; archives that leave out empty folders lose them",
    },
    Page {
        code: "BOOT008",
        severity: Failure,
        title: "the folders bootc keeps its storage under are missing",
        paragraph: "The physical root is mounted at `/sysroot`, and `/ostree` is a link to `sysroot/ostree`, on hosts \
                    with composefs storage as well. Neither can be made on a read-only root. bootc: `baseimage-root`.",
        fix: "`mkdir /sysroot && ln -s sysroot/ostree /ostree`",
    },
    Page {
        code: "BOOT009",
        severity: Warning,
        title: "composefs is not enabled",
        paragraph: "Without composefs the files below `/usr` are protected only by a read-only mount. It is enabled by \
                    `[composefs] enabled = true` in `/usr/lib/ostree/prepare-root.conf`, or by having \
                    `/usr/lib/composefs/setup-root-conf.toml`, which bootc does not look at. \
                    bootc: `baseimage-composefs`.",
        fix: "enable it in `/usr/lib/ostree/prepare-root.conf` and make the initramfs again",
    },
    Page {
        code: "BOOT010",
        severity: Warning,
        title: "a placeholder of the container tool is in the image",
        paragraph: "Container tools mount over `/etc/hostname` and `/etc/resolv.conf` while they build and may leave \
                    empty files there. On a host those mean: no name, no name servers. bootc: `buildah-injected`.",
        fix: "remove the file in the last step, or take the layer without it",
    },
    Page {
        code: "BOOT011",
        severity: Warning,
        title: "a log of the build is in the image",
        paragraph: "Logs belong to one machine. Those of a build make images differ from run to run, and may tell names \
                    and addresses of the place that built them. bootc: `var-log`.",
        fix: "empty `/var/log` in the last step",
    },
    Page {
        code: "BOOT012",
        severity: Warning,
        title: "something in /var is not declared",
        paragraph: "`/var` is copied to a host once, when it is installed, and never again. What an update brings there \
                    never arrives, unless a tmpfiles.d file declares it. Files with content belong below `/usr`. \
                    bootc: `var-tmpfiles`.",
        fix: "declare it in `/usr/lib/tmpfiles.d`, or remove it",
    },
    Page {
        code: "BOOT013",
        severity: Warning,
        title: "a user or group is not declared",
        paragraph: "A host keeps its own `/etc/passwd` and `/etc/group` over updates once they were changed. An account \
                    that a later image adds only there does not come to exist on it. bootc: `sysusers`.",
        fix: "declare it in `/usr/lib/sysusers.d`, with the number that its files have",
    },
    Page {
        code: "BOOT014",
        severity: Warning,
        title: "/boot is not an empty folder",
        paragraph: "Something else is mounted over `/boot`, so what the image has there is dead weight, and a kernel \
                    there is not the one that boots. Only `EFI`, with unified kernel images, may be there. \
                    bootc: `nonempty-boot`.",
        fix: "keep the kernel in `/usr/lib/modules/KVER` and empty `/boot`",
    },
    Page {
        code: "BOOT015",
        severity: Warning,
        title: "there is something in /run or /tmp",
        paragraph: "Both are file systems in memory on a host, so that nobody ever sees what the image has there. It is \
                    what a build left, and may be a secret that was mounted carelessly. bootc: `nonempty-run-tmp`.",
        fix: "remove it in the step that made it, or mount a tmpfs there while building",
    },
];
