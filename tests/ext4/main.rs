//! File systems written by us, as e2fsprogs, another reader and the kernel see them.
#![expect(clippy::disallowed_methods, reason = "tests run e2fsprogs and write scratch files")]

mod generated;
mod growth;
mod limits;
mod model;
mod own;
mod programs;
mod readers;
mod refused;
mod sealed;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use imgbuild::disk::ext4::{Error, Parameters, Size, minimum_size};
use imgbuild::model::{ByteSize, SourceDateEpoch};
use imgbuild::oci::layer::{Metadata, Mtime, Xattrs};
use tempfile::TempDir;

use model::{Files, Kind};

const UUID: [u8; 16] = *b"0123456789abcdef";
const HASH_SEED: [u8; 16] = *b"seed of the hash";

fn parameters(size: Size) -> Parameters {
    let time = SourceDateEpoch::from_secs(1_700_000_000);
    Parameters { verity: true, ..Parameters::new(size, UUID, HASH_SEED, time) }
}

fn fit() -> Parameters {
    parameters(Size::Fit { free: ByteSize(1 << 20) })
}

fn exact(bytes: u64) -> Parameters {
    parameters(Size::Exact(ByteSize(bytes)))
}

/// A file system in a folder of its own.
struct Image {
    _folder: TempDir,
    path: PathBuf,
}

fn written(files: &Files, parameters: Parameters) -> Image {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ext4");
    model::write(files, &path, parameters, 1 << 20).unwrap();
    Image { _folder: folder, path }
}

/// Checked by e2fsck and read back by every reader there is.
fn prove(files: &Files, parameters: Parameters) -> Image {
    let image = written(files, parameters);
    programs::check(&image.path);
    if files.keys().all(|path| !path.contains(&b'\n')) {
        model::compare("debugfs", files, &readers::debug(&image.path));
    }
    model::compare("disk::inspect", files, &own::read(&image.path));
    if view_can_read(files, &image.path) {
        model::compare("ext4-view", files, &readers::view(&image.path));
    }
    // As an ordinary user, or without loop devices, nothing can be mounted.
    if let Some(found) = readers::kernel(&image.path) {
        model::compare("the kernel", files, &found);
    }
    image
}

/// `ext4-view` 1.0 knows no ea_inode and refuses times whose low 32 bits are negative.
fn view_can_read(files: &Files, image: &Path) -> bool {
    let readable = |time: Mtime| time.seconds.rem_euclid(1 << 32) < 1 << 31;
    let features = programs::header(image, "Filesystem features");
    !features.contains("ea_inode") && files.values().all(|(metadata, _)| readable(metadata.mtime))
}

fn root() -> Files {
    BTreeMap::from([(Vec::new(), (Metadata::with_mode(0o755), Kind::Directory))])
}

fn metadata(mode: u16, xattrs: &[(&str, &[u8])]) -> Metadata {
    let mtime = Mtime { seconds: 1_600_000_000, nanos: 123_456_789 };
    Metadata { mode, uid: 70_000, gid: 80_000, mtime, xattrs: xattrs.iter().copied().collect() }
}

#[test]
fn an_empty_file_system_is_clean_at_any_size() {
    for mib in [1, 4, 8, 100, 127, 128, 129, 130, 384, 1024, 2050, 20_000, 300_000] {
        programs::check(&written(&root(), exact(mib << 20)).path);
    }
}

#[test]
fn every_kind_of_file_is_read_back() {
    let mut files = root();
    let mut add = |path: &[u8], metadata: Metadata, kind: Kind| files.insert(path.to_vec(), (metadata, kind));
    let label: (&str, &[u8]) = ("security.selinux", b"system_u:object_r:usr_t:s0\0");
    add(b"bin", metadata(0o1777, &[label]), Kind::Directory);
    add(b"bin/empty", metadata(0o4755, &[]), Kind::File(Vec::new()));
    add(b"bin/block", metadata(0o000, &[label, ("user.a", b"")]), Kind::File(vec![1; 4096]));
    add(b"bin/long", metadata(0o2711, &[label]), Kind::File((0..1_000_003_u32).map(|i| i.to_le_bytes()[1]).collect()));
    add(b"bin/long link", Metadata::default(), Kind::Link(b"bin/long".to_vec()));
    add(b"char", metadata(0o620, &[]), Kind::CharDevice(5, 1));
    add(b"block", metadata(0o660, &[label]), Kind::BlockDevice(259, 1_000_000));
    add(b"fifo", metadata(0o644, &[]), Kind::Fifo);
    add(b"socket", metadata(0o666, &[]), Kind::Socket);
    add(b"fast", metadata(0o777, &[label]), Kind::Symlink(vec![b'f'; 59]));
    add(b"slow", metadata(0o777, &[label]), Kind::Symlink(vec![b's'; 60]));
    add(b"slowest", metadata(0o777, &[]), Kind::Symlink(b"../".repeat(1365)));
    add(&[b'n'; 255], metadata(0o644, &[]), Kind::File(b"long name".to_vec()));
    add(b"not \xff utf-8", metadata(0o644, &[]), Kind::File(b"bytes".to_vec()));
    prove(&files, fit());
}

