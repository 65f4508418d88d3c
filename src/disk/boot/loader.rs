//! Boot loaders: which one, and its files.

use super::Unbootable;
use super::grub::Grub;
use super::plan::{Place, Plan, Source};
use super::select::Texts;
use super::survey::{Survey, systemd_boot_places};

/// What the firmware starts.
#[derive(Debug, Clone)]
pub(super) enum Loader {
    /// systemd-boot: reads entries and kernels from the ESP.
    SystemdBoot {
        /// The program in the image.
        program: Vec<u8>,
    },
    /// shim and grub: read entries and kernels from the root file system.
    Grub(Grub),
}

impl Loader {
    /// bootupd's where it is there, as for bootc; else systemd-boot.
    pub(super) fn choose(survey: &Survey, texts: &Texts) -> Result<Self, Unbootable> {
        if !survey.efi_files.is_empty() && (survey.bootupd || survey.systemd_boot.is_none()) {
            return Grub::new(survey, texts).map(Self::Grub);
        }
        match &survey.systemd_boot {
            Some(program) => Ok(Self::SystemdBoot { program: program.clone() }),
            None if survey.bootupd => Err(Unbootable::BiosOnly),
            None => Err(Unbootable::NoBootLoader { looked: systemd_boot_places(survey.machine) }),
        }
    }

    /// Adds the loader's own files.
    pub(super) fn add_to(&self, plan: &mut Plan, suffix: &str) -> Result<(), Unbootable> {
        match self {
            Self::SystemdBoot { program } => {
                let fallback = format!("EFI/BOOT/BOOT{}.EFI", suffix.to_ascii_uppercase());
                plan.add(Place::esp(&fallback)?, Source::Image(program.clone()))?;
                let own = format!("EFI/systemd/systemd-boot{suffix}.efi");
                plan.add(Place::esp(&own)?, Source::Image(program.clone()))?;
                plan.add(Place::esp("loader/loader.conf")?, Source::text("timeout 5\n"))
            }
            Self::Grub(grub) => grub.add_to(plan),
        }
    }

    /// Whether kernels and entries are on the root file system, not on the ESP.
    pub(super) fn reads_root(&self) -> bool {
        matches!(self, Self::Grub(_))
    }
}
