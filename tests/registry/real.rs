//! Against docker-registry, filled by skopeo.

use imgbuild::model::ByteSize;
use imgbuild::oci::ImageSource as _;
use imgbuild::oci::copy::{Copier, CopyError, Verification};
use imgbuild::oci::registry::RegistryError;
use imgbuild::oci::registry::auth::{Credentials, Secret};

use crate::dir_sink::DirSink;
use crate::docker_registry::DockerRegistry;
use crate::fixture_image::{Contents, INDEX, Image, MANIFEST};
use crate::{chain, copy_to, locator, open, open_as, platform};

/// A layout with one plain image and one index.
fn fixture() -> (Contents, tempfile::TempDir) {
    let mut contents = Contents::default();
    contents.add(&Image::new("amd64"), Some("single"));
    contents.add_index("multi");
    let layout = tempfile::tempdir().unwrap();
    contents.write_layout(layout.path());
    (contents, layout)
}

#[test]
fn an_image_comes_over_unchanged_by_tag_and_by_digest() {
    let (contents, layout) = fixture();
    let registry = DockerRegistry::start();
    registry.push(layout.path(), "single", "a/b:1");
    let expected = crate::digest(&contents.manifests["single"].1);
    let tagged = format!("{}/a/b:1", registry.address());
    let pinned = format!("{}/a/b@{expected}", registry.address());
    for name in [tagged, pinned] {
        let sink = DirSink::new();
        let copied = copy_to(&name, &sink).unwrap();
        assert_eq!(copied.resolved.to_string(), expected);
        assert_eq!(copied.manifest.media_type().to_string(), MANIFEST);
        assert_eq!(copied.pinned().requested, locator(&name));
        assert_eq!((copied.index, copied.verification), (None, Verification::Unverified));
        let image = Image::new("amd64");
        for (layer, (_, bytes)) in copied.layers.iter().zip(&image.layers) {
            assert_eq!(sink.read(layer.descriptor.digest()), *bytes);
        }
        assert_eq!(sink.read(copied.config.digest()), image.config_bytes());
        assert_eq!(sink.read(&expected), contents.manifests["single"].1);
        let sizes = copied.layers.iter().map(|layer| ByteSize(layer.descriptor.size()));
        assert_eq!(copied.bytes, sizes.chain([ByteSize(copied.config.size())]).sum());
        assert_eq!(sink.names().len(), 5, "three layers, configuration, manifest: {:?}", sink.names());
    }
}

#[test]
fn an_index_leads_to_the_platform() {
    let (contents, layout) = fixture();
    let registry = DockerRegistry::start();
    registry.push(layout.path(), "multi", "a/b:multi");
    let name = format!("{}/a/b:multi", registry.address());
    let index = open(&name).manifest(None).unwrap();
    assert_eq!((index.media_type.to_string(), &index.bytes), (INDEX.to_owned(), &contents.manifests["multi"].1));
    for architecture in ["amd64", "arm64"] {
        let sink = DirSink::new();
        let copied = Copier::new(platform(architecture)).copy(&open(&name), &locator(&name), &sink).unwrap();
        let manifest = serde_json::to_vec(&Image::new(architecture).manifest()).unwrap();
        assert_eq!(copied.resolved.to_string(), crate::digest(&manifest));
        assert_eq!(copied.index, Some(index.digest.clone()));
    }
    let error = Copier::new(platform("s390x")).resolve(&open(&name), &locator(&name)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("docker://{name} has no image for linux/s390x; it has linux/arm64, linux/amd64")
    );
}

#[test]
fn what_is_missing_is_named() {
    let (_, layout) = fixture();
    let registry = DockerRegistry::start();
    registry.push(layout.path(), "single", "a/b:1");
    let nothing = format!("sha256:{}", "0".repeat(64));
    for name in ["a/b:2".to_owned(), "a/c:1".to_owned(), format!("a/b@{nothing}")] {
        let name = format!("{}/{name}", registry.address());
        let sink = DirSink::new();
        let error = copy_to(&name, &sink).unwrap_err();
        let text = chain(&error);
        assert!(text.contains(&format!("{name} does not exist: manifest unknown")), "{text}");
        assert!(sink.names().is_empty());
    }
}

#[test]
fn a_registry_with_logins_wants_the_right_one() {
    let (_, layout) = fixture();
    let registry = DockerRegistry::start_with_login();
    registry.push(layout.path(), "single", "a/b:1");
    let name = format!("{}/a/b:1", registry.address());
    let login = |password| Credentials::Basic { username: "user".into(), password: Secret::new(password) };
    let sink = DirSink::new();
    let source = open_as(&name, login("secret"));
    Copier::new(platform("amd64")).copy(&source, &locator(&name), &sink).unwrap();
    for (credentials, who) in [(login("wrong-password"), "user `user`"), (Credentials::Anonymous, "anonymous users")] {
        let error = open_as(&name, credentials).manifest(None).unwrap_err();
        assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error:?}");
        let text = chain(&error);
        assert!(text.contains(who) && !text.contains("wrong-password"), "{text}");
    }
}

#[test]
fn a_second_copy_fetches_nothing() {
    let (_, layout) = fixture();
    let registry = DockerRegistry::start();
    registry.push(layout.path(), "single", "a/b:1");
    let name = format!("{}/a/b:1", registry.address());
    let sink = DirSink::new();
    let first = copy_to(&name, &sink).unwrap();
    assert!(first.layers.iter().all(|layer| layer.fetched));
    let second = copy_to(&name, &sink).unwrap();
    assert_eq!((second.bytes, &second.manifest), (ByteSize(0), &first.manifest));
    assert!(second.layers.iter().all(|layer| !layer.fetched));
}

#[test]
fn a_registry_that_is_not_there_is_named_with_the_reason() {
    let registry = DockerRegistry::start();
    let name = format!("{}/a/b:1", registry.address());
    drop(registry);
    let error = copy_to(&name, &DirSink::new()).unwrap_err();
    assert!(matches!(error, CopyError::Source { .. }), "{error:?}");
    let text = chain(&error);
    assert!(text.contains("cannot be reached (3 attempts)") && text.contains("refused"), "{text}");
}
