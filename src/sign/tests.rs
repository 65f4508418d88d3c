//! Signatures in layouts: what is written, what is read, and what must not be believed.

use std::collections::HashMap;
use std::io::Read as _;

use cap_std::fs_utf8::Dir;
use oci_spec::image::{Descriptor, MediaType};
use serde_json::{Value, json};

use super::policy::{Identity, Outcome, Policy, Requirement, SigstoreSigned, Target, decide};
use super::*;
use crate::oci::{Artifact, Attach, Image, Layout, sha256};

const REPOSITORY: &str = "registry.example.com/fleet/app";

struct Fixture {
    _folder: tempfile::TempDir,
    layout: Layout,
    image: Image,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path().to_str().unwrap(), cap_std::ambient_authority()).unwrap();
        let layout = Layout::create_or_open(dir).unwrap();
        let image = image(&layout, "app");
        layout.tag("app", image.descriptor().clone()).unwrap();
        Self { _folder: folder, layout, image }
    }

    fn signed() -> Self {
        let fixture = Self::new();
        sign(&fixture.layout, &fixture.image, REPOSITORY, &key(1)).unwrap();
        fixture
    }

    fn judge(&self, keys: &[&SigningKey]) -> Vec<Record> {
        let keys: Vec<_> = keys.iter().map(|key| key.public().clone()).collect();
        judge(&self.layout, self.image.digest(), &Signers::from(keys)).unwrap()
    }

    /// The only bundle, as JSON.
    fn bundle(&self) -> Value {
        let referrers = self.layout.referrers(self.image.digest()).unwrap();
        let mut text = String::new();
        self.layout.open_blob(referrers[0].only_blob().unwrap()).unwrap().read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn attach(&self, bundle: &Value) {
        let artifact = Artifact::new(BUNDLE_TYPE).blob(BUNDLE_TYPE, bundle.to_string());
        self.layout.attach(self.image.descriptor(), &artifact, Attach::InPlaceOfItsType).unwrap();
    }

    /// What everybody says who has the first key.
    fn opinions(&self) -> Vec<(&'static str, bool)> {
        let records = self.judge(&[&key(1)]);
        let target = Target::registry(format!("{REPOSITORY}:1").parse().unwrap());
        let wanted =
            SigstoreSigned { signed_identity: Some(Identity::MatchRepository {}), ..SigstoreSigned::default() };
        let default = vec![Requirement::SigstoreSigned(Box::new(wanted))];
        let policy = Policy { default, transports: [].into() };
        let outcome = decide(&policy, &target).evaluate(&target, |_| Ok::<_, ()>(Ok(records.clone()))).unwrap();
        let question = Question { records: &records, repository: Some(REPOSITORY), policy: &outcome };
        Consumer::ALL.map(|consumer| (consumer.name(), question.ask(consumer).accepts)).to_vec()
    }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

fn image(layout: &Layout, what: &str) -> Image {
    let config = json!({"architecture": "amd64", "os": "linux", "created": "2026-01-02T03:04:05Z",
        "config": {"Labels": {"what": what}}, "rootfs": {"type": "layers", "diff_ids": []}});
    let config = layout.write_json(&config, MediaType::ImageConfig).unwrap();
    let manifest = json!({"schemaVersion": 2, "mediaType": MediaType::ImageManifest, "config": config, "layers": []});
    let descriptor = layout.write_json(&manifest, MediaType::ImageManifest).unwrap();
    Image::load(layout, &descriptor, None).unwrap()
}

fn refusals(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| record.refused.as_ref().map_or("ok".to_owned(), ToString::to_string)).collect()
}

#[test]
fn a_signature_is_in_both_forms_and_everybody_accepts_it() {
    let fixture = Fixture::signed();
    let records = fixture.judge(&[&key(2), &key(1)]);
    let forms: Vec<_> =
        records.iter().map(|record| (record.form, record.is_signature(), record.is_verified())).collect();
    assert_eq!(forms, [(Form::Simple, true, true), (Form::Bundle, true, true)]);
    assert!(records.iter().all(|record| record.names == [REPOSITORY]));
    assert!(records.iter().all(|record| record.signer == Some(Signer::Key(key(1).public().fingerprint()))));
    assert!(fixture.opinions().iter().all(|(_, accepts)| *accepts), "{:?}", fixture.opinions());
}

