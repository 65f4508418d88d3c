//! The examples load from the repository and as scaffolded, and use what they should of the built-in definitions.

use std::collections::BTreeMap;

use cap_std::ambient_authority;
use cap_std::fs_utf8::Dir;
use imgbuild::config::{Builtin, Definition, LOCK_FILE, Lock, examples, scaffold};

fn open(path: &str) -> Dir {
    Dir::open_ambient_dir(path, ambient_authority()).expect("the folder exists")
}

fn load(name: &str, dir: &Dir) -> Definition {
    match Definition::load(dir, &Builtin::compiled()) {
        Ok(definition) => definition,
        Err(errors) => panic!("{name}: {:?}", miette::Report::from(errors)),
    }
}

fn example(name: &str) -> Dir {
    open(&format!("{}/examples/{name}", env!("CARGO_MANIFEST_DIR")))
}

fn names<K: AsRef<str>, V>(map: &BTreeMap<K, V>) -> Vec<&str> {
    map.keys().map(AsRef::as_ref).collect()
}

#[test]
fn every_example_loads() {
    type Row = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str], usize);
    let rows: [Row; 4] = [
        ("centos-homelab", &["centos"], &["base-zfs", "base-zfs-nvidia"], &["nvidia-open", "zfs"], 4),
        ("debian-edge", &["debian"], &["edge"], &["jool"], 2),
        ("debian-gpu", &["debian-generic"], &["gpu"], &["nvidia-open"], 1),
        ("debian-zfs", &["debian"], &["storage"], &["zfs"], 1),
    ];
    assert_eq!(rows.map(|row| row.0).to_vec(), examples().collect::<Vec<_>>());
    for (name, tier1, tier2, kmods, hosts) in rows {
        let definition = load(name, &example(name));
        assert_eq!(names(&definition.tier1), tier1, "{name}");
        assert_eq!(names(&definition.tier2), tier2, "{name}");
        assert_eq!(names(&definition.kmods), kmods, "{name}");
        assert_eq!(definition.hosts.len(), hosts, "{name}");
        assert!(definition.hosts.keys().all(|host| definition.base_of(host).is_some()), "{name}");
    }
}

#[test]
fn every_scaffolded_example_loads_as_the_example_does() {
    for name in examples() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = open(folder.path().to_str().expect("UTF-8"));
        for (path, content) in scaffold(Some(name)).expect("a known example") {
            if let Some((parent, _)) = path.rsplit_once('/') {
                dir.create_dir_all(parent).expect("created");
            }
            dir.write(path, content).expect("written");
        }
        assert_eq!(load(name, &dir), load(name, &example(name)));
    }
}

#[test]
fn every_built_in_definition_loads() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = open(folder.path().to_str().expect("UTF-8"));
    let builtin = Builtin::compiled();
    dir.write("imgbuild.toml", "version = 1\nname = \"all\"\n").expect("written");
    for tier in builtin.tiers() {
        let path = format!("tiers/on-{tier}");
        dir.create_dir_all(&path).expect("created");
        let text = format!("version = 1\ntier = 2\nbase = \"{tier}\"\n");
        // The Debian tier can build all of them.
        let modules = if tier == "debian" { builtin.kmods().collect() } else { Vec::new() };
        dir.write(format!("{path}/tier.toml"), format!("{text}modules = {modules:?}\n")).expect("written");
    }
    let definition = load("all", &dir);
    assert_eq!(definition.tier1.len(), builtin.tiers().count());
    assert_eq!(definition.kmods.len(), builtin.kmods().count());
}

#[test]
fn the_sample_lock_belongs_to_its_example() {
    let dir = example("centos-homelab");
    let definition = load("centos-homelab", &dir);
    let text = dir.read_to_string(LOCK_FILE).expect("the sample is checked in");
    let lock = Lock::parse(&text).unwrap_or_else(|errors| panic!("{:?}", miette::Report::from(errors)));
    assert_eq!(lock.to_toml(), text, "run `cargo run --example record-centos-lock`");
    assert_eq!(names(&lock.tier1), names(&definition.tier1));
    assert_eq!(names(&lock.tier2), names(&definition.tier2));
    for (name, tier) in &lock.tier1 {
        assert_eq!(Some(&tier.definition), definition.tier1_digest(name).as_ref(), "{name}");
    }
    for (name, tier) in &lock.tier2 {
        assert_eq!(Some(&tier.definition), definition.tier2_digest(name).as_ref(), "{name}");
        assert_eq!(Some(&tier.base), lock.tier1.get(&definition.tier2[name].base).map(|base| base.digest()).as_ref());
    }
}
