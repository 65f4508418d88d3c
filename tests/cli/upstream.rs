//! Images from elsewhere that are not what they claim, or not what hosts can stand on.

use std::fs;
use std::path::PathBuf;

use imgbuild::oci::Image;

use super::base;
use super::project::{Project, names_in};

fn blob(project: &Project, digest: &str) -> PathBuf {
    project.place("upstream/blobs/sha256").join(digest.strip_prefix("sha256:").unwrap())
}

/// What is done to a blob of the upstream.
type Damage = fn(Vec<u8>) -> Vec<u8>;

/// Which blob, as a digest.
type Which = fn(&Image) -> String;

fn cut(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() - 10);
    bytes
}

fn flip(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

/// One changed byte in a string value: still JSON of the same length.
fn alter(mut bytes: Vec<u8>) -> Vec<u8> {
    let at = bytes.windows(6).position(|window| window == b"sha256").unwrap() + 10;
    bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
    bytes
}

#[test]
fn damaged_blobs_are_named_and_nothing_lands() {
    let which: [(&str, Which, Damage); 6] = [
        ("truncated layer", |image| image.layers()[1].descriptor.digest().to_string(), cut),
        ("changed layer", |image| image.layers()[0].descriptor.digest().to_string(), flip),
        ("truncated configuration", |image| image.manifest().config().digest().to_string(), cut),
        ("changed configuration", |image| image.manifest().config().digest().to_string(), alter),
        ("truncated manifest", |image| image.digest().to_string(), cut),
        ("changed manifest", |image| image.digest().to_string(), alter),
    ];
    for (what, digest, damage) in which {
        let (project, image) = base::project(&base::layers());
        project.write("hosts/a.toml", "version = 1\n");
        let digest = digest(&image);
        let file = blob(&project, &digest);
        let whole = fs::read(&file).unwrap();
        let bytes = damage(whole.clone());
        fs::write(&file, bytes).unwrap();

        println!("{what}");
        let locator =
            format!("oci:{}/project/../upstream:tiny", project.place("").to_str().unwrap().trim_end_matches('/'));
        let finished = project.run(&["build"]).failure(1, &[&digest, &locator]);
        println!("{}", finished.stderr);
        assert!(!project.file("imgbuild.lock").exists(), "{what}");
        assert!(project.images().is_empty(), "{what}");

        fs::write(&file, whole).unwrap();
        project.run(&["build"]).success();
        assert_eq!(project.images().len(), 2, "{what}: mended");

        // The same when the image was good at the time of the lock.
        fs::remove_dir_all(project.store()).unwrap();
        let bytes = damage(fs::read(&file).unwrap());
        fs::write(&file, bytes).unwrap();
        project.run(&["build", "--locked"]).failure(1, &[&digest, &locator]);
        assert!(project.images().is_empty(), "{what}");
    }
}

#[test]
fn a_base_has_exactly_one_kernel_with_its_initramfs() {
    let [root, kernel] = base::layers().try_into().unwrap();
    let mut bare = kernel.clone();
    bare.retain(|(path, _)| !path.ends_with("initramfs.img"));
    let cases = [
        (
            6,
            vec![root.clone(), kernel, base::kernel("6.1.0-other")],
            vec!["exactly one kernel", "6.1.0-other", base::KVER],
        ),
        (6, vec![root.clone()], vec!["exactly one kernel", "holds no kernel"]),
        (1, vec![root, bare], vec![base::KVER, "no initramfs.img"]),
    ];
    for (code, layers, said) in cases {
        let (project, image) = base::project(&layers);
        let digest = image.digest().to_string();
        let named = ["tier1/base", "oci:../upstream:tiny", &digest];
        project.run(&["lock"]).failure(code, &[&said[..], &named].concat());
        assert!(!project.file("imgbuild.lock").exists());
        assert!(project.images().is_empty());
        project.run(&["gc"]).success();
        assert!(names_in(&project.store().join("oci/blobs/sha256")).is_empty(), "what was fetched can be given back");
    }
}

#[test]
fn a_name_that_is_not_there_is_told_with_those_that_are() {
    let (project, _) = base::project(&base::layers());
    project.replace("tiers/base/tier.toml", "upstream:tiny", "upstream:tinny");
    project.run(&["lock"]).failure(1, &["tinny", "tiny"]);
    project.replace("tiers/base/tier.toml", "../upstream:tinny", "../nowhere:tiny");
    project.run(&["lock"]).failure(1, &["nowhere"]);
}
