//! Tier 3 on a tiny distribution: files only, so no container tool and no privilege.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::Value;

use super::base;
use super::project::{Finished, Project};

const WEB: &str = r#"version = 1
hostname = "web.example.org"
kargs = ["quiet"]
[network.lan]
interface = "en*"
dhcp = true
[users.ada]
uid = 1000
ssh-keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMAO7blZkx9CRF35kL9a6PAxbg8nYoZIN+VRgSu6Te8X ada"]
[[file]]
path = "/etc/motd"
content = "hello\n"
mode = "0640"
owner = "daemon"
group = "adm"
[[link]]
path = "/etc/link"
target = "motd"
[[directory]]
path = "/etc/empty"
mode = "0700"
[units]
enable = ["demo.service"]
"#;

fn hosts() -> Project {
    let (project, _) = base::project(&base::layers());
    project.write("hosts/web.toml", WEB);
    project.write("hosts/db.toml", "version = 1\n");
    project
}

/// A JSON document of the store's layout.
fn blob(project: &Project, digest: &str) -> Value {
    let name = digest.strip_prefix("sha256:").unwrap();
    serde_json::from_slice(&fs::read(project.store().join("oci/blobs/sha256").join(name)).unwrap()).unwrap()
}

fn digests(project: &Project) -> BTreeMap<String, String> {
    project.images().into_iter().collect()
}

#[test]
fn one_lock_gives_the_same_digests_anywhere_and_anytime() {
    let project = hosts();
    project.run(&["build"]).success();
    let first = digests(&project);
    assert_eq!(first.keys().collect::<Vec<_>>(), ["tier1/base", "tier3/db", "tier3/web"]);

    fs::remove_dir_all(project.store()).unwrap();
    project.run(&["build", "--locked"]).success();
    assert_eq!(digests(&project), first);

    let elsewhere = hosts();
    fs::copy(project.file("imgbuild.lock"), elsewhere.file("imgbuild.lock")).unwrap();
    let mut later = elsewhere.command(&["tier3", "--all", "--locked"]);
    Finished::of(&later.env("TZ", "Asia/Tokyo").env("LANG", "de_DE.UTF-8").output().unwrap()).success();
    assert_eq!(digests(&elsewhere), first);

    project.write("hosts/db.toml", "version = 1\nkargs = [\"debug\"]\n");
    project.run(&["build", "--locked"]).success();
    let changed = digests(&project);
    assert_eq!(changed["tier3/web"], first["tier3/web"]);
    assert_ne!(changed["tier3/db"], first["tier3/db"]);
}

#[test]
fn a_host_begins_with_exactly_its_base() {
    let (project, base) = base::project(&base::layers());
    project.write("hosts/web.toml", WEB);
    project.run(&["build"]).success();
    let images = digests(&project);
    assert_eq!(images["tier1/base"], base.digest().to_string(), "a mirrored image keeps its digest");

    let upstream: Value = serde_json::from_slice(base.manifest_bytes()).unwrap();
    let manifest = blob(&project, &images["tier3/web"]);
    let layers = manifest["layers"].as_array().unwrap();
    let (below, own) = layers.split_at(2);
    assert_eq!(below, upstream["layers"].as_array().unwrap(), "descriptor by descriptor");
    assert_eq!(own.len(), 1);
    assert_eq!(manifest["annotations"]["org.opencontainers.image.base.digest"], images["tier1/base"]);

    let config = blob(&project, manifest["config"]["digest"].as_str().unwrap());
    let base_config: Value = serde_json::from_slice(base.config_bytes()).unwrap();
    let diff_ids = |config: &Value| config["rootfs"]["diff_ids"].as_array().unwrap().clone();
    assert_eq!(diff_ids(&config)[..2], diff_ids(&base_config));
    assert_eq!(config["config"]["Labels"]["containers.bootc"], "1", "the base's labels stay");
    assert_eq!(config["config"]["Labels"]["dev.imgbuild.host"], "web");
}

