//! What the machine lacks, refuses or runs out of.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::base;
use super::project::{Finished, Project, is_root};

/// A tier 2 on the tiny distribution, so that containers are needed.
const TIER2: (&str, &str) = ("tiers/more/tier.toml", "version = 1\ntier = 2\nbase = \"base\"\npackages = [\"less\"]\n");

/// Every call of a fake program goes to this file of the home folder.
const CALLS: &str = "home/calls";

fn fake(prints: &str) -> String {
    format!("echo \"${{0##*/}} $*\" >> \"$HOME/calls\"\necho \"{prints}\"")
}

/// The programs of a tier-2 build, answering nothing but their version.
fn fakes(project: Project, buildah: Option<&str>) -> Project {
    let others = [
        ("apt-get", fake("apt 3.0.3 (amd64)")),
        ("dpkg-deb", fake("Debian 'dpkg-deb' package archive backend version 1.22.21 (amd64).")),
        ("unshare", fake("")),
    ];
    let buildah = buildah.map(|version| ("buildah", fake(version)));
    let all: Vec<_> = others.into_iter().chain(buildah).collect();
    project.with_fakes(&all.iter().map(|(name, script)| (*name, script.as_str())).collect::<Vec<_>>())
}

#[test]
fn doctor_names_every_missing_program_with_its_fix() {
    let project = Project::example("debian-edge").with_fakes(&[]);
    let finished = project.run(&["doctor"]).code(4);
    for program in ["apt", "dpkg", "mmdebstrap", "buildah"] {
        let (_, rest) = finished.stdout.split_once(&format!("missing  {program} (")).expect(program);
        let fix = rest.lines().nth(1).unwrap();
        assert_eq!(fix.trim(), format!("fix: apt-get install {program}"));
    }
    for fix in ["fix: apt-get install util-linux", "fix: ci/setup-root", "--setup-root FILE"] {
        assert!(finished.stdout.contains(fix), "{fix}: {}", finished.stdout);
    }
    assert_eq!(finished.stderr, "", "the report is the result");

    let report = project.run(&["doctor", "--json"]).code(4).json();
    let missing = report["checks"].as_array().unwrap().iter().filter(|check| check["outcome"]["missing"].is_object());
    assert!(missing.count() >= 6, "{report}");
}

#[test]
fn doctor_asks_only_for_what_the_project_uses() {
    let (project, _) = base::project(&base::layers());
    project.write("hosts/a.toml", "version = 1\n");
    let project = project.with_fakes(&[]);
    let report = project.run(&["doctor"]).success();
    assert!(!report.stdout.contains("buildah"), "files need no program: {}", report.stdout);
}

#[test]
fn reading_outside_a_project_leaves_no_store_behind() {
    let (project, _) = base::project(&base::layers());
    let outside = project.place("home");
    let temporary = project.place("temporary");
    fs::create_dir(&temporary).unwrap();
    for command in [&["doctor"][..], &["inspect", "oci:../upstream:tiny"]] {
        let arguments = [&["--project", outside.to_str().unwrap()], command].concat();
        let output = project.command(&arguments).env("TMPDIR", &temporary).output().unwrap();
        let finished = Finished::of(&output);
        assert!(matches!(finished.code, Some(0 | 4)), "{}", finished.stderr);
        assert!(!outside.join(".imgbuild").exists(), "{command:?}");
        assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "{command:?}");
    }
}

#[test]
fn a_lock_asks_for_the_package_manager_and_not_for_builders() {
    let project = Project::example("debian-edge").with_fakes(&[]);
    let finished = project.run(&["lock"]).failure(4, &["missing  apt ", "fix: apt-get install apt"]);
    assert!(!finished.stderr.contains("buildah"), "{}", finished.stderr);
    assert!(!project.file("imgbuild.lock").exists());
}

