//! Walking the EROFS image of a deployment.
//!
//! The bytes are taken apart by the `composefs` crate, whose accessors bound every offset; what is visited is bounded
//! here, because the crate's own walks multiply what a hostile image shares. Its writer of these images is other code,
//! and kernels read what it writes.

use std::collections::{BTreeMap, BTreeSet};

use composefs::erofs::format::DataLayout;
use composefs::erofs::reader::{ErofsReaderError, Image, InodeHeader, InodeOps, InodeType, XAttr};

use crate::disk::verity::{DIGEST, VerityDigest};

/// Smallest record of a name.
const RECORD: usize = 12;
/// Deepest path.
const DEEPEST: usize = 2048;
/// `trusted.`
const TRUSTED: u8 = 4;
/// Longest target of a symbolic link, and largest content of a file in the image itself, with room.
const INLINE: usize = 64 << 10;

/// Prefixes of attributes' names, by number (EROFS on-disk format, "Extended attributes").
const PREFIXES: [&[u8]; 7] =
    [b"", b"user.", b"system.posix_acl_access", b"system.posix_acl_default", b"trusted.", b"lustre.", b"security."];

/// A file of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageFile {
    /// Type and permissions.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) content: Content,
    /// Without those that overlayfs keeps for itself.
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// The bytes of a small file, or the target of a link.
    Inline(Vec<u8>),
    /// An object.
    Object(VerityDigest),
    /// A device's number as the kernel has it.
    Device(u32),
    /// A directory, a pipe, a socket.
    None,
}

/// Calls `visit` with the path of every file below the root.
pub(super) fn walk(bytes: &[u8], visit: &mut dyn FnMut(&[u8], &ImageFile)) -> Result<(), String> {
    let told = |error: ErofsReaderError| error.to_string();
    let image = Image::open(bytes).and_then(Image::restrict_to_composefs).map_err(told)?;
    let root = u64::from(image.sb.root_nid.get());
    let (mut folders, mut seen) = (vec![(Vec::new(), root)], BTreeSet::from([root]));
    let mut left = bytes.len() / RECORD;
    while let Some((path, nid)) = folders.pop() {
        let inode = image.inode(nid).map_err(told)?;
        for (name, child) in names(&image, &inode, &mut left)? {
            let file = image.inode(child).map_err(told)?;
            if path.is_empty() && is_stub(&name, &file) {
                continue;
            }
            let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
            let below = [&path, separator, &name].concat();
            if file.mode().is_dir() {
                if !seen.insert(child) || below.len() > 2 * DEEPEST {
                    return Err("a folder is reached twice, or too deep".to_owned());
                }
                folders.push((below.clone(), child));
            }
            visit(&below, &read(&image, &file)?);
        }
    }
    Ok(())
}

/// An image of version 1 has 256 whiteouts in its root, which hide the folders of objects.
fn is_stub(name: &[u8], file: &InodeType<'_>) -> bool {
    name.len() == 2 && name.iter().all(u8::is_ascii_hexdigit) && file.mode().0.get() & 0xf000 == 0x2000 && file.u() == 0
}

/// The records of a folder: number of an inode, offset of the name, two bytes that are not needed.
fn names(image: &Image<'_>, inode: &InodeType<'_>, left: &mut usize) -> Result<Vec<(Vec<u8>, u64)>, String> {
    let told = |error: ErofsReaderError| error.to_string();
    let mut names = Vec::new();
    for block in image.inode_blocks(inode).map_err(told)? {
        records(image.block(block).map_err(told)?, left, &mut names)?;
    }
    if let (Some(inline), DataLayout::FlatInline) = (inode.inline(), inode.data_layout().map_err(told)?) {
        records(inline, left, &mut names)?;
    }
    Ok(names)
}

