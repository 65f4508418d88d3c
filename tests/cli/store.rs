//! The store: listing, audit trail, giving back.

use std::fs;

use super::base;
use super::project::{Project, names_in};

fn built() -> Project {
    let (project, _) = base::project(&base::layers());
    project.write("hosts/a.toml", "version = 1\n");
    project.run(&["build"]).success();
    project
}

#[test]
fn no_store_is_an_empty_list_and_stays_none() {
    let project = Project::example("debian-edge");
    assert_eq!(project.run(&["images"]).success().stdout, "");
    assert_eq!(project.run(&["images", "--json"]).success().stdout, "[]\n");
    project.run(&["audit", "show"]).failure(1, &["opening the store `./.imgbuild`"]);
    project.run(&["gc"]).failure(1, &["opening the store `./.imgbuild`"]);
    assert!(!project.store().exists());
}

#[test]
fn the_store_lies_where_the_option_or_the_environment_says() {
    let project = built();
    fs::rename(project.store(), project.place("elsewhere")).unwrap();
    let by_option = project.run(&["--store", "../elsewhere", "images"]).success().stdout;
    assert!(by_option.starts_with("tier1/base  sha256:"), "{by_option}");
    let by_variable = project.command(&["images"]).env("IMGBUILD_STORE", project.place("elsewhere")).output().unwrap();
    assert_eq!(String::from_utf8(by_variable.stdout).unwrap(), by_option);
    assert!(!project.store().exists());
}

#[test]
fn the_trail_tells_what_happened_and_notices_tampering() {
    let project = built();
    let shown = project.run(&["audit", "show"]).success().stdout;
    for expected in ["resolve     tier1/base: kernel 6.12.9-tiny", "fetch       oci:", "build       tier3/a  sha256:"] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let lines = project.run(&["audit", "show", "--json"]).success().json();
    assert_eq!(lines.as_array().unwrap().len(), shown.lines().count());
    let verified = project.run(&["audit", "verify", "--json"]).success().json();
    assert_eq!(verified["lines"], shown.lines().count());

    let trail = ".imgbuild/audit.jsonl";
    let whole = project.read(trail);
    project.write(trail, &whole.replacen("tier1/base", "tier1/fake", 1));
    project.run(&["audit", "verify"]).failure(7, &["`audit.jsonl` line 3: the chain is broken", "line 2 was changed"]);
    let without_second: Vec<_> = whole.lines().enumerate().filter(|(at, _)| *at != 1).map(|(_, line)| line).collect();
    project.write(trail, &(without_second.join("\n") + "\n"));
    project.run(&["audit", "verify"]).failure(7, &["line 2: the chain is broken"]);
    project.write(trail, &format!("{whole}not an audit line\n"));
    project.run(&["audit", "verify"]).failure(7, &["not an audit line"]);
    project.write(trail, &whole);
    project.run(&["audit", "verify"]).success();
}

#[test]
fn gc_removes_what_no_name_leads_to_and_says_so_before() {
    let project = built();
    assert_eq!(project.run(&["gc"]).success().stdout, "freed 0 B in 0 files\n");
    project.write("hosts/a.toml", "version = 1\nkargs = [\"quiet\"]\n");
    project.run(&["build"]).success();
    fs::write(project.store().join("packages").join("0".repeat(64)), "an old package").unwrap();
    let blobs = names_in(&project.store().join("oci/blobs/sha256"));
    let images = project.images();

    let would = project.run(&["gc", "--dry-run", "--json"]).success().json();
    let removed: Vec<_> =
        would["removed"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
    // The host's old layer, configuration and manifest, its SBOM and the manifest of that, and the package.
    assert_eq!(removed.len(), 6, "{removed:?}");
    assert!(removed.contains(&format!("packages/{}", "0".repeat(64)).as_str()), "{removed:?}");
    assert_eq!(names_in(&project.store().join("oci/blobs/sha256")), blobs, "only said");

    let did = project.run(&["gc", "--json"]).success().json();
    assert_eq!(did, would);
    assert_eq!(names_in(&project.store().join("oci/blobs/sha256")).len(), blobs.len() - 5);
    assert!(project.stored("packages").is_empty());
    assert_eq!(project.images(), images);
    project.run(&["inspect", "tier3/a"]).success();
    project.run(&["audit", "verify"]).success();
    let shown = project.run(&["audit", "show"]).success().stdout;
    assert_eq!(shown.lines().filter(|line| line.contains("  delete ")).count(), 6, "{shown}");
    assert_eq!(project.run(&["gc"]).success().stdout, "freed 0 B in 0 files\n");
}

#[test]
fn gc_removes_nothing_from_a_store_it_cannot_read() {
    let project = built();
    project.write("hosts/a.toml", "version = 1\nkargs = [\"quiet\"]\n");
    project.run(&["build"]).success();
    let index = project.store().join("oci/index.json");
    fs::write(&index, "{").unwrap();
    let blobs = names_in(&project.store().join("oci/blobs/sha256"));
    project.run(&["gc"]).failure(1, &["oci"]);
    project.run(&["images"]).failure(1, &["oci"]);
    assert_eq!(names_in(&project.store().join("oci/blobs/sha256")), blobs);
}
