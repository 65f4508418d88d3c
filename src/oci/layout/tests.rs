//! Tests of the layout.
#![expect(clippy::disallowed_methods, reason = "tests damage files behind the layout's back")]

use std::collections::BTreeSet;
use std::io::Write;

use oci_spec::image::DescriptorBuilder;
use serde_json::{Value, json};

use super::super::VerifyError;
use super::super::digest::sha256;
use super::super::testing::{self, open};
use super::*;

struct Fixture {
    folder: tempfile::TempDir,
    layout: Layout,
}

fn fixture() -> Fixture {
    let (folder, layout) = testing::layout();
    Fixture { folder, layout }
}

impl Fixture {
    fn blob_path(&self, digest: &Digest) -> std::path::PathBuf {
        self.folder.path().join(BLOBS).join(digest.digest())
    }

    /// Stores a manifest with one layer; `what` makes it differ from others.
    fn image(&self, what: &str) -> Descriptor {
        let layer = self.layout.write_blob(format!("layer {what}").as_bytes(), MediaType::ImageLayer).unwrap();
        let config = self.layout.write_json(&json!({"what": what}), MediaType::ImageConfig).unwrap();
        self.manifest(&json!({"config": config, "layers": [layer]}))
    }

    fn manifest(&self, fields: &Value) -> Descriptor {
        let mut manifest = json!({"schemaVersion": 2, "mediaType": MediaType::ImageManifest});
        manifest.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.layout.write_json(&manifest, MediaType::ImageManifest).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .chain(std::fs::read_dir(self.folder.path().join(BLOBS)).unwrap())
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_new_layout_is_empty_and_opens_again() {
    let fixture = fixture();
    assert_eq!(fixture.files(), ["blobs", "index.json", "oci-layout"]);
    assert!(Layout::open(open(fixture.folder.path())).unwrap().names().unwrap().is_empty());
    let index = std::fs::read_to_string(fixture.folder.path().join("index.json")).unwrap();
    assert_eq!(index, r#"{"manifests":[],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}"#);
}

#[test]
fn what_is_no_layout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Layout::open(open(folder.path())), Err(LayoutError::NotALayout)));
    std::fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    assert!(
        matches!(Layout::create_or_open(open(folder.path())), Err(LayoutError::NotEmpty { name }) if name == "notes.txt")
    );
    std::fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert!(matches!(Layout::open(open(folder.path())), Err(LayoutError::Version { found }) if found == "2.0.0"));
}

#[test]
fn an_interrupted_creation_is_completed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("blobs")).unwrap();
    assert!(Layout::create_or_open(open(folder.path())).unwrap().names().unwrap().is_empty());
}

#[test]
fn names_are_replaced_one_by_one_and_kept_in_order() {
    let fixture = fixture();
    let (a, b) = (fixture.image("a"), fixture.image("b"));
    let layout = &fixture.layout;
    layout.tag("tier2/edge", a.clone()).unwrap();
    layout.tag("tier1/debian", a.clone()).unwrap();
    layout.tag("tier2/edge", b.clone()).unwrap();
    let names: Vec<_> =
        layout.names().unwrap().into_iter().map(|(name, entry)| (name, entry.digest().clone())).collect();
    assert_eq!(names, [("tier1/debian".to_owned(), a.digest().clone()), ("tier2/edge".to_owned(), b.digest().clone())]);
    assert!(layout.remove_name("tier2/edge").unwrap());
    assert!(!layout.remove_name("tier2/edge").unwrap());
    assert_eq!(layout.resolve("tier2/edge").unwrap(), None);
    assert_eq!(layout.resolve("tier1/debian").unwrap().unwrap().digest(), a.digest());

    let other = super::tests::fixture();
    let (b2, a2) = (other.image("b"), other.image("a"));
    other.layout.list(b2.clone()).unwrap();
    other.layout.tag("x", a2.clone()).unwrap();
    layout.remove_name("tier1/debian").unwrap();
    layout.tag("x", a).unwrap();
    layout.list(b.clone()).unwrap();
    layout.list(b).unwrap();
    assert_eq!(layout.index().unwrap(), other.layout.index().unwrap(), "the order of work leaves no trace");
}

