//! What the disk boots from, once all layers are read.

use super::files::{Files, size};
use super::{AssembleError, Disk, ROOT_NAME};
use crate::disk::boot::{
    BootPlan, Bootable, Check, ComposefsId, INITRAMFS_FILES, Kind, Layout, OriginParts, Request, Root, Source, Survey,
    origin_digest,
};
use crate::disk::composefs::{BootType, Deployment, ErofsVersion, Repository};
use crate::model::{ByteSize, Sha256Hex};
use crate::oci::Initramfs;
use crate::oci::layer::Lossy;

/// What boots, and the files that it takes.
pub(super) struct Boot {
    pub(super) plan: BootPlan,
    pub(super) id: ComposefsId,
    pub(super) files: Files,
    /// For `.origin`.
    digest: Sha256Hex,
}

impl Disk<'_> {
    pub(super) fn plan_boot(&self, repository: &Repository) -> Result<Boot, AssembleError> {
        let machine = self.request.machine;
        // The tree that is mounted has nothing in its `/boot`.
        if let Some(path) = Survey::of(&repository.boot, machine).uki() {
            return Err(AssembleError::Unified { path: Lossy::from(path) });
        }
        let survey = Survey::of(&repository.root, machine);
        let mut files = Files::default();
        files.read(repository, self.request.layers, &survey.texts())?;
        let texts = survey.texts().into_iter().map(|path| Ok((path.to_vec(), files.bytes(repository, path)?.to_vec())));
        let texts = texts.collect::<Result<_, AssembleError>>()?;
        let initramfs = match survey.initramfs() {
            Some(path) => Some(self.initramfs(repository, &mut files, path)?),
            None => None,
        };
        let bootable = Bootable::new(&survey, &texts, initramfs.as_ref(), Kind::Composefs, None)?;
        let id = repository.ids[&ErofsVersion::V1].to_string();
        let id: ComposefsId = id.parse().expect("a digest of 128 hexadecimal digits");
        let plan = bootable.plan(&Request {
            root: Root::Uuid(self.ids.file_system(ROOT_NAME)),
            layout: Layout::Composefs { id: id.clone(), check: Check::Optional },
            kargs: self.request.kargs.clone(),
            enrol: false,
        })?;
        let needed = ByteSize(plan.esp_size(|path| size(repository, path)));
        if needed > self.request.esp {
            return Err(AssembleError::EspTooSmall { needed, given: self.request.esp });
        }
        files.read(repository, self.request.layers, &sources(&plan))?;
        let digest = digest(&plan.origin, repository, &files)?;
        Ok(Boot { plan, id, files, digest })
    }

    fn initramfs(&self, repository: &Repository, files: &mut Files, path: &[u8]) -> Result<Initramfs, AssembleError> {
        files.read(repository, self.request.layers, &[path])?;
        let bytes = files.bytes(repository, path)?;
        let failed = |source| AssembleError::Initramfs { path: Lossy::from(path), source };
        Initramfs::read(bytes, &INITRAMFS_FILES).map_err(failed)
    }

    pub(super) fn deployment(&self, repository: &Repository, boot: &Boot) -> Deployment {
        Deployment {
            id: repository.ids[&ErofsVersion::V1],
            source: self.request.source.clone(),
            boot_type: BootType::Bls,
            boot_digest: boot.digest.clone(),
            manifest: self.request.image.digest().clone(),
        }
    }
}

/// Files of the image that the plan places.
fn sources(plan: &BootPlan) -> Vec<&[u8]> {
    let sources = plan.files.iter().filter_map(|file| match &file.source {
        Source::Image(path) => Some(path.as_slice()),
        Source::Bytes(_) => None,
    });
    sources.collect()
}

fn digest(parts: &OriginParts, repository: &Repository, files: &Files) -> Result<Sha256Hex, AssembleError> {
    let (kernel, initramfs) = match parts {
        OriginParts::Files { vmlinuz, initramfs } => (vmlinuz, initramfs),
        OriginParts::Unified { path } => return Err(AssembleError::Unified { path: Lossy::from(&**path) }),
    };
    let (mut kernel, mut initramfs) = (files.bytes(repository, kernel)?, files.bytes(repository, initramfs)?);
    let digest = origin_digest(&mut kernel, &mut initramfs).expect("bytes in memory can be read");
    Ok(digest.parse().expect("a SHA-256 in hexadecimal"))
}
