//! Builds that are stopped: politely, and not.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest as _, Sha256};

use super::base;
use super::project::{Finished, Project, is_root, names_in};

const HOSTS: usize = 200;

/// Many hosts, whose images change with `revision`.
fn many_hosts() -> Project {
    let (project, _) = base::project(&base::layers());
    for number in 0..HOSTS {
        project.write(&format!("hosts/host-{number:03}.toml"), &format!("version = 1\nkargs = [\"n={number}\"]\n"));
    }
    project.run(&["lock"]).success();
    project
}

fn revise(project: &Project, revision: usize) {
    project.write(
        "imgbuild.toml",
        &format!("version = 1\nname = \"tiny\"\nbase = \"base\"\n[labels]\nrevision = \"{revision}\"\n"),
    );
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), signal).unwrap();
}

/// Every blob is what its name says.
fn assert_blobs_are_whole(project: &Project, known: &mut BTreeSet<String>) {
    let folder = project.store().join("oci/blobs/sha256");
    for name in
        names_in(&folder).into_iter().filter(|name| name.len() == 64 && !known.contains(name)).collect::<Vec<_>>()
    {
        let found = Sha256::digest(fs::read(folder.join(&name)).unwrap());
        assert_eq!(found.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), name);
        known.insert(name);
    }
}

fn skopeo_reads(project: &Project, name: &str, digest: &str) {
    let locator = format!("oci:{}:{name}", project.store().join("oci").display());
    let output = Command::new("skopeo").args(["inspect", "--format", "{{.Digest}}", &locator]).output().unwrap();
    assert_eq!(Finished::of(&output).success().stdout.trim(), digest);
}

/// Numbers that look random and are the same every time.
fn scattered(seed: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(seed), |last| {
        Some(last.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    })
    .map(|number| number >> 33)
}

#[test]
fn a_kill_at_any_moment_leaves_the_store_valid_and_the_next_run_working() {
    let project = many_hosts();
    let begun = Instant::now();
    project.run(&["tier3", "--all"]).success();
    let whole = u64::try_from(begun.elapsed().as_millis()).unwrap();
    let mut known = BTreeSet::new();
    let mut killed = 0;
    for (revision, number) in scattered(7).skip(1).take(20).enumerate() {
        revise(&project, revision);
        let mut run = project.start(&["tier3", "--all", "--progress", "none"]);
        std::thread::sleep(Duration::from_millis(number % whole));
        signal(&run, Signal::KILL);
        killed += usize::from(run.wait().unwrap().signal() == Some(9));

        let images = project.images();
        assert_eq!(images.len(), HOSTS + 1, "all names are there, old or new");
        assert_blobs_are_whole(&project, &mut known);
        project.run(&["audit", "verify"]).success();
        if skopeo() {
            let (name, digest) = &images[usize::try_from(number).unwrap() % images.len()];
            skopeo_reads(&project, name, digest);
        }
    }
    assert!(killed > 0, "none of 20 runs was still running when killed");

    // Once more where it is sure to be at work: whatever ended before, this one cannot clean up after itself.
    revise(&project, 98);
    let mut run = project.start(&["tier3", "--all", "--progress", "none"]);
    wait_for(|| !project.stored("tmp").is_empty());
    signal(&run, Signal::KILL);
    assert_eq!(run.wait().unwrap().signal(), Some(9));
    assert!(!project.stored("tmp").is_empty(), "a killed run cannot clean up");

    revise(&project, 99);
    project.run(&["tier3", "--all"]).success();
    assert!(project.stored("tmp").is_empty(), "the next run did");
    project.run(&["gc"]).success();
    assert_eq!(names_in(&project.store().join("oci/blobs/sha256")).len(), HOSTS * 5 + 7, "nothing half-written stays");
    if skopeo() {
        for (name, digest) in project.images() {
            skopeo_reads(&project, &name, &digest);
        }
    }
}

fn skopeo() -> bool {
    let there = Command::new("skopeo").arg("--version").output().is_ok();
    if !there {
        println!("left out: skopeo is not installed");
    }
    there
}

#[test]
fn an_interrupt_ends_with_130_and_leaves_nothing() {
    let project = many_hosts();
    for (signalled, pause) in [(Signal::INT, 10), (Signal::TERM, 0), (Signal::HUP, 5)] {
        let run = project.start(&["tier3", "--all"]);
        wait_for(|| !project.stored("tmp").is_empty());
        std::thread::sleep(Duration::from_millis(pause));
        signal(&run, signalled);
        let finished = Finished::of(&run.wait_with_output().unwrap()).failure(130, &["interrupted"]);
        assert!(!finished.stderr.contains("because"), "{}", finished.stderr);
        assert!(project.stored("tmp").is_empty());
        assert!(project.images().iter().all(|(name, _)| name == "tier1/base"), "hosts are named together, at the end");
    }
    project.run(&["tier3", "host-000"]).success();
}

/// Waits for something that must come.
fn wait_for(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited for nothing");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Processes that have the project's home in their environment: what its runs started.
fn processes_of(project: &Project) -> usize {
    let mark = format!("HOME={}", project.place("home").display()).into_bytes();
    let environments =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.unwrap().path().join("environ")).ok());
    environments.filter(|environment| environment.split(|byte| *byte == 0).any(|variable| variable == mark)).count()
}

/// A host whose Containerfile makes a fake buildah sleep, with a child that sleeps too.
fn with_sleeping_buildah() -> Project {
    let (project, _) = base::project(&base::layers());
    project.run(&["lock"]).success();
    project.write("hosts/plain.toml", "version = 1\n");
    project.write("hosts/slow.toml", "version = 1\ncontainerfile = \"Containerfile\"\n");
    project.write("Containerfile", "ARG BASE\nFROM ${BASE}\nRUN true\n");
    let buildah = "case $* in *--version*) echo 'buildah version 1.39.3'; exit ;; esac\n\
                   /bin/sleep 600 &\n: > \"$HOME/asleep\"\nwait";
    project.with_fakes(&[("buildah", buildah), ("unshare", "exit 0")])
}

#[test]
fn an_interrupt_ends_the_programs_too() {
    if !is_root("an interrupt ends the programs too") {
        return;
    }
    let project = with_sleeping_buildah();
    let run = project.start(&["tier3", "slow"]);
    wait_for(|| project.place("home/asleep").exists());
    assert_eq!(processes_of(&project), 3, "imgbuild, buildah and its child");
    signal(&run, Signal::INT);
    Finished::of(&run.wait_with_output().unwrap()).failure(130, &["interrupted while running", "buildah"]);
    assert_eq!(processes_of(&project), 0);
    assert!(project.stored("tmp").is_empty());
}

#[test]
fn the_next_run_ends_what_a_killed_one_left_running() {
    if !is_root("the next run ends what a killed one left running") {
        return;
    }
    let project = with_sleeping_buildah();
    let mut run = project.start(&["tier3", "slow"]);
    wait_for(|| project.place("home/asleep").exists());
    signal(&run, Signal::KILL);
    run.wait().unwrap();
    assert_eq!(processes_of(&project), 2, "nobody could end them");
    project.run(&["tier3", "plain"]).success();
    assert_eq!(processes_of(&project), 0);
    assert!(project.stored("tmp").is_empty());
}