fn records(block: &[u8], left: &mut usize, names: &mut Vec<(Vec<u8>, u64)>) -> Result<(), &'static str> {
    let half = |at: usize| block.get(at..at + 2).map(|bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])));
    let first = half(8).ok_or("a folder is cut off")?;
    if first == 0 || !first.is_multiple_of(RECORD) {
        return Err("a folder is damaged");
    }
    for at in (0..first).step_by(RECORD) {
        *left = left.checked_sub(1).ok_or("it has more names than it has room for")?;
        let (start, end) = (half(at + 8).ok_or("a folder is cut off")?, at + RECORD);
        let end = if end < first { half(end + 8).ok_or("a folder is cut off")? } else { block.len() };
        let name = block.get(start..end).ok_or("a name is outside of its folder")?;
        // The last one ends where its block does, or before.
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        if matches!(name, b"." | b"..") {
            continue;
        }
        if name.is_empty() || name.contains(&b'/') {
            return Err("a name is none");
        }
        let mut nid = [0; 8];
        nid.copy_from_slice(&block[at..at + 8]);
        names.push((name.to_vec(), u64::from_le_bytes(nid)));
    }
    Ok(())
}

fn read(image: &Image<'_>, inode: &InodeType<'_>) -> Result<ImageFile, String> {
    let told = |error: ErofsReaderError| error.to_string();
    let mode = inode.mode().0.get();
    let (uid, gid) = match inode {
        InodeType::Compact(inode) => (inode.header.uid.get().into(), inode.header.gid.get().into()),
        InodeType::Extended(inode) => (inode.header.uid.get(), inode.header.gid.get()),
    };
    let (xattrs, object) = xattrs(image, inode)?;
    let content = match (mode & 0xf000, object) {
        (0x8000, Some(digest)) => Content::Object(digest),
        (0x8000 | 0xa000, _) if inode.data_layout().map_err(told)? == DataLayout::ChunkBased => {
            return Err("a file has neither content nor object".to_owned());
        }
        (0x8000 | 0xa000, _) => Content::Inline(inline(image, inode).map_err(told)?),
        (0x2000 | 0x6000, _) => Content::Device(inode.u()),
        _ => Content::None,
    };
    Ok(ImageFile { mode, uid, gid, size: inode.size(), content, xattrs })
}

fn inline(image: &Image<'_>, inode: &InodeType<'_>) -> Result<Vec<u8>, ErofsReaderError> {
    let length = usize::try_from(inode.size()).unwrap_or(INLINE).min(INLINE);
    let mut bytes = Vec::new();
    for block in image.inode_blocks(inode)? {
        if bytes.len() < length {
            bytes.extend_from_slice(image.block(block)?);
        }
    }
    bytes.extend_from_slice(inode.inline().unwrap_or_default());
    bytes.truncate(length);
    Ok(bytes)
}

type Attributes = (BTreeMap<Vec<u8>, Vec<u8>>, Option<VerityDigest>);

/// Attributes, and the object that overlayfs is told to find the content in.
fn xattrs(image: &Image<'_>, inode: &InodeType<'_>) -> Result<Attributes, String> {
    let told = |error: ErofsReaderError| error.to_string();
    let (mut all, mut digest, mut redirect) = (BTreeMap::new(), None, None);
    let mut take = |attribute: &XAttr| -> Result<(), String> {
        let (suffix, value) = (attribute.suffix().map_err(told)?, attribute.value().map_err(told)?);
        match (attribute.header.name_index, suffix) {
            (TRUSTED, b"overlay.metacopy") => digest = Some(metacopy(value).ok_or("a digest is none")?),
            (TRUSTED, b"overlay.redirect") => redirect = Some(value.to_vec()),
            (TRUSTED, name) if name.starts_with(b"overlay.") => {}
            (index, name) => {
                let prefix = PREFIXES.get(usize::from(index)).ok_or("an attribute has no known name")?;
                all.insert([prefix, name].concat(), value.to_vec());
            }
        }
        Ok(())
    };
    if let Some(section) = inode.xattrs().map_err(told)? {
        for id in section.shared().map_err(told)? {
            take(image.shared_xattr(id.get()).map_err(told)?)?;
        }
        for attribute in section.local().map_err(told)? {
            take(attribute.map_err(told)?)?;
        }
    }
    let leads = |digest: &VerityDigest| {
        let hex = digest.to_string();
        redirect.as_deref() == Some(format!("/{}/{}", &hex[..2], &hex[2..]).as_bytes())
    };
    match (&digest, &redirect) {
        (None, None) => {}
        (Some(digest), Some(_)) if leads(digest) => {}
        _ => return Err("a file's digest and the object it is in are not the same".to_owned()),
    }
    Ok((all, digest))
}