#[test]
fn a_build_stops_before_anything_runs_when_buildah_is_missing_or_too_old() {
    let cases = [
        (None, vec!["missing  buildah", "not installed", "fix: apt-get install buildah"]),
        (Some("buildah version 1.20.0 (image-spec 1.0.1)"), vec!["missing  buildah", "1.20.0", "fix: "]),
    ];
    for (version, said) in cases {
        let (project, _) = base::project(&base::layers());
        project.write(TIER2.0, TIER2.1);
        let project = fakes(project, version);
        for arguments in [&["tier2"][..], &["build", "--locked"], &["tier2", "--kernel-pin"]] {
            project.run(arguments).failure(4, &said);
        }
        let calls = fs::read_to_string(project.place(CALLS)).unwrap();
        let asked =
            |line: &str| line.ends_with("--version") || (line.starts_with("unshare ") && line.ends_with(" true"));
        assert!(calls.lines().all(asked), "{calls}");
        assert!(!project.file("imgbuild.lock").exists(), "nothing was locked");
        assert!(project.images().is_empty());
    }
}

/// Programs make the folders and files of images: with the user's mask these would be the user's as well.
#[test]
fn programs_are_run_with_the_mask_of_images() {
    let project = Project::example("debian-edge").with_fakes(&[("buildah", "umask > \"$HOME/mask\"")]);
    let program = env!("CARGO_BIN_EXE_imgbuild");
    let output = project.command_of("/bin/sh", &["-c", "umask 077 && exec \"$0\" doctor", program]).output().unwrap();
    assert!(Finished::of(&output).code(4).stdout.contains("missing  apt "));
    assert_eq!(fs::read_to_string(project.place("home/mask")).unwrap(), "0022\n");
}

#[test]
fn an_unreachable_archive_is_named_and_the_lock_stays() {
    if !Path::new("/usr/bin/apt-get").exists() {
        println!("left out, needs apt");
        return;
    }
    let (project, _) = base::project(&base::layers());
    project.run(&["lock"]).success();
    let before = project.read("imgbuild.lock");
    let tier = "version = 1\ntier = 1\n[bootstrap]\nsuite = \"trixie\"\nmirror = \"http://127.0.0.1:1/debian\"\n\
                kernel = \"linux-image-cloud-amd64\"\npackages = []\n";
    project.write("tiers/deb/tier.toml", tier);
    project.write("setup-root", "");
    let said = ["reading package lists", "http://127.0.0.1:1/debian", "full log: "];
    project.run(&["lock", "--setup-root", "setup-root"]).failure(1, &said);
    assert_eq!(project.read("imgbuild.lock"), before);
    assert_eq!(project.stored("packages"), [""; 0]);
}

#[test]
fn an_unreachable_registry_is_named_and_nothing_is_locked() {
    let (project, _) = base::project(&base::layers());
    project.replace("tiers/base/tier.toml", "oci:../upstream:tiny", "127.0.0.1:1/site/base:1");
    project.run(&["lock"]).failure(1, &["docker://127.0.0.1:1/site/base:1", "127.0.0.1:1 cannot be reached"]);
    assert!(!project.file("imgbuild.lock").exists());
    assert!(project.images().is_empty());
}

#[test]
fn a_store_of_somebody_else_is_refused() {
    if !is_root("a store of somebody else") {
        return;
    }
    let (project, _) = base::project(&base::layers());
    project.write("hosts/a.toml", "version = 1\n");
    fs::create_dir(project.store()).unwrap();
    std::os::unix::fs::chown(project.store(), Some(12345), None).unwrap();
    let path = project.store();
    let said = [path.to_str().unwrap(), "belongs to user 12345", "you are user 0", "--store"];
    for arguments in [&["lock"][..], &["tier3", "a"], &["doctor"], &["inspect", "tier3/a"]] {
        project.run(arguments).failure(1, &said);
    }
    assert!(project.stored(".").is_empty(), "nothing was written into it");
}

/// A file system of its own size, seen only by the programs run in it.
struct SmallDisk {
    keeper: Child,
    path: String,
}

