//! SBOMs: beside every image that is built, and of any image.

use std::fs;

use serde_json::Value;

use super::base::{self, Tree, file};
use super::project::Project;

const TYPE: &str = "application/vnd.cyclonedx+json";

const STATUS: &str = "Package: tiny\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\
                      Maintainer: Ada <ada@example.org>\n";

/// The tiny distribution with this status file of dpkg.
fn layers(status: &str) -> Vec<Tree> {
    let mut layers = base::layers();
    let path = |name: &str| format!("usr/lib/sysimage{name}");
    layers[0].extend([
        (path(""), base::Item::Dir),
        (path("/dpkg"), base::Item::Dir),
        (path("/dpkg/status"), file(status)),
    ]);
    layers
}

fn built() -> Project {
    let (project, _) = base::project(&layers(STATUS));
    project.write("hosts/a.toml", "version = 1\n");
    project.write("hosts/b.toml", "version = 1\nkargs = [\"quiet\"]\n");
    project.run(&["build"]).success();
    project
}

fn blob(project: &Project, descriptor: &Value) -> Vec<u8> {
    let name = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    fs::read(project.store().join("oci/blobs/sha256").join(name)).unwrap()
}

/// Manifests of the SBOMs that refer to an image.
fn referrers(project: &Project, image: &str) -> Vec<Value> {
    let index: Value = serde_json::from_str(&project.read(".imgbuild/oci/index.json")).unwrap();
    let listed = index["manifests"].as_array().unwrap().iter().filter(|entry| entry["artifactType"] == TYPE);
    let manifests = listed.map(|entry| serde_json::from_slice::<Value>(&blob(project, entry)).unwrap());
    manifests.filter(|manifest| manifest["subject"]["digest"] == image).collect()
}

/// The document beside an image.
fn attached(project: &Project, image: &str) -> String {
    let manifests = referrers(project, image);
    let [manifest] = manifests.as_slice() else { panic!("{} SBOMs of {image}", manifests.len()) };
    assert_eq!(manifest["artifactType"], TYPE);
    assert_eq!(manifest["layers"][0]["mediaType"], TYPE);
    String::from_utf8(blob(project, &manifest["layers"][0])).unwrap()
}

#[test]
fn every_image_has_one_and_the_command_prints_the_same() {
    let project = built();
    for (name, digest) in project.images() {
        let document = attached(&project, &digest);
        let kept = project.run(&["sbom", &name]).success().says(&["as it was built"]);
        let made = project.run(&["sbom", &name, "--scanner", "native"]).success();
        assert_eq!(made.stdout, format!("{document}\n"), "{name}");
        assert_eq!(kept.stdout, made.stdout, "{name}");
        let old = |scanner: &str| {
            let format = "cyclonedx-json@1.5";
            project.run(&["sbom", &name, "--scanner", scanner, "--format", format]).success().stdout
        };
        assert_eq!(old("auto"), old("native"), "{name}");
        let parsed: Value = serde_json::from_str(&document).unwrap();
        assert_eq!(parsed["specVersion"], "1.6");
        assert_eq!(parsed["metadata"]["component"]["version"], digest);
        assert_eq!(parsed["components"][1]["purl"], "pkg:deb/tiny/tiny@1?arch=all&distro=tiny-1");
        let shown = project.run(&["inspect", &name]).success().stdout;
        assert!(shown.contains("sbom          sha256:"), "{shown}");
    }
    let parsed = project.run(&["sbom", "tier3/a"]).success().json();
    let links = parsed["metadata"]["component"]["externalReferences"].as_array().unwrap();
    let below = project.run(&["sbom", "tier1/base"]).success().json();
    let serial = below["serialNumber"].as_str().unwrap().strip_prefix("urn:uuid:").unwrap().to_owned();
    assert_eq!(links[0]["url"], format!("urn:cdx:{serial}/1"));
}

#[test]
fn a_second_build_makes_the_same_bytes_and_keeps_one() {
    let project = built();
    let documents = |project: &Project| {
        let images = project.images();
        images.iter().map(|(_, digest)| attached(project, digest)).collect::<Vec<_>>()
    };
    let first = documents(&project);
    project.run(&["build", "--locked"]).success();
    assert_eq!(documents(&project), first);
    fs::remove_dir_all(project.store()).unwrap();
    project.run(&["build", "--locked"]).success();
    assert_eq!(documents(&project), first, "in a new store");
    project.run(&["gc"]).success();
    assert_eq!(documents(&project), first, "nothing that is in use is removed");
    project.run(&["build", "--locked", "--reuse"]).success();
    assert_eq!(documents(&project), first);
    assert_eq!(project.run(&["gc"]).success().stdout, "freed 0 B in 0 files\n");
}