/// `struct ovl_metacopy`: version, length, flags, algorithm (2 is SHA-512), digest.
fn metacopy(value: &[u8]) -> Option<VerityDigest> {
    let digest = value.strip_prefix(&[0, 4 + 64, 0, 2])?;
    let digest: [u8; DIGEST] = digest.try_into().ok()?;
    Some(VerityDigest::new(digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::composefs::{Contents, CrateWriter, ErofsVersion, ErofsWriter as _};
    use crate::oci::ImageTree;
    use crate::oci::layer::Metadata;
    use crate::oci::tree::NewNode;

    fn image(version: ErofsVersion) -> Vec<u8> {
        let mut tree = ImageTree::new();
        let mut metadata = Metadata::with_mode(0o640);
        metadata.xattrs.insert(b"security.selinux", b"system_u:object_r:etc_t:s0");
        (metadata.uid, metadata.gid) = (1000, 70_000);
        tree.insert_dir("etc", Metadata::with_mode(0o755)).unwrap();
        tree.insert_file("etc/motd", b"hello\n".to_vec(), metadata).unwrap();
        tree.insert("etc/link", NewNode::Symlink(b"motd".to_vec()), Metadata::with_mode(0o777)).unwrap();
        tree.insert("etc/pipe", NewNode::Fifo, Metadata::with_mode(0o600)).unwrap();
        for number in 0..300 {
            tree.insert_file(format!("etc/{number:0>50}"), Vec::new(), Metadata::with_mode(0o644)).unwrap();
        }
        CrateWriter.image(&tree, &Contents::default(), version).unwrap().into_vec()
    }

    fn files(bytes: &[u8]) -> Result<BTreeMap<Vec<u8>, ImageFile>, String> {
        let mut found = BTreeMap::new();
        walk(bytes, &mut |path, file| drop(found.insert(path.to_vec(), file.clone()))).map(|()| found)
    }

    #[test]
    fn both_versions_are_read() {
        for version in [ErofsVersion::V1, ErofsVersion::V2] {
            let found = files(&image(version)).unwrap();
            assert_eq!(found.len(), 304);
            let motd = &found[&b"etc/motd"[..]];
            assert_eq!((motd.mode, motd.uid, motd.gid, motd.size), (0o100_640, 1000, 70_000, 6));
            assert_eq!(motd.content, Content::Inline(b"hello\n".to_vec()));
            assert_eq!(motd.xattrs[&b"security.selinux"[..]], b"system_u:object_r:etc_t:s0");
            assert_eq!(found[&b"etc/link"[..]].content, Content::Inline(b"motd".to_vec()));
            assert_eq!(found[&b"etc/pipe"[..]].mode, 0o010_600);
        }
    }

    #[test]
    fn no_byte_of_an_image_makes_it_panic_or_run_away() {
        for version in [ErofsVersion::V1, ErofsVersion::V2] {
            let mut bytes = image(version);
            for at in (0..bytes.len()).filter(|at| at % 37 == 0 || (1024..1200).contains(at)) {
                let before = bytes[at];
                for other in [before ^ 1, 0xff, before.wrapping_add(8)] {
                    bytes[at] = other;
                    if let Ok(found) = files(&bytes) {
                        assert!(found.len() <= bytes.len() / RECORD);
                    }
                }
                bytes[at] = before;
            }
        }
    }
}
