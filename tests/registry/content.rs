//! Registries that send other content than they should: nothing wrong may land.

use std::sync::Arc;

use imgbuild::model::ByteSize;
use imgbuild::oci::copy::{BoxError, Copier, CopyError, Upstream, UpstreamVerifier, Verification};
use imgbuild::sys::{Progress, StepEvent};
use serde_json::{Value, json};

use crate::dir_sink::DirSink;
use crate::fixture_image::{Contents, Image, MANIFEST, digest, gzip, tar};
use crate::http_server::Reply;
use crate::{chain, copy_to, locator, open, platform, reference, server};

/// Copies tag `t` of an honest server and returns the chain of causes of its failure.
fn failure(contents: &Contents, sink: &DirSink) -> String {
    let server = server(contents, |_| None);
    chain(&copy_to(&reference(&server, "t"), sink).unwrap_err())
}

/// As [`failure`], for an image with a changed manifest.
fn failure_of_manifest(image: &Image, change: impl Fn(&mut Value)) -> String {
    let mut contents = Contents::default();
    let mut manifest = image.manifest();
    change(&mut manifest);
    contents.add_with(image, &manifest, Some("t"));
    let sink = DirSink::new();
    let text = failure(&contents, &sink);
    assert!(!sink.names().iter().any(|name| contents.manifests.contains_key(name)), "the manifest landed");
    text
}

#[test]
fn other_bytes_under_a_blobs_digest() {
    let image = Image::new("amd64");
    for wrong in [image.layer_digest(0), image.layer_digest(1), image.layer_digest(2), digest(&image.config_bytes())] {
        let mut contents = Contents::default();
        contents.add(&image, Some("t"));
        let bytes = contents.blobs.get_mut(&wrong).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let sink = DirSink::new();
        let text = failure(&contents, &sink);
        assert!(text.starts_with(&format!("blob {wrong} has digest sha256:")), "{text}");
        assert!(!sink.names().contains(&wrong), "{:?}", sink.names());
        assert!(sink.names().iter().all(|name| contents.blobs.contains_key(name)), "leftovers: {:?}", sink.names());
    }
}

#[test]
fn another_manifest_than_the_one_asked_for() {
    let mut contents = Contents::default();
    let real = contents.add(&Image::new("amd64"), None);
    let fake = serde_json::to_vec(&Image::docker("amd64").manifest()).unwrap();
    let name = real["digest"].as_str().unwrap().to_owned();
    contents.manifests.insert(name.clone(), (MANIFEST.to_owned(), fake.clone()));
    let server = server(&contents, |_| None);
    let sink = DirSink::new();
    let error = copy_to(&format!("{}/a/b@{name}", server.address()), &sink).unwrap_err();
    let text = chain(&error);
    assert!(text.contains(&format!("has digest {}, expected {name}", digest(&fake))), "{text}");
    assert!(sink.names().is_empty() && server.requests("blobs").is_empty());
}

#[test]
fn a_manifest_that_is_not_what_the_registry_announces() {
    let mut contents = Contents::default();
    contents.add(&Image::new("amd64"), Some("t"));
    let announced = digest(b"something else");
    let bytes = contents.manifests["t"].1.clone();
    let lie = announced.clone();
    let server = server(&contents, move |request| {
        let reply = Reply::new(200, bytes.clone()).header("Content-Type", MANIFEST);
        request.path.ends_with("/t").then(|| reply.header("Docker-Content-Digest", lie.clone()))
    });
    let text = chain(&copy_to(&reference(&server, "t"), &DirSink::new()).unwrap_err());
    assert!(text.contains(&format!("expected {announced}")), "{text}");
}

#[test]
fn an_index_that_lies_about_its_entry() {
    let image = Image::new("amd64");
    let index = |entry: &dyn Fn(&mut Value)| {
        let mut contents = Contents::default();
        let mut descriptor = contents.add(&image, None);
        descriptor["platform"] = json!({"os": "linux", "architecture": "amd64"});
        entry(&mut descriptor);
        let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
        contents.add_manifest(crate::fixture_image::INDEX, &serde_json::to_vec(&index).unwrap(), Some("t"));
        failure(&contents, &DirSink::new())
    };
    let size = serde_json::to_vec(&image.manifest()).unwrap().len();
    let text = index(&|entry| entry["size"] = json!(size + 1));
    assert!(text.contains(&format!("has {size} bytes, its index says {}", size + 1)), "{text}");
    let text = index(&|entry| entry["platform"]["architecture"] = json!("arm64"));
    assert!(text.contains("no image for linux/amd64; it has linux/arm64"), "{text}");
    let text = index(&|entry| entry["digest"] = json!(format!("sha512:{}", "0".repeat(128))));
    assert!(text.contains("is not SHA-256"), "{text}");
    let text = index(&|entry| entry["size"] = json!(-5));
    assert!(text.contains("integer `-5`"), "{text}");
}

