//! Why an image boots from no disk.

use super::ComposefsId;
use crate::disk::esp::EspPathError;
use crate::model::{KargsFileError, Machine};
use crate::oci::layer::Lossy;

/// An image that no disk can be made from, and what it lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the message names the fields")]
pub enum Unbootable {
    /// Nothing to boot.
    #[error("the image has no kernel: neither `/usr/lib/modules/*/vmlinuz` nor a unified one in `/boot/EFI/Linux`")]
    NoKernel,
    /// bootc refuses it too: an update would not know which one to take.
    #[error("the image has {} kernels, and one is wanted: {}", found.len(), list(found))]
    SeveralKernels { found: Vec<Lossy> },
    /// A kernel alone cannot mount the image.
    #[error("the kernel {kernel} has no `initramfs.img` beside it")]
    NoInitramfs { kernel: Lossy },
    /// The initramfs cannot mount a composefs root.
    #[error(
        "the initramfs has neither `initramfs-setup` nor `composefs-setup-root`, so it cannot mount the image; add the \
         dracut module `bootc` (an image with bootc) or `composefs`, with `add_dracutmodules+=\" … \"`, and make it anew, \
         or give --layout plain for a root that cannot be updated as an image"
    )]
    NoComposefs,
    /// The program is there and nothing starts it.
    #[error("the initramfs has `{program}`, and no target wants or requires its unit `{unit}`")]
    NotStarted { program: &'static str, unit: &'static str },
    /// The unit waits for something that nobody writes.
    #[error("the unit `{unit}` of the initramfs starts at neither `composefs=` nor `composefs.digest=`")]
    NoSpelling { unit: &'static str },
    /// bootc keeps what it wrote readable from 1.16 on only.
    #[error("the image has bootc {major}.{minor}; disks can be updated from 1.16 on")]
    OldBootc { major: u32, minor: u32 },
    /// Nothing that starts the kernel.
    #[error("the image has no boot loader for UEFI: none of {}", looked.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", "))]
    NoBootLoader { looked: Vec<String> },
    /// Its boot loader is for a BIOS.
    #[error("the image has a boot loader for BIOS only (`/usr/lib/bootupd/updates`); disks are made for UEFI")]
    BiosOnly,
    /// UEFI knows no such machine.
    #[error("machines of architecture {machine} have no UEFI, and nothing else is supported")]
    NoUefi { machine: Machine },
    /// Files of the boot loader that belong together are not complete.
    #[error("the boot loader is not complete: `{missing}` is not in the image")]
    LoaderIncomplete { missing: String },
    /// Two files of the image would have the same place.
    #[error("`{path}` comes from two files of the image")]
    Twice { path: String },
    /// Its command line is signed with it.
    #[error("the image boots a unified kernel, whose command line is part of it; further arguments are not possible")]
    ArgumentsOfUki,
    /// grub starts one only through menu entries written by hand.
    #[error("the image boots a unified kernel with grub; have systemd-boot in it instead, and no `/usr/lib/bootupd`")]
    UkiWithGrub,
    /// Asked for, and not there.
    #[error(
        "the image has no files to enrol Secure Boot keys with, `/usr/lib/bootc/install/secureboot-keys/*/*.auth`; `imgbuild seal` adds them"
    )]
    NothingToEnrol,
    /// A command line of its own has nobody to check it.
    #[error("the image is sealed already: `/{path}` boots it")]
    SealedAlready { path: Lossy },
    /// A unified kernel begins with it.
    #[error(
        "the image has no `/{path}`, of which a unified kernel is made; Debian has it in the package `systemd-boot-efi`, \
         Fedora and CentOS in `systemd-boot-unsigned`"
    )]
    NoStub { path: String },
    /// It would start another image than the one on the disk, or none.
    #[error("the unified kernel names {}, and the image is {expected}", found.as_ref().map_or_else(|| "no image".to_owned(), |id| format!("the image {id}")))]
    UkiOfAnother { found: Option<ComposefsId>, expected: ComposefsId },
    /// A unified kernel has the id in it, and there is none to find without composefs.
    #[error("a unified kernel names the composefs image it boots; the layout `plain` needs a kernel of its own")]
    PlainUki,
    /// What was checked is not what is asked for.
    #[error("the image was checked for another kind of root file system than it is put into")]
    OtherKind,
    /// A file of kernel arguments that bootc would not take.
    #[error("kernel arguments: `{path}` {problem}")]
    Kargs { path: Lossy, problem: KargsFileError },
    /// A text that was named by the survey was not given.
    #[error("`{path}` was not read")]
    NotRead { path: Lossy },
    /// FAT takes no such name.
    #[error(transparent)]
    Path(#[from] EspPathError),
}

fn list(found: &[Lossy]) -> String {
    found.iter().map(|kernel| format!("`{kernel}`")).collect::<Vec<_>>().join(", ")
}