#[test]
fn only_names_the_specification_allows() {
    let fixture = fixture();
    let image = fixture.image("a");
    for (name, ok) in [
        ("tier1/debian", true),
        ("a", true),
        ("x.y_z-1:2@3+4", true),
        ("a--b", true),
        ("", false),
        ("/a", false),
        ("a/", false),
        ("a..b", false),
        ("../a", false),
        ("a b", false),
        ("é", false),
    ] {
        assert_eq!(fixture.layout.tag(name, image.clone()).is_ok(), ok, "{name}");
    }
}

#[test]
fn an_image_that_is_not_here_cannot_be_named() {
    let fixture = fixture();
    let absent = Descriptor::new(MediaType::ImageManifest, 3, sha256(b"abc"));
    assert!(matches!(fixture.layout.tag("x", absent), Err(LayoutError::MissingBlob { .. })));
}

#[test]
fn a_name_given_twice_is_refused() {
    let fixture = fixture();
    let entry = |image: Descriptor| json!({"mediaType": image.media_type(), "digest": image.digest(), "size": image.size(), "annotations": {REF_NAME: "x"}});
    let index = json!({"schemaVersion": 2, "manifests": [entry(fixture.image("a")), entry(fixture.image("b"))]});
    std::fs::write(fixture.folder.path().join("index.json"), index.to_string()).unwrap();
    assert!(matches!(fixture.layout.resolve("x"), Err(LayoutError::AmbiguousName { .. })));
}

#[test]
fn a_blob_lands_only_when_it_is_the_right_one() {
    let fixture = fixture();
    let before = fixture.files();
    let write = |content: &[u8]| {
        let mut blob = fixture.layout.create_blob().unwrap();
        blob.write_all(content).unwrap();
        blob
    };
    let descriptor = |size, content: &[u8]| Descriptor::new(MediaType::ImageLayer, size, sha256(content));
    drop(write(b"abandoned"));
    let wrong_digest = write(b"abc").complete_verified_as(&descriptor(3, b"abd")).unwrap_err();
    assert!(matches!(wrong_digest, LayoutError::Verify(VerifyError::Digest { .. })), "{wrong_digest}");
    let wrong_size = write(b"abc").complete_verified_as(&descriptor(4, b"abc")).unwrap_err();
    assert!(matches!(wrong_size, LayoutError::Verify(VerifyError::Size { expected: 4, found: 3, .. })), "{wrong_size}");
    let sha512 = DescriptorBuilder::default()
        .media_type(MediaType::ImageLayer)
        .size(3u64)
        .digest(Digest::try_from(format!("sha512:{}", "a".repeat(128))).unwrap())
        .build()
        .unwrap();
    assert!(matches!(write(b"abc").complete_verified_as(&sha512), Err(LayoutError::Verify(VerifyError::Algorithm(_)))));
    assert_eq!(fixture.files(), before, "nothing has landed");

    write(b"abc").complete_verified_as(&descriptor(3, b"abc")).unwrap();
    write(b"abc").complete_verified_as(&descriptor(3, b"abc")).unwrap();
    assert!(fixture.layout.has_blob(&sha256(b"abc")).unwrap());
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fixture.blob_path(&sha256(b"abc")).metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn a_damaged_blob_is_named() {
    let fixture = fixture();
    let image = fixture.image("a");
    let path = fixture.blob_path(image.digest());
    let good = std::fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[10] ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    let error = fixture.layout.read_manifest(&image).unwrap_err();
    assert!(matches!(error, LayoutError::Verify(VerifyError::Digest { .. })), "{error}");
    std::fs::write(&path, &good[1..]).unwrap();
    let error = fixture.layout.read_manifest(&image).unwrap_err();
    assert!(matches!(error, LayoutError::Verify(VerifyError::Size { .. })), "{error}");
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(fixture.layout.read_manifest(&image), Err(LayoutError::MissingBlob { .. })));
}

#[test]
fn a_named_pipe_in_place_of_a_blob_is_refused_at_once() {
    let fixture = fixture();
    let image = fixture.image("a");
    let path = fixture.blob_path(image.digest());
    std::fs::remove_file(&path).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert!(matches!(fixture.layout.read_manifest(&image), Err(LayoutError::Blob { .. })));
}

