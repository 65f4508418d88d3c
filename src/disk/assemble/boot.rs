//! What the disk boots from, once all layers are read.

use super::files::{Files, size};
use super::unified::Unified;
use super::{AssembleError, Disk, ROOT_NAME};
use crate::disk::boot::{
    BootPlan, Bootable, Check, ComposefsId, INITRAMFS_FILES, Kind, Layout, OriginParts, Request, Root, Source, Survey,
    Unbootable, check_unified, origin_digest,
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
    pub(super) command_line: String,
    pub(super) signer: Option<String>,
    pub(super) check: Check,
    /// For `.origin`.
    digest: Sha256Hex,
}

impl Disk<'_> {
    pub(super) fn plan_boot(&self, repository: &Repository) -> Result<Boot, AssembleError> {
        // The tree that is mounted has nothing in its `/boot`.
        let survey = Survey::of(&repository.root, self.request.machine).with_boot(&repository.boot);
        let mut files = Files::default();
        files.read(repository, self.request.layers, &survey.texts())?;
        let texts = survey.texts().into_iter().map(|path| Ok((path.to_vec(), files.bytes(repository, path)?.to_vec())));
        let texts = texts.collect::<Result<_, AssembleError>>()?;
        let unified = match survey.uki() {
            Some(path) => Some(self.unified(repository, &mut files, path)?),
            None => None,
        };
        let initramfs = match survey.initramfs() {
            Some(path) => Some(self.initramfs(repository, &mut files, path)?),
            None => unified.as_ref().map(|unified| unified.initramfs.clone()),
        };
        let bootable = Bootable::new(&survey, &texts, initramfs.as_ref(), Kind::Composefs, None)?;
        let id = repository.ids[&ErofsVersion::V1].to_string();
        let id: ComposefsId = id.parse().expect("a digest of 128 hexadecimal digits");
        let check = match &unified {
            Some(unified) => check_unified(&unified.command_line, &id)?,
            None => Check::Optional,
        };
        let plan = bootable.plan(&Request {
            root: Root::Uuid(self.ids.file_system(ROOT_NAME)),
            layout: Layout::Composefs { id: id.clone(), check },
            kargs: self.request.kargs.clone(),
            enrol: self.request.enrol,
        })?;
        if check == Check::Required && !self.request.sealed {
            return Err(AssembleError::Sealed);
        }
        let needed = ByteSize(plan.esp_size(|path| size(repository, path)));
        if needed > self.request.esp {
            return Err(AssembleError::EspTooSmall { needed, given: self.request.esp });
        }
        files.read(repository, self.request.layers, &sources(&plan))?;
        let digest = digest(&plan.origin, unified.as_ref(), repository, &files)?;
        let (line, signer) = unified.map_or((None, None), |unified| (Some(unified.command_line), unified.signer));
        let command_line = line.or_else(|| plan.options.clone()).unwrap_or_default();
        Ok(Boot { plan, id, files, command_line, signer, check, digest })
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
            boot_type: match boot.plan.origin {
                OriginParts::Files { .. } => BootType::Bls,
                OriginParts::Unified { .. } => BootType::Uki,
            },
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

fn digest(
    parts: &OriginParts,
    unified: Option<&Unified>,
    repository: &Repository,
    files: &Files,
) -> Result<Sha256Hex, AssembleError> {
    let (kernel, initramfs) = match (parts, unified) {
        (_, Some(unified)) => return Ok(unified.digest.clone()),
        (OriginParts::Files { vmlinuz, initramfs }, None) => (vmlinuz, initramfs),
        (OriginParts::Unified { path }, None) => return Err(Unbootable::NotRead { path: Lossy::from(&**path) }.into()),
    };
    let (mut kernel, mut initramfs) = (files.bytes(repository, kernel)?, files.bytes(repository, initramfs)?);
    let digest = origin_digest(&mut kernel, &mut initramfs).expect("bytes in memory can be read");
    Ok(digest.parse().expect("a SHA-256 in hexadecimal"))
}
