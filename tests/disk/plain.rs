//! `--layout plain`: the image's own tree as root file system, only when asked for.

use std::process::Command;

use super::image::{ELF, Item, Place, cpio, files, good_and, kernel_path};
use super::{inspected, names, partition};

/// An image whose initramfs knows nothing of composefs.
fn place() -> Place {
    let initramfs = cpio(&[("usr/bin/sh", ELF)]);
    let mut layer = files(&[
        (&kernel_path("initramfs.img"), &initramfs),
        ("etc/hosts", &[b'h'; 5000]),
        ("usr/share/a", &[b'x'; 100]),
    ]);
    layer.insert("usr/share/b".to_owned(), Item::HardLink("usr/share/a".to_owned()));
    Place::new(&good_and(layer))
}

#[test]
fn auto_refuses_and_names_it() {
    let place = place();
    for args in [&[][..], &["--layout", "composefs"]] {
        let finished = place.run(&[&["disk", "IMAGE", "-o", "disk.raw"][..], args].concat()).says(13, &[]);
        assert!(finished.stderr.contains("cannot mount the image"), "{}", finished.stderr);
        assert!(finished.stderr.contains("--layout plain"), "{}", finished.stderr);
    }
    assert_eq!(names(&place.path("")), ["layout"]);
}

#[test]
fn the_tree_itself_is_the_root() {
    let place = place();
    let make = |disk: &str| {
        let said =
            place.run(&["disk", "IMAGE", "-o", disk, "--layout", "plain", "--karg", "quiet"]).says(0, &[]).stdout;
        assert!(said.contains("composefs     no: ") && said.contains("grows         no: "), "{said}");
    };
    make("disk.raw");
    make("again.raw");
    assert!(std::fs::read(place.path("disk.raw")).unwrap() == std::fs::read(place.path("again.raw")).unwrap());
    let image = partition(&place, "disk.raw", 2);
    let checked = Command::new("e2fsck").args(["-f", "-n"]).arg(&image).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let root = ext4_view::Ext4::load_from_path(image).unwrap();
    assert_eq!(root.read("/etc/hosts").unwrap(), [b'h'; 5000]);
    assert_eq!(root.read("/usr/share/b").unwrap(), [b'x'; 100]);
    assert_eq!(root.read_link("/etc/os-release").unwrap().to_str().unwrap(), "../usr/lib/os-release");
    assert!(!root.exists("/composefs").unwrap());

    let found = inspected(&place, "disk.raw");
    let entry = found["esp"]["entries"][0]["entry"].to_string();
    let uuid = found["root"]["uuid"].as_str().unwrap();
    assert!(entry.contains(&format!("root=UUID={uuid} rw quiet")), "{entry}");
    place.run(&["disk", "verify", "disk.raw"]).says(0, &[]);
    let other = place.run(&["disk", "verify", "disk.raw", "--against", "IMAGE"]);
    assert_ne!(other.code, Some(0));
    assert!(other.stdout.contains("could be compared"), "{}", other.stdout);
}

#[test]
fn a_hosts_files_are_in_the_tree() {
    let place = place();
    place.write("secret", b"open sesame");
    place.run(&["disk", "IMAGE", "-o", "disk.raw", "--layout", "plain", "--credential", "a=secret"]).says(0, &[]);
    let root = ext4_view::Ext4::load_from_path(partition(&place, "disk.raw", 2)).unwrap();
    assert_eq!(root.read("/etc/credstore/a").unwrap(), b"open sesame");
    assert_eq!(root.symlink_metadata("/etc/credstore/a").unwrap().mode() & 0o7777, 0o600);
}
