use super::*;
use crate::oci::tree::TarFileLayers;

const EPOCH: SourceDateEpoch = SourceDateEpoch::from_secs(1_760_000_000);

fn add(tree: &mut ImageTree, files: &[(&str, &str)]) {
    for (path, text) in files {
        tree.insert_file(path, text.as_bytes().to_vec(), Metadata::with_mode(0o644)).unwrap();
    }
}

/// An RPM image somebody else made, with things in it that ours would not have.
fn base() -> ImageTree {
    let mut tree = ImageTree::new();
    add(
        &mut tree,
        &[
            ("etc/passwd", "root:x:0:0::/root:/bin/sh\nold:x:7:7::/:/bin/false\n"),
            ("etc/passwd-", "backup"),
            ("etc/group", "root:x:0:\nold:x:7:\n"),
            ("run/lock/x", ""),
            ("usr/lib/sysimage/rpm/rpmdb.sqlite", "base"),
            ("usr/lib/sysimage/rpm/rpmdb.sqlite-shm", "index"),
            ("var/lib/dnf/history", "base"),
            ("var/lib/pam/seen", "base"),
            ("var/log/dnf.log", ""),
        ],
    );
    tree
}

fn settled(tree: &mut ImageTree, base: &ImageTree) {
    settle(tree, &TarFileLayers(Vec::new()), Some(base), Stage::Modules, EPOCH).unwrap();
}

/// Paths that differ, and how.
fn differences(tree: &ImageTree, base: &ImageTree) -> Vec<String> {
    let none = TarFileLayers(Vec::new());
    let changes = changes(tree, &none, base, &none).unwrap();
    changes.iter().map(|(path, change)| format!("{} {change:?}", String::from_utf8_lossy(path))).collect()
}

#[test]
fn what_an_upstream_image_has_is_its_own_affair() {
    let base = base();
    let mut tree = base.clone();
    settled(&mut tree, &base);
    assert_eq!(differences(&tree, &base), Vec::<String>::new());
}

#[test]
fn what_packages_add_to_an_rpm_image_is_settled_once() {
    let base = base();
    let mut tree = base.clone();
    add(
        &mut tree,
        &[
            ("etc/passwd", "root:x:0:0::/root:/bin/sh\nold:x:7:7::/:/bin/false\nnew:x:8:8::/:/bin/false\n"),
            ("etc/group", "root:x:0:\nold:x:7:\nnew:x:8:\n"),
            ("etc/passwd-", "another backup"),
            ("etc/shadow-", "backup"),
            ("run/new", "x"),
            ("tmp/imgbuild-dnf/x", "x"),
            ("usr/bin/tool", "x"),
            ("usr/lib/sysimage/rpm/rpmdb.sqlite", "with the tool"),
            ("usr/lib/sysimage/rpm/rpmdb.sqlite-shm", "another index"),
            ("var/cache/dnf/x", "x"),
            ("var/lib/dnf/history", "changed"),
            ("var/lib/tool/state", "x"),
            ("var/log/dnf.log", "lines"),
        ],
    );
    settled(&mut tree, &base);
    assert_eq!(
        differences(&tree, &base),
        [
            "etc/group Replaced",
            "etc/passwd Replaced",
            "usr/bin Added",
            "usr/bin/tool Added",
            "usr/lib/sysimage/rpm/rpmdb.sqlite Replaced",
            "usr/lib/sysusers.d Added",
            "usr/lib/sysusers.d/imgbuild-modules.conf Added",
            "usr/lib/tmpfiles.d Added",
            "usr/lib/tmpfiles.d/imgbuild-modules.conf Added",
            "usr/share Added",
            "usr/share/factory Added",
            "usr/share/factory/var Added",
            "usr/share/factory/var/lib Added",
            "usr/share/factory/var/lib/tool Added",
            "usr/share/factory/var/lib/tool/state Added",
        ]
    );
    let none = TarFileLayers(Vec::new());
    let text = |path: &str| String::from_utf8(tree.read_file(&none, path, SMALL).unwrap()).unwrap();
    assert_eq!(text("usr/lib/sysusers.d/imgbuild-modules.conf"), "g new 8\nu new 8:8 \"\" / /bin/false\n");
    assert_eq!(
        text("usr/lib/tmpfiles.d/imgbuild-modules.conf"),
        "d /var/cache 0755 root root -\n\
         d /var/lib/tool 0755 root root -\n\
         C /var/lib/tool/state 0644 root root - /usr/share/factory/var/lib/tool/state\n"
    );
    assert_eq!(text("usr/lib/sysimage/rpm/rpmdb.sqlite-shm"), "index");

    let once = tree.clone();
    settled(&mut tree, &base);
    assert_eq!(differences(&tree, &once), Vec::<String>::new());
}
