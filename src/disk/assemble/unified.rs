//! What is inside of a unified kernel.

use super::files::Files;
use super::{AssembleError, Disk};
use crate::disk::boot::{INITRAMFS_FILES, origin_digest};
use crate::disk::composefs::Repository;
use crate::disk::uki::{Pe, signer};
use crate::model::Sha256Hex;
use crate::oci::Initramfs;
use crate::oci::layer::Lossy;

/// What of a unified kernel decides how it boots.
#[derive(Debug)]
pub(super) struct Unified {
    pub(super) command_line: String,
    pub(super) initramfs: Initramfs,
    /// For `.origin`: kernel, then initramfs.
    pub(super) digest: Sha256Hex,
    /// Whose certificate came with its signature, where it is signed.
    pub(super) signer: Option<String>,
}

impl Disk<'_> {
    pub(super) fn unified(
        &self,
        repository: &Repository,
        files: &mut Files,
        path: &[u8],
    ) -> Result<Unified, AssembleError> {
        files.read(repository, self.request.layers, &[path])?;
        Unified::read(path, files.bytes(repository, path)?)
    }
}

impl Unified {
    fn read(path: &[u8], bytes: &[u8]) -> Result<Self, AssembleError> {
        let path = || Lossy::from(path);
        let program = Pe::parse(bytes).map_err(|source| AssembleError::Unified { path: path(), source })?;
        let section =
            |section| program.section(section).ok_or_else(|| AssembleError::UnifiedSection { path: path(), section });
        let (mut kernel, mut initrd) = (section(".linux")?, section(".initrd")?);
        let initramfs = Initramfs::read(initrd, &INITRAMFS_FILES)
            .map_err(|source| AssembleError::Initramfs { path: path(), source })?;
        let digest = origin_digest(&mut kernel, &mut initrd).expect("bytes in memory can be read");
        Ok(Self {
            command_line: String::from_utf8_lossy(section(".cmdline")?).trim_end_matches(['\0', '\n']).to_owned(),
            initramfs,
            digest: digest.parse().expect("a SHA-256 in hexadecimal"),
            signer: signer(bytes).map_err(|source| AssembleError::UnifiedSignature { path: path(), source })?,
        })
    }
}
