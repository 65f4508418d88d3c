//! Files of the image that are wanted outside the repository as well.

use std::collections::BTreeMap;

use super::AssembleError;
use crate::disk::boot::Source;
use crate::disk::composefs::{ComposefsError, Repository};
use crate::oci::layer::Lossy;
use crate::oci::tree::Content;
use crate::oci::{ImageTree, LayerSource};

/// Largest file that is held in memory for the EFI system partition. The largest initramfs of a distribution, with all
/// firmware in it, has 300 MB.
pub(super) const LIMIT: u64 = 1 << 30;

/// Where files of this kind are found, as layers spell it.
const WANTED: [&str; 8] = [
    UNIFIED,
    // Copied into the deployment's state.
    "etc/",
    "usr/lib/os-release",
    "usr/lib/bootc/",
    "usr/lib/bootupd/",
    "usr/lib/efi/",
    "usr/lib/systemd/boot/efi/",
    // Its vmlinuz and initramfs.img only.
    KERNELS,
];

/// Unified kernels, which are not in the tree that is mounted.
const UNIFIED: &str = "boot/EFI/Linux/";

const KERNELS: &str = "usr/lib/modules/";

/// Whether the bytes of the file at this path of a layer should be kept while it is read. What has another path there
/// than in the tree is read again instead.
pub(super) fn is_wanted(path: &[u8]) -> bool {
    let starts = WANTED.iter().any(|folder| path.starts_with(folder.as_bytes()));
    let boots = || path.ends_with(b"/vmlinuz") || path.ends_with(b"/initramfs.img");
    starts && (!path.starts_with(KERNELS.as_bytes()) || boots())
}

/// Files whose bytes were not kept.
#[derive(Debug, Default)]
pub(super) struct Files {
    read: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Files {
    /// Reads those of `paths` that were not kept, each layer at most once.
    pub(super) fn read(
        &mut self,
        repository: &Repository,
        layers: &dyn LayerSource,
        paths: &[&[u8]],
    ) -> Result<(), AssembleError> {
        let mut missing = paths.to_vec();
        missing.retain(|path| self.bytes(repository, path).is_err());
        for tree in [&repository.root, &repository.boot] {
            let here: Vec<_> = missing.iter().filter(|path| std::ptr::eq(tree_of(repository, path), tree)).collect();
            if !here.is_empty() {
                self.read.extend(tree.read_files(layers, &here, LIMIT)?);
            }
        }
        Ok(())
    }

    /// The bytes of a file that was kept or read.
    pub(super) fn bytes<'f>(&'f self, repository: &'f Repository, path: &[u8]) -> Result<&'f [u8], AssembleError> {
        let kept = content(repository, path).and_then(|content| repository.contents.bytes(content));
        let bytes = kept.or_else(|| self.read.get(path).map(Vec::as_slice));
        bytes.ok_or_else(|| ComposefsError::NoContent { path: Lossy::from(path) }.into())
    }

    /// The bytes of a boot file.
    pub(super) fn source<'f>(
        &'f self,
        repository: &'f Repository,
        source: &'f Source,
    ) -> Result<&'f [u8], AssembleError> {
        match source {
            Source::Image(path) => self.bytes(repository, path),
            Source::Bytes(bytes) => Ok(bytes),
        }
    }
}

/// Size of a file of the image, read or not; 0 when there is none.
pub(super) fn size(repository: &Repository, path: &[u8]) -> u64 {
    content(repository, path).map_or(0, Content::size)
}

fn tree_of<'r>(repository: &'r Repository, path: &[u8]) -> &'r ImageTree {
    if path.starts_with(UNIFIED.as_bytes()) { &repository.boot } else { &repository.root }
}

fn content<'r>(repository: &'r Repository, path: &[u8]) -> Option<&'r Content> {
    let tree = tree_of(repository, path);
    tree.node(tree.resolve(path)?).content()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_copied_is_kept() {
        for (path, wanted) in [
            ("etc/passwd", true),
            ("usr/etc/passwd", false),
            ("usr/lib/modules/6.12/vmlinuz", true),
            ("usr/lib/modules/6.12/initramfs.img", true),
            ("usr/lib/modules/6.12/kernel/fs/erofs/erofs.ko", false),
            ("usr/lib/systemd/boot/efi/systemd-bootx64.efi", true),
            ("usr/lib/systemd/systemd", false),
            ("usr/lib/os-release", true),
            ("boot/EFI/Linux/6.12.efi", true),
            ("boot/grub2/grub.cfg", false),
        ] {
            assert_eq!(is_wanted(path.as_bytes()), wanted, "{path}");
        }
    }
}