impl SmallDisk {
    fn new(project: &Project, megabytes: usize) -> Self {
        let path = project.place("disk").to_str().unwrap().to_owned();
        fs::create_dir(&path).unwrap();
        let script = format!("mount -t tmpfs -o size={megabytes}m none {path} && echo ready && exec sleep 600");
        let mut keeper = Command::new("unshare");
        keeper.args(["--mount", "sh", "-c", &script]).stdout(Stdio::piped());
        let mut keeper = keeper.spawn().unwrap();
        let mut ready = [0; 6];
        keeper.stdout.take().unwrap().read_exact(&mut ready).unwrap();
        Self { keeper, path }
    }

    /// Runs a command where the disk is.
    fn enter(&self, project: &Project, command: &[&str]) -> Finished {
        let target = format!("--target={}", self.keeper.id());
        let arguments = ["--mount", &target, "--"].into_iter().chain(command.iter().copied());
        let output = project.command_of("nsenter", &arguments.collect::<Vec<_>>()).output().unwrap();
        Finished::of(&output)
    }

    /// Runs the program with its store on the disk.
    fn run(&self, project: &Project, arguments: &[&str]) -> Finished {
        let (folder, store) = (project.file("."), format!("{}/store", self.path));
        let global = [env!("CARGO_BIN_EXE_imgbuild"), "-C", folder.to_str().unwrap(), "--store", &store];
        self.enter(project, &global.into_iter().chain(arguments.iter().copied()).collect::<Vec<_>>())
    }

    fn resize(&self, project: &Project, megabytes: usize) {
        let size = format!("remount,size={megabytes}m");
        self.enter(project, &["mount", "-o", &size, &self.path]).success();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.keeper.kill().unwrap();
        self.keeper.wait().unwrap();
    }
}

/// So many megabytes that no compression makes smaller.
fn noise(megabytes: usize) -> Vec<u8> {
    let mut bytes = vec![0; megabytes << 20];
    fs::File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_full_disk_is_named_and_leaves_the_store_valid() {
    if !is_root("a full disk") {
        return;
    }
    let mut layers = base::layers();
    layers.push(vec![("usr/lib/noise".to_owned(), base::Item::File(noise(12)))]);
    let (project, _) = base::project(&layers);
    let disk = SmallDisk::new(&project, 8);
    let store = format!("no space left in `{}/store`", disk.path);

    disk.run(&project, &["lock"]).failure(1, &[&store, " free): ", "--store", "because: copying `oci:"]);
    assert!(!project.file("imgbuild.lock").exists(), "nothing was locked");
    assert_eq!(disk.run(&project, &["images", "--json"]).success().json().as_array().unwrap().len(), 0);

    disk.resize(&project, 32);
    disk.run(&project, &["lock"]).success();
    project.write("hosts/big.toml", "version = 1\n[[file]]\npath = \"/usr/lib/big\"\nsource = \"big\"\n");
    fs::write(project.file("big"), noise(40)).unwrap();
    let short = disk.run(&project, &["tier3", "big"]).failure(4, &["missing  space", "free in ", &disk.path, "fix: "]);
    assert!(!short.stderr.contains("tier1/base"), "nothing was begun: {}", short.stderr);

    disk.resize(&project, 50);
    disk.run(&project, &["tier3", "big"]).failure(1, &[&store, "imgbuild gc"]);
    let names = |finished: Finished| finished.json().as_array().unwrap().iter().map(|i| i["name"].clone()).collect();
    let images: Vec<_> = names(disk.run(&project, &["images", "--json"]).success());
    assert_eq!(images, ["tier1/base"], "the base was whole before the disk was full");
    disk.run(&project, &["audit", "verify"]).success();

    disk.resize(&project, 120);
    disk.run(&project, &["tier3", "big"]).success();
    let images: Vec<_> = names(disk.run(&project, &["images", "--json"]).success());
    assert_eq!(images, ["tier1/base", "tier3/big"]);
    let left = disk.enter(&project, &["find", &format!("{}/store/tmp", disk.path), "-mindepth", "1"]).success();
    assert_eq!(left.stdout, "");
}
