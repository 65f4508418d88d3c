use super::*;

const KVER: &str = "6.12.48+deb13-amd64";

fn variables() -> Variables {
    Variables {
        kver: KVER.parse().unwrap(),
        version: "2.3.9".into(),
        dkms: format!("/usr/lib/modules/{KVER}/updates/dkms"),
    }
}

fn glob(kind: Kind, from: &str, to: &str) -> Artifact {
    Artifact {
        kind,
        source: Source::Glob(from.into()),
        to: Some(to.into()),
        mode: None,
        min: None,
        max: None,
        optional: false,
    }
}

fn package(kind: Kind, name: &str) -> Artifact {
    Artifact { source: Source::Package(name.into()), to: None, ..glob(kind, "", "") }
}

fn stage(paths: &[&str]) -> Stage {
    let file = |path: &&str| StageFile { path: (*path).into(), mode: 0o600, link: None };
    Stage { files: paths.iter().map(file).collect(), owned: BTreeMap::new() }
}

fn zfs_stage() -> Stage {
    let mut stage = stage(&[
        "/usr/lib/modules/6.12.48+deb13-amd64/updates/dkms/zfs.ko.xz",
        "/usr/lib/modules/6.12.48+deb13-amd64/updates/dkms/spl.ko.xz",
        "/usr/lib/modules/6.12.48+deb13-amd64/kernel/fs/xfs/xfs.ko.xz",
        "/usr/lib/x86_64-linux-gnu/libzfs.so.6.0.0",
        "/usr/lib/udev/rules.d/60-zvol.rules",
        "/usr/sbin/zpool",
        "/usr/src/zfs-2.3.9/dkms.conf",
    ]);
    stage.files.push(StageFile {
        path: "/usr/lib/x86_64-linux-gnu/libzfs.so.6".into(),
        mode: 0o777,
        link: Some("libzfs.so.6.0.0".into()),
    });
    let owned = ["/.", "/lib/udev/rules.d", "/lib/udev/rules.d/60-zvol.rules", "/usr/sbin/zpool"];
    stage.owned.insert("zfsutils-linux".into(), owned.map(str::to_owned).to_vec());
    stage
}

fn to_text(items: &[CopyItem]) -> String {
    let line = |item: &CopyItem| {
        let link = item.link.as_ref().map(|link| format!(" (-> {link})")).unwrap_or_default();
        format!("{:04o} {} <- {}{link}\n", item.mode, item.to, item.from)
    };
    items.iter().map(line).collect()
}

