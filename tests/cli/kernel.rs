//! The kernel decision from the outside: explained from the lock alone, and made over an archive of tiny packages.

use std::fs;
use std::path::Path;
use std::process::Command;

use sha2::{Digest as _, Sha256};

use super::base::{self, Item};
use super::project::Project;

const LOCK: &str = "imgbuild.lock";
const LOCKED: &str = "6.12.0-145.el10.x86_64";

/// The recorded lock of an example, and not one program in reach.
fn recorded() -> Project {
    let project = Project::example("centos-homelab").with_fakes(&[]);
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/centos-homelab/imgbuild.lock");
    fs::copy(sample, project.file(LOCK)).unwrap();
    project
}

fn add_known_bad(project: &Project, entry: &str) {
    let text = project.read(LOCK);
    project.write(LOCK, &text.replacen("\n\n[tier1", &format!("\nknown-bad = [{entry}]\n\n[tier1"), 1));
}

/// The same, with a build of the locked modules that failed since.
fn recorded_with_failure() -> Project {
    let project = recorded();
    let bad =
        format!(r#"{{ set = "zfs", version = "2.3.4", kernel = "{LOCKED}", error = "zfs.c:1: error: it broke" }}"#);
    add_known_bad(&project, &bad);
    project
}

#[test]
fn the_lock_alone_lists_and_explains() {
    let project = recorded();
    let listed = project.run(&["kernel", "list", "base-zfs"]).success();
    let row = |release: &str| listed.stdout.lines().find(|line| line.contains(release)).unwrap().split_whitespace();
    assert_eq!(row(LOCKED).collect::<Vec<_>>(), [LOCKED, "6.12.0-145.el10", "yes", "baseos", "-", "-", "locked"]);
    assert_eq!(row("6.12.0-152").nth(2), Some("-"));

    let explained = project.run(&["kernel", "explain", "base-zfs"]).success().stdout;
    for expected in [
        "tier2/base-zfs\n6.12.0-145.el10.x86_64: the base's kernel, with headers on offer (kernel-devel 6.12.0-145.el10)\n",
        "6.12.0-152.el10.x86_64  6.12.0-152.el10  -        yes      not in the base, and swap is never",
        "policy: swap never (the definition)\n",
        "modules: zfs 2.3.4\n",
    ] {
        assert!(explained.contains(expected), "{expected}\n{explained}");
    }
    let all = project.run(&["kernel", "explain", "--json"]).success().json();
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!(all[0]["answer"]["decision"]["kernel"]["release"], LOCKED);
    assert_eq!(all[0]["answer"]["decision"]["candidates"].as_array().unwrap().len(), 3);
    let offers = project.run(&["kernel", "list", "--json"]).success().json();
    assert_eq!(
        (&offers[1]["kernels"][1]["base"], &offers[1]["kernels"][1]["headers"]),
        (&true.into(), &"baseos".into())
    );
}

#[test]
fn without_a_lock_it_is_said_how_to_get_one() {
    let project = Project::example("debian-edge").with_fakes(&[]);
    for command in ["list", "explain"] {
        project
            .run(&["kernel", command])
            .failure(1, &["`tier2/edge` is not in the lock; `imgbuild lock` puts it there"]);
        project.run(&["kernel", command, "egde"]).failure(2, &["did you mean `edge`?"]);
    }
}

#[test]
fn a_failure_is_explained_with_table_blame_and_fix() {
    let project = recorded_with_failure();
    let explained = project.run(&["kernel", "explain", "base-zfs"]).code(6).stdout;
    for expected in [
        "no kernel is acceptable; the base's 6.12.0-145.el10.x86_64: zfs 2.3.4 did not build before: zfs.c:1: error: it broke",
        "without zfs it would be 6.12.0-145.el10.x86_64",
        "6.12.0-152.el10.x86_64  6.12.0-152.el10  -        yes      not in the base, and swap is never",
        "fix: take a newer version of zfs",
        "not as locked: the lock has 6.12.0-145.el10.x86_64",
        "known bad: zfs 2.3.4 for 6.12.0-145.el10.x86_64: zfs.c:1: error: it broke",
    ] {
        assert!(explained.contains(expected), "{expected}\n{explained}");
    }
    let answer = project.run(&["kernel", "explain", "base-zfs", "--json"]).code(6).json();
    assert!(answer[0]["answer"]["failure"]["unacceptable"].is_object(), "{answer}");
}

#[test]
fn a_lock_that_no_longer_follows_from_its_inputs_is_refused() {
    let project = recorded_with_failure();
    let said = "`tier2/base-zfs` is locked with kernel 6.12.0-145.el10.x86_64, and by the lock's own inputs no kernel is acceptable";
    project.run(&["plan", "--locked"]).failure(5, &[said]);
    // Forgetting puts it right without anything being resolved.
    project.run(&["lock", "--forget-known-bad"]).success();
    assert!(!project.read(LOCK).contains("known-bad"));
    project.run(&["plan", "--locked"]).success();

    let project = recorded();
    project.replace(LOCK, &format!("release = \"{LOCKED}\"\nreason"), "release = \"6.12.0-152.el10.x86_64\"\nreason");
    let said =
        "is locked with kernel 6.12.0-152.el10.x86_64, and the lock's own inputs decide for 6.12.0-145.el10.x86_64";
    project.run(&["plan", "--locked"]).failure(5, &[said]);
    let explained = project.run(&["kernel", "explain", "base-zfs"]).code(5).stdout;
    assert!(explained.contains("not as locked: the lock has 6.12.0-152.el10.x86_64\n"), "{explained}");
}

#[test]
fn inputs_of_another_imgbuild_are_no_inputs() {
    let project = recorded();
    project.replace(LOCK, "\nmachine = ", "\nengine = ");
    project.run(&["kernel", "explain"]).failure(1, &["was written by another imgbuild", "`engine`"]);
    project
        .run(&["plan", "--locked"])
        .failure(5, &["inputs of the kernel decision for `tier2/base-zfs` cannot be read"]);
}

// ---- an archive of tiny packages, resolved by the real apt without a network

/// The kernel of the base: in the archive, without headers.
const BASE: &str = "6.12.100+deb13-amd64";
const OLDER: &str = "6.12.94+deb13-amd64";
const NEWER: &str = "6.12.107+deb13-amd64";

/// Machines without a Debian mirror and its programs leave these out.
fn is_debian(test: &str) -> bool {
    let mirror = Command::new("apt-get").args(["indextargets", "--no-release-info"]).output();
    let debian = mirror.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("/debian"))
        && Path::new("/usr/lib/apt/apt-helper").exists()
        && Command::new("dpkg-deb").arg("--version").output().is_ok();
    if !debian {
        println!("left out, needs apt and dpkg on a machine with a Debian mirror: {test}");
    }
    debian
}

