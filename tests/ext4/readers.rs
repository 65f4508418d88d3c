//! Independent readers: the crate `ext4-view`, `debugfs`, and the kernel.

use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use imgbuild::oci::layer::{Mtime, Xattrs};

use crate::model::Seen;
use crate::programs::debugfs;

/// All files as `ext4-view` reads them; it knows no attributes, links or device numbers.
pub(crate) fn view(image: &Path) -> BTreeMap<Vec<u8>, Seen> {
    let ext4 = ext4_view::Ext4::load_from_path(image).unwrap();
    let mut found = BTreeMap::new();
    let mut pending = vec![Vec::new()];
    while let Some(path) = pending.pop() {
        let full = [b"/", &path[..]].concat();
        let full = ext4_view::Path::try_from(&full[..]).unwrap();
        let metadata = ext4.symlink_metadata(full).unwrap();
        if metadata.is_dir() {
            for entry in ext4.read_dir(full).unwrap() {
                let name = entry.unwrap().file_name().as_ref().to_vec();
                if name != b"." && name != b".." {
                    pending.push(if path.is_empty() { name } else { [&path[..], b"/", &name[..]].concat() });
                }
            }
        }
        let content = match metadata.file_type() {
            ext4_view::FileType::Regular => Some(ext4.read(full).unwrap()),
            ext4_view::FileType::Symlink => Some(ext4.read_link(full).unwrap().as_ref().to_vec()),
            _ => None,
        };
        let kind = match metadata.file_type() {
            ext4_view::FileType::Regular => 0o100_000,
            ext4_view::FileType::Directory => 0o040_000,
            ext4_view::FileType::Symlink => 0o120_000,
            ext4_view::FileType::CharacterDevice => 0o020_000,
            ext4_view::FileType::BlockDevice => 0o060_000,
            ext4_view::FileType::Fifo => 0o010_000,
            ext4_view::FileType::Socket => 0o140_000,
        };
        let seen = Seen {
            mode: kind | u32::from(metadata.mode() & 0o7777),
            uid: metadata.uid(),
            gid: metadata.gid(),
            size: (!metadata.is_dir()).then(|| metadata.len()),
            mtime: None,
            links: None,
            content,
            device: None,
            xattrs: None,
        };
        found.insert(path, seen);
    }
    found
}

/// All files as `debugfs` lists them, with attributes and device numbers; it does not read content here.
pub(crate) fn debug(image: &Path) -> BTreeMap<Vec<u8>, Seen> {
    let mut inodes = BTreeMap::from([(Vec::new(), 2_u32)]);
    let mut level = vec![(Vec::new(), 2_u32)];
    while !level.is_empty() {
        let commands: Vec<_> = level.iter().map(|(_, inode)| format!("ls -p <{inode}>")).collect();
        let answers = debugfs(image, &commands);
        let mut next = Vec::new();
        for ((path, _), answer) in level.iter().zip(answers) {
            for line in answer.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"/")) {
                let fields: Vec<_> = line.split(|byte| *byte == b'/').collect();
                let (inode, mode, name): (u32, _, _) = (text(fields[1]).parse().unwrap(), fields[2], fields[5]);
                if inode == 0 || name == b"." || name == b".." {
                    continue;
                }
                let path = if path.is_empty() { name.to_vec() } else { [&path[..], b"/", name].concat() };
                if mode.starts_with(b"04") {
                    next.push((path.clone(), inode));
                }
                inodes.insert(path, inode);
            }
        }
        level = next;
    }
    let commands: Vec<_> = inodes.values().map(|inode| format!("stat <{inode}>")).collect();
    let stats = debugfs(image, &commands);
    let xattrs = debug_xattrs(image, &inodes);
    let seen = stats.iter().zip(xattrs).map(|(stat, xattrs)| debug_stat(stat, xattrs));
    inodes.into_keys().zip(seen).collect()
}

/// Lists the names of all attributes, then asks for each value.
fn debug_xattrs(image: &Path, inodes: &BTreeMap<Vec<u8>, u32>) -> Vec<Xattrs> {
    let lists: Vec<_> = inodes.values().map(|inode| format!("ea_list <{inode}>")).collect();
    let mut wanted = Vec::new();
    for (index, (answer, inode)) in debugfs(image, &lists).iter().zip(inodes.values()).enumerate() {
        for line in text(answer).lines().filter_map(|line| line.strip_prefix("  ")) {
            wanted.push((index, line.split(" (").next().unwrap().to_owned(), *inode));
        }
    }
    let gets: Vec<_> = wanted.iter().map(|(_, name, inode)| format!("ea_get -x <{inode}> {name}")).collect();
    let mut xattrs = vec![Xattrs::default(); inodes.len()];
    for ((index, name, _), answer) in wanted.iter().zip(debugfs(image, &gets)) {
        let hex = text(&answer);
        let (_, hex) = hex.split_once(" = ").unwrap_or(("", ""));
        let value: Vec<u8> = hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        let value = if name.starts_with("system.posix_acl") { without_ids(value) } else { value };
        xattrs[*index].insert(name.as_bytes(), &value);
    }
    xattrs
}

