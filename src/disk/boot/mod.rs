//! What a disk boots from: chosen from what is inside the image, laid out as bootc has it.
//!
//! Three steps, all pure: [`Survey::of`] finds what matters in the image's tree
//! and names the texts that must be read; [`Bootable::new`] decides from those
//! and from the initramfs' names whether and how it boots, or says why not;
//! [`Bootable::plan`] lists the files, once the composefs id and the root file
//! system's UUID are known.
//!
//! Follows the Boot Loader Specification, type 1, and what bootc 1.16 writes,
//! down to file names and the order of lines, so that bootc takes such a disk
//! for one of its own. The id is that of the EROFS image of version 1, which bootc
//! writes since 1.16 and every kernel in use reads: the programs in the initramfs
//! find an image by its id alone, and older bootc is refused. UEFI only: code for a BIOS is not a file that can be copied.

mod argument;
mod entry;
mod error;
mod grub;
mod loader;
mod os_release;
mod plan;
mod seal;
mod select;
mod support;
mod survey;
#[cfg(test)]
mod tests;

pub use argument::{Check, ComposefsArgument, ComposefsId, ComposefsIdError, Spelling};
pub use entry::BootEntry;
pub use error::Unbootable;
pub use plan::{BootFile, BootPlan, Layout, OriginParts, Place, Request, Root, Source, origin_digest};
pub use seal::SealPlan;
pub use select::{Bootable, Kind, check_unified};
pub use support::INITRAMFS_FILES;
pub use survey::Survey;

use crate::model::Machine;

/// How UEFI abbreviates an architecture in file names (UEFI specification, 3.5.1.1).
pub const fn efi_suffix(machine: Machine) -> Option<&'static str> {
    match machine {
        Machine::X86_64 => Some("x64"),
        Machine::Aarch64 => Some("aa64"),
        Machine::Riscv64 => Some("riscv64"),
        Machine::Ppc64le | Machine::S390x => None,
    }
}