#[test]
fn what_is_written_is_what_the_specifications_say() {
    let fixture = Fixture::signed();
    let bundle = fixture.bundle();
    assert_eq!(bundle["mediaType"], BUNDLE_TYPE);
    assert_eq!(bundle["verificationMaterial"]["publicKey"]["hint"], key(1).public().hint());
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    let statement: Value =
        serde_json::from_slice(&base64::Engine::decode(&base64::prelude::BASE64_STANDARD, payload).unwrap()).unwrap();
    assert_eq!(
        statement,
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": REPOSITORY, "digest": {"sha256": fixture.image.digest().digest()}}],
            "predicateType": SIGNATURE,
            "predicate": {},
        })
    );
    let tag = tag_of(fixture.image.digest(), "sig");
    let manifest = fixture.layout.read_manifest(&fixture.layout.resolve(&tag).unwrap().unwrap()).unwrap();
    let mut text = String::new();
    fixture.layout.open_blob(&manifest.layers()[0]).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(
        text,
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"{REPOSITORY}"}},"image":{{"docker-manifest-digest":"{}"}},"type":"cosign container image signature"}},"optional":null}}"#,
            fixture.image.digest()
        )
    );
    // Readers of images take it for one: as many layers as the configuration says.
    let sig = Image::by_name(&fixture.layout, &tag, None).unwrap();
    assert_eq!(sig.layers().len(), 1);
}

#[test]
fn signing_again_changes_nothing_and_another_key_adds() {
    let fixture = Fixture::signed();
    let before = fixture.layout.index().unwrap();
    sign(&fixture.layout, &fixture.image, REPOSITORY, &key(1)).unwrap();
    assert_eq!(fixture.layout.index().unwrap(), before);
    sign(&fixture.layout, &fixture.image, REPOSITORY, &key(2)).unwrap();
    assert_eq!(fixture.judge(&[&key(1), &key(2)]).len(), 4);
    assert_eq!(refusals(&fixture.judge(&[&key(2)])).iter().filter(|said| *said == "ok").count(), 2);
}

#[test]
fn another_key_proves_nothing() {
    let fixture = Fixture::signed();
    assert_eq!(refusals(&fixture.judge(&[&key(2)])), ["made by none of the keys"; 2]);
    assert_eq!(refusals(&fixture.judge(&[])), ["made by none of the keys"; 2]);
}

#[test]
fn a_signature_of_another_image_proves_nothing() {
    let fixture = Fixture::signed();
    let other = image(&fixture.layout, "other");
    fixture.layout.tag("other", other.descriptor().clone()).unwrap();
    // Everything that was made for the first is moved to the second.
    let artifact = Artifact::new(BUNDLE_TYPE).blob(BUNDLE_TYPE, fixture.bundle().to_string());
    fixture.layout.attach(other.descriptor(), &artifact, Attach::Beside).unwrap();
    let sig = fixture.layout.resolve(&tag_of(fixture.image.digest(), "sig")).unwrap().unwrap();
    fixture.layout.tag(&tag_of(other.digest(), "sig"), sig).unwrap();
    let records = judge(&fixture.layout, other.digest(), &Signers::from(vec![key(1).public().clone()])).unwrap();
    assert_eq!(
        refusals(&records),
        [format!("is about {}", fixture.image.digest()), format!("is about {}", fixture.image.digest())]
    );
}

#[test]
fn a_bundle_that_was_tampered_with_proves_nothing() {
    let fixture = Fixture::signed();
    let good = fixture.bundle();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut bundle = good.clone();
        change(&mut bundle);
        bundle
    };
    let claim = |digest: &str| {
        let statement = json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": SIGNATURE, "predicate": {},
            "subject": [{"name": REPOSITORY, "digest": {"sha256": digest}}]});
        base64::Engine::encode(&base64::prelude::BASE64_STANDARD, statement.to_string())
    };
    let hex = fixture.image.digest().digest().to_owned();
    for (what, bundle, said) in [
        ("no signatures", with(&|it| it["dsseEnvelope"]["signatures"] = json!([])), "cannot be read"),
        (
            "an empty signature",
            with(&|it| it["dsseEnvelope"]["signatures"][0]["sig"] = json!("")),
            "holds no signature",
        ),
        (
            "two signatures",
            with(&|it| {
                let one = it["dsseEnvelope"]["signatures"][0].clone();
                it["dsseEnvelope"]["signatures"] = json!([one, one]);
            }),
            "cannot be read",
        ),
        ("another payload", with(&|it| it["dsseEnvelope"]["payload"] = json!(claim(&hex))), "none of the keys"),
        (
            "another type of payload",
            with(&|it| it["dsseEnvelope"]["payloadType"] = json!("text/plain")),
            "cannot be read",
        ),
        ("no material", with(&|it| it["verificationMaterial"] = json!({})), "cannot be read"),
        (
            "a future version",
            with(&|it| it["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v9+json")),
            "cannot be read",
        ),
        ("nothing", json!({}), "cannot be read"),
    ] {
        fixture.attach(&bundle);
        let records = fixture.judge(&[&key(1)]);
        let found = records.iter().find(|record| record.form == Form::Bundle).unwrap();
        assert!(found.refused.as_ref().is_some_and(|refusal| refusal.to_string().contains(said)), "{what}: {found:?}");
    }
}