#[test]
fn times_are_kept_where_they_fit() {
    let mut files = root();
    let times = [-(1 << 31), -1, 0, (1 << 31) - 1, 1 << 31, (1 << 32) + 5, (1_i64 << 34) - (1 << 31) - 1];
    for (index, seconds) in times.into_iter().enumerate() {
        let mtime = Mtime { seconds, nanos: 999_999_999 };
        files
            .insert(vec![b'0' + u8::try_from(index).unwrap()], (Metadata { mtime, ..Metadata::default() }, Kind::Fifo));
    }
    prove(&files, fit());
}

#[test]
fn attributes_of_any_size_are_kept() {
    let mut files = root();
    let value = |length: usize| -> Vec<u8> { (0..length).map(|i| i.to_le_bytes()[0] ^ 0x5a).collect() };
    let acl = [2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 5, 0, 232, 3, 0, 0, 4, 0, 5, 0, 255, 255, 255, 255];
    let acl = [&acl[..], &[16, 0, 5, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255]].concat();
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let sets: Vec<Xattrs> = vec![
        [("user.empty", Vec::new())].into_iter().collect(),
        [("security.capability", capability.to_vec()), ("security.selinux", value(40))].into_iter().collect(),
        [("system.posix_acl_access", acl.clone()), ("user.x", value(3))].into_iter().collect(),
        [("user.almost-a-block", value(4000)), ("trusted.overlay.opaque", b"y".to_vec())].into_iter().collect(),
        (0..60).map(|i| (format!("user.number-{i}"), value(i))).collect(),
        [("user.own", value(65_536)), ("user.own2", value(5000)), ("user.small", value(10))].into_iter().collect(),
        (0..8).map(|i| (format!("user.{i}"), value(4000 + i))).collect(),
        [("user.a", value(3000)), ("user.b", value(3000)), ("security.c", value(60))].into_iter().collect(),
    ];
    for (index, xattrs) in sets.into_iter().enumerate() {
        let metadata = Metadata { xattrs, ..metadata(0o640, &[]) };
        let name = format!("{index}").into_bytes();
        files.insert(name.clone(), (metadata.clone(), Kind::File(b"content".to_vec())));
        files.insert([&name[..], b" link"].concat(), (metadata.clone(), Kind::Symlink(b"target".to_vec())));
        files.insert([&name[..], b" again"].concat(), (metadata.clone(), Kind::Directory));
    }
    let default = [("system.posix_acl_default", &acl[..])].into_iter().collect();
    files.insert(b"default".to_vec(), (Metadata { xattrs: default, ..metadata(0o750, &[]) }, Kind::Directory));
    prove(&files, fit());
}

#[test]
fn a_block_of_attributes_is_shared_by_at_most_1024() {
    let mut files = root();
    let shared = metadata(0o644, &[("user.shared", &[7; 500])]);
    for index in 0..2500 {
        files.insert(format!("{index}").into_bytes(), (shared.clone(), Kind::File(Vec::new())));
    }
    prove(&files, fit());
}

#[test]
fn zeros_become_holes() {
    let mut files = root();
    let mut bytes = vec![0; 10 << 20];
    bytes[5 << 20] = 1;
    bytes.extend_from_slice(b"end");
    files.insert(b"sparse".to_vec(), (metadata(0o644, &[]), Kind::File(bytes)));
    files.insert(b"zero".to_vec(), (metadata(0o644, &[]), Kind::File(vec![0; 1 << 20])));
    let many = (0..3000_u32).flat_map(|i| [u8::from(i % 2 == 0); 65_536]).collect();
    files.insert(b"many".to_vec(), (metadata(0o644, &[]), Kind::File(many)));
    let image = prove(&files, fit());
    let answer = programs::debugfs(&image.path, &["stat /sparse".to_owned(), "stat /many".to_owned()]);
    let text = String::from_utf8_lossy(&answer[0]).into_owned();
    assert!(text.contains("Blockcount: 136\n"), "{text}");
    assert!(String::from_utf8_lossy(&answer[1]).contains("(ETB0)"), "extents beyond the inode");
}

#[test]
fn a_device_too_small_says_how_much_is_needed() {
    let mut files = root();
    files.insert(b"big".to_vec(), (metadata(0o644, &[]), Kind::File(vec![1; 20 << 20])));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ext4");
    let Err(Error::TooSmall { needed, given }) = model::write(&files, &path, exact(16 << 20), 4096) else { panic!() };
    assert_eq!(given, ByteSize(16 << 20));
    assert!(path.metadata().unwrap().len() <= 16 << 20, "nothing is written beyond the end");
    prove(&files, exact(needed.0));
    let estimate = minimum_size(&model::stats(&files), ByteSize(0), &exact(needed.0)).unwrap();
    assert!(estimate.0.abs_diff(needed.0) <= 1 << 20, "{estimate} is far from {needed}");
    prove(&files, exact(estimate.0));
}