#[test]
fn tar_reads_the_host_layer() {
    let project = hosts();
    project.run(&["build"]).success();
    let manifest = blob(&project, &digests(&project)["tier3/web"]);
    let layer = manifest["layers"][2]["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let file = project.store().join("oci/blobs/sha256").join(layer);
    let tar = |arguments: &[&str]| {
        let output = Command::new("tar").args(arguments).arg("-f").arg(&file).output().unwrap();
        Finished::of(&output).success().stdout
    };
    let listed = tar(&["--list", "--verbose", "--numeric-owner", "--full-time", "--utc"]);
    let line = |path: &str| {
        let found = listed.lines().find(|line| line.split_whitespace().nth(5) == Some(path));
        found.unwrap_or_else(|| panic!("{path}: {listed}")).to_owned()
    };
    assert!(line("etc/motd").starts_with("-rw-r----- 1/4 "), "{listed}");
    assert!(line("etc/empty/").starts_with("drwx------ 0/0 "), "{listed}");
    assert!(line("etc/link").ends_with(" -> motd"), "{listed}");
    let unit = "etc/systemd/system/multi-user.target.wants/demo.service";
    assert!(line(unit).ends_with("demo.service"), "{listed}");
    assert!(!listed.contains("usr/lib/modules"), "the base's files are not in it: {listed}");

    for (path, expected) in [
        ("etc/motd", "hello\n"),
        ("etc/hostname", "web.example.org\n"),
        ("etc/systemd/network/20-lan.network", "DHCP=yes"),
    ] {
        assert!(tar(&["--extract", "--to-stdout", path]).contains(expected), "{path}");
    }
    let kargs = listed.lines().find(|line| line.contains("usr/lib/bootc/kargs.d/")).expect("kernel arguments");
    assert!(tar(&["--extract", "--to-stdout", kargs.split_whitespace().nth(5).unwrap()]).contains("\"quiet\""));
}

#[test]
fn a_secret_is_an_error_with_its_line_and_never_shown() {
    let body = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZWQ";
    let key = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n");
    let hash = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";
    let inline = format!("version = 1\n[[file]]\npath = \"/etc/key\"\ncontent = \"\"\"\n# a key\n{key}\"\"\"\n");
    let shadow = format!("version = 1\n\n[[file]]\npath = \"/etc/shadow\"\ncontent = \"root:{hash}:1::::::\\n\"\n");
    let named = "version = 1\n[[file]]\npath = \"/etc/key\"\nsource = \"secret.pem\"\n";
    for (host, place, what, hidden) in [
        (inline.as_str(), "hosts/db.toml:6", "a private key", body),
        (&shadow, "hosts/db.toml:5", "a password hash", &hash[20..]),
        (named, "secret.pem:2", "a private key", body),
    ] {
        let project = hosts();
        project.write("secret.pem", &format!("first line\n{key}"));
        project.write("hosts/db.toml", host);
        for arguments in [&["validate"][..], &["build"], &["tier3", "web"]] {
            let finished = project.run(arguments).failure(3, &[place, what, "would become part of an image layer"]);
            assert!(!finished.stderr.contains(hidden), "{}", finished.stderr);
        }
        assert!(project.images().is_empty());
    }
}

#[test]
fn two_builds_at_once_share_a_store() {
    for round in 0..3 {
        let project = hosts();
        project.run(&["lock"]).success();
        let runs = ["web", "db"].map(|host| project.start(&["tier3", host]));
        for run in runs {
            Finished::of(&run.wait_with_output().unwrap()).success();
        }
        let names: Vec<_> = project.images().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["tier1/base", "tier3/db", "tier3/web"], "round {round}");
        project.run(&["audit", "verify"]).success();
        assert!(project.stored("tmp").is_empty());
    }
}

#[test]
fn results_go_to_standard_output_and_everything_else_to_standard_error() {
    let project = hosts();
    let finished = project.run(&["build", "--json", "--progress", "json"]).success();
    let built = finished.json();
    let images: Vec<_> = built.as_array().unwrap().iter().map(|image| image["image"].as_str().unwrap()).collect();
    assert_eq!(images, ["tier1/base", "tier3/db", "tier3/web"]);
    let lines: Vec<Value> = finished.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let started = lines.iter().filter(|line| line["event"] == "started").count();
    let finished = lines.iter().filter(|line| line["event"] == "finished").count();
    assert!(started > 0 && started == finished, "{lines:?}");
    assert!(lines.iter().all(|line| line["time"].is_string() && line["step"].is_u64()), "{lines:?}");

    let plain = project.run(&["build"]).success();
    assert_eq!(plain.stdout.lines().count(), 3, "one line an image: {}", plain.stdout);
    assert!(plain.stderr.contains("build 2 hosts on tier1/base"), "{}", plain.stderr);
    let silent = project.run(&["build", "--progress", "none"]).success();
    assert_eq!(silent.stderr, "");

    for arguments in
        [&["images"][..], &["inspect", "tier3/web"], &["gc", "-n"], &["audit", "show"], &["lock"], &["plan"]]
    {
        let arguments = [&["--json", "--progress", "none"], arguments].concat();
        let finished = project.run(&arguments).success();
        assert!(!finished.json().is_null());
        assert_eq!(finished.stderr, "", "{arguments:?}");
    }
}

