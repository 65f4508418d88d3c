//! What should be in a file system, and what a reader finds there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use imgbuild::disk::ext4::{Content, Error, Node, NodeId, Parameters, Stats, Summary, Tree, Writer};
use imgbuild::disk::verity::{Trees, VerityHasher};
use imgbuild::oci::layer::{Metadata, Mtime, Xattrs};

/// Files by their path, without a slash in front; the root is the empty path.
pub(crate) type Files = BTreeMap<Vec<u8>, (Metadata, Kind)>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File(Vec<u8>),
    Sealed(Vec<u8>),
    Symlink(Vec<u8>),
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
    Socket,
    /// Another name of the file at this path, which comes before in the order of paths.
    Link(Vec<u8>),
}

/// What a reader says about one file; nothing where it cannot tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: Option<u64>,
    pub(crate) mtime: Option<Mtime>,
    pub(crate) links: Option<u32>,
    /// Of a file or a symbolic link.
    pub(crate) content: Option<Vec<u8>>,
    pub(crate) device: Option<(u32, u32)>,
    pub(crate) xattrs: Option<Xattrs>,
}

pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// Writes content in pieces of `piece` bytes.
fn content(writer: &mut Writer<File>, bytes: &[u8], sealed: bool, piece: usize) -> Result<Content, Error> {
    let mut measure = VerityHasher::new(Trees::Keep);
    let mut file = writer.begin(bytes.len() as u64)?;
    for piece in bytes.chunks(piece) {
        file.write_all(piece)?;
        measure.update(piece);
    }
    if sealed { file.seal(&measure.finish()) } else { file.finish() }
}

/// Writes all files.
pub(crate) fn write(files: &Files, path: &Path, parameters: Parameters, piece: usize) -> Result<Summary, Error> {
    let mut writer = Writer::new(File::create(path).unwrap(), parameters)?;
    let mut contents = BTreeMap::new();
    for (path, (_, kind)) in files {
        if let Kind::File(bytes) | Kind::Sealed(bytes) = kind {
            contents.insert(path, content(&mut writer, bytes, matches!(kind, Kind::Sealed(_)), piece)?);
        }
    }
    let mut tree = Tree::new(&files[&b""[..]].0);
    let mut ids = BTreeMap::from([(&b""[..], NodeId::ROOT)]);
    for (path, (metadata, kind)) in files.iter().filter(|(path, _)| !path.is_empty()) {
        let (parent, name) = split(path);
        let node = match kind {
            Kind::Link(target) => {
                tree.link(ids[parent], name, ids[&target[..]])?;
                continue;
            }
            Kind::Directory => Node::Directory,
            Kind::File(_) | Kind::Sealed(_) => Node::File(contents.remove(path).unwrap()),
            Kind::Symlink(target) => Node::Symlink(target.clone()),
            Kind::CharDevice(major, minor) => Node::CharDevice { major: *major, minor: *minor },
            Kind::BlockDevice(major, minor) => Node::BlockDevice { major: *major, minor: *minor },
            Kind::Fifo => Node::Fifo,
            Kind::Socket => Node::Socket,
        };
        ids.insert(path, tree.add(ids[parent], name, metadata, node)?);
    }
    writer.finish(tree).map(|(_, summary)| summary)
}

/// The sums from which the size is estimated.
pub(crate) fn stats(files: &Files) -> Stats {
    let mut stats = Stats::default();
    for (path, (metadata, kind)) in files {
        match kind {
            Kind::Link(_) => continue,
            Kind::Directory => {
                let names: Vec<_> =
                    files.keys().filter(|p| !p.is_empty() && split(p).0 == path).map(|p| split(p).1.len()).collect();
                stats.directory(names.len() as u64, names.iter().sum::<usize>() as u64);
            }
            Kind::File(bytes) => stats.file(bytes.len() as u64, false),
            Kind::Sealed(bytes) => stats.file(bytes.len() as u64, true),
            Kind::Symlink(target) => stats.symlink(target.len() as u64),
            _ => stats.special(),
        }
        stats.xattrs(&metadata.xattrs);
    }
    stats
}

