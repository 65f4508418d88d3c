//! What a root file system holds: sizes, the repository, deployments.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use serde::Serialize;
use uuid::Uuid;

use super::ext4::{Ext4, Ext4Error, FileKind, Visit};
use crate::disk::Window;
use crate::oci::layer::Lossy;

/// Largest record of a deployment that is read.
const MAX_ORIGIN: u64 = 64 << 10;

/// Where things are.
const DEPLOYMENTS: &str = "state/deploy/";
const OBJECTS: &str = "composefs/objects/";
const IMAGES: &str = "composefs/images/";

/// A root file system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RootContent {
    /// UUID.
    pub uuid: String,
    /// Size in bytes.
    pub size: u64,
    /// Bytes not in use.
    pub free: u64,
    /// Files of all kinds, those of the repository included.
    pub files: u64,
    /// Objects in the repository.
    pub objects: u64,
    /// Their bytes.
    pub object_bytes: u64,
    /// EROFS images that can be booted, or were made on the way to one.
    pub images: u64,
    /// Deployments by name.
    pub deployments: Vec<FoundDeployment>,
}

/// A deployment, as its record has it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FoundDeployment {
    /// Its name: the digest of the image that is mounted.
    pub id: String,
    /// Where updates come from.
    pub source: String,
    /// `bls` or `uki`.
    pub boot_type: String,
    /// SHA-256 of kernel and initramfs.
    pub boot_digest: String,
    /// The image's manifest.
    pub manifest: String,
}

/// `.origin`: sections of keys and values, as `section.key`.
pub(in crate::disk) fn parse_origin(text: &str) -> BTreeMap<String, String> {
    let mut section = "";
    let mut values = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        } else if let Some((key, value)) = line.split_once('=') {
            let shown = value.trim().chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
            values.insert(format!("{section}.{}", key.trim()), shown.collect());
        }
    }
    values
}

/// Reads a root file system; content is not verified.
///
/// # Errors
/// When it is no ext4 that is read here, or damaged.
pub fn inspect_root<S: Read + Seek>(partition: Window<S>) -> Result<RootContent, Ext4Error> {
    let mut ext4 = Ext4::open(partition)?;
    let uuid = Uuid::from_bytes(ext4.uuid()).to_string();
    let mut content = RootContent { uuid, size: ext4.size(), free: ext4.free(), ..RootContent::default() };
    ext4.walk::<Ext4Error>(&mut |ext4, path, visit| {
        let inode = match visit {
            Visit::File(inode) => inode,
            Visit::Damaged(error) => return Err(error),
        };
        content.files += 1;
        let path = Lossy::from(path).to_string();
        if inode.kind == FileKind::Regular && path.starts_with(OBJECTS) {
            content.objects += 1;
            content.object_bytes = content.object_bytes.saturating_add(inode.size);
        }
        content.images += u64::from(path.starts_with(IMAGES));
        let id = path.strip_prefix(DEPLOYMENTS).and_then(|path| path.split_once('/'));
        let id = id.filter(|(id, name)| *name == format!("{id}.origin")).map(|(id, _)| id.to_owned());
        if let Some(id) = id.filter(|_| inode.kind == FileKind::Regular) {
            let text = ext4.read(inode, MAX_ORIGIN)?;
            content.deployments.push(deployment(id, &String::from_utf8_lossy(&text)));
        }
        Ok(())
    })?;
    Ok(content)
}

fn deployment(id: String, text: &str) -> FoundDeployment {
    let mut origin = parse_origin(text);
    let mut take = |key: &str| origin.remove(key).unwrap_or_default();
    FoundDeployment {
        id,
        source: take("origin.container-image-reference"),
        boot_type: take("boot.boot_type"),
        boot_digest: take("boot.digest"),
        manifest: take("image.manifest_digest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_and_cannot_draw_on_a_terminal() {
        let text =
            "[origin]\ncontainer-image-reference = docker://a\u{1b}[2J\n\n[boot]\nboot_type = bls\ndigest = 00\n";
        let found = deployment("id".to_owned(), text);
        assert_eq!((&*found.source, &*found.boot_type, &*found.boot_digest), ("docker://a\u{fffd}[2J", "bls", "00"));
        assert_eq!(found.manifest, "");
    }
}