#[test]
fn documents_are_capped() {
    let fixture = fixture();
    let large = Descriptor::new(MediaType::ImageManifest, MANIFEST_LIMIT + 1, sha256(b"abc"));
    assert!(matches!(fixture.layout.read_manifest(&large), Err(LayoutError::TooLarge { .. })));
    let path = fixture.folder.path().join("index.json");
    std::fs::File::options().write(true).open(path).unwrap().set_len(MANIFEST_LIMIT + 1).unwrap();
    assert!(matches!(fixture.layout.index(), Err(LayoutError::TooLarge { .. })));
}

#[test]
fn sweeping_removes_what_nothing_leads_to() {
    let fixture = fixture();
    let layout = &fixture.layout;
    let (kept, dropped) = (fixture.image("kept"), fixture.image("dropped"));
    let signature = |subject: &Descriptor, what: &str| {
        let empty = layout.write_blob(b"{}", MediaType::EmptyJSON).unwrap();
        let payload = layout.write_blob(what.as_bytes(), MediaType::Other("application/x".into())).unwrap();
        let descriptor = fixture.manifest(&json!({"config": empty, "layers": [payload], "subject": subject}));
        layout.list(descriptor.clone()).unwrap();
        descriptor
    };
    layout.tag("kept", kept.clone()).unwrap();
    layout.tag("dropped", dropped.clone()).unwrap();
    let kept_signature = signature(&kept, "signature of kept");
    let counter_signature = signature(&kept_signature, "signature of the signature");
    let dropped_signature = signature(&dropped, "signature of dropped");
    let kept_by_hand = layout.write_blob(b"by hand", MediaType::ImageLayer).unwrap();
    std::fs::write(fixture.folder.path().join(BLOBS).join("not-a-blob"), "").unwrap();
    let keep = BTreeSet::from([kept_by_hand.digest().to_string()]);
    assert_eq!(layout.sweep(&keep, SweepMode::Delete).unwrap(), Garbage::default());

    layout.remove_name("dropped").unwrap();
    let before = fixture.files();
    let report = layout.sweep(&keep, SweepMode::Report).unwrap();
    assert_eq!(fixture.files(), before);
    assert_eq!(report.blobs.len(), 5, "manifest, config, layer, signature, payload");
    assert_eq!(report.referrers.iter().map(Descriptor::digest).collect::<Vec<_>>(), [dropped_signature.digest()]);
    assert!(report.size().0 > dropped.size());

    assert_eq!(layout.sweep(&keep, SweepMode::Delete).unwrap(), report);
    assert_eq!(layout.sweep(&keep, SweepMode::Delete).unwrap(), Garbage::default());
    for digest in [kept.digest(), counter_signature.digest(), kept_by_hand.digest()] {
        assert!(layout.has_blob(digest).unwrap());
    }
    assert!(!layout.has_blob(dropped.digest()).unwrap());
    assert!(fixture.folder.path().join(BLOBS).join("not-a-blob").exists());
}

/// A name that the crate behind [`BlobWriter`] gives a file just before it is renamed.
fn temporary_name(dir: &cap_std::fs::Dir) -> std::ffi::OsString {
    let names = || dir.entries().unwrap().map(|entry| entry.unwrap().file_name()).collect::<BTreeSet<_>>();
    let before = names();
    let _named_alike = cap_std_ext::cap_tempfile::TempDir::new_in(dir).unwrap();
    names().difference(&before).next().unwrap().clone()
}

#[test]
fn what_a_killed_writer_left_is_swept() {
    let fixture = fixture();
    fixture.layout.tag("a", fixture.image("a")).unwrap();
    let before = fixture.files();
    for folder in ["", BLOBS] {
        let path = fixture.folder.path().join(folder);
        let dir = cap_std::fs::Dir::open_ambient_dir(&path, cap_std::ambient_authority()).unwrap();
        std::fs::write(path.join(temporary_name(&dir)), "half").unwrap();
    }
    let swept = fixture.layout.sweep(&BTreeSet::new(), SweepMode::Delete).unwrap();
    assert_eq!(swept.leftovers.len(), 2);
    assert_eq!(swept.size(), crate::model::ByteSize(8));
    assert!(swept.blobs.is_empty());
    assert_eq!(fixture.files(), before);
}