#[test]
fn an_image_for_another_platform_than_its_index_says() {
    let mut contents = Contents::default();
    let mut entry = contents.add(&Image::new("arm64"), None);
    entry["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    contents.add_manifest(crate::fixture_image::INDEX, &serde_json::to_vec(&index).unwrap(), Some("t"));
    let text = failure(&contents, &DirSink::new());
    assert!(text.contains("is for linux/arm64, expected linux/amd64"), "{text}");
}

#[test]
fn an_index_that_leads_to_an_index() {
    let mut contents = Contents::default();
    let mut entry = contents.add_index("inner");
    entry["mediaType"] = json!(MANIFEST);
    entry["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    contents.add_manifest(crate::fixture_image::INDEX, &serde_json::to_vec(&index).unwrap(), Some("t"));
    let text = failure(&contents, &DirSink::new());
    assert!(text.contains("leads to another index"), "{text}");
}

#[test]
fn manifests_that_cannot_be_true() {
    let image = Image::new("amd64");
    for (change, message) in [
        (&(|m: &mut Value| m["layers"][0]["size"] = json!(-1)) as &dyn Fn(&mut Value), "integer `-1`"),
        (&|m: &mut Value| m["layers"][0]["size"] = json!(3), "descriptor says 3"),
        (&|m: &mut Value| m["layers"][0]["digest"] = json!("sha256:../../x"), "not a manifest"),
        (&|m: &mut Value| m["mediaType"] = json!(crate::fixture_image::INDEX), "the document itself"),
        (&|m: &mut Value| m["manifests"] = json!([]), "several kinds"),
        (&|m: &mut Value| m["layers"].as_array_mut().unwrap().truncate(2), "has 2 layers, its configuration"),
        (&|m: &mut Value| m["layers"][1]["mediaType"] = json!("text/x"), "unknown media type `text/x`"),
        (&|m: &mut Value| m["config"]["mediaType"] = json!("application/x"), "is not an image"),
        (&|m: &mut Value| m["config"]["size"] = json!(5 << 20), "more than 4.0 MiB"),
    ] {
        let text = failure_of_manifest(&image, change);
        assert!(text.contains(message), "expected {message}: {text}");
    }
}

#[test]
fn a_layer_that_is_not_the_one_in_the_configuration() {
    let mut image = Image::new("amd64");
    let other = digest(b"other");
    image.config["rootfs"]["diff_ids"][1] = json!(other);
    let mut contents = Contents::default();
    contents.add(&image, Some("t"));
    let sink = DirSink::new();
    let text = failure(&contents, &sink);
    let expected = format!("layer {} decompresses to", image.layer_digest(1));
    assert!(text.contains(&expected) && text.contains(&other), "{text}");
    assert!(!sink.names().contains(&image.layer_digest(1)));
    // Not looked at when that is switched off.
    let server = server(&contents, |_| None);
    let name = reference(&server, "t");
    Copier::new(platform("amd64")).check_diff_ids(false).copy(&open(&name), &locator(&name), &sink).unwrap();
}

/// A layer that is in the store for another image's sake is still held against this configuration.
#[test]
fn a_layer_that_is_here_already_is_checked_too() {
    let mut contents = Contents::default();
    contents.add(&Image::new("amd64"), Some("honest"));
    let mut image = Image::new("amd64");
    image.config["rootfs"]["diff_ids"][2] = json!(digest(b"other"));
    contents.add(&image, Some("t"));
    let server = server(&contents, |_| None);
    let sink = DirSink::new();
    copy_to(&reference(&server, "honest"), &sink).unwrap();
    let fetched = server.requests("blobs").len();
    let text = chain(&copy_to(&reference(&server, "t"), &sink).unwrap_err());
    assert!(text.contains(&format!("layer {} decompresses to", image.layer_digest(2))), "{text}");
    assert_eq!(server.requests("blobs").len(), fetched + 1, "only the other configuration is fetched");
}

#[test]
fn layers_that_do_not_decompress() {
    for (bytes, message) in [
        (b"no gzip at all".to_vec(), "decompressing layer"),
        (gzip(&tar("x", b"x")).split_last_chunk::<9>().unwrap().0.to_vec(), "decompressing layer"),
        (gzip(&vec![0; 3 << 20]), "decompresses to more than 1.0 MiB"),
    ] {
        let mut image = Image::new("amd64");
        image.layers[0].1 = bytes;
        let mut contents = Contents::default();
        contents.add(&image, Some("t"));
        let server = server(&contents, |_| None);
        let name = reference(&server, "t");
        let sink = DirSink::new();
        let copier = Copier::new(platform("amd64")).inflated_limit(ByteSize(1 << 20));
        let text = chain(&copier.copy(&open(&name), &locator(&name), &sink).unwrap_err());
        assert!(text.contains(message) && text.contains(&image.layer_digest(0)), "{text}");
        assert!(!sink.names().contains(&image.layer_digest(0)));
    }
}

#[test]
fn docker_images_are_taken_as_they_are() {
    let mut contents = Contents::default();
    let image = Image::docker("amd64");
    let manifest = contents.add(&image, Some("t"));
    let server = server(&contents, |_| None);
    let sink = DirSink::new();
    let copied = copy_to(&reference(&server, "t"), &sink).unwrap();
    assert_eq!(copied.manifest.media_type().to_string(), image.media_type);
    assert_eq!(copied.resolved.to_string(), manifest["digest"]);
    assert_eq!(sink.read(&copied.resolved), contents.manifests["t"].1);
}

#[test]
fn a_layer_used_twice_is_fetched_once() {
    let mut image = Image::new("amd64");
    image.layers.push(image.layers[1].clone());
    let diff_ids = image.config["rootfs"]["diff_ids"].as_array_mut().unwrap();
    diff_ids.push(diff_ids[1].clone());
    let mut contents = Contents::default();
    contents.add(&image, Some("t"));
    let server = server(&contents, |_| None);
    let copied = copy_to(&reference(&server, "t"), &DirSink::new()).unwrap();
    assert_eq!(copied.layers.len(), 4);
    assert_eq!(server.requests(&image.layer_digest(1)).len(), 1);
}

#[test]
fn a_full_disk_is_told_apart_and_leaves_nothing() {
    let mut contents = Contents::default();
    let image = Image::new("amd64");
    contents.add(&image, Some("t"));
    let mut sink = DirSink::new();
    sink.full_after = 100_000;
    let text = failure(&contents, &sink);
    assert!(text.starts_with(&format!("writing blob {}", image.layer_digest(0))), "{text}");
    assert!(sink.names().iter().all(|name| contents.blobs.contains_key(name)), "leftovers: {:?}", sink.names());
}

#[derive(Debug)]
struct Judge(bool);

impl UpstreamVerifier for Judge {
    fn verify(&self, upstream: &Upstream<'_>) -> Result<Verification, BoxError> {
        let index = upstream.index.ok_or("the index is missing")?;
        assert!(index.digest != upstream.manifest.digest && upstream.requested.to_string().ends_with(":multi"));
        if self.0 { Ok(Verification::Verified { by: "key 1".into() }) } else { Err("no signature by key 1".into()) }
    }
}

#[test]
fn the_verifier_is_asked_before_any_content() {
    let mut contents = Contents::default();
    contents.add_index("multi");
    let server = server(&contents, |_| None);
    let name = reference(&server, "multi");
    let copy = |judge: &Judge| {
        Copier::new(platform("amd64")).verifier(judge).copy(&open(&name), &locator(&name), &DirSink::new())
    };
    let error = copy(&Judge(false)).unwrap_err();
    assert!(matches!(error, CopyError::Untrusted { .. }), "{error:?}");
    assert_eq!(chain(&error), format!("docker://{name} is not trusted: no signature by key 1"));
    assert!(server.requests("blobs").is_empty());
    assert_eq!(copy(&Judge(true)).unwrap().verification, Verification::Verified { by: "key 1".into() });
}

#[derive(Debug, Default)]
struct Events(std::sync::Mutex<Vec<StepEvent>>);

impl Progress for Events {
    fn event(&self, _id: u64, event: &StepEvent) {
        self.0.lock().unwrap().push(event.clone());
    }
}

#[test]
fn each_blob_is_a_step_with_its_bytes() {
    let mut contents = Contents::default();
    let image = Image::new("amd64");
    contents.add(&image, Some("t"));
    let server = server(&contents, |_| None);
    let name = reference(&server, "t");
    let events = Arc::new(Events::default());
    let copier = Copier::new(platform("amd64")).progress(Arc::clone(&events) as Arc<dyn Progress>);
    copier.copy(&open(&name), &locator(&name), &DirSink::new()).unwrap();
    let events = events.0.lock().unwrap();
    let total = image.layers[0].1.len() as u64;
    let label = format!("fetch layer {}", &image.layer_digest(0)[..19]);
    assert!(events.contains(&StepEvent::Started { label, total: Some(total) }), "{events:?}");
    assert!(events.contains(&StepEvent::Advanced { done: total }));
    let finished = |event: &&StepEvent| matches!(event, StepEvent::Finished { .. });
    assert_eq!(events.iter().filter(finished).count(), 4);
    assert!(!events.contains(&StepEvent::Failed));
}