/// One package: name, version, further fields, files by path.
type Package<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, &'a str)]);

/// Writes a flat archive of these packages.
fn archive(folder: &Path, packages: &[Package<'_>]) {
    let mut index = String::new();
    for (name, version, fields, files) in packages {
        let tree = folder.join("tree");
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: nobody <nobody@example.org>\n{fields}Description: tiny\n"
        );
        fs::write(tree.join("DEBIAN/control"), &control).unwrap();
        for (path, text) in *files {
            fs::create_dir_all(tree.join(path).parent().unwrap()).unwrap();
            fs::write(tree.join(path), text).unwrap();
        }
        let file = format!("{name}_{version}_amd64.deb");
        let built = Command::new("dpkg-deb")
            .args(["--root-owner-group", "--build"])
            .args([&tree, &folder.join(&file)])
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let bytes = fs::read(folder.join(&file)).unwrap();
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        index.push_str(&format!("{control}Filename: ./{file}\nSize: {}\nSHA256: {digest}\n\n", bytes.len()));
        fs::remove_dir_all(tree).unwrap();
    }
    fs::write(folder.join("Packages"), index).unwrap();
}

/// A tier 2 with one module set on a base whose kernel has no headers; two other kernels have.
fn drifted() -> Project {
    drifted_with(&[])
}

