//! What is on a disk: the layout that bootc reads.

use std::fmt::Write as _;

use super::image::{Item, Place, files, good_and};
use super::{inspected, partition};

/// Digests shortened to what they are of.
fn shortened(text: &str) -> String {
    let mut short = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_hexdigit()) {
        let end = word.len() - usize::from(word.ends_with(|c: char| !c.is_ascii_hexdigit()));
        match word[..end].len() {
            128 => short.push_str("ID"),
            126 => short.push_str("OBJECT"),
            64 => short.push_str("SHA256"),
            _ => short.push_str(&word[..end]),
        }
        short.push_str(&word[end..]);
    }
    short
}

/// Everything below a directory but objects, a line each.
fn list(root: &ext4_view::Ext4, folder: &str, text: &mut String) {
    let mut entries: Vec<_> = root.read_dir(folder).unwrap().map(|entry| entry.unwrap()).collect();
    entries.retain(|entry| ![&b"."[..], b".."].contains(&entry.file_name().as_ref()));
    entries.sort_by(|left, right| left.file_name().as_ref().cmp(right.file_name().as_ref()));
    for entry in entries {
        let path = entry.path();
        let path = path.to_str().unwrap();
        if path == "/lost+found" || path.starts_with("/composefs/objects/") {
            continue;
        }
        let metadata = root.symlink_metadata(path).unwrap();
        write!(text, "{:04o} {path}", metadata.mode() & 0o7777).unwrap();
        if metadata.is_symlink() {
            write!(text, " -> {}", root.read_link(path).unwrap().to_str().unwrap()).unwrap();
        }
        text.push('\n');
        if metadata.is_dir() {
            list(root, path, text);
        }
    }
}

fn image() -> Place {
    let mut layer = files(&[
        ("usr/lib/bootc/kargs.d/10-console.toml", b"kargs = [\"console=ttyS0\"]\n"),
        ("etc/hosts", &[b'h'; 300]),
        ("etc/.updated", &[b'u'; 300]),
        // Twice the same, and one of them has two names: three names of two files.
        ("etc/first", &[b'x'; 5000]),
        ("var/lib/same", &[b'x'; 5000]),
    ]);
    layer.insert("etc/second".to_owned(), Item::HardLink("etc/first".to_owned()));
    Place::new(&good_and(layer))
}

#[test]
fn the_root_file_system_is_what_bootc_finds_at_sysroot() {
    let place = image();
    let args = ["--update-from", "registry.example/os:1"];
    place.run(&[&["disk", "IMAGE", "-o", "disk.raw"][..], &args].concat()).says(0, &[]);
    let root = ext4_view::Ext4::load_from_path(partition(&place, "disk.raw", 2)).unwrap();
    let mut text = String::new();
    list(&root, "/", &mut text);
    let origin = text.lines().find(|line| line.ends_with(".origin")).unwrap().split_once(' ').unwrap().1;
    let origin = root.read_to_string(origin).unwrap();
    insta::with_settings!({filters => vec![(r"objects/[0-9a-f]{2}/", "objects/…/")]}, {
        insta::assert_snapshot!(shortened(&format!("{text}\n{origin}")));
    });

    let deploy = root.read_dir("/state/deploy").unwrap().map(|entry| entry.unwrap());
    let deploy = deploy.map(|entry| entry.path().to_str().unwrap().to_owned()).find(|path| path.len() > 100).unwrap();
    assert_eq!(root.read(&*format!("{deploy}/etc/hosts")).unwrap(), [b'h'; 300]);
    for path in [format!("{deploy}/etc/first"), format!("{deploy}/etc/second"), "/state/os/default/var/lib/same".into()]
    {
        assert_eq!(root.read(&*path).unwrap(), [b'x'; 5000], "{path}");
    }
}

#[test]
fn the_entry_boots_the_image_with_all_arguments() {
    let place = image();
    place.run(&["disk", "IMAGE", "-o", "disk.raw", "--karg", "quiet", "--karg", "a=b"]).says(0, &[]);
    let found = inspected(&place, "disk.raw");
    let entry = found["esp"]["entries"][0]["entry"].as_array().unwrap();
    let lines: Vec<_> =
        entry.iter().map(|line| format!("{} {}", line[0].as_str().unwrap(), line[1].as_str().unwrap())).collect();
    let paths = found["esp"]["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap());
    let paths = paths.collect::<Vec<_>>().join("\n");
    let text = shortened(&format!("{}\n\n{paths}", lines.join("\n")));
    insta::with_settings!({filters => vec![(r"root=UUID=[-0-9a-f]{36}", "root=UUID=…"), (r"(?i)BOOT(X64|AA64)", "BOOT…"), (r"boot(x64|aa64)", "boot…")]}, {
        insta::assert_snapshot!(text);
    });
    assert_eq!(found["boots"][0]["missing"], serde_json::json!([]));
    assert_eq!(found["boots"][0]["sealed"], false);
}