#[test]
fn takes_exactly_what_the_entries_name() {
    let artifacts = [
        glob(Kind::Kmod, "${dkms}/*.ko*", "/usr/lib/modules/${kver}/extra/"),
        glob(Kind::Lib, "/usr/lib/*/libzfs.so.*", "/usr/lib/x86_64-linux-gnu/"),
        glob(Kind::Doc, "/usr/src/zfs-${version}/dkms.conf", "/usr/share/doc/zfs/dkms.conf"),
        package(Kind::Bin, "zfsutils-linux"),
    ];
    let items = select(&artifacts, &zfs_stage(), &variables()).unwrap();
    insta::assert_snapshot!(to_text(&items), @r"
    0644 /usr/lib/modules/6.12.48+deb13-amd64/extra/spl.ko.xz <- /usr/lib/modules/6.12.48+deb13-amd64/updates/dkms/spl.ko.xz
    0644 /usr/lib/modules/6.12.48+deb13-amd64/extra/zfs.ko.xz <- /usr/lib/modules/6.12.48+deb13-amd64/updates/dkms/zfs.ko.xz
    0600 /usr/lib/udev/rules.d/60-zvol.rules <- /usr/lib/udev/rules.d/60-zvol.rules
    0644 /usr/lib/x86_64-linux-gnu/libzfs.so.6 <- /usr/lib/x86_64-linux-gnu/libzfs.so.6 (-> libzfs.so.6.0.0)
    0644 /usr/lib/x86_64-linux-gnu/libzfs.so.6.0.0 <- /usr/lib/x86_64-linux-gnu/libzfs.so.6.0.0
    0600 /usr/sbin/zpool <- /usr/sbin/zpool
    0644 /usr/share/doc/zfs/dkms.conf <- /usr/src/zfs-2.3.9/dkms.conf
    ");
    let backwards: Vec<_> = artifacts.into_iter().rev().collect();
    assert_eq!(select(&backwards, &zfs_stage(), &variables()).unwrap(), items, "the order of entries is nothing");
}

#[test]
fn star_does_not_cross_folders_and_values_are_literal() {
    let stage = stage(&["/usr/a/x.ko", "/usr/a/b/x.ko", "/usr/[k]/x.ko"]);
    let count = |from: &str| {
        let variables = Variables { dkms: "/usr/[k]".into(), ..variables() };
        select(&[glob(Kind::Doc, from, "/usr/share/doc/")], &stage, &variables).map(|items| items.len())
    };
    assert_eq!(count("/usr/*/x.ko").unwrap_err().problems.len(), 1, "two files of one name cannot share a folder");
    assert_eq!(count("/usr/a/*.ko").unwrap(), 1);
    assert_eq!(count("${dkms}/x.ko").unwrap(), 1);
    assert!(count("/usr/a/**/y.ko").is_err());
}

#[test]
fn counts_are_enforced() {
    let modules = glob(Kind::Kmod, "${dkms}/*.ko.xz", "/usr/lib/modules/${kver}/extra/");
    let nothing = glob(Kind::Firmware, "/usr/lib/firmware/*", "/usr/lib/firmware/");
    for (artifact, fits) in [
        (Artifact { min: Some(2), max: Some(2), ..modules.clone() }, true),
        (Artifact { min: Some(3), ..modules.clone() }, false),
        (Artifact { max: Some(1), ..modules.clone() }, false),
        (Artifact { min: Some(3), optional: true, ..modules }, false),
        (nothing.clone(), false),
        (Artifact { min: Some(0), ..nothing.clone() }, true),
        (Artifact { min: Some(2), optional: true, ..nothing }, true),
    ] {
        assert_eq!(select(std::slice::from_ref(&artifact), &zfs_stage(), &variables()).is_ok(), fits, "{artifact:?}");
    }
}

#[test]
fn every_problem_is_reported_at_once() {
    let artifacts = [
        glob(Kind::Kmod, "/usr/lib/modules/${kver}/extra/zfs.ko*", "/usr/lib/modules/${kver}/extra/"),
        glob(Kind::Kmod, "${dkms}/zfs.ko", "/usr/lib/modules/${kver}/extra/"),
        glob(Kind::Firmware, "/usr/lib/firmware/nvidia/*", "/usr/lib/firmware/"),
        Artifact { max: Some(1), ..glob(Kind::Lib, "/usr/lib/*/libzfs.so*", "/usr/lib/") },
        glob(Kind::Lib, "/usr/lib/*/libzfs.so*", "/usr/lib/libzfs.so"),
        Artifact { to: None, ..glob(Kind::Bin, "/usr/sbin/zpool", "") },
        glob(Kind::Bin, "usr/sbin/zpool", "/usr/bin/"),
        glob(Kind::Bin, "/usr/sbin/${nope}", "/usr/bin/"),
        glob(Kind::Bin, "/usr/sbin/{zpool", "/usr/bin/"),
        package(Kind::Bin, "zfs-utils"),
    ];
    let error = select(&artifacts, &zfs_stage(), &variables()).unwrap_err();
    insta::assert_snapshot!(error, @r"
    the artifacts do not fit what was built:
      `/usr/lib/modules/${kver}/extra/zfs.ko*` matches nothing in the builder stage; near misses:
        /usr/lib/modules/6.12.48+deb13-amd64/updates/dkms/zfs.ko.xz
      `${dkms}/zfs.ko` matches nothing in the builder stage; near misses:
        /usr/lib/modules/6.12.48+deb13-amd64/updates/dkms/zfs.ko.xz
        /usr/lib/modules/6.12.48+deb13-amd64/updates/dkms/spl.ko.xz
      `/usr/lib/firmware/nvidia/*` matches nothing in the builder stage
      `/usr/lib/*/libzfs.so*` matches 2 files, at most 1 may:
        /usr/lib/x86_64-linux-gnu/libzfs.so.6.0.0
        /usr/lib/x86_64-linux-gnu/libzfs.so.6
      `/usr/lib/*/libzfs.so*` matches 2 files, but `/usr/lib/libzfs.so` is one file; end it in `/` to make it a folder:
        /usr/lib/x86_64-linux-gnu/libzfs.so.6.0.0
        /usr/lib/x86_64-linux-gnu/libzfs.so.6
      `/usr/sbin/zpool` has no destination `to`
      `usr/sbin/zpool` is not absolute
      `/usr/sbin/${nope}`: there is no variable `${nope}`, only ${kver}, ${version} and ${dkms}
      `/usr/sbin/{zpool` is not a pattern: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
      package `zfs-utils` is not installed in the builder stage
    ");
}

#[test]
fn destinations_stay_inside_the_image() {
    for (kind, to, fits) in [
        (Kind::Doc, "/usr/share/doc/x", true),
        (Kind::Doc, "/etc/x.conf", true),
        (Kind::Doc, "/etc/x.d/", true),
        (Kind::Doc, "/usr", false),
        (Kind::Doc, "/var/lib/x", false),
        (Kind::Doc, "/opt/x", false),
        (Kind::Doc, "/usr/../var/x", false),
        (Kind::Doc, "/usr//x", false),
        (Kind::Doc, "usr/share/x", false),
        (Kind::Doc, "/etc/", true),
        (Kind::Kmod, "/usr/lib/modules/${kver}/extra/x.ko", true),
        (Kind::Kmod, "/usr/lib/modules/${kver}/", true),
        (Kind::Kmod, "/usr/lib/modules/6.1.0-1-amd64/extra/x.ko", false),
        (Kind::Kmod, "/usr/lib/x.ko", false),
    ] {
        let result = select(&[glob(kind, "/usr/sbin/zpool", to)], &zfs_stage(), &variables());
        assert_eq!(result.is_ok(), fits, "{kind:?} {to}: {result:?}");
    }
}

#[test]
fn two_files_for_one_place_are_named() {
    let artifacts = [
        glob(Kind::Bin, "/usr/sbin/zpool", "/usr/bin/zpool"),
        glob(Kind::Bin, "/usr/src/*/dkms.conf", "/usr/bin/zpool"),
    ];
    let error = select(&artifacts, &zfs_stage(), &variables()).unwrap_err();
    assert_eq!(
        error.problems,
        [ManifestProblem::Twice {
            to: "/usr/bin/zpool".into(),
            first: "/usr/sbin/zpool".into(),
            second: "/usr/src/zfs-2.3.9/dkms.conf".into(),
        }]
    );
}