/// The same with these files in the package of the set's source.
fn drifted_with(source: &[(&str, &str)]) -> Project {
    let status = format!(
        "Package: linux-image-{BASE}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 6.12.100-1\n\n\
         Package: linux-image-amd64\nStatus: install ok installed\nArchitecture: amd64\nVersion: 6.12.100-1\n\
         Depends: linux-image-{BASE} (= 6.12.100-1)\n"
    );
    let database = vec![
        ("var/lib".to_owned(), Item::Dir),
        ("var/lib/dpkg".to_owned(), Item::Dir),
        ("var/lib/dpkg/status".to_owned(), base::file(&status)),
    ];
    let (project, _) = base::project(&[base::layers().remove(0), base::kernel(BASE), database]);
    project.replace("imgbuild.toml", "name", "architecture = \"amd64\"\nname");
    let site = project.place("site");
    fs::create_dir(&site).unwrap();
    let image = |release: &str| format!("linux-image-{release}");
    let headers = |release: &str| format!("linux-headers-{release}");
    let [older, newer] = [OLDER, NEWER].map(|release| format!("boot/config-{release}"));
    archive(
        &site,
        &[
            (&image(BASE), "6.12.100-1", "", &[]),
            (&image(OLDER), "6.12.94-1", "", &[(&older, "CONFIG_VIDEO_DEV=m\n")]),
            (&image(NEWER), "6.12.107-1", "", &[(&newer, "# CONFIG_VIDEO_DEV is not set\n")]),
            (&headers(OLDER), "6.12.94-1", "", &[]),
            (&headers(NEWER), "6.12.107-1", "", &[]),
            ("dkms", "3.2.2-1", "", &[]),
            ("hello-dkms", "1.0-2", "Depends: dkms\n", source),
        ],
    );
    let tier = format!(
        "version = 1\ntier = 2\nbase = \"base\"\nmodules = [\"hello\"]\n[repositories.site]\nurl = \"file://{}\"\nunsigned = true\n",
        site.to_str().unwrap()
    );
    project.write("tiers/more/tier.toml", &tier);
    project.write("kmods/hello/kmod.toml", HELLO);
    project
}

const HELLO: &str = r#"
version = 1
name = "hello"
license = "GPL-2.0-only"
[build.apt]
packages = ["hello-dkms"]
dkms = "hello"
[verify]
modules = ["hello"]
"#;

#[test]
fn a_failed_decision_ends_with_6_and_shows_everything() {
    if !is_debian("a_failed_decision_ends_with_6_and_shows_everything") {
        return;
    }
    let project = drifted();
    project.run(&["lock"]).failure(
        6,
        &[
            "no kernel for `tier2/more`",
            "no headers are on offer for the base's kernel 6.12.100+deb13-amd64",
            "6.12.107+deb13-amd64  6.12.107-1  -        yes      yes       not in the base, and swap is never",
            "6.12.100+deb13-amd64  6.12.100-1  yes      -        yes       no headers on offer",
            "fix: set `kernel.swap` to \"allow\": it would put in 6.12.107+deb13-amd64 from site",
        ],
    );
    let lock: toml::Table = project.read(LOCK).parse().unwrap();
    assert!(lock["tier1"].get("base").is_some(), "tier 1 is of use to others");
    assert!(lock.get("tier2").is_none_or(|tier2| tier2.get("more").is_none()));
}

