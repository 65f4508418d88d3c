//! What `disk::inspect` reads, of file systems that are whole and of damaged ones.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Seek};
use std::path::Path;

use imgbuild::disk::Window;
use imgbuild::disk::inspect::ext4::{Ext4, Ext4Error, FileKind, Inode, Visit};
use imgbuild::oci::layer::Xattrs;

use crate::model::{Files, Kind, Seen};
use crate::{fit, metadata, root, written};

/// All files, and what is found damaged.
type Found = (BTreeMap<Vec<u8>, Seen>, Vec<String>);

/// All files as imgbuild reads them.
pub(crate) fn read(image: &Path) -> BTreeMap<Vec<u8>, Seen> {
    let file = std::fs::File::open(image).unwrap();
    let length = file.metadata().unwrap().len();
    let (found, damage) = walk(Window::new(file, 0, length)).unwrap();
    assert_eq!(damage, [] as [&str; 0]);
    found
}

fn walk<S: Read + Seek>(partition: Window<S>) -> Result<Found, Ext4Error> {
    let mut ext4 = Ext4::open(partition)?;
    let (mut found, mut damage) = (BTreeMap::new(), Vec::new());
    ext4.check_spare()?;
    ext4.walk::<Ext4Error>(&mut |ext4, path, visit| {
        match visit {
            Visit::Damaged(error) => damage.push(error.to_string()),
            Visit::File(inode) => match seen(ext4, inode) {
                Ok(seen) => drop(found.insert(path.to_vec(), seen)),
                Err(error) => damage.push(error.to_string()),
            },
        }
        Ok(())
    })?;
    Ok((found, damage))
}

fn seen<S: Read + Seek>(ext4: &mut Ext4<S>, inode: &Inode) -> Result<Seen, Ext4Error> {
    let (kind, content, device) = match inode.kind {
        FileKind::Regular => (0o100_000, Some(ext4.read(inode, 1 << 30)?), None),
        FileKind::Directory => (0o040_000, None, None),
        FileKind::Symlink => (0o120_000, Some(ext4.link_target(inode)?), None),
        FileKind::CharDevice { major, minor } => (0o020_000, None, Some((major, minor))),
        FileKind::BlockDevice { major, minor } => (0o060_000, None, Some((major, minor))),
        FileKind::Fifo => (0o010_000, None, None),
        FileKind::Socket => (0o140_000, None, None),
    };
    Ok(Seen {
        mode: kind | u32::from(inode.mode),
        uid: inode.uid,
        gid: inode.gid,
        size: (inode.kind != FileKind::Directory).then_some(inode.size),
        mtime: None,
        links: Some(inode.links.into()),
        content,
        device,
        xattrs: Some(ext4.xattrs(inode)?.into_iter().collect::<Xattrs>()),
    })
}

fn some_files() -> Files {
    let mut files = root();
    let large: Vec<u8> = (0..300_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    files.insert(b"a".to_vec(), (metadata(0o755, &[("user.long", &[b'x'; 3000])]), Kind::Directory));
    files.insert(b"a/huge-attribute".to_vec(), (metadata(0o644, &[("user.x", &[7; 20_000])]), Kind::File(vec![1])));
    files.insert(b"a/large".to_vec(), (metadata(0o4755, &[("user.short", b"v")]), Kind::File(large)));
    files.insert(b"a/second".to_vec(), (metadata(0o644, &[]), Kind::Link(b"a/large".to_vec())));
    files.insert(b"a/sealed".to_vec(), (metadata(0o644, &[]), Kind::Sealed(vec![3; 10_000])));
    files.insert(b"link".to_vec(), (metadata(0o777, &[]), Kind::Symlink(vec![b'l'; 300])));
    files.insert(b"many".to_vec(), (metadata(0o755, &[]), Kind::Directory));
    for number in 0..600 {
        let name = format!("many/{number:0>40}").into_bytes();
        files.insert(name, (metadata(0o644, &[]), Kind::Symlink(b"short".to_vec())));
    }
    files
}

fn without_content((found, damage): Found) -> Found {
    let short = |seen: Seen| Seen { content: None, ..seen };
    (found.into_iter().map(|(path, seen)| (path, short(seen))).collect(), damage)
}

#[test]
fn no_flipped_byte_of_metadata_goes_unnoticed() {
    let image = written(&some_files(), fit());
    let mut bytes = Cursor::new(std::fs::read(&image.path).unwrap());
    let length = bytes.get_ref().len();
    let mut read = || without_content(walk(Window::new(&mut bytes, 0, length as u64)).unwrap());
    let good = read();
    assert_eq!(good.1, [] as [&str; 0]);
    let (mut noticed, step) = (0, 4096 + 97);
    // Any byte of any block; content is for others to prove, and what is free is nobody's.
    for at in (1024..length).step_by(step) {
        if bytes.get_ref()[at & !4095..].iter().take(4096).all(|byte| *byte == 0) {
            continue;
        }
        bytes.get_mut()[at] ^= 0x10;
        match walk(Window::new(&mut bytes, 0, length as u64)) {
            Err(_) => noticed += 1,
            Ok((_, damage)) if !damage.is_empty() => noticed += 1,
            Ok(found) => assert!(without_content(found) == good, "byte {at} is read as something else"),
        }
        bytes.get_mut()[at] ^= 0x10;
    }
    assert!(noticed > 20, "{noticed}");
}

#[test]
fn numbers_that_lie_are_bounded_even_with_right_checksums() {
    let image = written(&some_files(), fit());
    let good = std::fs::read(&image.path).unwrap();
    let open = |change: &dyn Fn(&mut [u8])| {
        let mut bytes = good.clone();
        change(&mut bytes[1024..2048]);
        let sum = crc32c(&bytes[1024..2044]);
        bytes[2044..2048].copy_from_slice(&sum.to_le_bytes());
        let length = bytes.len() as u64;
        walk(Window::new(Cursor::new(bytes), 0, length)).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(open(&|_| ()), Ok(()));
    let set =
        |at: usize, value: &'static [u8]| move |bytes: &mut [u8]| bytes[at..at + value.len()].copy_from_slice(value);
    for (at, value, said) in [
        (0x04, &[0xff; 4][..], "larger than its partition"),
        (0x28, &[0; 4], "contradict each other"),
        (0x28, &[0xff; 4], "contradict each other"),
        (0x00, &[0xff; 4], "contradict each other"),
        (0x18, &[0; 4], "other sizes"),
        (0xfe, &[32, 0], "other sizes"),
        (0x38, &[0, 0], "no ext4"),
        (0x60, &[0xd2, 0x06], "meta_bg"),
        (0x60, &[0xc6, 0x02], "not unmounted cleanly"),
        (0x60, &[0xc2, 0x02, 1], "change how files are kept"),
    ] {
        let found = open(&set(at, value)).unwrap_err();
        assert!(found.contains(said), "{at:#x} {value:?}: {found}");
    }
}

/// Bit by bit, as the polynomial is defined.
fn crc32c(bytes: &[u8]) -> u32 {
    let bit = |sum: u32| if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
    bytes.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| bit(sum)))
}
