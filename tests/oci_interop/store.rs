//! Layouts with small images, made by the library.

use std::path::{Path, PathBuf};

use imgbuild::model::SourceDateEpoch;
use imgbuild::oci::layer::{Compression, EntryKind, LayerEntry, LayerWriter, Metadata, Mtime, WrittenLayer};
use imgbuild::oci::{Image, ImageBuilder, Layout};

pub(crate) type Entry = (&'static str, EntryKind, &'static str);

/// A layout and the folder it is in, which is called `oci` in an empty folder.
pub(crate) struct Store {
    parent: tempfile::TempDir,
    pub(crate) layout: Layout,
}

pub(crate) fn store() -> Store {
    let parent = tempfile::tempdir().unwrap();
    std::fs::create_dir(parent.path().join("oci")).unwrap();
    Store { layout: Layout::create_or_open(open(&parent.path().join("oci"))).unwrap(), parent }
}

/// A folder as the library wants it.
pub(crate) fn open(path: &Path) -> cap_std::fs_utf8::Dir {
    cap_std::fs_utf8::Dir::open_ambient_dir(path.to_str().unwrap(), cap_std::ambient_authority()).unwrap()
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

    pub(crate) fn image(&self, name: &str, layers: &[&[Entry]], compression: Compression) -> Image {
        let platform = serde_json::from_str(r#"{"os": "linux", "architecture": "amd64"}"#).unwrap();
        let mut builder = ImageBuilder::scratch(platform, SourceDateEpoch::from_secs(100));
        for entries in layers {
            builder = builder.layer(&self.layer(entries, compression), "test");
        }
        let descriptor = builder.label("containers.bootc", "1").write(&self.layout).unwrap();
        self.layout.tag(name, descriptor.clone()).unwrap();
        Image::load(&self.layout, &descriptor, None).unwrap()
    }

    /// The folder that the layout's folder is in.
    pub(crate) fn parent(&self) -> &Path {
        self.parent.path()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.parent.path().join("oci")
    }
}

pub(crate) fn file(path: &'static str, content: &'static str) -> Entry {
    (path, EntryKind::File { size: content.len() as u64 }, content)
}

pub(crate) fn dir(path: &'static str) -> Entry {
    (path, EntryKind::Directory, "")
}

pub(crate) fn symlink(path: &'static str, target: &str) -> Entry {
    (path, EntryKind::Symlink { target: target.into() }, "")
}

pub(crate) fn hardlink(path: &'static str, target: &str) -> Entry {
    (path, EntryKind::Hardlink { target: target.into() }, "")
}

pub(crate) fn whiteout(path: &'static str) -> Entry {
    (path, EntryKind::Whiteout, "")
}

pub(crate) fn opaque(path: &'static str) -> Entry {
    (path, EntryKind::Opaque, "")
}