#[test]
fn a_bundle_is_found_by_what_it_is_not_by_what_the_index_says() {
    let fixture = Fixture::signed();
    // As cosign up to 3.1.2 lists its bundles.
    let mut entry = fixture.layout.referrers(fixture.image.digest()).unwrap().remove(0).descriptor;
    entry.set_artifact_type(Some(MediaType::EmptyJSON));
    entry.set_annotations(None);
    fixture.layout.list(entry).unwrap();
    assert_eq!(refusals(&fixture.judge(&[&key(1)])), ["ok"; 2]);
}

#[test]
fn a_damaged_simple_signature_proves_nothing_and_hides_no_other() {
    let fixture = Fixture::new();
    let payload =
        |text: &str| fixture.layout.write_blob(text.as_bytes(), MediaType::from(simple::PAYLOAD_TYPE)).unwrap();
    let annotated = |mut layer: Descriptor, signature: &str| {
        layer.set_annotations(Some(HashMap::from([(simple::SIGNATURE_ANNOTATION.to_owned(), signature.to_owned())])));
        layer
    };
    let good = Payload::bytes(REPOSITORY, &fixture.image);
    let missing = Descriptor::new(MediaType::from(simple::PAYLOAD_TYPE), 3, sha256(b"abc"));
    let layers = [
        payload("{}"),
        payload(&good),
        annotated(payload(&good), "not base64!"),
        annotated(payload(&good), "AAAA"),
        annotated(missing, "AAAA"),
    ];
    let config = fixture.layout.write_json(&json!({}), MediaType::ImageConfig).unwrap();
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
    let descriptor = fixture.layout.write_json(&manifest, MediaType::ImageManifest).unwrap();
    fixture.layout.tag(&tag_of(fixture.image.digest(), "sig"), descriptor).unwrap();
    let said = refusals(&fixture.judge(&[&key(1)]));
    assert_eq!(said[1..4], ["holds no signature", "holds no signature", "made by none of the keys"]);
    assert!(said[0].starts_with("cannot be read") && said[4].starts_with("cannot be read"), "{said:?}");
    // Ours is added beside them.
    sign(&fixture.layout, &fixture.image, REPOSITORY, &key(1)).unwrap();
    assert!(fixture.opinions().iter().all(|(_, accepts)| *accepts));
}

struct Payload;

impl Payload {
    fn bytes(repository: &str, image: &Image) -> String {
        serde_json::to_string(&simple::Payload::new(repository, image.digest())).unwrap()
    }
}

#[test]
fn every_reader_has_its_own_blind_spot() {
    let unsigned = Fixture::new();
    assert_eq!(unsigned.opinions(), [("imgbuild", false), ("cosign2", false), ("cosign3", false), ("podman", false)]);

    let simple_only = Fixture::new();
    simple::add(&simple_only.layout, simple_only.image.digest(), REPOSITORY, &key(1)).unwrap();
    assert_eq!(simple_only.opinions(), [("imgbuild", true), ("cosign2", true), ("cosign3", true), ("podman", true)]);

    // The trap: somebody else's bundle, and cosign 3 no longer looks at the signature.
    attest(&simple_only.layout, &simple_only.image, REPOSITORY, &bom(), &key(9)).unwrap();
    assert_eq!(simple_only.opinions(), [("imgbuild", true), ("cosign2", true), ("cosign3", false), ("podman", true)]);

    let bundle_only = Fixture::signed();
    bundle_only.layout.remove_name(&tag_of(bundle_only.image.digest(), "sig")).unwrap();
    assert_eq!(bundle_only.opinions(), [("imgbuild", true), ("cosign2", false), ("cosign3", true), ("podman", false)]);

    // An attestation is no signature, whatever cosign 3 thinks.
    let attested = Fixture::new();
    attest(&attested.layout, &attested.image, REPOSITORY, &bom(), &key(1)).unwrap();
    assert_eq!(attested.opinions(), [("imgbuild", false), ("cosign2", false), ("cosign3", true), ("podman", false)]);

    let tagged = Fixture::new();
    simple::add(&tagged.layout, tagged.image.digest(), &format!("{REPOSITORY}:1"), &key(1)).unwrap();
    assert_eq!(tagged.opinions(), [("imgbuild", true), ("cosign2", true), ("cosign3", true), ("podman", true)]);

    let elsewhere = Fixture::new();
    sign(&elsewhere.layout, &elsewhere.image, "registry.example.com/other", &key(1)).unwrap();
    assert_eq!(elsewhere.opinions(), [("imgbuild", false), ("cosign2", true), ("cosign3", true), ("podman", false)]);
}

