//! Disks of one image for several hosts: the image is the same on all of them, and what differs is in `/etc` and `/var`.

use super::image::{Place, files, good_and};
use super::{inspected, partition};

const SECRET: &[u8] = b"correct horse battery staple";

fn place() -> Place {
    let place = Place::new(&good_and(files(&[
        ("etc/motd", b"of the image\n"),
        ("etc/passwd", b"root:x:0:0::/root:/bin/sh\n"),
        ("etc/group", b"root:x:0:\n"),
    ])));
    place.write("imgbuild.toml", b"version = 1\nname = \"fleet\"\nbase = \"base\"\n");
    let tier = b"version = 1\ntier = 1\n[mirror]\nimage = \"oci:layout:image\"\nfamily = \"apt\"\n";
    place.write("tiers/base/tier.toml", tier);
    place.write(
        "hosts/web.toml",
        br#"version = 1
hostname = "web.example.org"
kargs = ["web=1"]
[users.ada]
uid = 1000
[[file]]
path = "/etc/motd"
content = "of the host\n"
mode = "0640"
[[file]]
path = "/var/lib/web/state"
content = "begun\n"
[[link]]
path = "/etc/web"
target = "../var/lib/web"
"#,
    );
    place.write("hosts/db.toml", b"version = 1\n");
    place.write("hosts/bad.toml", b"version = 1\n[[file]]\npath = \"/usr/bin/tool\"\ncontent = \"x\"\n");
    place.write("secret", SECRET);
    place
}

#[test]
fn the_image_is_the_same_and_the_state_is_the_hosts() {
    let place = place();
    let args = ["--host", "web", "--credential", "web.key=secret", "--json", "--progress", "none"];
    let made = place.run(&[&["disk", "IMAGE", "-o", "web.raw"][..], &args].concat()).says(0, &[]);
    place.run(&["disk", "IMAGE", "-o", "db.raw", "--host", "db"]).says(0, &[]);
    let said = String::from_utf8_lossy(SECRET).into_owned();
    assert!(!made.stdout.contains(&said) && !made.stderr.contains(&said));
    let (web, db) = (inspected(&place, "web.raw"), inspected(&place, "db.raw"));
    assert_eq!(web["boots"][0]["composefs"], db["boots"][0]["composefs"]);
    assert_ne!(web["table"]["guid"], db["table"]["guid"]);

    let root = ext4_view::Ext4::load_from_path(partition(&place, "web.raw", 2)).unwrap();
    let deployment = format!("/state/deploy/{}", web["boots"][0]["composefs"].as_str().unwrap());
    let read = |path: &str| root.read(&*format!("{deployment}{path}")).unwrap();
    let mode = |path: &str| root.symlink_metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(read("/etc/motd"), b"of the host\n");
    assert_eq!(mode(&format!("{deployment}/etc/motd")), 0o640);
    assert_eq!(read("/etc/hostname"), b"web.example.org\n");
    assert_eq!(read("/etc/credstore/web.key"), SECRET);
    assert_eq!(mode(&format!("{deployment}/etc/credstore")), 0o700);
    assert_eq!(mode(&format!("{deployment}/etc/credstore/web.key")), 0o600);
    assert_eq!(root.read("/state/os/default/var/lib/web/state").unwrap(), b"begun\n");
    assert!(String::from_utf8_lossy(&read("/etc/sysusers.d/60-imgbuild-host.conf")).contains("u ada 1000"));
    let link = root.read_link(&*format!("{deployment}/etc/web")).unwrap();
    assert_eq!(link.to_str().unwrap(), "../var/lib/web");

    let entry = web["esp"]["entries"][0]["entry"].to_string();
    assert!(entry.contains(" web=1 "), "{entry}");
    let report = place.run(&["disk", "verify", "web.raw", "--against", "IMAGE", "--json"]).says(0, &[]);
    let report: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
    let changed = report["changed"].as_array().unwrap();
    assert!(changed.iter().any(|path| path.as_str().unwrap().ends_with("/etc/motd")), "{changed:?}");
    place.run(&["disk", "verify", "web.raw", "--fresh"]).says(15, &[]);
}

#[test]
fn what_cannot_be_state_is_refused() {
    let place = place();
    for (code, args, said) in [
        (3, &["--host", "bad"][..], "`/usr/bin/tool` can only be in an image of the host's own"),
        (1, &["--host", "none"], "there is no host `none`"),
        (1, &["--credential", "x=missing"], "missing"),
        (1, &["--credential", "x=secret", "--credential", "x=secret"], "is given twice"),
    ] {
        let finished = place.run(&[&["disk", "IMAGE", "-o", "disk.raw"][..], args].concat()).says(code, &[]);
        assert!(finished.stderr.contains(said), "{said}: {}", finished.stderr);
        assert!(!place.path("disk.raw").exists());
    }
    place.run(&["disk", "IMAGE", "-o", "disk.raw", "--credential", "a/b=secret"]).says(2, &[]);
}