/// `debugfs` says 0 where an entry of an access list has no id, the kernel -1.
fn without_ids(mut list: Vec<u8>) -> Vec<u8> {
    for entry in list[4..].chunks_exact_mut(8).filter(|entry| ![2, 8].contains(&entry[0])) {
        entry[4..].fill(0xff);
    }
    list
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn debug_stat(answer: &[u8], xattrs: Xattrs) -> Seen {
    let answer = text(answer);
    let after = |key: &str| answer.split(key).nth(1).unwrap_or_default().split_whitespace().next().unwrap_or_default();
    let kind = match answer.split("Type: ").nth(1).unwrap().split("    ").next().unwrap() {
        "regular" => 0o100_000,
        "directory" => 0o040_000,
        "symlink" => 0o120_000,
        "character special" => 0o020_000,
        "block special" => 0o060_000,
        "FIFO" => 0o010_000,
        "socket" => 0o140_000,
        other => panic!("{other}"),
    };
    let device = answer.contains("Device major/minor").then(|| {
        let (major, minor) = after("Device major/minor number:").split_once(':').unwrap();
        (major.parse().unwrap(), minor.parse().unwrap())
    });
    let times = after("mtime:").trim_start_matches("0x");
    let (low, extra) = times.split_once(':').unwrap();
    let (low, extra) = (u32::from_str_radix(low, 16).unwrap(), u32::from_str_radix(extra, 16).unwrap());
    let seconds = i64::from(low.cast_signed()) + (i64::from(extra & 3) << 32);
    Seen {
        mode: kind | u32::from_str_radix(after("Mode:"), 8).unwrap(),
        uid: debug_id(after("User:")),
        gid: debug_id(after("Group:")),
        size: (!matches!(kind, 0o040_000 | 0o020_000 | 0o060_000)).then(|| after("Size:").parse().unwrap()),
        mtime: Some(Mtime { seconds, nanos: extra >> 2 }),
        links: Some(after("Links:").parse().unwrap()),
        content: None,
        device,
        xattrs: Some(xattrs),
    }
}

/// `debugfs` prints users and groups as signed numbers.
fn debug_id(printed: &str) -> u32 {
    u32::try_from(printed.parse::<i64>().unwrap().rem_euclid(1 << 32)).unwrap()
}

/// All files as this machine's kernel reads them; nothing when it cannot mount.
pub(crate) fn kernel(image: &Path) -> Option<BTreeMap<Vec<u8>, Seen>> {
    let point = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount").args(["-o", "loop,ro"]).arg(image).arg(point.path()).output().ok()?;
    if !mounted.status.success() {
        return None;
    }
    let found = std::panic::catch_unwind(|| walk(point.path()));
    let unmounted = Command::new("umount").arg(point.path()).status().unwrap();
    assert!(unmounted.success());
    Some(found.unwrap())
}

fn walk(root: &Path) -> BTreeMap<Vec<u8>, Seen> {
    let mut found = BTreeMap::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(path) = pending.pop() {
        let full = root.join(&path);
        let metadata = full.symlink_metadata().unwrap();
        if metadata.is_dir() {
            pending.extend(std::fs::read_dir(&full).unwrap().map(|entry| path.join(entry.unwrap().file_name())));
        }
        let content = match metadata.file_type() {
            // A kernel without fs-verity opens no sealed file.
            kind if kind.is_file() => match std::fs::read(&full) {
                Err(error) if error.kind() == std::io::ErrorKind::Unsupported => None,
                read => Some(read.unwrap()),
            },
            kind if kind.is_symlink() => Some(std::fs::read_link(&full).unwrap().into_os_string().into_vec()),
            _ => None,
        };
        let device = metadata.file_type().is_char_device() || metadata.file_type().is_block_device();
        let number = metadata.rdev();
        let seen = Seen {
            mode: metadata.mode(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            size: (!metadata.is_dir()).then_some(metadata.len()),
            mtime: Some(Mtime { seconds: metadata.mtime(), nanos: u32::try_from(metadata.mtime_nsec()).unwrap() }),
            links: Some(u32::try_from(metadata.nlink()).unwrap()),
            content,
            device: device.then(|| (rustix::fs::major(number), rustix::fs::minor(number))),
            xattrs: kernel_xattrs(&full),
        };
        found.insert(path.as_os_str().as_bytes().to_vec(), seen);
    }
    found
}

/// The attributes of a file; nothing when the kernel lists `user.` attributes that it does not hand out, because the
/// file is neither regular nor a directory.
fn kernel_xattrs(path: &Path) -> Option<Xattrs> {
    let mut names = vec![0; 1 << 16];
    let count = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let names = names[..count].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; 1 << 16];
            match rustix::fs::lgetxattr(path, name, &mut value[..]) {
                Err(rustix::io::Errno::NODATA) => None,
                count => Some((name.to_vec(), value[..count.unwrap()].to_vec())),
            }
        })
        .collect()
}