#[test]
fn nothing_is_swept_while_anything_is_malformed() {
    let fixture = fixture();
    let image = fixture.image("a");
    fixture.layout.tag("a", image.clone()).unwrap();
    fixture.layout.write_blob(b"garbage", MediaType::ImageLayer).unwrap();
    std::fs::write(fixture.blob_path(image.digest()), "{}").unwrap();
    let before = fixture.files();
    assert!(fixture.layout.sweep(&BTreeSet::new(), SweepMode::Delete).is_err());
    assert_eq!(fixture.files(), before);
}

#[test]
fn a_batch_shows_its_blobs_when_it_names_something() {
    let fixture = fixture();
    let before = fixture.files();
    let batch = Fixture { layout: fixture.layout.batch().unwrap(), folder: fixture.folder };
    let (a, b) = (batch.image("a"), batch.image("b"));
    assert!(batch.layout.has_blob(a.digest()).unwrap());
    batch.layout.read_manifest(&a).unwrap();
    assert!(!fixture.layout.has_blob(a.digest()).unwrap(), "not under its final name before it is durable");
    assert!(matches!(fixture.layout.tag("a", a.clone()), Err(LayoutError::MissingBlob { .. })));

    batch.layout.tag_all([("a", a.clone())]).unwrap();
    for image in [&a, &b] {
        let manifest = fixture.layout.read_manifest(image).unwrap();
        fixture.layout.read_document(manifest.config()).unwrap();
        fixture.layout.open_blob(&manifest.layers()[0]).unwrap();
    }
    assert_eq!(fixture.layout.resolve("a").unwrap().unwrap().digest(), a.digest());
    let c = batch.image("c");
    batch.layout.read_manifest(&a).unwrap();
    drop(batch.layout);
    assert!(!fixture.layout.has_blob(c.digest()).unwrap(), "nothing asked for it");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &batch.folder.path().join(BLOBS).join(a.digest().digest()).metadata().unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o644);
    let files: Vec<_> = std::fs::read_dir(batch.folder.path()).unwrap().collect();
    assert_eq!(files.len(), before.len(), "no folder stays behind");
}

#[test]
fn a_batch_is_written_from_several_threads_and_beside_another() {
    let fixture = fixture();
    let (one, two) = (fixture.layout.batch().unwrap(), fixture.layout.batch().unwrap());
    let write = |layout: &Layout, what: u8| layout.write_blob(&[what], MediaType::ImageManifest).unwrap();
    let entries: Vec<_> = std::thread::scope(|scope| {
        let work = |layout, first: u8| move || (first..first + 50).map(|n| write(layout, n)).collect::<Vec<_>>();
        [(&one, 0), (&one, 25), (&two, 50), (&two, 100)]
            .map(|(layout, first)| scope.spawn(work(layout, first)))
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    one.list(entries[0].clone()).unwrap();
    two.list(entries[199].clone()).unwrap();
    for entry in &entries {
        fixture.layout.open_blob(entry).unwrap().read_to_end(&mut Vec::new()).unwrap();
    }
    assert_eq!(fixture.layout.index().unwrap().manifests().len(), 2);
}

#[test]
fn a_batch_removes_what_a_killed_one_has_left() {
    let fixture = fixture();
    let folder = |name: &str| fixture.folder.path().join(name);
    for name in [".batch-0", ".batch-7"] {
        std::fs::create_dir(folder(name)).unwrap();
        std::fs::write(folder(name).join("half"), "x").unwrap();
    }
    let live = fixture.layout.batch().unwrap();
    live.write_blob(b"x", MediaType::ImageLayer).unwrap();
    let other = fixture.layout.batch().unwrap();
    assert!(folder(".batch-0").exists() && folder(".batch-1").exists() && !folder(".batch-7").exists());
    assert!(live.has_blob(&sha256(b"x")).unwrap(), "another batch's folder is in use");
    assert!(!folder(".batch-0").join("half").exists());
    drop((live, other));
    assert!(!folder(".batch-0").exists() && !folder(".batch-1").exists());
}
