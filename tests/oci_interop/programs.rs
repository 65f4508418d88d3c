//! Other programs read what we write, and agree with us on how layers merge.
//!
//! Ignored by default because they need umoci, skopeo and root (umoci changes owners): `cargo test -- --ignored`.
#![expect(clippy::disallowed_methods, reason = "runs the other programs directly")]

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use imgbuild::model::SourceDateEpoch;
use imgbuild::oci::layer::{
    Compression, EntryKind, LayerEntry, LayerWriter, Metadata, Mtime, UnpackLimits, WrittenLayer,
};
use imgbuild::oci::tree::{Kind, MergePolicy};
use imgbuild::oci::{Image, ImageBuilder, ImageTree, Layout};

type Entry = (&'static str, EntryKind, &'static str);

struct Store {
    folder: tempfile::TempDir,
    layout: Layout,
}

fn store() -> Store {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let dir = cap_std::fs_utf8::Dir::open_ambient_dir(path, cap_std::ambient_authority()).unwrap();
    Store { layout: Layout::create_or_open(dir).unwrap(), folder }
}

impl Store {
    fn layer(&self, entries: &[Entry], compression: Compression) -> WrittenLayer {
        let blob = self.layout.create_blob().unwrap();
        let mut writer = LayerWriter::new(blob, compression, SourceDateEpoch::from_secs(1 << 40)).unwrap();
        for (path, kind, content) in entries {
            let mode = if matches!(kind, EntryKind::Directory) { 0o755 } else { 0o4755 };
            let metadata =
                Metadata { mode, uid: 12, gid: 3_000_000, mtime: Mtime::from_seconds(77), ..Metadata::default() };
            let entry =
                LayerEntry { path: (*path).into(), kind: kind.clone(), metadata, offset: 0, dropped: Vec::new() };
            writer.append(&entry, &mut content.as_bytes()).unwrap();
        }
        let (layer, blob) = writer.finish().unwrap();
        blob.complete_verified_as(&layer.descriptor).unwrap();
        layer
    }