fn bom() -> Predicate {
    Predicate::parse("cyclonedx", br#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#).unwrap()
}

#[test]
fn attestations_are_of_their_type() {
    let fixture = Fixture::new();
    attest(&fixture.layout, &fixture.image, REPOSITORY, &bom(), &key(1)).unwrap();
    let records = fixture.judge(&[&key(1)]);
    assert_eq!(records[0].predicate_type.as_deref(), Some(CYCLONEDX));
    assert!(records[0].is_verified() && !records[0].is_signature());
    for (type_, text) in [
        ("cyclonedx", "{}"),
        ("cyclonedx", "not json"),
        ("slsaprovenance1", r#"{"buildType":"x"}"#),
        ("https://example.com/type", "[]"),
    ] {
        assert!(Predicate::parse(type_, text.as_bytes()).is_err(), "{type_} {text}");
    }
    assert!(Predicate::parse("https://example.com/type", b"{}").is_ok());
}

#[test]
fn an_older_attestation_is_read_as_cosign_writes_it() {
    let fixture = Fixture::new();
    let statement = |digest: &str| {
        json!({"_type": "https://in-toto.io/Statement/v0.1", "predicateType": CYCLONEDX, "predicate": {},
            "subject": [{"digest": {"sha256": digest}}]})
    };
    let envelope = |statement: &Value| {
        let sealed = dsse::seal_statement(statement.to_string().as_bytes(), &key(1));
        fixture.layout.write_json(&sealed, MediaType::from(simple::ENVELOPE_TYPE)).unwrap()
    };
    let mut unversioned = statement(fixture.image.digest().digest());
    unversioned["_type"] = json!("https://in-toto.io/Statement/v9");
    let layers = [
        envelope(&statement(fixture.image.digest().digest())),
        envelope(&statement(sha256(b"other").digest())),
        envelope(&unversioned),
        fixture.layout.write_blob(b"{}", MediaType::from(simple::ENVELOPE_TYPE)).unwrap(),
    ];
    let config = fixture.layout.write_json(&json!({}), MediaType::ImageConfig).unwrap();
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
    let descriptor = fixture.layout.write_json(&manifest, MediaType::ImageManifest).unwrap();
    fixture.layout.tag(&tag_of(fixture.image.digest(), "att"), descriptor).unwrap();
    let records = fixture.judge(&[&key(1)]);
    assert!(records.iter().all(|record| record.form == Form::Envelope));
    let said = refusals(&records);
    assert_eq!(said[..2], ["ok".to_owned(), format!("is about {}", sha256(b"other"))]);
    assert!(said[2..].iter().all(|said| said.starts_with("cannot be read")), "{said:?}");
}

#[test]
fn only_a_repository_without_a_tag_counts_by_repository() {
    let fixture = Fixture::signed();
    let records = fixture.judge(&[&key(1)]);
    let target = Target::registry(format!("{REPOSITORY}:1").parse().unwrap());
    let mirror: Target = "docker://mirror.example.com/app:1".parse().unwrap();
    let exact = |text: &str| Identity::ExactRepository { docker_repository: text.to_owned() };
    let remap = Identity::RemapIdentity {
        prefix: "mirror.example.com".into(),
        signed_prefix: "registry.example.com/fleet".into(),
    };
    for (what, identity, target, accepted) in [
        ("repository", Some(Identity::MatchRepository {}), &target, true),
        // What a policy means that says nothing about identity.
        ("nothing", None, &target, false),
        ("exact", Some(Identity::MatchExact {}), &target, false),
        ("the mirror's name", Some(Identity::MatchRepository {}), &mirror, false),
        ("the signed name", Some(exact(REPOSITORY)), &mirror, true),
        ("a part of the name", Some(exact("registry.example.com/fleet")), &mirror, false),
        ("remapped", Some(remap), &mirror, false),
    ] {
        let wanted = SigstoreSigned { signed_identity: identity, ..SigstoreSigned::default() };
        let policy = Policy { default: vec![Requirement::SigstoreSigned(Box::new(wanted))], transports: [].into() };
        let outcome = decide(&policy, target).evaluate(target, |_| Ok::<_, ()>(Ok(records.clone()))).unwrap();
        assert_eq!(matches!(outcome, Outcome::Accepted { .. }), accepted, "{what}: {outcome:?}");
    }
}
