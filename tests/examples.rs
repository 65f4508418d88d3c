//! The examples load, and what they use of the built-in tiers and module sets with them.

use cap_std::ambient_authority;
use cap_std::fs_utf8::Dir;
use imgbuild::config::{Builtin, Definition};

fn load(example: &str) -> Definition {
    let path = format!("{}/examples/{example}", env!("CARGO_MANIFEST_DIR"));
    let dir = Dir::open_ambient_dir(path, ambient_authority()).expect("the example exists");
    match Definition::load(&dir, &Builtin::compiled()) {
        Ok(definition) => definition,
        Err(errors) => panic!("{example}: {:?}", miette::Report::from(errors)),
    }
}

#[test]
fn every_example_loads() {
    for (example, tier1, tier2, kmods, hosts) in [
        ("debian-edge", &["debian"][..], &["edge"][..], &["jool"][..], &["edge-01", "edge-02"][..]),
        ("debian-zfs", &["debian"], &["storage"], &["zfs"], &["storage-01"]),
        ("debian-gpu", &["debian-generic"], &["gpu"], &["nvidia-open"], &["gpu-01"]),
    ] {
        let definition = load(example);
        fn names<K: AsRef<str>>(keys: impl Iterator<Item = K>) -> Vec<String> {
            keys.map(|key| key.as_ref().to_owned()).collect()
        }
        assert_eq!(names(definition.tier1.keys()), tier1, "{example}");
        assert_eq!(names(definition.tier2.keys()), tier2, "{example}");
        assert_eq!(names(definition.kmods.keys()), kmods, "{example}");
        assert_eq!(names(definition.hosts.keys()), hosts, "{example}");
    }
}