    fn image(&self, name: &str, layers: &[&[Entry]], compression: Compression) -> Image {
        let platform = serde_json::from_str(r#"{"os": "linux", "architecture": "amd64"}"#).unwrap();
        let mut builder = ImageBuilder::scratch(platform, SourceDateEpoch::from_secs(100));
        for entries in layers {
            builder = builder.layer(&self.layer(entries, compression), "test");
        }
        let descriptor = builder.label("containers.bootc", "1").write(&self.layout).unwrap();
        self.layout.tag(name, descriptor.clone()).unwrap();
        Image::load(&self.layout, &descriptor, None).unwrap()
    }

    fn locator(&self, name: &str) -> String {
        format!("{}:{name}", self.folder.path().display())
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn file(path: &'static str, content: &'static str) -> Entry {
    (path, EntryKind::File { size: content.len() as u64 }, content)
}

fn dir(path: &'static str) -> Entry {
    (path, EntryKind::Directory, "")
}

fn symlink(path: &'static str, target: &str) -> Entry {
    (path, EntryKind::Symlink { target: target.into() }, "")
}

fn hardlink(path: &'static str, target: &str) -> Entry {
    (path, EntryKind::Hardlink { target: target.into() }, "")
}

fn whiteout(path: &'static str) -> Entry {
    (path, EntryKind::Whiteout, "")
}

fn opaque(path: &'static str) -> Entry {
    (path, EntryKind::Opaque, "")
}

/// Every path with kind, mode, owner, time and content; hard links by a number shared between their paths.
type Listing = BTreeMap<Vec<u8>, String>;

fn list_tree(image: &Image, layout: &Layout) -> Listing {
    let source = image.layer_source(layout, UnpackLimits::default());
    let tree = ImageTree::from_layers(&source, &MergePolicy::default()).unwrap();
    let mut contents = BTreeMap::new();
    tree.visit_contents(
        &source,
        |_, _| true,
        |visit| {
            let mut text = String::new();
            visit.content.read_to_string(&mut text)?;
            contents.insert(visit.id, text);
            Ok(())
        },
    )
    .unwrap();
    let mut first = BTreeMap::new();
    let mut listing = Listing::new();
    for entry in tree.walk().skip(1) {
        let metadata = entry.node.metadata();
        let what = match entry.node.kind() {
            Kind::Directory(_) => "dir".to_owned(),
            Kind::File(_) => format!("file {}", contents[&entry.id]),
            Kind::Symlink(target) => format!("link {}", String::from_utf8_lossy(target)),
            Kind::CharDevice { major, minor } => format!("char {major}:{minor}"),
            Kind::BlockDevice { major, minor } => format!("block {major}:{minor}"),
            Kind::Fifo => "fifo".to_owned(),
        };
        let shared = first.entry(entry.id).or_insert_with(|| entry.path.clone()).clone();
        let line =
            format!("{what} {} same as {:?}", owner(metadata.mode.into(), metadata.uid, metadata.gid, &what), shared);
        listing.insert(entry.path, line);
    }
    listing
}

/// Links have no mode of their own on Linux.
fn owner(mode: u32, uid: u32, gid: u32, what: &str) -> String {
    let mode = if what.starts_with("link") { 0 } else { mode };
    format!("{mode:o} {uid}:{gid}")
}

fn list_folder(root: &Path) -> Listing {
    let mut listing = Listing::new();
    let mut first = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    let mut paths = Vec::new();
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.symlink_metadata().unwrap().is_dir() {
                pending.push(path.clone());
            }
            paths.push(path);
        }
    }
    // As the tree walks: by components.
    paths.sort();
    for path in paths {
        let metadata = path.symlink_metadata().unwrap();
        let kind = metadata.file_type();
        let device = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
        let what = if kind.is_dir() {
            "dir".to_owned()
        } else if kind.is_file() {
            format!("file {}", std::fs::read_to_string(&path).unwrap())
        } else if kind.is_symlink() {
            format!("link {}", std::fs::read_link(&path).unwrap().display())
        } else if kind.is_char_device() {
            format!("char {}:{}", device.0, device.1)
        } else if kind.is_block_device() {
            format!("block {}:{}", device.0, device.1)
        } else {
            "fifo".to_owned()
        };
        let mode = metadata.permissions().mode() & 0o7777;
        let relative = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        let shared = first.entry(metadata.ino()).or_insert_with(|| relative.clone()).clone();
        let line = format!("{what} {} same as {:?}", owner(mode, metadata.uid(), metadata.gid(), &what), shared);
        listing.insert(relative, line);
    }
    listing
}

#[test]
#[ignore = "needs umoci and root"]
fn umoci_unpacks_the_same_tree() {
    let lower = || {
        vec![
            dir("etc"),
            file("etc/f", "1"),
            dir("d"),
            file("d/old", "x"),
            dir("d/s"),
            file("d/s/old", "y"),
            dir("run"),
            dir("var"),
            symlink("var/run", "/run"),
            symlink("var/back", "../run"),
            symlink("l", "d"),
            file("a", "h"),
            hardlink("b", "a"),
            ("p", EntryKind::Fifo, ""),
            ("dev", EntryKind::CharDevice { major: 1, minor: 3 }, ""),
        ]
    };
    let cases: Vec<(&str, Vec<Vec<Entry>>)> = vec![
        ("base", vec![lower()]),
        ("write through absolute link", vec![lower(), vec![file("var/run/f", "z")]]),
        ("write through relative link", vec![lower(), vec![file("var/back/f", "z")]]),
        ("directory over link", vec![lower(), vec![dir("l"), file("l/n", "z")]]),
        ("link over directory", vec![lower(), vec![symlink("d", "etc")]]),
        ("file over directory", vec![lower(), vec![file("d", "z")]]),
        ("directory over file", vec![lower(), vec![dir("a"), file("a/n", "z")]]),
        ("whiteout", vec![lower(), vec![whiteout("etc/f"), whiteout("d/s")]]),
        ("whiteout through link", vec![lower(), vec![whiteout("l/old")]]),
        ("opaque first", vec![lower(), vec![dir("d"), opaque("d"), file("d/n", "z")]]),
        ("opaque last", vec![lower(), vec![dir("d"), file("d/n", "z"), opaque("d")]]),
        ("file then its whiteout", vec![lower(), vec![file("etc/f", "2"), whiteout("etc/f")]]),
        ("rewrite one of two names", vec![lower(), vec![file("b", "z")]]),
        ("link to lower layer", vec![lower(), vec![hardlink("c", "a")]]),
        ("link to a link", vec![lower(), vec![hardlink("c", "l")]]),
        ("device replaced", vec![lower(), vec![file("dev", "z")]]),
    ];
    // gzip: the umoci of Debian 12 knows no zstd.
    let store = store();
    for (number, (what, layers)) in cases.iter().enumerate() {
        let name = format!("case{number}");
        let layers: Vec<&[Entry]> = layers.iter().map(Vec::as_slice).collect();
        let image = store.image(&name, &layers, Compression::Gzip(6));
        let out = tempfile::tempdir().unwrap();
        let root = out.path().join("rootfs");
        run("umoci", &["raw", "unpack", "--image", &store.locator(&name), root.to_str().unwrap()]).expect(what);
        assert_eq!(list_tree(&image, &store.layout), list_folder(&root), "{what}");
    }
}

#[test]
#[ignore = "needs skopeo and umoci"]
fn skopeo_and_umoci_read_the_layout_as_it_stands() {
    let store = store();
    let image = store.image("tier1/debian", &[&[file("f", "x")]], Compression::default());
    let locator = format!("oci:{}", store.locator("tier1/debian"));
    let inspected: serde_json::Value = serde_json::from_str(&run("skopeo", &["inspect", &locator]).unwrap()).unwrap();
    assert_eq!(inspected["Digest"], image.digest().to_string());
    assert_eq!(inspected["Labels"]["containers.bootc"], "1");
    let layers = inspected["Layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1);
    let copies = tempfile::tempdir().unwrap();
    let copy = |name: &str| format!("{name}:{}", copies.path().join(name).display());
    run("skopeo", &["copy", &locator, &copy("oci")]).unwrap();
    run("skopeo", &["copy", &locator, &copy("oci-archive")]).unwrap();
    let listed = run("umoci", &["list", "--layout", store.folder.path().to_str().unwrap()]).unwrap();
    assert_eq!(listed.trim(), "tier1/debian");

    let archive = std::fs::File::open(copies.path().join("oci-archive")).unwrap();
    let source = imgbuild::oci::ArchiveSource::open(archive, None).unwrap();
    let manifest = imgbuild::oci::ImageSource::manifest(&source, None).unwrap();
    assert_eq!(manifest.digest, *image.digest(), "skopeo copies our manifest unchanged");
}
