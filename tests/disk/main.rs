//! `imgbuild disk`: whole disks of a small image, as other programs see them, and images of which none is made.
#![expect(clippy::disallowed_methods, reason = "the tests run programs and look at their files")]

mod content;
mod host;
#[expect(dead_code, reason = "the tests of `imgbuild check` use the rest")]
#[path = "../support/small_image.rs"]
mod image;
mod plain;
mod refused;
mod verify;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{Place, finish, good};
use serde_json::Value;

/// Standard output of a program that must succeed.
fn read(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {args:?}: {}\n{said}{wrong}", output.status);
    said.into_owned()
}

fn inspected(place: &Place, disk: &str) -> Value {
    let finished = place.run(&["disk", "inspect", disk, "--json"]).says(0, &[]);
    serde_json::from_str(&finished.stdout).unwrap()
}

/// A partition of a disk as a file of its own.
fn partition(place: &Place, disk: &str, number: usize) -> PathBuf {
    let partition = &inspected(place, disk)["table"]["partitions"][number - 1];
    let (start, size) = (partition["start"].as_u64().unwrap(), partition["size"].as_u64().unwrap());
    let (from, path) = (File::open(place.path(disk)).unwrap(), place.path(&format!("{disk}.{number}")));
    let to = File::create(&path).unwrap();
    let mut buffer = vec![0; 1 << 20];
    for offset in (0..size).step_by(buffer.len()) {
        from.read_exact_at(&mut buffer, start + offset).unwrap();
        if buffer.iter().any(|byte| *byte != 0) {
            to.write_all_at(&buffer, offset).unwrap();
        }
    }
    to.set_len(size).unwrap();
    path
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn other_programs_find_nothing_to_say() {
    let place = Place::new(&good());
    for (disk, args) in
        [("auto.raw", &[][..]), ("exact.raw", &["--size", "3G"]), ("4k.raw", &["--sector-size", "4096"])]
    {
        place.run(&[&["disk", "IMAGE", "-o", disk][..], args].concat()).says(0, &["sealed        no: unlocked"]);
        let whole = place.path(disk);
        // sgdisk takes every file for a disk with sectors of 512 bytes.
        if disk != "4k.raw" {
            let said = read("sgdisk", &["-v", whole.to_str().unwrap()]);
            assert!(said.contains("No problems found"), "{said}");
        }
        let (esp, root) = (partition(&place, disk, 1), partition(&place, disk, 2));
        read("fsck.vfat", &["-n", esp.to_str().unwrap()]);
        let output = Command::new("e2fsck").args(["-f", "-n"]).arg(&root).output().unwrap();
        assert!(output.status.success(), "{disk}: {}", String::from_utf8_lossy(&output.stdout));
        for path in [&whole, &esp, &root] {
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn the_same_bytes_whoever_makes_it_where() {
    let place = Place::new(&good());
    place.run(&["disk", "IMAGE", "-o", "first.raw"]).says(0, &[]);
    let (elsewhere, temporary) = (place.path("elsewhere"), place.path("tmp"));
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::create_dir(&temporary).unwrap();
    let mut other = Command::new("sh");
    other.args(["-c", "umask 077; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_imgbuild"), "disk"]);
    other.args(["oci:../layout:image", "-o", "second.raw"]).current_dir(&elsewhere);
    other.env_clear().env("PATH", "/usr/bin:/bin").env("TMPDIR", &temporary).env("TZ", "Asia/Tokyo");
    finish(&mut other).says(0, &[]);
    read("cmp", &[place.path("first.raw").to_str().unwrap(), elsewhere.join("second.raw").to_str().unwrap()]);
    assert_eq!((names(&elsewhere), names(&temporary)), (vec!["second.raw".to_owned()], Vec::new()));
    // Another time is another disk.
    let mut later = Command::new(env!("CARGO_BIN_EXE_imgbuild"));
    later.args(["disk", "oci:../layout:image", "-o", "third.raw"]).current_dir(&elsewhere);
    finish(later.env_clear().env("TMPDIR", &temporary).env("SOURCE_DATE_EPOCH", "1700000000")).says(0, &[]);
    let same = Command::new("cmp").arg("-s").args(["second.raw", "third.raw"]).current_dir(&elsewhere).status();
    assert_eq!(same.unwrap().code(), Some(1));
}

#[test]
fn qcow2_holds_the_same_disk() {
    let place = Place::new(&good());
    place.run(&["disk", "IMAGE", "-o", "disk.raw", "--size", "1G"]).says(0, &[]);
    place.run(&["disk", "IMAGE", "-o", "disk.qcow2", "--size", "1G", "--compress"]).says(0, &[]);
    let (raw, qcow2) = (place.path("disk.raw"), place.path("disk.qcow2"));
    read("qemu-img", &["compare", raw.to_str().unwrap(), qcow2.to_str().unwrap()]);
    assert_eq!(names(&place.path("")), ["disk.qcow2", "disk.raw", "layout"]);
    let seen = |disk: &str| {
        let mut found = inspected(&place, disk);
        found["disk"].take();
        found
    };
    assert_eq!(seen("disk.qcow2"), seen("disk.raw"));
}
