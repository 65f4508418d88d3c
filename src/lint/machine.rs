//! Traces of one machine that all hosts would share.

use super::Image;
use super::code::Code;
use super::findings::Findings;
use crate::oci::tree::Content;

/// Files that hold a machine's identity.
const MACHINE_IDS: [&str; 2] = ["etc/machine-id", "var/lib/dbus/machine-id"];

/// Secrets that each machine makes for itself.
const SECRETS: [(&str, &str); 5] = [
    ("boot/efi/loader/random-seed", "is a seed of random numbers"),
    ("boot/loader/random-seed", "is a seed of random numbers"),
    ("var/lib/systemd/credential.secret", "is the key of this machine's credentials"),
    ("var/lib/systemd/random-seed", "is a seed of random numbers"),
    ("var/lib/urandom/random-seed", "is a seed of random numbers"),
];

pub(super) fn check(image: &Image<'_>, findings: &mut Findings) {
    for path in MACHINE_IDS {
        if !matches!(image.read(path).map(<[u8]>::trim_ascii), None | Some(b"" | b"uninitialized")) {
            findings.path(Code::MachineId, path, "has an id");
        }
    }
    for (path, what) in SECRETS {
        if has_content(image, path) {
            findings.path(Code::MachineSecret, path, what);
        }
    }
    check_host_keys(image, findings);
    check_fstab(image, findings);
}

fn has_content(image: &Image<'_>, path: &str) -> bool {
    let file = image.tree.resolve(path).and_then(|id| image.tree.node(id).content());
    file.is_some_and(|content| content.size() > 0)
}

fn check_host_keys(image: &Image<'_>, findings: &mut Findings) {
    let Some(folder) = image.tree.resolve("etc/ssh") else { return };
    for child in image.tree.children(folder).filter(|child| child.name.starts_with(b"ssh_host_")) {
        let filled = child.node.content().is_some_and(|content| *content != Content::Empty);
        if filled && (child.name.ends_with(b"_key") || child.name.ends_with(b"_key.pub")) {
            findings.path(Code::HostKey, [b"etc/ssh/", child.name].concat(), "is a key of one host");
        }
    }
}

fn check_fstab(image: &Image<'_>, findings: &mut Findings) {
    let text = String::from_utf8_lossy(image.read("etc/fstab").unwrap_or_default());
    for message in text.lines().filter_map(fstab_problem) {
        findings.path(Code::FstabDevice, "etc/fstab", message);
    }
}

/// What ties a line of fstab(5) to one machine. Labels and network file systems do not.
fn fstab_problem(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let (source, target) = (words.next().filter(|word| !word.starts_with('#'))?, words.next()?);
    let names_device = ["UUID=", "PARTUUID=", "ID=", "/dev/"].iter().any(|start| source.starts_with(start));
    let labelled = ["/dev/disk/by-label/", "/dev/disk/by-partlabel/"].iter().any(|start| source.starts_with(start));
    if target == "/" {
        Some(format!("mounts `{source}` as root, which the kernel command line decides"))
    } else {
        (names_device && !labelled).then(|| format!("mounts `{source}` on `{target}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::fstab_problem;

    #[test]
    fn devices_of_one_machine_are_found_in_fstab() {
        for (line, found) in [
            ("UUID=2e8c /data ext4 defaults 0 2", true),
            ("/dev/sda3 none swap sw 0 0", true),
            ("LABEL=root / ext4 rw 0 1", true),
            ("LABEL=data /data xfs nofail 0 0", false),
            ("/dev/disk/by-label/data /data xfs nofail 0 0", false),
            ("nas:/export /mnt/nas nfs _netdev 0 0", false),
            ("tmpfs /tmp tmpfs size=1g 0 0", false),
            ("# UUID=2e8c / ext4", false),
            ("", false),
        ] {
            assert_eq!(fstab_problem(line).is_some(), found, "{line}");
        }
    }
}
