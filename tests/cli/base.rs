//! A tiny distribution: enough of a bootc image for hosts to stand on, made without any container tool.

use std::path::Path;

use cap_std::fs_utf8::Dir;
use imgbuild::model::SourceDateEpoch;
use imgbuild::oci::layer::{Compression, EntryKind, LayerEntry, LayerWriter, Metadata, Mtime, WrittenLayer};
use imgbuild::oci::{Image, ImageBuilder, Layout};

use super::project::Project;

/// The kernel in it.
pub(crate) const KVER: &str = "6.12.9-tiny";

/// The name of the image in its layout.
pub(crate) const NAME: &str = "tiny";

/// One thing in a layer.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Dir,
    File(Vec<u8>),
    Link(&'static str),
}

/// A layer's content by path.
pub(crate) type Tree = Vec<(String, Item)>;

/// The two layers of the distribution: root file system, then kernel.
pub(crate) fn layers() -> Vec<Tree> {
    let passwd = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n";
    let unit = "[Unit]\nDescription=demo\n[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
    let root = [
        ("bin", Item::Link("usr/bin")),
        ("boot", Item::Dir),
        ("etc", Item::Dir),
        ("etc/group", file("root:x:0:\ndaemon:x:1:\nadm:x:4:\n")),
        ("etc/passwd", file(passwd)),
        ("etc/systemd", Item::Dir),
        ("etc/systemd/system", Item::Dir),
        ("home", Item::Link("var/home")),
        ("ostree", Item::Link("sysroot/ostree")),
        ("sysroot", Item::Dir),
        ("usr", Item::Dir),
        ("usr/bin", Item::Dir),
        ("usr/bin/bash", file("#!/nothing\n")),
        ("usr/lib", Item::Dir),
        ("usr/lib/os-release", file("ID=tiny\nVERSION_ID=1\n")),
        ("usr/lib/systemd", Item::Dir),
        ("usr/lib/systemd/system", Item::Dir),
        ("usr/lib/systemd/system/demo.service", file(unit)),
        ("usr/lib/systemd/system/systemd-networkd.service", file(unit)),
        ("var", Item::Dir),
    ];
    let root = root.map(|(path, item)| (path.to_owned(), item));
    vec![root.to_vec(), kernel(KVER)]
}

/// A layer with a kernel and its initramfs.
pub(crate) fn kernel(release: &str) -> Tree {
    let folder = format!("usr/lib/modules/{release}");
    vec![
        ("usr/lib/modules".to_owned(), Item::Dir),
        (folder.clone(), Item::Dir),
        (format!("{folder}/vmlinuz"), file("MZ kernel")),
        (format!("{folder}/initramfs.img"), file("initramfs")),
    ]
}

pub(crate) fn file(text: &str) -> Item {
    Item::File(text.as_bytes().to_vec())
}

/// Opens or makes a layout in a folder.
pub(crate) fn layout(folder: &Path) -> Layout {
    std::fs::create_dir_all(folder).unwrap();
    let dir = Dir::open_ambient_dir(folder.to_str().unwrap(), cap_std::ambient_authority()).unwrap();
    Layout::create_or_open(dir).unwrap()
}

fn write_layer(layout: &Layout, tree: &Tree) -> WrittenLayer {
    let blob = layout.create_blob().unwrap();
    let mut writer = LayerWriter::new(blob, Compression::Gzip(1), SourceDateEpoch::from_secs(1_700_000_000)).unwrap();
    for (path, item) in tree {
        let (kind, bytes, mode) = match item {
            Item::Dir => (EntryKind::Directory, &[][..], 0o755),
            Item::File(bytes) => (EntryKind::File { size: bytes.len() as u64 }, bytes.as_slice(), 0o644),
            Item::Link(target) => (EntryKind::Symlink { target: (*target).into() }, &[][..], 0o777),
        };
        let metadata = Metadata { mtime: Mtime::from_seconds(1_700_000_000), ..Metadata::with_mode(mode) };
        let entry = LayerEntry { path: path.as_str().into(), kind, metadata, offset: 0, dropped: Vec::new() };
        writer.append(&entry, &mut &bytes[..]).unwrap();
    }
    let (layer, blob) = writer.finish().unwrap();
    blob.complete_verified_as(&layer.descriptor).unwrap();
    layer
}

/// Writes an image of these layers into the layout in `folder` and names it [`NAME`].
pub(crate) fn write(folder: &Path, layers: &[Tree]) -> Image {
    let layout = layout(folder);
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let platform = serde_json::from_value(serde_json::json!({"os": "linux", "architecture": architecture})).unwrap();
    let mut builder = ImageBuilder::scratch(platform, SourceDateEpoch::from_secs(1_700_000_000));
    for tree in layers {
        builder = builder.layer(&write_layer(&layout, tree), "made for a test");
    }
    let descriptor = builder.label("containers.bootc", "1").write(&layout).unwrap();
    layout.tag(NAME, descriptor.clone()).unwrap();
    Image::load(&layout, &descriptor, None).unwrap()
}

/// A project whose only tier is the tiny distribution, beside its layout `upstream/`.
pub(crate) fn project(layers: &[Tree]) -> (Project, Image) {
    let project = Project::new(&[
        ("imgbuild.toml", "version = 1\nname = \"tiny\"\nbase = \"base\"\n"),
        (
            "tiers/base/tier.toml",
            "version = 1\ntier = 1\n[mirror]\nimage = \"oci:../upstream:tiny\"\nfamily = \"apt\"\n",
        ),
    ]);
    let image = write(&project.place("upstream"), layers);
    (project, image)
}
