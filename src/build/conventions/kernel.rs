//! The one kernel of an image.

use super::BuildError;
use crate::model::KernelRelease;
use crate::oci::ImageTree;

/// Folders under `/usr/lib/modules` that hold a `vmlinuz`.
pub(crate) fn folders(tree: &ImageTree) -> Vec<KernelRelease> {
    super::children(tree, "usr/lib/modules")
        .into_iter()
        .filter(|path| tree.resolve(format!("{path}/vmlinuz")).is_some())
        .filter_map(|path| path.rsplit('/').next()?.parse().ok())
        .collect()
}

/// The kernel of an image that must have exactly one, with its initramfs beside it.
///
/// # Errors
/// When there is none, more than one, or no initramfs.
pub(crate) fn only(image: &str, tree: &ImageTree) -> Result<KernelRelease, BuildError> {
    let found = folders(tree);
    let [kernel] = found.as_slice() else {
        let found = found.iter().map(ToString::to_string).collect();
        return Err(BuildError::KernelCount { image: image.to_owned(), found });
    };
    if tree.resolve(format!("usr/lib/modules/{kernel}/initramfs.img")).is_none() {
        return Err(BuildError::NoInitramfs { image: image.to_owned(), kernel: kernel.clone() });
    }
    Ok(kernel.clone())
}