#[test]
fn a_host_that_changes_what_is_listed_is_read_again() {
    let project = built();
    project.write(
        "hosts/a.toml",
        "version = 1\n[[file]]\npath = \"/usr/lib/os-release\"\ncontent = \"ID=other\\nVERSION_ID=2\\n\"\n",
    );
    project.run(&["build", "--locked"]).success();
    let parsed = project.run(&["sbom", "tier3/a"]).success();
    let digest = project.images().into_iter().find(|(name, _)| name == "tier3/a").unwrap().1;
    assert_eq!(parsed.stdout, format!("{}\n", attached(&project, &digest)));
    assert!(parsed.stdout.contains("pkg:deb/other/tiny@1?arch=all&distro=other-2"));
}

#[test]
fn formats_and_files() {
    let project = built();
    project.run(&["sbom", "tier1/base", "--format", "cyclonedx-json@1.5", "-o", "out/old.json"]).success();
    let document: Value = serde_json::from_str(&project.read("out/old.json")).unwrap();
    assert_eq!(document["specVersion"], "1.5");
    project.run(&["sbom", "tier1/base", "--format", "spdx"]).failure(2, &["cyclonedx-json@1.6"]);
    project.run(&["sbom", "tier1/none"]).failure(1, &["tier1/none"]);
}

#[test]
fn an_image_from_elsewhere_is_listed_too() {
    let (project, _) = base::project(&layers(STATUS));
    let document = project.run(&["sbom", "oci:../upstream:tiny"]).success().json();
    assert_eq!(document["metadata"]["lifecycles"][0]["phase"], "post-build");
    assert_eq!(document["components"][1]["name"], "tiny");
}

#[test]
fn without_a_database_auto_asks_syft_when_it_is_there() {
    let (project, _) = base::project(&base::layers());
    let bare = project.run(&["sbom", "oci:../upstream:tiny"]).success().json();
    assert_eq!(bare["compositions"][0]["aggregate"], "complete", "its kernel");
    assert_eq!(bare["compositions"][1]["aggregate"], "unknown", "the rest");
    project.run(&["sbom", "oci:../upstream:tiny", "--scanner", "syft"]).failure(1, &["syft"]);

    let syft = r#"case "$1" in --version) echo 'syft 1.18.1' ;; *)
        echo '{"components": [{"type": "library", "name": "x", "purl": "pkg:pypi/x@1"}]}' ;; esac"#;
    let project = project.with_fakes(&[("syft", syft)]);
    let found = project.run(&["sbom", "oci:../upstream:tiny"]).success().json();
    let purls: Vec<_> = found["components"].as_array().unwrap().iter().map(|component| &component["purl"]).collect();
    assert!(purls.contains(&&Value::from("pkg:pypi/x@1")), "{purls:?}");
    assert_eq!(found["metadata"]["tools"]["components"][1]["version"], "1.18.1");
    let native = project.run(&["sbom", "oci:../upstream:tiny", "--scanner", "native"]).success().json();
    assert_eq!(native, bare);
}

#[test]
fn old_or_talkative_syft_is_refused() {
    for (script, said) in [
        ("echo 'syft 0.9.0'", "syft 0.9.0 is too old"),
        (
            "case \"$1\" in --version) echo 'syft 1.18.1' ;; *) echo hello ;; esac",
            "something else than a CycloneDX document",
        ),
    ] {
        let (project, _) = base::project(&layers(STATUS));
        let project = project.with_fakes(&[("syft", script)]);
        project.run(&["sbom", "oci:../upstream:tiny", "--scanner", "syft"]).failure(1, &[said]);
    }
}

#[test]
fn a_damaged_database_stops_the_build_and_is_named() {
    let (project, _) = base::project(&layers("Package: tiny\nno field\n"));
    project.write("hosts/a.toml", "version = 1\n");
    let said = ["package database /usr/lib/sysimage/dpkg/status", "line 2 is not a field"];
    project.run(&["sbom", "oci:../upstream:tiny"]).failure(1, &said);
    project.run(&["build"]).failure(1, &said);
}
