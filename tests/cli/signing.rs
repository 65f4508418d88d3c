//! Keys, signatures, attestations and policies, as files and exit codes.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::base;
use super::project::{Finished, Project};

const PUBLISH: &str = "\n[publish]\nto = \"registry.example.com/fleet\"\n";
const POLICY: &str = "\n[policy]\nkeys = [\"fleet.pub\"]\n";
const PASSPHRASE: &str = "correct horse battery";

/// A built host, keys of its owner and of somebody else.
fn built() -> Project {
    let (project, _) = base::project(&base::layers());
    project.write("hosts/db.toml", "version = 1\n");
    let text = project.read("imgbuild.toml") + PUBLISH + POLICY;
    project.write("imgbuild.toml", &text);
    project.run(&["keys", "generate", "fleet", "--no-passphrase"]).success();
    project.run(&["keys", "generate", "other", "--no-passphrase"]).success();
    project.run(&["build"]).success();
    project
}

fn with_passphrase(project: &Project, passphrase: &str, arguments: &[&str]) -> Finished {
    let mut command = project.command(arguments);
    Finished::of(&command.env("COSIGN_PASSWORD", passphrase).output().unwrap())
}

#[test]
fn a_key_is_its_owners_and_never_overwritten() {
    let project = Project::new(&[]);
    let pair = with_passphrase(&project, PASSPHRASE, &["keys", "generate", "release", "--json"]).success().json();
    assert_eq!(pair["encrypted"], true);
    let key = project.file("release.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&key).unwrap();
    assert!(String::from_utf8_lossy(&before).starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----"));
    with_passphrase(&project, PASSPHRASE, &["keys", "generate", "release"])
        .failure(1, &["release.key", "never overwritten"]);
    fs::remove_file(&key).unwrap();
    with_passphrase(&project, PASSPHRASE, &["keys", "generate", "release"]).failure(1, &["release.pub"]);
    assert!(!key.exists(), "nothing is left half done");
    assert_eq!(fs::metadata(project.file("release.pub")).unwrap().nlink(), 1);
}

#[test]
fn a_passphrase_opens_its_key_and_is_never_shown() {
    let project = built();
    with_passphrase(&project, PASSPHRASE, &["keys", "generate", "release"]).success();
    let sign = ["sign", "tier3/db", "--key", "release.key"];
    with_passphrase(&project, PASSPHRASE, &sign).success();
    let wrong = with_passphrase(&project, "wrong horse", &sign).failure(1, &["release.key", "passphrase is wrong"]);
    assert!(!wrong.stderr.contains("horse"), "{}", wrong.stderr);
    // An empty one is one.
    with_passphrase(&project, "", &sign).failure(1, &["passphrase is wrong"]);
    let mut ours = project.command(&sign);
    Finished::of(&ours.env("COSIGN_PASSWORD", "no").env("IMGBUILD_KEY_PASSPHRASE", PASSPHRASE).output().unwrap())
        .success();
    for (key, said) in [("none.key", "none.key"), ("fleet.pub", "expected a private key"), ("imgbuild.toml", "PEM")] {
        project.run(&["sign", "tier3/db", "--key", key]).failure(1, &[said]);
    }
}

#[test]
fn an_image_is_accepted_by_everybody_or_the_reason_is_told() {
    let project = built();
    let all = ["verify", "tier3/db", "--key", "fleet.pub", "--as", "imgbuild,cosign2,cosign3,podman"];
    project.run(&all).code(14);
    project.run(&["sign", "tier3/db", "--key", "fleet.key"]).success();
    project.run(&all).success();
    let refused = project.run(&["verify", "tier3/db", "--key", "other.pub", "--json"]).code(14).json();
    assert_eq!(refused["opinions"][0]["accepts"], false);
    assert_eq!(refused["records"][0]["refused"], "made by none of the keys");
    // One of several keys is enough; a name it was not signed for is not.
    project.run(&["verify", "tier3/db", "--key", "other.pub", "--key", "fleet.pub"]).success();
    let elsewhere = ["--reference", "registry.example.com/else:1"];
    project.run(&[&all[..4], &elsewhere].concat()).code(14);
    project.run(&["verify", "tier1/base", "--key", "fleet.pub"]).code(14);
    project.run(&["verify", "tier3/none", "--key", "fleet.pub"]).failure(1, &["tier3/none"]);
    project.run(&["images"]).success();
    assert_eq!(project.images().len(), 2, "signatures are no images");
}

#[test]
fn a_layout_elsewhere_is_signed_in_place_and_still_holds_one_image() {
    let (project, _) = base::project(&base::layers());
    let layout = format!("oci:{}", project.place("upstream").display());
    project.run(&["keys", "generate", "fleet", "--no-passphrase"]).success();
    let sign = ["sign", &layout, "--key", "fleet.key"];
    project.run(&sign).failure(1, &["--repository"]);
    for (repository, said) in [("short", "no repository"), ("registry.example.com/x:1", "no repository")] {
        project.run(&[&sign[..], &["--repository", repository]].concat()).failure(1, &[said]);
    }
    project.run(&[&sign[..], &["--repository", "registry.example.com/x"]].concat()).success();
    project.run(&["verify", &layout, "--key", "fleet.pub", "--as", "cosign2,cosign3,podman"]).success();
    project.run(&["inspect", &layout]).success();
    project.run(&["verify", "docker://registry.example.com/x:1", "--key", "fleet.pub"]).failure(1, &["oci:"]);
    let identity = ["verify", &layout, "--certificate-identity", "me", "--certificate-oidc-issuer", "us"];
    project.run(&identity).failure(2, &["--trusted-root"]);
    project.write("root.json", "{}");
    project.run(&[&identity[..], &["--trusted-root", "root.json"]].concat()).failure(1, &["root.json", "trusted root"]);
}

#[test]
fn a_job_is_told_who_it_would_sign_as() {
    let project = Project::new(&[]);
    project.run(&["keys", "identity"]).failure(1, &["SIGSTORE_ID_TOKEN is not set", "id_tokens"]);
    let with_token = |claims: &str| {
        let encode = |text: &str| base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, text);
        let token = format!("{}.{}.c2VjcmV0", encode("{}"), encode(claims));
        let mut command = project.command(&["keys", "identity"]);
        Finished::of(&command.env("SIGSTORE_ID_TOKEN", token).output().unwrap())
    };
    let claims = |aud: &str| {
        format!(
            r#"{{"iss":"https://gitlab.com","aud":"{aud}","exp":99999999999,"ci_config_ref_uri":"gitlab.com/g/p//.gitlab-ci.yml@refs/heads/main"}}"#
        )
    };
    let told = with_token(&claims("sigstore")).success().stdout;
    assert!(told.contains("--certificate-identity https://gitlab.com/g/p//.gitlab-ci.yml@refs/heads/main\n"), "{told}");
    let refused = with_token(&claims("vault")).failure(1, &["audience is `vault`"]);
    assert!(!refused.stderr.contains("c2VjcmV0"), "{}", refused.stderr);
}

#[test]
fn signing_twice_leaves_one_signature_and_gc_keeps_it() {
    let project = built();
    let index = || fs::read(project.store().join("oci/index.json")).unwrap();
    project.run(&["sign", "tier1/base", "tier3/db", "--key", "fleet.key"]).success();
    let once = index();
    project.run(&["sign", "tier1/base", "tier3/db", "--key", "fleet.key"]).success();
    project.run(&["gc"]).success();
    assert_eq!(index(), once);
    // The host is built anew as another image: what was said about the old one goes with it.
    project.write("hosts/db.toml", "version = 1\nkargs = [\"debug\"]\n");
    project.run(&["build"]).success();
    project.run(&["gc"]).success();
    project.run(&["verify", "tier3/db", "--key", "fleet.pub"]).code(14);
    assert_eq!(String::from_utf8(index()).unwrap().matches(".sig\"").count(), 1, "that of tier1/base");
}

#[test]
fn attestations_are_signed_and_can_be_asked_for() {
    let project = built();
    project.run(&["sign", "tier3/db", "--key", "fleet.key"]).success();
    let ask = ["verify", "tier3/db", "--key", "fleet.pub", "--attestation", "slsaprovenance1"];
    project.run(&ask).code(14);
    let attest = ["attest", "tier3/db", "--type", "slsaprovenance1", "--key", "fleet.key"];
    project.run(&["attest", "tier1/base", "--type", "slsaprovenance1", "--key", "fleet.key"]).success();
    project.run(&attest).success();
    project.run(&ask).success();
    project.write("bom.json", r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#);
    let bom = ["attest", "tier3/db", "--type", "cyclonedx", "--key", "fleet.key", "--predicate"];
    project.run(&[&bom[..], &["bom.json"]].concat()).success();
    project.run(&[&ask[..], &["--attestation", "cyclonedx"]].concat()).success();
    project.run(&[&bom[..], &["imgbuild.toml"]].concat()).failure(1, &["not JSON"]);
    project.run(&["attest", "tier3/db", "--type", "cyclonedx", "--key", "fleet.key"]).failure(2, &["--predicate"]);
    // A lock that the image was not built from says nothing about it.
    let epoch = |seconds: &str| {
        let mut command = project.command(&attest);
        Finished::of(&command.env("SOURCE_DATE_EPOCH", seconds).output().unwrap())
    };
    epoch("1234567890").failure(1, &["another lock"]);
}

#[test]
fn a_host_carries_the_policy_that_accepts_its_own_images() {
    let project = built();
    let policy = project.run(&["policy", "render", "/etc/containers/policy.json"]).success().stdout;
    project.write("host/etc/containers/policy.json", &policy);
    let rendered = project.run(&["policy", "render", "--json"]).success().json();
    for (path, content) in rendered.as_object().unwrap() {
        project.write(&format!("host{path}"), content.as_str().unwrap());
    }
    let file = ["--policy", "host/etc/containers/policy.json"];
    for (image, code) in [
        ("docker://registry.example.com/fleet/tier3/db:1", 0),
        ("docker://registry.example.com/else:1", 14),
        ("containers-storage:localhost/x", 0),
        ("dir:/srv/x", 14),
    ] {
        project.run(&["policy", "test", image]).code(code);
        project.run(&[&["policy", "test", image], &file[..]].concat()).code(code);
    }
    project.run(&["policy", "test", "nonsense:/x"]).failure(1, &["unknown transport"]);
    let under = [
        "verify",
        "tier3/db",
        "--reference",
        "registry.example.com/fleet/tier3/db:1",
        "--root",
        "host",
        "--as",
        "podman",
    ];
    project.run(&[&under[..], &file[..]].concat()).code(14);
    project.run(&["sign", "tier3/db", "--key", "other.key"]).success();
    project.run(&[&under[..], &file[..]].concat()).code(14);
    project.run(&["sign", "tier3/db", "--key", "fleet.key"]).success();
    project.run(&[&under[..], &file[..]].concat()).success();
    project.write("bad.json", &policy.replacen("\"default\"", "\"extra\": 1, \"default\"", 1));
    project.run(&[&under[..], &["--policy", "bad.json"]].concat()).failure(1, &["no policy", "unknown field `extra`"]);
}

#[test]
fn the_policy_is_part_of_the_image() {
    let project = built();
    let before = project.images();
    let layer = host_layer(&project);
    for path in ["etc/containers/policy.json", "etc/containers/registries.d/imgbuild.yaml", "etc/pki/containers/"] {
        assert!(layer.iter().any(|found| found.starts_with(path)), "{path} is not in {layer:?}");
    }
    // Another key is another image; a host that writes the file itself is in the way.
    fs::copy(project.file("other.pub"), project.file("fleet.pub")).unwrap();
    project.run(&["build"]).success();
    assert_ne!(project.images(), before);
    project.write("hosts/db.toml", "version = 1\n[[file]]\npath = \"/etc/containers/policy.json\"\ncontent = \"{}\"\n");
    project.run(&["build"]).failure(1, &["/etc/containers/policy.json", "[policy]"]);
}

fn host_layer(project: &Project) -> Vec<String> {
    let (_, digest) = project.images().into_iter().find(|(name, _)| name == "tier3/db").unwrap();
    let blob = |digest: &str| project.store().join("oci/blobs/sha256").join(digest.strip_prefix("sha256:").unwrap());
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(blob(&digest)).unwrap()).unwrap();
    let layer = manifest["layers"].as_array().unwrap().last().unwrap()["digest"].as_str().unwrap();
    let file = fs::File::open(blob(layer)).unwrap();
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let entries = tar.entries().unwrap();
    entries.map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().to_owned()).collect()
}
