//! Why there is no disk of an image.

use crate::disk::boot::Unbootable;
use crate::disk::composefs::ComposefsError;
use crate::disk::esp::EspError;
use crate::disk::ext4;
use crate::disk::gpt::GptError;
use crate::disk::uki::{PeError, SignatureError};
use crate::model::ByteSize;
use crate::oci::InitramfsError;
use crate::oci::layer::Lossy;
use crate::oci::tree::TreeError;

/// A disk that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum AssembleError {
    /// Nothing would boot.
    #[error(transparent)]
    Unbootable(#[from] Unbootable),
    /// The disk is to be begun anew with fs-verity for all objects.
    #[error("the image is sealed, and the disk was begun without fs-verity")]
    Sealed,
    /// The unified kernel is none.
    #[error("the unified kernel `{path}` cannot be read")]
    Unified { path: Lossy, source: PeError },
    /// Something of it is not there.
    #[error("the unified kernel `{path}` has no section `{section}`")]
    UnifiedSection { path: Lossy, section: &'static str },
    /// Firmware with any key would refuse it.
    #[error("the unified kernel `{path}` is not what was signed")]
    UnifiedSignature { path: Lossy, source: SignatureError },
    /// The initramfs decides whether the image boots.
    #[error("the initramfs `{path}` cannot be read")]
    Initramfs { path: Lossy, source: InitramfsError },
    /// Its entries would be in the image's own `/boot`.
    #[error(
        "a plain root boots by systemd-boot, and the image has grub; have systemd-boot in it, and no `/usr/lib/bootupd`"
    )]
    PlainGrub,
    /// Only a host's own files are added to a disk.
    #[error("`{path}` is neither in /etc nor in /var, and the rest of the disk is the image's")]
    NotState { path: String },
    /// The disk is to be begun anew with a larger one.
    #[error("the EFI system partition needs {needed}, and has {given}")]
    EspTooSmall { needed: ByteSize, given: ByteSize },
    /// The size that was asked for does not do.
    #[error("the disk needs {} MiB, and {} were asked for", needed.0.div_ceil(1 << 20), given)]
    TooSmall { needed: ByteSize, given: ByteSize },
    /// The layers cannot be read, or make no repository.
    #[error(transparent)]
    Composefs(#[from] ComposefsError),
    /// Reading a file again failed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The partition table.
    #[error(transparent)]
    Table(#[from] GptError),
    /// The EFI system partition.
    #[error(transparent)]
    Esp(#[from] EspError),
    /// The root file system.
    #[error(transparent)]
    Root(#[from] ext4::Error),
}
