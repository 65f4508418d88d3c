//! What sealing changes in an image.

use super::plan::{Layout, Request, Root};
use super::survey::{SECURE_BOOT_FOLDER, SYSTEMD_BOOT_FOLDER, Survey, UKI_FOLDER};
use super::{Bootable, Check, ComposefsId, Unbootable, efi_suffix};
use crate::model::Karg;
use crate::oci::layer::Lossy;

/// systemd-boot enrols keys from the folder of this name by itself in virtual machines; on other machines it offers
/// them in its menu (`secure-boot-enroll` of loader.conf(5)).
const ENROLMENT: &str = "auto";

/// Files of an image that sealing takes away, reads and adds; paths without leading slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealPlan {
    /// The kernel's release.
    pub release: String,
    /// The kernel, which goes into the unified image.
    pub vmlinuz: Vec<u8>,
    /// Its initramfs, likewise.
    pub initramfs: Vec<u8>,
    /// systemd's stub.
    pub stub: Vec<u8>,
    /// os-release(5), where there is one.
    pub os_release: Option<Vec<u8>>,
    /// The boot loader to sign.
    pub boot_loader: Vec<u8>,
    /// Where it goes signed, which is where disks take it from.
    pub signed_boot_loader: String,
    /// The unified image.
    pub unified: String,
    /// Folder for files to enrol the key with; none where the image brings such files itself.
    pub enrolment: Option<String>,
}

impl SealPlan {
    /// Finds the files of an image that boots as it is.
    ///
    /// # Errors
    /// When it cannot be sealed, with the reason.
    pub fn new(survey: &Survey) -> Result<Self, Unbootable> {
        if let Some(path) = survey.ukis.first() {
            return Err(Unbootable::SealedAlready { path: Lossy::from(&**path) });
        }
        if survey.bootupd && !survey.efi_files.is_empty() {
            return Err(Unbootable::UkiWithGrub);
        }
        let suffix = efi_suffix(survey.machine).ok_or(Unbootable::NoUefi { machine: survey.machine })?;
        let [kernel] = survey.kernels.as_slice() else {
            let found = survey.kernels.iter().map(|kernel| Lossy::from(&*kernel.vmlinuz)).collect::<Vec<_>>();
            return Err(if found.is_empty() { Unbootable::NoKernel } else { Unbootable::SeveralKernels { found } });
        };
        let release = Lossy::from(&*kernel.release);
        let initramfs = kernel.initramfs.clone().ok_or_else(|| Unbootable::NoInitramfs { kernel: release.clone() })?;
        let stub = || Unbootable::NoStub { path: format!("{SYSTEMD_BOOT_FOLDER}/linux{suffix}.efi.stub") };
        // A signature is replaced, so both are good; the one as it was built has nothing else in it.
        let boot_loader = survey.unsigned_systemd_boot.as_ref().or(survey.systemd_boot.as_ref());
        let boot_loader = boot_loader.ok_or_else(|| Unbootable::NoBootLoader {
            looked: vec![format!("/{SYSTEMD_BOOT_FOLDER}/systemd-boot{suffix}.efi")],
        })?;
        Ok(Self {
            vmlinuz: kernel.vmlinuz.clone(),
            initramfs,
            stub: survey.stub.clone().ok_or_else(stub)?,
            os_release: survey.os_release.clone(),
            boot_loader: boot_loader.clone(),
            signed_boot_loader: format!("{SYSTEMD_BOOT_FOLDER}/systemd-boot{suffix}.efi.signed"),
            unified: format!("{UKI_FOLDER}/{release}.efi"),
            enrolment: survey.secure_boot.is_empty().then(|| format!("{SECURE_BOOT_FOLDER}/{ENROLMENT}")),
            release: release.to_string(),
        })
    }

    /// The files to be read.
    pub fn files(&self) -> Vec<&[u8]> {
        let all = [&self.vmlinuz, &self.initramfs, &self.stub, &self.boot_loader];
        all.into_iter().chain(&self.os_release).map(Vec::as_slice).collect()
    }
}

impl Bootable {
    /// The command line that a unified kernel of this image has in it: it boots nothing that fs-verity does not prove,
    /// and finds the root partition by its type, because one unified kernel is for all disks.
    pub fn sealed_options(&self, id: &ComposefsId, kargs: &[Karg]) -> String {
        self.options(&Request {
            root: Root::Discovered(uuid::Uuid::nil()),
            layout: Layout::Composefs { id: id.clone(), check: Check::Required },
            kargs: kargs.to_vec(),
            enrol: false,
        })
    }
}