#[test]
fn unchanged_images_are_kept_only_when_asked() {
    let project = hosts();
    project.run(&["build"]).success();
    project.write("hosts/db.toml", "version = 1\nkargs = [\"debug\"]\n");
    let reused = |arguments: &[&str]| {
        let built = project.run(arguments).success().json();
        let all = built.as_array().unwrap().iter();
        all.filter(|image| image["reused"] == true)
            .map(|image| image["image"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(reused(&["build", "--json", "--reuse"]), ["tier1/base", "tier3/web"]);
    assert!(!reused(&["build", "--json"]).contains(&"tier3/web".to_owned()), "a full rebuild by default");
}

#[test]
fn images_are_inspected_wherever_they_are() {
    let project = hosts();
    project.run(&["build"]).success();
    let archive = project.file("base.tar");
    let packed =
        Command::new("tar").arg("-C").arg(project.place("upstream")).arg("-cf").arg(&archive).arg(".").status();
    assert!(packed.unwrap().success());
    let digest = &digests(&project)["tier1/base"];
    for image in ["tier1/base", "oci:../upstream:tiny", "oci:../upstream", "oci-archive:base.tar"] {
        let details = project.run(&["inspect", image, "--json"]).success().json();
        assert_eq!(details["digest"], **digest, "{image}");
        assert_eq!(details["kernels"], Value::from(vec![base::KVER]), "{image}");
    }
    project.run(&["inspect", "tier3/nobody"]).failure(1, &["`tier3/nobody` is not in the store", "imgbuild images"]);
    project.run(&["inspect", "oci:../nowhere"]).failure(1, &["../nowhere"]);
}

#[test]
fn a_host_follows_the_lock_and_the_lock_follows_only_when_told() {
    let (project, old) = base::project(&base::layers());
    project.write("hosts/db.toml", "version = 1\n");
    project.run(&["build"]).success();
    let new = base::write(&project.place("upstream"), &[base::layers().remove(0), base::kernel("6.13.0-tiny")]);

    project.run(&["build"]).success();
    assert_eq!(digests(&project)["tier1/base"], old.digest().to_string(), "a moved name changes nothing");
    fs::remove_dir_all(project.store()).unwrap();
    let said = [old.digest().to_string(), new.digest().to_string(), "imgbuild lock --update".to_owned()];
    project.run(&["build"]).failure(1, &said.each_ref().map(String::as_str));
    assert!(project.images().is_empty());

    project.run(&["lock"]).success();
    project.run(&["build"]).code(1);
    let changes = project.run(&["lock", "--update", "base"]).success().stdout;
    assert_eq!(changes, "tier1/base: kernel 6.13.0-tiny\n");
    project.run(&["tier3", "db"]).success();
    let images = digests(&project);
    assert_eq!(images["tier1/base"], new.digest().to_string());
    let annotations = blob(&project, &images["tier3/db"])["annotations"].clone();
    assert_eq!(annotations["org.opencontainers.image.base.digest"], new.digest().to_string());
}

#[test]
fn a_host_never_stands_on_yesterdays_base() {
    let (project, _) = base::project(&base::layers());
    project.write("hosts/db.toml", "version = 1\n");
    project.run(&["build"]).success();
    let new = base::write(&project.place("upstream"), &[base::layers().remove(0), base::kernel("6.13.0-tiny")]);
    project.run(&["lock", "--update"]).success();
    project.run(&["tier3", "db"]).success();
    let annotations = blob(&project, &digests(&project)["tier3/db"])["annotations"].clone();
    assert_eq!(annotations["org.opencontainers.image.base.digest"], new.digest().to_string());
}