#[test]
fn a_swap_is_locked_with_its_packages_and_can_be_replayed() {
    if !is_debian("a_swap_is_locked_with_its_packages_and_can_be_replayed") {
        return;
    }
    let project = drifted();
    let locked = project.run(&["lock", "--swap", "allow"]).success();
    assert!(locked.stdout.contains(&format!("tier2/more: kernel {NEWER}")), "{}", locked.stdout);
    let lock: toml::Table = project.read(LOCK).parse().unwrap();
    let kernel = &lock["tier2"]["more"]["kernel"];
    assert_eq!(kernel["swap"]["from"].as_str(), Some(BASE));
    let remove: Vec<_> =
        kernel["swap"]["remove"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(remove, ["linux-image-6.12.100+deb13-amd64", "linux-image-amd64"]);
    let packages = kernel["swap"]["packages"]["package"].as_array().unwrap();
    assert_eq!(packages.len(), 1);
    assert_eq!(packages[0]["name"].as_str(), Some("linux-image-6.12.107+deb13-amd64"));
    assert!(project.stored("packages").contains(&packages[0]["sha256"].as_str().unwrap().to_owned()));

    let explained = project.run(&["kernel", "explain"]).success().stdout;
    for expected in [
        "the newest acceptable kernel, an upgrade from the base's 6.12.100+deb13-amd64 (no headers on offer)",
        "  - linux-image-amd64 6.12.100-1\n  + linux-image-6.12.107+deb13-amd64 6.12.107-1\n",
        "policy: swap allow (the command line)\n",
    ] {
        assert!(explained.contains(expected), "{expected}\n{explained}");
    }
    project.run(&["plan", "--locked"]).success();
    // The stages begin with the new kernel.
    let rendered = project.run(&["render", "tier2", "more"]).success().stdout;
    assert_eq!(rendered.matches(&format!("swap.sh kernel/repo {BASE} {NEWER}\n")).count(), 2);

    // The command line can ask for one of them, and with a locked lock for none.
    project.run(&["lock", "--swap", "allow", &format!("--kernel-pin={OLDER}")]).success();
    let explained = project.run(&["kernel", "explain"]).success().stdout;
    assert!(explained.contains("asked for on the command line, and a downgrade"), "{explained}");
}

/// Nobody knows the configuration of a kernel that is not here; it is fetched, looked at, and passed over.
#[test]
fn the_configuration_of_a_new_kernel_counts() {
    if !is_debian("the_configuration_of_a_new_kernel_counts") {
        return;
    }
    let project = drifted();
    project.write("kmods/hello/kmod.toml", &format!("{HELLO}[supports]\nconfig = [\"CONFIG_VIDEO_DEV\"]\n"));
    project.run(&["lock", "--swap", "allow"]).success();
    let explained = project.run(&["kernel", "explain"]).success().stdout;
    assert!(explained.contains(&format!("{OLDER}: the newest acceptable kernel, a downgrade")), "{explained}");
    assert!(explained.contains("hello 1.0-2 needs CONFIG_VIDEO_DEV, which this kernel lacks"), "{explained}");
    assert!(explained.contains("modules: hello 1.0-2 (with CONFIG_VIDEO_DEV)"), "{explained}");
}

/// The source states it, in words of its own, before anything is compiled.
#[test]
fn what_the_source_supports_counts() {
    if !is_debian("what_the_source_supports_counts") {
        return;
    }
    for (path, text, said) in [
        ("usr/src/hello-1.0/dkms.conf", "BUILD_EXCLUSIVE_KERNEL_MAX=\"6.12.94\"\n", "kernels up to 6.12.94"),
        ("usr/src/hello-1.0/META", "Linux-Maximum: 6.12.94\n", "kernels up to 6.12.94"),
    ] {
        let project = drifted_with(&[(path, text)]);
        project.run(&["lock", "--swap", "allow"]).success();
        let explained = project.run(&["kernel", "explain"]).success().stdout;
        assert!(explained.contains(&format!("{OLDER}: the newest acceptable kernel")), "{path}: {explained}");
        assert!(explained.contains(said), "{path}: {explained}");
    }
}

#[test]
fn failed_builds_survive_locking_anew_until_they_are_forgotten() {
    if !is_debian("failed_builds_survive_locking_anew_until_they_are_forgotten") {
        return;
    }
    let project = drifted();
    project.run(&["lock", "--swap", "allow"]).success();
    let bad =
        format!(r#"{{ set = "hello", version = "1.0-2", kernel = "{NEWER}", error = "hello.c:1: error: it broke" }}"#);
    add_known_bad(&project, &bad);
    // The lock contradicts itself, so that tier is decided anew: by the definition, which allows no swap.
    project.run(&["lock"]).failure(6, &["hello 1.0-2 did not build before: hello.c:1: error: it broke"]);
    project.run(&["lock", "--update", "--swap", "allow"]).success();
    assert!(project.read(LOCK).contains("error = \"hello.c:1: error: it broke\""));
    assert!(project.run(&["kernel", "explain"]).success().stdout.contains(&format!("{OLDER}: ")));
    project.run(&["lock", "--forget-known-bad", "--swap", "allow"]).success();
    assert!(project.run(&["kernel", "explain"]).success().stdout.contains(&format!("{NEWER}: ")));
}
