//! Traces of one machine, and permissions.

use crate::model::Page;
use crate::model::Severity::{Failure, Note, Warning};

pub(super) const PAGES: &[Page] = &[
    Page {
        code: "BOOT031",
        severity: Warning,
        title: "/etc/fstab names a device",
        paragraph: "The line is true for the machine it was written on. On others systemd waits for the device and ends \
                    in emergency mode. The root itself comes from the kernel command line.",
        fix: "leave fstab empty; mount by label, or by a unit of the host that has the disk",
    },
    Page {
        code: "BOOT032",
        severity: Failure,
        title: "the image has a machine id",
        paragraph: "All hosts of this image would have the same identity: in the journal, for DHCP and for everything \
                    that derives keys from it. The file may be empty, or hold the word `uninitialized`, which also \
                    makes the first boot apply presets.",
        fix: "write `uninitialized` to `/etc/machine-id` in the last step",
    },
    Page {
        code: "BOOT033",
        severity: Failure,
        title: "the image has SSH host keys",
        paragraph: "Whoever can pull the image can pose as every host made from it. Packages make the keys when they \
                    are installed.",
        fix: "treat the keys as published; remove `/etc/ssh/ssh_host_*` and let a unit make them at first boot",
    },
    Page {
        code: "BOOT034",
        severity: Failure,
        title: "the image has a secret that each machine makes for itself",
        paragraph: "A seed of random numbers, or the key that systemd encrypts credentials with. Shared by all hosts \
                    and everybody who can pull the image, it protects nothing.",
        fix: "remove it in the last step: it is made at first boot",
    },
    Page {
        code: "BOOT035",
        severity: Warning,
        title: "a link leads to a folder of the builder",
        paragraph: "The target is an absolute path that exists only where the image was built: a temporary folder, a \
                    home, a build folder. On a host it leads nowhere, or to a place that anybody may write to.",
        fix: "make the link relative, or install the file it means",
    },
    Page {
        code: "BOOT036",
        severity: Failure,
        title: "everybody may write to a file or folder",
        paragraph: "Any process of a host could change it where it is writable, such as in `/etc`. Folders for everybody \
                    have the sticky bit set, like `/tmp`.",
        fix: "`chmod o-w`, or mode 1777 for a folder that is meant to be shared",
    },
    Page {
        code: "BOOT037",
        severity: Failure,
        title: "a folder of the system is closed to its services",
        paragraph: "Services that do not run as root must pass through `/`, `/usr` and `/etc`. Bootstrap tools and \
                    archives of temporary folders make a root of mode 0700.",
        fix: "`chmod 0755` on the folder",
    },
    Page {
        code: "BOOT038",
        severity: Failure,
        title: "everybody can read the passwords",
        paragraph: "`/etc/shadow` and `/etc/gshadow` hold hashes of passwords, which can be tried out by whoever reads \
                    them.",
        fix: "mode 0640 with group `shadow` on Debian, 0000 on Fedora and its kin",
    },
    Page {
        code: "BOOT039",
        severity: Failure,
        title: "sudo's rules are not protected",
        paragraph: "sudo refuses files that somebody but root may write to, and then nobody can become root by it. Where \
                    a file is writable and accepted, the writer is root.",
        fix: "owner root, mode 0440",
    },
    Page {
        code: "BOOT040",
        severity: Warning,
        title: "a script is set-user-ID",
        paragraph: "Linux ignores the bit on scripts, so the file does not do what its mode says. Interpreters that \
                    honour it hand out root.",
        fix: "remove the bit; let a unit, or sudo with one rule, run it",
    },
    Page {
        code: "BOOT041",
        severity: Warning,
        title: "the image adds a privileged program",
        paragraph: "The base does not give this program set-user-ID, set-group-ID or file capabilities. Each such file \
                    is a way to become somebody else, and was decided by whoever packaged it.",
        fix: "remove the bit or the package if no user of the host needs it",
    },
    Page {
        code: "BOOT042",
        severity: Note,
        title: "the image has a privileged program",
        paragraph: "Set-user-ID, set-group-ID or file capabilities. There is no base to compare with, so all of them \
                    are listed.",
        fix: "nothing to do; check against a base to see only what was added",
    },
    Page {
        code: "BOOT043",
        severity: Note,
        title: "a setting of the container has no effect on a host",
        paragraph: "Entry point, user and environment of the image's configuration are for containers. A host starts \
                    `/sbin/init`, and services have the environment their units give them.",
        fix: "set it in a unit, in `/etc/environment` or in `/usr/lib/environment.d`",
    },
    Page {
        code: "BOOT044",
        severity: Warning,
        title: "a file belongs to somebody the image does not know",
        paragraph: "No user or group of the image has the number. Mostly it is that of the person or job that built the \
                    files, carried along by an archive; on a host it will be whoever gets the number next, and that \
                    account can then change the files.",
        fix: "copy as root (`tar --owner=0 --group=0`, `COPY --chown=0:0`), or declare the account in sysusers.d",
    },
];
