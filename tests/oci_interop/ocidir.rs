//! The `ocidir` crate, another implementation of image layouts, on ours and we on its.

use std::collections::HashMap;

use imgbuild::oci::layer::{Compression, UnpackLimits};
use imgbuild::oci::tree::MergePolicy;
use imgbuild::oci::{Image, ImageTree, Layout};
use oci_spec::image::{ImageConfiguration, ImageManifest, MediaType, Platform};
use ocidir::{OciDir, OciRead as _};
use serde_json::json;

use crate::store::{Store, dir, file, open, store, whiteout};

fn open_other(store: &Store) -> OciDir {
    let path = store.path();
    OciDir::open(ocidir::cap_std::fs::Dir::open_ambient_dir(path, ocidir::cap_std::ambient_authority()).unwrap())
        .unwrap()
}

#[test]
fn ocidir_reads_what_we_write() {
    let store = store();
    let mut images = Vec::new();
    for (name, compression) in
        [("tier1/debian", Compression::Gzip(6)), ("tier2/edge", Compression::Zstd(3)), ("tier3/h-1", Compression::None)]
    {
        let layers = [&[dir("etc"), file("etc/name", name)][..], &[whiteout("etc/name"), file("f", "x")]];
        images.push((name, store.image(name, &layers, compression)));
    }
    let other = open_other(&store);
    for (name, image) in &images {
        let descriptor = other.find_manifest_descriptor_with_tag(name).unwrap().expect("it is named");
        assert_eq!(descriptor.digest(), image.digest());
        let manifest: ImageManifest = other.find_manifest_with_tag(name).unwrap().expect("it is named");
        assert_eq!(manifest, *image.manifest());
        let config: ImageConfiguration = other.read_json_blob(manifest.config()).unwrap();
        assert_eq!(config, *image.config());
    }
    // Three manifests, configurations and second layers differ by name or compression, and so do the first ones.
    assert_eq!(other.fsck().unwrap(), 3 * 4);

    let empty = store.layout.write_blob(b"{}", MediaType::EmptyJSON).unwrap();
    let signature = json!({
        "schemaVersion": 2, "mediaType": MediaType::ImageManifest, "artifactType": "application/x-signature",
        "config": empty, "layers": [empty], "subject": images[0].1.descriptor(),
    });
    let signature = store.layout.write_json(&signature, MediaType::ImageManifest).unwrap();
    store.layout.list(signature.clone()).unwrap();
    assert_eq!(other.fsck().unwrap(), 3 * 4 + 2, "the signature and what it holds");
    let referrers = other.find_referrers(images[0].1.digest(), None).unwrap();
    assert_eq!(referrers.iter().map(|entry| entry.digest()).collect::<Vec<_>>(), [signature.digest()]);
}

#[test]
fn ocidir_finds_the_blob_that_is_damaged() {
    let store = store();
    let image = store.image("a", &[&[file("f", "x")]], Compression::Gzip(6));
    let path = store.path().join("blobs/sha256").join(image.layers()[0].descriptor.digest().digest());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(open_other(&store).fsck().is_err(), "the oracle would see it");
}

#[test]
fn we_read_what_ocidir_writes() {
    let parent = tempfile::tempdir().unwrap();
    let folder =
        ocidir::cap_std::fs::Dir::open_ambient_dir(parent.path(), ocidir::cap_std::ambient_authority()).unwrap();
    let other = OciDir::ensure(folder).unwrap();
    let mut manifest = other.new_empty_manifest().unwrap().media_type(MediaType::ImageManifest).build().unwrap();
    let mut config = ImageConfiguration::default();
    for (path, content) in [("usr/lib/os-release", "ID=test"), ("etc/name", "n")] {
        let mut tar = other.create_layer(None).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(7);
        tar.append_data(&mut header, path, content.as_bytes()).unwrap();
        let layer = tar.into_inner().unwrap().complete().unwrap();
        other.push_layer(&mut manifest, &mut config, layer, "test", None::<HashMap<String, String>>);
    }
    let platform = Platform::default();
    let written = other.insert_manifest_and_config(manifest, config, Some("v1"), platform.clone()).unwrap();

    let layout = Layout::open(open(parent.path())).unwrap();
    let image = Image::by_name(&layout, "v1", Some(&platform)).unwrap();
    assert_eq!(image.digest(), written.digest());
    let source = image.layer_source(&layout, UnpackLimits::default());
    let tree = ImageTree::from_layers(&source, &MergePolicy::default()).unwrap();
    assert_eq!(tree.read_file(&source, "usr/lib/os-release", 100).unwrap(), b"ID=test");
    assert_eq!(tree.node(tree.lookup("etc/name").unwrap()).metadata().uid, 7);

    // Both go on working with one layout.
    layout.tag("v2", image.descriptor().clone()).unwrap();
    let manifest = other.find_manifest_with_tag("v2").unwrap().expect("named by us");
    other.insert_manifest(manifest, Some("v3"), platform).unwrap();
    assert_eq!(layout.names().unwrap().into_keys().collect::<Vec<_>>(), ["v1", "v2", "v3"]);
}