/// What a reader that can tell everything should see.
pub(crate) fn expected(files: &Files) -> BTreeMap<Vec<u8>, Seen> {
    let mut links: BTreeMap<&[u8], u32> = BTreeMap::new();
    for (path, (_, kind)) in files {
        let counted = match kind {
            Kind::Link(target) => target,
            Kind::Directory => {
                *links.entry(split(path).0).or_default() += u32::from(!path.is_empty());
                *links.entry(path).or_default() += 1;
                path
            }
            _ => path,
        };
        *links.entry(counted).or_default() += 1;
    }
    let mut seen: BTreeMap<_, _> = files
        .iter()
        .map(|(path, (own, kind))| {
            let (target, metadata, kind) = match kind {
                Kind::Link(target) => (&target[..], &files[target].0, &files[target].1),
                kind => (&path[..], own, kind),
            };
            (path.clone(), seen(metadata, kind, links[target]))
        })
        .collect();
    if !seen.contains_key(&b"lost+found"[..]) {
        let metadata = Metadata { mtime: files[&b""[..]].0.mtime, ..Metadata::with_mode(0o700) };
        seen.insert(b"lost+found".to_vec(), self::seen(&metadata, &Kind::Directory, 2));
        if let Some(links) = seen.get_mut(&b""[..]).and_then(|root| root.links.as_mut()) {
            *links += 1;
        }
    }
    for directory in seen.values_mut().filter(|seen| seen.mode & 0o170_000 == 0o040_000) {
        directory.links = directory.links.map(|links| if links > 65_000 { 1 } else { links });
    }
    seen
}

fn seen(metadata: &Metadata, kind: &Kind, links: u32) -> Seen {
    let (kind_bits, content, device) = match kind {
        Kind::Directory => (0o040_000, None, None),
        Kind::File(bytes) | Kind::Sealed(bytes) => (0o100_000, Some(bytes), None),
        Kind::Symlink(target) => (0o120_000, Some(target), None),
        Kind::CharDevice(major, minor) => (0o020_000, None, Some((*major, *minor))),
        Kind::BlockDevice(major, minor) => (0o060_000, None, Some((*major, *minor))),
        Kind::Fifo => (0o010_000, None, None),
        Kind::Socket => (0o140_000, None, None),
        Kind::Link(_) => panic!("resolved before"),
    };
    Seen {
        mode: kind_bits | u32::from(metadata.mode),
        uid: metadata.uid,
        gid: metadata.gid,
        size: (kind_bits != 0o040_000).then(|| content.map_or(0, |bytes| bytes.len() as u64)),
        mtime: Some(metadata.mtime),
        links: Some(links),
        content: content.cloned(),
        device,
        xattrs: Some(metadata.xattrs.clone()),
    }
}

/// Compares, leaving out what the reader could not tell.
pub(crate) fn compare(reader: &str, files: &Files, found: &BTreeMap<Vec<u8>, Seen>) {
    let mut wanted = expected(files);
    for (path, seen) in found {
        let Some(wanted) = wanted.get_mut(path) else { continue };
        let kept = |told: bool| told.then_some(());
        wanted.size = wanted.size.filter(|_| seen.size.is_some());
        wanted.mtime = kept(seen.mtime.is_some()).and(wanted.mtime);
        wanted.links = kept(seen.links.is_some()).and(wanted.links);
        wanted.content = wanted.content.take().filter(|_| seen.content.is_some());
        wanted.device = kept(seen.device.is_some()).and(wanted.device);
        wanted.xattrs = wanted.xattrs.take().filter(|_| seen.xattrs.is_some());
    }
    for (path, wanted) in &wanted {
        let shown = String::from_utf8_lossy(path);
        let seen = found.get(path).unwrap_or_else(|| panic!("{reader} does not find `{shown}`"));
        assert!(seen.content == wanted.content, "{reader}: content of `{shown}` differs");
        assert!(seen.xattrs == wanted.xattrs, "{reader}: attributes of `{shown}` differ");
        let short = |seen: &Seen| Seen { content: None, xattrs: None, ..seen.clone() };
        assert_eq!(short(seen), short(wanted), "{reader}: `{shown}`");
    }
    assert_eq!(found.len(), wanted.len(), "{reader} finds more than there should be");
}
