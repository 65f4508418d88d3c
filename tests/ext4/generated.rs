//! Trees nobody thought of.

use std::collections::BTreeMap;

use imgbuild::disk::ext4::{Parameters, Size, minimum_size};
use imgbuild::model::ByteSize;
use imgbuild::oci::layer::{Metadata, Mtime, Xattrs};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use crate::model::{self, Files, Kind};
use crate::{exact, own, parameters, programs, readers, view_can_read};

/// Trees tried without `IMGBUILD_EXT4_TREES`.
const TREES: u32 = 30;

/// What is added: under which directory, by which name, how often, what.
type Addition = (Index, Vec<u8>, u16, Metadata, Kind);

fn names() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => b'a'..=b'z', 1 => 1_u8..=255]
        .prop_map(|byte| if b"/\n".contains(&byte) { b'_' } else { byte });
    prop_oneof![9 => vec(byte.clone(), 1..40), 1 => vec(byte, 1..=255)]
        .prop_filter("names of the directory itself", |name| name != b"." && name != b".." && name != b"lost+found")
}

/// Zeros, and bytes that are not, in stretches around the sizes that matter.
fn contents() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![3 => 0_usize..5000, 2 => 60_000_usize..70_000, 1 => 0_usize..600_000];
    let stretch = (length, any::<u8>()).prop_map(|(length, byte)| {
        (0..length).map(|i| if byte < 100 { 0 } else { byte ^ i.to_le_bytes()[0] }).collect::<Vec<u8>>()
    });
    vec(stretch, 0..4).prop_map(|stretches| stretches.concat())
}

fn xattrs() -> impl Strategy<Value = Xattrs> {
    let length = prop_oneof![8 => 0_usize..60, 2 => 0_usize..3000, 1 => 3000_usize..65_536];
    let value = (length, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]);
    let name = ("user|trusted|security", "[a-z]{1,30}").prop_map(|(space, name)| format!("{space}.{name}"));
    let set = btree_map(name, value, 1..6).prop_map(|set| set.into_iter().collect());
    prop_oneof![3 => Just(Xattrs::default()), 1 => set]
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let time = prop_oneof![3 => 0_i64..2_000_000_000, 1 => -(1_i64 << 31)..(1_i64 << 33)];
    (0_u16..0o10000, any::<u32>(), any::<u32>(), time, 0_u32..1_000_000_000, xattrs()).prop_map(
        |(mode, uid, gid, seconds, nanos, xattrs)| Metadata { mode, uid, gid, mtime: Mtime { seconds, nanos }, xattrs },
    )
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        6 => Just(Kind::Directory),
        8 => contents().prop_map(Kind::File),
        2 => contents().prop_map(Kind::Sealed),
        2 => vec(b'a'..=b'z', 1..200).prop_map(Kind::Symlink),
        1 => (0_u32..4096, 0_u32..1 << 20).prop_map(|(major, minor)| Kind::CharDevice(major, minor)),
        1 => (0_u32..4096, 0_u32..1 << 20).prop_map(|(major, minor)| Kind::BlockDevice(major, minor)),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::Socket),
        // Becomes a link to some file that comes before it.
        2 => Just(Kind::Link(Vec::new())),
    ]
}

fn additions() -> impl Strategy<Value = Vec<Addition>> {
    let often = prop_oneof![20 => Just(1_u16), 1 => 1_u16..1500];
    vec((any::<Index>(), names(), often, metadata(), kinds()), 0..80)
}

/// Puts every addition somewhere; names that are taken already are left out.
fn tree(root: &Metadata, additions: Vec<Addition>) -> Files {
    let mut files =
        BTreeMap::from([(Vec::new(), (Metadata { xattrs: Xattrs::default(), ..root.clone() }, Kind::Directory))]);
    let mut folders = vec![Vec::new()];
    for (parent, name, often, metadata, kind) in additions {
        let folder = folders[parent.index(folders.len())].clone();
        for copy in 0..often {
            let mut name = name.clone();
            if copy > 0 {
                name.truncate(240);
                name.extend(format!("-{copy}").bytes());
            }
            let path = if folder.is_empty() { name } else { [&folder[..], b"/", &name[..]].concat() };
            if files.contains_key(&path) {
                continue;
            }
            let kind =
                if copy > 0 && matches!(kind, Kind::File(_) | Kind::Sealed(_)) { Kind::Fifo } else { kind.clone() };
            if kind == Kind::Directory && copy == 0 {
                folders.push(path.clone());
            }
            let xattrs = if copy < 3 { metadata.xattrs.clone() } else { Xattrs::default() };
            files.insert(path, (Metadata { xattrs, ..metadata.clone() }, kind));
        }
    }
    resolve_links(files)
}

/// A link names the last file before it that is no directory; where there is none, a pipe takes its place.
fn resolve_links(mut files: Files) -> Files {
    let mut before = None;
    for (path, (_, kind)) in &mut files {
        match kind {
            Kind::Link(_) => *kind = before.clone().map_or(Kind::Fifo, Kind::Link),
            Kind::Directory => {}
            _ => before = Some(path.clone()),
        }
    }
    files
}

fn sizes() -> impl Strategy<Value = Parameters> {
    (0_u64..40 << 20, 0_u8..=10, 0_u64..1 << 42, 1_u32..1 << 20).prop_map(
        |(free, reserved, grows_to, bytes_per_inode)| {
            let size = Size::Fit { free: ByteSize(free) };
            let grows_to = ByteSize(grows_to.max(4 << 30));
            Parameters { reserved_percent: reserved, grows_to, bytes_per_inode, ..parameters(size) }
        },
    )
}

/// Written twice, in pieces of different size: the same bytes, clean, and what was put in.
fn prove(files: &Files, parameters: &Parameters) {
    let folder = tempfile::tempdir().unwrap();
    let (path, again) = (folder.path().join("ext4"), folder.path().join("again"));
    let summary = model::write(files, &path, parameters.clone(), 1 << 20).unwrap();
    model::write(files, &again, parameters.clone(), 10_007).unwrap();
    assert!(std::fs::read(&path).unwrap() == std::fs::read(&again).unwrap(), "written twice, two results");
    programs::check(&path);
    model::compare("disk::inspect", files, &own::read(&path));
    if view_can_read(files, &path) {
        model::compare("ext4-view", files, &readers::view(&path));
    }
    model::compare("debugfs", files, &readers::debug(&path));
    if let Some(found) = readers::kernel(&path) {
        model::compare("the kernel", files, &found);
    }
    let Size::Fit { free } = parameters.size else { panic!("trees are fitted") };
    assert!(summary.free >= free, "{summary:?}");
    let estimate = minimum_size(&model::stats(files), ByteSize(0), parameters).unwrap();
    let other = Parameters { reserved_percent: 0, ..exact(estimate.0) };
    model::write(files, &again, other, 1 << 20).unwrap();
    programs::check(&again);
}

#[test]
fn generated_trees_are_clean_and_read_back() {
    #[expect(clippy::disallowed_methods, reason = "the table of variables is for the program")]
    let trees = std::env::var("IMGBUILD_EXT4_TREES").ok().and_then(|trees| trees.parse().ok()).unwrap_or(TREES);
    let config = Config { cases: trees, max_shrink_iters: 60, failure_persistence: None, ..Config::default() };
    let strategy = (metadata(), additions(), sizes());
    let result = TestRunner::new(config).run(&strategy, |(root, additions, parameters)| {
        prove(&tree(&root, additions), &parameters);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{}", error.to_string().chars().take(3000).collect::<String>());
    }
}
